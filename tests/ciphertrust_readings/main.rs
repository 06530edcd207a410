//! CipherTrust Manager in each reading of its page (Luna reference section 11.1), and what its account goes through:
//! the module with the configuration that `p11rest emulate` writes for it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cryptoki_sys::*;
use reqwest::Method;
use serde_json::{Value, json};
use support::emulator::{Emulator, PIN};
use support::mechanism::{HASHES, Hash, Mechanism};
use support::openssl::{self, Files, digest, ecdsa_der, verifies_digest};
use support::p11::{Called, P11, refused};
use support::session::{Room, Session, bytes, number};

mod new_keys;
#[path = "../support/mod.rs"]
mod support;

const MESSAGE: &[u8] = b"Attack at dawn.";
const SHA1: Hash = HASHES[0];
const SHA256: Hash = HASHES[2];
const SHA384: Hash = HASHES[3];

/// How long signing threads go on at the most.
const PATIENCE: Duration = Duration::from_secs(120);

/// The keys of the emulator.
const KEYS: [&str; 9] = [
    "aes-256",
    "ec-cert",
    "ec-p256",
    "hmac-sha1",
    "hmac-sha256",
    "hmac-sha384",
    "hmac-sha512",
    "rsa-2048",
    "rsa-cert",
];

#[test]
fn as_it_is() {
    with(&[], "", |user, emulator| works(user, emulator, SHA1));
}

#[test]
fn names_in_camel_case_and_bare_answers() {
    let reading = [
        "names=camel",
        "object_type=no",
        "signature=upper",
        "ecdsa=raw",
        "mac=hex",
        "hash_names=dashed",
        "gcm=bare",
        "paging=bare",
        "page_limit=3",
        "missing=400",
        "tag_failure=422",
        "versions=2",
        "refresh_token=no",
    ];
    with(&reading, "", |user, emulator| works(user, emulator, SHA1));
}

#[test]
fn small_letters_and_base64() {
    let reading = [
        "names=lower",
        "algorithm=lower",
        "public_key=material",
        "pem=pkcs1",
        "signature=base64",
        "hash_names=plain",
        "gcm=appended",
        "paging=ignored",
        "duration=no",
        "oaep=sha256",
        "key_reference=lenient",
    ];
    with(&reading, "", |user, emulator| works(user, emulator, SHA256));
}

#[test]
fn other_places_and_other_names() {
    let reading = [
        "prefix=/v1",
        "domain=root",
        "user=somebody else",
        "public_key=export",
        "rsa=pss",
        "pss=PSS",
        "rotation=yes",
    ];
    with(&reading, "", |user, emulator| {
        works(user, emulator, SHA1);
        expire(emulator);
        works(user, emulator, SHA1);
    });
}

/// The mechanisms whose input is a digest are there, and messages have no limit.
#[test]
fn a_server_that_takes_digests() {
    with(&["prehashed=yes"], "max_message = 100\n", |user, emulator| {
        works(user, emulator, SHA1);
        let offered = user.p11.mechanisms(user.slot).unwrap();
        for kind in [CKM_RSA_PKCS, CKM_ECDSA, CKM_RSA_PKCS_PSS] {
            assert!(offered.contains(&kind), "{kind:#x}");
        }
        let hashed = digest("sha256", MESSAGE);
        let signature = user.signs(&CKM_ECDSA.into(), "ec-p256", &hashed).unwrap();
        judge(emulator, "ec-p256", SHA256, &[], MESSAGE, &ecdsa_der(&signature));
        // More than the order of the curve: SHA-384 for P-256.
        let long = digest("sha384", MESSAGE);
        let signature = user.signs(&CKM_ECDSA.into(), "ec-p256", &long).unwrap();
        judge(emulator, "ec-p256", SHA384, &[], MESSAGE, &ecdsa_der(&signature));
        let signature = user.signs(&SHA256.pss(CKM_RSA_PKCS_PSS), "rsa-2048", &hashed).unwrap();
        judge(emulator, "rsa-2048", SHA256, &PSS, MESSAGE, &signature);
        // RFC 8017 section 9.2, note 1.
        let head = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
        let signature = user.signs(&CKM_RSA_PKCS.into(), "rsa-cert", &[head, &hashed[..]].concat()).unwrap();
        judge(emulator, "rsa-cert", SHA256, &[], MESSAGE, &signature);
        let long = vec![7; 3 << 20];
        let signature = user.signs(&CKM_SHA256_RSA_PKCS.into(), "rsa-2048", &long).unwrap();
        judge(emulator, "rsa-2048", SHA256, &[], &long, &signature);
        // A MAC is made of the message all the same.
        refused(user.signs(&CKM_SHA256_HMAC.into(), "hmac-sha256", &[7; 101]), CKR_DATA_LEN_RANGE);
    });
}

