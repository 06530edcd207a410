//! Bodies of answers, for the fuzzers; that of a signature's request and its answer, for the benchmarks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_OK};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::about::firmware;
use super::errors::{Purpose, Refusal};
use super::service::read;
use super::wire::{
    Body, CertificateAnswer, DecryptAnswer, EncryptAnswer, RandomAnswer, SignAnswer, SignedAttributes, Text,
    VersionAnswer,
};
use super::{attributes, certificate, described, encrypted, sign_body};
use crate::backend::types::{EncryptScheme, KeyKind};
use crate::crypto::encode;
use crate::crypto::public_key::PublicKey;
use crate::observe::log::Log;
use crate::transport::{Kept, Response};

/// An answer of any status with this body gives a value that keeps its promises, or an error that tells nothing of it.
///
/// # Panics
/// Where that is not so.
pub fn body(data: &[u8]) {
    let success = response(200, data);
    key(&success);
    ciphertexts(&success);
    plain_values(&success);
    for status in [400, 401, 403, 404, 429, 500, 503] {
        refusal(&response(status, data));
    }
    request(&String::from_utf8_lossy(data), data);
}

/// The body of a request to sign a digest.
pub fn sign_request(key: &str, digest: &[u8]) -> Zeroizing<Vec<u8>> {
    sign_body(key, digest, None, "NONE_WITH_ECDSA")
}

/// The signature in an answer to it.
pub fn sign_answer(answer: &Response) -> Option<Vec<u8>> {
    read::<SignAnswer<'_>>(Purpose::Sign { approval: false }, answer).ok()?.signature()?.binary()
}

fn response(status: u16, body: &[u8]) -> Response {
    Response { status, retry_after: None, kept: Kept::default(), body: body.to_vec().into() }
}

/// The answer as `T`, and no word of it where it is not.
fn parsed<'a, T: Deserialize<'a>>(answer: &'a Response) -> Option<T> {
    match read(Purpose::Random, answer) {
        Ok(value) => Some(value),
        Err(error) => {
            assert_eq!(error.rv(), CKR_DEVICE_ERROR);
            let text: String = error.to_string().chars().filter(|char| !char.is_ascii_digit()).collect();
            let fixed = "HTTP  with  bytes: not the JSON that it should be at line , column ";
            assert_eq!(text, format!("{}: {fixed}", Purpose::Random));
            None
        }
    }
}

fn key(answer: &Response) {
    let told = parsed::<SignedAttributes<'_>>(answer);
    if let Some(info) = told.and_then(|told| attributes::described(&told))
        && let KeyKind::Pair(key) | KeyKind::Public(key) = info.kind
    {
        assert_eq!(PublicKey::from_spki(key.spki()).as_ref(), Ok(&key));
    }
    // Errors are fine; panics are not.
    let _refused = described(answer);
    let _refused = certificate(answer, &Log::off());
    let _version = parsed::<VersionAnswer<'_>>(answer).and_then(|told| firmware(told.version?.as_str()));
    let _certificate = parsed::<CertificateAnswer<'_>>(answer);
    let _labels = parsed::<Vec<Text<'_>>>(answer);
}

fn ciphertexts(answer: &Response) {
    let Some(told) = parsed::<EncryptAnswer<'_>>(answer) else { return };
    for tag_bits in [64, 96, 128] {
        let scheme = EncryptScheme::AesGcm { iv: None, aad: &[], tag_bits };
        if let Some(sealed) = encrypted(&told, &scheme) {
            assert!(sealed.tag.len() == tag_bits / 8 && !sealed.iv.is_empty());
        }
    }
    if let Some(sealed) = encrypted(&told, &EncryptScheme::AesEcb) {
        assert!(sealed.iv.is_empty() && sealed.tag.is_empty());
    }
}

fn plain_values(answer: &Response) {
    let signature = parsed::<SignAnswer<'_>>(answer).and_then(SignAnswer::signature);
    for width in [32, 48, 66] {
        let der = signature.as_ref().and_then(Text::binary);
        if let Some(Ok(raw)) = der.map(|der| encode::ecdsa_der_to_raw(&der, width)) {
            assert_eq!(raw.len(), 2 * width);
        }
    }
    let payload = parsed::<DecryptAnswer<'_>>(answer).and_then(|told| told.payload);
    let random = parsed::<RandomAnswer<'_>>(answer).and_then(|told| told.random);
    for text in [signature, payload, random].into_iter().flatten() {
        assert!(format!("{text:?}").len() < 32, "shown by its length alone");
        if let Some(bytes) = text.binary() {
            assert_eq!(STANDARD.encode(bytes).trim_end_matches('='), text.as_str().trim_end_matches('='));
        }
    }
}

fn refusal(answer: &Response) {
    let purposes = [
        Purpose::Attributes,
        Purpose::Certificate,
        Purpose::Decrypt { approval: false },
        Purpose::Encrypt,
        Purpose::List,
        Purpose::Login,
        Purpose::PutCertificate,
        Purpose::Random,
        Purpose::RemoveCertificate,
        Purpose::Sign { approval: true },
        Purpose::Version,
    ];
    let refusal = Refusal::read(answer);
    for purpose in purposes {
        let error = refusal.error(purpose);
        assert_ne!(error.rv(), CKR_OK);
        let text = error.to_string();
        assert!(text.len() < 2048 && !text.contains(char::is_control), "{text:?}");
    }
}

/// What goes out is what any JSON parser reads.
fn request(text: &str, data: &[u8]) {
    // Halves of characters beyond the first plane, as the service wants them, are no text for serde.
    let plain = text.chars().all(|char| char.len_utf16() == 1);
    let password = plain.then(|| text.to_owned().into());
    let sent = Body::wrapped("r", data.len()).text("t", text).binary("b", data).number("n", data.len());
    let sent = sent.password(password.as_ref()).finish();
    let value: serde_json::Value = serde_json::from_slice(&sent).unwrap_or_default();
    let inner = value.get("r").cloned().unwrap_or_default();
    assert_eq!(inner["t"], text);
    assert_eq!(inner["b"], STANDARD.encode(data).as_str());
    assert_eq!(inner["n"], data.len());
    if plain {
        let units = inner["keyPassword"].as_array().cloned().unwrap_or_default();
        let joined: String = units.iter().filter_map(|unit| unit.as_str()).collect();
        assert_eq!(joined, text);
    }
}
