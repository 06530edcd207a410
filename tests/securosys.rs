//! The contract suite on Securosys TSB, without and with TLS.

use std::path::PathBuf;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contract::{
    AES, DESCRIBED_ID, Dialect, EC, LOCKED, LOCKED_SECRET, PASSWORD, Plan, Purpose, Sealed, Setting, World,
};
use reqwest::Method;
use serde_json::{Value, json};
use support::emulator::{Emulator, PIN};
use support::openssl;

mod contract;
mod support;

struct Securosys;

impl Dialect for Securosys {
    fn vendor(&self) -> &'static str {
        "securosys"
    }

    fn pin(&self) -> &'static str {
        PIN
    }

    fn listing_pin(&self, emulator: &Emulator) -> String {
        emulator.text("key-management.key")
    }

    fn slot(&self, label: &str, emulator: &Emulator, setting: Setting) -> String {
        let file = |name: &str| emulator.path(name).display().to_string();
        let url = if setting == Setting::Unreachable { "http://127.0.0.1:1" } else { emulator.url() };
        let mut text =
            format!("[[slot]]\nlabel = \"{label}\"\nbackend = \"securosys\"\nurls = [\"{url}\"]\n");
        if matches!(setting, Setting::Certificates | Setting::Small) {
            text += &format!("certificates = [\"{}\"]\n", file("certificates"));
        }
        if setting == Setting::OctetStringPoint {
            text += "edwards_point = \"octet-string\"\n";
        }
        if setting == Setting::Narrow {
            text += "mechanisms = [\"CKM_RSA_PKCS\", \"CKM_SHA256\"]\n";
        }
        let operation = match setting {
            Setting::NoLogin | Setting::ListingLogin => self.pin(),
            _ => "pin",
        };
        let management = match setting {
            Setting::ListingLogin => "pin".to_owned(),
            _ => format!("file:{}", file("key-management.key")),
        };
        let service = file("service.key");
        text += &format!(
            "[slot.auth]\napi_key = {{ key_management = \"{management}\", key_operation = \"{operation}\", \
             service = \"file:{service}\" }}\n"
        );
        if emulator.is_tls() {
            let ca = if setting == Setting::WrongAuthority { "certificates" } else { "ca.pem" };
            text += &format!("[slot.tls]\nca = \"{}\"\n", file(ca));
        }
        let id = openssl::to_hex(&DESCRIBED_ID);
        text += &match setting {
            Setting::Narrow => "[slot.catalog]\nhide = [\"ec-c*\", \"ed25519\"]\n".to_owned(),
            Setting::ShowInternal => "[slot.catalog]\nshow_internal = true\n".to_owned(),
            Setting::Hasty => "[slot.catalog]\nrefresh = \"200ms\"\n".to_owned(),
            Setting::Small => "[slot.catalog]\ncapacity = 3\n".to_owned(),
            Setting::Impatient => "[slot.timeouts]\ncall = \"500ms\"\n".to_owned(),
            Setting::OneByOne => "[slot.timeouts]\ncall = \"500ms\"\n[slot.catalog]\nwidth = 1\n".to_owned(),
            Setting::Described => format!(
                "[[slot.key]]\nlabel = \"{LOCKED}\"\npublic_key = \"{}\"\npassword = true\n\
                 [[slot.key]]\nlabel = \"{EC}\"\nid = \"{id}\"\n\
                 [[slot.key]]\nlabel = \"{AES}\"\ntype = \"aes-256\"\n",
                file("locked.pub")
            ),
            Setting::ListingLogin => format!("[[slot.key]]\nlabel = \"{EC}\"\nid = \"{id}\"\n"),
            Setting::LockedSecret => {
                format!("[[slot.key]]\nlabel = \"{LOCKED_SECRET}\"\ntype = \"aes-256\"\npassword = true\n")
            }
            _ => String::new(),
        };
        text
    }

    fn prepare(&self, emulator: &Emulator) {
        create(emulator, LOCKED, None, Some(PASSWORD));
        let spki = openssl::public_key(&self.private_pem(emulator, LOCKED));
        std::fs::write(emulator.path("locked.pub"), spki).expect("the emulator's folder can be written");
    }

    fn hidden(&self) -> &'static [&'static str] {
        &["attestation-key", "timestamp-key"]
    }

    fn private_pem(&self, emulator: &Emulator, label: &str) -> PathBuf {
        emulator.path("keys").join(label).with_extension("pem")
    }

    fn certificate_pem(&self, emulator: &Emulator, label: &str) -> PathBuf {
        emulator.path("keys").join(label).with_extension("crt")
    }

    fn secret(&self, emulator: &Emulator, label: &str) -> Vec<u8> {
        let pem = emulator.text(&format!("keys/{label}.pem"));
        let lines: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        STANDARD.decode(lines).expect("PEM is Base64")
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
            Purpose::Sign => ("POST", "/v1/synchronousSign"),
            Purpose::Decrypt => ("POST", "/v1/synchronousDecrypt"),
            Purpose::List => ("GET", "/v1/key"),
            Purpose::Describe => ("POST", "/v1/key/attributes"),
        }
    }

    fn unreadable(&self, label: &str) -> Value {
        let (method, path) = self.request(Purpose::Describe);
        json!({
            "method": method,
            "path": path,
            "contains": format!("\"{label}\""),
            "status": 500,
            "body": {
                "errorCode": 701,
                "reason": "res.error.in.hsm",
                "message": "Error reading the attributes of the key",
            },
        })
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

macro_rules! tests {
    (
        both { $($area:ident { $($who:ident $setting:ident $name:ident;)* })* }
        tls { $($tls_area:ident { $($tls_who:ident $tls_setting:ident $tls_name:ident;)* })* }
    ) => {
        static WORLD: LazyLock<World> = LazyLock::new(|| World::new(&Securosys, &[
            $($(plan!("http" $area $who $setting $name), plan!("https" $area $who $setting $name),)*)*
            $($(plan!("https" $tls_area $tls_who $tls_setting $tls_name),)*)*
        ]));

        mod http { $(mod $area { $(case!("http" $area $name);)* })* }

        mod https {
            $(mod $area { $(case!("https" $area $name);)* })*
            $(mod $tls_area { $(case!("https" $tls_area $tls_name);)* })*
        }
    };
}

macro_rules! plan {
    ($scheme:literal $area:ident $who:ident $setting:ident $name:ident) => {
        Plan {
            scheme: $scheme,
            name: concat!(stringify!($area), "::", stringify!($name)),
            own: stringify!($who) == "own",
            setting: Setting::$setting,
        }
    };
}

macro_rules! case {
    ($scheme:literal $area:ident $name:ident) => {
        #[test]
        fn $name() {
            let name = concat!(stringify!($area), "::", stringify!($name));
            crate::WORLD.run($scheme, name, crate::contract::$area::$name);
        }
    };
}

contract::contract_cases!(tests);
