//! What becomes of that which an HSM is unable to do: the code of the vendor's page.

use cryptoki_sys::*;

use super::{Case, private, public};
use crate::support::mechanism::{HASHES, Mechanism};
use crate::support::openssl::digest;
use crate::support::p11::refused;
use crate::support::session::number;

const IV: [u8; 16] = [0x51; 16];

/// The token does not offer these, and no operation begins with them, whatever the key.
fn not_offered(case: &Case, mechanisms: &[Mechanism]) {
    let session = case.user();
    let (key, public_key) = (private(&session, case.rsa()), public(&session, case.rsa()));
    let offered = case.p11.mechanisms(case.slot).unwrap();
    for mechanism in mechanisms {
        let kind = mechanism.kind();
        assert!(!offered.contains(&kind), "{kind:#x}");
        refused(case.p11.mechanism_info(case.slot, kind).map(drop), CKR_MECHANISM_INVALID);
        refused(session.sign_init(mechanism, key), CKR_MECHANISM_INVALID);
        refused(session.verify_init(mechanism, public_key), CKR_MECHANISM_INVALID);
        refused(session.encrypt_init(mechanism, public_key), CKR_MECHANISM_INVALID);
        refused(session.decrypt_init(mechanism, key), CKR_MECHANISM_INVALID);
        refused(session.message_encrypt_init(mechanism, key), CKR_MECHANISM_INVALID);
    }
    refused(session.sign(b"data"), CKR_OPERATION_NOT_INITIALIZED);
}

pub fn ecdsa(case: &Case) {
    let kinds = [CKM_ECDSA, CKM_ECDSA_SHA1, CKM_ECDSA_SHA256, CKM_ECDSA_SHA384, CKM_ECDSA_SHA512];
    not_offered(case, &kinds.map(Mechanism::Plain));
}

pub fn eddsa(case: &Case) {
    not_offered(case, &[CKM_EDDSA.into()]);
}

pub fn rsa_pss(case: &Case) {
    let [_, _, sha256, ..] = HASHES;
    not_offered(case, &[sha256.pss(CKM_RSA_PKCS_PSS), sha256.pss(CKM_SHA256_RSA_PKCS_PSS)]);
}

/// Those of the five hashes that the HSM does not sign with.
pub fn hashes(case: &Case) {
    let kinds = [
        CKM_SHA1_RSA_PKCS,
        CKM_SHA224_RSA_PKCS,
        CKM_SHA256_RSA_PKCS,
        CKM_SHA384_RSA_PKCS,
        CKM_SHA512_RSA_PKCS,
    ];
    let served = case.dialect.hashes();
    let missing =
        kinds.into_iter().zip(HASHES).filter(|(_, hash)| !served.iter().any(|it| it.kind == hash.kind));
    let missing: Vec<_> = missing.map(|(kind, _)| kind.into()).collect();
    assert!(!missing.is_empty());
    not_offered(case, &missing);
}

/// The HSM hashes: what is hashed already would be hashed twice.
pub fn digests_of_the_caller(case: &Case) {
    let [_, _, sha256, ..] = HASHES;
    not_offered(case, &[CKM_ECDSA.into(), sha256.pss(CKM_RSA_PKCS_PSS)]);
}

pub fn digest_infos(case: &Case) {
    let session = case.user();
    refused(session.sign_init(&CKM_RSA_PKCS.into(), private(&session, case.rsa())), CKR_MECHANISM_INVALID);
}

/// MD5 and SHA-1 of TLS 1.1 in 36 bytes, a digest without its DigestInfo, plain text: the HSM has no way to sign it.
pub fn bytes_that_are_no_digest_info(case: &Case) {
    let session = case.user();
    let key = private(&session, case.rsa());
    for data in [&[0x5a; 36][..], &digest("sha256", b"data"), b"plain text", &[]] {
        session.sign_init(&CKM_RSA_PKCS.into(), key).unwrap();
        refused(session.sign(data), CKR_DATA_INVALID);
        refused(session.sign(data), CKR_OPERATION_NOT_INITIALIZED);
    }
}

