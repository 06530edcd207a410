//! What a token call gives: a token, or the reason why there is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use secrecy::SecretString;

use super::AuthError;
use crate::transport::{Error, ErrorKind, Headers, Response};

/// How soon after a token was got a refusal of it says that it is not its age.
pub(super) const YOUNG: Duration = Duration::from_secs(5);

/// A token, with the lines that carry it.
pub(super) struct Grant {
    pub(super) number: u64,
    /// With one scheme each; [`Scheme::Auto`](super::profile::Scheme::Auto) has two.
    pub(super) lines: [Headers; 2],
    pub(super) access: SecretString,
    pub(super) refresh: Option<SecretString>,
    pub(super) got: Instant,
    pub(super) expires: Instant,
    /// Whether a call was not refused with it.
    pub(super) accepted: AtomicBool,
}

impl Grant {
    pub(super) fn is_young(&self) -> bool {
        self.got.elapsed() < YOUNG
    }

    pub(super) fn lives(&self) -> bool {
        Instant::now() < self.expires
    }

    /// Whether a refusal may be for its age: nobody has used it with success and it is new where it is not.
    pub(super) fn may_be_old(&self) -> bool {
        !self.is_young() || self.accepted.load(Ordering::Relaxed)
    }
}

/// A grant, and which of its lines is sent.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) grant: Arc<Grant>,
    pub(super) other_line: bool,
}

impl Shown {
    pub(super) fn line(&self) -> &Headers {
        let [first, other] = &self.grant.lines;
        if self.other_line { other } else { first }
    }
}

/// Why there is no token.
#[derive(Debug)]
pub enum GrantError {
    /// The service did not answer.
    Transport(Error),
    /// `C_Login` has not brought the password.
    Missing,
    /// The source of the password failed, or the password is none that a request takes.
    Unreadable(String),
    /// The service refused. The dialect's table says what that means.
    Refused(Arc<Response>),
    /// The service granted something that is not what the profile says.
    Malformed(String),
}

impl From<AuthError> for GrantError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Missing => Self::Missing,
            AuthError::Unreadable(reason) => Self::Unreadable(reason),
            AuthError::Unfit(error) => Self::Unreadable(error.context),
        }
    }
}

impl From<GrantError> for Error {
    /// As the call sees it that wanted the token: it has not been sent.
    fn from(error: GrantError) -> Self {
        let unsent = |kind, context: String| Self::unsent(kind, format!("getting a token: {context}"));
        match error {
            GrantError::Transport(error) => {
                Self { refused: error.refused.clone(), ..unsent(error.kind, error.context) }
            }
            GrantError::Missing => unsent(ErrorKind::Unauthorised, AuthError::Missing.to_string()),
            GrantError::Unreadable(reason) => unsent(ErrorKind::Credential, reason),
            GrantError::Refused(response) => {
                let reason = format!("the service refused with HTTP {}", response.status);
                Self { refused: Some(response), ..unsent(ErrorKind::Refused, reason) }
            }
            GrantError::Malformed(reason) => unsent(ErrorKind::Malformed, reason),
        }
    }
}

/// Why a token call gave nothing.
pub(super) struct Denied {
    pub(super) error: GrantError,
    pub(super) verdict: Verdict,
}

/// What a refusal says of what was shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: it has not been looked at.
    Open,
    /// It was not taken, for a reason that may pass: a call that is not there for a moment, an address that is not known.
    Passing,
    /// The account is not let in, which may pass: it is locked, or the address is not known.
    Barred,
    /// It was looked at and found wanting.
    Final,
}

impl Verdict {
    /// By the status of a refusal, or the one that it says it has.
    pub(super) fn of(status: u16) -> Self {
        match status {
            // A server that fails or is busy has not looked at the password.
            408 | 429 | 500.. => Self::Open,
            // A success that says inside that it is none; RFC 6749 section 5.2; a locked account.
            200..=299 | 400 | 401 | 423 => Self::Final,
            403 => Self::Barred,
            _ => Self::Passing,
        }
    }
}

impl From<GrantError> for Denied {
    fn from(error: GrantError) -> Self {
        Self { error, verdict: Verdict::Open }
    }
}
