//! The states of operations (PKCS#11 3.2 sections 5.1.8 and 5.2).

use cryptoki_sys::*;

use super::{AES, Case, Purpose, private, public, secret};
use crate::support::mechanism::{HASHES, Mechanism};
use crate::support::p11::{Code, refused};
use crate::support::session::{Room, Session};

const SHA256: Mechanism = Mechanism::Plain(CKM_SHA256);
const PKCS1: Mechanism = Mechanism::Plain(CKM_RSA_PKCS);
const SHA256_RSA: Mechanism = Mechanism::Plain(CKM_SHA256_RSA_PKCS);

/// Begins a signature with the key that the dialect signs with.
fn begin(case: &Case, session: &Session) {
    let signer = case.signer();
    session.sign_init(&signer.kind.into(), private(session, signer.label)).unwrap();
}

fn signs(case: &Case, session: &Session, data: &[u8], signature: &[u8]) {
    let signer = case.signer();
    case.openssl_verifies(data, signature);
    session.verify_init(&signer.kind.into(), public(session, signer.label)).unwrap();
    session.verify(data, signature).unwrap();
}

pub fn one_of_a_kind_at_a_time(case: &Case) {
    let session = case.user();
    let (rsa, rsa_public) = (private(&session, case.rsa()), public(&session, case.rsa()));
    begin(case, &session);
    session.verify_init(&SHA256_RSA, rsa_public).unwrap();
    session.digest_init(&SHA256).unwrap();

    refused(session.sign_init(&SHA256_RSA, rsa), CKR_OPERATION_ACTIVE);
    refused(session.verify_init(&SHA256_RSA, rsa_public), CKR_OPERATION_ACTIVE);
    refused(session.verify_signature_init(&SHA256_RSA, rsa_public, &[0; 256]), CKR_OPERATION_ACTIVE);
    refused(session.digest_init(&SHA256), CKR_OPERATION_ACTIVE);

    // Each goes on as it began, and another session has its own.
    let other = case.session();
    other.sign_init(&SHA256_RSA, rsa).unwrap();
    let signature = session.sign(b"data").unwrap();
    signs(case, &other, b"data", &signature);
    assert_eq!(session.digest(b"abc").unwrap().len(), 32);
    refused(session.verify(b"data", &[0; 256]), CKR_SIGNATURE_INVALID);
}

/// What the above says of signatures and digests.
pub fn ciphers_are_operations_too(case: &Case) {
    let session = case.user();
    let (rsa, rsa_public) = (private(&session, case.rsa()), public(&session, case.rsa()));
    let gcm = CKM_AES_GCM.into();
    session.encrypt_init(&PKCS1, rsa_public).unwrap();
    session.decrypt_init(&PKCS1, rsa).unwrap();
    session.message_encrypt_init(&gcm, secret(&session, AES)).unwrap();
    begin(case, &session);
    refused(session.encrypt_init(&PKCS1, rsa_public), CKR_OPERATION_ACTIVE);
    refused(session.decrypt_init(&PKCS1, rsa), CKR_OPERATION_ACTIVE);
    refused(session.message_encrypt_init(&gcm, secret(&session, AES)), CKR_OPERATION_ACTIVE);
    session.sign(b"data").unwrap();
    assert_eq!(session.encrypt_into(b"data", Room::Query).length, 256);
    let sealed = session.encrypt(b"data").unwrap();
    let asked = session.decrypt_into(&sealed, Room::Query);
    assert_eq!(asked.code, Code(CKR_OK));
    assert!(asked.length >= 4, "an upper bound");
    assert_eq!(session.decrypt(&sealed).unwrap(), b"data");

    let (mut iv, mut tag) = ([0; 12], [0; 16]);
    let short = session.encrypt_message(CKG_GENERATE, &mut iv, &mut tag, b"", b"data", Room::Bytes(3));
    assert_eq!((short.code, short.length), (Code(CKR_BUFFER_TOO_SMALL), 4));
    assert_eq!((iv, tag), ([0; 12], [0; 16]));

    session.encrypt_init(&PKCS1, rsa_public).unwrap();
    refused(session.encrypt(&[0; 246]), CKR_DATA_LEN_RANGE);
    refused(session.encrypt(b"data"), CKR_OPERATION_NOT_INITIALIZED);
    session.decrypt_init(&PKCS1, rsa).unwrap();
    refused(session.decrypt(&[0; 255]), CKR_ENCRYPTED_DATA_LEN_RANGE);
    refused(session.decrypt(&[0; 256]), CKR_OPERATION_NOT_INITIALIZED);

    session.decrypt_init(&PKCS1, rsa).unwrap();
    session.cancel(CKF_DECRYPT | CKF_VERIFY).unwrap();
    refused(session.decrypt(&sealed), CKR_OPERATION_NOT_INITIALIZED);

    session.decrypt_init(&PKCS1, rsa).unwrap();
    session.logout().unwrap();
    refused(session.decrypt(&sealed), CKR_USER_NOT_LOGGED_IN);
}

