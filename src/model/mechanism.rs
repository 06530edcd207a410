//! The one table of mechanisms, and what it means for one back end.
//!
//! A row says what a `CKM_*` number is; which of its functions a token offers follows from what the back end can do, so
//! that `C_GetMechanismInfo` is true.

use std::fmt;

use cryptoki_sys::{
    CK_FLAGS, CK_KEY_TYPE, CK_MECHANISM_TYPE, CK_ULONG, CKF_DECRYPT, CKF_DIGEST, CKF_EC_F_P,
    CKF_EC_NAMEDCURVE, CKF_EC_UNCOMPRESS, CKF_ENCRYPT, CKF_GENERATE, CKF_GENERATE_KEY_PAIR, CKF_HW,
    CKF_MESSAGE_ENCRYPT, CKF_SIGN, CKF_VERIFY, CKK_AES, CKK_EC, CKK_EC_EDWARDS, CKK_GENERIC_SECRET, CKK_RSA,
    CKK_SHA_1_HMAC, CKK_SHA224_HMAC, CKK_SHA256_HMAC, CKK_SHA384_HMAC, CKK_SHA512_HMAC, CKM_AES_CBC,
    CKM_AES_CBC_PAD, CKM_AES_CTR, CKM_AES_ECB, CKM_AES_GCM, CKM_AES_KEY_GEN, CKM_EC_EDWARDS_KEY_PAIR_GEN,
    CKM_EC_KEY_PAIR_GEN, CKM_ECDSA, CKM_ECDSA_SHA1, CKM_ECDSA_SHA224, CKM_ECDSA_SHA256, CKM_ECDSA_SHA384,
    CKM_ECDSA_SHA512, CKM_EDDSA, CKM_GENERIC_SECRET_KEY_GEN, CKM_RSA_PKCS, CKM_RSA_PKCS_KEY_PAIR_GEN,
    CKM_RSA_PKCS_OAEP, CKM_RSA_PKCS_PSS, CKM_SHA_1, CKM_SHA_1_HMAC, CKM_SHA1_RSA_PKCS, CKM_SHA1_RSA_PKCS_PSS,
    CKM_SHA3_224, CKM_SHA3_256, CKM_SHA3_384, CKM_SHA3_512, CKM_SHA224, CKM_SHA224_HMAC, CKM_SHA224_RSA_PKCS,
    CKM_SHA224_RSA_PKCS_PSS, CKM_SHA256, CKM_SHA256_HMAC, CKM_SHA256_RSA_PKCS, CKM_SHA256_RSA_PKCS_PSS,
    CKM_SHA384, CKM_SHA384_HMAC, CKM_SHA384_RSA_PKCS, CKM_SHA384_RSA_PKCS_PSS, CKM_SHA512, CKM_SHA512_HMAC,
    CKM_SHA512_RSA_PKCS, CKM_SHA512_RSA_PKCS_PSS, CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID,
};

use super::vendor::CKM_P11REST_JWE;
use crate::backend::{Backend, DecryptScheme, EncryptScheme, KeySpec, SignInput, SignScheme};
use crate::config::{self, KeyFamily};
use crate::crypto::curve::Curve;
use crate::crypto::digest::Hash;
use crate::discreet::Bytes;
use crate::error::{Error, Result};

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Mechanism {
    /// The number.
    pub kind: CK_MECHANISM_TYPE,
    /// The name, for the log and the configuration.
    pub name: &'static str,
    /// What the parameter is.
    pub parameter: ParameterKind,
    /// What it does.
    pub action: Action,
}

/// What a mechanism does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Hashes.
    Digest(Hash),
    /// Signs and verifies.
    Sign(SignKind),
    /// Encrypts and decrypts.
    Cipher(CipherKind),
    /// `CKM_RSA_PKCS`: signs and encrypts.
    Both(SignKind, CipherKind),
    /// Makes keys.
    Generate(KeyGenerator),
}

/// A signature mechanism; with a hash it takes the message, else the digest or the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SignKind {
    RsaPkcs1(Option<Hash>),
    RsaPss(Option<Hash>),
    Ecdsa(Option<Hash>),
    EdDsa,
    Hmac(Hash),
}

