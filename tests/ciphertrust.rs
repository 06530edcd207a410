//! The contract suite on CipherTrust Manager, without and with TLS.

use dialect::CipherTrust;

mod contract;
#[path = "dialects/ciphertrust.rs"]
mod dialect;
mod support;

contract::suite!(CipherTrust;
    able {
        ec aes all_hashes pss oaep gcm own_ivs macs uncertified ids_of_keys describe new_keys ids repeats
        tokens makes_pairs makes_aes makes_mac_keys deletes
    }
    unable {
        lists_before_login keeps_certificates edwards passwords digests digest_infos any_bytes decrypt aes_blocks short_tags random certificates
        public_listing internal protection pin_in_a_header pin_that_lists makes_edwards
    }
);
