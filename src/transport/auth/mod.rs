//! Credentials, and the headers that carry them.
//!
//! A [`Credential`] does not know where its secret comes from: the configuration gives it a closure. That keeps files,
//! commands and the environment out of the transport.
//!
//! [`Authenticated`] is a transport with layers in front: secrets that each request shows as they are ([`Basic`],
//! [`Bearer`], [`ApiKey`]), signatures ([`Signer`]), and a [`Token`] that is got with a password, renewed, and given back. A dialect with token
//! calls of its own says in a [`TokenProfile`] what they look like, and is short:
//!
//! ```text
//! let login = TokenCall::json("/api/account/gettoken", [("username", User), ("password", Password)]);
//! let profile = TokenProfile { access: vec!["/data/token".into()], ..TokenProfile::new(login) };
//! let password = configured(&token.auth.password, "slot.auth.password");
//! let audit = Audit::new(log, &token.label, user);
//! let account = Arc::new(Token::new(profile, user.to_owned(), password, true, audit));
//! let service = Authenticated::new(transport::open(token, &CONVENTIONS)?).with_token(account);
//! service.call(&request, deadline)?         // with a token that lives; Response or Error as ever
//! service.login(pin, deadline)?             // C_Login: GrantError::Refused(answer) goes to the dialect's table
//! service.logout();                         // C_Logout: gives the token back, forgets it and the PIN
//! service.wants_pin(); service.is_ready();  // CKF_LOGIN_REQUIRED; whether calls can be made
//! service.login_secrets(); service.inherit_login(secrets);  // for the child of a fork
//! ```

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use secrecy::{ExposeSecret, SecretString};

use super::Error;
use crate::config;

mod api_key;
mod authenticated;
mod basic;
mod bearer;
mod front;
mod gate;
mod grant;
mod hmac;
mod layers;
mod presented;
mod profile;
mod token;

pub use api_key::ApiKey;
pub use authenticated::Authenticated;
pub use basic::Basic;
pub use bearer::Bearer;
pub use grant::GrantError;
pub use hmac::Signer;
pub use layers::open;
pub use profile::{BodyForm, FieldValue, Pointer, RevokeCall, Scheme, TokenCall, TokenProfile};
pub use token::Token;

/// Reads a secret; the error says which one and why not, without a part of it.
pub type Source = dyn Fn() -> Result<SecretString, String> + Send + Sync;

/// The credential of a secret of the configuration; `key` is the key there, for messages.
pub fn configured(secret: &config::Secret, key: impl Into<String>) -> Credential {
    if secret.is_pin() {
        return Credential::pin();
    }
    let (secret, key) = (secret.clone(), key.into());
    Credential::fixed(move || {
        let told = |problem: config::Problem| format!("{key}: {}; {}", problem.what(), problem.remedy());
        secret.read().map_err(told)
    })
}

