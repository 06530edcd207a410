//! The contract of those that use keys, on CipherTrust Manager, as `pkcs11-test-config/ciphertrust.toml` describes it, without and with TLS.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contract::{AES, Dialect, EC, EC_CERT, Purpose, RSA, RSA_CERT, Sealed, Seed, Setting, settings};
use reqwest::Method;
use reqwest::blocking::Response;
use serde_json::{Value, json};
use support::emulator::{Emulator, PIN};
use support::mechanism::{HASHES, Hash};

mod contract;
mod support;

struct CipherTrust;

impl Dialect for CipherTrust {
    fn vendor(&self) -> &'static str {
        "ciphertrust"
    }

    fn backend(&self) -> &'static str {
        "declared"
    }

    /// Tests that show wrong passwords share an account.
    fn options(&self) -> &'static [&'static str] {
        &["--set", "lock_after=1000"]
    }

    fn seed(&self) -> Seed {
        Seed {
            rsa: &[RSA, RSA_CERT],
            ec: &[EC_CERT, EC],
            edwards: &[],
            aes: &[AES],
            hmac: &[],
            locked: &[],
            certified: &[],
            hidden: &[("rsa-c*", RSA_CERT)],
        }
    }

    /// The server has one.
    fn oaep_hashes(&self) -> &'static [Hash] {
        HASHES.first_chunk::<1>().expect("SHA-1 is the first")
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

    fn create_key(&self, emulator: &Emulator, label: &str, _id: Option<&[u8]>) {
        let key = json!({ "name": label, "algorithm": "ec", "curveid": "prime256v1", "usageMask": 3 });
        assert_eq!(call(emulator, Method::POST, "vault/keys2", Some(&key)).status(), 201, "{label} is made");
    }

    fn delete_key(&self, emulator: &Emulator, label: &str, _password: Option<&str>) {
        let path = format!("vault/keys2/{label}");
        assert_eq!(call(emulator, Method::DELETE, &path, None).status(), 204, "{label} is deleted");
    }

    fn open_gcm(&self, emulator: &Emulator, sealed: &Sealed<'_>) -> Vec<u8> {
        let body = json!({
            "id": sealed.label,
            "type": "name",
            "mode": "gcm",
            "ciphertext": STANDARD.encode(sealed.ciphertext),
            "tag": STANDARD.encode(sealed.tag),
            "iv": STANDARD.encode(sealed.iv),
            "aad": STANDARD.encode(sealed.aad),
        });
        let answer: Value = call(emulator, Method::POST, "crypto/decrypt", Some(&body)).json().expect("JSON");
        let plaintext = answer["plaintext"].as_str().unwrap_or_else(|| panic!("no plaintext in {answer}"));
        STANDARD.decode(plaintext).expect("Base64")
    }

    fn request(&self, purpose: Purpose) -> (&'static str, &'static str) {
        match purpose {
            Purpose::Login => ("POST", "/auth/tokens"),
            Purpose::Sign => ("POST", "/crypto/sign"),
            Purpose::Decrypt => ("POST", "/crypto/decrypt"),
            Purpose::List => ("GET", "/vault/keys2"),
            Purpose::Describe => ("GET", "/vault/keys2/{id}"),
        }
    }

    fn describing(&self, label: &str) -> Value {
        json!({ "method": "GET", "path": format!("/api/v1/vault/keys2/{label}") })
    }

    fn odd_description(&self) -> Value {
        json!({ "name": "odd", "algorithm": "KYBER-9000" })
    }

    fn empty_signatures(&self) -> Vec<Value> {
        vec![json!({ "data": "" }), json!({ "data": "0000" }), json!({ "data": "*" }), json!({ "data": 7 })]
    }
}

/// A request past the module, by the account itself.
fn call(emulator: &Emulator, method: Method, path: &str, body: Option<&Value>) -> Response {
    let login = json!({ "name": "p11rest", "password": PIN });
    let token: Value =
        emulator.call(Method::POST, "/api/v1/auth/tokens", &[], Some(&login)).json().expect("a token");
    let bearer = format!("Bearer {}", token["jwt"].as_str().expect("text"));
    emulator.call(method, &format!("/api/v1/{path}"), &[("Authorization", &bearer)], body)
}

contract::signing_suite!(CipherTrust;
    able {
        ec aes all_hashes pss oaep gcm own_ivs uncertified ids_of_keys describe new_keys repeats tokens
    }
    unable {
        edwards passwords digests digest_infos any_bytes decrypt aes_blocks short_tags macs random certificates
        public_listing internal ids protection pin_in_a_header pin_that_lists
    }
);
