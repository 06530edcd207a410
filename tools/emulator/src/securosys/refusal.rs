//! Refusals: the API's error codes with their HTTP status (Securosys TSB reference §1.5, §7).

use std::fmt::Display;

use serde_json::json;

use crate::error::Error;
use crate::vendor::Reply;

/// An error code with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) number: u16,
    reason: &'static str,
}

const fn code(number: u16, reason: &'static str) -> Code {
    Code { number, reason }
}

pub(crate) const NOT_IMPLEMENTED: Code = code(101, "res.error.not.implemented");
pub(crate) const INVALID_CERTIFICATE: Code = code(402, "res.error.invalid.certificate");
pub(crate) const MISSING_ACCESS_TOKEN: Code = code(406, "res.error.missing.access.token");
pub(crate) const MISSING_API_KEY: Code = code(416, "res.error.missing.api.key");
pub(crate) const NOT_LICENSED: Code = code(451, "res.error.client.endpoint.not.licensed");
pub(crate) const INVALID_ENUM: Code = code(501, "res.error.invalid.value.for.enum");
pub(crate) const VALIDATION: Code = code(600, "res.error.input.validation.failed");
pub(crate) const KEY_SIZE: Code = code(603, "res.error.input.keysize");
pub(crate) const KEY_ATTRIBUTES: Code = code(606, "res.error.key.attributes.invalid");
pub(crate) const ALGORITHM: Code = code(607, "res.error.algorithm.not.supported.by.key");
pub(crate) const KEY_EXISTS: Code = code(608, "res.error.key.already.existing");
pub(crate) const INVALID_UUID: Code = code(609, "res.error.invalid.uuid");
pub(crate) const KEY_NAME: Code = code(610, "res.error.invalid.key.name");
pub(crate) const PAYLOAD: Code = code(612, "res.error.invalid.payload");
pub(crate) const KEY_TYPE: Code = code(613, "res.error.invalid.key.type");
pub(crate) const FORBIDDEN: Code = code(614, "res.error.operation.forbidden.for.key");
pub(crate) const INVALID_ACCESS_TOKEN: Code = code(617, "res.error.invalid.access.token");
pub(crate) const NUMBER_RANGE: Code = code(619, "res.error.invalid.number.range");
pub(crate) const PASSWORD: Code = code(620, "res.error.key.password.mismatch");
pub(crate) const INVALID_JSON: Code = code(621, "res.error.invalid.json");
pub(crate) const TAG_LENGTH: Code = code(624, "res.error.key.invalid.tagLength");
pub(crate) const CERTIFICATE_ENCODING: Code = code(626, "res.error.certificate.invalid.encoding");
pub(crate) const ADDRESS: Code = code(630, "res.error.invalid.address.on.non.ska.key");
pub(crate) const INVALID_API_KEY: Code = code(631, "res.error.invalid.api.key");
pub(crate) const NO_SUCH_KEY: Code = code(650, "res.error.key.not.existent");
pub(crate) const NO_SUCH_REQUEST: Code = code(651, "res.error.request.not.existent");
pub(crate) const IN_HSM: Code = code(701, "res.error.in.hsm");
pub(crate) const IO: Code = code(703, "res.error.io");

/// A request refused.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// By the application, with a code.
    Coded { status: u16, code: Code, message: String },
    /// By the web server below it, which knows no codes.
    Http { status: u16, allow: Option<String> },
}

/// What a handler gives.
pub(crate) type Answer<T = Reply> = Result<T, Refusal>;

impl Refusal {
    /// With the status that goes with the code (reference §7).
    pub(crate) fn new(code: Code, message: impl Display) -> Refusal {
        let status = match code.number {
            450..=459 => 403,
            631 => 401,
            650..=659 => 404,
            400..=499 | 600..=699 => 400,
            100..=199 => 501,
            _ => 500,
        };
        Refusal::with_status(status, code, message)
    }

    /// With a status of its own.
    pub(crate) fn with_status(status: u16, code: Code, message: impl Display) -> Refusal {
        Refusal::Coded { status, code, message: message.to_string() }
    }

    /// By the web server.
    pub(crate) fn http(status: u16) -> Refusal {
        Refusal::Http { status, allow: None }
    }

    /// What the emulator has not learnt.
    pub(crate) fn not_implemented(what: impl Display) -> Refusal {
        Refusal::new(NOT_IMPLEMENTED, format!("{what}: not implemented by the emulator"))
    }

    /// The answer that carries the refusal.
    pub(crate) fn into_reply(self, path: &str) -> Reply {
        match self {
            Refusal::Coded { status, code, message } => Reply::json(
                status,
                &json!({ "errorCode": code.number, "reason": code.reason, "message": message }),
            ),
            Refusal::Http { status, allow } => {
                let mut reply = Reply::json(
                    status,
                    &json!({
                        "timestamp": super::time::iso(crate::keys::unix_time()),
                        "status": status,
                        "error": hyper::StatusCode::from_u16(status)
                            .ok()
                            .and_then(|status| status.canonical_reason()),
                        "path": path,
                    }),
                );
                reply.headers.extend(allow.map(|methods| ("allow", methods)));
                reply
            }
        }
    }
}

/// The emulator's own files fail: as a server would say it of its storage.
impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::new(IO, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_follow_the_reference() {
        let expected = [
            (NOT_IMPLEMENTED, 501),
            (MISSING_ACCESS_TOKEN, 400),
            (NOT_LICENSED, 403),
            (INVALID_ENUM, 500),
            (VALIDATION, 400),
            (INVALID_API_KEY, 401),
            (NO_SUCH_KEY, 404),
            (IN_HSM, 500),
        ];
        for (code, status) in expected {
            assert_eq!(Refusal::new(code, "").into_reply("/").status, status, "{code:?}");
        }
    }
}
