//! The flows of the dialect against a scripted server.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::backend::scripted::{Seen, Server};
use crate::config::Secret;

mod generation;
mod keys;
mod login;
mod operations;

const TOKENS: &str = "POST /api/v1/auth/tokens";
const EXPIRED: &str = r#"{"code":1,"codeDesc":"Unauthorized","message":"Token is expired"}"#;
const MISSING: &str = r#"{"code":6,"codeDesc":"Resource not found","message":"Resource not found"}"#;
const BAD: &str = r#"{"code":8,"codeDesc":"Bad request","message":"not supported"}"#;

/// The settings where nothing is said.
pub(super) fn plain() -> config::CipherTrust {
    config::CipherTrust {
        prefix: "/api/v1".into(),
        domain: None,
        auth_domain: None,
        connection: None,
        keep_password: true,
        owner: None,
        labels: Vec::new(),
        max_message: 1 << 20,
        prehashed: None,
        pkcs1: None,
        pss: "RSASSA-PSS".into(),
        oaep_hash: Hash::Sha1,
    }
}

/// The account `u` at `server`, whose password is the PIN.
fn open(server: &Server, settings: &config::CipherTrust) -> Arc<dyn Backend> {
    let url = config::Url { tls: false, host: "127.0.0.1".into(), port: server.port, path: String::new() };
    let auth = config::Auth { user: Some("u".into()), password: Secret::Pin, ..config::Auth::default() };
    let token = config::Token { members: vec![vec![url]], auth, ..config::Token::plain("test") };
    super::open(&token, settings, &Log::off()).unwrap()
}

/// The same, logged in.
fn user(server: &Server, settings: &config::CipherTrust) -> Arc<dyn Backend> {
    let hsm = open(server, settings);
    hsm.login(b"p", soon()).unwrap();
    hsm
}

/// A server that gives tokens, and answers everything else by its script.
fn with_tokens(script: impl Fn(&Seen) -> (u16, String) + Send + Sync + 'static) -> Server {
    Server::start(move |seen| if seen.target == TOKENS { (200, granted("t")) } else { script(seen) })
}

/// An answer with that access token, and a refresh token.
fn granted(token: &str) -> String {
    json!({ "jwt": token, "duration": 300, "token_type": "Bearer", "refresh_token": format!("r-{token}"),
            "refresh_token_expires_in": 1799 })
    .to_string()
}

fn data(text: &str) -> String {
    json!({ "data": text }).to_string()
}

fn body(seen: &Seen) -> Value {
    serde_json::from_str(&seen.body).unwrap()
}

/// The requests but those for tokens.
fn calls(server: &Server) -> Vec<String> {
    server.targets().into_iter().filter(|target| target != TOKENS).collect()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}
