//! Keys that are made and deleted.

use cryptoki_sys::{
    CK_RV, CKR_ACTION_PROHIBITED, CKR_ATTRIBUTE_VALUE_INVALID, CKR_DEVICE_ERROR, CKR_KEY_HANDLE_INVALID,
    CKR_TEMPLATE_INCONSISTENT, CKR_TOKEN_WRITE_PROTECTED,
};
use parking_lot::Mutex;

use super::*;
use crate::backend::types::{Protection, Usage};
use crate::crypto::curve::Curve;

const TAKEN: &str = r#"{"code":416,"codeDesc":"Key name exists","message":"k"}"#;
const FORBIDDEN: &str = r#"{"code":19,"codeDesc":"Forbidden","message":"not permitted"}"#;

const CREATE: &str = "POST /api/v1/vault/keys2";
const P384: KeySpec = KeySpec::Ec(Curve::SECP384R1);

/// A key named `k` that may sign, and may be deleted.
fn key(spec: KeySpec) -> NewKey<'static> {
    NewKey {
        label: "k",
        id: None,
        spec,
        usage: Usage { sign: true, ..Usage::default() },
        protection: Protection { destroyable: true, ..Protection::UNTOLD },
    }
}

/// A server that makes all it is asked for, and tells the request back.
fn maker() -> Server {
    with_tokens(|seen| {
        assert_eq!(seen.target, CREATE);
        let mut key = body(seen);
        key["id"] = "1d".into();
        (201, key.to_string())
    })
}

/// The bodies of requests to make a key.
fn asked(server: &Server) -> Vec<Value> {
    server.seen().iter().filter(|seen| seen.target == CREATE).map(body).collect()
}

/// The body with which a key is asked for.
fn asked_for(request: &NewKey<'_>, settings: &config::CipherTrust) -> Value {
    let server = maker();
    assert_eq!(user(&server, settings).generate(request, soon()).unwrap().as_str(), request.label);
    let [body] = &asked(&server)[..] else { panic!("one request makes a key") };
    body.clone()
}

#[test]
fn the_body_is_that_of_the_page() {
    let hmac = KeySpec::Hmac { hash: Hash::Sha256, bytes: None };
    let all = Usage { sign: true, decrypt: true, unwrap: true, derive: true };
    // Bits of section 11.1: sign 1, verify 2, encrypt 4, decrypt 8, wrap 16, unwrap 32, export 64, MACs 128 and 256,
    // derive 512.
    for (spec, usage, extractable, mask, mut expected) in [
        (KeySpec::Rsa { bits: 3072 }, all, false, 575, json!({ "algorithm": "rsa", "size": 3072 })),
        (
            P384,
            Usage { decrypt: false, ..all },
            true,
            627,
            json!({ "algorithm": "ec", "curveid": "secp384r1" }),
        ),
        (
            KeySpec::Aes { bytes: 16 },
            Usage { sign: false, ..all },
            false,
            572,
            json!({ "algorithm": "aes", "size": 128 }),
        ),
        (hmac, Usage { sign: true, ..Usage::default() }, true, 448, json!({ "algorithm": "hmac-sha256" })),
    ] {
        let protection = Protection { extractable, destroyable: !extractable, ..Protection::UNTOLD };
        let request = NewKey { usage, protection, ..key(spec) };
        for (name, value) in [
            ("name", json!("k")),
            ("usageMask", json!(mask)),
            ("unexportable", json!(!extractable)),
            ("undeletable", json!(extractable)),
            ("assignSelfAsOwner", json!(true)),
        ] {
            expected[name] = value;
        }
        assert_eq!(asked_for(&request, &plain()), expected);
    }
}

#[test]
fn a_new_key_is_one_that_the_filter_shows() {
    let labels = vec![("env".to_owned(), "prod".to_owned())];
    let settings = config::CipherTrust { owner: Some("local|1".into()), labels, ..plain() };
    let request = NewKey { id: Some(&[0, 0xab]), ..key(KeySpec::Aes { bytes: 32 }) };
    let body = asked_for(&request, &settings);
    assert_eq!(body["meta"], json!({ "ownerId": "local|1" }));
    assert_eq!(body["labels"], json!({ "env": "prod", "CKA_ID": "00ab" }));
    assert_eq!(body.get("assignSelfAsOwner"), None);
    let shown = with_tokens(move |_| (200, body.to_string()));
    let told = user(&shown, &settings).describe(&["k".into()], soon()).remove(0).unwrap().unwrap();
    assert_eq!(told.id.as_deref(), Some(&[0, 0xab][..]));
}

#[test]
fn an_id_is_read_if_it_is_one() {
    for (label, expected) in [("0a", Some(vec![10])), ("", None), ("key one", None), ("abc", None)] {
        let key = json!({ "name": "k", "algorithm": "aes", "labels": { "CKA_ID": label } });
        let server = with_tokens(move |_| (200, key.to_string()));
        let told = user(&server, &plain()).describe(&["k".into()], soon()).remove(0).unwrap().unwrap();
        assert_eq!(told.id, expected, "{label:?}");
    }
}

