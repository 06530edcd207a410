//! The tables of algorithms: which mechanism is which request.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::answer::Found;
use super::description::{Context, DECRYPT, ENCRYPT, SIGN};
use super::reader::{Node, Read, Section};
use super::request::{Call, Usual};
use super::template::{Constant, Source};
use crate::backend::types::{DecryptScheme, EncryptScheme, SignInput, SignScheme};
use crate::config::document;
use crate::crypto::digest::Hash;

/// The longest message that a description may ask for, in bytes.
pub(super) const MOST: u32 = 64 << 20;

/// Bytes of the IV of GCM: what services have.
const IV_LENGTH: usize = 12;

pub(super) const HASHES: [(&str, Hash); 5] = [
    ("sha1", Hash::Sha1),
    ("sha224", Hash::Sha224),
    ("sha256", Hash::Sha256),
    ("sha384", Hash::Sha384),
    ("sha512", Hash::Sha512),
];

/// What a row of `[sign]` makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signature {
    RsaPkcs1(Option<Hash>),
    RsaPss(Hash),
    Ecdsa(Option<Hash>),
    EdDsa,
}

impl Signature {
    fn parse(name: &str) -> Option<Self> {
        let hash = |name: &str| {
            let bits = name.strip_prefix("SHA")?;
            HASHES.iter().find(|(known, _)| known.strip_prefix("sha") == Some(bits)).map(|(_, hash)| *hash)
        };
        let name = name.strip_prefix("CKM_")?;
        Some(match name {
            "RSA_PKCS" => Self::RsaPkcs1(None),
            "ECDSA" => Self::Ecdsa(None),
            "EDDSA" => Self::EdDsa,
            _ => match (name.strip_suffix("_RSA_PKCS"), name.strip_suffix("_RSA_PKCS_PSS")) {
                (Some(name), _) => Self::RsaPkcs1(Some(hash(name)?)),
                (_, Some(name)) => Self::RsaPss(hash(name)?),
                (None, None) => Self::Ecdsa(Some(hash(name.strip_prefix("ECDSA_")?)?)),
            },
        })
    }

    fn hash(self) -> Option<Hash> {
        match self {
            Self::RsaPkcs1(hash) | Self::Ecdsa(hash) => hash,
            Self::RsaPss(hash) => Some(hash),
            Self::EdDsa => None,
        }
    }
}

/// One mechanism that signs.
pub(super) struct SignRow {
    makes: Signature,
    pub(super) input: SignInput,
    pub(super) call: Call,
    pub(super) signature: Arc<Found>,
}

/// The rows of `[sign]`.
#[derive(Default)]
pub(super) struct SignTable(Vec<SignRow>);

impl SignTable {
    pub(super) fn read(section: &Section<'_>, context: &Context<'_>) -> Read<Self> {
        let signature = section.read("signature", Found::bytes)?.map(Arc::new);
        let mut rows: Vec<SignRow> = Vec::new();
        for row in algorithms(section, &["mechanism", "input", "limit", "with", "signature"])? {
            let makes = row.need("mechanism", MECHANISM, |node| mechanism(node, "sign", Signature::parse))?;
            if rows.iter().any(|other| other.makes == makes) {
                return Err(twice(&row));
            }
            let input = input(&row, makes, context)?;
            let own = row.read("signature", Found::bytes)?.map(Arc::new);
            let signature = own.or_else(|| signature.clone());
            let signature = signature
                .ok_or_else(|| section.missing("signature", "write signature = \"/signature|base64\""))?;
            let hash = if input == SignInput::Digest { makes.hash() } else { None };
            let call = call(section, context, &row, &SIGN, hash, Usual::SIGNING)?;
            rows.push(SignRow { makes, input, call, signature });
        }
        Ok(Self(rows))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.0.iter().map(|row| &row.call)
    }

    fn row(&self, makes: Signature) -> Option<&SignRow> {
        self.0.iter().find(|row| row.makes == makes)
    }

    fn digests(&self) -> impl Iterator<Item = &SignRow> {
        self.0.iter().filter(|row| row.input == SignInput::Digest)
    }

