//! Encryption and decryption of one payload.

use rand_core::{OsRng, RngCore};
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, Oaep, Pkcs1v15Encrypt, RsaPrivateKey};

use super::aes_modes::{Aes, BLOCK, Block};
use super::algorithm::Cipher;
use super::hash::RsaHash;
use super::refusal::{ALGORITHM, Answer, IN_HSM, KEY_TYPE, PAYLOAD, Refusal, TAG_LENGTH, VALIDATION};
use crate::material::{Kind, Material};

/// The IV that the server chooses for GCM (reference §3.4).
const GCM_IV_BYTES: usize = 12;

/// Parameters beside the payload.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    /// Decryption only: there is no such field for encryption.
    pub(crate) iv: Option<Vec<u8>>,
    pub(crate) aad: Option<Vec<u8>>,
    /// In bits; 0 is 128 with the tag left where it is.
    pub(crate) tag_length: i64,
}

/// What encryption gives.
#[derive(Debug)]
pub(crate) struct Encrypted {
    /// Ciphertext, followed by the tag if there is one.
    pub(crate) payload: Vec<u8>,
    /// How many bytes at the end are shown as the tag.
    pub(crate) tag_bytes: Option<usize>,
    pub(crate) iv: Option<Vec<u8>>,
}

/// Whether a key of that kind can be used with the cipher: 613 for keys that never encrypt, 607
/// for those that do it otherwise.
pub(crate) fn check_key(kind: Kind, cipher: Cipher) -> Answer<()> {
    use Cipher::*;
    match (kind, cipher) {
        (Kind::Rsa(_), RsaOaep(_) | RsaPkcs1 | RsaRaw)
        | (Kind::Aes(_), AesGcm | AesCtr | AesEcb | AesCbc | AesCbcPadded) => Ok(()),
        (Kind::Rsa(_) | Kind::Aes(_), _) => {
            Err(Refusal::new(ALGORITHM, "The key does not support this cipher."))
        }
        _ => Err(Refusal::new(KEY_TYPE, "The key cannot be used for encryption.")),
    }
}

/// Encrypts with a key that [`check_key`] has let through.
pub(crate) fn encrypt(
    key: &Material,
    cipher: Cipher,
    parameters: &Parameters,
    payload: &[u8],
) -> Answer<Encrypted> {
    check_parameters(cipher, parameters)?;
    let bytes = match key {
        Material::Rsa(key) => {
            let payload = rsa_encrypt(key, cipher, payload)?;
            return Ok(Encrypted { payload, tag_bytes: None, iv: None });
        }
        Material::Secret(bytes) => bytes,
        _ => return Err(encrypting_failed()),
    };
    let aes = Aes::new(bytes).ok_or_else(encrypting_failed)?;
    aes_encrypt(&aes, cipher, parameters, payload)
}

/// Decrypts with a key that [`check_key`] has let through.
pub(crate) fn decrypt(
    key: &Material,
    cipher: Cipher,
    parameters: &Parameters,
    payload: &[u8],
) -> Answer<Vec<u8>> {
    check_parameters(cipher, parameters)?;
    let bytes = match key {
        Material::Rsa(key) => return rsa_decrypt(key, cipher, payload),
        Material::Secret(bytes) => bytes,
        _ => return Err(decrypting_failed()),
    };
    let aes = Aes::new(bytes).ok_or_else(decrypting_failed)?;
    aes_decrypt(&aes, cipher, parameters, payload)
}

