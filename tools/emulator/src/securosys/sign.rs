//! Signatures, made and verified.

use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier, RandomizedPrehashSigner};
use rand_core::OsRng;
use rsa::{Pkcs1v15Sign, Pss, RsaPrivateKey};

use super::algorithm::{Scheme, SignatureType};
use super::hash::{Hash, RsaHash};
use super::refusal::{ALGORITHM, Answer, IN_HSM, KEY_TYPE, PAYLOAD, Refusal};
use crate::material::Material;
use crate::rsa_key::QuickScheme;

/// ECDSA takes a digest: none is longer than 64 bytes.
const MAX_DIGEST_BYTES: usize = 64;
/// Ethereum writes the parity of R as 27 or 28 (Yellow Paper, appendix F).
const ETH_PARITY: u8 = 27;

/// Whether a key of that kind can be used with the scheme at all: 613 for keys that never sign,
/// 607 for those that sign otherwise.
pub(crate) fn check_key(key: &Material, scheme: Scheme, form: SignatureType) -> Answer<()> {
    use Scheme::*;
    let fits = match (key, scheme) {
        (Material::Secret(_), _) => {
            return Err(Refusal::new(KEY_TYPE, "A secret key cannot be used for signatures."));
        }
        (Material::Rsa(_), RsaPkcs1(_) | RsaPkcs1Digest(_) | RsaPkcs1Bare) => true,
        (Material::Rsa(_), RsaPss(_) | RsaPssDigest(_) | RsaPssUnknown) => true,
        (Material::Secp256k1(_), Schnorr) => true,
        (Material::Ed25519(_), EdDsa) => true,
        (
            Material::P256(_) | Material::P384(_) | Material::P521(_) | Material::Secp256k1(_),
            Ecdsa(_) | EcdsaDigest | EcdsaDeterministic,
        ) => true,
        _ => false,
    };
    let ethereum = matches!((key, scheme), (Material::Secp256k1(_), Ecdsa(Hash::Keccak256)));
    if !fits {
        return Err(Refusal::new(ALGORITHM, "The key does not support this algorithm."));
    }
    if form == SignatureType::Eth && !ethereum {
        let message = "ETH needs KECCAK256_WITH_ECDSA and a key on secp256k1.";
        return Err(Refusal::new(ALGORITHM, message));
    }
    Ok(())
}

/// The signature of a payload by a key that [`check_key`] has let through.
#[expect(
    clippy::disallowed_methods,
    reason = "AWS-LC lacks some of the hashes, and the keys are of no worth"
)]
pub(crate) fn sign(key: &Material, scheme: Scheme, form: SignatureType, payload: &[u8]) -> Answer<Vec<u8>> {
    match (key, scheme) {
        (Material::Rsa(key), _)
            if key.is_quick()
                && let Some(quick) = quick_scheme(scheme) =>
        {
            let (_, digest) = rsa_digest(scheme, payload)?;
            key.sign_quickly(&quick, &digest).ok_or_else(signing_failed)
        }
        (Material::Rsa(key), Scheme::RsaPss(_) | Scheme::RsaPssDigest(_)) => {
            let (hash, digest) = rsa_digest(scheme, payload)?;
            key.sign_with_rng(&mut OsRng, pss(hash, hash.size()), &digest).map_err(|_| signing_failed())
        }
        (Material::Rsa(key), _) => {
            let (padding, input) = pkcs1(key, scheme, payload)?;
            key.sign_with_rng(&mut OsRng, padding, &input).map_err(|_| signing_failed())
        }
        (Material::Ed25519(key), Scheme::EdDsa) => Ok(key.sign(payload).to_vec()),
        (_, Scheme::Schnorr) => Err(Refusal::not_implemented("Schnorr signatures")),
        (key, scheme) => {
            let deterministic = scheme == Scheme::EcdsaDeterministic;
            let signature = ecdsa_sign(key, &ecdsa_digest(scheme, payload)?, deterministic)?;
            Ok(signature.encode(form))
        }
    }
}

/// Whether the signature is good; an ill-formed one is not.
pub(crate) fn verify(key: &Material, scheme: Scheme, payload: &[u8], signature: &[u8]) -> Answer<bool> {
    match (key, scheme) {
        (Material::Rsa(key), Scheme::RsaPss(_) | Scheme::RsaPssDigest(_)) => {
            let (hash, digest) = rsa_digest(scheme, payload)?;
            Ok(key.to_public_key().verify(pss(hash, hash.size()), &digest, signature).is_ok())
        }
        (Material::Rsa(key), _) => {
            let (padding, input) = pkcs1(key, scheme, payload)?;
            Ok(key.to_public_key().verify(padding, &input, signature).is_ok())
        }
        (Material::Ed25519(key), Scheme::EdDsa) => {
            let parsed = ed25519_dalek::Signature::from_slice(signature);
            Ok(parsed.is_ok_and(|signature| key.verify(payload, &signature).is_ok()))
        }
        (_, Scheme::Schnorr) => Err(Refusal::not_implemented("Schnorr signatures")),
        (key, scheme) => ecdsa_verify(key, &ecdsa_digest(scheme, payload)?, signature),
    }
}

