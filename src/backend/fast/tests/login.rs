//! The account and its tokens.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::observe::told::events;

/// The answers of section 4.1 in both editions.
#[test]
fn a_token_in_both_editions_and_under_both_schemes() {
    let vietnamese = || success(&json!({ "message": "Success", "data": { "token": "t" } }));
    for (grant, expected) in [(granted as fn() -> (u16, String), "Bearer t"), (vietnamese, "Bearer t")] {
        let server = Server::start(move |seen| match path(seen) {
            TOKEN => grant(),
            _ => told("valid"),
        });
        let hsm = open_with(&server, &settings(), Secret::Pin);
        assert_eq!(rv(hsm.describe(&[SN.into()], soon()).remove(0)), CKR_USER_NOT_LOGGED_IN);
        hsm.login(b"s3cret", soon()).unwrap();
        assert!(hsm.may_list() && hsm.login_stands());
        hsm.describe(&[SN.into()], soon()).remove(0).unwrap();
        let seen = server.seen();
        assert_eq!(body(&seen[0]), json!({ "username": "u", "password": "s3cret" }));
        assert_eq!(seen[0].header("authorization"), None);
        assert_eq!(seen[0].header("content-type"), Some("application/json"));
        assert_eq!(seen[1].header("authorization"), Some(expected));
        hsm.logout();
        assert!(!hsm.may_list() && !hsm.login_stands());
        assert_eq!(server.seen().len(), 2, "there is no call to end a token");
    }
}

#[test]
fn the_scheme_is_found_out_once_or_fixed() {
    let bare_only = || {
        serving(|seen| match seen.header("authorization") {
            Some("t") => told("valid"),
            _ => failure(401, "Unauthorized"),
        })
    };
    let server = bare_only();
    let hsm = open(&server);
    for _ in 0..2 {
        hsm.describe(&[SN.into()], soon()).remove(0).unwrap();
    }
    assert_eq!(paths(&server), [TOKEN, INFO, INFO, INFO], "the first with the wrong scheme");
    let bearer = config::Fast { authorization: config::Scheme::Bearer, ..settings() };
    let hsm = open_with(&bare_only(), &bearer, Secret::Literal("p".into()));
    assert_eq!(rv(hsm.describe(&[SN.into()], soon()).remove(0)), CKR_USER_NOT_LOGGED_IN);
    let server = bare_only();
    let bare = config::Fast { authorization: config::Scheme::Bare, ..settings() };
    let hsm = open_with(&server, &bare, Secret::Literal("p".into()));
    hsm.describe(&[SN.into()], soon()).remove(0).unwrap();
    assert_eq!(paths(&server), [TOKEN, INFO]);
}

#[test]
fn a_refused_password_is_no_pin_and_a_locked_account_shows() {
    let code = Arc::new(AtomicUsize::new(401));
    let server = {
        let code = Arc::clone(&code);
        Server::start(move |_| match code.load(Ordering::SeqCst) {
            200 => granted(),
            code => failure(u16::try_from(code).unwrap(), "no"),
        })
    };
    let hsm = open_with(&server, &settings(), Secret::Pin);
    assert_eq!(rv(hsm.login(b"wrong", soon())), CKR_PIN_INCORRECT);
    assert!(!hsm.may_list() && !hsm.token_state().user_pin.locked);
    code.store(403, Ordering::SeqCst);
    assert_eq!(rv(hsm.login(b"right", soon())), CKR_PIN_LOCKED);
    assert!(hsm.token_state().user_pin.locked && !hsm.may_list());
    code.store(500, Ordering::SeqCst);
    assert_eq!(rv(hsm.login(b"right", soon())), CKR_DEVICE_ERROR);
    assert!(hsm.token_state().user_pin.locked, "nobody said otherwise");
    code.store(200, Ordering::SeqCst);
    hsm.login(b"right", soon()).unwrap();
    assert!(!hsm.token_state().user_pin.locked);
    let asked = server.seen().len();
    assert_eq!(asked, 4, "a password is shown once");
    assert_eq!(rv(hsm.login(b"\xff", soon())), CKR_PIN_INCORRECT);
    assert_eq!(server.seen().len(), asked);
    let hsm = open_with(&Server::nowhere(), &settings(), Secret::Pin);
    assert_eq!(rv(hsm.login(b"p", soon())), CKR_DEVICE_ERROR);
}

