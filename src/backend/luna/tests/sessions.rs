//! Private sessions: opened when they are needed, again when they are gone, kept by calls (section 4.1).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_PIN_INCORRECT, CKR_USER_NOT_LOGGED_IN};
use secrecy::ExposeSecret;

use super::*;

/// An appliance whose sessions are numbered; those of `gone` are not there, as far as calls `concerned` tell.
fn forgetful(gone: fn(&str) -> bool, concerned: impl Fn(&Seen) -> bool + Send + Sync + 'static) -> Server {
    let opened = AtomicUsize::new(0);
    appliance(move |seen| {
        if seen.target == "POST /auth/session" {
            let number = opened.fetch_add(1, Ordering::SeqCst) + 1;
            let headers = vec![("Set-Cookie", format!("sid={number}"))];
            return Some(Answer { headers, ..answer(204, "") });
        }
        let is_gone = seen.header("cookie").is_some_and(gone);
        (is_gone && concerned(seen)).then(|| fault(401, SESSION_GONE))
    })
}

#[test]
fn a_session_that_is_gone_is_opened_again_once() {
    let server = forgetful(|cookie| cookie == "sid=1", |_| true);
    let luna = open(&server, &settings());
    log_in(&luna);
    assert!(luna.login_stands());
    assert_eq!(count(&server, "POST /auth/session"), 2);
    assert_eq!(count(&server, &at("POST", "/login")), 1);
    assert_eq!(those(&server, &at("POST", "/login"))[0].header("cookie"), Some("sid=2"));
    // And no more than once.
    let server = forgetful(|_| true, |_| true);
    assert_eq!(refused(&open(&server, &settings())), CKR_DEVICE_ERROR);
    assert_eq!(count(&server, "POST /auth/session"), 2);
    assert_eq!(count(&server, &at("POST", "/login")), 0);
}

#[test]
fn a_session_without_a_cookie_is_none() {
    let server = appliance(|seen| (seen.target == "POST /auth/session").then(|| answer(204, "")));
    assert_eq!(refused(&open(&server, &settings())), CKR_DEVICE_ERROR);
}

#[test]
fn calls_keep_a_session_and_no_thread_does() {
    let idle = Duration::from_millis(600);
    let server = appliance(|_| None);
    let luna = open(&server, &config::Luna { session_idle: idle, ..settings() });
    log_in(&luna);
    luna.keep_login(soon()).unwrap();
    assert_eq!(count(&server, WEB_SERVER), 0, "it is young");
    thread::sleep(idle * 6 / 10);
    luna.keep_login(soon()).unwrap();
    luna.keep_login(soon()).unwrap();
    assert_eq!(count(&server, WEB_SERVER), 1);
    thread::sleep(idle * 6 / 10);
    assert!(luna.login_stands(), "that call has kept it");
    thread::sleep(idle * 6 / 10);
    let asked = server.seen().len();
    assert!(!luna.login_stands());
    assert_eq!(luna.keep_login(soon()).unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN);
    assert_eq!(server.seen().len(), asked, "nobody has to be asked for that");
}

#[test]
fn a_login_that_the_appliance_ended_is_noticed() {
    for id in [SESSION_GONE, "HSMPLUGIN_PARTITION_USER_NOT_AUTHENTICATED"] {
        let server = appliance(move |seen| (seen.target == WEB_SERVER).then(|| fault(401, id)));
        let luna = open(&server, &config::Luna { session_idle: Duration::from_millis(200), ..settings() });
        log_in(&luna);
        thread::sleep(Duration::from_millis(120));
        assert_eq!(luna.keep_login(soon()).unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN, "{id}");
        assert!(!luna.login_stands());
        assert_eq!(count(&server, &at("POST", "/login")), 1);
    }
}

#[test]
fn a_kept_pin_logs_in_again_once() {
    let brief = |keep_pin| config::Luna { session_idle: Duration::from_millis(200), keep_pin, ..settings() };
    let server = appliance(|_| None);
    let luna = open(&server, &brief(true));
    log_in(&luna);
    thread::sleep(Duration::from_millis(220));
    assert!(luna.login_stands(), "it can be made again");
    luna.keep_login(soon()).unwrap();
    assert_eq!((count(&server, "POST /auth/session"), count(&server, &at("POST", "/login"))), (2, 2));
    // One that is not taken any more is not tried again.
    let changed = std::sync::Arc::new(AtomicBool::new(false));
    let is_changed = std::sync::Arc::clone(&changed);
    let server = appliance(move |seen| {
        (seen.target == at("POST", "/login") && is_changed.load(Ordering::SeqCst))
            .then(|| fault(401, "HSMPLUGIN_LOGIN_FAILED"))
    });
    let luna = open(&server, &brief(true));
    log_in(&luna);
    thread::sleep(Duration::from_millis(220));
    changed.store(true, Ordering::SeqCst);
    assert_eq!(luna.keep_login(soon()).unwrap_err().rv(), CKR_PIN_INCORRECT);
    assert_eq!(luna.keep_login(soon()).unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN);
    assert_eq!(count(&server, &at("POST", "/login")), 2);
    assert!(!luna.login_stands());
}

#[test]
fn the_child_of_a_fork_has_the_login_if_the_pin_is_kept() {
    let server = appliance(|_| None);
    for keep_pin in [true, false] {
        let settings = config::Luna { keep_pin, ..settings() };
        let parent = open(&server, &settings);
        log_in(&parent);
        let secrets = parent.login_secrets();
        let shown: Vec<_> = secrets.iter().map(|secret| secret.expose_secret().as_bytes()).collect();
        assert_eq!(shown, if keep_pin { vec![PIN] } else { Vec::new() });
        let child = open(&server, &settings);
        child.inherit_login(&secrets);
        assert_eq!(child.login_stands(), keep_pin);
        assert_eq!(child.keep_login(soon()).is_ok(), keep_pin);
    }
    let pin = |text: &str| SecretString::from(text);
    let child = open(&server, &config::Luna { password: Some(Secret::Pin), ..settings() });
    child.inherit_login(&[pin("s3cret")]);
    assert!(child.may_list());
}

#[test]
fn logging_out_takes_two_seconds_at_most_whatever_the_appliance_does() {
    let server = appliance(|seen| {
        if seen.target == at("POST", "/logout") {
            thread::sleep(Duration::from_secs(4));
        }
        None
    });
    let luna = open(&server, &settings());
    log_in(&luna);
    let start = std::time::Instant::now();
    luna.logout();
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(!luna.login_stands());
}
