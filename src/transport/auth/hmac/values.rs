//! The values of one attempt, and the texts that they make.

use std::borrow::Cow;
use std::cell::OnceCell;

use zeroize::Zeroizing;

use super::encode::{self, dot_net_encode, percent_encode, sorted_query};
use crate::config::hmac::{
    Derivation, Digest, EmptyBody, Encoding, Part, QueryMode, Scheme, Template, Token,
};
use crate::discreet::{self, Text};
use crate::observe::audit::{Audit, Endpoint};
use crate::transport::seal::Outgoing;
use crate::transport::{Error, ErrorKind, Headers, Method, Response};

/// Where a request goes, as the scheme sees it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    method: Method,
    tls: bool,
    host: String,
    port: u16,
    path: String,
    query: String,
}

impl Target {
    pub(super) fn of(outgoing: &Outgoing<'_>, scheme: &Scheme) -> Self {
        let whole = format!("{}{}", outgoing.base, outgoing.path);
        let (path, query) = whole.split_once('?').unwrap_or((&whole, ""));
        let inner = path.strip_prefix(&scheme.path_prefix_strip).unwrap_or(path);
        // A prefix ends where a segment does.
        let path = if inner.starts_with('/') { inner } else { path };
        let query = match scheme.query {
            QueryMode::Raw => query.to_owned(),
            QueryMode::Sorted => sorted_query(query),
            QueryMode::Dropped => String::new(),
        };
        Self {
            method: outgoing.method,
            tls: outgoing.tls,
            host: outgoing.host.to_owned(),
            port: outgoing.port,
            path: path.to_owned(),
            query,
        }
    }

    /// Host and port, by which clocks are told apart.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// For the audit.
    pub(super) fn endpoint<'a>(&'a self, audit: &Audit) -> Endpoint<'a> {
        audit.endpoint(self.method.as_str(), &self.path)
    }

    fn host_name(&self) -> String {
        let name = match self.host.rsplit_once(':') {
            // What is in brackets is an address with colons of its own.
            Some((name, port)) if !port.ends_with(']') => name,
            _ => &self.host,
        };
        name.to_ascii_lowercase()
    }

    fn path_query(&self) -> Cow<'_, str> {
        match self.query.as_str() {
            "" => Cow::Borrowed(&self.path),
            query => Cow::Owned(format!("{}?{query}", self.path)),
        }
    }

    fn url(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.host, self.path_query())
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}

/// Time and nonce of one attempt.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    /// As the request has it.
    pub(super) timestamp: String,
    /// The first eight digits of a time in basic form.
    pub(super) date: String,
    pub(super) nonce: String,
}

/// Whose header lines and body are looked at.
pub(super) enum Side<'a> {
    /// The request's: `added` are those that it has already, `fixed` those of the member.
    Request { added: &'a Headers, fixed: &'a [u8], body: &'a [u8] },
    /// Those of the answer.
    Answer { response: &'a Response, attributes: &'a [(String, String)] },
}

/// What is written out; of the rest a log gets the lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Everything: this is what is signed.
    All,
    /// Not bodies, queries, tokens and headers.
    Paths,
    /// Not paths either.
    Lengths,
}

/// All that a template may ask for.
pub(super) struct Values<'a> {
    pub(super) scheme: &'a Scheme,
    pub(super) key_id: &'a str,
    /// The header with the token.
    pub(super) token_header: &'a str,
    pub(super) target: &'a Target,
    pub(super) moment: &'a Moment,
    pub(super) side: Side<'a>,
    pub(super) shown: Shown,
    pub(super) body_hash: OnceCell<String>,
}

/// What stands for a token of a template.
enum Value<'a> {
    Body(&'a [u8]),
    Text(Text<'a>),
}

impl Value<'_> {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Body(bytes) => bytes,
            Self::Text(text) => text.as_bytes(),
        }
    }
}

/// The signature, for the lines that carry it.
pub(super) struct Signature<'a> {
    pub(super) text: &'a str,
    pub(super) secret: &'a [u8],
}

