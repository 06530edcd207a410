//! What every dialect owes: functions that take a slot of an emulator and know nothing of its vendor.
//!
//! A test program names a [`Dialect`], makes a [`World`] of it and expands [`contract_cases!`] to its tests. There is
//! one `C_Initialize` in a process, so one configuration serves all tests: each has a slot, and with it login, catalog
//! and connections, of its own. Tests that count requests, break the HSM or change its keys take turns on emulators
//! that the others do not touch.
#![allow(dead_code)]

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use cryptoki_sys::{
    CK_OBJECT_HANDLE, CK_SLOT_ID, CKO_CERTIFICATE, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY,
};

use crate::support::emulator::Emulator;
use crate::support::openssl;
use crate::support::p11::P11;
use crate::support::session::Session;

pub mod attributes;
pub mod catalog;
pub mod ciphers;
pub mod connections;
pub mod cryptoki_crate;
pub mod digests;
pub mod faults;
pub mod keys;
pub mod listing;
pub mod login;
pub mod operations;
pub mod session_objects;
pub mod sessions;
pub mod signatures;
pub mod slots;
pub mod tls;

/// The tests: area, then who else may use the emulator meanwhile (`shared` or `own`), how the slot is configured, and
/// the name of the function. `both` runs without and with TLS.
macro_rules! contract_cases {
    ($expand:ident) => {
        $expand! {
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
                    shared Plain what_the_hsm_keeps_for_itself_is_hidden;
                    shared Narrow the_configuration_hides_keys;
                    shared ShowInternal the_configuration_shows_what_the_hsm_keeps;
                    shared Plain private_objects_come_and_go_with_the_login;
                    shared Plain a_search_has_its_states;
                    shared Plain a_template_that_contradicts_itself_finds_nothing;
                }
                catalog {
                    own Hasty a_key_that_cannot_be_read_spoils_no_search;
                    own OneByOne a_listing_that_takes_too_long_goes_on_with_the_next_call;
                    own OneByOne a_key_that_stalls_holds_up_no_other;
                    shared Small more_keys_than_are_kept;
                }
                attributes {
                    shared Plain rsa_keys;
                    shared Plain ec_keys;
                    shared Plain edwards_keys;
                    shared OctetStringPoint edwards_points_in_an_octet_string;
                    shared Plain aes_keys;
                    shared Plain certificates;
                    shared Plain certificates_belong_to_their_keys;
                    shared Plain ids_are_those_of_the_key;
                    shared Plain unique_ids_are_unique;
                    shared Plain private_keys_are_kept;
                    shared Plain secrets_are_not_told;
                    shared Plain a_short_buffer_spoils_one_attribute_only;
                    shared Plain allowed_mechanisms_are_those_that_work;
                    shared Plain token_objects_do_not_change;
                }
                signatures {
                    shared Plain rsa_pkcs1_with_a_hash;
                    shared Plain rsa_pkcs1_of_a_digest_info;
                    shared Plain rsa_pkcs1_of_any_bytes;
                    shared Plain rsa_pss_with_a_hash;
                    shared Plain rsa_pss_of_a_digest;
                    shared Plain ecdsa_with_a_hash;
                    shared Plain ecdsa_of_a_digest;
                    shared Plain eddsa;
                    shared Plain an_eddsa_signature_is_told_whole_and_made_once;
                    shared Plain a_signature_in_parts_is_the_signature;
                    shared Plain false_signatures_are_refused;
                    shared Plain parameters_that_are_not_served_are_refused;
                    shared Plain keys_of_other_types_are_refused;
                    shared Plain too_much_data_is_refused;
                }
                ciphers {
                    shared Plain rsa_pkcs1;
                    shared Plain rsa_oaep;
                    shared Plain rsa_oaep_with_a_label_is_refused;
                    shared Plain rsa_limits;
                    shared Plain aes_ecb;
                    shared Plain aes_cbc;
                    shared Plain aes_cbc_pad;
                    shared Plain aes_ctr;
                    shared Plain aes_gcm;
                    shared Plain aes_gcm_false_tag;
                    shared Plain an_iv_of_the_caller_is_refused;
                    own LockedSecret a_key_with_a_password_encrypts;
                    shared Plain ciphertext_in_parts;
                }
                digests {
                    shared Plain agree_with_openssl;
                    own Plain need_no_login_and_no_request;
                }
                operations {
                    shared Plain one_of_a_kind_at_a_time;
                    shared Plain asking_for_the_length_keeps_it;
                    shared Plain a_short_buffer_keeps_it;
                    shared Plain any_other_error_ends_it;
                    shared Plain single_part_after_parts_is_refused;
                    shared Plain cancelling;
                    shared Plain a_null_mechanism_cancels;
                    shared Plain logging_out_in_the_middle;
                    shared Plain nothing_goes_on_without_a_beginning;
                    shared Plain random_bytes;
                    own Plain a_decryption_into_a_short_buffer_asks_the_hsm_once;
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
                    own Plain a_pin_that_no_header_takes_is_not_sent;
                    shared Plain twice;
                    shared Plain there_is_no_security_officer;
                    shared Plain is_shared_by_the_sessions_of_a_token;
                    shared Plain of_one_token_says_nothing_of_another;
                    shared Plain ends;
                    shared Plain ends_the_handles_of_private_objects_only;
                    shared ListingLogin brings_the_right_to_list;
                    shared NoLogin is_not_needed_without_a_pin;
                    own Plain a_pin_goes_out_once;
                }
                session_objects {
                    shared Plain rsa_public_keys_verify;
                    shared Plain ec_public_keys_verify;
                    shared Plain edwards_public_keys_verify;
                    shared Plain certificates;
                    shared Plain data;
                    shared Plain go_with_their_session;
                    shared Plain private_ones_go_with_the_login;
                    shared Plain are_copied_and_changed;
                    shared Plain incomplete_templates_are_refused;
                    shared Plain token_objects_are_refused;
                }
                keys {
                    own Plain a_key_that_vanishes_is_gone;
                    own Plain a_new_key_is_found_by_its_label;
                    own Plain an_id_that_the_hsm_keeps_is_the_id;
                    shared Plain a_key_with_a_password_is_listed;
                    shared Described a_key_with_a_password_signs;
                    shared Described the_configuration_describes_keys;
                    shared Certificates certificates_come_from_files;
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
                    own Plain unavailable_once;
                    own Plain unavailable_for_good;
                    own Plain a_truncated_answer;
                    own Plain an_answer_that_is_no_json;
                    own Plain an_answer_without_a_signature;
                    own Plain a_connection_closed_while_idle;
                    own Plain a_connection_closed_instead_of_an_answer;
                    own Plain a_reset_once;
                    own Impatient an_hsm_that_says_nothing;
                    own Plain a_refused_credential;
                    own Plain one_unreadable_key_spoils_no_listing;
                }
                connections {
                    own Plain a_thousand_signatures_take_one;
                    own Plain threads_share_them;
                }
                cryptoki_crate {
                    shared Plain finds_and_reads_objects;
                    shared Plain signs_and_verifies;
                    shared Plain encrypts_and_decrypts;
                    shared Plain encrypts_messages;
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
pub(crate) use contract_cases;

/// What the tests need to know of a vendor.
pub trait Dialect: Sync {
    /// `--vendor` of the emulator.
    fn vendor(&self) -> &'static str;

    /// What `C_Login` takes.
    fn pin(&self) -> &'static str;

    /// What it takes with [`Setting::ListingLogin`].
    fn listing_pin(&self, emulator: &Emulator) -> String;

    /// A `[[slot]]` of the configuration.
    fn slot(&self, label: &str, emulator: &Emulator, setting: Setting) -> String;

    /// Gives a new emulator the key [`LOCKED`] with the password [`PASSWORD`].
    fn prepare(&self, emulator: &Emulator);

    /// Labels that the HSM lists and the module hides.
    fn hidden(&self) -> &'static [&'static str];

    /// The PEM file of a private key of the emulator.
    fn private_pem(&self, emulator: &Emulator, label: &str) -> std::path::PathBuf;

    /// The PEM file of a certificate that the emulator keeps beside a key.
    fn certificate_pem(&self, emulator: &Emulator, label: &str) -> std::path::PathBuf;

    /// The bytes of an AES key of the emulator.
    fn secret(&self, emulator: &Emulator, label: &str) -> Vec<u8>;

    /// Makes a P-256 key for signing, past the module.
    fn create_key(&self, emulator: &Emulator, label: &str, id: Option<&[u8]>);

    /// Makes an AES key of 256 bits with the password [`PASSWORD`], past the module.
    fn create_locked_secret(&self, emulator: &Emulator, label: &str);

    /// Deletes a key, past the module.
    fn delete_key(&self, emulator: &Emulator, label: &str, password: Option<&str>);

    /// Opens a GCM ciphertext, past the module.
    fn open_gcm(&self, emulator: &Emulator, sealed: &Sealed<'_>) -> Vec<u8>;

    /// The request of the vendor's API that a C function makes, as the emulator's statistics and faults name it: method
    /// and path.
    fn request(&self, purpose: Purpose) -> (&'static str, &'static str);

    /// A fault, in the words of the emulator: the HSM does not tell the attributes of this one key, and says that the
    /// failure is its own.
    fn unreadable(&self, label: &str) -> serde_json::Value;
}

/// A GCM ciphertext in its parts.
pub struct Sealed<'a> {
    pub label: &'a str,
    pub iv: &'a [u8],
    pub aad: &'a [u8],
    pub ciphertext: &'a [u8],
    pub tag: &'a [u8],
}

/// What a request is for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    Sign,
    Decrypt,
    List,
    Describe,
}

/// How the slot of a test is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// As `p11rest emulate` writes it: the credential for operations is the PIN.
    Plain,
    /// All credentials are in files.
    NoLogin,
    /// `edwards_point = "octet-string"`
    OctetStringPoint,
    /// `[[slot.key]]` gives the public key of [`LOCKED`], [`DESCRIBED_ID`] to [`EC`] and its type to [`AES`].
    Described,
    /// A folder with the certificates [`FILE_CERTIFICATE`] of [`EC`] and [`LOOSE_CERTIFICATE`] of no key.
    Certificates,
    /// `mechanisms = ["CKM_RSA_PKCS", "CKM_SHA256"]`, and [`EC_CERT`] and [`ED`] are hidden by the patterns
    /// `ec-c*` and `ed25519`.
    Narrow,
    /// `show_internal = true`
    ShowInternal,
    /// Nobody listens at the URL.
    Unreachable,
    /// A call may take half a second.
    Impatient,
    /// The same, and attributes are asked for one key at a time.
    OneByOne,
    /// A listing is believed for 200 ms.
    Hasty,
    /// The attributes of three keys are kept; the certificates are those of [`Setting::Certificates`].
    Small,
    /// The credential for listing is the PIN, that for operations is in the configuration; `[[slot.key]]` gives
    /// [`DESCRIBED_ID`] to [`EC`].
    ListingLogin,
    /// `[[slot.key]]` says that [`LOCKED_SECRET`] is an AES key with a password.
    LockedSecret,
    /// The authority to trust is another.
    WrongAuthority,
}

