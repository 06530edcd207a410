//! Signatures (section 4.3).

use std::borrow::Cow;

use cryptoki_sys::{CKR_DATA_INVALID, CKR_MECHANISM_INVALID};

use super::Fast;
use super::errors::{Purpose, Refusal, unreadable};
use super::service::{Call, Failure, succeeded};
use super::wire::{self, Info, Signed};
use crate::backend::types::{KeyName, SignRequest, SignScheme};
use crate::config::{self, HashInput, Padding};
use crate::crypto::digest::Hash;
use crate::crypto::encode;
use crate::error::{Error, Result};
use crate::transport::{Class, Deadline};

const SIGN_HASH: &str = "/api/sign/signhash";

const PURPOSE: Purpose = Purpose::Sign;

/// How often a signature is asked for where that may be done again.
const ATTEMPTS: u32 = 3;

/// What the configuration says of signatures, for the service does not.
pub(super) struct Signatures {
    padding: Padding,
    hash_input: HashInput,
    digests: Vec<Hash>,
    repeat: bool,
}

impl Signatures {
    pub(super) fn new(settings: &config::Fast) -> Self {
        Self {
            padding: settings.padding,
            hash_input: settings.hash_input,
            digests: settings.digests.clone(),
            repeat: settings.repeat_sign,
        }
    }

    /// Whether there is a mechanism for it. `CKM_RSA_PKCS` has to be there for the DigestInfos that callers bring; other
    /// bytes are refused when they come.
    pub(super) fn serves(&self, scheme: SignScheme) -> bool {
        match (self.padding, scheme) {
            (Padding::Pkcs1, SignScheme::RsaPkcs1(None)) => true,
            (Padding::Pkcs1, SignScheme::RsaPkcs1(Some(hash))) | (Padding::Pss, SignScheme::RsaPss(hash)) => {
                self.digests.contains(&hash)
            }
            _ => false,
        }
    }

    /// What is sent for a digest.
    fn item<'a>(&self, scheme: SignScheme, payload: &'a [u8]) -> Result<Cow<'a, [u8]>> {
        match scheme {
            SignScheme::RsaPkcs1(None) => {
                let text = "signing: the service signs digests of slot.fast.digests and no other bytes";
                Err(Error::new(CKR_DATA_INVALID, text))
            }
            _ if !self.serves(scheme) => {
                Err(Error::new(CKR_MECHANISM_INVALID, "signing: the service has no such scheme"))
            }
            SignScheme::RsaPkcs1(Some(hash)) if self.hash_input == HashInput::DigestInfo => {
                Ok(encode::digest_info(hash, payload).into())
            }
            _ => Ok(payload.into()),
        }
    }

    /// Each may be a legal signature that is counted: by default nobody asks for one twice.
    fn class(&self) -> Class {
        if self.repeat { Class::Repeatable } else { Class::OnceOnly }
    }
}

impl Fast {
    /// The signature over one digest. Whoever asked for it verifies it.
    pub(super) fn signature(&self, request: &SignRequest<'_>, deadline: Deadline) -> Result<Vec<u8>> {
        let item = self.signatures.item(request.scheme, request.payload)?;
        let mut signatures = match self.sign_items(request.key, &[&item], deadline) {
            Ok(signatures) => signatures,
            Err(Failure::Refused(refusal)) => return Err(self.refused(request.key, &refusal, deadline)),
            Err(Failure::Unreadable(error)) => return Err(error),
        };
        Ok(signatures.swap_remove(0))
    }

    /// The signatures over some items, as many and in that order.
    fn sign_items(
        &self,
        key: &KeyName,
        items: &[&[u8]],
        deadline: Deadline,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let body = wire::hashes(key.as_str(), items.iter().copied());
        let call = Call { path: SIGN_HASH, body: &body, purpose: PURPOSE, class: self.signatures.class() };
        let attempts = if self.signatures.repeat { ATTEMPTS } else { 1 };
        let mut made = 0;
        loop {
            made += 1;
            match self.sign_once(&call, items.len(), deadline) {
                Err(Failure::Refused(refusal)) if refusal.may_pass() && made < attempts => {}
                outcome => return outcome,
            }
        }
    }

    fn sign_once(&self, call: &Call<'_>, count: usize, deadline: Deadline) -> Result<Vec<Vec<u8>>, Failure> {
        let response = self.service.exchange(call, deadline).map_err(Failure::Unreadable)?;
        let answer: Signed<'_> = succeeded(PURPOSE, &response)?;
        let texts = answer.signature_array.unwrap_or_default();
        let signatures: Option<Vec<_>> = texts.iter().map(|text| wire::signature(text)).collect();
        signatures.filter(|signatures| signatures.len() == count).ok_or_else(|| {
            let what = format!("not the {count} signatures that were asked for");
            Failure::Unreadable(unreadable(PURPOSE, &response, &what))
        })
    }

    /// What a refusal means for one signature.
    fn refused(&self, key: &KeyName, refusal: &Refusal, deadline: Deadline) -> Error {
        if !refusal.is_bad_request() || refusal.says("hash") {
            return refusal.error(PURPOSE);
        }
        self.explained(key, refusal, PURPOSE, Info::signs, deadline)
    }
}
