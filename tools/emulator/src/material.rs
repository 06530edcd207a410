//! Private and secret keys: generation, storage form, public half.

use aws_lc_rs::rsa::KeySize;
use der::Document;
use der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use rand_core::{OsRng, RngCore};
use serde::{Deserialize, Serialize};
use spki::EncodePublicKey;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::rsa_key::RsaKey;

/// What kind of key to make, or what kind a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// RSA with public exponent 65537.
    Rsa(RsaSize),
    /// An elliptic curve over a prime field.
    Ec(Curve),
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// AES with a key of that many bits.
    Aes(AesSize),
    /// A key of 20 bytes for HMAC with SHA-1.
    HmacSha1,
    /// A key of 32 bytes for HMAC with SHA-256.
    HmacSha256,
    /// A key of 48 bytes for HMAC with SHA-384.
    HmacSha384,
    /// A key of 64 bytes for HMAC with SHA-512.
    HmacSha512,
}

impl Kind {
    /// Bytes of a secret key; `None` for pairs.
    pub(crate) fn secret_bytes(self) -> Option<usize> {
        match self {
            Kind::Aes(size) => Some(size.bytes()),
            Kind::HmacSha1 => Some(20),
            Kind::HmacSha256 => Some(32),
            Kind::HmacSha384 => Some(48),
            Kind::HmacSha512 => Some(64),
            Kind::Rsa(_) | Kind::Ec(_) | Kind::Ed25519 => None,
        }
    }
}

/// Sizes of RSA moduli; each vendor makes some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RsaSize {
    #[serde(rename = "1024")]
    Bits1024,
    #[serde(rename = "2048")]
    Bits2048,
    #[serde(rename = "3072")]
    Bits3072,
    #[serde(rename = "4096")]
    Bits4096,
    #[serde(rename = "8192")]
    Bits8192,
}

/// Curves that the emulator can compute with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
    Secp256k1,
}

/// Sizes of AES keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AesSize {
    #[serde(rename = "128")]
    Bits128,
    #[serde(rename = "192")]
    Bits192,
    #[serde(rename = "256")]
    Bits256,
}

impl RsaSize {
    /// The length of the modulus.
    pub(crate) fn bits(self) -> u32 {
        match self {
            RsaSize::Bits1024 => 1024,
            RsaSize::Bits2048 => 2048,
            RsaSize::Bits3072 => 3072,
            RsaSize::Bits4096 => 4096,
            RsaSize::Bits8192 => 8192,
        }
    }

    fn generate(self) -> Result<RsaKey, String> {
        match self {
            RsaSize::Bits1024 => RsaKey::generate_short(1024),
            RsaSize::Bits2048 => RsaKey::generate(KeySize::Rsa2048),
            RsaSize::Bits3072 => RsaKey::generate(KeySize::Rsa3072),
            RsaSize::Bits4096 => RsaKey::generate(KeySize::Rsa4096),
            RsaSize::Bits8192 => RsaKey::generate(KeySize::Rsa8192),
        }
    }
}

impl AesSize {
    /// The length of the key.
    pub(crate) fn bits(self) -> u32 {
        match self {
            AesSize::Bits128 => 128,
            AesSize::Bits192 => 192,
            AesSize::Bits256 => 256,
        }
    }

    fn bytes(self) -> usize {
        match self {
            AesSize::Bits128 => 16,
            AesSize::Bits192 => 24,
            AesSize::Bits256 => 32,
        }
    }
}

/// The key itself. Every variant wipes its secret when dropped.
pub(crate) enum Material {
    Rsa(Box<RsaKey>),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    P521(Box<p521::SecretKey>),
    Secp256k1(k256::ecdsa::SigningKey),
    Ed25519(Box<ed25519_dalek::SigningKey>),
    Secret(Zeroizing<Vec<u8>>),
}

