//! Error objects (Luna reference section 7). Its table of ids has holes: those that are the emulator's own say so here.

use std::fmt::Display;

use serde_json::json;

use super::settings::{Settings, WrongPassword};
use crate::vendor::Reply;

/// A request refused.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: u16,
    id: &'static str,
    details: String,
}

/// What a handler gives.
pub(super) type Answer<T = Reply> = Result<T, Refusal>;

impl Refusal {
    fn new(status: u16, id: &'static str, details: impl Display) -> Refusal {
        Refusal { status, id, details: details.to_string() }
    }

    pub(super) fn bad(details: impl Display) -> Refusal {
        Refusal::new(400, "FRAMEWORK_BAD_REQUEST", details)
    }

    /// A user, a password, a token or a certificate of the appliance. The id is ours.
    pub(super) fn credentials() -> Refusal {
        Refusal::new(401, "FRAMEWORK_UNAUTHORIZED", "The credentials are not valid.")
    }

    pub(super) fn not_private() -> Refusal {
        Refusal::new(401, "FRAMEWORK_SESSION_NOT_PRIVATE", "The resource is for private sessions.")
    }

    pub(super) fn not_allowed(settings: &Settings) -> Refusal {
        Refusal::new(settings.acl_status, "FRAMEWORK_NO_ACL_RULE", "The role of the user does not allow it.")
    }

    /// The id is ours.
    pub(super) fn password_unchanged() -> Refusal {
        Refusal::new(401, "FRAMEWORK_PASSWORD_CHANGE_REQUIRED", "The password must be changed first.")
    }

    /// The id is ours.
    pub(super) fn no_resource() -> Refusal {
        Refusal::new(404, "FRAMEWORK_RESOURCE_NOT_FOUND", "There is no such resource.")
    }

    /// The id is ours.
    pub(super) fn method() -> Refusal {
        Refusal::new(405, "FRAMEWORK_METHOD_NOT_ALLOWED", "The resource has other methods.")
    }

    /// The id is ours.
    pub(super) fn no_user(user: &str) -> Refusal {
        Refusal::new(404, "FRAMEWORK_INVALID_USER", format_args!("There is no user {user:?}."))
    }

    /// The id is ours.
    pub(super) fn exists(what: &str) -> Refusal {
        Refusal::new(409, "FRAMEWORK_ALREADY_EXISTS", format_args!("{what:?} is there already."))
    }

    /// The id is ours.
    pub(super) fn no_task() -> Refusal {
        Refusal::new(410, "FRAMEWORK_INVALID_TASK", "There is no such task.")
    }

    pub(super) fn no_hsm(id: &str) -> Refusal {
        let is_id = (1..=10).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit());
        let id = if is_id { "HSMPLUGIN_HSM_DOES_NOT_EXIST" } else { "HSMPLUGIN_INVALID_HSM" };
        Refusal::new(404, id, "There is no such HSM.")
    }

    pub(super) fn no_partition() -> Refusal {
        Refusal::new(404, "HSMPLUGIN_INVALID_PARTITION", "There is no such partition.")
    }

    pub(super) fn no_object() -> Refusal {
        Refusal::new(404, "HSMPLUGIN_INVALID_OBJECT", "NO ERR WITH THIS ID EXISTS")
    }

    pub(super) fn no_action() -> Refusal {
        Refusal::new(404, "HSMPLUGIN_INVALID_ACTION", "There is no such action.")
    }

    /// The id is ours.
    pub(super) fn no_role() -> Refusal {
        Refusal::new(404, "HSMPLUGIN_INVALID_ROLE", "There is no such role.")
    }

    pub(super) fn not_supported(what: &str) -> Refusal {
        Refusal::new(400, "HSMPLUGIN_FUNC_NOT_SUPPORTED", what)
    }

    pub(super) fn operation(what: &str) -> Refusal {
        Refusal::new(422, "HSMPLUGIN_OPERATION_NOT_ALLOWED", what)
    }

    pub(super) fn not_logged_in() -> Refusal {
        Refusal::new(
            401,
            "HSMPLUGIN_PARTITION_USER_NOT_AUTHENTICATED",
            "No role of the partition is logged in.",
        )
    }

    /// Which of its reasons it is, only the state of the role tells. The id is ours: the answer is not documented.
    pub(super) fn login(settings: &Settings) -> Refusal {
        let id = "HSMPLUGIN_LOGIN_FAILED";
        match settings.wrong_password {
            WrongPassword::Unauthorized => Refusal::new(401, id, "The login failed."),
            WrongPassword::BadRequest => Refusal::new(400, id, "The login failed."),
            WrongPassword::NotAuthenticated => Refusal::not_logged_in(),
        }
    }

    /// The answer that carries the refusal.
    pub(super) fn into_reply(self) -> Reply {
        let Refusal { status, id, details } = self;
        let kind = if id.starts_with("HSMPLUGIN") { "PLUGIN" } else { "FRAMEWORK" };
        let message = details.trim_end_matches('.');
        Reply::json(
            status,
            &json!({
                "id": id, "message": message, "details": details,
                "returnCode": status, "status": "ERROR", "type": kind,
            }),
        )
    }
}
