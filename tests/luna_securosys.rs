//! The contract suite on Thales Luna with its cryptography from Securosys TSB, without and with TLS.

use luna::Luna;
use securosys::Securosys;

mod contract;
#[path = "dialects/luna.rs"]
mod luna;
#[path = "dialects/securosys.rs"]
mod securosys;
mod support;

contract::suite!(Luna(Securosys);
    able {
        ec edwards aes passwords
        all_hashes digests digest_infos any_bytes pss decrypt oaep aes_blocks gcm short_tags
        random
        certificates uncertified public_listing ids describe protection
        new_keys repeats
    }
    unable {
        lists_before_login keeps_certificates own_ivs macs tokens internal ids_of_keys pin_in_a_header pin_that_lists optional_login
        makes_pairs makes_edwards makes_aes makes_mac_keys deletes
    }
);
