//! Encryption and decryption. What needs a secret is the HSM's; its API takes everything in one request, so data that
//! comes in parts is kept until the end.

use std::sync::Arc;

use cryptoki_sys::{
    CK_ULONG, CKR_DATA_INVALID, CKR_DATA_LEN_RANGE, CKR_DEVICE_ERROR, CKR_ENCRYPTED_DATA_INVALID,
    CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_FUNCTION_FAILED, CKR_KEY_TYPE_INCONSISTENT, CKR_MECHANISM_INVALID,
    CKR_MECHANISM_PARAM_INVALID,
};
use zeroize::Zeroizing;

use super::mechanism::{Chosen, CipherKind, Parameter, parameter_hash};
use super::object::HsmKey;
use super::operation::{Excess, Input, Intake, Output, Room, given};
use super::sign::{KeyInUse, done, mgf1};
use crate::backend::{Backend, DecryptRequest, DecryptScheme, EncryptRequest, EncryptScheme, Encrypted};
use crate::crypto::digest::Hash;
use crate::crypto::public_key::{PublicKey, PublicKeyKind};
use crate::crypto::{self, encrypt, jwe};
use crate::error::{Error, Result};
use crate::transport::Deadline;

const AES_BLOCK: usize = 16;

/// The longest text that is sealed, in bytes.
const LONGEST_TEXT: usize = 1 << 20;

/// The bytes of an RSA block.
fn block_of(public: &PublicKey) -> Result<usize> {
    match public.kind() {
        PublicKeyKind::Rsa { modulus, .. } => Ok(modulus.len()),
        _ => Err(Error::new(CKR_KEY_TYPE_INCONSISTENT, "the key is no RSA key")),
    }
}

/// OAEP is served with MGF1 over the same hash and an empty label, as the HSM has it.
fn oaep_hash(parameter: &Parameter) -> Result<Hash> {
    let Parameter::Oaep { hash, mgf, label } = parameter else {
        return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, "OAEP needs its parameters"));
    };
    let named = parameter_hash(*hash)?;
    if label.is_empty() && mgf1(named) == Some(*mgf) {
        return Ok(named);
    }
    let text =
        format!("OAEP with hash {hash:#x}, MGF {mgf} and a label of {} bytes is not served", label.len());
    Err(Error::new(CKR_MECHANISM_PARAM_INVALID, text))
}

/// An encryption under way.
pub struct Encrypting {
    target: EncryptTarget,
    intake: Intake,
}

enum EncryptTarget {
    RsaPkcs1(PublicKey),
    RsaOaep(PublicKey, Hash),
    Jwe(PublicKey),
    AesEcb(KeyInUse),
    AesGcm { key: KeyInUse, iv: Vec<u8>, aad: Vec<u8>, tag_bits: usize },
}

impl Encrypting {
    /// `C_EncryptInit` with a public key: no HSM is needed.
    pub fn with_public_key(chosen: &Chosen, public: PublicKey) -> Result<Self> {
        let mut limit = block_of(&public)?;
        let target = match chosen.mechanism.cipher_kind() {
            Some(CipherKind::RsaPkcs1) => EncryptTarget::RsaPkcs1(public),
            Some(CipherKind::RsaOaep) => EncryptTarget::RsaOaep(public, oaep_hash(&chosen.parameter)?),
            Some(CipherKind::Jwe) => {
                limit = LONGEST_TEXT;
                EncryptTarget::Jwe(public)
            }
            _ => return Err(Error::new(CKR_MECHANISM_INVALID, "no encryption with a public key")),
        };
        Ok(Self { target, intake: Intake::collect(limit, Excess::Refuse) })
    }

