//! Finding objects (PKCS#11 3.2 section 5.7.6).

use cryptoki_sys::{
    CKA_CLASS, CKA_ID, CKA_KEY_TYPE, CKA_LABEL, CKA_PRIVATE, CKA_PROFILE_ID, CKA_SIGN, CKA_TOKEN, CKK_AES,
    CKK_EC, CKK_EC_EDWARDS, CKK_RSA, CKO_CERTIFICATE, CKO_DATA, CKO_PRIVATE_KEY, CKO_PROFILE, CKO_PUBLIC_KEY,
    CKO_SECRET_KEY, CKP_PUBLIC_CERTIFICATES_TOKEN, CKR_ACTION_PROHIBITED, CKR_OBJECT_HANDLE_INVALID,
    CKR_OPERATION_ACTIVE, CKR_OPERATION_NOT_INITIALIZED,
};

use super::{Case, Purpose, certificate, private, public};
use crate::support::p11::refused;
use crate::support::session::{bytes, flag, number};

pub fn a_class(case: &Case) {
    let (session, seed) = (case.user(), case.seed());
    for (class, expected) in [
        (CKO_PRIVATE_KEY, seed.private()),
        (CKO_PUBLIC_KEY, seed.pairs()),
        (CKO_SECRET_KEY, seed.secrets()),
        (CKO_CERTIFICATE, seed.certified.to_vec()),
        (CKO_DATA, vec![]),
    ] {
        assert_eq!(session.labels(&[number(CKA_CLASS, class)]), expected, "class {class}");
    }
}

pub fn a_label(case: &Case) {
    let session = case.user();
    for label in case.seed().objects() {
        let found = session.find(&[bytes(CKA_LABEL, label)]).unwrap();
        assert_eq!(found.len(), case.seed().objects_of(label), "{label}");
    }
    let label = case.rsa();
    let near = [format!("{label}8"), format!("{label}\0"), label.to_uppercase()];
    let far = [&label[1..], "", "no/such key?"];
    for other in near.iter().map(String::as_str).chain(far) {
        assert_eq!(session.find(&[bytes(CKA_LABEL, other)]), Ok(vec![]), "{other:?}");
    }
    assert_eq!(session.find(&[bytes(CKA_LABEL, [0xff, 0xfe])]), Ok(vec![]), "not even UTF-8");
}

pub fn an_id(case: &Case) {
    let (session, seed) = (case.user(), case.seed());
    for label in seed.pairs().into_iter().chain(seed.secrets()) {
        let all = session.find(&[bytes(CKA_LABEL, label)]).unwrap();
        let id = session.attribute(all[0], CKA_ID).unwrap();
        assert_eq!(session.find(&[bytes(CKA_ID, &id)]), Ok(all), "{label}");
    }
    assert_eq!(session.find(&[bytes(CKA_ID, [])]), Ok(vec![]));
}

pub fn a_key_type(case: &Case) {
    let (session, seed) = (case.user(), case.seed());
    for (key_type, expected) in [(CKK_RSA, seed.rsa), (CKK_EC, seed.ec), (CKK_EC_EDWARDS, seed.edwards)] {
        for class in [CKO_PRIVATE_KEY, CKO_PUBLIC_KEY] {
            let template = [number(CKA_CLASS, class), number(CKA_KEY_TYPE, key_type)];
            assert_eq!(session.labels(&template), expected, "class {class} type {key_type}");
        }
        assert_eq!(session.find(&[number(CKA_KEY_TYPE, key_type)]).unwrap().len(), 2 * expected.len());
    }
    assert_eq!(session.labels(&[number(CKA_KEY_TYPE, CKK_AES)]), seed.aes);
}

pub fn several_attributes(case: &Case) {
    let (session, signer) = (case.user(), case.signer());
    let template = [
        number(CKA_CLASS, CKO_PRIVATE_KEY),
        flag(CKA_TOKEN, true),
        flag(CKA_SIGN, true),
        number(CKA_KEY_TYPE, signer.key_type),
        bytes(CKA_LABEL, signer.label),
    ];
    assert_eq!(session.find(&template), Ok(vec![private(&session, signer.label)]));
    let mut impossible = template.to_vec();
    impossible[3] = number(CKA_KEY_TYPE, CKK_AES);
    assert_eq!(session.find(&impossible), Ok(vec![]));
}

