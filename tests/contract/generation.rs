//! Keys that the module has the HSM make, and delete.

use std::sync::Barrier;
use std::thread;

use cryptoki_sys::*;

use super::{Case, private, public};
use crate::support::openssl::{self, ecdsa_der, object_identifier, verifies_digest, verifies_eddsa};
use crate::support::p11::refused;
use crate::support::session::{Pair, Session, bytes, flag, number};

const ED25519: &[u8] = b"\x13\x0cedwards25519";

/// A label that no other test has.
fn fresh(case: &Case, what: &str) -> String {
    format!("made-{what}-{}", case.slot)
}

fn held(label: &str) -> Vec<Pair> {
    vec![flag(CKA_TOKEN, true), flag(CKA_PRIVATE, true), bytes(CKA_LABEL, label)]
}

fn with(label: &str, more: &[Pair]) -> Vec<Pair> {
    [&held(label), more].concat()
}

fn of_bits(bits: CK_ULONG) -> Vec<Pair> {
    vec![flag(CKA_TOKEN, true), number(CKA_MODULUS_BITS, bits)]
}

fn on_curve(params: &[u8]) -> Vec<Pair> {
    vec![flag(CKA_TOKEN, true), bytes(CKA_EC_PARAMS, params)]
}

fn p256() -> Vec<Pair> {
    on_curve(&object_identifier("1.2.840.10045.3.1.7"))
}

fn signs() -> Pair {
    flag(CKA_SIGN, true)
}

/// A pair on P-256 for signatures.
fn ec_pair(session: &Session, label: &str) -> (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE) {
    session.generate_pair(CKM_EC_KEY_PAIR_GEN, &p256(), &with(label, &[signs()])).unwrap()
}

/// Removes what a test made, where that is possible.
fn tidy(case: &Case, session: &Session, key: CK_OBJECT_HANDLE) {
    if case.able("deletes") {
        session.destroy(key).unwrap();
    }
}

/// A pair is what was asked for, its public half is that of the HSM's key, and another session finds it by its label.
fn check_pair(case: &Case, label: &str, (public_key, private_key): (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE)) {
    let session = case.session();
    assert_eq!((public(&session, label), private(&session, label)), (public_key, private_key));
    assert_eq!(session.attribute(public_key, CKA_PUBLIC_KEY_INFO).unwrap(), case.spki(label));
    for (key, class) in [(public_key, CKO_PUBLIC_KEY), (private_key, CKO_PRIVATE_KEY)] {
        assert_eq!(session.ulong(key, CKA_CLASS), Ok(class));
        assert_eq!(session.flag(key, CKA_TOKEN), Ok(true));
    }
    assert_eq!(session.flag(private_key, CKA_SIGN), Ok(true));
    assert_eq!(session.flag(private_key, CKA_EXTRACTABLE), Ok(false));
    assert!(session.labels(&[]).contains(&label.to_owned()), "it is listed");
}

pub fn rsa_pairs(case: &Case) {
    let (session, label) = (case.user(), fresh(case, "rsa"));
    let pair =
        session.generate_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &of_bits(2048), &with(&label, &[signs()])).unwrap();
    check_pair(case, &label, pair);
    assert_eq!(session.ulong(pair.0, CKA_MODULUS_BITS), Ok(2048));
    session.sign_init(&CKM_SHA256_RSA_PKCS.into(), pair.1).unwrap();
    let signature = session.sign(b"data").unwrap();
    verifies_digest("sha256", &[], &case.spki(&label), b"data", &signature).unwrap();
    tidy(case, &session, pair.1);
}

pub fn ec_pairs(case: &Case) {
    let session = case.user();
    for (name, curve) in [("p256", "1.2.840.10045.3.1.7"), ("p384", "1.3.132.0.34")] {
        let (label, params) = (fresh(case, name), object_identifier(curve));
        let pair = session
            .generate_pair(CKM_EC_KEY_PAIR_GEN, &on_curve(&params), &with(&label, &[signs()]))
            .unwrap();
        check_pair(case, &label, pair);
        assert_eq!(session.attribute(pair.0, CKA_EC_PARAMS).unwrap(), params);
        session.sign_init(&CKM_ECDSA_SHA256.into(), pair.1).unwrap();
        let signature = session.sign(b"data").unwrap();
        verifies_digest("sha256", &[], &case.spki(&label), b"data", &ecdsa_der(&signature)).unwrap();
        tidy(case, &session, pair.1);
    }
}

