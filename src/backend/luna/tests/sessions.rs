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

/// An appliance that takes `pause` to answer `target`, but for the first time.
fn slow(target: String, pause: Duration) -> Server {
    let asked = AtomicUsize::new(0);
    appliance(move |seen| {
        // The first one is the test's own beginning.
        if seen.target == target && asked.fetch_add(1, Ordering::SeqCst) > 0 {
            thread::sleep(pause);
        }
        None
    })
}

/// C_Logout while another thread logs in again with the kept PIN: whatever it finds under way, nobody is logged in after
/// it, and no session stays.
#[test]
fn a_login_that_was_ended_meanwhile_does_not_come_back() {
    for (target, logins) in [("POST /auth/session".to_owned(), 1), (at("POST", "/login"), 2)] {
        let server = slow(target.clone(), Duration::from_millis(300));
        let luna = open(
            &server,
            &config::Luna { session_idle: Duration::from_millis(200), keep_pin: true, ..settings() },
        );
        log_in(&luna);
        thread::sleep(Duration::from_millis(220));
        let outcome = thread::scope(|scope| {
            let revival = scope.spawn(|| luna.keep_login(soon()));
            // The request is seen when it is answered: only time tells that it is under way.
            thread::sleep(Duration::from_millis(150));
            luna.logout();
            assert!(!luna.login_stands() && luna.login_secrets().is_empty());
            revival.join().unwrap()
        });
        assert_eq!(outcome.unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN, "{target}");
        assert!(!luna.login_stands() && luna.login_secrets().is_empty(), "{target}");
        assert_eq!(luna.keep_login(soon()).unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN);
        assert_eq!(count(&server, &at("POST", "/login")), logins, "{target}");
        let opened = count(&server, "POST /auth/session");
        assert_eq!(count(&server, "DELETE /auth/session"), opened, "{target}: {:?}", server.targets());
    }
}

/// What failed before the PIN was shown says nothing of it.
#[test]
fn a_kept_login_outlives_what_is_not_about_it() {
    let down = std::sync::Arc::new(AtomicBool::new(false));
    let is_down = std::sync::Arc::clone(&down);
    let server = appliance(move |seen| {
        (seen.target == at("GET", "/roles/co") && is_down.load(Ordering::SeqCst)).then(|| fault(500, ""))
    });
    let brief = config::Luna { session_idle: Duration::from_millis(200), keep_pin: true, ..settings() };
    let luna = open(&server, &brief);
    log_in(&luna);
    thread::sleep(Duration::from_millis(220));
    down.store(true, Ordering::SeqCst);
    assert_eq!(luna.keep_login(soon()).unwrap_err().rv(), CKR_DEVICE_ERROR);
    assert!(luna.login_stands());
    down.store(false, Ordering::SeqCst);
    luna.keep_login(soon()).unwrap();
    assert_eq!(count(&server, &at("POST", "/login")), 2);
}

/// The work of the call is another service's, which may be well.
#[test]
fn keeping_the_session_costs_a_call_little() {
    let server = appliance(|seen| {
        if seen.target == WEB_SERVER {
            thread::sleep(Duration::from_secs(3));
        }
        None
    });
    let luna = open(&server, &config::Luna { session_idle: Duration::from_secs(2), ..settings() });
    log_in(&luna);
    thread::sleep(Duration::from_millis(1050));
    let start = std::time::Instant::now();
    luna.keep_login(Deadline::after(Duration::from_secs(1))).unwrap();
    assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
    assert!(luna.login_stands());
}

/// It may have another mind about how long a session lasts.
#[test]
fn a_session_that_is_too_old_here_is_ended_there() {
    let server = appliance(|_| None);
    let luna = open(&server, &config::Luna { session_idle: Duration::from_millis(100), ..settings() });
    log_in(&luna);
    thread::sleep(Duration::from_millis(120));
    log_in(&luna);
    assert_eq!(count(&server, "DELETE /auth/session"), 1);
    thread::sleep(Duration::from_millis(120));
    luna.logout();
    assert_eq!((count(&server, "POST /auth/session"), count(&server, "DELETE /auth/session")), (2, 2));
}
