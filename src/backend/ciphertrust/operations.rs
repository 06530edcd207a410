//! What is done with keys (Luna reference section 11.1).

use cryptoki_sys::{CKR_DATA_LEN_RANGE, CKR_MECHANISM_INVALID};
use zeroize::Zeroizing;

use super::errors::{Purpose, Refusal, unreadable};
use super::names::{self, Spelling};
use super::service::{Call, read, succeeded};
use super::wire::{self, Data, Opened, Sealed, Verified};
use super::{CipherTrust, IV_LENGTH, TAG_LENGTH};
use crate::backend::types::{
    DecryptRequest, DecryptScheme, EncryptRequest, EncryptScheme, Encrypted, SignRequest, SignScheme,
};
use crate::crypto::digest::Hash;
use crate::crypto::encode;
use crate::error::{Error, Result};
use crate::transport::{Deadline, Response};

/// A scheme that was not offered.
fn no_such_scheme(purpose: Purpose) -> Error {
    Error::new(CKR_MECHANISM_INVALID, format!("{purpose}: the server has no such scheme"))
}

impl CipherTrust {
    /// A signature in the form of PKCS#11.
    pub(super) fn signature(&self, request: &SignRequest<'_>, deadline: Deadline) -> Result<Vec<u8>> {
        let purpose = Purpose::Sign;
        let response = match &self.prehashed {
            Some(word) => self.signed_digest(request, word, deadline)?,
            None => self.signed_message(request, deadline)?,
        };
        let signature = read::<Data<'_>>(purpose, &response)?.signature();
        let signature = signature.ok_or_else(|| unreadable(purpose, &response, "no signature"))?;
        let SignScheme::Ecdsa { width, .. } = request.scheme else { return Ok(signature) };
        match encode::ecdsa_der_to_raw(&signature, width) {
            Ok(raw) => Ok(raw),
            Err(_) if signature.len() == 2 * width => Ok(signature),
            Err(error) => Err(unreadable(purpose, &response, "not an ECDSA signature").because(error)),
        }
    }

    /// The server hashes. The name of the hash is spelled in the other way if nobody knows yet which one is right.
    fn signed_message(&self, request: &SignRequest<'_>, deadline: Deadline) -> Result<Response> {
        let purpose = Purpose::Sign;
        let hash = names::hash_of(request.scheme).ok_or_else(|| no_such_scheme(purpose))?;
        let mut refused = None;
        for (number, spelling) in self.spelling.to_try([Spelling::Dashed, Spelling::Plain]) {
            let name = names::hash(hash, spelling).ok_or_else(|| no_such_scheme(purpose))?;
            let answer = self.ask_to_sign(request, name, request.payload, deadline)?;
            if answer.is_success() {
                self.spelling.settle(number);
                return Ok(answer);
            }
            let refusal = Refusal::read(&answer);
            if !refusal.is_bad_request() {
                return Err(refusal.error(purpose));
            }
            refused.get_or_insert(refusal);
        }
        Err(refused.map_or_else(|| no_such_scheme(purpose), |refusal| refusal.error(purpose)))
    }

    /// The server takes digests, under that name of a hash: for PKCS#1 v1.5 in the DigestInfo that it would have made.
    fn signed_digest(&self, request: &SignRequest<'_>, word: &str, deadline: Deadline) -> Result<Response> {
        let info;
        let payload = match request.scheme {
            SignScheme::RsaPkcs1(Some(hash)) => {
                info = encode::digest_info(hash, request.payload);
                &info
            }
            // What is longer than the order does not count (FIPS 186-5 section 6.4.1); the server may refuse it.
            SignScheme::Ecdsa { width, .. } => request.payload.get(..width).unwrap_or(request.payload),
            _ => request.payload,
        };
        succeeded(Purpose::Sign, self.ask_to_sign(request, word, payload, deadline)?)
    }

    fn ask_to_sign(
        &self,
        request: &SignRequest<'_>,
        hash: &str,
        payload: &[u8],
        deadline: Deadline,
    ) -> Result<Response> {
        let key = request.key.as_str();
        let hash = ("hashAlgo", hash);
        let path = match request.scheme {
            SignScheme::RsaPss(_) => self.paths.operation("sign", key, &[hash, ("signAlgo", &self.pss)]),
            SignScheme::Ecdsa { .. } => self.paths.operation("sign", key, &[hash, ("signAlgo", "ecdsa")]),
            _ => match &self.pkcs1 {
                Some(name) => self.paths.operation("sign", key, &[hash, ("signAlgo", name)]),
                None => self.paths.operation("sign", key, &[hash]),
            },
        };
        self.service.exchange(&Call::raw(&path, payload, Purpose::Sign), deadline)
    }

