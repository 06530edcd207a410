//! `[slot.ciphertrust]` and its keys.

use super::messages::slot_refusal;
use super::*;
use crate::crypto::digest::Hash;

fn slot(lines: &str) -> String {
    SLOT.replace("securosys", "ciphertrust") + "auth.user = \"u\"\n" + lines
}

fn settings(config: Config) -> CipherTrust {
    match config.slots.into_iter().next().unwrap().token.unwrap().backend {
        Backend::CipherTrust(settings) => settings,
        other => panic!("{other:?}"),
    }
}

/// The Luna reference, sections 11.1 and 14.4.
#[test]
fn what_is_not_said_is_the_likeliest() {
    let told = settings(load_text(&slot("")));
    assert_eq!((told.prefix.as_str(), told.pss.as_str()), ("/api/v1", "RSASSA-PSS"));
    assert_eq!((told.max_message, told.oaep_hash), (1 << 20, Hash::Sha1));
    assert!(told.keep_password && told.labels.is_empty());
    for name in [told.domain, told.auth_domain, told.connection, told.owner, told.prehashed, told.pkcs1] {
        assert_eq!(name, None);
    }
}

#[test]
fn all_keys_are_read() {
    let lines = r#"[slot.ciphertrust]
        prefix = "/v1/"
        domain = "d"
        auth_domain = "a"
        connection = "c"
        keep_password = false
        owner = "local|1"
        labels = ["env=prod", "empty=", "odd=a=b"]
        max_message = 67108864
        prehashed = "none"
        pkcs1 = "RSA"
        pss = "PSS"
        oaep_hash = "sha384"
    "#;
    let told = settings(load_text(&slot(lines)));
    assert_eq!((told.prefix.as_str(), told.pss.as_str()), ("/v1", "PSS"));
    let names =
        [&told.domain, &told.auth_domain, &told.connection, &told.owner, &told.prehashed, &told.pkcs1];
    let names = names.map(|name| name.as_deref().unwrap());
    assert_eq!(names, ["d", "a", "c", "local|1", "none", "RSA"]);
    let labels: Vec<_> = told.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(labels, [("env", "prod"), ("empty", ""), ("odd", "a=b")]);
    assert!(!told.keep_password);
    assert_eq!((told.max_message, told.oaep_hash), (64 << 20, Hash::Sha384));
    assert_eq!(settings(load_text(&slot("ciphertrust.prefix = \"/\""))).prefix, "");

    let variables = [
        ("P11REST_SLOT_0_CIPHERTRUST_LABELS", "env=prod\nteam=pay"),
        ("P11REST_SLOT_0_CIPHERTRUST_MAX_MESSAGE", "1000"),
    ];
    let told = settings(Place::new().load(&slot(lines), &variables).unwrap());
    assert_eq!(told.labels, [("env".into(), "prod".into()), ("team".into(), "pay".into())]);
    assert_eq!(told.max_message, 1000);
}

#[test]
fn what_is_wrong_is_told() {
    for (line, message) in [
        (
            "prefix = \"api/v1\"",
            "slot.ciphertrust.prefix: \"api/v1\" is not a path; write \"/api/v1\" or \"/v1\"",
        ),
        ("prefix = \"/v1?a=b\"", "slot.ciphertrust.prefix: \"/v1?a=b\" is not a path"),
        ("domain = \"\"", "slot.ciphertrust.domain: is empty"),
        ("owner = \"a\\nb\"", "slot.ciphertrust.owner: has a control character"),
        ("pkcs1 = \"\"", "slot.ciphertrust.pkcs1: is empty"),
        ("labels = [\"prod\"]", "slot.ciphertrust.labels: \"prod\" is not a label; write \"name=value\""),
        ("labels = [\"=prod\"]", "slot.ciphertrust.labels: \"=prod\" is not a label"),
        ("max_message = 0", "slot.ciphertrust.max_message: "),
        ("max_message = 67108865", "slot.ciphertrust.max_message: "),
        ("oaep_hash = \"sha3-256\"", "slot.ciphertrust.oaep_hash: \"sha3-256\" is not known; write \"sha1\""),
        ("keep_password = 1", "slot.ciphertrust.keep_password: is an integer; write true or false"),
    ] {
        let told = slot_refusal(&slot(&format!("ciphertrust.{line}\n")));
        assert!(told.contains(message), "{line}: {told}");
        assert!(told.contains("p11rest.toml:7:"), "{line}: {told}");
    }
    let told = slot_refusal(&SLOT.replace("securosys", "ciphertrust"));
    assert!(told.contains("slot.auth.user: is missing"), "{told}");
    let told = slot_refusal(&(SLOT.to_owned() + "ciphertrust.domain = \"d\"\n"));
    assert!(told.contains("slot.ciphertrust: is for slots with backend = \"ciphertrust\""), "{told}");
}