impl Values<'_> {
    /// The fields, joined.
    pub(super) fn text(&self, fields: &[Template]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut text = Zeroizing::default();
        let join = self.scheme.join.as_bytes();
        let mut first = true;
        for field in fields {
            if self.is_left_out(field)? {
                continue;
            }
            if !std::mem::replace(&mut first, false) {
                discreet::append(&mut text, join);
            }
            self.render(&field.0, None, &mut text)?;
        }
        if self.scheme.trailing_join {
            discreet::append(&mut text, join);
        }
        Ok(text)
    }

    /// The value of a header line; `None`: it is empty, and the line is not sent.
    pub(super) fn line(
        &self,
        template: &Template,
        signature: Option<&Signature<'_>>,
    ) -> Result<Option<Zeroizing<String>>, Error> {
        // `sha-256=::` of no hash is no value either.
        if template.lasting().any(|token| *token == Token::BodyHash) && self.body_hash()?.is_empty() {
            return Ok(None);
        }
        let mut bytes = Zeroizing::default();
        self.render(&template.0, signature, &mut bytes)?;
        let text = str::from_utf8(&bytes).map_err(|_| missing("a header line that is text"))?;
        Ok((!text.is_empty()).then(|| text.to_owned().into()))
    }

    /// What the signature of Signature Version 4 is good for.
    pub(super) fn scope(&self) -> [&str; 3] {
        let parameter = |name: &str| self.parameter(name).unwrap_or_default();
        [&self.moment.date, parameter("region"), parameter("service")]
    }

    /// A field that is nothing but what may be left out takes its separator with it.
    fn is_left_out(&self, field: &Template) -> Result<bool, Error> {
        match &field.0[..] {
            [Part::Optional(parts)] => self.lacks(parts, None),
            [Part::Token(Token::BodyHash)] if self.scheme.empty_body == EmptyBody::OmitLine => {
                Ok(self.body().is_empty())
            }
            _ => Ok(false),
        }
    }

    fn lacks(&self, parts: &[Part], signature: Option<&Signature<'_>>) -> Result<bool, Error> {
        for part in parts {
            if let Part::Token(token) = part
                && self.value(token, signature)?.as_bytes().is_empty()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn render(
        &self,
        parts: &[Part],
        signature: Option<&Signature<'_>>,
        text: &mut Zeroizing<Vec<u8>>,
    ) -> Result<(), Error> {
        for part in parts {
            match part {
                Part::Text(more) => discreet::append(text, more.as_bytes()),
                Part::Token(token) => {
                    let value = self.value(token, signature)?;
                    match value.as_bytes() {
                        bytes if self.shown.hides(token) => {
                            discreet::append(text, format!("{:?}", discreet::Bytes(bytes)).as_bytes());
                        }
                        bytes => discreet::append(text, bytes),
                    }
                }
                Part::Optional(parts) if self.lacks(parts, signature)? => {}
                Part::Optional(parts) => self.render(parts, signature, text)?,
            }
        }
        Ok(())
    }

    fn value<'v>(&'v self, token: &Token, signature: Option<&Signature<'v>>) -> Result<Value<'v>, Error> {
        let Self { target, moment, .. } = self;
        Ok(Value::Text(match token {
            Token::Body => return Ok(Value::Body(self.body())),
            Token::Version => self.scheme.version.as_str().into(),
            Token::Method => target.method.as_str().into(),
            Token::MethodLower => target.method.as_str().to_ascii_lowercase().into(),
            Token::Scheme => target.scheme().into(),
            Token::Host => target.host.as_str().into(),
            Token::HostName => target.host_name().into(),
            Token::Port => target.port.to_string().into(),
            Token::Path => target.path.as_str().into(),
            Token::PathEncoded => percent_encode(target.path.as_bytes(), b"/").into(),
            Token::Query => target.query.as_str().into(),
            Token::PathQuery => target.path_query().into(),
            Token::Url => target.url().into(),
            Token::UrlLowerEncoded => dot_net_encode(&target.url().to_lowercase()).into(),
            Token::Timestamp => moment.timestamp.as_str().into(),
            Token::Date => moment.date.as_str().into(),
            Token::Nonce => moment.nonce.as_str().into(),
            Token::KeyId => self.key_id.into(),
            Token::BodyHash => self.body_hash()?.into(),
            Token::ContentType => self.header("content-type").unwrap_or_default(),
            Token::MediaType => self.media_type().into(),
            Token::Bearer => self.bearer(),
            Token::Header(name) => self.header(name).unwrap_or_default(),
            Token::SignedHeaders => self.signed_headers()?,
            Token::SignedNames => self.scheme.signed_headers.join(";").into(),
            Token::Components => self.components()?,
            Token::ComponentNames => {
                let names: Vec<_> =
                    self.scheme.signed_headers.iter().map(|name| format!("\"{name}\"")).collect();
                names.join(" ").into()
            }
            Token::Scope => format!("{}/aws4_request", self.scope().join("/")).into(),
            Token::Parameter(name) => self.parameter(name).unwrap_or_default().into(),
            Token::Status => self.status().to_string().into(),
            Token::Attribute(name) => self.attribute(name).into(),
            Token::Signature => signature.map_or("", |signature| signature.text).into(),
            Token::SecretHash => signature
                .map(|signature| Zeroizing::new(encode::digest(Digest::Sha256, &[signature.secret])))
                .map(|hash| encode::write(Encoding::Hex, &hash))
                .unwrap_or_default()
                .into(),
        }))
    }

    fn body(&self) -> &[u8] {
        match &self.side {
            Side::Request { body, .. } => body,
            Side::Answer { response, .. } => &response.body,
        }
    }

    /// The hash of the body, computed once.
    fn body_hash(&self) -> Result<&str, Error> {
        if let Some(hash) = self.body_hash.get() {
            return Ok(hash);
        }
        // A server of Hawk may have hashed no bytes: then it says so.
        let none = self.body().is_empty()
            && self.scheme.empty_body != EmptyBody::Hash
            && self.attribute("hash").is_empty();
        let hash = match self.scheme.body_hash {
            Some(hash) if !none => {
                let mut hashed = Zeroizing::default();
                // What is hashed is never told, so nothing is left out of it.
                let whole = Values { shown: Shown::All, body_hash: OnceCell::new(), ..self.copy() };
                whole.render(&self.scheme.body_hash_template.0, None, &mut hashed)?;
                encode::write(self.scheme.body_hash_encoding, &encode::digest(hash, &[&hashed]))
            }
            _ => String::new(),
        };
        Ok(self.body_hash.get_or_init(|| hash))
    }

    fn copy(&self) -> Values<'_> {
        Values {
            scheme: self.scheme,
            key_id: self.key_id,
            token_header: self.token_header,
            target: self.target,
            moment: self.moment,
            side: match &self.side {
                Side::Request { added, fixed, body } => Side::Request { added, fixed, body },
                Side::Answer { response, attributes } => Side::Answer { response, attributes },
            },
            shown: self.shown,
            body_hash: OnceCell::new(),
        }
    }

    fn status(&self) -> u16 {
        match &self.side {
            Side::Request { .. } => 0, // no template of a request may ask
            Side::Answer { response, .. } => response.status,
        }
    }

    fn attribute(&self, name: &str) -> &str {
        match &self.side {
            Side::Request { .. } => "",
            Side::Answer { attributes, .. } => attribute(attributes, name).unwrap_or_default(),
        }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let mut parameters = self.scheme.parameters.iter();
        parameters.find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The values of all lines of this name, with commas between them (RFC 9110 section 5.3).
    fn header(&self, name: &str) -> Option<Text<'_>> {
        match &self.side {
            Side::Request { .. } if name == "host" => Some(self.target.host.as_str().into()),
            Side::Request { added, fixed, .. } => {
                lines(added.as_bytes(), name).or_else(|| lines(fixed, name))
            }
            Side::Answer { response, .. } => joined(response.kept.all(name)),
        }
    }

    fn media_type(&self) -> String {
        let value = self.header("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    fn bearer(&self) -> Text<'_> {
        let value = self.header(&self.token_header.to_ascii_lowercase()).unwrap_or_default();
        match value {
            Text::Lent(value) => value.split_once(' ').map_or(value, |(_, token)| token).into(),
            // Of several lines, which is none of ours.
            Text::Own(value) => {
                value.split_once(' ').map_or(value.as_str(), |(_, token)| token).to_owned().into()
            }
        }
    }

    fn signed(&self, name: &str) -> Result<Text<'_>, Error> {
        self.header(name).ok_or_else(|| missing(&format!("the line {name}, which is to be signed")))
    }

    fn signed_headers(&self) -> Result<Text<'_>, Error> {
        self.signed_lines(|name| Ok(Text::of(&[name, ":", &self.signed(name)?])))
    }

    fn components(&self) -> Result<Text<'_>, Error> {
        self.signed_lines(|name| Ok(Text::of(&["\"", name, "\": ", &self.component(name)?])))
    }

    fn signed_lines<'v>(&self, line: impl Fn(&str) -> Result<Text<'v>, Error>) -> Result<Text<'v>, Error> {
        let lines: Result<Vec<_>, _> = self.scheme.signed_headers.iter().map(|name| line(name)).collect();
        Ok(Text::joined(&lines?, "\n"))
    }

    /// RFC 9421 section 2.
    fn component(&self, name: &str) -> Result<Text<'_>, Error> {
        let target = self.target;
        Ok(match name {
            "@method" => target.method.as_str().into(),
            "@target-uri" => target.url().into(),
            "@authority" => target.host.to_ascii_lowercase().into(),
            "@scheme" => target.scheme().into(),
            "@request-target" => target.path_query().into(),
            "@path" => target.path.as_str().into(),
            "@query" => format!("?{}", target.query).into(),
            name => self.signed(name)?,
        })
    }
}