#[test]
fn a_server_that_takes_none() {
    with(&[], "", |user, _| {
        for mechanism in [CKM_RSA_PKCS.into(), CKM_ECDSA.into(), SHA256.pss(CKM_RSA_PKCS_PSS)] {
            let kind = mechanism.kind();
            assert!(!user.p11.mechanisms(user.slot).unwrap().contains(&kind), "{kind:#x}");
            let label = if kind == CKM_ECDSA { "ec-p256" } else { "rsa-2048" };
            refused(user.signs(&mechanism, label, &[0x5a; 32]), CKR_MECHANISM_INVALID);
        }
    });
}

/// Every signature is verified before the application has it: one that is not what was asked for is none.
#[test]
fn signatures_of_another_kind_are_not_given_away() {
    let pss = SHA256.pss(CKM_SHA256_RSA_PKCS_PSS);
    for salt in ["pss_salt=none", "pss_salt=max"] {
        with(&[salt], "", |user, _| {
            refused(user.signs(&pss, "rsa-2048", MESSAGE), CKR_DEVICE_ERROR);
            user.signs(&CKM_SHA256_RSA_PKCS.into(), "rsa-2048", MESSAGE).unwrap();
        });
    }
    // The configuration without the line that says what PKCS#1 v1.5 is called.
    let forget = |text: String| text.replace("pkcs1 = \"RSA\"\n", "");
    run(&["rsa=pss"], forget, |user, _| {
        user.session.login(PIN).unwrap();
        refused(user.signs(&CKM_SHA256_RSA_PKCS.into(), "rsa-2048", MESSAGE), CKR_DEVICE_ERROR);
        user.signs(&pss, "rsa-2048", MESSAGE).unwrap();
    });
}

#[test]
fn keys_come_in_pages() {
    with(&["extra_keys=230", "page_limit=100"], "", |user, emulator| {
        let secrets = user.session.labels(&[number(CKA_CLASS, CKO_SECRET_KEY)]);
        assert_eq!(secrets.iter().filter(|label| label.starts_with("extra-")).count(), 230);
        assert_eq!(secrets.len(), 230 + 5);
        // 230 secret keys, 9 others, 4 of them pairs: 243 rows.
        assert_eq!(emulator.stats().requests["GET /vault/keys2"], 3);
    });
}

#[test]
fn owners_and_labels_choose_keys() {
    let own = "owner = \"local|p11rest\"\nlabels = [\"env=prod\", \"team=pay\"]\n";
    with(&[], own, |user, emulator| {
        for (name, assign, labels) in [
            ("mine", true, json!({ "env": "prod", "team": "pay", "more": "x" })),
            ("whose", false, json!({ "env": "prod", "team": "pay" })),
            ("test", true, json!({ "env": "test", "team": "pay" })),
        ] {
            let key = json!({ "name": name, "algorithm": "rsa", "size": 2048, "assignSelfAsOwner": assign,
                              "labels": labels });
            assert_eq!(api(emulator, Method::POST, "vault/keys2", Some(&key))["name"], name);
        }
        // By name, when nothing has been listed yet, and in a listing.
        for (label, objects) in [("mine", 2), ("whose", 0), ("test", 0), ("rsa-2048", 0)] {
            assert_eq!(user.session.find(&[bytes(CKA_LABEL, label)]).unwrap().len(), objects, "{label}");
        }
        assert_eq!(user.session.labels(&[]), ["mine", "mine"]);
        let signature = user.signs(&CKM_SHA256_RSA_PKCS.into(), "mine", MESSAGE).unwrap();
        judge(emulator, "mine", SHA256, &[], MESSAGE, &signature);
    });
}

