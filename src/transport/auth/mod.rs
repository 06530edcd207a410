//! Credentials, and the headers that carry them.
//!
//! A [`Credential`] does not know where its secret comes from: the configuration gives it a closure. That keeps files,
//! commands and the environment out of the transport.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use secrecy::{ExposeSecret, SecretString};

use super::Error;

mod api_key;
mod bearer;

pub use api_key::ApiKey;
pub use bearer::Bearer;

/// Reads a secret; the error says which one and why not, without a part of it.
pub type Source = dyn Fn() -> Result<SecretString, String> + Send + Sync;

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
        let Some(source) = &self.source else { return Ok(false) };
        let new = Arc::new(source().map_err(AuthError::Unreadable)?);
        let old = self.held.write().replace(Arc::clone(&new));
        Ok(old.is_none_or(|old| old.expose_secret() != new.expose_secret()))
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
