//! What refusals mean, by the rules of a description and without, and what is told of a wrong one.

use cryptoki_sys::*;

use super::super::answer::Answer;
use super::super::errors::Purpose;
use super::super::*;
use super::flows::{P256, TRANSIT, describe, open, ready, sign, soon};
use crate::backend::scripted::Server;
use crate::transport::auth::GrantError;

/// What counts where no rule fits: the table of the page.
#[test]
fn refusals_without_a_rule() {
    for (status, body, at_login, else_) in [
        (400, "", CKR_PIN_INCORRECT, CKR_FUNCTION_FAILED),
        (401, "", CKR_PIN_INCORRECT, CKR_USER_NOT_LOGGED_IN),
        (403, "The account is LOCKED.", CKR_PIN_LOCKED, CKR_FUNCTION_REJECTED),
        (423, "locked", CKR_PIN_LOCKED, CKR_DEVICE_ERROR),
        (429, "locked", CKR_PIN_LOCKED, CKR_DEVICE_ERROR),
        (429, "slow down", CKR_DEVICE_ERROR, CKR_DEVICE_ERROR),
        (403, "Your IP address is blocked", CKR_PIN_INCORRECT, CKR_FUNCTION_REJECTED),
        (429, "clock skew too large", CKR_DEVICE_ERROR, CKR_DEVICE_ERROR),
        (403, "", CKR_PIN_INCORRECT, CKR_FUNCTION_REJECTED),
        (413, "", CKR_DEVICE_ERROR, CKR_DATA_LEN_RANGE),
        (404, "", CKR_DEVICE_ERROR, CKR_DEVICE_ERROR),
        (500, "", CKR_DEVICE_ERROR, CKR_DEVICE_ERROR),
        (302, "", CKR_DEVICE_ERROR, CKR_DEVICE_ERROR),
    ] {
        let server = Server::saying(status, body);
        let text = TRANSIT.split("[errors]").next().unwrap();
        let hsm = open(&server, text);
        assert_eq!(hsm.login(b"x", soon()).unwrap_err().rv(), at_login, "{status} {body}");
        let hsm = ready(&server, text);
        assert_eq!(sign(&hsm, "k", P256, &[7; 32]).unwrap_err().rv(), else_, "{status} {body}");
    }
}

