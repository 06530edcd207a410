//! An API key in a header of its own.

use std::borrow::Cow;

use super::{AuthError, Credential};
use crate::transport::Headers;

/// An API key and the header that carries it.
#[derive(Debug)]
pub struct ApiKey {
    /// The name of the header.
    pub header: Cow<'static, str>,
    /// The key.
    pub credential: Credential,
}

impl ApiKey {
    /// Adds the header.
    ///
    /// # Errors
    /// [`AuthError::Missing`] without a key, [`AuthError::Unreadable`], [`AuthError::Unfit`]; then nothing is added.
    pub fn apply(&self, headers: &mut Headers) -> Result<(), AuthError> {
        self.credential.with(|secret| {
            let key = secret.ok_or(AuthError::Missing)?;
            headers.add(&self.header, key).map_err(AuthError::Unfit)
        })?
    }
}
