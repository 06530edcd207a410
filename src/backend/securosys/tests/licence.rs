//! Version and licence, which nobody waits for.

use std::time::Instant;

use super::*;

/// A service with this answer to the question for its licence.
fn saying(licence: (u16, &'static str)) -> Server {
    Server::start(move |seen| match seen.target.as_str() {
        "GET /v1/key" => (200, "[]".into()),
        "GET /v1/licenseInfo" => (licence.0, licence.1.into()),
        _ => (200, r#"{"Version":"2.5.1"}"#.into()),
    })
}

#[test]
fn without_its_flag_the_service_is_not_used() {
    for (licence, licensed) in [
        (r#"{"clientFlags":["KEY_AUTH","REST_API","TSB_ENGINE"]}"#, true),
        (r#"{"clientFlags":["KEY_AUTH","TSB_ENGINE"]}"#, false),
        (r#"{"clientFlags":[]}"#, false),
        // The service has not said it.
        (r#"{"clientFlags":null}"#, true),
        ("{}", true),
        ("REST", true),
    ] {
        let hsm = open(&saying((200, licence)), three_keys());
        assert!(hsm.is_licensed(), "before it is known");
        hsm.list(soon()).unwrap();
        assert_eq!(hsm.is_licensed(), licensed, "{licence}");
        assert_eq!(hsm.firmware(), Some(Firmware { major: 2, minor: 5 }));
    }
}

#[test]
fn a_question_that_fails_takes_nothing_away() {
    for refusal in [(401, WRONG_KEY), (403, ""), (404, ""), (500, r#"{"errorCode":2}"#)] {
        let hsm = open(&saying(refusal), three_keys());
        hsm.login(b"", soon()).unwrap();
        assert!(hsm.is_licensed(), "{refusal:?}");
        assert_eq!(hsm.firmware(), Some(Firmware { major: 2, minor: 5 }));
    }
}

#[test]
fn a_service_that_is_silent_about_itself_costs_two_seconds() {
    let server = Server::start(|seen| {
        if seen.target != "GET /v1/key" {
            thread::sleep(Duration::from_secs(20));
        }
        (200, "[]".into())
    });
    let hsm = open(&server, three_keys());
    let begin = Instant::now();
    hsm.list(soon()).unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert!(hsm.is_licensed());
}

#[test]
fn only_a_key_of_the_role_may_ask() {
    let server = saying((200, r#"{"clientFlags":[]}"#));
    let api_key = config::ApiKeys { key_management: literal("m"), ..config::ApiKeys::default() };
    let hsm = open(&server, with_keys(api_key));
    hsm.list(soon()).unwrap();
    assert_eq!(server.targets(), ["GET /v1/key"]);
    assert!(hsm.is_licensed());
}

#[test]
fn a_licence_that_was_missing_is_asked_for_at_each_login() {
    let flags = Arc::new(Mutex::new("[]"));
    let now = Arc::clone(&flags);
    let server = Server::start(move |seen| match seen.target.as_str() {
        "GET /v1/licenseInfo" => (200, format!(r#"{{"clientFlags":{}}}"#, now.lock())),
        _ => (200, "[]".into()),
    });
    let hsm = open(&server, three_keys());
    let asked = || server.targets().iter().filter(|target| *target == "GET /v1/licenseInfo").count();
    hsm.login(b"", soon()).unwrap();
    hsm.list(soon()).unwrap();
    assert_eq!((hsm.is_licensed(), asked()), (false, 1));
    *flags.lock() = r#"["REST_API"]"#;
    for _ in 0..2 {
        hsm.login(b"", soon()).unwrap();
        assert_eq!((hsm.is_licensed(), asked()), (true, 2));
    }
}
