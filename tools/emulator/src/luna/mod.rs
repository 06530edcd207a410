//! The REST API of the Thales Luna Network HSM, as far as a client that logs in and lists objects needs it. Sections are
//! those of the Luna REST reference.
//!
//! A request passes, in this order: path, content type and version, credentials, rights, method, body, and then what the
//! call checks.
//!
//! ```text
//! routes     paths;  settings: readings of the documentation;  switches: what tests change later
//! exchange   one request: its body, its version, lists in pages
//! access     who calls, on which session, and with what rights
//! accounts   users of the appliance;  users: their resources;  tokens: JWT;  challenge: login by certificate
//! sessions   private sessions
//! hsm        the HSM and its partitions;  roles: who logs in to them;  inventory: what is told of all that
//! login      logins, logouts, passwords;  tasks: what takes longer
//! objects    what a partition holds
//! refusal    error objects
//! ```

mod access;
mod accounts;
mod challenge;
mod exchange;
mod hsm;
mod inventory;
mod login;
mod objects;
mod refusal;
mod roles;
mod routes;
mod sessions;
mod settings;
mod switches;
mod tasks;
mod tokens;
mod users;

use std::sync::Arc;

use hyper::Method;
use parking_lot::Mutex;

use crate::certificate;
use crate::clock::Clock;
use crate::error::Error;
use crate::files::{Directory, toml_string};
use crate::keys::{Attributes, Key, KeyStore};
use crate::material::{Kind, RsaSize};
use crate::vendor::{Reply, Request, Route, Vendor};

use accounts::Accounts;
use challenge::Challenges;
use exchange::Exchange;
use hsm::Hsm;
use refusal::{Answer, Refusal};
use sessions::Sessions;
use settings::{Settings, SlotLogin};
use tasks::Tasks;
use tokens::Tokens;

/// The account of the module's slot.
const ACCOUNT: &str = "operator";
/// The key of the appliance, for logins by certificate.
const SERVER_KEY: &str = "luna-appliance";
/// A key whose certificate is enrolled for that account from the start.
const CLIENT_KEY: &str = "luna-client";
/// The password of the security officer of partitions.
const PARTITION_SO_FILE: &str = "partition-so.password";
/// The password of the security officer of the HSM.
const HSM_SO_FILE: &str = "hsm-so.password";

struct Luna {
    settings: Settings,
    clock: Clock,
    server: Arc<Key>,
    state: Mutex<State>,
}

/// What requests change.
struct State {
    accounts: Accounts,
    tokens: Tokens,
    sessions: Sessions,
    challenges: Challenges,
    hsm: Hsm,
    tasks: Tasks,
}

/// Loads the keys and secrets of a directory, and makes those that are missing. The PIN is the password of `co` and `cu`.
pub(crate) fn open(
    directory: &Directory,
    pin: &str,
    settings: &[(String, String)],
) -> Result<Box<dyn Vendor>, Error> {
    let settings = Settings::read(settings)?;
    let keys = KeyStore::open(directory.join("keys"))?;
    let client = certified(&keys, CLIENT_KEY)?;
    let mut accounts = Accounts::default();
    for role in accounts::ROLES {
        accounts.seed(role, directory.secret(&password_file(role))?);
    }
    accounts.enrol(ACCOUNT, client.certificate().map(|der| der.to_vec()).unwrap_or_default());
    let hsm =
        Hsm::seeded(pin, &directory.secret(PARTITION_SO_FILE)?, directory.secret(HSM_SO_FILE)?, &settings);
    let state = State {
        accounts,
        tokens: Tokens::new(),
        sessions: Sessions::default(),
        challenges: Challenges::default(),
        hsm,
        tasks: Tasks::default(),
    };
    let server = certified(&keys, SERVER_KEY)?;
    Ok(Box::new(Luna { settings, clock: Clock::default(), server, state: Mutex::new(state) }))
}

fn password_file(user: &str) -> String {
    format!("{user}.password")
}

/// An RSA key with a certificate, made where it is missing.
fn certified(keys: &KeyStore, label: &str) -> Result<Arc<Key>, Error> {
    if let Some(key) = keys.get(label).filter(|key| key.certificate().is_some()) {
        return Ok(key);
    }
    keys.remove(label)?;
    let key =
        Key::generate(label, Kind::Rsa(RsaSize::Bits2048), Attributes::confined(false, true), None, None)?;
    let certificate = certificate::self_signed(label, &key.material)?;
    keys.insert(key.with_certificate(certificate))?;
    keys.get(label).ok_or_else(|| Error::crypto(format!("{label} was not kept")))
}

impl Luna {
    fn handle(&self, request: &Request) -> Answer {
        let (endpoint, parameters) = routes::find(&request.path).ok_or_else(Refusal::no_resource)?;
        let now = self.clock.milliseconds();
        let state = &mut *self.state.lock();
        state.sessions.age(now, &self.settings);
        state.run_tasks(now, &self.settings);
        let version = exchange::version(request, endpoint, &self.settings)?;
        let exchange = Exchange {
            request,
            settings: &self.settings,
            server: &self.server,
            state,
            now,
            version,
            parameters,
        };
        exchange.serve(endpoint)
    }
}

impl Vendor for Luna {
    fn route(&self, _method: &Method, path: &str) -> Route {
        routes::route(path)
    }

    fn answer(&self, request: &Request) -> Reply {
        let mut reply = self.handle(request).unwrap_or_else(Refusal::into_reply);
        reply.headers.push(("access-control-allow-origin", "*".to_owned()));
        reply
    }

    /// The PIN is the password of the crypto officer.
    fn module_slot(&self, directory: &Directory, url: &str) -> String {
        let path = |name: &str| directory.join(name).to_string_lossy().into_owned();
        let mut slot = format!(
            "[[slot]]\nlabel = \"luna\"\nbackend = \"luna\"\nurls = [{}]\n\n[slot.luna]\nuser = {}\n",
            toml_string(url),
            toml_string(ACCOUNT),
        );
        let password = toml_string(&format!("file:{}", path(&password_file(ACCOUNT))));
        slot += &match self.settings.login {
            SlotLogin::Basic => format!("password = {password}\n"),
            SlotLogin::Jwt => format!("login = \"jwt\"\npassword = {password}\napi_version = 5\n"),
            SlotLogin::Certificate => format!(
                "login = \"certificate\"\ncertificate = {}\nkey = {}\n",
                toml_string(&path(&format!("keys/{CLIENT_KEY}.crt"))),
                toml_string(&path(&format!("keys/{CLIENT_KEY}.pem"))),
            ),
        };
        if self.settings.challenge == settings::Asks::PublicKey
            && self.settings.login == SlotLogin::Certificate
        {
            slot += "challenge = \"public_key\"\n";
        }
        if !self.settings.cookie_alone {
            slot += "send_basic = true\n";
        }
        if self.settings.several_partitions {
            slot += &format!("partition = \"{}\"\n", hsm::PARTITION);
        }
        if self.settings.session_idle != Settings::default().session_idle {
            slot += &format!("session_idle = \"{}s\"\n", self.settings.session_idle);
        }
        if let Some(other) = &self.settings.crypto {
            slot += &format!("\n[slot.crypto]\nslot = {}\npin_split = \":\"\n", toml_string(other));
        }
        slot
    }

    fn takes_two_pins(&self) -> bool {
        self.settings.crypto.is_some()
    }

    fn administer(&self, method: &Method, path: &str, body: &[u8]) -> Option<Reply> {
        self.switch(method, path, body)
    }
}
