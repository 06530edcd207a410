//! Objects that an application makes: SunPKCS11 verifies with session objects.

use cryptoki_sys::*;

use super::{Case, EC, ED, private};
use crate::support::mechanism::Mechanism;
use crate::support::openssl::{der_head, describe, hex_below, object_identifier};
use crate::support::p11::refused;
use crate::support::session::{Pair, Session, bytes, flag, number};

const DATA: &[u8] = b"signed by the HSM, verified with a copy: 8f1c66b1e7d0";

fn public_key(key_type: CK_KEY_TYPE, parts: [Pair; 2]) -> Vec<Pair> {
    let mut template = vec![
        number(CKA_CLASS, CKO_PUBLIC_KEY),
        number(CKA_KEY_TYPE, key_type),
        flag(CKA_TOKEN, false),
        bytes(CKA_LABEL, "mine"),
    ];
    template.extend(parts);
    template
}

/// A template with the RSA key of the emulator, as OpenSSL tells it.
fn rsa(case: &Case) -> Vec<Pair> {
    let modulus = hex_below(&describe(&case.spki(case.rsa())), "Modulus:");
    public_key(CKK_RSA, [bytes(CKA_MODULUS, &modulus[1..]), bytes(CKA_PUBLIC_EXPONENT, [1, 0, 1])])
}

/// Makes the key and verifies a signature of the HSM with it.
fn verifies(case: &Case, template: &[Pair], mechanism: &Mechanism, label: &str) {
    let session = case.user();
    session.sign_init(mechanism, private(&session, label)).unwrap();
    let signature = session.sign(DATA).unwrap();
    let key = session.create(template).unwrap();
    session.verify_init(mechanism, key).unwrap();
    session.verify(DATA, &signature).unwrap();
    session.verify_init(mechanism, key).unwrap();
    refused(session.verify(&DATA[1..], &signature), CKR_SIGNATURE_INVALID);
    assert_eq!(session.attribute(key, CKA_PUBLIC_KEY_INFO).unwrap(), case.spki(label));
    assert_eq!(session.flag(key, CKA_TOKEN), Ok(false));
    assert_eq!(session.flag(key, CKA_LOCAL), Ok(false));
    assert_eq!(session.find(&[flag(CKA_TOKEN, false)]), Ok(vec![key]));
    assert_eq!(session.find(&[bytes(CKA_LABEL, "mine")]), Ok(vec![key]));
    session.destroy(key).unwrap();
    refused(session.verify_init(mechanism, key), CKR_KEY_HANDLE_INVALID);
    refused(session.destroy(key), CKR_OBJECT_HANDLE_INVALID);
    assert_eq!(session.find(&[flag(CKA_TOKEN, false)]), Ok(vec![]));
}

pub fn rsa_public_keys_verify(case: &Case) {
    verifies(case, &rsa(case), &CKM_SHA256_RSA_PKCS.into(), case.rsa());
}

pub fn ec_public_keys_verify(case: &Case) {
    let point = hex_below(&describe(&case.spki(EC)), "pub:");
    let params = bytes(CKA_EC_PARAMS, object_identifier("1.2.840.10045.3.1.7"));
    let wrapped = [der_head(0x04, point.len()), point.clone()].concat();
    // Many applications leave the OCTET STRING away.
    for point in [wrapped, point] {
        let template = public_key(CKK_EC, [params.clone(), bytes(CKA_EC_POINT, point)]);
        verifies(case, &template, &CKM_ECDSA_SHA256.into(), EC);
    }
}

pub fn edwards_public_keys_verify(case: &Case) {
    let point = hex_below(&describe(&case.spki(ED)), "pub:");
    let name = [&[0x13, 12][..], b"edwards25519"].concat();
    for params in [object_identifier("1.3.101.112"), name] {
        let parts = [bytes(CKA_EC_PARAMS, params), bytes(CKA_EC_POINT, &point)];
        verifies(case, &public_key(CKK_EC_EDWARDS, parts), &CKM_EDDSA.into(), ED);
    }
}

