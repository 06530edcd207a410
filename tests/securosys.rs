//! The contract suite on Securosys TSB, without and with TLS.

use dialect::Securosys;

mod contract;
#[path = "dialects/securosys.rs"]
mod dialect;
mod support;

contract::suite!(Securosys;
    able {
        ec edwards aes passwords
        all_hashes digests digest_infos any_bytes pss decrypt oaep aes_blocks gcm short_tags
        random
        certificates keeps_certificates uncertified public_listing lists_before_login internal ids ids_of_keys describe protection
        new_keys makes_pairs makes_edwards makes_aes deletes pin_in_a_header pin_that_lists repeats
    }
    unable { own_ivs macs tokens makes_mac_keys }
);