#[test]
fn the_longest_message() {
    with(&[], "max_message = 1000\n", |user, emulator| {
        let (longest, more) = (vec![7; 1000], vec![7; 1001]);
        for (mechanism, label) in [
            (CKM_SHA256_RSA_PKCS.into(), "rsa-2048"),
            (SHA256.pss(CKM_SHA256_RSA_PKCS_PSS), "rsa-2048"),
            (CKM_ECDSA_SHA256.into(), "ec-p256"),
            (CKM_SHA256_HMAC.into(), "hmac-sha256"),
        ] {
            user.signs(&mechanism, label, &longest).unwrap();
            let before = emulator.stats().total;
            refused(user.signs(&mechanism, label, &more), CKR_DATA_LEN_RANGE);
            refused(user.session.sign(MESSAGE), CKR_OPERATION_NOT_INITIALIZED);
            user.session.sign_init(&mechanism, user.key(label)).unwrap();
            user.session.sign_update(&longest).unwrap();
            refused(user.session.sign_update(&[7]), CKR_DATA_LEN_RANGE);
            refused(user.session.sign_final(), CKR_OPERATION_NOT_INITIALIZED);
            assert_eq!(emulator.stats().total, before, "nothing is sent");
        }
        let gcm = Mechanism::Gcm { iv: vec![1; 12], aad: vec![], tag_bits: 128 };
        let key = user.key("aes-256");
        user.session.encrypt_init(&gcm, key).unwrap();
        let sealed = user.session.encrypt(&longest).unwrap();
        user.session.decrypt_init(&gcm, key).unwrap();
        assert_eq!(user.session.decrypt(&sealed).unwrap(), longest);
        user.session.encrypt_init(&gcm, key).unwrap();
        refused(user.session.encrypt(&more), CKR_DATA_LEN_RANGE);
        user.session.decrypt_init(&gcm, key).unwrap();
        refused(user.session.decrypt(&[0; 1017]), CKR_ENCRYPTED_DATA_LEN_RANGE);
    });
    with(&[], "", |user, emulator| {
        let longest = vec![7; 1 << 20];
        let signature = user.signs(&CKM_SHA256_RSA_PKCS.into(), "rsa-2048", &longest).unwrap();
        judge(emulator, "rsa-2048", SHA256, &[], &longest, &signature);
        let more = vec![7; (1 << 20) + 1];
        refused(user.signs(&CKM_SHA256_RSA_PKCS.into(), "rsa-2048", &more), CKR_DATA_LEN_RANGE);
    });
}

/// 8 threads make 10,000 signatures while the tokens end 20 times, besides the ends of their own life of a few seconds.
#[test]
fn no_signature_is_lost_when_tokens_expire() {
    for (rotation, each) in [("rotation=no", 500), ("rotation=yes", 50)] {
        with(&["token_life=4", rotation], "", |user, emulator| {
            let before = grants(emulator);
            let signed = busy(user, |signed| {
                let more = || until(signed, signed.load(Ordering::Relaxed) + each);
                for _ in 0..20 {
                    // Each end is met before the next one.
                    more();
                    expire(emulator);
                }
                more();
            });
            let after = grants(emulator);
            assert!(signed >= 20 * each, "{signed}");
            assert_eq!(after.0, before.0, "the password is not shown again");
            assert!(after.1 - before.1 >= 20, "{before:?} {after:?}");
        });
    }
}

#[test]
fn a_refused_refresh_is_one_login() {
    with(&[], "", |user, emulator| {
        user.signs(&CKM_ECDSA_SHA256.into(), "ec-p256", MESSAGE).unwrap();
        let before = grants(emulator);
        busy(user, |signed| {
            until(signed, 20);
            revoke(emulator);
            expire(emulator);
            until(signed, signed.load(Ordering::Relaxed) + 50);
        });
        assert_eq!(grants(emulator), (before.0 + 1, before.1));
    });
}

#[test]
fn a_password_that_is_not_kept() {
    with(&[], "keep_password = false\n", |user, emulator| {
        user.signs(&CKM_ECDSA_SHA256.into(), "ec-p256", MESSAGE).unwrap();
        expire(emulator);
        user.signs(&CKM_ECDSA_SHA256.into(), "ec-p256", MESSAGE).unwrap();
        assert_eq!(grants(emulator), (1, 1));
        let key = user.key("ec-p256");
        revoke(emulator);
        expire(emulator);
        user.session.sign_init(&CKM_ECDSA_SHA256.into(), key).unwrap();
        refused(user.session.sign(MESSAGE), CKR_USER_NOT_LOGGED_IN);
        assert_eq!(grants(emulator), (1, 1));
        // The application hears of it and logs in again.
        if user.session.info().unwrap().state == CKS_RO_USER_FUNCTIONS {
            user.session.logout().unwrap();
        }
        user.session.login(PIN).unwrap();
        user.signs(&CKM_ECDSA_SHA256.into(), "ec-p256", MESSAGE).unwrap();
    });
}

