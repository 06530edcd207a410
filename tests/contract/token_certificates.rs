//! Certificates that an application puts on the token: Java stores them beside its keys.

use std::path::Path;

use cryptoki_sys::*;
use der::{Decode, Encode};
use serde_json::json;
use x509_cert::Certificate;

use super::Purpose::Sign;
use super::{Case, certificate, private};
use crate::support::openssl::{describe, openssl};
use crate::support::p11::refused;
use crate::support::session::{Pair, Session, bytes, flag, number};

/// Of include/p11rest.h.
const CKA_P11REST_KEY_NAME: CK_ATTRIBUTE_TYPE = CKA_VENDOR_DEFINED | 0x5031_3152;

/// A certificate that a key signed for itself, in DER.
fn signed_by(pem: &Path, subject: &str) -> Vec<u8> {
    let key = pem.to_str().expect("text");
    openssl(&["req", "-x509", "-key", key, "-subj", subject, "-days", "9", "-outform", "DER"], b"")
}

/// Of the signer.
fn its_own(case: &Case, subject: &str) -> Vec<u8> {
    signed_by(&case.dialect.private_pem(case.emulator, case.signer().label), subject)
}

fn template(der: &[u8], more: &[Pair]) -> Vec<Pair> {
    let mut template = vec![
        number(CKA_CLASS, CKO_CERTIFICATE),
        number(CKA_CERTIFICATE_TYPE, CKC_X_509),
        flag(CKA_TOKEN, true),
        bytes(CKA_VALUE, der),
    ];
    template.extend_from_slice(more);
    template
}

fn aliases(case: &Case) -> String {
    case.emulator.text("aliases.json")
}

