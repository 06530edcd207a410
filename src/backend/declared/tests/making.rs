//! Keys that are made and deleted, against a scripted server.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use cryptoki_sys::*;

use super::super::*;
use super::flows::{describe, open_with, ready, soon};
use crate::backend::scripted::{Seen, Server};
use crate::backend::types::{Protection, Usage};
use crate::config::Secret;
use crate::crypto::curve::Curve;
use crate::crypto::digest::Hash;

/// A service that names its keys itself, and wants to hear of uses in a number.
const NUMBERED: &str = r#"
version = 1
[list]
path = "/keys"
items = "/keys"
[describe]
path = "/keys/{key}"
type = "/type"
types = { hs256 = "hmac-sha256" }
[generate]
path = "/keys?trace={id|hex?}"
headers = { "X-Curve" = "{curve?}" }
json = { name = "{label}", size = "{bits?}", bytes = "{bytes?}", uses = "{alg.uses}", open = "{extractable}", kept = "{destroyable|not?}" }
key = "/id"
[[generate.algorithm]]
mechanism = "CKM_RSA_PKCS_KEY_PAIR_GEN"
bits = [2048, 3072]
allows = ["sign"]
with = { uses = 3 }
[[generate.algorithm]]
mechanism = "CKM_RSA_PKCS_KEY_PAIR_GEN"
bits = [2048, 3072]
allows = ["sign", "decrypt", "extractable"]
with = { uses = 79 }
[[generate.algorithm]]
mechanism = "CKM_EC_KEY_PAIR_GEN"
curve = "secp256r1"
with = { uses = 515 }
[[generate.algorithm]]
mechanism = "CKM_AES_KEY_GEN"
bytes = [16, 32]
with = { uses = 12 }
[[generate.algorithm]]
mechanism = "CKM_GENERIC_SECRET_KEY_GEN"
hash = "sha256"
bytes = 32
with = { uses = 384 }
[delete]
path = "/keys/{key}"
[errors]
message = "/error"
[[errors.rule]]
status = 409
on = ["generate"]
rv = "CKR_ATTRIBUTE_VALUE_INVALID"
[[errors.rule]]
status = 404
rv = "CKR_KEY_HANDLE_INVALID"
[[errors.rule]]
status = 409
on = ["delete"]
rv = "CKR_ACTION_PROHIBITED"
"#;

/// As transit has it.
fn vault() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/pkcs11-test-config/vault-transit.toml");
    std::fs::read_to_string(path).unwrap()
}

const SIGNS: Usage = Usage { sign: true, decrypt: false, unwrap: false, derive: false };
const BOTH: Usage = Usage { decrypt: true, ..SIGNS };

fn new(label: &str, spec: KeySpec) -> NewKey<'_> {
    let protection = Protection { destroyable: true, ..Protection::UNTOLD };
    NewKey { label, id: None, spec, usage: SIGNS, protection }
}

const RSA: KeySpec = KeySpec::Rsa { bits: 2048 };
const EC: KeySpec = KeySpec::Ec(Curve::SECP256R1);

fn rv<T: std::fmt::Debug>(result: Result<T>) -> CK_RV {
    result.unwrap_err().rv()
}

