//! The REST API of CipherTrust Manager, as far as a client that uses keys needs it (Luna REST reference §11.1).
//!
//! A request passes, in this order: path and method, token, content type, JSON or query, and then what the call checks.

mod creation;
mod crypto;
mod keys;
mod query;
mod refusal;
mod settings;
mod tokens;

use hyper::Method;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::error::Error;
use crate::files::{Directory, toml_string};
use crate::keys::KeyStore;
use crate::vendor::{JSON, Reply, Request, Route, Vendor};
use keys::Vault;
use refusal::{Answer, Refusal};
use settings::Settings;
use tokens::{Account, Tokens};

/// Where tokens are given out, whatever the prefix of the rest (Luna REST reference §14.4).
const TOKENS: &str = "/api/v1/auth/tokens";

/// The type of raw bytes.
const BYTES: &str = "application/octet-stream";

/// Loads the keys of a directory, and makes those that are missing.
pub(crate) fn open(
    directory: &Directory,
    pin: &str,
    settings: &[(String, String)],
) -> Result<Box<dyn Vendor>, Error> {
    let settings = Settings::read(settings)?;
    let vault = Vault::open(KeyStore::open(directory.join("keys"))?, &settings)?;
    Ok(Box::new(CipherTrust { tokens: Tokens::new(pin.to_owned()), vault, settings }))
}

