//! `C_Login` and `C_Logout`.

use super::*;

/// The JWT comes before all else (section 1.4): where it is refused, nobody has looked at PIN or password.
#[test]
fn a_refused_jwt_is_no_verdict_on_what_was_typed() {
    const WRONG_TOKEN: &str = r#"{"errorCode":617,"reason":"res.error.invalid.access.token"}"#;
    let another_each_time = || Some(Secret::Command("cat /proc/sys/kernel/random/uuid".into()));
    let first = Mutex::new(None);
    let server = Server::start(move |seen| {
        let token = seen.header("authorization").map(str::to_owned);
        let mut first = first.lock();
        if *first.get_or_insert_with(|| token.clone()) == token {
            return (401, WRONG_TOKEN.into());
        }
        (404, UNKNOWN_REQUEST.into())
    });
    let with_token = || config::Auth { bearer: another_each_time(), ..operation_pin() };
    open(&server, with_token()).login(b"1234", soon()).unwrap();
    let keys: Vec<_> = server.seen().iter().map(|seen| seen.key().map(str::to_owned)).collect();
    assert_eq!(keys, [Some("1234".to_owned()), Some("1234".to_owned())]);

    // Once, and only for a JWT that may have changed.
    for (auth, requests) in [(with_token(), 2), (operation_pin(), 1)] {
        let server = Server::saying(401, WRONG_TOKEN);
        assert!(open(&server, auth).login(b"1234", soon()).is_err());
        assert_eq!(server.seen().len(), requests);
    }
    // A refused PIN is one, however new the JWT.
    let server = Server::saying(401, WRONG_KEY);
    assert!(open(&server, with_token()).login(b"1234", soon()).is_err());
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_pin_is_proven_used_and_forgotten() {
    let server = Server::start(|seen| match (seen.key(), seen.target.as_str()) {
        (Some("1234"), "POST /v1/synchronousSign") => (200, r#"{"signature":"YXNk"}"#.into()),
        (Some("1234"), target) if target.starts_with("GET /v1/request/") => (404, UNKNOWN_REQUEST.into()),
        _ => (401, WRONG_KEY.into()),
    });
    let hsm = open(&server, operation_pin());
    assert!(hsm.login_required() && !hsm.may_list());
    assert_eq!(sign(&hsm, RSA, &[0; 32], None).unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN);
    assert_eq!(server.seen().len(), 0, "without a credential there is nothing to ask");

    assert_eq!(hsm.login(b"9999", soon()).unwrap_err().rv(), CKR_PIN_INCORRECT);
    assert_eq!(server.seen().len(), 1);
    assert_eq!(sign(&hsm, RSA, &[0; 32], None).unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN);

    hsm.login(b"1234", soon()).unwrap();
    assert_eq!(sign(&hsm, RSA, &[0; 32], None).unwrap(), b"asd");
    hsm.logout();
    let before = server.seen().len();
    assert_eq!(sign(&hsm, RSA, &[0; 32], None).unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN);
    assert_eq!(server.seen().len(), before);

    let id = server.targets()[1].trim_start_matches("GET /v1/request/").to_owned();
    // The form of RFC 9562 section 4, version 4, variant 10.
    let groups: Vec<_> = id.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12]);
    assert_eq!(&id[14..15], "4");
    assert!("89ab".contains(&id[19..20]));
}

