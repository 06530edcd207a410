//! Codecs: how values are written in requests, and how they are read in answers.

use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::general_purpose::{self, GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, Engine};
use zeroize::Zeroizing;

use crate::config::nearest;
use crate::crypto::digest::Hash;
use crate::crypto::encode;
use crate::crypto::public_key::PublicKey;
use crate::discreet;

/// Bytes that may be a caller's.
pub(super) type Held = Zeroizing<Vec<u8>>;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bytes,
    Number,
    Boolean,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Number => "a number",
            Self::Boolean => "true or false",
        }
    }
}

/// A codec of requests.
#[derive(Clone, Copy)]
pub(super) enum Writing {
    Base64(&'static GeneralPurpose),
    Hex {
        upper: bool,
    },
    Text,
    /// Changes nothing: the place it stands in lets `/` be.
    Path,
    /// Changes nothing either: what is known to be a number stands as one.
    Number,
    Not,
    DigestInfo(Hash),
}

impl Writing {
    /// The codec of this name; `hash` is that of the mechanism.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub(super) fn parse(name: &str, hash: Option<Hash>) -> Result<Self, (String, String)> {
        const KNOWN: [&str; 11] = [
            "base64",
            "base64-nopad",
            "base64url",
            "base64url-pad",
            "hex",
            "hex-upper",
            "text",
            "path",
            "number",
            "not",
            "digest-info",
        ];
        Ok(match name {
            "base64" => Self::Base64(&general_purpose::STANDARD),
            "base64-nopad" => Self::Base64(&general_purpose::STANDARD_NO_PAD),
            "base64url" => Self::Base64(&general_purpose::URL_SAFE_NO_PAD),
            "base64url-pad" => Self::Base64(&general_purpose::URL_SAFE),
            "hex" => Self::Hex { upper: false },
            "hex-upper" => Self::Hex { upper: true },
            "text" => Self::Text,
            "path" => Self::Path,
            "number" => Self::Number,
            "not" => Self::Not,
            "digest-info" => Self::DigestInfo(hash.ok_or_else(|| {
                let remedy = "take it out, or name a mechanism such as CKM_SHA256_RSA_PKCS";
                ("digest-info needs a digest whose hash the mechanism names".to_owned(), remedy.to_owned())
            })?),
            _ => return Err(unknown(name, "requests", &KNOWN)),
        })
    }

    /// What it makes of a value of this kind; `None` where it takes none.
    pub(super) fn makes(self, of: Kind) -> Option<Kind> {
        match (self, of) {
            (Self::Base64(_) | Self::Hex { .. }, Kind::Text | Kind::Bytes) => Some(Kind::Text),
            (Self::Text, Kind::Text | Kind::Number | Kind::Boolean) | (Self::Path, Kind::Text) => {
                Some(Kind::Text)
            }
            (Self::Number, Kind::Text) => Some(Kind::Number),
            (Self::Not, Kind::Boolean) => Some(Kind::Boolean),
            (Self::DigestInfo(_), Kind::Bytes) => Some(Kind::Bytes),
            _ => None,
        }
    }

    pub(super) fn write(self, value: &[u8]) -> Held {
        match self {
            Self::Base64(engine) => {
                let mut text = Zeroizing::new(vec![0; value.len().div_ceil(3) * 4]);
                let written = engine.encode_slice(value, &mut text);
                debug_assert!(written.is_ok(), "there is room");
                text.truncate(written.unwrap_or(0));
                text
            }
            Self::Hex { upper } => {
                let digits: &[u8; 16] = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
                let digit = |nibble: u8| digits.get(usize::from(nibble)).copied().unwrap_or_default();
                let mut text = Zeroizing::new(Vec::with_capacity(2 * value.len()));
                text.extend(value.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
                text
            }
            Self::Text | Self::Path | Self::Number => Zeroizing::new(value.to_vec()),
            Self::Not => {
                let turned: &[u8] = if value == b"true" { b"false" } else { b"true" };
                Zeroizing::new(turned.to_vec())
            }
            Self::DigestInfo(hash) => Zeroizing::new(encode::digest_info(hash, value)),
        }
    }
}

/// A codec of answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// A prefix in parts, between which there are digits.
    StripPrefix(Vec<String>),
    Trim,
    Base64 {
        url: bool,
    },
    Hex,
    Text,
    Pem,
    /// Negative ones from the end.
    Slice(isize, Option<isize>),
    DerToRaw,
    RawEd25519,
}

