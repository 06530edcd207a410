//! The flows of the dialect against a scripted server.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cryptoki_sys::{
    CKR_ENCRYPTED_DATA_INVALID, CKR_KEY_HANDLE_INVALID, CKR_PIN_INCORRECT, CKR_USER_NOT_LOGGED_IN,
};
use parking_lot::Mutex;

use super::*;
use crate::backend::scripted::{Seen, Server};
use crate::backend::types::KeyKind;
use crate::config::Secret;
use crate::crypto::digest::Hash;
use crate::observe::told;

mod certificates;
mod credentials;
mod keys;
mod licence;
mod login;

/// The back end that talks to `server`.
fn open(server: &Server, auth: config::Auth) -> Securosys {
    open_telling(server, auth, &Log::off())
}

fn open_telling(server: &Server, auth: config::Auth, log: &Log) -> Securosys {
    let url = config::Url { tls: false, host: "127.0.0.1".into(), port: server.port, path: String::new() };
    let token = config::Token { members: vec![vec![url]], auth, ..config::Token::plain("test") };
    Securosys::open(&token, log).unwrap()
}

const WRONG_KEY: &str = r#"{"errorCode":631,"reason":"res.error.invalid.api.key","message":"…"}"#;
const UNKNOWN_KEY: &str = r#"{"errorCode":650,"reason":"res.error.key.not.existent","message":"A key with the name 'nope' does not exist."}"#;
const WRONG_PASSWORD: &str = r#"{"errorCode":620,"reason":"res.error.key.password.mismatch","message":"Key password mismatch for key 'locked'."}"#;
const UNKNOWN_REQUEST: &str = r#"{"errorCode":651,"reason":"res.error.request.not.existent"}"#;

fn literal(text: &str) -> Vec<Secret> {
    vec![Secret::Literal(text.into())]
}

/// Management `m`, operation `o`, service `s`.
fn three_keys() -> config::Auth {
    let api_key = config::ApiKeys {
        key_management: literal("m"),
        key_operation: literal("o"),
        service: literal("s"),
        ..config::ApiKeys::default()
    };
    with_keys(api_key)
}

fn with_keys(api_key: config::ApiKeys) -> config::Auth {
    config::Auth { api_key, ..config::Auth::default() }
}

/// These keys for key operation, and no other.
fn operation_keys(key_operation: Vec<Secret>) -> config::Auth {
    with_keys(config::ApiKeys { key_operation, ..config::ApiKeys::default() })
}

fn literals(texts: &[&str]) -> Vec<Secret> {
    texts.iter().flat_map(|text| literal(text)).collect()
}

