//! What one process says of the objects, the next one says too.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use cryptoki_sys::*;
use reqwest::Method;
use serde_json::{Value, json};
use support::emulator::{Emulator, PIN};
use support::openssl::to_hex;
use support::p11::P11;

mod support;

/// The configuration of a process that the test starts.
const CONFIG: &str = "P11REST_TEST_CONFIG";

/// `CKA_ID`, by which applications remember a key, and `CKA_UNIQUE_ID` stay; so do serial number and order.
#[test]
fn ids_stay() {
    let emulator = Emulator::start("securosys", false);
    let tell = || told(&emulator.path("p11rest.toml"));
    let first = tell();
    // Six keys, five of them pairs, and two certificates.
    assert_eq!(first.len(), 6 + 5 + 2);
    assert_eq!(tell(), first);
}

/// With `catalog.cache` only the first process asks for attributes, and yet a key that is gone is gone.
#[test]
fn attributes_stay_in_the_cache() {
    const DOOMED: &str = "doomed";
    let emulator = Emulator::start("securosys", false);
    let manage = |path: &str, body: Value| {
        let key = emulator.text("key-management.key");
        emulator.call(Method::POST, path, &[("X-API-KEY", &key)], Some(&body)).status().as_u16()
    };
    let attributes = json!({ "decrypt": false, "sign": true, "unwrap": false, "destroyable": true });
    let key = json!({
        "label": DOOMED,
        "algorithm": "EC",
        "curveOid": "1.2.840.10045.3.1.7",
        "attributes": attributes,
    });
    assert_eq!(manage("/v1/key", key), 201);

    let (config, cache) = (emulator.path("cached.toml"), emulator.path("attributes.json"));
    let text = emulator.text("p11rest.toml");
    fs::write(&config, format!("{text}\n[slot.catalog]\ncache = {:?}\n", cache.display().to_string()))
        .unwrap();
    fs::set_permissions(&config, Permissions::from_mode(0o600)).unwrap();
    let asked = || emulator.stats().requests.get("POST /v1/key/attributes").copied().unwrap_or(0);

    let first = told(&config);
    assert_eq!(first.len(), 6 + 5 + 2 + 2);
    // Without what the HSM keeps for itself.
    assert_eq!(asked(), 7);
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(told(&config), first);
    assert_eq!(asked(), 7, "the second process asks for no attributes");

    assert_eq!(manage("/v1/key/deleteKey", json!({ "label": DOOMED })), 200);
    let label = to_hex(DOOMED.as_bytes());
    let rest: Vec<_> = first.iter().filter(|line| !line.contains(&label)).cloned().collect();
    assert_eq!(rest.len(), first.len() - 2);
    assert_eq!(told(&config), rest);
    assert_eq!(asked(), 7);

    // A file that others may write could say anything: it is not believed.
    fs::set_permissions(&cache, Permissions::from_mode(0o660)).unwrap();
    assert_eq!(told(&config), rest);
    assert_eq!(asked(), 7 + 6);
}

/// What a process of its own says of the objects.
fn told(config: &Path) -> Vec<String> {
    let output = Command::new(env::current_exe().expect("the test is a program"))
        .args(["--exact", "tells_what_it_sees", "--ignored", "--nocapture"])
        .env(CONFIG, config)
        .stderr(Stdio::inherit())
        .output()
        .expect("the test starts again");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().filter(|line| line.starts_with("object ")).map(str::to_owned).collect()
}

#[test]
#[ignore = "the other half of the tests above, which run it in processes of their own"]
fn tells_what_it_sees() {
    let config = env::var_os(CONFIG).expect("a test names the configuration");
    let p11 = P11::load();
    p11.initialize(config.as_ref()).unwrap();
    let slot = p11.slots(true).unwrap()[0];
    let session = p11.open(slot).unwrap();
    session.login(PIN).unwrap();
    let serial = String::from_utf8(p11.token_info(slot).unwrap().serialNumber.to_vec()).unwrap();
    for object in session.find(&[]).unwrap() {
        let told = [CKA_CLASS, CKA_LABEL, CKA_ID, CKA_UNIQUE_ID].map(|kind| {
            let value = session.attribute(object, kind).unwrap();
            to_hex(&value)
        });
        println!("object {serial} {}", told.join(" "));
    }
    drop(session);
    p11.finalize().unwrap();
}
