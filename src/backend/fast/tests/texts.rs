//! `decryptjwe`.

use super::*;

/// Of the right form; what is in it only the service knows. The beginning is that of RFC 7516 section 3.3.
const COMPACT: &str =
    "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.OKOawD.48V1_ALb6US04U3b.5eym8TW_.XFBoMYUZode";

fn decrypt(hsm: &Fast, ciphertext: &[u8]) -> Result<Vec<u8>> {
    let scheme = DecryptScheme::Jwe;
    let request = DecryptRequest { key: &SN.into(), password: None, scheme, ciphertext, approval: false };
    match hsm.decrypt(&request, soon())? {
        Outcome::Done(plaintext) => Ok(plaintext.to_vec()),
        Outcome::Pending(task) => panic!("{task:?}"),
    }
}

/// A service that takes the one form and no other.
fn taking(form: String) -> Server {
    serving(move |seen| match body(seen)["data"].as_str() {
        Some(data) if data == form => success(&json!({ "data": { "data": "b\"í mật" } })),
        _ => failure(400, "Invalid data format"),
    })
}

#[test]
fn each_packaging_is_taken_and_that_of_the_service_is_found_out() {
    for (form, asked) in [
        (COMPACT.to_owned(), vec![TOKEN, OPEN, OPEN]),
        (STANDARD.encode(COMPACT), vec![TOKEN, OPEN, OPEN, OPEN]),
    ] {
        let server = taking(form);
        let hsm = open(&server);
        for ciphertext in [COMPACT.to_owned(), STANDARD.encode(COMPACT)] {
            assert_eq!(decrypt(&hsm, ciphertext.as_bytes()).unwrap(), "b\"í mật".as_bytes());
        }
        assert_eq!(paths(&server), asked);
    }
}

#[test]
fn what_is_no_jwe_is_not_sent() {
    let server = taking(COMPACT.to_owned());
    let hsm = open(&server);
    for ciphertext in [&b"text"[..], b"a.b.c", b"\xff", b"dGV4dA=="] {
        assert_eq!(rv(decrypt(&hsm, ciphertext)), CKR_ENCRYPTED_DATA_INVALID);
    }
    assert!(server.seen().is_empty());
}

#[test]
fn refusals_by_the_table() {
    for (code, message, status, expected) in [
        (400, "Invalid data format", "valid", CKR_ENCRYPTED_DATA_INVALID),
        (500, "Decryption failed", "valid", CKR_ENCRYPTED_DATA_INVALID),
        (500, "Internal server error", "valid", CKR_DEVICE_ERROR),
        (400, "Invalid certificate SN", "expired", CKR_KEY_FUNCTION_NOT_PERMITTED),
        // The certificate is in force and seals nothing.
        (400, "Invalid certificate SN", "valid", CKR_KEY_FUNCTION_NOT_PERMITTED),
    ] {
        let hsm = open(&serving(move |seen| match path(seen) {
            INFO => told(status),
            _ => failure(code, message),
        }));
        assert_eq!(rv(decrypt(&hsm, COMPACT.as_bytes())), expected, "{code} {message}");
    }
    let hsm = open(&serving(|_| success(&json!({ "data": { "text": "x" } }))));
    assert_eq!(rv(decrypt(&hsm, COMPACT.as_bytes())), CKR_DEVICE_ERROR);
}
