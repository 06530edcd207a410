//! Listings in pages, and what a key is.

use cryptoki_sys::CKR_DEVICE_ERROR;

use super::*;
use crate::backend::types::{KeyKind, Usage};

/// The point of the base of P-256 (SEC 2 section 2.4.2), as `openssl pkey -pubout` writes it.
const EC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n\
    6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n\
    -----END PUBLIC KEY-----\n";

/// The number behind `name=` in a target.
fn parameter(target: &str, name: &str) -> usize {
    let (_, query) = target.split_once('?').unwrap();
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    value.unwrap().parse().unwrap()
}

/// A vault of `all` keys that gives at most `most` in a page.
fn vault(all: Vec<Value>, most: usize, tells_total: bool) -> Server {
    with_tokens(move |seen| {
        let (skip, limit) = (parameter(&seen.target, "skip"), parameter(&seen.target, "limit"));
        let page: Vec<_> = all.iter().skip(skip).take(limit.min(most)).collect();
        let mut answer = json!({ "resources": page });
        if tells_total {
            answer["total"] = all.len().into();
        }
        (200, answer.to_string())
    })
}

fn aes(name: &str) -> Value {
    json!({ "name": name, "algorithm": "AES", "size": 256, "objectType": "Symmetric Key" })
}

fn listed(server: &Server, settings: &config::CipherTrust) -> Vec<String> {
    let names = user(server, settings).list(soon()).unwrap();
    names.iter().map(ToString::to_string).collect()
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("key-{number:03}")).collect()
}

#[test]
fn all_pages_are_read() {
    let names = numbered(23);
    for (most, tells_total, pages) in [(10, true, 3), (10, false, 4), (23, true, 1), (100, false, 2)] {
        let server = vault(names.iter().map(|name| aes(name)).collect(), most, tells_total);
        assert_eq!(listed(&server, &plain()), names);
        let calls = calls(&server);
        assert_eq!(calls[0], "GET /api/v1/vault/keys2?skip=0&limit=200");
        assert_eq!(calls.len(), pages, "{most} {tells_total}");
    }
}

#[test]
fn a_server_without_pages_is_not_asked_for_ever() {
    for total in [Some(3), None] {
        let server = with_tokens(move |_| {
            let mut answer = json!({ "resources": [aes("a"), aes("b"), aes("c")] });
            if let Some(total) = total {
                answer["total"] = total.into();
            }
            (200, answer.to_string())
        });
        assert_eq!(listed(&server, &plain()), ["a", "b", "c"]);
        assert!(calls(&server).len() <= 2);
    }
    // One that counts what it does not give.
    let server = with_tokens(|seen| {
        let some = if parameter(&seen.target, "skip") == 0 { vec![aes("a")] } else { vec![] };
        (200, json!({ "resources": some, "total": 9 }).to_string())
    });
    assert_eq!(listed(&server, &plain()), ["a"]);
}

/// Each version of a key is a row: a page may have nothing new, and be followed by one that has.
#[test]
fn versions_are_one_key() {
    let rows = ["a", "a", "a", "a", "a", "b", "b"].map(aes).to_vec();
    assert_eq!(listed(&vault(rows, 2, true), &plain()), ["a", "b"]);
}

#[test]
fn a_pair_has_one_name() {
    let typed = |name: &str, kind: &str| json!({ "name": name, "algorithm": "EC", "objectType": kind });
    let rows = vec![
        typed("a", "Private Key"),
        typed("a-pub", "Public Key"),
        typed("lone-pub", "Public Key"),
        json!({ "name": "b", "algorithm": "rsa" }),
        json!({ "name": "b-pub", "algorithm": "rsa" }),
        aes("c"),
        aes("c-pub"),
    ];
    assert_eq!(listed(&vault(rows, 100, true), &plain()), ["a", "lone-pub", "b", "c", "c-pub"]);
}

#[test]
fn owners_and_labels_filter() {
    let key = |name: &str, owner: &str, env: &str| json!({ "name": name, "algorithm": "AES", "meta": { "ownerId": owner }, "labels": { "env": env } });
    let rows =
        vec![key("a", "local|1", "prod"), key("b", "local|2", "prod"), key("c", "local|1", "test"), aes("d")];
    let owner = Some("local|1".to_owned());
    let labels = vec![("env".to_owned(), "prod".to_owned())];
    for (owner, labels, expected) in [
        (owner.clone(), vec![], &["a", "c"][..]),
        (None, labels.clone(), &["a", "b"]),
        (owner, labels, &["a"]),
        (None, vec![], &["a", "b", "c", "d"]),
    ] {
        let settings = config::CipherTrust { owner, labels, ..plain() };
        for row in &rows {
            let told = row.clone();
            let server = with_tokens(move |_| (200, told.to_string()));
            let name = row["name"].as_str().unwrap();
            let shown = user(&server, &settings).describe(&[name.into()], soon()).remove(0).unwrap();
            assert_eq!(shown.is_some(), expected.contains(&name), "{name} by its name");
        }
        assert_eq!(listed(&vault(rows.clone(), 100, true), &settings), expected);
    }
}

