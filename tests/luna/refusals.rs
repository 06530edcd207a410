//! Luna REST alone does no cryptography: the refusals of the reference, section 12.1.

use cryptoki_sys::*;

use super::{flags, with_own};
use crate::support::emulator::PIN;
use crate::support::mechanism::Mechanism;
use crate::support::p11::refused;
use crate::support::session::{bytes, flag, number};

#[test]
fn every_mechanism_is_refused_for_everything() {
    with_own(&[], |p11, slot, emulator| {
        assert_eq!(p11.mechanisms(slot), Ok(vec![]));
        refused(p11.mechanism_info(slot, CKM_RSA_PKCS), CKR_MECHANISM_INVALID);
        let session = p11.open(slot).unwrap();
        session.login(PIN).unwrap();
        let key = session.the(CKO_PRIVATE_KEY, "rsa-2048");
        let public = session.the(CKO_PUBLIC_KEY, "rsa-2048");
        let secret = session.the(CKO_SECRET_KEY, "aes-256");
        let before = emulator.stats();
        let gcm = Mechanism::Gcm { iv: vec![1; 12], aad: vec![], tag_bits: 128 };
        for kind in [CKM_RSA_PKCS, CKM_SHA256_RSA_PKCS, CKM_ECDSA, CKM_EDDSA, CKM_SHA256_HMAC] {
            refused(session.sign_init(&kind.into(), key), CKR_MECHANISM_INVALID);
            refused(session.verify_init(&kind.into(), public), CKR_MECHANISM_INVALID);
        }
        for mechanism in [gcm, CKM_RSA_PKCS.into(), CKM_AES_ECB.into()] {
            refused(session.encrypt_init(&mechanism, secret), CKR_MECHANISM_INVALID);
            refused(session.decrypt_init(&mechanism, secret), CKR_MECHANISM_INVALID);
        }
        refused(session.digest_init(&CKM_SHA256.into()), CKR_MECHANISM_INVALID);
        refused(session.generate_key(CKM_AES_KEY_GEN, &[]), CKR_MECHANISM_INVALID);
        refused(session.generate_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &[], &[]), CKR_MECHANISM_INVALID);
        refused(session.wrap(CKM_AES_KEY_WRAP, secret, key), CKR_MECHANISM_INVALID);
        refused(session.unwrap_key(CKM_AES_KEY_WRAP, secret, &[0; 24]), CKR_MECHANISM_INVALID);
        refused(session.derive(CKM_ECDH1_DERIVE, key), CKR_MECHANISM_INVALID);
        assert_eq!(emulator.stats(), before, "nobody is asked");
    });
}

#[test]
fn nothing_goes_on_that_has_not_begun() {
    with_own(&[], |p11, slot, _| {
        let session = p11.open(slot).unwrap();
        session.login(PIN).unwrap();
        refused(session.sign(b"data"), CKR_OPERATION_NOT_INITIALIZED);
        refused(session.sign_update(b"data"), CKR_OPERATION_NOT_INITIALIZED);
        refused(session.sign_final(), CKR_OPERATION_NOT_INITIALIZED);
        refused(session.verify(b"data", &[0; 256]), CKR_OPERATION_NOT_INITIALIZED);
        refused(session.encrypt(b"data"), CKR_OPERATION_NOT_INITIALIZED);
        refused(session.decrypt(b"data"), CKR_OPERATION_NOT_INITIALIZED);
        refused(session.digest(b"data"), CKR_OPERATION_NOT_INITIALIZED);
    });
}

#[test]
fn random_numbers_pins_and_objects() {
    with_own(&[], |p11, slot, emulator| {
        let session = p11.open_rw(slot).unwrap();
        refused(session.random(16), CKR_RANDOM_NO_RNG);
        refused(session.seed_random(b"seed"), CKR_RANDOM_NO_RNG);
        refused(session.set_pin(PIN, "another-pin-7f3a"), CKR_FUNCTION_NOT_SUPPORTED);
        assert_eq!(flags(p11, slot) & CKF_RNG, 0);
        session.login(PIN).unwrap();
        let key = session.the(CKO_SECRET_KEY, "aes-256");
        let template = [
            number(CKA_CLASS, CKO_DATA),
            flag(CKA_TOKEN, true),
            bytes(CKA_LABEL, "new"),
            bytes(CKA_VALUE, "value"),
        ];
        refused(session.create(&template), CKR_TOKEN_WRITE_PROTECTED);
        refused(session.init_pin("another-pin-7f3a"), CKR_TOKEN_WRITE_PROTECTED);
        refused(session.destroy(key), CKR_TOKEN_WRITE_PROTECTED);
        refused(p11.wait_for_slot_event(0), CKR_FUNCTION_NOT_SUPPORTED);
        refused(session.attribute(key, CKA_VALUE), CKR_ATTRIBUTE_SENSITIVE);
        let public = session.the(CKO_PUBLIC_KEY, "rsa-2048");
        refused(session.attribute(public, CKA_MODULUS), CKR_ATTRIBUTE_TYPE_INVALID);
        assert_eq!(session.ulong(public, CKA_KEY_TYPE), Ok(CKK_RSA));
        session.close().unwrap();
        let before = emulator.stats();
        refused(p11.init_token(slot, PIN), CKR_TOKEN_WRITE_PROTECTED);
        assert_eq!(emulator.stats(), before);
    });
}
