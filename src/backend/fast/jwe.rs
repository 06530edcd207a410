//! Texts in JSON Web Encryption (sections 4.4 and 4.5). They are sealed with the public key of the certificate, without
//! the service; only it can open them.

use std::sync::atomic::{AtomicU8, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cryptoki_sys::{CKR_ENCRYPTED_DATA_INVALID, CKR_MECHANISM_INVALID};
use zeroize::Zeroizing;

use super::Fast;
use super::errors::{Purpose, unreadable};
use super::service::{Call, Failure, patiently, succeeded};
use super::wire::{self, Info, Opened};
use crate::backend::types::{DecryptRequest, DecryptScheme, KeyName};
use crate::crypto::jwe;
use crate::error::{Error, Result};
use crate::transport::{Class, Deadline};

const DECRYPT_JWE: &str = "/api/sign/decryptjwe";

const PURPOSE: Purpose = Purpose::Decrypt;

/// How the service packs a JWE: as it is, or in base64 once more. The two editions of its documentation disagree, so
/// that it is found out.
#[derive(Default)]
pub(super) struct Packaging(AtomicU8);

const UNKNOWN: u8 = 0;
const COMPACT: u8 = 1;
const IN_BASE64: u8 = 2;

impl Packaging {
    /// What to send for a compact JWE, the likelier thing first.
    fn to_try(&self, compact: &str) -> Vec<(u8, String)> {
        let known = self.0.load(Ordering::Relaxed);
        let forms = [(COMPACT, compact.to_owned()), (IN_BASE64, STANDARD.encode(compact))];
        forms.into_iter().filter(|(form, _)| known == UNKNOWN || known == *form).collect()
    }

    fn settle(&self, form: u8) {
        self.0.store(form, Ordering::Relaxed);
    }
}

/// The compact form of what a caller brings, whichever edition packed it.
fn compact(ciphertext: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(ciphertext).ok()?.trim();
    if jwe::is_compact(text) {
        return Some(text.to_owned());
    }
    String::from_utf8(STANDARD.decode(text).ok()?).ok().filter(|text| jwe::is_compact(text))
}

impl Fast {
    /// The text that was sealed.
    pub(super) fn opened(
        &self,
        request: &DecryptRequest<'_>,
        deadline: Deadline,
    ) -> Result<Zeroizing<Vec<u8>>> {
        if request.scheme != DecryptScheme::Jwe {
            return Err(Error::new(
                CKR_MECHANISM_INVALID,
                "decrypting: the service opens JWE and nothing else",
            ));
        }
        let compact = compact(request.ciphertext)
            .ok_or_else(|| Error::new(CKR_ENCRYPTED_DATA_INVALID, "decrypting: this is no JWE"))?;
        let mut refused = None;
        for (form, text) in self.packaging.to_try(&compact) {
            match patiently(deadline, Failure::pause, || self.open_text(request.key, &text, deadline)) {
                Ok(plaintext) => {
                    self.packaging.settle(form);
                    return Ok(plaintext);
                }
                Err(Failure::Refused(refusal)) if refusal.is_bad_request() => refused = Some(refusal),
                Err(failure) => return Err(failure.error(PURPOSE)),
            }
        }
        Err(match refused {
            Some(refusal) if refusal.says("format") => refusal.error(PURPOSE),
            Some(refusal) => self.explained(request.key, &refusal, PURPOSE, Info::opens, deadline),
            None => Error::internal("decrypting: there is no form to try"),
        })
    }

    fn open_text(
        &self,
        key: &KeyName,
        text: &str,
        deadline: Deadline,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let body = wire::sealed_text(key.as_str(), text);
        let call = Call { path: DECRYPT_JWE, body: &body, purpose: PURPOSE, class: Class::Repeatable };
        let response = self.service.exchange(&call, deadline)?;
        let answer = succeeded::<Opened<'_>>(PURPOSE, &response)?;
        let opened = answer.data.map(Opened::into_bytes);
        opened.ok_or_else(|| Failure::Unreadable(unreadable(PURPOSE, &response, "no text")))
    }
}
