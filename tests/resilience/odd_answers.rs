//! Answers that are none, or not whole, or late: each is followed by a good signature on the same session.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cryptoki_sys::*;
use serde_json::{Value, json};

use crate::bench_of_signers::{Bench, Signer};
use crate::support::emulator::{Emulator, PIN};
use crate::support::openssl::Files;
use crate::support::p11::{Called, Code, refused};

const PATH: &str = "/v1/synchronousSign";
/// What a call may take here.
const LIMIT: Duration = Duration::from_millis(1500);
/// What it may pass that by on a busy machine.
const SLACK: Duration = Duration::from_secs(3);

/// Runs `check` without and with TLS.
fn both(check: impl Fn(&Emulator, &Signer)) {
    for tls in [false, true] {
        let emulator = Emulator::start("securosys", tls);
        let config = emulator.path("limited.toml");
        let text = format!(
            "{}\n[slot.timeouts]\ncall = \"{}ms\"\n",
            emulator.text("p11rest.toml"),
            LIMIT.as_millis()
        );
        fs::write(&config, text).unwrap();
        let (_bench, signer) = Bench::new(&config, PIN);
        check(&emulator, &signer);
    }
}

/// Strikes the requests for signatures.
fn strike(emulator: &Emulator, mut fault: Value) {
    fault["path"] = PATH.into();
    emulator.fault(&fault);
}

/// The outcome under a fault that stays; then the fault goes, and a signature is made.
#[track_caller]
fn under(emulator: &Emulator, signer: &Signer, fault: &Value) -> Called {
    strike(emulator, fault.clone());
    let begun = Instant::now();
    let outcome = signer.sign();
    assert!(begun.elapsed() < LIMIT + SLACK, "{fault}: {:?}", begun.elapsed());
    emulator.heal();
    assert_eq!(signer.sign(), Ok(()), "after {fault}");
    outcome
}

fn raw(bytes: &str) -> Value {
    json!({ "action": "raw", "bytes": STANDARD.encode(bytes) })
}

/// Unusual, and yet HTTP/1.1.
#[test]
fn odd_and_right_answers_are_read() {
    both(|emulator, signer| {
        for fault in [
            json!({ "action": "chunked", "size": 1 }),
            json!({ "action": "chunked", "size": 50 }),
            json!({ "action": "interim", "count_interim": 1 }),
            json!({ "action": "interim", "count_interim": 5 }),
            json!({ "action": "drip", "ms": 1 }),
        ] {
            assert_eq!(under(emulator, signer, &fault), Ok(()), "{fault}");
        }
    });
}

/// None of them is a signature, and none is the caller's fault.
#[test]
fn wrong_answers_are_a_device_error() {
    both(|emulator, signer| {
        for fault in [
            json!({ "action": "oversized" }),
            json!({ "action": "oversized", "in": "head" }),
            json!({ "action": "gzip" }),
            json!({ "action": "redirect" }),
            json!({ "action": "no_content" }),
            json!({ "action": "text" }),
            json!({ "action": "interim", "count_interim": 100 }),
            raw("nonsense\r\n\r\n"),
            raw("HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
            raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
            raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}"),
            raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
            raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
        ] {
            assert_eq!(under(emulator, signer, &fault), Err(Code(CKR_DEVICE_ERROR)), "{fault}");
        }
    });
}

/// Whoever follows a redirect takes the credential elsewhere.
#[test]
fn redirects_are_not_followed() {
    both(|emulator, signer| {
        let before = emulator.stats().total;
        strike(emulator, json!({ "action": "redirect" }));
        assert_eq!(signer.sign(), Err(Code(CKR_DEVICE_ERROR)));
        assert_eq!(emulator.stats().total - before, 1, "one request, and none behind it");
        emulator.heal();
    });
}

/// An end in the middle is bad luck once: the request may be repeated. Always, it is a device error.
#[test]
fn ends_at_any_moment() {
    both(|emulator, signer| {
        let mut endings = Vec::new();
        for action in ["close", "reset"] {
            for when in ["before_head", "in_head", "in_body"] {
                endings.push(json!({ "action": action, "when": when }));
            }
            if emulator.is_tls() {
                endings.push(json!({ "action": action, "when": "in_body", "notify": false }));
            }
        }
        for at in [1, 20, 100] {
            endings.push(json!({ "action": "truncate", "at": at }));
        }
        for fault in endings {
            let mut once = fault.clone();
            once["count"] = 1.into();
            assert_eq!(under(emulator, signer, &once), Ok(()), "{once}");
            assert_eq!(under(emulator, signer, &fault), Err(Code(CKR_DEVICE_ERROR)), "{fault}");
        }
    });
}

/// A connection that was promised to stay, and does not.
#[test]
fn an_end_behind_each_answer_harms_nobody() {
    both(|emulator, signer| {
        for action in ["close", "reset"] {
            for notify in [true, false] {
                let fault = json!({ "action": action, "when": "after_answer", "notify": notify, "every": 3 });
                strike(emulator, fault.clone());
                for number in 0..100 {
                    assert_eq!(signer.sign(), Ok(()), "{fault}, the {number}th");
                }
                emulator.heal();
            }
        }
    });
}

/// Accepted, read, and never answered: nothing holds a call beyond its deadline.
#[test]
fn half_open_connections_end_with_the_deadline() {
    both(|emulator, signer| {
        for fault in [json!({ "action": "half_open" }), json!({ "action": "drip", "ms": 300 })] {
            assert_eq!(under(emulator, signer, &fault), Err(Code(CKR_DEVICE_ERROR)), "{fault}");
        }
    });
}

/// The kernel takes the connection, and nobody ever reads from it: neither TLS nor HTTP begins.
#[test]
fn a_server_that_says_nothing_holds_no_call() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let files = Files::new();
    for scheme in ["http", "https"] {
        let text = format!(
            "version = 1\n[[slot]]\nlabel = \"silent\"\nbackend = \"securosys\"\n\
             urls = [\"{scheme}://127.0.0.1:{port}\"]\n[slot.auth.api_key]\nkey_operation = \"pin\"\n\
             [slot.timeouts]\ncall = \"{}ms\"\n",
            LIMIT.as_millis()
        );
        files.put("silent.toml", text.as_bytes());
        // A rival without a time-out is held for ever, in C_Initialize.
        let begun = Instant::now();
        let bench = Bench::initialize(&files.path("silent.toml"));
        assert!(begun.elapsed() < SLACK, "C_Initialize asks nobody");
        let begun = Instant::now();
        refused(bench.session().login(PIN), CKR_DEVICE_ERROR);
        assert!((LIMIT / 2..LIMIT + SLACK).contains(&begun.elapsed()), "{scheme}: {:?}", begun.elapsed());
    }
}
