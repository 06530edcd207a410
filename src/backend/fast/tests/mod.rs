//! The flows of the dialect against a scripted server.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cryptoki_sys::{
    CK_RV, CKR_DATA_INVALID, CKR_DEVICE_ERROR, CKR_ENCRYPTED_DATA_INVALID, CKR_FUNCTION_FAILED,
    CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_HANDLE_INVALID, CKR_PIN_INCORRECT, CKR_PIN_LOCKED,
    CKR_USER_NOT_LOGGED_IN,
};
use serde_json::{Value, json};

use super::*;
use crate::backend::scripted::{Answer, Seen, Server};
use crate::backend::types::KeyKind;
use crate::config::{HashInput, Padding, Secret};
use crate::crypto::digest::Hash;

mod batches;
mod login;
mod signatures;
mod texts;

/// The serial number of the certificate, which `config::tests::fast` describes.
const SN: &str = "1234567890ABCDEF";
const SIGNER: &str = include_str!("signer.pem");

const TOKEN: &str = "/api/account/gettoken";
const INFO: &str = "/api/certificate/getinfosn";
const SIGN: &str = "/api/sign/signhash";
const OPEN: &str = "/api/sign/decryptjwe";

fn settings() -> config::Fast {
    config::Fast {
        authorization: config::Scheme::Auto,
        padding: Padding::Pkcs1,
        hash_input: HashInput::Digest,
        digests: vec![Hash::Sha256],
        repeat_sign: false,
        batch_window: Duration::ZERO,
        read_write_sessions: false,
    }
}

fn der() -> Vec<u8> {
    der::pem::decode_vec(SIGNER.as_bytes()).unwrap().1
}

fn key(name: &str, certificate: Option<Vec<u8>>) -> config::Key {
    config::Key {
        name: name.into(),
        label: None,
        id: None,
        public_key: None,
        certificate,
        key_type: None,
        password: false,
    }
}

/// The back end that talks to `server`, with a certificate and a serial number alone.
fn open_with(server: &Server, settings: &config::Fast, password: Secret) -> Fast {
    let auth = config::Auth { user: Some("u".into()), password, ..config::Auth::default() };
    open_as(server, settings, auth, &Log::off())
}

/// The same with all that is in front.
fn open_as(server: &Server, settings: &config::Fast, auth: config::Auth, log: &Log) -> Fast {
    let url = config::Url { tls: false, host: "127.0.0.1".into(), port: server.port, path: String::new() };
    let keys = vec![key(SN, Some(der())), key("0B", None)];
    let token = config::Token { members: vec![vec![url]], auth, keys, ..config::Token::plain("test") };
    Fast::open(&token, settings, log).unwrap()
}