/// What signature version 4 makes of the text before it signs.
pub(super) fn to_sign(values: &Values<'_>, text: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    match values.scheme.derivation {
        Derivation::None => text,
        Derivation::SigV4 => {
            let hash = encode::write(Encoding::Hex, &encode::digest(values.scheme.hash, &[&text]));
            let (time, scope) = (&values.moment.timestamp, values.scope().join("/"));
            let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}/aws4_request\n{hash}");
            Zeroizing::new(text.into_bytes())
        }
    }
}

impl Shown {
    /// What a log must not tell: it is the caller's, or a credential.
    fn hides(self, token: &Token) -> bool {
        match token {
            _ if self == Self::All => false,
            Token::Path | Token::PathEncoded => self == Self::Lengths,
            Token::Body
            | Token::Query
            | Token::PathQuery
            | Token::Url
            | Token::UrlLowerEncoded
            | Token::Bearer
            | Token::Header(_)
            | Token::SignedHeaders
            | Token::Components
            | Token::SecretHash => true,
            _ => false,
        }
    }
}

/// The value of an attribute.
pub(super) fn attribute<'a>(attributes: &'a [(String, String)], name: &str) -> Option<&'a str> {
    attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn lines<'a>(bytes: &'a [u8], name: &str) -> Option<Text<'a>> {
    let text = str::from_utf8(bytes).ok()?; // all of it is ASCII
    let pairs = text.split("\r\n").filter_map(|line| line.split_once(':'));
    joined(pairs.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()))
}

fn joined<'a>(values: impl Iterator<Item = &'a str>) -> Option<Text<'a>> {
    let values: Vec<_> = values.collect();
    match values[..] {
        [] => None,
        [value] => Some(value.into()),
        _ => Some(values.join(", ").into()),
    }
}

fn missing(what: &str) -> Error {
    Error::unsent(ErrorKind::Header, format!("signing the request: it has not {what}"))
}