pub fn rsa_decryption(case: &Case) {
    let session = case.user();
    refused(session.decrypt_init(&CKM_RSA_PKCS.into(), private(&session, case.rsa())), CKR_MECHANISM_INVALID);
    refused(session.decrypt(&[1; 256]), CKR_OPERATION_NOT_INITIALIZED);
    if let Ok(info) = case.p11.mechanism_info(case.slot, CKM_RSA_PKCS) {
        assert_eq!(info.flags & CKF_DECRYPT, 0);
    }
}

pub fn rsa_oaep(case: &Case) {
    let session = case.user();
    refused(session.decrypt_init(&HASHES[2].oaep(), private(&session, case.rsa())), CKR_MECHANISM_INVALID);
    if let Ok(info) = case.p11.mechanism_info(case.slot, CKM_RSA_PKCS_OAEP) {
        assert_eq!(info.flags & CKF_DECRYPT, 0);
    }
}

pub fn aes_blocks(case: &Case) {
    not_offered(
        case,
        &[
            CKM_AES_ECB.into(),
            Mechanism::Bytes(CKM_AES_CBC, IV.to_vec()),
            Mechanism::Bytes(CKM_AES_CBC_PAD, IV.to_vec()),
            Mechanism::Ctr { bits: 128, block: IV },
        ],
    );
}

pub fn macs(case: &Case) {
    let kinds = [CKM_SHA_1_HMAC, CKM_SHA224_HMAC, CKM_SHA256_HMAC, CKM_SHA384_HMAC, CKM_SHA512_HMAC];
    not_offered(case, &kinds.map(Mechanism::Plain));
}

pub fn aes_gcm(case: &Case) {
    not_offered(case, &[Mechanism::Gcm { iv: vec![1; 12], aad: vec![], tag_bits: 128 }]);
}

pub fn secret_keys(case: &Case) {
    assert_eq!(case.user().find(&[number(CKA_CLASS, CKO_SECRET_KEY)]), Ok(vec![]));
}

/// A generator that is not the HSM's is none.
pub fn random_bytes(case: &Case) {
    assert_eq!(case.p11.token_info(case.slot).unwrap().flags & CKF_RNG, 0);
    let session = case.user();
    refused(session.random(32), CKR_RANDOM_NO_RNG);
    refused(session.seed_random(b"seed"), CKR_RANDOM_NO_RNG);
}

pub fn passwords_of_keys(case: &Case) {
    let (session, signer) = (case.user(), case.signer());
    for label in case.seed().private() {
        assert_eq!(session.flag(private(&session, label), CKA_ALWAYS_AUTHENTICATE), Ok(false), "{label}");
    }
    session.sign_init(&signer.kind.into(), private(&session, signer.label)).unwrap();
    let login = session.login_as(CKU_CONTEXT_SPECIFIC, case.dialect.pin().as_bytes());
    refused(login, CKR_OPERATION_NOT_INITIALIZED);
    session.sign(b"data").unwrap();
}

pub fn certificates(case: &Case) {
    assert!(case.seed().certified.is_empty());
    assert_eq!(case.user().find(&[number(CKA_CLASS, CKO_CERTIFICATE)]), Ok(vec![]));
}

/// Nothing that is not told is taken for granted but this.
pub fn secrets_are_not_told_though_nobody_says_so(case: &Case) {
    let session = case.user();
    for label in case.seed().pairs() {
        let key = private(&session, label);
        assert_eq!(session.flag(key, CKA_SENSITIVE), Ok(true), "{label}");
        assert_eq!(session.flag(key, CKA_EXTRACTABLE), Ok(false), "{label}");
        assert_eq!(session.flag(key, CKA_MODIFIABLE), Ok(false), "{label}");
        assert_eq!(session.ulong(key, CKA_KEY_GEN_MECHANISM), Ok(CK_UNAVAILABLE_INFORMATION), "{label}");
    }
}

/// None of the vendors has these.
/// Where the table of mechanisms has others, it is the function that is not there.
pub fn making_keys(case: &Case) {
    let session = case.user();
    refused(session.generate_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &[], &[]), CKR_FUNCTION_NOT_SUPPORTED);
    refused(session.generate_key(CKM_AES_KEY_GEN, &[]), CKR_FUNCTION_NOT_SUPPORTED);
}

pub fn of_what_no_rest_api_has(case: &Case) {
    not_offered(case, &[CKM_RSA_X_509, CKM_MD5_RSA_PKCS, CKM_DES3_ECB, CKM_DSA].map(Mechanism::Plain));
}