/// Parameters that the cipher has no use for are refused.
fn check_parameters(cipher: Cipher, parameters: &Parameters) -> Answer<()> {
    let gcm = cipher == Cipher::AesGcm;
    if !matches!(parameters.tag_length, 0 | 64 | 96 | 104 | 112 | 120 | 128)
        || (!gcm && parameters.tag_length != 0)
    {
        return Err(Refusal::new(TAG_LENGTH, "The tag length is not valid for the cipher."));
    }
    if !gcm && parameters.aad.is_some() {
        return Err(Refusal::new(VALIDATION, "Only AES_GCM has authenticated data."));
    }
    let has_iv = matches!(cipher, Cipher::AesGcm | Cipher::AesCtr | Cipher::AesCbc | Cipher::AesCbcPadded);
    if !has_iv && parameters.iv.is_some() {
        return Err(Refusal::new(VALIDATION, "The cipher has no initialization vector."));
    }
    Ok(())
}

fn aes_encrypt(aes: &Aes, cipher: Cipher, parameters: &Parameters, payload: &[u8]) -> Answer<Encrypted> {
    if cipher == Cipher::AesGcm {
        let mut iv = vec![0; GCM_IV_BYTES];
        OsRng.fill_bytes(&mut iv);
        let aad = parameters.aad.as_deref().unwrap_or_default();
        let (mut encrypted, tag) = aes.gcm_encrypt(&iv, aad, payload);
        let shown = tag_bytes(parameters);
        encrypted.extend(&tag[..if shown == 0 { BLOCK } else { shown }]);
        return Ok(Encrypted { payload: encrypted, tag_bytes: Some(shown), iv: Some(iv) });
    }
    let mut iv: Block = [0; BLOCK];
    OsRng.fill_bytes(&mut iv);
    let encrypted = match cipher {
        Cipher::AesEcb => aes.ecb_encrypt(payload),
        Cipher::AesCbc => aes.cbc_encrypt(iv, payload),
        Cipher::AesCbcPadded => aes.cbc_encrypt(iv, &pad(payload)),
        Cipher::AesCtr => Some(aes.ctr(iv, payload)),
        _ => return Err(encrypting_failed()),
    };
    let payload = encrypted.ok_or_else(not_whole_blocks)?;
    let iv = (cipher != Cipher::AesEcb).then(|| iv.to_vec());
    Ok(Encrypted { payload, tag_bytes: None, iv })
}

fn aes_decrypt(aes: &Aes, cipher: Cipher, parameters: &Parameters, payload: &[u8]) -> Answer<Vec<u8>> {
    if cipher == Cipher::AesEcb {
        return aes.ecb_decrypt(payload).ok_or_else(not_whole_blocks);
    }
    let iv = match parameters.iv.as_deref() {
        Some(iv) if !iv.is_empty() => iv,
        _ => {
            return Err(Refusal::new(PAYLOAD, "The cipher needs an initialization vector."));
        }
    };
    if cipher == Cipher::AesGcm {
        let tag = match tag_bytes(parameters) {
            0 => BLOCK,
            bytes => bytes,
        };
        let split = payload.len().checked_sub(tag).ok_or_else(decrypting_failed)?;
        let (encrypted, tag) = payload.split_at(split);
        let aad = parameters.aad.as_deref().unwrap_or_default();
        return aes.gcm_decrypt(iv, aad, encrypted, tag).ok_or_else(decrypting_failed);
    }
    let iv = Block::try_from(iv)
        .map_err(|_| Refusal::new(PAYLOAD, "The initialization vector must have 16 bytes."))?;
    match cipher {
        Cipher::AesCtr => Ok(aes.ctr(iv, payload)),
        Cipher::AesCbc => aes.cbc_decrypt(iv, payload).ok_or_else(not_whole_blocks),
        Cipher::AesCbcPadded => {
            let padded = aes.cbc_decrypt(iv, payload).ok_or_else(not_whole_blocks)?;
            unpad(padded).ok_or_else(decrypting_failed)
        }
        _ => Err(decrypting_failed()),
    }
}

/// The part of the tag that is shown; the length has been checked.
fn tag_bytes(parameters: &Parameters) -> usize {
    usize::try_from(parameters.tag_length / 8).unwrap_or(0)
}

