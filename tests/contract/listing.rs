//! Finding objects (PKCS#11 3.2 section 5.7.6).

use cryptoki_sys::{
    CKA_CLASS, CKA_ID, CKA_KEY_TYPE, CKA_LABEL, CKA_PRIVATE, CKA_SIGN, CKA_TOKEN, CKK_AES, CKK_EC,
    CKK_EC_EDWARDS, CKK_RSA, CKO_CERTIFICATE, CKO_DATA, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY,
    CKR_OBJECT_HANDLE_INVALID, CKR_OPERATION_ACTIVE, CKR_OPERATION_NOT_INITIALIZED,
};

use super::{AES, Case, EC, EC_CERT, ED, LOCKED, PAIRS, RSA, RSA_CERT, private};
use crate::support::p11::refused;
use crate::support::session::{bytes, flag, number};

const PRIVATE: [&str; 6] = [EC_CERT, EC, ED, LOCKED, RSA, RSA_CERT];

pub fn a_class(case: &Case) {
    let session = case.user();
    for (class, expected) in [
        (CKO_PRIVATE_KEY, &PRIVATE[..]),
        (CKO_PUBLIC_KEY, &PAIRS),
        (CKO_SECRET_KEY, &[AES]),
        (CKO_CERTIFICATE, &[EC_CERT, RSA_CERT]),
        (CKO_DATA, &[]),
    ] {
        assert_eq!(session.labels(&[number(CKA_CLASS, class)]), expected, "class {class}");
    }
}

pub fn a_label(case: &Case) {
    let session = case.user();
    assert_eq!(session.find(&[bytes(CKA_LABEL, RSA)]).unwrap().len(), 2, "private and public key");
    assert_eq!(session.find(&[bytes(CKA_LABEL, EC_CERT)]).unwrap().len(), 3, "with the certificate");
    assert_eq!(session.find(&[bytes(CKA_LABEL, AES)]).unwrap().len(), 1);
    for other in ["rsa-204", "rsa-20488", "RSA-2048", "", "rsa-2048\0", "no/such key?"] {
        assert_eq!(session.find(&[bytes(CKA_LABEL, other)]), Ok(vec![]), "{other:?}");
    }
    assert_eq!(session.find(&[bytes(CKA_LABEL, [0xff, 0xfe])]), Ok(vec![]), "not even UTF-8");
}

pub fn an_id(case: &Case) {
    let session = case.user();
    for label in [RSA_CERT, EC, ED, AES] {
        let all = session.find(&[bytes(CKA_LABEL, label)]).unwrap();
        let id = session.attribute(all[0], CKA_ID).unwrap();
        assert_eq!(session.find(&[bytes(CKA_ID, &id)]), Ok(all), "{label}");
    }
    assert_eq!(session.find(&[bytes(CKA_ID, [])]), Ok(vec![]));
}

pub fn a_key_type(case: &Case) {
    let session = case.user();
    for (key_type, expected) in
        [(CKK_RSA, &[RSA, RSA_CERT][..]), (CKK_EC, &[EC_CERT, EC]), (CKK_EC_EDWARDS, &[ED])]
    {
        for class in [CKO_PRIVATE_KEY, CKO_PUBLIC_KEY] {
            let template = [number(CKA_CLASS, class), number(CKA_KEY_TYPE, key_type)];
            assert_eq!(session.labels(&template), expected, "class {class} type {key_type}");
        }
        assert_eq!(session.find(&[number(CKA_KEY_TYPE, key_type)]).unwrap().len(), 2 * expected.len());
    }
    assert_eq!(session.labels(&[number(CKA_KEY_TYPE, CKK_AES)]), [AES]);
}

pub fn several_attributes(case: &Case) {
    let session = case.user();
    let template = [
        number(CKA_CLASS, CKO_PRIVATE_KEY),
        flag(CKA_TOKEN, true),
        flag(CKA_SIGN, true),
        number(CKA_KEY_TYPE, CKK_EC),
        bytes(CKA_LABEL, EC),
    ];
    assert_eq!(session.find(&template), Ok(vec![private(&session, EC)]));
    let mut impossible = template.to_vec();
    impossible[3] = number(CKA_KEY_TYPE, CKK_RSA);
    assert_eq!(session.find(&impossible), Ok(vec![]));
}

pub fn no_attributes(case: &Case) {
    let session = case.user();
    let mut expected: Vec<&str> = [&PRIVATE[..], &PAIRS, &[AES, EC_CERT, RSA_CERT]].concat();
    expected.sort_unstable();
    assert_eq!(session.labels(&[]), expected);
    let found = session.find(&[]).unwrap();
    assert_eq!(
        session.find(&[flag(CKA_TOKEN, true)]),
        Ok(found.clone()),
        "the same handles in the same order"
    );
    let mut unique = found.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), found.len());
    assert!(!unique.contains(&0), "0 is no handle");
}

