//! The account: a token for its password, and its renewal (Luna reference section 11.1).

use std::sync::Arc;

use cryptoki_sys::CKR_PIN_INCORRECT;

use super::CipherTrust;
use super::errors::not_granted;
use crate::config::{self, FieldValue};
use crate::error::{Error, Result};
use crate::observe::audit::Audit;
use crate::observe::log::Log;
use crate::transport::auth::{Authenticated, Token, TokenCall, TokenProfile, configured};
use crate::transport::{Deadline, Transport};

/// Where tokens are, whatever the prefix of the rest (section 14.4).
const TOKENS: &str = "/api/v1/auth/tokens";

/// `transport` with the tokens of the account in front.
pub(super) fn layers(
    transport: Box<dyn Transport>,
    token: &config::Token,
    settings: &config::CipherTrust,
    log: &Log,
) -> Authenticated {
    let user = token.auth.user.clone().unwrap_or_default();
    let password = configured(&token.auth.password, "slot.auth.password");
    let audit = Audit::new(log, &token.label, &user);
    let account = Token::new(profile(settings), user, password, settings.keep_password, audit);
    Authenticated::new(transport).with_token(Arc::new(account))
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
        let pin = match std::str::from_utf8(pin) {
            Ok(pin) => pin,
            Err(_) if self.service.transport.wants_pin() => {
                return Err(Error::new(CKR_PIN_INCORRECT, "logging in: the PIN is no UTF-8 text"));
            }
            // It is not looked at.
            Err(_) => "",
        };
        self.service.transport.login(pin, deadline).map_err(not_granted)
    }
}
