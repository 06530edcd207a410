//! Cryptography from `[slot.crypto]`: the partition has the keys and the login, another slot does the work.

use std::path::PathBuf;

use cryptoki_sys::*;
use reqwest::Method;
use serde_json::json;

use super::{LOGIN, count, session_of, sessions, set_role, slot, switch, turn, write};
use crate::support::emulator::{Emulator, PIN};
use crate::support::openssl;
use crate::support::p11::{P11, refused};
use crate::support::session::{Session, number};

/// A Luna slot `luna` with its cryptography at the slot `crypto` of another emulator.
struct Pair {
    luna: Emulator,
    other: Emulator,
}

impl Pair {
    fn start(vendor: &str) -> Self {
        Self { luna: Emulator::start("luna", false), other: Emulator::start(vendor, false) }
    }

    fn run(&self, other_slot: &str, crypto: &str, check: impl FnOnce(&'static P11, CK_SLOT_ID)) {
        let own = slot("luna", &self.luna, &format!("[slot.crypto]\nslot = \"crypto\"\n{crypto}"));
        let path = write(&self.luna, &format!("{own}{other_slot}"));
        let p11 = P11::load();
        let _ = p11.finalize();
        p11.initialize(&path).unwrap();
        let slots = p11.slots(true).unwrap();
        assert_eq!(slots.len(), 1, "the other one is hidden");
        check(p11, slots[0]);
        p11.finalize().unwrap();
        assert_eq!(sessions(&self.luna), json!([]));
    }

    fn private_pem(&self, label: &str) -> PathBuf {
        self.other.path("keys").join(label).with_extension("pem")
    }

    /// Signs, and has OpenSSL verify it.
    fn signs(&self, session: &Session, label: &str, kind: CK_MECHANISM_TYPE) {
        let key = session.the(CKO_PRIVATE_KEY, label);
        session.sign_init(&kind.into(), key).unwrap();
        let signature = session.sign(b"to be signed").unwrap();
        let is_ec = session.ulong(key, CKA_KEY_TYPE) == Ok(CKK_EC);
        let der = if is_ec { openssl::ecdsa_der(&signature) } else { signature };
        let spki = openssl::public_key(&self.private_pem(label));
        openssl::verifies_digest("sha256", &[], &spki, b"to be signed", &der).unwrap();
    }
}

/// CipherTrust with credentials of its own, or with a part of the PIN.
fn ciphertrust(emulator: &Emulator, password: &str) -> String {
    format!(
        "[[slot]]\nlabel = \"crypto\"\nbackend = \"ciphertrust\"\nhidden = true\nurls = [\"{}\"]\n[slot.auth]\n\
         user = \"p11rest\"\npassword = \"{password}\"\n",
        emulator.url()
    )
}

/// Securosys TSB with credentials of its own.
fn securosys(emulator: &Emulator) -> String {
    format!(
        "[[slot]]\nlabel = \"crypto\"\nbackend = \"securosys\"\nhidden = true\nurls = [\"{}\"]\n[slot.auth]\n\
         api_key = {{ key_management = \"file:{}\", key_operation = \"{PIN}\" }}\n",
        emulator.url(),
        emulator.path("key-management.key").display()
    )
}

#[test]
fn ciphertrust_signs_with_keys_of_the_same_label() {
    let _turn = turn();
    let pair = Pair::start("ciphertrust");
    pair.run(&ciphertrust(&pair.other, PIN), "", |p11, slot| {
        assert!(p11.mechanisms(slot).unwrap().contains(&CKM_SHA256_RSA_PKCS));
        let session = p11.open(slot).unwrap();
        assert_eq!(session.find(&[number(CKA_CLASS, CKO_PRIVATE_KEY)]), Ok(vec![]));
        session.login(PIN).unwrap();
        assert_eq!(sessions(&pair.luna), session_of("co"));
        pair.signs(&session, "rsa-2048", CKM_SHA256_RSA_PKCS);
        pair.signs(&session, "ec-p256", CKM_ECDSA_SHA256);
        let public = session.the(CKO_PUBLIC_KEY, "rsa-2048");
        assert_eq!(session.attribute(public, CKA_MODULUS).unwrap().len(), 256);
        assert_eq!(session.attribute(public, CKA_ID), Ok(b"rsa-2048".to_vec()), "that of the partition");
        session.logout().unwrap();
        assert_eq!(session.find(&[number(CKA_CLASS, CKO_PRIVATE_KEY)]), Ok(vec![]));
    });
}

#[test]
fn securosys_signs_with_keys_of_the_same_label() {
    let _turn = turn();
    let pair = Pair::start("securosys");
    pair.run(&securosys(&pair.other), "", |p11, slot| {
        let session = p11.open(slot).unwrap();
        session.login(PIN).unwrap();
        pair.signs(&session, "rsa-2048", CKM_SHA256_RSA_PKCS);
        pair.signs(&session, "ec-p256", CKM_ECDSA_SHA256);
        // What only the partition has is listed, and nothing can be done with it.
        let key = session.the(CKO_PRIVATE_KEY, "ec-p384");
        assert!(session.sign_init(&CKM_ECDSA_SHA256.into(), key).is_err());
        // What only the other one has is not there.
        let labels = session.labels(&[]);
        assert!(labels.contains(&"rsa-2048".to_owned()) && !labels.contains(&"attestation-key".to_owned()));
    });
}

/// A service that a file describes: tokens and signed requests in front of it, as its emulator writes the slot.
#[test]
fn a_declared_gateway_signs_with_keys_of_the_same_label() {
    let _turn = turn();
    let pair = Pair::start("gateway");
    let text = pair.other.text("p11rest.toml").replace("version = 1", "");
    let slot = text.replacen("label = \"gateway\"", "label = \"crypto\"\nhidden = true", 1);
    pair.run(&slot, "pin_split = \":\"", |p11, slot| {
        let session = p11.open(slot).unwrap();
        session.login(&format!("{PIN}:{PIN}")).unwrap();
        assert_eq!(sessions(&pair.luna), session_of("co"));
        pair.signs(&session, "rsa-2048", CKM_SHA256_RSA_PKCS);
        pair.signs(&session, "ec-p256", CKM_ECDSA_SHA256);
        session.logout().unwrap();
        refused(session.login(&format!("{PIN}:wrong-at-the-gateway")), CKR_PIN_INCORRECT);
        assert_eq!(count(&pair.luna, LOGIN), 1, "the partition's is not tried");
    });
}

/// Both logins stand, or none.
#[test]
fn a_pin_in_two_parts_logs_in_to_both_or_to_neither() {
    let _turn = turn();
    let pair = Pair::start("ciphertrust");
    pair.run(&ciphertrust(&pair.other, "pin"), "pin_split = \":\"", |p11, slot| {
        let session = p11.open(slot).unwrap();
        refused(session.login(PIN), CKR_PIN_INCORRECT);
        assert_eq!((pair.luna.stats().total, pair.other.stats().total), (0, 0), "it has no two parts");
        refused(session.login(&format!("{PIN}:wrong-at-ciphertrust")), CKR_PIN_INCORRECT);
        assert_eq!(count(&pair.luna, LOGIN), 0, "the partition's is not tried");
        refused(session.login(&format!("wrong-at-luna:{PIN}")), CKR_PIN_INCORRECT);
        assert_eq!((count(&pair.luna, LOGIN), sessions(&pair.luna)), (1, json!([])));
        session.login(&format!("{PIN}:{PIN}")).unwrap();
        pair.signs(&session, "rsa-2048", CKM_SHA256_RSA_PKCS);
        session.logout().unwrap();
        set_role(&pair.luna, "co", &json!({"lockedOut": true}));
        refused(session.login(&format!("{PIN}:{PIN}")), CKR_PIN_LOCKED);
    });
}

/// Credentials of the configuration are not the PIN.
#[test]
fn a_crypto_slot_that_refuses_its_own_credentials_is_no_wrong_pin() {
    let _turn = turn();
    let pair = Pair::start("ciphertrust");
    pair.run(&ciphertrust(&pair.other, "not-the-password"), "", |p11, slot| {
        let session = p11.open(slot).unwrap();
        refused(session.login(PIN), CKR_DEVICE_ERROR);
        assert_eq!((count(&pair.luna, LOGIN), sessions(&pair.luna)), (0, json!([])));
    });
}

/// A key of a partition is used by who is logged in to the partition.
#[test]
fn a_login_that_the_appliance_ended_ends_the_use_of_keys() {
    let _turn = turn();
    let pair = Pair::start("ciphertrust");
    let own = "session_idle = \"1s\"";
    let luna = slot("luna", &pair.luna, &format!("{own}\n[slot.crypto]\nslot = \"crypto\""));
    let path = write(&pair.luna, &format!("{luna}{}", ciphertrust(&pair.other, PIN)));
    let p11 = P11::load();
    let _ = p11.finalize();
    p11.initialize(&path).unwrap();
    let slot = p11.slots(true).unwrap()[0];
    let session = p11.open(slot).unwrap();
    session.login(PIN).unwrap();
    let key = session.the(CKO_PRIVATE_KEY, "rsa-2048");
    session.sign_init(&CKM_SHA256_RSA_PKCS.into(), key).unwrap();
    session.sign(b"data").unwrap();
    // Half of the idle time later a signature keeps the session, or finds it gone.
    switch(&pair.luna, Method::DELETE, "sessions", &json!(null));
    std::thread::sleep(std::time::Duration::from_millis(600));
    session.sign_init(&CKM_SHA256_RSA_PKCS.into(), key).unwrap();
    refused(session.sign(b"data"), CKR_USER_NOT_LOGGED_IN);
    assert_eq!(session.info().unwrap().state, CKS_RO_PUBLIC_SESSION);
    refused(session.sign_init(&CKM_SHA256_RSA_PKCS.into(), key), CKR_USER_NOT_LOGGED_IN);
    session.login(PIN).unwrap();
    pair.signs(&session, "rsa-2048", CKM_SHA256_RSA_PKCS);
    p11.finalize().unwrap();
}
