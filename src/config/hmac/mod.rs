//! `[slot.auth.hmac]`: how requests are signed with a shared secret (gateway reference section 5).
//!
//! A [`Scheme`] is data alone: what is signed, by which function, and which header lines carry it. A preset has all of
//! it, and each key of the table replaces one part.

use std::time::Duration;

use base64::engine::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use self::presets::{PRESETS, Preset};
use super::problem::{Fault, Problem};
use super::read::{Section, word};
use super::{Secret, auth};

mod presets;
mod template;

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
            Self::Hex => unhex(secret),
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

/// The bytes of pairs of digits.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2).map(|pair| match *pair {
        [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
        _ => None,
    });
    pairs.collect()
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

/// Those of the reference's verifier, of Hawk, and of AWS. Not "timestamp" alone: many a refusal has one.
const CLOCK_WORDS: &[&str] =
    &["timestamp_out_of_range", "timestamp out of range", "stale timestamp", "tooskewed", "clock skew"];

/// Reads the table.
pub(super) fn read(section: &Section<'_>) -> Result<Hmac, Problem> {
    let names: Vec<_> = PRESETS.iter().map(|(name, preset)| (*name, preset)).collect();
    let preset = section.text("preset", |_, text| word(text, &names))?.unwrap_or(&PRESETS[0].1);
    let scheme = scheme(section, preset)?;
    let secret = section.text("secret", |place, text| Secret::parse(place, text, section.source()))?;
    let secret = secret.unwrap_or_default();
    if let Secret::Literal(literal) = &secret
        && scheme.secret_encoding.decode(literal.expose_secret()).is_none()
    {
        let what = format!("is not {}, which the secret of this scheme is", scheme.secret_encoding.name());
        return Err(section.problem("secret", Fault::new(what, "write it so, or another secret_encoding")));
    }
    let key_id = section.text("key_id", |_, text| value(text))?;
    let sign_token_calls = section.boolean("sign_token_calls")?.unwrap_or(true);
    if scheme.templates().flat_map(Template::lasting).any(|token| *token == Token::KeyId) {
        section.required("key_id", key_id.as_ref(), "write key_id = \"the name of the secret\"")?;
    }
    check(section, &scheme)?;
    Ok(Hmac { scheme, key_id: key_id.unwrap_or_default(), secret, sign_token_calls })
}

/// The preset with what stands in the table instead.
fn scheme(section: &Section<'_>, preset: &Preset) -> Result<Scheme, Problem> {
    let header_name = |text: &str| auth::header_name(text).map(|name| name.to_ascii_lowercase());
    Ok(Scheme {
        version: section.text("version", |_, text| value(text))?.unwrap_or_else(|| preset.version.to_owned()),
        template: list(section, "template", preset.template, Template::of_text)?,
        join: section.text("join", |_, text| Ok(text.to_owned()))?.unwrap_or_else(|| preset.join.to_owned()),
        trailing_join: section.boolean("trailing_join")?.unwrap_or(preset.trailing_join),
        mac: choice(section, "mac_mode", MAC_MODES)?.unwrap_or(preset.mac),
        hash: choice(section, "hash", HASHES)?.unwrap_or(preset.hash),
        secret_encoding: choice(section, "secret_encoding", SECRETS)?.unwrap_or(preset.secret_encoding),
        derivation: choice(section, "key_derivation", DERIVATIONS)?.unwrap_or(preset.derivation),
        output: choice(section, "output", ENCODINGS)?.unwrap_or(preset.output),
        body_hash: choice(section, "body_hash", BODY_HASHES)?.unwrap_or(preset.body_hash),
        body_hash_encoding: choice(section, "body_hash_encoding", ENCODINGS)?
            .unwrap_or(preset.body_hash_encoding),
        body_hash_template: one(section, "body_hash_template", preset.body_hash_template)?,
        empty_body: choice(section, "empty_body", EMPTY_BODIES)?.unwrap_or(preset.empty_body),
        query: choice(section, "query_mode", QUERIES)?.unwrap_or(preset.query),
        path_prefix_strip: section.text("path_prefix_strip", |_, text| prefix(text))?.unwrap_or_default(),
        timestamp: choice(section, "timestamp_format", TIMES)?.unwrap_or(preset.timestamp),
        nonce: choice(section, "nonce_format", NONCES)?.unwrap_or(preset.nonce),
        headers: list(section, "headers", preset.headers, header)?,
        signed_headers: list(section, "signed_headers", preset.signed_headers, signed_name)?,
        parameters: parameters(section, preset)?,
        answer: answer(section, preset)?,
        clock_skew: section
            .duration("clock_skew", Duration::from_secs(1))?
            .unwrap_or(Duration::from_secs(preset.clock_skew)),
        server_time_header: section
            .text("server_time_header", |_, text| header_name(text))?
            .unwrap_or_else(|| "date".to_owned()),
        clock_words: section
            .list("clock_words", |_, text| Ok(text.to_lowercase()))?
            .unwrap_or_else(|| CLOCK_WORDS.iter().copied().map(str::to_owned).collect()),
        replay_words: section
            .list("replay_words", |_, text| Ok(text.to_lowercase()))?
            .unwrap_or_else(|| vec!["replay".to_owned()]),
    })
}

