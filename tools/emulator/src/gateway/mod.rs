//! The REST API of the gateway: keys behind JSON Web Tokens and signed requests.
//!
//! The page that this way of logging in comes from has no endpoints for keys (JWT and HMAC reference §1): those are
//! ours, as few as can be. `docs/emulator.md` has them all. What a request must show, and in which order it is looked at,
//! is the reference's §7.
//!
//! ```text
//! settings  what a test chooses at the start;  switches: what it changes later
//! verify    the rules in their order;  allow, nonces: what they need
//! schemes   what is signed, and how answers are
//! accounts  passwords, secrets, tokens;  tokens: their calls
//! objects   keys and random bytes
//! slot      what the module is told
//! ```

mod accounts;
mod allow;
mod nonces;
mod objects;
mod refusal;
mod routes;
mod schemes;
mod settings;
mod slot;
mod switches;
mod tokens;
mod verify;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use parking_lot::{Mutex, RwLock};
use serde_json::json;

use crate::clock::{self, Clock};
use crate::error::Error;
use crate::files::{Directory, write_atomically};
use crate::keys::KeyStore;
use crate::vendor::{Reply, Request, Route, Vendor};

use accounts::Accounts;
use allow::Networks;
use nonces::Nonces;
use refusal::{Answer, Refusal};
use routes::{Endpoint, Target, target};
use settings::Settings;
use switches::Events;
use verify::Signed;

/// The secret with which the operator's requests are signed, in the emulator's directory.
const SECRET_FILE: &str = "hmac.secret";
/// The same in base64, for schemes whose secrets are so.
const BASE64_FILE: &str = "hmac.base64";
/// The visitor's.
const VISITOR_FILE: &str = "hmac-visitor.secret";

/// An emulated gateway with its keys.
struct Gateway {
    settings: Settings,
    keys: KeyStore,
    clock: Clock,
    accounts: Mutex<Accounts>,
    nonces: Mutex<Nonces>,
    allow: RwLock<Networks>,
    /// How many good requests are still to be taken for replays.
    replays: Mutex<u32>,
    events: Events,
}

/// Loads the keys and secrets of a directory, and makes those that are missing.
pub(crate) fn open(
    directory: &Directory,
    pin: &str,
    settings: &[(String, String)],
) -> Result<Box<dyn Vendor>, Error> {
    let settings = Settings::read(settings)?;
    let secret = directory.secret(SECRET_FILE)?;
    write_atomically(&directory.join(BASE64_FILE), STANDARD.encode(secret.as_bytes()).as_bytes())?;
    write_atomically(&directory.join(slot::DESCRIPTION_FILE), slot::DESCRIPTION.as_bytes())?;
    let accounts = Accounts::new(pin, secret, directory.secret(VISITOR_FILE)?);
    let keys = KeyStore::open(directory.join("keys"))?;
    objects::plant(&keys)?;
    Ok(Box::new(Gateway {
        allow: RwLock::new(settings.allow.clone()),
        settings,
        keys,
        clock: Clock::default(),
        accounts: Mutex::new(accounts),
        nonces: Mutex::default(),
        replays: Mutex::default(),
        events: Events::default(),
    }))
}

impl Gateway {
    /// The answer, and who signed the request.
    fn handle(&self, request: &Request) -> (Answer, Option<Signed>) {
        let target = target(&request.method, &request.path);
        let of_token = matches!(target, Target::Found(Endpoint::Token | Endpoint::Refresh, _));
        let must_sign = self.settings.signatures && (!of_token || self.settings.sign_token_calls);
        let admitted = self.check_address(request).and_then(|()| match must_sign {
            true => self.check_signature(request).map(Some),
            false => Ok(None),
        });
        match admitted {
            Err(refusal) => (Err(refusal), None),
            Ok(signed) => (self.serve(request, target, signed.as_ref()), signed),
        }
    }

    fn serve(&self, request: &Request, target: Target, signed: Option<&Signed>) -> Answer {
        match target {
            Target::Found(Endpoint::Token, _) => self.log_in(request, signed.map(Signed::user)),
            Target::Found(Endpoint::Refresh, _) => self.renew(request),
            target => {
                let user = match (self.settings.tokens, signed) {
                    (false, Some(signed)) => signed.user().to_owned(),
                    _ => self.check_token(request, signed)?,
                };
                self.dispatch(request, target, &user)
            }
        }
    }

    fn dispatch(&self, request: &Request, target: Target, user: &str) -> Answer {
        let (endpoint, parameter) = match target {
            Target::Found(endpoint, parameter) => (endpoint, parameter),
            Target::WrongMethod(method) => {
                return Err(Refusal::new(405, "WRONG_METHOD", format!("The method is {method}.")));
            }
            Target::Unknown => return Err(Refusal::new(404, "NO_SUCH_PATH", "There is no such path.")),
        };
        match endpoint {
            Endpoint::List => self.list(request),
            Endpoint::Describe => self.describe(&parameter),
            Endpoint::Sign => self.check_permission(user).and_then(|()| self.sign(&parameter, request)),
            Endpoint::Decrypt => self.check_permission(user).and_then(|()| self.decrypt(&parameter, request)),
            Endpoint::Random => self.random(&parameter),
            // The token calls were served before.
            Endpoint::Health | Endpoint::Token | Endpoint::Refresh => {
                Ok(Reply::json(200, &json!({ "status": "ok" })))
            }
        }
    }
}

impl Vendor for Gateway {
    fn route(&self, _method: &Method, path: &str) -> Route {
        routes::route(path)
    }

    fn answer(&self, request: &Request) -> Reply {
        let (answer, signed) = self.handle(request);
        let mut reply = answer.unwrap_or_else(|refusal| {
            self.events.count(refusal.error);
            refusal.into_reply()
        });
        reply.headers.push(("date", clock::http_date(self.clock.seconds())));
        if let Some(signed) = signed {
            schemes::sign_answer(&self.settings, request, &signed, self.clock.milliseconds(), &mut reply);
        }
        reply
    }

    fn module_slot(&self, directory: &Directory, url: &str) -> String {
        slot::slot(&self.settings, directory, url)
    }

    fn administer(&self, method: &Method, path: &str, body: &[u8]) -> Option<Reply> {
        self.switch(method, path, body)
    }
}
