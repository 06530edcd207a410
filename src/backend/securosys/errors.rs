//! The one table from the service's refusals to the codes of PKCS#11 (Securosys TSB reference sections 1.5 and 7).
//!
//! `errorCode` decides, then the HTTP status; `message` never does. A proxy or the web framework may answer instead of
//! the service, with any body or none: then the status is all there is.

use std::fmt::{self, Write};

use cryptoki_sys::{
    CK_RV, CKR_ACTION_PROHIBITED, CKR_ATTRIBUTE_VALUE_INVALID, CKR_CRYPTOKI_NOT_INITIALIZED,
    CKR_DATA_LEN_RANGE, CKR_DEVICE_ERROR, CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE,
    CKR_FUNCTION_FAILED, CKR_FUNCTION_NOT_SUPPORTED, CKR_FUNCTION_REJECTED, CKR_GENERAL_ERROR,
    CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_HANDLE_INVALID, CKR_KEY_SIZE_RANGE, CKR_KEY_TYPE_INCONSISTENT,
    CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID, CKR_OBJECT_HANDLE_INVALID, CKR_PIN_INCORRECT,
    CKR_TOKEN_WRITE_PROTECTED, CKR_USER_NOT_LOGGED_IN,
};

use super::wire::Fault;
use crate::backend::front;
use crate::error::Error;
use crate::transport::auth::AuthError;
use crate::transport::{self, ErrorKind, Response};

/// What a call is for: the same refusal means different things to different C functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Attributes,
    Certificate,
    Decrypt {
        /// Whether the key waits for approvals, which a synchronous call cannot bring.
        approval: bool,
    },
    Delete,
    Encrypt,
    Generate,
    Licence,
    List,
    Login,
    PutCertificate,
    Random,
    RemoveCertificate,
    Sign {
        /// As for `Decrypt`.
        approval: bool,
    },
    Version,
}

impl Purpose {
    fn uses_key(self) -> bool {
        matches!(self, Self::Decrypt { .. } | Self::Delete | Self::Encrypt | Self::Sign { .. })
    }

    fn lacks_approval(self) -> bool {
        matches!(self, Self::Decrypt { approval: true } | Self::Sign { approval: true })
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attributes => "reading the attributes of a key",
            Self::Certificate => "reading the certificate of a key",
            Self::Decrypt { .. } => "decrypting",
            Self::Delete => "deleting a key",
            Self::Encrypt => "encrypting",
            Self::Generate => "making a key",
            Self::Licence => "asking for the licence",
            Self::List => "listing the keys",
            Self::Login => "logging in",
            Self::PutCertificate => "putting a certificate beside a key",
            Self::Random => "drawing random bytes",
            Self::RemoveCertificate => "removing the certificate of a key",
            Self::Sign { .. } => "signing",
            Self::Version => "asking for the version",
        })
    }
}

/// The credential that a refusal is about. The JWT is looked at first, then the API key, then all else (section 1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The JWT. API key and password were not looked at.
    Token,
    /// The API key. A password was not looked at.
    ApiKey,
    /// A bare status, maybe of a proxy: the one or the other.
    Either,
}

impl Blame {
    pub(super) fn includes_token(self) -> bool {
        self != Self::ApiKey
    }

    pub(super) fn includes_api_key(self) -> bool {
        self != Self::Token
    }
}

/// An answer other than success.
#[derive(Debug)]
pub(super) struct Refusal<'a> {
    status: u16,
    /// `None`: not the service's JSON.
    fault: Option<Fault<'a>>,
}

impl<'a> Refusal<'a> {
    /// Reads what can be read of it.
    pub(super) fn read(response: &'a Response) -> Self {
        Self { status: response.status, fault: serde_json::from_slice(&response.body).ok() }
    }

    /// The HTTP status.
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// The service's own number.
    pub(super) fn code(&self) -> Option<u32> {
        self.fault.as_ref()?.error_code
    }

    /// Whether the service, and nothing in front of it, refused the request while it was itself in order. That it has
    /// not got the endpoint (101) is one too.
    pub(super) fn is_verdict(&self) -> bool {
        let in_order = self.status < 500 || self.code() == Some(101);
        in_order && self.status != 429 && self.fault.is_some()
    }

    /// Which credential is missing, wrong or of another role; `None` where none is. Other things may have the same
    /// status: missing approvals and licences.
    pub(super) fn blame(&self) -> Option<Blame> {
        match self.code() {
            Some(406 | 617 | 618) => Some(Blame::Token),
            Some(416 | 631) => Some(Blame::ApiKey),
            Some(401 | 450 | 451) => None,
            _ => matches!(self.status, 401 | 403).then_some(Blame::Either),
        }
    }

    /// Whether the service itself says so, by a number of its own: what stands in front of it does not know those.
    pub(super) fn is_own(&self) -> bool {
        self.code().is_some()
    }