impl Reading {
    /// The codec of this name, with what is in parentheses behind it.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub(super) fn parse(text: &str) -> Result<Self, (String, String)> {
        const KNOWN: [&str; 10] = [
            "strip-prefix",
            "trim",
            "base64",
            "base64url",
            "hex",
            "text",
            "pem",
            "slice",
            "der-to-raw",
            "raw-ed25519",
        ];
        let (name, inner) = match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
            Some((name, inner)) => (name, Some(inner)),
            None => (text, None),
        };
        Ok(match (name, inner) {
            ("strip-prefix", Some(prefix)) if !prefix.is_empty() => {
                Self::StripPrefix(prefix.split('*').map(str::to_owned).collect())
            }
            ("strip-prefix", _) => {
                let remedy = "write strip-prefix(P) with the prefix".to_owned();
                return Err(("strip-prefix has no prefix".to_owned(), remedy));
            }
            ("slice", Some(bounds)) => slice(bounds).ok_or_else(|| not_a_slice(text))?,
            ("slice", None) => return Err(not_a_slice(text)),
            ("trim", None) => Self::Trim,
            ("base64", None) => Self::Base64 { url: false },
            ("base64url", None) => Self::Base64 { url: true },
            ("hex", None) => Self::Hex,
            ("text", None) => Self::Text,
            ("pem", None) => Self::Pem,
            ("der-to-raw", None) => Self::DerToRaw,
            ("raw-ed25519", None) => Self::RawEd25519,
            _ => return Err(unknown(text, "results", &KNOWN)),
        })
    }

    /// Its name, for messages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::StripPrefix(_) => "strip-prefix",
            Self::Trim => "trim",
            Self::Base64 { url: false } => "base64",
            Self::Base64 { url: true } => "base64url",
            Self::Hex => "hex",
            Self::Text => "text",
            Self::Pem => "pem",
            Self::Slice(..) => "slice",
            Self::DerToRaw => "der-to-raw",
            Self::RawEd25519 => "raw-ed25519",
        }
    }

    /// What it makes of a value of this kind; `None` where it takes none. Bytes that should be text are looked at when
    /// they come.
    pub(super) fn makes(&self, of: Kind) -> Option<Kind> {
        match self {
            Self::StripPrefix(_) | Self::Trim => Some(Kind::Text),
            Self::Base64 { .. } | Self::Hex | Self::Text | Self::Pem => Some(Kind::Bytes),
            Self::Slice(..) | Self::DerToRaw | Self::RawEd25519 => (of == Kind::Bytes).then_some(of),
        }
    }

    /// `width`: bytes of the order of the curve, if an ECDSA signature is read.
    pub(super) fn read(&self, value: Held, width: Option<usize>) -> Option<Held> {
        let text = || std::str::from_utf8(&value).ok();
        Some(match self {
            Self::StripPrefix(parts) => held(without_prefix(text()?, parts)?.as_bytes()),
            Self::Trim => held(text()?.trim().as_bytes()),
            Self::Base64 { url } => {
                let engine = if *url { &TOLERANT_URL } else { &TOLERANT };
                Zeroizing::new(engine.decode(&*value).ok()?)
            }
            Self::Hex => unhex(&value)?,
            Self::Text => value,
            Self::Pem => pem(text()?)?,
            Self::Slice(from, to) => held(value.get(bounds(*from, *to, value.len())?)?),
            Self::DerToRaw => match width {
                Some(width) => Zeroizing::new(encode::ecdsa_der_to_raw(&value, width).ok()?),
                None => value,
            },
            Self::RawEd25519 => held(PublicKey::from_ed25519(&value).ok()?.spki()),
        })
    }
}

const fn tolerant(alphabet: &Alphabet) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(alphabet, config)
}

const TOLERANT: GeneralPurpose = tolerant(&STANDARD);
const TOLERANT_URL: GeneralPurpose = tolerant(&URL_SAFE);

pub(super) fn held(bytes: &[u8]) -> Held {
    let mut held = Zeroizing::default();
    discreet::append(&mut held, bytes);
    held
}

fn unknown(name: &str, of: &str, known: &[&str]) -> (String, String) {
    let remedy = match nearest(name, known) {
        Some(near) => format!("write {near}"),
        None => format!("there are {}", known.join(", ")),
    };
    (format!("\"{name}\" is not a codec of {of}"), remedy)
}

fn not_a_slice(text: &str) -> (String, String) {
    (format!("\"{text}\" is not a slice"), "write slice(0,12), slice(12,-16) or slice(-16)".to_owned())
}

fn slice(bounds: &str) -> Option<Reading> {
    let number = |text: &str| text.trim().parse::<isize>().ok();
    Some(match bounds.split_once(',') {
        Some((from, to)) => Reading::Slice(number(from)?, Some(number(to)?)),
        None => Reading::Slice(number(bounds)?, None),
    })
}

fn bounds(from: isize, to: Option<isize>, length: usize) -> Option<std::ops::Range<usize>> {
    let place = |at: isize| match at {
        0.. => usize::try_from(at).ok(),
        _ => length.checked_sub(at.unsigned_abs()),
    };
    let (from, to) = (place(from)?, to.map_or(Some(length), place)?);
    (from <= to).then_some(from..to)
}

fn without_prefix<'t>(text: &'t str, parts: &[String]) -> Option<&'t str> {
    let (first, rest) = parts.split_first()?;
    rest.iter().try_fold(text.strip_prefix(first.as_str())?, |text, part| {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, text) = text.split_at(digits);
        (!digits.is_empty()).then_some(())?;
        text.strip_prefix(part.as_str())
    })
}

fn unhex(text: &[u8]) -> Option<Held> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(pairs.len()));
    for [high, low] in pairs {
        bytes.push(digit(*high)? << 4 | digit(*low)?);
    }
    Some(bytes)
}

