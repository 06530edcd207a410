//! What a service may ask for: a JWT, API keys, both or neither (Securosys TSB reference §1), each with the configuration
//! that `p11rest emulate` writes for it.

use std::cell::OnceCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use cryptoki_sys::*;
use support::emulator::{Emulator, PIN};
use support::gateway::Gateway;
use support::openssl;
use support::p11::{P11, refused};
use support::session::{Session, number};

mod support;

const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwMTFyZXN0In0.c2lnbmF0dXJl";
const EC: &str = "ec-p256";

#[test]
fn jwt_and_api_keys() {
    with(&["--bearer", TOKEN], |p11, slot, emulator| {
        let file = emulator.path("bearer.jwt");
        assert_eq!(emulator.text("bearer.jwt"), TOKEN);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(login_required(p11, slot));
        let session = p11.open(slot).unwrap();
        refused(session.login("4321"), CKR_PIN_INCORRECT);
        refused(session.login(TOKEN), CKR_PIN_INCORRECT);
        session.login(PIN).unwrap();
        signs(&session);
    });
}

/// The HSM without the right JWT: what the application brought is not what is wrong.
#[test]
fn a_jwt_of_the_configuration_that_is_refused() {
    with(&["--bearer", TOKEN], |p11, slot, emulator| {
        fs::write(emulator.path("bearer.jwt"), "another").unwrap();
        let session = p11.open(slot).unwrap();
        assert!(session.login(PIN).is_err());
        assert_eq!(session.info().unwrap().state, CKS_RO_PUBLIC_SESSION);
        fs::write(emulator.path("bearer.jwt"), TOKEN).unwrap();
        session.login(PIN).unwrap();
        signs(&session);
    });
}

#[test]
fn a_jwt_alone_is_the_pin() {
    with(&["--bearer", TOKEN, "--no-api-keys"], |p11, slot, _| {
        assert!(login_required(p11, slot));
        let session = p11.open(slot).unwrap();
        assert_eq!(session.find(&[]), Ok(vec![]));
        for wrong in [PIN, "", &TOKEN[1..], &TOKEN.to_lowercase()] {
            refused(session.login(wrong), CKR_PIN_INCORRECT);
            assert_eq!(session.info().unwrap().state, CKS_RO_PUBLIC_SESSION);
            assert_eq!(session.find(&[]), Ok(vec![]));
        }
        session.login(TOKEN).unwrap();
        assert_eq!(session.info().unwrap().state, CKS_RO_USER_FUNCTIONS);
        signs(&session);
        session.logout().unwrap();
        refused(session.random(16), CKR_USER_NOT_LOGGED_IN);
        assert_eq!(session.find(&[number(CKA_CLASS, CKO_PRIVATE_KEY)]), Ok(vec![]));
    });
}

#[test]
fn neither() {
    with(&["--no-api-keys"], |p11, slot, emulator| {
        assert!(!emulator.path("bearer.jwt").exists());
        assert!(!login_required(p11, slot));
        let session = p11.open(slot).unwrap();
        signs(&session);
        session.random(16).unwrap();
    });
}

#[test]
fn a_jwt_that_is_replaced_while_the_module_runs() {
    with(&["--bearer", TOKEN], |p11, slot, emulator| {
        let session = p11.open(slot).unwrap();
        session.login(PIN).unwrap();
        signs(&session);
        emulator.set_bearer("new.j.w.t");
        fs::write(emulator.path("bearer.jwt"), "new.j.w.t").unwrap();
        signs(&session);
    });
}

/// 8 threads sign while the service's list goes from the old key to both, to the new one, and back.
#[test]
fn api_keys_are_replaced_under_load() {
    const THREADS: u64 = 8;
    let auth = r#"
        [slot.auth.api_key]
        key_management = "file:key-management.key"
        key_operation = ["a-key", "b-key"]
        service = "file:service.key"
    "#;
    with_auth(&[], auth, |p11, slot, emulator| {
        emulator.set_api_keys("key_operation", &["a-key"]);
        let key = p11.open(slot).unwrap().the(CKO_PRIVATE_KEY, EC);
        let (stop, signed) = (AtomicBool::new(false), AtomicU64::new(0));
        let before = emulator.stats();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let session = p11.open(slot).unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        session.sign_init(&CKM_ECDSA_SHA256.into(), key).unwrap();
                        session.sign(b"data").unwrap();
                        signed.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            for list in [&["a-key", "b-key"][..], &["b-key"], &["b-key", "a-key"], &["a-key"]] {
                more_are_signed(&signed, 20 * THREADS);
                emulator.set_api_keys("key_operation", list);
            }
            more_are_signed(&signed, 20 * THREADS);
            stop.store(true, Ordering::Relaxed);
        });
        // Each thread may meet each change, and some are still under way with the old key: not every signature asks twice.
        let asked = emulator.stats().total - before.total;
        let signed = signed.load(Ordering::Relaxed);
        assert!(asked > signed, "the changes were noticed");
        assert!(asked < signed + 2 * 4 * THREADS, "{asked} requests for {signed} signatures");
    });
}

