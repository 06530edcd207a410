//! The REST API of a transit engine, as HashiCorp Vault and OpenBao have it.
//!
//! A request is looked at in this order: seal, namespace, token, policy, path, method, body, and then what the call checks.
//!
//! ```text
//! settings  what a test chooses at the start
//! routes    paths and methods;  envelope, refusal: what answers look like
//! tokens    tokens, and the account that gets them
//! keys      keys and their versions;  crypto: what is done with them
//! ```

mod crypto;
mod envelope;
mod keys;
mod refusal;
mod routes;
mod settings;
mod tokens;

use std::sync::atomic::{AtomicBool, Ordering};

use hyper::Method;
use parking_lot::RwLock;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::files::{Directory, toml_string, write_atomically};
use crate::keys::{KeyStore, unix_time};
use crate::vendor::{JSON, Reply, Request, Route, Vendor};
use crypto::{DecryptBody, EncryptBody, RandomBody, SignBody};
use keys::{ConfigBody, CreateBody, Keys, Least};
use refusal::{Answer, Refusal};
use routes::{Operation, Target, operation, target};
use settings::{Login, Settings};
use tokens::{RenewBody, Tokens, USER};

/// The description of the calls for the module, in the emulator's directory.
const DESCRIPTION_FILE: &str = "vault-transit.toml";
/// What is shipped under that name.
const DESCRIPTION: &str = include_str!("../../../../pkcs11-test-config/vault-transit.toml");

/// Loads the keys of a directory, and makes those that are missing.
pub(crate) fn open(
    directory: &Directory,
    pin: &str,
    settings: &[(String, String)],
) -> Result<Box<dyn Vendor>, Error> {
    let settings = Settings::read(settings)?;
    write_atomically(&directory.join(DESCRIPTION_FILE), DESCRIPTION.as_bytes())?;
    Ok(Box::new(Transit {
        keys: Keys::open(KeyStore::open(directory.join("keys"))?, settings.extra_keys)?,
        tokens: Tokens::new(pin, &settings),
        denied: RwLock::new(settings.denied.clone()),
        sealed: AtomicBool::new(false),
        settings,
    }))
}

struct Transit {
    settings: Settings,
    keys: Keys,
    tokens: Tokens,
    /// Paths that no token may use.
    denied: RwLock<Vec<String>>,
    sealed: AtomicBool,
}

impl Transit {
    fn handle(&self, request: &Request) -> Answer {
        let target = target(&request.path, &self.settings.mount);
        let sealed = self.sealed.load(Ordering::Relaxed);
        if target == Some(Target::Health) {
            return Ok(self.health(sealed));
        }
        if sealed {
            return Err(Refusal::sealed());
        }
        if request.header("x-vault-namespace") != self.settings.namespace.as_deref() {
            return Err(Refusal::denied());
        }
        let operation = operation(&request.method, &request.query);
        if let (Some(Target::Login(user)), Some(Operation::Write)) = (&target, operation) {
            if self.settings.login != Login::Userpass {
                return Err(Refusal::no_route(&request.path));
            }
            return self.tokens.log_in(user, &strict(request)?, &self.settings);
        }
        let token = token(request);
        self.tokens.admit(token)?;
        self.check_policy(&request.path)?;
        let target = target.ok_or_else(|| Refusal::no_route(&request.path))?;
        let operation = operation.ok_or_else(Refusal::method)?;
        self.serve(&target, operation, request, token.unwrap_or_default())
    }

