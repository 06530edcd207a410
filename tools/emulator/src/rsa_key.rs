//! RSA keys: the `rsa` crate for every padding there is, AWS-LC for the signatures it knows,
//! because it makes them several times faster and tests make thousands.

use std::ops::Deref;

use aws_lc_rs::digest::Digest;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::RsaEncoding;
use ed25519_dalek::pkcs8::DecodePrivateKey;
use rand_core::OsRng;
use rsa::RsaPrivateKey;
use rsa::traits::PublicKeyParts;

/// An RSA private key.
pub(crate) struct RsaKey {
    key: RsaPrivateKey,
    /// `None` for a key that is too short for AWS-LC.
    quick: Option<KeyPair>,
}

/// A padding with its hash, as AWS-LC names them.
pub(crate) struct QuickScheme {
    pub(crate) encoding: &'static dyn RsaEncoding,
    pub(crate) hash: &'static aws_lc_rs::digest::Algorithm,
}

impl RsaKey {
    /// Makes a fresh key with public exponent 65537.
    pub(crate) fn generate(size: KeySize) -> Result<RsaKey, String> {
        let quick = KeyPair::generate(size).map_err(|error| error.to_string())?;
        let pkcs8 = quick.as_der().map_err(|error| error.to_string())?;
        RsaKey::from_pkcs8(pkcs8.as_ref())
    }

    /// The same with less than 2048 bits.
    pub(crate) fn generate_short(bits: usize) -> Result<RsaKey, String> {
        let key = RsaPrivateKey::new(&mut OsRng, bits).map_err(|error| error.to_string())?;
        Ok(RsaKey { key, quick: None })
    }

    /// Reads a PKCS#8 structure in DER.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<RsaKey, String> {
        let key = RsaPrivateKey::from_pkcs8_der(der).map_err(|error| error.to_string())?;
        let quick = match key.size() {
            0..256 => None,
            _ => Some(KeyPair::from_pkcs8(der).map_err(|error| error.to_string())?),
        };
        Ok(RsaKey { key, quick })
    }

    /// Whether AWS-LC signs with it.
    pub(crate) fn is_quick(&self) -> bool {
        self.quick.is_some()
    }

    /// The signature over a digest; `None` if the digest does not fit the scheme, or the key is too short for AWS-LC.
    pub(crate) fn sign_quickly(&self, scheme: &QuickScheme, digest: &[u8]) -> Option<Vec<u8>> {
        let digest = Digest::import_less_safe(digest, scheme.hash).ok()?;
        let quick = self.quick.as_ref()?;
        let mut signature = vec![0; quick.public_modulus_len()];
        quick.sign_digest(scheme.encoding, &digest, &mut signature).ok()?;
        Some(signature)
    }
}

impl Deref for RsaKey {
    type Target = RsaPrivateKey;

    fn deref(&self) -> &RsaPrivateKey {
        &self.key
    }
}