/// The scheme as AWS-LC knows it: SHA-2 from 256 bits on.
pub(crate) fn quick_scheme(scheme: Scheme) -> Option<QuickScheme> {
    use aws_lc_rs::digest::{SHA256, SHA384, SHA512};
    use aws_lc_rs::signature as lc;
    use {RsaHash::*, Scheme::*};
    let (encoding, hash): (&'static dyn lc::RsaEncoding, _) = match scheme {
        RsaPkcs1(Sha256) | RsaPkcs1Digest(Sha256) => (&lc::RSA_PKCS1_SHA256, &SHA256),
        RsaPkcs1(Sha384) | RsaPkcs1Digest(Sha384) => (&lc::RSA_PKCS1_SHA384, &SHA384),
        RsaPkcs1(Sha512) | RsaPkcs1Digest(Sha512) => (&lc::RSA_PKCS1_SHA512, &SHA512),
        RsaPss(Sha256) | RsaPssDigest(Sha256) => (&lc::RSA_PSS_SHA256, &SHA256),
        RsaPss(Sha384) | RsaPssDigest(Sha384) => (&lc::RSA_PSS_SHA384, &SHA384),
        RsaPss(Sha512) | RsaPssDigest(Sha512) => (&lc::RSA_PSS_SHA512, &SHA512),
        _ => return None,
    };
    Some(QuickScheme { encoding, hash })
}

/// The digest that an RSA scheme signs, and its hash; a ready digest must have its length.
fn rsa_digest(scheme: Scheme, payload: &[u8]) -> Answer<(RsaHash, Vec<u8>)> {
    match scheme {
        Scheme::RsaPkcs1(hash) | Scheme::RsaPss(hash) => Ok((hash, Hash::from(hash).digest(payload))),
        Scheme::RsaPkcs1Digest(hash) | Scheme::RsaPssDigest(hash) => {
            if payload.len() != hash.size() {
                let message = format!("The digest must have {} bytes.", hash.size());
                return Err(Refusal::new(PAYLOAD, message));
            }
            Ok((hash, payload.to_vec()))
        }
        _ => Err(Refusal::not_implemented("this RSA scheme")),
    }
}

fn pkcs1(key: &RsaPrivateKey, scheme: Scheme, payload: &[u8]) -> Answer<(Pkcs1v15Sign, Vec<u8>)> {
    use rsa::traits::PublicKeyParts;
    if scheme == Scheme::RsaPkcs1Bare {
        // RFC 8017 §9.2: 00 01, at least eight bytes FF, 00.
        if payload.len() + 11 > key.size() {
            return Err(Refusal::new(PAYLOAD, "The payload is too long for this key."));
        }
        return Ok((Pkcs1v15Sign::new_unprefixed(), payload.to_vec()));
    }
    let (hash, digest) = rsa_digest(scheme, payload)?;
    let padding = match hash {
        RsaHash::Sha1 => Pkcs1v15Sign::new::<sha1::Sha1>(),
        RsaHash::Sha224 => Pkcs1v15Sign::new::<sha2::Sha224>(),
        RsaHash::Sha256 => Pkcs1v15Sign::new::<sha2::Sha256>(),
        RsaHash::Sha384 => Pkcs1v15Sign::new::<sha2::Sha384>(),
        RsaHash::Sha512 => Pkcs1v15Sign::new::<sha2::Sha512>(),
    };
    Ok((padding, digest))
}

/// MGF1 with the same hash, a salt of so many bytes.
pub(crate) fn pss(hash: RsaHash, salt: usize) -> Pss {
    match hash {
        RsaHash::Sha1 => Pss::new_with_salt::<sha1::Sha1>(salt),
        RsaHash::Sha224 => Pss::new_with_salt::<sha2::Sha224>(salt),
        RsaHash::Sha256 => Pss::new_with_salt::<sha2::Sha256>(salt),
        RsaHash::Sha384 => Pss::new_with_salt::<sha2::Sha384>(salt),
        RsaHash::Sha512 => Pss::new_with_salt::<sha2::Sha512>(salt),
    }
}