pub fn asking_for_the_length_keeps_it(case: &Case) {
    let (session, length) = (case.user(), case.signer().length);
    begin(case, &session);
    for _ in 0..3 {
        let asked = session.sign_into(b"data", Room::Query);
        assert_eq!((asked.code, asked.length), (Code(CKR_OK), length));
    }
    let signature = session.sign(b"data").unwrap();
    signs(case, &session, b"data", &signature);

    begin(case, &session);
    session.sign_update(b"da").unwrap();
    assert_eq!(session.sign_final_into(Room::Query).length, length);
    // Only the length was asked for: the data may go on.
    session.sign_update(b"ta").unwrap();
    assert_eq!(session.sign_final_into(Room::Query).length, length);
    let signature = session.sign_final().unwrap();
    signs(case, &session, b"data", &signature);
}

pub fn a_short_buffer_keeps_it(case: &Case) {
    let (session, length) = (case.user(), case.signer().length);
    begin(case, &session);
    for have in [0, length - 1] {
        let short = session.sign_into(b"data", Room::Bytes(have));
        assert_eq!((short.code, short.length), (Code(CKR_BUFFER_TOO_SMALL), length));
    }
    let exact = session.sign_into(b"data", Room::Bytes(length));
    assert_eq!((exact.code, exact.length), (Code(CKR_OK), length));
    signs(case, &session, b"data", &exact.bytes);

    session.digest_init(&SHA256).unwrap();
    session.digest_update(b"abc").unwrap();
    let short = session.digest_final_into(Room::Bytes(31));
    assert_eq!((short.code, short.length), (Code(CKR_BUFFER_TOO_SMALL), 32));
    assert_eq!(session.digest_final().unwrap().len(), 32);
}

pub fn any_other_error_ends_it(case: &Case) {
    let session = case.user();
    let key = public(&session, case.rsa());
    session.verify_init(&SHA256_RSA, key).unwrap();
    refused(session.verify(b"data", &[0; 255]), CKR_SIGNATURE_LEN_RANGE);
    refused(session.verify(b"data", &[0; 256]), CKR_OPERATION_NOT_INITIALIZED);

    session.verify_signature_init(&SHA256_RSA, key, &[0; 256]).unwrap();
    refused(session.verify_signature(b"data"), CKR_SIGNATURE_INVALID);
    refused(session.verify_signature(b"data"), CKR_OPERATION_NOT_INITIALIZED);

    // A failed beginning begins nothing, and harms nothing that goes on.
    refused(session.sign_init(&SHA256_RSA, 0), CKR_KEY_HANDLE_INVALID);
    refused(session.sign(b"data"), CKR_OPERATION_NOT_INITIALIZED);
}

pub fn data_of_the_wrong_length_end_it(case: &Case) {
    let session = case.user();
    session.sign_init(&HASHES[2].pss(CKM_RSA_PKCS_PSS), private(&session, case.rsa())).unwrap();
    refused(session.sign(b"no digest"), CKR_DATA_LEN_RANGE);
    refused(session.sign(&[0; 32]), CKR_OPERATION_NOT_INITIALIZED);
}

pub fn single_part_after_parts_is_refused(case: &Case) {
    let session = case.user();
    begin(case, &session);
    session.sign_update(b"data").unwrap();
    refused(session.sign(b"data"), CKR_OPERATION_NOT_INITIALIZED);

    session.digest_init(&SHA256).unwrap();
    session.digest_update(b"data").unwrap();
    refused(session.digest(b"data"), CKR_OPERATION_NOT_INITIALIZED);

    let key = public(&session, case.rsa());
    session.verify_init(&SHA256_RSA, key).unwrap();
    session.verify_update(b"data").unwrap();
    refused(session.verify(b"data", &[0; 256]), CKR_OPERATION_NOT_INITIALIZED);

    // The two ways to verify do not mix.
    session.verify_signature_init(&SHA256_RSA, key, &[0; 256]).unwrap();
    refused(session.verify(b"data", &[0; 256]), CKR_OPERATION_NOT_INITIALIZED);
    refused(session.verify_update(b"data"), CKR_OPERATION_NOT_INITIALIZED);
    refused(session.verify_final(&[0; 256]), CKR_OPERATION_NOT_INITIALIZED);
}

