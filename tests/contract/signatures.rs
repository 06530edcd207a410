//! Every signing mechanism, judged by OpenSSL and by the module's own verification.

use cryptoki_sys::*;

use super::{Case, EC, ED, private, public, secret};
use crate::support::mechanism::{HASHES, Hash, Mechanism};
use crate::support::openssl::{
    describe, digest, ecdsa_der, openssl, recovered, to_hex, verifies_digest, verifies_eddsa,
};
use crate::support::p11::{Code, refused};
use crate::support::session::{Room, Session};

const MESSAGE: &[u8] = b"The quick brown fox jumps over the lazy dog, and signs for it.";

const SHA_RSA: [CK_MECHANISM_TYPE; 5] =
    [CKM_SHA1_RSA_PKCS, CKM_SHA224_RSA_PKCS, CKM_SHA256_RSA_PKCS, CKM_SHA384_RSA_PKCS, CKM_SHA512_RSA_PKCS];
const SHA_PSS: [CK_MECHANISM_TYPE; 5] = [
    CKM_SHA1_RSA_PKCS_PSS,
    CKM_SHA224_RSA_PKCS_PSS,
    CKM_SHA256_RSA_PKCS_PSS,
    CKM_SHA384_RSA_PKCS_PSS,
    CKM_SHA512_RSA_PKCS_PSS,
];
const ECDSA_SHA: [CK_MECHANISM_TYPE; 5] =
    [CKM_ECDSA_SHA1, CKM_ECDSA_SHA224, CKM_ECDSA_SHA256, CKM_ECDSA_SHA384, CKM_ECDSA_SHA512];

/// The mechanisms of a list of five, each with its hash, that the dialect serves.
fn served(
    case: &Case,
    mechanisms: [CK_MECHANISM_TYPE; 5],
) -> impl Iterator<Item = (CK_MECHANISM_TYPE, Hash)> {
    let served = case.dialect.hashes();
    assert!(served.iter().any(|hash| hash.len == 32), "every HSM has SHA-256");
    let is_served = move |hash: Hash| served.iter().any(|served| served.kind == hash.kind);
    mechanisms.into_iter().zip(HASHES).filter(move |(_, hash)| is_served(*hash))
}

/// The length of the signatures of an RSA key.
pub fn modulus_length(session: &Session, label: &str) -> usize {
    session.attribute(public(session, label), CKA_MODULUS).unwrap().len()
}

/// Those of an elliptic curve: two numbers as long as its order.
fn ecdsa_length(case: &Case, label: &str) -> usize {
    let text = describe(&case.spki(label));
    let lengths = [("P-256", 64), ("P-384", 96), ("P-521", 132)];
    let known = lengths.iter().find(|(curve, _)| text.contains(curve));
    known.unwrap_or_else(|| panic!("another curve: {text}")).1
}

/// Signs in one part and in several, has the module verify in every way, and gives the signatures.
fn signed(session: &Session, mechanism: &Mechanism, label: &str, data: &[u8], length: usize) -> [Vec<u8>; 2] {
    let (key, public_key) = (private(session, label), public(session, label));
    session.sign_init(mechanism, key).unwrap();
    let whole = session.sign(data).unwrap();

    session.sign_init(mechanism, key).unwrap();
    let (head, tail) = data.split_at(data.len() / 3);
    for part in [head, &[], tail] {
        session.sign_update(part).unwrap();
    }
    let in_parts = session.sign_final().unwrap();

    for signature in [&whole, &in_parts] {
        assert_eq!(signature.len(), length, "{mechanism:?} {label}");
        session.verify_init(mechanism, public_key).unwrap();
        session.verify(data, signature).unwrap();

        session.verify_init(mechanism, public_key).unwrap();
        session.verify_update(head).unwrap();
        session.verify_update(tail).unwrap();
        session.verify_final(signature).unwrap();

        session.verify_signature_init(mechanism, public_key, signature).unwrap();
        session.verify_signature(data).unwrap();

        session.verify_signature_init(mechanism, public_key, signature).unwrap();
        session.verify_signature_update(head).unwrap();
        session.verify_signature_update(tail).unwrap();
        session.verify_signature_final().unwrap();
    }
    [whole, in_parts]
}