#[test]
fn uses_that_the_server_tells_are_told() {
    for (mask, unwrap, derive) in
        [(json!(48), true, false), (json!(512), false, true), (Value::Null, false, false)]
    {
        let key = json!({ "name": "k", "algorithm": "aes", "usageMask": mask });
        let server = with_tokens(move |_| (200, key.to_string()));
        let told = user(&server, &plain()).describe(&["k".into()], soon()).remove(0).unwrap().unwrap();
        assert_eq!((told.usage.unwrap, told.usage.derive), (unwrap, derive));
    }
}

#[test]
fn the_member_of_a_curve_is_found_out_once() {
    for (taken, other, requests) in [("curveid", "curveId", [1, 2]), ("curveId", "curveid", [2, 3])] {
        let server = with_tokens(move |seen| match body(seen).get(other) {
            Some(_) => (400, BAD.into()),
            None => (201, seen.body.clone()),
        });
        let hsm = user(&server, &plain());
        for requests in requests {
            hsm.generate(&key(P384), soon()).unwrap();
            assert_eq!(asked(&server).len(), requests, "{taken}");
        }
        assert_eq!(asked(&server).last().unwrap()[taken], "secp384r1");
    }
}

#[test]
fn nothing_is_asked_for_that_cannot_be_made() {
    let server = maker();
    let hsm = user(&server, &plain());
    let refused = |request: &NewKey<'_>| hsm.generate(request, soon()).unwrap_err().rv();
    for spec in [KeySpec::Rsa { bits: 512 }, KeySpec::Ed25519, KeySpec::Ec(Curve::SECP224R1)] {
        assert!(!hsm.can_generate(&spec), "{spec:?}");
        assert_eq!(refused(&key(spec)), CKR_ATTRIBUTE_VALUE_INVALID);
    }
    assert!(hsm.can_generate(&P384) && hsm.can_delete());
    // The name of another's public half; a secret key may have it.
    assert_eq!(refused(&NewKey { label: "k-pub", ..key(P384) }), CKR_ATTRIBUTE_VALUE_INVALID);
    for protection in [
        Protection { sensitive: false, ..Protection::UNTOLD },
        Protection { copyable: true, ..Protection::UNTOLD },
    ] {
        assert_eq!(refused(&NewKey { protection, ..key(P384) }), CKR_ATTRIBUTE_VALUE_INVALID);
    }
    assert_eq!(calls(&server), [""; 0]);
    hsm.generate(&NewKey { label: "k-pub", ..key(KeySpec::Aes { bytes: 16 }) }, soon()).unwrap();
}

