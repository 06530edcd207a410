//! The table `[slot.auth.hmac]`: a preset, and what stands in its place.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::super::problem::{Fault, Problem};
use super::super::read::{Section, word};
use super::super::{Secret, auth};
use super::check::check;
use super::presets::{PRESETS, Preset};
use super::{
    AnswerScheme, Derivation, Digest, EmptyBody, Encoding, Hmac, MacMode, NonceFormat, QueryMode, Scheme,
    SecretEncoding, Template, TimeFormat, Token,
};

/// Those of the reference's verifier, of Hawk, and of AWS. Not "timestamp" alone: many a refusal has one.
const CLOCK_WORDS: &[&str] =
    &["timestamp_out_of_range", "timestamp out of range", "stale timestamp", "tooskewed", "clock skew"];

/// Reads the table.
pub(in super::super) fn read(section: &Section<'_>) -> Result<Hmac, Problem> {
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
