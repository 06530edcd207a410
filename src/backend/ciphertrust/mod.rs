//! The dialect of Thales CipherTrust Manager.
//!
//! The server hashes what it signs, so that messages go out whole, up to a limit, and a digest that a caller brings cannot
//! be signed unless the configuration says how. Section numbers in this folder are those of the Luna reference.
//!
//! # Layout
//! * `mod.rs`: the calls of [`Backend`]
//! * `login.rs`: the account and its tokens; `service.rs`: one exchange
//! * `keys.rs`: what the vault holds
//! * `generation.rs`: keys that are made and deleted
//! * `operations.rs`: signatures, MACs, ciphers
//! * `names.rs`: the server's names of algorithms, and paths; `wire.rs`: its JSON
//! * `errors.rs`: the one table from refusals to `CKR_*`

use std::sync::Arc;

use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_RANDOM_NO_RNG};
use zeroize::Zeroizing;

use self::names::{Learnt, Paths};
use self::service::Service;
use self::wire::Resource;
use crate::backend::Backend;
use crate::backend::types::{
    DecryptRequest, DecryptScheme, EncryptRequest, EncryptScheme, Encrypted, Firmware, KeyInfo, KeyName,
    KeySpec, NewKey, Outcome, SignInput, SignRequest, SignScheme,
};
use crate::config;
use crate::crypto::digest::Hash;
use crate::error::{Error, Result};
use crate::observe::log::Log;
use crate::transport::auth::{self, Authenticated};
use crate::transport::{Conventions, Deadline, Transport};

mod errors;
mod generation;
mod keys;
mod login;
mod names;
mod operations;
mod service;
#[cfg(test)]
mod tests;
mod wire;

/// What every request carries. The usual body is that of a signature.
const CONVENTIONS: Conventions<'_> = Conventions {
    headers: &[("Accept", "application/json"), ("Content-Type", "application/octet-stream")],
    keep: &[],
    discreet_paths: false,
};

/// Bytes of the IV and of the tag of GCM.
const IV_LENGTH: usize = 12;
const TAG_LENGTH: usize = 16;

/// Bytes of what the longest RSA keys make (section 11.1).
const LONGEST_BLOCK: usize = 512;

/// One account of a CipherTrust Manager.
pub struct CipherTrust {
    service: Service,
    paths: Paths,
    filter: Filter,
    max_message: usize,
    /// `hashAlgo` of what is hashed already.
    prehashed: Option<String>,
    /// `signAlgo` of RSASSA-PKCS1-v1_5; `None`: nothing is said.
    pkcs1: Option<String>,
    /// `signAlgo` of RSASSA-PSS.
    pss: String,
    oaep_hash: Hash,
    /// How hashes are spelled.
    spelling: Learnt,
    /// How MACs are written in queries.
    mac_form: Learnt,
    /// What the member with a curve is called.
    curve_member: Learnt,
    pin_format: config::PinFormat,
}

/// Which keys are shown.
struct Filter {
    owner: Option<String>,
    labels: Vec<(String, String)>,
}

impl Filter {
    fn shows(&self, key: &Resource) -> bool {
        let has_owner = self.owner.as_ref().is_none_or(|owner| key.is_owned_by(owner));
        has_owner && self.labels.iter().all(|(name, value)| key.has_label(name, value))
    }
}

/// The back end that `token` describes. Reads the files that it names, makes no request.
///
/// # Errors
/// `CKR_DEVICE_ERROR` where one of them cannot be read.
pub fn open(token: &config::Token, settings: &config::CipherTrust, log: &Log) -> Result<Arc<dyn Backend>> {
    let transport = auth::open(token, &CONVENTIONS, log).map_err(|error| {
        Error::new(CKR_DEVICE_ERROR, format!("slot {:?} cannot be opened", token.label)).because(error)
    })?;
    if let Some(warning) = transport.warning() {
        log.warn(format_args!("slot {:?}: {warning}", token.label));
    }
    let transport = login::layers(transport, token, settings, log);
    Ok(Arc::new(CipherTrust {
        service: Service::new(transport, token.catalog.width, log)?,
        paths: Paths { prefix: settings.prefix.clone() },
        filter: Filter { owner: settings.owner.clone(), labels: settings.labels.clone() },
        max_message: settings.max_message,
        pin_format: token.auth.pin_format,
        prehashed: settings.prehashed.clone(),
        pkcs1: settings.pkcs1.clone(),
        pss: settings.pss.clone(),
        oaep_hash: settings.oaep_hash,
        spelling: Learnt::nothing(),
        mac_form: Learnt::nothing(),
        curve_member: Learnt::nothing(),
    }))
}

