//! The names of signature algorithms and ciphers (Securosys TSB reference §3.1, §3.5).

use super::hash::{Hash, RsaHash};
use super::switches::Version;

/// What a `signatureAlgorithm` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// PKCS#1 v1.5 over a message.
    RsaPkcs1(RsaHash),
    /// PKCS#1 v1.5 over a digest; the server adds the DigestInfo.
    RsaPkcs1Digest(RsaHash),
    /// PKCS#1 v1.5 padding of the bytes as they are.
    RsaPkcs1Bare,
    /// PSS over a message; MGF1 with the same hash, salt as long as the hash.
    RsaPss(RsaHash),
    /// PSS over a digest.
    RsaPssDigest(RsaHash),
    /// `NONE_WITH_RSA_PSS`, of which nobody says what it means.
    RsaPssUnknown,
    /// ECDSA over a message.
    Ecdsa(Hash),
    /// ECDSA over a digest.
    EcdsaDigest,
    /// ECDSA over SHA-256 with the nonce of RFC 6979.
    EcdsaDeterministic,
    /// Schnorr on secp256k1 (BIP 340).
    Schnorr,
    /// Ed25519.
    EdDsa,
    /// For key types that the emulator does not make.
    Foreign,
}

const SCHEMES: &[(&str, Scheme)] = &[
    ("SHA1_WITH_RSA", Scheme::RsaPkcs1(RsaHash::Sha1)),
    ("SHA224_WITH_RSA", Scheme::RsaPkcs1(RsaHash::Sha224)),
    ("SHA256_WITH_RSA", Scheme::RsaPkcs1(RsaHash::Sha256)),
    ("SHA384_WITH_RSA", Scheme::RsaPkcs1(RsaHash::Sha384)),
    ("SHA512_WITH_RSA", Scheme::RsaPkcs1(RsaHash::Sha512)),
    ("NONESHA1_WITH_RSA", Scheme::RsaPkcs1Digest(RsaHash::Sha1)),
    ("NONESHA224_WITH_RSA", Scheme::RsaPkcs1Digest(RsaHash::Sha224)),
    ("NONESHA256_WITH_RSA", Scheme::RsaPkcs1Digest(RsaHash::Sha256)),
    ("NONESHA384_WITH_RSA", Scheme::RsaPkcs1Digest(RsaHash::Sha384)),
    ("NONESHA512_WITH_RSA", Scheme::RsaPkcs1Digest(RsaHash::Sha512)),
    ("NONE_WITH_RSA", Scheme::RsaPkcs1Bare),
    ("SHA1_WITH_RSA_PSS", Scheme::RsaPss(RsaHash::Sha1)),
    ("SHA224_WITH_RSA_PSS", Scheme::RsaPss(RsaHash::Sha224)),
    ("SHA256_WITH_RSA_PSS", Scheme::RsaPss(RsaHash::Sha256)),
    ("SHA384_WITH_RSA_PSS", Scheme::RsaPss(RsaHash::Sha384)),
    ("SHA512_WITH_RSA_PSS", Scheme::RsaPss(RsaHash::Sha512)),
    ("NONESHA224_WITH_RSA_PSS", Scheme::RsaPssDigest(RsaHash::Sha224)),
    ("NONESHA256_WITH_RSA_PSS", Scheme::RsaPssDigest(RsaHash::Sha256)),
    ("NONESHA384_WITH_RSA_PSS", Scheme::RsaPssDigest(RsaHash::Sha384)),
    ("NONESHA512_WITH_RSA_PSS", Scheme::RsaPssDigest(RsaHash::Sha512)),
    ("NONE_WITH_RSA_PSS", Scheme::RsaPssUnknown),
    ("NONE_WITH_ECDSA", Scheme::EcdsaDigest),
    ("SHA1_WITH_ECDSA", Scheme::Ecdsa(Hash::Sha1)),
    ("SHA224_WITH_ECDSA", Scheme::Ecdsa(Hash::Sha224)),
    ("SHA256_WITH_ECDSA", Scheme::Ecdsa(Hash::Sha256)),
    ("SHA384_WITH_ECDSA", Scheme::Ecdsa(Hash::Sha384)),
    ("SHA512_WITH_ECDSA", Scheme::Ecdsa(Hash::Sha512)),
    ("SHA3224_WITH_ECDSA", Scheme::Ecdsa(Hash::Sha3_224)),
    ("SHA3256_WITH_ECDSA", Scheme::Ecdsa(Hash::Sha3_256)),
    ("SHA3384_WITH_ECDSA", Scheme::Ecdsa(Hash::Sha3_384)),
    ("SHA3512_WITH_ECDSA", Scheme::Ecdsa(Hash::Sha3_512)),
    ("KECCAK224_WITH_ECDSA", Scheme::Ecdsa(Hash::Keccak224)),
    ("KECCAK256_WITH_ECDSA", Scheme::Ecdsa(Hash::Keccak256)),
    ("KECCAK384_WITH_ECDSA", Scheme::Ecdsa(Hash::Keccak384)),
    ("KECCAK512_WITH_ECDSA", Scheme::Ecdsa(Hash::Keccak512)),
    ("DOUBLE_SHA256_WITH_ECDSA", Scheme::Ecdsa(Hash::DoubleSha256)),
    ("SHA256_WITH_ECDSA_DETERMINISTIC", Scheme::EcdsaDeterministic),
    ("NONE_WITH_EC_SCHNORR_BIP0340", Scheme::Schnorr),
    ("EDDSA", Scheme::EdDsa),
    ("NONE_WITH_DSA", Scheme::Foreign),
    ("SHA1_WITH_DSA", Scheme::Foreign),
    ("SHA224_WITH_DSA", Scheme::Foreign),
    ("SHA256_WITH_DSA", Scheme::Foreign),
    ("SHA384_WITH_DSA", Scheme::Foreign),
    ("SHA512_WITH_DSA", Scheme::Foreign),
    ("BLS", Scheme::Foreign),
    ("ISS_KERL", Scheme::Foreign),
    ("LMS", Scheme::Foreign),
];