    fn serve(&self, target: &Target, operation: Operation, request: &Request, token: &str) -> Answer {
        let keys = &self.keys;
        match (target, operation) {
            (Target::LookUpSelf, Operation::Read) => self.tokens.look_up(token),
            (Target::RenewSelf, Operation::Write) => {
                let body = if request.body.is_empty() { RenewBody::default() } else { strict(request)? };
                self.tokens.renew(token, &body, &self.settings)
            }
            (Target::RevokeSelf, Operation::Write) => self.tokens.revoke(token),
            (Target::Keys, Operation::List) => keys.list(),
            (Target::Key(name), Operation::Read) => keys.describe(name),
            (Target::Key(name), Operation::Write) => {
                let body = self.optional_body(request, CreateBody::MEMBERS)?;
                keys.create(name, &body).map(|reply| self.shown(reply))
            }
            (Target::Key(name), Operation::Delete) => keys.delete(name),
            (Target::Config(name), Operation::Write) => {
                let body = self.body(request, ConfigBody::MEMBERS)?;
                keys.configure(name, &body).map(|reply| self.shown(reply))
            }
            (Target::Sign(name, hash), Operation::Write) => {
                crypto::sign(keys, name, hash.as_deref(), &self.body(request, SignBody::MEMBERS)?)
            }
            (Target::Encrypt(name), Operation::Write) => {
                crypto::encrypt(keys, name, &self.body(request, EncryptBody::MEMBERS)?)
            }
            (Target::Decrypt(name), Operation::Write) => {
                crypto::decrypt(keys, name, &self.body(request, DecryptBody::MEMBERS)?)
            }
            (Target::Random(length), Operation::Write) => {
                crypto::random(length.as_deref(), &self.body(request, RandomBody::MEMBERS)?)
            }
            _ => Err(Refusal::method()),
        }
    }

    /// The state of the server, which needs no token.
    fn health(&self, sealed: bool) -> Reply {
        let body = json!({
            "initialized": true,
            "sealed": sealed,
            "standby": sealed,
            "performance_standby": false,
            "replication_performance_mode": "disabled",
            "replication_dr_mode": "disabled",
            "server_time_utc": unix_time(),
            "version": self.settings.version,
            "cluster_name": "vault-cluster-p11rest",
        });
        Reply::json(if sealed { 503 } else { 200 }, &body)
    }

    fn check_policy(&self, path: &str) -> Answer<()> {
        let path = path.strip_prefix("/v1/").unwrap_or(path);
        let is_denied = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path == pattern,
        };
        if self.denied.read().iter().any(is_denied) { Err(Refusal::denied()) } else { Ok(()) }
    }

    /// The answer to a change, as far as the release has one.
    fn shown(&self, reply: Reply) -> Reply {
        if self.settings.shows_changes { reply } else { Reply::empty(204) }
    }

    /// The body of a call that has these members, if there is one.
    fn optional_body<T: DeserializeOwned + Default>(&self, request: &Request, members: &[&str]) -> Answer<T> {
        if request.body.is_empty() { Ok(T::default()) } else { self.body(request, members) }
    }

    /// The body of a call that has these members.
    fn body<T: DeserializeOwned>(&self, request: &Request, members: &[&str]) -> Answer<T> {
        let object: Map<String, Value> = strict(request)?;
        let unknown = object.keys().find(|name| !members.contains(&name.as_str()));
        if let Some(name) = unknown.filter(|_| self.settings.strict) {
            return Err(Refusal::bad(format!("the call has no parameter {name:?}")));
        }
        serde_json::from_value(Value::Object(object)).map_err(not_json)
    }
}

/// The token of a request, in either of the two headers that may have it.
fn token(request: &Request) -> Option<&str> {
    let bearer = || request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    request.header("x-vault-token").or_else(bearer)
}

/// A body of JSON. The service does not look at its type; one that says something else is a client's slip.
fn strict<T: DeserializeOwned>(request: &Request) -> Answer<T> {
    let media = request.header("content-type").and_then(|whole| whole.split(';').next());
    if media.is_none_or(|media| !media.trim().eq_ignore_ascii_case(JSON)) {
        return Err(Refusal::new(415, "the body is not application/json"));
    }
    serde_json::from_slice(&request.body).map_err(not_json)
}

fn not_json(error: serde_json::Error) -> Refusal {
    Refusal::bad(format!("error parsing JSON: {error}"))
}

impl Vendor for Transit {
    fn route(&self, method: &Method, path: &str) -> Route {
        let target = target(path, &self.settings.mount);
        Route {
            pattern: target.as_ref().map_or("(unknown path)", Target::pattern),
            writes: method != Method::GET && target.as_ref().is_some_and(Target::changes),
            slow: method != Method::GET && target.is_some_and(|target| target.computes()),
        }
    }