struct CipherTrust {
    settings: Settings,
    tokens: Tokens,
    vault: Vault,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Tokens,
    Keys,
    Key(String),
    Export(String),
    /// With the name of the operation.
    Crypto(&'static str),
}

/// The operations, each with its pattern for the statistics.
const OPERATIONS: [(&str, &str); 6] = [
    ("sign", "/crypto/sign"),
    ("signv", "/crypto/signv"),
    ("mac", "/crypto/mac"),
    ("macv", "/crypto/macv"),
    ("encrypt", "/crypto/encrypt"),
    ("decrypt", "/crypto/decrypt"),
];

impl CipherTrust {
    fn target(&self, path: &str) -> Option<Target> {
        if path.strip_suffix('/').unwrap_or(path) == TOKENS {
            return Some(Target::Tokens);
        }
        let rest = path.strip_prefix(&self.settings.prefix)?;
        if let Some(operation) = rest.strip_prefix("/crypto/") {
            let known = OPERATIONS.iter().find(|(name, _)| *name == operation)?;
            return Some(Target::Crypto(known.0));
        }
        let rest = rest.strip_prefix("/vault/keys2")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.is_empty() {
            return Some(Target::Keys);
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        match rest.strip_prefix('/')?.split_once('/') {
            None => Some(Target::Key(decoded(rest.strip_prefix('/')?))),
            Some((key, "export")) => Some(Target::Export(decoded(key))),
            Some(_) => None,
        }
    }

    fn handle(&self, request: &Request) -> Answer {
        let target = self.target(&request.path).ok_or_else(Refusal::not_found)?;
        check_accept(request)?;
        if target == Target::Tokens {
            return match request.method {
                Method::POST => self.tokens.grant(&body(request)?, &self.settings),
                _ => Err(Refusal::method()),
            };
        }
        self.tokens.admit(request.header("authorization"))?;
        match (&request.method, &target) {
            (&Method::GET, Target::Keys) => self.vault.list(&request.query, &self.settings),
            (&Method::POST, Target::Keys) => self.vault.create(&body(request)?, &self.settings),
            (&Method::GET, Target::Key(key)) => self.vault.describe(key, &self.settings),
            (&Method::DELETE, Target::Key(key)) => self.vault.delete(key, &self.settings),
            (&Method::POST, Target::Export(key)) => self.vault.export(key, &self.settings),
            (&Method::POST, Target::Crypto(operation)) => self.compute(operation, request),
            _ => Err(Refusal::method()),
        }
    }

    fn compute(&self, operation: &str, request: &Request) -> Answer {
        let (vault, settings, query) = (&self.vault, &self.settings, request.query.as_str());
        match operation {
            "sign" => crypto::sign(vault, settings, query, raw(request)?),
            "signv" => crypto::verify(vault, settings, query, raw(request)?),
            "mac" => crypto::mac(vault, settings, query, raw(request)?),
            "macv" => crypto::verify_mac(vault, settings, query, raw(request)?),
            "encrypt" => crypto::encrypt(vault, settings, &body(request)?),
            _ => crypto::decrypt(vault, settings, &body(request)?),
        }
    }
}

/// The content type without its parameters, in lower case.
fn media_type(request: &Request) -> String {
    let whole = request.header("content-type").unwrap_or_default();
    whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn raw(request: &Request) -> Answer<&[u8]> {
    if media_type(request) == BYTES { Ok(&request.body) } else { Err(Refusal::media_type()) }
}

fn body<T: DeserializeOwned>(request: &Request) -> Answer<T> {
    if media_type(request) != JSON {
        return Err(Refusal::media_type());
    }
    serde_json::from_slice(&request.body).map_err(Refusal::bad)
}

/// Every answer is JSON, or empty: a client that takes neither is told so.
fn check_accept(request: &Request) -> Answer<()> {
    let takes = |range: &str| {
        ["*/*", "application/*", JSON].contains(&range.split(';').next().unwrap_or_default().trim())
    };
    match request.header("accept") {
        Some(accept) if !accept.split(',').any(takes) => Err(Refusal::bad("the client does not take JSON")),
        _ => Ok(()),
    }
}

impl Vendor for CipherTrust {
    /// The PIN is the password of the account.
    fn module_slot(&self, _directory: &Directory, url: &str) -> String {
        let mut slot = format!(
            "[[slot]]\nlabel = \"ciphertrust\"\nbackend = \"ciphertrust\"\nurls = [{}]\n\n\
             [slot.auth]\nuser = {}\npassword = \"pin\"\n",
            toml_string(url),
            toml_string(&self.settings.user),
        );
        let mut own = String::new();
        if self.settings.prefix != Settings::default().prefix {
            own += &format!("prefix = {}\n", toml_string(&self.settings.prefix));
        }
        if let Some(domain) = &self.settings.domain {
            own += &format!("domain = {}\n", toml_string(domain));
        }
        if self.settings.pss != Settings::default().pss {
            own += &format!("pss = {}\n", toml_string(&self.settings.pss));
        }
        if self.settings.rsa_is_pss {
            own += "pkcs1 = \"RSA\"\n";
        }
        if self.settings.prehashed {
            own += "prehashed = \"none\"\n";
        }
        if self.settings.oaep_sha256 {
            own += "oaep_hash = \"sha256\"\n";
        }
        if !own.is_empty() {
            slot += &format!("\n[slot.ciphertrust]\n{own}");
        }
        slot
    }

    fn route(&self, method: &Method, path: &str) -> Route {
        let target = self.target(path);
        let pattern = match &target {
            Some(Target::Tokens) => "/auth/tokens",
            Some(Target::Keys) => "/vault/keys2",
            Some(Target::Key(_)) => "/vault/keys2/{id}",
            Some(Target::Export(_)) => "/vault/keys2/{id}/export",
            Some(Target::Crypto(operation)) => {
                OPERATIONS.iter().find(|(name, _)| name == operation).map_or("", |(_, pattern)| pattern)
            }
            None => "(unknown path)",
        };
        let key = matches!(target, Some(Target::Tokens | Target::Keys | Target::Key(_)));
        Route {
            pattern,
            writes: key && method != Method::GET,
            slow: matches!(target, Some(Target::Keys | Target::Crypto(_))),
        }
    }

    fn answer(&self, request: &Request) -> Reply {
        self.handle(request).unwrap_or_else(Refusal::into_reply)
    }

    /// `GET tokens`; `POST tokens/expire`, `POST refresh-tokens/revoke`; `PUT account`; `DELETE keys/{label}`.
    fn administer(&self, method: &Method, path: &str, body: &[u8]) -> Option<Reply> {
        if let Some(label) = path.strip_prefix("keys/") {
            let label = percent_decode_str(label).decode_utf8_lossy();
            return Some(match (method, self.vault.lose(&label)) {
                (&Method::DELETE, Ok(true)) => Reply::empty(204),
                (&Method::DELETE, Ok(false)) => Reply::empty(404),
                (&Method::DELETE, Err(error)) => Reply::json(500, &json!({ "message": error.to_string() })),
                _ => Reply::empty(405),
            });
        }
        match (method, path) {
            (&Method::GET, "tokens") => return Some(Reply::json(200, &self.tokens.counts())),
            (&Method::POST, "tokens/expire") => self.tokens.expire(),
            (&Method::POST, "refresh-tokens/revoke") => self.tokens.revoke(),
            (&Method::PUT, "account") => match serde_json::from_slice::<Account>(body) {
                Ok(account) => self.tokens.set_account(account),
                Err(error) => return Some(Reply::json(400, &json!({ "message": error.to_string() }))),
            },
            (_, "tokens" | "tokens/expire" | "refresh-tokens/revoke" | "account") => {
                return Some(Reply::empty(405));
            }
            _ => return None,
        }
        Some(Reply::empty(204))
    }
}
