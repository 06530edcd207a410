//! Certificates that are put beside keys and taken away (section 2.11).

use std::panic::resume_unwind;

use cryptoki_sys::{
    CKR_ACTION_PROHIBITED, CKR_ATTRIBUTE_VALUE_INVALID, CKR_DEVICE_ERROR, CKR_FUNCTION_FAILED,
    CKR_FUNCTION_NOT_SUPPORTED, CKR_OBJECT_HANDLE_INVALID, CKR_TOKEN_WRITE_PROTECTED,
};

use super::*;

const IMPORT: &str = "POST /v1/certificate/import/plain";

fn put(hsm: &Securosys, label: &str) -> Result<()> {
    hsm.put_certificate(&label.into(), &STANDARD.decode(CERTIFICATE).unwrap(), soon())
}

fn remove(hsm: &Securosys, label: &str) -> Result<()> {
    hsm.remove_certificate(&label.into(), soon())
}

fn code(outcome: Result<()>) -> CK_RV {
    outcome.unwrap_err().rv()
}

#[test]
fn a_certificate_goes_out_without_armour() {
    for status in [200, 201] {
        let server = Server::saying(status, "");
        let hsm = open(&server, three_keys());
        assert!(hsm.keeps_certificates());
        put(&hsm, "a b/c").unwrap();
        assert_eq!(server.targets(), [IMPORT], "{status}");
        let seen = server.seen();
        assert_eq!(seen[0].key(), Some("m"));
        assert_eq!(seen[0].body, format!(r#"{{"label":"a b/c","certificate":"{CERTIFICATE}"}}"#));
    }
}

#[test]
fn a_certificate_is_removed_and_its_key_is_not() {
    let server = Server::saying(200, "");
    remove(&open(&server, three_keys()), "a b/c").unwrap();
    assert_eq!(server.targets(), ["DELETE /v1/certificate/a%20b%2Fc"]);
    let seen = server.seen();
    assert_eq!((seen[0].key(), &*seen[0].body), (Some("m"), ""));
}

/// The sources disagree about the role (section 1.3); what the one has learnt holds for the other.
#[test]
fn both_go_over_to_the_role_that_works() {
    type Change = fn(&Securosys, &str) -> Result<()>;
    let orders: [[Change; 2]; 2] = [[put, remove], [remove, put]];
    for order in orders {
        let server = Server::start(|seen| match seen.key() {
            Some("o") => (200, String::new()),
            _ => (401, WRONG_KEY.into()),
        });
        let hsm = open(&server, three_keys());
        for change in order {
            change(&hsm, "k").unwrap();
        }
        let keys: Vec<_> = server.seen().iter().map(|seen| seen.key().unwrap().to_owned()).collect();
        assert_eq!(keys, ["m", "o", "o"]);
    }
}

/// Codes that `C_CreateObject` and `C_DestroyObject` may return, by the error codes of section 7.
#[test]
fn refusals() {
    for (status, error, of_put, of_remove) in [
        (404, 650, CKR_ATTRIBUTE_VALUE_INVALID, CKR_OBJECT_HANDLE_INVALID),
        (400, 402, CKR_ATTRIBUTE_VALUE_INVALID, CKR_OBJECT_HANDLE_INVALID),
        (400, 409, CKR_ATTRIBUTE_VALUE_INVALID, CKR_OBJECT_HANDLE_INVALID),
        (400, 613, CKR_ATTRIBUTE_VALUE_INVALID, CKR_OBJECT_HANDLE_INVALID),
        (400, 626, CKR_ATTRIBUTE_VALUE_INVALID, CKR_OBJECT_HANDLE_INVALID),
        (501, 101, CKR_TOKEN_WRITE_PROTECTED, CKR_ACTION_PROHIBITED),
        (400, 400, CKR_TOKEN_WRITE_PROTECTED, CKR_ACTION_PROHIBITED),
        (400, 401, CKR_TOKEN_WRITE_PROTECTED, CKR_ACTION_PROHIBITED),
        (400, 606, CKR_TOKEN_WRITE_PROTECTED, CKR_ACTION_PROHIBITED),
        (400, 614, CKR_TOKEN_WRITE_PROTECTED, CKR_ACTION_PROHIBITED),
        (400, 620, CKR_TOKEN_WRITE_PROTECTED, CKR_ACTION_PROHIBITED),
        (403, 451, CKR_FUNCTION_NOT_SUPPORTED, CKR_FUNCTION_NOT_SUPPORTED),
        (401, 631, CKR_USER_NOT_LOGGED_IN, CKR_USER_NOT_LOGGED_IN),
        (400, 600, CKR_FUNCTION_FAILED, CKR_FUNCTION_FAILED),
        (500, 701, CKR_FUNCTION_FAILED, CKR_FUNCTION_FAILED),
    ] {
        let server = Server::saying(status, &format!(r#"{{"errorCode":{error},"reason":"res.error.x"}}"#));
        let hsm = open(&server, three_keys());
        assert_eq!(code(put(&hsm, "k")), of_put, "{error}");
        assert_eq!(code(remove(&hsm, "k")), of_remove, "{error}");
    }
}

/// That a key has no certificate may be told by a status alone (section 14.4).
#[test]
fn refusals_without_a_word() {
    let answering = |status| Server::saying(status, "");
    assert_eq!(code(put(&open(&answering(404), three_keys()), "k")), CKR_DEVICE_ERROR);
    assert_eq!(code(put(&open(&answering(413), three_keys()), "k")), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_eq!(code(remove(&open(&answering(404), three_keys()), "k")), CKR_OBJECT_HANDLE_INVALID);
}

/// Nobody knows what became of them.
#[test]
fn what_a_gateway_drops_is_not_repeated() {
    for status in [502, 503, 504] {
        let server = Server::saying(status, "");
        let hsm = open(&server, three_keys());
        assert_eq!(code(put(&hsm, "k")), CKR_DEVICE_ERROR);
        assert_eq!(code(remove(&hsm, "k")), CKR_DEVICE_ERROR);
        assert_eq!(server.targets(), [IMPORT, "DELETE /v1/certificate/k"], "{status}");
    }
}

#[test]
fn what_got_no_answer_is_not_repeated() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let server = Server::start(move |seen| {
        log.lock().push(seen.target.clone());
        // The end of its thread is that of the connection.
        resume_unwind(Box::new("no answer"))
    });
    let hsm = open(&server, three_keys());
    assert_eq!(code(put(&hsm, "k")), CKR_DEVICE_ERROR);
    assert_eq!(code(remove(&hsm, "k")), CKR_DEVICE_ERROR);
    assert_eq!(*asked.lock(), [IMPORT, "DELETE /v1/certificate/k"]);
    assert!(hsm.certificates(&names(&["k"]), soon())[0].is_err());
    assert!(asked.lock().len() > 3, "a read is repeated");
}
