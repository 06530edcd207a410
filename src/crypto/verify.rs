//! Verification of signatures.

use rsa::traits::PublicKeyParts;
use rsa::{BigUint, Pkcs1v15Sign, Pss, RsaPublicKey};

use super::Error;
use super::digest::Hash;
use super::public_key::{Curve, PublicKey, PublicKeyKind};

/// How a signature was made, and so what the input of [`verify`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2). With a hash the input is the digest; with `None` it is the bytes
    /// that were padded, up to the length of the modulus less 11.
    RsaPkcs1(Option<Hash>),
    /// RSASSA-PSS (RFC 8017 section 8.1), MGF1 with the same hash; the input is the digest.
    RsaPss {
        /// The hash function of the digest and of MGF1.
        hash: Hash,
        /// Bytes of the salt.
        salt_len: usize,
    },
    /// ECDSA (FIPS 186-5 section 6.4); the input is the digest, of which the leftmost bits count if it is longer
    /// than the order; the signature is r || s.
    Ecdsa,
    /// Ed25519 (RFC 8032 section 5.1); the input is the message.
    EdDsa,
}

/// Verifies `signature`.
///
/// # Errors
/// [`Error::SignatureLength`] if no signature of this key and scheme has that length, [`Error::SignatureInvalid`] if
/// this is not the one, [`Error::DataLength`] if the scheme cannot take that input, [`Error::Unsupported`] if scheme
/// and key do not go together, the curve cannot be computed here, or the salt is too long for the modulus.
pub fn verify(key: &PublicKey, scheme: Scheme, input: &[u8], signature: &[u8]) -> Result<(), Error> {
    match (scheme, key.kind()) {
        (Scheme::RsaPkcs1(hash), PublicKeyKind::Rsa { .. }) => rsa_pkcs1(&key.rsa()?, hash, input, signature),
        (Scheme::RsaPss { hash, salt_len }, PublicKeyKind::Rsa { .. }) => {
            rsa_pss(&key.rsa()?, hash, salt_len, input, signature)
        }
        (Scheme::Ecdsa, PublicKeyKind::Ec { curve, point }) => ecdsa(*curve, point, input, signature),
        (Scheme::EdDsa, PublicKeyKind::Ed25519(key)) => ed25519(key, input, signature),
        _ => Err(Error::Unsupported("the scheme is not of this key's type")),
    }
}

fn rsa_pkcs1(key: &RsaPublicKey, hash: Option<Hash>, input: &[u8], signature: &[u8]) -> Result<(), Error> {
    let prefix = hash.map_or(&[][..], Hash::digest_info_prefix);
    if hash.is_some_and(|hash| input.len() != hash.len()) || input.len() + prefix.len() + 11 > key.size() {
        return Err(Error::DataLength);
    }
    check_rsa_signature(key, signature)?;
    let padding = Pkcs1v15Sign { hash_len: hash.map(Hash::len), prefix: prefix.into() };
    key.verify(padding, input, signature).map_err(|_| Error::SignatureInvalid)
}

fn rsa_pss(
    key: &RsaPublicKey,
    hash: Hash,
    salt_len: usize,
    input: &[u8],
    signature: &[u8],
) -> Result<(), Error> {
    if input.len() != hash.len() {
        return Err(Error::DataLength);
    }
    let encoded = (key.n().bits() - 1).div_ceil(8);
    if encoded.checked_sub(hash.len() + 2).is_none_or(|room| salt_len > room) {
        return Err(Error::Unsupported("PSS salt or hash too long for the modulus"));
    }
    check_rsa_signature(key, signature)?;
    let padding = Pss { blinded: false, digest: hash.dynamic(), salt_len };
    key.verify(padding, input, signature).map_err(|_| Error::SignatureInvalid)
}

/// RFC 8017 section 5.2.2 wants a number below the modulus; the `rsa` crate does not look for PSS.
fn check_rsa_signature(key: &RsaPublicKey, signature: &[u8]) -> Result<(), Error> {
    if signature.len() != key.size() {
        return Err(Error::SignatureLength);
    }
    if BigUint::from_bytes_be(signature) >= *key.n() { Err(Error::SignatureInvalid) } else { Ok(()) }
}

fn ecdsa(curve: Curve, point: &[u8], input: &[u8], signature: &[u8]) -> Result<(), Error> {
    if input.is_empty() {
        return Err(Error::DataLength);
    }
    if signature.len() != 2 * curve.order_bytes() {
        return Err(Error::SignatureLength);
    }
    let representative = leftmost_bits(input, curve.order_bits());
    // The half of s that a signer chose is no matter of the standard; k256 alone insists on the lower one.
    macro_rules! verify_on {
        ($curve:ident) => {{
            use $curve::ecdsa::signature::hazmat::PrehashVerifier;
            let invalid = |_| Error::SignatureInvalid;
            let key = $curve::ecdsa::VerifyingKey::from_sec1_bytes(point)
                .map_err(|_| Error::Malformed("EC point"))?;
            let signature = $curve::ecdsa::Signature::from_slice(signature).map_err(invalid)?;
            let signature = signature.normalize_s().unwrap_or(signature);
            key.verify_prehash(&representative, &signature).map_err(invalid)
        }};
    }
    match curve {
        Curve::SECP256R1 => verify_on!(p256),
        Curve::SECP256K1 => verify_on!(k256),
        Curve::SECP384R1 => verify_on!(p384),
        Curve::SECP521R1 => verify_on!(p521),
        _ => Err(Error::Unsupported("arithmetic on this curve")),
    }
}

/// The leftmost `bits` bits of `digest` as a number of as many bits, in whole bytes (FIPS 186-5 section 6.4.2 step 2).
///
/// The curve crates pad only digests of at least half the length of the order, and cut at whole bytes: both would be
/// wrong for P-521.
fn leftmost_bits(digest: &[u8], bits: usize) -> Vec<u8> {
    let length = bits.div_ceil(8);
    let Some(kept) = digest.get(..length) else {
        return [&vec![0; length - digest.len()], digest].concat();
    };
    let surplus = 8 * length - bits;
    let mut carry = 0u16;
    kept.iter()
        .map(|&byte| {
            let window = carry << 8 | u16::from(byte);
            carry = u16::from(byte);
            (window >> surplus) as u8
        })
        .collect()
}

fn ed25519(key: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), Error> {
    let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| Error::SignatureLength)?;
    let key =
        ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_| Error::Malformed("Ed25519 public key"))?;
    key.verify_strict(message, &signature).map_err(|_| Error::SignatureInvalid)
}
