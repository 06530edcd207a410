//! `C_Login` and `C_Logout`.

use cryptoki_sys::*;

use super::{Case, DESCRIBED_ID, EC, Purpose, certificate, private, public, secret};
use crate::support::p11::{Called, refused};
use crate::support::session::{Session, bytes, number};

fn signs(case: &Case, session: &Session, key: CK_OBJECT_HANDLE) -> Called<Vec<u8>> {
    session.sign_init(&case.signer().kind.into(), key)?;
    session.sign(b"data")
}

fn key_of(case: &Case, session: &Session) -> CK_OBJECT_HANDLE {
    private(session, case.signer().label)
}

pub fn a_wrong_pin(case: &Case) {
    let session = case.session();
    for pin in ["0000", "12345", "", "123"] {
        refused(session.login(pin), CKR_PIN_INCORRECT);
        assert_eq!(session.info().unwrap().state, CKS_RO_PUBLIC_SESSION);
        // Some HSMs count how many in a row were wrong.
        session.login(case.dialect.pin()).unwrap();
        session.logout().unwrap();
    }
}

pub fn a_pin_that_no_header_takes_is_not_sent(case: &Case) {
    let session = case.session();
    let before = case.emulator.stats();
    let right = case.dialect.pin();
    let (start, end) = right.split_at(right.len() / 2);
    let with_nul = format!("{start}\0{end}");
    let more = [format!("{right}\r\nX-Other: 1"), format!("{right}\n"), with_nul];
    for pin in more.iter().map(String::as_bytes).chain([&b"\xff\xfe"[..]]) {
        refused(session.login_as(CKU_USER, pin), CKR_PIN_INCORRECT);
    }
    assert_eq!(case.emulator.stats(), before);
}

/// It goes out in a body, where nothing ends it too early: the HSM says that it is wrong.
pub fn a_pin_of_any_bytes_is_a_wrong_one(case: &Case) {
    let session = case.session();
    let right = case.dialect.pin();
    for pin in [format!("{right}\"}}"), format!("{right}\n"), format!("{right}\0"), format!(" {right}&x=y")] {
        refused(session.login(&pin), CKR_PIN_INCORRECT);
        session.login(right).unwrap();
        session.logout().unwrap();
    }
    // No text at all.
    refused(session.login_as(CKU_USER, b"\xff\xfe-no-text-at-all"), CKR_PIN_INCORRECT);
    session.login(right).unwrap();
}

pub fn twice(case: &Case) {
    let (session, other) = (case.user(), case.session());
    refused(session.login(case.dialect.pin()), CKR_USER_ALREADY_LOGGED_IN);
    refused(other.login(case.dialect.pin()), CKR_USER_ALREADY_LOGGED_IN);
    refused(other.login("wrong"), CKR_USER_ALREADY_LOGGED_IN);
    session.logout().unwrap();
    refused(session.logout(), CKR_USER_NOT_LOGGED_IN);
    other.login(case.dialect.pin()).unwrap();
}

pub fn there_is_no_security_officer(case: &Case) {
    let session = case.p11.open_rw(case.slot).unwrap();
    refused(session.login_as(CKU_SO, case.dialect.pin().as_bytes()), CKR_USER_TYPE_INVALID);
    refused(session.login_as(17, case.dialect.pin().as_bytes()), CKR_USER_TYPE_INVALID);
    assert_eq!(session.info().unwrap().state, CKS_RW_PUBLIC_SESSION);
}

/// A rival keeps the login to the session that made it.
pub fn is_shared_by_the_sessions_of_a_token(case: &Case) {
    let before = case.session();
    let session = case.user();
    let after = case.session();
    let key = key_of(case, &session);
    for other in [&before, &after] {
        assert_eq!(other.info().unwrap().state, CKS_RO_USER_FUNCTIONS);
        signs(case, other, key).unwrap();
    }
}

