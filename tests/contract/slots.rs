//! Slots and tokens (PKCS#11 3.2 section 5.5).

use std::collections::BTreeSet;

use cryptoki_sys::*;

use super::{Case, private};
use crate::support::p11::refused;

pub fn have_a_token(case: &Case) {
    let info = case.p11.slot_info(case.slot).unwrap();
    assert_eq!(info.flags & CKF_TOKEN_PRESENT, CKF_TOKEN_PRESENT);
    let token = case.p11.token_info(case.slot).unwrap();
    assert_eq!(token.label, padded(&case.label));
    let random = if case.able("random") { CKF_RNG } else { 0 };
    let all = CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED | CKF_RNG;
    assert_eq!(token.flags & all, all & !CKF_RNG | random);
    for text in [&info.slotDescription[..], &info.manufacturerID, &token.manufacturerID, &token.model] {
        assert!(std::str::from_utf8(text).is_ok_and(|text| !text.contains('\0') && !text.trim().is_empty()));
    }
}

fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [b' '; N];
    field[..text.len()].copy_from_slice(text.as_bytes());
    field
}

pub fn a_bad_slot_harms_no_other(case: &Case) {
    let (all, with_token) = (case.p11.slots(false).unwrap(), case.p11.slots(true).unwrap());
    assert!(all.contains(&case.bad_slot) && !with_token.contains(&case.bad_slot));
    assert!(all.contains(&case.slot) && with_token.contains(&case.slot));
    assert_eq!(all.len(), with_token.len() + 1);
    assert_eq!(case.p11.slot_info(case.bad_slot).unwrap().flags & CKF_TOKEN_PRESENT, 0);
    refused(case.p11.token_info(case.bad_slot).map(drop), CKR_TOKEN_NOT_PRESENT);
    refused(case.p11.mechanisms(case.bad_slot), CKR_TOKEN_NOT_PRESENT);
    refused(case.p11.open(case.bad_slot).map(drop), CKR_TOKEN_NOT_PRESENT);
    refused(case.p11.token_info(CK_SLOT_ID::MAX).map(drop), CKR_SLOT_ID_INVALID);
}

pub fn labels_and_serial_numbers_are_their_own(case: &Case) {
    let slots = case.p11.slots(true).unwrap();
    let tokens: Vec<_> = slots.iter().map(|slot| case.p11.token_info(*slot).unwrap()).collect();
    let labels: BTreeSet<_> = tokens.iter().map(|token| token.label).collect();
    let serials: BTreeSet<_> = tokens.iter().map(|token| token.serialNumber).collect();
    assert_eq!([labels.len(), serials.len()], [slots.len(); 2]);
    assert!(serials.iter().flatten().all(u8::is_ascii_alphanumeric), "{serials:?}");
}

