//! What of a scheme goes together, and what does not.

use super::super::problem::{Fault, Problem};
use super::super::read::Section;
use super::{Derivation, NonceFormat, Scheme, Template, Token};

/// The first thing that is wrong.
pub(super) fn check(section: &Section<'_>, scheme: &Scheme) -> Result<(), Problem> {
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
