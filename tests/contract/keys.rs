//! Keys that come, go, or are known only in part.

use cryptoki_sys::*;
use der::{Decode, Encode};
use x509_cert::Certificate;

use super::{
    AES, Case, DESCRIBED_ID, EC, FILE_CERTIFICATE, LOCKED, LOOSE_CERTIFICATE, PASSWORD, certificate, private,
    public, secret,
};
use crate::support::openssl::{ecdsa_der, openssl, verifies_digest};
use crate::support::p11::refused;
use crate::support::session::{bytes, number};

const SIGN: CK_MECHANISM_TYPE = CKM_ECDSA_SHA256;

pub fn a_key_that_vanishes_is_gone(case: &Case) {
    let label = format!("doomed-{}", case.slot);
    case.dialect.create_key(case.emulator, &label, None);
    let session = case.user();
    let key = private(&session, &label);
    session.sign_init(&SIGN.into(), key).unwrap();
    session.sign(b"data").unwrap();
    assert!(session.labels(&[]).contains(&label));

    session.sign_init(&SIGN.into(), key).unwrap();
    case.dialect.delete_key(case.emulator, &label, None);
    refused(session.sign(b"data"), CKR_FUNCTION_REJECTED);
    assert!(!session.labels(&[]).contains(&label), "the listing knows");
    assert_eq!(session.find(&[bytes(CKA_LABEL, &label)]), Ok(vec![]), "and so does the search by label");
    refused(session.attribute(key, CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
    refused(session.sign_init(&SIGN.into(), key), CKR_KEY_HANDLE_INVALID);
}

/// A listing is believed for a minute; a label that it lacks is asked for.
pub fn a_new_key_is_found_by_its_label(case: &Case) {
    let label = format!("fresh-{}", case.slot);
    let session = case.user();
    assert!(!session.labels(&[]).contains(&label));
    // A label that was missing a moment ago is not asked for again at once.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    case.dialect.create_key(case.emulator, &label, None);
    let key = private(&session, &label);
    assert!(session.labels(&[]).contains(&label), "and then listed");
    session.sign_init(&SIGN.into(), key).unwrap();
    session.sign(b"data").unwrap();
    case.dialect.delete_key(case.emulator, &label, None);
}

/// A key has the id that other providers of this HSM know it by.
pub fn an_id_that_the_hsm_keeps_is_the_id(case: &Case) {
    let label = format!("numbered-{}", case.slot);
    let id = [0x00, 0x17, 0xfe];
    case.dialect.create_key(case.emulator, &label, Some(&id));
    let session = case.user();
    for object in [private(&session, &label), public(&session, &label)] {
        assert_eq!(session.attribute(object, CKA_ID).unwrap(), id);
    }
    let found = session.find(&[bytes(CKA_ID, id)]).unwrap();
    assert_eq!(found, [private(&session, &label), public(&session, &label)]);
    case.dialect.delete_key(case.emulator, &label, None);
}

/// Its attributes are behind the password: what it is, nobody tells.
pub fn a_key_with_a_password_is_listed(case: &Case) {
    let session = case.user();
    let key = private(&session, LOCKED);
    assert_eq!(session.flag(key, CKA_ALWAYS_AUTHENTICATE), Ok(true));
    assert_eq!(session.flag(key, CKA_PRIVATE), Ok(true));
    assert_eq!(session.ulong(key, CKA_KEY_TYPE), Ok(CK_UNAVAILABLE_INFORMATION));
    refused(session.sign_init(&SIGN.into(), key), CKR_KEY_TYPE_INCONSISTENT);
}

pub fn a_key_with_a_password_signs(case: &Case) {
    let session = case.user();
    let key = private(&session, LOCKED);
    assert_eq!(session.flag(key, CKA_ALWAYS_AUTHENTICATE), Ok(true));
    let login = |password: &str| session.login_as(CKU_CONTEXT_SPECIFIC, password.as_bytes());
    refused(login(PASSWORD), CKR_OPERATION_NOT_INITIALIZED);

    session.sign_init(&SIGN.into(), key).unwrap();
    refused(session.sign(b"data"), CKR_USER_NOT_LOGGED_IN);

    session.sign_init(&SIGN.into(), key).unwrap();
    login("another").unwrap();
    refused(session.sign(b"data"), CKR_USER_NOT_LOGGED_IN);

    session.sign_init(&SIGN.into(), key).unwrap();
    login(PASSWORD).unwrap();
    let signature = session.sign(b"data").unwrap();
    verifies_digest("sha256", &[], &case.spki(LOCKED), b"data", &ecdsa_der(&signature)).unwrap();
    session.verify_init(&SIGN.into(), public(&session, LOCKED)).unwrap();
    session.verify(b"data", &signature).unwrap();

    // Once is once.
    session.sign_init(&SIGN.into(), key).unwrap();
    refused(session.sign(b"data"), CKR_USER_NOT_LOGGED_IN);
}

pub fn the_configuration_describes_keys(case: &Case) {
    let session = case.user();
    let (key, public_key) = (private(&session, LOCKED), public(&session, LOCKED));
    for object in [key, public_key] {
        assert_eq!(session.ulong(object, CKA_KEY_TYPE), Ok(CKK_EC));
        assert_eq!(session.attribute(object, CKA_PUBLIC_KEY_INFO).unwrap(), case.spki(LOCKED));
    }
    assert_eq!(session.ulong(secret(&session, AES), CKA_VALUE_LEN), Ok(32));
    for object in [private(&session, EC), public(&session, EC)] {
        assert_eq!(session.attribute(object, CKA_ID).unwrap(), DESCRIBED_ID);
    }
    let found = session.find(&[number(CKA_CLASS, CKO_PRIVATE_KEY), bytes(CKA_ID, DESCRIBED_ID)]);
    assert_eq!(found, Ok(vec![private(&session, EC)]));
}

pub fn certificates_come_from_files(case: &Case) {
    let session = case.user();
    // Not by the name of its file, even before anything else was asked of its key.
    let file = FILE_CERTIFICATE.strip_suffix(".pem").unwrap();
    assert_eq!(session.find(&[bytes(CKA_LABEL, file)]), Ok(vec![]));
    let der = |name: &str| {
        let path = case.emulator.path("certificates").join(name);
        openssl(&["x509", "-in", path.to_str().unwrap(), "-outform", "DER"], b"")
    };
    // Matched by public key, it is shown with the label and id of its key.
    let label = case.signer().label;
    let leaf = certificate(&session, label);
    assert_eq!(session.attribute(leaf, CKA_VALUE).unwrap(), der(FILE_CERTIFICATE));
    assert_eq!(session.attribute(leaf, CKA_ID), session.attribute(private(&session, label), CKA_ID));
    // Without a key it goes by the name of its file.
    let loose = certificate(&session, LOOSE_CERTIFICATE.strip_suffix(".pem").unwrap());
    let expected = der(LOOSE_CERTIFICATE);
    assert_eq!(session.attribute(loose, CKA_VALUE).unwrap(), expected);
    let subject = Certificate::from_der(&expected).unwrap().tbs_certificate.subject.to_der().unwrap();
    let template = [number(CKA_CLASS, CKO_CERTIFICATE), bytes(CKA_SUBJECT, &subject)];
    assert_eq!(session.find(&template), Ok(vec![loose]));
    // Each is shown once, and so with the next search.
    for _ in 0..2 {
        assert_eq!(session.find(&[bytes(CKA_VALUE, &expected)]), Ok(vec![loose]));
        assert_eq!(session.find(&[bytes(CKA_VALUE, der(FILE_CERTIFICATE))]), Ok(vec![leaf]));
    }
    assert_eq!(
        session.find(&[number(CKA_CLASS, CKO_CERTIFICATE)]).unwrap().len(),
        2 + case.seed().certified.len(),
        "with those of the HSM"
    );
}

pub fn a_type_of_keys_is_hidden(case: &Case) {
    let session = case.user();
    assert_eq!(session.find(&[number(CKA_KEY_TYPE, CKK_RSA)]), Ok(vec![]));
    assert_eq!(session.find(&[bytes(CKA_LABEL, case.rsa()), number(CKA_CLASS, CKO_PRIVATE_KEY)]), Ok(vec![]));
    let labels = session.labels(&[number(CKA_CLASS, CKO_PRIVATE_KEY)]);
    assert!(labels.contains(&EC.to_owned()) && !labels.contains(&case.rsa().to_owned()), "{labels:?}");
}

/// Java shows a key only beside a certificate.
pub fn a_certificate_that_nobody_signed(case: &Case) {
    let session = case.user();
    let seed = case.seed();
    let label = seed.ec.iter().chain(seed.rsa).find(|label| !seed.certified.contains(label)).unwrap();
    let made = certificate(&session, label);
    let key = private(&session, label);
    assert_eq!(session.attribute(made, CKA_ID), session.attribute(key, CKA_ID));
    assert_eq!(session.attribute(made, CKA_PUBLIC_KEY_INFO).unwrap(), case.spki(label));
    let der = session.attribute(made, CKA_VALUE).unwrap();
    let told = openssl(&["x509", "-inform", "DER", "-noout", "-subject", "-issuer"], &der);
    let name = format!("CN = {label}, OU = not signed\n");
    assert_eq!(String::from_utf8(told).unwrap(), format!("subject={name}issuer={name}"));
    let read = Certificate::from_der(&der).unwrap();
    assert_eq!(read.signature_algorithm.oid.to_string(), "1.3.6.1.5.5.7.6.36", "RFC 9925");
    if let Some(label) = seed.certified.first().filter(|_| case.able("certificates")) {
        let own = session.attribute(certificate(&session, label), CKA_VALUE).unwrap();
        assert_eq!(own, case.certificate(label), "what has one keeps it");
    }
}

/// Applications give label and id to a key that is there already; no vendor's API can.
pub fn keys_are_called_what_applications_like(case: &Case) {
    let session = case.user();
    let (label, other) = (case.rsa(), case.signer().label);
    let (key, half) = (private(&session, label), public(&session, label));
    let new = format!("renamed-{}", case.slot);
    refused(case.session().set(key, &[bytes(CKA_LABEL, &new)]), CKR_SESSION_READ_ONLY);
    session.set(key, &[bytes(CKA_LABEL, &new), bytes(CKA_ID, [0x77, 1])]).unwrap();
    assert_eq!((private(&session, &new), public(&session, &new)), (key, half), "handles stay");
    assert_eq!(session.attribute(half, CKA_ID).unwrap(), [0x77, 1], "both halves have one id");
    assert_eq!(session.find(&[bytes(CKA_ID, [0x77, 1]), number(CKA_CLASS, CKO_PRIVATE_KEY)]), Ok(vec![key]));
    assert_eq!(session.find(&[bytes(CKA_LABEL, label), number(CKA_CLASS, CKO_PRIVATE_KEY)]), Ok(vec![]));
    let labels = session.labels(&[]);
    assert!(labels.contains(&new) && !labels.contains(&label.to_owned()), "{labels:?}");

    session.sign_init(&CKM_SHA256_RSA_PKCS.into(), key).unwrap();
    let signature = session.sign(b"data").unwrap();
    verifies_digest("sha256", &[], &case.spki(label), b"data", &signature).unwrap();

    refused(session.set(key, &[bytes(CKA_SUBJECT, [])]), CKR_ATTRIBUTE_READ_ONLY);
    refused(session.set(key, &[bytes(CKA_LABEL, [0xff])]), CKR_ATTRIBUTE_VALUE_INVALID);
    if other != label {
        refused(session.set(key, &[bytes(CKA_LABEL, other)]), CKR_ATTRIBUTE_VALUE_INVALID);
    }
    let kept = case.emulator.text("aliases.json");
    assert!(kept.contains(&format!(r#""{label}":{{"label":"{new}","id":"7701"}}"#)), "{kept}");
    session.set(half, &[bytes(CKA_LABEL, []), bytes(CKA_ID, [])]).unwrap();
    assert_eq!(private(&session, label), key, "and back again");
    assert_eq!(case.emulator.text("aliases.json"), r#"{"keys":{}}"#);
}
