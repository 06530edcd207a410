//! The words that the model and the dialects share.

use std::fmt;
use std::sync::Arc;

use cryptoki_sys::CK_KEY_TYPE;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::crypto::curve::Curve;
use crate::crypto::digest::Hash;
use crate::crypto::public_key::PublicKey;
use crate::discreet::Bytes;

/// The name of a key at the HSM, as the HSM spells it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyName(Arc<str>);

impl KeyName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for KeyName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for KeyName {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an HSM tells of one key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyInfo {
    /// The id that the HSM keeps beside the name, decoded; `None` where it keeps none.
    pub id: Option<Vec<u8>>,
    /// `CKA_LABEL`, where that is not the name: see [`Backend::labels_are_names`](super::Backend::labels_are_names).
    pub label: Option<String>,
    /// What it is.
    pub kind: KeyKind,
    /// What it may be used for.
    pub usage: Usage,
    /// What protects it.
    pub protection: Protection,
    /// Whether a use waits for people to approve it.
    pub approval: bool,
    /// Whether the private half may not be used at present (its certificate has expired, say): the public one may.
    pub dormant: bool,
}

/// What stands behind a name.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyKind {
    /// A private key with its public key.
    Pair(PublicKey),
    /// A public key or a certificate without a private key.
    Public(PublicKey),
    /// An AES key of 16, 24 or 32 bytes; `None` where the HSM does not say.
    Aes(Option<usize>),
    /// A secret key for HMAC with one hash.
    Hmac {
        /// The hash.
        hash: Hash,
        /// Its bytes; `None` where the HSM does not say.
        bytes: Option<usize>,
    },
    /// A key whose attributes are behind its password.
    Locked,
    /// Objects of which the HSM lists class and type and no more: they are shown, and nothing can be done with them.
    Listed(Listed),
    /// A key of a type that this module does not serve, in the vendor's words.
    Other(String),
}

/// The objects of one name that an HSM lists without what they are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Whether there is a private key.
    pub private: bool,
    /// Whether there is a public key.
    pub public: bool,
    /// Whether there is a secret key.
    pub secret: bool,
    /// Their `CKK_*`, where it is told.
    pub key_type: Option<CK_KEY_TYPE>,
    /// Whether they are of several types: then nobody knows which of them another service has under that name.
    pub mixed: bool,
}

/// The uses that the HSM allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// `CKA_SIGN`, and `CKA_VERIFY` of the public half.
    pub sign: bool,
    /// `CKA_DECRYPT`, and `CKA_ENCRYPT` of the public half or of a secret key.
    pub decrypt: bool,
    /// `CKA_UNWRAP`, and `CKA_WRAP` of the public half or of a secret key.
    pub unwrap: bool,
    /// `CKA_DERIVE`.
    pub derive: bool,
}

/// The attributes of the same names in PKCS#11 3.2 section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Protection {
    pub sensitive: bool,
    pub always_sensitive: bool,
    pub extractable: bool,
    pub never_extractable: bool,
    pub modifiable: bool,
    pub copyable: bool,
    pub destroyable: bool,
    /// Whether the HSM made the key itself (`CKA_LOCAL`).
    pub local: bool,
}

impl Protection {
    /// What nobody told is taken to be the stricter thing.
    pub const UNTOLD: Self = Self {
        sensitive: true,
        always_sensitive: false,
        extractable: false,
        never_extractable: false,
        modifiable: false,
        copyable: false,
        destroyable: false,
        local: false,
    };
}

impl KeyInfo {
    /// A key of which nothing is told. It may sign or decrypt: whoever tries finds out.
    pub fn untold(kind: KeyKind) -> Self {
        Self {
            id: None,
            label: None,
            kind,
            usage: Usage { sign: true, decrypt: true, unwrap: false, derive: false },
            protection: Protection::UNTOLD,
            approval: false,
            dormant: false,
        }
    }
}