#[test]
fn a_key_is_asked_for_in_the_words_of_the_first_row_that_allows_it() {
    let server = Server::saying(201, r#"{"id":"k-17"}"#);
    let hsm = ready(&server, NUMBERED);
    let made = |new: &NewKey<'_>| hsm.generate(new, soon()).unwrap();
    assert_eq!(made(&new("a \"b\"", RSA)), "k-17".into());
    made(&NewKey { usage: BOTH, id: Some(&[0xab, 1]), ..new("b", RSA) });
    let open = Protection { extractable: true, destroyable: false, ..Protection::UNTOLD };
    made(&NewKey { protection: open, ..new("c", KeySpec::Rsa { bits: 3072 }) });
    made(&NewKey { usage: Usage { derive: true, ..SIGNS }, ..new("d", EC) });
    made(&new("e", KeySpec::Aes { bytes: 32 }));
    made(&new("f", KeySpec::Hmac { hash: Hash::Sha256, bytes: None }));
    let seen = server.seen();
    let bodies: Vec<_> = seen.iter().map(|seen| seen.body.as_str()).collect();
    assert_eq!(
        bodies,
        [
            r#"{"name":"a \"b\"","open":false,"size":2048,"uses":3}"#,
            r#"{"name":"b","open":false,"size":2048,"uses":79}"#,
            r#"{"kept":true,"name":"c","open":true,"size":3072,"uses":79}"#,
            r#"{"name":"d","open":false,"uses":515}"#,
            r#"{"bytes":32,"name":"e","open":false,"size":256,"uses":12}"#,
            r#"{"name":"f","open":false,"uses":384}"#,
        ]
    );
    assert_eq!((&*seen[0].target, &*seen[1].target), ("POST /keys", "POST /keys?trace=ab01"));
    assert_eq!((seen[2].header("x-curve"), seen[3].header("x-curve")), (None, Some("secp256r1")));
}

#[test]
fn what_no_row_makes_is_not_asked_for() {
    let server = Server::saying(201, r#"{"id":"k-17"}"#);
    let hsm = ready(&server, NUMBERED);
    let hmac = |hash, bytes| KeySpec::Hmac { hash, bytes };
    for (spec, expected) in [
        (RSA, true),
        (KeySpec::Rsa { bits: 4096 }, false),
        (EC, true),
        (KeySpec::Ec(Curve::SECP384R1), false),
        (KeySpec::Ed25519, false),
        (KeySpec::Aes { bytes: 16 }, true),
        (KeySpec::Aes { bytes: 24 }, false),
        (hmac(Hash::Sha256, None), true),
        (hmac(Hash::Sha256, Some(32)), true),
        (hmac(Hash::Sha256, Some(16)), false),
        (hmac(Hash::Sha1, None), false),
    ] {
        assert_eq!(hsm.can_generate(&spec), expected, "{spec:?}");
        assert_eq!(hsm.generate(&new("k", spec), soon()).is_ok(), expected, "{spec:?}");
    }
    let before = server.seen().len();
    let derives = Usage { derive: true, ..SIGNS };
    assert_eq!(
        rv(hsm.generate(&NewKey { usage: derives, ..new("k", RSA) }, soon())),
        CKR_ATTRIBUTE_VALUE_INVALID
    );
    // The label is the name, and could not be asked for.
    let named = ready(&server, &NUMBERED.replace("key = \"/id\"\n", ""));
    for hsm in [named, ready(&server, &vault())] {
        assert_eq!(rv(hsm.generate(&new("..", RSA), soon())), CKR_ATTRIBUTE_VALUE_INVALID);
    }
    assert_eq!(server.seen().len(), before, "nothing was sent");
}

#[test]
fn a_description_without_the_calls_makes_and_deletes_nothing() {
    let server = Server::saying(200, "{}");
    let hsm = ready(&server, "version = 1\n[list]\npath = \"/keys\"\nitems = \"/keys\"\n");
    assert!(!hsm.can_generate(&RSA) && !hsm.can_delete());
    assert_eq!(rv(hsm.generate(&new("k", RSA), soon())), CKR_MECHANISM_INVALID);
    assert_eq!(rv(hsm.delete(&"k".into(), soon())), CKR_ACTION_PROHIBITED);
    assert!(server.seen().is_empty());
}

#[test]
fn refusals_have_their_codes() {
    for (status, body, made, deleted) in [
        (409, r#"{"error":"taken"}"#, CKR_ATTRIBUTE_VALUE_INVALID, CKR_ACTION_PROHIBITED),
        (404, "", CKR_KEY_HANDLE_INVALID, CKR_KEY_HANDLE_INVALID),
        (401, "", CKR_USER_NOT_LOGGED_IN, CKR_USER_NOT_LOGGED_IN),
        (403, "", CKR_FUNCTION_REJECTED, CKR_FUNCTION_REJECTED),
        (500, "", CKR_DEVICE_ERROR, CKR_DEVICE_ERROR),
    ] {
        let server = Server::saying(status, body);
        let hsm = ready(&server, NUMBERED);
        assert!(hsm.can_delete());
        assert_eq!(rv(hsm.generate(&new("k", RSA), soon())), made, "{status}");
        assert_eq!(rv(hsm.delete(&"a/b".into(), soon())), deleted, "{status}");
        assert_eq!(server.targets(), ["POST /keys", "DELETE /keys/a%2Fb"]);
    }
    // A success without the name.
    for body in ["{}", r#"{"id":""}"#, r#"{"id":[]}"#] {
        let server = Server::saying(201, body);
        assert_eq!(rv(ready(&server, NUMBERED).generate(&new("k", RSA), soon())), CKR_DEVICE_ERROR, "{body}");
    }
}

/// A name that is taken is no refusal there. Newer releases say so beside the key, older ones do not say it.
#[test]
fn a_key_that_was_there_is_not_taken_for_a_new_one() {
    let other = r#"{"data":{"type":"rsa-2048","keys":{}},"warnings":null}"#;
    let there = Server::saying(200, other);
    let hsm = ready(&there, &vault());
    assert_eq!(rv(hsm.generate(&new("k", RSA), soon())), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_eq!(there.targets(), ["GET /v1/transit/keys/k"], "nothing was made");

    // Another was quicker.
    let raced = Server::start(|seen: &Seen| match seen.target.starts_with("GET ") {
        true => (404, r#"{"errors":[]}"#.into()),
        false => (200, r#"{"data":{},"warnings":["key k already existed"]}"#.into()),
    });
    let hsm = ready(&raced, &vault());
    assert_eq!(rv(hsm.generate(&new("k", RSA), soon())), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_eq!(raced.targets(), ["GET /v1/transit/keys/k", "POST /v1/transit/keys/k"]);

    // Whether it is there is not known.
    let silent = Server::saying(500, "");
    let hsm = ready(&silent, &vault());
    assert_eq!(rv(hsm.generate(&new("k", RSA), soon())), CKR_DEVICE_ERROR);
    assert_eq!(silent.targets(), ["GET /v1/transit/keys/k"]);
}

#[test]
fn what_comes_then_is_asked_for_with_the_name_and_harms_no_key_that_is_there() {
    for status in [200, 403] {
        let server = Server::start(move |seen: &Seen| match seen.target.split_once(' ') {
            Some(("GET", _)) => (404, r#"{"errors":[]}"#.into()),
            Some((_, path)) if path.ends_with("/config") => (status, "{}".into()),
            _ => (204, String::new()),
        });
        let hsm = ready(&server, &vault());
        assert_eq!(hsm.generate(&new("k", EC), soon()).unwrap(), "k".into());
        let seen = server.seen();
        assert_eq!(seen[1].body, r#"{"exportable":false,"type":"ecdsa-p256"}"#);
        assert_eq!(seen[2].target, "POST /v1/transit/keys/k/config");
        assert_eq!(seen[2].body, r#"{"deletion_allowed":true}"#);
    }
}

/// A service that takes requests and says nothing.
fn mute() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    thread::spawn(move || {
        for stream in listener.incoming() {
            // It stays open until it was counted.
            let mut reader = BufReader::new(stream.unwrap());
            if reader.read_line(&mut String::new()).unwrap_or(0) > 0 {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    (port, requests)
}

#[test]
fn nothing_is_sent_twice() {
    let (port, requests) = mute();
    let auth = config::Auth { bearer: Some(Secret::Pin), ..config::Auth::default() };
    let hsm = open_with(port, NUMBERED, auth, &Log::off());
    hsm.service.transport.login("t0ken", soon()).unwrap();
    let mut sent = 0;
    let mut once = |rv, what| {
        sent += 1;
        assert_eq!((rv, requests.load(Ordering::SeqCst)), (CKR_DEVICE_ERROR, sent), "{what}");
    };
    once(rv(hsm.generate(&new("k", RSA), soon())), "made");
    once(rv(hsm.delete(&"k".into(), soon())), "deleted");
}

/// The sums of the uses (Luna REST reference §11.1).
#[test]
fn ciphertrust_hears_of_uses_in_a_mask() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/pkcs11-test-config/ciphertrust.toml");
    let server = Server::saying(201, r#"{"name":"k","id":"17"}"#);
    let hsm = ready(&server, &std::fs::read_to_string(path).unwrap());
    let (sign, verify, encrypt, decrypt, export) = (1, 2, 4, 8, 64);
    let decrypts = Usage { sign: false, ..BOTH };
    let aes = KeySpec::Aes { bytes: 24 };
    for (spec, usage, extractable, mask, words) in [
        (RSA, SIGNS, false, sign | verify, r#""algorithm":"rsa""#),
        (RSA, decrypts, false, encrypt | decrypt, r#""size":2048"#),
        (RSA, BOTH, false, sign | verify | encrypt | decrypt, r#""unexportable":true"#),
        (RSA, BOTH, true, sign | verify | encrypt | decrypt | export, r#""unexportable":false"#),
        (EC, SIGNS, false, sign | verify, r#""curveid":"prime256v1""#),
        (KeySpec::Ec(Curve::SECP521R1), SIGNS, true, sign | verify | export, r#""curveid":"secp521r1""#),
        (aes, decrypts, false, encrypt | decrypt, r#""size":192"#),
        (aes, decrypts, true, encrypt | decrypt | export, r#""undeletable":false"#),
    ] {
        let protection = Protection { extractable, destroyable: true, ..Protection::UNTOLD };
        let new = NewKey { usage, protection, ..new("k", spec) };
        assert_eq!(hsm.generate(&new, soon()).unwrap(), "k".into());
        let body = server.seen().pop().unwrap().body;
        assert!(
            body.contains(&format!("\"usageMask\":{mask}}}"))
                || body.contains(&format!("\"usageMask\":{mask},")),
            "{body}"
        );
        assert!(body.contains(words), "{words}: {body}");
    }
    let exists = Server::saying(409, r#"{"code":416,"codeDesc":"Key name already exists","message":"k"}"#);
    let hsm = ready(&exists, &std::fs::read_to_string(path).unwrap());
    assert_eq!(rv(hsm.generate(&new("k", RSA), soon())), CKR_TEMPLATE_INCONSISTENT);
    // By id, which a description does not look up.
    assert!(!hsm.can_delete());
}

/// One zero byte, or the digit, is a value; the number and the contrary of yes are none.
#[test]
fn only_numbers_are_empty_where_they_are_zero() {
    let text = "version = 1\n[encrypt]\npath = \"/e\"\n\
        json = { key = \"{key?}\", aad = \"{aad|hex?}\", bits = \"{tag_bits?}\" }\n\
        ciphertext = \"/c|hex\"\n[[encrypt.algorithm]]\nmechanism = \"CKM_AES_ECB\"\n";
    let description = describe(text, &[]).unwrap();
    let call = description.encrypt.find(&EncryptScheme::AesEcb).unwrap();
    let body = |key, aad, tag_bits| {
        let values = template::Values { key, aad, tag_bits, ..Default::default() };
        String::from_utf8(call.fill(&values).unwrap().parts().2.unwrap().to_vec()).unwrap()
    };
    assert_eq!(body("0", b"0", 0), r#"{"aad":"30","key":"0"}"#);
    assert_eq!(body("", b"", 96), r#"{"bits":96}"#);
}
