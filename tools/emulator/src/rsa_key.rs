//! RSA keys: the `rsa` crate for every padding there is, AWS-LC for the signatures it knows,
//! because it makes them several times faster and tests make thousands.

use std::ops::Deref;

use aws_lc_rs::digest::Digest;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::RsaEncoding;
use ed25519_dalek::pkcs8::DecodePrivateKey;
use rsa::RsaPrivateKey;

/// An RSA private key.
pub(crate) struct RsaKey {
    key: RsaPrivateKey,
    quick: KeyPair,
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

    /// Reads a PKCS#8 structure in DER.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<RsaKey, String> {
        let key = RsaPrivateKey::from_pkcs8_der(der).map_err(|error| error.to_string())?;
        let quick = KeyPair::from_pkcs8(der).map_err(|error| error.to_string())?;
        Ok(RsaKey { key, quick })
    }

    /// The signature over a digest; `None` if the digest does not fit the scheme.
    pub(crate) fn sign_quickly(&self, scheme: &QuickScheme, digest: &[u8]) -> Option<Vec<u8>> {
        let digest = Digest::import_less_safe(digest, scheme.hash).ok()?;
        let mut signature = vec![0; self.quick.public_modulus_len()];
        self.quick.sign_digest(scheme.encoding, &digest, &mut signature).ok()?;
        Some(signature)
    }
}

impl Deref for RsaKey {
    type Target = RsaPrivateKey;

    fn deref(&self) -> &RsaPrivateKey {
        &self.key
    }
}
