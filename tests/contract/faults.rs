//! What becomes of a call when the HSM, or the way to it, misbehaves.

use std::time::{Duration, Instant};

use cryptoki_sys::*;
use serde_json::{Value, json};

use super::{Case, Purpose, private, public};
use crate::support::p11::{Called, refused};
use crate::support::session::Session;

fn sign(case: &Case, session: &Session, key: CK_OBJECT_HANDLE) -> Called<Vec<u8>> {
    session.sign_init(&case.signer().kind.into(), key).unwrap();
    session.sign(b"data")
}

fn key_of(case: &Case, session: &Session) -> CK_OBJECT_HANDLE {
    private(session, case.signer().label)
}

/// A fault of the requests for signatures.
fn fault(case: &Case, more: Value) {
    let (method, path) = case.dialect.request(Purpose::Sign);
    let mut fault = json!({ "method": method, "path": path });
    fault.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    case.emulator.fault(&fault);
}

/// Requests for signatures so far.
fn asked(case: &Case) -> u64 {
    case.asked(Purpose::Sign)
}

fn verifies(case: &Case, session: &Session, signature: &[u8]) {
    let signer = case.signer();
    session.verify_init(&signer.kind.into(), public(session, signer.label)).unwrap();
    session.verify(b"data", signature).unwrap();
}

/// The call fails with the fault, and the next one, without it, succeeds.
fn fails_while_it_lasts(case: &Case, broken: Value) {
    fails_while_it_lasts_in(case, &case.user(), broken);
}

fn fails_while_it_lasts_in(case: &Case, session: &Session, broken: Value) {
    let key = key_of(case, session);
    fault(case, broken);
    refused(sign(case, session, key), CKR_DEVICE_ERROR);
    refused(session.sign(b"data"), CKR_OPERATION_NOT_INITIALIZED);
    case.emulator.heal();
    verifies(case, session, &sign(case, session, key).unwrap());
}

/// A rival fails, or waits a whole second.
pub fn unavailable_once(case: &Case) {
    let session = case.user();
    let key = key_of(case, &session);
    for status in [502, 503, 504, 429] {
        fault(case, json!({ "status": status, "count": 1 }));
        let (before, start) = (asked(case), Instant::now());
        verifies(case, &session, &sign(case, &session, key).unwrap());
        assert!(start.elapsed() < Duration::from_secs(1), "{status}: {:?}", start.elapsed());
        assert_eq!(asked(case) - before, 2, "{status}");
    }
}

/// Each may be a legal signature, or cost something.
pub fn a_signature_is_asked_for_once(case: &Case) {
    let session = case.user();
    let key = key_of(case, &session);
    for broken in [json!({ "status": 502, "count": 1 }), json!({ "action": "truncate", "count": 1 })] {
        fault(case, broken);
        let before = asked(case);
        refused(sign(case, &session, key), CKR_DEVICE_ERROR);
        assert_eq!(asked(case) - before, 1);
        verifies(case, &session, &sign(case, &session, key).unwrap());
    }
}

pub fn unavailable_for_good(case: &Case) {
    fails_while_it_lasts(case, json!({ "status": 503 }));
}

pub fn a_truncated_answer(case: &Case) {
    fails_while_it_lasts(case, json!({ "action": "truncate" }));
}

pub fn an_answer_that_is_no_json(case: &Case) {
    let html = "<html>Welcome to the proxy</html>";
    fails_while_it_lasts(case, json!({ "status": 200, "body": html, "content_type": "text/html" }));
    fails_while_it_lasts(case, json!({ "status": 200, "body": "" }));
    fails_while_it_lasts(case, json!({ "status": 200, "body": "[]" }));
    fails_while_it_lasts(case, json!({ "status": 404, "body": html, "content_type": "text/html" }));
}