    /// The row for a scheme with a digest of so many bytes; without a length, for any that may come.
    pub(super) fn find(&self, scheme: SignScheme, length: Option<usize>) -> Option<&SignRow> {
        match scheme {
            SignScheme::RsaPkcs1(hash) => self.row(Signature::RsaPkcs1(hash)),
            SignScheme::RsaPss(hash) => self.row(Signature::RsaPss(hash)),
            SignScheme::EdDsa => self.row(Signature::EdDsa),
            SignScheme::Ecdsa { hash: Some(hash), .. } => {
                self.row(Signature::Ecdsa(Some(hash))).or_else(|| self.row(Signature::Ecdsa(None)))
            }
            SignScheme::Ecdsa { hash: None, .. } => {
                let fits = |hash: Hash| length.is_none_or(|length| hash.len() == length);
                let of_length =
                    |row: &&SignRow| matches!(row.makes, Signature::Ecdsa(Some(hash)) if fits(hash));
                self.digests().find(of_length).or_else(|| self.row(Signature::Ecdsa(None)))
            }
            SignScheme::Hmac(_) => None,
        }
    }

    /// What is to be brought for a scheme.
    pub(super) fn input(&self, scheme: SignScheme) -> Option<SignInput> {
        let found = self.find(scheme, None).map(|row| row.input);
        // A DigestInfo is one of the digests that are signed, or none.
        let is_digest = |row: &SignRow| matches!(row.makes, Signature::RsaPkcs1(_));
        match scheme {
            SignScheme::RsaPkcs1(None) if self.digests().any(is_digest) => Some(SignInput::Digest),
            _ => found,
        }
    }
}

fn input(row: &Section<'_>, makes: Signature, context: &Context<'_>) -> Read<SignInput> {
    let is_message = row.read("input", |node| node.word(&[("digest", false), ("message", true)]))?;
    let limit = row.read("limit", |node| node.count(1, MOST))?;
    let is_message = makes == Signature::EdDsa || is_message.unwrap_or(false);
    if !is_message {
        return match row.get("limit") {
            Some(node) => Err(node.fault("is for input = \"message\"", "take it out")),
            None => Ok(SignInput::Digest),
        };
    }
    if let (None, Some(node)) = (makes.hash(), row.get("input").filter(|_| makes != Signature::EdDsa)) {
        return Err(node.fault("needs a mechanism that names a hash", "write input = \"digest\""));
    }
    Ok(SignInput::Message { hash: makes.hash(), limit: limit.unwrap_or(context.payload_limit) })
}

/// What a row of `[decrypt]` or `[encrypt]` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cipher {
    RsaPkcs1,
    RsaOaep(Hash),
    AesEcb,
    AesCbc,
    AesCtr,
    AesGcm,
}

impl Cipher {
    fn of_decryption(scheme: &DecryptScheme<'_>) -> Option<Self> {
        Some(match scheme {
            DecryptScheme::RsaPkcs1 => Self::RsaPkcs1,
            DecryptScheme::RsaOaep(hash) => Self::RsaOaep(*hash),
            DecryptScheme::AesEcb => Self::AesEcb,
            DecryptScheme::AesCbc { .. } => Self::AesCbc,
            DecryptScheme::AesCtr { .. } => Self::AesCtr,
            DecryptScheme::AesGcm { .. } => Self::AesGcm,
            DecryptScheme::Jwe => return None,
        })
    }
}

/// The rows of `[decrypt]`.
#[derive(Default)]
pub(super) struct DecryptTable {
    rows: Vec<(Cipher, Call)>,
    pub(super) plaintext: Option<Found>,
}