#[test]
fn a_pin_that_no_header_takes_is_not_sent() {
    let server = Server::saying(200, "[]");
    let hsm = open(&server, operation_pin());
    for pin in [&b""[..], b"a b", b"a\r\nX: y", b"\xff", "\u{e9}".as_bytes()] {
        assert_eq!(hsm.login(pin, soon()).unwrap_err().rv(), CKR_PIN_INCORRECT);
    }
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn what_says_nothing_of_the_pin_is_no_verdict_on_it() {
    let licence = r#"{"errorCode":451,"reason":"res.error.client.endpoint.not.licensed","message":"…"}"#;
    assert!(open(&Server::saying(403, licence), operation_pin()).login(b"1234", soon()).is_ok());
    for (status, body) in [(502, "<html>"), (404, "<html>"), (500, r#"{"errorCode":2}"#), (503, "")] {
        let server = Server::saying(status, body);
        let hsm = open(&server, operation_pin());
        assert_eq!(hsm.login(b"1234", soon()).unwrap_err().rv(), CKR_DEVICE_ERROR, "{status}");
        assert_eq!(server.seen().len(), 1, "a PIN is not sent twice");
        assert_eq!(sign(&hsm, RSA, &[0; 32], None).unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN);
    }
}

#[test]
fn a_pin_may_be_the_jwt() {
    let server = Server::start(|seen| match seen.header("authorization") {
        Some("Bearer a.b.c") => (200, "[]".into()),
        _ => (400, r#"{"errorCode":617,"reason":"res.error.invalid.access.token"}"#.into()),
    });
    let hsm = open(&server, config::Auth { bearer: Some(Secret::Pin), ..config::Auth::default() });
    assert!(!hsm.may_list());
    assert_eq!(hsm.login(b"x.y.z", soon()).unwrap_err().rv(), CKR_PIN_INCORRECT);
    hsm.login(b"a.b.c", soon()).unwrap();
    assert!(hsm.may_list());
    assert_eq!(
        server.targets(),
        ["GET /v1/key", "GET /v1/key", "GET /v1/licenseInfo", "GET /v1/versionInfo"]
    );
    assert_eq!(server.seen()[0].key(), None);
}

#[test]
fn without_a_secret_to_bring_the_ones_at_hand_are_proven() {
    let server = Server::start(|seen| match seen.key() {
        Some("m") => (200, "[]".into()),
        _ => (401, WRONG_KEY.into()),
    });
    let hsm = open(&server, three_keys());
    assert!(!hsm.login_required() && hsm.may_list());
    hsm.login(b"anything", soon()).unwrap();
    assert_eq!(server.targets()[0], "GET /v1/key");

    let server = Server::saying(401, WRONG_KEY);
    assert_eq!(open(&server, three_keys()).login(b"", soon()).unwrap_err().rv(), CKR_PIN_INCORRECT);
}

const NOT_VALID: &str = r#"{"errorCode":600,"reason":"res.error.input.validation.failed"}"#;
const NOT_IMPLEMENTED: &str = r#"{"errorCode":101,"reason":"res.error.not.implemented"}"#;

fn all_pins() -> config::ApiKeys {
    let pin = || vec![Secret::Pin];
    config::ApiKeys {
        key_management: pin(),
        key_operation: pin(),
        approver: pin(),
        service: pin(),
        approver_key_management: pin(),
    }
}

/// What a service with one key a role answers to the probes. `None`: no probe.
fn probed(seen: &Seen, key: impl Fn(Role) -> &'static str) -> Option<(u16, String)> {
    let (role, answer) = match seen.target.as_str() {
        "GET /v1/key" => (Role::KeyManagement, (200, "[]")),
        target if target.starts_with("GET /v1/request/") => (Role::KeyOperation, (404, UNKNOWN_REQUEST)),
        "GET /v1/versionInfo" => (Role::Service, (200, r#"{"Version":"2.5.1"}"#)),
        "GET /v1/approverManagement/onboarding/status" => {
            (Role::ApproverKeyManagement, (501, NOT_IMPLEMENTED))
        }
        "POST /v1/filteredSignApprovalTask" => (Role::Approver, (400, NOT_VALID)),
        _ => return None,
    };
    let (status, body) = if seen.key() == Some(key(role)) { answer } else { (401, WRONG_KEY) };
    Some((status, body.to_owned()))
}

#[test]
fn each_secret_that_the_pin_fills_is_proven() {
    let server = Server::start(|seen| probed(seen, |_| "1234").unwrap_or((401, WRONG_KEY.into())));
    let hsm = open(&server, with_keys(all_pins()));
    hsm.login(b"1234", soon()).unwrap();
    assert_eq!(hsm.firmware(), Some(Firmware { major: 2, minor: 5 }));
    let targets = server.targets();
    let [keys, request, version, approvers, tasks, licence] = &targets[..] else { panic!("{targets:?}") };
    assert_eq!((keys.as_str(), version.as_str()), ("GET /v1/key", "GET /v1/versionInfo"));
    assert!(request.starts_with("GET /v1/request/"));
    assert_eq!(approvers, "GET /v1/approverManagement/onboarding/status");
    assert_eq!(tasks, "POST /v1/filteredSignApprovalTask");
    assert_eq!(server.seen()[4].body, "{}");
    assert_eq!(licence, "GET /v1/licenseInfo");
}

/// Whichever role refuses it: nothing is kept, and the rest is not asked.
#[test]
fn a_pin_that_one_role_refuses_is_incorrect() {
    for (at, refusing) in Role::ALL.into_iter().enumerate() {
        let key = move |role| if role == refusing { "other" } else { "1234" };
        let server = Server::start(move |seen| probed(seen, key).unwrap_or((401, WRONG_KEY.into())));
        let hsm = open(&server, with_keys(all_pins()));
        assert_eq!(hsm.login(b"1234", soon()).unwrap_err().rv(), CKR_PIN_INCORRECT, "{refusing:?}");
        assert_eq!(server.seen().len(), at + 1, "{refusing:?}");
        assert_eq!(hsm.list(soon()).unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN);
        assert_eq!(server.seen().len(), at + 1);
    }
}

#[test]
fn a_pin_may_have_a_secret_for_each_role() {
    let server = Server::start(|seen| match seen.header("authorization") {
        Some("Bearer j.w.t") => probed(seen, Role::name).unwrap_or((401, WRONG_KEY.into())),
        _ => (400, r#"{"errorCode":617}"#.into()),
    });
    let api_key = config::ApiKeys { approver: Vec::new(), service: literal("s"), ..all_pins() };
    let auth = || config::Auth {
        bearer: Some(Secret::Pin),
        pin_format: PinFormat::Roles,
        ..with_keys(config::ApiKeys { key_management: vec![Secret::Pin], ..config::ApiKeys::default() })
    };
    let hsm = open(&server, config::Auth { api_key, ..auth() });
    let pin = "key_operation=key_operation,bearer=j.w.t,\
               approver_key_management=approver_key_management,key_management=key_management";
    hsm.login(pin.as_bytes(), soon()).unwrap();
    assert_eq!(hsm.list(soon()).unwrap(), []);

    let hsm = open(&server, auth());
    let before = server.seen().len();
    let wrong = hsm.login(b"s3cret", soon()).unwrap_err();
    assert_eq!(wrong.rv(), CKR_PIN_INCORRECT);
    assert_eq!(wrong.to_string(), "logging in: the PIN is not bearer=…,key_management=…");
    assert_eq!(server.seen().len(), before, "it is not sent");
    for refused in ["bearer=x,key_management=key_management", "bearer=j.w.t,key_management=x"] {
        assert_eq!(hsm.login(refused.as_bytes(), soon()).unwrap_err().rv(), CKR_PIN_INCORRECT);
        assert!(!hsm.may_list());
    }
}

/// The JWT is the PIN, and the API keys of the configuration change meanwhile: their refusal is none of the PIN.
#[test]
fn a_refused_key_of_the_configuration_is_no_verdict_on_the_pin() {
    let server = Server::start(|seen| match seen.key() {
        Some("b") => (200, "[]".into()),
        _ => (401, WRONG_KEY.into()),
    });
    let api_key = config::ApiKeys { key_management: literals(&["a", "b"]), ..config::ApiKeys::default() };
    let hsm = open(&server, config::Auth { bearer: Some(Secret::Pin), ..with_keys(api_key) });
    hsm.login(b"j.w.t", soon()).unwrap();
    assert_eq!(server.seen().len(), 2);
}

/// Of each account: what it showed, where, and what came of it.
#[test]
fn each_login_use_renewal_and_logout_is_an_event() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("management.key");
    std::fs::write(&file, "m-0ld").unwrap();
    let good = Arc::new(Mutex::new("m-0ld"));
    let taken = Arc::clone(&good);
    let server = Server::start(move |seen| match (seen.target.as_str(), seen.key()) {
        ("GET /v1/key", Some(key)) if key == *taken.lock() => (200, "[]".into()),
        ("GET /v1/key", _) => (401, WRONG_KEY.into()),
        (target, Some("p1n")) if target.starts_with("GET /v1/request/") => (404, UNKNOWN_REQUEST.into()),
        (target, Some("bus1")) if target.starts_with("GET /v1/request/") => (503, String::new()),
        _ => (401, WRONG_KEY.into()),
    });
    let events = told::events(&["m-0ld", "m-n3w", "p1n", "wr0ng", "bus1"], |log| {
        let auth = |server| {
            let api_key = config::ApiKeys {
                key_management: vec![Secret::File(file.clone())],
                key_operation: vec![Secret::Pin],
                ..config::ApiKeys::default()
            };
            open_telling(server, with_keys(api_key), log)
        };
        let hsm = auth(&server);
        for pin in ["wr0ng", "bus1"] {
            assert!(hsm.login(pin.as_bytes(), soon()).is_err());
        }
        hsm.login(b"p1n", soon()).unwrap();
        hsm.list(soon()).unwrap();
        *good.lock() = "m-n3w";
        assert!(hsm.list(soon()).is_err());
        std::fs::write(&file, "m-n3w").unwrap();
        hsm.list(soon()).unwrap();
        hsm.logout();
        assert!(auth(&Server::nowhere()).login(b"p1n", soon()).is_err());
    });
    // The number of the request that is asked for is another one each time.
    let events: Vec<_> = events
        .iter()
        .map(|event| match event.split_once("/v1/request/") {
            Some((start, end)) => {
                format!("{start}/v1/request/{}", &end["01234567-0123-4123-8123-0123456789ab".len()..])
            }
            None => event.clone(),
        })
        .collect();
    let event = |level, account, what| format!("{level} slot \"test\", account {account:?}: {what}");
    let (unreachable, events) = events.split_last().unwrap();
    assert_eq!(
        events,
        [
            event("WARN", "key_operation", "login at GET /v1/request/: refused with HTTP 401"),
            event("WARN", "key_operation", "login at GET /v1/request/: refused with HTTP 503"),
            event("INFO", "key_operation", "login at GET /v1/request/: granted"),
            event("WARN", "key_management", "use at GET /v1/key: refused with HTTP 401"),
            event("WARN", "key_management", "use at GET /v1/key: refused with HTTP 401"),
            event("INFO", "key_management", "renewal at GET /v1/key: granted"),
            event("INFO", "key_operation", "logout at this side: granted"),
        ]
    );
    assert!(
        unreachable.starts_with(&event("WARN", "key_operation", "login at GET /v1/request/: failed: ")),
        "{unreachable}"
    );
}

/// The gateway in front has ended the token and takes no refresh token: with the kept password there is one full login,
/// without it the user is logged out.
#[test]
fn a_token_that_cannot_be_renewed_is_a_login_or_the_end_of_one() {
    for keep_password in [true, false] {
        let good = Arc::new(Mutex::new(1));
        let wanted = Arc::clone(&good);
        let server = Server::start(move |seen| {
            let (mut token, shown) = (wanted.lock(), seen.header("x-token").map(str::to_owned));
            match seen.target.as_str() {
                "POST /token" if seen.body == r#"{"username":"alice","password":"p4ss"}"# => {
                    *token += seen.key().map_or(1, |_| panic!("a token call carries what is in front alone"));
                    (200, format!(r#"{{"token":"t{token}","refresh_token":"r"}}"#))
                }
                "POST /refresh" => (400, "{}".into()),
                _ if shown != Some(format!("t{token}")) => (401, "{}".into()),
                "POST /v1/synchronousSign" => (200, r#"{"signature":"YXNk"}"#.into()),
                _ => (404, UNKNOWN_REQUEST.into()),
            }
        });
        let refresh = config::RefreshCall {
            path: "/refresh".into(),
            body: config::BodyForm::Json,
            fields: vec![("refresh".into(), config::FieldValue::Refresh)],
        };
        let token = config::TokenLogin {
            refresh: Some(refresh),
            header: "X-Token".into(),
            scheme: config::Scheme::Bare,
            keep_password,
            ..config::TokenLogin::plain("/token")
        };
        let hsm = open(
            &server,
            config::Auth {
                user: Some("alice".into()),
                token: Some(Box::new(token)),
                ..operation_keys(literal("o"))
            },
        );
        assert!(hsm.login_required() && !hsm.login_stands());
        hsm.login(b"p4ss", soon()).unwrap();
        assert_eq!(sign(&hsm, RSA, &[0; 32], None).unwrap(), b"asd");
        // Another one than that which there is.
        *good.lock() += 1;
        let before = server.targets().len();
        let outcome = sign(&hsm, RSA, &[0; 32], None);
        let targets = &server.targets()[before..];
        let (sign_call, refresh, login) = ("POST /v1/synchronousSign", "POST /refresh", "POST /token");
        if keep_password {
            assert_eq!(outcome.unwrap(), b"asd");
            assert_eq!(targets, [sign_call, refresh, login, sign_call]);
        } else {
            assert_eq!(outcome.unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN);
            assert_eq!(targets, [sign_call, refresh]);
            assert!(!hsm.login_stands());
        }
    }
}