    /// A MAC.
    pub(super) fn mac(&self, request: &SignRequest<'_>, hash: Hash, deadline: Deadline) -> Result<Vec<u8>> {
        let purpose = Purpose::Mac;
        let path = self.paths.operation("mac", request.key.as_str(), &[]);
        let response = self.service.call(&Call::raw(&path, request.payload, purpose), deadline)?;
        let mac = read::<Data<'_>>(purpose, &response)?.mac(hash.len());
        mac.ok_or_else(|| unreadable(purpose, &response, "no MAC of this hash"))
    }

    /// Whether the server takes a MAC for that of a message, in either of the ways to write it. A server that wants the
    /// other one may say that it is false.
    pub(super) fn is_mac(&self, request: &SignRequest<'_>, mac: &[u8], deadline: Deadline) -> Result<bool> {
        let purpose = Purpose::Mac;
        let mut outcome = None;
        for (number, text) in self.mac_form.to_try(wire::spellings(mac)) {
            let path = self.paths.operation("macv", request.key.as_str(), &[("hash", &text)]);
            let answer = self.service.exchange(&Call::raw(&path, request.payload, purpose), deadline)?;
            if answer.is_success() {
                if read::<Verified>(purpose, &answer)?.verified {
                    self.mac_form.settle(number);
                    return Ok(true);
                }
                outcome = Some(Ok(false));
                continue;
            }
            let refusal = Refusal::read(&answer);
            if !refusal.is_bad_request() {
                return Err(refusal.error(purpose));
            }
            outcome.get_or_insert_with(|| Err(refusal.error(purpose)));
        }
        outcome.unwrap_or(Ok(false))
    }

    /// The plaintext.
    pub(super) fn opened(
        &self,
        request: &DecryptRequest<'_>,
        deadline: Deadline,
    ) -> Result<Zeroizing<Vec<u8>>> {
        let purpose = Purpose::Decrypt;
        let key = request.key.as_str();
        let body = match request.scheme {
            DecryptScheme::RsaOaep(_) => wire::oaep(key, &[("ciphertext", request.ciphertext)]),
            DecryptScheme::AesGcm { iv, aad, .. } => {
                let (ciphertext, tag) = request
                    .ciphertext
                    .split_last_chunk::<TAG_LENGTH>()
                    .ok_or_else(|| no_such_scheme(purpose))?;
                let parts = [("ciphertext", ciphertext), ("tag", tag), ("iv", iv), ("aad", aad)];
                wire::gcm(key, with_aad(&parts))
            }
            _ => return Err(no_such_scheme(purpose)),
        };
        let path = self.paths.cipher("decrypt");
        let response = self.service.call(&Call::json(&path, &body, purpose), deadline)?;
        let plaintext = read::<Opened<'_>>(purpose, &response)?.plaintext();
        plaintext.ok_or_else(|| unreadable(purpose, &response, "no plaintext"))
    }

    /// The ciphertext.
    pub(super) fn sealed(&self, request: &EncryptRequest<'_>, deadline: Deadline) -> Result<Encrypted> {
        let purpose = Purpose::Encrypt;
        let EncryptScheme::AesGcm { iv: given, aad, .. } = request.scheme else {
            return Err(no_such_scheme(purpose));
        };
        if request.plaintext.len() > self.max_message {
            let text = format!("{purpose}: more than {} bytes", self.max_message);
            return Err(Error::new(CKR_DATA_LEN_RANGE, text));
        }
        let key = request.key.as_str();
        let body = match given {
            Some(iv) => {
                wire::gcm(key, with_aad(&[("plaintext", request.plaintext), ("iv", iv), ("aad", aad)]))
            }
            None => wire::gcm(key, with_aad(&[("plaintext", request.plaintext), ("aad", aad)])),
        };
        let path = self.paths.cipher("encrypt");
        let response = self.service.call(&Call::json(&path, &body, purpose), deadline)?;
        let sealed: Sealed = read(purpose, &response)?;
        let parts = sealed.parts(TAG_LENGTH).filter(|(text, _)| text.len() == request.plaintext.len());
        // One that was given need not be told, and must not be another.
        let iv = sealed.iv().or_else(|| given.map(<[u8]>::to_vec)).filter(|iv| iv.len() == IV_LENGTH);
        let iv = iv.filter(|iv| given.is_none_or(|given| given == iv));
        let (Some((ciphertext, tag)), Some(iv)) = (parts, iv) else {
            return Err(unreadable(purpose, &response, "not the ciphertext that was asked for"));
        };
        Ok(Encrypted { ciphertext, iv, tag })
    }
}

/// The parts of a body, the last of which is left out where it is empty.
fn with_aad<'p, 'a>(parts: &'p [(&'static str, &'a [u8])]) -> &'p [(&'static str, &'a [u8])] {
    match parts {
        [rest @ .., (_, [])] => rest,
        _ => parts,
    }
}
