//! The one table of cases: what each needs of the dialect, how its slot is configured, and whose turn it is.

/// The tests: area, then who else may use the emulator meanwhile (`shared` or `own`), how the slot is configured, the name
/// of the function, and what it needs: words of [`super::suite::ABLE`], each with `!` where the case is the refusal of
/// what the dialect lacks. `both` runs without and with TLS.
#[allow(unused_macros)]
macro_rules! contract_cases {
    ($expand:ident $suite:tt) => {
        $crate::contract::cases::signing_cases! {
            $expand $suite
            both {
                listing {
                    shared Plain a_class;
                    shared Plain a_label;
                    shared Plain an_id;
                    shared Plain a_key_type;
                    shared Plain several_attributes;
                    shared Plain no_attributes;
                    shared Plain nothing_matches;
                    shared Plain attributes_are_read_between_two_steps;
                    shared Plain what_the_hsm_keeps_for_itself_is_hidden [internal];
                    shared Narrow the_configuration_hides_keys;
                    shared ShowInternal the_configuration_shows_what_the_hsm_keeps [internal];
                    shared Plain private_objects_come_and_go_with_the_login [public_listing];
                    shared Plain nothing_is_shown_before_the_login [!public_listing];
                    own Plain a_profile_says_that_certificates_are_public [lists_before_login];
                    shared Plain no_profile_says_that_certificates_are_public [!lists_before_login];
                    shared Plain a_search_has_its_states;
                    shared Plain a_template_that_contradicts_itself_finds_nothing;
                }
                catalog {
                    own Hasty a_key_that_cannot_be_read_spoils_no_search [describe];
                    own OneByOne a_listing_that_takes_too_long_goes_on_with_the_next_call [describe];
                    own OneByOne a_key_that_stalls_holds_up_no_other [describe];
                    shared Small more_keys_than_are_kept [uncertified];
                }
                attributes {
                    shared Plain rsa_keys;
                    shared Plain ec_keys [ec];
                    shared Plain edwards_keys [edwards];
                    shared OctetStringPoint edwards_points_in_an_octet_string [edwards];
                    shared Plain aes_keys [aes];
                    shared Plain certificates [certificates];
                    shared Plain certificates_belong_to_their_keys [certificates];
                    shared Plain ids_are_those_of_the_key [ids_of_keys];
                    shared Plain unique_ids_are_unique;
                    shared Plain private_keys_are_kept [protection];
                    shared Plain secrets_are_not_told;
                    shared Plain a_short_buffer_spoils_one_attribute_only;
                    shared Plain allowed_mechanisms_are_those_that_work;
                    shared Plain token_objects_do_not_change;
                }
                digests {
                    shared Plain agree_with_openssl;
                    own Plain need_no_login_and_no_request;
                }
                sessions {
                    own Plain ten_thousand_cost_nothing;
                    shared Plain are_counted;
                    shared Plain handles_are_never_given_twice;
                    shared Plain states;
                    shared Plain closing_all_of_one_slot;
                    shared Plain the_last_one_takes_the_login_with_it;
                    shared Plain are_synchronous;
                    shared Plain tell_of_the_last_validation_only;
                }
                login {
                    shared Plain a_wrong_pin;
                    own Plain a_pin_that_no_header_takes_is_not_sent [pin_in_a_header];
                    own Plain a_pin_of_any_bytes_is_a_wrong_one [!pin_in_a_header];
                    shared Plain twice;
                    shared Plain there_is_no_security_officer;
                    shared Plain is_shared_by_the_sessions_of_a_token;
                    shared Plain of_one_token_says_nothing_of_another;
                    shared Plain ends;
                    shared Plain ends_the_handles_of_private_objects_only [public_listing];
                    shared ListingLogin brings_the_right_to_list [pin_that_lists];
                    shared NoLogin is_not_needed_without_a_pin [optional_login];
                    own Plain a_pin_goes_out_once;
                }
                session_objects {
                    shared Plain rsa_public_keys_verify;
                    shared Plain ec_public_keys_verify [ec];
                    shared Plain edwards_public_keys_verify [edwards];
                    shared Plain certificates [certificates];
                    shared Plain data;
                    shared Plain go_with_their_session;
                    shared Plain private_ones_go_with_the_login;
                    shared Plain are_copied_and_changed;
                    shared Plain incomplete_templates_are_refused;
                    shared Plain token_objects_are_refused;
                }
                keys {
                    own Plain a_key_that_vanishes_is_gone [new_keys];
                    own Plain a_new_key_is_found_by_its_label [new_keys];
                    own Plain an_id_that_the_hsm_keeps_is_the_id [new_keys ids];
                    shared Plain a_key_with_a_password_is_listed [passwords];
                    shared Described a_key_with_a_password_signs [passwords];
                    shared Described the_configuration_describes_keys [passwords aes ec];
                    shared Certificates certificates_come_from_files [uncertified];
                    shared WithoutRsa a_type_of_keys_is_hidden [ec];
                    shared Unsigned a_certificate_that_nobody_signed [uncertified ec];
                    own Aliases keys_are_called_what_applications_like [new_keys];
                }
                token_certificates {
                    own Aliases are_kept_with_a_label_and_an_id_of_their_own;
                    own Aliases of_no_key_are_kept_too;
                    own Aliases of_the_file_are_shown;
                    own Aliases have_nothing_else;
                    shared Plain find_no_place_of_themselves [!keeps_certificates];
                    own Plain are_put_beside_their_key [keeps_certificates uncertified ec];
                    own SelfSigned are_made_by_the_keys_themselves [uncertified ec];
                    own SelfSigned are_made_though_one_key_cannot [keeps_certificates uncertified ec];
                }
                slots {
                    shared Plain have_a_token;
                    shared Plain a_bad_slot_harms_no_other;
                    shared Plain labels_and_serial_numbers_are_their_own;
                    shared Plain mechanisms_are_told_truly;
                    own Plain asking_about_them_makes_no_request;
                    shared Narrow the_configuration_narrows_what_is_offered;
                    shared Unreachable one_that_cannot_be_reached_fails_when_it_is_used;
                }
                faults {
                    own Plain a_signature_is_asked_for_once [!repeats];
                    own Plain unavailable_once [repeats];
                    own Plain unavailable_for_good;
                    own Plain a_truncated_answer;
                    own Plain an_answer_that_is_no_json;
                    own Plain an_answer_without_a_signature;
                    own Plain a_connection_closed_while_idle;
                    own Plain a_connection_closed_instead_of_an_answer [repeats];
                    own Plain a_reset_once [repeats];
                    own Impatient an_hsm_that_says_nothing;
                    own Plain a_refused_credential;
                    own Plain one_unreadable_key_spoils_no_listing [describe];
                }
                connections {
                    own Plain a_thousand_signatures_take_one;
                    own Plain threads_share_them;
                }
                refusals {
                    shared Plain ecdsa [!ec];
                    shared Plain eddsa [!edwards];
                    shared Plain rsa_pss [!pss];
                    shared Plain hashes [!all_hashes];
                    shared Plain digests_of_the_caller [ec !digests];
                    shared Plain digest_infos [!digest_infos];
                    shared Plain bytes_that_are_no_digest_info [digest_infos !any_bytes];
                    shared Plain rsa_decryption [!decrypt];
                    shared Plain rsa_oaep [!oaep];
                    shared Plain aes_blocks [!aes_blocks];
                    shared Plain aes_gcm [!gcm];
                    shared Plain macs [!macs];
                    shared Plain secret_keys [!aes];
                    shared Plain random_bytes [!random];
                    shared Plain passwords_of_keys [!passwords];
                    shared Plain certificates [!certificates];
                    shared Plain secrets_are_not_told_though_nobody_says_so [!protection];
                    shared Plain making_keys [!makes_pairs];
                    shared Plain of_what_no_rest_api_has;
                }
                cryptoki_crate {
                    shared Plain finds_and_reads_objects;
                    shared Plain signs_and_verifies;
                    shared Plain encrypts_and_decrypts [decrypt oaep];
                    shared Plain digests_and_draws_random_bytes;
                    shared Plain encrypts_messages [gcm];
                    shared Plain makes_session_objects;
                }
            }
            tls {
                tls {
                    shared Plain names_the_authority;
                    shared WrongAuthority another_authority_is_not_believed;
                }
            }
        }
    };
}
#[allow(unused_imports)]
pub(crate) use contract_cases;