    /// `C_EncryptInit` with a secret key.
    pub fn with_secret_key(chosen: &Chosen, key: Arc<HsmKey>, backend: &dyn Backend) -> Result<Self> {
        let key = KeyInUse::new(key);
        let target = match (chosen.mechanism.cipher_kind(), &chosen.parameter) {
            (Some(CipherKind::AesEcb), _) => EncryptTarget::AesEcb(key),
            (Some(CipherKind::AesGcm), Parameter::Gcm { iv, aad, tag_bits }) => {
                let tag_bits = gcm_tag_bits(*tag_bits)?;
                if !backend.can_encrypt(&EncryptScheme::AesGcm { iv: Some(iv), aad, tag_bits }) {
                    let text = "the HSM does not encrypt with these parameters";
                    return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, text));
                }
                EncryptTarget::AesGcm { key, iv: iv.clone(), aad: aad.clone(), tag_bits }
            }
            _ => {
                let text = "the HSM does not encrypt with an IV of the caller";
                return Err(Error::new(CKR_MECHANISM_INVALID, text));
            }
        };
        Ok(Self { target, intake: Intake::collect(backend.payload_limit(), Excess::Refuse) })
    }

    /// The key at the HSM, if one is needed.
    pub fn hsm_key(&self) -> Option<&HsmKey> {
        match &self.target {
            EncryptTarget::AesEcb(in_use) | EncryptTarget::AesGcm { key: in_use, .. } => Some(&in_use.key),
            EncryptTarget::RsaPkcs1(_) | EncryptTarget::RsaOaep(..) | EncryptTarget::Jwe(_) => None,
        }
    }

    /// The same, to be given its password.
    pub fn key_in_use(&mut self) -> Option<&mut KeyInUse> {
        match &mut self.target {
            EncryptTarget::AesEcb(in_use) | EncryptTarget::AesGcm { key: in_use, .. } => Some(in_use),
            EncryptTarget::RsaPkcs1(_) | EncryptTarget::RsaOaep(..) | EncryptTarget::Jwe(_) => None,
        }
    }

    /// `C_Encrypt`
    pub fn encrypt(
        &mut self,
        data: Input<'_>,
        room: Room,
        backend: &dyn Backend,
        deadline: Deadline,
    ) -> Result<Output> {
        let data = self.intake.only_part(data)?;
        room.fit(self.length(data.len())?, || {
            self.intake.update(data)?;
            self.seal(backend, deadline)
        })
    }

    /// `C_EncryptUpdate`: nothing comes out before the end.
    pub fn update(&mut self, part: Input<'_>, room: Room) -> Result<Output> {
        let part = given(part)?;
        room.fit(0, || {
            self.intake.update(part)?;
            Ok(Output::bytes([]))
        })
    }

    /// `C_EncryptFinal`
    pub fn finish(&mut self, room: Room, backend: &dyn Backend, deadline: Deadline) -> Result<Output> {
        room.fit(self.length(self.intake.output_len())?, || self.seal(backend, deadline))
    }

    /// Bytes of the ciphertext.
    fn length(&self, data: usize) -> Result<usize> {
        match &self.target {
            EncryptTarget::RsaPkcs1(public) | EncryptTarget::RsaOaep(public, _) => block_of(public),
            EncryptTarget::Jwe(public) => Ok(jwe::sealed_len(block_of(public)?, data)),
            EncryptTarget::AesEcb(_) if !data.is_multiple_of(AES_BLOCK) => {
                Err(Error::new(CKR_DATA_LEN_RANGE, "ECB takes whole blocks"))
            }
            EncryptTarget::AesEcb(_) => Ok(data),
            EncryptTarget::AesGcm { tag_bits, .. } => Ok(data + tag_bits / 8),
        }
    }

    fn seal(&mut self, backend: &dyn Backend, deadline: Deadline) -> Result<Output> {
        let data = self.intake.finish();
        let sealed = match &self.target {
            EncryptTarget::RsaPkcs1(public) => {
                encrypt::rsa_pkcs1(public, &data).map_err(encryption_failed)?
            }
            EncryptTarget::RsaOaep(public, hash) => {
                encrypt::rsa_oaep(public, *hash, &data).map_err(encryption_failed)?
            }
            EncryptTarget::Jwe(public) => {
                let text = std::str::from_utf8(&data).map_err(|_| {
                    let text = "JWE of this HSM carries text: encode bytes in Base64 first";
                    Error::new(CKR_DATA_INVALID, text)
                })?;
                jwe::seal(public, text).map_err(encryption_failed)?.into_bytes()
            }
            EncryptTarget::AesEcb(_) if data.is_empty() => Vec::new(),
            EncryptTarget::AesEcb(in_use) => {
                let sealed = ask(in_use, EncryptScheme::AesEcb, &data, backend, deadline)?;
                exact(sealed.ciphertext, data.len())?
            }
            EncryptTarget::AesGcm { key, iv, aad, tag_bits } => {
                let scheme = EncryptScheme::AesGcm { iv: Some(iv), aad, tag_bits: *tag_bits };
                let sealed = ask(key, scheme, &data, backend, deadline)?;
                if sealed.iv != *iv {
                    return Err(Error::new(CKR_DEVICE_ERROR, "the HSM took another IV"));
                }
                let mut whole = exact(sealed.ciphertext, data.len())?;
                whole.extend(exact(sealed.tag, tag_bits / 8)?);
                whole
            }
        };
        Ok(Output::bytes(sealed))
    }
}

