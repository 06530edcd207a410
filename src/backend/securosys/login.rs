//! `C_Login` and `C_Logout`: the PIN becomes a credential and is proven by the cheapest call that needs it.

use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_PIN_INCORRECT};
use rand_core::{OsRng, RngCore};

use super::errors::{Purpose, Refusal};
use super::roles::Role;
use super::service::Call;
use super::{Securosys, endpoint};
use crate::config::PinFormat;
use crate::error::{Error, Result};
use crate::transport::{Class, Deadline};

impl Securosys {
    /// As [`crate::backend::Backend::login`] has it.
    pub(super) fn log_in(&self, pin: &[u8], deadline: Deadline) -> Result<()> {
        let credentials = &self.service.credentials;
        let class = if credentials.wants_pin() {
            self.fill(text(pin)?)?;
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

    /// Puts the PIN, or its parts, in the places that wait for it.
    fn fill(&self, pin: &str) -> Result<()> {
        let credentials = &self.service.credentials;
        let names = credentials.pin_names();
        match self.pin_format {
            PinFormat::Plain => credentials.fill(names.iter().map(|_| pin)),
            PinFormat::Roles => credentials.fill(by_role(pin, &names).ok_or_else(|| {
                let entries: Vec<_> = names.iter().map(|name| format!("{name}=…")).collect();
                Error::new(CKR_PIN_INCORRECT, format!("logging in: the PIN is not {}", entries.join(",")))
            })?),
        }
        Ok(())
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
        let body = (role == Role::Approver).then_some(&b"{}"[..]);
        let call = Call { body, class, ..Call::get(&path, Purpose::Login) };
        let answer = self.service.exchange(&call, deadline)?;
        if answer.is_success() {
            if role == Role::Service {
                self.about.take_version(&answer);
            }
            return Ok(());
        }
        // Any other verdict (no such request, no licence for requests) comes after the credential was accepted.
        let refusal = Refusal::read(&answer);
        if refusal.accepts_credential() {
            return Ok(());
        }
        Err(refusal.error(Purpose::Login))
    }
}

/// The secrets of `names`, in their order, from `key_operation=…,service=…`. `None` if one is missing or something else
/// is there.
fn by_role<'a>(pin: &'a str, names: &[&str]) -> Option<Vec<&'a str>> {
    let entries: Vec<_> = pin.split(',').map(|entry| entry.split_once('=')).collect::<Option<_>>()?;
    let secret = |name: &&str| entries.iter().find(|(role, _)| role == name).map(|(_, secret)| *secret);
    let secrets: Vec<_> = names.iter().map(secret).collect::<Option<_>>()?;
    let whole = entries.len() == names.len() && secrets.iter().all(|secret| !secret.is_empty());
    whole.then_some(secrets)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_names_every_role_once() {
        let names = ["bearer", "key_operation"];
        for pin in ["bearer=a.b.c=,key_operation=k=1", "key_operation=k=1,bearer=a.b.c="] {
            assert_eq!(by_role(pin, &names), Some(vec!["a.b.c=", "k=1"]), "{pin}");
        }
        for pin in [
            "k",
            "bearer=a",
            "bearer=a,",
            "bearer=a,key_operation=",
            "bearer=a,bearer=b",
            "bearer=a,key_operation=k,service=s",
            "bearer=a,key_operation=k,key_operation=l",
            "bearer=a, key_operation=k",
            "Bearer=a,key_operation=k",
        ] {
            assert_eq!(by_role(pin, &names), None, "{pin}");
        }
    }
}
