//! `C_Login` and `C_Logout`: the PIN becomes a credential and is proven by the cheapest call that needs it.

use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_PIN_INCORRECT};
use rand_core::{OsRng, RngCore};

use super::errors::{Purpose, Refusal};
use super::roles::Role;
use super::service::{Call, Service};
use super::{Securosys, endpoint};
use crate::backend::front;
use crate::error::{Error, Result};
use crate::observe::audit::Event;
use crate::transport::{Class, Deadline};

impl Securosys {
    /// As [`crate::backend::Backend::login`] has it.
    pub(super) fn log_in(&self, pin: &[u8], deadline: Deadline) -> Result<()> {
        let Service { transport, credentials, .. } = &self.service;
        let class = if self.service.wants_pin() {
            // What somebody typed is looked at once for each role that it fills.
            Class::NeverTwice
        } else {
            Class::Repeatable
        };
        let front = transport.pin_names();
        let names = [front.clone(), credentials.pin_names()].concat();
        let secrets = front::secrets(pin, &names, self.pin_format)?;
        // Passwords and what signs may have any letter; what stands in a header as it is may not.
        let hidden = ["basic", "hmac", "password"];
        let in_headers = names.iter().zip(&secrets).filter(|(name, _)| !hidden.contains(name));
        in_headers.into_iter().try_for_each(|(_, secret)| check_visible(secret))?;
        let (for_front, own) = secrets.split_at(front.len());
        let in_front = transport.login_with(for_front, deadline);
        in_front.map_err(|error| front::login_error(error, &front))?;
        credentials.fill(own.iter().copied());
        let roles = credentials.roles_to_prove();
        let proven = roles.into_iter().try_for_each(|role| self.prove(role, class, deadline));
        if proven.is_err() {
            credentials.clear();
            transport.logout();
        }
        proven
    }

    /// As [`crate::backend::Backend::logout`] has it.
    pub(super) fn log_out(&self) {
        self.service.transport.logout();
        self.forget_credentials();
    }

    pub(super) fn forget_credentials(&self) {
        let Service { credentials, audit, .. } = &self.service;
        credentials.clear();
        if credentials.wants_pin() {
            audit.of(&credentials.pin_names().join(" ")).granted(Event::Logout, "this side");
        }
    }

    /// Asks for something cheap and harmless that the key of `role` protects.
    fn prove(&self, role: Role, class: Class, deadline: Deadline) -> Result<()> {
        let path = match role {
            Role::KeyManagement => endpoint::KEYS.to_owned(),
            // No request has this id: an accepted key is told so.
            Role::KeyOperation => endpoint::below(endpoint::REQUEST, &random_uuid()?),
            Role::Service => endpoint::VERSION.to_owned(),
            Role::ApproverKeyManagement => endpoint::APPROVER_STATUS.to_owned(),
            Role::Approver => endpoint::SIGN_TASKS.to_owned(),
        };
        // An approver's question without a signature is not answered: an accepted key is told what is missing.
        let call = match role {
            Role::Approver => Call::post(&path, b"{}", class, Purpose::Login),
            _ => Call { class, ..Call::get(&path, Purpose::Login) },
        };
        let audit = self.service.audit.of(self.service.credentials.account(role));
        let answer = self
            .service
            .exchange(&call, deadline)
            .inspect_err(|error| audit.failed(Event::Login, call.endpoint(), error))?;
        // Any other verdict (no such request, no licence for requests) comes after the credential was accepted.
        let refusal = Refusal::read(&answer);
        if !answer.is_success() && !refusal.accepts_credential() {
            audit.refused(Event::Login, call.endpoint(), answer.status);
            return Err(self.blamed(&refusal));
        }
        if !self.service.credentials.is_empty() {
            audit.granted(Event::Login, call.endpoint());
        }
        if role == Role::Service && answer.is_success() {
            self.about.take_version(&answer);
        }
        Ok(())
    }

    /// The error for a refused login. A gateway that refuses what is not the PIN has not let it through to be looked at.
    fn blamed(&self, refusal: &Refusal<'_>) -> Error {
        let transport = &self.service.transport;
        if transport.has_layers() && !transport.wants_pin() && refusal.is_credential() && !refusal.is_own() {
            let text = format!("{}: what stands in front of the service answered {refusal}", Purpose::Login);
            return Error::new(CKR_DEVICE_ERROR, text);
        }
        refusal.error(Purpose::Login)
    }
}

/// That a header takes a secret: visible ASCII. Anything else cannot be right, and is not sent.
fn check_visible(secret: &str) -> Result<()> {
    if secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    let text = "logging in: the PIN is not visible ASCII, as API keys and JWTs are";
    Err(Error::new(CKR_PIN_INCORRECT, text))
}

/// Version 4 of RFC 9562 section 5.4.
fn random_uuid() -> Result<String> {
    let mut bytes = [0; 16];
    OsRng.try_fill_bytes(&mut bytes).map_err(|error| {
        Error::new(CKR_DEVICE_ERROR, "logging in: no random bytes from the system").because(error)
    })?;
    let number = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = format!("{number:032x}");
    let (a, rest) = digits.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    Ok(format!("{a}-{b}-{c}-{d}-{e}"))
}