    fn answer(&self, request: &Request) -> Reply {
        self.handle(request).unwrap_or_else(Refusal::into_reply)
    }

    fn module_slot(&self, directory: &Directory, url: &str) -> String {
        let mut slot = format!(
            "[[slot]]\nlabel = \"vault\"\nbackend = \"declared\"\nurls = [{}]\n\n[slot.declared]\nfile = {}\n",
            toml_string(url),
            toml_string(&directory.join(DESCRIPTION_FILE).to_string_lossy()),
        );
        let mut parameters = Vec::new();
        if self.settings.mount != Settings::default().mount {
            parameters.push(toml_string(&format!("mount={}", self.settings.mount)));
        }
        if let Some(namespace) = &self.settings.namespace {
            parameters.push(toml_string(&format!("namespace={namespace}")));
        }
        if !parameters.is_empty() {
            slot += &format!("parameters = [{}]\n", parameters.join(", "));
        }
        let auth = match self.settings.login {
            Login::Token => "\n[slot.auth]\nbearer = \"pin\"\n".to_owned(),
            Login::Userpass => format!(
                "\n[slot.auth]\nuser = {user}\npassword = \"pin\"\n\n\
                 [slot.auth.token]\nlogin = {login}\nfields = [\"password={{password}}\"]\n\
                 access = [\"/auth/client_token\"]\nlife = [\"/auth/lease_duration\"]\n\
                 header = \"X-Vault-Token\"\nscheme = \"bare\"\n",
                user = toml_string(USER),
                login = toml_string(&format!("/v1/auth/userpass/login/{USER}")),
            ),
        };
        slot + &auth
    }

    /// `GET|POST tokens`, `POST tokens/expire`, `PUT account|sealed|denied`, `POST keys/{name}/rotate`,
    /// `PUT|DELETE keys/{name}`.
    fn administer(&self, method: &Method, path: &str, body: &[u8]) -> Option<Reply> {
        if let Some(rest) = path.strip_prefix("keys/") {
            return Some(self.administer_key(method, rest, body));
        }
        Some(match (method.as_str(), path) {
            ("GET", "tokens") => Reply::json(200, &self.tokens.counts()),
            ("POST", "tokens") => changed(body, |id: String| self.tokens.add(&id, &self.settings)),
            ("POST", "tokens/expire") => {
                self.tokens.expire();
                Reply::empty(204)
            }
            ("PUT", "account") => changed(body, |account: Account| self.tokens.lock(account.locked)),
            ("PUT", "sealed") => changed(body, |sealed| self.sealed.store(sealed, Ordering::Relaxed)),
            ("PUT", "denied") => changed(body, |denied| *self.denied.write() = denied),
            (_, "tokens" | "tokens/expire" | "account" | "sealed" | "denied") => Reply::empty(405),
            _ => return None,
        })
    }
}

impl Transit {
    fn administer_key(&self, method: &Method, rest: &str, body: &[u8]) -> Reply {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let done = match (method.as_str(), rest.strip_suffix("/rotate")) {
            ("POST", Some(name)) => self.keys.rotate(&decoded(name)),
            ("DELETE", None) => self.keys.lose(&decoded(rest)),
            ("PUT", None) => match serde_json::from_slice::<Least>(body) {
                Ok(least) => Ok(self.keys.restrict(&decoded(rest), least)),
                Err(error) => return bad(error),
            },
            _ => return Reply::empty(405),
        };
        match done {
            Ok(true) => Reply::empty(204),
            Ok(false) => Reply::empty(404),
            Err(error) => Reply::json(500, &json!({ "message": error.to_string() })),
        }
    }
}

/// The body of `PUT /_emulator/account`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    locked: bool,
}

fn changed<T: DeserializeOwned>(body: &[u8], change: impl FnOnce(T)) -> Reply {
    match serde_json::from_slice(body) {
        Ok(value) => {
            change(value);
            Reply::empty(204)
        }
        Err(error) => bad(error),
    }
}

fn bad(error: serde_json::Error) -> Reply {
    Reply::json(400, &json!({ "message": error.to_string() }))
}