/// Those of them that use keys: what a description of a service has to prove.
macro_rules! signing_cases {
    ($expand:ident $suite:tt both { $($both:tt)* } tls { $($tls:tt)* }) => {
        $expand! {
            $suite
            both {
                generation {
                    own Plain rsa_pairs [makes_pairs];
                    own Plain ec_pairs [makes_pairs];
                    own Plain edwards_pairs [makes_edwards];
                    own Plain aes_keys [makes_aes];
                    own Plain mac_keys [makes_mac_keys];
                    own Plain an_id_is_kept [makes_pairs ids];
                    own Plain an_id_falls [makes_pairs !ids];
                    own Plain a_label_is_made_where_none_is_given [makes_pairs];
                    own Plain a_label_that_is_taken_makes_nothing [makes_pairs];
                    own Plain a_public_key_may_be_a_session_object [makes_pairs];
                    own Plain nobody_makes_a_key_without_the_right_to [makes_pairs];
                    own Plain what_no_key_is_like_is_not_made [makes_pairs];
                    own Plain mechanisms_tell_what_is_made [makes_pairs];
                    own Plain threads_make_keys_at_once [makes_pairs];
                    own Plain a_deleted_key_is_gone [makes_pairs deletes];
                    own Plain a_key_that_is_made_to_stay_stays [makes_pairs deletes protection];
                }
                signatures {
                    shared Plain rsa_pkcs1_with_a_hash;
                    shared Plain rsa_pkcs1_of_a_digest_info [digest_infos];
                    shared Plain rsa_pkcs1_of_any_bytes [any_bytes];
                    shared Plain rsa_pss_with_a_hash [pss];
                    shared Plain rsa_pss_of_a_digest [pss digests];
                    shared Plain ecdsa_with_a_hash [ec];
                    shared Plain ecdsa_of_a_digest [ec digests];
                    shared Plain eddsa [edwards];
                    shared Plain an_eddsa_signature_is_told_whole_and_made_once [edwards];
                    shared Plain a_signature_in_parts_is_the_signature;
                    shared Plain false_signatures_are_refused;
                    shared Plain parameters_that_are_not_served_are_refused [pss];
                    shared Plain mechanisms_of_other_purposes_are_refused;
                    shared Plain keys_of_other_types_are_refused;
                    shared Plain too_much_data_is_refused [any_bytes];
                    shared Plain a_message_may_be_longer_than_a_request [digests edwards ec];
                    shared Plain a_message_that_the_hsm_hashes_has_a_limit [!digests !digest_infos];
                    shared Plain macs [macs];
                }
                ciphers {
                    shared Plain rsa_pkcs1 [decrypt];
                    shared Plain rsa_oaep [oaep];
                    shared Plain rsa_oaep_with_a_label_is_refused [oaep];
                    shared Plain rsa_limits [decrypt oaep aes_blocks];
                    shared Plain aes_ecb [aes_blocks];
                    shared Plain aes_cbc [aes_blocks];
                    shared Plain aes_cbc_pad [aes_blocks];
                    shared Plain aes_ctr [aes_blocks];
                    shared Plain aes_gcm [gcm];
                    shared Plain aes_gcm_false_tag [gcm];
                    shared Plain aes_gcm_with_an_iv_of_the_caller [gcm own_ivs];
                    shared Plain an_iv_of_the_caller_is_refused [gcm aes_blocks !own_ivs];
                    own LockedSecret a_key_with_a_password_encrypts [passwords aes_blocks gcm];
                    shared Plain ciphertext_in_parts [aes_blocks decrypt];
                }
                operations {
                    shared Plain one_of_a_kind_at_a_time;
                    shared Plain asking_for_the_length_keeps_it;
                    shared Plain a_short_buffer_keeps_it;
                    shared Plain any_other_error_ends_it;
                    shared Plain data_of_the_wrong_length_end_it [pss digests];
                    shared Plain ciphers_are_operations_too [decrypt gcm];
                    shared Plain single_part_after_parts_is_refused;
                    shared Plain cancelling;
                    shared Plain a_null_mechanism_cancels;
                    shared Plain logging_out_in_the_middle;
                    shared Plain nothing_goes_on_without_a_beginning;
                    shared Plain random_bytes [random];
                    own Plain a_decryption_into_a_short_buffer_asks_the_hsm_once [decrypt];
                }
                $($both)*
            }
            tls { $($tls)* }
        }
    };
}
#[allow(unused_imports)]
pub(crate) use signing_cases;
