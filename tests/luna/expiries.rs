//! Tokens, and sessions of the appliance, that end in the middle of the work.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use cryptoki_sys::*;
use reqwest::Method;
use serde_json::{Value, json};

use super::{LOGIN, SESSION, count, session_of, sessions, slot, switch, turn, write};
use crate::support::emulator::{Emulator, PIN};
use crate::support::p11::P11;
use crate::support::session::{Session, number};

const SIGNATURES: u64 = 240;
const EXPIRIES: u64 = 6;
const THREADS: u64 = 4;
const JWT: &str = "POST /auth/jwt";
const CIPHERTRUST: &str = "POST /auth/tokens";

/// The appliance gives tokens, and so does the slot that signs; the listing is old at once, so that each search asks the
/// appliance.
fn configured(luna: &Emulator, other: &Emulator, lines: &str) -> &'static P11 {
    let lines = format!(
        "login = \"jwt\"\napi_version = 5\n{lines}\n[slot.crypto]\nslot = \"crypto\"\n[slot.catalog]\n\
         refresh = \"0s\""
    );
    let crypto = format!(
        "[[slot]]\nlabel = \"crypto\"\nbackend = \"ciphertrust\"\nhidden = true\nurls = [\"{}\"]\n[slot.auth]\n\
         user = \"p11rest\"\npassword = \"{PIN}\"\n",
        other.url()
    );
    let path = write(luna, &format!("{}{crypto}", slot("luna", luna, &lines)));
    let p11 = P11::load();
    let _ = p11.finalize();
    p11.initialize(&path).unwrap();
    p11
}

/// Signs in several threads, while another searches. Whoever makes each 40th signature calls `end` first: the others have
/// theirs on the way then.
fn signs_through(luna: &Emulator, p11: &'static P11, slot: CK_SLOT_ID, end: impl Fn() + Sync) {
    let all_found = |session: &Session| {
        assert_eq!(session.find(&[number(CKA_CLASS, CKO_PRIVATE_KEY)]).unwrap().len(), 7);
    };
    let owner = p11.open(slot).unwrap();
    owner.login(PIN).unwrap();
    let [key, public] = [CKO_PRIVATE_KEY, CKO_PUBLIC_KEY].map(|class| owner.the(class, "ec-p256"));
    let (next, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let sign = || {
        let session = p11.open(slot).unwrap();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= SIGNATURES {
                return;
            }
            if number.is_multiple_of(SIGNATURES / EXPIRIES) {
                end();
            }
            let data = format!("data {number}");
            session.sign_init(&CKM_ECDSA_SHA256.into(), key).unwrap();
            let signature = session.sign(data.as_bytes());
            let signature = signature.unwrap_or_else(|code| panic!("{data}: {code:?}"));
            session.verify_init(&CKM_ECDSA_SHA256.into(), public).unwrap();
            session.verify(data.as_bytes(), &signature).unwrap();
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let session = p11.open(slot).unwrap();
            while !done.load(Ordering::Relaxed) {
                all_found(&session);
            }
        });
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(sign)).collect();
        let outcomes: Vec<_> = threads.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        outcomes.into_iter().for_each(Result::unwrap);
    });
    all_found(&owner);
    assert_eq!(owner.info().unwrap().state, CKS_RO_USER_FUNCTIONS);
    assert_eq!(sessions(luna), session_of("co"));
}

fn end_tokens(luna: &Emulator, other: &Emulator) {
    switch(luna, Method::DELETE, "tokens", &Value::Null);
    let answer = other.call(Method::POST, "/_emulator/tokens/expire", &[], None);
    assert!(answer.status().is_success());
}

#[test]
fn no_signature_is_lost_with_a_token() {
    let _turn = turn();
    let [luna, other] = ["luna", "ciphertrust"].map(|vendor| Emulator::start(vendor, false));
    let p11 = configured(&luna, &other, "");
    let slot = p11.slots(true).unwrap()[0];
    let before = count(&other, CIPHERTRUST);
    signs_through(&luna, p11, slot, || end_tokens(&luna, &other));
    // One new token for each that ended, and not one for each thread that saw it end.
    let tokens = count(&other, CIPHERTRUST) - before;
    assert!((EXPIRIES..2 * EXPIRIES).contains(&tokens), "{tokens} new tokens");
    // The login is that of a session, which needs none.
    assert_eq!((count(&luna, LOGIN), count(&luna, SESSION)), (1, 1));
    p11.finalize().unwrap();
    assert_eq!(sessions(&luna), json!([]));
}

/// The appliance's sessions end as well, and its tokens are asked for before there is another session.
#[test]
fn no_signature_is_lost_with_a_session_where_the_pin_is_kept() {
    let _turn = turn();
    let [luna, other] = ["luna", "ciphertrust"].map(|vendor| Emulator::start(vendor, false));
    let p11 = configured(&luna, &other, "keep_pin = true");
    let slot = p11.slots(true).unwrap()[0];
    signs_through(&luna, p11, slot, || {
        end_tokens(&luna, &other);
        switch(&luna, Method::DELETE, "sessions", &Value::Null);
    });
    let logins = count(&luna, LOGIN);
    assert!((EXPIRIES..=2 * EXPIRIES).contains(&logins), "{logins} logins");
    assert!(count(&luna, JWT) > 1, "new tokens");
    p11.finalize().unwrap();
    assert_eq!(sessions(&luna), json!([]));
}
