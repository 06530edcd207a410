//! Attributes of every kind of object, compared with what OpenSSL makes of the same key or certificate.

use cryptoki_sys::*;
use der::{Decode, Encode};
use x509_cert::Certificate;

use super::{AES, Case, ED, certificate, private, public, secret};
use crate::support::openssl::{self, describe, from_hex, hex_below, object_identifier};
use crate::support::p11::{Code, refused};
use crate::support::session::{Room, Session, bytes, number};

/// What private and public key of one pair have alike.
fn halves(case: &Case, session: &Session, label: &str, key_type: CK_KEY_TYPE) -> [CK_OBJECT_HANDLE; 2] {
    let halves = [private(session, label), public(session, label)];
    for (object, class) in halves.into_iter().zip([CKO_PRIVATE_KEY, CKO_PUBLIC_KEY]) {
        assert_eq!(session.ulong(object, CKA_CLASS), Ok(class));
        assert_eq!(session.ulong(object, CKA_KEY_TYPE), Ok(key_type), "{label}");
        assert_eq!(session.attribute(object, CKA_LABEL).unwrap(), label.as_bytes());
        assert_eq!(session.flag(object, CKA_TOKEN), Ok(true));
        assert_eq!(session.flag(object, CKA_PRIVATE), Ok(class == CKO_PRIVATE_KEY));
        assert_eq!(session.attribute(object, CKA_PUBLIC_KEY_INFO).unwrap(), case.spki(label), "{label}");
        assert_eq!(session.flag(object, CKA_LOCAL), Ok(case.able("protection")));
        assert_eq!(session.flag(object, CKA_DERIVE), Ok(false));
        assert_eq!(session.attribute(object, CKA_START_DATE).unwrap(), b"");
        assert_eq!(session.attribute(object, CKA_SUBJECT).unwrap(), b"");
        assert!(session.object_size(object).unwrap() > 0);
    }
    halves
}

/// How a key was made is known of those that the HSM says it made.
fn maker(case: &Case, mechanism: CK_MECHANISM_TYPE) -> CK_MECHANISM_TYPE {
    if case.able("protection") { mechanism } else { CK_UNAVAILABLE_INFORMATION }
}

pub fn rsa_keys(case: &Case) {
    let session = case.user();
    for label in case.seed().rsa {
        let text = describe(&case.spki(label));
        assert!(text.contains("Exponent: 65537 (0x10001)"), "{text}");
        // OpenSSL prints a zero byte before a number whose first bit is set; a big integer of PKCS#11 has none.
        let modulus = &hex_below(&text, "Modulus:")[1..];
        assert!(text.contains(&format!("({} bit)", 8 * modulus.len())), "{text}");
        let [key, public_key] = halves(case, &session, label, CKK_RSA);
        for object in [key, public_key] {
            assert_eq!(session.attribute(object, CKA_MODULUS).unwrap(), modulus);
            assert_eq!(session.attribute(object, CKA_PUBLIC_EXPONENT).unwrap(), [1, 0, 1]);
            let made = maker(case, CKM_RSA_PKCS_KEY_PAIR_GEN);
            assert_eq!(session.ulong(object, CKA_KEY_GEN_MECHANISM), Ok(made));
        }
        assert_eq!(session.ulong(public_key, CKA_MODULUS_BITS), Ok(8 * modulus.len() as CK_ULONG));
        let deciphers = case.able("decrypt") || case.able("oaep") || case.dialect.deciphers_otherwise();
        for (object, kind, expected) in [
            (key, CKA_SIGN, true),
            (public_key, CKA_VERIFY, true),
            (key, CKA_DECRYPT, deciphers),
            (public_key, CKA_ENCRYPT, deciphers),
        ] {
            assert_eq!(session.flag(object, kind), Ok(expected), "{label} {kind:#x}");
        }
        assert_eq!(session.flag(key, CKA_UNWRAP), Ok(false));
        assert_eq!(session.flag(public_key, CKA_WRAP), Ok(false));
    }
}