const PKCS8_PEM: &str = "PRIVATE KEY";
/// A secret key in PEM: there is no standard label, and these files are read by nobody else.
const SECRET_PEM: &str = "SECRET KEY";

impl Material {
    /// Makes a fresh key.
    pub(crate) fn generate(kind: Kind) -> Result<Material, Error> {
        Ok(match kind {
            Kind::Rsa(size) => Material::Rsa(Box::new(size.generate().map_err(Error::crypto)?)),
            Kind::Ec(Curve::P256) => Material::P256(p256::ecdsa::SigningKey::random(&mut OsRng)),
            Kind::Ec(Curve::P384) => Material::P384(p384::ecdsa::SigningKey::random(&mut OsRng)),
            Kind::Ec(Curve::P521) => Material::P521(Box::new(p521::SecretKey::random(&mut OsRng))),
            Kind::Ec(Curve::Secp256k1) => Material::Secp256k1(k256::ecdsa::SigningKey::random(&mut OsRng)),
            Kind::Ed25519 => Material::Ed25519(Box::new(ed25519_dalek::SigningKey::generate(&mut OsRng))),
            Kind::Aes(_) | Kind::HmacSha1 | Kind::HmacSha256 | Kind::HmacSha384 | Kind::HmacSha512 => {
                Material::Secret(random_secret(kind.secret_bytes().unwrap_or_default()))
            }
        })
    }

    /// PKCS#8 in PEM; for secret keys the bytes alone, in PEM.
    pub(crate) fn to_pem(&self) -> Result<Zeroizing<String>, Error> {
        let document = match self {
            Material::Rsa(key) => key.to_pkcs8_der(),
            Material::P256(key) => key.to_pkcs8_der(),
            Material::P384(key) => key.to_pkcs8_der(),
            Material::P521(key) => key.to_pkcs8_der(),
            Material::Secp256k1(key) => key.to_pkcs8_der(),
            // Without the public key: OpenSSL 3.0 does not read the version of PKCS#8 that has it.
            Material::Ed25519(key) => {
                KeypairBytes { secret_key: key.to_bytes(), public_key: None }.to_pkcs8_der()
            }
            Material::Secret(bytes) => return encode_pem(SECRET_PEM, bytes),
        };
        encode_pem(PKCS8_PEM, document.map_err(Error::crypto)?.as_bytes())
    }

    /// Reads what [`Material::to_pem`] wrote for a key of that kind.
    pub(crate) fn from_pem(kind: Kind, pem: &str) -> Result<Material, String> {
        let (label, contents) = der::pem::decode_vec(pem.as_bytes()).map_err(|error| error.to_string())?;
        let contents = Zeroizing::new(contents);
        let expected = if kind.secret_bytes().is_some() { SECRET_PEM } else { PKCS8_PEM };
        if label != expected {
            return Err(format!("a PEM block {label:?} where {expected:?} is expected"));
        }
        parse_key(kind, contents)
    }

    /// SubjectPublicKeyInfo in DER; `None` for secret keys.
    pub(crate) fn public_key(&self) -> Result<Option<Vec<u8>>, Error> {
        let document = match self {
            Material::Rsa(key) => key.to_public_key().to_public_key_der(),
            Material::P256(key) => p256::PublicKey::from(key.verifying_key()).to_public_key_der(),
            Material::P384(key) => p384::PublicKey::from(key.verifying_key()).to_public_key_der(),
            Material::P521(key) => key.public_key().to_public_key_der(),
            Material::Secp256k1(key) => k256::PublicKey::from(key.verifying_key()).to_public_key_der(),
            Material::Ed25519(key) => key.verifying_key().to_public_key_der(),
            Material::Secret(_) => return Ok(None),
        };
        document.map(Document::into_vec).map(Some).map_err(Error::crypto)
    }
}

