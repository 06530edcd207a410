//! Signatures and decryption by the name of the algorithm, for APIs whose clients hash by themselves.

use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::hazmat::RandomizedPrehashSigner;
use rand_core::OsRng;
use rsa::{Oaep, Pkcs1v15Encrypt, Pkcs1v15Sign, RsaPrivateKey};

use crate::material::Material;
use crate::rsa_key::{QuickScheme, RsaKey};

/// Why an operation does not take place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// There is no such algorithm, or not for this key.
    Algorithm,
    /// The input has a length that the algorithm does not take, or is no ciphertext of this key.
    Input,
}

/// How an ECDSA signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EcdsaForm {
    /// `ECDSA-Sig-Value` (RFC 3279 §2.2.3).
    Der,
    /// r and s, each as long as the order.
    Raw,
}

/// The signature over a ready digest: `RSA_PKCS1_SHA256`, `RSA_PSS_SHA256` and those of 384 and 512 bits;
/// `RSA_PKCS1_SHA1`; `RSA_PKCS1`, which pads the input as it is; `ECDSA`; `EDDSA`, which takes the message.
pub(crate) fn sign(key: &Material, algorithm: &str, input: &[u8], form: EcdsaForm) -> Result<Vec<u8>, Wrong> {
    match (key, algorithm) {
        (Material::Rsa(key), _) => sign_rsa(key, algorithm, input),
        (Material::Ed25519(key), "EDDSA") => Ok(key.sign(input).to_vec()),
        (_, "ECDSA") => sign_ecdsa(key, input, form),
        _ => Err(Wrong::Algorithm),
    }
}

fn sign_rsa(key: &RsaKey, algorithm: &str, input: &[u8]) -> Result<Vec<u8>, Wrong> {
    if let Some(scheme) = quick_scheme(algorithm) {
        return key.sign_quickly(&scheme, input).ok_or(Wrong::Input);
    }
    let padding = match algorithm {
        "RSA_PKCS1_SHA1" => Pkcs1v15Sign::new::<sha1::Sha1>(),
        "RSA_PKCS1" => Pkcs1v15Sign::new_unprefixed(),
        _ => return Err(Wrong::Algorithm),
    };
    sign_padded(key, padding, input)
}

#[expect(clippy::disallowed_methods, reason = "AWS-LC lacks these paddings, and the keys are of no worth")]
fn sign_padded(key: &RsaPrivateKey, padding: Pkcs1v15Sign, input: &[u8]) -> Result<Vec<u8>, Wrong> {
    key.sign_with_rng(&mut OsRng, padding, input).map_err(|_| Wrong::Input)
}

fn quick_scheme(algorithm: &str) -> Option<QuickScheme> {
    use aws_lc_rs::digest::{SHA256, SHA384, SHA512};
    use aws_lc_rs::signature as lc;
    let (encoding, hash): (&'static dyn lc::RsaEncoding, _) = match algorithm {
        "RSA_PKCS1_SHA256" => (&lc::RSA_PKCS1_SHA256, &SHA256),
        "RSA_PKCS1_SHA384" => (&lc::RSA_PKCS1_SHA384, &SHA384),
        "RSA_PKCS1_SHA512" => (&lc::RSA_PKCS1_SHA512, &SHA512),
        "RSA_PSS_SHA256" => (&lc::RSA_PSS_SHA256, &SHA256),
        "RSA_PSS_SHA384" => (&lc::RSA_PSS_SHA384, &SHA384),
        "RSA_PSS_SHA512" => (&lc::RSA_PSS_SHA512, &SHA512),
        _ => return None,
    };
    Some(QuickScheme { encoding, hash })
}

fn sign_ecdsa(key: &Material, digest: &[u8], form: EcdsaForm) -> Result<Vec<u8>, Wrong> {
    macro_rules! by_curve {
        ($key:expr, $curve:ident, $field:literal) => {{
            // A digest shorter than the order is a smaller number (FIPS 186-5 §6.4.1).
            let mut wide = vec![0; usize::saturating_sub($field, digest.len())];
            wide.extend_from_slice(digest);
            let signature: $curve::ecdsa::Signature =
                $key.sign_prehash_with_rng(&mut OsRng, &wide).map_err(|_| Wrong::Input)?;
            Ok(match form {
                EcdsaForm::Der => signature.to_der().as_bytes().to_vec(),
                EcdsaForm::Raw => signature.to_bytes().to_vec(),
            })
        }};
    }
    if digest.is_empty() || digest.len() > 64 {
        return Err(Wrong::Input);
    }
    match key {
        Material::P256(key) => by_curve!(key, p256, 32),
        Material::P384(key) => by_curve!(key, p384, 48),
        Material::P521(key) => {
            let key = p521::ecdsa::SigningKey::from_bytes(&key.to_bytes()).map_err(|_| Wrong::Algorithm)?;
            by_curve!(key, p521, 66)
        }
        Material::Secp256k1(key) => by_curve!(key, k256, 32),
        _ => Err(Wrong::Algorithm),
    }
}

/// What was encrypted to this key: `RSA_PKCS1`, or `RSA_OAEP_SHA1` and those of SHA-2, with MGF1 of the same hash.
#[expect(clippy::disallowed_methods, reason = "the keys are of no worth")]
pub(crate) fn decrypt(key: &Material, algorithm: &str, input: &[u8]) -> Result<Vec<u8>, Wrong> {
    let Material::Rsa(key) = key else { return Err(Wrong::Algorithm) };
    let padding = match algorithm {
        "RSA_PKCS1" => {
            return key.decrypt_blinded(&mut OsRng, Pkcs1v15Encrypt, input).map_err(|_| Wrong::Input);
        }
        "RSA_OAEP_SHA1" => Oaep::new::<sha1::Sha1>(),
        "RSA_OAEP_SHA256" => Oaep::new::<sha2::Sha256>(),
        "RSA_OAEP_SHA384" => Oaep::new::<sha2::Sha384>(),
        "RSA_OAEP_SHA512" => Oaep::new::<sha2::Sha512>(),
        _ => return Err(Wrong::Algorithm),
    };
    key.decrypt_blinded(&mut OsRng, padding, input).map_err(|_| Wrong::Input)
}