#[test]
fn wrong_pins_lock_the_account() {
    for status in ["401", "403", "423", "429"] {
        let locked_status = format!("locked_status={status}");
        run(
            &["lock_after=3", &locked_status],
            |text| text,
            |user, emulator| {
                let asked = || emulator.stats().requests.get("POST /auth/tokens").copied().unwrap_or(0);
                for attempt in 1..=3 {
                    refused(user.session.login("wrong"), CKR_PIN_INCORRECT);
                    assert_eq!(asked(), attempt, "each is shown once");
                }
                refused(user.session.login("wrong"), CKR_PIN_LOCKED);
                refused(user.session.login(PIN), CKR_PIN_LOCKED);
                assert_eq!(asked(), 5);
                assert_eq!(user.session.info().unwrap().state, CKS_RO_PUBLIC_SESSION);
                account(emulator, &json!({}));
                user.session.login(PIN).unwrap();
                works(user, emulator, SHA1);
            },
        );
    }
}

#[test]
fn an_account_that_is_locked_while_it_is_used() {
    with(&[], "", |user, emulator| {
        account(emulator, &json!({ "locked": true }));
        // Its tokens stay good.
        user.signs(&CKM_ECDSA_SHA256.into(), "ec-p256", MESSAGE).unwrap();
        let key = user.key("ec-p256");
        revoke(emulator);
        expire(emulator);
        let asked = || emulator.stats().requests["POST /auth/tokens"];
        let before = asked();
        for _ in 0..3 {
            if user.session.sign_init(&CKM_ECDSA_SHA256.into(), key).is_ok() {
                refused(user.session.sign(MESSAGE), CKR_USER_NOT_LOGGED_IN);
            }
        }
        // A refresh and a login, and not again.
        assert_eq!(asked() - before, 2);
    });
}

/// The standard has no code for it that `C_Login` may return; the log says what it is.
#[test]
fn a_password_that_is_too_old() {
    run(
        &[],
        |text| text,
        |user, emulator| {
            account(emulator, &json!({ "expired": true }));
            refused(user.session.login(PIN), CKR_PIN_INCORRECT);
            account(emulator, &json!({}));
            user.session.login(PIN).unwrap();
        },
    );
}

const PSS: [&str; 3] = ["rsa_padding_mode:pss", "rsa_pss_saltlen:32", "rsa_mgf1_md:sha256"];

/// Everything that a slot does, with OpenSSL and AWS-LC as the judges.
fn works(user: &User, emulator: &Emulator, oaep: Hash) {
    let session = &user.session;
    let mut all = session.labels(&[]);
    all.dedup();
    assert_eq!(all, KEYS);
    for (mechanism, label, hash, options) in [
        (CKM_SHA256_RSA_PKCS.into(), "rsa-2048", SHA256, &[][..]),
        (CKM_SHA1_RSA_PKCS.into(), "rsa-2048", SHA1, &[]),
        (SHA256.pss(CKM_SHA256_RSA_PKCS_PSS), "rsa-cert", SHA256, &PSS),
    ] {
        let signature = user.signs(&mechanism, label, MESSAGE).unwrap();
        judge(emulator, label, hash, options, MESSAGE, &signature);
    }
    for (kind, label, hash) in [(CKM_ECDSA_SHA256, "ec-p256", SHA256), (CKM_ECDSA_SHA384, "ec-cert", SHA384)]
    {
        let signature = user.signs(&kind.into(), label, MESSAGE).unwrap();
        judge(emulator, label, hash, &[], MESSAGE, &ecdsa_der(&signature));
    }
    macs(user, emulator);
    gcm(user, emulator);
    let files = Files::new();
    let key = files.put("key", &openssl::public_key(&emulator.path("keys/rsa-2048.pem")));
    let (md, mgf) = (format!("rsa_oaep_md:{}", oaep.name), format!("rsa_mgf1_md:{}", oaep.name));
    let options = ["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", &md, "-pkeyopt", &mgf];
    let data = files.put("data", MESSAGE);
    let key = ["pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", &key, "-in", &data];
    let mut sealed = openssl::openssl(&[&key[..], &options].concat(), b"");
    session.decrypt_init(&oaep.oaep(), user.private("rsa-2048")).unwrap();
    assert_eq!(session.decrypt(&sealed).unwrap(), MESSAGE);
    sealed[200] ^= 1;
    session.decrypt_init(&oaep.oaep(), user.private("rsa-2048")).unwrap();
    refused(session.decrypt(&sealed), CKR_ENCRYPTED_DATA_INVALID);
}

