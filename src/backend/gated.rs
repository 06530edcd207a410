//! One gateway in front of each dialect that has no table for it: what it refuses by itself (JWT and HMAC reference
//! sections 7 and 8), and what the service behind it refuses.

use std::sync::Arc;
use std::time::Duration;

use cryptoki_sys::{
    CK_RV, CKR_DEVICE_ERROR, CKR_FUNCTION_REJECTED, CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_OK,
    CKR_PIN_INCORRECT, CKR_PIN_LOCKED, CKR_USER_NOT_LOGGED_IN,
};
use parking_lot::Mutex;

use super::scripted::{Seen, Server};
use super::{Backend, open};
use crate::config;
use crate::error::Error;
use crate::observe::log::Log;
use crate::transport::Deadline;

const DIALECTS: [&str; 3] = ["ciphertrust", "fast", "securosys"];

/// The names are those of section 7.
fn error(name: &str, status: u16) -> (u16, String) {
    (status, format!(r#"{{"success":false,"code":{status},"error":"{name}","message":"see the manual"}}"#))
}

/// What stands in the way of which calls: their paths have the text.
type Way = Arc<Mutex<Option<(&'static str, (u16, String))>>>;

/// A service with no keys behind a gateway.
fn serve() -> (Server, Way) {
    let way = Way::default();
    let barred = Arc::clone(&way);
    let server = Server::start(move |seen| match &*barred.lock() {
        Some((path, answer)) if seen.target.contains(path) => answer.clone(),
        _ => service(seen),
    });
    (server, way)
}

fn service(seen: &Seen) -> (u16, String) {
    assert!(seen.header("x-signature").is_some(), "{} is signed", seen.target);
    let body = match seen.target.as_str() {
        "POST /api/v1/auth/tokens" => r#"{"jwt":"t","duration":300}"#,
        "POST /api/account/gettoken" => {
            r#"{"success":true,"message":"Success","code":200,"data":{"token":"t"}}"#
        }
        "POST /api/certificate/getinfosn" => {
            r#"{"success":true,"message":"Success","code":200,"data":{"status":"valid"}}"#
        }
        target if target.starts_with("GET /api/v1/vault/keys2") => {
            r#"{"skip":0,"limit":10,"total":0,"resources":[]}"#
        }
        _ => "[]",
    };
    (200, body.to_owned())
}

/// The dialect with signed requests, and these variables besides.
fn slot(backend: &str, server: &Server, more: &[(&str, &str)]) -> Arc<dyn Backend> {
    let url = format!("http://127.0.0.1:{}", server.port);
    let mut variables = vec![
        ("LABEL", "test"),
        ("BACKEND", backend),
        ("URLS", &url),
        ("AUTH_HMAC_KEY_ID", "client-001"),
        ("AUTH_HMAC_SECRET", "hmac-s3cret"),
    ];
    match backend {
        "securosys" => variables.push(("AUTH_API_KEY_KEY_MANAGEMENT", "m")),
        _ => variables.extend([("AUTH_USER", "u"), ("AUTH_PASSWORD", "p4ss")]),
    }
    variables.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    let variables = variables.iter().chain(more);
    let variables = variables.map(|(name, value)| (format!("P11REST_SLOT_0_{name}").into(), (*value).into()));
    let config = config::load(None, &config::Process::with_environment(false, variables)).unwrap();
    open(config.slots[0].token.as_ref().unwrap(), &config, &Log::off()).unwrap()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

/// A call that needs all credentials.
fn ask(backend: &str, hsm: &dyn Backend) -> CK_RV {
    let outcome = match backend {
        "fast" => hsm.describe(&["1234567890ABCDEF".into()], soon()).remove(0).map(drop),
        _ => hsm.list(soon()).map(drop),
    };
    code(outcome)
}

fn code(outcome: Result<(), Error>) -> CK_RV {
    outcome.map_or_else(|error| error.rv(), |()| CKR_OK)
}

fn token_call(backend: &str) -> &'static str {
    match backend {
        "ciphertrust" => "/auth/tokens",
        "fast" => "/gettoken",
        _ => "/token",
    }
}

#[test]
fn what_it_refuses_after_the_login() {
    for backend in DIALECTS {
        let (server, way) = serve();
        let hsm = slot(backend, &server, &[]);
        assert_eq!(code(hsm.login(b"", soon())), CKR_OK, "{backend}");
        for (answer, expected) in [
            (error("BAD_SIGNATURE", 401), CKR_DEVICE_ERROR),
            (error("TIMESTAMP_OUT_OF_RANGE", 401), CKR_DEVICE_ERROR),
            (error("REPLAY", 401), CKR_DEVICE_ERROR),
            (error("IP_NOT_ALLOWED", 403), CKR_DEVICE_ERROR),
            (error("NOT_PERMITTED", 403), CKR_FUNCTION_REJECTED),
            ((401, "Invalid signature".into()), CKR_DEVICE_ERROR),
            ((403, String::new()), CKR_DEVICE_ERROR),
            ((403, "<html>Forbidden</html>".into()), CKR_DEVICE_ERROR),
            ((403, r#"{"message":"Forbidden"}"#.into()), CKR_DEVICE_ERROR),
        ] {
            let asked = server.seen().len();
            *way.lock() = Some(("", answer.clone()));
            assert_eq!(ask(backend, &*hsm), expected, "{backend} {answer:?}");
            // It is no reason to show the password, and no end of the login.
            let shown = server.targets()[asked..]
                .iter()
                .filter(|target| target.contains(token_call(backend)))
                .count();
            assert_eq!(shown, 0, "{backend} {answer:?}");
            *way.lock() = None;
            assert!(hsm.login_stands() && ask(backend, &*hsm) == CKR_OK, "{backend} {answer:?}");
        }
    }
}

#[test]
fn what_the_service_behind_refuses_has_the_codes_of_its_page() {
    for (backend, status, body, expected) in [
        (
            "ciphertrust",
            401,
            r#"{"code":1,"codeDesc":"x","message":"signature of the token"}"#,
            CKR_USER_NOT_LOGGED_IN,
        ),
        (
            "ciphertrust",
            403,
            r#"{"code":12,"codeDesc":"NCERRForbidden","message":"y"}"#,
            CKR_FUNCTION_REJECTED,
        ),
        (
            "fast",
            401,
            r#"{"success":false,"message":"Unauthorized","code":401,"data":null}"#,
            CKR_USER_NOT_LOGGED_IN,
        ),
        (
            "fast",
            200,
            r#"{"success":false,"message":"Unauthorized","code":401,"data":null}"#,
            CKR_USER_NOT_LOGGED_IN,
        ),
        (
            "fast",
            403,
            r#"{"success":false,"message":"Forbidden","code":403,"data":null}"#,
            CKR_KEY_FUNCTION_NOT_PERMITTED,
        ),
        (
            "securosys",
            401,
            r#"{"errorCode":631,"reason":"res.error.invalid.api.key","message":"…"}"#,
            CKR_USER_NOT_LOGGED_IN,
        ),
        ("securosys", 403, r#"{"errorCode":617,"reason":"x","message":"…"}"#, CKR_USER_NOT_LOGGED_IN),
        // Of a token, say.
        ("securosys", 401, "", CKR_USER_NOT_LOGGED_IN),
    ] {
        let (server, way) = serve();
        let hsm = slot(backend, &server, &[]);
        assert_eq!(code(hsm.login(b"", soon())), CKR_OK, "{backend}");
        let path = match backend {
            "ciphertrust" => "/vault/",
            "fast" => "/certificate/",
            _ => "",
        };
        *way.lock() = Some((path, (status, body.to_owned())));
        assert_eq!(ask(backend, &*hsm), expected, "{backend} {status} {body}");
    }
}

#[test]
fn only_the_secret_of_the_pin_makes_it_wrong() {
    for backend in DIALECTS {
        for (answer, with_secret, without) in [
            (error("BAD_SIGNATURE", 401), CKR_PIN_INCORRECT, CKR_DEVICE_ERROR),
            (error("REPLAY", 401), CKR_DEVICE_ERROR, CKR_DEVICE_ERROR),
            (error("IP_NOT_ALLOWED", 403), CKR_DEVICE_ERROR, CKR_DEVICE_ERROR),
            ((403, String::new()), CKR_DEVICE_ERROR, CKR_DEVICE_ERROR),
        ] {
            for (secret, expected) in [("pin", with_secret), ("hmac-s3cret", without)] {
                let (server, way) = serve();
                let hsm = slot(backend, &server, &[("AUTH_HMAC_SECRET", secret)]);
                *way.lock() = Some(("", answer.clone()));
                assert_eq!(code(hsm.login(b"wr0ng", soon())), expected, "{backend} {secret} {answer:?}");
                *way.lock() = None;
                assert_eq!(code(hsm.login(b"right", soon())), CKR_OK, "{backend} {secret} {answer:?}");
            }
        }
    }
}

#[test]
fn a_pin_that_cannot_be_the_secret_is_sent_to_nobody() {
    for backend in DIALECTS {
        let (server, _way) = serve();
        let more = [("AUTH_HMAC_SECRET", "pin"), ("AUTH_HMAC_SECRET_ENCODING", "hex")];
        let hsm = slot(backend, &server, &more);
        assert_eq!(code(hsm.login(b"no digits", soon())), CKR_PIN_INCORRECT, "{backend}");
        assert_eq!(server.seen().len(), 0, "{backend}");
    }
}

/// Section 8: "refresh refused, cannot log in again", but for what looks at no password.
#[test]
fn a_renewal_that_it_refuses() {
    for backend in ["ciphertrust", "fast"] {
        for (answer, expected) in [
            (error("BAD_SIGNATURE", 401), CKR_DEVICE_ERROR),
            (error("IP_NOT_ALLOWED", 403), CKR_DEVICE_ERROR),
            ((401, "{}".into()), CKR_USER_NOT_LOGGED_IN),
        ] {
            let (server, way) = serve();
            let hsm = slot(backend, &server, &[]);
            *way.lock() = Some((token_call(backend), answer.clone()));
            assert_eq!(ask(backend, &*hsm), expected, "{backend} {answer:?}");
        }
    }
}

/// A token of the gateway itself, whose refusals have no words of the service.
#[test]
fn the_login_at_a_gateway() {
    let (server, way) = serve();
    let more = [("AUTH_USER", "u"), ("AUTH_PASSWORD", "pin"), ("AUTH_TOKEN_LOGIN", "/token")];
    let hsm = slot("securosys", &server, &more);
    for (answer, expected) in [
        (error("INVALID_GRANT", 400), CKR_PIN_INCORRECT),
        (error("INVALID_GRANT", 401), CKR_PIN_INCORRECT),
        (error("BAD_SIGNATURE", 401), CKR_DEVICE_ERROR),
        (error("ACCOUNT_LOCKED", 403), CKR_PIN_LOCKED),
        (error("IP_NOT_ALLOWED", 403), CKR_DEVICE_ERROR),
        (error("SLOW_DOWN", 429), CKR_DEVICE_ERROR),
    ] {
        *way.lock() = Some(("/token", answer.clone()));
        let refused = hsm.login(b"p4ss", soon()).unwrap_err();
        assert_eq!(refused.rv(), expected, "{answer:?}");
        assert_eq!(refused.to_string().contains("on its list"), answer.1.contains("IP_"), "{refused}");
    }
}