/// A cipher mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum CipherKind {
    RsaPkcs1,
    RsaOaep,
    AesEcb,
    AesCbc {
        pad: bool,
    },
    AesCtr,
    AesGcm,
    /// JSON Web Encryption with RSA-OAEP-256 and A256GCM.
    Jwe,
}

/// A mechanism that makes keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum KeyGenerator {
    RsaPair,
    EcPair,
    EdwardsPair,
    Aes,
    /// Keys for HMAC; the template says for which hash.
    Hmac,
}

/// The type of `CK_MECHANISM.pParameter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// None.
    None,
    /// `CK_RSA_PKCS_PSS_PARAMS`
    Pss,
    /// `CK_RSA_PKCS_OAEP_PARAMS`
    Oaep,
    /// 16 bytes.
    Iv,
    /// `CK_AES_CTR_PARAMS`
    Ctr,
    /// `CK_GCM_PARAMS`; `CK_GCM_MESSAGE_PARAMS` in the message functions.
    Gcm,
    /// `CK_EDDSA_PARAMS`, or none.
    EdDsa,
}

/// A parameter, read from the caller's memory.
#[derive(Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Parameter {
    None,
    Pss { hash: CK_MECHANISM_TYPE, mgf: CK_ULONG, salt_len: CK_ULONG },
    Oaep { hash: CK_MECHANISM_TYPE, mgf: CK_ULONG, label: Vec<u8> },
    Iv([u8; 16]),
    Ctr { bits: CK_ULONG, block: [u8; 16] },
    Gcm { iv: Vec<u8>, aad: Vec<u8>, tag_bits: CK_ULONG },
    EdDsa { prehash: bool, context: Vec<u8> },
}

/// Labels, contexts and additional data are the caller's: only their lengths are shown.
impl fmt::Debug for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Pss { hash, mgf, salt_len } => {
                f.debug_tuple("Pss").field(hash).field(mgf).field(salt_len).finish()
            }
            Self::Oaep { hash, mgf, label } => {
                f.debug_tuple("Oaep").field(hash).field(mgf).field(&Bytes(label)).finish()
            }
            Self::Iv(iv) => f.debug_tuple("Iv").field(&Bytes(iv)).finish(),
            Self::Ctr { bits, block } => f.debug_tuple("Ctr").field(bits).field(&Bytes(block)).finish(),
            Self::Gcm { iv, aad, tag_bits } => {
                f.debug_tuple("Gcm").field(&Bytes(iv)).field(&Bytes(aad)).field(tag_bits).finish()
            }
            Self::EdDsa { prehash, context } => {
                f.debug_tuple("EdDsa").field(prehash).field(&Bytes(context)).finish()
            }
        }
    }
}

/// A mechanism as a caller gives it.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The row.
    pub mechanism: &'static Mechanism,
    /// The parameter, of the row's kind.
    pub parameter: Parameter,
}

const fn row(
    kind: CK_MECHANISM_TYPE,
    name: &'static str,
    parameter: ParameterKind,
    action: Action,
) -> Mechanism {
    Mechanism { kind, name, parameter, action }
}

macro_rules! table {
    ($($kind:ident $parameter:ident $action:expr;)*) => {
        &[$(row($kind, stringify!($kind), ParameterKind::$parameter, $action)),*]
    };
}

use Action::{Both, Cipher, Digest, Generate, Sign};
use CipherKind::{AesCbc, AesCtr, AesEcb, AesGcm, Jwe, RsaOaep};
use KeyGenerator::{Aes, EcPair, EdwardsPair, RsaPair};
use SignKind::{Ecdsa, EdDsa, Hmac, RsaPkcs1, RsaPss};

