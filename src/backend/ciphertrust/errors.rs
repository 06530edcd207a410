//! The one table from the server's refusals to the codes of PKCS#11 (Luna reference sections 11.1 and 12.3).
//!
//! The HTTP status decides; of the server's own codes only one is known, and its texts tell what nothing else does: that a
//! resource is missing (a proxy's 404 says nothing of keys), and that an account is locked or its password too old.

use std::fmt::{self, Write};
use std::sync::Arc;

use cryptoki_sys::{
    CK_RV, CKR_ACTION_PROHIBITED, CKR_ATTRIBUTE_VALUE_INVALID, CKR_CRYPTOKI_NOT_INITIALIZED,
    CKR_DATA_LEN_RANGE, CKR_DEVICE_ERROR, CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE,
    CKR_FUNCTION_REJECTED, CKR_GENERAL_ERROR, CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_HANDLE_INVALID,
    CKR_PIN_EXPIRED, CKR_PIN_INCORRECT, CKR_PIN_LOCKED, CKR_TEMPLATE_INCONSISTENT, CKR_TOKEN_WRITE_PROTECTED,
    CKR_USER_NOT_LOGGED_IN,
};
use serde::Deserialize;

use crate::backend::front;
use crate::error::Error;
use crate::transport::auth::GrantError;
use crate::transport::{self, ErrorKind, Response};

/// That a key of this name exists.
const NAME_EXISTS: i64 = 416;

/// What a call is for: the same refusal means different things to different C functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Login,
    List,
    Describe,
    Sign,
    Mac,
    Encrypt,
    Decrypt,
    Generate,
    Delete,
}

impl Purpose {
    fn uses_key(self) -> bool {
        matches!(self, Self::Sign | Self::Mac | Self::Encrypt | Self::Decrypt)
    }

    /// Whether the vault is another one afterwards.
    pub(super) fn changes_vault(self) -> bool {
        matches!(self, Self::Generate | Self::Delete)
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Login => "logging in",
            Self::List => "listing the keys",
            Self::Describe => "reading the attributes of a key",
            Self::Sign => "signing",
            Self::Mac => "computing a MAC",
            Self::Encrypt => "encrypting",
            Self::Decrypt => "decrypting",
            Self::Generate => "making a key",
            Self::Delete => "deleting a key",
        })
    }
}

/// The error object, as far as it is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fault {
    code: Option<i64>,
    #[serde(rename = "codeDesc")]
    description: String,
    message: String,
}

impl Fault {
    fn says(&self, words: &str) -> bool {
        let has = |text: &str| text.to_ascii_lowercase().contains(words);
        has(&self.description) || has(&self.message)
    }
}

/// An answer other than success.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    fault: Fault,
}

impl Refusal {
    /// Reads what can be read of it.
    pub(super) fn read(response: &Response) -> Self {
        Self { status: response.status, fault: serde_json::from_slice(&response.body).unwrap_or_default() }
    }

    /// Whether the server itself says that there is no such key.
    pub(super) fn is_unknown_key(&self) -> bool {
        matches!(self.status, 400 | 404) && self.fault.says("resource not found")
    }

    /// Whether what was to be deleted is not there.
    pub(super) fn is_gone(&self) -> bool {
        self.status == 404 || self.is_unknown_key()
    }

    /// Whether there is a key of that name already.
    pub(super) fn is_taken_name(&self) -> bool {
        self.fault.code == Some(NAME_EXISTS)
    }

    /// Whether something of the request was not understood.
    pub(super) fn is_bad_request(&self) -> bool {
        matches!(self.status, 400 | 422) && !self.is_unknown_key()
    }

    /// Whether the account may not do this.
    pub(super) fn is_forbidden(&self) -> bool {
        self.status == 403
    }

    /// The error for the caller and the log.
    pub(super) fn error(&self, purpose: Purpose) -> Error {
        Error::new(self.rv(purpose), format!("{purpose}: the server answered {self}"))
    }

