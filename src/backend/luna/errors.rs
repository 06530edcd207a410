//! The one table from the appliance's refusals to the codes of PKCS#11 (Luna reference sections 7 and 12.3).
//!
//! The id decides, then the HTTP status; texts never do.

use std::fmt::{self, Write};

use cryptoki_sys::{
    CK_RV, CKR_ARGUMENTS_BAD, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_DEVICE_ERROR, CKR_FUNCTION_FAILED,
    CKR_FUNCTION_NOT_SUPPORTED, CKR_FUNCTION_REJECTED, CKR_GENERAL_ERROR, CKR_OBJECT_HANDLE_INVALID,
    CKR_PIN_INCORRECT, CKR_TOKEN_NOT_PRESENT, CKR_USER_NOT_LOGGED_IN,
};
use serde::Deserialize;

use crate::error::Error;
use crate::transport::auth::AuthError;
use crate::transport::{self, ErrorKind, Response};

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Logging in to the appliance. Whose the password is: the configuration's, or what `C_Login` brought.
    Appliance {
        pin: bool,
    },
    Find,
    Role,
    Login,
    Logout,
    Objects,
    SetPin,
    Task,
    /// What a task came to: the answer to the call that began it.
    Outcome,
    KeepAlive,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Appliance { .. } => "logging in to the appliance",
            Self::Find => "finding the partition",
            Self::Role => "reading the state of a role",
            Self::Login => "logging in to the partition",
            Self::Logout => "logging out",
            Self::Objects => "listing the objects",
            Self::SetPin => "changing the password of a role",
            Self::Task => "waiting for a task",
            Self::Outcome => "reading what a task came to",
            Self::KeepAlive => "keeping the session",
        })
    }
}

/// The error object, as far as it is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fault {
    id: String,
    message: String,
    details: String,
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

    fn is(&self, id: &str) -> bool {
        self.fault.id.ends_with(id)
    }

    /// Whether a private session is asked for, and this is none or none any more.
    pub(super) fn is_not_private(&self) -> bool {
        self.status == 401 && self.is("SESSION_NOT_PRIVATE")
    }

    /// Whether the account of the appliance may not make such calls.
    pub(super) fn is_not_allowed(&self) -> bool {
        self.status == 403 || self.is("NO_ACL_RULE")
    }

    /// Whether nobody is logged in to the partition on this session.
    pub(super) fn is_not_logged_in(&self) -> bool {
        self.is("USER_NOT_AUTHENTICATED")
    }

    /// Whether a call that showed a cookie was told that the session behind it is gone.
    pub(super) fn is_session_gone(&self) -> bool {
        self.status == 401 && !self.is_not_allowed() && !self.is_not_logged_in()
    }

    /// Whether a credential of the appliance was not taken.
    pub(super) fn is_credential(&self) -> bool {
        self.is_session_gone() && !self.is_not_private()
    }

    /// Whether there is no such resource, as opposed to something in it.
    pub(super) fn is_no_resource(&self) -> bool {
        let known = ["INVALID_PARTITION", "INVALID_HSM", "HSM_DOES_NOT_EXIST", "INVALID_OBJECT"];
        matches!(self.status, 404 | 405) && !known.iter().any(|id| self.is(id))
    }

    /// Whether a password for a role was looked at and may be what was wrong: only the state of the role tells.
    pub(super) fn is_about_password(&self) -> bool {
        let other = self.is_not_allowed()
            || self.is_not_private()
            || self.is("BAD_REQUEST")
            || self.is("FUNC_NOT_SUPPORTED");
        matches!(self.status, 400 | 401) && !other
    }

    /// The error for the caller and the log.
    pub(super) fn error(&self, purpose: Purpose) -> Error {
        Error::new(self.rv(purpose), format!("{purpose}: the appliance answered {self}"))
    }

    fn rv(&self, purpose: Purpose) -> CK_RV {
        match self.status {
            401 | 403 if matches!(purpose, Purpose::Appliance { pin: true }) => CKR_PIN_INCORRECT,
            401 | 403 if matches!(purpose, Purpose::Appliance { .. }) => CKR_DEVICE_ERROR,
            _ if self.is_not_allowed() => CKR_FUNCTION_REJECTED,
            // Not the password, which nobody looked at.
            401 if self.is_not_private()
                && matches!(purpose, Purpose::Role | Purpose::Login | Purpose::SetPin) =>
            {
                CKR_DEVICE_ERROR
            }
            401 if self.is_not_private() || self.is_not_logged_in() => CKR_USER_NOT_LOGGED_IN,
            404 if self.is("INVALID_OBJECT") => CKR_OBJECT_HANDLE_INVALID,
            404 if self.is("INVALID_PARTITION")
                || self.is("INVALID_HSM")
                || self.is("HSM_DOES_NOT_EXIST") =>
            {
                CKR_TOKEN_NOT_PRESENT
            }
            // Only a new password is the caller's own word.
            400 if self.is("BAD_REQUEST") && purpose == Purpose::SetPin => CKR_ARGUMENTS_BAD,
            400 if self.is("BAD_REQUEST") => CKR_GENERAL_ERROR,
            400 if self.is("FUNC_NOT_SUPPORTED") => CKR_FUNCTION_NOT_SUPPORTED,
            409 | 422 => CKR_FUNCTION_FAILED,
            _ => CKR_DEVICE_ERROR,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        let Fault { id, message, details } = &self.fault;
        for text in [id, message, details].into_iter().filter(|text| !text.is_empty()) {
            f.write_str(", ")?;
            text.chars().flat_map(char::escape_debug).take(200).try_for_each(|char| f.write_char(char))?;
        }
        Ok(())
    }
}

