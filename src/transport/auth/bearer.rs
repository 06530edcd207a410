//! A token in `Authorization: Bearer` (RFC 6750 2.1), or where else a service wants one.

use std::borrow::Cow;

use zeroize::Zeroizing;

use super::{AuthError, Credential};
use crate::transport::Headers;

/// A bearer token.
#[derive(Debug)]
pub struct Bearer {
    /// The name of the header.
    pub header: Cow<'static, str>,
    /// What stands before the token there.
    pub scheme: &'static str,
    /// The token.
    pub credential: Credential,
}

impl Bearer {
    /// As RFC 6750 has it.
    pub fn new(credential: Credential) -> Self {
        Self { header: "Authorization".into(), scheme: "Bearer ", credential }
    }

    /// Adds the header.
    ///
    /// # Errors
    /// [`AuthError::Missing`] without a token, [`AuthError::Unreadable`], [`AuthError::Unfit`]; then nothing is added.
    pub fn apply(&self, headers: &mut Headers) -> Result<(), AuthError> {
        self.credential.with(|secret| {
            let token = secret.ok_or(AuthError::Missing)?;
            let mut value = Zeroizing::new(String::with_capacity(self.scheme.len() + token.len()));
            value.push_str(self.scheme);
            value.push_str(token);
            headers.add(&self.header, &value).map_err(AuthError::Unfit)
        })?
    }
}
