//! JSON Web Tokens for a password (section 4.3).

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand_core::{OsRng, RngCore};
use serde::Deserialize;
use serde_json::json;

use super::access::Caller;
use super::exchange::Exchange;
use super::refusal::{Answer, Refusal};
use super::settings::Jwt;
use crate::jwt;
use crate::vendor::Reply;

/// The version whose pages have tokens.
const VERSION: u32 = 5;
/// Seconds, where nothing else is asked for.
const LIFE: i64 = 600;

/// Tokens that were given.
pub(super) struct Tokens {
    /// Signs them.
    key: [u8; 32],
    /// Users, and until when, in milliseconds since 1970-01-01 UTC.
    live: HashMap<String, (String, i64)>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct TokenBody {
    /// Seconds.
    expires_in: Option<i64>,
}

impl Tokens {
    pub(super) fn new() -> Tokens {
        Tokens { key: random_bytes(), live: HashMap::new() }
    }

    /// Whose token it is, if it is good.
    pub(super) fn user(&self, token: &str, now: i64) -> Option<String> {
        self.live.get(token).filter(|(_, until)| now < *until).map(|(user, _)| user.clone())
    }

    /// Ends all of them.
    pub(super) fn clear(&mut self) {
        self.live.clear();
    }
}

fn random_bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    bytes
}

impl Exchange<'_> {
    fn check_tokens(&self) -> Answer<()> {
        match self.settings.jwt {
            Jwt::Always => Ok(()),
            Jwt::Version5 if self.version == VERSION => Ok(()),
            Jwt::Version5 | Jwt::Never => Err(Refusal::no_resource()),
        }
    }

    /// `POST /auth/jwt`, for a password.
    pub(super) fn grant_token(&mut self, caller: &Caller) -> Answer {
        self.check_tokens()?;
        if caller.token.is_some() || self.request.header("authorization").is_none() {
            return Err(Refusal::credentials());
        }
        let TokenBody { expires_in } = self.optional_body()?;
        let life = expires_in.unwrap_or(LIFE);
        if life <= 0 {
            return Err(Refusal::bad("expiresIn is a number of seconds."));
        }
        let until = self.now.saturating_add(life.saturating_mul(1000));
        let claims =
            json!({ "exp": until / 1000, "jti": STANDARD.encode(random_bytes()), "user": caller.user });
        let tokens = &mut self.state.tokens;
        let token = jwt::hs256(&claims, &tokens.key);
        tokens.live.insert(token.clone(), (caller.user.clone(), until));
        Ok(Reply::json(200, &json!({ "accessToken": token })))
    }

    /// `DELETE /auth/jwt`
    pub(super) fn revoke_token(&mut self, caller: &Caller) -> Answer {
        self.check_tokens()?;
        let token = caller.token.as_ref().ok_or_else(|| Refusal::bad("There is no token in the request."))?;
        self.state.tokens.live.remove(token);
        Ok(Reply::empty(204))
    }
}