pub fn edwards_pairs(case: &Case) {
    let (session, label) = (case.user(), fresh(case, "edwards"));
    let pair = session
        .generate_pair(CKM_EC_EDWARDS_KEY_PAIR_GEN, &on_curve(ED25519), &with(&label, &[signs()]))
        .unwrap();
    check_pair(case, &label, pair);
    session.sign_init(&CKM_EDDSA.into(), pair.1).unwrap();
    let signature = session.sign(b"data").unwrap();
    verifies_eddsa(&case.spki(&label), b"data", &signature).unwrap();
    tidy(case, &session, pair.1);
}

pub fn aes_keys(case: &Case) {
    let (session, label) = (case.user(), fresh(case, "aes"));
    let uses = [number(CKA_VALUE_LEN, 32), flag(CKA_ENCRYPT, true), flag(CKA_DECRYPT, true)];
    let key = session.generate_key(CKM_AES_KEY_GEN, &with(&label, &uses)).unwrap();
    assert_eq!(session.the(CKO_SECRET_KEY, &label), key);
    assert_eq!(session.ulong(key, CKA_KEY_TYPE), Ok(CKK_AES));
    assert_eq!(session.ulong(key, CKA_CLASS), Ok(CKO_SECRET_KEY));
    assert_eq!((session.flag(key, CKA_ENCRYPT), session.flag(key, CKA_DECRYPT)), (Ok(true), Ok(true)));
    assert_eq!(case.dialect.secret(case.emulator, &label).len(), 32);
    tidy(case, &session, key);
}

pub fn mac_keys(case: &Case) {
    let (session, label) = (case.user(), fresh(case, "mac"));
    let uses = [number(CKA_KEY_TYPE, CKK_SHA256_HMAC), signs()];
    let key = session.generate_key(CKM_GENERIC_SECRET_KEY_GEN, &with(&label, &uses)).unwrap();
    assert_eq!(session.ulong(key, CKA_KEY_TYPE), Ok(CKK_SHA256_HMAC));
    session.sign_init(&CKM_SHA256_HMAC.into(), key).unwrap();
    let mac = session.sign(b"data").unwrap();
    let secret = openssl::to_hex(&case.dialect.secret(case.emulator, &label));
    let option = format!("hexkey:{secret}");
    let arguments = ["dgst", "-sha256", "-mac", "HMAC", "-macopt", &option, "-binary"];
    assert_eq!(openssl::openssl(&arguments, b"data"), mac);
    tidy(case, &session, key);
}

pub fn an_id_is_kept(case: &Case) {
    let (session, label) = (case.user(), fresh(case, "id"));
    let id = [0x00, 0x17, 0xfe];
    let private_template = with(&label, &[signs(), bytes(CKA_ID, id)]);
    let pair = session.generate_pair(CKM_EC_KEY_PAIR_GEN, &p256(), &private_template).unwrap();
    for key in [pair.0, pair.1] {
        assert_eq!(session.attribute(key, CKA_ID).unwrap(), id);
    }
    assert_eq!(session.find(&[bytes(CKA_ID, id)]).unwrap().len(), 2);
    tidy(case, &session, pair.1);
}

/// Applications give an id to whatever they make. Where the HSM keeps none, the key has the one that all keys there have.
pub fn an_id_falls(case: &Case) {
    let (session, label) = (case.user(), fresh(case, "id"));
    let private_template = with(&label, &[signs(), bytes(CKA_ID, [0x00, 0x17, 0xfe])]);
    let pair = session.generate_pair(CKM_EC_KEY_PAIR_GEN, &p256(), &private_template).unwrap();
    let id = session.attribute(pair.1, CKA_ID).unwrap();
    assert_eq!(session.attribute(pair.0, CKA_ID).unwrap(), id);
    assert_eq!(id.len(), 20, "the SHA-1 of the public key");
    tidy(case, &session, pair.1);
}

