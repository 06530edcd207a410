//! Private sessions of the appliance: opened late, kept by calls, opened again once, ended.

use std::thread;
use std::time::{Duration, Instant};

use cryptoki_sys::*;
use reqwest::Method;
use serde_json::json;

use super::{LOGIN, SESSION, count, session_of, sessions, slot, switch, turn, with, with_own, write};
use crate::support::emulator::{Emulator, PIN};
use crate::support::p11::{P11, refused};
use crate::support::session::number;

const PRIVATE: (CK_ATTRIBUTE_TYPE, CK_ULONG) = (CKA_CLASS, CKO_PRIVATE_KEY);

/// Lists anew each time.
const AT_ONCE: &str = "[slot.catalog]\nrefresh = \"0s\"";

#[test]
fn sessions_of_the_application_share_one_of_the_appliance() {
    with_own(&[], |p11, slot, emulator| {
        let all: Vec<_> = (0..50).map(|_| p11.open(slot).unwrap()).collect();
        assert_eq!(emulator.stats().total, 0);
        all[0].login(PIN).unwrap();
        assert_eq!(count(emulator, SESSION), 1);
        assert_eq!(all[49].info().unwrap().state, CKS_RO_USER_FUNCTIONS);
        refused(all[7].login(PIN), CKR_USER_ALREADY_LOGGED_IN);
        assert_eq!(count(emulator, LOGIN), 1);
        drop(all);
        assert_eq!(sessions(emulator), json!([]));
    });
}

#[test]
fn finalizing_ends_the_session() {
    with_own(&[], |p11, slot, emulator| {
        let session = p11.open(slot).unwrap();
        session.login(PIN).unwrap();
        assert_eq!(sessions(emulator), session_of("co"));
        // `run` looks that C_Finalize leaves nothing open.
        std::mem::forget(session);
    });
}

/// The appliance has been restarted, or has ended what was idle: the next call finds out, and only what needs no login
/// goes on.
#[test]
fn a_login_that_the_appliance_ended_is_gone() {
    for lost in ["not_private", "credentials"] {
        let option = format!("lost_cookie={lost}");
        with(AT_ONCE, &["--set", &option], |p11, slot, emulator| {
            let session = p11.open(slot).unwrap();
            session.login(PIN).unwrap();
            assert_eq!(session.find(&[number(PRIVATE.0, PRIVATE.1)]).unwrap().len(), 7);
            switch(emulator, Method::PUT, "clock", &json!(601));
            assert_eq!(sessions(emulator), session_of("co"), "nobody has called since");
            assert_eq!(session.find(&[number(PRIVATE.0, PRIVATE.1)]), Ok(vec![]));
            assert_eq!(session.find(&[number(CKA_CLASS, CKO_PUBLIC_KEY)]).unwrap().len(), 7);
            assert_eq!(session.info().unwrap().state, CKS_RO_PUBLIC_SESSION);
            assert_eq!(count(emulator, SESSION), 2, "opened again, for the objects");
            assert_eq!(count(emulator, LOGIN), 1);
            session.login(PIN).unwrap();
            assert_eq!(session.find(&[number(PRIVATE.0, PRIVATE.1)]).unwrap().len(), 7);
        });
    }
}

#[test]
fn a_session_that_is_gone_is_opened_again_for_a_login() {
    with_own(&[], |p11, slot, emulator| {
        let session = p11.open(slot).unwrap();
        assert_eq!(session.find(&[number(CKA_CLASS, CKO_PUBLIC_KEY)]).unwrap().len(), 7);
        assert_eq!(count(emulator, SESSION), 1, "one object needs one");
        switch(emulator, Method::DELETE, "sessions", &json!(null));
        session.login(PIN).unwrap();
        assert_eq!((count(emulator, SESSION), count(emulator, LOGIN)), (2, 1));
    });
}

#[test]
fn a_kept_pin_logs_in_again() {
    let lines = format!("keep_pin = true\n{AT_ONCE}");
    with(&lines, &[], |p11, slot, emulator| {
        let session = p11.open(slot).unwrap();
        session.login(PIN).unwrap();
        for ahead in [601, 1300] {
            switch(emulator, Method::PUT, "clock", &json!(ahead));
            assert_eq!(session.find(&[number(PRIVATE.0, PRIVATE.1)]).unwrap().len(), 7);
            assert_eq!(session.info().unwrap().state, CKS_RO_USER_FUNCTIONS);
        }
        assert_eq!((count(emulator, SESSION), count(emulator, LOGIN)), (3, 3));
        // The role alone was logged out.
        switch(emulator, Method::POST, &format!("partitions/{}/logout", super::PARTITION), &json!(null));
        assert_eq!(session.find(&[number(PRIVATE.0, PRIVATE.1)]).unwrap().len(), 7);
    });
}

/// The module knows the limit too: after it nobody need be asked.
#[test]
fn what_was_idle_for_too_long_is_gone_without_a_call() {
    with("session_idle = \"1s\"", &["--set", "session_idle=1"], |p11, slot, emulator| {
        let session = p11.open(slot).unwrap();
        session.login(PIN).unwrap();
        thread::sleep(Duration::from_millis(1100));
        let before = emulator.stats().total;
        assert_eq!(session.info().unwrap().state, CKS_RO_PUBLIC_SESSION);
        assert_eq!(emulator.stats().total, before);
        session.login(PIN).unwrap();
        assert_eq!(count(emulator, LOGIN), 2);
    });
}

/// A search that is answered from the last listing uses the login too.
#[test]
fn searches_keep_the_session() {
    with("session_idle = \"2s\"", &["--set", "session_idle=2"], |p11, slot, emulator| {
        let session = p11.open(slot).unwrap();
        session.login(PIN).unwrap();
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(1200));
            session.find(&[]).unwrap();
            assert_eq!(session.info().unwrap().state, CKS_RO_USER_FUNCTIONS);
        }
        assert_eq!((count(emulator, SESSION), count(emulator, LOGIN)), (1, 1));
    });
}

/// Slots of an appliance that says nothing take their share of the two seconds, and no more.
#[test]
fn at_the_end_a_silent_appliance_leaves_time_for_the_others() {
    let _turn = turn();
    let [silent, well] = [(); 2].map(|()| Emulator::start_with("luna", false, &[]));
    let p11 = P11::load();
    let _ = p11.finalize();
    let slots = [("silent", &silent), ("mute", &silent), ("well", &well)];
    let slots: String = slots.iter().map(|(label, emulator)| slot(label, emulator, "")).collect();
    p11.initialize(&write(&silent, &slots)).unwrap();
    for id in p11.slots(true).unwrap() {
        let session = p11.open(id).unwrap();
        session.login(PIN).unwrap();
        // Closing the last one would log out.
        std::mem::forget(session);
    }
    silent.fault(&json!({ "action": "half_open" }));
    let start = Instant::now();
    p11.finalize().unwrap();
    let took = start.elapsed();
    assert!(took < Duration::from_secs(3), "C_Finalize took {took:?}");
    assert_eq!(sessions(&well), json!([]), "nothing stays open at the other one");
}
