//! The one error type of the module above the transport.
//!
//! An [`Error`] is built where the fact is known, carries the `CKR_*` code that the standard gives for it, and is
//! logged once, at the C edge. Nothing converts into it silently: each layer says which code its failures mean.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use cryptoki_sys::{CK_RV, CK_ULONG, CKR_ARGUMENTS_BAD, CKR_BUFFER_TOO_SMALL, CKR_GENERAL_ERROR};

/// What every fallible function above the transport returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure with the return code that the caller of the C function gets.
#[derive(Debug)]
pub struct Error {
    rv: CK_RV,
    context: Cow<'static, str>,
    needed: Option<usize>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure that the standard names `rv`, with a sentence for the log. The sentence never holds a secret or
    /// data of the caller.
    pub fn new(rv: CK_RV, context: impl Into<Cow<'static, str>>) -> Self {
        Self { rv, context: context.into(), needed: None, source: None }
    }

    /// `CKR_ARGUMENTS_BAD`: a pointer, length or value of the caller that no valid call has.
    pub fn arguments(context: impl Into<Cow<'static, str>>) -> Self {
        Self::new(CKR_ARGUMENTS_BAD, context)
    }

    /// `CKR_GENERAL_ERROR`: a bug of ours.
    pub fn internal(context: impl Into<Cow<'static, str>>) -> Self {
        Self::new(CKR_GENERAL_ERROR, context)
    }

    /// `CKR_BUFFER_TOO_SMALL`, with the length in bytes that the caller has to bring (PKCS#11 3.2 section 5.2).
    pub fn buffer_too_small(needed: usize) -> Self {
        Self { needed: Some(needed), ..Self::new(CKR_BUFFER_TOO_SMALL, "the caller's buffer is too small") }
    }

    /// Adds what lies beneath, for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The code for the caller.
    pub fn rv(&self) -> CK_RV {
        self.rv
    }

    /// The length in bytes that would have been enough, with `CKR_BUFFER_TOO_SMALL`.
    pub fn needed(&self) -> Option<CK_ULONG> {
        self.needed.and_then(|n| CK_ULONG::try_from(n).ok())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
