//! The certificates of the configuration, and what the service tells of them (sections 4.2 and 6.2).

use std::collections::HashMap;

use cryptoki_sys::{CKK_RSA, CKR_DEVICE_ERROR, CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_HANDLE_INVALID};

use super::Fast;
use super::errors::{Purpose, Refusal, unreadable};
use super::service::{Call, Failure, succeeded};
use super::wire::{self, Info};
use crate::backend::types::{KeyInfo, KeyKind, KeyName, Listed, Protection, Usage};
use crate::config;
use crate::crypto::certificate::Certificate;
use crate::crypto::digest::Hash;
use crate::crypto::encode;
use crate::error::{Error, Result};
use crate::transport::{Class, Deadline, Response};

const GET_INFO: &str = "/api/certificate/getinfosn";

/// The certificates in the order of the configuration.
pub(super) struct Certificates {
    names: Vec<KeyName>,
    by_name: HashMap<KeyName, Configured>,
}

/// What the configuration says of one.
struct Configured {
    label: Option<String>,
    certificate: Option<Certificate>,
}

impl Certificates {
    pub(super) fn new(keys: &[config::Key]) -> Self {
        let name = |key: &config::Key| KeyName::from(key.name.as_str());
        let configured = |key: &config::Key| {
            // It was read before: see `config::fast`.
            let certificate = key.certificate.as_deref().and_then(|der| Certificate::from_der(der).ok());
            let own_name = || certificate.as_ref().and_then(Certificate::common_name);
            Configured { label: key.label.clone().or_else(own_name), certificate }
        };
        Self {
            names: keys.iter().map(name).collect(),
            by_name: keys.iter().map(|key| (name(key), configured(key))).collect(),
        }
    }

    pub(super) fn names(&self) -> Vec<KeyName> {
        self.names.clone()
    }

    /// What can be said of one without the service.
    pub(super) fn assumed(&self, name: &KeyName) -> KeyInfo {
        self.info(name, &Info::default())
    }

    /// What is known of one, the word of the service included.
    fn info(&self, name: &KeyName, told: &Info) -> KeyInfo {
        let configured = self.by_name.get(name);
        let certificate = configured.and_then(|configured| configured.certificate.as_ref());
        let public = certificate.and_then(|certificate| certificate.public_key().ok());
        let label = configured.and_then(|configured| configured.label.clone());
        let serial = || name.as_str().as_bytes().to_vec();
        KeyInfo {
            id: if public.is_none() { Some(digits(name.as_str()).unwrap_or_else(serial)) } else { None },
            label: label.or_else(|| told.common_name().map(str::to_owned)),
            // Without a certificate nothing could be verified, so that nothing is signed either.
            kind: public.map_or(
                KeyKind::Listed(Listed { private: true, key_type: Some(CKK_RSA), ..Listed::default() }),
                KeyKind::Pair,
            ),
            usage: Usage { sign: told.signs(), decrypt: told.opens(), unwrap: false, derive: false },
            // Keys of such a service do not leave it (section 6.2).
            protection: Protection { always_sensitive: true, never_extractable: true, ..Protection::UNTOLD },
            approval: false,
            dormant: !told.is_valid(),
        }
    }

    /// That the service means the certificate that is here.
    ///
    /// # Errors
    /// `CKR_DEVICE_ERROR` where it has another thumbprint.
    fn check(&self, name: &KeyName, told: &Info) -> Result<()> {
        let certificate = self.by_name.get(name).and_then(|configured| configured.certificate.as_ref());
        let (Some(certificate), Some(thumbprint)) = (certificate, &told.thumbprint) else { return Ok(()) };
        let thumbprint: String = thumbprint.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
        let same = match digits(&thumbprint) {
            Some(bytes) if bytes.len() == Hash::Sha1.len() => bytes == Hash::Sha1.digest(certificate.der()),
            Some(bytes) if bytes.len() == Hash::Sha256.len() => {
                bytes == Hash::Sha256.digest(certificate.der())
            }
            // Of what it is the hash is not known.
            _ => true,
        };
        if same {
            return Ok(());
        }
        let text =
            "the certificate in [[slot.key]] is not the one that the service has: its thumbprint is another";
        Err(Error::new(CKR_DEVICE_ERROR, text))
    }
}

/// Bytes in hexadecimal; a digit that stands alone is the first.
fn digits(text: &str) -> Option<Vec<u8>> {
    let even = if text.len().is_multiple_of(2) { text.to_owned() } else { format!("0{text}") };
    encode::from_hex(&even)
}

impl Fast {
    /// As [`crate::backend::Backend::describe`] has it.
    pub(super) fn described(&self, names: &[KeyName], deadline: Deadline) -> Vec<Result<Option<KeyInfo>>> {
        let bodies: Vec<_> = names.iter().map(|name| wire::query(name.as_str())).collect();
        let calls: Vec<_> = bodies.iter().map(|body| call(body)).collect();
        let answers = self.service.exchange_many(&calls, deadline);
        let described = |(name, answer): (&KeyName, Result<Response>)| {
            let Some(told) = info(&answer?)? else { return Ok(None) };
            self.certificates.check(name, &told)?;
            Ok(Some(self.certificates.info(name, &told)))
        };
        names.iter().zip(answers).map(described).collect()
    }

    /// Why the service refuses to use a certificate: it says the same of one that it does not know and of one that has
    /// expired (section 8). `allowed` says whether its key is for the purpose.
    pub(super) fn explained(
        &self,
        name: &KeyName,
        refusal: &Refusal,
        purpose: Purpose,
        allowed: fn(&Info) -> bool,
        deadline: Deadline,
    ) -> Error {
        let body = wire::query(name.as_str());
        let answer = self.service.exchange(&call(&body), deadline);
        let told = answer.map_err(|failure| failure.error(purpose)).and_then(|answer| info(&answer));
        match told {
            Err(error) => error,
            Ok(None) => refusal.error_as(CKR_KEY_HANDLE_INVALID, purpose),
            Ok(Some(told)) if !told.is_valid() || !allowed(&told) => {
                refusal.error_as(CKR_KEY_FUNCTION_NOT_PERMITTED, purpose)
            }
            Ok(Some(_)) if refusal.says("certificate") => refusal.error_as(CKR_KEY_HANDLE_INVALID, purpose),
            // The certificate is in force, so that it is the data.
            Ok(Some(_)) => refusal.error(purpose),
        }
    }
}

fn call(body: &[u8]) -> Call<'_> {
    Call { path: GET_INFO, body, purpose: Purpose::Describe, class: Class::Repeatable }
}

/// What the service tells; `None` where it does not know the certificate.
fn info(answer: &Response) -> Result<Option<Info>> {
    let purpose = Purpose::Describe;
    match succeeded::<Info>(purpose, answer) {
        Ok(told) => {
            let told = told.data.ok_or_else(|| unreadable(purpose, answer, "no data"))?;
            Ok(Some(told))
        }
        Err(Failure::Refused(refusal)) if refusal.is_unknown_certificate() => Ok(None),
        Err(failure) => Err(failure.error(purpose)),
    }
}
