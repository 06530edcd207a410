//! The JSON around every answer (FAST HSM reference §2).

use serde_json::{Value, json};

use super::settings::Settings;
use crate::vendor::Reply;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: u16,
    pub(super) message: &'static str,
}

const fn refusal(code: u16, message: &'static str) -> Refusal {
    Refusal { code, message }
}

pub(super) const UNAUTHORISED: Refusal = refusal(401, "Unauthorized");
pub(super) const FORBIDDEN: Refusal = refusal(403, "Forbidden");
pub(super) const UNKNOWN_PATH: Refusal = refusal(404, "Not found");
pub(super) const WRONG_METHOD: Refusal = refusal(405, "Method not allowed");
pub(super) const NOT_JSON: Refusal = refusal(400, "Invalid request");
pub(super) const UNKNOWN_CERTIFICATE: Refusal = refusal(404, "Certificate not found");
pub(super) const SERIAL_FORMAT: Refusal = refusal(400, "Invalid serial number format");
pub(super) const INVALID_CERTIFICATE: Refusal = refusal(400, "Invalid certificate SN");
pub(super) const HASH_FORMAT: Refusal = refusal(400, "Invalid hash format");
pub(super) const TOO_MANY_HASHES: Refusal = refusal(400, "Too many hashes");
pub(super) const SIGNING_FAILED: Refusal = refusal(500, "Signing failed");
pub(super) const DATA_FORMAT: Refusal = refusal(400, "Invalid data format");
pub(super) const ENCRYPTION_FAILED: Refusal = refusal(500, "Encryption failed");
pub(super) const DECRYPTION_FAILED: Refusal = refusal(500, "Decryption failed");

/// The member that has the result: `null` on failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
    Data,
    SignatureArray,
}

impl Member {
    fn name(self) -> &'static str {
        match self {
            Member::Data => "data",
            Member::SignatureArray => "signatureArray",
        }
    }
}

/// The answer for an outcome.
pub(super) fn reply(
    outcome: Result<(&'static str, Value), Refusal>,
    member: Member,
    settings: &Settings,
) -> Reply {
    let (success, message, code, result) = match outcome {
        Ok((message, result)) => (true, message, 200, result),
        Err(refusal) => (false, refusal.message, refusal.code, Value::Null),
    };
    let mut body = json!({ "success": success, "message": message, "code": code });
    body[member.name()] = result;
    let mut reply = Reply::json(if settings.mirror_status { code } else { 200 }, &body);
    if code == WRONG_METHOD.code {
        reply.headers.push(("Allow", "POST".to_owned()));
    }
    reply
}