/// A rival announces `CKM_RSA_PKCS_OAEP` for signing, and encryptions that it then refuses.
pub fn mechanisms_are_told_truly(case: &Case) {
    let list = case.p11.mechanisms(case.slot).unwrap();
    let (sign, crypt) = (CKF_SIGN | CKF_VERIFY, CKF_ENCRYPT | CKF_DECRYPT);
    let able = |what: &[&str], flags| if what.iter().all(|what| case.able(what)) { flags } else { 0 };
    let made = CKF_GENERATE | CKF_GENERATE_KEY_PAIR;
    let other = CKF_DIGEST | CKF_MESSAGE_ENCRYPT | CKF_WRAP | CKF_UNWRAP | CKF_DERIVE;
    let purposes = sign | crypt | made | other;
    for (kind, expected) in [
        (CKM_RSA_PKCS, able(&["digest_infos"], sign) | able(&["decrypt"], crypt)),
        (CKM_SHA1_RSA_PKCS, able(&["all_hashes"], sign)),
        (CKM_SHA256_RSA_PKCS, sign),
        (CKM_SHA512_RSA_PKCS, able(&["all_hashes"], sign)),
        (CKM_RSA_PKCS_PSS, able(&["pss", "digests"], sign)),
        (CKM_SHA224_RSA_PKCS_PSS, able(&["pss", "all_hashes"], sign)),
        (CKM_ECDSA, able(&["ec", "digests"], sign)),
        (CKM_ECDSA_SHA256, able(&["ec"], sign)),
        (CKM_ECDSA_SHA384, able(&["ec", "all_hashes"], sign)),
        (CKM_EDDSA, able(&["edwards"], sign)),
        (CKM_RSA_PKCS_OAEP, able(&["oaep"], crypt)),
        (CKM_AES_ECB, able(&["aes_blocks"], crypt)),
        (CKM_AES_CBC, able(&["aes_blocks"], CKF_DECRYPT)),
        (CKM_AES_CBC_PAD, able(&["aes_blocks"], CKF_DECRYPT)),
        (CKM_AES_CTR, able(&["aes_blocks"], CKF_DECRYPT)),
        (
            CKM_AES_GCM,
            able(&["gcm"], CKF_DECRYPT | CKF_MESSAGE_ENCRYPT) | able(&["gcm", "own_ivs"], CKF_ENCRYPT),
        ),
        (CKM_SHA256_HMAC, able(&["macs"], sign)),
        (CKM_RSA_PKCS_KEY_PAIR_GEN, able(&["makes_pairs"], CKF_GENERATE_KEY_PAIR)),
        (CKM_EC_KEY_PAIR_GEN, able(&["makes_pairs"], CKF_GENERATE_KEY_PAIR)),
        (CKM_EC_EDWARDS_KEY_PAIR_GEN, able(&["makes_edwards"], CKF_GENERATE_KEY_PAIR)),
        (CKM_AES_KEY_GEN, able(&["makes_aes"], CKF_GENERATE)),
        (CKM_GENERIC_SECRET_KEY_GEN, able(&["makes_mac_keys"], CKF_GENERATE)),
        (CKM_SHA_1, CKF_DIGEST),
        (CKM_SHA3_512, CKF_DIGEST),
    ] {
        assert_eq!(list.contains(&kind), expected != 0, "{kind:#x}");
        if expected == 0 {
            refused(case.p11.mechanism_info(case.slot, kind).map(drop), CKR_MECHANISM_INVALID);
            continue;
        }
        let info = case.p11.mechanism_info(case.slot, kind).unwrap();
        assert_eq!(info.flags & purposes, expected, "{kind:#x}");
        assert!(info.ulMinKeySize <= info.ulMaxKeySize);
    }
    for kind in [CKM_RSA_X_509, CKM_MD5, CKM_DES3_KEY_GEN, CKM_DSA_KEY_PAIR_GEN] {
        assert!(!list.contains(&kind), "{kind:#x}");
        refused(case.p11.mechanism_info(case.slot, kind).map(drop), CKR_MECHANISM_INVALID);
    }
    if case.able("aes_blocks") {
        let sizes = case.p11.mechanism_info(case.slot, CKM_AES_ECB).unwrap();
        assert_eq!((sizes.ulMinKeySize, sizes.ulMaxKeySize), (16, 32), "bytes");
    }
}

/// A rival makes two requests for each of these calls.
pub fn asking_about_them_makes_no_request(case: &Case) {
    let before = case.emulator.stats();
    case.p11.slot_info(case.slot).unwrap();
    case.p11.token_info(case.slot).unwrap();
    for kind in case.p11.mechanisms(case.slot).unwrap() {
        case.p11.mechanism_info(case.slot, kind).unwrap();
    }
    assert_eq!(case.emulator.stats(), before);
}

pub fn the_configuration_narrows_what_is_offered(case: &Case) {
    let list = case.p11.mechanisms(case.slot).unwrap();
    assert_eq!(list, [CKM_SHA256_RSA_PKCS, CKM_SHA256]);
    for kind in [CKM_RSA_PKCS, CKM_SHA512_RSA_PKCS, CKM_SHA512] {
        refused(case.p11.mechanism_info(case.slot, kind).map(drop), CKR_MECHANISM_INVALID);
    }
    let session = case.user();
    let key = private(&session, case.rsa());
    refused(session.sign_init(&CKM_RSA_PKCS.into(), key), CKR_MECHANISM_INVALID);
    refused(session.sign_init(&CKM_SHA512_RSA_PKCS.into(), key), CKR_MECHANISM_INVALID);
    refused(session.digest_init(&CKM_SHA512.into()), CKR_MECHANISM_INVALID);
    let allowed = session.attribute(key, CKA_ALLOWED_MECHANISMS).unwrap();
    assert_eq!(allowed, CKM_SHA256_RSA_PKCS.to_ne_bytes());
    session.sign_init(&CKM_SHA256_RSA_PKCS.into(), key).unwrap();
    session.sign(b"data").unwrap();
}

pub fn one_that_cannot_be_reached_fails_when_it_is_used(case: &Case) {
    case.p11.token_info(case.slot).unwrap();
    let session = case.session();
    session.digest_init(&CKM_SHA256.into()).unwrap();
    session.digest(b"abc").unwrap();
    if case.able("public_listing") && !case.dialect.public_objects_are_configured() {
        refused(session.find(&[]), CKR_DEVICE_ERROR);
    }
    refused(session.login(case.dialect.pin()), CKR_DEVICE_ERROR);
    assert_eq!(session.info().unwrap().state, CKS_RO_PUBLIC_SESSION);
}