/// What a key is to be made of. It is asked about in probes too: see [`Backend::can_generate`](super::Backend::can_generate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySpec {
    /// An RSA pair with a modulus of so many bits and the public exponent 65537.
    Rsa {
        /// Bits of the modulus.
        bits: usize,
    },
    /// A pair on this curve, for ECDSA.
    Ec(Curve),
    /// An Ed25519 pair.
    Ed25519,
    /// An AES key.
    Aes {
        /// 16, 24 or 32.
        bytes: usize,
    },
    /// A secret key for HMAC with one hash.
    Hmac {
        /// The hash.
        hash: Hash,
        /// Its bytes; `None` leaves that to the HSM.
        bytes: Option<usize>,
    },
}

/// A key that an HSM is to make.
#[derive(Clone, Copy, Debug)]
pub struct NewKey<'a> {
    /// `CKA_LABEL`, never empty: the name, where [`labels_are_names`](super::Backend::labels_are_names).
    pub label: &'a str,
    /// `CKA_ID`, where the caller wants a certain one. A service that keeps no id lets it fall.
    pub id: Option<&'a [u8]>,
    /// What it is.
    pub spec: KeySpec,
    /// What it may be used for.
    pub usage: Usage,
    /// What is to protect it; what follows from the making (`always_sensitive`, `never_extractable`, `local`) is not read.
    pub protection: Protection,
}

/// A version in two numbers, as `CK_VERSION` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Firmware {
    pub major: u8,
    pub minor: u8,
}

/// What `CK_TOKEN_INFO` tells of a token besides its names, as far as the last answers of the service said it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenState {
    /// The PIN of the user.
    pub user_pin: PinState,
    /// The PIN of the security officer; `None` where nobody logs in as that.
    pub so_pin: Option<PinState>,
    /// Whether the PIN is entered at a device of the HSM's own, so that `C_Login` brings none.
    pub protected_path: bool,
    /// Whether nothing of the token can be changed from here.
    pub write_protected: bool,
    /// Bytes of storage, where they were told.
    pub memory: Option<Memory>,
}

/// What is known of one PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinState {
    /// Whether there is one.
    pub initialized: bool,
    /// Whether a wrong one was tried since the last right one.
    pub count_low: bool,
    /// Whether one more wrong one locks it.
    pub final_try: bool,
    /// Whether it is locked.
    pub locked: bool,
    /// Whether it must be changed before it is good for anything else.
    pub to_be_changed: bool,
}

/// A PIN of which nothing is told works.
impl Default for PinState {
    fn default() -> Self {
        Self { initialized: true, count_low: false, final_try: false, locked: false, to_be_changed: false }
    }
}

/// The storage of a token, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Memory {
    pub total: u64,
    pub free: u64,
}

/// Who logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// `CKU_USER`
    User,
    /// `CKU_SO`
    SecurityOfficer,
}

/// What a request that may need approval came to.
pub enum Outcome<T> {
    /// The answer.
    Done(T),
    /// The HSM waits for approvals.
    Pending(TaskId),
}

/// The answer may be a plaintext.
impl<T> fmt::Debug for Outcome<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(_) => f.write_str("Done(redacted)"),
            Self::Pending(task) => f.debug_tuple("Pending").field(task).finish(),
        }
    }
}

/// The vendor's name for a request that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskId(pub String);

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignScheme {
    /// RSASSA-PKCS1-v1_5 over a digest, or with `None` over any bytes up to the modulus less 11, padded as they are.
    RsaPkcs1(Option<Hash>),
    /// RSASSA-PSS with this hash, MGF1 with the same, a salt as long as the hash.
    RsaPss(Hash),
    /// ECDSA over a digest; what is longer than the order does not count.
    Ecdsa {
        /// Bytes of the order: r and s have this length each.
        width: usize,
        /// The hash of the mechanism; `None`: the caller brings a digest of whatever hash.
        hash: Option<Hash>,
    },
    /// Ed25519 over the message.
    EdDsa,
    /// HMAC (FIPS 198-1) of the message.
    Hmac(Hash),
}

/// What the service wants to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInput {
    /// The digest (or, for unhashed schemes, the bytes) made here.
    Digest,
    /// The message: the service hashes.
    Message {
        /// This hash has to be the service's; `None` for schemes that hash on their own (EdDSA).
        hash: Option<Hash>,
        /// The longest message in bytes.
        limit: usize,
    },
}

