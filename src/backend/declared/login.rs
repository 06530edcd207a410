//! The credentials: those of the slot in front, proven by a call of the description.

use std::sync::Arc;

use cryptoki_sys::CKR_PIN_INCORRECT;

use super::Declared;
use super::answer::Answer;
use super::description::Description;
use super::errors::Purpose;
use super::request::Call;
use super::template::Values;
use crate::backend::front;
use crate::backend::types::Firmware;
use crate::config;
use crate::error::{Error, Result};
use crate::observe::log::Log;
use crate::transport::auth::{self, Authenticated, Bearer, configured};
use crate::transport::{self, Conventions, Deadline};

/// The transport with the layers of the slot, in the way that the service wants to see them.
pub(super) fn layers(
    token: &config::Token,
    description: &Arc<Description>,
    log: &Log,
) -> Result<Authenticated, transport::Error> {
    const ACCEPT: (&str, &str) = ("Accept", "application/json");
    let lines = description.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut headers: Vec<_> = lines.collect();
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(ACCEPT.0)) {
        headers.push(ACCEPT);
    }
    let conventions =
        Conventions { headers: &headers, keep: &[], discreet_paths: has_discreet_paths(description) };
    let mut transport = auth::open(token, &conventions, log)?;
    if let Some(bearer) = &token.auth.bearer {
        transport = transport.with_bearer(Bearer {
            header: description.token.header.clone().into(),
            scheme: description.token.scheme,
            credential: configured(bearer, "slot.auth.bearer"),
        });
    }
    let description = Arc::clone(description);
    Ok(transport.refused_by(move |answer| description.errors.refuses_credential(answer)))
}

/// Whether a path may have what is the caller's. Without it the log knows calls by their templates.
fn has_discreet_paths(description: &Description) -> bool {
    let Description { sign, decrypt, encrypt, list, .. } = description;
    let listed = list.iter().map(|list| &list.call);
    sign.calls().chain(decrypt.calls()).chain(encrypt.calls()).chain(listed).any(Call::has_discreet_path)
}

impl Declared {
    /// As [`crate::backend::Backend::login`] has it.
    pub(super) fn log_in(&self, pin: &[u8], deadline: Deadline) -> Result<()> {
        let transport = &self.service.transport;
        let names = transport.pin_names();
        let secrets = front::secrets(pin, &names, self.pin_format)?;
        // What would be a header line, and cannot be one.
        let misfits = |(name, secret): (&&str, &&str)| {
            ["bearer", "header"].contains(name) && !secret.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        };
        if names.iter().zip(&secrets).any(misfits) {
            let text = "logging in: the PIN has a byte that no header may carry";
            return Err(Error::new(CKR_PIN_INCORRECT, text));
        }
        let errors = &self.service.description.errors;
        transport
            .login_with(&secrets, deadline)
            .map_err(|error| errors.not_granted(error, &self.service.pin))?;
        self.prove(deadline).inspect_err(|_| transport.logout())?;
        self.ask_version(deadline);
        Ok(())
    }

    /// A call that the service refuses without the credentials; where there is none they are believed.
    fn prove(&self, deadline: Deadline) -> Result<()> {
        let Description { probe, list, .. } = &*self.service.description;
        match (probe, list) {
            (Some(probe), _) => {
                self.service.call(probe, &Values::default(), Purpose::Login, deadline).map(drop)
            }
            (None, Some(list)) => self.glance(list, deadline),
            (None, None) => Ok(()),
        }
    }

    /// Asks for the version if nobody knows it. What comes of it matters to nobody else.
    fn ask_version(&self, deadline: Deadline) {
        let Some((call, found)) = &self.service.description.health else { return };
        if self.firmware.get().is_some() {
            return;
        }
        match self.service.call(call, &Values::default(), Purpose::Health, deadline) {
            Ok(response) => {
                if let Some(firmware) = found.find_text(&Answer::new(&response)).as_deref().and_then(version)
                {
                    // Another login may have been quicker.
                    let _ = self.firmware.set(firmware);
                }
            }
            Err(error) => self.service.log.debug(format_args!("{error}")),
        }
    }
}

/// The first two numbers of a version.
fn version(text: &str) -> Option<Firmware> {
    let mut numbers = text.trim_start_matches(|char: char| !char.is_ascii_digit()).split('.');
    let mut number = || {
        let digits: String = numbers.next()?.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    Some(Firmware { major: number()?, minor: number().unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_two_numbers() {
        for (text, expected) in [
            ("1.15.2", Some((1, 15))),
            ("v2.3-beta", Some((2, 3))),
            ("7", Some((7, 0))),
            ("1.15+ent", Some((1, 15))),
            ("300.1", None),
            ("none", None),
        ] {
            let read = version(text).map(|firmware| (firmware.major, firmware.minor));
            assert_eq!(read, expected, "{text}");
        }
    }
}
