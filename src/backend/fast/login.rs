//! The account: a token for its password, in the words of both editions of the documentation (sections 3 and 4.1).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cryptoki_sys::{CKR_PIN_INCORRECT, CKR_PIN_LOCKED};

use super::Fast;
use super::errors::{Refusal, is_own, is_unauthorised, not_granted};
use super::service::patiently;
use crate::backend::front;
use crate::config::{self, FieldValue};
use crate::error::{Error, Result};
use crate::observe::audit::Audit;
use crate::observe::log::Log;
use crate::transport::Deadline;
use crate::transport::auth::{Authenticated, GrantError, Token, TokenCall, TokenProfile, configured};

const GET_TOKEN: &str = "/api/account/gettoken";

/// `service`, with what the configuration puts in front of it, and with the tokens of the account. There is no call to renew one or to give it back: the password is
/// shown again, and so it is kept.
pub(super) fn layers(
    service: Authenticated,
    token: &config::Token,
    settings: &config::Fast,
    log: &Log,
) -> Authenticated {
    let user = token.auth.user.clone().unwrap_or_default();
    let password = configured(&token.auth.password, "slot.auth.password");
    let audit = Audit::new(log, &token.label, &user);
    let account = Token::new(profile(settings), user, password, true, audit);
    front::before(service, is_own).with_token(Arc::new(account)).refused_by(is_unauthorised)
}

fn profile(settings: &config::Fast) -> TokenProfile {
    let login = [("username", FieldValue::User), ("password", FieldValue::Password)];
    TokenProfile {
        success: Some("/success".into()),
        code: Some("/code".into()),
        access: vec!["/data/accessToken".into(), "/data/token".into()],
        refresh_token: Vec::new(),
        life: vec!["/data/expiresIn".into()],
        scheme: settings.authorization,
        ..TokenProfile::new(TokenCall::json(GET_TOKEN, login))
    }
}

impl Fast {
    /// As [`crate::backend::Backend::login`] has it.
    pub(super) fn log_in(&self, pin: &[u8], deadline: Deadline) -> Result<()> {
        let transport = &self.service.transport;
        let secrets = front::secrets(pin, &transport.pin_names(), self.pin_format)?;
        let pause = |error: &GrantError| match error {
            GrantError::Refused(response) => Refusal::read(response).login_pause(),
            _ => None,
        };
        let outcome = patiently(deadline, pause, || transport.login_with(&secrets, deadline));
        let outcome = outcome.map_err(not_granted);
        match outcome.as_ref().map_err(Error::rv) {
            Ok(()) | Err(CKR_PIN_INCORRECT) => self.locked.store(false, Ordering::Relaxed),
            Err(CKR_PIN_LOCKED) => self.locked.store(true, Ordering::Relaxed),
            Err(_) => {}
        }
        outcome
    }
}
