//! The ways in which the demo signs, in the words of PKCS#11, of `pkcs11-tool` and of OpenSSL.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::KeyType;

use crate::failure::Failure;
use crate::token::encoding::ecdsa_to_der;

/// How a file is signed.
#[derive(Debug, Clone, Copy)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RsaPkcs1,
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256,
}

impl Scheme {
    /// The mechanism's name in the standard.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::RsaPkcs1 => "CKM_SHA256_RSA_PKCS",
            Scheme::EcdsaP256 => "CKM_ECDSA_SHA256",
        }
    }

    /// The mechanism.
    pub fn mechanism(self) -> Mechanism<'static> {
        match self {
            Scheme::RsaPkcs1 => Mechanism::Sha256RsaPkcs,
            Scheme::EcdsaP256 => Mechanism::EcdsaSha256,
        }
    }

    /// `CKA_KEY_TYPE` of keys that can.
    pub fn key_type(self) -> KeyType {
        match self {
            Scheme::RsaPkcs1 => KeyType::RSA,
            Scheme::EcdsaP256 => KeyType::EC,
        }
    }

    /// The mechanism as `pkcs11-tool` calls it.
    pub fn pkcs11_tool_mechanism(self) -> &'static str {
        match self {
            Scheme::RsaPkcs1 => "SHA256-RSA-PKCS",
            Scheme::EcdsaP256 => "ECDSA-SHA256",
        }
    }

    /// The option with which `pkcs11-tool` writes what OpenSSL reads.
    pub fn pkcs11_tool_format(self) -> &'static str {
        match self {
            Scheme::RsaPkcs1 => "",
            Scheme::EcdsaP256 => " --signature-format openssl",
        }
    }

    /// A signature of PKCS#11 as OpenSSL wants it: ECDSA in DER, where PKCS#11 has r‖s (PKCS#11 3.2 §6.3.1).
    pub fn for_openssl(self, signature: Vec<u8>) -> Result<Vec<u8>, Failure> {
        match self {
            Scheme::RsaPkcs1 => Ok(signature),
            Scheme::EcdsaP256 => ecdsa_to_der(&signature),
        }
    }
}