pub fn nothing_matches(case: &Case) {
    let session = case.user();
    assert_eq!(session.find(&[flag(CKA_TOKEN, false)]), Ok(vec![]));
    assert_eq!(session.find(&[number(CKA_CLASS, 0x8000_1234)]), Ok(vec![]));
    // A value of the wrong length equals none.
    assert_eq!(session.find(&[bytes(CKA_CLASS, [3])]), Ok(vec![]));
}

pub fn attributes_are_read_between_two_steps(case: &Case) {
    let session = case.user();
    let expected = session.find(&[]).unwrap();
    let mut found = Vec::new();
    session.find_init(&[]).unwrap();
    while let [object] = session.find_next(1).unwrap()[..] {
        session.ulong(object, CKA_CLASS).unwrap();
        session.attribute(object, CKA_LABEL).unwrap();
        found.push(object);
    }
    session.find_final().unwrap();
    assert_eq!(found, expected);
}

pub fn what_the_hsm_keeps_for_itself_is_hidden(case: &Case) {
    let session = case.user();
    let labels = session.labels(&[]);
    for hidden in case.dialect.hidden() {
        assert!(!labels.iter().any(|label| label == hidden), "{hidden}");
        assert_eq!(session.find(&[bytes(CKA_LABEL, hidden)]), Ok(vec![]), "{hidden} by its label");
    }
}

pub fn the_configuration_hides_keys(case: &Case) {
    let session = case.user();
    let template = [number(CKA_CLASS, CKO_PRIVATE_KEY)];
    assert_eq!(session.labels(&template), [EC, LOCKED, RSA, RSA_CERT]);
    assert_eq!(session.find(&[bytes(CKA_LABEL, ED)]), Ok(vec![]));
    assert_eq!(session.labels(&[number(CKA_CLASS, CKO_CERTIFICATE)]), [RSA_CERT]);
}

pub fn the_configuration_shows_what_the_hsm_keeps(case: &Case) {
    let session = case.user();
    for hidden in case.dialect.hidden() {
        let key = private(&session, hidden);
        assert_eq!(session.attribute(key, CKA_LABEL).unwrap(), hidden.as_bytes());
    }
}

pub fn private_objects_come_and_go_with_the_login(case: &Case) {
    let mut public: Vec<&str> = [&PAIRS[..], &[EC_CERT, RSA_CERT]].concat();
    public.sort_unstable();
    let session = case.session();
    assert_eq!(session.labels(&[]), public, "before the login");
    assert_eq!(session.find(&[flag(CKA_PRIVATE, true)]), Ok(vec![]));

    session.login(case.dialect.pin()).unwrap();
    let key = private(&session, EC);
    assert_eq!(session.labels(&[flag(CKA_PRIVATE, false)]), public);
    let mut mine = [&PRIVATE[..], &[AES]].concat();
    mine.sort_unstable();
    assert_eq!(session.labels(&[flag(CKA_PRIVATE, true)]), mine);

    session.logout().unwrap();
    assert_eq!(session.labels(&[]), public, "after the logout");
    refused(session.attribute(key, CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
}

pub fn a_search_has_its_states(case: &Case) {
    let session = case.session();
    refused(session.find_next(1), CKR_OPERATION_NOT_INITIALIZED);
    refused(session.find_final(), CKR_OPERATION_NOT_INITIALIZED);
    session.find_init(&[]).unwrap();
    refused(session.find_init(&[]), CKR_OPERATION_ACTIVE);
    assert_eq!(session.find_next(0), Ok(vec![]));
    assert_eq!(session.find_next(2).unwrap().len(), 2);
    session.find_final().unwrap();
    refused(session.find_next(1), CKR_OPERATION_NOT_INITIALIZED);
}

/// `CKR_TEMPLATE_INCONSISTENT` is none of the codes of a search (section 5.7.6).
pub fn a_template_that_contradicts_itself_finds_nothing(case: &Case) {
    let session = case.user();
    for template in [
        [bytes(CKA_LABEL, RSA), bytes(CKA_LABEL, EC)],
        [number(CKA_CLASS, CKO_PRIVATE_KEY), number(CKA_CLASS, CKO_PUBLIC_KEY)],
        [number(CKA_KEY_TYPE, CKK_RSA), number(CKA_KEY_TYPE, CKK_EC)],
        [flag(CKA_TOKEN, true), flag(CKA_TOKEN, false)],
        [flag(CKA_TOKEN, false), flag(CKA_TOKEN, true)],
    ] {
        assert_eq!(session.find(&template), Ok(vec![]), "{template:?}");
    }
    // Saying the same twice is no contradiction.
    let twice = [bytes(CKA_LABEL, RSA), bytes(CKA_LABEL, RSA), number(CKA_CLASS, CKO_PRIVATE_KEY)];
    assert_eq!(session.find(&twice), Ok(vec![private(&session, RSA)]));
}
