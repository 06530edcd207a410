//! Texts with tokens in braces: what is signed, and the header lines that carry it.
//!
//! `{method}` stands for a value, `[;nonce="{nonce}"]` is left out where a value in it is empty. Braces and brackets that
//! mean themselves are doubled.

use super::super::problem::Fault;

/// A text with places for values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template(pub Vec<Part>);

/// A piece of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// As it is.
    Text(String),
    /// A value.
    Token(Token),
    /// Left out where a value in it is empty.
    Optional(Vec<Part>),
}

/// What a value is taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// The label of the version.
    Version,
    /// In capitals.
    Method,
    /// In lower case.
    MethodLower,
    /// `http` or `https`.
    Scheme,
    /// As in the line `Host`: with a port that is not the usual one.
    Host,
    /// In lower case, without the port.
    HostName,
    /// The port, also the usual one.
    Port,
    /// As sent, without the query.
    Path,
    /// The same, percent-encoded once more.
    PathEncoded,
    /// Without the `?`.
    Query,
    /// Path and query.
    PathQuery,
    /// Scheme, host, path and query.
    Url,
    /// The same in lower case, as .NET's `UrlEncode` has it.
    UrlLowerEncoded,
    /// The time of this attempt.
    Timestamp,
    /// The same, without what is no date: `20260102`.
    Date,
    /// The random text of this attempt.
    Nonce,
    /// The name of the key.
    KeyId,
    /// Its bytes.
    Body,
    /// The hash of the body.
    BodyHash,
    /// The value of `Content-Type`.
    ContentType,
    /// The same in lower case and without parameters.
    MediaType,
    /// The token that the request carries, without what stands before it.
    Bearer,
    /// The value of a header line; of the answer where an answer is looked at.
    Header(String),
    /// `name:value` of each signed header, one below the other.
    SignedHeaders,
    /// The names of the signed headers, with `;` between them.
    SignedNames,
    /// `"name": value` of each signed component (RFC 9421 section 2.5).
    Components,
    /// `"name"` of each, with blanks between them.
    ComponentNames,
    /// What the signature is good for (Signature Version 4): date, region, service.
    Scope,
    /// A value of `parameters`.
    Parameter(String),
    /// The status of the answer.
    Status,
    /// An attribute of the header with the signature of the answer.
    Attribute(String),
    /// The signature.
    Signature,
    /// SHA-256 of the secret, in hexadecimal.
    SecretHash,
}

/// Those without a name of their own.
const TOKENS: [(&str, Token); 28] = [
    ("version", Token::Version),
    ("method", Token::Method),
    ("method_lower", Token::MethodLower),
    ("scheme", Token::Scheme),
    ("host", Token::Host),
    ("hostname", Token::HostName),
    ("port", Token::Port),
    ("path", Token::Path),
    ("path_encoded", Token::PathEncoded),
    ("query", Token::Query),
    ("path_query", Token::PathQuery),
    ("url", Token::Url),
    ("url_lower_enc", Token::UrlLowerEncoded),
    ("timestamp", Token::Timestamp),
    ("date", Token::Date),
    ("nonce", Token::Nonce),
    ("key_id", Token::KeyId),
    ("body", Token::Body),
    ("body_hash", Token::BodyHash),
    ("content_type", Token::ContentType),
    ("media_type", Token::MediaType),
    ("token", Token::Bearer),
    ("signed_headers", Token::SignedHeaders),
    ("signed_names", Token::SignedNames),
    ("components", Token::Components),
    ("component_names", Token::ComponentNames),
    ("scope", Token::Scope),
    ("status", Token::Status),
];

/// Those that only header lines may have: what is signed cannot hold its own signature.
const IN_HEADERS: [(&str, Token); 2] =
    [("signature", Token::Signature), ("secret_sha256", Token::SecretHash)];

impl Template {
    /// Parses what is signed.
    pub(super) fn of_text(text: &str) -> Result<Self, Fault> {
        Parser { rest: text, in_header: false }.all()
    }

    /// Parses the value of a header line.
    pub(super) fn of_header(text: &str) -> Result<Self, Fault> {
        Parser { rest: text, in_header: true }.all()
    }

    /// The tokens in it.
    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.0.iter().flat_map(|part| match part {
            Part::Optional(parts) => tokens(parts),
            part => tokens(std::slice::from_ref(part)),
        })
    }

    /// Those outside of what may be left out.
    pub fn lasting(&self) -> impl Iterator<Item = &Token> {
        tokens(&self.0)
    }

    /// Whether this token is in it.
    pub fn has(&self, token: &Token) -> bool {
        self.tokens().any(|known| known == token)
    }
}

