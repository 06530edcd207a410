//! The dialect of FAST HSM. Section numbers in this folder are those of its reference.
//!
//! The service has five calls and lists nothing: a key is that of a certificate, which the configuration names by its
//! serial number and brings along. What a signature is over and how it is padded the service does not say, so that each
//! is verified with the certificate before its caller gets it.
//!
//! # Layout
//! * `mod.rs`: the calls of [`Backend`]
//! * `login.rs`: the account and its tokens; `service.rs`: one exchange
//! * `certificates.rs`: the certificates of the configuration, and what the service tells of them
//! * `sign.rs`: signatures; `batch.rs`: several in one request; `jwe.rs`: texts
//! * `wire.rs`: the JSON of the service
//! * `errors.rs`: the one table from refusals to `CKR_*`

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_MECHANISM_INVALID, CKR_RANDOM_NO_RNG};
use zeroize::Zeroizing;

use self::batch::Batches;
use self::certificates::Certificates;
use self::jwe::Packaging;
use self::service::Service;
use self::sign::Signatures;
use crate::backend::Backend;
use crate::backend::types::{
    DecryptRequest, DecryptScheme, EncryptRequest, EncryptScheme, Encrypted, Firmware, KeyInfo, KeyName,
    Outcome, PinState, SignInput, SignRequest, SignScheme, TokenState,
};
use crate::config;
use crate::error::{Error, Result};
use crate::observe::log::Log;
use crate::transport::auth::{self, Authenticated};
use crate::transport::{self, Conventions, Deadline, Transport};

mod batch;
mod certificates;
mod errors;
mod jwe;
mod login;
mod service;
mod sign;
#[cfg(test)]
mod tests;
mod wire;

/// What every request carries.
const CONVENTIONS: Conventions<'_> = Conventions {
    headers: &[("Accept", "application/json"), ("Content-Type", "application/json")],
    keep: &[],
    discreet_paths: false,
};

/// The longest ciphertext of a text, in bytes; what the service takes is not known. A megabyte fits in.
const LONGEST: usize = 2 << 20;

/// One account of the service.
pub struct Fast {
    service: Service,
    certificates: Certificates,
    signatures: Signatures,
    batches: Batches,
    packaging: Packaging,
    read_write_sessions: bool,
    pin_format: config::PinFormat,
    /// Whether the service said last that the account is locked.
    locked: AtomicBool,
}

/// The back end that `token` describes. Reads the files that it names, makes no request.
///
/// # Errors
/// `CKR_DEVICE_ERROR` where one of them cannot be read.
pub fn open(token: &config::Token, settings: &config::Fast, log: &Log) -> Result<Arc<dyn Backend>> {
    Fast::open(token, settings, log).map(|hsm| Arc::new(hsm) as Arc<dyn Backend>)
}

impl Fast {
    fn open(token: &config::Token, settings: &config::Fast, log: &Log) -> Result<Self> {
        let failed =
            |what: String| move |error: transport::Error| Error::new(CKR_DEVICE_ERROR, what).because(error);
        let transport = auth::open(token, &CONVENTIONS, log)
            .map_err(failed(format!("slot {:?} cannot be opened", token.label)))?;
        if let Some(warning) = transport.warning() {
            log.warn(format_args!("slot {:?}: {warning}", token.label));
        }
        let transport = login::layers(transport, token, settings, log);
        Ok(Self {
            service: Service::new(transport, token.catalog.width, log),
            certificates: Certificates::new(&token.keys),
            signatures: Signatures::new(settings),
            batches: Batches::new(settings.batch_window),
            packaging: Packaging::default(),
            read_write_sessions: settings.read_write_sessions,
            pin_format: token.auth.pin_format,
            locked: AtomicBool::new(false),
        })
    }
}

impl Backend for Fast {
    fn manufacturer(&self) -> &'static str {
        "FAST"
    }

    fn model(&self) -> &'static str {
        "FAST HSM"
    }

    fn firmware(&self) -> Option<Firmware> {
        None
    }

    fn token_state(&self) -> TokenState {
        let locked = self.locked.load(Ordering::Relaxed);
        TokenState {
            user_pin: PinState { locked, ..PinState::default() },
            write_protected: true,
            ..TokenState::default()
        }
    }

    fn has_random(&self) -> bool {
        false
    }

    fn refuses_read_write(&self) -> bool {
        !self.read_write_sessions
    }

    fn labels_are_names(&self) -> bool {
        false
    }

    fn assumed(&self, name: &KeyName) -> KeyInfo {
        self.certificates.assumed(name)
    }

    fn account(&self) -> Option<&Authenticated> {
        Some(&self.service.transport)
    }

    fn login(&self, pin: &[u8], deadline: Deadline) -> Result<()> {
        self.log_in(pin, deadline)
    }

    /// Those of the configuration: the service has no list. Which of them it does not know, `describe` finds out.
    fn list(&self, _deadline: Deadline) -> Result<Vec<KeyName>> {
        Ok(self.certificates.names())
    }

    fn describe(&self, names: &[KeyName], deadline: Deadline) -> Vec<Result<Option<KeyInfo>>> {
        self.described(names, deadline)
    }

    /// Those of the configuration are found without it.
    fn certificates(&self, names: &[KeyName], _deadline: Deadline) -> Vec<Result<Option<Vec<u8>>>> {
        names.iter().map(|_| Ok(None)).collect()
    }

    fn sign_input(&self, scheme: SignScheme) -> Option<SignInput> {
        self.signatures.serves(scheme).then_some(SignInput::Digest)
    }

    fn signatures_are_doubtful(&self) -> bool {
        true
    }

    fn sign(&self, request: &SignRequest<'_>, deadline: Deadline) -> Result<Outcome<Vec<u8>>> {
        self.signature(request, deadline).map(Outcome::Done)
    }

    fn can_decrypt(&self, scheme: &DecryptScheme<'_>) -> bool {
        matches!(scheme, DecryptScheme::Jwe)
    }

    fn decrypt(
        &self,
        request: &DecryptRequest<'_>,
        deadline: Deadline,
    ) -> Result<Outcome<Zeroizing<Vec<u8>>>> {
        self.opened(request, deadline).map(Outcome::Done)
    }

    /// Texts are sealed with the public key, without the service.
    fn can_encrypt(&self, _scheme: &EncryptScheme<'_>) -> bool {
        false
    }

    fn encrypt(&self, _request: &EncryptRequest<'_>, _deadline: Deadline) -> Result<Encrypted> {
        Err(Error::new(CKR_MECHANISM_INVALID, "the service has no secret keys"))
    }

    fn payload_limit(&self) -> usize {
        LONGEST
    }

    fn random(&self, _buffer: &mut [u8], _deadline: Deadline) -> Result<()> {
        Err(Error::new(CKR_RANDOM_NO_RNG, "the service has no random numbers"))
    }
}