pub fn an_answer_without_a_signature(case: &Case) {
    fails_while_it_lasts(case, json!({ "action": "drop_signature" }));
    for body in case.dialect.empty_signatures() {
        fails_while_it_lasts(case, json!({ "status": 200, "body": body }));
    }
}

/// Servers close idle connections when they like.
pub fn a_connection_closed_while_idle(case: &Case) {
    let session = case.user();
    let key = key_of(case, &session);
    sign(case, &session, key).unwrap();
    case.emulator.restart();
    assert_eq!(asked(case), 0, "another life of the emulator");
    verifies(case, &session, &sign(case, &session, key).unwrap());
    // A new life of the HSM may know nothing of the old one's tokens: the refusal is counted too.
    assert!((1..=1 + u64::from(case.able("tokens"))).contains(&asked(case)));
}

/// The request went out on a kept connection that the server was closing just then.
pub fn a_connection_closed_instead_of_an_answer(case: &Case) {
    let session = case.user();
    let key = key_of(case, &session);
    for _ in 0..5 {
        fault(case, json!({ "action": "close", "count": 1 }));
        verifies(case, &session, &sign(case, &session, key).unwrap());
    }
    fails_while_it_lasts_in(case, &session, json!({ "action": "close" }));
}

pub fn a_reset_once(case: &Case) {
    let session = case.user();
    let key = key_of(case, &session);
    fault(case, json!({ "action": "reset", "count": 1 }));
    verifies(case, &session, &sign(case, &session, key).unwrap());
}

/// The slot gives a call half a second.
pub fn an_hsm_that_says_nothing(case: &Case) {
    let session = case.user();
    let key = key_of(case, &session);
    fault(case, json!({ "action": "stall", "ms": 3000 }));
    let start = Instant::now();
    refused(sign(case, &session, key), CKR_DEVICE_ERROR);
    let took = start.elapsed();
    assert!((Duration::from_millis(450)..Duration::from_millis(2500)).contains(&took), "{took:?}");
    case.emulator.heal();
    verifies(case, &session, &sign(case, &session, key).unwrap());
}

pub fn a_refused_credential(case: &Case) {
    let session = case.user();
    let key = key_of(case, &session);
    fault(case, json!({ "status": 401, "body": "no", "content_type": "text/plain" }));
    let before = (asked(case), case.asked(Purpose::Login));
    refused(sign(case, &session, key), CKR_USER_NOT_LOGGED_IN);
    let tries = (asked(case) - before.0, case.asked(Purpose::Login) - before.1);
    match case.able("tokens") {
        // A new token is worth a try, and so is another way to show it; a third time is not.
        true => assert!((2..=3).contains(&tries.0) && tries.1 <= 1, "{tries:?}"),
        false => assert_eq!(tries, (1, 0), "a credential that was typed is not tried again"),
    }
    case.emulator.heal();
    verifies(case, &session, &sign(case, &session, key).unwrap());
}

/// A rival's listing fails with one key that it does not understand.
pub fn one_unreadable_key_spoils_no_listing(case: &Case) {
    let (method, path) = case.dialect.request(Purpose::Describe);
    let body = case.dialect.odd_description();
    case.emulator.fault(&json!({ "method": method, "path": path, "status": 200, "body": body, "count": 1 }));
    // Of two keys one at least has to be there.
    let spoilt = 2.min(case.seed().private().len() - 1);
    if spoilt > 1 {
        case.emulator.fault(&json!({ "method": method, "path": path, "status": 500, "count": 1 }));
    }
    let session = case.user();
    let found = session.labels(&[]);
    let keys: std::collections::BTreeSet<_> = found.iter().collect();
    let all: std::collections::BTreeSet<_> = case.seed().objects().into_iter().collect();
    assert_eq!(keys.len(), all.len() - spoilt, "{spoilt} answered nonsense: {found:?}");
    // Later they may be read.
    let again = session.labels(&[]);
    assert!(again.len() >= found.len(), "{again:?}");
}
