//! The one table from the service's refusals to the codes of PKCS#11 (section 6.4).
//!
//! The number in the answer decides; where there is none, as in what a proxy says, the status of HTTP. The text is free,
//! in either of two languages, and only a hint.

use std::fmt::{self, Write};
use std::time::Duration;

use cryptoki_sys::{
    CK_RV, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_DATA_INVALID, CKR_DEVICE_ERROR, CKR_ENCRYPTED_DATA_INVALID,
    CKR_FUNCTION_FAILED, CKR_GENERAL_ERROR, CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_HANDLE_INVALID,
    CKR_PIN_INCORRECT, CKR_PIN_LOCKED, CKR_USER_NOT_LOGGED_IN,
};
use serde::de::IgnoredAny;

use super::wire::Answer;
use crate::backend::front;
use crate::error::Error;
use crate::transport::auth::GrantError;
use crate::transport::{self, ErrorKind, Response};

/// What a call is for: the same refusal means different things to different C functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Login,
    Describe,
    Sign,
    Decrypt,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Login => "logging in",
            Self::Describe => "asking for a certificate",
            Self::Sign => "signing",
            Self::Decrypt => "decrypting",
        })
    }
}

/// An answer other than success.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The code of the answer, else its status.
    code: u16,
    /// What the service says; `None` where it is not the service that answers.
    message: Option<String>,
    /// When it may be asked again, in its own words.
    retry_after: Option<Duration>,
}

/// The pause before a call is made again that came too soon, if the service names none.
const PAUSE: Duration = Duration::from_secs(1);
/// The shortest, whatever it names.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

impl Refusal {
    /// Reads what can be read of it.
    pub(super) fn read(response: &Response) -> Self {
        let answer: Option<Answer<'_, IgnoredAny>> = serde_json::from_slice(&response.body).ok();
        // A success of which only the status line thinks otherwise has no code to go by.
        let code = answer.as_ref().filter(|answer| !answer.is_success()).and_then(|answer| answer.code);
        let message = answer.map(|answer| answer.message.unwrap_or_default().into_owned());
        Self { code: code.unwrap_or(response.status), message, retry_after: response.retry_after }
    }

    /// Whether the service did not know the certificate.
    pub(super) fn is_unknown_certificate(&self) -> bool {
        // A proxy's 404 says nothing of certificates.
        self.code == 404 && self.message.is_some()
    }

    /// Whether something of the request was not to its liking, so that nothing was done.
    pub(super) fn is_bad_request(&self) -> bool {
        self.code == 400 && self.message.is_some()
    }

    /// Whether it failed and may not do so again.
    pub(super) fn may_pass(&self) -> bool {
        self.code >= 500
    }

    /// For how long to wait before the same is asked again: there were too many requests, and nothing was done.
    pub(super) fn pause(&self) -> Option<Duration> {
        (self.code == 429).then(|| self.retry_after.unwrap_or(PAUSE).max(SHORTEST_PAUSE))
    }

    /// The same where a password is shown: only if the service asks for it.
    pub(super) fn login_pause(&self) -> Option<Duration> {
        self.retry_after.and_then(|_| self.pause())
    }

    /// Whether the text speaks of this.
    pub(super) fn says(&self, word: &str) -> bool {
        self.message.as_ref().is_some_and(|message| message.to_lowercase().contains(word))
    }

    /// The error for the caller and the log.
    pub(super) fn error(&self, purpose: Purpose) -> Error {
        self.error_as(self.rv(purpose), purpose)
    }

    /// The same with a code that more is known for.
    pub(super) fn error_as(&self, rv: CK_RV, purpose: Purpose) -> Error {
        Error::new(rv, format!("{purpose}: the service answered {self}"))
    }

