//! User and password in `Authorization: Basic` (RFC 7617).

use base64::engine::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{AuthError, Credential};
use crate::transport::{Error, ErrorKind, Headers};

/// A user and its password.
#[derive(Debug)]
pub struct Basic {
    /// The name, which has no colon.
    pub user: String,
    /// The password.
    pub credential: Credential,
}

impl Basic {
    /// Adds the header.
    ///
    /// # Errors
    /// [`AuthError::Missing`] without a password, [`AuthError::Unreadable`], [`AuthError::Unfit`]; then nothing is added.
    pub fn apply(&self, headers: &mut Headers) -> Result<(), AuthError> {
        self.credential.with(|secret| apply(&self.user, secret.ok_or(AuthError::Missing)?, headers))?
    }
}

/// Adds the header for `user` and `password`, in UTF-8.
pub(super) fn apply(user: &str, password: &str, headers: &mut Headers) -> Result<(), AuthError> {
    // What follows the first colon is the password.
    if user.contains(':') {
        let reason = "a user name for Basic has a colon, which none may have";
        return Err(AuthError::Unfit(Error::unsent(ErrorKind::Header, reason)));
    }
    let mut pair = Zeroizing::new(String::with_capacity(user.len() + 1 + password.len()));
    for part in [user, ":", password] {
        pair.push_str(part);
    }
    let mut value = Zeroizing::new(String::with_capacity("Basic ".len() + pair.len().div_ceil(3) * 4));
    value.push_str("Basic ");
    STANDARD.encode_string(pair.as_bytes(), &mut value);
    headers.add("Authorization", &value).map_err(AuthError::Unfit)
}
