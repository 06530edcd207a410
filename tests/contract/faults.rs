//! What becomes of a call when the HSM, or the way to it, misbehaves.

use std::time::{Duration, Instant};

use cryptoki_sys::*;
use serde_json::{Value, json};

use super::{Case, EC, Purpose, private, public};
use crate::support::p11::{Called, refused};
use crate::support::session::Session;

const SIGN: CK_MECHANISM_TYPE = CKM_ECDSA_SHA256;

fn sign(session: &Session, key: CK_OBJECT_HANDLE) -> Called<Vec<u8>> {
    session.sign_init(&SIGN.into(), key).unwrap();
    session.sign(b"data")
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
    let (method, path) = case.dialect.request(Purpose::Sign);
    case.emulator.stats().requests.get(&format!("{method} {path}")).copied().unwrap_or(0)
}

fn verifies(session: &Session, signature: &[u8]) {
    session.verify_init(&SIGN.into(), public(session, EC)).unwrap();
    session.verify(b"data", signature).unwrap();
}

/// The call fails with the fault, and the next one, without it, succeeds.
fn fails_while_it_lasts(case: &Case, broken: Value) {
    fails_while_it_lasts_in(case, &case.user(), broken);
}

fn fails_while_it_lasts_in(case: &Case, session: &Session, broken: Value) {
    let key = private(session, EC);
    fault(case, broken);
    refused(sign(session, key), CKR_DEVICE_ERROR);
    refused(session.sign(b"data"), CKR_OPERATION_NOT_INITIALIZED);
    case.emulator.heal();
    verifies(session, &sign(session, key).unwrap());
}

/// A rival fails, or waits a whole second.
pub fn unavailable_once(case: &Case) {
    let session = case.user();
    let key = private(&session, EC);
    for status in [502, 503, 504, 429] {
        fault(case, json!({ "status": status, "count": 1 }));
        let (before, start) = (asked(case), Instant::now());
        verifies(&session, &sign(&session, key).unwrap());
        assert!(start.elapsed() < Duration::from_secs(1), "{status}: {:?}", start.elapsed());
        assert_eq!(asked(case) - before, 2, "{status}");
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
    fails_while_it_lasts(case, json!({ "status": 200, "body": { "signature": "" } }));
    fails_while_it_lasts(case, json!({ "status": 200, "body": { "signature": "AAAA" } }));
    fails_while_it_lasts(case, json!({ "status": 200, "body": { "signature": 7 } }));
}

/// Servers close idle connections when they like.
pub fn a_connection_closed_while_idle(case: &Case) {
    let session = case.user();
    let key = private(&session, EC);
    sign(&session, key).unwrap();
    case.emulator.restart();
    assert_eq!(asked(case), 0, "another life of the emulator");
    verifies(&session, &sign(&session, key).unwrap());
    assert_eq!(asked(case), 1);
}

/// The request went out on a kept connection that the server was closing just then.
pub fn a_connection_closed_instead_of_an_answer(case: &Case) {
    let session = case.user();
    let key = private(&session, EC);
    for _ in 0..5 {
        fault(case, json!({ "action": "close", "count": 1 }));
        verifies(&session, &sign(&session, key).unwrap());
    }
    fails_while_it_lasts_in(case, &session, json!({ "action": "close" }));
}

pub fn a_reset_once(case: &Case) {
    let session = case.user();
    let key = private(&session, EC);
    fault(case, json!({ "action": "reset", "count": 1 }));
    verifies(&session, &sign(&session, key).unwrap());
}

/// The slot gives a call half a second.
pub fn an_hsm_that_says_nothing(case: &Case) {
    let session = case.user();
    let key = private(&session, EC);
    fault(case, json!({ "action": "stall", "ms": 3000 }));
    let start = Instant::now();
    refused(sign(&session, key), CKR_DEVICE_ERROR);
    let took = start.elapsed();
    assert!((Duration::from_millis(450)..Duration::from_millis(2500)).contains(&took), "{took:?}");
    case.emulator.heal();
    verifies(&session, &sign(&session, key).unwrap());
}

pub fn a_refused_credential(case: &Case) {
    let session = case.user();
    let key = private(&session, EC);
    fault(case, json!({ "status": 401, "body": "no", "content_type": "text/plain" }));
    let before = asked(case);
    refused(sign(&session, key), CKR_USER_NOT_LOGGED_IN);
    assert_eq!(asked(case) - before, 1, "a credential that was typed is not tried again");
    case.emulator.heal();
    verifies(&session, &sign(&session, key).unwrap());
}

/// A rival's listing fails with one key that it does not understand.
pub fn one_unreadable_key_spoils_no_listing(case: &Case) {
    let (method, path) = case.dialect.request(Purpose::Describe);
    let body = json!({ "json": { "label": "odd", "algorithm": "KYBER-9000", "publicKey": "*" } });
    case.emulator.fault(&json!({ "method": method, "path": path, "status": 200, "body": body, "count": 1 }));
    case.emulator.fault(&json!({ "method": method, "path": path, "status": 500, "count": 1 }));
    let session = case.user();
    let found = session.labels(&[]);
    let keys: std::collections::BTreeSet<_> = found.iter().collect();
    // Of seven keys two answered nonsense.
    assert_eq!(keys.len(), 5, "{found:?}");
    // Later they may be read.
    let again = session.labels(&[]);
    assert!(again.len() >= found.len(), "{again:?}");
}