    fn rv(&self, purpose: Purpose) -> CK_RV {
        // Documented for failures that are nobody's fault, unlike those that name what failed.
        let internal = self.message.is_none() || self.says("internal");
        match (self.code, purpose) {
            (401, Purpose::Login) => CKR_PIN_INCORRECT,
            (403, Purpose::Login) => CKR_PIN_LOCKED,
            (401, _) => CKR_USER_NOT_LOGGED_IN,
            (_, Purpose::Login) => CKR_DEVICE_ERROR,
            (403, _) => CKR_KEY_FUNCTION_NOT_PERMITTED,
            (404, _) if self.is_unknown_certificate() => CKR_KEY_HANDLE_INVALID,
            // A serial number of the wrong form, or of no certificate.
            (400, Purpose::Describe) => CKR_KEY_HANDLE_INVALID,
            (400, Purpose::Sign) => CKR_DATA_INVALID,
            (400, Purpose::Decrypt) => CKR_ENCRYPTED_DATA_INVALID,
            (500, Purpose::Decrypt) if !internal => CKR_ENCRYPTED_DATA_INVALID,
            (500, Purpose::Sign) if !internal => CKR_FUNCTION_FAILED,
            _ => CKR_DEVICE_ERROR,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "code {}", self.code)?;
        let Some(message) = self.message.as_ref().filter(|message| !message.is_empty()) else {
            return Ok(());
        };
        f.write_str(", ")?;
        message.chars().flat_map(char::escape_debug).take(200).try_for_each(|char| f.write_char(char))
    }
}

/// Whether the service says it, and not what stands in front of it.
pub(super) fn is_own(response: &Response) -> bool {
    Refusal::read(response).message.is_some()
}

/// Whether the token was refused: the status line need not say so (section 2).
pub(super) fn is_unauthorised(response: &Response) -> bool {
    match response.status {
        401 => true,
        200..300 => serde_json::from_slice::<Answer<'_, IgnoredAny>>(&response.body)
            .is_ok_and(|answer| !answer.success && answer.code == Some(401)),
        _ => false,
    }
}

/// The error for a request that got no answer, if only for want of a token.
pub(super) fn unanswered(purpose: Purpose, error: transport::Error) -> Error {
    let rv = front::barred(&error, purpose == Purpose::Login).unwrap_or_else(|| {
        match (error.kind, &error.refused) {
            (ErrorKind::Closed, _) => CKR_CRYPTOKI_NOT_INITIALIZED,
            // Nothing was sent, and no device is to blame.
            (ErrorKind::Header, _) => CKR_GENERAL_ERROR,
            (ErrorKind::Unauthorised, _) => CKR_USER_NOT_LOGGED_IN,
            (ErrorKind::Refused, Some(response)) => match Refusal::read(response).rv(Purpose::Login) {
                CKR_PIN_INCORRECT | CKR_PIN_LOCKED => CKR_USER_NOT_LOGGED_IN,
                other => other,
            },
            _ => CKR_DEVICE_ERROR,
        }
    });
    Error::new(rv, format!("{purpose}: no answer")).because(error)
}

/// The error for a login that gave no token.
pub(super) fn not_granted(error: GrantError) -> Error {
    let purpose = Purpose::Login;
    match error {
        GrantError::Transport(error) => unanswered(purpose, error),
        GrantError::Missing => {
            Error::new(CKR_USER_NOT_LOGGED_IN, format!("{purpose}: a logout came in between"))
        }
        GrantError::Refused(response) => Refusal::read(&response).error(purpose),
        GrantError::Unreadable(reason) | GrantError::Malformed(reason) => {
            Error::new(CKR_DEVICE_ERROR, format!("{purpose}: {reason}"))
        }
    }
}

