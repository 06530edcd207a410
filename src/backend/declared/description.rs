//! A description, read and compiled.

use std::collections::BTreeMap;
use std::path::Path;

use super::algorithms::{DecryptTable, EncryptTable, MOST, SignTable};
use super::answer::{Found, pointer};
use super::errors::{Errors, Success};
use super::flags::Flag;
use super::making::Generate;
use super::pointer::Pointer;
use super::reader::{Fault, Node, Read, Section};
use super::request::{self, Call, Taken, Usual};
use super::template::{Constant, Parameters, Scope, Source};
use crate::config::{self, Problem, document};
use crate::crypto::digest::Hash;

/// What one request takes if the description does not say.
const PAYLOAD_LIMIT: usize = 65536;

/// How many random bytes one request gives if the description does not say.
const RANDOM_LIMIT: usize = 1024;

pub(super) const SIGN: [Source; 3] = [Source::Key, Source::Password, Source::Payload];
pub(super) const DECRYPT: [Source; 8] = [
    Source::Key,
    Source::Password,
    Source::Payload,
    Source::Ciphertext,
    Source::Tag,
    Source::Iv,
    Source::Aad,
    Source::TagBits,
];
pub(super) const ENCRYPT: [Source; 6] =
    [Source::Key, Source::Password, Source::Payload, Source::Iv, Source::Aad, Source::TagBits];

/// A service.
pub(super) struct Description {
    pub(super) manufacturer: String,
    pub(super) model: String,
    pub(super) payload_limit: usize,
    /// Whether each signature is verified.
    pub(super) verify: bool,
    /// Header lines of every request.
    pub(super) headers: Vec<(String, String)>,
    pub(super) token: TokenLine,
    pub(super) success: Success,
    pub(super) errors: Errors,
    pub(super) list: Option<List>,
    pub(super) describe: Option<Describe>,
    pub(super) certificate: Option<(Call, Found)>,
    pub(super) sign: SignTable,
    pub(super) decrypt: DecryptTable,
    pub(super) encrypt: EncryptTable,
    pub(super) random: Option<Random>,
    pub(super) generate: Option<Generate>,
    pub(super) delete: Option<Call>,
    pub(super) health: Option<(Call, Found)>,
    pub(super) probe: Option<Call>,
}

/// The header line that carries `slot.auth.bearer`.
pub(super) struct TokenLine {
    pub(super) header: String,
    /// What stands before the token.
    pub(super) scheme: &'static str,
}

impl Default for TokenLine {
    fn default() -> Self {
        Self { header: "Authorization".to_owned(), scheme: "Bearer " }
    }
}

/// `[list]`
pub(super) struct List {
    pub(super) call: Call,
    pub(super) items: Pointer,
    pub(super) name: Pointer,
    /// Values of which an item has to have one.
    pub(super) only: Vec<(Pointer, Vec<String>)>,
    pub(super) paging: Paging,
}

/// How a listing goes on.
pub(super) enum Paging {
    Whole,
    Cursor { next: Pointer, limit: usize },
    Page { first: usize, limit: usize, total: Option<Pointer> },
    Offset { limit: usize, total: Option<Pointer> },
}

impl Paging {
    pub(super) fn limit(&self) -> usize {
        match self {
            Self::Whole => 0,
            Self::Cursor { limit, .. } | Self::Page { limit, .. } | Self::Offset { limit, .. } => *limit,
        }
    }
}

/// `[describe]`
pub(super) struct Describe {
    pub(super) call: Call,
    pub(super) public_key: Option<Found>,
    pub(super) kind: Option<Found>,
    pub(super) kinds: BTreeMap<String, KeyType>,
    pub(super) id: Option<Found>,
    pub(super) flags: Vec<Told>,
}

/// What a type of the service's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyType {
    Aes(Option<usize>),
    Hmac(Hash),
    Public,
}

/// A flag that the service tells.
pub(super) struct Told {
    pub(super) flag: Flag,
    pub(super) pointer: Pointer,
    /// Whether it tells the contrary.
    pub(super) turned: bool,
}

/// `[random]`
pub(super) struct Random {
    pub(super) call: Call,
    pub(super) bytes: Found,
    pub(super) limit: usize,
}

/// What the readers of all calls have to know.
pub(super) struct Context<'a> {
    parameters: &'a Parameters,
    pub(super) payload_limit: usize,
    /// The header lines that no call may have.
    pub(super) taken: Vec<Taken>,
}