    fn rv(&self, purpose: Purpose) -> CK_RV {
        match (self.status, purpose) {
            (401 | 403 | 423 | 429, Purpose::Login) if self.fault.says("locked") => CKR_PIN_LOCKED,
            // Only who knows the password is told so; renewing it takes another way than this.
            (401 | 403, Purpose::Login) if self.fault.says("expired") => CKR_PIN_EXPIRED,
            (401, Purpose::Login) => CKR_PIN_INCORRECT,
            (401, _) => CKR_USER_NOT_LOGGED_IN,
            _ if self.is_taken_name() => CKR_TEMPLATE_INCONSISTENT,
            // For this account the vault is one to be read.
            (403, Purpose::Generate) => CKR_TOKEN_WRITE_PROTECTED,
            // Nobody says with which status an undeletable key is refused.
            (403 | 409, Purpose::Delete) => CKR_ACTION_PROHIBITED,
            (403, _) if purpose.uses_key() => CKR_KEY_FUNCTION_NOT_PERMITTED,
            (403, _) => CKR_FUNCTION_REJECTED,
            _ if self.is_unknown_key() => CKR_KEY_HANDLE_INVALID,
            // What is wrong is the ciphertext or its tag: all else was made here.
            (400 | 422, Purpose::Decrypt) => CKR_ENCRYPTED_DATA_INVALID,
            (413, Purpose::Decrypt) => CKR_ENCRYPTED_DATA_LEN_RANGE,
            (413, Purpose::Sign | Purpose::Mac | Purpose::Encrypt) => CKR_DATA_LEN_RANGE,
            (400 | 409 | 422, Purpose::Generate) => CKR_ATTRIBUTE_VALUE_INVALID,
            (400 | 422, Purpose::Delete) => CKR_ACTION_PROHIBITED,
            (400 | 422, _) => CKR_GENERAL_ERROR,
            _ => CKR_DEVICE_ERROR,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        let Fault { code, description, message } = &self.fault;
        if let Some(code) = code {
            write!(f, ", code {code}")?;
        }
        for text in [description, message].into_iter().filter(|text| !text.is_empty()) {
            f.write_str(", ")?;
            text.chars().flat_map(char::escape_debug).take(200).try_for_each(|char| f.write_char(char))?;
        }
        Ok(())
    }
}

/// Whether the server says it, and not what stands in front of it.
pub(super) fn is_own(response: &Response) -> bool {
    let Fault { code, description, .. } = Refusal::read(response).fault;
    code.is_some() || !description.is_empty()
}

/// The error for a request that got no answer, if only for want of a token.
pub(super) fn unanswered(purpose: Purpose, error: transport::Error) -> Error {
    let rv = front::barred(&error, purpose == Purpose::Login).unwrap_or_else(|| {
        match (error.kind, &error.refused) {
            (ErrorKind::Closed, _) => CKR_CRYPTOKI_NOT_INITIALIZED,
            // Nothing was sent, and no device is to blame.
            (ErrorKind::Header, _) => CKR_GENERAL_ERROR,
            (ErrorKind::Unauthorised, _) => CKR_USER_NOT_LOGGED_IN,
            (ErrorKind::Refused, Some(response)) => renewal_refused(response),
            _ => CKR_DEVICE_ERROR,
        }
    });
    Error::new(rv, format!("{purpose}: no answer")).because(error)
}

/// What becomes of a use of a key when no new token is to be had.
fn renewal_refused(response: &Arc<Response>) -> CK_RV {
    match Refusal::read(response).rv(Purpose::Login) {
        CKR_PIN_EXPIRED | CKR_PIN_INCORRECT | CKR_PIN_LOCKED => CKR_USER_NOT_LOGGED_IN,
        other => other,
    }
}

/// The error for a login that gave no token.
pub(super) fn not_granted(error: GrantError) -> Error {
    let purpose = Purpose::Login;
    match error {
        GrantError::Transport(error) => unanswered(purpose, error),
        GrantError::Missing => {
            Error::new(CKR_USER_NOT_LOGGED_IN, format!("{purpose}: a logout came in between"))
        }
        GrantError::Unreadable(reason) => Error::new(CKR_DEVICE_ERROR, format!("{purpose}: {reason}")),
        GrantError::Refused(response) => Refusal::read(&response).error(purpose),
        GrantError::Malformed(reason) => Error::new(CKR_DEVICE_ERROR, format!("{purpose}: {reason}")),
    }
}

/// The error for a success that is not what it should be.
pub(super) fn unreadable(purpose: Purpose, response: &Response, what: &str) -> Error {
    let (status, length) = (response.status, response.body.len());
    Error::new(CKR_DEVICE_ERROR, format!("{purpose}: HTTP {status} with {length} bytes: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Response {
        let body = body.as_bytes().to_vec().into();
        Response { status, retry_after: None, kept: transport::Kept::default(), body }
    }

    fn rv(purpose: Purpose, status: u16, body: &str) -> CK_RV {
        Refusal::read(&answer(status, body)).rv(purpose)
    }

    #[test]
    fn the_rows_of_section_12_3() {
        const EXPIRED: &str = r#"{"code":1,"codeDesc":"x","message":"Token is expired"}"#;
        const MISSING: &str = r#"{"code":6,"codeDesc":"x","message":"Resource not found"}"#;
        const EXISTS: &str = r#"{"code":416,"codeDesc":"x","message":"y"}"#;
        for (purpose, status, body, expected) in [
            (Purpose::Sign, 401, EXPIRED, CKR_USER_NOT_LOGGED_IN),
            (Purpose::List, 401, "no JSON", CKR_USER_NOT_LOGGED_IN),
            (Purpose::Sign, 404, MISSING, CKR_KEY_HANDLE_INVALID),
            (Purpose::Decrypt, 404, MISSING, CKR_KEY_HANDLE_INVALID),
            (Purpose::Decrypt, 400, MISSING, CKR_KEY_HANDLE_INVALID),
            (Purpose::Describe, 409, EXISTS, CKR_TEMPLATE_INCONSISTENT),
            (Purpose::Describe, 400, EXISTS, CKR_TEMPLATE_INCONSISTENT),
            (Purpose::Sign, 403, "{}", CKR_KEY_FUNCTION_NOT_PERMITTED),
            (Purpose::Mac, 403, "", CKR_KEY_FUNCTION_NOT_PERMITTED),
            (Purpose::Decrypt, 400, "{}", CKR_ENCRYPTED_DATA_INVALID),
            (Purpose::Decrypt, 422, "{}", CKR_ENCRYPTED_DATA_INVALID),
            (Purpose::Sign, 500, "{}", CKR_DEVICE_ERROR),
            (Purpose::Login, 502, "<html>", CKR_DEVICE_ERROR),
        ] {
            assert_eq!(rv(purpose, status, body), expected, "{purpose} {status} {body}");
        }
    }

    #[test]
    fn the_vault_that_is_changed() {
        for (purpose, status, body, expected) in [
            (Purpose::Generate, 409, r#"{"code":416}"#, CKR_TEMPLATE_INCONSISTENT),
            (Purpose::Generate, 400, r#"{"code":416}"#, CKR_TEMPLATE_INCONSISTENT),
            (Purpose::Generate, 400, "{}", CKR_ATTRIBUTE_VALUE_INVALID),
            (Purpose::Generate, 403, "{}", CKR_TOKEN_WRITE_PROTECTED),
            (Purpose::Generate, 401, "{}", CKR_USER_NOT_LOGGED_IN),
            (Purpose::Generate, 500, "{}", CKR_DEVICE_ERROR),
            (Purpose::Delete, 403, "{}", CKR_ACTION_PROHIBITED),
            (Purpose::Delete, 409, "{}", CKR_ACTION_PROHIBITED),
            (Purpose::Delete, 400, "{}", CKR_ACTION_PROHIBITED),
            (Purpose::Delete, 404, r#"{"message":"Resource not found"}"#, CKR_KEY_HANDLE_INVALID),
            (Purpose::Delete, 404, "<html>", CKR_DEVICE_ERROR),
            (Purpose::Delete, 401, "{}", CKR_USER_NOT_LOGGED_IN),
        ] {
            assert_eq!(rv(purpose, status, body), expected, "{purpose} {status} {body}");
        }
    }

    #[test]
    fn what_the_page_leaves_open() {
        const LOCKED: &str = r#"{"code":3,"message":"The user account is Locked"}"#;
        for (purpose, status, body, expected) in [
            (Purpose::Login, 401, r#"{"message":"Invalid username or password"}"#, CKR_PIN_INCORRECT),
            (Purpose::Login, 401, LOCKED, CKR_PIN_LOCKED),
            (Purpose::Login, 429, LOCKED, CKR_PIN_LOCKED),
            (Purpose::Login, 423, LOCKED, CKR_PIN_LOCKED),
            (Purpose::Login, 401, r#"{"message":"The password has expired"}"#, CKR_PIN_EXPIRED),
            (Purpose::Login, 403, "{}", CKR_FUNCTION_REJECTED),
            (Purpose::Login, 400, "{}", CKR_GENERAL_ERROR),
            (Purpose::List, 403, "{}", CKR_FUNCTION_REJECTED),
            // A proxy knows nothing of keys.
            (Purpose::Sign, 404, "<html>not found</html>", CKR_DEVICE_ERROR),
            (Purpose::Sign, 413, "", CKR_DATA_LEN_RANGE),
            (Purpose::Decrypt, 413, "", CKR_ENCRYPTED_DATA_LEN_RANGE),
            (Purpose::Sign, 422, "{}", CKR_GENERAL_ERROR),
            (Purpose::Sign, 400, "{}", CKR_GENERAL_ERROR),
            (Purpose::Sign, 415, "{}", CKR_DEVICE_ERROR),
        ] {
            assert_eq!(rv(purpose, status, body), expected, "{purpose} {status} {body}");
        }
    }

    #[test]
    fn a_renewal_that_is_refused_is_no_wrong_pin() {
        let code = |status, body: &str| {
            let refused = GrantError::Refused(Arc::new(answer(status, body)));
            unanswered(Purpose::Sign, transport::Error::from(refused)).rv()
        };
        assert_eq!(code(401, r#"{"message":"Refresh token is invalid"}"#), CKR_USER_NOT_LOGGED_IN);
        assert_eq!(code(401, r#"{"message":"The account is locked"}"#), CKR_USER_NOT_LOGGED_IN);
        assert_eq!(code(401, r#"{"message":"Token is expired"}"#), CKR_USER_NOT_LOGGED_IN);
        assert_eq!(code(503, ""), CKR_DEVICE_ERROR);
        let missing = transport::Error::from(GrantError::Missing);
        assert_eq!(unanswered(Purpose::Sign, missing).rv(), CKR_USER_NOT_LOGGED_IN);
    }

    #[test]
    fn what_the_server_says_is_told_in_one_line() {
        let body = r#"{"code":7,"codeDesc":"A","message":"two\nlines"}"#;
        let error = Refusal::read(&answer(500, body)).error(Purpose::List);
        assert_eq!(
            error.to_string(),
            "listing the keys: the server answered HTTP 500, code 7, A, two\\nlines"
        );
    }
}
