//! Refusals, as the gateway words them.

use std::fmt::Display;

use serde_json::json;

use crate::vendor::Reply;

/// A request refused.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// `docs/emulator.md` has all of them.
    pub(super) error: &'static str,
    message: String,
}

/// What a handler gives.
pub(super) type Answer<T = Reply> = Result<T, Refusal>;

impl Refusal {
    pub(super) fn new(status: u16, error: &'static str, message: impl Display) -> Refusal {
        Refusal { status, error, message: message.to_string() }
    }

    /// A body, a path or a header that the API does not have.
    pub(super) fn bad_request(message: impl Display) -> Refusal {
        Refusal::new(400, "BAD_REQUEST", message)
    }

    pub(super) fn into_reply(self) -> Reply {
        let Refusal { status, error, message } = self;
        Reply::json(status, &json!({ "success": false, "code": status, "error": error, "message": message }))
    }
}
