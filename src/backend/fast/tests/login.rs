//! The account and its tokens.

use super::*;

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