#[test]
fn rules_look_at_status_code_message_and_call() {
    let text = r#"
version = 1
success = { status = "2xx", at = "/ok", equals = true }
[sign]
path = "/sign"
signature = "/s|hex"
[[sign.algorithm]]
mechanism = "CKM_ECDSA"
[list]
path = "/list"
items = "/k"
[errors]
status = "/status"
code = "/code"
message = "/message"
[[errors.rule]]
code = 7
on = ["sign"]
rv = "CKR_KEY_HANDLE_INVALID"
[[errors.rule]]
code = "E_LOCK"
rv = "CKR_PIN_LOCKED"
[[errors.rule]]
status = "5xx"
text = "too long"
rv = "CKR_DATA_LEN_RANGE"
[[errors.rule]]
status = [404, "5xx"]
rv = "CKR_FUNCTION_FAILED"
"#;
    for (status, body, sign_rv, list_rv) in [
        (200, r#"{"ok":false,"code":7}"#, CKR_KEY_HANDLE_INVALID, CKR_FUNCTION_FAILED),
        (200, r#"{"ok":false,"code":"7"}"#, CKR_KEY_HANDLE_INVALID, CKR_FUNCTION_FAILED),
        (418, r#"{"code":"E_LOCK"}"#, CKR_PIN_LOCKED, CKR_PIN_LOCKED),
        (
            200,
            r#"{"ok":true,"status":500,"message":"Much Too Long!"}"#,
            CKR_DATA_LEN_RANGE,
            CKR_DATA_LEN_RANGE,
        ),
        (200, r#"{"ok":true,"status":"500"}"#, CKR_FUNCTION_FAILED, CKR_FUNCTION_FAILED),
        (404, "no JSON", CKR_FUNCTION_FAILED, CKR_FUNCTION_FAILED),
        (200, r#"{"ok":false,"status":401}"#, CKR_USER_NOT_LOGGED_IN, CKR_USER_NOT_LOGGED_IN),
        (200, r#"{"ok":true}"#, CKR_DEVICE_ERROR, CKR_DEVICE_ERROR),
    ] {
        let server = Server::saying(status, body);
        let hsm = ready(&server, text);
        assert_eq!(sign(&hsm, "k", P256, &[7; 32]).unwrap_err().rv(), sign_rv, "{body}");
        assert_eq!(hsm.list(soon()).unwrap_err().rv(), list_rv, "{body}");
    }
}

#[test]
fn a_mistake_is_told_with_file_line_key_and_remedy() {
    let message = describe("version = 1\n[probe]\npath = \"sign\"\n", &[]).err().unwrap();
    assert_eq!(message, "x.toml:3: probe.path: does not begin with /; write path = \"/…\"");
    let message = describe("version = 1\n[sign\n", &[]).err().unwrap();
    assert!(message.starts_with("x.toml:2: ") && message.contains("is not TOML"), "{message}");
    let message = describe("verify = true\n", &[]).err().unwrap();
    assert!(message.contains("version: is missing"), "{message}");
    let message = describe("version = 2\n", &[]).err().unwrap();
    assert_eq!(message, "x.toml:1: version: is 2; write an integer from 1 to 1");
}

/// The gateway's own description; reference section 8, "401 bad signature".
#[test]
fn a_pin_is_blamed_for_what_it_brought() {
    let text = include_str!("../../../../pkcs11-test-config/jwt-hmac-gateway.toml");
    let errors = describe(text, &[]).unwrap().errors;
    let (bad_signature, wrong) = (r#"{"error":"BAD_SIGNATURE"}"#, r#"{"error":"invalid_grant"}"#);
    let locked = r#"{"error":"ACCOUNT_LOCKED"}"#;
    for (status, body, brought, rv) in [
        (401, bad_signature, &["hmac"][..], CKR_PIN_INCORRECT),
        (401, bad_signature, &["hmac", "password"], CKR_PIN_INCORRECT),
        (401, bad_signature, &["password"], CKR_DEVICE_ERROR),
        (401, wrong, &["password"], CKR_PIN_INCORRECT),
        (401, wrong, &["hmac", "password"], CKR_PIN_INCORRECT),
        (401, wrong, &["hmac"], CKR_DEVICE_ERROR),
        (401, wrong, &[], CKR_DEVICE_ERROR),
        (403, locked, &["password"], CKR_PIN_LOCKED),
        (403, locked, &["hmac"], CKR_DEVICE_ERROR),
    ] {
        let body = body.as_bytes().to_vec().into();
        let answer = transport::Response { status, retry_after: None, kept: Default::default(), body };
        let refusal = errors.refusal(&Answer::new(&answer));
        let pin = Pin::new(brought.to_vec(), true);
        assert_eq!(errors.login_error(&refusal, &pin).rv(), rv, "{status} {brought:?}");
        if status == 401 {
            let later = if answer.body.starts_with(br#"{"error":"B"#) {
                CKR_DEVICE_ERROR
            } else {
                CKR_USER_NOT_LOGGED_IN
            };
            assert_eq!(errors.rv(&refusal, Purpose::Sign), later);
            let renewal = transport::Error::from(GrantError::Refused(Arc::new(answer)));
            assert_eq!(errors.unanswered(Purpose::Sign, renewal).rv(), later);
        }
    }
    // Where nothing but the signature is shown, an unnamed refusal is of that.
    let answer = transport::Response {
        status: 401,
        retry_after: None,
        kept: Default::default(),
        body: Vec::new().into(),
    };
    let refusal = errors.refusal(&Answer::new(&answer));
    assert_eq!(errors.login_error(&refusal, &Pin::new(vec!["hmac"], false)).rv(), CKR_PIN_INCORRECT);
}
