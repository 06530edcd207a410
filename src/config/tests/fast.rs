//! `[slot.fast]` and its keys.

use super::messages::slot_refusal;
use super::*;
use crate::crypto::digest::Hash;

/// Both have the serial number 1234567890ABCDEF: `openssl req -x509 -set_serial 0x1234567890ABCDEF -subj "/C=VN/O=Company
/// ABC/CN=Nguyễn Văn A" -utf8`, one with an RSA key, the other with one of an elliptic curve.
const SIGNER: &str = include_str!("../../backend/fast/tests/signer.pem");
const EC: &str = include_str!("../../backend/fast/tests/ec.pem");

fn slot(lines: &str) -> String {
    SLOT.replace("securosys", "fast") + "auth.user = \"u\"\n" + lines
}

fn settings(lines: &str) -> Fast {
    let config = load_text(&slot(lines));
    match config.slots.into_iter().next().unwrap().token.unwrap().backend {
        Backend::Fast(settings) => settings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_said_is_as_the_reference_recommends() {
    let told = settings("");
    assert_eq!(told.authorization, Scheme::Auto);
    assert_eq!((told.padding, told.hash_input), (Padding::Pkcs1, HashInput::Digest));
    assert_eq!(told.digests, [Hash::Sha256]);
    assert!(!told.repeat_sign && !told.read_write_sessions && told.batch_window.is_zero());
    // The password is the PIN.
    assert!(token(&load_text(&slot(""))).login_required());
    let lines = "fast.authorization = \"bare\"\nfast.hash_input = \"digestinfo\"\n\
                 fast.digests = [\"sha1\", \"sha512\"]\nfast.repeat_sign = true\n\
                 fast.read_write_sessions = true\nfast.batch_window = \"2ms\"\n";
    let told = settings(lines);
    assert_eq!((told.authorization, told.hash_input), (Scheme::Bare, HashInput::DigestInfo));
    assert_eq!(told.digests, [Hash::Sha1, Hash::Sha512]);
    assert!(told.repeat_sign && told.read_write_sessions);
    assert_eq!(told.batch_window, Duration::from_millis(2));
    assert_eq!(settings("fast.padding = \"pss\"").padding, Padding::Pss);
}

#[test]
fn what_is_wrong_is_told() {
    for (lines, message) in [
        (
            "fast.authorization = \"basic\"",
            "\"basic\" is not known; write \"auto\" or \"bearer\" or \"bare\"",
        ),
        ("fast.padding = \"oaep\"", "\"oaep\" is not known; write \"pkcs1\" or \"pss\""),
        ("fast.hash_input = \"hash\"", "\"hash\" is not known; write \"digest\" or \"digestinfo\""),
        (
            "fast.padding = \"pss\"\nfast.hash_input = \"digestinfo\"",
            "slot.fast.hash_input: is a form of PKCS#1 v1.5, and slot.fast.padding is PSS; write \"digest\"",
        ),
        ("fast.digests = \"sha224\"", "\"sha224\" is not known; write \"sha1\" or \"sha256\" or"),
        ("fast.digests = []", "slot.fast.digests: has no entry; write digests = [\"sha256\"]"),
        ("fast.repeat_sign = 1", "slot.fast.repeat_sign: is an integer; write true or false"),
        ("fast.batch_window = \"2\"", "slot.fast.batch_window: \"2\" is not a duration"),
        ("fast.batch_window = \"1001ms\"", "slot.fast.batch_window: lets each signature wait for too long"),
        ("auth.bearer = \"env:A\"", "slot.auth.bearer: is not for this back end"),
        ("[slot.auth.token]\nlogin = \"/x\"", "slot.auth.token: is not for this back end"),
    ] {
        let told = slot_refusal(&slot(lines));
        assert!(told.contains(message), "{lines}: {told}");
    }
    let told = slot_refusal(&SLOT.replace("securosys", "fast"));
    assert!(told.contains("slot.auth.user: is missing"), "{told}");
    let told = slot_refusal(&(SLOT.to_owned() + "[[slot.key]]\nserial = \"01\"\nlabel = \"k\"\n"));
    assert!(told.contains("slot.key.serial: is for slots with backend = \"fast\""), "{told}");
}

/// What becomes of a certificate in a file with these lines beside it.
fn key(place: &Place, lines: &str) -> Result<Key, String> {
    let text = slot(&format!("[[slot.key]]\n{lines}\n"));
    let config = place.load(&text, &[]).unwrap();
    match config.slots.into_iter().next().unwrap().token {
        Ok(token) => Ok(token.keys.into_iter().next().unwrap()),
        Err(problem) => Err(place.shown(&problem)),
    }
}

#[test]
fn a_certificate_is_checked_against_its_serial_number() {
    let place = Place::new();
    place.write("etc/signer.pem", SIGNER);
    place.write("etc/ec.pem", EC);
    // As `openssl x509` prints them: with `-serial`, with `-text`; and with a zero in front, which is sent as it stands.
    for (written, name) in [
        ("1234567890ABCDEF", "1234567890ABCDEF"),
        ("12:34:56:78:90:ab:cd:ef", "1234567890ABCDEF"),
        ("001234567890ABCDEF", "001234567890ABCDEF"),
    ] {
        let key = key(&place, &format!("serial = \"{written}\"\ncertificate = \"signer.pem\"")).unwrap();
        assert_eq!((key.name.as_str(), key.label), (name, None));
        assert!(key.certificate.is_some() && !key.password);
    }
    let labelled = key(&place, "serial = \"01\"\nlabel = \"seal\"\nid = \"02\"").unwrap();
    assert_eq!((labelled.label.as_deref(), labelled.id.as_deref()), (Some("seal"), Some(&[2][..])));
    for (lines, message) in [
        ("label = \"k\"", "slot.key.serial: is missing; write serial = \"01AB\""),
        ("serial = \"\"", "slot.key.serial: \"\" is not the serial number of a certificate"),
        ("serial = \"0x12\"", "slot.key.serial: \"0x12\" is not the serial number of a certificate"),
        ("serial = \"01\"\nlabel = \"\"", "slot.key.label: is empty"),
        (
            "serial = \"1234567890ABCDEE\"\ncertificate = \"signer.pem\"",
            "slot.key.certificate: has the serial number 1234567890ABCDEF, not 1234567890ABCDEE",
        ),
        (
            "serial = \"1234567890ABCDEF\"\ncertificate = \"ec.pem\"",
            "slot.key.certificate: is of a key that is no RSA key",
        ),
        ("serial = \"01\"\ntype = \"aes-128\"", "slot.key.type: is not for this back end"),
        ("serial = \"01\"\npassword = true", "slot.key.password: is not for this back end"),
        (
            "serial = \"0A\"\n[[slot.key]]\nserial = \"0a\"",
            "slot.key.serial: 0A is described twice; make one [[slot.key]] of them",
        ),
    ] {
        let told = key(&place, lines).unwrap_err();
        assert!(told.contains(message), "{lines}: {told}");
    }
}
