//! Access and refresh tokens, and the one account that gets them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use rand_core::{OsRng, RngCore};
use serde::Deserialize;
use serde_json::{Value, json};

use super::refusal::{Answer, Refusal};
use super::settings::Settings;
use crate::keys::unix_time;
use crate::vendor::Reply;

/// The body of `POST /auth/tokens`: by grant, or the short form with a name alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenBody {
    grant_type: Option<String>,
    username: Option<String>,
    name: Option<String>,
    password: Option<String>,
    refresh_token: Option<String>,
    domain: Option<String>,
    #[serde(default)]
    labels: Vec<String>,
}

/// The body of `PUT /_emulator/account`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Account {
    locked: bool,
    /// Whether the right password is too old.
    expired: bool,
}

/// Everything that was given out.
pub(super) struct Tokens {
    password: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Until when each is good.
    access: HashMap<String, Instant>,
    refresh: HashMap<String, Instant>,
    locked: bool,
    expired: bool,
    wrong: u64,
    logins: u64,
    refreshes: u64,
}

impl Tokens {
    pub(super) fn new(password: String) -> Tokens {
        Tokens { password, state: Mutex::default() }
    }

    /// `POST /auth/tokens`
    pub(super) fn grant(&self, body: &TokenBody, settings: &Settings) -> Answer {
        if body.labels.iter().any(String::is_empty) {
            return Err(Refusal::bad("a label is empty"));
        }
        let state = &mut *self.state.lock();
        match body.grant_type.as_deref() {
            Some("refresh_token") => renew(state, body, settings),
            Some("password") if body.name.is_none() => {
                self.log_in(state, body.username.as_deref(), body, settings)
            }
            None if body.username.is_none() => self.log_in(state, body.name.as_deref(), body, settings),
            _ => Err(Refusal::bad("grant_type and user name do not go together")),
        }
    }

    fn log_in(&self, state: &mut State, user: Option<&str>, body: &TokenBody, settings: &Settings) -> Answer {
        let (Some(user), Some(password), None) = (user, &body.password, &body.refresh_token) else {
            return Err(Refusal::bad("a login has a user name and a password"));
        };
        if state.locked {
            return Err(Refusal::locked(settings.locked_status));
        }
        if user != settings.user || *password != self.password || body.domain != settings.domain {
            state.wrong += 1;
            state.locked = state.wrong >= settings.lock_after;
            return Err(Refusal::credentials());
        }
        state.wrong = 0;
        if state.expired {
            return Err(Refusal::expired());
        }
        state.logins += 1;
        Ok(state.issue(settings, settings.gives_refresh_token))
    }

    /// Whether the request carries a token that is good.
    pub(super) fn admit(&self, authorization: Option<&str>) -> Answer<()> {
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        let token = token.ok_or_else(|| Refusal::unauthorized("Missing bearer token"))?;
        let state = self.state.lock();
        match state.access.get(token) {
            Some(end) if *end > Instant::now() => Ok(()),
            Some(_) => Err(Refusal::unauthorized("Token is expired")),
            None => Err(Refusal::unauthorized("Token is invalid")),
        }
    }

    /// Every access token is expired from now on.
    pub(super) fn expire(&self) {
        self.state.lock().access.values_mut().for_each(|end| *end = Instant::now());
    }

    /// No refresh token is good any more.
    pub(super) fn revoke(&self) {
        self.state.lock().refresh.clear();
    }

    /// What becomes of the account: tokens stay good.
    pub(super) fn set_account(&self, account: Account) {
        let mut state = self.state.lock();
        (state.locked, state.expired, state.wrong) = (account.locked, account.expired, 0);
    }

    /// How many grants there were.
    pub(super) fn counts(&self) -> Value {
        let state = self.state.lock();
        json!({ "logins": state.logins, "refreshes": state.refreshes })
    }
}

fn renew(state: &mut State, body: &TokenBody, settings: &Settings) -> Answer {
    let (Some(token), None, None) = (&body.refresh_token, &body.username, &body.password) else {
        return Err(Refusal::bad("a refresh has its token and nothing else"));
    };
    let good = state.refresh.get(token).is_some_and(|end| *end > Instant::now());
    if !good {
        return Err(Refusal::unauthorized("Refresh token is invalid"));
    }
    if settings.rotation {
        state.refresh.remove(token);
    }
    state.refreshes += 1;
    Ok(state.issue(settings, settings.rotation))
}

impl State {
    fn issue(&mut self, settings: &Settings, with_refresh: bool) -> Reply {
        let now = Instant::now();
        let access = jwt(&settings.owner(), settings.token_life);
        self.access.insert(access.clone(), now + Duration::from_secs(settings.token_life));
        let mut answer = json!({
            "jwt": access,
            "token_type": "Bearer",
            "client_id": "00000000-0000-0000-0000-000000000000",
        });
        if settings.tells_life {
            answer["duration"] = settings.token_life.into();
        }
        if with_refresh {
            let refresh = random_text();
            self.refresh.insert(refresh.clone(), now + Duration::from_secs(settings.refresh_life));
            answer["refresh_token"] = refresh.into();
            answer["refresh_token_expires_in"] = settings.refresh_life.into();
        }
        Reply::json(200, &answer)
    }
}

/// A token in the form of RFC 7519; nobody but the emulator checks it, so its signature is random.
fn jwt(owner: &str, life: u64) -> String {
    let now = unix_time();
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({ "alg": "ES256", "typ": "JWT" }));
    let claims = part(json!({ "sub": owner, "iat": now, "exp": now + life }));
    format!("{header}.{claims}.{}", random_text())
}

fn random_text() -> String {
    let mut bytes = [0; 48];
    OsRng.fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}