pub fn ec_keys(case: &Case) {
    let session = case.user();
    for label in case.seed().ec {
        let text = describe(&case.spki(label));
        // As SEC 2 and X9.62 number them.
        let curves = [
            ("prime256v1", "1.2.840.10045.3.1.7", 32),
            ("secp384r1", "1.3.132.0.34", 48),
            ("secp521r1", "1.3.132.0.35", 66),
        ];
        let known = curves.iter().find(|(name, ..)| text.contains(name));
        let (_, curve, width) = known.unwrap_or_else(|| panic!("another curve: {text}"));
        let point = hex_below(&text, "pub:");
        assert_eq!((point.len(), point[0]), (1 + 2 * width, 4), "uncompressed");
        let octet_string = [openssl::der_head(0x04, point.len()), point].concat();
        let [key, public_key] = halves(case, &session, label, CKK_EC);
        for object in [key, public_key] {
            assert_eq!(session.attribute(object, CKA_EC_PARAMS).unwrap(), object_identifier(curve));
            assert_eq!(session.ulong(object, CKA_KEY_GEN_MECHANISM), Ok(maker(case, CKM_EC_KEY_PAIR_GEN)));
        }
        assert_eq!(session.attribute(public_key, CKA_EC_POINT).unwrap(), octet_string);
        assert_eq!(session.flag(key, CKA_SIGN), Ok(true));
        assert_eq!(session.flag(key, CKA_DECRYPT), Ok(false));
        assert_eq!(session.flag(public_key, CKA_VERIFY), Ok(true));
    }
}

/// The parameters and the point of the Ed25519 key.
fn edwards(case: &Case) -> (Vec<u8>, Vec<u8>) {
    let point = hex_below(&describe(&case.spki(ED)), "pub:");
    assert_eq!(point.len(), 32);
    // id-Ed25519 of RFC 8410.
    (object_identifier("1.3.101.112"), point)
}

pub fn edwards_keys(case: &Case) {
    let session = case.user();
    let (params, point) = edwards(case);
    let [key, public_key] = halves(case, &session, ED, CKK_EC_EDWARDS);
    for object in [key, public_key] {
        assert_eq!(session.attribute(object, CKA_EC_PARAMS).unwrap(), params);
        assert_eq!(
            session.ulong(object, CKA_KEY_GEN_MECHANISM),
            Ok(maker(case, CKM_EC_EDWARDS_KEY_PAIR_GEN))
        );
    }
    assert_eq!(session.attribute(public_key, CKA_EC_POINT).unwrap(), point);
}

pub fn edwards_points_in_an_octet_string(case: &Case) {
    let session = case.user();
    let (params, point) = edwards(case);
    let object = public(&session, ED);
    assert_eq!(session.attribute(object, CKA_EC_PARAMS).unwrap(), params);
    assert_eq!(session.attribute(object, CKA_EC_POINT).unwrap(), [&[0x04, 32][..], &point].concat());
}

pub fn aes_keys(case: &Case) {
    let session = case.user();
    let key = secret(&session, AES);
    assert_eq!(session.ulong(key, CKA_KEY_TYPE), Ok(CKK_AES));
    assert_eq!(session.ulong(key, CKA_KEY_GEN_MECHANISM), Ok(maker(case, CKM_AES_KEY_GEN)));
    // Not every HSM tells.
    let length = session.ulong(key, CKA_VALUE_LEN).unwrap();
    assert!([32, CK_UNAVAILABLE_INFORMATION].contains(&length), "{length}");
    for (kind, expected) in [
        (CKA_TOKEN, true),
        (CKA_PRIVATE, true),
        (CKA_ENCRYPT, true),
        (CKA_DECRYPT, true),
        (CKA_SIGN, false),
        (CKA_WRAP, false),
        (CKA_UNWRAP, false),
        (CKA_DERIVE, false),
        (CKA_SENSITIVE, true),
        (CKA_EXTRACTABLE, false),
        (CKA_LOCAL, case.able("protection")),
    ] {
        assert_eq!(session.flag(key, kind), Ok(expected), "{kind:#x}");
    }
}

pub fn certificates(case: &Case) {
    let session = case.user();
    for label in case.seed().certified {
        let der = case.certificate(label);
        let expected = Certificate::from_der(&der).unwrap().tbs_certificate;
        let object = certificate(&session, label);
        assert_eq!(session.ulong(object, CKA_CERTIFICATE_TYPE), Ok(CKC_X_509));
        assert_eq!(session.flag(object, CKA_PRIVATE), Ok(false));
        assert_eq!(session.flag(object, CKA_TRUSTED), Ok(false));
        for (kind, value) in [
            (CKA_VALUE, der.clone()),
            (CKA_SUBJECT, expected.subject.to_der().unwrap()),
            (CKA_ISSUER, expected.issuer.to_der().unwrap()),
            (CKA_SERIAL_NUMBER, expected.serial_number.to_der().unwrap()),
            (CKA_PUBLIC_KEY_INFO, case.spki(label)),
            // Section 4.6.3: the first three bytes of the SHA-1 hash of the value.
            (CKA_CHECK_VALUE, openssl::digest("sha1", &der)[..3].to_vec()),
        ] {
            assert_eq!(session.attribute(object, kind).unwrap(), value, "{label} {kind:#x}");
        }
        let date = |time: x509_cert::time::Time| {
            let time = time.to_date_time();
            format!("{:04}{:02}{:02}", time.year(), time.month(), time.day()).into_bytes()
        };
        assert_eq!(session.attribute(object, CKA_START_DATE).unwrap(), date(expected.validity.not_before));
        assert_eq!(session.attribute(object, CKA_END_DATE).unwrap(), date(expected.validity.not_after));
    }
}