fn macs(user: &User, emulator: &Emulator) {
    let (session, key) = (&user.session, user.key("hmac-sha256"));
    let hex = format!("hexkey:{}", openssl::to_hex(&secret(emulator, "hmac-sha256")));
    let arguments = ["dgst", "-sha256", "-mac", "HMAC", "-macopt", &hex, "-binary"];
    let mac = openssl::openssl(&arguments, MESSAGE);
    assert_eq!(user.signs(&CKM_SHA256_HMAC.into(), "hmac-sha256", MESSAGE), Ok(mac.clone()));
    let verify = |mac: &[u8]| {
        session.verify_init(&CKM_SHA256_HMAC.into(), key).unwrap();
        session.verify(MESSAGE, mac)
    };
    verify(&mac).unwrap();
    refused(verify(&[&mac[..31], &[!mac[31]]].concat()), CKR_SIGNATURE_INVALID);
    verify(&mac).unwrap();
}

fn gcm(user: &User, emulator: &Emulator) {
    let (session, key) = (&user.session, user.key("aes-256"));
    let secret = UnboundKey::new(&AES_256_GCM, &secret(emulator, "aes-256")).unwrap();
    let secret = LessSafeKey::new(secret);
    let open = |iv: [u8; 12], sealed: &[u8]| {
        let mut buffer = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(iv);
        secret.open_in_place(nonce, Aad::from(b"aad"), &mut buffer).map(|opened| opened.to_vec())
    };
    let mechanism = |iv: [u8; 12]| Mechanism::Gcm { iv: iv.to_vec(), aad: b"aad".to_vec(), tag_bits: 128 };
    session.encrypt_init(&mechanism([9; 12]), key).unwrap();
    let sealed = session.encrypt(MESSAGE).unwrap();
    assert_eq!(open([9; 12], &sealed).as_deref(), Ok(MESSAGE));

    let (mut iv, mut tag) = ([0; 12], [0; 16]);
    session.message_encrypt_init(&CKM_AES_GCM.into(), key).unwrap();
    let made = session.encrypt_message(CKG_GENERATE, &mut iv, &mut tag, b"aad", MESSAGE, Room::Bytes(15));
    session.message_encrypt_final().unwrap();
    let mut sealed = [&made.bytes[..], &tag].concat();
    assert_eq!(open(iv, &sealed).as_deref(), Ok(MESSAGE));
    session.decrypt_init(&mechanism(iv), key).unwrap();
    assert_eq!(session.decrypt(&sealed).unwrap(), MESSAGE);
    sealed[0] ^= 1;
    session.decrypt_init(&mechanism(iv), key).unwrap();
    refused(session.decrypt(&sealed), CKR_ENCRYPTED_DATA_INVALID);
}

#[track_caller]
fn judge(emulator: &Emulator, label: &str, hash: Hash, options: &[&str], data: &[u8], signature: &[u8]) {
    let spki = openssl::public_key(&emulator.path("keys").join(label).with_extension("pem"));
    verifies_digest(hash.name, options, &spki, data, signature).unwrap();
}

/// The bytes of a secret key of the emulator.
fn secret(emulator: &Emulator, label: &str) -> Vec<u8> {
    let pem = emulator.text(&format!("keys/{label}.pem"));
    let lines: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(lines).expect("PEM is Base64")
}

/// The only slot, with a session.
struct User {
    p11: &'static P11,
    slot: CK_SLOT_ID,
    session: Session,
}

impl User {
    fn private(&self, label: &str) -> CK_OBJECT_HANDLE {
        self.session.the(CKO_PRIVATE_KEY, label)
    }

    fn key(&self, label: &str) -> CK_OBJECT_HANDLE {
        match label.starts_with("aes") || label.starts_with("hmac") {
            true => self.session.the(CKO_SECRET_KEY, label),
            false => self.private(label),
        }
    }