/// Names that came or went between versions, all for key types that the emulator does not make.
const FOREIGN_2_2: &[&str] = &["DILITHIUM", "SPHINCS_PLUS"];
const FOREIGN_2_5: &[&str] = &["ML_DSA", "ML_DSA_M", "SLH_DSA", "XMSS-SHA256_10_256", "XMSS-SHAKE256_10_256"];

/// The scheme of that name; `None` if the version has no such name.
pub(crate) fn scheme(name: &str, version: Version) -> Option<Scheme> {
    if let Some((_, scheme)) = SCHEMES.iter().find(|(known, _)| *known == name) {
        return Some(*scheme);
    }
    let foreign = match version {
        Version::V2_2 => FOREIGN_2_2.contains(&name),
        Version::V2_5 => FOREIGN_2_5.contains(&name) || is_prehash_of_pqc(name),
    };
    foreign.then_some(Scheme::Foreign)
}

fn is_prehash_of_pqc(name: &str) -> bool {
    let hash = name.strip_suffix("_WITH_ML_DSA").or_else(|| name.strip_suffix("_WITH_SLH_DSA"));
    let sizes = |size: &str| matches!(size, "224" | "256" | "384" | "512");
    hash.is_some_and(|hash| match hash.split_once('_') {
        Some(("SHA2" | "SHA3", size)) => sizes(size),
        Some(("SHAKE", size)) => matches!(size, "128" | "256"),
        _ => false,
    })
}

/// What a `cipherAlgorithm` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cipher {
    /// OAEP with MGF1 over the same hash and an empty label.
    RsaOaep(RsaHash),
    /// PKCS#1 v1.5.
    RsaPkcs1,
    /// The bare power.
    RsaRaw,
    AesGcm,
    AesCtr,
    AesEcb,
    AesCbc,
    /// CBC with PKCS#7 padding: what the name `AES` alone probably means.
    AesCbcPadded,
    /// For key types that the emulator does not make.
    Foreign,
}