pub fn rsa_pkcs1_with_a_hash(case: &Case) {
    let session = case.user();
    for (kind, hash) in served(case, SHA_RSA) {
        for label in case.seed().rsa {
            let length = modulus_length(&session, label);
            for signature in signed(&session, &kind.into(), label, MESSAGE, length) {
                verifies_digest(hash.name, &[], &case.spki(label), MESSAGE, &signature).unwrap();
            }
        }
    }
}

/// The DER of DigestInfo as RFC 8017 section 9.2 prints it.
fn digest_info(hash: Hash, data: &[u8]) -> Vec<u8> {
    let head: &[u8] = match hash.len {
        20 => &[0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14],
        28 => b"\x30\x2d\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x04\x05\x00\x04\x1c",
        32 => b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
        48 => b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
        _ => b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
    };
    [head, &digest(hash.name, data)].concat()
}

pub fn rsa_pkcs1_of_a_digest_info(case: &Case) {
    let session = case.user();
    for (_, hash) in served(case, SHA_RSA) {
        let info = digest_info(hash, MESSAGE);
        for signature in signed(&session, &CKM_RSA_PKCS.into(), case.rsa(), &info, 256) {
            verifies_digest(hash.name, &[], &case.spki(case.rsa()), MESSAGE, &signature).unwrap();
        }
    }
}

pub fn rsa_pkcs1_of_any_bytes(case: &Case) {
    let session = case.user();
    // MD5 and SHA-1 of TLS 1.1 have this length and no DigestInfo; the last is all that fits.
    for data in [MESSAGE, &[0x5a; 36], &[7], &[0xff; 256 - 11]] {
        for signature in signed(&session, &CKM_RSA_PKCS.into(), case.rsa(), data, 256) {
            assert_eq!(recovered(&case.spki(case.rsa()), &signature), data);
        }
    }
}

pub fn rsa_pss_with_a_hash(case: &Case) {
    let session = case.user();
    for (kind, hash) in served(case, SHA_PSS) {
        let salt = format!("rsa_pss_saltlen:{}", hash.len);
        let mgf = format!("rsa_mgf1_md:{}", hash.name);
        let options = ["rsa_padding_mode:pss", &salt, &mgf];
        for label in case.seed().rsa {
            let length = modulus_length(&session, label);
            let [one, other] = signed(&session, &hash.pss(kind), label, MESSAGE, length);
            assert_ne!(one, other, "the salt is random");
            for signature in [one, other] {
                verifies_digest(hash.name, &options, &case.spki(label), MESSAGE, &signature).unwrap();
            }
        }
    }
}

pub fn rsa_pss_of_a_digest(case: &Case) {
    let session = case.user();
    // The API signs a digest with PSS for these; SHA-1 it wants to make itself.
    for (_, hash) in served(case, SHA_PSS).filter(|(_, hash)| hash.len != 20) {
        let digest = digest(hash.name, MESSAGE);
        let salt = format!("rsa_pss_saltlen:{}", hash.len);
        let mgf = format!("rsa_mgf1_md:{}", hash.name);
        for signature in signed(&session, &hash.pss(CKM_RSA_PKCS_PSS), case.rsa(), &digest, 256) {
            let options = ["rsa_padding_mode:pss", &salt, &mgf];
            verifies_digest(hash.name, &options, &case.spki(case.rsa()), MESSAGE, &signature).unwrap();
        }
        session.sign_init(&hash.pss(CKM_RSA_PKCS_PSS), private(&session, case.rsa())).unwrap();
        refused(session.sign(&digest[1..]), CKR_DATA_LEN_RANGE);
    }
}

