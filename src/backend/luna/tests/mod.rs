//! The flows of the dialect against a scripted appliance.

use std::time::Duration;

use secrecy::SecretString;

use super::Luna;
use crate::backend::scripted::{Answer, Seen, Server};
use crate::backend::{Backend, User};
use crate::config::{self, ApplianceLogin, Role, Secret};
use crate::observe::log::Log;
use crate::transport::{Deadline, Kept};

mod account;
mod objects;
mod roles;
mod sessions;
mod tasks;

/// Header lines of an answer.
pub(super) fn kept(lines: &[(&str, &str)]) -> Kept {
    Kept::of(lines)
}

/// `base64("robot:s3cret")`
const BASIC: &str = "Basic cm9ib3Q6czNjcmV0";
const PIN: &[u8] = b"userpin-1";
const PARTITION: &str = "/api/lunasa/hsms/154704/partitions/1682975235230";
const SESSION_GONE: &str = "FRAMEWORK_SESSION_NOT_PRIVATE";
const WEB_SERVER: &str = "GET /api/lunasa/services/webserver";

/// Method and path below the partition.
fn at(method: &str, rest: &str) -> String {
    format!("{method} {PARTITION}{rest}")
}

fn answer(status: u16, body: impl Into<String>) -> Answer {
    Answer { status, headers: Vec::new(), body: body.into() }
}

fn located(status: u16, location: &str) -> Answer {
    Answer { headers: vec![("Location", location.to_owned())], ..answer(status, "") }
}

/// An error object (section 7).
fn fault(status: u16, id: &str) -> Answer {
    let kind = if id.starts_with("HSMPLUGIN") { "PLUGIN" } else { "FRAMEWORK" };
    let body = serde_json::json!({
        "id": id, "message": "short", "details": "long", "returnCode": status, "status": "ERROR", "type": kind,
    });
    answer(status, body.to_string())
}

/// The state of a role (section 5) with these members instead of the usual ones.
fn role(changes: serde_json::Value) -> Answer {
    let mut state = serde_json::json!({
        "id": "co", "name": "Crypto Officer", "initialized": true, "activated": false, "lockedOut": false,
        "loginAttemptsLeft": 10, "pinToBeChanged": false, "challengeToBeChanged": false,
        "primaryAuthentication": "PIN", "secondaryAuthentication": "None",
    });
    let (state_members, changes) = (state.as_object_mut().unwrap(), changes.as_object().unwrap().clone());
    state_members.extend(changes);
    answer(200, state.to_string())
}

/// What an appliance answers where a test has nothing else in mind.
fn usual(seen: &Seen) -> Answer {
    let (method, path) = seen.target.split_once(' ').unwrap();
    match (method, path.strip_prefix(PARTITION).unwrap_or(path)) {
        ("POST", "/auth/session") => {
            Answer { headers: vec![("Set-Cookie", "sid=\"1/+\"; Path=/; Secure".into())], ..answer(204, "") }
        }
        ("DELETE", "/auth/session" | "/auth/jwt") | ("POST", "/logout") => answer(204, ""),
        ("POST", "/auth/jwt") => answer(200, r#"{"accessToken":"tok-1"}"#),
        ("GET", "/api/lunasa/hsms") => {
            answer(200, r#"{"hsms":[{"id":"154704","url":"/api/lunasa/hsms/154704"}]}"#)
        }
        ("GET", "/api/lunasa/hsms/154704/partitions") => {
            answer(200, r#"{"partitions":[{"id":"1682975235230","url":"…"}]}"#)
        }
        ("GET", "") => answer(200, r#"{"name":"pay","label":"payments","state":"initialized","version":1}"#),
        ("GET", "/roles/co" | "/roles/cu" | "/roles/so") => role(serde_json::json!({})),
        ("POST", "/login") => located(204, "/api/lunasa/hsms/154704/partitions/1682975235230/login/so/3"),
        ("GET", "/api/lunasa/hsms/154704/firmware") => answer(200, r#"{"version":"7.8.4"}"#),
        ("GET", "/api/lunasa/hsms/154704/storageSpace") => {
            answer(200, r#"{"total":1000,"used":400,"free":600}"#)
        }
        ("GET", "/api/lunasa/services/webserver") => answer(200, r#"{"port":8443}"#),
        _ => fault(404, "HSMPLUGIN_INVALID_OBJECT"),
    }
}

/// An appliance that answers by `script`, and as usual where that has nothing.
fn appliance(script: impl Fn(&Seen) -> Option<Answer> + Send + Sync + 'static) -> Server {
    Server::answering(move |seen| script(seen).unwrap_or_else(|| usual(seen)))
}

/// The account `robot`, whose password is `s3cret`.
fn settings() -> config::Luna {
    config::Luna {
        login: ApplianceLogin::Basic,
        user: "robot".into(),
        password: Some(Secret::Literal("s3cret".into())),
        send_basic: false,
        partition: None,
        role: Role::CryptoOfficer,
        so: false,
        final_try: false,
        ped: None,
        api_version: Some(15),
        session_idle: Duration::from_secs(600),
        keep_pin: false,
        set_pin: None,
    }
}

fn open(server: &Server, settings: &config::Luna) -> Luna {
    let url = config::Url { tls: false, host: "127.0.0.1".into(), port: server.port, path: String::new() };
    let token = config::Token { members: vec![vec![url]], ..config::Token::plain("test") };
    Luna::open(&token, settings, &Log::off()).unwrap()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

fn log_in(luna: &Luna) {
    luna.login(PIN, soon()).unwrap();
}

/// The code of a login that fails.
fn refused(luna: &Luna) -> cryptoki_sys::CK_RV {
    luna.login(PIN, soon()).unwrap_err().rv()
}

/// How often that was asked for.
fn count(server: &Server, target: &str) -> usize {
    server.targets().iter().filter(|seen| *seen == target).count()
}

/// The requests with that target.
fn those(server: &Server, target: &str) -> Vec<Seen> {
    server.seen().into_iter().filter(|seen| seen.target == target).collect()
}