/// The same with a password that needs no login.
fn open(server: &Server) -> Fast {
    open_with(server, &settings(), Secret::Literal("p".into()))
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

/// A success with these members.
fn success(members: &Value) -> (u16, String) {
    let mut body = json!({ "success": true, "message": "Successfully", "code": 200 });
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    (200, body.to_string())
}

/// A refusal, with the status line of a success.
fn failure(code: u16, message: &str) -> (u16, String) {
    let body = json!({ "success": false, "message": message, "code": code, "data": null });
    (200, body.to_string())
}

fn granted() -> (u16, String) {
    success(&json!({ "data": { "accessToken": "t", "tokenType": "Bearer", "expiresIn": 3600 } }))
}

/// What `getinfosn` says of a certificate with this status.
fn told(status: &str) -> (u16, String) {
    success(&json!({ "data": {
        "serialNumber": SN,
        "subject": "CN=Nguyen Van B, O=Company ABC, C=VN",
        "status": status,
        "keyUsage": ["digitalSignature", "nonRepudiation"],
    }}))
}

/// A server that says that there are too many requests, so often at this path, and for the rest answers by `script`.
fn throttling(
    at: &'static str,
    times: usize,
    retry_after: Option<&'static str>,
    script: impl Fn(&Seen) -> (u16, String) + Send + Sync + 'static,
) -> Server {
    let made = AtomicUsize::new(0);
    Server::answering(move |seen| {
        let busy = path(seen) == at && made.fetch_add(1, Ordering::SeqCst) < times;
        let (status, body) = match path(seen) {
            _ if busy => failure(429, "Too many requests"),
            TOKEN => granted(),
            _ => script(seen),
        };
        // As a service says it, and as a proxy does.
        let status = if busy && times.is_multiple_of(2) { 429 } else { status };
        let asked = retry_after.filter(|_| busy);
        Answer {
            status,
            headers: asked.map(|asked| ("Retry-After", asked.into())).into_iter().collect(),
            body,
        }
    })
}

/// The path of a request.
fn path(seen: &Seen) -> &str {
    seen.target.strip_prefix("POST ").unwrap()
}

/// A server that grants tokens and for the rest answers by `script`.
fn serving(script: impl Fn(&Seen) -> (u16, String) + Send + Sync + 'static) -> Server {
    Server::start(move |seen| if path(seen) == TOKEN { granted() } else { script(seen) })
}

fn paths(server: &Server) -> Vec<String> {
    server.seen().iter().map(|seen| path(seen).to_owned()).collect()
}

fn body(seen: &Seen) -> Value {
    serde_json::from_str(&seen.body).unwrap()
}

fn rv<T>(outcome: Result<T>) -> CK_RV {
    outcome.map(|_| ()).unwrap_err().rv()
}

#[test]
fn certificates_are_those_of_the_configuration() {
    let server = Server::nowhere();
    let hsm = open_with(&server, &settings(), Secret::Pin);
    assert!(hsm.login_required() && !hsm.may_list());
    assert_eq!(hsm.list(soon()).unwrap(), [SN.into(), "0B".into()]);
    let signer = hsm.assumed(&SN.into());
    assert_eq!(signer.label.as_deref(), Some("Nguyễn Văn A"));
    assert!(matches!(signer.kind, KeyKind::Pair(_)) && signer.usage.sign && !signer.dormant);
    // Without a certificate nothing can be verified.
    let bare = hsm.assumed(&"0B".into());
    assert!(matches!(bare.kind, KeyKind::Listed(listed) if listed.private && !listed.public));
    assert_eq!((bare.id.as_deref(), bare.label), (Some(&[0x0b][..]), None));
    assert_eq!((hsm.manufacturer(), hsm.model(), hsm.firmware()), ("FAST", "FAST HSM", None));
    assert!(hsm.token_state().write_protected && hsm.refuses_read_write() && !hsm.has_random());
}

#[test]
fn the_service_says_what_a_certificate_is_for() {
    let server = serving(|seen| match (body(seen)["certificateSN"].as_str().unwrap(), path(seen)) {
        (SN, INFO) => told("expired"),
        ("0B", INFO) => told("valid"),
        _ => failure(404, "Certificate not found"),
    });
    let hsm = open(&server);
    let names = [SN.into(), "0B".into(), "0C".into()];
    let described = hsm.describe(&names, soon());
    let [Ok(Some(signer)), Ok(Some(bare)), Ok(None)] = &described[..] else { panic!("{described:?}") };
    assert!(signer.dormant && signer.usage.sign && !signer.usage.decrypt);
    assert_eq!(signer.label.as_deref(), Some("Nguyễn Văn A"), "the certificate knows better");
    assert!(!bare.dormant);
    assert_eq!(bare.label.as_deref(), Some("Nguyen Van B"));
}

#[test]
fn another_thumbprint_spoils_that_certificate_alone() {
    let sha1: String = Hash::Sha1.digest(&der()).iter().map(|byte| format!("{byte:02X}")).collect();
    let sha256: String = Hash::Sha256.digest(&der()).iter().map(|byte| format!("{byte:02x}:")).collect();
    // The last is of neither hash, as in the example of section 4.2.
    for (thumbprint, same) in [
        (sha1.clone(), true),
        (sha256.trim_end_matches(':').to_owned(), true),
        ("0".repeat(40), false),
        (sha1.replace(&sha1[..1], if &sha1[..1] == "0" { "1" } else { "0" }), false),
        ("0".repeat(64), false),
        ("A1B2C3D4E5F6...".to_owned(), true),
    ] {
        let server = serving(move |_| {
            success(&json!({ "data": { "status": "valid", "thumbprint": thumbprint.clone() } }))
        });
        let described = open(&server).describe(&[SN.into(), "0B".into()], soon());
        assert!(matches!(described[1], Ok(Some(_))));
        match &described[0] {
            Ok(Some(_)) => assert!(same),
            Ok(None) => panic!("it is there"),
            Err(error) => assert_eq!((same, error.rv()), (false, CKR_DEVICE_ERROR)),
        }
    }
}