pub fn are_kept_with_a_label_and_an_id_of_their_own(case: &Case) {
    let session = case.user();
    let der = its_own(case, "/CN=put there");
    let (label, id) = (format!("web-{}", case.slot), [0x77, 2]);
    let named = [bytes(CKA_LABEL, &label), bytes(CKA_ID, id)];
    // Java 17 gives the number without its tag.
    let number_of = Certificate::from_der(&der).unwrap().tbs_certificate.serial_number;
    let untagged = [&named[..], &[bytes(CKA_SERIAL_NUMBER, number_of.as_bytes())]].concat();
    let made = session.create(&template(&der, &untagged)).unwrap();

    assert_eq!(certificate(&session, &label), made);
    let kind = number(CKA_CLASS, CKO_CERTIFICATE);
    for wanted in [bytes(CKA_ID, id), bytes(CKA_VALUE, &der), bytes(CKA_LABEL, &label)] {
        assert_eq!(session.find(&[kind.clone(), wanted, flag(CKA_TOKEN, true)]), Ok(vec![made]));
    }
    assert!(session.labels(&[]).contains(&label));
    let told = number_of.to_der().unwrap();
    assert_eq!(session.attribute(made, CKA_SERIAL_NUMBER).unwrap(), told, "as the certificate has it");
    for (what, value) in [(CKA_MODIFIABLE, true), (CKA_DESTROYABLE, true), (CKA_COPYABLE, false)] {
        assert_eq!(session.flag(made, what), Ok(value), "{what:#x}");
    }
    let unique = session.attribute(made, CKA_UNIQUE_ID).unwrap();
    assert!(aliases(case).contains(&String::from_utf8(unique.clone()).unwrap()), "{}", aliases(case));
    let info = case.p11.token_info(case.slot).unwrap();
    assert_eq!(info.flags & CKF_WRITE_PROTECTED, 0, "something can be written");
    // The key goes on as it was.
    private(&session, case.signer().label);

    refused(case.session().set(made, &named), CKR_SESSION_READ_ONLY);
    refused(session.set(made, &[bytes(CKA_VALUE, &der)]), CKR_ATTRIBUTE_READ_ONLY);
    session.set(made, &[bytes(CKA_ID, [0x77, 3])]).unwrap();
    assert_eq!(session.find(&[kind.clone(), bytes(CKA_ID, [0x77, 3])]), Ok(vec![made]));
    assert_eq!(session.find(&[kind.clone(), bytes(CKA_ID, id)]), Ok(vec![]));
    assert_eq!(session.attribute(made, CKA_UNIQUE_ID).unwrap(), unique, "it is the same object");

    refused(case.session().destroy(made), CKR_SESSION_READ_ONLY);
    refused(session.copy(made, &[]), case.dialect.token_objects_are_fixed());
    session.destroy(made).unwrap();
    refused(session.destroy(made), CKR_OBJECT_HANDLE_INVALID);
    refused(session.attribute(made, CKA_VALUE), CKR_OBJECT_HANDLE_INVALID);
    assert_eq!(session.find(&[bytes(CKA_VALUE, &der)]), Ok(vec![]));
    assert_eq!(aliases(case), r#"{"keys":{}}"#);
}

/// Those of authorities: Java stores a whole chain, without labels.
pub fn of_no_key_are_kept_too(case: &Case) {
    let session = case.user();
    let der = signed_by(&case.emulator.path("other.key"), "/CN=authority");
    let made = session.create(&template(&der, &[])).unwrap();
    let subject = Certificate::from_der(&der).unwrap().tbs_certificate.subject.to_der().unwrap();
    assert_eq!(
        session.find(&[bytes(CKA_SUBJECT, &subject), number(CKA_CLASS, CKO_CERTIFICATE)]),
        Ok(vec![made])
    );
    assert_eq!(session.attribute(made, CKA_LABEL).unwrap(), b"");
    assert_eq!(session.attribute(made, CKA_ID).unwrap(), b"");
    session.destroy(made).unwrap();
    assert_eq!(aliases(case), r#"{"keys":{}}"#);
}

/// Another process writes the file, or somebody by hand.
pub fn of_the_file_are_shown(case: &Case) {
    use base64::Engine;
    let session = case.user();
    let der = its_own(case, "/CN=by hand");
    let value = base64::engine::general_purpose::STANDARD.encode(&der);
    let label = case.signer().label;
    let key = private(&session, label);
    let name = session.attribute(key, CKA_P11REST_KEY_NAME).unwrap();
    let name = std::str::from_utf8(&name).unwrap();
    let content = json!({
        "keys": { name: { "label": "key by hand" } },
        "certificates": { "by-hand": { "label": "hand", "id": "0a", "value": value } },
    });
    std::fs::write(case.emulator.path("aliases.json"), content.to_string()).unwrap();
    // Whoever changes something reads all.
    let other = signed_by(&case.emulator.path("other.key"), "/CN=other");
    let made = session.create(&template(&other, &[bytes(CKA_LABEL, "other")])).unwrap();
    assert_eq!(private(&session, "key by hand"), key);
    session.set(key, &[bytes(CKA_LABEL, "")]).unwrap();
    assert_eq!(private(&session, label), key);
    let by_hand = certificate(&session, "hand");
    assert_eq!(session.attribute(by_hand, CKA_VALUE).unwrap(), der);
    assert_eq!(session.attribute(by_hand, CKA_ID).unwrap(), [0x0a]);
    assert_eq!(session.attribute(by_hand, CKA_UNIQUE_ID).unwrap(), b"by-hand");
    session.destroy(by_hand).unwrap();
    session.destroy(made).unwrap();
    assert_eq!(aliases(case), r#"{"keys":{}}"#);
}

pub fn have_nothing_else(case: &Case) {
    let der = its_own(case, "/CN=odd");
    let named = [bytes(CKA_LABEL, "odd"), bytes(CKA_ID, [1])];
    refused(case.session().create(&template(&der, &named)), CKR_SESSION_READ_ONLY);
    let stranger = case.p11.open_rw(case.slot).unwrap();
    refused(stranger.create(&template(&der, &named)), CKR_USER_NOT_LOGGED_IN);
    let session = case.user();
    let with = |more: Pair| session.create(&template(&der, &[&named[..], &[more]].concat()));
    refused(with(flag(CKA_PRIVATE, true)), CKR_ATTRIBUTE_VALUE_INVALID);
    refused(with(flag(CKA_TRUSTED, true)), CKR_ATTRIBUTE_VALUE_INVALID);
    refused(with(flag(CKA_MODIFIABLE, false)), CKR_ATTRIBUTE_VALUE_INVALID);
    refused(with(bytes(CKA_URL, "http://x")), CKR_ATTRIBUTE_VALUE_INVALID);
    refused(with(bytes(CKA_MODULUS, [1])), CKR_ATTRIBUTE_TYPE_INVALID);
    refused(with(bytes(CKA_UNIQUE_ID, "mine")), CKR_ATTRIBUTE_READ_ONLY);
    refused(session.create(&template(&der, &[bytes(CKA_LABEL, [0xff])])), CKR_ATTRIBUTE_VALUE_INVALID);
    refused(session.create(&template(&der[1..], &named)), CKR_ATTRIBUTE_VALUE_INVALID);
    refused(session.create(&template(&der, &named)[..3]), CKR_TEMPLATE_INCOMPLETE);
    let different = signed_by(&case.emulator.path("other.key"), "/CN=different");
    let subject = Certificate::from_der(&different).unwrap().tbs_certificate.subject.to_der().unwrap();
    refused(with(bytes(CKA_SUBJECT, &subject)), CKR_ATTRIBUTE_VALUE_INVALID);
    refused(session.create(&template(&der, &named)[1..]), CKR_TEMPLATE_INCOMPLETE);
    let data = [number(CKA_CLASS, CKO_DATA), flag(CKA_TOKEN, true), bytes(CKA_VALUE, "data")];
    refused(session.create(&data), CKR_TOKEN_WRITE_PROTECTED);
    assert_eq!(session.find(&[bytes(CKA_VALUE, &der)]), Ok(vec![]));
}

pub fn find_no_place_of_themselves(case: &Case) {
    let session = case.user();
    let der = its_own(case, "/CN=nowhere");
    refused(session.create(&template(&der, &[])), CKR_TOKEN_WRITE_PROTECTED);
    assert_eq!(session.find(&[bytes(CKA_VALUE, &der)]), Ok(vec![]));
}

/// The HSM has one place beside each key, under the label and the id of the key.
pub fn are_put_beside_their_key(case: &Case) {
    let session = case.user();
    let label = *case.seed().ec.iter().find(|label| !case.seed().certified.contains(label)).unwrap();
    let pem = case.dialect.private_pem(case.emulator, label);
    let id = session.attribute(private(&session, label), CKA_ID).unwrap();
    let (first, second) = (signed_by(&pem, "/CN=first"), signed_by(&pem, "/CN=second"));
    let kind = number(CKA_CLASS, CKO_CERTIFICATE);
    let made = session.create(&template(&first, &[bytes(CKA_ID, &id)])).unwrap();
    assert_eq!(certificate(&session, label), made);
    assert_eq!(session.attribute(made, CKA_VALUE).unwrap(), first);
    assert_eq!(session.find(&[kind.clone(), bytes(CKA_ID, &id)]), Ok(vec![made]));
    assert_eq!(
        (session.flag(made, CKA_DESTROYABLE), session.flag(made, CKA_MODIFIABLE)),
        (Ok(true), Ok(false))
    );
    assert_eq!(case.kept_certificate(label), Some(first), "it is at the HSM");

    let again = session.create(&template(&second, &[bytes(CKA_LABEL, label)])).unwrap();
    assert_eq!(session.attribute(again, CKA_VALUE).unwrap(), second, "in the place of the first");
    assert_eq!(session.find(&[kind, bytes(CKA_ID, &id)]), Ok(vec![again]));
    assert_eq!(case.kept_certificate(label), Some(second.clone()));

    refused(session.create(&template(&second, &[bytes(CKA_LABEL, "another")])), CKR_ATTRIBUTE_VALUE_INVALID);
    let nobodys = signed_by(&case.emulator.path("other.key"), "/CN=authority");
    refused(session.create(&template(&nobodys, &[])), CKR_TOKEN_WRITE_PROTECTED);

    session.destroy(again).unwrap();
    refused(session.attribute(again, CKA_VALUE), CKR_OBJECT_HANDLE_INVALID);
    assert_eq!(case.kept_certificate(label), None);
    private(&session, label);
}

/// For applications that see keys only beside certificates. It costs a signature, once.
pub fn are_made_by_the_keys_themselves(case: &Case) {
    begin_anew(case);
    let (session, seed) = (case.user(), case.seed());
    let signed = case.asked(Sign);
    // Where they cannot be kept, nothing is signed in vain.
    let lock = case.emulator.path("self-signed.json.lock");
    let _ = std::fs::remove_file(&lock);
    std::fs::create_dir(&lock).unwrap();
    assert_eq!(session.labels(&[number(CKA_CLASS, CKO_CERTIFICATE)]), seed.certified);
    assert_eq!(case.asked(Sign), signed);
    std::fs::remove_dir(&lock).unwrap();
    session.logout().unwrap();
    session.login(case.dialect.pin()).unwrap();
    let all = session.find(&[number(CKA_CLASS, CKO_CERTIFICATE)]).unwrap();
    assert!(all.len() > seed.certified.len());
    for label in seed.ec.iter().chain(seed.rsa).filter(|label| !seed.certified.contains(label)) {
        let made = certificate(&session, label);
        let key = private(&session, label);
        assert_eq!(session.attribute(made, CKA_ID), session.attribute(key, CKA_ID));
        let der = session.attribute(made, CKA_VALUE).unwrap();
        let file = case.emulator.path("made.pem");
        std::fs::write(&file, openssl(&["x509", "-inform", "DER"], &der)).unwrap();
        let path = file.to_str().unwrap();
        let told = openssl(&["x509", "-in", path, "-noout", "-subject", "-issuer"], b"");
        let name = format!("CN = {label}, OU = self-signed\n");
        assert_eq!(String::from_utf8(told).unwrap(), format!("subject={name}issuer={name}"));
        openssl(&["verify", "-check_ss_sig", "-CAfile", path, path], b"");
        let public = openssl(&["x509", "-in", path, "-noout", "-pubkey"], b"");
        assert_eq!(
            describe(&openssl(&["pkey", "-pubin", "-outform", "DER"], &public)),
            describe(&case.spki(label))
        );
    }
    assert!(case.asked(Sign) > signed, "somebody signed them");
    one_goes_for_good(case, &session);
}

pub fn are_made_though_one_key_cannot(case: &Case) {
    begin_anew(case);
    let (session, seed) = (case.user(), case.seed());
    let label = seed.ec.iter().find(|label| !seed.certified.contains(label)).unwrap();
    let (method, path) = case.dialect.request(Sign);
    case.emulator.fault(&json!({
        "method": method, "path": path, "contains": format!("\"{label}\""),
        "status": 400, "body": { "errorCode": 605, "reason": "res.error.in.hsm", "message": "not this key" },
    }));
    let labels = session.labels(&[number(CKA_CLASS, CKO_CERTIFICATE)]);
    assert!(!labels.contains(&(*label).to_owned()), "{labels:?}");
    for other in seed.pairs().iter().filter(|other| *other != label) {
        assert!(labels.contains(&(*other).to_owned()), "{other} is not among {labels:?}");
    }
    case.emulator.heal();
}

/// The file may be from another test.
fn begin_anew(case: &Case) {
    std::fs::write(case.emulator.path("self-signed.json"), "{}").unwrap();
}

fn one_goes_for_good(case: &Case, session: &Session) {
    let label = *case.seed().ec.iter().find(|label| !case.seed().certified.contains(label)).unwrap();
    let made = certificate(session, label);
    let der = session.attribute(made, CKA_VALUE).unwrap();
    assert!(case.emulator.text("self-signed.json").contains(r#""own_certificates":"#));
    // What is called otherwise keeps its certificate.
    let signed = case.asked(Sign);
    session.set(private(session, label), &[bytes(CKA_ID, [0x77, 4])]).unwrap();
    let found = session.find(&[number(CKA_CLASS, CKO_CERTIFICATE), bytes(CKA_ID, [0x77, 4])]).unwrap();
    assert_eq!(found, [made]);
    assert_eq!(session.attribute(made, CKA_VALUE).unwrap(), der);
    // One from an authority takes its place.
    let pem = case.dialect.private_pem(case.emulator, label);
    let own = session.create(&template(&signed_by(&pem, "/CN=real"), &[bytes(CKA_LABEL, "real")])).unwrap();
    let kind = number(CKA_CLASS, CKO_CERTIFICATE);
    assert_eq!(session.find(&[kind.clone(), bytes(CKA_ID, [0x77, 4])]), Ok(vec![own]));
    session.destroy(own).unwrap();
    assert_eq!(session.find(&[kind.clone(), bytes(CKA_VALUE, &der)]), Ok(vec![made]));
    session.destroy(made).unwrap();
    assert_eq!(session.find(&[kind.clone(), bytes(CKA_ID, [0x77, 4])]), Ok(vec![]));
    session.set(private(session, label), &[bytes(CKA_ID, [])]).unwrap();
    assert_eq!(session.find(&[kind, bytes(CKA_LABEL, label)]), Ok(vec![]));
    assert_eq!(case.asked(Sign), signed, "one signature was enough");
}
