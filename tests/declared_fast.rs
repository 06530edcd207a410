//! The contract of those that use keys, on FAST HSM, as `pkcs11-test-config/fast.toml` describes it, without and with TLS.

use std::path::PathBuf;

use contract::{Dialect, Purpose, Seed, Setting, settings};
use serde_json::{Value, json};
use support::emulator::Emulator;
use support::mechanism::{HASHES, Hash};

mod contract;
mod support;

/// The certificates that sign: docs/emulator.md. Their serial numbers are the labels.
const SIGNERS: [&str; 2] = ["5401A3F05E7C2B9D1E60", "B702C4D1907F3A5E6B21"];

struct Fast;

fn file(emulator: &Emulator, label: &str, kind: &str) -> PathBuf {
    emulator.path("keys").join(label).with_extension(kind)
}

impl Dialect for Fast {
    fn vendor(&self) -> &'static str {
        "fast"
    }

    fn backend(&self) -> &'static str {
        "declared"
    }

    fn seed(&self) -> Seed {
        Seed {
            rsa: &SIGNERS,
            certified: &SIGNERS,
            hidden: &[("B702*", SIGNERS[1])],
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
        for serial in SIGNERS {
            let certificate = file(emulator, serial, "crt");
            slot.push_str(&format!("[[slot.key]]\nlabel = \"{serial}\"\ncertificate = {certificate:?}\n"));
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
        json!({ "method": method, "path": path, "contains": label })
    }

    fn empty_signatures(&self) -> Vec<Value> {
        [json!(null), json!([]), json!(["AAAA"]), json!([7])]
            .into_iter()
            .map(|array| json!({ "success": true, "message": "Success", "code": 200, "signatureArray": array }))
            .collect()
    }
}

contract::signing_suite!(Fast;
    able { digest_infos certificates public_listing ids_of_keys describe tokens }
    unable {
        ec edwards aes passwords
        all_hashes digests any_bytes pss decrypt oaep aes_blocks gcm own_ivs short_tags macs random
        uncertified internal ids protection new_keys pin_in_a_header pin_that_lists repeats
        makes_pairs makes_edwards makes_aes makes_mac_keys deletes
    }
);
