//! FAST HSM as the contract suite sees it.

use std::path::PathBuf;

use cryptoki_sys::{CK_RV, CKR_TOKEN_WRITE_PROTECTED};
use serde_json::{Value, json};

use crate::contract::{Dialect, Purpose, Seed, Setting, settings};
use crate::support::emulator::Emulator;
use crate::support::mechanism::{HASHES, Hash};

/// The certificates that sign, by their names, which are the labels: docs/emulator.md.
pub const SIGNERS: [(&str, &str); 2] =
    [("signer-1", "5401A3F05E7C2B9D1E60"), ("signer-2", "B702C4D1907F3A5E6B21")];

pub struct Fast;

/// Where the service has no list, a slot may have given the serial numbers for labels.
fn serial(label: &str) -> &'static str {
    let found = SIGNERS.iter().find(|(name, serial)| [*name, *serial].contains(&label));
    found.map(|(_, serial)| *serial).expect("a certificate of that name")
}

fn file(emulator: &Emulator, label: &str, kind: &str) -> PathBuf {
    emulator.path("keys").join(serial(label)).with_extension(kind)
}

impl Dialect for Fast {
    fn vendor(&self) -> &'static str {
        "fast"
    }

    fn seed(&self) -> Seed {
        Seed {
            rsa: &["signer-1", "signer-2"],
            certified: &["signer-1", "signer-2"],
            // The names are the serial numbers.
            hidden: &[("B702*", "signer-2")],
            ec: &[],
            edwards: &[],
            aes: &[],
            hmac: &[],
            locked: &[],
        }
    }

    fn hashes(&self) -> &'static [Hash] {
        const SHA256: usize = 2;
        &HASHES[SHA256..=SHA256]
    }

    fn slot(&self, label: &str, emulator: &Emulator, setting: Setting) -> String {
        let password = if setting == Setting::NoLogin { self.pin() } else { "pin" };
        let mut slot = format!(
            "[[slot]]\nlabel = \"{label}\"\nbackend = \"fast\"\nurls = [\"{}\"]\n{}\
             auth = {{ user = \"p11rest\", password = \"{password}\" }}\n\
             fast.read_write_sessions = true\n{}",
            settings::url(setting, emulator),
            settings::lines(setting, emulator),
            settings::tables(setting, emulator, &self.seed())
        );
        for (name, serial) in SIGNERS {
            let certificate = file(emulator, name, "crt");
            slot.push_str(&format!("[[slot.key]]\nserial = \"{serial}\"\ncertificate = {certificate:?}\n"));
        }
        slot
    }

    fn private_pem(&self, emulator: &Emulator, label: &str) -> PathBuf {
        file(emulator, label, "pem")
    }

    fn certificate_pem(&self, emulator: &Emulator, label: &str) -> PathBuf {
        file(emulator, label, "crt")
    }

    fn request(&self, purpose: Purpose) -> (&'static str, &'static str) {
        let path = match purpose {
            Purpose::Login => "/api/account/gettoken",
            Purpose::Sign => "/api/sign/signhash",
            Purpose::Decrypt => "/api/sign/decryptjwe",
            // There is no list: whether a certificate is there is asked one by one.
            Purpose::List | Purpose::Describe => "/api/certificate/getinfosn",
        };
        ("POST", path)
    }

    fn describing(&self, label: &str) -> Value {
        let (method, path) = self.request(Purpose::Describe);
        json!({ "method": method, "path": path, "contains": serial(label) })
    }

    fn empty_signatures(&self) -> Vec<Value> {
        [json!(null), json!([]), json!(["AAAA"]), json!([7])]
            .into_iter()
            .map(|array| json!({ "success": true, "message": "Success", "code": 200, "signatureArray": array }))
            .collect()
    }

    /// Texts in JWE.
    fn deciphers_otherwise(&self) -> bool {
        true
    }

    fn public_objects_are_configured(&self) -> bool {
        true
    }

    fn token_objects_are_fixed(&self) -> CK_RV {
        CKR_TOKEN_WRITE_PROTECTED
    }
}