fn parse_key(kind: Kind, contents: Zeroizing<Vec<u8>>) -> Result<Material, String> {
    let wrong = |error: ed25519_dalek::pkcs8::Error| error.to_string();
    Ok(match kind {
        Kind::Rsa(_) => Material::Rsa(Box::new(RsaKey::from_pkcs8(&contents)?)),
        Kind::Ec(Curve::P256) => {
            Material::P256(p256::ecdsa::SigningKey::from_pkcs8_der(&contents).map_err(wrong)?)
        }
        Kind::Ec(Curve::P384) => {
            Material::P384(p384::ecdsa::SigningKey::from_pkcs8_der(&contents).map_err(wrong)?)
        }
        Kind::Ec(Curve::P521) => {
            Material::P521(Box::new(p521::SecretKey::from_pkcs8_der(&contents).map_err(wrong)?))
        }
        Kind::Ec(Curve::Secp256k1) => {
            Material::Secp256k1(k256::ecdsa::SigningKey::from_pkcs8_der(&contents).map_err(wrong)?)
        }
        Kind::Ed25519 => {
            Material::Ed25519(Box::new(ed25519_dalek::SigningKey::from_pkcs8_der(&contents).map_err(wrong)?))
        }
        Kind::Aes(_) | Kind::HmacSha1 | Kind::HmacSha256 | Kind::HmacSha384 | Kind::HmacSha512 => {
            Material::Secret(sized(contents, kind.secret_bytes().unwrap_or_default())?)
        }
    })
}

fn sized(contents: Zeroizing<Vec<u8>>, bytes: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    match contents.len() {
        length if length == bytes => Ok(contents),
        length => Err(format!("{length} bytes of key where {bytes} are expected")),
    }
}

fn encode_pem(label: &str, contents: &[u8]) -> Result<Zeroizing<String>, Error> {
    der::pem::encode_string(label, LineEnding::LF, contents).map(Zeroizing::new).map_err(Error::crypto)
}

fn random_secret(bytes: usize) -> Zeroizing<Vec<u8>> {
    let mut secret = Zeroizing::new(vec![0; bytes]);
    OsRng.fill_bytes(&mut secret);
    secret
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_its_file() {
        let kinds = [
            Kind::Rsa(RsaSize::Bits2048),
            Kind::Ec(Curve::P256),
            Kind::Ec(Curve::P384),
            Kind::Ec(Curve::P521),
            Kind::Ec(Curve::Secp256k1),
            Kind::Ed25519,
            Kind::Aes(AesSize::Bits192),
            Kind::HmacSha256,
            Kind::HmacSha512,
        ];
        for kind in kinds {
            let key = Material::generate(kind).unwrap();
            let again = Material::from_pem(kind, &key.to_pem().unwrap()).unwrap();
            assert_eq!(again.public_key().unwrap(), key.public_key().unwrap(), "{kind:?}");
            assert_eq!(again.to_pem().unwrap(), key.to_pem().unwrap(), "{kind:?}");
        }
    }

    /// RFC 8410 section 7: version 0, the algorithm, the key in an OCTET STRING within another.
    #[test]
    fn an_ed25519_key_is_kept_in_the_first_version() {
        let pem = Material::generate(Kind::Ed25519).unwrap().to_pem().unwrap();
        let (_, der) = der::pem::decode_vec(pem.as_bytes()).unwrap();
        assert_eq!(der[..16], *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20");
    }

    #[test]
    fn a_file_of_another_kind_is_refused() {
        let pem = Material::generate(Kind::Ec(Curve::P256)).unwrap().to_pem().unwrap();
        assert!(Material::from_pem(Kind::Ec(Curve::P384), &pem).is_err());
        assert!(Material::from_pem(Kind::Aes(AesSize::Bits256), &pem).is_err());
        let pem = Material::generate(Kind::Aes(AesSize::Bits256)).unwrap().to_pem().unwrap();
        assert!(Material::from_pem(Kind::Aes(AesSize::Bits128), &pem).is_err());
    }
}
