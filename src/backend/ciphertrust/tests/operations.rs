//! Signatures, MACs, ciphers.

use cryptoki_sys::{
    CK_RV, CKR_DATA_LEN_RANGE, CKR_DEVICE_ERROR, CKR_ENCRYPTED_DATA_INVALID, CKR_GENERAL_ERROR,
    CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN,
};

use super::*;

const RSA: SignScheme = SignScheme::RsaPkcs1(Some(Hash::Sha256));
const ECDSA: SignScheme = SignScheme::Ecdsa { width: 32, hash: Some(Hash::Sha256) };
const HMAC: SignScheme = SignScheme::Hmac(Hash::Sha256);

fn request<'a>(key: &'a KeyName, scheme: SignScheme, payload: &'a [u8]) -> SignRequest<'a> {
    SignRequest { key, password: None, scheme, payload, approval: false }
}

fn sign(hsm: &Arc<dyn Backend>, scheme: SignScheme, payload: &'static [u8]) -> Result<Vec<u8>, CK_RV> {
    match hsm.sign(&request(&"k".into(), scheme, payload), soon()) {
        Ok(Outcome::Done(signature)) => Ok(signature),
        Ok(Outcome::Pending(task)) => panic!("{task:?}"),
        Err(error) => Err(error.rv()),
    }
}

#[test]
fn a_message_goes_out_as_it_is_and_the_answer_is_hexadecimal() {
    let server = with_tokens(|_| (200, data("00ff10")));
    let hsm = user(&server, &plain());
    assert_eq!(sign(&hsm, RSA, b"the message"), Ok(vec![0, 255, 16]));
    assert_eq!(sign(&hsm, SignScheme::RsaPss(Hash::Sha512), b""), Ok(vec![0, 255, 16]));
    let seen = server.seen();
    assert_eq!(seen[1].target, "POST /api/v1/crypto/sign?keyName=k&hashAlgo=sha-256");
    assert_eq!(seen[1].body, "the message");
    assert_eq!(seen[1].header("content-type"), Some("application/octet-stream"));
    assert_eq!(seen[2].target, "POST /api/v1/crypto/sign?keyName=k&hashAlgo=sha-512&signAlgo=RSASSA-PSS");
    assert_eq!(seen[2].header("content-length"), Some("0"));
}

#[test]
fn names_of_algorithms_are_settings() {
    let server = with_tokens(|_| (200, data("00")));
    let settings = config::CipherTrust { pkcs1: Some("RSA v1".into()), pss: "PSS".into(), ..plain() };
    let hsm = user(&server, &settings);
    sign(&hsm, RSA, b"x").unwrap();
    sign(&hsm, SignScheme::RsaPss(Hash::Sha1), b"x").unwrap();
    assert_eq!(
        calls(&server),
        [
            "POST /api/v1/crypto/sign?keyName=k&hashAlgo=sha-256&signAlgo=RSA%20v1",
            "POST /api/v1/crypto/sign?keyName=k&hashAlgo=sha-1&signAlgo=PSS"
        ]
    );
}

/// As SEQUENCE of two INTEGERs (X9.62), or as PKCS#11 has it.
#[test]
fn ecdsa_signatures_in_both_forms() {
    let r = [&[0x80][..], &[1; 31]].concat();
    let s = [&[0][..], &[2; 31]].concat();
    let hex = |parts: &[&[u8]]| parts.concat().iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    // A zero before what would be negative, and none before what would not (X.690 section 8.3).
    let der = hex(&[&[0x30, 0x44, 0x02, 0x21, 0x00], &r, &[0x02, 0x1f], &s[1..]]);
    let raw = hex(&[&r, &s]);
    for (text, expected) in [
        (der, Ok([&r[..], &s].concat())),
        (raw.clone(), Ok([&r[..], &s].concat())),
        (raw[2..].to_owned(), Err(CKR_DEVICE_ERROR)),
    ] {
        let server = with_tokens(move |_| (200, data(&text)));
        assert_eq!(sign(&user(&server, &plain()), ECDSA, b"x"), expected);
        let target = "POST /api/v1/crypto/sign?keyName=k&hashAlgo=sha-256&signAlgo=ecdsa";
        assert_eq!(calls(&server), [target]);
    }
}