/// Why a request cannot carry its credential.
#[derive(Debug)]
pub enum AuthError {
    /// `C_Login` has not brought the secret.
    Missing,
    /// The source of the secret failed.
    Unreadable(String),
    /// The secret has a byte that no header may carry.
    Unfit(Error),
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the credential is one that C_Login brings"),
            Self::Unreadable(reason) => f.write_str(reason),
            Self::Unfit(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AuthError {}

/// One secret in memory, zeroised when it is dropped. It is either read from a source, when it is first needed, or
/// brought by `C_Login`.
pub struct Credential {
    source: Option<Box<Source>>,
    held: RwLock<Option<Arc<SecretString>>>,
}

impl Credential {
    /// A secret with a source, which is not asked before the secret is needed.
    pub fn fixed(source: impl Fn() -> Result<SecretString, String> + Send + Sync + 'static) -> Self {
        Self { source: Some(Box::new(source)), held: RwLock::new(None) }
    }

    /// A secret that `C_Login` brings; there is none before.
    pub fn pin() -> Self {
        Self { source: None, held: RwLock::new(None) }
    }

    /// Whether `C_Login` brings it.
    pub fn is_pin(&self) -> bool {
        self.source.is_none()
    }

    /// Whether there is a secret to use: always with a source, else between `fill` and `clear`.
    pub fn is_filled(&self) -> bool {
        self.source.is_some() || self.held.read().is_some()
    }

    /// Takes the secret. One that came from a source before is replaced until the next `refresh` or `clear`.
    pub fn fill(&self, secret: SecretString) {
        *self.held.write() = Some(Arc::new(secret));
    }

    /// Forgets the secret. It is zeroised as soon as no request that is being built uses it.
    pub fn clear(&self) {
        *self.held.write() = None;
    }

    /// Asks the source anew and says whether the secret is another one: after a 401, whether trying again makes sense.
    /// Without a source nothing changes.
    ///
    /// # Errors
    /// [`AuthError::Unreadable`]; then the old secret stays.
    pub fn refresh(&self) -> Result<bool, AuthError> {
        Ok(self.read_anew()?.is_some_and(|new| self.replace(new)))
    }

    /// What the source gives now; `None` without one. Nothing changes yet.
    fn read_anew(&self) -> Result<Option<SecretString>, AuthError> {
        self.source.as_ref().map(|source| source().map_err(AuthError::Unreadable)).transpose()
    }

    /// Takes what the source gave and says whether it is another one.
    fn replace(&self, new: SecretString) -> bool {
        let new = Arc::new(new);
        let old = self.held.write().replace(Arc::clone(&new));
        old.is_none_or(|old| old.expose_secret() != new.expose_secret())
    }

    /// Shows the secret to `use_it`, without holding a lock; `None` for one that `C_Login` has not brought.
    ///
    /// # Errors
    /// [`AuthError::Unreadable`], when the source is asked for the first time and fails.
    pub fn with<R>(&self, use_it: impl FnOnce(Option<&str>) -> R) -> Result<R, AuthError> {
        let secret = self.secret()?;
        Ok(use_it(secret.as_ref().map(|secret| secret.expose_secret())))
    }

    fn secret(&self) -> Result<Option<Arc<SecretString>>, AuthError> {
        let held = self.held.read().clone();
        let (None, Some(source)) = (&held, &self.source) else { return Ok(held) };
        // Two callers at once may both ask: better than one who waits for a command under a lock.
        let read = Arc::new(source().map_err(AuthError::Unreadable)?);
        Ok(Some(Arc::clone(self.held.write().get_or_insert(read))))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_pin() { "pin" } else { "fixed" };
        write!(f, "Credential({kind}, redacted)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::Headers;
    use super::*;

    fn counting() -> (Credential, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let credential = Credential::fixed(move || match counter.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Ok("one".into()),
            2 => Ok("two".into()),
            _ => Err("the file is gone".to_owned()),
        });
        (credential, asked)
    }

    fn shown(credential: &Credential) -> Option<String> {
        credential.with(|secret| secret.map(str::to_owned)).unwrap()
    }

    #[test]
    fn a_fixed_secret_is_read_when_needed_and_kept() {
        let (credential, asked) = counting();
        assert!(credential.is_filled() && !credential.is_pin());
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        assert_eq!(shown(&credential).as_deref(), Some("one"));
        assert_eq!(shown(&credential).as_deref(), Some("one"));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn refresh_tells_whether_trying_again_makes_sense() {
        let (credential, _) = counting();
        shown(&credential);
        assert!(!credential.refresh().unwrap());
        assert!(credential.refresh().unwrap());
        assert_eq!(shown(&credential).as_deref(), Some("two"));
        assert!(
            matches!(credential.refresh(), Err(AuthError::Unreadable(reason)) if reason == "the file is gone")
        );
        assert_eq!(shown(&credential).as_deref(), Some("two"));
        credential.clear();
        assert!(matches!(credential.with(|_| ()), Err(AuthError::Unreadable(_))));
    }

    #[test]
    fn a_pin_is_there_between_fill_and_clear() {
        let credential = Credential::pin();
        assert!(credential.is_pin() && !credential.is_filled());
        assert_eq!(shown(&credential), None);
        credential.fill("1234".into());
        assert!(credential.is_filled());
        assert_eq!(shown(&credential).as_deref(), Some("1234"));
        assert!(!credential.refresh().unwrap());
        credential.clear();
        assert!(!credential.is_filled());
        assert_eq!(shown(&credential), None);
    }

    /// `SecretString` zeroises when it is dropped, so that no owner may be left.
    #[test]
    fn what_is_cleared_is_dropped_once_nobody_uses_it() {
        let credential = Credential::pin();
        credential.fill("1234".into());
        let weak = credential.held.read().as_ref().map(Arc::downgrade).unwrap();
        credential
            .with(|secret| {
                credential.clear();
                assert_eq!(secret, Some("1234"), "a request that is being built keeps it");
                assert!(weak.upgrade().is_some());
            })
            .unwrap();
        assert!(weak.upgrade().is_none());
        credential.fill("old".into());
        let weak = credential.held.read().as_ref().map(Arc::downgrade).unwrap();
        credential.fill("new".into());
        assert!(weak.upgrade().is_none());
    }

    #[test]
    fn credentials_become_headers_or_say_why_not() {
        let mut headers = Headers::default();
        let key = ApiKey { header: "X-API-KEY".into(), credential: Credential::pin() };
        assert!(matches!(key.apply(&mut headers), Err(AuthError::Missing)));
        key.credential.fill("k\r\nX-Admin: 1".into());
        assert!(matches!(key.apply(&mut headers), Err(AuthError::Unfit(_))));
        assert_eq!(headers.as_bytes(), b"");
        key.credential.fill("k".into());
        key.apply(&mut headers).unwrap();
        let bearer = Bearer::new(counting().0);
        bearer.apply(&mut headers).unwrap();
        assert_eq!(headers.as_bytes(), b"X-API-KEY: k\r\nAuthorization: Bearer one\r\n");
    }

    #[test]
    fn debug_shows_no_secret() {
        let bearer = Bearer::new(Credential::pin());
        bearer.credential.fill("s3cret".into());
        assert!(!format!("{bearer:?}").contains("s3cret"));
    }
}