/// Every mechanism that the module knows.
pub const TABLE: &[Mechanism] = table! {
    CKM_RSA_PKCS             None  Both(RsaPkcs1(None), CipherKind::RsaPkcs1);
    CKM_SHA1_RSA_PKCS        None  Sign(RsaPkcs1(Some(Hash::Sha1)));
    CKM_SHA224_RSA_PKCS      None  Sign(RsaPkcs1(Some(Hash::Sha224)));
    CKM_SHA256_RSA_PKCS      None  Sign(RsaPkcs1(Some(Hash::Sha256)));
    CKM_SHA384_RSA_PKCS      None  Sign(RsaPkcs1(Some(Hash::Sha384)));
    CKM_SHA512_RSA_PKCS      None  Sign(RsaPkcs1(Some(Hash::Sha512)));
    CKM_RSA_PKCS_PSS         Pss   Sign(RsaPss(None));
    CKM_SHA1_RSA_PKCS_PSS    Pss   Sign(RsaPss(Some(Hash::Sha1)));
    CKM_SHA224_RSA_PKCS_PSS  Pss   Sign(RsaPss(Some(Hash::Sha224)));
    CKM_SHA256_RSA_PKCS_PSS  Pss   Sign(RsaPss(Some(Hash::Sha256)));
    CKM_SHA384_RSA_PKCS_PSS  Pss   Sign(RsaPss(Some(Hash::Sha384)));
    CKM_SHA512_RSA_PKCS_PSS  Pss   Sign(RsaPss(Some(Hash::Sha512)));
    CKM_RSA_PKCS_OAEP        Oaep  Cipher(RsaOaep);
    CKM_P11REST_JWE          None  Cipher(Jwe);
    CKM_ECDSA                None  Sign(Ecdsa(None));
    CKM_ECDSA_SHA1           None  Sign(Ecdsa(Some(Hash::Sha1)));
    CKM_ECDSA_SHA224         None  Sign(Ecdsa(Some(Hash::Sha224)));
    CKM_ECDSA_SHA256         None  Sign(Ecdsa(Some(Hash::Sha256)));
    CKM_ECDSA_SHA384         None  Sign(Ecdsa(Some(Hash::Sha384)));
    CKM_ECDSA_SHA512         None  Sign(Ecdsa(Some(Hash::Sha512)));
    CKM_EDDSA                EdDsa Sign(EdDsa);
    CKM_SHA_1_HMAC           None  Sign(Hmac(Hash::Sha1));
    CKM_SHA224_HMAC          None  Sign(Hmac(Hash::Sha224));
    CKM_SHA256_HMAC          None  Sign(Hmac(Hash::Sha256));
    CKM_SHA384_HMAC          None  Sign(Hmac(Hash::Sha384));
    CKM_SHA512_HMAC          None  Sign(Hmac(Hash::Sha512));
    CKM_AES_ECB              None  Cipher(AesEcb);
    CKM_AES_CBC              Iv    Cipher(AesCbc { pad: false });
    CKM_AES_CBC_PAD          Iv    Cipher(AesCbc { pad: true });
    CKM_AES_CTR              Ctr   Cipher(AesCtr);
    CKM_AES_GCM              Gcm   Cipher(AesGcm);
    CKM_RSA_PKCS_KEY_PAIR_GEN   None  Generate(RsaPair);
    CKM_EC_KEY_PAIR_GEN         None  Generate(EcPair);
    CKM_EC_EDWARDS_KEY_PAIR_GEN None  Generate(EdwardsPair);
    CKM_AES_KEY_GEN             None  Generate(Aes);
    CKM_GENERIC_SECRET_KEY_GEN  None  Generate(KeyGenerator::Hmac);
    CKM_SHA_1                None  Digest(Hash::Sha1);
    CKM_SHA224               None  Digest(Hash::Sha224);
    CKM_SHA256               None  Digest(Hash::Sha256);
    CKM_SHA384               None  Digest(Hash::Sha384);
    CKM_SHA512               None  Digest(Hash::Sha512);
    CKM_SHA3_224             None  Digest(Hash::Sha3_224);
    CKM_SHA3_256             None  Digest(Hash::Sha3_256);
    CKM_SHA3_384             None  Digest(Hash::Sha3_384);
    CKM_SHA3_512             None  Digest(Hash::Sha3_512);
};

/// The hashes that signatures, OAEP and MACs may have.
const HASHES: [Hash; 5] = [Hash::Sha1, Hash::Sha224, Hash::Sha256, Hash::Sha384, Hash::Sha512];

