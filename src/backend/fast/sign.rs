//! Signatures (section 4.3).

use std::borrow::Cow;

use cryptoki_sys::{CKR_DATA_INVALID, CKR_MECHANISM_INVALID};

use super::Fast;
use super::batch::{Share, Verdict};
use super::errors::{Purpose, Refusal, unreadable};
use super::service::{Call, Failure, patiently, succeeded};
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
        let key = request.key;
        let item = self.signatures.item(request.scheme, request.payload)?;
        if !self.batches.are_made() {
            return self.signed_alone(key, &item, deadline);
        }
        match self.batches.share(key, &item, deadline, |items| self.batch(key, items, deadline)) {
            Share::Signature(signature) => Ok(signature),
            Share::Alone => self.signed_alone(key, &item, deadline),
            Share::Failed(error) => Err(error),
        }
    }

    fn signed_alone(&self, key: &KeyName, item: &[u8], deadline: Deadline) -> Result<Vec<u8>> {
        let attempts = if self.signatures.repeat { ATTEMPTS } else { 1 };
        let mut made = 0;
        loop {
            made += 1;
            match self.sign_items(key, &[item], deadline) {
                Ok(mut signatures) => return Ok(signatures.swap_remove(0)),
                Err(Failure::Refused(refusal)) if refusal.may_pass() && made < attempts => {}
                Err(Failure::Refused(refusal)) => return Err(self.refused(key, &refusal, deadline)),
                Err(failure) => return Err(failure.error(PURPOSE)),
            }
        }
    }

    /// The signatures over the items of several callers. One of them may be to blame for a refusal, and this one for a
    /// request that was not sent in time, so that each is tried by itself then: nothing was made. Where that is not sure it
    /// is a matter of the setting.
    pub(super) fn batch(&self, key: &KeyName, items: &[Vec<u8>], deadline: Deadline) -> Verdict {
        let items: Vec<_> = items.iter().map(Vec::as_slice).collect();
        match self.sign_items(key, &items, deadline) {
            Ok(signatures) => Verdict::Signed(signatures),
            Err(Failure::Refused(refusal)) if refusal.is_bad_request() && !refusal.says("certificate") => {
                Verdict::Singly
            }
            Err(Failure::Refused(refusal)) if refusal.may_pass() && self.signatures.repeat => Verdict::Singly,
            Err(Failure::Refused(refusal)) => Verdict::Failed(self.refused(key, &refusal, deadline)),
            Err(Failure::Unsent(_)) => Verdict::Singly,
            Err(Failure::Busy(pause, error)) => Verdict::Busy(pause, error),
            Err(Failure::Unreadable(error)) => Verdict::Failed(error),
        }
    }

    /// The signatures over some items, as many and in that order.
    fn sign_items(
        &self,
        key: &KeyName,
        items: &[&[u8]],
        deadline: Deadline,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let body = wire::hashes(key.as_str(), items);
        let call = Call { path: SIGN_HASH, body: &body, purpose: PURPOSE, class: self.signatures.class() };
        patiently(deadline, Failure::pause, || self.ask_for(items.len(), &call, deadline))
    }

    /// One request for so many signatures.
    fn ask_for(&self, count: usize, call: &Call<'_>, deadline: Deadline) -> Result<Vec<Vec<u8>>, Failure> {
        let response = self.service.exchange(call, deadline)?;
        let answer: Signed<'_> = succeeded(PURPOSE, &response)?;
        let texts = answer.signature_array.unwrap_or_default();
        let signatures: Option<Vec<_>> = texts.iter().map(|text| wire::signature(text)).collect();
        signatures.filter(|signatures| signatures.len() == count).ok_or_else(|| {
            let what = format!("not the {count} signatures that were asked for");
            Failure::Unreadable(unreadable(PURPOSE, &response, &what))
        })
    }

    /// What a refusal means for one signature, or for all of a batch.
    fn refused(&self, key: &KeyName, refusal: &Refusal, deadline: Deadline) -> Error {
        if !refusal.is_bad_request() || refusal.says("hash") {
            return refusal.error(PURPOSE);
        }
        self.explained(key, refusal, PURPOSE, Info::signs, deadline)
    }
}