pub fn ecdsa_with_a_hash(case: &Case) {
    let session = case.user();
    for (kind, hash) in served(case, ECDSA_SHA) {
        for label in case.seed().ec {
            let length = ecdsa_length(case, label);
            for signature in signed(&session, &kind.into(), label, MESSAGE, length) {
                verifies_digest(hash.name, &[], &case.spki(label), MESSAGE, &ecdsa_der(&signature)).unwrap();
            }
        }
    }
}

pub fn ecdsa_of_a_digest(case: &Case) {
    let session = case.user();
    for (_, hash) in served(case, ECDSA_SHA) {
        let digest = digest(hash.name, MESSAGE);
        for label in case.seed().ec {
            let length = ecdsa_length(case, label);
            for signature in signed(&session, &CKM_ECDSA.into(), label, &digest, length) {
                verifies_digest(hash.name, &[], &case.spki(label), MESSAGE, &ecdsa_der(&signature)).unwrap();
            }
        }
    }
}

pub fn eddsa(case: &Case) {
    let session = case.user();
    for data in [MESSAGE, b"", &[0; 5000]] {
        let [one, other] = signed(&session, &CKM_EDDSA.into(), ED, data, 64);
        assert_eq!(one, other, "Ed25519 is deterministic");
        // OpenSSL 3.0 cannot read an empty file for this.
        if !data.is_empty() {
            verifies_eddsa(&case.spki(ED), data, &one).unwrap();
        }
    }
    // No prehash and no context, said in words.
    let spoken =
        CK_EDDSA_PARAMS { phFlag: CK_FALSE, ulContextDataLen: 0, pContextData: std::ptr::null_mut() };
    let words = [&u64::from(spoken.phFlag).to_ne_bytes()[..], &[0; 16]].concat();
    assert_eq!(words.len(), size_of_val(&spoken));
    signed(&session, &Mechanism::Bytes(CKM_EDDSA, words), ED, MESSAGE, 64);
}

/// A rival tells a length of 62, signs into a buffer of 62 in vain, and then signs the message twice over.
pub fn an_eddsa_signature_is_told_whole_and_made_once(case: &Case) {
    let session = case.user();
    session.sign_init(&CKM_EDDSA.into(), private(&session, ED)).unwrap();
    let asked = session.sign_into(MESSAGE, Room::Query);
    assert_eq!((asked.code, asked.length), (Code(CKR_OK), 64));
    let short = session.sign_into(MESSAGE, Room::Bytes(62));
    assert_eq!((short.code, short.length), (Code(CKR_BUFFER_TOO_SMALL), 64));
    let signature = session.sign(MESSAGE).unwrap();
    assert_eq!(signature.len(), 64);
    verifies_eddsa(&case.spki(ED), MESSAGE, &signature).unwrap();
}

/// Deterministic mechanisms tell whether parts are put together as they came.
pub fn a_signature_in_parts_is_the_signature(case: &Case) {
    let session = case.user();
    for (kind, label, able) in [
        (CKM_SHA256_RSA_PKCS, case.rsa(), true),
        (CKM_RSA_PKCS, case.rsa(), case.able("any_bytes")),
        (CKM_EDDSA, ED, case.able("edwards")),
    ] {
        if !able {
            continue;
        }
        let key = private(&session, label);
        session.sign_init(&kind.into(), key).unwrap();
        let expected = session.sign(MESSAGE).unwrap();
        session.sign_init(&kind.into(), key).unwrap();
        for part in MESSAGE.chunks(7) {
            session.sign_update(part).unwrap();
        }
        assert_eq!(session.sign_final().unwrap(), expected, "{kind:#x}");
    }
}