impl Context<'_> {
    pub(super) fn scope<'s>(
        &'s self,
        sources: &'s [Source],
        with: Option<&'s BTreeMap<String, Constant>>,
        hash: Option<Hash>,
    ) -> Scope<'s> {
        Scope { sources, parameters: self.parameters, with, hash }
    }

    /// A call that makes no difference between algorithms.
    pub(super) fn call(&self, section: &Section<'_>, sources: &[Source], usual: Usual) -> Read<Call> {
        Call::read(section, &self.scope(sources, None, None), usual, &self.taken)
    }

    fn reading(&self, section: &Section<'_>, sources: &[Source]) -> Read<Call> {
        self.call(section, sources, Usual::READING)
    }
}

impl Description {
    /// Reads a description; `parameters` are those of the slot, and `auth` are the credentials in front of it.
    ///
    /// # Errors
    /// What is wrong, with line and key.
    pub(super) fn parse(
        text: &str,
        parameters: &BTreeMap<String, String>,
        auth: &config::Auth,
        file: &Path,
    ) -> Result<Self, Problem> {
        let table = document::parse(text).map_err(|(line, what)| {
            let fault =
                Fault::new(line, "", format!("is not TOML: {what}"), "mend the syntax (https://toml.io)");
            fault.of(file)
        })?;
        Self::read(Section::root(&table), parameters, auth).map_err(|fault| fault.of(file))
    }

    fn read(root: Section<'_>, of_the_slot: &BTreeMap<String, String>, auth: &config::Auth) -> Read<Self> {
        const CALLS: [&str; 11] = [
            "list",
            "describe",
            "certificate",
            "sign",
            "decrypt",
            "encrypt",
            "random",
            "generate",
            "delete",
            "health",
            "probe",
        ];
        const OTHERS: [&str; 10] = [
            "version",
            "manufacturer",
            "model",
            "payload_limit",
            "verify",
            "parameters",
            "headers",
            "token",
            "success",
            "errors",
        ];
        let root = root.of(&[&CALLS[..], &OTHERS[..]].concat())?;
        root.need("version", "write version = 1", |node| node.count(1, 1))?;
        let parameters = Parameters::new(root.texts("parameters")?, of_the_slot);
        let payload_limit = root.read("payload_limit", |node| node.count(1, MOST))?.unwrap_or(PAYLOAD_LIMIT);
        let token = root.read("token", token)?.unwrap_or_default();
        let taken = of_the_layers(&token, auth)?;
        let mut context = Context { parameters: &parameters, payload_limit, taken };
        let headers = request::file_headers(&root, &context.scope(&[], None, None), &context.taken)?;
        context.taken.extend(headers.iter().map(|(name, _)| Taken::new(name, "is in [headers] of the file")));
        let calls = Calls { root: &root, context: &context };
        let description = Self {
            manufacturer: name(&root, "manufacturer", 32)?,
            model: name(&root, "model", 16)?,
            payload_limit,
            verify: root.read("verify", Node::boolean)?.unwrap_or(true),
            headers,
            token,
            success: root.read("success", Success::read)?.unwrap_or_default(),
            errors: root.read("errors", Errors::read)?.unwrap_or_default(),
            list: calls.read("list", &["items", "name", "only", "paging"], list)?,
            describe: calls.read("describe", &["public_key", "type", "types", "id", "flags"], describe)?,
            certificate: calls.read("certificate", &["certificate"], certificate)?,
            sign: calls.read("sign", &["signature", "algorithm"], SignTable::read)?.unwrap_or_default(),
            decrypt: calls
                .read("decrypt", &["plaintext", "algorithm"], DecryptTable::read)?
                .unwrap_or_default(),
            encrypt: calls
                .read("encrypt", &["ciphertext", "iv", "tag", "algorithm"], EncryptTable::read)?
                .unwrap_or_default(),
            random: calls.read("random", &["bytes", "limit"], random)?,
            generate: calls.read("generate", &Generate::KEYS, Generate::read)?,
            delete: calls.read("delete", &[], |section, context| {
                context.call(section, &[Source::Key], Usual::DELETING)
            })?,
            health: calls.read("health", &["version"], health)?,
            probe: calls.read("probe", &[], |section, context| context.reading(section, &[]))?,
        };
        check_finding(&root, &description)?;
        match parameters.unused() {
            Some(name) => {
                let what = format!("the slot gives {name}, which no template has");
                Err(Fault::new(None, "parameters", what, "take it out of slot.declared.parameters"))
            }
            None => Ok(description),
        }
    }
}

/// The calls of a description.
struct Calls<'c, 'a> {
    root: &'c Section<'a>,
    context: &'c Context<'c>,
}

impl<'c, 'a> Calls<'c, 'a> {
    fn read<T>(
        &self,
        name: &str,
        own: &[&str],
        read: impl FnOnce(&Section<'a>, &Context<'c>) -> Read<T>,
    ) -> Read<Option<T>> {
        let known = [&request::KEYS[..], own].concat();
        self.root.read(name, |node| read(&node.section(&known)?, self.context))
    }
}

