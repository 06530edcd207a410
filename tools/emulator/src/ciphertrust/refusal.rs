//! Refusals: `{code, codeDesc, message}` (Luna REST reference §11.1). Only 416 and the two texts that the reference has
//! are the vendor's for certain; the other numbers are the emulator's own.

use std::fmt::Display;

use serde_json::json;

use crate::error::Error;
use crate::vendor::Reply;

/// A request refused.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: u16,
    code: u32,
    description: &'static str,
    message: String,
}

/// What a handler gives.
pub(super) type Answer<T = Reply> = Result<T, Refusal>;

impl Refusal {
    fn new(status: u16, code: u32, description: &'static str, message: impl Display) -> Refusal {
        Refusal { status, code, description, message: message.to_string() }
    }

    pub(super) fn unauthorized(message: &str) -> Refusal {
        Refusal::new(401, 1, "NCERRUnauthorized: Unauthorized", message)
    }

    pub(super) fn credentials() -> Refusal {
        Refusal::new(401, 2, "NCERRAuthentication: Authentication failed", "Invalid username or password")
    }

    pub(super) fn locked(status: u16) -> Refusal {
        Refusal::new(status, 3, "NCERRAccountLocked: Account is locked", "The user account is locked")
    }

    pub(super) fn expired() -> Refusal {
        Refusal::new(401, 4, "NCERRPasswordExpired: Password expired", "The password has expired")
    }

    pub(super) fn bad(message: impl Display) -> Refusal {
        Refusal::new(400, 8, "NCERRBadRequest: Bad HTTP request", message)
    }

    pub(super) fn forbidden(message: impl Display) -> Refusal {
        Refusal::new(403, 19, "NCERRForbidden: Operation not permitted", message)
    }

    pub(super) fn not_found() -> Refusal {
        Refusal::new(404, 6, "NCERRResourceNotFound: Resource not found", "Resource not found")
    }

    pub(super) fn exists(name: &str) -> Refusal {
        Refusal::new(409, 416, "NCERRKeyNameExists: Key name already exists", name)
    }

    pub(super) fn undeletable(status: u16) -> Refusal {
        Refusal { status, ..Refusal::forbidden("The key is undeletable") }
    }

    /// A key that there is not, with the status that the setting `missing` chooses.
    pub(super) fn no_key(status: u16) -> Refusal {
        Refusal { status, ..Refusal::not_found() }
    }

    pub(super) fn decryption(status: u16) -> Refusal {
        Refusal::new(status, 422, "NCERRDecryption: Decryption failed", "message authentication failed")
    }

    pub(super) fn media_type() -> Refusal {
        Refusal::new(415, 15, "NCERRUnsupportedMediaType: Unsupported media type", "wrong content type")
    }

    pub(super) fn method() -> Refusal {
        Refusal::new(405, 5, "NCERRMethodNotAllowed: Method not allowed", "this path has other methods")
    }

    pub(super) fn unlearnt(what: &str) -> Refusal {
        Refusal::new(501, 501, "NCERRNotImplemented: Not implemented", what)
    }

    /// The answer that carries the refusal.
    pub(super) fn into_reply(self) -> Reply {
        Reply::json(
            self.status,
            &json!({ "code": self.code, "codeDesc": self.description, "message": self.message }),
        )
    }
}

/// The emulator's own files fail: as a server would say it of its storage.
impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::new(500, 500, "NCERRInternalServerError: Internal server error", error)
    }
}