fn operation_pin() -> config::Auth {
    operation_keys(vec![Secret::Pin])
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

fn names(names: &[&str]) -> Vec<KeyName> {
    names.iter().map(|&name| name.into()).collect()
}

fn sign(
    hsm: &Securosys,
    scheme: SignScheme,
    payload: &[u8],
    password: Option<&SecretString>,
) -> Result<Vec<u8>> {
    let request = SignRequest { key: &"demo".into(), password, scheme, payload, approval: false };
    match hsm.sign(&request, soon())? {
        Outcome::Done(signature) => Ok(signature),
        Outcome::Pending(task) => panic!("{task:?}"),
    }
}

const RSA: SignScheme = SignScheme::RsaPkcs1(Some(Hash::Sha256));

#[test]
fn keys_are_listed_in_order_and_version_and_licence_are_asked_for_once() {
    let server = Server::start(|seen| match seen.target.as_str() {
        "GET /v1/key" => (200, r#"["attestation-key","timestamp-key","demo","aes-1"]"#.into()),
        "GET /v1/licenseInfo" => (200, r#"{"clientFlags":["REST_API"]}"#.into()),
        _ => (200, r#"{"Version":"2.5.1","Vendor":"Securosys SA"}"#.into()),
    });
    let hsm = open(&server, three_keys());
    assert_eq!(hsm.firmware(), None);
    for _ in 0..2 {
        let listed = hsm.list(soon()).unwrap();
        assert_eq!(listed, names(&["attestation-key", "timestamp-key", "demo", "aes-1"]));
    }
    assert_eq!(hsm.firmware(), Some(Firmware { major: 2, minor: 5 }));
    assert_eq!(
        server.targets(),
        ["GET /v1/key", "GET /v1/licenseInfo", "GET /v1/versionInfo", "GET /v1/key"]
    );
    let seen = server.seen();
    assert_eq!((seen[0].key(), seen[1].key(), seen[2].key()), (Some("m"), Some("s"), Some("s")));
    assert_eq!(seen[0].header("accept"), Some("application/json"));
}

#[test]
fn a_version_that_is_refused_spoils_no_listing() {
    let server = Server::start(|seen| match seen.target.as_str() {
        "GET /v1/key" => (200, "[]".into()),
        _ => (401, WRONG_KEY.into()),
    });
    let hsm = open(&server, three_keys());
    assert_eq!(hsm.list(soon()).unwrap(), []);
    assert_eq!(hsm.list(soon()).unwrap(), []);
    assert_eq!(hsm.firmware(), None);
    assert_eq!(server.targets().iter().filter(|target| *target == "GET /v1/versionInfo").count(), 1);
}

#[test]
fn one_unreadable_key_does_not_spoil_the_others() {
    let server = Server::start(|seen| match seen.body.as_str() {
        r#"{"label":"aes-1"}"# => {
            (200, r#"{"json":{"label":"aes-1","algorithm":"AES","keySize":128}}"#.into())
        }
        r#"{"label":"nope"}"# => (404, UNKNOWN_KEY.into()),
        r#"{"label":"locked"}"# => (400, WRONG_PASSWORD.into()),
        r#"{"label":"proxy"}"# => (404, "<html>".into()),
        _ => (500, r#"{"errorCode":701,"reason":"res.error.in.hsm"}"#.into()),
    });
    let hsm = open(&server, three_keys());
    let mut told = hsm.describe(&names(&["aes-1", "nope", "broken", "locked", "proxy"]), soon()).into_iter();
    let mut next = || told.next().unwrap();
    assert_eq!(next().unwrap().unwrap().kind, KeyKind::Aes(Some(16)));
    assert_eq!(next().unwrap(), None);
    assert!(next().is_err());
    assert_eq!(next().unwrap().unwrap().kind, KeyKind::Locked);
    assert!(next().is_err(), "a bare 404 does not say that a key is gone");
    assert!(
        server.seen().iter().all(|seen| seen.target == "POST /v1/key/attributes" && seen.key() == Some("m"))
    );
}

/// `openssl req -new -x509` over a P-256 key, `/CN=a`.
const CERTIFICATE: &str = concat!(
    "MIIBWjCCAQCgAwIBAgIBATAKBggqhkjOPQQDAjAMMQowCAYDVQQDDAFhMB4XDTI2MTEyMzAzMDgzNloXDTM2MTEyMDAzMDgz",
    "NlowDDEKMAgGA1UEAwwBYTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABOlre8DWKCj2dtiQKgQpjxqHuwcBmbpTAf79f8Gm",
    "mxW8XRgOu7WaXE4xux1u0apUmfHw4MRdnuWrY8zntmS2RWKjUzBRMB0GA1UdDgQWBBRFZuqgZxm9MFRcy8k95CIg4qfmFTAf",
    "BgNVHSMEGDAWgBRFZuqgZxm9MFRcy8k95CIg4qfmFTAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQDjWByp",
    "kKBye5DtY6bod2zWUxAtz7Y7plk4l2T2aWssZAIgGAX7Ez+BAjHIELPmYYXvX4h2e6UL3zwiEuUFzDd1evg=",
);

#[test]
fn certificates_in_each_form_and_none() {
    let server = Server::start(|seen| match seen.target.as_str() {
        "GET /v1/certificate/raw" => (200, format!(r#"{{"label":"raw","rawCertificate":"{CERTIFICATE}"}}"#)),
        "GET /v1/certificate/der" => (200, format!(r#"{{"label":"der","certificate":"{CERTIFICATE}"}}"#)),
        "GET /v1/certificate/p%20em" => (
            200,
            format!(
                r#"{{"label":"p em","certificate":"-----BEGIN CERTIFICATE-----\n{CERTIFICATE}\n-----END CERTIFICATE-----\n"}}"#
            ),
        ),
        "GET /v1/certificate/null" => (200, r#"{"label":"null","certificate":null}"#.into()),
        "GET /v1/certificate/none" => (404, UNKNOWN_KEY.into()),
        "GET /v1/certificate/bare" => (404, String::new()),
        "GET /v1/certificate/other" => {
            (400, r#"{"errorCode":402,"reason":"res.error.invalid.certificate"}"#.into())
        }
        "GET /v1/certificate/bad" => (200, r#"{"certificate":"AAAA"}"#.into()),
        "GET /v1/certificate/jwt" => {
            (400, r#"{"errorCode":617,"reason":"res.error.invalid.access.token"}"#.into())
        }
        _ => (500, String::new()),
    });
    let hsm = open(&server, three_keys());
    let labels = names(&["raw", "der", "p em", "null", "none", "bare", "other", "bad", "jwt", "fault"]);
    let found = hsm.certificates(&labels, soon());
    let der = STANDARD.decode(CERTIFICATE).unwrap();
    for certificate in &found[..3] {
        assert_eq!(certificate.as_ref().unwrap().as_deref(), Some(&*der));
    }
    for none in &found[3..7] {
        assert!(matches!(none, Ok(None)), "{none:?}");
    }
    let errors: Vec<_> = found[7..].iter().map(|error| error.as_ref().unwrap_err().rv()).collect();
    assert_eq!(errors, [CKR_DEVICE_ERROR, CKR_USER_NOT_LOGGED_IN, CKR_DEVICE_ERROR]);
}

#[test]
fn rsa_signs_a_digest() {
    let server = Server::saying(200, r#"{"signature":"YXNk"}"#);
    let hsm = open(&server, three_keys());
    let digest = Hash::Sha256.digest(b"x");
    assert_eq!(sign(&hsm, RSA, &digest, None).unwrap(), b"asd");
    let seen = server.seen();
    assert_eq!((seen[0].target.as_str(), seen[0].key()), ("POST /v1/synchronousSign", Some("o")));
    // W6 of the reference, without the optional `payloadType`.
    let body = format!(
        r#"{{"signRequest":{{"payload":"{}","signKeyName":"demo","signatureAlgorithm":"NONESHA256_WITH_RSA"}}}}"#,
        STANDARD.encode(digest)
    );
    assert_eq!(seen[0].body, body);
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
}

#[test]
fn an_ecdsa_signature_comes_back_as_r_and_s() {
    // Section 3.1; the numbers are those that `openssl asn1parse` shows.
    let server = Server::saying(
        200,
        r#"{"signature":"MEQCIGvSZ9Fylbf5ofsbXxDnpjWfr+IOPVL3qSUzlO7cDK88AiAzdZ7h5eXI9zo4UauFoVG3NEB9U99+leODNuJXGMnjvg=="}"#,
    );
    let hsm = open(&server, three_keys());
    let signature = sign(&hsm, SignScheme::Ecdsa { width: 32, hash: None }, &[9; 64], None).unwrap();
    let hex: String = signature.iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(
        hex,
        "6BD267D17295B7F9A1FB1B5F10E7A6359FAFE20E3D52F7A9253394EEDC0CAF3C\
         33759EE1E5E5C8F73A3851AB85A151B734407D53DF7E95E38336E25718C9E3BE"
    );
    // The digest is cut to the order.
    assert!(server.seen()[0].body.contains(&format!(r#""payload":"{}""#, STANDARD.encode([9; 32]))));
}

#[test]
fn no_signature_is_an_error() {
    for (status, body) in
        [(200, "{}"), (200, r#"{"signature":""}"#), (200, ""), (502, "<html>Bad Gateway</html>")]
    {
        let server = Server::saying(status, body);
        let error = sign(&open(&server, three_keys()), RSA, &[0; 32], None).unwrap_err();
        assert_eq!(error.rv(), CKR_DEVICE_ERROR, "{status} {body}");
    }
    let server = Server::saying(200, r#"{"signature":"YXNk"}"#);
    let error =
        sign(&open(&server, three_keys()), SignScheme::Ecdsa { width: 32, hash: None }, &[0; 32], None)
            .unwrap_err();
    assert_eq!(error.rv(), CKR_DEVICE_ERROR);
}

#[test]
fn what_the_service_cannot_do_is_not_asked_for() {
    let server = Server::saying(200, "{}");
    let hsm = open(&server, three_keys());
    let rv = |scheme, payload: &[u8]| sign(&hsm, scheme, payload, None).unwrap_err().rv();
    assert_eq!(rv(SignScheme::RsaPss(Hash::Sha3_256), &[0; 32]), CKR_MECHANISM_INVALID);
    assert_eq!(rv(SignScheme::EdDsa, &[0; PAYLOAD_LIMIT + 1]), CKR_DATA_LEN_RANGE);
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn a_key_that_is_gone() {
    let server = Server::saying(404, UNKNOWN_KEY);
    let error = sign(&open(&server, three_keys()), RSA, &[0; 32], None).unwrap_err();
    assert_eq!(error.rv(), CKR_KEY_HANDLE_INVALID);
    assert!(error.to_string().contains("650, res.error.key.not.existent"), "{error}");
}

#[test]
fn gcm_as_in_the_worked_exchange() {
    // W4 of the reference.
    let server = Server::start(|seen| match seen.target.as_str() {
        "POST /v1/encrypt" => (
            200,
            r#"{"encryptedPayload":"ZK/UOxbOPW9rYWe8vZqCmDzfP5r6kv2zpdsE8hnbqg2MCA==",
     "encryptedPayloadWithoutMessageAuthenticationCode":"ZK/UOxbOPW9rYWe8vZqCmDzf",
     "initializationVector":"C73HyZuY5nnKyChF","messageAuthenticationCode":"P5r6kv2zpdsE8hnbqg2MCA=="}"#
                .into(),
        ),
        _ => (200, r#"{"payload":"RW5jcnlwdERlY3J5cHREZW1v"}"#.into()),
    });
    let hsm = open(&server, three_keys());
    let sealed = seal(&hsm, b"EncryptDecryptDemo").unwrap();
    assert_eq!(STANDARD.encode(&sealed.ciphertext), "ZK/UOxbOPW9rYWe8vZqCmDzf");
    assert_eq!(STANDARD.encode(&sealed.tag), "P5r6kv2zpdsE8hnbqg2MCA==");
    assert_eq!(STANDARD.encode(&sealed.iv), "C73HyZuY5nnKyChF");
    assert_eq!(
        server.seen()[0].body,
        r#"{"encryptRequest":{"payload":"RW5jcnlwdERlY3J5cHREZW1v","encryptKeyName":"aes-1","cipherAlgorithm":"AES_GCM","tagLength":128}}"#
    );
    let ciphertext = [sealed.ciphertext, sealed.tag].concat();
    let scheme = DecryptScheme::AesGcm { iv: &sealed.iv, aad: b"", tag_bits: 128 };
    let key = "aes-1".into();
    let request =
        DecryptRequest { key: &key, password: None, scheme, ciphertext: &ciphertext, approval: false };
    let Outcome::Done(plaintext) = hsm.decrypt(&request, soon()).unwrap() else { panic!() };
    assert_eq!(*plaintext, b"EncryptDecryptDemo");
    assert_eq!(
        server.seen()[1].body,
        r#"{"decryptRequest":{"encryptedPayload":"ZK/UOxbOPW9rYWe8vZqCmDzfP5r6kv2zpdsE8hnbqg2MCA==","decryptKeyName":"aes-1","cipherAlgorithm":"AES_GCM","initializationVector":"C73HyZuY5nnKyChF","tagLength":128}}"#
    );
}

fn seal(hsm: &Securosys, plaintext: &[u8]) -> Result<Encrypted> {
    let scheme = EncryptScheme::AesGcm { iv: None, aad: b"", tag_bits: 128 };
    hsm.encrypt(&EncryptRequest { key: &"aes-1".into(), password: None, scheme, plaintext }, soon())
}

#[test]
fn an_older_server_leaves_the_tag_on() {
    let server = Server::saying(
        200,
        r#"{"encryptedPayload":"ZK/UOxbOPW9rYWe8vZqCmDzfP5r6kv2zpdsE8hnbqg2MCA==","initializationVector":"C73HyZuY5nnKyChF"}"#,
    );
    let hsm = open(&server, three_keys());
    let sealed = seal(&hsm, b"EncryptDecryptDemo").unwrap();
    assert_eq!(STANDARD.encode(&sealed.ciphertext), "ZK/UOxbOPW9rYWe8vZqCmDzf");
    assert_eq!(STANDARD.encode(&sealed.tag), "P5r6kv2zpdsE8hnbqg2MCA==");
    assert_eq!(seal(&hsm, b"another length").err().map(|error| error.rv()), Some(CKR_DEVICE_ERROR));
}

#[test]
fn block_modes_carry_their_iv_and_nothing_else() {
    let server = Server::saying(200, r#"{"payload":"YXNk"}"#);
    let hsm = open(&server, three_keys());
    let decrypt = |scheme| {
        let key = "aes-1".into();
        let request =
            DecryptRequest { key: &key, password: None, scheme, ciphertext: &[0; 3], approval: false };
        hsm.decrypt(&request, soon()).map(|_| ())
    };
    decrypt(DecryptScheme::AesEcb).unwrap();
    decrypt(DecryptScheme::AesCbc { iv: &[0; 3] }).unwrap();
    decrypt(DecryptScheme::RsaOaep(Hash::Sha256)).unwrap();
    decrypt(DecryptScheme::AesGcm { iv: &[0; 3], aad: &[1, 2, 3], tag_bits: 96 }).unwrap();
    let tail = |seen: &Seen| seen.body[seen.body.find(r#""cipherAlgorithm""#).unwrap()..].to_owned();
    let tails: Vec<_> = server.seen().iter().map(tail).collect();
    assert_eq!(
        tails,
        [
            r#""cipherAlgorithm":"AES_ECB"}}"#,
            r#""cipherAlgorithm":"AES_CBC_NO_PADDING","initializationVector":"AAAA"}}"#,
            r#""cipherAlgorithm":"RSA_PADDING_OAEP_WITH_SHA256"}}"#,
            r#""cipherAlgorithm":"AES_GCM","initializationVector":"AAAA","tagLength":96,"additionalAuthenticationData":"AQID"}}"#,
        ]
    );
    let error = decrypt(DecryptScheme::AesGcm { iv: &[0; 3], aad: &[], tag_bits: 32 }).unwrap_err();
    assert_eq!(error.rv(), CKR_MECHANISM_PARAM_INVALID);
    assert_eq!(server.seen().len(), 4);
}

#[test]
fn a_bad_ciphertext() {
    let server = Server::saying(
        500,
        r#"{"errorCode":701,"reason":"res.error.in.hsm","message":"Error decrypting payload"}"#,
    );
    let hsm = open(&server, three_keys());
    let key = "demo".into();
    let scheme = DecryptScheme::RsaOaep(Hash::Sha256);
    let request =
        DecryptRequest { key: &key, password: None, scheme, ciphertext: &[0; 256], approval: false };
    assert_eq!(hsm.decrypt(&request, soon()).unwrap_err().rv(), CKR_ENCRYPTED_DATA_INVALID);
}

#[test]
fn nothing_listens() {
    let hsm = open(&Server::nowhere(), operation_pin());
    assert_eq!(hsm.login(b"1234", soon()).unwrap_err().rv(), CKR_DEVICE_ERROR);
}