const CIPHERS: &[(&str, Cipher)] = &[
    ("RSA_PADDING_OAEP_WITH_SHA1", Cipher::RsaOaep(RsaHash::Sha1)),
    ("RSA_PADDING_OAEP_WITH_SHA224", Cipher::RsaOaep(RsaHash::Sha224)),
    ("RSA_PADDING_OAEP_WITH_SHA256", Cipher::RsaOaep(RsaHash::Sha256)),
    ("RSA_PADDING_OAEP_WITH_SHA384", Cipher::RsaOaep(RsaHash::Sha384)),
    ("RSA_PADDING_OAEP_WITH_SHA512", Cipher::RsaOaep(RsaHash::Sha512)),
    ("RSA_PADDING_OAEP", Cipher::RsaOaep(RsaHash::Sha1)),
    ("RSA_PADDING_PKCS", Cipher::RsaPkcs1),
    ("RSA", Cipher::RsaPkcs1),
    ("RSA_NO_PADDING", Cipher::RsaRaw),
    ("AES_GCM", Cipher::AesGcm),
    ("AES_CTR", Cipher::AesCtr),
    ("AES_ECB", Cipher::AesEcb),
    ("AES_CBC_NO_PADDING", Cipher::AesCbc),
    ("AES", Cipher::AesCbcPadded),
    ("CHACHA20", Cipher::Foreign),
    ("CHACHA20_AEAD", Cipher::Foreign),
    ("CAMELLIA", Cipher::Foreign),
    ("CAMELLIA_CBC_NO_PADDING", Cipher::Foreign),
    ("CAMELLIA_ECB", Cipher::Foreign),
    ("TDEA_CBC", Cipher::Foreign),
    ("TDEA_CBC_NO_PADDING", Cipher::Foreign),
    ("TDEA_ECB", Cipher::Foreign),
];

/// The cipher of that name.
pub(crate) fn cipher(name: &str) -> Option<Cipher> {
    CIPHERS.iter().find(|(known, _)| *known == name).map(|(_, cipher)| *cipher)
}

/// How an ECDSA signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignatureType {
    /// ASN.1 SEQUENCE of r and s.
    Der,
    /// r‖s, each as long as the order.
    Raw,
    /// r‖s‖v for Ethereum.
    Eth,
}

/// The signature type of that name; `None` if the version has no such name.
pub(crate) fn signature_type(name: Option<&str>, version: Version) -> Option<SignatureType> {
    match name {
        None | Some("DER") => Some(SignatureType::Der),
        Some("ETH") => Some(SignatureType::Eth),
        Some("RAW") if version == Version::V2_5 => Some(SignatureType::Raw),
        Some(_) => None,
    }
}

/// Whether a `payloadType` exists and leaves the payload alone; `None` if there is no such name.
pub(crate) fn payload_is_plain(name: Option<&str>) -> Option<bool> {
    match name {
        None | Some("UNSPECIFIED" | "ISO_20022" | "PDF" | "BTC" | "ETH") => Some(true),
        Some("HEX") => Some(false),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_differ() {
        assert_eq!(scheme("ML_DSA", Version::V2_5), Some(Scheme::Foreign));
        assert_eq!(scheme("ML_DSA", Version::V2_2), None);
        assert_eq!(scheme("DILITHIUM", Version::V2_2), Some(Scheme::Foreign));
        assert_eq!(scheme("DILITHIUM", Version::V2_5), None);
        assert_eq!(scheme("SHAKE_128_WITH_SLH_DSA", Version::V2_5), Some(Scheme::Foreign));
        assert_eq!(scheme("SHAKE_512_WITH_SLH_DSA", Version::V2_5), None);
        assert_eq!(signature_type(Some("RAW"), Version::V2_2), None);
        assert_eq!(signature_type(Some("RAW"), Version::V2_5), Some(SignatureType::Raw));
    }
}