/// The error for a request that got no answer.
pub(super) fn unanswered(purpose: Purpose, error: transport::Error) -> Error {
    let (rv, what) = match (error.kind, error.refused.as_deref()) {
        (ErrorKind::Closed, _) => (CKR_CRYPTOKI_NOT_INITIALIZED, "no answer"),
        // Nothing was sent, and no device is to blame.
        (ErrorKind::Header, _) => (CKR_GENERAL_ERROR, "no answer"),
        (ErrorKind::Unauthorised, _) => (CKR_USER_NOT_LOGGED_IN, "not sent"),
        (ErrorKind::Refused, Some(answer)) if answer.status == 404 => {
            let what = "not sent, for this version of the API has no tokens: write slot.luna.api_version = 5, or \
                        slot.luna.login = \"basic\"";
            (CKR_DEVICE_ERROR, what)
        }
        (ErrorKind::Refused | ErrorKind::Credential, _) => (CKR_DEVICE_ERROR, "not sent"),
        _ => (CKR_DEVICE_ERROR, "no answer"),
    };
    Error::new(rv, format!("{purpose}: {what}")).because(error)
}

/// The error for a request that could not be made for want of a credential of the appliance.
pub(super) fn unauthorised(purpose: Purpose, error: AuthError) -> Error {
    let rv = if matches!(error, AuthError::Missing) { CKR_USER_NOT_LOGGED_IN } else { CKR_DEVICE_ERROR };
    Error::new(rv, format!("{purpose}: no credential of the appliance")).because(error)
}