/// The type of keys for HMAC with this hash and no other; `None` where a token has no mechanism for it.
pub fn hmac_key_type(hash: Hash) -> Option<CK_KEY_TYPE> {
    Some(match hash {
        Hash::Sha1 => CKK_SHA_1_HMAC,
        Hash::Sha224 => CKK_SHA224_HMAC,
        Hash::Sha256 => CKK_SHA256_HMAC,
        Hash::Sha384 => CKK_SHA384_HMAC,
        Hash::Sha512 => CKK_SHA512_HMAC,
        _ => return None,
    })
}

/// The types of keys of a family.
pub fn key_types(family: KeyFamily) -> Vec<CK_KEY_TYPE> {
    match family {
        KeyFamily::Rsa => vec![CKK_RSA],
        KeyFamily::Ec => vec![CKK_EC],
        KeyFamily::Ed25519 => vec![CKK_EC_EDWARDS],
        KeyFamily::Aes => vec![CKK_AES],
        KeyFamily::Hmac => HASHES.into_iter().filter_map(hmac_key_type).chain([CKK_GENERIC_SECRET]).collect(),
    }
}

/// The hash of such a type of key.
pub fn hmac_hash(key_type: CK_KEY_TYPE) -> Option<Hash> {
    HASHES.into_iter().find(|hash| hmac_key_type(*hash) == Some(key_type))
}

/// The row of a number.
///
/// # Errors
/// `CKR_MECHANISM_INVALID` when there is none.
pub fn find(kind: CK_MECHANISM_TYPE) -> Result<&'static Mechanism> {
    TABLE
        .iter()
        .find(|row| row.kind == kind)
        .ok_or_else(|| Error::new(CKR_MECHANISM_INVALID, format!("mechanism {kind:#x} is not known here")))
}

/// Checks that the configuration names no mechanism that the table lacks: a slip would offer too much or too little.
///
/// # Errors
/// `CKR_MECHANISM_INVALID`, with the name that was probably meant.
pub fn check_names(settings: &config::Token) -> Result<()> {
    let listed = settings.mechanisms.iter().flatten().map(|name| ("mechanisms", name));
    let hidden = settings.hide_mechanisms.iter().map(|pattern| ("hide_mechanisms", pattern));
    let unknown = |pattern: &str| !TABLE.iter().any(|row| config::matches(pattern, row.name));
    match listed.chain(hidden).find(|(_, pattern)| unknown(pattern)) {
        Some((key, pattern)) => Err(unknown_name(key, pattern)),
        None => Ok(()),
    }
}

fn unknown_name(key: &str, pattern: &str) -> Error {
    let names: Vec<_> = TABLE.iter().map(|row| row.name).collect();
    let nearest = config::nearest(pattern, &names);
    let (what, order) = match pattern.contains('*') {
        true => ("matches no mechanism", "write what matches"),
        false => ("is not known", "write"),
    };
    let remedy = match nearest {
        Some(name) => format!("{order} {name}"),
        None => "write names of the table in the README".to_owned(),
    };
    Error::new(CKR_MECHANISM_INVALID, format!("slot.{key}: {pattern} {what}; {remedy}"))
}

/// What `C_GetMechanismInfo` tells of one mechanism on one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// `ulMinKeySize`: bits of RSA and elliptic-curve keys, bytes of secret keys, 0 for digests.
    pub min: CK_ULONG,
    /// `ulMaxKeySize`, likewise.
    pub max: CK_ULONG,
    /// `CKF_*`
    pub flags: CK_FLAGS,
}

impl Mechanism {
    /// The type of key that it works with; `None` for digests.
    pub fn key_type(&self) -> Option<CK_KEY_TYPE> {
        match self.action {
            Digest(_) => None,
            Generate(RsaPair) => Some(CKK_RSA),
            Generate(EcPair) => Some(CKK_EC),
            Generate(EdwardsPair) => Some(CKK_EC_EDWARDS),
            Generate(Aes) => Some(CKK_AES),
            // One for each hash.
            Generate(KeyGenerator::Hmac) => None,
            Sign(RsaPkcs1(_) | RsaPss(_)) | Both(..) | Cipher(CipherKind::RsaPkcs1 | RsaOaep | Jwe) => {
                Some(CKK_RSA)
            }
            Sign(Ecdsa(_)) => Some(CKK_EC),
            Sign(EdDsa) => Some(CKK_EC_EDWARDS),
            Sign(Hmac(hash)) => hmac_key_type(hash),
            Cipher(_) => Some(CKK_AES),
        }
    }

