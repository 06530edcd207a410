//! What only FAST HSM has: two editions of its documentation, tokens that end, batches, texts in JWE, certificates that
//! are not valid.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cryptoki_sys::*;
use reqwest::Method;
use serde_json::{Value, json};
use support::emulator::{Emulator, PIN};
use support::openssl;
use support::p11::{P11, refused};
use support::session::{Session, number};

mod support;

/// include/p11rest.h
const JWE: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0x464a_5745;

// docs/emulator.md
const SIGNER: &str = "signer-1";
const SIGNER_SN: &str = "5401A3F05E7C2B9D1E60";
const SEALER: &str = "sealer";
const FOREIGN_SN: &str = "5407B9652F8C1E6D3A7A";

const SIGN: &str = "POST /api/sign/signhash";
const GET_TOKEN: &str = "POST /api/account/gettoken";

/// Runs `check` on the only slot of an emulator with these settings, as `p11rest emulate` configures it. One module, one
/// at a time.
fn with(settings: &[&str], check: impl FnOnce(&'static P11, CK_SLOT_ID, &Emulator)) {
    run(settings, |emulator| emulator.path("p11rest.toml"), check);
}

/// The same with more of a configuration: lines of the slot, and tables behind all others.
fn with_more(
    settings: &[&str],
    lines: &str,
    tables: &str,
    check: impl FnOnce(&'static P11, CK_SLOT_ID, &Emulator),
) {
    let configure = |emulator: &Emulator| {
        let text = emulator.text("p11rest.toml");
        let (start, keys) = text.split_once("\n[[slot.key]]").expect("the certificates come last");
        let path = emulator.path("own.toml");
        fs::write(&path, format!("{start}\n{lines}\n[[slot.key]]{keys}\n{tables}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    run(settings, configure, check);
}

fn run(
    settings: &[&str],
    configure: impl FnOnce(&Emulator) -> PathBuf,
    check: impl FnOnce(&'static P11, CK_SLOT_ID, &Emulator),
) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let options: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let emulator = Emulator::start_with("fast", false, &options);
    let p11 = P11::load();
    // After a test that failed.
    let _ = p11.finalize();
    p11.initialize(&configure(&emulator)).unwrap();
    check(p11, p11.slots(true).unwrap()[0], &emulator);
    p11.finalize().unwrap();
}

fn logged_in(p11: &'static P11, slot: CK_SLOT_ID) -> Session {
    let session = p11.open(slot).unwrap();
    session.login(PIN).unwrap();
    session
}

fn asked(emulator: &Emulator, request: &str) -> u64 {
    emulator.stats().requests.get(request).copied().unwrap_or(0)
}

/// Changes what the emulator is told past the module.
fn put(emulator: &Emulator, path: &str, value: &Value) {
    assert_eq!(emulator.call(Method::PUT, &format!("/_emulator/{path}"), &[], Some(value)).status(), 204);
}

fn spki(emulator: &Emulator, serial: &str) -> Vec<u8> {
    openssl::public_key(&emulator.path("keys").join(serial).with_extension("pem"))
}

/// A signature over "data", which OpenSSL verifies with these options.
fn signs(session: &Session, emulator: &Emulator, kind: &support::mechanism::Mechanism, options: &[&str]) {
    session.sign_init(kind, session.the(CKO_PRIVATE_KEY, SIGNER)).unwrap();
    let signature = session.sign(b"data").unwrap();
    openssl::verifies_digest("sha256", options, &spki(emulator, SIGNER_SN), b"data", &signature).unwrap();
}

fn sha256_signs(session: &Session, emulator: &Emulator) {
    signs(session, emulator, &CKM_SHA256_RSA_PKCS.into(), &[]);
}

#[test]
fn both_editions_and_every_reading_of_them() {
    let readings: [&[&str]; 4] = [
        &["edition=vi", "auth-style=bare", "http-status=always200", "token-form=opaque"],
        &["edition=en", "auth-style=bearer", "http-status=mirror", "thumbprint=sha256"],
        &["edition=vi", "auth-style=bearer", "new-token=replaces"],
        &["edition=en", "auth-style=bare", "http-status=always200", "hash-input=digestinfo"],
    ];
    for reading in readings {
        with(reading, |p11, slot, emulator| {
            let session = p11.open(slot).unwrap();
            refused(session.login("4321"), CKR_PIN_INCORRECT);
            session.login(PIN).unwrap();
            sha256_signs(&session, emulator);
            seals_and_opens(&session);
            // The token is gone: the module gets another.
            emulator.call(Method::DELETE, "/_emulator/tokens", &[], None);
            sha256_signs(&session, emulator);
        });
    }
}

#[test]
fn a_service_that_pads_otherwise() {
    with(&["padding=pss"], |p11, slot, emulator| {
        let session = logged_in(p11, slot);
        let pss = support::mechanism::HASHES[2].pss(CKM_SHA256_RSA_PKCS_PSS);
        let options = ["rsa_padding_mode:pss", "rsa_pss_saltlen:32"];
        signs(&session, emulator, &pss, &options);
        let key = session.the(CKO_PRIVATE_KEY, SIGNER);
        refused(session.sign_init(&CKM_SHA256_RSA_PKCS.into(), key), CKR_MECHANISM_INVALID);
    });
    // Where the configuration does not know, what comes back verifies nowhere, and nobody gets it.
    let unaware = |emulator: &Emulator| {
        let path = emulator.path("own.toml");
        let text = emulator.text("p11rest.toml");
        let lines = text.lines().filter(|line| !line.starts_with("fast."));
        fs::write(&path, lines.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        path
    };
    run(&["padding=pss"], unaware, |p11, slot, _| {
        let session = logged_in(p11, slot);
        session.sign_init(&CKM_SHA256_RSA_PKCS.into(), session.the(CKO_PRIVATE_KEY, SIGNER)).unwrap();
        refused(session.sign(b"data"), CKR_DEVICE_ERROR);
    });
}

#[test]
fn a_signature_that_was_tampered_with_reaches_nobody() {
    with(&[], |p11, slot, emulator| {
        let session = logged_in(p11, slot);
        let key = session.the(CKO_PRIVATE_KEY, SIGNER);
        session.sign_init(&CKM_SHA256_RSA_PKCS.into(), key).unwrap();
        let true_one = session.sign(b"data").unwrap();
        let mut bent = true_one.clone();
        bent[200] ^= 1;
        for (signature, data) in [(&bent, &b"data"[..]), (&true_one, b"other data")] {
            let body = json!({
                "success": true, "message": "Successfully", "code": 200,
                "signatureArray": [STANDARD.encode(signature)],
            });
            emulator.fault(&json!({
                "path": "/api/sign/signhash", "status": 200, "body": body, "count": 1,
            }));
            session.sign_init(&CKM_SHA256_RSA_PKCS.into(), key).unwrap();
            refused(session.sign(data), CKR_DEVICE_ERROR);
        }
        sha256_signs(&session, emulator);
    });
}

/// 20 tokens end on the way.
#[test]
fn no_signature_is_lost_when_tokens_end() {
    const THREADS: usize = 8;
    const EACH: usize = 1250;
    with(&["token-calls=500"], |p11, slot, emulator| {
        let session = logged_in(p11, slot);
        let key = session.the(CKO_PRIVATE_KEY, SIGNER);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let session = p11.open(slot).unwrap();
                    for _ in 0..EACH {
                        session.sign_init(&CKM_SHA256_RSA_PKCS.into(), key).unwrap();
                        // The module verifies what it hands out.
                        assert_eq!(session.sign(b"data").unwrap().len(), 256);
                    }
                });
            }
        });
        let tokens = asked(emulator, GET_TOKEN);
        // Those who sign at the same time are refused together, and one of them gets a token for all.
        assert!((20..40).contains(&tokens), "{tokens} tokens");
    });
}

#[test]
fn tokens_that_live_for_a_second_are_renewed_before_they_end() {
    with(&["token-ttl=1000"], |p11, slot, emulator| {
        let session = logged_in(p11, slot);
        for _ in 0..12 {
            sha256_signs(&session, emulator);
            thread::sleep(Duration::from_millis(150));
        }
        assert!(asked(emulator, GET_TOKEN) >= 3);
    });
}

#[test]
fn wrong_passwords_lock_the_account_and_the_token_shows_it() {
    let locked = |p11: &P11, slot| p11.token_info(slot).unwrap().flags & CKF_USER_PIN_LOCKED != 0;
    with(&["lock-after=2"], |p11, slot, emulator| {
        let session = p11.open(slot).unwrap();
        refused(session.login("4321"), CKR_PIN_INCORRECT);
        refused(session.login("4321"), CKR_PIN_INCORRECT);
        assert!(!locked(p11, slot));
        refused(session.login(PIN), CKR_PIN_LOCKED);
        assert!(locked(p11, slot));
        assert_eq!(asked(emulator, GET_TOKEN), 3, "each password is shown once");
        put(emulator, "accounts/p11rest", &json!({ "locked": false }));
        session.login(PIN).unwrap();
        assert!(!locked(p11, slot));
        sha256_signs(&session, emulator);
        // Locked while its token lives on, which then ends.
        put(emulator, "accounts/p11rest", &json!({ "locked": true }));
        sha256_signs(&session, emulator);
        emulator.call(Method::DELETE, "/_emulator/tokens", &[], None);
        session.sign_init(&CKM_SHA256_RSA_PKCS.into(), session.the(CKO_PRIVATE_KEY, SIGNER)).unwrap();
        refused(session.sign(b"data"), CKR_USER_NOT_LOGGED_IN);
        assert_eq!(session.info().unwrap().state, CKS_RO_PUBLIC_SESSION);
    });
}

#[test]
fn certificates_that_are_not_valid_are_shown_and_do_not_sign() {
    with(&[], |p11, slot, emulator| {
        let session = logged_in(p11, slot);
        for label in ["expired-signer", "revoked-signer", "suspended-signer", SEALER] {
            let (private, public) = (session.the(CKO_PRIVATE_KEY, label), session.the(CKO_PUBLIC_KEY, label));
            session.the(CKO_CERTIFICATE, label);
            refused(session.sign_init(&CKM_SHA256_RSA_PKCS.into(), private), CKR_KEY_FUNCTION_NOT_PERMITTED);
            // Old signatures are still to be verified.
            assert_eq!(session.flag(public, CKA_VERIFY), Ok(label != SEALER), "{label}");
        }
        assert_eq!(asked(emulator, SIGN), 0);
        // Revoked since it was looked at.
        let key = session.the(CKO_PRIVATE_KEY, SIGNER);
        put(emulator, &format!("certificates/{SIGNER_SN}"), &json!("revoked"));
        session.sign_init(&CKM_SHA256_RSA_PKCS.into(), key).unwrap();
        refused(session.sign(b"data"), CKR_FUNCTION_REJECTED);
    });
}

#[test]
fn certificates_of_others_and_unknown_ones_are_not_there() {
    let tables = format!(
        "[[slot.key]]\nserial = \"{FOREIGN_SN}\"\ncertificate = \"keys/{FOREIGN_SN}.crt\"\n\
         [[slot.key]]\nserial = \"0123\"\nlabel = \"unknown\"\n"
    );
    for setting in ["foreign=unknown", "foreign=forbidden"] {
        with_more(&[setting], "", &tables, |p11, slot, emulator| {
            let session = logged_in(p11, slot);
            let labels = session.labels(&[number(CKA_CLASS, CKO_PRIVATE_KEY)]);
            assert_eq!(
                labels,
                ["expired-signer", "revoked-signer", "sealer", "signer-1", "signer-2", "suspended-signer"],
                "{setting}"
            );
            sha256_signs(&session, emulator);
        });
    }
}

#[test]
fn another_certificate_under_the_serial_number_is_noticed() {
    with(&["thumbprint=wrong"], |p11, slot, _| {
        let session = logged_in(p11, slot);
        assert!(session.find(&[number(CKA_CLASS, CKO_PRIVATE_KEY)]).is_err());
    });
}

/// Nothing of what it makes could be verified.
#[test]
fn a_key_without_its_certificate_is_shown_and_does_not_sign() {
    let configure = |emulator: &Emulator| {
        let path = emulator.path("own.toml");
        let text = emulator.text("p11rest.toml");
        let lines = text.lines().filter(|line| !line.starts_with("certificate"));
        fs::write(&path, lines.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        path
    };
    run(&[], configure, |p11, slot, emulator| {
        let session = logged_in(p11, slot);
        // The service tells the name.
        let key = session.the(CKO_PRIVATE_KEY, SIGNER);
        assert_eq!(session.attribute(key, CKA_ID), Ok(openssl::from_hex(SIGNER_SN)));
        refused(session.attribute(key, CKA_MODULUS), CKR_ATTRIBUTE_TYPE_INVALID);
        assert!(session.sign_init(&CKM_SHA256_RSA_PKCS.into(), key).is_err());
        assert_eq!(session.find(&[number(CKA_CLASS, CKO_CERTIFICATE)]), Ok(vec![]));
        assert_eq!(asked(emulator, SIGN), 0);
    });
}

#[test]
fn the_token_is_write_protected() {
    with(&[], |p11, slot, _| {
        assert_ne!(p11.token_info(slot).unwrap().flags & CKF_WRITE_PROTECTED, 0);
        refused(p11.open_rw(slot).map(drop), CKR_TOKEN_WRITE_PROTECTED);
    });
    with_more(&[], "fast.read_write_sessions = true", "", |p11, slot, emulator| {
        let session = p11.open_rw(slot).unwrap();
        session.login(PIN).unwrap();
        sha256_signs(&session, emulator);
    });
}

// Texts.

fn seal(session: &Session, text: &[u8]) -> Vec<u8> {
    session.encrypt_init(&JWE.into(), session.the(CKO_PUBLIC_KEY, SEALER)).unwrap();
    session.encrypt(text).unwrap()
}

fn open(session: &Session, sealed: &[u8]) -> support::p11::Called<Vec<u8>> {
    session.decrypt_init(&JWE.into(), session.the(CKO_PRIVATE_KEY, SEALER)).unwrap();
    session.decrypt(sealed)
}

fn seals_and_opens(session: &Session) {
    let text = "Hợp đồng \"số 1\"\n\u{1f511}";
    let sealed = seal(session, text.as_bytes());
    assert_eq!(sealed.split(|byte| *byte == b'.').count(), 5);
    assert_eq!(open(session, &sealed).unwrap(), text.as_bytes());
    // As the other edition packs it.
    assert_eq!(open(session, STANDARD.encode(&sealed).as_bytes()).unwrap(), text.as_bytes());
}

#[test]
fn texts_of_the_service_and_of_the_module_are_opened() {
    with(&[], |p11, slot, emulator| {
        let session = logged_in(p11, slot);
        seals_and_opens(&session);
        // What the service itself seals.
        let body = json!({ "username": "p11rest", "password": PIN });
        let answer = emulator.call(Method::POST, "/api/account/gettoken", &[], Some(&body));
        let token = answer.json::<Value>().unwrap()["data"]["accessToken"].as_str().unwrap().to_owned();
        let headers = [("Authorization", token.as_str())];
        let body = json!({ "certificateSN": "5406A8541E7B3D5F0C69", "data": "text" });
        let answer = emulator.call(Method::POST, "/api/sign/encryptjwe", &headers, Some(&body));
        let answer: Value = answer.json().unwrap();
        let sealed = answer["data"]["data"].as_str().unwrap();
        assert_eq!(open(&session, sealed.as_bytes()).unwrap(), b"text");

        // Long ones are, and bytes that are no text are not sealed.
        let long = "x".repeat(2_000);
        assert_eq!(open(&session, &seal(&session, long.as_bytes())).unwrap(), long.as_bytes());
        session.encrypt_init(&JWE.into(), session.the(CKO_PUBLIC_KEY, SEALER)).unwrap();
        refused(session.encrypt(b"\xff"), CKR_DATA_INVALID);

        // Damaged, or sealed for another key.
        let whole = String::from_utf8(seal(&session, b"text")).unwrap();
        let mut parts: Vec<_> = whole.split('.').collect();
        let other_tag = URL_SAFE_NO_PAD.encode([0; 16]);
        parts[4] = &other_tag;
        refused(open(&session, parts.join(".").as_bytes()), CKR_ENCRYPTED_DATA_INVALID);
        refused(open(&session, b"no JWE"), CKR_ENCRYPTED_DATA_INVALID);
        refused(open(&session, b""), CKR_ENCRYPTED_DATA_INVALID);
        session.encrypt_init(&JWE.into(), session.the(CKO_PUBLIC_KEY, SIGNER)).unwrap();
        let foreign = session.encrypt(b"text").unwrap();
        refused(open(&session, &foreign), CKR_ENCRYPTED_DATA_INVALID);
        // Expired since it was looked at: the standard has no better code for it here.
        put(emulator, "certificates/5406A8541E7B3D5F0C69", &json!("expired"));
        refused(open(&session, whole.as_bytes()), CKR_DEVICE_ERROR);
    });
}

// Batches.

/// The signatures of so many threads that sign at once, each with this mechanism and its own data.
fn together(
    p11: &'static P11,
    slot: CK_SLOT_ID,
    key: CK_OBJECT_HANDLE,
    kinds: &[CK_MECHANISM_TYPE],
) -> Vec<support::p11::Called<Vec<u8>>> {
    let barrier = Barrier::new(kinds.len());
    thread::scope(|scope| {
        let threads: Vec<_> = kinds
            .iter()
            .enumerate()
            .map(|(number, kind)| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let session = p11.open(slot).unwrap();
                    session.sign_init(&(*kind).into(), key).unwrap();
                    barrier.wait();
                    session.sign(format!("data {number}").as_bytes())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn threads_share_requests_and_a_bad_neighbour_harms_nobody() {
    // The service takes SHA-256 alone, and the configuration does not know it.
    let lines = "fast.batch_window = \"500ms\"\nfast.digests = [\"sha256\", \"sha512\"]";
    with_more(&[], lines, "", |p11, slot, emulator| {
        let session = logged_in(p11, slot);
        let key = session.the(CKO_PRIVATE_KEY, SIGNER);
        let spki = spki(emulator, SIGNER_SN);
        let verify = |number: usize, signature: &[u8]| {
            let data = format!("data {number}");
            openssl::verifies_digest("sha256", &[], &spki, data.as_bytes(), signature).unwrap();
        };
        let mut kinds = [CKM_SHA256_RSA_PKCS; 8];
        for (number, signature) in together(p11, slot, key, &kinds).into_iter().enumerate() {
            verify(number, &signature.unwrap());
        }
        assert_eq!(asked(emulator, SIGN), 1);
        kinds[5] = CKM_SHA512_RSA_PKCS;
        for (number, signature) in together(p11, slot, key, &kinds).into_iter().enumerate() {
            match number {
                5 => refused(signature, CKR_DATA_INVALID),
                _ => verify(number, &signature.unwrap()),
            }
        }
        assert_eq!(asked(emulator, SIGN), 1 + 1 + 8);
    });
}

#[test]
fn each_thread_verifies_its_own_signature_of_a_batch() {
    with_more(&[], "fast.batch_window = \"500ms\"", "", |p11, slot, emulator| {
        let session = logged_in(p11, slot);
        let key = session.the(CKO_PRIVATE_KEY, SIGNER);
        session.sign_init(&CKM_SHA256_RSA_PKCS.into(), key).unwrap();
        let zero = STANDARD.encode(session.sign(b"data 0").unwrap());
        // All get the signature that is right for one of them.
        let body = json!({
            "success": true, "message": "Successfully", "code": 200, "signatureArray": [zero, zero, zero],
        });
        emulator.fault(&json!({ "path": "/api/sign/signhash", "status": 200, "body": body, "count": 1 }));
        let outcomes = together(p11, slot, key, &[CKM_SHA256_RSA_PKCS; 3]);
        assert!(outcomes[0].is_ok());
        for outcome in &outcomes[1..] {
            refused(outcome.clone(), CKR_DEVICE_ERROR);
        }
    });
}
