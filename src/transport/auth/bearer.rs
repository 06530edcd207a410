//! A token in `Authorization: Bearer` (RFC 6750 2.1).

use zeroize::Zeroizing;

use super::{AuthError, Credential};
use crate::transport::Headers;

/// A bearer token.
#[derive(Debug)]
pub struct Bearer {
    /// The token.
    pub credential: Credential,
}

impl Bearer {
    /// Adds the header.
    ///
    /// # Errors
    /// [`AuthError::Missing`] without a token, [`AuthError::Unreadable`], [`AuthError::Unfit`]; then nothing is added.
    pub fn apply(&self, headers: &mut Headers) -> Result<(), AuthError> {
        self.credential.with(|secret| {
            let token = secret.ok_or(AuthError::Missing)?;
            let mut value = Zeroizing::new(String::with_capacity("Bearer ".len() + token.len()));
            value.push_str("Bearer ");
            value.push_str(token);
            headers.add("Authorization", &value).map_err(AuthError::Unfit)
        })?
    }
}
