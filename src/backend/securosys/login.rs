//! `C_Login` and `C_Logout`: the PIN becomes a credential and is proven by the cheapest call that needs it.

use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_PIN_INCORRECT};
use rand_core::{OsRng, RngCore};

use super::Securosys;
use super::errors::{Purpose, Refusal};
use super::roles::{Endpoint, Role};
use super::service::Call;
use crate::error::{Error, Result};
use crate::transport::{Class, Deadline};

impl Securosys {
    /// As [`crate::backend::Backend::login`] has it.
    pub(super) fn log_in(&self, pin: &[u8], deadline: Deadline) -> Result<()> {
        let credentials = &self.service.credentials;
        let class = if credentials.wants_pin() {
            credentials.fill(text(pin)?);
            // What somebody typed is looked at once for each role that it fills.
            Class::NeverTwice
        } else {
            Class::Repeatable
        };
        let roles = credentials.roles_to_prove();
        let proven = roles.into_iter().try_for_each(|role| self.prove(role, class, deadline));
        if proven.is_err() {
            credentials.clear();
        }
        proven
    }

    /// Asks for something cheap that the key of `role` protects.
    fn prove(&self, role: Role, class: Class, deadline: Deadline) -> Result<()> {
        let endpoint = match role {
            Role::KeyManagement => Endpoint::Keys,
            Role::KeyOperation => Endpoint::Request,
            Role::Service => Endpoint::Version,
        };
        let path = match endpoint {
            // No request has this id: an accepted key is told so.
            Endpoint::Request => endpoint.path_to(&random_uuid()?),
            _ => endpoint.path().to_owned(),
        };
        let call = Call { class, ..Call::get(endpoint, &path, Purpose::Login) };
        let answer = self.service.exchange(&call, deadline)?;
        if answer.is_success() {
            if endpoint == Endpoint::Version {
                self.remember_version(&answer);
            }
            return Ok(());
        }
        // Any other verdict (no such request, no licence for requests) comes after the credential was accepted.
        let refusal = Refusal::read(&answer);
        if refusal.is_verdict() && !refusal.is_credential() {
            return Ok(());
        }
        Err(refusal.error(Purpose::Login))
    }
}

/// The PIN as a header takes it: visible ASCII. Anything else cannot be right, and is not sent.
fn text(pin: &[u8]) -> Result<&str> {
    let visible = !pin.is_empty() && pin.iter().all(u8::is_ascii_graphic);
    str::from_utf8(pin).ok().filter(|_| visible).ok_or_else(|| {
        Error::new(CKR_PIN_INCORRECT, "logging in: the PIN is not visible ASCII, as API keys and JWTs are")
    })
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