pub fn of_one_token_says_nothing_of_another(case: &Case) {
    let session = case.user();
    let other = case.p11.open(case.neighbour).unwrap();
    assert_eq!(other.info().unwrap().state, CKS_RO_PUBLIC_SESSION);
    let key = key_of(case, &session);
    // Whose handle it is, a session that is not logged in does not learn.
    refused(signs(case, &other, key), CKR_USER_NOT_LOGGED_IN);
    refused(other.attribute(key, CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
    assert_eq!(other.find(&[number(CKA_CLASS, CKO_PRIVATE_KEY)]), Ok(vec![]));
    refused(other.logout(), CKR_USER_NOT_LOGGED_IN);
}

/// A rival goes on signing after a logout.
pub fn ends(case: &Case) {
    let session = case.user();
    let key = key_of(case, &session);
    signs(case, &session, key).unwrap();
    session.logout().unwrap();
    refused(signs(case, &session, key), CKR_USER_NOT_LOGGED_IN);
    if case.able("random") {
        refused(session.random(16), CKR_USER_NOT_LOGGED_IN);
    }
    session.login(case.dialect.pin()).unwrap();
    refused(signs(case, &session, key), CKR_KEY_HANDLE_INVALID);
    signs(case, &session, key_of(case, &session)).unwrap();
}

/// Section 5.6.9: handles of private objects end, also when the user logs in again; those of public ones do not.
pub fn ends_the_handles_of_private_objects_only(case: &Case) {
    let (session, seed, signer) = (case.user(), case.seed(), case.signer());
    let secrets = seed.aes.iter().map(|label| secret(&session, label));
    let old: Vec<_> =
        [signer.label, case.rsa()].map(|label| private(&session, label)).into_iter().chain(secrets).collect();
    let public_key = public(&session, signer.label);
    let leaves: Vec<_> = seed.certified.iter().map(|label| certificate(&session, label)).collect();
    let signature = signs(case, &session, old[0]).unwrap();
    session.logout().unwrap();
    session.login(case.dialect.pin()).unwrap();

    refused(signs(case, &session, old[0]), CKR_KEY_HANDLE_INVALID);
    if case.able("decrypt") {
        refused(session.decrypt_init(&CKM_RSA_PKCS.into(), old[1]), CKR_KEY_HANDLE_INVALID);
    }
    if case.able("aes_blocks") {
        refused(session.encrypt_init(&CKM_AES_ECB.into(), old[2]), CKR_KEY_HANDLE_INVALID);
    }
    for object in &old {
        refused(session.attribute(*object, CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
    }
    assert_eq!(session.attribute(public_key, CKA_LABEL).unwrap(), signer.label.as_bytes());
    session.verify_init(&signer.kind.into(), public_key).unwrap();
    session.verify(b"data", &signature).unwrap();
    assert_eq!(public(&session, signer.label), public_key);
    for (label, leaf) in seed.certified.iter().zip(leaves) {
        assert_eq!(session.attribute(leaf, CKA_VALUE).unwrap(), case.certificate(label));
        assert_eq!(certificate(&session, label), leaf);
    }
    assert!(session.find(&[]).unwrap().iter().all(|object| !old.contains(object)));
}

/// Before it the configuration is all there is: what was assumed of a key must not outlive that.
pub fn brings_the_right_to_list(case: &Case) {
    let session = case.session();
    let pin = case.dialect.listing_pin(case.emulator);
    for _ in 0..2 {
        assert_eq!(session.find(&[]), Ok(vec![]), "before the login");
        assert_eq!(session.find(&[bytes(CKA_LABEL, EC)]), Ok(vec![]));
        session.login(&pin).unwrap();
        let keys = [private(&session, EC), public(&session, EC)];
        for object in keys {
            assert_eq!(session.ulong(object, CKA_KEY_TYPE), Ok(CKK_EC));
            assert_eq!(session.attribute(object, CKA_ID).unwrap(), DESCRIBED_ID);
            assert_eq!(session.attribute(object, CKA_PUBLIC_KEY_INFO).unwrap(), case.spki(EC));
        }
        assert_eq!(session.labels(&[number(CKA_CLASS, CKO_PUBLIC_KEY)]), case.seed().pairs());
        signs(case, &session, keys[0]).unwrap();

        session.logout().unwrap();
        assert_eq!(session.find(&[]), Ok(vec![]), "after the logout");
        refused(signs(case, &session, keys[0]), CKR_USER_NOT_LOGGED_IN);
        refused(session.attribute(keys[0], CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
    }
}

pub fn is_not_needed_without_a_pin(case: &Case) {
    assert_eq!(case.p11.token_info(case.slot).unwrap().flags & CKF_LOGIN_REQUIRED, 0);
    let session = case.session();
    let key = key_of(case, &session);
    signs(case, &session, key).unwrap();
    // An application that logs in all the same may.
    session.login("anything").unwrap();
    assert_eq!(session.info().unwrap().state, CKS_RO_USER_FUNCTIONS);
    session.logout().unwrap();
    signs(case, &session, key).unwrap();
}

/// Some HSMs zeroise after three wrong ones.
pub fn a_pin_goes_out_once(case: &Case) {
    let session = case.session();
    let before = case.asked(Purpose::Login);
    let place = case.place_of(Purpose::Login);
    let requests = place.stats().total;
    refused(session.login("wrong"), CKR_PIN_INCORRECT);
    assert_eq!(case.asked(Purpose::Login) - before, 1);
    if case.able("pin_in_a_header") {
        assert_eq!(place.stats().total - requests, 1, "and with no other request");
    }
    // Not even a server that fails makes it go out again.
    let (method, path) = case.dialect.request(Purpose::Login);
    place.fault(&serde_json::json!({ "method": method, "path": path, "status": 503 }));
    let before = case.asked(Purpose::Login);
    refused(session.login(case.dialect.pin()), CKR_DEVICE_ERROR);
    assert_eq!(case.asked(Purpose::Login) - before, 1);
    place.heal();
    session.login(case.dialect.pin()).unwrap();
}