#[test]
fn a_refusal_is_taken_for_what_it_is() {
    for (status, answer, expected, requests) in [
        (409, TAKEN, CKR_TEMPLATE_INCONSISTENT, 1),
        (400, TAKEN, CKR_TEMPLATE_INCONSISTENT, 1),
        // Maybe of the name of the member.
        (400, BAD, CKR_ATTRIBUTE_VALUE_INVALID, 2),
        (403, FORBIDDEN, CKR_TOKEN_WRITE_PROTECTED, 1),
        // Not repeated: the key may have been made.
        (500, "", CKR_DEVICE_ERROR, 1),
        (503, "", CKR_DEVICE_ERROR, 1),
        (201, "made", CKR_DEVICE_ERROR, 1),
        (201, r#"{"name":"other"}"#, CKR_DEVICE_ERROR, 1),
    ] {
        let server = with_tokens(move |_| (status, answer.into()));
        let refused = user(&server, &plain()).generate(&key(P384), soon()).unwrap_err();
        assert_eq!(
            (refused.rv(), asked(&server).len()),
            (expected, requests),
            "{status} {answer}: {refused}"
        );
    }
}

/// A server that passes over a member that it does not know makes a key on its usual curve.
#[test]
fn a_key_of_another_kind_is_deleted_again() {
    let server = with_tokens(|seen| match seen.target.split_once(' ').unwrap() {
        ("DELETE", _) => (204, String::new()),
        ("GET", path) if path.ends_with("-pub") => (404, MISSING.into()),
        _ => {
            (201, json!({ "id": "1d", "name": "k", "algorithm": "EC", "curveid": "prime256v1" }).to_string())
        }
    });
    let hsm = user(&server, &plain());
    assert_eq!(hsm.generate(&key(P384), soon()).unwrap_err().rv(), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_eq!(calls(&server).last().unwrap(), "DELETE /api/v1/vault/keys2/1d");
}

/// Deletes `k` at a server that has these resources, with ids `id-NAME`, and keeps the public half of a pair or not. The
/// outcome, and the deletions.
fn deleted(resources: Vec<Value>, keeps_half: bool) -> (Result<(), CK_RV>, Vec<String>) {
    let left = Mutex::new(resources);
    let server = with_tokens(move |seen| {
        let (method, path) = seen.target.split_once(' ').unwrap();
        let wanted = path.strip_prefix("/api/v1/vault/keys2/").unwrap();
        let mut left = left.lock();
        let id = |key: &Value| format!("id-{}", key["name"].as_str().unwrap());
        let found = left.iter().find(|key| key["name"] == wanted || id(key) == wanted).cloned();
        match (method, found) {
            (_, None) => (404, MISSING.into()),
            ("GET", Some(mut key)) => {
                key["id"] = id(&key).into();
                (200, key.to_string())
            }
            ("DELETE", Some(key)) if key["locked"] == true => (403, FORBIDDEN.into()),
            ("DELETE", Some(key)) => {
                left.retain(|other| other["name"] != key["name"] && (keeps_half || other["name"] != "k-pub"));
                (204, String::new())
            }
            _ => panic!("{}", seen.target),
        }
    });
    let outcome = user(&server, &plain()).delete(&"k".into(), soon()).map_err(|error| error.rv());
    let calls = calls(&server).into_iter();
    let ids = calls.filter_map(|call| Some(call.strip_prefix("DELETE /api/v1/vault/keys2/")?.to_owned()));
    (outcome, ids.collect())
}

fn pair(private: Value, public: Value) -> Vec<Value> {
    let half = |name: &str, kind: &str, mut more: Value| {
        (more["name"], more["algorithm"], more["objectType"]) = (name.into(), "EC".into(), kind.into());
        more
    };
    vec![half("k", "Private Key", private), half("k-pub", "Public Key", public)]
}

#[test]
fn both_halves_of_a_pair_are_deleted() {
    let none = || json!({});
    for keeps_half in [true, false] {
        let (outcome, calls) = deleted(pair(none(), none()), keeps_half);
        assert_eq!((outcome, &calls[..]), (Ok(()), &["id-k".to_owned(), "id-k-pub".to_owned()][..]));
    }
    // A pair whose public key is gone, or is not told.
    let (outcome, calls) = deleted(pair(none(), none()).drain(..1).collect(), true);
    assert_eq!((outcome, &calls[..]), (Ok(()), &["id-k".to_owned()][..]));
}

#[test]
fn another_key_whose_name_ends_so_stays() {
    let secret = |name: &str| json!({ "name": name, "algorithm": "AES" });
    let (outcome, calls) = deleted(vec![secret("k"), secret("k-pub")], true);
    assert_eq!((outcome, &calls[..]), (Ok(()), &["id-k".to_owned()][..]));
    let mut both = pair(json!({}), json!({}));
    both[1] = secret("k-pub");
    let (outcome, calls) = deleted(both, true);
    assert_eq!((outcome, &calls[..]), (Ok(()), &["id-k".to_owned()][..]));
}

#[test]
fn what_must_not_be_deleted_is_not() {
    let (free, kept) = (json!({ "undeletable": false }), json!({ "undeletable": true }));
    for resources in [pair(kept.clone(), free.clone()), pair(free.clone(), kept)] {
        assert_eq!(deleted(resources, true), (Err(CKR_ACTION_PROHIBITED), vec![]));
    }
    // The server says so when it is asked.
    let (outcome, calls) = deleted(pair(json!({ "locked": true }), free.clone()), true);
    assert_eq!((outcome, calls.len()), (Err(CKR_ACTION_PROHIBITED), 1));
    let (outcome, calls) = deleted(pair(free, json!({ "locked": true })), true);
    assert_eq!((outcome, calls.len()), (Err(CKR_ACTION_PROHIBITED), 2));
    assert_eq!(deleted(vec![], true), (Err(CKR_KEY_HANDLE_INVALID), vec![]));
}

#[test]
fn a_key_that_the_filter_hides_is_not_deleted() {
    let server = with_tokens(|_| (200, json!({ "name": "k", "algorithm": "AES" }).to_string()));
    let settings = config::CipherTrust { owner: Some("local|1".into()), ..plain() };
    let refused = user(&server, &settings).delete(&"k".into(), soon()).unwrap_err();
    assert_eq!(refused.rv(), CKR_KEY_HANDLE_INVALID);
    assert!(calls(&server).iter().all(|call| call.starts_with("GET ")), "{:?}", calls(&server));
}

#[test]
fn a_deletion_is_not_repeated() {
    let server = with_tokens(|seen| match seen.target.split_once(' ').unwrap() {
        ("GET", "/api/v1/vault/keys2/k") => (200, json!({ "name": "k", "algorithm": "AES" }).to_string()),
        ("GET", _) => (404, MISSING.into()),
        _ => (503, String::new()),
    });
    assert_eq!(user(&server, &plain()).delete(&"k".into(), soon()).unwrap_err().rv(), CKR_DEVICE_ERROR);
    // By its name where no id is told.
    let deletions: Vec<_> = calls(&server).into_iter().filter(|call| call.starts_with("DELETE ")).collect();
    assert_eq!(deletions, ["DELETE /api/v1/vault/keys2/k"]);
}
