//! What a service may ask for: a JWT, API keys, both or neither (Securosys TSB reference §1), each with the configuration
//! that `p11rest emulate` writes for it.

use std::os::unix::fs::PermissionsExt;
use std::sync::{Mutex, PoisonError};

use cryptoki_sys::*;
use support::emulator::{Emulator, PIN};
use support::p11::{P11, refused};
use support::session::{Session, number};

mod support;

const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwMTFyZXN0In0.c2lnbmF0dXJl";
const EC: &str = "ec-p256";

#[test]
fn jwt_and_api_keys() {
    with(&["--bearer", TOKEN], |p11, slot, emulator| {
        let file = emulator.path("bearer.jwt");
        assert_eq!(emulator.text("bearer.jwt"), TOKEN);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(login_required(p11, slot));
        let session = p11.open(slot).unwrap();
        refused(session.login("4321"), CKR_PIN_INCORRECT);
        refused(session.login(TOKEN), CKR_PIN_INCORRECT);
        session.login(PIN).unwrap();
        signs(&session);
    });
}

/// The HSM without the right JWT: what the application brought is not what is wrong.
#[test]
fn a_jwt_of_the_configuration_that_is_refused() {
    with(&["--bearer", TOKEN], |p11, slot, emulator| {
        std::fs::write(emulator.path("bearer.jwt"), "another").unwrap();
        let session = p11.open(slot).unwrap();
        assert!(session.login(PIN).is_err());
        assert_eq!(session.info().unwrap().state, CKS_RO_PUBLIC_SESSION);
        std::fs::write(emulator.path("bearer.jwt"), TOKEN).unwrap();
        session.login(PIN).unwrap();
        signs(&session);
    });
}

#[test]
fn a_jwt_alone_is_the_pin() {
    with(&["--bearer", TOKEN, "--no-api-keys"], |p11, slot, _| {
        assert!(login_required(p11, slot));
        let session = p11.open(slot).unwrap();
        assert_eq!(session.find(&[]), Ok(vec![]));
        for wrong in [PIN, "", &TOKEN[1..], &TOKEN.to_lowercase()] {
            refused(session.login(wrong), CKR_PIN_INCORRECT);
            assert_eq!(session.info().unwrap().state, CKS_RO_PUBLIC_SESSION);
            assert_eq!(session.find(&[]), Ok(vec![]));
        }
        session.login(TOKEN).unwrap();
        assert_eq!(session.info().unwrap().state, CKS_RO_USER_FUNCTIONS);
        signs(&session);
        session.logout().unwrap();
        refused(session.random(16), CKR_USER_NOT_LOGGED_IN);
        assert_eq!(session.find(&[number(CKA_CLASS, CKO_PRIVATE_KEY)]), Ok(vec![]));
    });
}

#[test]
fn neither() {
    with(&["--no-api-keys"], |p11, slot, emulator| {
        assert!(!emulator.path("bearer.jwt").exists());
        assert!(!login_required(p11, slot));
        let session = p11.open(slot).unwrap();
        signs(&session);
        session.random(16).unwrap();
    });
}

/// Runs `check` on the only slot of an emulator with those options. One module, one at a time.
fn with(options: &[&str], check: impl FnOnce(&'static P11, CK_SLOT_ID, &Emulator)) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let emulator = Emulator::start_with("securosys", false, options);
    let p11 = P11::load();
    // After a test that failed.
    let _ = p11.finalize();
    p11.initialize(&emulator.path("p11rest.toml")).unwrap();
    check(p11, p11.slots(true).unwrap()[0], &emulator);
    p11.finalize().unwrap();
}

fn login_required(p11: &P11, slot: CK_SLOT_ID) -> bool {
    p11.token_info(slot).unwrap().flags & CKF_LOGIN_REQUIRED != 0
}

/// Every role is used: keys are listed, one signs, and its signature is good.
fn signs(session: &Session) {
    let (key, public) = (session.the(CKO_PRIVATE_KEY, EC), session.the(CKO_PUBLIC_KEY, EC));
    session.sign_init(&CKM_ECDSA_SHA256.into(), key).unwrap();
    let signature = session.sign(b"data").unwrap();
    session.verify_init(&CKM_ECDSA_SHA256.into(), public).unwrap();
    session.verify(b"data", &signature).unwrap();
}
