//! The contract of those that use keys, on FAST HSM, as `pkcs11-test-config/fast.toml` describes it, without and with TLS.

use std::path::PathBuf;

use contract::{Dialect, Purpose, Seed, Setting, settings};
use fast::{Fast, SIGNERS};
use serde_json::Value;
use support::emulator::Emulator;
use support::mechanism::Hash;

mod contract;
#[path = "dialects/fast.rs"]
mod fast;
mod support;

/// The serial numbers of the certificates, which are the labels.
const SERIALS: [&str; 2] = [SIGNERS[0].1, SIGNERS[1].1];

/// The service is that of the dialect; the description names its certificates otherwise, and has no JWE.
struct Described;

impl Dialect for Described {
    fn vendor(&self) -> &'static str {
        Fast.vendor()
    }

    fn backend(&self) -> &'static str {
        "declared"
    }

    fn seed(&self) -> Seed {
        Seed { rsa: &SERIALS, certified: &SERIALS, hidden: &[("B702*", SERIALS[1])], ..Fast.seed() }
    }

    fn hashes(&self) -> &'static [Hash] {
        Fast.hashes()
    }

    fn slot(&self, label: &str, emulator: &Emulator, setting: Setting) -> String {
        let password = if setting == Setting::NoLogin { self.pin() } else { "pin" };
        let mut slot = format!(
            "[[slot]]\nlabel = \"{label}\"\nbackend = \"declared\"\nurls = [\"{}\"]\n{}\
             declared.file = \"{}/pkcs11-test-config/fast.toml\"\n\
             [slot.auth]\nuser = \"p11rest\"\npassword = \"{password}\"\n\
             [slot.auth.token]\nlogin = \"/api/account/gettoken\"\nsuccess = \"/success\"\ncode = \"/code\"\n\
             access = [\"/data/accessToken\", \"/data/token\"]\nlife = [\"/data/expiresIn\"]\n\
             scheme = \"auto\"\n{}",
            settings::url(setting, emulator),
            settings::lines(setting, emulator),
            env!("CARGO_MANIFEST_DIR"),
            settings::tables(setting, emulator, &self.seed())
        );
        for serial in SERIALS {
            let certificate = self.certificate_pem(emulator, serial);
            slot.push_str(&format!("[[slot.key]]\nlabel = \"{serial}\"\ncertificate = {certificate:?}\n"));
        }
        slot
    }

    fn private_pem(&self, emulator: &Emulator, label: &str) -> PathBuf {
        Fast.private_pem(emulator, label)
    }

    fn certificate_pem(&self, emulator: &Emulator, label: &str) -> PathBuf {
        Fast.certificate_pem(emulator, label)
    }

    fn request(&self, purpose: Purpose) -> (&'static str, &'static str) {
        Fast.request(purpose)
    }

    fn describing(&self, label: &str) -> Value {
        Fast.describing(label)
    }

    fn empty_signatures(&self) -> Vec<Value> {
        Fast.empty_signatures()
    }
}

contract::signing_suite!(Described;
    able { digest_infos certificates public_listing ids_of_keys describe tokens }
    unable {
        lists_before_login keeps_certificates ec edwards aes passwords
        all_hashes digests any_bytes pss decrypt oaep aes_blocks gcm own_ivs short_tags macs random
        uncertified internal ids protection new_keys pin_in_a_header pin_that_lists repeats
        makes_pairs makes_edwards makes_aes makes_mac_keys deletes
    }
);
