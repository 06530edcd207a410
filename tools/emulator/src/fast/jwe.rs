//! JSON Web Encryption in its compact form (RFC 7516 §7.1), with RSA-OAEP-256 and A256GCM (FAST HSM reference §4.4).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rand_core::{OsRng, RngCore};
use rsa::{Oaep, RsaPrivateKey};
use serde::Deserialize;
use sha2::Sha256;

use super::settings::Edition;

const HEADER: &str = r#"{"alg":"RSA-OAEP-256","enc":"A256GCM"}"#;
const TAG_BYTES: usize = 16;

/// Why a text is not opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It is not in the form of this edition.
    Format,
    /// It is damaged, or for another key.
    Content,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    enc: String,
}

/// Seals a text for a key; `None` if that fails.
pub(super) fn seal(key: &RsaPrivateKey, text: &str, edition: Edition) -> Option<String> {
    let (mut secret, mut iv) = ([0; 32], [0; 12]);
    OsRng.fill_bytes(&mut secret);
    OsRng.fill_bytes(&mut iv);
    let sealed = key.to_public_key().encrypt(&mut OsRng, Oaep::new::<Sha256>(), &secret).ok()?;
    let header = URL_SAFE_NO_PAD.encode(HEADER);
    let mut bytes = text.as_bytes().to_vec();
    let cipher = cipher(&secret)?;
    let nonce = Nonce::assume_unique_for_key(iv);
    let tag = cipher.seal_in_place_separate_tag(nonce, Aad::from(&header), &mut bytes).ok()?;
    let parts = [&sealed[..], &iv, &bytes, tag.as_ref()].map(|part| URL_SAFE_NO_PAD.encode(part));
    let compact = format!("{header}.{}", parts.join("."));
    Some(match edition {
        Edition::English => compact,
        Edition::Vietnamese => STANDARD.encode(compact),
    })
}

/// Opens what [`seal`] made, or another with the same algorithms.
pub(super) fn open(key: &RsaPrivateKey, text: &str, edition: Edition) -> Result<String, Failure> {
    let unpacked = match edition {
        Edition::English => text.to_owned(),
        Edition::Vietnamese => STANDARD
            .decode(text)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or(Failure::Format)?,
    };
    let parts: Vec<&str> = unpacked.split('.').collect();
    let [header, sealed, iv, data, tag] = parts[..] else { return Err(Failure::Format) };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Failure::Format);
    let known: Header = serde_json::from_slice(&decode(header)?).map_err(|_| Failure::Format)?;
    let tag = decode(tag)?;
    if known.alg != "RSA-OAEP-256" || known.enc != "A256GCM" || tag.len() != TAG_BYTES {
        return Err(Failure::Format);
    }
    let nonce = Nonce::try_assume_unique_for_key(&decode(iv)?).map_err(|_| Failure::Format)?;
    let secret = decrypt(key, &decode(sealed)?).ok_or(Failure::Content)?;
    let cipher = cipher(&secret).ok_or(Failure::Content)?;
    let mut bytes = [decode(data)?, tag].concat();
    let opened = cipher.open_in_place(nonce, Aad::from(header), &mut bytes);
    let opened = opened.map_err(|_| Failure::Content)?.to_vec();
    // A JSON string carries nothing else.
    String::from_utf8(opened).map_err(|_| Failure::Content)
}

fn cipher(secret: &[u8]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, secret).ok().map(LessSafeKey::new)
}

#[expect(clippy::disallowed_methods, reason = "the keys are of no worth")]
fn decrypt(key: &RsaPrivateKey, sealed: &[u8]) -> Option<Vec<u8>> {
    key.decrypt(Oaep::new::<Sha256>(), sealed).ok()
}
