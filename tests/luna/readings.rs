//! Each reading of what the vendor's documentation leaves open or contradicts, with the slot that the emulator writes.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use cryptoki_sys::*;
use serde_json::json;

use super::{LOGIN, count, flags, run, session_of, sessions, set_role, with, with_own};
use crate::support::emulator::{Emulator, PIN};
use crate::support::p11::{P11, refused};
use crate::support::session::{Session, number};

/// The seeds of the emulator, in order of the alphabet.
const PAIRS: [&str; 7] = ["ec-cert", "ec-p256", "ec-p384", "ed25519", "rsa-2048", "rsa-3072", "rsa-cert"];
const SECRETS: [&str; 5] = ["aes-256", "hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"];

fn labels(session: &Session, class: CK_OBJECT_CLASS) -> Vec<String> {
    session.labels(&[number(CKA_CLASS, class)])
}

fn all_private(session: &Session) -> bool {
    labels(session, CKO_PRIVATE_KEY) == PAIRS && labels(session, CKO_SECRET_KEY) == SECRETS
}

/// What works in every reading.
fn works(p11: &'static P11, slot: CK_SLOT_ID, emulator: &Emulator) {
    let session = p11.open(slot).unwrap();
    assert_eq!(labels(&session, CKO_PUBLIC_KEY), PAIRS);
    assert_eq!(labels(&session, CKO_PRIVATE_KEY), [""; 0], "those come with the login");
    let before = count(emulator, LOGIN);
    refused(session.login("no-such-pin-at-all"), CKR_PIN_INCORRECT);
    assert_eq!(count(emulator, LOGIN), before + 1, "one try");
    assert_eq!(session.info().unwrap().state, CKS_RO_PUBLIC_SESSION);
    session.login(PIN).unwrap();
    assert_eq!(count(emulator, LOGIN), before + 2);
    assert_eq!(session.info().unwrap().state, CKS_RO_USER_FUNCTIONS);
    assert!(all_private(&session));
    let key = session.the(CKO_PRIVATE_KEY, "ec-p384");
    assert_eq!(session.ulong(key, CKA_KEY_TYPE), Ok(CKK_EC));
    assert_eq!(session.attribute(key, CKA_ID), Ok(b"ec-p384".to_vec()));
    assert_eq!(sessions(emulator), session_of("co"));
    session.logout().unwrap();
    assert_eq!(sessions(emulator), json!([]));
    assert_eq!(labels(&session, CKO_PRIVATE_KEY), [""; 0]);
    // The last session takes the login with it.
    session.login(PIN).unwrap();
    session.close().unwrap();
    assert_eq!(sessions(emulator), json!([]));
}

fn works_with(options: &[&str]) {
    let options: Vec<_> = options.iter().flat_map(|option| ["--set", option]).collect();
    with_own(&options, works);
}

#[test]
fn the_usual_ones() {
    works_with(&[]);
}

#[test]
fn two_cookies_beside_the_password() {
    works_with(&["cookies=two", "cookie=X.other", "cookie_alone=no", "lost_cookie=credentials"]);
}

#[test]
fn tokens() {
    works_with(&["login=jwt"]);
}

#[test]
fn tokens_that_open_sessions_too() {
    works_with(&["login=jwt", "jwt=always", "session_by_jwt=yes"]);
}

#[test]
fn a_certificate() {
    works_with(&["login=certificate"]);
}

#[test]
fn a_certificate_with_other_line_ends() {
    works_with(&["login=certificate", "pem_in=literal", "pem_out=real", "challenge_tie=none"]);
}

#[test]
fn a_public_key_and_a_cookie_that_becomes_the_session() {
    works_with(&[
        "login=certificate",
        "challenge=public_key",
        "challenge_tie=session",
        "challenge_bytes=190",
    ]);
}

/// An appliance that takes both, whichever the slot shows.
#[test]
fn a_certificate_or_its_public_key() {
    let either = ["--set", "login=certificate", "--set", "challenge=either"];
    with_own(&either, works);
    let public_key = |emulator: &Emulator| {
        let own = emulator.text("p11rest.toml");
        let path = emulator.path("own.toml");
        fs::write(&path, own.replace("[slot.luna]\n", "[slot.luna]\nchallenge = \"public_key\"\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    run(&either, public_key, works);
}

/// A login with a PIN that is to be changed: the token says so, and nobody is kept from it.
#[test]
fn a_pin_that_is_to_be_changed_is_taken() {
    with_own(&["--set", "pin_to_be_changed=allow"], |p11, slot, emulator| {
        set_role(emulator, "co", &json!({"pinToBeChanged": true}));
        works(p11, slot, emulator);
        assert_ne!(flags(p11, slot) & CKF_USER_PIN_TO_BE_CHANGED, 0);
        set_role(emulator, "co", &json!({"pinToBeChanged": false}));
        p11.open(slot).unwrap().login(PIN).unwrap();
        assert_eq!(flags(p11, slot) & CKF_USER_PIN_TO_BE_CHANGED, 0);
    });
}

#[test]
fn wrong_passwords_are_bad_requests() {
    works_with(&["wrong_password=400", "acl_status=403", "ids=number"]);
}

#[test]
fn wrong_passwords_are_nobody_logged_in() {
    works_with(&["wrong_password=not_authenticated", "partitions=several"]);
}

#[test]
fn logins_are_tasks() {
    works_with(&["login_by=task", "task_ms=60", "task_states=upper", "locations=bare"]);
}

#[test]
fn logins_are_tasks_elsewhere() {
    works_with(&["login_by=task", "task_ms=1", "locations=absolute"]);
}

#[test]
fn objects_at_the_older_place() {
    works_with(&["objects_path=objects", "object_names=cka", "object_values=cko", "objects_session=any"]);
}

#[test]
fn objects_at_the_newer_place() {
    works_with(&[
        "objects_path=object",
        "object_names=spaced",
        "objects_session=private",
        "hidden_object=nothing",
    ]);
}

#[test]
fn objects_of_an_older_version() {
    works_with(&["version=15", "object_names=snake", "object_values=numbers", "object_wrap=yes"]);
}

#[test]
fn lists_that_tell_all() {
    works_with(&["objects_path=both", "object_list=whole", "hidden_object=refused"]);
}

#[test]
fn lists_without_what_is_hidden() {
    works_with(&["list_hidden=no", "content_type=lenient"]);
}

#[test]
fn versions_in_the_content_type() {
    for version in ["5", "15", "17"] {
        with(&format!("api_version = {version}"), &[], works);
    }
    // One that there is not.
    with("api_version = 18", &[], |p11, slot, _| {
        let session = p11.open(slot).unwrap();
        assert!(session.login(PIN).is_err());
        assert!(session.find(&[]).is_err());
    });
}

/// 350 objects in pages, and none of them lost.
#[test]
fn many_objects() {
    with_own(&["--set", "extra_objects=350"], |p11, slot, _| {
        let session = p11.open(slot).unwrap();
        session.login(PIN).unwrap();
        assert_eq!(labels(&session, CKO_SECRET_KEY).len(), 355);
        session.the(CKO_SECRET_KEY, "extra-0349");
    });
}
