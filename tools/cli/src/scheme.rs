//! The ways in which the demo signs, in the words of PKCS#11, of `pkcs11-tool` and of OpenSSL.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::KeyType;

use crate::failure::Failure;

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
            Scheme::EcdsaP256 => p256::ecdsa::Signature::from_slice(&signature)
                .map(|signature| signature.to_der().as_bytes().to_vec())
                .map_err(|_| Failure::new("the ECDSA signature is not r‖s of P-256")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `openssl dgst -sha256 -sign` wrote; r is a byte short, and s needs a leading zero.
    const DER: [u8; 70] = hex("3044021f346c430a8b018bcf55f139961d30be7e28a769ee09b2039758a9275a9d12ae\
         022100c65024ef99d31e831a292d0e6691cade2ccd1d7585cad27aec8a344e1fef227e");
    /// r and s as `openssl asn1parse` shows them, r filled up to 32 bytes.
    const RAW: [u8; 64] = hex("00346c430a8b018bcf55f139961d30be7e28a769ee09b2039758a9275a9d12ae\
         c65024ef99d31e831a292d0e6691cade2ccd1d7585cad27aec8a344e1fef227e");

    const fn hex<const N: usize>(text: &str) -> [u8; N] {
        let text = text.as_bytes();
        assert!(text.len() == 2 * N);
        let mut bytes = [0; N];
        let mut i = 0;
        while i < N {
            bytes[i] = nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]);
            i += 1;
        }
        bytes
    }

    const fn nibble(digit: u8) -> u8 {
        match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => panic!("not a hexadecimal digit"),
        }
    }

    #[test]
    fn ecdsa_signatures_become_der() {
        assert_eq!(Scheme::EcdsaP256.for_openssl(RAW.to_vec()).unwrap(), DER);
    }

    #[test]
    fn other_lengths_are_no_ecdsa_signatures() {
        assert!(Scheme::EcdsaP256.for_openssl(RAW[..63].to_vec()).is_err());
        assert!(Scheme::EcdsaP256.for_openssl(Vec::new()).is_err());
    }

    #[test]
    fn rsa_signatures_are_left_alone() {
        assert_eq!(Scheme::RsaPkcs1.for_openssl(vec![7; 256]).unwrap(), [7; 256]);
    }
}
