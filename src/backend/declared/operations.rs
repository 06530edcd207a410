//! What is done with keys.

use cryptoki_sys::{
    CKR_ACTION_PROHIBITED, CKR_ATTRIBUTE_VALUE_INVALID, CKR_DATA_INVALID, CKR_DATA_LEN_RANGE,
    CKR_MECHANISM_INVALID, CKR_RANDOM_NO_RNG,
};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::Declared;
use super::answer::{Answer, Found};
use super::codec::Held;
use super::errors::{Purpose, unreadable};
use super::service::misfitting;
use super::template::Values;
use crate::backend::types::{
    DecryptRequest, DecryptScheme, EncryptRequest, EncryptScheme, Encrypted, KeyName, NewKey, SignRequest,
    SignScheme,
};
use crate::error::{Error, Result};
use crate::transport::{Deadline, Response};

fn shown(password: Option<&SecretString>) -> &str {
    password.map_or("", |password| password.expose_secret())
}

/// A result that has to be there.
fn result(
    found: Option<&Found>,
    response: &Response,
    purpose: Purpose,
    width: Option<usize>,
) -> Result<Held> {
    let bytes = found.and_then(|found| found.find(&Answer::new(response), width));
    bytes.ok_or_else(|| unreadable(purpose, response, "not the result that was asked for"))
}

impl Declared {
    /// A signature in the form of PKCS#11.
    pub(super) fn signature(&self, request: &SignRequest<'_>, deadline: Deadline) -> Result<Vec<u8>> {
        let purpose = Purpose::Sign;
        let scheme = request.scheme;
        let row =
            self.service.description.sign.find(scheme, Some(request.payload.len())).ok_or_else(|| {
                // Offered were those that take a DigestInfo, or digests of other lengths.
                let rv = match scheme {
                    SignScheme::RsaPkcs1(None) => CKR_DATA_INVALID,
                    SignScheme::Ecdsa { hash: None, .. } => CKR_DATA_LEN_RANGE,
                    _ => CKR_MECHANISM_INVALID,
                };
                Error::new(rv, format!("{purpose}: the service signs nothing of this kind"))
            })?;
        let values = Values {
            key: request.key.as_str(),
            password: shown(request.password),
            payload: request.payload,
            ..Values::default()
        };
        let response = self.service.call(&row.call, &values, purpose, deadline)?;
        let width = if let SignScheme::Ecdsa { width, .. } = scheme { Some(width) } else { None };
        result(Some(&row.signature), &response, purpose, width).map(|signature| signature.to_vec())
    }

    /// The plaintext.
    pub(super) fn opened(
        &self,
        request: &DecryptRequest<'_>,
        deadline: Deadline,
    ) -> Result<Zeroizing<Vec<u8>>> {
        let purpose = Purpose::Decrypt;
        let table = &self.service.description.decrypt;
        let call = table.find(&request.scheme).ok_or_else(|| no_such_scheme(purpose))?;
        let mut values = Values {
            key: request.key.as_str(),
            password: shown(request.password),
            payload: request.ciphertext,
            ciphertext: request.ciphertext,
            ..Values::default()
        };
        match request.scheme {
            DecryptScheme::AesCbc { iv } | DecryptScheme::AesCtr { counter: iv } => values.iv = iv,
            DecryptScheme::AesGcm { iv, aad, tag_bits } => {
                let at = request.ciphertext.len().saturating_sub(tag_bits / 8);
                let (ciphertext, tag) = request.ciphertext.split_at(at);
                values = Values { iv, aad, tag_bits, ciphertext, tag, ..values };
            }
            _ => {}
        }
        let response = self.service.call(call, &values, purpose, deadline)?;
        result(table.plaintext.as_ref(), &response, purpose, None)
    }

    /// The ciphertext.
    pub(super) fn sealed(&self, request: &EncryptRequest<'_>, deadline: Deadline) -> Result<Encrypted> {
        let purpose = Purpose::Encrypt;
        let table = &self.service.description.encrypt;
        let call = table.find(&request.scheme).ok_or_else(|| no_such_scheme(purpose))?;
        let mut values = Values {
            key: request.key.as_str(),
            password: shown(request.password),
            payload: request.plaintext,
            ..Values::default()
        };
        if let EncryptScheme::AesGcm { iv, aad, tag_bits } = request.scheme {
            values = Values { iv: iv.unwrap_or_default(), aad, tag_bits, ..values };
        }
        let response = self.service.call(call, &values, purpose, deadline)?;
        let read = |found: &Option<Found>| Ok(result(found.as_ref(), &response, purpose, None)?.to_vec());
        let ciphertext = read(&table.ciphertext)?;
        match request.scheme {
            EncryptScheme::AesEcb => Ok(Encrypted { ciphertext, iv: Vec::new(), tag: Vec::new() }),
            // One that was given need not be told.
            EncryptScheme::AesGcm { iv: Some(iv), .. } => {
                Ok(Encrypted { ciphertext, iv: iv.to_vec(), tag: read(&table.tag)? })
            }
            EncryptScheme::AesGcm { iv: None, .. } => {
                Ok(Encrypted { ciphertext, iv: read(&table.iv)?, tag: read(&table.tag)? })
            }
        }
    }