/// Waits, but not for ever if the signers have failed.
fn more_are_signed(signed: &AtomicU64, more: u64) {
    let (goal, begin) = (signed.load(Ordering::Relaxed) + more, Instant::now());
    while signed.load(Ordering::Relaxed) < goal && begin.elapsed() < Duration::from_secs(30) {
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn api_keys_that_no_list_has_any_more() {
    let auth =
        r#"api_key = { key_management = "file:key-management.key", key_operation = ["a-key", "b-key"] }"#;
    with_auth(&[], auth, |p11, slot, emulator| {
        emulator.set_api_keys("key_operation", &["b-key"]);
        let session = p11.open(slot).unwrap();
        signs(&session);
        emulator.set_api_keys("key_operation", &["c-key"]);
        let key = session.the(CKO_PRIVATE_KEY, EC);
        session.sign_init(&CKM_ECDSA_SHA256.into(), key).unwrap();
        refused(session.sign(b"data"), CKR_USER_NOT_LOGGED_IN);
        emulator.set_api_keys("key_operation", &["a-key"]);
        signs(&session);
    });
}

/// Of the threads that sign one renews the token, and no signature is lost.
#[test]
fn ten_thousand_signatures_across_twenty_expiries() {
    const THREADS: usize = 20;
    const EACH: usize = 500;
    with_gateway((THREADS * EACH / 20) as u64, "", |p11, slot, gateway| {
        assert!(login_required(p11, slot));
        let session = p11.open(slot).unwrap();
        refused(session.login("4321"), CKR_PIN_INCORRECT);
        session.login(PIN).unwrap();
        let key = session.the(CKO_PRIVATE_KEY, EC);
        let (refused_before, passed_before) = {
            let seen = gateway.seen();
            (seen.refused, seen.passed)
        };
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let session = p11.open(slot).unwrap();
                    for _ in 0..EACH {
                        session.sign_init(&CKM_ECDSA_SHA256.into(), key).unwrap();
                        session.sign(b"data").unwrap();
                    }
                });
            }
        });
        {
            let seen = gateway.seen();
            assert!(seen.passed >= passed_before + (THREADS * EACH) as u64);
            assert_eq!((seen.logins, seen.replays, seen.mixed), (1, 0, 0));
            assert!((20..=21).contains(&seen.renewals), "{} renewals", seen.renewals);
            // Whoever was under way with the old token comes again, once.
            assert!(seen.refused - refused_before <= THREADS as u64 * seen.renewals);
        }
        session.logout().unwrap();
        assert_eq!(gateway.seen().given_back, 1);
        refused(session.sign_init(&CKM_ECDSA_SHA256.into(), key), CKR_USER_NOT_LOGGED_IN);
    });
}

/// Without a kept password a token that cannot be renewed is the end of the login, and another one begins it anew.
#[test]
fn a_gateway_that_ends_all_tokens() {
    for (more, kept) in [("", true), (", keep_password = false", false)] {
        with_gateway(u64::MAX, more, |p11, slot, gateway| {
            let session = p11.open(slot).unwrap();
            session.login(PIN).unwrap();
            signs(&session);
            gateway.end_all();
            let key = session.the(CKO_PRIVATE_KEY, EC);
            let begun = session.sign_init(&CKM_ECDSA_SHA256.into(), key);
            let outcome = begun.and_then(|()| session.sign(b"data").map(drop));
            if kept {
                outcome.unwrap();
                assert_eq!(gateway.seen().logins, 2);
                return;
            }
            refused(outcome, CKR_USER_NOT_LOGGED_IN);
            assert_eq!(session.info().unwrap().state, CKS_RO_PUBLIC_SESSION);
            session.login(PIN).unwrap();
            signs(&session);
            assert_eq!(gateway.seen().logins, 2);
        });
    }
}

const ROLES: [&str; 5] =
    ["key_management", "key_operation", "approver", "service", "approver_key_management"];