#[test]
fn the_spelling_of_hashes_is_learnt_once() {
    let server = with_tokens(|seen| match seen.target.contains("hashAlgo=SHA") {
        true => (200, data("00")),
        false => (400, BAD.into()),
    });
    let hsm = user(&server, &plain());
    sign(&hsm, RSA, b"x").unwrap();
    sign(&hsm, SignScheme::RsaPkcs1(Some(Hash::Sha1)), b"x").unwrap();
    assert_eq!(
        calls(&server),
        [
            "POST /api/v1/crypto/sign?keyName=k&hashAlgo=sha-256",
            "POST /api/v1/crypto/sign?keyName=k&hashAlgo=SHA256",
            "POST /api/v1/crypto/sign?keyName=k&hashAlgo=SHA1"
        ]
    );
}

#[test]
fn refusals_of_a_signature() {
    for (status, answer, expected, requests) in [
        (404, MISSING, CKR_KEY_HANDLE_INVALID, 1),
        // The other spelling would not find it either.
        (400, MISSING, CKR_KEY_HANDLE_INVALID, 1),
        (400, BAD, CKR_GENERAL_ERROR, 2),
        (403, BAD, CKR_KEY_FUNCTION_NOT_PERMITTED, 1),
        (413, "", CKR_DATA_LEN_RANGE, 1),
        (401, "", CKR_USER_NOT_LOGGED_IN, 1),
        (404, "<html>", CKR_DEVICE_ERROR, 1),
        (500, "{}", CKR_DEVICE_ERROR, 1),
        (200, "{}", CKR_DEVICE_ERROR, 1),
        (200, r#"{"data":""}"#, CKR_DEVICE_ERROR, 1),
        (200, r#"{"data":"*"}"#, CKR_DEVICE_ERROR, 1),
        (200, r#"{"data":7}"#, CKR_DEVICE_ERROR, 1),
    ] {
        let server = with_tokens(move |_| (status, answer.into()));
        assert_eq!(sign(&user(&server, &plain()), RSA, b"x"), Err(expected), "{status} {answer}");
        assert_eq!(calls(&server).len(), requests, "{status} {answer}");
    }
}

#[test]
fn who_hashes() {
    let settings = |prehashed| config::CipherTrust { max_message: 1000, prehashed, ..plain() };
    let message = |hash| Some(SignInput::Message { hash: Some(hash), limit: 1000 });
    let digest = Some(SignInput::Digest);
    let hsm = |prehashed| open(&Server::nowhere(), &settings(prehashed));
    let server_hashes = hsm(None);
    let we_hash = hsm(Some("none".into()));
    let unhashed = SignScheme::Ecdsa { width: 32, hash: None };
    for (scheme, theirs, ours) in [
        (RSA, message(Hash::Sha256), digest),
        (ECDSA, message(Hash::Sha256), digest),
        (SignScheme::RsaPss(Hash::Sha384), message(Hash::Sha384), digest),
        (SignScheme::RsaPkcs1(None), None, digest),
        (unhashed, None, digest),
        (SignScheme::EdDsa, None, None),
        (SignScheme::RsaPss(Hash::Sha3_256), None, None),
        (SignScheme::RsaPkcs1(Some(Hash::Sha3_256)), None, None),
        // A MAC is of the message, whoever hashes for signatures.
        (HMAC, message(Hash::Sha256), message(Hash::Sha256)),
        (SignScheme::Hmac(Hash::Sha224), None, None),
    ] {
        assert_eq!(server_hashes.sign_input(scheme), theirs, "{scheme:?}");
        assert_eq!(we_hash.sign_input(scheme), ours, "{scheme:?}");
    }
    assert!(server_hashes.signatures_are_doubtful());
    // The tag of a ciphertext is no part of a message.
    assert_eq!(server_hashes.payload_limit(), 1016);
    assert!(!server_hashes.has_random());
}

#[test]
fn a_digest_is_sent_under_the_configured_name() {
    let server = with_tokens(|_| (200, data(&"01".repeat(64))));
    let hsm = user(&server, &config::CipherTrust { prehashed: Some("none".into()), ..plain() });
    const DIGEST: &[u8] = b"0123456789abcdef0123456789abcdef";
    let unhashed = SignScheme::Ecdsa { width: 32, hash: None };
    sign(&hsm, SignScheme::RsaPss(Hash::Sha256), DIGEST).unwrap();
    sign(&hsm, unhashed, DIGEST).unwrap();
    // SHA-512 for a curve of 256 bits: the leftmost bits count (FIPS 186-5 section 6.4.1).
    sign(&hsm, unhashed, b"0123456789abcdef0123456789abcdefXXXX").unwrap();
    let seen = server.seen();
    assert_eq!(seen[1].target, "POST /api/v1/crypto/sign?keyName=k&hashAlgo=none&signAlgo=RSASSA-PSS");
    assert_eq!(seen[2].target, "POST /api/v1/crypto/sign?keyName=k&hashAlgo=none&signAlgo=ecdsa");
    assert!(seen[1..].iter().all(|seen| seen.body.as_bytes() == DIGEST));
}

/// HMAC-SHA-256 of RFC 4231 section 4.2.
const MAC: [u8; 32] = [
    0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53, 0x5c, 0xa8, 0xaf, 0xce, 0xaf, 0x0b, 0xf1, 0x2b, 0x88,
    0x1d, 0xc2, 0x00, 0xc9, 0x83, 0x3d, 0xa7, 0x26, 0xe9, 0x37, 0x6c, 0x2e, 0x32, 0xcf, 0xf7,
];
const MAC_HEX: &str = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
const MAC_BASE64: &str = "sDRMYdjbOFNcqK/OrwvxK4gdwgDJgz2nJuk3bC4yz/c=";

#[test]
fn macs_in_both_spellings() {
    for (text, expected) in
        [(MAC_HEX, Ok(MAC.to_vec())), (MAC_BASE64, Ok(MAC.to_vec())), (&MAC_HEX[2..], Err(CKR_DEVICE_ERROR))]
    {
        let server = with_tokens(move |_| (200, data(text)));
        assert_eq!(sign(&user(&server, &plain()), HMAC, b"Hi There"), expected);
        let seen = server.seen();
        assert_eq!(seen[1].target, "POST /api/v1/crypto/mac?keyName=k");
        assert_eq!(seen[1].body, "Hi There");
    }
}

/// A server that verifies MACs as they are written here, and says of others what `otherwise` is.
fn verifier(written: &'static str, otherwise: (u16, &'static str)) -> Server {
    with_tokens(move |seen| {
        let (_, hash) = seen.target.split_once("&hash=").unwrap();
        match hash.replace("%2F", "/").replace("%3D", "=") == written {
            true => (200, r#"{"verified":true}"#.into()),
            false => (otherwise.0, otherwise.1.into()),
        }
    })
}

#[test]
fn macs_are_verified_in_the_spelling_that_the_server_takes() {
    const FALSE: &str = r#"{"verified":false}"#;
    for (written, otherwise, first) in
        [(MAC_BASE64, (200, FALSE), 1), (MAC_HEX, (200, FALSE), 2), (MAC_HEX, (400, BAD), 2)]
    {
        let server = verifier(written, otherwise);
        let hsm = user(&server, &plain());
        let key = "k".into();
        let verify = |mac: &[u8]| hsm.verify_mac(&request(&key, HMAC, b"Hi There"), mac, soon()).unwrap();
        assert!(verify(&MAC));
        assert_eq!(calls(&server).len(), first);
        assert!(verify(&MAC));
        assert_eq!(calls(&server).len(), first + 1, "it is known by now");
        assert!(otherwise.0 != 200 || !verify(&[0; 32]));
    }
    let server = verifier("neither", (404, MISSING));
    let hsm = user(&server, &plain());
    let error = hsm.verify_mac(&request(&"k".into(), HMAC, b"x"), &MAC, soon()).unwrap_err();
    assert_eq!((error.rv(), calls(&server).len()), (CKR_KEY_HANDLE_INVALID, 1));
}

const IV: [u8; 12] = [7; 12];

fn seal(server: &Server, iv: Option<&[u8]>, aad: &[u8]) -> Result<Encrypted, CK_RV> {
    let scheme = EncryptScheme::AesGcm { iv, aad, tag_bits: 128 };
    let request = EncryptRequest { key: &"k".into(), password: None, scheme, plaintext: b"text" };
    user(server, &plain()).encrypt(&request, soon()).map_err(|error| error.rv())
}

#[test]
fn gcm_answers_in_each_form() {
    // "text" in four bytes, a tag of 16 zeros.
    let (text, tag, iv) = ("AQIDBA==", "AAAAAAAAAAAAAAAAAAAAAA==", "BwcHBwcHBwcHBwcH");
    let both = "AQIDBAAAAAAAAAAAAAAAAAAAAAA=";
    let sealed = Encrypted { ciphertext: vec![1, 2, 3, 4], iv: IV.to_vec(), tag: vec![0; 16] };
    for (answer, given, expected) in [
        (json!({ "ciphertext": text, "tag": tag, "iv": iv, "mode": "gcm" }), false, Some(&sealed)),
        (json!({ "ciphertext": text, "tag": tag, "iv": iv }), true, Some(&sealed)),
        (json!({ "ciphertext": text, "tag": tag }), true, Some(&sealed)),
        (json!({ "ciphertext": both, "iv": iv }), false, Some(&sealed)),
        (json!({ "ciphertext": both }), true, Some(&sealed)),
        // No IV at all; another one; a ciphertext of another length; a short tag.
        (json!({ "ciphertext": text, "tag": tag }), false, None),
        (json!({ "ciphertext": text, "tag": tag, "iv": "AAAAAAAAAAAAAAAA" }), true, None),
        (json!({ "ciphertext": both, "tag": tag, "iv": iv }), true, None),
        (json!({ "ciphertext": text, "tag": "AAAA", "iv": iv }), true, None),
        (json!({ "tag": tag, "iv": iv }), true, None),
    ] {
        let told = answer.to_string();
        let server = with_tokens(move |_| (200, told.clone()));
        let made = seal(&server, given.then_some(&IV[..]), b"aad");
        assert!(made.as_ref().ok() == expected, "{answer}");
        assert!(expected.is_some() || made.err() == Some(CKR_DEVICE_ERROR), "{answer}");
    }
}

#[test]
fn a_plaintext_that_is_too_long_is_not_sent() {
    let server = with_tokens(|_| (500, "{}".into()));
    let hsm = user(&server, &config::CipherTrust { max_message: 10, ..plain() });
    let scheme = EncryptScheme::AesGcm { iv: None, aad: b"", tag_bits: 128 };
    for (plaintext, expected, requests) in
        [(&[0; 11][..], CKR_DATA_LEN_RANGE, 0), (&[0; 10], CKR_DEVICE_ERROR, 1)]
    {
        let request = EncryptRequest { key: &"k".into(), password: None, scheme, plaintext };
        assert_eq!(hsm.encrypt(&request, soon()).map(drop).unwrap_err().rv(), expected);
        assert_eq!(calls(&server).len(), requests);
    }
    assert_eq!(hsm.payload_limit(), 512, "an RSA ciphertext is opened all the same");
}

#[test]
fn gcm_bodies_are_those_of_the_page() {
    let server = with_tokens(|_| (500, "{}".into()));
    for (iv, aad, members) in [
        (Some(&IV[..]), &b"aad"[..], json!({ "iv": "BwcHBwcHBwcHBwcH", "aad": "YWFk" })),
        (None, b"", json!({})),
    ] {
        assert!(seal(&server, iv, aad).is_err());
        let seen = server.seen().pop().unwrap();
        let mut expected = json!({ "id": "k", "type": "name", "mode": "gcm", "plaintext": "dGV4dA==" });
        expected.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        assert_eq!(body(&seen), expected);
        assert_eq!(seen.target, "POST /api/v1/crypto/encrypt");
        assert_eq!(seen.header("content-type"), Some("application/json"));
    }
}

fn open_it(server: &Server, scheme: DecryptScheme<'_>, ciphertext: &[u8]) -> Result<Vec<u8>, CK_RV> {
    let request = DecryptRequest { key: &"k".into(), password: None, scheme, ciphertext, approval: false };
    match user(server, &plain()).decrypt(&request, soon()) {
        Ok(Outcome::Done(plaintext)) => Ok(plaintext.to_vec()),
        Ok(Outcome::Pending(task)) => panic!("{task:?}"),
        Err(error) => Err(error.rv()),
    }
}

#[test]
fn what_is_opened() {
    let server = with_tokens(|_| (200, r#"{"plaintext":"dGV4dA=="}"#.into()));
    let gcm = DecryptScheme::AesGcm { iv: &IV, aad: b"aad", tag_bits: 128 };
    assert_eq!(open_it(&server, gcm, b"1234fedcba9876543210").unwrap(), b"text");
    let expected = json!({ "id": "k", "type": "name", "mode": "gcm", "ciphertext": "MTIzNA==",
                           "tag": "ZmVkY2JhOTg3NjU0MzIxMA==", "iv": "BwcHBwcHBwcHBwcH", "aad": "YWFk" });
    assert_eq!(body(&server.seen().pop().unwrap()), expected);
    assert_eq!(open_it(&server, DecryptScheme::RsaOaep(Hash::Sha1), b"1234").unwrap(), b"text");
    let seen = server.seen().pop().unwrap();
    assert_eq!(seen.target, "POST /api/v1/crypto/decrypt");
    assert_eq!(body(&seen), json!({ "id": "k", "type": "name", "pad": "oaep", "ciphertext": "MTIzNA==" }));
    for (status, answer, expected) in [
        (400, BAD, CKR_ENCRYPTED_DATA_INVALID),
        (422, BAD, CKR_ENCRYPTED_DATA_INVALID),
        (404, MISSING, CKR_KEY_HANDLE_INVALID),
        (403, BAD, CKR_KEY_FUNCTION_NOT_PERMITTED),
        (200, r#"{"plaintext":"*"}"#, CKR_DEVICE_ERROR),
    ] {
        let server = with_tokens(move |_| (status, answer.into()));
        assert_eq!(open_it(&server, gcm, &[0; 20]), Err(expected), "{status} {answer}");
    }
}

#[test]
fn what_is_offered() {
    let hsm = open(&Server::nowhere(), &config::CipherTrust { oaep_hash: Hash::Sha256, ..plain() });
    let gcm = |iv, tag_bits| DecryptScheme::AesGcm { iv, aad: b"", tag_bits };
    for (scheme, expected) in [
        (gcm(&IV, 128), true),
        (gcm(&IV[1..], 128), false),
        (gcm(&IV, 96), false),
        (DecryptScheme::RsaOaep(Hash::Sha256), true),
        (DecryptScheme::RsaOaep(Hash::Sha1), false),
        (DecryptScheme::RsaPkcs1, false),
        (DecryptScheme::AesEcb, false),
    ] {
        assert_eq!(hsm.can_decrypt(&scheme), expected, "{scheme:?}");
    }
    let gcm = |iv, tag_bits| EncryptScheme::AesGcm { iv, aad: b"", tag_bits };
    for (scheme, expected) in [
        (gcm(Some(&IV[..]), 128), true),
        (gcm(None, 128), true),
        (gcm(Some(&IV[1..]), 128), false),
        (gcm(None, 120), false),
        (EncryptScheme::AesEcb, false),
    ] {
        assert_eq!(hsm.can_encrypt(&scheme), expected, "{scheme:?}");
    }
}
