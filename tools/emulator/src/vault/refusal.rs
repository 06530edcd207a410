//! Refusals: `{"errors": [...]}`, with the texts that the service has.

use std::fmt::Display;

use serde_json::json;

use crate::error::Error;
use crate::vendor::Reply;

/// A request refused.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    status: u16,
    errors: Vec<String>,
}

/// What a handler gives.
pub(super) type Answer<T = Reply> = Result<T, Refusal>;

impl Refusal {
    pub(super) fn new(status: u16, error: impl Display) -> Refusal {
        Refusal { status, errors: vec![error.to_string()] }
    }

    pub(super) fn bad(error: impl Display) -> Refusal {
        Refusal::new(400, error)
    }

    /// What is not there is told without a word.
    pub(super) fn absent() -> Refusal {
        Refusal { status: 404, errors: Vec::new() }
    }

    /// No token, or a policy that does not let it.
    pub(super) fn denied() -> Refusal {
        Refusal::new(403, "1 error occurred:\n\t* permission denied\n\n")
    }

    /// A token that is none, or is none any more: there is no telling which.
    pub(super) fn invalid_token() -> Refusal {
        Refusal::new(403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
    }

    pub(super) fn sealed() -> Refusal {
        Refusal::new(503, "Vault is sealed")
    }

    pub(super) fn no_route(path: &str) -> Refusal {
        Refusal::new(404, format!("no handler for route {path:?}. route entry not found."))
    }

    /// A name that is none.
    pub(super) fn no_path() -> Refusal {
        Refusal::new(404, "1 error occurred:\n\t* unsupported path\n\n")
    }

    pub(super) fn method() -> Refusal {
        Refusal::new(405, "1 error occurred:\n\t* unsupported operation\n\n")
    }

    /// What goes wrong within, wrong lengths among it.
    pub(super) fn internal(error: impl Display) -> Refusal {
        Refusal::new(500, format!("1 error occurred:\n\t* {error}\n\n"))
    }

    /// The answer that carries the refusal.
    pub(super) fn into_reply(self) -> Reply {
        Reply::json(self.status, &json!({ "errors": self.errors }))
    }
}

/// The emulator's own files fail.
impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::internal(error)
    }
}