/// Has the HSM seal a plaintext.
fn ask(
    in_use: &KeyInUse,
    scheme: EncryptScheme<'_>,
    plaintext: &[u8],
    backend: &dyn Backend,
    deadline: Deadline,
) -> Result<Encrypted> {
    let request = EncryptRequest { key: &in_use.key.name, password: in_use.password()?, scheme, plaintext };
    backend.encrypt(&request, deadline)
}

/// What came from the HSM, if it is as long as it must be.
fn exact(bytes: Vec<u8>, length: usize) -> Result<Vec<u8>> {
    if bytes.len() == length {
        return Ok(bytes);
    }
    let text = format!("the HSM gave {} bytes instead of {length}", bytes.len());
    Err(Error::new(CKR_DEVICE_ERROR, text))
}

fn encryption_failed(error: crypto::Error) -> Error {
    let rv = match error {
        crypto::Error::DataLength => CKR_DATA_LEN_RANGE,
        _ => CKR_FUNCTION_FAILED,
    };
    Error::new(rv, "the data was not encrypted").because(error)
}

/// A decryption under way.
pub struct Decrypting {
    /// The key.
    pub key: KeyInUse,
    mode: DecryptMode,
    intake: Intake,
    /// The plaintext and what it came from, when the caller's buffer was too small: the HSM is not asked again.
    opened: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

enum DecryptMode {
    RsaPkcs1 { block: usize },
    RsaOaep { block: usize, hash: Hash },
    AesEcb,
    AesCbc { iv: [u8; AES_BLOCK], pad: bool },
    AesCtr { bits: CK_ULONG, counter: [u8; AES_BLOCK] },
    AesGcm { iv: Vec<u8>, aad: Vec<u8>, tag_bits: usize },
    Jwe,
}

impl DecryptMode {
    fn new(chosen: &Chosen, key: &HsmKey) -> Result<Self> {
        let kind = chosen.mechanism.cipher_kind();
        let kind = kind.ok_or_else(|| Error::new(CKR_MECHANISM_INVALID, "the mechanism does not decrypt"))?;
        let block = || match &key.public {
            Some(public) => block_of(public),
            None => Err(Error::new(CKR_KEY_TYPE_INCONSISTENT, "the key is not known to be an RSA key")),
        };
        match (kind, &chosen.parameter) {
            (CipherKind::RsaPkcs1, _) => Ok(Self::RsaPkcs1 { block: block()? }),
            (CipherKind::RsaOaep, parameter) => {
                Ok(Self::RsaOaep { block: block()?, hash: oaep_hash(parameter)? })
            }
            (CipherKind::AesEcb, _) => Ok(Self::AesEcb),
            (CipherKind::Jwe, _) => Ok(Self::Jwe),
            (CipherKind::AesCbc { pad }, Parameter::Iv(iv)) => Ok(Self::AesCbc { iv: *iv, pad }),
            (CipherKind::AesCtr, Parameter::Ctr { bits: bits @ 1..=128, block }) => {
                Ok(Self::AesCtr { bits: *bits, counter: *block })
            }
            (CipherKind::AesGcm, Parameter::Gcm { iv, aad, tag_bits }) => {
                let tag_bits = gcm_tag_bits(*tag_bits)?;
                if iv.is_empty() {
                    return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, "GCM needs its IV"));
                }
                Ok(Self::AesGcm { iv: iv.clone(), aad: aad.clone(), tag_bits })
            }
            _ => Err(Error::new(CKR_MECHANISM_PARAM_INVALID, "the parameter is not the mechanism's")),
        }
    }

    fn scheme(&self) -> DecryptScheme<'_> {
        match self {
            Self::RsaPkcs1 { .. } => DecryptScheme::RsaPkcs1,
            Self::RsaOaep { hash, .. } => DecryptScheme::RsaOaep(*hash),
            Self::AesEcb => DecryptScheme::AesEcb,
            Self::AesCbc { iv, .. } => DecryptScheme::AesCbc { iv },
            Self::AesCtr { counter, .. } => DecryptScheme::AesCtr { counter },
            Self::AesGcm { iv, aad, tag_bits } => DecryptScheme::AesGcm { iv, aad, tag_bits: *tag_bits },
            Self::Jwe => DecryptScheme::Jwe,
        }
    }

    /// An upper bound of the plaintext's length.
    fn bound(&self, ciphertext: usize) -> Result<usize> {
        let wrong = |text| Err(Error::new(CKR_ENCRYPTED_DATA_LEN_RANGE, text));
        match self {
            Self::RsaPkcs1 { block } | Self::RsaOaep { block, .. } if ciphertext != *block => {
                wrong("the ciphertext is not as long as the modulus")
            }
            Self::AesEcb | Self::AesCbc { .. } if !ciphertext.is_multiple_of(AES_BLOCK) => {
                wrong("no whole blocks")
            }
            Self::AesCbc { pad: true, .. } if ciphertext == 0 => wrong("no block with the padding"),
            Self::AesCtr { bits, counter } if !counts_to_the_end(*bits, *counter, ciphertext) => {
                wrong("the counter would start over within the data")
            }
            Self::AesGcm { tag_bits, .. } => match ciphertext.checked_sub(tag_bits / 8) {
                Some(length) => Ok(length),
                None => wrong("shorter than the tag"),
            },
            _ => Ok(ciphertext),
        }
    }
}

