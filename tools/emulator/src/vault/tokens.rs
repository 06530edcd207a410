//! Tokens, and the account at `auth/userpass` that gets them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use rand_core::{OsRng, RngCore};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::envelope;
use super::refusal::{Answer, Refusal};
use super::settings::{Login, Settings};
use crate::vendor::Reply;

/// The account.
pub(super) const USER: &str = "p11rest";

/// The body of `POST /v1/auth/userpass/login/{user}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginBody {
    password: String,
}

/// The body of `POST /v1/auth/token/renew-self`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RenewBody {
    /// Seconds; the service gives less where it does not like it.
    increment: Option<u64>,
}

/// All tokens that were given out.
pub(super) struct Tokens {
    pin: Zeroizing<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tokens: HashMap<String, Token>,
    locked: bool,
    wrong: u64,
    logins: u64,
    renewals: u64,
}

struct Token {
    accessor: String,
    begin: Instant,
    end: Option<Instant>,
    /// How many requests are left to it, if they are counted.
    uses: Option<u64>,
}

impl Token {
    fn new(settings: &Settings) -> Token {
        let begin = Instant::now();
        let mut token = Token {
            accessor: random_text(18),
            begin,
            end: None,
            uses: (settings.token_uses > 0).then_some(settings.token_uses),
        };
        token.extend(settings.token_life, settings.token_max_life);
        token
    }

    fn extend(&mut self, life: Option<Duration>, max_life: Option<Duration>) {
        let end = life.map(|life| Instant::now() + life);
        let limit = max_life.map(|life| self.begin + life);
        self.end = [end, limit].into_iter().flatten().min();
    }

    /// Seconds; 0: without end.
    fn ttl(&self) -> u64 {
        // The instants between the setting of the end and this are not told.
        let rest = self.end.map(|end| end.saturating_duration_since(Instant::now()).as_secs_f64());
        rest.map_or(0, |rest| rest.ceil() as u64)
    }

    fn is_over(&self) -> bool {
        self.uses == Some(0) || self.end.is_some_and(|end| end <= Instant::now())
    }

    fn auth(&self, id: &str) -> Value {
        json!({
            "client_token": id,
            "accessor": self.accessor,
            "policies": ["default", "p11rest"],
            "token_policies": ["default", "p11rest"],
            "metadata": null,
            "lease_duration": self.ttl(),
            "renewable": self.end.is_some(),
            "entity_id": "",
            "token_type": "service",
            "orphan": true,
            "mfa_requirement": null,
            "num_uses": self.uses.unwrap_or(0),
        })
    }
}

impl Tokens {
    /// Where the PIN is a token, it is one from the start.
    pub(super) fn new(pin: &str, settings: &Settings) -> Tokens {
        let tokens = Tokens { pin: Zeroizing::new(pin.to_owned()), state: Mutex::default() };
        if settings.login == Login::Token {
            tokens.add(pin, settings);
        }
        tokens
    }

    /// From now on that is a token too.
    pub(super) fn add(&self, id: &str, settings: &Settings) {
        self.state.lock().tokens.insert(id.to_owned(), Token::new(settings));
    }

    /// `POST /v1/auth/userpass/login/{user}`
    pub(super) fn log_in(&self, user: &str, body: &LoginBody, settings: &Settings) -> Answer {
        let state = &mut *self.state.lock();
        if state.locked {
            return Err(Refusal::new(403, "permission denied"));
        }
        if user != USER || body.password != *self.pin {
            state.wrong += 1;
            state.locked = settings.lock_after > 0 && state.wrong >= settings.lock_after;
            return Err(Refusal::bad("invalid username or password"));
        }
        state.wrong = 0;
        state.logins += 1;
        let (id, token) = (format!("hvs.{}", random_text(66)), Token::new(settings));
        let reply = envelope::auth(token.auth(&id));
        state.tokens.insert(id, token);
        Ok(reply)
    }

    /// Whether the token is one that is good; it has one use less then.
    pub(super) fn admit(&self, id: Option<&str>) -> Answer<()> {
        let id = id.filter(|id| !id.is_empty()).ok_or_else(Refusal::denied)?;
        let mut state = self.state.lock();
        match state.tokens.get_mut(id).filter(|token| !token.is_over()) {
            None => Err(Refusal::invalid_token()),
            Some(token) => {
                token.uses = token.uses.map(|uses| uses - 1);
                Ok(())
            }
        }
    }

    /// `GET /v1/auth/token/lookup-self`
    pub(super) fn look_up(&self, id: &str) -> Answer {
        let state = self.state.lock();
        let token = state.tokens.get(id).ok_or_else(Refusal::invalid_token)?;
        Ok(envelope::data(json!({
            "accessor": token.accessor,
            "display_name": format!("userpass-{USER}"),
            "id": id,
            "num_uses": token.uses.unwrap_or(0),
            "orphan": true,
            "path": format!("auth/userpass/login/{USER}"),
            "policies": ["default", "p11rest"],
            "renewable": token.end.is_some(),
            "ttl": token.ttl(),
            "type": "service",
        })))
    }

    /// `POST /v1/auth/token/renew-self`
    pub(super) fn renew(&self, id: &str, body: &RenewBody, settings: &Settings) -> Answer {
        let state = &mut *self.state.lock();
        let token = state.tokens.get_mut(id).ok_or_else(Refusal::invalid_token)?;
        if token.end.is_none() {
            return Err(Refusal::bad("lease is not renewable"));
        }
        let asked = body.increment.map(Duration::from_secs).or(settings.token_life);
        token.extend(asked.min(settings.token_life), settings.token_max_life);
        state.renewals += 1;
        Ok(envelope::auth(token.auth(id)))
    }

    /// `POST /v1/auth/token/revoke-self`
    pub(super) fn revoke(&self, id: &str) -> Answer {
        self.state.lock().tokens.remove(id);
        Ok(Reply::empty(204))
    }

    /// From now on no token of before is good.
    pub(super) fn expire(&self) {
        self.state.lock().tokens.clear();
    }

    /// Locks or unlocks the account; tokens stay good.
    pub(super) fn lock(&self, locked: bool) {
        let mut state = self.state.lock();
        (state.locked, state.wrong) = (locked, 0);
    }

    /// How often tokens were given and renewed.
    pub(super) fn counts(&self) -> Value {
        let state = self.state.lock();
        json!({ "logins": state.logins, "renewals": state.renewals })
    }
}

fn random_text(bytes: usize) -> String {
    let mut text = vec![0; bytes];
    OsRng.fill_bytes(&mut text);
    URL_SAFE_NO_PAD.encode(text)
}
