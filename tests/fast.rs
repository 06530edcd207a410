//! The contract suite on FAST HSM, without and with TLS.

use dialect::Fast;

mod contract;
#[path = "dialects/fast.rs"]
mod dialect;
mod support;

contract::suite!(Fast;
    able { digest_infos certificates public_listing ids_of_keys describe tokens }
    unable {
        lists_before_login keeps_certificates ec edwards aes passwords
        all_hashes digests any_bytes pss decrypt oaep aes_blocks gcm own_ivs short_tags macs random protection
        uncertified internal ids new_keys pin_in_a_header pin_that_lists repeats
        makes_pairs makes_edwards makes_aes makes_mac_keys deletes
    }
);