/// Whether the counter's low `bits` do not wrap within `length` bytes: what a service does then is not known.
fn counts_to_the_end(bits: CK_ULONG, counter: [u8; AES_BLOCK], length: usize) -> bool {
    let blocks = length.div_ceil(AES_BLOCK) as u128;
    let mask = if bits >= 128 { u128::MAX } else { (1u128 << bits) - 1 };
    bits >= 128 || blocks <= 1 || (u128::from_be_bytes(counter) & mask) + (blocks - 1) <= mask
}

/// The tag lengths that GCM has here, in bits.
fn gcm_tag_bits(bits: CK_ULONG) -> Result<usize> {
    match bits {
        96 | 104 | 112 | 120 | 128 | 64 => Ok(bits as usize),
        _ => Err(Error::new(CKR_MECHANISM_PARAM_INVALID, format!("GCM has no tag of {bits} bits"))),
    }
}

impl Decrypting {
    /// The operation of `C_DecryptInit`.
    pub fn new(chosen: &Chosen, key: Arc<HsmKey>, backend: &dyn Backend) -> Result<Self> {
        let mode = DecryptMode::new(chosen, &key)?;
        if !backend.can_decrypt(&mode.scheme()) {
            let text = "the HSM does not decrypt with these parameters";
            return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, text));
        }
        let limit = match mode {
            DecryptMode::RsaPkcs1 { block } | DecryptMode::RsaOaep { block, .. } => block,
            _ => backend.payload_limit(),
        };
        Ok(Self {
            key: KeyInUse::new(key),
            mode,
            intake: Intake::collect(limit, Excess::Refuse),
            opened: None,
        })
    }

    /// `C_Decrypt`
    pub fn decrypt(
        &mut self,
        data: Input<'_>,
        room: Room,
        backend: &dyn Backend,
        deadline: Deadline,
    ) -> Result<Output> {
        self.open(self.intake.only_part(data)?, room, backend, deadline)
    }

    /// `C_DecryptUpdate`: nothing comes out before the end.
    pub fn update(&mut self, part: Input<'_>, room: Room) -> Result<Output> {
        let part = given(part)?;
        room.fit(0, || {
            self.intake.update(part).map_err(|error| {
                Error::new(CKR_ENCRYPTED_DATA_LEN_RANGE, "more ciphertext than the HSM takes").because(error)
            })?;
            Ok(Output::bytes([]))
        })
    }

    /// `C_DecryptFinal`
    pub fn finish(&mut self, room: Room, backend: &dyn Backend, deadline: Deadline) -> Result<Output> {
        if room == Room::Query {
            let known = self.opened.as_ref().map(|(_, plain)| Ok(plain.len()));
            return Ok(Output::Length(known.unwrap_or_else(|| self.mode.bound(self.intake.output_len()))?));
        }
        let data = match &self.opened {
            Some((data, _)) => data.clone(),
            None => self.intake.finish().to_vec(),
        };
        self.open(&data, room, backend, deadline)
    }

    /// The length is known only when the HSM has opened it, so that a buffer is judged afterwards.
    fn open(&mut self, data: &[u8], room: Room, backend: &dyn Backend, deadline: Deadline) -> Result<Output> {
        let bound = self.mode.bound(data.len())?;
        if !matches!(room, Room::Bytes(_)) {
            return room.fit(bound, || Ok(Output::bytes([])));
        }
        let plain = match self.opened.take() {
            Some((seen, plain)) if seen == data => plain,
            _ => self.ask(data, backend, deadline)?,
        };
        let need = plain.len();
        if let Room::Bytes(have) = room
            && have < need
        {
            self.opened = Some((data.to_vec(), plain));
            return Err(Error::buffer_too_small(need));
        }
        Ok(Output::Bytes(plain))
    }

    fn ask(&self, data: &[u8], backend: &dyn Backend, deadline: Deadline) -> Result<Zeroizing<Vec<u8>>> {
        if data.is_empty() {
            return match self.mode {
                DecryptMode::Jwe => Err(Error::new(CKR_ENCRYPTED_DATA_INVALID, "nothing is no JWE")),
                _ => Ok(Zeroizing::default()),
            };
        }
        let limit = backend.payload_limit();
        if data.len() > limit {
            return Err(Error::new(CKR_ENCRYPTED_DATA_LEN_RANGE, format!("the HSM takes {limit} bytes")));
        }
        let request = DecryptRequest {
            key: &self.key.key.name,
            password: self.key.password()?,
            scheme: self.mode.scheme(),
            ciphertext: data,
            approval: self.key.key.approval,
        };
        let plain = done(backend.decrypt(&request, deadline)?)?;
        self.unpad(plain, data.len())
    }

    fn unpad(&self, mut plain: Zeroizing<Vec<u8>>, ciphertext: usize) -> Result<Zeroizing<Vec<u8>>> {
        let bound = self.mode.bound(ciphertext)?;
        match self.mode {
            DecryptMode::AesCbc { pad: true, .. } => {
                let length = encrypt::unpad_pkcs7(&plain, AES_BLOCK)
                    .map_err(|_| Error::new(CKR_ENCRYPTED_DATA_INVALID, "the padding is wrong"))?
                    .len();
                plain.truncate(length);
                Ok(plain)
            }
            DecryptMode::RsaPkcs1 { .. } | DecryptMode::RsaOaep { .. } | DecryptMode::Jwe
                if plain.len() <= bound =>
            {
                Ok(plain)
            }
            _ if plain.len() == bound => Ok(plain),
            _ => {
                let text = format!("the HSM gave {} bytes instead of {bound}", plain.len());
                Err(Error::new(CKR_DEVICE_ERROR, text))
            }
        }
    }
}