    /// Random bytes, in as many requests as it takes.
    pub(super) fn draw(&self, buffer: &mut [u8], deadline: Deadline) -> Result<()> {
        let purpose = Purpose::Random;
        let Some(random) = &self.service.description.random else {
            return Err(Error::new(CKR_RANDOM_NO_RNG, "the service has no random numbers for others"));
        };
        for part in buffer.chunks_mut(random.limit) {
            let values = Values { count: part.len(), ..Values::default() };
            let response = self.service.call(&random.call, &values, purpose, deadline)?;
            let bytes = result(Some(&random.bytes), &response, purpose, None)?;
            if bytes.len() != part.len() {
                return Err(unreadable(purpose, &response, "not as many bytes as were asked for"));
            }
            part.copy_from_slice(&bytes);
        }
        Ok(())
    }
}

impl Declared {
    /// Makes a key.
    pub(super) fn made(&self, new: &NewKey<'_>, deadline: Deadline) -> Result<KeyName> {
        let purpose = Purpose::Generate;
        let unfit = |what: &str| Error::new(CKR_ATTRIBUTE_VALUE_INVALID, format!("{purpose}: {what}"));
        let Some(generate) = &self.service.description.generate else {
            return Err(no_such_scheme(purpose));
        };
        let call = generate.find(new).ok_or_else(|| unfit("the service makes none that may do this"))?;
        let label = KeyName::from(new.label);
        if generate.key.is_none() {
            self.check_findable(&label)?;
        }
        if generate.check && self.is_there(&label, deadline)? {
            return Err(unfit("there is a key of that name"));
        }
        let values = Values { new: Some(new), ..Values::default() };
        let response = self.service.call(call, &values, purpose, deadline)?;
        let name = match &generate.key {
            None => label,
            Some(found) => {
                let name = found.find_text(&Answer::new(&response)).filter(|name| !name.is_empty());
                name.map(KeyName::from).ok_or_else(|| unreadable(purpose, &response, "no name of the key"))?
            }
        };
        if let Some(then) = &generate.then {
            let values = Values { key: name.as_str(), ..values };
            // The key is there: who asks for its attributes sees what it lacks.
            if let Err(error) = self.service.call(then, &values, purpose, deadline) {
                self.service
                    .log
                    .warn(format_args!("key {name:?} was made, and is not as it should be: {error}"));
            }
        }
        Ok(name)
    }

    /// # Errors
    /// A name that cannot be asked for.
    fn check_findable(&self, name: &KeyName) -> Result<()> {
        let describe = self.service.description.describe.as_ref();
        let values = Values { key: name.as_str(), ..Values::default() };
        let filled = describe.map(|describe| describe.call.fill(&values)).transpose();
        filled.map(drop).map_err(|misfit| misfitting(Purpose::Generate, misfit))
    }

    /// Whether the service tells of a key of this name.
    fn is_there(&self, name: &KeyName, deadline: Deadline) -> Result<bool> {
        let told = self.described(std::slice::from_ref(name), deadline).into_iter().next();
        Ok(told.transpose()?.flatten().is_some())
    }

    /// Deletes a key.
    pub(super) fn deleted(&self, name: &KeyName, deadline: Deadline) -> Result<()> {
        let purpose = Purpose::Delete;
        let Some(call) = &self.service.description.delete else {
            return Err(Error::new(
                CKR_ACTION_PROHIBITED,
                format!("{purpose}: the description has no call for it"),
            ));
        };
        let values = Values { key: name.as_str(), ..Values::default() };
        self.service.call(call, &values, purpose, deadline).map(drop)
    }
}

/// A scheme that was not offered.
fn no_such_scheme(purpose: Purpose) -> Error {
    Error::new(CKR_MECHANISM_INVALID, format!("{purpose}: the service has no such scheme"))
}
