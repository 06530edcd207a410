//! What the service tells of itself: version and licence (Securosys TSB reference section 5). Nobody waits for it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::endpoint;
use super::errors::Purpose;
use super::roles::Role;
use super::service::{Call, Service, read};
use super::wire::{LicenceAnswer, VersionAnswer};
use crate::backend::types::Firmware;
use crate::error::Result;
use crate::transport::{Deadline, Response};

/// How long both questions together may keep their caller.
const PATIENCE: Duration = Duration::from_secs(2);

/// The licence for synchronous calls, which are all that this module makes with keys (section 0).
const NEEDED_LICENCE: &str = "REST_API";

/// What is known so far.
#[derive(Default)]
pub(super) struct About {
    firmware: OnceLock<Firmware>,
    /// The service said that [`NEEDED_LICENCE`] is missing.
    unlicensed: AtomicBool,
    asked: AtomicBool,
}

impl About {
    pub(super) fn firmware(&self) -> Option<Firmware> {
        self.firmware.get().copied()
    }

    /// Until the service says otherwise.
    pub(super) fn is_licensed(&self) -> bool {
        !self.unlicensed.load(Ordering::Relaxed)
    }

    /// A licence may have been bought since.
    pub(super) fn ask_again_if_unlicensed(&self) {
        if !self.is_licensed() {
            self.asked.store(false, Ordering::Relaxed);
        }
    }

    /// Asks, once and only if a key allows it. It is worth no failure and little time.
    pub(super) fn ask(&self, service: &Service, deadline: Deadline) {
        if !service.credentials.may_use(Role::Service) || self.asked.swap(true, Ordering::Relaxed) {
            return;
        }
        let patience = deadline.remaining().map_or(Duration::ZERO, |left| left.min(PATIENCE));
        if let Err(error) = self.ask_both(service, Deadline::after(patience)) {
            service.log.debug(format_args!("{error}"));
        }
    }

    fn ask_both(&self, service: &Service, deadline: Deadline) -> Result<()> {
        let answer = service.call(&Call::get(endpoint::LICENCE, Purpose::Licence), deadline);
        let licence = answer.and_then(|answer| self.take_licence(service, &answer));
        if self.firmware.get().is_none() {
            let answer = service.call(&Call::get(endpoint::VERSION, Purpose::Version), deadline)?;
            self.take_version(&answer);
        }
        licence
    }

    fn take_licence(&self, service: &Service, answer: &Response) -> Result<()> {
        let answer: LicenceAnswer<'_> = read(Purpose::Licence, answer)?;
        let Some(flags) = answer.client_flags else { return Ok(()) };
        let licensed = flags.iter().any(|flag| flag.as_str() == NEEDED_LICENCE);
        if !licensed {
            service.log.warn(format_args!(
                "the service's licence has no {NEEDED_LICENCE}: mechanisms that need the HSM are not offered"
            ));
        }
        self.unlicensed.store(!licensed, Ordering::Relaxed);
        Ok(())
    }

    /// An answer to the question for the version. One that cannot be read is none.
    pub(super) fn take_version(&self, answer: &Response) {
        let answer = read::<VersionAnswer<'_>>(Purpose::Version, answer);
        let version = answer.ok().and_then(|answer| answer.version).and_then(|text| firmware(text.as_str()));
        if let Some(version) = version {
            self.firmware.get_or_init(|| version);
        }
    }
}

/// The first two numbers of a version such as `2.5.1` or `1.17.1.20231211T114600`.
pub(super) fn firmware(version: &str) -> Option<Firmware> {
    let mut numbers = version.split('.');
    Some(Firmware { major: numbers.next()?.parse().ok()?, minor: numbers.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_each_form() {
        assert_eq!(firmware("2.5.1"), Some(Firmware { major: 2, minor: 5 }));
        assert_eq!(firmware("1.17.1.20231211T114600"), Some(Firmware { major: 1, minor: 17 }));
        for bad in ["", "2", "v2.5", "2.999"] {
            assert_eq!(firmware(bad), None, "{bad}");
        }
    }
}