impl DecryptTable {
    pub(super) fn read(section: &Section<'_>, context: &Context<'_>) -> Read<Self> {
        let plaintext = section.need("plaintext", "write plaintext = \"/plaintext|base64\"", Found::bytes)?;
        let mut rows: Vec<(Cipher, Call)> = Vec::new();
        for row in algorithms(section, &["mechanism", "hash", "with"])? {
            let cipher = row.need("mechanism", MECHANISM, |node| mechanism(node, "decrypt", decryption))?;
            let hash = row.read("hash", |node| node.word(&HASHES))?;
            let cipher = match (cipher, hash) {
                (Cipher::RsaOaep(_), Some(hash)) => Cipher::RsaOaep(hash),
                (Cipher::RsaOaep(_), None) => return Err(row.missing("hash", "write hash = \"sha256\"")),
                (_, Some(_)) => return Err(row.fault("hash is for CKM_RSA_PKCS_OAEP", "take it out")),
                (cipher, None) => cipher,
            };
            if rows.iter().any(|(other, _)| *other == cipher) {
                return Err(twice(&row));
            }
            rows.push((cipher, call(section, context, &row, &DECRYPT, None, Usual::READING)?));
        }
        Ok(Self { rows, plaintext: Some(plaintext) })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.rows.iter().map(|(_, call)| call)
    }

    pub(super) fn find(&self, scheme: &DecryptScheme<'_>) -> Option<&Call> {
        let cipher = Cipher::of_decryption(scheme)?;
        let call = self.rows.iter().find(|(other, _)| *other == cipher).map(|(_, call)| call);
        match scheme {
            DecryptScheme::AesGcm { iv, tag_bits, .. } => {
                call.filter(|call| iv.len() == IV_LENGTH && has_tag(call, *tag_bits))
            }
            _ => call,
        }
    }
}

/// The rows of `[encrypt]`.
#[derive(Default)]
pub(super) struct EncryptTable {
    rows: Vec<(Cipher, Call)>,
    pub(super) ciphertext: Option<Found>,
    pub(super) iv: Option<Found>,
    pub(super) tag: Option<Found>,
}

impl EncryptTable {
    pub(super) fn read(section: &Section<'_>, context: &Context<'_>) -> Read<Self> {
        let ciphertext =
            section.need("ciphertext", "write ciphertext = \"/ciphertext|base64\"", Found::bytes)?;
        let iv = section.read("iv", Found::bytes)?;
        let tag = section.read("tag", Found::bytes)?;
        let mut rows: Vec<(Cipher, Call)> = Vec::new();
        for row in algorithms(section, &["mechanism", "with"])? {
            let parse = |name: &str| match name {
                "CKM_AES_ECB" => Some(Cipher::AesEcb),
                "CKM_AES_GCM" => Some(Cipher::AesGcm),
                _ => None,
            };
            let cipher = row.need("mechanism", MECHANISM, |node| mechanism(node, "encrypt", parse))?;
            if rows.iter().any(|(other, _)| *other == cipher) {
                return Err(twice(&row));
            }
            if cipher == Cipher::AesGcm {
                let there = [("iv", iv.is_some()), ("tag", tag.is_some())];
                if let Some((name, _)) = there.into_iter().find(|(_, there)| !there) {
                    return Err(section.missing(name, "write where it stands in the answer, for CKM_AES_GCM"));
                }
            }
            rows.push((cipher, call(section, context, &row, &ENCRYPT, None, Usual::READING)?));
        }
        Ok(Self { rows, ciphertext: Some(ciphertext), iv, tag })
    }

    pub(super) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.rows.iter().map(|(_, call)| call)
    }

    /// A call with the caller's IV has to show it; one without lets the service choose.
    pub(super) fn find(&self, scheme: &EncryptScheme<'_>) -> Option<&Call> {
        let row = |cipher| self.rows.iter().find(|(other, _)| *other == cipher).map(|(_, call)| call);
        match scheme {
            EncryptScheme::AesEcb => row(Cipher::AesEcb),
            EncryptScheme::AesGcm { iv, tag_bits, .. } => row(Cipher::AesGcm).filter(|call| {
                let takes_iv = match iv {
                    Some(iv) => iv.len() == IV_LENGTH && call.has(Source::Iv),
                    None => !call.needs(Source::Iv),
                };
                takes_iv && has_tag(call, *tag_bits)
            }),
        }
    }
}