pub fn false_signatures_are_refused(case: &Case) {
    let session = case.user();
    let pss = HASHES[2].pss(CKM_SHA256_RSA_PKCS_PSS);
    let mechanisms: [(Mechanism, &str, bool); 6] = [
        (CKM_SHA256_RSA_PKCS.into(), case.rsa(), true),
        (CKM_RSA_PKCS.into(), case.rsa(), case.able("any_bytes")),
        (pss, case.other_rsa(), case.able("pss")),
        (CKM_ECDSA_SHA256.into(), EC, case.able("ec")),
        (CKM_ECDSA.into(), case.other_ec(), case.able("ec") && case.able("digests")),
        (CKM_EDDSA.into(), ED, case.able("edwards")),
    ];
    for (mechanism, label, _) in mechanisms.iter().filter(|(_, _, able)| *able) {
        let key = public(&session, label);
        session.sign_init(mechanism, private(&session, label)).unwrap();
        let signature = session.sign(&MESSAGE[..32]).unwrap();
        let verify = |data: &[u8], signature: &[u8]| {
            session.verify_init(mechanism, key).unwrap();
            let one = session.verify(data, signature);
            session.verify_signature_init(mechanism, key, signature).unwrap();
            assert_eq!(session.verify_signature(data), one, "both ways to verify agree");
            one
        };
        verify(&MESSAGE[..32], &signature).unwrap();
        refused(verify(&MESSAGE[1..33], &signature), CKR_SIGNATURE_INVALID);
        for at in [0, signature.len() / 2, signature.len() - 1] {
            let mut tampered = signature.clone();
            tampered[at] ^= 1;
            refused(verify(&MESSAGE[..32], &tampered), CKR_SIGNATURE_INVALID);
        }
        refused(verify(&MESSAGE[..32], &vec![0; signature.len()]), CKR_SIGNATURE_INVALID);
        refused(verify(&MESSAGE[..32], &vec![0xff; signature.len()]), CKR_SIGNATURE_INVALID);
        refused(verify(&MESSAGE[..32], &signature[1..]), CKR_SIGNATURE_LEN_RANGE);
        refused(verify(&MESSAGE[..32], &[&signature[..], &[0]].concat()), CKR_SIGNATURE_LEN_RANGE);
        refused(verify(&MESSAGE[..32], &[]), CKR_SIGNATURE_LEN_RANGE);
    }
}

pub fn parameters_that_are_not_served_are_refused(case: &Case) {
    let session = case.user();
    let [_, sha224, sha256, ..] = HASHES;
    let kind = CKM_SHA256_RSA_PKCS_PSS;
    let pss = |hash: Hash, mgf, salt| Mechanism::Pss { kind, hash: hash.kind, mgf, salt };
    let key = private(&session, case.rsa());
    // The HSM has one length of salt; verification is made here and takes any.
    for salt in [0, 20, 190] {
        let mechanism = pss(sha256, sha256.mgf, salt);
        refused(session.sign_init(&mechanism, key), CKR_MECHANISM_PARAM_INVALID);
        session.verify_init(&mechanism, public(&session, case.rsa())).unwrap();
        refused(session.verify(MESSAGE, &[0; 256]), CKR_SIGNATURE_INVALID);
    }
    for mechanism in [
        pss(sha256, sha224.mgf, 32),
        pss(sha224, sha224.mgf, 28),
        Mechanism::Plain(kind),
        Mechanism::Bytes(kind, vec![0; 23]),
        Mechanism::Bytes(CKM_SHA256_RSA_PKCS, vec![1]),
    ] {
        refused(session.sign_init(&mechanism, key), CKR_MECHANISM_PARAM_INVALID);
        refused(session.verify_init(&mechanism, public(&session, case.rsa())), CKR_MECHANISM_PARAM_INVALID);
    }
    if case.able("digests") {
        let md5 = Mechanism::Pss { kind: CKM_RSA_PKCS_PSS, hash: CKM_MD5, mgf: CKG_MGF1_SHA1, salt: 16 };
        refused(session.sign_init(&md5, key), CKR_MECHANISM_PARAM_INVALID);
        refused(session.verify_init(&md5, public(&session, case.rsa())), CKR_MECHANISM_PARAM_INVALID);
    }
    // Ed25519ph.
    if case.able("edwards") {
        let prehash = Mechanism::Bytes(CKM_EDDSA, [&1u64.to_ne_bytes()[..], &[0; 16]].concat());
        refused(session.sign_init(&prehash, private(&session, ED)), CKR_MECHANISM_PARAM_INVALID);
    }
    if let Some(hash) = case.dialect.oaep_hashes().first().filter(|_| case.able("oaep")) {
        refused(session.sign_init(&CKM_RSA_PKCS_OAEP.into(), key), CKR_MECHANISM_PARAM_INVALID);
        refused(session.sign_init(&hash.oaep(), key), CKR_MECHANISM_INVALID);
    }
}