/// The error for a success that is not what it should be.
pub(super) fn unreadable(purpose: Purpose, response: &Response, what: &str) -> Error {
    let (status, length) = (response.status, response.body.len());
    Error::new(CKR_DEVICE_ERROR, format!("{purpose}: HTTP {status} with {length} bytes: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, id: &str) -> Refusal {
        let body = format!(r#"{{"id":"{id}","message":"NO ERR WITH THIS ID EXISTS","returnCode":{status}}}"#);
        let body = body.into_bytes().into();
        Refusal::read(&Response { status, retry_after: None, kept: transport::Kept::default(), body })
    }

    #[test]
    fn the_table_of_section_12_3() {
        const APPLIANCE: Purpose = Purpose::Appliance { pin: false };
        for (purpose, status, id, expected) in [
            (APPLIANCE, 401, "", CKR_DEVICE_ERROR),
            (Purpose::Appliance { pin: true }, 401, "", CKR_PIN_INCORRECT),
            (Purpose::Objects, 401, "FRAMEWORK_SESSION_NOT_PRIVATE", CKR_USER_NOT_LOGGED_IN),
            (Purpose::Objects, 401, "HSMPLUGIN_PARTITION_USER_NOT_AUTHENTICATED", CKR_USER_NOT_LOGGED_IN),
            (Purpose::Objects, 401, "FRAMEWORK_NO_ACL_RULE", CKR_FUNCTION_REJECTED),
            (Purpose::Role, 401, "FRAMEWORK_SESSION_NOT_PRIVATE", CKR_DEVICE_ERROR),
            (Purpose::Login, 401, "FRAMEWORK_SESSION_NOT_PRIVATE", CKR_DEVICE_ERROR),
            (Purpose::Login, 403, "", CKR_FUNCTION_REJECTED),
            (Purpose::Login, 403, "HSMPLUGIN_SMK_ROLLOVER_IN_PROGRESS", CKR_FUNCTION_REJECTED),
            (Purpose::Objects, 404, "HSMPLUGIN_INVALID_OBJECT", CKR_OBJECT_HANDLE_INVALID),
            (Purpose::Objects, 404, "HSMPLUGIN_INVALID_PARTITION", CKR_TOKEN_NOT_PRESENT),
            (Purpose::Find, 404, "HSMPLUGIN_INVALID_HSM", CKR_TOKEN_NOT_PRESENT),
            (Purpose::Find, 404, "HSMPLUGIN_HSM_DOES_NOT_EXIST", CKR_TOKEN_NOT_PRESENT),
            (Purpose::Objects, 400, "FRAMEWORK_BAD_REQUEST", CKR_GENERAL_ERROR),
            (Purpose::SetPin, 400, "FRAMEWORK_BAD_REQUEST", CKR_ARGUMENTS_BAD),
            (Purpose::Objects, 400, "HSMPLUGIN_FUNC_NOT_SUPPORTED", CKR_FUNCTION_NOT_SUPPORTED),
            (Purpose::Login, 409, "HSMPLUGIN_SMK_NOT_INITIALIZED", CKR_FUNCTION_FAILED),
            (Purpose::Login, 422, "HSMPLUGIN_OPERATION_NOT_ALLOWED", CKR_FUNCTION_FAILED),
            (Purpose::Task, 410, "", CKR_DEVICE_ERROR),
            (Purpose::Objects, 500, "HSMPLUGIN_FAILED_TO_GET_OBJECT_INFO", CKR_DEVICE_ERROR),
        ] {
            assert_eq!(refusal(status, id).rv(purpose), expected, "{purpose} {status} {id}");
        }
    }

    #[test]
    fn a_password_is_blamed_only_for_what_may_be_its_fault() {
        assert!(refusal(401, "HSMPLUGIN_LOGIN_FAILED").is_about_password());
        assert!(refusal(400, "").is_about_password());
        for (status, id) in [
            (401, "FRAMEWORK_SESSION_NOT_PRIVATE"),
            (401, "FRAMEWORK_NO_ACL_RULE"),
            (400, "FRAMEWORK_BAD_REQUEST"),
            (400, "HSMPLUGIN_FUNC_NOT_SUPPORTED"),
            (403, ""),
            (500, ""),
        ] {
            assert!(!refusal(status, id).is_about_password(), "{status} {id}");
        }
    }

    #[test]
    fn what_the_appliance_says_is_told_in_one_line() {
        let body = b"{\"id\":\"A\",\"details\":\"two\\nlines\"}".to_vec().into();
        let response = Response { status: 500, retry_after: None, kept: transport::Kept::default(), body };
        let error = Refusal::read(&response).error(Purpose::Objects);
        assert_eq!(error.to_string(), "listing the objects: the appliance answered HTTP 500, A, two\\nlines");
    }
}
