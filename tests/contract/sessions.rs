//! Sessions (PKCS#11 3.2 section 5.6).

use cryptoki_sys::*;

use super::{Case, private};
use crate::support::p11::refused;

pub fn ten_thousand_cost_nothing(case: &Case) {
    let before = case.emulator.stats();
    let sessions: Vec<_> = (0..10_000).map(|_| case.session()).collect();
    assert_eq!(case.p11.token_info(case.slot).unwrap().ulSessionCount, 10_000);
    drop(sessions);
    assert_eq!(case.p11.token_info(case.slot).unwrap().ulSessionCount, 0);
    assert_eq!(case.emulator.stats(), before, "no request and no connection");
}

pub fn are_counted(case: &Case) {
    let counts = || {
        let info = case.p11.token_info(case.slot).unwrap();
        (info.ulSessionCount, info.ulRwSessionCount)
    };
    assert_eq!(counts(), (0, 0));
    let one = case.p11.open(case.slot).unwrap();
    let two = case.p11.open_rw(case.slot).unwrap();
    let three = case.p11.open_rw(case.slot).unwrap();
    assert_eq!(counts(), (3, 2));
    drop(two);
    assert_eq!(counts(), (2, 1));
    drop((one, three));
    assert_eq!(counts(), (0, 0));
}

pub fn handles_are_never_given_twice(case: &Case) {
    let mut handles: Vec<_> = (0..100).map(|_| case.session().handle()).collect();
    handles.sort_unstable();
    handles.dedup();
    assert_eq!(handles.len(), 100);
    assert!(!handles.contains(&0));
    let session = case.session();
    session.close().unwrap();
    refused(session.close(), CKR_SESSION_HANDLE_INVALID);
    refused(session.info(), CKR_SESSION_HANDLE_INVALID);
    refused(session.find(&[]), CKR_SESSION_HANDLE_INVALID);
    refused(session.login(case.dialect.pin()), CKR_SESSION_HANDLE_INVALID);
    refused(session.random(1), CKR_SESSION_HANDLE_INVALID);
}

pub fn states(case: &Case) {
    let (reader, writer) = (case.p11.open(case.slot).unwrap(), case.p11.open_rw(case.slot).unwrap());
    let states = || [reader.info().unwrap().state, writer.info().unwrap().state];
    assert_eq!(states(), [CKS_RO_PUBLIC_SESSION, CKS_RW_PUBLIC_SESSION]);
    reader.login(case.dialect.pin()).unwrap();
    assert_eq!(states(), [CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS]);
    writer.logout().unwrap();
    assert_eq!(states(), [CKS_RO_PUBLIC_SESSION, CKS_RW_PUBLIC_SESSION]);
    assert_eq!(reader.info().unwrap().flags, CKF_SERIAL_SESSION);
    assert_eq!(writer.info().unwrap().flags, CKF_SERIAL_SESSION | CKF_RW_SESSION);
    assert_eq!(reader.info().unwrap().slotID, case.slot);
}

pub fn closing_all_of_one_slot(case: &Case) {
    let other = case.p11.open(case.neighbour).unwrap();
    let (one, two) = (case.user(), case.session());
    case.p11.close_all(case.slot).unwrap();
    refused(one.info(), CKR_SESSION_HANDLE_INVALID);
    refused(two.info(), CKR_SESSION_HANDLE_INVALID);
    other.info().unwrap();
    assert_eq!(case.p11.token_info(case.slot).unwrap().ulSessionCount, 0);
    assert_eq!(case.session().info().unwrap().state, CKS_RO_PUBLIC_SESSION, "and logged out");
    refused(case.p11.close_all(CK_SLOT_ID::MAX), CKR_SLOT_ID_INVALID);
    refused(case.p11.open(CK_SLOT_ID::MAX).map(drop), CKR_SLOT_ID_INVALID);
}

pub fn the_last_one_takes_the_login_with_it(case: &Case) {
    let (first, last) = (case.user(), case.session());
    let signer = case.signer();
    let key = private(&first, signer.label);
    drop(first);
    last.sign_init(&signer.kind.into(), key).unwrap();
    last.sign(b"data").unwrap();
    drop(last);
    let next = case.session();
    assert_eq!(next.info().unwrap().state, CKS_RO_PUBLIC_SESSION);
    refused(next.sign_init(&signer.kind.into(), key), CKR_USER_NOT_LOGGED_IN);
}

pub fn are_synchronous(case: &Case) {
    let flags = CKF_SERIAL_SESSION | CKF_ASYNC_SESSION;
    for flags in [flags, flags | CKF_RW_SESSION] {
        refused(case.p11.open_with(case.slot, flags).map(drop), CKR_SESSION_ASYNC_NOT_SUPPORTED);
    }
    assert_eq!(case.p11.token_info(case.slot).unwrap().ulSessionCount, 0);
}

pub fn tell_of_the_last_validation_only(case: &Case) {
    let session = case.session();
    assert_eq!(session.validation_flags(CKS_LAST_VALIDATION_OK), Ok(0));
    for kind in [0, CKS_LAST_VALIDATION_OK + 1, CK_ULONG::MAX] {
        refused(session.validation_flags(kind), CKR_ARGUMENTS_BAD);
    }
}