/// What is told of the keys with these names, by a server that has these resources.
fn described(resources: Vec<Value>, names: &[&str]) -> (Server, Vec<Result<Option<KeyInfo>>>) {
    let server = with_tokens(move |seen| {
        let (method, path) = seen.target.split_once(' ').unwrap();
        let name = path.strip_prefix("/api/v1/vault/keys2/").unwrap();
        let exported = name.strip_suffix("/export");
        assert_eq!(method, if exported.is_some() { "POST" } else { "GET" });
        let wanted = exported.unwrap_or(name);
        let has_name = |key: &&Value| key["name"] == wanted;
        match resources.iter().find(has_name).cloned() {
            Some(mut key) => {
                let secret = key.as_object_mut().unwrap().remove("exported");
                if let Some(material) = secret.filter(|_| exported.is_some()) {
                    key["material"] = material;
                }
                (200, key.to_string())
            }
            None => (404, MISSING.into()),
        }
    });
    let hsm = user(&server, &plain());
    let names: Vec<KeyName> = names.iter().map(|name| KeyName::from(*name)).collect();
    let told = hsm.describe(&names, soon());
    (server, told)
}

#[test]
fn the_public_key_is_found_in_each_place() {
    let private = json!({ "name": "k", "algorithm": "EC", "objectType": "Private Key", "usageMask": 1 });
    let mut with_key = private.clone();
    with_key["publickey"] = EC.into();
    let half = |field: &str| {
        let mut half = json!({ "name": "k-pub", "algorithm": "EC", "objectType": "Public Key" });
        half[field] = EC.into();
        half
    };
    for (resources, requests) in [
        (vec![with_key], 1),
        (vec![private.clone(), half("publickey")], 2),
        (vec![private.clone(), half("material")], 2),
        (vec![private.clone(), half("exported")], 3),
    ] {
        let (server, told) = described(resources, &["k"]);
        let info = told[0].as_ref().unwrap().clone().unwrap();
        assert!(matches!(info.kind, KeyKind::Pair(_)), "{info:?}");
        assert_eq!(info.usage, Usage { sign: true, decrypt: false, unwrap: false, derive: false });
        assert_eq!(calls(&server).len(), requests);
    }
    // Nowhere: it is a pair all the same, of which too little is known.
    let (_, told) = described(vec![private], &["k"]);
    assert!(matches!(told[0].as_ref().unwrap().as_ref().unwrap().kind, KeyKind::Other(_)));
    // A public key alone.
    let (_, told) = described(vec![half("publickey")], &["k-pub"]);
    assert!(matches!(told[0].as_ref().unwrap().as_ref().unwrap().kind, KeyKind::Public(_)));
}

#[test]
fn half_a_pair_is_no_key_of_its_own() {
    let half = json!({ "name": "k-pub", "algorithm": "EC", "objectType": "Public Key", "publickey": EC });
    let private = json!({ "name": "k", "algorithm": "EC", "objectType": "Private Key" });
    let (server, told) = described(vec![private, half.clone()], &["k-pub"]);
    assert!(matches!(told[..], [Ok(None)]), "{told:?}");
    assert_eq!(calls(&server), ["GET /api/v1/vault/keys2/k-pub", "GET /api/v1/vault/keys2/k"]);
    let (_, told) = described(vec![half], &["k-pub"]);
    assert!(matches!(told[..], [Ok(Some(_))]), "{told:?}");
}

#[test]
fn secret_keys_and_what_may_be_done_with_them() {
    let secret = |algorithm: &str, mask: Value| {
        json!({ "name": "k", "algorithm": algorithm, "size": 256, "usageMask": mask,
                "unexportable": false, "undeletable": true })
    };
    let hmac = KeyKind::Hmac { hash: Hash::Sha256, bytes: Some(32) };
    for (key, kind, sign, decrypt) in [
        (secret("AES", json!(12)), KeyKind::Aes(Some(32)), false, true),
        (secret("aes", json!(4)), KeyKind::Aes(Some(32)), false, true),
        (secret("aes", json!(64)), KeyKind::Aes(Some(32)), false, false),
        (secret("aes", Value::Null), KeyKind::Aes(Some(32)), false, true),
        (secret("HMAC-SHA256", json!(384)), hmac.clone(), true, false),
        (secret("hmac-sha256", json!(12)), hmac, false, false),
        (secret("tdes", json!(12)), KeyKind::Other("tdes".into()), false, true),
    ] {
        let (_, told) = described(vec![key.clone()], &["k"]);
        let info = told[0].as_ref().unwrap().clone().unwrap();
        assert_eq!((&info.kind, info.usage.sign, info.usage.decrypt), (&kind, sign, decrypt), "{key}");
        assert!(info.protection.extractable && !info.protection.destroyable && info.protection.sensitive);
    }
}

#[test]
fn one_key_that_is_not_told_spoils_no_other() {
    let (_, told) =
        described(vec![aes("a"), json!({ "name": "b", "size": "big" }), aes("c")], &["a", "b", "gone", "c"]);
    assert!(matches!(told[0], Ok(Some(_))) && matches!(told[3], Ok(Some(_))), "{told:?}");
    assert_eq!(told[1].as_ref().unwrap_err().rv(), CKR_DEVICE_ERROR);
    assert!(matches!(told[2], Ok(None)), "{told:?}");
}

/// A proxy, say, that answers 200 to everything.
#[test]
fn an_answer_about_another_key_is_none() {
    let server = with_tokens(|_| (200, aes("other").to_string()));
    let told = user(&server, &plain()).describe(&["k".into()], soon());
    assert_eq!(told[0].as_ref().unwrap_err().rv(), CKR_DEVICE_ERROR);
}

#[test]
fn a_key_that_the_account_may_not_see_is_none() {
    let server = with_tokens(|_| (403, r#"{"code":19,"message":"not permitted"}"#.into()));
    assert!(matches!(user(&server, &plain()).describe(&["k".into()], soon())[..], [Ok(None)]));
}
