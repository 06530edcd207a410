//! The contract of those that use keys, on the transit engine of Vault, as `pkcs11-test-config/vault-transit.toml` describes it, without and
//! with TLS.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contract::{AES, Dialect, EC, ED, Purpose, RSA, Sealed, Seed, Setting, settings};
use reqwest::Method;
use serde_json::{Value, json};
use support::emulator::{Emulator, PIN};
use support::mechanism::{HASHES, Hash};

mod contract;
mod support;

struct Vault;

impl Dialect for Vault {
    fn vendor(&self) -> &'static str {
        "vault"
    }

    fn backend(&self) -> &'static str {
        "declared"
    }

    fn seed(&self) -> Seed {
        Seed {
            rsa: &[RSA],
            ec: &[EC, "ec-p384", "ec-p521", "ec-rotated"],
            edwards: &[ED],
            aes: &["aes-128", AES],
            hmac: &[],
            locked: &[],
            certified: &[EC, RSA],
            hidden: &[("ec-p3*", "ec-p384"), ("ed25519", ED)],
        }
    }

    fn oaep_hashes(&self) -> &'static [Hash] {
        const SHA256: usize = 2;
        &HASHES[SHA256..=SHA256]
    }

    fn slot(&self, label: &str, emulator: &Emulator, setting: Setting) -> String {
        let token = if setting == Setting::NoLogin { PIN } else { "pin" };
        format!(
            "[[slot]]\nlabel = \"{label}\"\nbackend = \"declared\"\nurls = [\"{}\"]\n{}\
             declared.file = \"{}/pkcs11-test-config/vault-transit.toml\"\n\
             auth.bearer = \"{token}\"\n{}",
            settings::url(setting, emulator),
            settings::lines(setting, emulator),
            env!("CARGO_MANIFEST_DIR"),
            settings::tables(setting, emulator, &self.seed())
        )
    }

    /// The newest version's.
    fn private_pem(&self, emulator: &Emulator, label: &str) -> PathBuf {
        emulator.path("keys").join(version(label)).with_extension("pem")
    }

    fn certificate_pem(&self, emulator: &Emulator, label: &str) -> PathBuf {
        emulator.path("keys").join(version(label)).with_extension("crt")
    }

    fn secret(&self, emulator: &Emulator, label: &str) -> Vec<u8> {
        let pem = emulator.text(&format!("keys/{}.pem", version(label)));
        let lines: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        STANDARD.decode(lines).expect("PEM is Base64")
    }

    fn create_key(&self, emulator: &Emulator, label: &str, _id: Option<&[u8]>) {
        let key = json!({ "type": "ecdsa-p256" });
        assert_eq!(call(emulator, Method::POST, label, Some(&key)), 200, "{label} is made");
        let open = json!({ "deletion_allowed": true });
        assert_eq!(call(emulator, Method::POST, &format!("{label}/config"), Some(&open)), 200, "{label}");
    }

    fn delete_key(&self, emulator: &Emulator, label: &str, _password: Option<&str>) {
        assert_eq!(call(emulator, Method::DELETE, label, None), 204, "{label} is deleted");
    }

    fn open_gcm(&self, emulator: &Emulator, sealed: &Sealed<'_>) -> Vec<u8> {
        let all = [sealed.iv, sealed.ciphertext, sealed.tag].concat();
        let body = json!({
            "ciphertext": format!("vault:v1:{}", STANDARD.encode(all)),
            "associated_data": STANDARD.encode(sealed.aad),
        });
        let path = format!("/v1/transit/decrypt/{}", sealed.label);
        let token = [("X-Vault-Token", PIN)];
        let answer: Value = emulator.call(Method::POST, &path, &token, Some(&body)).json().expect("JSON");
        let plaintext = answer["data"]["plaintext"].as_str();
        STANDARD.decode(plaintext.unwrap_or_else(|| panic!("no plaintext in {answer}"))).expect("Base64")
    }

    fn request(&self, purpose: Purpose) -> (&'static str, &'static str) {
        match purpose {
            Purpose::Login => ("GET", "/v1/auth/token/lookup-self"),
            Purpose::Sign => ("POST", "/v1/transit/sign/{name}"),
            Purpose::Decrypt => ("POST", "/v1/transit/decrypt/{name}"),
            Purpose::List => ("GET", "/v1/transit/keys"),
            Purpose::Describe => ("GET", "/v1/transit/keys/{name}"),
        }
    }

    fn describing(&self, label: &str) -> Value {
        json!({ "method": "GET", "path": format!("/v1/transit/keys/{label}") })
    }

    fn odd_description(&self) -> Value {
        json!({ "data": { "name": "odd", "type": "kyber-9000", "keys": { "1": 1 } } })
    }

    fn empty_signatures(&self) -> Vec<Value> {
        let signatures = [json!(""), json!("vault:v1:"), json!("AAAA"), json!(7)];
        signatures.into_iter().map(|signature| json!({ "data": { "signature": signature } })).collect()
    }
}

/// The status of a request about a key, past the module.
fn call(emulator: &Emulator, method: Method, rest: &str, body: Option<&Value>) -> u16 {
    let path = format!("/v1/transit/keys/{rest}");
    emulator.call(method, &path, &[("X-Vault-Token", PIN)], body).status().as_u16()
}

/// The file of the newest version of a key.
fn version(label: &str) -> String {
    format!("{label}%2F{}", if label == "ec-rotated" { 2 } else { 1 })
}

contract::signing_suite!(Vault;
    able {
        ec edwards aes all_hashes digests digest_infos any_bytes pss decrypt oaep gcm random certificates
        uncertified ids_of_keys describe new_keys pin_in_a_header
        makes_pairs makes_edwards makes_aes deletes
    }
    unable {
        lists_before_login keeps_certificates passwords aes_blocks own_ivs short_tags macs public_listing internal ids protection
        pin_that_lists repeats tokens
        makes_mac_keys
    }
);