    /// Whether an API key or a JWT was refused.
    pub(super) fn is_credential(&self) -> bool {
        self.blame().is_some()
    }

    /// Whether the credential was accepted: the refusal is of what comes after it.
    pub(super) fn accepts_credential(&self) -> bool {
        self.is_verdict() && !self.is_credential()
    }

    /// Whether the service knows no key of that name. A bare 404 may come from a proxy: it proves nothing.
    pub(super) fn is_unknown_key(&self) -> bool {
        self.code() == Some(650)
    }

    /// Whether the service has not got the endpoint.
    pub(super) fn is_unknown_endpoint(&self) -> bool {
        match self.code() {
            Some(code) => code == 101,
            None => matches!(self.status, 404 | 405),
        }
    }

    /// Whether the key has a password, and the request another one or none.
    pub(super) fn is_wrong_password(&self) -> bool {
        self.code() == Some(620)
    }

    /// The error for the caller and the log.
    pub(super) fn error(&self, purpose: Purpose) -> Error {
        let rv = match self.code() {
            _ if self.is_credential() && purpose == Purpose::Login => CKR_PIN_INCORRECT,
            _ if self.is_credential() => CKR_USER_NOT_LOGGED_IN,
            Some(code) => by_code(code, purpose).unwrap_or_else(|| by_status(self.status, purpose)),
            None => by_status(self.status, purpose),
        };
        Error::new(rv, format!("{purpose}: the service answered {self}"))
    }
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        let Some(fault) = &self.fault else {
            return f.write_str(" without a body of its own");
        };
        if let Some(code) = fault.error_code {
            write!(f, ", error {code}")?;
        }
        for text in [&fault.reason, &fault.message].into_iter().flatten() {
            f.write_str(", ")?;
            text.as_str()
                .chars()
                .flat_map(char::escape_debug)
                .take(200)
                .try_for_each(|char| f.write_char(char))?;
        }
        Ok(())
    }
}

/// The table. `None`: a code of which only the status says something.
fn by_code(code: u32, purpose: Purpose) -> Option<CK_RV> {
    if let Some(rv) = of_certificate(code, purpose) {
        return Some(rv);
    }
    Some(match code {
        401 => CKR_FUNCTION_REJECTED,
        // "In the HSM" is all that is said of approvals that are missing, and of anything else.
        701 if purpose.lacks_approval() => CKR_FUNCTION_REJECTED,
        410 | 701 if matches!(purpose, Purpose::Decrypt { .. }) => CKR_ENCRYPTED_DATA_INVALID,
        700..=704 => CKR_FUNCTION_FAILED,
        // It is not destroyable, or has a password, which nobody is asked for here (section 2.7).
        606 | 614 | 620 if purpose == Purpose::Delete => CKR_ACTION_PROHIBITED,
        // Size, attributes, label (section 7).
        603 | 606 | 610 if purpose == Purpose::Generate => CKR_ATTRIBUTE_VALUE_INVALID,
        400 | 606 | 614 => CKR_KEY_FUNCTION_NOT_PERMITTED,
        450 | 451 => CKR_FUNCTION_NOT_SUPPORTED,
        // Three readings of "not understood" (section 14.3).
        501 | 600 | 621 => CKR_FUNCTION_FAILED,
        603 => CKR_KEY_SIZE_RANGE,
        607 | 613 => CKR_KEY_TYPE_INCONSISTENT,
        608 | 615 => CKR_ATTRIBUTE_VALUE_INVALID,
        611 | 629 => CKR_MECHANISM_INVALID,
        612 if matches!(purpose, Purpose::Decrypt { .. }) => CKR_ENCRYPTED_DATA_LEN_RANGE,
        612 => CKR_DATA_LEN_RANGE,
        620 => CKR_PIN_INCORRECT,
        624 => CKR_MECHANISM_PARAM_INVALID,
        650 if purpose.uses_key() => CKR_KEY_HANDLE_INVALID,
        650 | 653 => CKR_OBJECT_HANDLE_INVALID,
        _ => return None,
    })
}

/// Where the table is another one for who changes the certificate of a key: `C_CreateObject` and `C_DestroyObject` name no
/// key that could be a bad handle, or that could not do something.
fn of_certificate(code: u32, purpose: Purpose) -> Option<CK_RV> {
    let (prohibited, unfit) = match purpose {
        Purpose::PutCertificate => (CKR_TOKEN_WRITE_PROTECTED, CKR_ATTRIBUTE_VALUE_INVALID),
        Purpose::RemoveCertificate => (CKR_ACTION_PROHIBITED, CKR_OBJECT_HANDLE_INVALID),
        _ => return None,
    };
    match code {
        // No endpoint, as with an external keystore (section 9); not in this partition, not for this key, or not without
        // its approvals or password.
        101 | 400 | 401 | 606 | 611 | 614 | 620 => Some(prohibited),
        // Not one that the key can have. That it has none is told by one of these, or by the status (section 14.4).
        402 | 408 | 409 | 607 | 612 | 613 | 625 | 626 | 650 => Some(unfit),
        _ => None,
    }
}