fn answer(section: &Section<'_>, preset: &Preset) -> Result<Option<AnswerScheme>, Problem> {
    let name = |text: &str| auth::header_name(text).map(|name| name.to_ascii_lowercase());
    let or = |given: Option<String>, usual: &str| given.or((!usual.is_empty()).then(|| usual.to_owned()));
    let optional = |text: &str| if text.is_empty() { Ok(String::new()) } else { name(text) };
    let template = list(section, "response_template", preset.answer.template, Template::of_text)?;
    let header = or(section.text("response_header", |_, text| name(text))?, preset.answer.header);
    let attribute =
        or(section.text("response_attribute", |_, text| optional(text))?, preset.answer.attribute);
    let time = or(section.text("response_time_header", |_, text| optional(text))?, preset.answer.time_header);
    if !section.boolean("response_verify")?.unwrap_or(preset.answer.on) {
        return Ok(None);
    }
    if template.is_empty() {
        let fault =
            Fault::new("is missing", "write response_template = [\"{nonce}\", \"{timestamp}\", \"{body}\"]");
        return Err(section.problem("response_template", fault));
    }
    let header =
        section.required("response_header", header, "write response_header = \"X-Response-Signature\"")?;
    let filled = |text: &String| !text.is_empty();
    Ok(Some(AnswerScheme {
        template,
        header,
        attribute: attribute.filter(filled),
        time_header: time.filter(filled),
    }))
}

fn parameters(section: &Section<'_>, preset: &Preset) -> Result<Vec<(String, String)>, Problem> {
    let given = section.list("parameters", |_, text| match text.split_once('=') {
        Some((name, text)) if !name.is_empty() && value(text).is_ok() => {
            Ok((name.to_owned(), text.to_owned()))
        }
        _ => Err(Fault::new(
            format!("\"{text}\" is not a parameter"),
            "write \"name=value\", in printable ASCII",
        )),
    })?;
    let mut parameters = given.unwrap_or_default();
    for (name, usual) in preset.parameters {
        if !parameters.iter().any(|(known, _)| known == name) {
            parameters.push(((*name).to_owned(), (*usual).to_owned()));
        }
    }
    Ok(parameters)
}

/// What goes together, and what does not.
fn check(section: &Section<'_>, scheme: &Scheme) -> Result<(), Problem> {
    let found = wrong_lines(scheme)
        .or_else(|| wrong_nonce(scheme))
        .or_else(|| wrong_hash(scheme))
        .or_else(|| wrong_answer(scheme))
        .or_else(|| wrong_parameters(scheme));
    found.map_or(Ok(()), |(key, fault)| Err(section.problem(key, fault)))
}