/// A key that is made has to be found again, and one that is deleted must not be.
fn check_finding(root: &Section<'_>, description: &Description) -> Read<()> {
    let Description { list, describe, generate, delete, .. } = description;
    for (name, has, needed, there) in [
        ("generate", generate.is_some(), "list", list.is_some()),
        ("generate", generate.is_some(), "describe", describe.is_some()),
        ("delete", delete.is_some(), "list", list.is_some()),
    ] {
        if let Some(node) = root.get(name).filter(|_| has && !there) {
            return Err(
                node.fault(format!("needs [{needed}]"), format!("write [{needed}] too, or take it out"))
            );
        }
    }
    Ok(())
}

/// A text of at most so many bytes.
fn name(root: &Section<'_>, key: &str, most: usize) -> Read<String> {
    let read = |node: &Node<'_>| {
        let text = node.text()?;
        let what = match text.len() {
            0 => "is empty".to_owned(),
            length if length > most => format!("has {length} bytes"),
            _ if text.chars().any(char::is_control) => "has a control character".to_owned(),
            _ => return Ok(text.to_owned()),
        };
        Err(node.fault(what, format!("write 1 to {most} bytes of UTF-8")))
    };
    Ok(root.read(key, read)?.unwrap_or_else(|| "declared".to_owned()))
}

fn token(node: &Node<'_>) -> Read<TokenLine> {
    let section = node.section(&["header", "scheme"])?;
    let header = section.read("header", |node| {
        let name = node.text()?;
        if request::is_of_the_module(name) || name.eq_ignore_ascii_case("content-type") {
            return Err(node.fault(format!("{name} is written by the module"), "write \"X-Token\""));
        }
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        match !name.is_empty() && name.bytes().all(token) {
            true => Ok(name.to_owned()),
            false => Err(node.fault(format!("\"{name}\" is not the name of a header"), "write \"X-Token\"")),
        }
    })?;
    let scheme = section.read("scheme", |node| node.word(&[("bearer", "Bearer "), ("bare", "")]))?;
    let usual = TokenLine::default();
    Ok(TokenLine { header: header.unwrap_or(usual.header), scheme: scheme.unwrap_or(usual.scheme) })
}

/// The header lines of the token and of the credentials in front of the service, each of which has a place of its own.
fn of_the_layers(token: &TokenLine, auth: &config::Auth) -> Read<Vec<Taken>> {
    let layers = auth.headers();
    let same = |header: &str| header.eq_ignore_ascii_case(&token.header);
    if auth.bearer.is_some()
        && let Some((key, _)) = layers.iter().find(|(_, header)| same(header))
    {
        let what = format!("slot.auth.bearer would be in {}, where slot.auth.{key} is", token.header);
        return Err(Fault::new(None, "token.header", what, "write another one of the two"));
    }
    let of_a_layer = |(key, header): &(&str, &str)| Taken::new(header, format!("is in slot.auth.{key}"));
    let mut taken: Vec<_> = layers.iter().map(of_a_layer).collect();
    taken.push(Taken::new(&token.header, "carries the token"));
    Ok(taken)
}

fn list(section: &Section<'_>, context: &Context<'_>) -> Read<List> {
    let paging = section.read("paging", paging)?.unwrap_or(Paging::Whole);
    let limit = if paging.limit() > 0 { &[Source::Limit][..] } else { &[] };
    let place: &[Source] = match paging {
        Paging::Whole => &[],
        Paging::Cursor { .. } => &[Source::Cursor],
        Paging::Page { .. } => &[Source::Page],
        Paging::Offset { .. } => &[Source::Offset],
    };
    let only = |node: &Node<'_>| {
        let one = |(at, node): (&str, Node<'_>)| {
            let not_one = || node.fault(format!("\"{at}\" is not a JSON pointer"), "write \"/member\"");
            let at = Pointer::parse(at).ok_or_else(not_one)?;
            let values =
                node.elements().iter().map(|node| node.text().map(str::to_owned)).collect::<Read<_>>()?;
            Ok((at, values))
        };
        node.table()?.members().into_iter().map(one).collect::<Read<Vec<_>>>()
    };
    Ok(List {
        call: context.reading(section, &[place, limit].concat())?,
        items: section.need("items", "write items = \"/keys\"", pointer)?,
        name: section.read("name", pointer)?.unwrap_or(Pointer::WHOLE),
        only: section.read("only", only)?.unwrap_or_default(),
        paging,
    })
}