pub fn a_label_is_made_where_none_is_given(case: &Case) {
    let session = case.user();
    let make = || {
        let template = [flag(CKA_TOKEN, true), signs()];
        session.generate_pair(CKM_EC_KEY_PAIR_GEN, &p256(), &template).unwrap()
    };
    let (first, second) = (make(), make());
    let label = |key| session.attribute(key, CKA_LABEL).unwrap();
    assert!(!label(first.1).is_empty());
    assert_eq!(label(first.0), label(first.1));
    assert_ne!(label(first.1), label(second.1));
    for pair in [first, second] {
        tidy(case, &session, pair.1);
    }
}

pub fn a_label_that_is_taken_makes_nothing(case: &Case) {
    let (session, label) = (case.user(), fresh(case, "twice"));
    let pair = ec_pair(&session, &label);
    let spki = case.spki(&label);
    let again = session.generate_pair(CKM_EC_KEY_PAIR_GEN, &p256(), &with(&label, &[signs()]));
    refused(again, case.dialect.taken_label());
    assert_eq!(case.spki(&label), spki);
    assert_eq!(private(&session, &label), pair.1, "the first one stays");
    tidy(case, &session, pair.1);
}

pub fn a_public_key_may_be_a_session_object(case: &Case) {
    let (session, label) = (case.user(), fresh(case, "session"));
    let public_template = [flag(CKA_TOKEN, false), p256()[1].clone()];
    let made =
        session.generate_pair(CKM_EC_KEY_PAIR_GEN, &public_template, &with(&label, &[signs()])).unwrap();
    assert_eq!(session.flag(made.0, CKA_TOKEN), Ok(false));
    assert_eq!(session.attribute(made.0, CKA_PUBLIC_KEY_INFO).unwrap(), case.spki(&label));
    session.sign_init(&CKM_ECDSA_SHA256.into(), made.1).unwrap();
    let signature = session.sign(b"data").unwrap();
    session.verify_init(&CKM_ECDSA_SHA256.into(), made.0).unwrap();
    session.verify(b"data", &signature).unwrap();
    tidy(case, &session, made.1);
}

pub fn nobody_makes_a_key_without_the_right_to(case: &Case) {
    let template = with("unmade", &[signs()]);
    let pair = |session: &Session| session.generate_pair(CKM_EC_KEY_PAIR_GEN, &p256(), &template);
    let stranger = case.p11.open_rw(case.slot).unwrap();
    refused(pair(&stranger), CKR_USER_NOT_LOGGED_IN);
    let user = case.user();
    refused(pair(&case.session()), CKR_SESSION_READ_ONLY);
    assert!(!user.labels(&[]).contains(&"unmade".to_owned()));
}

pub fn what_no_key_is_like_is_not_made(case: &Case) {
    let session = case.user();
    let rsa =
        |bits: &[Pair], private: &[Pair]| session.generate_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, bits, private);
    let ec = |public: &[Pair], private: &[Pair]| session.generate_pair(CKM_EC_KEY_PAIR_GEN, public, private);
    let unmade = held("unmade");
    refused(rsa(&of_bits(2049), &unmade), CKR_ATTRIBUTE_VALUE_INVALID);
    refused(rsa(&[flag(CKA_TOKEN, true)], &unmade), CKR_TEMPLATE_INCOMPLETE);
    refused(ec(&[flag(CKA_TOKEN, true)], &unmade), CKR_TEMPLATE_INCOMPLETE);
    refused(ec(&on_curve(&object_identifier("1.3.132.0.6")), &unmade), CKR_CURVE_NOT_SUPPORTED);
    refused(ec(&on_curve(b"\x06\x03\x2b"), &unmade), CKR_DOMAIN_PARAMS_INVALID);
    refused(ec(&p256(), &[flag(CKA_TOKEN, false)]), CKR_TEMPLATE_INCONSISTENT);
    refused(ec(&p256(), &[]), CKR_TEMPLATE_INCONSISTENT);
    refused(ec(&p256(), &with("unmade", &[flag(CKA_LOCAL, true)])), CKR_ATTRIBUTE_READ_ONLY);
    refused(ec(&p256(), &with("unmade", &[number(CKA_VALUE_LEN, 32)])), CKR_ATTRIBUTE_TYPE_INVALID);
    refused(session.generate_pair(CKM_ECDSA, &p256(), &unmade), CKR_MECHANISM_INVALID);
    assert!(!session.labels(&[]).contains(&"unmade".to_owned()));
}