pub fn no_attributes(case: &Case) {
    let session = case.user();
    assert_eq!(session.labels(&[]), case.seed().objects());
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
    let shown = |mut labels: Vec<&'static str>| {
        labels.retain(|label| case.seed().hidden.iter().all(|(_, hidden)| hidden != label));
        labels
    };
    let (private, certified) = (case.seed().private(), case.seed().certified.to_vec());
    assert_ne!(shown(private.clone()), private, "there is one to hide");
    assert_eq!(session.labels(&[number(CKA_CLASS, CKO_PRIVATE_KEY)]), shown(private));
    for (_, hidden) in case.seed().hidden {
        assert_eq!(session.find(&[bytes(CKA_LABEL, hidden)]), Ok(vec![]), "{hidden}");
    }
    assert_eq!(session.labels(&[number(CKA_CLASS, CKO_CERTIFICATE)]), shown(certified));
}

pub fn the_configuration_shows_what_the_hsm_keeps(case: &Case) {
    let session = case.user();
    for hidden in case.dialect.hidden() {
        let key = private(&session, hidden);
        assert_eq!(session.attribute(key, CKA_LABEL).unwrap(), hidden.as_bytes());
    }
}

/// NSS asks for it before it asks for a PIN.
pub fn a_profile_says_that_certificates_are_public(case: &Case) {
    let session = case.session();
    let template = [number(CKA_CLASS, CKO_PROFILE), flag(CKA_TOKEN, true)];
    let listed = case.asked(Purpose::List);
    let found = session.find(&template).unwrap();
    assert_eq!(case.asked(Purpose::List), listed, "nobody is asked for it");
    let [profile] = found[..] else { panic!("{found:?}") };
    assert_eq!(session.ulong(profile, CKA_PROFILE_ID), Ok(CKP_PUBLIC_CERTIFICATES_TOKEN));
    assert_eq!(session.flag(profile, CKA_PRIVATE), Ok(false));
    refused(case.user().destroy(profile), CKR_ACTION_PROHIBITED);
    // Programs that list everything know no such class.
    assert!(!session.find(&[]).unwrap().contains(&profile));
    if let Some(label) = case.seed().certified.first() {
        certificate(&session, label);
    }
}

pub fn no_profile_says_that_certificates_are_public(case: &Case) {
    let session = case.user();
    assert_eq!(session.find(&[number(CKA_CLASS, CKO_PROFILE)]), Ok(vec![]));
}

pub fn private_objects_come_and_go_with_the_login(case: &Case) {
    let (session, public) = (case.session(), case.seed().public_objects());
    assert_eq!(session.labels(&[]), public, "before the login");
    assert_eq!(session.find(&[flag(CKA_PRIVATE, true)]), Ok(vec![]));

    session.login(case.dialect.pin()).unwrap();
    let key = private(&session, case.signer().label);
    assert_eq!(session.labels(&[flag(CKA_PRIVATE, false)]), public);
    assert_eq!(session.labels(&[flag(CKA_PRIVATE, true)]), case.seed().private_objects());

    session.logout().unwrap();
    assert_eq!(session.labels(&[]), public, "after the logout");
    refused(session.attribute(key, CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
}

/// The credential that the login brings is the one that lists.
pub fn nothing_is_shown_before_the_login(case: &Case) {
    let session = case.session();
    let label = case.signer().label;
    for _ in 0..2 {
        assert_eq!(session.find(&[]), Ok(vec![]));
        assert_eq!(session.find(&[bytes(CKA_LABEL, label)]), Ok(vec![]));
        session.login(case.dialect.pin()).unwrap();
        let keys = [private(&session, label), public(&session, label)];
        assert_eq!(session.labels(&[]), case.seed().objects());
        session.logout().unwrap();
        refused(session.attribute(keys[0], CKA_LABEL), CKR_OBJECT_HANDLE_INVALID);
    }
}

pub fn a_search_has_its_states(case: &Case) {
    let session = case.user();
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
        [bytes(CKA_LABEL, case.rsa()), bytes(CKA_LABEL, case.signer().label.to_owned() + "?")],
        [number(CKA_CLASS, CKO_PRIVATE_KEY), number(CKA_CLASS, CKO_PUBLIC_KEY)],
        [number(CKA_KEY_TYPE, CKK_RSA), number(CKA_KEY_TYPE, CKK_EC)],
        [flag(CKA_TOKEN, true), flag(CKA_TOKEN, false)],
        [flag(CKA_TOKEN, false), flag(CKA_TOKEN, true)],
    ] {
        assert_eq!(session.find(&template), Ok(vec![]), "{template:?}");
    }
    // Saying the same twice is no contradiction.
    let twice =
        [bytes(CKA_LABEL, case.rsa()), bytes(CKA_LABEL, case.rsa()), number(CKA_CLASS, CKO_PRIVATE_KEY)];
    assert_eq!(session.find(&twice), Ok(vec![private(&session, case.rsa())]));
}
