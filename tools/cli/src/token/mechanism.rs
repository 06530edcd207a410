//! The mechanisms that sign and verify, by their names in the standard.

use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::KeyType;

use crate::failure::Failure;

/// The mechanism for data; none where the data cannot be meant for it.
type Make = fn(&[u8]) -> Option<Mechanism<'static>>;

const TABLE: [(&str, Make); 22] = [
    ("CKM_RSA_PKCS", |_| Some(Mechanism::RsaPkcs)),
    ("CKM_SHA1_RSA_PKCS", |_| Some(Mechanism::Sha1RsaPkcs)),
    ("CKM_SHA224_RSA_PKCS", |_| Some(Mechanism::Sha224RsaPkcs)),
    ("CKM_SHA256_RSA_PKCS", |_| Some(Mechanism::Sha256RsaPkcs)),
    ("CKM_SHA384_RSA_PKCS", |_| Some(Mechanism::Sha384RsaPkcs)),
    ("CKM_SHA512_RSA_PKCS", |_| Some(Mechanism::Sha512RsaPkcs)),
    ("CKM_RSA_PKCS_PSS", |digest| Some(Mechanism::RsaPkcsPss(pss(digest.len())?))),
    ("CKM_SHA1_RSA_PKCS_PSS", |_| Some(Mechanism::Sha1RsaPkcsPss(pss(20)?))),
    ("CKM_SHA256_RSA_PKCS_PSS", |_| Some(Mechanism::Sha256RsaPkcsPss(pss(32)?))),
    ("CKM_SHA384_RSA_PKCS_PSS", |_| Some(Mechanism::Sha384RsaPkcsPss(pss(48)?))),
    ("CKM_SHA512_RSA_PKCS_PSS", |_| Some(Mechanism::Sha512RsaPkcsPss(pss(64)?))),
    ("CKM_ECDSA", |_| Some(Mechanism::Ecdsa)),
    ("CKM_ECDSA_SHA1", |_| Some(Mechanism::EcdsaSha1)),
    ("CKM_ECDSA_SHA224", |_| Some(Mechanism::EcdsaSha224)),
    ("CKM_ECDSA_SHA256", |_| Some(Mechanism::EcdsaSha256)),
    ("CKM_ECDSA_SHA384", |_| Some(Mechanism::EcdsaSha384)),
    ("CKM_ECDSA_SHA512", |_| Some(Mechanism::EcdsaSha512)),
    ("CKM_EDDSA", |_| Some(Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519)))),
    ("CKM_SHA_1_HMAC", |_| Some(Mechanism::Sha1Hmac)),
    ("CKM_SHA256_HMAC", |_| Some(Mechanism::Sha256Hmac)),
    ("CKM_SHA384_HMAC", |_| Some(Mechanism::Sha384Hmac)),
    ("CKM_SHA512_HMAC", |_| Some(Mechanism::Sha512Hmac)),
];

/// One line of the table.
#[derive(Clone, Copy)]
pub struct Scheme {
    /// The name in the standard.
    pub name: &'static str,
    make: Make,
}

impl Scheme {
    /// By its name, as the standard or `pkcs11-tool` writes it: `CKM_SHA256_RSA_PKCS`, `sha256-rsa-pkcs`.
    pub fn named(name: &str) -> Result<Scheme, String> {
        let plain = |name: &str| {
            let name = name.to_ascii_uppercase().replace('-', "_");
            name.strip_prefix("CKM_").unwrap_or(&name).to_owned()
        };
        let known = TABLE.into_iter().find(|(known, _)| plain(known) == plain(name));
        known.map(|(name, make)| Scheme { name, make }).ok_or_else(|| {
            let names = TABLE.map(|(name, _)| name).join(", ");
            format!("it is none of those that sign: {names}")
        })
    }

    /// The usual one of a key: with SHA-256 where there is a choice.
    pub fn usual(key: KeyType) -> Result<Scheme, Failure> {
        let name = match key {
            KeyType::RSA => "CKM_SHA256_RSA_PKCS",
            KeyType::EC => "CKM_ECDSA_SHA256",
            KeyType::EC_EDWARDS => "CKM_EDDSA",
            _ => {
                let failure = Failure::new(format_args!("such a key has no usual mechanism: {key}"));
                return Err(failure.remedy("name one with --mechanism; p11rest list --mechanisms shows them"));
            }
        };
        Scheme::named(name).map_err(Failure::new)
    }

    /// The mechanism to sign these data.
    pub fn mechanism(self, data: &[u8]) -> Result<Mechanism<'static>, Failure> {
        (self.make)(data).ok_or_else(|| {
            let length = data.len();
            Failure::new(format_args!("{} signs a digest, and {length} bytes are none", self.name))
                .remedy("let it be hashed (CKM_SHA256_RSA_PKCS_PSS), or give 20, 28, 32, 48 or 64 bytes")
        })
    }

    /// Whether its signatures are r and s, which other programs want in DER.
    pub fn is_ecdsa(self) -> bool {
        self.name.starts_with("CKM_ECDSA")
    }
}

/// RSASSA-PSS with one hash, and salt as long as that.
fn pss(length: usize) -> Option<PkcsPssParams> {
    let (hash_alg, mgf) = match length {
        20 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
        28 => (MechanismType::SHA224, PkcsMgfType::MGF1_SHA224),
        32 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
        48 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
        64 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
        _ => return None,
    };
    Some(PkcsPssParams { hash_alg, mgf, s_len: length.try_into().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_standard_and_of_pkcs11_tool() {
        for name in ["CKM_SHA256_RSA_PKCS", "SHA256-RSA-PKCS", "sha256_rsa_pkcs"] {
            assert_eq!(Scheme::named(name).unwrap().name, "CKM_SHA256_RSA_PKCS");
        }
        assert!(Scheme::named("CKM_AES_GCM").is_err_and(|said| said.contains("CKM_ECDSA_SHA256")));
    }

    /// Each line makes the mechanism that it names.
    #[test]
    fn each_name_is_that_of_its_mechanism() {
        for (name, make) in TABLE {
            let mechanism = make(&[0; 32]).unwrap();
            assert_eq!(mechanism.mechanism_type().to_string(), name);
        }
    }

    #[test]
    fn what_is_no_digest_is_not_signed_as_one() {
        let pss = Scheme::named("CKM_RSA_PKCS_PSS").unwrap();
        assert!(pss.mechanism(&[0; 33]).is_err());
        assert!(matches!(pss.mechanism(&[0; 48]), Ok(Mechanism::RsaPkcsPss(params)) if *params.s_len == 48));
    }
}