#[test]
fn a_token_that_has_ended_is_replaced_and_the_call_repeated() {
    let calls = AtomicUsize::new(0);
    let server = Server::start(move |seen| match path(seen) {
        TOKEN => {
            let number = calls.fetch_add(1, Ordering::SeqCst);
            success(&json!({ "data": { "accessToken": format!("t{number}"), "expiresIn": 3600 } }))
        }
        _ if seen.header("authorization") == Some("Bearer t0") && calls.load(Ordering::SeqCst) == 1 => {
            // The first call is let through, so that the scheme is known.
            match body(seen)["certificateSN"].as_str() {
                Some(SN) => told("valid"),
                _ => failure(401, "Unauthorized"),
            }
        }
        _ if seen.header("authorization") == Some("Bearer t1") => told("valid"),
        _ => failure(401, "Unauthorized"),
    });
    let hsm = open(&server);
    hsm.describe(&[SN.into()], soon()).remove(0).unwrap();
    hsm.describe(&["0B".into()], soon()).remove(0).unwrap();
    assert_eq!(paths(&server), [TOKEN, INFO, INFO, TOKEN, INFO]);
}

/// The answers of section 4.1; the key of the gateway is a part of the PIN.
#[test]
fn each_login_use_and_logout_is_an_event_behind_a_gateway() {
    let expired = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&expired);
    let server = Server::start(move |seen| {
        let authorization = seen.header("authorization");
        match path(seen) {
            _ if seen.header("x-gate") != Some("g4te") => (403, "{}".into()),
            TOKEN if !seen.body.contains("s3cret") => failure(401, "Invalid username or password"),
            TOKEN if gone.load(Ordering::SeqCst) => success(&json!({ "data": { "token": "t0ken-2" } })),
            TOKEN => success(&json!({ "data": { "token": "t0ken-1" } })),
            _ if authorization == Some("Bearer t0ken-1") && !gone.load(Ordering::SeqCst) => told("valid"),
            _ if authorization == Some("Bearer t0ken-2") => told("valid"),
            _ => failure(401, "Unauthorized"),
        }
    });
    let events = events(&["g4te", "s3cret", "wr0ng", "t0ken"], |log| {
        let header = config::HeaderKey { name: "X-Gate".into(), value: Secret::Pin };
        let auth = config::Auth {
            user: Some("alice".into()),
            header: Some(header),
            pin_format: config::PinFormat::Roles,
            ..config::Auth::default()
        };
        let hsm = open_as(&server, &settings(), auth, log);
        assert_eq!(rv(hsm.login(b"s3cret", soon())), CKR_PIN_INCORRECT);
        assert_eq!(server.seen().len(), 0, "it is no PIN of this form");
        assert_eq!(rv(hsm.login(b"password=wr0ng,header=g4te", soon())), CKR_PIN_INCORRECT);
        hsm.login(b"password=s3cret,header=g4te", soon()).unwrap();
        hsm.describe(&[SN.into()], soon()).remove(0).unwrap();
        expired.store(true, Ordering::SeqCst);
        hsm.describe(&[SN.into()], soon()).remove(0).unwrap();
        hsm.logout();
    });
    let event = |level, account, what| format!("{level} slot \"test\", account {account:?}: {what}");
    assert_eq!(
        events,
        [
            // The code in the body counts.
            event("WARN", "alice", "login at POST /api/account/gettoken: refused with HTTP 401"),
            event("INFO", "alice", "login at POST /api/account/gettoken: granted"),
            event("INFO", "X-Gate", "login at POST /api/certificate/getinfosn: granted"),
            event("WARN", "alice", "use at POST /api/certificate/getinfosn: refused with HTTP 401"),
            event("INFO", "alice", "login at POST /api/account/gettoken: granted"),
            event("INFO", "alice", "logout at this side: granted"),
            event("INFO", "X-Gate", "logout at this side: granted"),
        ]
    );
}

/// Section 6.4. The password is shown again only if the service asks for it.
#[test]
fn a_login_waits_when_the_service_says_for_how_long() {
    for times in [1, 2] {
        let server = throttling(TOKEN, times, Some("0"), |_| told("valid"));
        let hsm = open_with(&server, &settings(), Secret::Pin);
        hsm.login(b"s3cret", soon()).unwrap();
        assert_eq!(paths(&server).len(), times + 1);
        assert!(server.seen().iter().all(|seen| body(seen)["password"] == "s3cret"));
    }
    for retry_after in [None, Some("60")] {
        let server = throttling(TOKEN, 1, retry_after, |_| told("valid"));
        let hsm = open_with(&server, &settings(), Secret::Pin);
        assert_eq!(rv(hsm.login(b"s3cret", soon())), CKR_DEVICE_ERROR);
        assert_eq!(paths(&server), [TOKEN], "{retry_after:?}");
        assert!(!hsm.login_stands());
    }
}
