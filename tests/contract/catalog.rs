//! Searches when there is more to know of the keys than the HSM tells, or tells in time, or than is kept.

use std::thread;
use std::time::{Duration, Instant};

use cryptoki_sys::*;
use serde_json::json;

use super::{Case, Purpose, certificate, private, public, seed};
use crate::support::p11::Code;
use crate::support::session::{Session, bytes, number};

/// The labels of all objects that the HSM has, but those of some keys.
fn all_but(case: &Case, missing: &[&str]) -> Vec<&'static str> {
    let mut all = case.seed().objects();
    all.retain(|label| !missing.contains(label));
    all
}

/// The first search passes it over, and so does the next one, which knows that it could not be read; the listing is
/// believed for 200 ms only.
pub fn a_key_that_cannot_be_read_spoils_no_search(case: &Case) {
    let (session, spoilt) = (case.user(), case.seed().other());
    case.emulator.fault(&case.describing(spoilt, case.dialect.unreadable()));
    let before = session.find(&[]).unwrap();
    for search in ["first", "at once", "after a new listing", "after another"] {
        assert_eq!(session.labels(&[]), all_but(case, &[spoilt]), "{search}");
        assert_eq!(session.find(&[]), Ok(before.clone()), "{search}: the same handles");
        assert_eq!(
            session.labels(&[number(CKA_CLASS, CKO_PRIVATE_KEY), number(CKA_KEY_TYPE, CKK_EC)]),
            case.seed().ec.iter().filter(|label| **label != spoilt).copied().collect::<Vec<_>>()
        );
        assert_eq!(
            session.find(&[bytes(CKA_LABEL, case.rsa())]).unwrap().len(),
            case.seed().objects_of(case.rsa()),
            "{search}: by label"
        );
        if search != "first" {
            thread::sleep(Duration::from_millis(250));
        }
    }
    case.emulator.heal();
    thread::sleep(Duration::from_millis(250));
    assert_eq!(session.labels(&[]), all_but(case, &[]), "healed");
}

/// A listing that is cut short would tell an application that its keys are gone: the call fails, and the next one goes
/// on where it stopped. Reading them one by one takes longer than the half second that a call has.
pub fn a_listing_that_takes_too_long_goes_on_with_the_next_call(case: &Case) {
    let session = case.user();
    let (method, path) = case.dialect.request(Purpose::Describe);
    let ms = (600 / case.seed().private_objects().len()).max(100);
    case.emulator.fault(&json!({ "method": method, "path": path, "action": "stall", "ms": ms }));
    let start = Instant::now();
    assert_eq!(session.find_init(&[]), Err(Code(CKR_DEVICE_ERROR)));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    for attempt in 0.. {
        match session.find(&[]) {
            Ok(_) => break,
            Err(code) => assert_eq!(code, Code(CKR_DEVICE_ERROR)),
        }
        assert!(attempt < 10, "it gets nowhere");
    }
    assert_eq!(session.labels(&[]), all_but(case, &[]));
}

/// One key for which the HSM never answers costs a call or two, and then the others are there.
pub fn a_key_that_stalls_holds_up_no_other(case: &Case) {
    let (session, stalled) = (case.user(), case.seed().other());
    case.emulator.fault(&case.describing(stalled, json!({ "action": "stall", "ms": 3000 })));
    let calls = (1..10).find(|_| session.find(&[]).is_ok());
    assert!(calls.is_some_and(|calls| calls <= 3), "{calls:?}");
    assert_eq!(session.labels(&[]), all_but(case, &[stalled]));
    case.emulator.heal();
}

/// Searches and handles do not depend on what happens to be in memory, which is three of all keys here.
pub fn more_keys_than_are_kept(case: &Case) {
    let session = case.user();
    let objects = session.find(&[]).unwrap();
    thread::scope(|scope| {
        for turn in 0..4 {
            let objects = &objects;
            scope.spawn(move || {
                let session = case.session();
                // Each thread wants them in another order.
                let mut mine = objects.clone();
                mine.rotate_left(3 * turn);
                for _ in 0..3 {
                    assert_eq!(session.find(&[]).as_ref(), Ok(objects));
                    everything_is_found(case, &session);
                    for object in &mine {
                        session.attribute(*object, CKA_LABEL).unwrap();
                    }
                }
            });
        }
    });
    // Whether a certificate from a file belongs to a key does not depend on it either.
    let files = [case.signer().label, "authority"];
    assert_eq!(session.labels(&[]), seed::sorted(&[&case.seed().objects(), &files]));
}

fn everything_is_found(case: &Case, session: &Session) {
    for label in case.seed().pairs() {
        let id = session.attribute(private(session, label), CKA_ID).unwrap();
        assert_eq!(session.attribute(public(session, label), CKA_ID).unwrap(), id);
    }
    for label in case.seed().certified {
        session.attribute(certificate(session, label), CKA_VALUE).unwrap();
    }
    assert_eq!(session.labels(&[number(CKA_CLASS, CKO_SECRET_KEY)]), case.seed().secrets());
}