/// What a status alone says.
fn by_status(status: u16, purpose: Purpose) -> CK_RV {
    match status {
        404 if purpose == Purpose::RemoveCertificate => CKR_OBJECT_HANDLE_INVALID,
        413 if purpose == Purpose::PutCertificate => CKR_ATTRIBUTE_VALUE_INVALID,
        413 => CKR_DATA_LEN_RANGE,
        400 => CKR_FUNCTION_FAILED,
        _ => CKR_DEVICE_ERROR,
    }
}

/// The error for a request that got no answer.
pub(super) fn unanswered(purpose: Purpose, error: transport::Error) -> Error {
    let rv = front::barred(&error, purpose == Purpose::Login).unwrap_or_else(|| match error.kind {
        ErrorKind::Closed => CKR_CRYPTOKI_NOT_INITIALIZED,
        // Nothing was sent, and no device is to blame.
        ErrorKind::Header => CKR_GENERAL_ERROR,
        ErrorKind::Refused => error.refused.as_deref().map_or(CKR_USER_NOT_LOGGED_IN, front::refused_code),
        ErrorKind::Unauthorised => CKR_USER_NOT_LOGGED_IN,
        ErrorKind::Barred
        | ErrorKind::BarredPin
        | ErrorKind::Broken
        | ErrorKind::Connect
        | ErrorKind::Credential
        | ErrorKind::Malformed
        | ErrorKind::Name
        | ErrorKind::PoolExhausted
        | ErrorKind::Timeout
        | ErrorKind::Tls
        | ErrorKind::TooLarge => CKR_DEVICE_ERROR,
    });
    Error::new(rv, format!("{purpose}: no answer")).because(error)
}

/// The error for a request that could not be made for want of its credential.
pub(super) fn unauthorised(purpose: Purpose, error: AuthError) -> Error {
    let rv = match error {
        AuthError::Missing => CKR_USER_NOT_LOGGED_IN,
        AuthError::Unfit(_) | AuthError::Unreadable(_) => CKR_DEVICE_ERROR,
    };
    Error::new(rv, format!("{purpose}: no credential")).because(error)
}