/// The error for a success that is not what it should be. Nothing of the body is told, which may be a plaintext.
pub(super) fn unreadable(purpose: Purpose, response: &Response, what: &str) -> Error {
    let (status, length) = (response.status, response.body.len());
    Error::new(CKR_DEVICE_ERROR, format!("{purpose}: HTTP {status} with {length} bytes: {what}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn answer(status: u16, body: &str) -> Response {
        let body = body.as_bytes().to_vec().into();
        Response { status, retry_after: None, kept: transport::Kept::default(), body }
    }

    fn failure(code: u16, message: &str) -> String {
        format!(r#"{{"success":false,"message":"{message}","code":{code},"data":null}}"#)
    }

    #[test]
    fn the_rows_of_section_6_4_whatever_the_status_line_says() {
        use Purpose::{Decrypt, Describe, Login, Sign};
        for (purpose, code, message, expected) in [
            (Login, 401, "Invalid username or password", CKR_PIN_INCORRECT),
            (Login, 403, "Account is locked", CKR_PIN_LOCKED),
            (Login, 500, "Internal server error", CKR_DEVICE_ERROR),
            (Sign, 401, "Unauthorized", CKR_USER_NOT_LOGGED_IN),
            (Describe, 403, "Forbidden", CKR_KEY_FUNCTION_NOT_PERMITTED),
            (Describe, 404, "Certificate not found", CKR_KEY_HANDLE_INVALID),
            (Describe, 400, "Invalid serial number format", CKR_KEY_HANDLE_INVALID),
            (Sign, 400, "Invalid hash format", CKR_DATA_INVALID),
            (Decrypt, 400, "Invalid data format", CKR_ENCRYPTED_DATA_INVALID),
            (Decrypt, 500, "Decryption failed", CKR_ENCRYPTED_DATA_INVALID),
            (Decrypt, 500, "Internal server error", CKR_DEVICE_ERROR),
            (Sign, 500, "Signing failed", CKR_FUNCTION_FAILED),
            (Sign, 502, "Bad gateway", CKR_DEVICE_ERROR),
            (Sign, 429, "Too many requests", CKR_DEVICE_ERROR),
        ] {
            for status in [code, 200] {
                let refusal = Refusal::read(&answer(status, &failure(code, message)));
                assert_eq!(refusal.rv(purpose), expected, "{purpose} {status} {code} {message}");
            }
        }
    }

    #[test]
    fn what_is_no_answer_of_the_service_has_its_status_alone() {
        for (purpose, status, expected) in [
            (Purpose::Login, 401, CKR_PIN_INCORRECT),
            (Purpose::Describe, 401, CKR_USER_NOT_LOGGED_IN),
            // A proxy knows nothing of certificates, nor why the service fails.
            (Purpose::Describe, 404, CKR_DEVICE_ERROR),
            (Purpose::Sign, 500, CKR_DEVICE_ERROR),
            (Purpose::Decrypt, 500, CKR_DEVICE_ERROR),
        ] {
            let refusal = Refusal::read(&answer(status, "<html>"));
            assert_eq!(refusal.rv(purpose), expected, "{purpose} {status}");
        }
    }

    #[test]
    fn a_token_is_refused_by_the_status_line_or_by_the_answer() {
        assert!(is_unauthorised(&answer(401, "")));
        assert!(is_unauthorised(&answer(200, &failure(401, "Unauthorized"))));
        assert!(!is_unauthorised(&answer(200, &failure(400, "Invalid hash format"))));
        assert!(!is_unauthorised(&answer(200, r#"{"success":true,"message":"Success","code":200}"#)));
        assert!(!is_unauthorised(&answer(502, &failure(401, "Unauthorized"))));
    }

    #[test]
    fn a_renewal_that_is_refused_is_no_wrong_pin() {
        let code = |status, body: &str| {
            let refused = GrantError::Refused(Arc::new(answer(status, body)));
            unanswered(Purpose::Sign, transport::Error::from(refused)).rv()
        };
        assert_eq!(code(200, &failure(401, "Invalid username or password")), CKR_USER_NOT_LOGGED_IN);
        assert_eq!(code(403, &failure(403, "Account is locked")), CKR_USER_NOT_LOGGED_IN);
        assert_eq!(code(500, &failure(500, "Internal server error")), CKR_DEVICE_ERROR);
    }

    #[test]
    fn what_the_service_says_is_told_in_one_line() {
        let error = Refusal::read(&answer(200, &failure(500, "two\\nlines"))).error(Purpose::Sign);
        assert_eq!(error.to_string(), "signing: the service answered code 500, two\\nlines");
    }
}
