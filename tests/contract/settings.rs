//! What a setting adds to a slot, whoever its vendor is.

use super::{AES, DESCRIBED_ID, EC, LOCKED, LOCKED_SECRET, Seed, Setting};
use crate::support::emulator::Emulator;
use crate::support::openssl::to_hex;

/// The URL.
pub fn url(setting: Setting, emulator: &Emulator) -> &str {
    if setting == Setting::Unreachable { "http://127.0.0.1:1" } else { emulator.url() }
}

/// Lines that stand before the slot's first table.
pub fn lines(setting: Setting, emulator: &Emulator) -> String {
    match setting {
        Setting::Certificates | Setting::Small => {
            format!("certificates = [{:?}]\n", emulator.path("certificates"))
        }
        Setting::OctetStringPoint => "edwards_point = \"octet-string\"\n".to_owned(),
        Setting::Narrow => {
            let listed = ["CKM_SHA256_RSA_PKCS", "CKM_SHA512_RSA_PKCS", "CKM_SHA256", "CKM_SHA512"];
            format!("mechanisms = {listed:?}\nhide_mechanisms = [\"CKM_SHA512\", \"CKM_SHA512_*\"]\n")
        }
        _ => String::new(),
    }
}

/// Tables, that of TLS among them.
pub fn tables(setting: Setting, emulator: &Emulator, seed: &Seed) -> String {
    let id = to_hex(&DESCRIBED_ID);
    let of_the_setting = match setting {
        Setting::Narrow => {
            let patterns: Vec<_> = seed.hidden.iter().map(|(pattern, _)| pattern).collect();
            format!("[slot.catalog]\nhide = {patterns:?}\n")
        }
        Setting::ShowInternal => "[slot.catalog]\nshow_internal = true\n".to_owned(),
        Setting::WithoutRsa => "[slot.catalog]\nhide_types = [\"rsa\"]\n".to_owned(),
        Setting::Unsigned => "[slot.catalog]\nmissing_certificates = \"unsigned\"\n".to_owned(),
        Setting::Aliases => format!("[slot.catalog]\naliases = {:?}\n", emulator.path("aliases.json")),
        Setting::SelfSigned => format!(
            "[slot.catalog]\nmissing_certificates = \"self-signed\"\naliases = {:?}\n",
            emulator.path("self-signed.json")
        ),
        Setting::Hasty => "[slot.catalog]\nrefresh = \"200ms\"\n".to_owned(),
        Setting::Small => "[slot.catalog]\ncapacity = 3\n".to_owned(),
        Setting::Impatient => "[slot.timeouts]\ncall = \"500ms\"\n".to_owned(),
        Setting::OneByOne => "[slot.timeouts]\ncall = \"500ms\"\n[slot.catalog]\nwidth = 1\n".to_owned(),
        Setting::Described => format!(
            "[[slot.key]]\nlabel = \"{LOCKED}\"\npublic_key = {:?}\npassword = true\n\
             [[slot.key]]\nlabel = \"{EC}\"\nid = \"{id}\"\n\
             [[slot.key]]\nlabel = \"{AES}\"\ntype = \"aes-256\"\n",
            emulator.path("locked.pub")
        ),
        Setting::ListingLogin => format!("[[slot.key]]\nlabel = \"{EC}\"\nid = \"{id}\"\n"),
        Setting::LockedSecret => {
            format!("[[slot.key]]\nlabel = \"{LOCKED_SECRET}\"\ntype = \"aes-256\"\npassword = true\n")
        }
        _ => String::new(),
    };
    let ca = if setting == Setting::WrongAuthority { "certificates" } else { "ca.pem" };
    match emulator.is_tls() {
        true => format!("[slot.tls]\nca = {:?}\n{of_the_setting}", emulator.path(ca)),
        false => of_the_setting,
    }
}