fn paging(node: &Node<'_>) -> Read<Paging> {
    let section = node.section(&["by", "next", "limit", "first", "total"])?;
    let words = [("cursor", "cursor"), ("page", "page"), ("offset", "offset")];
    let by = section.need("by", "write by = \"page\"", |node| node.word(&words))?;
    let next = section.read("next", pointer)?;
    let limit = section.read("limit", |node| node.count(1, 100_000))?;
    let first = section.read("first", |node| node.count(0, 1))?;
    let needs = |what| node.fault(format!("by = \"{by}\" needs {what}"), format!("write {what} too"));
    let total = section.read("total", pointer)?;
    let alien = match by {
        "cursor" if total.is_some() => "total",
        "cursor" => "first",
        "page" => "next",
        _ if first.is_some() => "first",
        _ => "next",
    };
    if let Some(node) = section.get(alien) {
        return Err(node.fault(format!("is not for by = \"{by}\""), "take it out"));
    }
    Ok(match by {
        "cursor" => Paging::Cursor { next: next.ok_or_else(|| needs("next"))?, limit: limit.unwrap_or(0) },
        "page" => {
            let limit = limit.ok_or_else(|| needs("limit"))?;
            Paging::Page { first: first.unwrap_or(1), limit, total }
        }
        _ => Paging::Offset { limit: limit.ok_or_else(|| needs("limit"))?, total },
    })
}

fn describe(section: &Section<'_>, context: &Context<'_>) -> Read<Describe> {
    const TYPES: [(&str, KeyType); 10] = [
        ("aes-128", KeyType::Aes(Some(16))),
        ("aes-192", KeyType::Aes(Some(24))),
        ("aes-256", KeyType::Aes(Some(32))),
        ("aes", KeyType::Aes(None)),
        ("hmac-sha1", KeyType::Hmac(Hash::Sha1)),
        ("hmac-sha224", KeyType::Hmac(Hash::Sha224)),
        ("hmac-sha256", KeyType::Hmac(Hash::Sha256)),
        ("hmac-sha384", KeyType::Hmac(Hash::Sha384)),
        ("hmac-sha512", KeyType::Hmac(Hash::Sha512)),
        ("public", KeyType::Public),
    ];
    let types = |node: &Node<'_>| {
        let one = |(name, node): (&str, Node<'_>)| Ok((name.to_owned(), node.word(&TYPES)?));
        node.table()?.members().into_iter().map(one).collect()
    };
    let kinds = section.read("types", types)?.unwrap_or_default();
    let kind = section.read("type", Found::text)?;
    if let (None, Some(node)) = (&kind, section.get("types")) {
        return Err(node.fault("has no `type` beside it", "write type = \"/type\""));
    }
    Ok(Describe {
        call: context.reading(section, &[Source::Key])?,
        public_key: section.read("public_key", Found::bytes)?,
        kind,
        kinds,
        id: section.read("id", Found::bytes)?,
        flags: section.read("flags", flags)?.unwrap_or_default(),
    })
}

fn flags(node: &Node<'_>) -> Read<Vec<Told>> {
    let one = |(name, node): (&str, Node<'_>)| {
        let found = Flag::ALL.iter().find(|(known, _)| *known == name).map(|(_, flag)| *flag);
        let known: Vec<_> = Flag::ALL.iter().map(|(known, _)| *known).collect();
        let flag = found.ok_or_else(|| node.fault("is not a flag", format!("write {}", known.join(", "))))?;
        let text = node.text()?;
        let (place, turned) = match text.strip_prefix('!') {
            Some(place) => (place, true),
            None => (text, false),
        };
        let pointer = Pointer::parse(place)
            .ok_or_else(|| node.fault(format!("\"{place}\" is not a JSON pointer"), "write \"/member\""))?;
        Ok(Told { flag, pointer, turned })
    };
    node.table()?.members().into_iter().map(one).collect()
}

fn certificate(section: &Section<'_>, context: &Context<'_>) -> Read<(Call, Found)> {
    let remedy = "write certificate = \"/certificate|pem\"";
    Ok((context.reading(section, &[Source::Key])?, section.need("certificate", remedy, Found::bytes)?))
}

fn random(section: &Section<'_>, context: &Context<'_>) -> Read<Random> {
    Ok(Random {
        call: context.reading(section, &[Source::Count])?,
        bytes: section.need("bytes", "write bytes = \"/random|base64\"", Found::bytes)?,
        limit: section.read("limit", |node| node.count(1, MOST))?.unwrap_or(RANDOM_LIMIT),
    })
}

fn health(section: &Section<'_>, context: &Context<'_>) -> Read<(Call, Found)> {
    let version = section.need("version", "write version = \"/version\"", Found::text)?;
    Ok((context.reading(section, &[])?, version))
}