/// Without those in parts that may be left out.
fn tokens(parts: &[Part]) -> impl Iterator<Item = &Token> {
    parts.iter().filter_map(|part| match part {
        Part::Token(token) => Some(token),
        Part::Text(_) | Part::Optional(_) => None,
    })
}

struct Parser<'t> {
    rest: &'t str,
    in_header: bool,
}

impl Parser<'_> {
    fn all(mut self) -> Result<Template, Fault> {
        let parts = self.parts(false)?;
        Ok(Template(parts))
    }

    /// Up to the end, or up to the bracket that ends what may be left out.
    fn parts(&mut self, inner: bool) -> Result<Vec<Part>, Fault> {
        let mut parts = Vec::new();
        let mut text = String::new();
        while let Some(character) = self.next() {
            let doubled = "{}[]".contains(character) && self.rest.starts_with(character);
            // `[{` of a nested `[[{` never occurs: what may be left out is not nested.
            if doubled {
                self.next();
                text.push(character);
                continue;
            }
            let part = match character {
                '{' => self.token()?,
                '[' if !inner => {
                    let parts = self.parts(true)?;
                    if tokens(&parts).next().is_none() {
                        return Err(bad("has brackets without a {token} in them"));
                    }
                    Part::Optional(parts)
                }
                '[' => return Err(bad("has brackets within brackets")),
                ']' if inner => {
                    flush(&mut parts, text);
                    return Ok(parts);
                }
                '}' | ']' => return Err(bad(&format!("has a {character} too many"))),
                other => {
                    text.push(other);
                    continue;
                }
            };
            match part {
                Part::Text(more) => text.push_str(&more),
                part => {
                    flush(&mut parts, std::mem::take(&mut text));
                    parts.push(part);
                }
            }
        }
        if inner {
            return Err(bad("has a [ that is not closed"));
        }
        flush(&mut parts, text);
        Ok(parts)
    }

    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    /// What stands in braces; the first is gone.
    fn token(&mut self) -> Result<Part, Fault> {
        let (name, rest) = self.rest.split_once('}').ok_or_else(|| bad("has a { that is not closed"))?;
        self.rest = rest;
        let named = match name.split_once(':') {
            Some(("lit", text)) => return Ok(Part::Text(text.to_owned())),
            Some(("header", name)) if is_name(name) => Some(Token::Header(name.to_ascii_lowercase())),
            Some(("param", name)) if is_name(name) => Some(Token::Parameter(name.to_owned())),
            Some(("attribute", name)) if is_name(name) => Some(Token::Attribute(name.to_owned())),
            Some(_) => None,
            None => {
                let known = TOKENS.iter().chain(IN_HEADERS.iter().filter(|_| self.in_header));
                known.into_iter().find(|(known, _)| *known == name).map(|(_, token)| token.clone())
            }
        };
        named.map(Part::Token).ok_or_else(|| bad(&format!("has {{{name}}}, which is not known there")))
    }
}

fn flush(parts: &mut Vec<Part>, text: String) {
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn bad(what: &str) -> Fault {
    Fault::new(what, "write tokens as {method} or {header:NAME}, and braces and brackets of text twice")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    #[test]
    fn tokens_stand_in_text_and_may_be_optional() {
        let parsed = Template::of_text("a{method}{{b}}[;n=\"{nonce}\"]{lit:c}d{header:X-Y}").unwrap();
        assert_eq!(
            parsed.0,
            [
                text("a"),
                Part::Token(Token::Method),
                text("{b}"),
                Part::Optional(vec![text(";n=\""), Part::Token(Token::Nonce), text("\"")]),
                text("cd"),
                Part::Token(Token::Header("x-y".to_owned())),
            ]
        );
        assert!(parsed.has(&Token::Nonce) && !parsed.lasting().any(|token| *token == Token::Nonce));
        assert_eq!(Template::of_text("[[x]]").unwrap().0, [text("[x]")]);
    }

    #[test]
    fn what_is_malformed_is_told() {
        for (template, what) in [
            ("{method", "has a { that is not closed"),
            ("method}", "has a } too many"),
            ("a]", "has a ] too many"),
            ("[a{nonce}", "has a [ that is not closed"),
            ("[a]", "has brackets without a {token} in them"),
            ("[a[{nonce}]]", "has brackets within brackets"),
            ("{nonsense}", "has {nonsense}, which is not known there"),
            ("{header:}", "has {header:}, which is not known there"),
            ("{signature}", "has {signature}, which is not known there"),
        ] {
            assert_eq!(Template::of_text(template).unwrap_err().what, what, "{template}");
        }
        assert!(Template::of_header("{signature}").is_ok());
    }
}