/// The key of `C_MessageEncryptInit`, for any number of messages.
pub struct MessageEncrypting {
    /// The key.
    pub key: KeyInUse,
}

/// What one message may bring and wants back (`CK_GCM_MESSAGE_PARAMS`).
pub struct Message<'a> {
    /// Bytes that the caller has for the IV.
    pub iv_len: usize,
    /// Tag length in bits.
    pub tag_bits: CK_ULONG,
    /// Additional authenticated data.
    pub aad: &'a [u8],
    /// The plaintext.
    pub plaintext: Input<'a>,
}

impl MessageEncrypting {
    /// The operation of `C_MessageEncryptInit`.
    pub fn new(chosen: &Chosen, key: Arc<HsmKey>) -> Result<Self> {
        match chosen.mechanism.cipher_kind() {
            Some(CipherKind::AesGcm) => Ok(Self { key: KeyInUse::new(key) }),
            _ => Err(Error::new(CKR_MECHANISM_INVALID, "only GCM encrypts messages")),
        }
    }

    /// `C_EncryptMessage`; with a query or too little room nothing is sent.
    pub fn encrypt(
        &self,
        message: &Message<'_>,
        room: Room,
        backend: &dyn Backend,
        deadline: Deadline,
    ) -> Result<Sealed> {
        let plaintext = given(message.plaintext)?;
        let tag_bits = gcm_tag_bits(message.tag_bits)?;
        if plaintext.len() > backend.payload_limit() {
            return Err(Error::new(CKR_DATA_LEN_RANGE, "more than the HSM takes"));
        }
        let scheme = EncryptScheme::AesGcm { iv: None, aad: message.aad, tag_bits };
        if !backend.can_encrypt(&scheme) {
            let text = format!("the HSM makes no tag of {tag_bits} bits");
            return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, text));
        }
        let mut sealed = None;
        let ciphertext = room.fit(plaintext.len(), || {
            let Encrypted { ciphertext, iv, tag } = ask(&self.key, scheme, plaintext, backend, deadline)?;
            if iv.len() != message.iv_len {
                let text =
                    format!("the HSM made an IV of {} bytes, the caller wants {}", iv.len(), message.iv_len);
                return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, text));
            }
            sealed = Some((iv, exact(tag, tag_bits / 8)?));
            Ok(Output::bytes(exact(ciphertext, plaintext.len())?))
        })?;
        let (iv, tag) = sealed.unwrap_or_default();
        Ok(Sealed { ciphertext, iv, tag })
    }
}

/// A sealed message; without IV and tag when only the length was asked for.
pub struct Sealed {
    /// The ciphertext, or its length.
    pub ciphertext: Output,
    /// The IV that the HSM chose.
    pub iv: Vec<u8>,
    /// The tag.
    pub tag: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_must_not_start_over() {
        let near_the_end = [0xff; AES_BLOCK];
        assert!(counts_to_the_end(128, near_the_end, 64));
        assert!(counts_to_the_end(32, near_the_end, 16));
        assert!(!counts_to_the_end(32, near_the_end, 17));
        assert!(counts_to_the_end(32, [0; AES_BLOCK], 1 << 20));
    }
}