// The keys of every emulator.
pub const RSA: &str = "rsa-2048";
pub const RSA_CERT: &str = "rsa-cert";
pub const EC: &str = "ec-p256";
pub const EC_CERT: &str = "ec-cert";
pub const ED: &str = "ed25519";
pub const AES: &str = "aes-256";
/// A P-256 key with a password.
pub const LOCKED: &str = "locked";
/// An AES key with a password; a test makes it.
pub const LOCKED_SECRET: &str = "locked-aes";
pub const PASSWORD: &str = "correct horse \"battery\" \\ stäple";

/// The keys whose public half is known.
pub const PAIRS: [&str; 5] = [EC_CERT, EC, ED, RSA, RSA_CERT];

pub const DESCRIBED_ID: [u8; 3] = [0x00, 0xd1, 0xd2];
pub const FILE_CERTIFICATE: &str = "leaf.pem";
pub const LOOSE_CERTIFICATE: &str = "authority.pem";

/// What one test may use.
pub struct Case {
    pub p11: &'static P11,
    pub slot: CK_SLOT_ID,
    pub label: String,
    pub dialect: &'static dyn Dialect,
    pub emulator: &'static Emulator,
    /// A slot whose configuration is wrong.
    pub bad_slot: CK_SLOT_ID,
    /// A slot on a good HSM where nobody ever logs in.
    pub neighbour: CK_SLOT_ID,
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Case {
    /// A session of nobody's.
    pub fn session(&self) -> Session {
        self.p11.open(self.slot).expect("a session opens")
    }

    /// A read/write session, with the user logged in.
    pub fn user(&self) -> Session {
        let session = self.p11.open_rw(self.slot).expect("a session opens");
        session.login(self.dialect.pin()).expect("the PIN is right");
        session
    }

    /// The SubjectPublicKeyInfo of a key, from OpenSSL.
    pub fn spki(&self, label: &str) -> Vec<u8> {
        openssl::public_key(&self.dialect.private_pem(self.emulator, label))
    }

    /// The certificate that the HSM keeps beside a key, in DER.
    pub fn certificate(&self, label: &str) -> Vec<u8> {
        let path = self.dialect.certificate_pem(self.emulator, label);
        openssl::openssl(&["x509", "-in", path.to_str().expect("text"), "-outform", "DER"], b"")
    }
}

/// Shorthands for [`Session::the`].
pub fn private(session: &Session, label: &str) -> CK_OBJECT_HANDLE {
    session.the(CKO_PRIVATE_KEY, label)
}
pub fn public(session: &Session, label: &str) -> CK_OBJECT_HANDLE {
    session.the(CKO_PUBLIC_KEY, label)
}
pub fn secret(session: &Session, label: &str) -> CK_OBJECT_HANDLE {
    session.the(CKO_SECRET_KEY, label)
}
pub fn certificate(session: &Session, label: &str) -> CK_OBJECT_HANDLE {
    session.the(CKO_CERTIFICATE, label)
}

/// A test before it has a slot.
pub struct Plan {
    /// `http` or `https`
    pub scheme: &'static str,
    /// Area and name.
    pub name: &'static str,
    /// Whether it has the emulator to itself.
    pub own: bool,
    pub setting: Setting,
}

impl Plan {
    fn key(&self) -> String {
        format!("{} {}", self.scheme, self.name)
    }
}

/// The emulators, the configuration and the module of one test program.
pub struct World {
    dialect: &'static dyn Dialect,
    emulators: HashMap<(bool, bool), Emulator>,
    turns: HashMap<(bool, bool), Mutex<()>>,
    /// By scheme and name of the test: its slot, and which emulator it is on.
    slots: HashMap<String, (CK_SLOT_ID, (bool, bool))>,
    bad_slot: CK_SLOT_ID,
}

impl World {
    /// Starts what the tests need.
    pub fn new(dialect: &'static dyn Dialect, plans: &[Plan]) -> Self {
        // By TLS and by whether tests take turns.
        let kinds = [(false, false), (false, true), (true, false), (true, true)];
        let emulators: HashMap<_, _> = thread::scope(|scope| {
            let starting = kinds.map(|kind| {
                scope.spawn(move || {
                    let emulator = Emulator::start(dialect.vendor(), kind.0);
                    dialect.prepare(&emulator);
                    write_certificates(dialect, &emulator);
                    (kind, emulator)
                })
            });
            starting.into_iter().map(|thread| thread.join().expect("an emulator starts")).collect()
        });
        let mut slots = HashMap::new();
        let mut config = String::from("version = 1\n\n");
        for (id, plan) in plans.iter().enumerate() {
            let kind = (plan.scheme == "https", plan.own);
            let label = label(id);
            config.push_str(&dialect.slot(&label, &emulators[&kind], plan.setting));
            let slot = CK_SLOT_ID::try_from(id).expect("a slot id");
            assert!(slots.insert(plan.key(), (slot, kind)).is_none(), "{} twice", plan.key());
        }
        config.push_str(&format!("[[slot]]\nlabel = \"bad\"\nbackend = \"{}\"\n", dialect.vendor()));
        config.push_str("urls = [\"ftp://127.0.0.1\"]\n");
        config.push_str(&dialect.slot("neighbour", &emulators[&kinds[0]], Setting::Plain));
        let path = emulators[&kinds[0]].path("world.toml");
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).expect("a new file");
        file.write_all(config.as_bytes()).expect("the configuration can be written");
        let stats = || kinds.map(|kind| emulators[&kind].stats());
        let before = stats();
        P11::load().initialize(&path).expect("the configuration is right");
        assert_eq!(stats(), before, "C_Initialize makes no request");
        let turns = kinds.into_iter().map(|kind| (kind, Mutex::default())).collect();
        let bad_slot = CK_SLOT_ID::try_from(plans.len()).expect("a slot id");
        Self { dialect, emulators, turns, slots, bad_slot }
    }

