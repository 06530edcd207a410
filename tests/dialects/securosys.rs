//! Securosys TSB as the contract suite sees it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::contract::{Dialect, LOCKED, PASSWORD, Purpose, Sealed, Setting, settings};
use crate::support::emulator::Emulator;
use crate::support::openssl;

pub struct Securosys;

impl Dialect for Securosys {
    fn vendor(&self) -> &'static str {
        "securosys"
    }

    fn listing_pin(&self, emulator: &Emulator) -> String {
        emulator.text("key-management.key")
    }

    fn slot(&self, label: &str, emulator: &Emulator, setting: Setting) -> String {
        let operation = match setting {
            Setting::NoLogin | Setting::ListingLogin => self.pin(),
            _ => "pin",
        };
        let file = |name: &str| emulator.path(name).display().to_string();
        let management = match setting {
            Setting::ListingLogin => "pin".to_owned(),
            _ => format!("file:{}", file("key-management.key")),
        };
        format!(
            "[[slot]]\nlabel = \"{label}\"\nbackend = \"securosys\"\nurls = [\"{}\"]\n{}\
             [slot.auth]\napi_key = {{ key_management = \"{management}\", key_operation = \"{operation}\", \
             service = \"file:{}\" }}\n{}",
            settings::url(setting, emulator),
            settings::lines(setting, emulator),
            file("service.key"),
            settings::tables(setting, emulator, &self.seed())
        )
    }

    fn prepare(&self, emulator: &Emulator) {
        create(emulator, LOCKED, None, Some(PASSWORD));
        let spki = openssl::public_key(&self.private_pem(emulator, LOCKED));
        std::fs::write(emulator.path("locked.pub"), spki).expect("the emulator's folder can be written");
    }

    fn hidden(&self) -> &'static [&'static str] {
        &["attestation-key", "timestamp-key"]
    }

    fn create_key(&self, emulator: &Emulator, label: &str, id: Option<&[u8]>) {
        create(emulator, label, id.map(openssl::to_hex), None);
    }

    fn create_locked_secret(&self, emulator: &Emulator, label: &str) {
        make(
            emulator,
            json!({
                "label": label,
                "password": PASSWORD,
                "algorithm": "AES",
                "keySize": 256,
                "attributes": { "decrypt": true, "sign": false, "unwrap": false, "destroyable": true },
            }),
        );
    }

    fn delete_key(&self, emulator: &Emulator, label: &str, password: Option<&str>) {
        let key = emulator.text("key-management.key");
        let body = json!({ "label": label, "password": password });
        let answer = emulator.call(Method::POST, "/v1/key/deleteKey", &[("X-API-KEY", &key)], Some(&body));
        assert_eq!(answer.status(), 200, "{label} is deleted");
    }

    fn kept_certificate(&self, emulator: &Emulator, label: &str) -> Option<Vec<u8>> {
        let key = emulator.text("key-management.key");
        let path = format!("/v1/certificate/{label}");
        let answer = emulator.call(Method::GET, &path, &[("X-API-KEY", &key)], None);
        let answer: Value = (answer.status() == 200).then(|| answer.json().expect("JSON"))?;
        let text = answer["certificate"].as_str().unwrap_or_else(|| panic!("no certificate in {answer}"));
        let lines: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
        Some(STANDARD.decode(lines).expect("Base64"))
    }

    fn open_gcm(&self, emulator: &Emulator, sealed: &Sealed<'_>) -> Vec<u8> {
        let body = json!({ "decryptRequest": {
            "encryptedPayload": STANDARD.encode([sealed.ciphertext, sealed.tag].concat()),
            "decryptKeyName": sealed.label,
            "cipherAlgorithm": "AES_GCM",
            "initializationVector": STANDARD.encode(sealed.iv),
            "tagLength": 8 * sealed.tag.len(),
            "additionalAuthenticationData": (!sealed.aad.is_empty()).then(|| STANDARD.encode(sealed.aad)),
        }});
        let headers = [("X-API-KEY", self.pin())];
        let answer = emulator.call(Method::POST, "/v1/synchronousDecrypt", &headers, Some(&body));
        let answer: Value = answer.json().expect("JSON");
        let payload = answer["payload"].as_str().unwrap_or_else(|| panic!("no payload in {answer}"));
        STANDARD.decode(payload).expect("Base64")
    }

    fn request(&self, purpose: Purpose) -> (&'static str, &'static str) {
        match purpose {
            Purpose::Login => ("GET", "/v1/request/{id}"),
            Purpose::Sign => ("POST", "/v1/synchronousSign"),
            Purpose::Decrypt => ("POST", "/v1/synchronousDecrypt"),
            Purpose::List => ("GET", "/v1/key"),
            Purpose::Describe => ("POST", "/v1/key/attributes"),
        }
    }

    fn describing(&self, label: &str) -> Value {
        let (method, path) = self.request(Purpose::Describe);
        json!({ "method": method, "path": path, "contains": format!("\"{label}\"") })
    }

    fn unreadable(&self) -> Value {
        json!({ "status": 500, "body": {
            "errorCode": 701,
            "reason": "res.error.in.hsm",
            "message": "Error reading the attributes of the key",
        }})
    }

    fn odd_description(&self) -> Value {
        json!({ "json": { "label": "odd", "algorithm": "KYBER-9000", "publicKey": "*" } })
    }
}

/// A P-256 key for signing.
fn create(emulator: &Emulator, label: &str, id: Option<String>, password: Option<&str>) {
    make(
        emulator,
        json!({
            "label": label,
            "id": id,
            "password": password,
            "algorithm": "EC",
            "curveOid": "1.2.840.10045.3.1.7",
            "attributes": { "decrypt": false, "sign": true, "unwrap": false, "destroyable": true },
        }),
    );
}

fn make(emulator: &Emulator, key: Value) {
    let credential = emulator.text("key-management.key");
    let answer = emulator.call(Method::POST, "/v1/key", &[("X-API-KEY", &credential)], Some(&key));
    assert_eq!(answer.status(), 201, "{key} is made");
}