pub fn certificates(case: &Case) {
    let session = case.user();
    let label = case.seed().certified[0];
    let der = case.certificate(label);
    let template = [
        number(CKA_CLASS, CKO_CERTIFICATE),
        number(CKA_CERTIFICATE_TYPE, CKC_X_509),
        flag(CKA_TOKEN, false),
        bytes(CKA_LABEL, "mine"),
        bytes(CKA_ID, [1, 2, 3]),
        bytes(CKA_VALUE, &der),
    ];
    let object = session.create(&template).unwrap();
    let of_the_hsm = super::certificate(&session, label);
    for kind in [CKA_VALUE, CKA_SUBJECT, CKA_ISSUER, CKA_SERIAL_NUMBER, CKA_CHECK_VALUE] {
        assert_eq!(session.attribute(object, kind), session.attribute(of_the_hsm, kind), "{kind:#x}");
    }
    assert_eq!(session.attribute(object, CKA_ID).unwrap(), [1, 2, 3]);
    let template = [number(CKA_CLASS, CKO_CERTIFICATE), bytes(CKA_ID, [1, 2, 3])];
    assert_eq!(session.find(&template), Ok(vec![object]));
    session.destroy(object).unwrap();
}

fn data_object(more: &[Pair]) -> Vec<Pair> {
    let mut template = vec![
        number(CKA_CLASS, CKO_DATA),
        bytes(CKA_LABEL, "note"),
        bytes(CKA_APPLICATION, "test"),
        bytes(CKA_VALUE, b"to whom it may concern"),
    ];
    template.extend_from_slice(more);
    template
}

pub fn data(case: &Case) {
    let session = case.session();
    let object = session.create(&data_object(&[])).unwrap();
    assert_eq!(session.attribute(object, CKA_VALUE).unwrap(), b"to whom it may concern");
    assert_eq!(session.attribute(object, CKA_APPLICATION).unwrap(), b"test");
    assert_eq!(session.flag(object, CKA_TOKEN), Ok(false));
    assert_eq!(session.find(&[number(CKA_CLASS, CKO_DATA)]), Ok(vec![object]));
}

