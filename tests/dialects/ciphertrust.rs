//! CipherTrust Manager as the contract suite sees it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cryptoki_sys::{CK_RV, CKR_TEMPLATE_INCONSISTENT};
use reqwest::Method;
use reqwest::blocking::Response;
use serde_json::{Value, json};

use crate::contract::{AES, Dialect, EC, EC_CERT, Purpose, RSA, RSA_CERT, Sealed, Seed, Setting, settings};
use crate::support::emulator::{Emulator, PIN};
use crate::support::mechanism::{HASHES, Hash};
use crate::support::openssl::to_hex;

pub struct CipherTrust;

impl Dialect for CipherTrust {
    fn taken_label(&self) -> CK_RV {
        CKR_TEMPLATE_INCONSISTENT
    }

    fn vendor(&self) -> &'static str {
        "ciphertrust"
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
            hmac: &["hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"],
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
            "[[slot]]\nlabel = \"{label}\"\nbackend = \"ciphertrust\"\nurls = [\"{}\"]\n{}\
             [slot.auth]\nuser = \"p11rest\"\npassword = \"{password}\"\n{}",
            settings::url(setting, emulator),
            settings::lines(setting, emulator),
            settings::tables(setting, emulator, &self.seed())
        )
    }

    fn create_key(&self, emulator: &Emulator, label: &str, id: Option<&[u8]>) {
        let mut key = json!({ "name": label, "algorithm": "ec", "curveid": "prime256v1", "usageMask": 3 });
        if let Some(id) = id {
            key["labels"] = json!({ "CKA_ID": to_hex(id) });
        }
        assert_eq!(call(emulator, Method::POST, "vault/keys2", Some(&key)).status(), 201, "{label} is made");
    }

    fn delete_key(&self, emulator: &Emulator, label: &str, _password: Option<&str>) {
        let path = format!("vault/keys2/{label}");
        let key: Value = call(emulator, Method::GET, &path, None).json().expect("JSON");
        let path = format!("vault/keys2/{}", key["id"].as_str().expect("text"));
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
