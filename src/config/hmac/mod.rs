//! `[slot.auth.hmac]`: how requests are signed with a shared secret (gateway reference section 5).
//!
//! A [`Scheme`] is data alone: what is signed, by which function, and which header lines carry it. A preset has all of
//! it, and each key of the table replaces one part.

use std::time::Duration;

use base64::engine::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::Secret;
use crate::crypto::encode;

mod check;
mod presets;
mod read;
mod template;

pub(super) use read::read;
pub use template::{Part, Template, Token};

/// How the requests of a slot are signed.
#[derive(Debug)]
pub struct Hmac {
    /// What is signed, how, and what carries it.
    pub scheme: Scheme,
    /// The name of the secret; empty where the scheme shows none.
    pub key_id: String,
    /// What both sides know.
    pub secret: Secret,
    /// Whether token calls are signed, too.
    pub sign_token_calls: bool,
}

/// A way of signing requests.
#[derive(Clone, Debug)]
pub struct Scheme {
    /// The label of the version.
    pub version: String,
    /// What is signed: the fields.
    pub template: Vec<Template>,
    /// What stands between them.
    pub join: String,
    /// Whether it stands behind the last one, too.
    pub trailing_join: bool,
    /// What the secret does to that.
    pub mac: MacMode,
    /// By which hash function.
    pub hash: Digest,
    /// How the secret is written.
    pub secret_encoding: SecretEncoding,
    /// What is made of secret and text first.
    pub derivation: Derivation,
    /// How the signature is written.
    pub output: Encoding,
    /// The hash of the body; `None`: there is none.
    pub body_hash: Option<Digest>,
    /// How it is written.
    pub body_hash_encoding: Encoding,
    /// What of the body is hashed.
    pub body_hash_template: Template,
    /// What the hash is where there is no body.
    pub empty_body: EmptyBody,
    /// How the query is signed.
    pub query: QueryMode,
    /// What the gateway takes off the front of a path.
    pub path_prefix_strip: String,
    /// How the time is written.
    pub timestamp: TimeFormat,
    /// What a nonce looks like.
    pub nonce: NonceFormat,
    /// The lines that a request gets, in their order.
    pub headers: Vec<(String, Template)>,
    /// The names of header lines, or of components, that are signed, in their order.
    pub signed_headers: Vec<String>,
    /// More values, by their names.
    pub parameters: Vec<(String, String)>,
    /// How answers are signed; `None`: they are not looked at.
    pub answer: Option<AnswerScheme>,
    /// What the server's clock and ours may be apart.
    pub clock_skew: Duration,
    /// The header of an answer that has the server's time, in lower case.
    pub server_time_header: String,
    /// Words in a refusal that say that the time is too far off, in lower case.
    pub clock_words: Vec<String>,
    /// Words in a 401 that say that the nonce was seen before, in lower case.
    pub replay_words: Vec<String>,
}

/// How answers are signed: with the secret, hash and writing of the request.
#[derive(Clone, Debug)]
pub struct AnswerScheme {
    /// What is signed: the fields, joined as those of a request.
    pub template: Vec<Template>,
    /// The header with the signature, in lower case.
    pub header: String,
    /// The attribute of that header which is the signature; `None`: all of it is.
    pub attribute: Option<String>,
    /// The header with the time of the answer, in lower case; `None`: its time is not looked at.
    pub time_header: Option<String>,
}

/// What the secret does to a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacMode {
    /// HMAC (RFC 2104).
    Hmac,
    /// HMAC of the text with the secret behind it.
    HmacSuffix,
    /// The hash of the text with the secret behind it.
    DigestSuffix,
    /// The hash of the text with the secret before it, which whoever sees one can make longer.
    DigestPrefix,
}

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Digest {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// How a secret is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretEncoding {
    /// Its letters are its bytes.
    Utf8,
    /// RFC 4648 section 4.
    Base64,
    /// RFC 4648 section 5, padded or not.
    Base64Url,
    /// Pairs of digits.
    Hex,
}

/// What is made of secret and text before the one signs the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derivation {
    /// Nothing.
    None,
    /// AWS Signature Version 4.
    SigV4,
}

/// How bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Encoding {
    Hex,
    UpperHex,
    Base64,
    Base64UrlUnpadded,
}

/// What the hash of no body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyBody {
    /// That of no bytes.
    Hash,
    /// Nothing.
    Empty,
    /// Nothing, and a field with it alone is left out.
    OmitLine,
}

/// How a query is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryMode {
    /// As sent.
    Raw,
    /// By name, then value, percent-encoded as strictly as can be.
    Sorted,
    /// Not.
    Dropped,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// Seconds since 1970.
    Unix,
    /// Milliseconds since 1970.
    UnixMillis,
    /// `2026-01-02T03:04:05Z`
    Iso,
    /// `20260102T030405Z`
    IsoBasic,
    /// `Fri, 02 Jan 2026 03:04:05 GMT`
    HttpDate,
}

/// What a nonce looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceFormat {
    /// A random UUID.
    Uuid,
    /// The same without dashes.
    UuidPlain,
    /// 16 random bytes in hexadecimal.
    Hex,
    /// 16 random bytes in base64.
    Base64,
    /// A number that grows, also from one process to the next.
    Counter,
    /// There is none.
    None,
}

impl SecretEncoding {
    /// The bytes that a secret stands for; `None`: it is not written so.
    pub fn decode(self, secret: &str) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = match self {
            Self::Utf8 => Some(secret.as_bytes().to_vec()),
            Self::Base64 => STANDARD.decode(secret).ok(),
            Self::Base64Url => match secret.trim_end_matches('=').len() {
                length if length == secret.len() => URL_SAFE_NO_PAD.decode(secret).ok(),
                _ => URL_SAFE.decode(secret).ok(),
            },
            Self::Hex => encode::from_hex(secret),
        };
        bytes.map(Zeroizing::new).filter(|bytes| !bytes.is_empty())
    }

    /// For messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
            Self::Hex => "hexadecimal",
        }
    }
}

impl Scheme {
    /// All that a request shows or signs.
    fn templates(&self) -> impl Iterator<Item = &Template> {
        let headers = self.headers.iter().map(|(_, template)| template);
        self.template.iter().chain(headers).chain([&self.body_hash_template])
    }

    /// Whether a request shows or signs a time.
    pub fn has_time(&self) -> bool {
        let is_time = |token: &Token| matches!(token, Token::Timestamp | Token::Date | Token::Scope);
        self.derivation == Derivation::SigV4
            || self.templates().any(|template| template.tokens().any(is_time))
    }

    /// Whether a request has a line of this name because of the signature.
    pub fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }
}