/// A signature to be made.
#[derive(Clone, Copy)]
pub struct SignRequest<'a> {
    /// The key.
    pub key: &'a KeyName,
    /// Its password, if it has one.
    pub password: Option<&'a SecretString>,
    /// How.
    pub scheme: SignScheme,
    /// What [`SignInput`] asked for.
    pub payload: &'a [u8],
    /// Whether the key waits for approvals.
    pub approval: bool,
}

/// How a ciphertext is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum DecryptScheme<'a> {
    /// RSAES-PKCS1-v1_5.
    RsaPkcs1,
    /// RSAES-OAEP with this hash, MGF1 with the same, an empty label.
    RsaOaep(Hash),
    /// Whole blocks.
    AesEcb,
    /// Whole blocks, unpadded.
    AesCbc { iv: &'a [u8] },
    /// The 16-byte counter block.
    AesCtr { counter: &'a [u8] },
    /// The ciphertext ends with the tag.
    AesGcm { iv: &'a [u8], aad: &'a [u8], tag_bits: usize },
    /// A text in JSON Web Encryption (RFC 7516), compact or as the service itself packs it.
    Jwe,
}

/// Additional data is the caller's: only lengths are shown.
impl fmt::Debug for DecryptScheme<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RsaPkcs1 => f.write_str("RsaPkcs1"),
            Self::RsaOaep(hash) => f.debug_tuple("RsaOaep").field(hash).finish(),
            Self::AesEcb => f.write_str("AesEcb"),
            Self::AesCbc { iv } => f.debug_tuple("AesCbc").field(&Bytes(iv)).finish(),
            Self::AesCtr { counter } => f.debug_tuple("AesCtr").field(&Bytes(counter)).finish(),
            Self::AesGcm { iv, aad, tag_bits } => {
                f.debug_tuple("AesGcm").field(&Bytes(iv)).field(&Bytes(aad)).field(tag_bits).finish()
            }
            Self::Jwe => f.write_str("Jwe"),
        }
    }
}

/// A ciphertext to be opened.
#[derive(Clone, Copy)]
pub struct DecryptRequest<'a> {
    /// The key.
    pub key: &'a KeyName,
    /// Its password, if it has one.
    pub password: Option<&'a SecretString>,
    /// How.
    pub scheme: DecryptScheme<'a>,
    /// The ciphertext.
    pub ciphertext: &'a [u8],
    /// Whether the key waits for approvals.
    pub approval: bool,
}

/// How a plaintext is sealed.
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum EncryptScheme<'a> {
    /// Whole blocks.
    AesEcb,
    /// With the caller's IV; `None`: with a fresh one of 12 bytes, which the service chooses.
    AesGcm { iv: Option<&'a [u8]>, aad: &'a [u8], tag_bits: usize },
}

/// As for [`DecryptScheme`].
impl fmt::Debug for EncryptScheme<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AesEcb => f.write_str("AesEcb"),
            Self::AesGcm { iv, aad, tag_bits } => {
                f.debug_tuple("AesGcm").field(&iv.map(Bytes)).field(&Bytes(aad)).field(tag_bits).finish()
            }
        }
    }
}

/// A plaintext to be sealed.
#[derive(Clone, Copy)]
pub struct EncryptRequest<'a> {
    /// The key.
    pub key: &'a KeyName,
    /// Its password, if it has one.
    pub password: Option<&'a SecretString>,
    /// How.
    pub scheme: EncryptScheme<'a>,
    /// The plaintext.
    pub plaintext: &'a [u8],
}

/// A sealed plaintext.
#[derive(Clone, PartialEq, Eq)]
pub struct Encrypted {
    /// The ciphertext without the tag.
    pub ciphertext: Vec<u8>,
    /// The IV; empty where the scheme has none.
    pub iv: Vec<u8>,
    /// The authentication tag; empty where the scheme has none.
    pub tag: Vec<u8>,
}