type Wrong = Option<(&'static str, Fault)>;

fn wrong(key: &'static str, what: &str, remedy: &str) -> Wrong {
    Some((key, Fault::new(what, remedy)))
}

/// What is signed, and what the other side has to see for it.
fn wrong_lines(scheme: &Scheme) -> Wrong {
    let carries = |token| scheme.headers.iter().any(|(_, template)| template.has(token));
    let signs = |token| scheme.template.iter().any(|field| field.has(token));
    if scheme.template.is_empty() {
        return wrong("template", "has no entry", "write what is signed: [\"{method}\", \"{path}\", …]");
    }
    if !carries(&Token::Signature) {
        return wrong("headers", "has no {signature}", "write \"X-Signature: {signature}\" among them");
    }
    if signs(&Token::Timestamp) && !carries(&Token::Timestamp) {
        let remedy = "write \"X-Timestamp: {timestamp}\" among them";
        return wrong("headers", "has no {timestamp}, which is signed", remedy);
    }
    if scheme.nonce != NonceFormat::None && signs(&Token::Nonce) && !carries(&Token::Nonce) {
        let remedy = "write \"X-Nonce: {nonce}\" among them, or nonce_format = \"none\"";
        return wrong("headers", "has no {nonce}, which is signed", remedy);
    }
    let of_answers = |token: &Token| matches!(token, Token::Status | Token::Attribute(_));
    if scheme.templates().any(|template| template.tokens().any(of_answers)) {
        let remedy = "write {status} and {attribute:…} in response_template alone";
        return wrong("template", "has what only answers have", remedy);
    }
    None
}

fn wrong_nonce(scheme: &Scheme) -> Wrong {
    let wanted = scheme.templates().flat_map(Template::lasting).any(|token| *token == Token::Nonce);
    if scheme.nonce == NonceFormat::None && wanted {
        return wrong("nonce_format", "is \"none\", and the {nonce} is wanted", "write another one");
    }
    None
}

fn wrong_hash(scheme: &Scheme) -> Wrong {
    if scheme.body_hash_template.has(&Token::BodyHash) {
        return wrong("body_hash_template", "hashes its own {body_hash}", "write {body} there");
    }
    if scheme.body_hash.is_none() && scheme.templates().any(|template| template.has(&Token::BodyHash)) {
        return wrong("body_hash", "is \"none\", and the {body_hash} is wanted", "write another one");
    }
    None
}

/// A signature that is good for any answer protects none.
fn wrong_answer(scheme: &Scheme) -> Wrong {
    let answer = scheme.answer.as_ref()?;
    let tokens = || answer.template.iter().flat_map(Template::tokens);
    let time = answer.time_header.as_ref().map(|name| Token::Header(name.clone()));
    let fresh = |token: &Token| {
        matches!(token, Token::Nonce | Token::Timestamp) || time.as_ref().is_some_and(|time| time == token)
    };
    if !tokens().any(fresh) {
        let remedy = "write {nonce} or {timestamp}, or the {header:…} of response_time_header";
        return wrong("response_template", "would take the answer to another request", remedy);
    }
    if !tokens().any(|token| matches!(token, Token::Body | Token::BodyHash)) {
        return wrong("response_template", "does not sign the answer", "write {body} or {body_hash}");
    }
    None
}

fn wrong_parameters(scheme: &Scheme) -> Wrong {
    let answers = scheme.answer.iter().flat_map(|answer| &answer.template);
    let tokens = scheme.templates().chain(answers).flat_map(Template::lasting);
    let wanted = tokens.filter_map(|token| match token {
        Token::Parameter(name) => Some(name.as_str()),
        _ => None,
    });
    let derived: &[&str] = match scheme.derivation {
        Derivation::SigV4 => &["region", "service"],
        Derivation::None => &[],
    };
    let mut wanted = wanted.chain(derived.iter().copied());
    if let Some(name) = wanted.find(|name| !scheme.parameters.iter().any(|(known, _)| known == name)) {
        let what = format!("has no {name}, which the scheme wants");
        return wrong("parameters", &what, &format!("write parameters = [\"{name}=…\"]"));
    }
    if scheme.derivation == Derivation::SigV4 && !scheme.signed_headers.is_sorted() {
        return wrong("signed_headers", "is not sorted, as this derivation wants it", "sort the names");
    }
    None
}

/// A list of parsed strings; the preset's where the table has none.
fn list<T>(
    section: &Section<'_>,
    name: &str,
    usual: &[&str],
    parse: impl Fn(&str) -> Result<T, Fault>,
) -> Result<Vec<T>, Problem> {
    match section.list(name, |_, text| parse(text))? {
        Some(given) => Ok(given),
        None => {
            let usual: Result<_, _> = usual.iter().map(|text| parse(text)).collect();
            usual.map_err(|fault| section.problem(name, fault))
        }
    }
}

fn one(section: &Section<'_>, name: &str, usual: &str) -> Result<Template, Problem> {
    match section.text(name, |_, text| Template::of_text(text))? {
        Some(given) => Ok(given),
        None => Template::of_text(usual).map_err(|fault| section.problem(name, fault)),
    }
}

fn choice<T: Copy>(section: &Section<'_>, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
    section.text(name, |_, text| word(text, words))
}

const MAC_MODES: &[(&str, MacMode)] = &[
    ("hmac", MacMode::Hmac),
    ("hmac_suffix", MacMode::HmacSuffix),
    ("digest_suffix", MacMode::DigestSuffix),
    ("digest_prefix", MacMode::DigestPrefix),
];
const HASHES: &[(&str, Digest)] = &[
    ("sha256", Digest::Sha256),
    ("sha1", Digest::Sha1),
    ("sha384", Digest::Sha384),
    ("sha512", Digest::Sha512),
];
const BODY_HASHES: &[(&str, Option<Digest>)] = &[
    ("sha256", Some(Digest::Sha256)),
    ("md5", Some(Digest::Md5)),
    ("sha1", Some(Digest::Sha1)),
    ("sha384", Some(Digest::Sha384)),
    ("sha512", Some(Digest::Sha512)),
    ("none", None),
];
const SECRETS: &[(&str, SecretEncoding)] = &[
    ("utf8", SecretEncoding::Utf8),
    ("base64", SecretEncoding::Base64),
    ("base64url", SecretEncoding::Base64Url),
    ("hex", SecretEncoding::Hex),
];
const DERIVATIONS: &[(&str, Derivation)] = &[("none", Derivation::None), ("sigv4", Derivation::SigV4)];
const ENCODINGS: &[(&str, Encoding)] = &[
    ("hex", Encoding::Hex),
    ("HEX", Encoding::UpperHex),
    ("base64", Encoding::Base64),
    ("base64url-nopad", Encoding::Base64UrlUnpadded),
];
const EMPTY_BODIES: &[(&str, EmptyBody)] =
    &[("hash", EmptyBody::Hash), ("empty", EmptyBody::Empty), ("omit_line", EmptyBody::OmitLine)];
const QUERIES: &[(&str, QueryMode)] =
    &[("raw", QueryMode::Raw), ("sorted", QueryMode::Sorted), ("dropped", QueryMode::Dropped)];
const TIMES: &[(&str, TimeFormat)] = &[
    ("unix", TimeFormat::Unix),
    ("unix_ms", TimeFormat::UnixMillis),
    ("iso8601", TimeFormat::Iso),
    ("iso8601_basic", TimeFormat::IsoBasic),
    ("http_date", TimeFormat::HttpDate),
];
const NONCES: &[(&str, NonceFormat)] = &[
    ("uuid", NonceFormat::Uuid),
    ("uuid_nodash", NonceFormat::UuidPlain),
    ("hex16", NonceFormat::Hex),
    ("base64_16", NonceFormat::Base64),
    ("counter", NonceFormat::Counter),
    ("none", NonceFormat::None),
];

/// A value that goes into header lines, quotation marks around it or not.
fn value(text: &str) -> Result<String, Fault> {
    let allowed = |byte: u8| byte == b' ' || byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if text.bytes().all(allowed) && text.trim_ascii() == text {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        "has what no header line may carry within quotation marks",
        "write printable ASCII without \", \\ and blanks at its ends",
    ))
}

/// `Name: template`
fn header(text: &str) -> Result<(String, Template), Fault> {
    let (name, template) = text.split_once(':').ok_or_else(|| {
        Fault::new(format!("\"{text}\" is not a header line"), "write \"X-Signature: {signature}\"")
    })?;
    Ok((auth::header_name(name)?, Template::of_header(template.trim())?))
}

/// The name of a header in lower case, or of what RFC 9421 section 2.2 derives.
fn signed_name(text: &str) -> Result<String, Fault> {
    const DERIVED: [&str; 7] =
        ["@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query"];
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    if DERIVED.contains(&text) || !text.is_empty() && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        format!("\"{text}\" is not the name of a header"),
        format!("write it in lower case, or one of {}", DERIVED.join(", ")),
    ))
}

/// A path without the `/` at its end.
fn prefix(text: &str) -> Result<String, Fault> {
    let path = text.strip_suffix('/').unwrap_or(text);
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"?#".contains(&byte);
    if path.is_empty() || path.starts_with('/') && path.bytes().all(allowed) {
        return Ok(path.to_owned());
    }
    Err(Fault::new(format!("\"{text}\" is not a path"), "write \"/what/the/gateway/takes/off\""))
}
