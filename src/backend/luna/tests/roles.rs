//! Logins of roles: what is sent, how often, and what a refusal means (sections 5 and 12.3).

use std::sync::Arc;

use cryptoki_sys::{
    CKR_DEVICE_ERROR, CKR_FUNCTION_NOT_SUPPORTED, CKR_FUNCTION_REJECTED, CKR_PIN_EXPIRED, CKR_PIN_INCORRECT,
    CKR_PIN_INVALID, CKR_PIN_LEN_RANGE, CKR_PIN_LOCKED, CKR_TOKEN_NOT_PRESENT, CKR_USER_PIN_NOT_INITIALIZED,
};
use serde_json::json;

use super::*;
use crate::backend::routed::Routed;
use crate::backend::{Firmware, Memory, PinState};
use crate::config::SetPin;

#[test]
fn a_login_is_a_private_session_with_a_role() {
    let server = appliance(|_| None);
    let luna = open(&server, &settings());
    assert!(luna.login_required() && luna.may_list() && !luna.login_stands());
    log_in(&luna);
    assert!(luna.login_stands());
    luna.logout();
    assert!(!luna.login_stands());
    let expected = [
        "GET /api/lunasa/hsms".to_owned(),
        "GET /api/lunasa/hsms/154704/partitions".to_owned(),
        at("GET", ""),
        "POST /auth/session".to_owned(),
        at("GET", "/roles/co"),
        at("POST", "/login"),
        "GET /api/lunasa/hsms/154704/firmware".to_owned(),
        "GET /api/lunasa/hsms/154704/storageSpace".to_owned(),
        at("POST", "/logout"),
        "DELETE /auth/session".to_owned(),
    ];
    assert_eq!(server.targets(), expected);
    let seen = server.seen();
    // Up to the session the password carries the calls, from then on its cookie alone.
    for (number, seen) in seen.iter().enumerate() {
        let (basic, cookie) = if number <= 3 { (Some(BASIC), None) } else { (None, Some("sid=\"1/+\"")) };
        assert_eq!((seen.header("authorization"), seen.header("cookie")), (basic, cookie), "{}", seen.target);
        let media_type = Some("application/vnd.safenetinc.lunasa+json;version=15");
        assert_eq!(seen.header("accept"), media_type);
        let has_body = seen.target.starts_with("POST");
        assert_eq!(seen.header("content-type"), media_type.filter(|_| has_body));
    }
    assert_eq!((&*seen[3].body, &*seen[8].body), ("{}", "{}"));
    assert_eq!(seen[5].body, r#"{"ped":"0","password":"userpin-1","role":"co"}"#);
    luna.logout();
    luna.close(soon());
    assert_eq!(server.seen().len(), expected.len(), "nothing was left to end");
}

#[test]
fn the_role_is_the_configured_one_and_basic_is_sent_if_it_is_to_be() {
    let server = appliance(|_| None);
    let luna = open(
        &server,
        &config::Luna { role: Role::CryptoUser, send_basic: true, so: true, api_version: None, ..settings() },
    );
    log_in(&luna);
    luna.logout();
    luna.login_so(b"officer-1", soon()).unwrap();
    let bodies: Vec<_> = those(&server, &at("POST", "/login")).into_iter().map(|seen| seen.body).collect();
    let expected = [
        r#"{"ped":"0","password":"userpin-1","role":"cu"}"#,
        r#"{"ped":"0","password":"officer-1","role":"so"}"#,
    ];
    assert_eq!(bodies, expected);
    assert_eq!(count(&server, &at("GET", "/roles/so")), 1);
    for seen in server.seen() {
        assert_eq!(seen.header("authorization"), Some(BASIC), "{}", seen.target);
        assert_eq!(seen.header("accept"), Some("application/vnd.safenetinc.lunasa+json;version="));
    }
}

#[test]
fn what_was_told_is_what_the_token_says() {
    let server = appliance(|seen| {
        (seen.target == at("GET", "/roles/co"))
            .then(|| role(json!({"loginAttemptsLeft": 9, "pinToBeChanged": true})))
    });
    let luna = open(&server, &settings());
    let before = luna.token_state();
    assert!(before.write_protected && !before.protected_path && before.so_pin.is_none());
    assert_eq!((before.memory, luna.firmware()), (None, None));
    log_in(&luna);
    assert_eq!(luna.firmware(), Some(Firmware { major: 7, minor: 8 }));
    let state = luna.token_state();
    assert_eq!(state.memory, Some(Memory { total: 1000, free: 600 }));
    let expected = PinState { initialized: true, to_be_changed: true, ..PinState::default() };
    assert_eq!(state.user_pin, expected);
}

/// Section 12.3: the state of the role tells why. Whatever it is, the password went out once.
#[test]
fn a_refused_password_is_sent_once_and_the_role_says_why() {
    let refusals: [fn() -> Answer; 4] = [
        || fault(401, "HSMPLUGIN_LOGIN_FAILED"),
        || fault(400, "HSMPLUGIN_LOGIN_FAILED"),
        || fault(401, "HSMPLUGIN_PARTITION_USER_NOT_AUTHENTICATED"),
        || answer(401, ""),
    ];
    for refusal in refusals {
        for (after, expected) in [
            (json!({"loginAttemptsLeft": 8}), CKR_PIN_INCORRECT),
            (json!({"lockedOut": true, "loginAttemptsLeft": 0}), CKR_PIN_LOCKED),
            (json!({"initialized": false}), CKR_USER_PIN_NOT_INITIALIZED),
            (json!({"pinToBeChanged": true}), CKR_PIN_EXPIRED),
        ] {
            let tried = std::sync::atomic::AtomicBool::new(false);
            let server = appliance(move |seen| match &*seen.target {
                target if target == at("POST", "/login") => {
                    tried.store(true, std::sync::atomic::Ordering::SeqCst);
                    Some(refusal())
                }
                target
                    if target == at("GET", "/roles/co")
                        && tried.load(std::sync::atomic::Ordering::SeqCst) =>
                {
                    Some(role(after.clone()))
                }
                _ => None,
            });
            let luna = open(&server, &settings());
            assert_eq!(refused(&luna), expected);
            assert_eq!(count(&server, &at("POST", "/login")), 1);
            assert!(!luna.login_stands());
            assert_eq!(luna.token_state().user_pin.locked, expected == CKR_PIN_LOCKED);
            assert_eq!(server.targets().last().map(String::as_str), Some("DELETE /auth/session"));
        }
    }
}

#[test]
fn an_error_that_is_not_about_the_password_does_not_blame_it() {
    for (status, id, expected) in [
        (401, SESSION_GONE, CKR_DEVICE_ERROR),
        (401, "FRAMEWORK_NO_ACL_RULE", CKR_FUNCTION_REJECTED),
        (403, "HSMPLUGIN_SMK_ROLLOVER_IN_PROGRESS", CKR_FUNCTION_REJECTED),
        (404, "HSMPLUGIN_INVALID_PARTITION", CKR_TOKEN_NOT_PRESENT),
        (500, "", CKR_DEVICE_ERROR),
    ] {
        let server = appliance(move |seen| (seen.target == at("POST", "/login")).then(|| fault(status, id)));
        let luna = open(&server, &settings());
        assert_eq!(refused(&luna), expected, "{status} {id}");
        assert_eq!(count(&server, &at("POST", "/login")), 1);
        assert_eq!(count(&server, &at("GET", "/roles/co")), 1);
    }
}

/// The session ended just before the login, and the answer says no more than 401.
#[test]
fn a_session_that_ended_before_the_login_does_not_blame_the_password() {
    let gone = std::sync::atomic::AtomicBool::new(false);
    let server = appliance(move |seen| {
        gone.fetch_or(seen.target == at("POST", "/login"), std::sync::atomic::Ordering::SeqCst);
        (gone.load(std::sync::atomic::Ordering::SeqCst) && seen.header("cookie").is_some())
            .then(|| fault(401, "FRAMEWORK_UNAUTHORIZED"))
    });
    assert_eq!(refused(&open(&server, &settings())), CKR_DEVICE_ERROR);
    assert_eq!(count(&server, &at("POST", "/login")), 1);
}

#[test]
fn what_is_known_to_fail_or_dangerous_is_not_tried() {
    for (state, expected) in [
        (json!({"lockedOut": true}), CKR_PIN_LOCKED),
        (json!({"initialized": false}), CKR_USER_PIN_NOT_INITIALIZED),
        (json!({"loginAttemptsLeft": 1}), CKR_PIN_LOCKED),
        (json!({"loginAttemptsLeft": "1"}), CKR_PIN_LOCKED),
        (json!({"loginAttemptsLeft": 0}), CKR_PIN_LOCKED),
    ] {
        let told = state.clone();
        let server =
            appliance(move |seen| (seen.target == at("GET", "/roles/co")).then(|| role(told.clone())));
        let luna = open(&server, &settings());
        assert_eq!(refused(&luna), expected, "{state}");
        assert_eq!(count(&server, &at("POST", "/login")), 0);
        let pin = luna.token_state().user_pin;
        assert_eq!(pin.final_try, state["loginAttemptsLeft"] == 1 || state["loginAttemptsLeft"] == "1");
        assert_eq!(pin.locked, state["lockedOut"] == true);
        assert_eq!(pin.initialized, state["initialized"] != false);
    }
}

#[test]
fn the_last_try_is_for_those_who_say_so() {
    let last =
        |seen: &Seen| (seen.target == at("GET", "/roles/co")).then(|| role(json!({"loginAttemptsLeft": 1})));
    let server = appliance(last);
    log_in(&open(&server, &config::Luna { final_try: true, ..settings() }));
    assert_eq!(count(&server, &at("POST", "/login")), 1);
    // Whoever may not see how many are left does not try either.
    let blind =
        |seen: &Seen| (seen.target == at("GET", "/roles/co")).then(|| fault(401, "FRAMEWORK_NO_ACL_RULE"));
    let server = appliance(blind);
    assert_eq!(refused(&open(&server, &settings())), CKR_FUNCTION_REJECTED);
    assert_eq!(count(&server, &at("POST", "/login")), 0);
    let server = appliance(blind);
    log_in(&open(&server, &config::Luna { final_try: true, ..settings() }));
    assert_eq!(count(&server, &at("POST", "/login")), 1);
}

/// Whether the appliance does not tell the number, or tells something that is none.
#[test]
fn an_unknown_number_of_tries_counts_as_the_last_one() {
    for untold in [json!({"loginAttemptsLeft": null}), json!({"loginAttemptsLeft": "many"})] {
        let server =
            appliance(move |seen| (seen.target == at("GET", "/roles/co")).then(|| role(untold.clone())));
        assert_eq!(refused(&open(&server, &settings())), CKR_FUNCTION_REJECTED);
        assert_eq!(count(&server, &at("POST", "/login")), 0);
        log_in(&open(&server, &config::Luna { final_try: true, ..settings() }));
    }
    let server = appliance(|seen| (seen.target == at("GET", "/roles/co")).then(|| answer(200, "{}")));
    assert_eq!(refused(&open(&server, &settings())), CKR_FUNCTION_REJECTED);
}

#[test]
fn a_pin_that_cannot_be_one_is_not_sent() {
    let server = appliance(|_| None);
    let luna = open(&server, &settings());
    for pin in [&b""[..], b"\xff\xfe"] {
        assert_eq!(luna.login(pin, soon()).unwrap_err().rv(), CKR_PIN_INCORRECT);
    }
    assert_eq!(count(&server, &at("POST", "/login")), 0);
}

#[test]
fn a_password_is_changed_by_the_configured_call_alone() {
    let server = appliance(|_| None);
    let luna = open(&server, &settings());
    let rv = luna.set_pin(User::User, PIN, b"userpin-2", soon()).unwrap_err().rv();
    assert_eq!((rv, server.seen().len()), (CKR_FUNCTION_NOT_SUPPORTED, 0));
    for (form, target, expected) in [
        (SetPin::Patch, at("PATCH", "/roles/co"), r#"{"oldPassword":"userpin-1","newPassword":"userpin-2"}"#),
        (
            SetPin::Put,
            at("PUT", "/roles/co/password"),
            r#"{"oldPassword":"userpin-1","newPassword":"userpin-2","ped":"0"}"#,
        ),
    ] {
        let wanted = target.clone();
        let server = appliance(move |seen| (seen.target == wanted).then(|| answer(202, "")));
        let luna = open(&server, &config::Luna { set_pin: Some(form), ..settings() });
        assert!(!luna.token_state().write_protected);
        luna.set_pin(User::User, PIN, b"userpin-2", soon()).unwrap();
        let sent = those(&server, &target);
        assert_eq!((sent.len(), &*sent[0].body), (1, expected));
        assert_eq!(server.targets().last().map(String::as_str), Some("DELETE /auth/session"));
        for (old, new, expected) in [
            (&b""[..], &b"userpin-2"[..], CKR_PIN_INCORRECT),
            (PIN, b"", CKR_PIN_LEN_RANGE),
            (PIN, b"7 bytes", CKR_PIN_LEN_RANGE),
            (PIN, &[b'x'; 256], CKR_PIN_LEN_RANGE),
        ] {
            assert_eq!(luna.set_pin(User::User, old, new, soon()).unwrap_err().rv(), expected);
        }
        assert_eq!(those(&server, &target).len(), 1);
    }
}

/// The partition gets its own part of the PIN, and a part that is another slot's is not changed.
#[test]
fn a_pin_in_two_parts_is_changed_in_the_partition_alone() {
    let target = at("PATCH", "/roles/co");
    let wanted = target.clone();
    let server = appliance(move |seen| (seen.target == wanted).then(|| answer(202, "")));
    let other = appliance(|_| None);
    let front = open(&server, &config::Luna { set_pin: Some(SetPin::Patch), ..settings() });
    let crypto = open(&other, &settings());
    let routed = Routed::of(Arc::new(front), Arc::new(crypto), Some(":".into()));
    for (old, new, expected) in [
        ("userpin-1", "userpin-2:other-1", CKR_PIN_INCORRECT),
        ("userpin-1:other-1", "userpin-2", CKR_PIN_INVALID),
        ("userpin-1:other-1", "userpin-2:other-2", CKR_PIN_INVALID),
    ] {
        let outcome = routed.set_pin(User::User, old.as_bytes(), new.as_bytes(), soon());
        assert_eq!(outcome.unwrap_err().rv(), expected, "{old} {new}");
    }
    assert!(server.seen().is_empty());
    routed.set_pin(User::User, b"userpin-1:other-1", b"userpin-2:other-1", soon()).unwrap();
    let bodies: Vec<_> = those(&server, &target).into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies, [r#"{"oldPassword":"userpin-1","newPassword":"userpin-2"}"#]);
    assert!(other.seen().is_empty());
}

#[test]
fn a_wrong_old_password_is_sent_once_and_the_last_try_spared() {
    let change = at("PATCH", "/roles/co");
    let wanted = change.clone();
    let server = appliance(move |seen| (seen.target == wanted).then(|| fault(401, "HSMPLUGIN_LOGIN_FAILED")));
    let patch = config::Luna { set_pin: Some(SetPin::Patch), ..settings() };
    let luna = open(&server, &patch);
    let rv = |luna: &Luna| luna.set_pin(User::User, PIN, b"userpin-2", soon()).unwrap_err().rv();
    assert_eq!((rv(&luna), count(&server, &change)), (CKR_PIN_INCORRECT, 1));
    let server = appliance(|seen| {
        (seen.target == at("GET", "/roles/co")).then(|| role(json!({"loginAttemptsLeft": 1})))
    });
    assert_eq!((rv(&open(&server, &patch)), count(&server, &change)), (CKR_PIN_LOCKED, 0));
}
