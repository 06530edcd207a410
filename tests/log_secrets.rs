//! The log, at its most talkative, holds no secret and no data.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cryptoki_sys::*;
use reqwest::Method;
use serde_json::json;
use support::emulator::{Emulator, PIN};
use support::openssl::to_hex;
use support::p11::{P11, refused};
use support::secrets;
use support::session::Room;

mod support;

/// A PIN that is wrong.
const WRONG_PIN: &str = "wrong-pin-4711-0815-abcdef";
const PASSWORD: &str = "key-password-3141-5926";
/// Signed, encrypted, hashed.
const DATA: &[u8] = b"a contract between two parties who trust nobody";

#[test]
fn neither_secrets_nor_data_are_logged() {
    let emulator = Emulator::start("securosys", false);
    let management = emulator.text("key-management.key");
    let service = emulator.text("service.key");
    create_locked(&emulator, &management);
    let log = secrets::log(None);
    let config = config(&emulator, &management);
    let p11 = P11::load();
    p11.initialize(&config).unwrap();
    use_everything(p11, &emulator);
    p11.finalize().unwrap();

    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains("C_Sign"), "the log is at work: {text}");
    assert!(text.lines().count() > 20);
    let pem = emulator.text("keys/aes-256.pem");
    let mut secrets = vec![management, service, PIN.into(), WRONG_PIN.into(), PASSWORD.into()];
    secrets.extend([pem.lines().nth(1).unwrap().to_owned()]);
    let encoded = [STANDARD.encode(DATA), STANDARD.encode(WRONG_PIN), STANDARD.encode(PASSWORD)];
    secrets.extend(encoded.map(|text| text[..16].to_owned()));
    secrets.extend([DATA, WRONG_PIN.as_bytes(), PASSWORD.as_bytes()].map(|bytes| to_hex(&bytes[..12])));
    secrets.extend([String::from_utf8_lossy(&DATA[..16]).into_owned()]);
    // How `Debug` shows bytes.
    secrets.push(format!("{:?}", &DATA[..6]).replace(['[', ']'], ""));
    // Under a header's name or a word of the API there may be no value either.
    secrets.extend(["X-API-KEY:", "keyPassword\":"].map(String::from));
    for secret in secrets {
        let found = text.lines().find(|line| line.to_lowercase().contains(&secret.to_lowercase()));
        assert_eq!(found, None, "{secret:?}");
    }
}

fn create_locked(emulator: &Emulator, management: &str) {
    let body = json!({
        "label": "locked", "password": PASSWORD, "algorithm": "EC", "curveOid": "1.2.840.10045.3.1.7",
        "attributes": { "decrypt": false, "sign": true, "unwrap": false },
    });
    let answer = emulator.call(Method::POST, "/v1/key", &[("X-API-KEY", management)], Some(&body));
    assert_eq!(answer.status(), 201);
}

/// The management key stands in the file itself: secrets come by every way.
fn config(emulator: &Emulator, management: &str) -> std::path::PathBuf {
    let spki = support::openssl::public_key(&emulator.path("keys/locked.pem"));
    fs::write(emulator.path("locked.pub"), spki).unwrap();
    let text = format!(
        "version = 1\n[[slot]]\nlabel = \"s\"\nbackend = \"securosys\"\nurls = [\"{}\"]\n\
         [slot.auth]\napi_key = {{ key_management = \"{management}\", key_operation = \"pin\", \
         service = \"file:{}\" }}\n[[slot.key]]\nlabel = \"locked\"\npublic_key = \"{}\"\npassword = true\n",
        emulator.url(),
        emulator.path("service.key").display(),
        emulator.path("locked.pub").display(),
    );
    let path = emulator.path("secretive.toml");
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path
}

fn use_everything(p11: &'static P11, emulator: &Emulator) {
    let session = p11.open_rw(p11.slots(true).unwrap()[0]).unwrap();
    refused(session.login(WRONG_PIN), CKR_PIN_INCORRECT);
    refused(session.login(&format!("{WRONG_PIN}\r\n")), CKR_PIN_INCORRECT);
    session.login(PIN).unwrap();
    for object in session.find(&[]).unwrap() {
        session.attribute(object, CKA_LABEL).unwrap();
        // A refusal is logged with what was refused.
        let _ = session.attribute(object, CKA_VALUE);
    }
    let ec = session.the(CKO_PRIVATE_KEY, "ec-p256");
    session.sign_init(&CKM_ECDSA_SHA256.into(), ec).unwrap();
    session.sign(DATA).unwrap();
    session.sign_init(&CKM_EDDSA.into(), session.the(CKO_PRIVATE_KEY, "ed25519")).unwrap();
    session.sign(DATA).unwrap();

    let locked = session.the(CKO_PRIVATE_KEY, "locked");
    for password in [PASSWORD, WRONG_PIN] {
        session.sign_init(&CKM_ECDSA_SHA256.into(), locked).unwrap();
        session.login_as(CKU_CONTEXT_SPECIFIC, password.as_bytes()).unwrap();
        assert_eq!(session.sign(DATA).is_ok(), password == PASSWORD);
    }

    let rsa = [CKO_PUBLIC_KEY, CKO_PRIVATE_KEY].map(|class| session.the(class, "rsa-2048"));
    session.encrypt_init(&CKM_RSA_PKCS.into(), rsa[0]).unwrap();
    let sealed = session.encrypt(DATA).unwrap();
    session.decrypt_init(&CKM_RSA_PKCS.into(), rsa[1]).unwrap();
    assert_eq!(session.decrypt(&sealed).unwrap(), DATA);
    let aes = session.the(CKO_SECRET_KEY, "aes-256");
    session.message_encrypt_init(&CKM_AES_GCM.into(), aes).unwrap();
    let (mut iv, mut tag) = ([0; 12], [0; 16]);
    session.encrypt_message(CKG_GENERATE, &mut iv, &mut tag, DATA, DATA, Room::Bytes(DATA.len()));
    session.message_encrypt_final().unwrap();
    session.digest_init(&CKM_SHA256.into()).unwrap();
    session.digest(DATA).unwrap();

    // Answers that echo what was sent, or show a plaintext.
    let echo = json!({ "errorCode": 600, "reason": "bad", "message": "no" });
    emulator.fault(&json!({ "path": "/v1/synchronousSign", "status": 400, "body": echo, "count": 1 }));
    let plain = json!({ "payload": 7, "plaintext": STANDARD.encode(DATA) });
    emulator.fault(&json!({ "path": "/v1/synchronousDecrypt", "status": 200, "body": plain, "count": 1 }));
    session.sign_init(&CKM_ECDSA_SHA256.into(), ec).unwrap();
    assert!(session.sign(DATA).is_err());
    session.decrypt_init(&CKM_RSA_PKCS.into(), rsa[1]).unwrap();
    refused(session.decrypt(&sealed), CKR_DEVICE_ERROR);
    session.logout().unwrap();
}
