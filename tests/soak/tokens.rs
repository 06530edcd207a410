//! Tokens that end in the middle of the work.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use cryptoki_sys::*;
use reqwest::Method;

use crate::support::emulator::{Emulator, PIN};
use crate::support::p11::P11;

const SIGNATURES: u64 = 10_000;
const EXPIRIES: u64 = 20;
const THREADS: usize = 4;

/// A vendor whose login gives a token.
struct Vendor {
    name: &'static str,
    key: &'static str,
    mechanism: CK_MECHANISM_TYPE,
    /// What ends all access tokens, below `/_emulator/`.
    expire: (Method, &'static str),
    /// The requests that give tokens, as the statistics have them.
    grants: &'static [&'static str],
}

fn vendors() -> [Vendor; 3] {
    [
        Vendor {
            name: "fast",
            key: "signer-1",
            mechanism: CKM_SHA256_RSA_PKCS,
            expire: (Method::DELETE, "tokens"),
            grants: &["POST /api/account/gettoken"],
        },
        Vendor {
            name: "ciphertrust",
            key: "ec-p256",
            mechanism: CKM_ECDSA_SHA256,
            expire: (Method::POST, "tokens/expire"),
            grants: &["POST /auth/tokens"],
        },
        Vendor {
            name: "gateway",
            key: "ec-p256",
            mechanism: CKM_ECDSA_SHA256,
            expire: (Method::POST, "tokens/expire"),
            grants: &["POST /token", "POST /api/Auth/RefreshToken"],
        },
    ]
}

/// Whoever makes each 500th signature ends all tokens first; some threads have a request on its way then.
#[test]
fn no_signature_is_lost_with_a_token() {
    let vendors = vendors();
    let emulators = vendors.each_ref().map(|vendor| Emulator::start(vendor.name, false));
    let slots = emulators.each_ref().map(|emulator| {
        let text = emulator.text("p11rest.toml");
        text.split_once("[[slot]]").map(|(_, slot)| format!("[[slot]]{slot}\n\n")).expect("a slot")
    });
    let path = emulators[0].path("all.toml");
    fs::write(&path, format!("version = 1\n\n{}", slots.concat())).expect("the folder can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
    P11::load().initialize(&path).expect("the configuration is right");
    for (slot, (vendor, emulator)) in vendors.iter().zip(&emulators).enumerate() {
        signs_through_expiries(slot as CK_SLOT_ID, vendor, emulator);
    }
    P11::load().finalize().expect("it was initialised");
}

fn signs_through_expiries(slot: CK_SLOT_ID, vendor: &Vendor, emulator: &Emulator) {
    let p11 = P11::load();
    let owner = p11.open(slot).expect("a session opens");
    owner.login(PIN).expect("the PIN is right");
    let [key, public] = [CKO_PRIVATE_KEY, CKO_PUBLIC_KEY].map(|class| owner.the(class, vendor.key));
    let granted = || {
        let requests = emulator.stats().requests;
        vendor.grants.iter().filter_map(|path| requests.get(*path)).sum::<u64>()
    };
    let (before, next) = (granted(), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let session = p11.open(slot).expect("a session opens");
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= SIGNATURES {
                        return;
                    }
                    if number % (SIGNATURES / EXPIRIES) == 0 {
                        let (method, path) = vendor.expire.clone();
                        let answer = emulator.call(method, &format!("/_emulator/{path}"), &[], None);
                        assert!(answer.status().is_success(), "{}: {}", vendor.name, answer.status());
                    }
                    let data = format!("{} {number}", vendor.name);
                    session.sign_init(&vendor.mechanism.into(), key).unwrap();
                    let signature = session.sign(data.as_bytes());
                    let signature = signature.unwrap_or_else(|code| panic!("{data}: {code:?}"));
                    session.verify_init(&vendor.mechanism.into(), public).unwrap();
                    session.verify(data.as_bytes(), &signature).unwrap();
                }
            });
        }
    });
    // One new token for each that ended, and not one for each thread that saw it end.
    let tokens = granted() - before;
    assert!((EXPIRIES..2 * EXPIRIES).contains(&tokens), "{}: {tokens} new tokens", vendor.name);
}
