//! The account: a token for its password, and its renewal (Luna reference section 11.1).

use std::sync::Arc;

use super::CipherTrust;
use super::errors::{is_own, not_granted};
use crate::backend::front;
use crate::config::{self, FieldValue};
use crate::error::Result;
use crate::observe::audit::Audit;
use crate::observe::log::Log;
use crate::transport::Deadline;
use crate::transport::auth::{Authenticated, Token, TokenCall, TokenProfile, configured};

/// Where tokens are, whatever the prefix of the rest (section 14.4).
const TOKENS: &str = "/api/v1/auth/tokens";

/// `service`, with what the configuration puts in front of it, and with the tokens of the account.
pub(super) fn layers(
    service: Authenticated,
    token: &config::Token,
    settings: &config::CipherTrust,
    log: &Log,
) -> Authenticated {
    let user = token.auth.user.clone().unwrap_or_default();
    let password = configured(&token.auth.password, "slot.auth.password");
    let audit = Audit::new(log, &token.label, &user);
    let account = Token::new(profile(settings), user, password, settings.keep_password, audit);
    front::before(service, is_own).with_token(Arc::new(account))
}

fn profile(settings: &config::CipherTrust) -> TokenProfile {
    let text = |text: &str| FieldValue::Literal(text.into());
    let optional = [
        ("domain", &settings.domain),
        ("auth_domain", &settings.auth_domain),
        ("connection", &settings.connection),
    ];
    let optional = optional.into_iter().filter_map(|(name, value)| Some((name, text(value.as_deref()?))));
    let login = [
        ("grant_type", text("password")),
        ("username", FieldValue::User),
        ("password", FieldValue::Password),
    ];
    let refresh = [("grant_type", text("refresh_token")), ("refresh_token", FieldValue::Refresh)];
    TokenProfile {
        refresh: Some(TokenCall::json(TOKENS, refresh)),
        access: vec!["/jwt".into()],
        refresh_token: vec!["/refresh_token".into()],
        life: vec!["/duration".into()],
        ..TokenProfile::new(TokenCall::json(TOKENS, login.into_iter().chain(optional)))
    }
}

impl CipherTrust {
    /// As [`crate::backend::Backend::login`] has it.
    pub(super) fn log_in(&self, pin: &[u8], deadline: Deadline) -> Result<()> {
        let transport = &self.service.transport;
        let secrets = front::secrets(pin, &transport.pin_names(), self.pin_format)?;
        transport.login_with(&secrets, deadline).map_err(not_granted)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use cryptoki_sys::CKR_PIN_INCORRECT;

    use super::*;
    use crate::backend::Backend;
    use crate::backend::ciphertrust::tests::plain;
    use crate::backend::scripted::Server;
    use crate::config::{HeaderKey, Secret, Url};
    use crate::observe::told;

    fn soon() -> Deadline {
        Deadline::after(Duration::from_secs(10))
    }

    /// A back end that talks to `server`, behind a gateway that wants a key of its own.
    fn open(server: &Server, log: &Log) -> Arc<dyn Backend> {
        let url = Url { tls: false, host: "127.0.0.1".into(), port: server.port, path: String::new() };
        let header = HeaderKey { name: "X-Gate".into(), value: Secret::Literal("g4te".into()) };
        let auth =
            config::Auth { user: Some("alice".into()), header: Some(header), ..config::Auth::default() };
        let token = config::Token { members: vec![vec![url]], auth, ..config::Token::plain("test") };
        super::super::open(&token, &plain(), log).unwrap()
    }

    /// The bodies of section 11.1.
    #[test]
    fn each_login_use_renewal_and_logout_is_an_event_behind_a_gateway() {
        let expired = Arc::new(AtomicBool::new(false));
        let gone = Arc::clone(&expired);
        let server = Server::start(move |seen| {
            if seen.header("x-gate") != Some("g4te") {
                return (403, "{}".into());
            }
            let granted = |jwt| format!(r#"{{"jwt":"{jwt}","duration":300,"refresh_token":"r3fresh"}}"#);
            match (seen.target.as_str(), seen.header("authorization")) {
                ("POST /api/v1/auth/tokens", None) if seen.body.contains("refresh_token") => {
                    (200, granted("j.2.t"))
                }
                ("POST /api/v1/auth/tokens", None) if seen.body.contains("p4ss") => (200, granted("j.1.t")),
                ("POST /api/v1/auth/tokens", None) => {
                    (401, r#"{"codeDesc":"NCERRAuthenticationFailed"}"#.into())
                }
                (_, Some("Bearer j.1.t")) if gone.load(Ordering::SeqCst) => {
                    (401, r#"{"code":6,"codeDesc":"NCERRUnauthorized: expired"}"#.into())
                }
                (_, Some("Bearer j.1.t" | "Bearer j.2.t")) => {
                    (200, r#"{"skip":0,"limit":10,"total":0,"resources":[]}"#.into())
                }
                _ => (404, "{}".into()),
            }
        });
        let events = told::events(&["p4ss", "wr0ng", "j.1.t", "j.2.t", "r3fresh", "g4te"], |log| {
            let hsm = open(&server, log);
            assert_eq!(hsm.login(b"wr0ng", soon()).unwrap_err().rv(), CKR_PIN_INCORRECT);
            hsm.login(b"p4ss", soon()).unwrap();
            hsm.list(soon()).unwrap();
            expired.store(true, Ordering::SeqCst);
            hsm.list(soon()).unwrap();
            hsm.logout();
        });
        let event = |level, what| format!("{level} slot \"test\", account \"alice\": {what}");
        let gate = "INFO slot \"test\", account \"X-Gate\": login at GET /api/v1/vault/keys2: granted";
        assert_eq!(
            events,
            [
                event("WARN", "login at POST /api/v1/auth/tokens: refused with HTTP 401"),
                event("INFO", "login at POST /api/v1/auth/tokens: granted"),
                gate.into(),
                event("WARN", "use at GET /api/v1/vault/keys2: refused with HTTP 401"),
                event("INFO", "renewal at POST /api/v1/auth/tokens: granted"),
                event("INFO", "logout at this side: granted"),
            ]
        );
    }
}
