//! The contract of those that use keys, on the gateway with JSON Web Tokens and signed requests, as
//! `pkcs11-test-config/jwt-hmac-gateway.toml` describes it, without and with TLS.

use contract::{Dialect, EC, ED, Purpose, RSA, Seed, Setting, settings};
use serde_json::{Value, json};
use support::emulator::{Emulator, PIN};
use support::mechanism::{HASHES, Hash};

mod contract;
mod support;

struct Gateway;

impl Dialect for Gateway {
    fn vendor(&self) -> &'static str {
        "gateway"
    }

    fn backend(&self) -> &'static str {
        "declared"
    }

    /// Tests that show wrong passwords share an account.
    fn options(&self) -> &'static [&'static str] {
        &["--set", "attempts=0"]
    }

    fn seed(&self) -> Seed {
        Seed {
            rsa: &[RSA, "rsa-3072"],
            ec: &[EC, "ec-p384"],
            edwards: &[ED],
            aes: &[],
            hmac: &[],
            locked: &[],
            certified: &[EC, RSA],
            hidden: &[("rsa-3*", "rsa-3072"), ("ed25519", ED)],
        }
    }

    fn hashes(&self) -> &'static [Hash] {
        const SHA256: usize = 2;
        &HASHES[SHA256..]
    }

    fn oaep_hashes(&self) -> &'static [Hash] {
        self.hashes()
    }

    fn slot(&self, label: &str, emulator: &Emulator, setting: Setting) -> String {
        let password = if setting == Setting::NoLogin { PIN } else { "pin" };
        format!(
            "[[slot]]\nlabel = \"{label}\"\nbackend = \"declared\"\nurls = [\"{}\"]\n{}\
             declared.file = \"{}/pkcs11-test-config/jwt-hmac-gateway.toml\"\n\
             [slot.auth]\nuser = \"operator\"\npassword = \"{password}\"\n\
             [slot.auth.token]\nlogin = \"/token\"\nbody = \"form\"\nrefresh = \"/api/Auth/RefreshToken\"\n\
             refresh_fields = [\"AccessToken={{access}}\", \"RefreshToken={{refresh}}\"]\n\
             [slot.auth.hmac]\npreset = \"v3.0\"\nkey_id = \"client-001\"\nsecret = \"file:{}\"\n{}",
            settings::url(setting, emulator),
            settings::lines(setting, emulator),
            env!("CARGO_MANIFEST_DIR"),
            emulator.path("hmac.secret").display(),
            settings::tables(setting, emulator, &self.seed())
        )
    }

    fn request(&self, purpose: Purpose) -> (&'static str, &'static str) {
        match purpose {
            Purpose::Login => ("POST", "/token"),
            Purpose::Sign => ("POST", "/api/v1/keys/{label}/sign"),
            Purpose::Decrypt => ("POST", "/api/v1/keys/{label}/decrypt"),
            Purpose::List => ("GET", "/api/v1/keys"),
            Purpose::Describe => ("GET", "/api/v1/keys/{label}"),
        }
    }

    fn describing(&self, label: &str) -> Value {
        json!({ "method": "GET", "path": format!("/api/v1/keys/{label}") })
    }
}

contract::signing_suite!(Gateway;
    able {
        ec edwards digests digest_infos any_bytes pss decrypt oaep random certificates uncertified ids_of_keys
        describe tokens
    }
    unable {
        lists_before_login keeps_certificates all_hashes aes passwords aes_blocks gcm own_ivs short_tags macs public_listing internal ids protection
        new_keys pin_in_a_header pin_that_lists repeats
        makes_pairs makes_edwards makes_aes makes_mac_keys deletes
    }
);