/// The error for a success whose body is not what it should be. The body may hold a plaintext: only its length is told.
pub(super) fn unreadable(purpose: Purpose, response: &Response, what: &str) -> Error {
    let (status, length) = (response.status, response.body.len());
    Error::new(CKR_DEVICE_ERROR, format!("{purpose}: HTTP {status} with {length} bytes: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGN: Purpose = Purpose::Sign { approval: false };
    const DECRYPT: Purpose = Purpose::Decrypt { approval: false };

    fn response(status: u16, body: &str) -> Response {
        Response {
            status,
            retry_after: None,
            kept: transport::Kept::default(),
            body: body.as_bytes().to_vec().into(),
        }
    }

    fn rv(purpose: Purpose, status: u16, body: &str) -> CK_RV {
        Refusal::read(&response(status, body)).error(purpose).rv()
    }

    #[test]
    fn refusals_of_the_worked_exchanges() {
        const KEY: &str = r#"{"errorCode":631,"reason":"res.error.invalid.api.key","message":"…"}"#;
        const UNKNOWN: &str = r#"{"errorCode":650,"reason":"res.error.key.not.existent","message":"A key with the name 'nope' does not exist."}"#;
        const PASSWORD: &str = r#"{"errorCode":620,"reason":"res.error.key.password.mismatch","message":"Key password mismatch for key 'locked'."}"#;
        const HSM: &str =
            r#"{"errorCode":701,"reason":"res.error.in.hsm","message":"Error decrypting payload"}"#;
        const LICENCE: &str =
            r#"{"errorCode":451,"reason":"res.error.client.endpoint.not.licensed","message":"…"}"#;
        for (purpose, status, body, expected) in [
            (Purpose::Login, 401, KEY, CKR_PIN_INCORRECT),
            (Purpose::List, 401, KEY, CKR_USER_NOT_LOGGED_IN),
            (SIGN, 401, KEY, CKR_USER_NOT_LOGGED_IN),
            (Purpose::Attributes, 404, UNKNOWN, CKR_OBJECT_HANDLE_INVALID),
            (SIGN, 404, UNKNOWN, CKR_KEY_HANDLE_INVALID),
            (SIGN, 400, PASSWORD, CKR_PIN_INCORRECT),
            (DECRYPT, 500, HSM, CKR_ENCRYPTED_DATA_INVALID),
            (SIGN, 500, HSM, CKR_FUNCTION_FAILED),
            (Purpose::Sign { approval: true }, 500, HSM, CKR_FUNCTION_REJECTED),
            (Purpose::Decrypt { approval: true }, 500, HSM, CKR_FUNCTION_REJECTED),
            (SIGN, 403, LICENCE, CKR_FUNCTION_NOT_SUPPORTED),
        ] {
            assert_eq!(rv(purpose, status, body), expected, "{purpose} {status} {body}");
        }
    }

    #[test]
    fn codes_of_section_7() {
        for (purpose, status, code, expected) in [
            (SIGN, 400, 400, CKR_KEY_FUNCTION_NOT_PERMITTED),
            (SIGN, 400, 401, CKR_FUNCTION_REJECTED),
            (SIGN, 400, 406, CKR_USER_NOT_LOGGED_IN),
            (SIGN, 400, 416, CKR_USER_NOT_LOGGED_IN),
            (SIGN, 401, 416, CKR_USER_NOT_LOGGED_IN),
            (Purpose::Login, 403, 617, CKR_PIN_INCORRECT),
            (SIGN, 403, 450, CKR_FUNCTION_NOT_SUPPORTED),
            (SIGN, 400, 606, CKR_KEY_FUNCTION_NOT_PERMITTED),
            (SIGN, 400, 614, CKR_KEY_FUNCTION_NOT_PERMITTED),
            (SIGN, 400, 607, CKR_KEY_TYPE_INCONSISTENT),
            (SIGN, 400, 613, CKR_KEY_TYPE_INCONSISTENT),
            (SIGN, 400, 611, CKR_MECHANISM_INVALID),
            (DECRYPT, 400, 629, CKR_MECHANISM_INVALID),
            (SIGN, 400, 603, CKR_KEY_SIZE_RANGE),
            (SIGN, 400, 612, CKR_DATA_LEN_RANGE),
            (DECRYPT, 400, 612, CKR_ENCRYPTED_DATA_LEN_RANGE),
            (Purpose::Encrypt, 400, 624, CKR_MECHANISM_PARAM_INVALID),
            (SIGN, 500, 1, CKR_DEVICE_ERROR),
            (SIGN, 500, 300, CKR_DEVICE_ERROR),
            (SIGN, 501, 101, CKR_DEVICE_ERROR),
            (SIGN, 400, 9999, CKR_FUNCTION_FAILED),
        ] {
            assert_eq!(rv(purpose, status, &format!(r#"{{"errorCode":{code}}}"#)), expected, "{code}");
        }
        // One code for the three readings of section 14.3.
        for code in [501, 600, 621] {
            assert_eq!(rv(SIGN, 400, &format!(r#"{{"errorCode":{code}}}"#)), CKR_FUNCTION_FAILED);
        }
    }

    #[test]
    fn without_json_the_status_decides() {
        for (status, expected) in [
            (400, CKR_FUNCTION_FAILED),
            (401, CKR_USER_NOT_LOGGED_IN),
            (403, CKR_USER_NOT_LOGGED_IN),
            (404, CKR_DEVICE_ERROR),
            (413, CKR_DATA_LEN_RANGE),
            (429, CKR_DEVICE_ERROR),
            (502, CKR_DEVICE_ERROR),
        ] {
            for body in ["", "<html>Bad Gateway</html>", r#"{"message":"x"}"#, r#"{"errorCode":"x"}"#] {
                assert_eq!(rv(SIGN, status, body), expected, "{status} {body}");
            }
        }
    }

    #[test]
    fn the_context_names_the_refusal_and_is_bounded() {
        let body = format!(
            r#"{{"errorCode":612,"reason":"res.error.invalid.payload","message":"a\nb{}"}}"#,
            "x".repeat(500)
        );
        let text = Refusal::read(&response(400, &body)).error(SIGN).to_string();
        let start = "signing: the service answered HTTP 400, error 612, res.error.invalid.payload, a\\nbx";
        assert!(text.starts_with(start), "{text}");
        assert_eq!(text.len(), start.len() + 200 - "a\\nbx".len());
    }

    #[test]
    fn only_the_service_itself_passes_a_verdict() {
        let verdict = |status, body| Refusal::read(&response(status, body)).is_verdict();
        assert!(verdict(404, r#"{"errorCode":651,"reason":"res.error.request.not.existent"}"#));
        assert!(!verdict(404, "not found"));
        assert!(verdict(501, r#"{"errorCode":101,"reason":"res.error.not.implemented"}"#));
        assert!(!verdict(501, "not implemented"));
        assert!(!verdict(500, r#"{"errorCode":701}"#));
        assert!(!verdict(429, r#"{"message":"slow down"}"#));
    }
}