pub fn go_with_their_session(case: &Case) {
    let (mine, other) = (case.session(), case.session());
    let object = mine.create(&data_object(&[])).unwrap();
    assert_eq!(other.attribute(object, CKA_LABEL).unwrap(), b"note", "every session of the token sees it");
    drop(mine);
    refused(other.attribute(object, CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
    assert_eq!(other.find(&[number(CKA_CLASS, CKO_DATA)]), Ok(vec![]));
    let next = other.create(&data_object(&[])).unwrap();
    assert_ne!(next, object, "a handle is not given twice");
}

pub fn private_ones_go_with_the_login(case: &Case) {
    let nobody = case.session();
    let secretive = data_object(&[flag(CKA_PRIVATE, true)]);
    refused(nobody.create(&secretive), CKR_USER_NOT_LOGGED_IN);
    let session = case.user();
    let private = session.create(&secretive).unwrap();
    let public = session.create(&data_object(&[])).unwrap();
    session.logout().unwrap();
    refused(session.attribute(private, CKA_VALUE), CKR_OBJECT_HANDLE_INVALID);
    session.attribute(public, CKA_VALUE).unwrap();
    session.login(case.dialect.pin()).unwrap();
    refused(session.attribute(private, CKA_VALUE), CKR_OBJECT_HANDLE_INVALID);
}

pub fn are_copied_and_changed(case: &Case) {
    let session = case.session();
    let object = session.create(&rsa(case)).unwrap();
    let copy = session.copy(object, &[bytes(CKA_LABEL, "copy")]).unwrap();
    assert_eq!(session.attribute(copy, CKA_LABEL).unwrap(), b"copy");
    assert_eq!(session.attribute(copy, CKA_MODULUS), session.attribute(object, CKA_MODULUS));
    assert_ne!(session.attribute(copy, CKA_UNIQUE_ID), session.attribute(object, CKA_UNIQUE_ID));
    session.set(object, &[bytes(CKA_LABEL, "renamed"), bytes(CKA_ID, [9])]).unwrap();
    assert_eq!(session.attribute(object, CKA_LABEL).unwrap(), b"renamed");
    assert_eq!(session.attribute(object, CKA_ID).unwrap(), [9]);
    assert_eq!(session.attribute(copy, CKA_LABEL).unwrap(), b"copy");
    refused(session.set(object, &[bytes(CKA_MODULUS, [1])]), CKR_ATTRIBUTE_READ_ONLY);
    let fixed =
        session.create(&data_object(&[flag(CKA_MODIFIABLE, false), flag(CKA_COPYABLE, false)])).unwrap();
    refused(session.set(fixed, &[bytes(CKA_LABEL, "x")]), CKR_ACTION_PROHIBITED);
    refused(session.copy(fixed, &[]), CKR_ACTION_PROHIBITED);
    let lasting = session.create(&data_object(&[flag(CKA_DESTROYABLE, false)])).unwrap();
    refused(session.destroy(lasting), CKR_ACTION_PROHIBITED);
}

pub fn incomplete_templates_are_refused(case: &Case) {
    let session = case.session();
    let without = |kind: CK_ATTRIBUTE_TYPE| {
        let mut template = rsa(case);
        template.retain(|(other, _)| *other != kind);
        template
    };
    let other = case.seed().pairs().into_iter().find(|label| *label != case.rsa()).expect("another key");
    let with = |pair: Pair| [rsa(case), vec![pair]].concat();
    let instead = |pair: Pair| [without(pair.0), vec![pair]].concat();
    for (template, code) in [
        (vec![], CKR_TEMPLATE_INCOMPLETE),
        (without(CKA_CLASS), CKR_TEMPLATE_INCOMPLETE),
        (without(CKA_KEY_TYPE), CKR_TEMPLATE_INCOMPLETE),
        (without(CKA_MODULUS), CKR_TEMPLATE_INCOMPLETE),
        (with(bytes(CKA_LABEL, "another")), CKR_TEMPLATE_INCONSISTENT),
        (with(bytes(CKA_PUBLIC_KEY_INFO, case.spki(other))), CKR_TEMPLATE_INCONSISTENT),
        (with(bytes(CKA_UNIQUE_ID, "x")), CKR_ATTRIBUTE_READ_ONLY),
        (with(bytes(CKA_VALUE, "x")), CKR_ATTRIBUTE_TYPE_INVALID),
        (instead(number(CKA_KEY_TYPE, CKK_AES)), CKR_ATTRIBUTE_VALUE_INVALID),
        (instead(bytes(CKA_MODULUS, [2; 256])), CKR_ATTRIBUTE_VALUE_INVALID),
        (instead(bytes(CKA_CLASS, [2])), CKR_ATTRIBUTE_VALUE_INVALID),
        (instead(bytes(CKA_TOKEN, [2])), CKR_ATTRIBUTE_VALUE_INVALID),
        (instead(number(CKA_CLASS, CKO_PRIVATE_KEY)), CKR_ATTRIBUTE_VALUE_INVALID),
    ] {
        refused(session.create(&template), code);
    }
    assert_eq!(session.find(&[flag(CKA_TOKEN, false)]), Ok(vec![]), "nothing was made");
}

pub fn token_objects_are_refused(case: &Case) {
    let on_token = |session: &Session| session.create(&data_object(&[flag(CKA_TOKEN, true)]));
    refused(on_token(&case.session()), CKR_SESSION_READ_ONLY);
    refused(on_token(&case.user()), CKR_TOKEN_WRITE_PROTECTED);
}
