//! Accounts and their tokens (FAST HSM reference §3, §4.1).

use std::collections::HashMap;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use rand_core::{OsRng, RngCore};
use serde_json::json;
use zeroize::Zeroizing;

use super::envelope::{Refusal, UNAUTHORISED};
use super::settings::{AuthStyle, Settings};
use crate::jwt;
use crate::keys::unix_time;
use crate::vendor::Request;

/// The account of the module's slot.
pub(super) const USER: &str = "p11rest";
/// The owner of a certificate that the other account must not use.
pub(super) const OTHER_USER: &str = "somebody-else";

struct Account {
    password: Zeroizing<String>,
    locked: bool,
    failures: u64,
}

struct Grant {
    user: String,
    ends: Instant,
    /// How many calls it has let through.
    calls: u64,
}

/// Who may call.
pub(super) struct Accounts {
    accounts: Mutex<HashMap<String, Account>>,
    grants: Mutex<HashMap<String, Grant>>,
    /// What tokens are signed with.
    secret: [u8; 32],
}

impl Accounts {
    pub(super) fn new(passwords: [(&str, Zeroizing<String>); 2]) -> Accounts {
        let account = |password| Account { password, locked: false, failures: 0 };
        let accounts = passwords.map(|(user, password)| (user.to_owned(), account(password)));
        let mut secret = [0; 32];
        OsRng.fill_bytes(&mut secret);
        Accounts { accounts: Mutex::new(accounts.into()), grants: Mutex::default(), secret }
    }

    /// A token for the right password of an account that is not locked.
    pub(super) fn grant(&self, user: &str, password: &str, settings: &Settings) -> Result<String, Refusal> {
        let mut accounts = self.accounts.lock();
        let wrong = Refusal { code: 401, message: "Invalid username or password" };
        let account = accounts.get_mut(user).ok_or(wrong)?;
        if account.locked {
            return Err(Refusal { code: 403, message: "Account is locked" });
        }
        if *account.password != password {
            account.failures += 1;
            account.locked = settings.lock_after != 0 && account.failures >= settings.lock_after;
            return Err(wrong);
        }
        account.failures = 0;
        let token = self.token(user, settings);
        let mut grants = self.grants.lock();
        if settings.one_token {
            grants.retain(|_, grant| grant.user != user);
        }
        let grant = Grant { user: user.to_owned(), ends: Instant::now() + settings.token_ttl, calls: 0 };
        grants.insert(token.clone(), grant);
        Ok(token)
    }

    /// Whose request it is.
    pub(super) fn admit(&self, request: &Request, settings: &Settings) -> Result<String, Refusal> {
        let header = request.header("authorization").ok_or(UNAUTHORISED)?;
        let token = match (settings.auth_style, header.strip_prefix("Bearer ")) {
            (AuthStyle::Bearer | AuthStyle::Either, Some(token)) => token,
            (AuthStyle::Bare | AuthStyle::Either, None) => header,
            _ => return Err(UNAUTHORISED),
        };
        let mut grants = self.grants.lock();
        let grant = grants.get_mut(token).ok_or(UNAUTHORISED)?;
        let spent = settings.token_calls != 0 && grant.calls >= settings.token_calls;
        if spent || grant.ends <= Instant::now() {
            grants.remove(token);
            return Err(UNAUTHORISED);
        }
        grant.calls += 1;
        Ok(grant.user.clone())
    }

    /// Locks or unlocks an account; `false` where there is none of that name.
    pub(super) fn set_locked(&self, user: &str, locked: bool) -> bool {
        let mut accounts = self.accounts.lock();
        accounts.get_mut(user).map(|account| (account.locked, account.failures) = (locked, 0)).is_some()
    }

    /// Ends all tokens.
    pub(super) fn expire_all(&self) {
        self.grants.lock().clear();
    }

    fn token(&self, user: &str, settings: &Settings) -> String {
        let mut id = [0; 16];
        OsRng.fill_bytes(&mut id);
        let id = URL_SAFE_NO_PAD.encode(id);
        if !settings.token_is_jwt {
            return id;
        }
        let issued = unix_time();
        // A fraction of a second is none in `exp`: the token ends no sooner than that says.
        let expires = issued + settings.token_ttl.as_secs();
        let claims = json!({ "sub": user, "iat": issued, "exp": expires, "jti": id });
        jwt::hs256(&claims, &self.secret)
    }
}