    /// Runs one test.
    pub fn run(&'static self, scheme: &str, name: &str, test: fn(&Case)) {
        let (slot, kind) = self.slots[&format!("{scheme} {name}")];
        let emulator = &self.emulators[&kind];
        let turn = kind.1.then(|| {
            // A test that failed leaves nothing that matters but its faults.
            let turn = self.turns[&kind].lock().unwrap_or_else(PoisonError::into_inner);
            emulator.heal();
            turn
        });
        let label = label(usize::try_from(slot).expect("a slot id"));
        let (dialect, bad_slot) = (self.dialect, self.bad_slot);
        let neighbour = bad_slot + 1;
        test(&Case { p11: P11::load(), slot, label, dialect, emulator, bad_slot, neighbour, _turn: turn });
    }
}

fn label(slot: usize) -> String {
    format!("slot-{slot}")
}

/// Certificates that the HSM does not know, for [`Setting::Certificates`].
fn write_certificates(dialect: &dyn Dialect, emulator: &Emulator) {
    let folder = emulator.path("certificates");
    fs::create_dir(&folder).expect("a new folder");
    let certify = |key: &str, subject: &str, name: &str| {
        let out = folder.join(name);
        let (subject, out) = (format!("/CN={subject}"), out.to_str().expect("text"));
        let arguments = ["req", "-x509", "-key", key, "-subj", &subject, "-days", "9", "-out", out];
        openssl::openssl(&arguments, b"");
    };
    let key = dialect.private_pem(emulator, EC);
    certify(key.to_str().expect("text"), "from a file", FILE_CERTIFICATE);
    let other = emulator.path("other.key");
    let other = other.to_str().expect("text");
    openssl::openssl(&["genpkey", "-algorithm", "ED25519", "-out", other], b"");
    certify(other, "nobody's", LOOSE_CERTIFICATE);
}
