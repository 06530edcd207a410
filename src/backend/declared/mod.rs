//! The dialect of any service, as a file describes it (`docs/declared.md`).
//!
//! The description is data: it is read and compiled when the slot is opened, and a call only fills what was compiled.
//!
//! # Layout
//! * `mod.rs`: the calls of [`Backend`]
//! * `reader.rs`: TOML with line and key; `description.rs`: the whole file; `algorithms.rs`, `making.rs`: its tables of
//!   mechanisms; `flags.rs`: attributes that are true or false
//! * `template.rs`: texts with values; `path.rs`: paths and queries of them; `request.rs`: whole requests
//! * `pointer.rs`, `codec.rs`, `answer.rs`: what is found in answers
//! * `errors.rs`: the one table from refusals to `CKR_*`
//! * `service.rs`: one exchange; `login.rs`: credentials; `keys.rs`: what there is; `operations.rs`: what is done with it

use std::fs::File;
use std::sync::{Arc, OnceLock};

use cryptoki_sys::CKR_DEVICE_ERROR;
use zeroize::Zeroizing;

use self::description::Description;
use self::errors::Pin;
use self::service::Service;
use crate::backend::Backend;
use crate::backend::types::{
    DecryptRequest, DecryptScheme, EncryptRequest, EncryptScheme, Encrypted, Firmware, KeyInfo, KeyKind,
    KeyName, KeySpec, NewKey, Outcome, SignInput, SignRequest, SignScheme,
};
use crate::config;
use crate::error::{Error, Result};
use crate::observe::log::Log;
use crate::transport::auth::Authenticated;
use crate::transport::{self, Deadline, Transport};

mod algorithms;
mod answer;
mod codec;
mod description;
mod errors;
mod flags;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod keys;
mod login;
mod making;
mod operations;
mod path;
mod pointer;
mod reader;
mod request;
mod service;
mod template;
#[cfg(test)]
mod tests;

/// Most bytes of a description.
const LIMIT: usize = 1024 * 1024;

/// A service that a file describes, with one set of credentials.
pub struct Declared {
    service: Service,
    /// The keys that the slot names: all that there are where the service lists none.
    keys: Vec<KeyName>,
    firmware: OnceLock<Firmware>,
    pin_format: config::PinFormat,
}

/// The back end that `token` describes. Reads the files that it names, makes no request.
///
/// # Errors
/// `CKR_DEVICE_ERROR` where one of them cannot be read, or is no description.
pub fn open(token: &config::Token, settings: &config::Declared, log: &Log) -> Result<Arc<dyn Backend>> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(CKR_DEVICE_ERROR, format!("slot {:?} cannot be opened", token.label)).because(error)
    };
    let text = read(settings).map_err(|problem| failed(problem.into()))?;
    let description = Description::parse(&text, &settings.parameters, &token.auth, &settings.file);
    let description = description.map_err(|problem| failed(problem.into()))?;
    let declared = Declared::new(token, description, log).map_err(|error| failed(error.into()))?;
    if let Some(warning) = declared.service.transport.warning() {
        log.warn(format_args!("slot {:?}: {warning}", token.label));
    }
    Ok(Arc::new(declared))
}

impl Declared {
    fn new(
        token: &config::Token,
        description: Description,
        log: &Log,
    ) -> std::result::Result<Self, transport::Error> {
        let description = Arc::new(description);
        let transport = login::layers(token, &description, log)?;
        let pin = Pin::new(transport.pin_names(), token.auth.token.is_some());
        Ok(Self {
            service: Service { description, transport, pin, width: token.catalog.width, log: log.clone() },
            keys: token.keys.iter().map(|key| KeyName::from(key.name.as_str())).collect(),
            firmware: OnceLock::new(),
            pin_format: token.auth.pin_format,
        })
    }
}

/// The text of the description.
fn read(settings: &config::Declared) -> std::result::Result<String, config::Problem> {
    let problem = |what: String| {
        let remedy = "name a description that this user may read";
        config::Problem::of_a_file(&settings.file, None, "", &what, remedy)
    };
    let bytes = File::open(&settings.file).and_then(|file| config::read_all(&file, LIMIT));
    let bytes = bytes.map_err(|error| problem(format!("cannot be read: {error}")))?;
    String::from_utf8(bytes.to_vec()).map_err(|_| problem("is not UTF-8".to_owned()))
}

impl Backend for Declared {
    fn manufacturer(&self) -> &str {
        &self.service.description.manufacturer
    }

    fn model(&self) -> &str {
        &self.service.description.model
    }

    fn firmware(&self) -> Option<Firmware> {
        self.firmware.get().copied()
    }

    fn has_random(&self) -> bool {
        self.service.description.random.is_some()
    }

    fn assumed(&self, _name: &KeyName) -> KeyInfo {
        self.untold(KeyKind::Other("unknown".into()))
    }

    fn account(&self) -> Option<&Authenticated> {
        Some(&self.service.transport)
    }

    fn login(&self, pin: &[u8], deadline: Deadline) -> Result<()> {
        self.log_in(pin, deadline)
    }

    fn list(&self, deadline: Deadline) -> Result<Vec<KeyName>> {
        self.names(deadline)
    }

    fn describe(&self, names: &[KeyName], deadline: Deadline) -> Vec<Result<Option<KeyInfo>>> {
        self.described(names, deadline)
    }

    fn certificates(&self, names: &[KeyName], deadline: Deadline) -> Vec<Result<Option<Vec<u8>>>> {
        self.certified(names, deadline)
    }

    fn sign_input(&self, scheme: SignScheme) -> Option<SignInput> {
        self.service.description.sign.input(scheme)
    }

    fn sign(&self, request: &SignRequest<'_>, deadline: Deadline) -> Result<Outcome<Vec<u8>>> {
        self.signature(request, deadline).map(Outcome::Done)
    }

    fn signatures_are_doubtful(&self) -> bool {
        self.service.description.verify
    }

    fn can_decrypt(&self, scheme: &DecryptScheme<'_>) -> bool {
        self.service.description.decrypt.find(scheme).is_some()
    }

    fn decrypt(
        &self,
        request: &DecryptRequest<'_>,
        deadline: Deadline,
    ) -> Result<Outcome<Zeroizing<Vec<u8>>>> {
        self.opened(request, deadline).map(Outcome::Done)
    }

    fn can_encrypt(&self, scheme: &EncryptScheme<'_>) -> bool {
        self.service.description.encrypt.find(scheme).is_some()
    }

    fn encrypt(&self, request: &EncryptRequest<'_>, deadline: Deadline) -> Result<Encrypted> {
        self.sealed(request, deadline)
    }

    fn payload_limit(&self) -> usize {
        self.service.description.payload_limit
    }

    fn random(&self, buffer: &mut [u8], deadline: Deadline) -> Result<()> {
        self.draw(buffer, deadline)
    }

    fn can_generate(&self, spec: &KeySpec) -> bool {
        self.service.description.generate.as_ref().is_some_and(|generate| generate.makes(spec))
    }

    fn generate(&self, request: &NewKey<'_>, deadline: Deadline) -> Result<KeyName> {
        self.made(request, deadline)
    }

    fn can_delete(&self) -> bool {
        self.service.description.delete.is_some()
    }

    fn delete(&self, name: &KeyName, deadline: Deadline) -> Result<()> {
        self.deleted(name, deadline)
    }
}