pub fn certificates_belong_to_their_keys(case: &Case) {
    let session = case.user();
    for label in case.seed().certified {
        let id = session.attribute(certificate(&session, label), CKA_ID).unwrap();
        assert!(!id.is_empty());
        let key = session.find(&[number(CKA_CLASS, CKO_PRIVATE_KEY), bytes(CKA_ID, &id)]).unwrap();
        assert_eq!(key, [private(&session, label)]);
    }
}

/// The HSM keeps no id for these keys, so that it is a hash of the public key: in every process the same.
pub fn ids_are_those_of_the_key(case: &Case) {
    let session = case.user();
    for label in case.seed().pairs() {
        // The key identifier that OpenSSL gives to a certificate of this key: RFC 5280 section 4.2.1.2, method 1.
        let key = case.dialect.private_pem(case.emulator, label);
        let key = key.to_str().unwrap();
        let extension = "subjectKeyIdentifier=hash";
        let der =
            openssl::openssl(&["req", "-x509", "-key", key, "-subj", "/CN=x", "-addext", extension], b"");
        let text = openssl::openssl(&["x509", "-noout", "-ext", "subjectKeyIdentifier"], &der);
        let text = String::from_utf8(text).unwrap();
        let id = from_hex(&text.lines().nth(1).unwrap().trim().replace(':', ""));
        for object in [private(&session, label), public(&session, label)] {
            assert_eq!(session.attribute(object, CKA_ID).unwrap(), id, "{label}");
        }
    }
    for label in case.seed().secrets() {
        assert!(!session.attribute(secret(&session, label), CKA_ID).unwrap().is_empty());
    }
}

pub fn unique_ids_are_unique(case: &Case) {
    let session = case.user();
    let found = session.find(&[]).unwrap();
    let mut ids: Vec<_> =
        found.iter().map(|object| session.attribute(*object, CKA_UNIQUE_ID).unwrap()).collect();
    for (object, id) in found.iter().zip(&ids) {
        assert!(std::str::from_utf8(id).is_ok_and(|id| !id.is_empty()));
        assert_eq!(session.find(&[bytes(CKA_UNIQUE_ID, id)]), Ok(vec![*object]));
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), found.len());
}

pub fn private_keys_are_kept(case: &Case) {
    let session = case.user();
    for label in case.seed().pairs() {
        let key = private(&session, label);
        for (kind, expected) in [
            (CKA_SENSITIVE, true),
            (CKA_ALWAYS_SENSITIVE, true),
            (CKA_EXTRACTABLE, false),
            (CKA_NEVER_EXTRACTABLE, true),
            (CKA_WRAP_WITH_TRUSTED, false),
            (CKA_ALWAYS_AUTHENTICATE, false),
            (CKA_SIGN_RECOVER, false),
            (CKA_COPYABLE, false),
            (CKA_DESTROYABLE, case.able("deletes")),
        ] {
            assert_eq!(session.flag(key, kind), Ok(expected), "{label} {kind:#x}");
        }
    }
}