    /// What it signs as.
    pub fn sign_kind(&self) -> Option<SignKind> {
        match self.action {
            Sign(kind) | Both(kind, _) => Some(kind),
            _ => None,
        }
    }

    /// What it encrypts as.
    pub fn cipher_kind(&self) -> Option<CipherKind> {
        match self.action {
            Cipher(kind) | Both(_, kind) => Some(kind),
            _ => None,
        }
    }

    /// What it makes.
    pub fn generator(&self) -> Option<KeyGenerator> {
        match self.action {
            Generate(generator) => Some(generator),
            _ => None,
        }
    }

    /// What a token with this back end offers; `None` when nothing is left.
    pub fn offer(&self, backend: &dyn Backend) -> Option<Offer> {
        let mut flags = match self.action {
            Digest(_) => CKF_DIGEST,
            _ => 0,
        };
        // Nobody has to verify what nobody here signs.
        if let Some(kind) = self.sign_kind()
            && kind.probe_schemes().any(|scheme| kind.served_by(backend, scheme))
        {
            flags |= CKF_VERIFY | CKF_SIGN | CKF_HW;
        }
        if let Some(kind) = self.cipher_kind() {
            flags |= kind.flags(backend);
        }
        if let Some(generator) = self.generator() {
            return generator.offer(backend);
        }
        let (min, max, shape) = self.key_sizes();
        (flags != 0).then_some(Offer { min, max, flags: flags | shape })
    }

    /// What is left of an offer where the HSM may not be used: digests, and what a public key does.
    pub fn without_hsm(&self, offer: Offer) -> Option<Offer> {
        let secret_key = match self.key_type() {
            None | Some(CKK_RSA | CKK_EC | CKK_EC_EDWARDS) => 0,
            Some(_) => CKF_ENCRYPT | CKF_VERIFY,
        };
        let flags = offer.flags & !(CKF_HW | CKF_SIGN | CKF_DECRYPT | CKF_MESSAGE_ENCRYPT | secret_key);
        (flags & (CKF_DIGEST | CKF_VERIFY | CKF_ENCRYPT) != 0).then_some(Offer { flags, ..offer })
    }

    fn key_sizes(&self) -> (CK_ULONG, CK_ULONG, CK_FLAGS) {
        match self.key_type() {
            Some(CKK_RSA) => (1024, 8192, 0),
            Some(CKK_EC) => (224, 521, NAMED_CURVES),
            Some(CKK_EC_EDWARDS) => (255, 255, EDWARDS_CURVES),
            Some(CKK_AES) => (16, 32, 0),
            // A key of any length will do (FIPS 198-1 section 3).
            Some(_) => (1, 1024, 0),
            None => (0, 0, 0),
        }
    }
}

/// What the curves are like.
const NAMED_CURVES: CK_FLAGS = EDWARDS_CURVES | CKF_EC_UNCOMPRESS;
const EDWARDS_CURVES: CK_FLAGS = CKF_EC_F_P | CKF_EC_NAMEDCURVE;

/// The sizes of RSA keys, in bits, that a token may make.
const RSA_BITS: std::ops::RangeInclusive<usize> = 1024..=16384;

impl KeyGenerator {
    /// Keys of which one at least has to be made, with their sizes as `CK_MECHANISM_INFO` counts them.
    fn probes(self) -> Vec<(KeySpec, usize)> {
        match self {
            RsaPair => RSA_BITS.step_by(256).map(|bits| (KeySpec::Rsa { bits }, bits)).collect(),
            EcPair => Curve::ALL.map(|curve| (KeySpec::Ec(curve), curve.order_bits())).into(),
            EdwardsPair => vec![(KeySpec::Ed25519, 255)],
            Aes => [16, 24, 32].map(|bytes| (KeySpec::Aes { bytes }, bytes)).into(),
            Self::Hmac => HASHES.map(|hash| (KeySpec::Hmac { hash, bytes: None }, hash.len())).into(),
        }
    }