pub fn mechanisms_of_other_purposes_are_refused(case: &Case) {
    let session = case.user();
    let key = private(&session, case.rsa());
    refused(session.sign_init(&CKM_MD5_RSA_PKCS.into(), key), CKR_MECHANISM_INVALID);
    refused(session.sign_init(&CKM_RSA_X_509.into(), key), CKR_MECHANISM_INVALID);
    refused(session.sign_init(&CKM_SHA256.into(), key), CKR_MECHANISM_INVALID);
    let with_parameter = Mechanism::Bytes(CKM_SHA256_RSA_PKCS, vec![1]);
    refused(session.sign_init(&with_parameter, key), CKR_MECHANISM_PARAM_INVALID);
    refused(session.verify_init(&with_parameter, public(&session, case.rsa())), CKR_MECHANISM_PARAM_INVALID);
}

pub fn keys_of_other_types_are_refused(case: &Case) {
    let (session, seed) = (case.user(), case.seed());
    for (kind, labels, able) in [
        (CKM_SHA256_RSA_PKCS, seed.ec, true),
        (CKM_ECDSA_SHA256, seed.rsa, case.able("ec")),
        (CKM_ECDSA, seed.rsa, case.able("ec") && case.able("digests")),
        (CKM_EDDSA, seed.ec, case.able("edwards")),
        (CKM_ECDSA_SHA256, seed.edwards, case.able("ec")),
    ] {
        for label in labels.iter().filter(|_| able) {
            refused(session.sign_init(&kind.into(), private(&session, label)), CKR_KEY_TYPE_INCONSISTENT);
            refused(session.verify_init(&kind.into(), public(&session, label)), CKR_KEY_TYPE_INCONSISTENT);
        }
    }
    let sha256_rsa = CKM_SHA256_RSA_PKCS.into();
    for label in seed.secrets() {
        refused(session.sign_init(&sha256_rsa, secret(&session, label)), CKR_KEY_TYPE_INCONSISTENT);
    }
    refused(session.sign_init(&sha256_rsa, public(&session, case.rsa())), CKR_KEY_FUNCTION_NOT_PERMITTED);
    refused(session.verify_init(&sha256_rsa, private(&session, case.rsa())), CKR_KEY_FUNCTION_NOT_PERMITTED);
    for label in seed.certified {
        let certificate = super::certificate(&session, label);
        refused(session.sign_init(&sha256_rsa, certificate), CKR_KEY_HANDLE_INVALID);
    }
    refused(session.sign_init(&sha256_rsa, 0), CKR_KEY_HANDLE_INVALID);
    refused(session.sign_init(&sha256_rsa, CK_OBJECT_HANDLE::MAX), CKR_KEY_HANDLE_INVALID);
}

pub fn too_much_data_is_refused(case: &Case) {
    let session = case.user();
    let key = private(&session, case.rsa());
    session.sign_init(&CKM_RSA_PKCS.into(), key).unwrap();
    refused(session.sign(&[1; 256 - 10]), CKR_DATA_LEN_RANGE);
    session.sign_init(&CKM_RSA_PKCS.into(), key).unwrap();
    session.sign_update(&[1; 245]).unwrap();
    refused(session.sign_update(&[1]), CKR_DATA_LEN_RANGE);
    refused(session.sign_final(), CKR_OPERATION_NOT_INITIALIZED);
}