pub fn mechanisms_tell_what_is_made(case: &Case) {
    let info = |kind| case.p11.mechanism_info(case.slot, kind).unwrap();
    let rsa = info(CKM_RSA_PKCS_KEY_PAIR_GEN);
    assert_eq!(rsa.flags & (CKF_GENERATE_KEY_PAIR | CKF_HW), CKF_GENERATE_KEY_PAIR | CKF_HW);
    assert!(rsa.ulMinKeySize >= 1024 && rsa.ulMaxKeySize >= 4096);
    let ec = info(CKM_EC_KEY_PAIR_GEN);
    assert_ne!(ec.flags & CKF_GENERATE_KEY_PAIR, 0);
    assert_ne!(ec.flags & CKF_EC_NAMEDCURVE, 0);
}

/// Nobody's listing loses what somebody else just made.
pub fn threads_make_keys_at_once(case: &Case) {
    const THREADS: usize = 4;
    let user = case.user();
    let together = Barrier::new(THREADS);
    let make = |thread| {
        let session = case.p11.open_rw(case.slot).unwrap();
        together.wait();
        let labels = [0, 1, 2].map(|round| fresh(case, &format!("{thread}-{round}")));
        labels.map(|label| {
            let pair = ec_pair(&session, &label);
            assert!(session.labels(&[]).contains(&label));
            session.sign_init(&CKM_ECDSA_SHA256.into(), pair.1).unwrap();
            session.sign(b"data").unwrap();
            pair.1
        })
    };
    let made: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || make(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    for key in made {
        tidy(case, &user, key);
    }
}

pub fn a_deleted_key_is_gone(case: &Case) {
    let (session, label) = (case.user(), fresh(case, "doomed"));
    let (public_key, private_key) = ec_pair(&session, &label);
    session.sign_init(&CKM_ECDSA_SHA256.into(), private_key).unwrap();
    let other = case.session();
    refused(other.destroy(private_key), CKR_SESSION_READ_ONLY);
    refused(session.destroy(public_key), CKR_ACTION_PROHIBITED);
    assert_eq!(session.flag(public_key, CKA_DESTROYABLE), Ok(false), "not without its private half");
    assert_eq!(session.flag(private_key, CKA_DESTROYABLE), Ok(true));
    session.destroy(private_key).unwrap();
    for key in [public_key, private_key] {
        refused(session.attribute(key, CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
        refused(session.destroy(key), CKR_OBJECT_HANDLE_INVALID);
    }
    refused(session.sign(b"data"), CKR_FUNCTION_REJECTED);
    assert_eq!(session.find(&[bytes(CKA_LABEL, &label)]), Ok(vec![]));
    assert!(!session.labels(&[]).contains(&label));
    // The HSM has not got it either: its name is free.
    let again = ec_pair(&session, &label);
    assert_ne!(again.1, private_key);
    session.destroy(again.1).unwrap();
}

pub fn a_key_that_is_made_to_stay_stays(case: &Case) {
    let (session, label) = (case.user(), fresh(case, "lasting"));
    let lasting = with(&label, &[signs(), flag(CKA_DESTROYABLE, false)]);
    let pair = session.generate_pair(CKM_EC_KEY_PAIR_GEN, &p256(), &lasting).unwrap();
    assert_eq!(session.flag(pair.1, CKA_DESTROYABLE), Ok(false));
    refused(session.destroy(pair.1), CKR_ACTION_PROHIBITED);
    assert_eq!(private(&session, &label), pair.1);
}