/// PKCS#7 (RFC 5652 §6.3).
fn pad(payload: &[u8]) -> Vec<u8> {
    let padding = BLOCK - payload.len() % BLOCK;
    let mut padded = payload.to_vec();
    // At most 16.
    padded.resize(payload.len() + padding, padding as u8);
    padded
}

fn unpad(mut padded: Vec<u8>) -> Option<Vec<u8>> {
    let padding = *padded.last()?;
    let length = padded.len().checked_sub(usize::from(padding))?;
    let right =
        (1..=BLOCK).contains(&usize::from(padding)) && padded[length..].iter().all(|byte| *byte == padding);
    padded.truncate(length);
    right.then_some(padded)
}

fn rsa_encrypt(key: &RsaPrivateKey, cipher: Cipher, payload: &[u8]) -> Answer<Vec<u8>> {
    let public = key.to_public_key();
    let size = key.size();
    let too_long = |_| Refusal::new(PAYLOAD, "The payload is too long for this key.");
    match cipher {
        Cipher::RsaOaep(hash) => public.encrypt(&mut OsRng, oaep(hash), payload).map_err(too_long),
        Cipher::RsaPkcs1 => public.encrypt(&mut OsRng, Pkcs1v15Encrypt, payload).map_err(too_long),
        Cipher::RsaRaw => {
            let number = BigUint::from_bytes_be(payload);
            if payload.is_empty() || payload.len() > size || &number >= key.n() {
                return Err(Refusal::new(PAYLOAD, "The payload is no number below the modulus."));
            }
            let result = rsa::hazmat::rsa_encrypt(&public, &number);
            result.map(|number| full_block(&number, size)).map_err(|_| encrypting_failed())
        }
        _ => Err(encrypting_failed()),
    }
}

#[expect(clippy::disallowed_methods, reason = "the keys are of no worth")]
fn rsa_decrypt(key: &RsaPrivateKey, cipher: Cipher, payload: &[u8]) -> Answer<Vec<u8>> {
    let failed = |_| decrypting_failed();
    match cipher {
        Cipher::RsaOaep(hash) => key.decrypt_blinded(&mut OsRng, oaep(hash), payload).map_err(failed),
        Cipher::RsaPkcs1 => key.decrypt_blinded(&mut OsRng, Pkcs1v15Encrypt, payload).map_err(failed),
        Cipher::RsaRaw => {
            let number = BigUint::from_bytes_be(payload);
            if payload.len() != key.size() || &number >= key.n() {
                return Err(decrypting_failed());
            }
            rsa::hazmat::rsa_decrypt_and_check(key, Some(&mut OsRng), &number)
                .map(|number| full_block(&number, key.size()))
                .map_err(failed)
        }
        _ => Err(decrypting_failed()),
    }
}

fn oaep(hash: RsaHash) -> Oaep {
    match hash {
        RsaHash::Sha1 => Oaep::new::<sha1::Sha1>(),
        RsaHash::Sha224 => Oaep::new::<sha2::Sha224>(),
        RsaHash::Sha256 => Oaep::new::<sha2::Sha256>(),
        RsaHash::Sha384 => Oaep::new::<sha2::Sha384>(),
        RsaHash::Sha512 => Oaep::new::<sha2::Sha512>(),
    }
}

/// A number below the modulus, zeros on the left up to the modulus' size.
fn full_block(number: &BigUint, size: usize) -> Vec<u8> {
    let digits = number.to_bytes_be();
    let mut block = vec![0; size.saturating_sub(digits.len())];
    block.extend(digits);
    block
}

fn encrypting_failed() -> Refusal {
    Refusal::new(IN_HSM, "Error encrypting payload")
}

fn decrypting_failed() -> Refusal {
    Refusal::new(IN_HSM, "Error decrypting payload")
}

fn not_whole_blocks() -> Refusal {
    Refusal::new(PAYLOAD, "The payload must be whole blocks of 16 bytes.")
}