fn ecdsa_digest(scheme: Scheme, payload: &[u8]) -> Answer<Vec<u8>> {
    match scheme {
        Scheme::Ecdsa(hash) => Ok(hash.digest(payload)),
        Scheme::EcdsaDeterministic => Ok(Hash::Sha256.digest(payload)),
        _ if (1..=MAX_DIGEST_BYTES).contains(&payload.len()) => Ok(payload.to_vec()),
        _ => {
            let message = format!("The digest must have 1 to {MAX_DIGEST_BYTES} bytes.");
            Err(Refusal::new(PAYLOAD, message))
        }
    }
}

/// An ECDSA signature in its encodings.
struct Ecdsa {
    raw: Vec<u8>,
    der: Vec<u8>,
    /// The parity of R's y, where the curve's code tells it.
    parity: u8,
}

impl Ecdsa {
    fn encode(self, form: SignatureType) -> Vec<u8> {
        match form {
            SignatureType::Der => self.der,
            SignatureType::Raw => self.raw,
            SignatureType::Eth => {
                let mut signature = self.raw;
                signature.push(ETH_PARITY + self.parity);
                signature
            }
        }
    }
}

macro_rules! encodings {
    ($signature:expr, $parity:expr) => {{
        let signature = $signature;
        Ecdsa {
            raw: signature.to_bytes().to_vec(),
            der: signature.to_der().as_bytes().to_vec(),
            parity: $parity,
        }
    }};
}

fn ecdsa_sign(key: &Material, digest: &[u8], deterministic: bool) -> Answer<Ecdsa> {
    macro_rules! by_curve {
        ($key:expr, $curve:ident, $field:literal) => {{
            let digest = widened::<$field>(digest);
            let signature: Result<$curve::ecdsa::Signature, _> = if deterministic {
                $key.sign_prehash(&digest)
            } else {
                $key.sign_prehash_with_rng(&mut OsRng, &digest)
            };
            Ok(encodings!(signature.map_err(|_| signing_failed())?, 0))
        }};
    }
    match key {
        Material::P256(key) => by_curve!(key, p256, 32),
        Material::P384(key) => by_curve!(key, p384, 48),
        Material::P521(_) if deterministic => {
            Err(Refusal::not_implemented("deterministic signatures on P-521"))
        }
        Material::P521(key) => {
            let signature: Result<p521::ecdsa::Signature, _> =
                p521_key(key)?.sign_prehash_with_rng(&mut OsRng, &widened::<66>(digest));
            Ok(encodings!(signature.map_err(|_| signing_failed())?, 0))
        }
        Material::Secp256k1(key) => {
            let (signature, recovery) =
                key.sign_prehash_recoverable(&widened::<32>(digest)).map_err(|_| signing_failed())?;
            Ok(encodings!(signature, u8::from(recovery.is_y_odd())))
        }
        _ => Err(Refusal::new(ALGORITHM, "The key does not support this algorithm.")),
    }
}

fn ecdsa_verify(key: &Material, digest: &[u8], signature: &[u8]) -> Answer<bool> {
    macro_rules! by_curve {
        ($key:expr, $curve:ident, $field:literal) => {{
            use $curve::ecdsa::{Signature, VerifyingKey};
            // The server tells the forms apart by themselves (reference §3.3).
            let parsed = Signature::from_der(signature).or_else(|_| Signature::from_slice(signature));
            let key = VerifyingKey::from($key);
            Ok(parsed.is_ok_and(|signature| {
                let signature = signature.normalize_s().unwrap_or(signature);
                key.verify_prehash(&widened::<$field>(digest), &signature).is_ok()
            }))
        }};
    }
    match key {
        Material::P256(key) => by_curve!(key, p256, 32),
        Material::P384(key) => by_curve!(key, p384, 48),
        Material::P521(key) => by_curve!(&p521_key(key)?, p521, 66),
        Material::Secp256k1(key) => by_curve!(key, k256, 32),
        _ => Err(Refusal::new(ALGORITHM, "The key does not support this algorithm.")),
    }
}

fn p521_key(key: &p521::SecretKey) -> Answer<p521::ecdsa::SigningKey> {
    p521::ecdsa::SigningKey::from_bytes(&key.to_bytes()).map_err(|_| signing_failed())
}

/// A digest shorter than the order is a smaller number (FIPS 186-5 §6.4.1): zeros on the left.
fn widened<const BYTES: usize>(digest: &[u8]) -> Vec<u8> {
    let mut wide = vec![0; BYTES.saturating_sub(digest.len())];
    wide.extend_from_slice(digest);
    wide
}

fn signing_failed() -> Refusal {
    Refusal::new(IN_HSM, "Error signing payload")
}
