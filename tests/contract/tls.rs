//! What TLS adds. Everything else runs over it too.

use cryptoki_sys::*;

use super::{Case, private};
use crate::support::p11::refused;

pub fn names_the_authority(case: &Case) {
    let before = case.emulator.stats().handshakes;
    let session = case.user();
    let signer = case.signer();
    session.sign_init(&signer.kind.into(), private(&session, signer.label)).unwrap();
    session.sign(b"data").unwrap();
    assert!(case.emulator.stats().handshakes > before);
}

/// The slot is there and its token is present; only what needs the HSM fails.
pub fn another_authority_is_not_believed(case: &Case) {
    assert!(case.p11.slots(true).unwrap().contains(&case.slot));
    case.p11.token_info(case.slot).unwrap();
    let session = case.session();
    refused(session.login(case.dialect.pin()), CKR_DEVICE_ERROR);
    if case.able("public_listing") && !case.dialect.public_objects_are_configured() {
        refused(session.find(&[]), CKR_DEVICE_ERROR);
    }
    assert_eq!(session.info().unwrap().state, CKS_RO_PUBLIC_SESSION);
}
