//! Keys that are made and deleted, in each reading of the page.

use cryptoki_sys::*;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::emulator::Emulator;
use crate::support::mechanism::HASHES;
use crate::support::openssl::{ecdsa_der, object_identifier};
use crate::support::p11::{Called, refused};
use crate::support::session::{Pair, Session, bytes, flag, number};
use crate::{MESSAGE, User, api, judge, with};

const P384: &str = "1.3.132.0.34";

type Handles = (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE);

/// The templates of a pair on P-384 that signs.
fn templates(label: &str) -> [Vec<Pair>; 2] {
    let public = vec![flag(CKA_TOKEN, true), bytes(CKA_EC_PARAMS, object_identifier(P384))];
    let private = vec![flag(CKA_TOKEN, true), bytes(CKA_LABEL, label), flag(CKA_SIGN, true)];
    [public, private]
}

fn makes(session: &Session, label: &str) -> Called<Handles> {
    let [public, private] = templates(label);
    session.generate_pair(CKM_EC_KEY_PAIR_GEN, &public, &private)
}

fn writer(user: &User) -> Session {
    user.p11.open_rw(user.slot).unwrap()
}

/// The names of the server's keys.
fn names(emulator: &Emulator) -> Vec<String> {
    let all = api(emulator, Method::GET, "vault/keys2?limit=1000", None);
    let name = |key: &Value| key["name"].as_str().unwrap().to_owned();
    all["resources"].as_array().unwrap().iter().map(name).collect()
}

#[test]
fn pairs_come_and_go() {
    for reading in [
        &[][..],
        &["curve=lower", "public_half=kept", "key_reference=lenient"],
        &["curve=camel", "names=camel", "object_type=no", "public_key=material", "public_half=kept"],
        &[
            "names=lower",
            "algorithm=lower",
            "public_key=export",
            "missing=400",
            "public_half=kept",
            "paging=bare",
        ],
    ] {
        with(reading, "", |user, emulator| {
            let session = writer(user);
            let before = names(emulator);
            for _ in 0..2 {
                let (public, private) = makes(&session, "new").unwrap();
                assert_eq!(names(emulator).len(), before.len() + 2, "{reading:?}");
                let signature = user.signs(&CKM_ECDSA_SHA384.into(), "new", MESSAGE).unwrap();
                judge(emulator, "new", HASHES[3], &[], MESSAGE, &ecdsa_der(&signature));
                session.destroy(private).unwrap();
                assert_eq!(names(emulator), before, "{reading:?}");
                refused(session.attribute(public, CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
            }
        });
    }
}

#[test]
fn a_key_is_deleted_as_the_server_lets_it() {
    for status in ["undeletable=403", "undeletable=409", "undeletable=400"] {
        with(&[status], "", |user, emulator| {
            let key = json!({ "name": "stays", "algorithm": "aes", "undeletable": true });
            api(emulator, Method::POST, "vault/keys2", Some(&key));
            let session = writer(user);
            let handle = session.the(CKO_SECRET_KEY, "stays");
            assert_eq!(session.flag(handle, CKA_DESTROYABLE), Ok(false));
            refused(session.destroy(handle), CKR_ACTION_PROHIBITED);
            assert!(names(emulator).contains(&"stays".to_owned()));
        });
    }
    with(&[], "", |user, emulator| {
        let key = json!({ "name": "theirs", "algorithm": "aes", "meta": { "ownerId": "local|other" } });
        api(emulator, Method::POST, "vault/keys2", Some(&key));
        let session = writer(user);
        refused(session.destroy(session.the(CKO_SECRET_KEY, "theirs")), CKR_ACTION_PROHIBITED);
    });
}

#[test]
fn an_account_that_may_only_use_keys() {
    with(&["vault=read_only"], "", |user, emulator| {
        let session = writer(user);
        let before = names(emulator);
        refused(makes(&session, "new"), CKR_TOKEN_WRITE_PROTECTED);
        refused(session.destroy(session.the(CKO_SECRET_KEY, "aes-256")), CKR_ACTION_PROHIBITED);
        assert_eq!(names(emulator), before);
    });
}

/// A slot that shows some of the keys makes such keys.
#[test]
fn a_new_key_is_shown_by_its_slot() {
    with(&[], "owner = \"local|p11rest\"\nlabels = [\"env=prod\"]\n", |user, emulator| {
        let session = writer(user);
        let [public, mut private] = templates("new");
        private.push(bytes(CKA_ID, [0, 0xab]));
        session.generate_pair(CKM_EC_KEY_PAIR_GEN, &public, &private).unwrap();
        assert_eq!(user.session.labels(&[]), ["new", "new"]);
        assert_eq!(user.session.find(&[bytes(CKA_ID, [0, 0xab])]).unwrap().len(), 2);
        let told = api(emulator, Method::GET, "vault/keys2/new", None);
        assert_eq!(told["meta"]["ownerId"], "local|p11rest");
        assert_eq!(told["labels"], json!({ "env": "prod", "CKA_ID": "00ab" }));
    });
}

/// What the template asks for is what the server keeps.
#[test]
fn uses_and_protection_are_those_of_the_template() {
    with(&[], "", |user, emulator| {
        let session = writer(user);
        let make = |label: &str, more: &[Pair]| {
            let template = [&[flag(CKA_TOKEN, true), bytes(CKA_LABEL, label)], more].concat();
            session.generate_key(CKM_AES_KEY_GEN, &template)
        };
        let template = [
            number(CKA_VALUE_LEN, 16),
            flag(CKA_ENCRYPT, true),
            flag(CKA_DECRYPT, true),
            flag(CKA_WRAP, true),
            flag(CKA_UNWRAP, true),
            flag(CKA_EXTRACTABLE, true),
            flag(CKA_DESTROYABLE, false),
        ];
        let key = make("new", &template).unwrap();
        for pair in &template {
            assert_eq!(session.attribute(key, pair.0).unwrap(), pair.1, "{:#x}", pair.0);
        }
        let told = api(emulator, Method::GET, "vault/keys2/new", None);
        assert_eq!((&told["usageMask"], &told["size"]), (&json!(4 | 8 | 16 | 32 | 64), &json!(128)));
        assert_eq!((&told["unexportable"], &told["undeletable"]), (&json!(false), &json!(true)));
        let plain = [number(CKA_VALUE_LEN, 16), flag(CKA_SENSITIVE, false)];
        refused(make("plain", &plain), CKR_ATTRIBUTE_VALUE_INVALID);
        assert!(!names(emulator).contains(&"plain".to_owned()));
    });
}
