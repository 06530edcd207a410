//! The contract of those that use keys, on CipherTrust Manager, as `pkcs11-test-config/ciphertrust.toml` describes it, without and with TLS.

use ciphertrust::CipherTrust;
use contract::{Dialect, Purpose, Sealed, Seed, Setting, settings};
use cryptoki_sys::CK_RV;
use serde_json::Value;
use support::emulator::{Emulator, PIN};
use support::mechanism::Hash;

#[path = "dialects/ciphertrust.rs"]
mod ciphertrust;
mod contract;
mod support;

/// The service is that of the dialect; the description has no HMAC.
struct Described;

impl Dialect for Described {
    fn taken_label(&self) -> CK_RV {
        CipherTrust.taken_label()
    }

    fn vendor(&self) -> &'static str {
        CipherTrust.vendor()
    }

    fn backend(&self) -> &'static str {
        "declared"
    }

    fn options(&self) -> &'static [&'static str] {
        CipherTrust.options()
    }

    fn seed(&self) -> Seed {
        Seed { hmac: &[], ..CipherTrust.seed() }
    }

    fn oaep_hashes(&self) -> &'static [Hash] {
        CipherTrust.oaep_hashes()
    }

    fn slot(&self, label: &str, emulator: &Emulator, setting: Setting) -> String {
        let password = if setting == Setting::NoLogin { PIN } else { "pin" };
        format!(
            "[[slot]]\nlabel = \"{label}\"\nbackend = \"declared\"\nurls = [\"{}\"]\n{}\
             declared.file = \"{}/pkcs11-test-config/ciphertrust.toml\"\n\
             [slot.auth]\nuser = \"p11rest\"\npassword = \"{password}\"\n\
             [slot.auth.token]\nlogin = \"/api/v1/auth/tokens\"\n\
             fields = [\"grant_type=password\", \"username={{user}}\", \"password={{password}}\"]\n\
             refresh = \"/api/v1/auth/tokens\"\n\
             refresh_fields = [\"grant_type=refresh_token\", \"refresh_token={{refresh}}\"]\n\
             access = [\"/jwt\"]\nlife = [\"/duration\"]\n{}",
            settings::url(setting, emulator),
            settings::lines(setting, emulator),
            env!("CARGO_MANIFEST_DIR"),
            settings::tables(setting, emulator, &self.seed())
        )
    }

    fn create_key(&self, emulator: &Emulator, label: &str, id: Option<&[u8]>) {
        CipherTrust.create_key(emulator, label, id);
    }

    fn delete_key(&self, emulator: &Emulator, label: &str, password: Option<&str>) {
        CipherTrust.delete_key(emulator, label, password);
    }

    fn open_gcm(&self, emulator: &Emulator, sealed: &Sealed<'_>) -> Vec<u8> {
        CipherTrust.open_gcm(emulator, sealed)
    }

    fn request(&self, purpose: Purpose) -> (&'static str, &'static str) {
        CipherTrust.request(purpose)
    }

    fn describing(&self, label: &str) -> Value {
        CipherTrust.describing(label)
    }

    fn odd_description(&self) -> Value {
        CipherTrust.odd_description()
    }

    fn empty_signatures(&self) -> Vec<Value> {
        CipherTrust.empty_signatures()
    }
}

contract::signing_suite!(Described;
    able {
        ec aes all_hashes pss oaep gcm own_ivs uncertified ids_of_keys describe new_keys repeats tokens
        makes_pairs makes_aes
    }
    unable {
        lists_before_login keeps_certificates edwards passwords digests digest_infos any_bytes decrypt aes_blocks short_tags macs random certificates
        public_listing internal ids protection pin_in_a_header pin_that_lists
        makes_edwards makes_mac_keys deletes
    }
);
