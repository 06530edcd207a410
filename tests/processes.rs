//! What one process says of the objects, the next one says too.

use std::env;
use std::process::{Command, Stdio};

use cryptoki_sys::*;
use support::emulator::Emulator;
use support::openssl::to_hex;
use support::p11::P11;

mod support;

/// The configuration of a process that the test starts.
const CONFIG: &str = "P11REST_TEST_CONFIG";

/// `CKA_ID`, by which applications remember a key, and `CKA_UNIQUE_ID` stay; so do serial number and order.
#[test]
fn ids_stay() {
    let emulator = Emulator::start("securosys", false);
    let tell = || {
        let output = Command::new(env::current_exe().expect("the test is a program"))
            .args(["--exact", "tells_what_it_sees", "--ignored", "--nocapture"])
            .env(CONFIG, emulator.path("p11rest.toml"))
            .stderr(Stdio::inherit())
            .output()
            .expect("the test starts again");
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().filter(|line| line.starts_with("object ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let first = tell();
    // Six keys, five of them pairs, and two certificates.
    assert_eq!(first.len(), 6 + 5 + 2);
    assert_eq!(tell(), first);
}

#[test]
#[ignore = "the other half of ids_stay, which runs it in a process of its own"]
fn tells_what_it_sees() {
    let config = env::var_os(CONFIG).expect("ids_stay names the configuration");
    let p11 = P11::load();
    p11.initialize(config.as_ref()).unwrap();
    let slot = p11.slots(true).unwrap()[0];
    let session = p11.open(slot).unwrap();
    session.login("1234").unwrap();
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
