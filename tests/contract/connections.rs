//! How many connections the module needs.

use std::thread;

use cryptoki_sys::*;

use super::{Case, Purpose, private, public};
use crate::support::session::Session;

fn signed(case: &Case, session: &Session, key: CK_OBJECT_HANDLE, data: &[u8]) -> Vec<u8> {
    session.sign_init(&case.signer().kind.into(), key).unwrap();
    session.sign(data).unwrap()
}

pub fn a_thousand_signatures_take_one(case: &Case) {
    let before = case.emulator.stats();
    let session = case.session();
    session.login(case.dialect.pin()).unwrap();
    let after_login = case.emulator.stats();
    assert_eq!(after_login.connections - before.connections, 1);
    let key = private(&session, case.signer().label);
    // Keys that are asked about one by one are so on several at once.
    let found = case.emulator.stats();
    for number in 0..1000_u32 {
        signed(case, &session, key, &number.to_be_bytes());
    }
    let after = case.emulator.stats();
    assert_eq!(after.connections, found.connections);
    assert!(after.total - found.total >= 1000);
    let tls = u64::from(case.emulator.is_tls());
    assert_eq!(after.handshakes - before.handshakes, tls * (found.connections - before.connections));
}

pub fn threads_share_them(case: &Case) {
    const THREADS: u64 = 32;
    let (owner, signer) = (case.user(), case.signer());
    let (key, public_key) = (private(&owner, signer.label), public(&owner, signer.label));
    let (before, asked) = (case.emulator.stats(), case.asked(Purpose::Sign));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let session = case.session();
                for number in 0..50 {
                    let data = format!("{thread}/{number}");
                    let signature = signed(case, &session, key, data.as_bytes());
                    session.verify_init(&signer.kind.into(), public_key).unwrap();
                    session.verify(data.as_bytes(), &signature).unwrap();
                }
            });
        }
    });
    let after = case.emulator.stats();
    assert!(after.connections - before.connections <= THREADS);
    assert_eq!(case.asked(Purpose::Sign) - asked, THREADS * 50);
    assert_eq!(after.total - before.total, THREADS * 50, "and nothing else");
    assert_eq!(case.p11.token_info(case.slot).unwrap().ulSessionCount, 1);
}