    fn offer(self, backend: &dyn Backend) -> Option<Offer> {
        let made = self.probes().into_iter().filter(|(spec, _)| backend.can_generate(spec));
        let sizes: Vec<_> = made.map(|(_, size)| size as CK_ULONG).collect();
        let flags = match self {
            RsaPair => CKF_GENERATE_KEY_PAIR,
            EcPair => CKF_GENERATE_KEY_PAIR | NAMED_CURVES,
            EdwardsPair => CKF_GENERATE_KEY_PAIR | EDWARDS_CURVES,
            Aes | Self::Hmac => CKF_GENERATE,
        };
        Some(Offer { min: *sizes.iter().min()?, max: *sizes.iter().max()?, flags: flags | CKF_HW })
    }
}

impl SignKind {
    /// Schemes of which one at least has to be served.
    fn probe_schemes(self) -> impl Iterator<Item = SignScheme> {
        let width = 32; // any: the width only tells how to write the result
        HASHES.into_iter().filter_map(move |hash| match self {
            RsaPkcs1(fixed) if fixed.is_none_or(|fixed| fixed == hash) => Some(SignScheme::RsaPkcs1(fixed)),
            RsaPss(fixed) if fixed.is_none_or(|fixed| fixed == hash) => Some(SignScheme::RsaPss(hash)),
            Ecdsa(fixed) if fixed.is_none_or(|fixed| fixed == hash) => {
                Some(SignScheme::Ecdsa { width, hash: fixed })
            }
            EdDsa => Some(SignScheme::EdDsa),
            Hmac(fixed) if fixed == hash => Some(SignScheme::Hmac(hash)),
            _ => None,
        })
    }

    /// Whether the service signs with `scheme` what this mechanism has to give: a mechanism without a hash of its own
    /// has no message for a service that wants one.
    pub fn served_by(self, backend: &dyn Backend, scheme: SignScheme) -> bool {
        match backend.sign_input(scheme) {
            None => false,
            Some(SignInput::Digest) => true,
            Some(SignInput::Message { .. }) => matches!(self, EdDsa | Hmac(_)) || self.hash().is_some(),
        }
    }

    /// The hash of the mechanism that the message goes through before it is signed.
    pub fn hash(self) -> Option<Hash> {
        match self {
            RsaPkcs1(hash) | RsaPss(hash) | Ecdsa(hash) => hash,
            EdDsa | Hmac(_) => None,
        }
    }
}

impl CipherKind {
    fn flags(self, backend: &dyn Backend) -> CK_FLAGS {
        // An IV that each mode takes for one.
        let (iv, aad) = (&[0; 12][..], &[][..]);
        let decrypt = match self {
            CipherKind::RsaPkcs1 => backend.can_decrypt(&DecryptScheme::RsaPkcs1),
            RsaOaep => HASHES.iter().any(|hash| backend.can_decrypt(&DecryptScheme::RsaOaep(*hash))),
            AesEcb => backend.can_decrypt(&DecryptScheme::AesEcb),
            AesCbc { .. } => backend.can_decrypt(&DecryptScheme::AesCbc { iv }),
            AesCtr => backend.can_decrypt(&DecryptScheme::AesCtr { counter: iv }),
            AesGcm => backend.can_decrypt(&DecryptScheme::AesGcm { iv, aad, tag_bits: 128 }),
            Jwe => backend.can_decrypt(&DecryptScheme::Jwe),
        };
        let gcm = |iv| backend.can_encrypt(&EncryptScheme::AesGcm { iv, aad, tag_bits: 128 });
        let when = |able, flags| if able { flags } else { 0 };
        let encrypt = match self {
            // The public key seals, but for nobody where no service opens it.
            CipherKind::RsaPkcs1 | RsaOaep | Jwe => when(decrypt, CKF_ENCRYPT),
            AesEcb => when(backend.can_encrypt(&EncryptScheme::AesEcb), CKF_ENCRYPT | CKF_HW),
            AesGcm => {
                when(gcm(None), CKF_MESSAGE_ENCRYPT | CKF_HW) | when(gcm(Some(iv)), CKF_ENCRYPT | CKF_HW)
            }
            AesCbc { .. } | AesCtr => 0,
        };
        encrypt | if decrypt { CKF_DECRYPT | CKF_HW } else { 0 }
    }
}

