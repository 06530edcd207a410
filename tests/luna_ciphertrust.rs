//! The contract suite on Thales Luna with its cryptography from CipherTrust Manager, without and with TLS.

use ciphertrust::CipherTrust;
use luna::Luna;

#[path = "dialects/ciphertrust.rs"]
mod ciphertrust;
mod contract;
#[path = "dialects/luna.rs"]
mod luna;
mod support;

contract::suite!(Luna(CipherTrust);
    able {
        ec aes all_hashes pss oaep gcm own_ivs macs uncertified public_listing ids describe new_keys repeats tokens
    }
    unable {
        lists_before_login keeps_certificates edwards passwords digests digest_infos any_bytes decrypt aes_blocks short_tags random certificates
        internal ids_of_keys protection pin_in_a_header pin_that_lists optional_login
        makes_pairs makes_edwards makes_aes makes_mac_keys deletes
    }
);