pub fn secrets_are_not_told(case: &Case) {
    let session = case.user();
    let rsa =
        [CKA_PRIVATE_EXPONENT, CKA_PRIME_1, CKA_PRIME_2, CKA_EXPONENT_1, CKA_EXPONENT_2, CKA_COEFFICIENT];
    for kind in rsa {
        refused(session.attribute(private(&session, case.rsa()), kind), CKR_ATTRIBUTE_SENSITIVE);
    }
    let seed = case.seed();
    let with_value = [seed.ec, seed.edwards].concat().into_iter().map(|label| private(&session, label));
    for object in with_value.chain(seed.secrets().into_iter().map(|label| secret(&session, label))) {
        refused(session.attribute(object, CKA_VALUE), CKR_ATTRIBUTE_SENSITIVE);
        refused(session.attribute(object, CKA_MODULUS), CKR_ATTRIBUTE_TYPE_INVALID);
    }
    let key = private(&session, case.rsa());
    refused(session.attribute(key, CKA_VALUE), CKR_ATTRIBUTE_TYPE_INVALID);
    refused(session.attribute(key, CKA_VENDOR_DEFINED | 1), CKR_ATTRIBUTE_TYPE_INVALID);

    // Section 5.7.5: those that can be told are told all the same.
    let room = Room::Bytes(64);
    let wanted = [
        (CKA_CLASS, room),
        (CKA_PRIVATE_EXPONENT, room),
        (CKA_LABEL, room),
        (CKA_CERTIFICATE_TYPE, room),
        (CKA_KEY_TYPE, Room::Query),
    ];
    let (rv, told) = session.attributes(key, &wanted);
    assert!([CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID].contains(&rv), "{:?}", Code(rv));
    assert_eq!(told[0], (Some(8), CKO_PRIVATE_KEY.to_ne_bytes().to_vec()));
    assert_eq!(told[1], (None, vec![]));
    assert_eq!(told[2], (Some(case.rsa().len()), case.rsa().into()));
    assert_eq!(told[3], (None, vec![]));
    assert_eq!(told[4], (Some(8), vec![]));
}

pub fn a_short_buffer_spoils_one_attribute_only(case: &Case) {
    let session = case.user();
    let wanted = [
        (CKA_LABEL, Room::Bytes(case.rsa().len())),
        (CKA_MODULUS, Room::Bytes(255)),
        (CKA_KEY_TYPE, Room::Bytes(9)),
        (CKA_LABEL, Room::Bytes(case.rsa().len() - 1)),
    ];
    let (rv, told) = session.attributes(public(&session, case.rsa()), &wanted);
    assert_eq!(Code(rv), Code(CKR_BUFFER_TOO_SMALL));
    let key_type = CKK_RSA.to_ne_bytes().to_vec();
    assert_eq!(
        told,
        [(Some(case.rsa().len()), case.rsa().into()), (None, vec![]), (Some(8), key_type), (None, vec![])]
    );
}

pub fn allowed_mechanisms_are_those_that_work(case: &Case) {
    let session = case.user();
    let offered = case.p11.mechanisms(case.slot).unwrap();
    let seed = case.seed();
    for label in seed.pairs() {
        let key = private(&session, label);
        let allowed = session.attribute(key, CKA_ALLOWED_MECHANISMS).unwrap();
        let (allowed, rest) = allowed.as_chunks::<8>();
        assert!(rest.is_empty());
        let allowed: Vec<_> = allowed.iter().map(|kind| CK_MECHANISM_TYPE::from_ne_bytes(*kind)).collect();
        assert!(allowed.iter().all(|kind| offered.contains(kind)), "{label}: {allowed:x?}");
        for (kind, keys, able) in [
            (CKM_EDDSA, seed.edwards, true),
            (CKM_ECDSA_SHA256, seed.ec, true),
            (CKM_ECDSA, seed.ec, case.able("digests")),
            (CKM_ECDSA_SHA512, seed.ec, case.able("all_hashes")),
            (CKM_SHA256_RSA_PKCS, seed.rsa, true),
            (CKM_RSA_PKCS, seed.rsa, case.able("digest_infos") || case.able("decrypt")),
            (CKM_RSA_PKCS_PSS, seed.rsa, case.able("pss") && case.able("digests")),
            (CKM_RSA_PKCS_OAEP, seed.rsa, case.able("oaep")),
        ] {
            assert_eq!(allowed.contains(&kind), able && keys.contains(&label), "{label} {kind:#x}");
        }
    }
}

pub fn token_objects_do_not_change(case: &Case) {
    let session = case.user();
    let (key, fixed) = (private(&session, case.rsa()), case.dialect.token_objects_are_fixed());
    refused(session.set(key, &[bytes(CKA_LABEL, "other")]), fixed);
    // The public half goes with the private one only.
    refused(session.destroy(public(&session, case.rsa())), fixed);
    refused(session.copy(key, &[]), fixed);
    let reader = case.session();
    refused(reader.set(key, &[bytes(CKA_LABEL, "other")]), CKR_SESSION_READ_ONLY);
    refused(reader.destroy(key), CKR_SESSION_READ_ONLY);
    refused(session.destroy(CK_OBJECT_HANDLE::MAX), CKR_OBJECT_HANDLE_INVALID);
    refused(session.object_size(CK_OBJECT_HANDLE::MAX), CKR_OBJECT_HANDLE_INVALID);
    assert_eq!(private(&session, case.rsa()), key);
}