/// The hash of a `CKM_*` digest mechanism, as PSS and OAEP parameters name it.
///
/// # Errors
/// `CKR_MECHANISM_PARAM_INVALID` for anything else.
pub fn parameter_hash(kind: CK_MECHANISM_TYPE) -> Result<Hash> {
    match find(kind).map(|row| row.action) {
        Ok(Digest(hash)) => Ok(hash),
        _ => Err(Error::new(CKR_MECHANISM_PARAM_INVALID, format!("{kind:#x} names no hash"))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_number_stands_in_two_rows() {
        let kinds: HashSet<_> = TABLE.iter().map(|row| row.kind).collect();
        assert_eq!(kinds.len(), TABLE.len());
    }

    #[test]
    fn without_the_hsm_digests_and_public_keys_stay() {
        let all = CKF_HW | CKF_SIGN | CKF_VERIFY | CKF_ENCRYPT | CKF_DECRYPT | CKF_DIGEST;
        for (kind, offered, left) in [
            (CKM_RSA_PKCS, all ^ CKF_DIGEST, CKF_VERIFY | CKF_ENCRYPT),
            (CKM_RSA_PKCS_OAEP, CKF_HW | CKF_ENCRYPT | CKF_DECRYPT, CKF_ENCRYPT),
            (CKM_ECDSA, CKF_HW | CKF_SIGN | CKF_VERIFY | CKF_EC_F_P, CKF_VERIFY | CKF_EC_F_P),
            (CKM_SHA256, CKF_DIGEST, CKF_DIGEST),
            (CKM_AES_ECB, CKF_HW | CKF_ENCRYPT | CKF_DECRYPT, 0),
            (CKM_AES_GCM, CKF_HW | CKF_MESSAGE_ENCRYPT | CKF_ENCRYPT | CKF_DECRYPT, 0),
            (CKM_SHA256_HMAC, CKF_HW | CKF_SIGN | CKF_VERIFY, 0),
        ] {
            let offer = Offer { min: 1, max: 2, flags: offered };
            let rest = find(kind).unwrap().without_hsm(offer);
            assert_eq!(rest, (left != 0).then_some(Offer { flags: left, ..offer }), "{kind:#x}");
        }
    }

    /// What is said of a configuration that lists or hides these.
    fn refusal(mechanisms: Option<&str>, hide: &[&str]) -> String {
        let settings = config::Token {
            mechanisms: mechanisms.map(|name| vec![name.to_owned()]),
            hide_mechanisms: hide.iter().map(|&pattern| pattern.to_owned()).collect(),
            ..config::Token::plain("test")
        };
        let Err(error) = check_names(&settings) else { return String::new() };
        assert_eq!(error.rv(), CKR_MECHANISM_INVALID);
        error.to_string()
    }

    #[test]
    fn names_that_the_table_lacks_are_told_with_the_nearest() {
        for (mechanisms, hide, expected) in [
            (Some("CKM_RSA_PKCS"), &["CKM_AES_ECB", "CKM_AES_*", "*"][..], ""),
            (Some("CKM_RSA_PCKS"), &[], "slot.mechanisms: CKM_RSA_PCKS is not known; write CKM_RSA_PKCS"),
            (
                None,
                &["CKM_AES_*", "CKM_AES_EC"],
                "slot.hide_mechanisms: CKM_AES_EC is not known; write CKM_AES_ECB",
            ),
            (
                None,
                &["CKM_AES_ECC*"],
                "slot.hide_mechanisms: CKM_AES_ECC* matches no mechanism; write what matches CKM_AES_ECB",
            ),
            (
                None,
                &["*_CAMELLIA_*"],
                "slot.hide_mechanisms: *_CAMELLIA_* matches no mechanism; write names of the table in the README",
            ),
        ] {
            assert_eq!(refusal(mechanisms, hide), expected);
        }
    }

    #[test]
    fn a_row_agrees_with_its_name() {
        assert_eq!(find(CKM_ECDSA_SHA384).unwrap().action, Sign(Ecdsa(Some(Hash::Sha384))));
        assert_eq!(find(CKM_SHA256_RSA_PKCS_PSS).unwrap().key_type(), Some(CKK_RSA));
        assert_eq!(find(0x8000_0000).unwrap_err().rv(), CKR_MECHANISM_INVALID);
    }
}