pub fn cancelling(case: &Case) {
    let session = case.user();
    let all = || {
        session.find_init(&[]).unwrap();
        session.digest_init(&SHA256).unwrap();
    };
    begin(case, &session);
    all();
    session.cancel(CKF_SIGN | CKF_FIND_OBJECTS).unwrap();
    refused(session.sign(b"data"), CKR_OPERATION_NOT_INITIALIZED);
    refused(session.find_next(1), CKR_OPERATION_NOT_INITIALIZED);
    session.digest(b"abc").unwrap();
    // All of it can begin again.
    begin(case, &session);
    all();
}

/// Section 5.8.1 and its like: a NULL mechanism ends what is active.
pub fn a_null_mechanism_cancels(case: &Case) {
    let session = case.user();
    begin(case, &session);
    session.digest_init(&SHA256).unwrap();
    session.sign_init_null().unwrap();
    session.digest_init_null().unwrap();
    refused(session.sign(b"data"), CKR_OPERATION_NOT_INITIALIZED);
    refused(session.digest(b"data"), CKR_OPERATION_NOT_INITIALIZED);
}

pub fn logging_out_in_the_middle(case: &Case) {
    let (session, signer) = (case.user(), case.signer());
    let key = private(&session, signer.label);
    begin(case, &session);
    session.sign_update(b"data").unwrap();
    session.logout().unwrap();
    refused(session.sign_final(), CKR_USER_NOT_LOGGED_IN);
    refused(session.sign_init(&signer.kind.into(), key), CKR_USER_NOT_LOGGED_IN);

    session.login(case.dialect.pin()).unwrap();
    begin(case, &session);
    session.sign(b"data").unwrap();
}

pub fn nothing_goes_on_without_a_beginning(case: &Case) {
    let session = case.session();
    let code = CKR_OPERATION_NOT_INITIALIZED;
    for called in [
        session.sign(b"x"),
        session.sign_final(),
        session.digest(b"x"),
        session.digest_final(),
        session.encrypt(b"x"),
        session.encrypt_update(b"x"),
        session.encrypt_final(),
        session.decrypt(b"x"),
        session.decrypt_update(b"x"),
        session.decrypt_final(),
    ] {
        refused(called, code);
    }
    for called in [
        session.sign_update(b"x"),
        session.verify(b"x", b"x"),
        session.verify_update(b"x"),
        session.verify_final(b"x"),
        session.verify_signature(b"x"),
        session.verify_signature_update(b"x"),
        session.verify_signature_final(),
        session.digest_update(b"x"),
        session.message_encrypt_final(),
        session.login_as(CKU_CONTEXT_SPECIFIC, b"x"),
    ] {
        refused(called, code);
    }
    let (mut iv, mut tag) = ([0; 12], [0; 16]);
    let sealed = session.encrypt_message(CKG_GENERATE, &mut iv, &mut tag, b"", b"x", Room::Bytes(1));
    assert_eq!(sealed.code, Code(code));
}

pub fn random_bytes(case: &Case) {
    let session = case.user();
    let (one, other) = (session.random(32).unwrap(), session.random(32).unwrap());
    assert_ne!(one, other);
    assert_eq!(session.random(0), Ok(vec![]));
    // More than one request gives; a stretch that nobody filled would show.
    let many = session.random(3000).unwrap();
    assert!(many.chunks(20).all(|some| some.iter().any(|byte| *byte != 0)));
    refused(session.seed_random(b"seed"), CKR_RANDOM_SEED_NOT_SUPPORTED);
}

/// The length of a plaintext is known when the HSM has opened it: that is work to be kept.
pub fn a_decryption_into_a_short_buffer_asks_the_hsm_once(case: &Case) {
    let session = case.user();
    session.encrypt_init(&PKCS1, public(&session, case.rsa())).unwrap();
    let sealed = session.encrypt(b"data").unwrap();
    session.decrypt_init(&PKCS1, private(&session, case.rsa())).unwrap();
    let before = case.asked(Purpose::Decrypt);
    let short = session.decrypt_into(&sealed, Room::Bytes(3));
    assert_eq!((short.code, short.length), (Code(CKR_BUFFER_TOO_SMALL), 4));
    let exact = session.decrypt_into(&sealed, Room::Bytes(4));
    assert_eq!((exact.code, &exact.bytes[..]), (Code(CKR_OK), &b"data"[..]));
    assert_eq!(case.asked(Purpose::Decrypt) - before, 1);
}
