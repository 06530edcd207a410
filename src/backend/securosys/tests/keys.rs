//! Keys that are made and deleted (sections 2.3 and 2.7).

use cryptoki_sys::{
    CKR_ACTION_PROHIBITED, CKR_ATTRIBUTE_VALUE_INVALID, CKR_DEVICE_ERROR, CKR_FUNCTION_FAILED,
};

use super::*;
use crate::backend::types::{KeySpec, NewKey, Protection, Usage};

fn generate(hsm: &Securosys) -> Result<KeyName> {
    let request = NewKey {
        label: "new",
        id: None,
        spec: KeySpec::Ed25519,
        usage: Usage { sign: true, ..Usage::default() },
        protection: Protection::UNTOLD,
    };
    hsm.generate(&request, soon())
}

fn refusal(code: u32) -> String {
    format!(r#"{{"errorCode":{code},"reason":"res.error.x","message":"…"}}"#)
}

#[test]
fn a_key_is_made_with_the_key_of_management() {
    let server = Server::saying(201, r#"{"xml":"…","json":{"label":"new","algorithm":"ED"}}"#);
    assert_eq!(generate(&open(&server, three_keys())).unwrap(), "new".into());
    assert_eq!(server.targets(), ["POST /v1/key"]);
    let seen = server.seen();
    assert_eq!(seen[0].key(), Some("m"));
    assert!(seen[0].body.contains(r#""curveOid":"1.3.101.112""#), "{}", seen[0].body);
}

#[test]
fn a_key_that_is_not_made() {
    for (status, code, rv) in [
        (400, 608, CKR_ATTRIBUTE_VALUE_INVALID),
        (400, 603, CKR_ATTRIBUTE_VALUE_INVALID),
        (400, 606, CKR_ATTRIBUTE_VALUE_INVALID),
        (400, 610, CKR_ATTRIBUTE_VALUE_INVALID),
        (500, 701, CKR_FUNCTION_FAILED),
        (401, 631, CKR_USER_NOT_LOGGED_IN),
    ] {
        let server = Server::saying(status, &refusal(code));
        assert_eq!(generate(&open(&server, three_keys())).unwrap_err().rv(), rv, "{code}");
    }
}

/// Nobody knows whether the key was made.
#[test]
fn an_order_that_a_gateway_drops_is_not_repeated() {
    for status in [502, 503, 504] {
        let server = Server::saying(status, "");
        let hsm = open(&server, three_keys());
        assert_eq!(generate(&hsm).unwrap_err().rv(), CKR_DEVICE_ERROR);
        assert_eq!(hsm.delete(&"old".into(), soon()).unwrap_err().rv(), CKR_DEVICE_ERROR);
        assert_eq!(server.targets(), ["POST /v1/key", "POST /v1/key/deleteKey"], "{status}");
    }
}

#[test]
fn a_key_is_deleted_at_servers_of_any_age() {
    let server = Server::saying(200, "");
    open(&server, three_keys()).delete(&"a/b".into(), soon()).unwrap();
    assert_eq!(server.targets(), ["POST /v1/key/deleteKey"]);
    assert_eq!(server.seen()[0].body, r#"{"label":"a/b"}"#);
    for (status, body) in [(404, String::new()), (405, "<html>".into()), (501, refusal(101))] {
        let server = Server::start(move |seen| match seen.target.as_str() {
            "POST /v1/key/deleteKey" => (status, body.clone()),
            _ => (200, String::new()),
        });
        open(&server, three_keys()).delete(&"a/b".into(), soon()).unwrap();
        assert_eq!(server.targets(), ["POST /v1/key/deleteKey", "DELETE /v1/key/a%2Fb"], "{status}");
    }
}

#[test]
fn a_key_that_is_not_deleted() {
    for (status, code, rv) in [
        (404, 650, CKR_KEY_HANDLE_INVALID),
        (400, 606, CKR_ACTION_PROHIBITED),
        (400, 614, CKR_ACTION_PROHIBITED),
        (400, 620, CKR_ACTION_PROHIBITED),
    ] {
        let server = Server::saying(status, &refusal(code));
        let outcome = open(&server, three_keys()).delete(&"old".into(), soon());
        assert_eq!(outcome.unwrap_err().rv(), rv, "{code}");
        assert_eq!(server.targets(), ["POST /v1/key/deleteKey"], "{code}");
    }
}