    fn signs(&self, mechanism: &Mechanism, label: &str, data: &[u8]) -> Called<Vec<u8>> {
        self.session.sign_init(mechanism, self.key(label))?;
        self.session.sign(data)
    }
}

/// 8 threads sign and verify until `meanwhile` is over; how many signatures there were. None may fail.
fn busy(user: &User, meanwhile: impl FnOnce(&AtomicU64)) -> u64 {
    let (over, signed) = (AtomicBool::new(false), AtomicU64::new(0));
    let key = user.key("ec-p256");
    let public = user.session.the(CKO_PUBLIC_KEY, "ec-p256");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let session = user.p11.open(user.slot).unwrap();
                // Not for ever, should another one fail.
                let begin = Instant::now();
                while !over.load(Ordering::Relaxed) && begin.elapsed() < PATIENCE {
                    session.sign_init(&CKM_ECDSA_SHA256.into(), key).unwrap();
                    let signature = session.sign(MESSAGE).unwrap();
                    session.verify_init(&CKM_ECDSA_SHA256.into(), public).unwrap();
                    session.verify(MESSAGE, &signature).unwrap();
                    signed.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        meanwhile(&signed);
        over.store(true, Ordering::Relaxed);
    });
    signed.into_inner()
}

/// Waits until so many are signed, but not for ever.
fn until(signed: &AtomicU64, goal: u64) {
    let begin = Instant::now();
    while signed.load(Ordering::Relaxed) < goal && begin.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(2));
    }
}

fn administer(emulator: &Emulator, method: Method, path: &str, body: Option<&Value>) {
    let answer = emulator.call(method, &format!("/_emulator/{path}"), &[], body);
    assert_eq!(answer.status(), 204, "{path}");
}

fn expire(emulator: &Emulator) {
    administer(emulator, Method::POST, "tokens/expire", None);
}

fn revoke(emulator: &Emulator) {
    administer(emulator, Method::POST, "refresh-tokens/revoke", None);
}

fn account(emulator: &Emulator, state: &Value) {
    administer(emulator, Method::PUT, "account", Some(state));
}

/// Logins and refreshes so far.
fn grants(emulator: &Emulator) -> (u64, u64) {
    let counts: Value = emulator.call(Method::GET, "/_emulator/tokens", &[], None).json().unwrap();
    (counts["logins"].as_u64().unwrap(), counts["refreshes"].as_u64().unwrap())
}

/// A request past the module.
fn api(emulator: &Emulator, method: Method, path: &str, body: Option<&Value>) -> Value {
    let login = json!({ "name": "p11rest", "password": PIN });
    let token: Value = emulator.call(Method::POST, "/api/v1/auth/tokens", &[], Some(&login)).json().unwrap();
    let bearer = format!("Bearer {}", token["jwt"].as_str().unwrap());
    let path = format!("/api/v1/{path}");
    emulator.call(method, &path, &[("Authorization", &bearer)], body).json().unwrap()
}

/// Runs `check` logged in to an emulator with these settings; `own` are further lines of `[slot.ciphertrust]`.
fn with(settings: &[&str], own: &str, check: impl FnOnce(&User, &Emulator)) {
    const TABLE: &str = "[slot.ciphertrust]\n";
    let configure = |text: String| match text.contains(TABLE) {
        true => text.replace(TABLE, &format!("{TABLE}{own}")),
        false => format!("{text}\n{TABLE}{own}"),
    };
    run(settings, configure, |user, emulator| {
        user.session.login(PIN).unwrap();
        check(user, emulator);
    });
}

/// The same, not logged in, with what `configure` makes of the configuration. One module, one at a time.
fn run(settings: &[&str], configure: impl FnOnce(String) -> String, check: impl FnOnce(&User, &Emulator)) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let options: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let emulator = Emulator::start_with("ciphertrust", false, &options);
    let path = emulator.path("own.toml");
    fs::write(&path, configure(emulator.text("p11rest.toml") + "\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let p11 = P11::load();
    // After a test that failed.
    let _ = p11.finalize();
    p11.initialize(&path).unwrap();
    let slot = p11.slots(true).unwrap()[0];
    check(&User { p11, slot, session: p11.open(slot).unwrap() }, &emulator);
    p11.finalize().unwrap();
}
