//! Who may call: accounts with passwords and secrets, and the tokens that were given to them.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand_core::{OsRng, RngCore};
use serde_json::json;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::refusal::{Answer, Refusal};
use super::schemes::hex;
use super::settings::Settings;
use crate::jwt;

/// The account of the seeded configuration.
pub(super) const OPERATOR: &str = "operator";
/// Another one, which may look and not use.
pub(super) const VISITOR: &str = "visitor";
/// The key id of the operator's secret, as in the vectors of the reference.
pub(super) const OPERATOR_KEY: &str = "client-001";
/// The key id of the visitor's secret.
pub(super) const VISITOR_KEY: &str = "client-002";

/// One account.
pub(super) struct Account {
    password: Zeroizing<String>,
    key_id: &'static str,
    /// The live secrets: two while one replaces the other.
    secrets: Vec<Zeroizing<String>>,
    pub(super) locked: bool,
    failures: u32,
    /// Whether it may use keys.
    pub(super) permitted: bool,
}

/// An access token that was given.
struct Access {
    user: String,
    expires: i64,
    /// How many calls are left to it, if they are counted.
    calls: Option<u32>,
}

/// A refresh token that was given.
struct Refresh {
    user: String,
    expires: i64,
}

/// What a login or a renewal gives.
pub(super) struct Granted {
    pub(super) access: String,
    /// Absent where the old one goes on.
    pub(super) refresh: Option<String>,
}

/// All accounts and tokens.
pub(super) struct Accounts {
    accounts: BTreeMap<&'static str, Account>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    /// Signs tokens.
    key: Zeroizing<[u8; 32]>,
    /// How many calls a token is good for that is given from now on.
    pub(super) calls: Option<u32>,
}

impl Accounts {
    /// Both accounts have that password.
    pub(super) fn new(password: &str, operator: Zeroizing<String>, visitor: Zeroizing<String>) -> Accounts {
        let account = |key_id, secret, permitted| Account {
            password: Zeroizing::new(password.to_owned()),
            key_id,
            secrets: vec![secret],
            locked: false,
            failures: 0,
            permitted,
        };
        let accounts = BTreeMap::from([
            (OPERATOR, account(OPERATOR_KEY, operator, true)),
            (VISITOR, account(VISITOR_KEY, visitor, false)),
        ]);
        let mut key = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(key.as_mut());
        Accounts { accounts, access: HashMap::new(), refresh: HashMap::new(), key, calls: None }
    }

    pub(super) fn get(&self, user: &str) -> Option<&Account> {
        self.accounts.get(user)
    }

    pub(super) fn get_mut(&mut self, user: &str) -> Option<&mut Account> {
        self.accounts.get_mut(user)
    }

    /// The account of a key id, and its secrets.
    pub(super) fn of_key(&self, key_id: &str) -> Option<(&'static str, &[Zeroizing<String>])> {
        let mut all = self.accounts.iter();
        all.find(|(_, account)| account.key_id == key_id).map(|(user, account)| (*user, &account.secrets[..]))
    }

    /// The account with a secret of this SHA-256, and its secrets.
    pub(super) fn of_secret(&self, hash: &str) -> Option<(&'static str, &[Zeroizing<String>])> {
        let is_meant = |secret: &Zeroizing<String>| hex(&Sha256::digest(secret.as_bytes())) == hash;
        let mut all = self.accounts.iter();
        let found = all.find(|(_, account)| account.secrets.iter().any(is_meant));
        found.map(|(user, account)| (*user, &account.secrets[..]))
    }

    /// From now on only these secrets sign for that key id; `false` if there is no such key id.
    pub(super) fn replace_secrets(&mut self, key_id: &str, secrets: Vec<String>) -> bool {
        let account = self.accounts.values_mut().find(|account| account.key_id == key_id);
        account.map(|account| account.secrets = secrets.into_iter().map(Zeroizing::new).collect()).is_some()
    }

    /// Tokens for a password.
    pub(super) fn log_in(
        &mut self,
        user: &str,
        password: &str,
        settings: &Settings,
        now: i64,
    ) -> Answer<Granted> {
        let wrong =
            || Refusal::new(settings.login_status, "INVALID_CREDENTIALS", "User or password is wrong.");
        let account = self.accounts.get_mut(user).ok_or_else(wrong)?;
        if account.locked {
            return Err(locked(settings));
        }
        if account.password.as_str() != password {
            account.failures += 1;
            account.locked = settings.attempts > 0 && account.failures >= settings.attempts;
            return Err(if account.locked { locked(settings) } else { wrong() });
        }
        account.failures = 0;
        let refresh = self.new_refresh(user, settings, now);
        Ok(Granted { access: self.new_access(user, settings, now), refresh: Some(refresh) })
    }

    /// A new access token for both old tokens.
    pub(super) fn renew(
        &mut self,
        access: &str,
        refresh: &str,
        settings: &Settings,
        now: i64,
    ) -> Answer<Granted> {
        let refused = || Refusal::new(401, "REFRESH_REFUSED", "The refresh token is not valid.");
        let known = self.refresh.get(refresh).filter(|known| known.expires > now).ok_or_else(refused)?;
        let user = known.user.clone();
        if self.access.get(access).is_none_or(|access| access.user != user) {
            return Err(refused());
        }
        if self.get(&user).is_none_or(|account| account.locked) {
            return Err(locked(settings));
        }
        let new = settings.rotation.then(|| {
            self.refresh.remove(refresh);
            self.new_refresh(&user, settings, now)
        });
        Ok(Granted { access: self.new_access(&user, settings, now), refresh: new })
    }

    /// The user of an access token.
    pub(super) fn user_of(&mut self, token: &str, now: i64) -> Answer<String> {
        let access = self.access.get_mut(token);
        let access = access.ok_or_else(|| Refusal::new(401, "TOKEN_INVALID", "The token is not ours."))?;
        if access.expires <= now || access.calls == Some(0) {
            return Err(Refusal::new(401, "TOKEN_EXPIRED", "The token has expired."));
        }
        access.calls = access.calls.map(|calls| calls - 1);
        Ok(access.user.clone())
    }

    /// From now on no access token of before is good.
    pub(super) fn expire(&mut self) {
        self.access.values_mut().for_each(|access| access.calls = Some(0));
    }

    /// From now on no refresh token of before is good.
    pub(super) fn revoke(&mut self) {
        self.refresh.clear();
    }

    fn new_access(&mut self, user: &str, settings: &Settings, now: i64) -> String {
        let expires = now.saturating_add_unsigned(settings.ttl);
        let id = random();
        let claims = json!({ "sub": user, "jti": id, "iat": now, "exp": expires });
        let token = jwt::hs256(&claims, self.key.as_ref());
        let access = Access { user: user.to_owned(), expires, calls: self.calls };
        self.access.insert(token.clone(), access);
        token
    }

    fn new_refresh(&mut self, user: &str, settings: &Settings, now: i64) -> String {
        let token = random();
        let expires = now.saturating_add_unsigned(settings.refresh_ttl);
        self.refresh.insert(token.clone(), Refresh { user: user.to_owned(), expires });
        token
    }
}

fn locked(settings: &Settings) -> Refusal {
    Refusal::new(settings.locked_status, "ACCOUNT_LOCKED", "The account is locked.")
}

/// 192 random bits in URL-safe characters.
fn random() -> String {
    let mut bytes = [0; 24];
    OsRng.fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}