/// A tag is 16 bytes long unless the service is told.
fn has_tag(call: &Call, bits: usize) -> bool {
    bits == 128 || call.has(Source::TagBits)
}

pub(super) const MECHANISM: &str = "write mechanism = \"CKM_…\"";

fn decryption(name: &str) -> Option<Cipher> {
    Some(match name {
        "CKM_RSA_PKCS" => Cipher::RsaPkcs1,
        // The row names its hash.
        "CKM_RSA_PKCS_OAEP" => Cipher::RsaOaep(Hash::Sha1),
        "CKM_AES_ECB" => Cipher::AesEcb,
        "CKM_AES_CBC" => Cipher::AesCbc,
        "CKM_AES_CTR" => Cipher::AesCtr,
        "CKM_AES_GCM" => Cipher::AesGcm,
        _ => return None,
    })
}

/// The rows of a call, of which there is one at least.
pub(super) fn algorithms<'a>(section: &Section<'a>, known: &[&str]) -> Read<Vec<Section<'a>>> {
    let rows = section.tables("algorithm", known)?;
    let remedy = format!("write [[{}.algorithm]]", section.key);
    if rows.is_empty() { Err(section.missing("algorithm", &remedy)) } else { Ok(rows) }
}

pub(super) fn mechanism<T>(node: &Node<'_>, call: &str, parse: impl Fn(&str) -> Option<T>) -> Read<T> {
    let name = node.text()?;
    parse(name).ok_or_else(|| {
        let what = format!("\"{name}\" is not one that can be declared for {call}");
        node.fault(what, "write one of docs/declared.md")
    })
}

fn twice(row: &Section<'_>) -> super::reader::Fault {
    let fault = |node: Node<'_>| node.fault("is there twice", "take one of the rows out");
    row.get("mechanism").map_or_else(|| row.fault("is there twice", "take it out"), fault)
}

/// The call with the words of one row.
pub(super) fn call(
    section: &Section<'_>,
    context: &Context<'_>,
    row: &Section<'_>,
    sources: &[Source],
    hash: Option<Hash>,
    usual: Usual,
) -> Read<Call> {
    let with = with(row)?;
    let scope = context.scope(sources, Some(&with), hash);
    Call::read(section, &scope, usual, &context.taken)
}

/// What the service calls the algorithm.
fn with(row: &Section<'_>) -> Read<BTreeMap<String, Constant>> {
    let Some(node) = row.get("with") else { return Ok(BTreeMap::new()) };
    let constant = |(name, node): (&str, Node<'_>)| {
        let value = match node.value() {
            document::Value::Text(text) => Constant::Text(text.to_string()),
            document::Value::Integer(number) => Constant::Number(*number),
            document::Value::Boolean(value) => Constant::Boolean(*value),
            _ => return Err(node.fault("is no text, number or boolean", "write one of them")),
        };
        Ok((name.to_owned(), value))
    };
    node.table()?.members().into_iter().map(constant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_mechanisms() {
        for (name, expected) in [
            ("CKM_RSA_PKCS", Some(Signature::RsaPkcs1(None))),
            ("CKM_SHA1_RSA_PKCS", Some(Signature::RsaPkcs1(Some(Hash::Sha1)))),
            ("CKM_SHA512_RSA_PKCS", Some(Signature::RsaPkcs1(Some(Hash::Sha512)))),
            ("CKM_SHA384_RSA_PKCS_PSS", Some(Signature::RsaPss(Hash::Sha384))),
            ("CKM_ECDSA", Some(Signature::Ecdsa(None))),
            ("CKM_ECDSA_SHA224", Some(Signature::Ecdsa(Some(Hash::Sha224)))),
            ("CKM_EDDSA", Some(Signature::EdDsa)),
            ("CKM_RSA_PKCS_PSS", None),
            ("CKM_SHA_1_RSA_PKCS", None),
            ("CKM_SHA999_RSA_PKCS", None),
            ("CKM_DSA", None),
            ("RSA_PKCS", None),
        ] {
            assert_eq!(Signature::parse(name), expected, "{name}");
        }
    }
}