#[test]
fn one_pin_for_every_role_is_proven_in_each() {
    let auth: String = ROLES.map(|role| format!("api_key.{role} = \"pin\"\n")).concat();
    with_auth(&[], &auth, |p11, slot, emulator| {
        let everywhere = || ROLES.iter().for_each(|role| emulator.set_api_keys(role, &[PIN]));
        let session = p11.open(slot).unwrap();
        for role in ROLES {
            everywhere();
            emulator.set_api_keys(role, &["another"]);
            refused(session.login(PIN), CKR_PIN_INCORRECT);
            assert_eq!(session.info().unwrap().state, CKS_RO_PUBLIC_SESSION, "{role}");
            assert_eq!(session.find(&[]), Ok(vec![]), "{role}");
        }
        everywhere();
        session.login(PIN).unwrap();
        signs(&session);
    });
}

#[test]
fn a_pin_with_a_secret_for_each_role() {
    let auth = "pin_format = \"roles\"\nbearer = \"pin\"\n\
                api_key = { key_management = \"pin\", key_operation = \"pin\" }";
    with_auth(&["--bearer", TOKEN], auth, |p11, slot, emulator| {
        let session = p11.open(slot).unwrap();
        let management = emulator.text("key-management.key");
        let pin = |operation| format!("key_operation={operation},bearer={TOKEN},key_management={management}");
        for wrong in [PIN, &pin("4321"), &format!("key_operation={PIN}")] {
            refused(session.login(wrong), CKR_PIN_INCORRECT);
        }
        session.login(&pin(PIN)).unwrap();
        signs(&session);
    });
}

#[test]
fn roles_that_the_sources_dispute() {
    const READINGS: [[&str; 4]; 2] = [
        ["--certificates-role", "key_management", "--random-role", "key_operation"],
        ["--certificates-role", "key_operation", "--random-role", "service"],
    ];
    for reading in READINGS {
        with(&reading, |p11, slot, _| {
            let session = p11.open(slot).unwrap();
            session.login(PIN).unwrap();
            assert_eq!(session.random(16).unwrap().len(), 16);
            assert!(!session.find(&[number(CKA_CLASS, CKO_CERTIFICATE)]).unwrap().is_empty());
        });
    }
}

/// A rival goes on signing after a logout.
#[test]
fn a_logout_ends_what_other_sessions_have_begun() {
    with(&[], |p11, slot, emulator| {
        let (first, second) = (p11.open(slot).unwrap(), p11.open(slot).unwrap());
        first.login(PIN).unwrap();
        let key = second.the(CKO_PRIVATE_KEY, EC);
        second.sign_init(&CKM_ECDSA_SHA256.into(), key).unwrap();
        second.sign(b"data").unwrap();
        second.sign_init(&CKM_ECDSA_SHA256.into(), key).unwrap();
        first.sign_init(&CKM_ECDSA_SHA256.into(), key).unwrap();
        first.sign_update(b"data").unwrap();
        let before = emulator.stats().total;
        first.logout().unwrap();
        refused(second.sign(b"data"), CKR_USER_NOT_LOGGED_IN);
        refused(first.sign_final(), CKR_USER_NOT_LOGGED_IN);
        refused(second.sign_init(&CKM_ECDSA_SHA256.into(), key), CKR_USER_NOT_LOGGED_IN);
        assert_eq!(emulator.stats().total, before);
        // The PIN of before is not kept: another one is refused, and does not bring it back.
        refused(second.login("4321"), CKR_PIN_INCORRECT);
        refused(second.sign_init(&CKM_ECDSA_SHA256.into(), key), CKR_USER_NOT_LOGGED_IN);
        second.login(PIN).unwrap();
        signs(&first);
    });
}

#[test]
fn without_its_licence_the_hsm_is_not_offered() {
    const HSM: CK_FLAGS = CKF_HW | CKF_SIGN | CKF_DECRYPT | CKF_MESSAGE_ENCRYPT;
    with(&["--licence", "TSB_ENGINE"], |p11, slot, emulator| {
        let flags = |kind| p11.mechanism_info(slot, kind).map(|info| info.flags);
        let session = p11.open(slot).unwrap();
        // Nobody has asked yet.
        assert_ne!(flags(CKM_ECDSA).unwrap() & CKF_SIGN, 0);
        assert_ne!(p11.token_info(slot).unwrap().flags & CKF_RNG, 0);
        session.login(PIN).unwrap();

        let offered = p11.mechanisms(slot).unwrap();
        for kind in [CKM_SHA256, CKM_ECDSA_SHA256, CKM_RSA_PKCS, CKM_RSA_PKCS_OAEP] {
            assert!(offered.contains(&kind), "{kind:#x}");
        }
        assert!(offered.iter().all(|kind| flags(*kind).unwrap() & HSM == 0));
        for kind in [CKM_AES_ECB, CKM_AES_CBC, CKM_AES_GCM] {
            assert!(!offered.contains(&kind), "{kind:#x}");
            refused(flags(kind), CKR_MECHANISM_INVALID);
        }
        assert_eq!(p11.token_info(slot).unwrap().flags & CKF_RNG, 0);
        let before = emulator.stats().total;
        refused(session.random(16), CKR_RANDOM_NO_RNG);
        refused(session.sign_init(&CKM_ECDSA_SHA256.into(), 1), CKR_MECHANISM_INVALID);
        refused(session.decrypt_init(&CKM_RSA_PKCS.into(), 1), CKR_MECHANISM_INVALID);
        // What needs no HSM goes on.
        session.digest_init(&CKM_SHA256.into()).unwrap();
        assert_eq!(session.digest(b"data").unwrap().len(), 32);
        assert_eq!(emulator.stats().total, before);
    });
}