/// The first block with a public key or a certificate, whichever it is.
fn pem(text: &str) -> Option<Held> {
    let block = |label: &str| encode::parse_pem(text, label).ok()?.into_iter().next();
    block("PUBLIC KEY").or_else(|| block("CERTIFICATE")).map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(codec: &str, value: &[u8]) -> String {
        let codec = Writing::parse(codec, Some(Hash::Sha256)).unwrap();
        String::from_utf8(codec.write(value).to_vec()).unwrap()
    }

    fn read_as(codec: &str, value: &[u8]) -> Option<Vec<u8>> {
        Reading::parse(codec).unwrap().read(held(value), None).map(|held| held.to_vec())
    }

    /// RFC 4648 section 10, and the two characters in which the alphabets differ (section 5).
    #[test]
    fn writing_by_rfc_4648() {
        for (codec, value, expected) in [
            ("base64", &b"foob"[..], "Zm9vYg=="),
            ("base64-nopad", b"foob", "Zm9vYg"),
            ("base64url", b"\xfb\xff\xfe", "-__-"),
            ("base64", b"\xfb\xff\xfe", "+//+"),
            ("base64url-pad", b"foob", "Zm9vYg=="),
            ("base64url", b"foob", "Zm9vYg"),
            ("base64", b"", ""),
            ("hex", b"foob\xff", "666f6f62ff"),
            ("hex-upper", b"foob\xff", "666F6F62FF"),
            ("text", b"x", "x"),
        ] {
            assert_eq!(written(codec, value), expected, "{codec}");
        }
    }

    #[test]
    fn reading_by_rfc_4648() {
        for (codec, value, expected) in [
            ("base64", "Zm9vYg==", Some(&b"foob"[..])),
            ("base64", "Zm9vYg", Some(b"foob")),
            ("base64", "-__-", None),
            ("base64url", "-__-", Some(b"\xfb\xff\xfe")),
            ("base64url", "Zm9vYg==", Some(b"foob")),
            ("base64", "Zm9v Yg==", None),
            ("hex", "666F6f62fF", Some(b"foob\xff")),
            ("hex", "666", None),
            ("hex", "6g", None),
            ("text", "é", Some("é".as_bytes())),
            ("trim", " a b\r\n", Some(b"a b")),
            ("strip-prefix(vault:v*:)", "vault:v12:QQ==", Some(b"QQ==")),
            ("strip-prefix(vault:v*:)", "vault:v:QQ==", None),
            ("strip-prefix(vault:v*:)", "vault:1:QQ==", None),
            ("strip-prefix(a)", "aab", Some(b"ab")),
        ] {
            assert_eq!(read_as(codec, value.as_bytes()).as_deref(), expected, "{codec} {value}");
        }
        assert_eq!(read_as("trim", b"\xff"), None);
    }

    #[test]
    fn slices_count_from_both_ends() {
        for (codec, expected) in [
            ("slice(0,2)", Some(&b"ab"[..])),
            ("slice(2,-1)", Some(b"cd")),
            ("slice(-2)", Some(b"de")),
            ("slice(1)", Some(b"bcde")),
            ("slice(5)", Some(b"")),
            ("slice(0,6)", None),
            ("slice(-6)", None),
            ("slice(3,2)", None),
            ("slice(4,-4)", None),
        ] {
            assert_eq!(read_as(codec, b"abcde").as_deref(), expected, "{codec}");
        }
        for wrong in ["slice", "slice()", "slice(a)", "slice(1,2,3)", "strip-prefix()", "hex(1)", "der"] {
            assert!(Reading::parse(wrong).is_err(), "{wrong}");
        }
    }

    /// RFC 8410 section 10.1.
    #[test]
    fn pem_and_the_raw_form_of_ed25519() {
        const PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
            MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        let spki = read_as("pem", PEM.as_bytes()).unwrap();
        assert_eq!(spki.len(), 44);
        assert_eq!(read_as("raw-ed25519", &spki[12..]), Some(spki.clone()));
        assert_eq!(read_as("raw-ed25519", &spki[13..]), None);
        assert_eq!(read_as("pem", b"MCow"), None);
    }

    /// RFC 8017 section 9.2 note 1.
    #[test]
    fn digest_info() {
        let info = Writing::parse("digest-info", Some(Hash::Sha256)).unwrap().write(&[7; 32]);
        assert_eq!((info.len(), &info[..4], &info[19..]), (51, &[0x30, 0x31, 0x30, 0x0d][..], &[7; 32][..]));
        assert!(Writing::parse("digest-info", None).is_err());
    }

    #[test]
    fn signatures_lose_their_der_if_they_are_of_ecdsa() {
        let der = [0x30, 6, 2, 1, 5, 2, 1, 9];
        let read = |value: &[u8], width| Reading::DerToRaw.read(held(value), width).map(|held| held.to_vec());
        assert_eq!(read(&der, Some(2)), Some(vec![0, 5, 0, 9]));
        assert_eq!(read(&[0, 5, 0, 9], Some(2)), None);
        assert_eq!(read(b"any", None), Some(b"any".to_vec()));
    }
}
