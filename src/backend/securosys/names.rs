//! The service's names of algorithms (Securosys TSB reference sections 2.3, 3.1 and 3.5).
//!
//! What is not named here is not offered: the names decide what the token can do.

use super::PAYLOAD_LIMIT;
use crate::backend::types::{DecryptScheme, EncryptScheme, KeyKind, KeySpec, SignInput, SignScheme};
use crate::crypto::digest::Hash;
use crate::crypto::public_key::{PublicKey, PublicKeyKind};

/// How the service makes a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signing {
    /// The value of `signatureAlgorithm`.
    pub(super) algorithm: &'static str,
    /// What it wants to sign.
    pub(super) input: SignInput,
}

/// The service's way to `scheme`. Digests go in wherever there is a name for that: the message stays here.
pub(super) fn signing(scheme: SignScheme) -> Option<Signing> {
    let digest = |algorithm| Some(Signing { algorithm, input: SignInput::Digest });
    let message = |algorithm, hash| {
        Some(Signing { algorithm, input: SignInput::Message { hash, limit: PAYLOAD_LIMIT } })
    };
    match scheme {
        SignScheme::RsaPkcs1(None) => digest("NONE_WITH_RSA"),
        SignScheme::RsaPkcs1(Some(Hash::Sha1)) => digest("NONESHA1_WITH_RSA"),
        SignScheme::RsaPkcs1(Some(Hash::Sha224)) => digest("NONESHA224_WITH_RSA"),
        SignScheme::RsaPkcs1(Some(Hash::Sha256)) => digest("NONESHA256_WITH_RSA"),
        SignScheme::RsaPkcs1(Some(Hash::Sha384)) => digest("NONESHA384_WITH_RSA"),
        SignScheme::RsaPkcs1(Some(Hash::Sha512)) => digest("NONESHA512_WITH_RSA"),
        // The one hash without a name for its digest.
        SignScheme::RsaPss(hash @ Hash::Sha1) => message("SHA1_WITH_RSA_PSS", Some(hash)),
        SignScheme::RsaPss(Hash::Sha224) => digest("NONESHA224_WITH_RSA_PSS"),
        SignScheme::RsaPss(Hash::Sha256) => digest("NONESHA256_WITH_RSA_PSS"),
        SignScheme::RsaPss(Hash::Sha384) => digest("NONESHA384_WITH_RSA_PSS"),
        SignScheme::RsaPss(Hash::Sha512) => digest("NONESHA512_WITH_RSA_PSS"),
        SignScheme::RsaPkcs1(Some(_)) | SignScheme::RsaPss(_) => None,
        SignScheme::Ecdsa { .. } => digest("NONE_WITH_ECDSA"),
        SignScheme::EdDsa => message("EDDSA", None),
        SignScheme::Hmac(_) => None,
    }
}

/// How the service is told of a new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Making {
    /// `algorithm`
    pub(super) algorithm: &'static str,
    /// `keySize`, in bits.
    pub(super) key_size: Option<usize>,
    /// `curveOid`
    pub(super) curve_oid: Option<&'static str>,
}

/// The service's way to a key that this module can use. RSA of 1024 bits, which some HSMs still make, is not among them.
pub(super) fn making(spec: &KeySpec) -> Option<Making> {
    let making = |algorithm, key_size, curve_oid| Some(Making { algorithm, key_size, curve_oid });
    match *spec {
        KeySpec::Rsa { bits: bits @ (2048 | 3072 | 4096 | 8192) } => making("RSA", Some(bits), None),
        KeySpec::Ec(curve) => making("EC", None, Some(curve.oid())),
        KeySpec::Ed25519 => making("ED", None, Some("1.3.101.112")),
        KeySpec::Aes { bytes: bytes @ (16 | 24 | 32) } => making("AES", Some(8 * bytes), None),
        KeySpec::Rsa { .. } | KeySpec::Aes { .. } | KeySpec::Hmac { .. } => None,
    }
}

