//! The descriptions in `pkcs11-test-config`: each loads, and so does the slot that its first lines show.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::description::Description;
use super::super::request::Call;
use super::super::template::Values;
use crate::backend::types::{DecryptScheme, EncryptScheme};
use crate::config::{self, Backend, Process, load};

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/pkcs11-test-config"))
}

#[test]
fn all_of_them_load() {
    for name in ["vault-transit", "jwt-hmac-gateway", "ciphertrust", "fast"] {
        let file = folder().join(name).with_extension("toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let read = Description::parse(&text, &BTreeMap::new(), &config::Auth::default(), &file);
        assert!(read.is_ok(), "{}", read.err().unwrap());

        let slot: String = text
            .lines()
            .filter_map(|line| line.strip_prefix("#   "))
            .map(|line| format!("{line}\n"))
            // Files of the administrator's, which are not here.
            .filter(|line| !line.starts_with("certificate"))
            .collect();
        let place = tempfile::tempdir().unwrap();
        std::fs::copy(&file, place.path().join(file.file_name().unwrap())).unwrap();
        let config = place.path().join("p11rest.toml");
        std::fs::write(&config, format!("version = 1\n{slot}")).unwrap();
        let config = load(Some(&config), &Process::with_environment(false, [])).unwrap();
        let problem = config.slots[0].token.as_ref().err().map(ToString::to_string);
        assert_eq!(problem, None, "{name}");
    }
}

#[test]
fn a_slot_names_its_description() {
    let text = format!(
        "version = 1\n[[slot]]\nlabel = \"v\"\nbackend = \"declared\"\nurls = [\"http://127.0.0.1:1\"]\n\
         [slot.declared]\nfile = {:?}\nparameters = [\"mount=team/transit\", \"namespace=\"]\n",
        folder().join("vault-transit.toml")
    );
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("p11rest.toml");
    std::fs::write(&file, text).unwrap();
    let config = load(Some(&file), &Process::with_environment(false, [])).unwrap();
    let token = config.slots[0].token.as_ref().unwrap();
    let Backend::Declared(settings) = &token.backend else { panic!() };
    assert_eq!(settings.parameters["mount"], "team/transit");
    let hsm = super::super::open(token, settings, &crate::observe::log::Log::off()).unwrap();
    assert_eq!((hsm.manufacturer(), hsm.model()), ("HashiCorp", "Vault transit"));
}

/// A rotated key decrypts what the module encrypted with it: both name one version, which Vault wants as a number.
#[test]
fn vault_encrypts_with_the_version_that_decrypts() {
    let file = folder().join("vault-transit.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let gcm = EncryptScheme::AesGcm { iv: None, aad: b"", tag_bits: 128 };
    let opening = DecryptScheme::AesGcm { iv: &[0; 12], aad: b"", tag_bits: 128 };
    let values = Values { key: "k", payload: b"\0\0\0", ..Values::default() };
    let read = |parameters: &_| Description::parse(&text, parameters, &config::Auth::default(), &file);
    for version in [None, Some("2")] {
        let parameters = version.map(|version| ("version".to_owned(), version.to_owned()));
        let description = read(&parameters.into_iter().collect()).unwrap();
        let body = |call: &Call| {
            let filled = call.fill(&values).unwrap();
            String::from_utf8(filled.parts().2.unwrap().to_vec()).unwrap()
        };
        let version = version.unwrap_or("1");
        let sealing = body(description.encrypt.find(&gcm).unwrap());
        assert!(sealing.contains(&format!("\"key_version\":{version},")), "{sealing}");
        let opening = body(description.decrypt.find(&opening).unwrap());
        assert!(opening.contains(&format!("\"vault:v{version}:AAAA\"")), "{opening}");
    }
    let parameters = [("version".to_owned(), "newest".to_owned())].into();
    let problem = read(&parameters).err().unwrap().to_string();
    assert!(problem.contains("encrypt.json.key_version: {param.version} is \"newest\""), "{problem}");
}