pub fn a_message_may_be_longer_than_a_request(case: &Case) {
    let session = case.user();
    // Hashed here, a message may be longer than any request.
    let long = vec![0x61; 1_000_000];
    session.sign_init(&CKM_ECDSA_SHA256.into(), private(&session, EC)).unwrap();
    let signature = session.sign(&long).unwrap();
    verifies_digest("sha256", &[], &case.spki(EC), &long, &ecdsa_der(&signature)).unwrap();
    // Sent as it is, it may not.
    session.sign_init(&CKM_EDDSA.into(), private(&session, ED)).unwrap();
    refused(session.sign(&long), CKR_DATA_LEN_RANGE);
}

/// What is hashed by the HSM goes out whole.
pub fn a_message_that_the_hsm_hashes_has_a_limit(case: &Case) {
    let (session, signer) = (case.user(), case.signer());
    let key = private(&session, signer.label);
    let most = vec![0x61; case.dialect.longest_message()];
    session.sign_init(&signer.kind.into(), key).unwrap();
    case.openssl_verifies(&most, &session.sign(&most).unwrap());

    let too_much = [&most[..], b"!"].concat();
    session.sign_init(&signer.kind.into(), key).unwrap();
    refused(session.sign(&too_much), CKR_DATA_LEN_RANGE);
    session.sign_init(&signer.kind.into(), key).unwrap();
    session.sign_update(&most).unwrap();
    refused(session.sign_update(b"!"), CKR_DATA_LEN_RANGE);
    refused(session.sign_final(), CKR_OPERATION_NOT_INITIALIZED);
}

/// The MAC is OpenSSL's with the same key; whether one is true, the HSM says.
pub fn macs(case: &Case) {
    let session = case.user();
    let kinds = [
        ("hmac-sha1", CKM_SHA_1_HMAC),
        ("hmac-sha256", CKM_SHA256_HMAC),
        ("hmac-sha384", CKM_SHA384_HMAC),
        ("hmac-sha512", CKM_SHA512_HMAC),
    ];
    let served = kinds.iter().filter(|(label, _)| case.seed().hmac.contains(label));
    assert_eq!(served.clone().count(), case.seed().hmac.len());
    for (label, kind) in served {
        let (key, mechanism) = (secret(&session, label), Mechanism::Plain(*kind));
        let hash = format!("-{}", &label["hmac-".len()..]);
        let hex = format!("hexkey:{}", to_hex(&case.dialect.secret(case.emulator, label)));
        let arguments = ["dgst", &hash, "-mac", "HMAC", "-macopt", &hex, "-binary"];
        let expected = openssl(&arguments, MESSAGE);
        session.sign_init(&mechanism, key).unwrap();
        let asked = session.sign_into(MESSAGE, Room::Query);
        assert_eq!((asked.code, asked.length), (Code(CKR_OK), expected.len()), "{label}");
        assert_eq!(session.sign(MESSAGE).unwrap(), expected, "{label}");
        session.sign_init(&mechanism, key).unwrap();
        for part in MESSAGE.chunks(7) {
            session.sign_update(part).unwrap();
        }
        assert_eq!(session.sign_final().unwrap(), expected, "{label} in parts");

        let verify = |mac: &[u8]| {
            session.verify_init(&mechanism, key).unwrap();
            session.verify(MESSAGE, mac)
        };
        verify(&expected).unwrap();
        let mut tampered = expected.clone();
        tampered[0] ^= 1;
        refused(verify(&tampered), CKR_SIGNATURE_INVALID);
        refused(verify(&expected[1..]), CKR_SIGNATURE_LEN_RANGE);
    }
    for label in case.seed().aes {
        refused(
            session.sign_init(&CKM_SHA256_HMAC.into(), secret(&session, label)),
            CKR_KEY_TYPE_INCONSISTENT,
        );
    }
}
