//! Tokens.

use cryptoki_sys::{
    CKR_DEVICE_ERROR, CKR_PIN_EXPIRED, CKR_PIN_INCORRECT, CKR_PIN_LOCKED, CKR_USER_NOT_LOGGED_IN,
};

use super::*;

const EMPTY: &str = r#"{"resources":[],"total":0}"#;

/// A server whose token is good for two requests. `refresh` answers the refresh call.
fn forgetful(refresh: impl Fn() -> (u16, String) + Send + Sync + 'static) -> Server {
    let left = parking_lot::Mutex::new((0, 0));
    Server::start(move |seen| {
        let (number, uses) = &mut *left.lock();
        let mut fresh = || {
            (*number, *uses) = (*number + 1, 2);
            (200, granted(&format!("t{number}")))
        };
        if seen.target != TOKENS {
            let good = *uses > 0 && seen.header("authorization") == Some(&format!("Bearer t{number}"));
            *uses -= i32::from(good);
            return if good { (200, EMPTY.into()) } else { (401, EXPIRED.into()) };
        }
        match body(seen)["grant_type"].as_str() {
            Some("refresh_token") => match refresh() {
                (200, _) => fresh(),
                refused => refused,
            },
            _ => fresh(),
        }
    })
}

fn grants(server: &Server) -> Vec<String> {
    let grants = server.seen().into_iter().filter(|seen| seen.target == TOKENS);
    grants.map(|seen| body(&seen)["grant_type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_password_goes_out_once_and_its_token_with_each_request() {
    let server = with_tokens(|_| (200, EMPTY.into()));
    let hsm = open(&server, &plain());
    assert!(hsm.login_required() && !hsm.may_list());
    hsm.login(b"p", soon()).unwrap();
    assert!(hsm.may_list() && hsm.login_stands());
    hsm.list(soon()).unwrap();
    hsm.list(soon()).unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].target, TOKENS);
    assert_eq!(body(&seen[0]), json!({ "grant_type": "password", "username": "u", "password": "p" }));
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert_eq!(seen[0].header("authorization"), None);
    assert_eq!(seen.len(), 3);
    assert!(seen[1..].iter().all(|seen| seen.header("authorization") == Some("Bearer t")));
    hsm.logout();
    assert!(!hsm.may_list() && !hsm.login_stands());
    assert_eq!(hsm.list(soon()).unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN);
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn domains_and_directories_are_named() {
    let server = with_tokens(|_| (200, EMPTY.into()));
    let [domain, auth_domain, connection] = ["d", "a", "c"].map(|text| Some(text.to_owned()));
    // Tokens stay where they are (section 14.4).
    let settings = config::CipherTrust { domain, auth_domain, connection, prefix: "/v1".into(), ..plain() };
    user(&server, &settings).list(soon()).unwrap();
    let seen = server.seen();
    let expected = json!({ "grant_type": "password", "username": "u", "password": "p", "domain": "d",
                           "auth_domain": "a", "connection": "c" });
    assert_eq!(body(&seen[0]), expected);
    assert!(seen[1].target.starts_with("GET /v1/vault/keys2?"), "{}", seen[1].target);
}

/// The answer to a refresh has no new refresh token: the old one is good for the next time too.
#[test]
fn an_expired_token_is_refreshed_and_the_call_repeated() {
    let server = Server::start({
        let state = parking_lot::Mutex::new((0, 0));
        move |seen| {
            let (number, uses) = &mut *state.lock();
            if seen.target == TOKENS {
                (*number, *uses) = (*number + 1, 2);
                let whole: Value = serde_json::from_str(&granted(&format!("t{number}"))).unwrap();
                let bare = json!({ "jwt": whole["jwt"], "duration": 300 });
                let answer = if *number == 1 { whole } else { bare };
                return (200, answer.to_string());
            }
            let good = *uses > 0 && seen.header("authorization") == Some(&format!("Bearer t{number}"));
            *uses -= i32::from(good);
            if good { (200, EMPTY.into()) } else { (401, EXPIRED.into()) }
        }
    });
    let hsm = user(&server, &plain());
    for _ in 0..6 {
        hsm.list(soon()).unwrap();
    }
    let refreshes: Vec<_> = server.seen().into_iter().filter(|seen| seen.target == TOKENS).skip(1).collect();
    assert_eq!(refreshes.len(), 2);
    for refresh in refreshes {
        assert_eq!(body(&refresh), json!({ "grant_type": "refresh_token", "refresh_token": "r-t1" }));
        assert_eq!(refresh.header("authorization"), None);
    }
    assert_eq!(calls(&server).len(), 6 + 2);
}

#[test]
fn a_refused_refresh_is_one_login() {
    let server = forgetful(|| (401, r#"{"message":"Refresh token is invalid"}"#.into()));
    let hsm = user(&server, &plain());
    for _ in 0..4 {
        hsm.list(soon()).unwrap();
    }
    assert_eq!(grants(&server), ["password", "refresh_token", "password"]);
}

#[test]
fn without_the_password_a_refused_refresh_ends_the_login() {
    let server = forgetful(|| (401, r#"{"message":"Refresh token is invalid"}"#.into()));
    let hsm = user(&server, &config::CipherTrust { keep_password: false, ..plain() });
    hsm.list(soon()).unwrap();
    hsm.list(soon()).unwrap();
    assert!(hsm.login_stands());
    assert_eq!(hsm.list(soon()).unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN);
    assert_eq!(grants(&server), ["password", "refresh_token"]);
    assert!(!hsm.login_stands());
    hsm.login(b"p", soon()).unwrap();
    hsm.list(soon()).unwrap();
}

/// A token that is refused for another reason than its age is not a reason to go on and on.
#[test]
fn a_token_that_is_never_taken_is_not_renewed_for_ever() {
    let server = with_tokens(|_| (401, EXPIRED.into()));
    let hsm = user(&server, &plain());
    assert_eq!(hsm.list(soon()).unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN);
    assert!(calls(&server).len() <= 2, "{:?}", server.targets());
}

#[test]
fn refused_passwords() {
    for (status, answer, expected) in [
        (401, r#"{"message":"Invalid username or password"}"#, CKR_PIN_INCORRECT),
        (401, r#"{"message":"The user account is locked"}"#, CKR_PIN_LOCKED),
        (423, r#"{"codeDesc":"Account Locked"}"#, CKR_PIN_LOCKED),
        (401, r#"{"message":"The password has expired"}"#, CKR_PIN_EXPIRED),
        (503, "", CKR_DEVICE_ERROR),
        (200, "{}", CKR_DEVICE_ERROR),
    ] {
        let server = Server::saying(status, answer);
        let hsm = open(&server, &plain());
        let error = hsm.login(b"the-password", soon()).unwrap_err();
        assert_eq!(error.rv(), expected, "{status} {answer}");
        assert!(!format!("{error:?}{error}").contains("the-password"));
        assert_eq!(server.seen().len(), 1, "a password is never tried twice");
        assert!(!hsm.may_list());
        assert!(hsm.login_secrets().iter().all(|secret| {
            use secrecy::ExposeSecret;
            secret.expose_secret().is_empty()
        }));
    }
    let server = with_tokens(|_| (200, EMPTY.into()));
    assert_eq!(open(&server, &plain()).login(b"\xff", soon()).unwrap_err().rv(), CKR_PIN_INCORRECT);
    assert_eq!(server.seen().len(), 0, "no text, and so no password");
    assert_eq!(open(&Server::nowhere(), &plain()).login(b"p", soon()).unwrap_err().rv(), CKR_DEVICE_ERROR);
}

/// An application that forks goes on in the child.
#[test]
fn a_child_inherits_the_login() {
    let server = with_tokens(|_| (200, EMPTY.into()));
    let secrets = user(&server, &plain()).login_secrets();
    let child = open(&server, &plain());
    child.inherit_login(&secrets);
    assert!(child.may_list());
    child.list(soon()).unwrap();
    assert_eq!(grants(&server), ["password", "password"]);
}
