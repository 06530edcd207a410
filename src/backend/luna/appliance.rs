//! Who calls the appliance: password, token or certificate (Luna reference section 4).

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::challenge::{Challenge, ClientCertificate, Unanswerable};
use super::errors::{Purpose, Refusal, unauthorised};
use crate::config;
use crate::error::{Error, Result};
use crate::observe::audit::Audit;
use crate::transport::auth::{
    Authenticated, Basic, Credential, RevokeCall, Token, TokenCall, TokenProfile, configured,
};
use crate::transport::{Headers, Method, Response, Transport};
use cryptoki_sys::CKR_DEVICE_ERROR;

/// The key of the password, for messages.
const PASSWORD: &str = "slot.luna.password";

const JWT: &str = "/auth/jwt";

/// How long a token lives that says nothing of it (section 4.3).
const LIFE: Duration = Duration::from_secs(600);

/// The account of the appliance.
pub(super) struct Appliance {
    pub(super) user: String,
    /// `None` with a certificate alone.
    pub(super) basic: Option<Basic>,
    pub(super) certificate: Option<ClientCertificate>,
    /// Whether calls on a private session carry the password too.
    pub(super) send_basic: bool,
}

/// What asks for proof (section 4.5).
#[derive(Deserialize)]
struct Question {
    challenge: String,
    nonce: String,
    certificate: String,
}

impl Appliance {
    /// The account that the configuration names. Reads the certificate; a password is read when it is needed.
    ///
    /// # Errors
    /// `CKR_DEVICE_ERROR` where the certificate cannot be read.
    pub(super) fn new(settings: &config::Luna) -> Result<Self> {
        let certificate = match &settings.login {
            config::ApplianceLogin::Certificate { certificate, key, shows } => {
                let read = ClientCertificate::read(certificate, key, *shows);
                Some(read.map_err(|reason| Error::new(CKR_DEVICE_ERROR, format!("slot.luna: {reason}")))?)
            }
            config::ApplianceLogin::Basic | config::ApplianceLogin::Jwt => None,
        };
        let basic = settings.password.as_ref().map(|password| Basic {
            user: settings.user.clone(),
            credential: configured(password, PASSWORD),
        });
        Ok(Self { user: settings.user.clone(), basic, certificate, send_basic: settings.send_basic })
    }

    /// The password, if there is one.
    pub(super) fn password(&self) -> Option<&Credential> {
        self.basic.as_ref().map(|basic| &basic.credential)
    }

    /// Whether the password is what `C_Login` brings.
    pub(super) fn wants_pin(&self) -> bool {
        self.certificate.is_none() && self.password().is_some_and(Credential::is_pin)
    }

    /// Whether nothing is missing.
    pub(super) fn is_ready(&self) -> bool {
        self.certificate.is_some() || self.password().is_some_and(Credential::is_filled)
    }

    /// Adds the password.
    ///
    /// # Errors
    /// `CKR_USER_NOT_LOGGED_IN` where it is still to come, `CKR_DEVICE_ERROR` where it cannot be read.
    pub(super) fn show_password(&self, purpose: Purpose, headers: &mut Headers) -> Result<()> {
        let Some(basic) = &self.basic else { return Ok(()) };
        basic.apply(headers).map_err(|error| unauthorised(purpose, error))
    }

    /// A copy of the password that is shown now.
    pub(super) fn shown_password(&self) -> Option<SecretString> {
        let copied = self.password()?.with(|text| text.map(SecretString::from));
        copied.ok().flatten()
    }

    /// Whether another password than `refused` is shown now.
    pub(super) fn is_other_password(&self, refused: &SecretString) -> bool {
        self.shown_password().is_none_or(|now| now.expose_secret() != refused.expose_secret())
    }

    /// Whether there is another password than `refused` by now: its source is asked anew.
    pub(super) fn has_other_password(&self, refused: Option<&SecretString>) -> bool {
        let Some((password, refused)) = self.password().zip(refused) else { return false };
        password.refresh().is_ok() && self.is_other_password(refused)
    }

    /// What kind of call a login is.
    pub(super) fn purpose(&self) -> Purpose {
        Purpose::Appliance { pin: self.wants_pin() }
    }
}

/// The answer to what the appliance asks, as a body.
pub(super) fn response(certificate: &ClientCertificate, question: &[u8]) -> Result<Vec<u8>, Unanswerable> {
    let Question { challenge, nonce, certificate: server } =
        serde_json::from_slice(question).map_err(|_| Unanswerable)?;
    let challenge = Challenge { challenge: &challenge, nonce: &nonce, certificate: &server };
    let response = certificate.answer(&challenge)?;
    Ok(serde_json::json!({"challengeResponse": response}).to_string().into_bytes())
}

/// `transport` with the tokens of the account in front, where it is to have them (section 4.3).
pub(super) fn tokens(
    settings: &config::Luna,
    transport: &Arc<dyn Transport>,
    media_type: &str,
    audit: Audit,
) -> Option<Authenticated> {
    let password =
        settings.password.as_ref().filter(|_| matches!(settings.login, config::ApplianceLogin::Jwt))?;
    let media_type = Some(media_type.to_owned());
    let login = TokenCall { basic: true, media_type, ..TokenCall::json(JWT, []) };
    let profile = TokenProfile {
        access: vec!["/accessToken".into()],
        revoke: Some(RevokeCall { method: Method::Delete, path: JWT.to_owned() }),
        default_life: LIFE,
        ..TokenProfile::new(login)
    };
    let token = Token::new(profile, settings.user.clone(), configured(password, PASSWORD), true, audit);
    let refuses = |answer: &Response| !answer.is_success() && Refusal::read(answer).is_credential();
    let transport = Authenticated::new(Box::new(Arc::clone(transport)));
    Some(transport.with_token(Arc::new(token)).refused_by(refuses))
}