/// `cipherAlgorithm` of a decryption.
pub(super) fn decrypting(scheme: &DecryptScheme<'_>) -> Option<&'static str> {
    Some(match scheme {
        DecryptScheme::RsaPkcs1 => "RSA_PADDING_PKCS",
        DecryptScheme::RsaOaep(Hash::Sha1) => "RSA_PADDING_OAEP_WITH_SHA1",
        DecryptScheme::RsaOaep(Hash::Sha224) => "RSA_PADDING_OAEP_WITH_SHA224",
        DecryptScheme::RsaOaep(Hash::Sha256) => "RSA_PADDING_OAEP_WITH_SHA256",
        DecryptScheme::RsaOaep(Hash::Sha384) => "RSA_PADDING_OAEP_WITH_SHA384",
        DecryptScheme::RsaOaep(Hash::Sha512) => "RSA_PADDING_OAEP_WITH_SHA512",
        DecryptScheme::RsaOaep(_) => return None,
        DecryptScheme::AesEcb => "AES_ECB",
        DecryptScheme::AesCbc { .. } => "AES_CBC_NO_PADDING",
        DecryptScheme::AesCtr { .. } => "AES_CTR",
        DecryptScheme::AesGcm { .. } => "AES_GCM",
        DecryptScheme::Jwe => return None,
    })
}

/// `cipherAlgorithm` of an encryption.
pub(super) fn encrypting(scheme: &EncryptScheme<'_>) -> &'static str {
    match scheme {
        EncryptScheme::AesEcb => "AES_ECB",
        EncryptScheme::AesGcm { .. } => "AES_GCM",
    }
}

/// Whether `tagLength` takes this many bits (section 3.5). Its 0 stands for a default that is not documented.
pub(super) fn is_tag_length(bits: usize) -> bool {
    matches!(bits, 64 | 96 | 104 | 112 | 120 | 128)
}

/// What a key of type `algorithm` is. `spki` is its public key in DER, `bits` the size of a symmetric key.
pub(super) fn key_kind(algorithm: &str, spki: Option<&[u8]>, bits: Option<u32>) -> KeyKind {
    let kind = match (algorithm, spki) {
        ("RSA" | "EC" | "ED", Some(spki)) => {
            let served = |key: &PublicKey| *key.kind() != PublicKeyKind::Other;
            PublicKey::from_spki(spki).ok().filter(served).map(KeyKind::Pair)
        }
        ("AES", None) => Some(KeyKind::Aes(match bits {
            Some(128) => Some(16),
            Some(192) => Some(24),
            Some(256) => Some(32),
            _ => None,
        })),
        _ => None,
    };
    kind.unwrap_or_else(|| KeyKind::Other(algorithm.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_algorithms() {
        // Section 8.3.
        let name = |scheme| signing(scheme).map(|signing| signing.algorithm);
        assert_eq!(name(SignScheme::RsaPkcs1(Some(Hash::Sha256))), Some("NONESHA256_WITH_RSA"));
        assert_eq!(name(SignScheme::RsaPkcs1(None)), Some("NONE_WITH_RSA"));
        assert_eq!(name(SignScheme::RsaPss(Hash::Sha384)), Some("NONESHA384_WITH_RSA_PSS"));
        assert_eq!(name(SignScheme::Ecdsa { width: 66, hash: None }), Some("NONE_WITH_ECDSA"));
        assert_eq!(name(SignScheme::EdDsa), Some("EDDSA"));
        assert_eq!(name(SignScheme::RsaPkcs1(Some(Hash::Sha3_256))), None);
        assert_eq!(name(SignScheme::RsaPss(Hash::Sha3_256)), None);
    }

    #[test]
    fn messages_go_out_only_where_the_service_has_to_hash() {
        let input = |scheme| signing(scheme).map(|signing| signing.input);
        let message = |hash| Some(SignInput::Message { hash, limit: 65536 });
        assert_eq!(input(SignScheme::RsaPss(Hash::Sha1)), message(Some(Hash::Sha1)));
        assert_eq!(input(SignScheme::EdDsa), message(None));
        assert_eq!(input(SignScheme::RsaPkcs1(Some(Hash::Sha1))), Some(SignInput::Digest));
        assert_eq!(input(SignScheme::RsaPss(Hash::Sha512)), Some(SignInput::Digest));
        assert_eq!(input(SignScheme::Ecdsa { width: 32, hash: None }), Some(SignInput::Digest));
    }

    #[test]
    fn cipher_algorithms() {
        assert_eq!(decrypting(&DecryptScheme::RsaOaep(Hash::Sha256)), Some("RSA_PADDING_OAEP_WITH_SHA256"));
        assert_eq!(decrypting(&DecryptScheme::RsaOaep(Hash::Sha3_256)), None);
        assert_eq!(decrypting(&DecryptScheme::RsaPkcs1), Some("RSA_PADDING_PKCS"));
        assert_eq!(decrypting(&DecryptScheme::AesCbc { iv: &[] }), Some("AES_CBC_NO_PADDING"));
        assert_eq!(encrypting(&EncryptScheme::AesEcb), "AES_ECB");
    }

    #[test]
    fn key_types() {
        assert_eq!(key_kind("AES", None, Some(256)), KeyKind::Aes(Some(32)));
        assert_eq!(key_kind("AES", None, None), KeyKind::Aes(None));
        assert_eq!(key_kind("AES", None, Some(0)), KeyKind::Aes(None));
        assert_eq!(key_kind("ChaCha20", None, Some(256)), KeyKind::Other("ChaCha20".into()));
        assert_eq!(key_kind("ML-DSA-44", Some(&[0x30, 0]), None), KeyKind::Other("ML-DSA-44".into()));
        assert_eq!(key_kind("EC", Some(&[0x30, 0]), None), KeyKind::Other("EC".into()));
        assert_eq!(key_kind("RSA", None, Some(2048)), KeyKind::Other("RSA".into()));
    }
}