impl Backend for CipherTrust {
    fn manufacturer(&self) -> &'static str {
        "Thales"
    }

    fn model(&self) -> &'static str {
        "CipherTrust"
    }

    fn firmware(&self) -> Option<Firmware> {
        None
    }

    fn has_random(&self) -> bool {
        false
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

    fn certificates(&self, names: &[KeyName], _deadline: Deadline) -> Vec<Result<Option<Vec<u8>>>> {
        names.iter().map(|_| Ok(None)).collect()
    }

    fn sign_input(&self, scheme: SignScheme) -> Option<SignInput> {
        let message = |hash| SignInput::Message { hash: Some(hash), limit: self.max_message };
        match scheme {
            SignScheme::Hmac(hash) => names::is_mac_hash(hash).then(|| message(hash)),
            _ if !names::is_signed(scheme) => None,
            _ if self.prehashed.is_some() => Some(SignInput::Digest),
            _ => names::hash_of(scheme).map(message),
        }
    }

    fn signatures_are_doubtful(&self) -> bool {
        // What signAlgo is where nothing is said, and the salt of PSS, are unconfirmed (section 11.1).
        true
    }

    fn sign(&self, request: &SignRequest<'_>, deadline: Deadline) -> Result<Outcome<Vec<u8>>> {
        let made = match request.scheme {
            SignScheme::Hmac(hash) => self.mac(request, hash, deadline),
            _ => self.signature(request, deadline),
        };
        made.map(Outcome::Done)
    }

    fn verify_mac(&self, request: &SignRequest<'_>, mac: &[u8], deadline: Deadline) -> Result<bool> {
        self.is_mac(request, mac, deadline)
    }

    fn can_decrypt(&self, scheme: &DecryptScheme<'_>) -> bool {
        match scheme {
            DecryptScheme::RsaOaep(hash) => *hash == self.oaep_hash,
            DecryptScheme::AesGcm { iv, tag_bits, .. } => {
                iv.len() == IV_LENGTH && *tag_bits == 8 * TAG_LENGTH
            }
            _ => false,
        }
    }

    fn decrypt(
        &self,
        request: &DecryptRequest<'_>,
        deadline: Deadline,
    ) -> Result<Outcome<Zeroizing<Vec<u8>>>> {
        self.opened(request, deadline).map(Outcome::Done)
    }

    fn can_encrypt(&self, scheme: &EncryptScheme<'_>) -> bool {
        match scheme {
            EncryptScheme::AesGcm { iv, tag_bits, .. } => {
                iv.is_none_or(|iv| iv.len() == IV_LENGTH) && *tag_bits == 8 * TAG_LENGTH
            }
            EncryptScheme::AesEcb => false,
        }
    }

    fn encrypt(&self, request: &EncryptRequest<'_>, deadline: Deadline) -> Result<Encrypted> {
        self.sealed(request, deadline)
    }

    /// Room for what a message becomes: it is judged where it goes in.
    fn payload_limit(&self) -> usize {
        (self.max_message + TAG_LENGTH).max(LONGEST_BLOCK)
    }

    fn random(&self, _buffer: &mut [u8], _deadline: Deadline) -> Result<()> {
        Err(Error::new(CKR_RANDOM_NO_RNG, "the server has no random numbers for others"))
    }

    fn can_generate(&self, spec: &KeySpec) -> bool {
        names::material(spec).is_some()
    }

    fn generate(&self, request: &NewKey<'_>, deadline: Deadline) -> Result<KeyName> {
        self.made(request, deadline)
    }

    fn can_delete(&self) -> bool {
        true
    }

    fn delete(&self, name: &KeyName, deadline: Deadline) -> Result<()> {
        self.deleted(name, deadline)
    }
}