/// No key may ask for the licence: the refusal of the call itself is told.
#[test]
fn a_licence_that_nobody_could_ask_for() {
    let spki =
        |emulator: &Emulator| openssl::public_key(&emulator.path("keys").join(EC).with_extension("pem"));
    with_auth(&["--licence", "TSB_ENGINE"], "api_key.key_operation = \"pin\"", |p11, slot, emulator| {
        fs::write(emulator.path("ec.der"), spki(emulator)).unwrap();
        let config = emulator.path("own.toml");
        let key = format!(
            "{}\n[[slot.key]]\nlabel = \"{EC}\"\npublic_key = \"ec.der\"\n",
            emulator.text("own.toml")
        );
        fs::write(&config, key).unwrap();
        p11.finalize().unwrap();
        p11.initialize(&config).unwrap();
        let session = p11.open(slot).unwrap();
        session.login(PIN).unwrap();
        let key = session.the(CKO_PRIVATE_KEY, EC);
        session.sign_init(&CKM_ECDSA_SHA256.into(), key).unwrap();
        refused(session.sign(b"data"), CKR_FUNCTION_NOT_SUPPORTED);
        assert_ne!(p11.token_info(slot).unwrap().flags & CKF_RNG, 0);
    });
}

/// Runs `check` on the only slot of an emulator with those options. One module, one at a time.
fn with(options: &[&str], check: impl FnOnce(&'static P11, CK_SLOT_ID, &Emulator)) {
    run(options, |emulator| emulator.path("p11rest.toml"), check);
}

/// The same with a `[slot.auth]` of our own.
fn with_auth(options: &[&str], auth: &str, check: impl FnOnce(&'static P11, CK_SLOT_ID, &Emulator)) {
    let configure = |emulator: &Emulator| {
        let text = emulator.text("p11rest.toml");
        let (start, _) = text.split_once("[slot.auth]").expect("the emulator asks for credentials");
        let path = emulator.path("own.toml");
        fs::write(&path, format!("{start}[slot.auth]\n{auth}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    run(options, configure, check);
}

fn run(
    options: &[&str],
    configure: impl FnOnce(&Emulator) -> PathBuf,
    check: impl FnOnce(&'static P11, CK_SLOT_ID, &Emulator),
) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let emulator = Emulator::start_with("securosys", false, options);
    let p11 = P11::load();
    // After a test that failed.
    let _ = p11.finalize();
    p11.initialize(&configure(&emulator)).unwrap();
    check(p11, p11.slots(true).unwrap()[0], &emulator);
    p11.finalize().unwrap();
}

/// Runs `check` on the only slot of an emulator behind a gateway, with tokens for so many calls.
fn with_gateway(uses: u64, more: &str, check: impl FnOnce(&'static P11, CK_SLOT_ID, &Gateway)) {
    let gateway = OnceCell::new();
    let configure = |emulator: &Emulator| {
        let gateway = gateway.get_or_init(|| Gateway::to(emulator.port(), uses));
        let path = emulator.path("own.toml");
        fs::write(&path, gateway.configuration(emulator, more)).unwrap();
        path
    };
    run(&[], configure, |p11, slot, _| check(p11, slot, gateway.get().unwrap()));
}

fn login_required(p11: &P11, slot: CK_SLOT_ID) -> bool {
    p11.token_info(slot).unwrap().flags & CKF_LOGIN_REQUIRED != 0
}

/// Every role is used: keys are listed, one signs, and its signature is good.
fn signs(session: &Session) {
    let (key, public) = (session.the(CKO_PRIVATE_KEY, EC), session.the(CKO_PUBLIC_KEY, EC));
    session.sign_init(&CKM_ECDSA_SHA256.into(), key).unwrap();
    let signature = session.sign(b"data").unwrap();
    session.verify_init(&CKM_ECDSA_SHA256.into(), public).unwrap();
    session.verify(b"data", &signature).unwrap();
}
