//! Texts with values in braces. They are taken apart when the description is read; a call only fills them. What is known
//! by then, parameters and the words of an algorithm, is text from then on.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use zeroize::Zeroizing;

use super::codec::{Held, Kind, Writing};
use super::flags::Flag;
use crate::backend::types::{KeySpec, NewKey};
use crate::crypto::digest::Hash;
use crate::discreet;

/// What is wrong, and what would be right.
pub(super) type Wrong = (String, String);

fn wrong<T>(what: impl Into<String>, remedy: impl Into<String>) -> Result<T, Wrong> {
    Err((what.into(), remedy.into()))
}

/// A value that a call brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Key,
    Password,
    Payload,
    Ciphertext,
    Tag,
    Iv,
    Aad,
    TagBits,
    Count,
    Page,
    Offset,
    Limit,
    Cursor,
    Label,
    Id,
    Curve,
    Bits,
    Bytes,
    /// Whether a new key is to be so.
    Asked(Flag),
}

impl Source {
    const ALL: [(&'static str, Self, Kind); 27] = [
        ("key", Self::Key, Kind::Text),
        ("password", Self::Password, Kind::Text),
        ("payload", Self::Payload, Kind::Bytes),
        ("ciphertext", Self::Ciphertext, Kind::Bytes),
        ("tag", Self::Tag, Kind::Bytes),
        ("iv", Self::Iv, Kind::Bytes),
        ("aad", Self::Aad, Kind::Bytes),
        ("tag_bits", Self::TagBits, Kind::Number),
        ("count", Self::Count, Kind::Number),
        ("page", Self::Page, Kind::Number),
        ("offset", Self::Offset, Kind::Number),
        ("limit", Self::Limit, Kind::Number),
        ("cursor", Self::Cursor, Kind::Text),
        ("label", Self::Label, Kind::Text),
        ("id", Self::Id, Kind::Bytes),
        ("curve", Self::Curve, Kind::Text),
        ("bits", Self::Bits, Kind::Number),
        ("bytes", Self::Bytes, Kind::Number),
        ("sign", Self::Asked(Flag::Sign), Kind::Boolean),
        ("decrypt", Self::Asked(Flag::Decrypt), Kind::Boolean),
        ("unwrap", Self::Asked(Flag::Unwrap), Kind::Boolean),
        ("derive", Self::Asked(Flag::Derive), Kind::Boolean),
        ("sensitive", Self::Asked(Flag::Sensitive), Kind::Boolean),
        ("extractable", Self::Asked(Flag::Extractable), Kind::Boolean),
        ("modifiable", Self::Asked(Flag::Modifiable), Kind::Boolean),
        ("copyable", Self::Asked(Flag::Copyable), Kind::Boolean),
        ("destroyable", Self::Asked(Flag::Destroyable), Kind::Boolean),
    ];

    /// Whether it says more than which key: it is the caller's, or secret.
    pub(super) fn is_discreet(self) -> bool {
        matches!(
            self,
            Self::Password
                | Self::Payload
                | Self::Ciphertext
                | Self::Tag
                | Self::Iv
                | Self::Aad
                | Self::TagBits
                | Self::Cursor
        )
    }

    /// What says as much as nothing.
    fn nothing(self) -> &'static [u8] {
        match Self::ALL.into_iter().find(|(_, source, _)| *source == self) {
            Some((.., Kind::Number)) => b"0",
            Some((.., Kind::Boolean)) => b"false",
            _ => b"",
        }
    }
}

/// The values of one call.
#[derive(Clone, Copy, Default)]
pub(super) struct Values<'a> {
    pub(super) key: &'a str,
    pub(super) password: &'a str,
    pub(super) payload: &'a [u8],
    pub(super) ciphertext: &'a [u8],
    pub(super) tag: &'a [u8],
    pub(super) iv: &'a [u8],
    pub(super) aad: &'a [u8],
    pub(super) tag_bits: usize,
    pub(super) count: usize,
    pub(super) page: usize,
    pub(super) offset: usize,
    pub(super) limit: usize,
    pub(super) cursor: &'a str,
    /// The key that is to be made.
    pub(super) new: Option<&'a NewKey<'a>>,
}

impl<'a> Values<'a> {
    fn of(&self, source: Source) -> Lent<'a> {
        let number = |number: usize| Lent::Made(Zeroizing::new(number.to_string().into_bytes()));
        Lent::Slice(match source {
            Source::Key => self.key.as_bytes(),
            Source::Password => self.password.as_bytes(),
            Source::Payload => self.payload,
            Source::Ciphertext => self.ciphertext,
            Source::Tag => self.tag,
            Source::Iv => self.iv,
            Source::Aad => self.aad,
            Source::Cursor => self.cursor.as_bytes(),
            Source::TagBits => return number(self.tag_bits),
            Source::Count => return number(self.count),
            Source::Page => return number(self.page),
            Source::Offset => return number(self.offset),
            Source::Limit => return number(self.limit),
            Source::Label => self.new.map_or("", |new| new.label).as_bytes(),
            Source::Id => self.new.and_then(|new| new.id).unwrap_or_default(),
            Source::Curve => self.new.map_or("", |new| curve(&new.spec)).as_bytes(),
            Source::Bits => return number(self.new.map_or(0, |new| bits(&new.spec))),
            Source::Bytes => return number(self.new.map_or(0, |new| bytes(&new.spec))),
            Source::Asked(flag) => match self.new.is_some_and(|new| flag.of(&new.usage, &new.protection)) {
                true => b"true",
                false => b"false",
            },
        })
    }
}

/// Bytes of a secret key.
fn bytes(spec: &KeySpec) -> usize {
    match spec {
        KeySpec::Aes { bytes } => *bytes,
        KeySpec::Hmac { bytes, .. } => bytes.unwrap_or(0),
        KeySpec::Rsa { .. } | KeySpec::Ec(_) | KeySpec::Ed25519 => 0,
    }
}

/// Bits of a modulus or of a secret key.
fn bits(spec: &KeySpec) -> usize {
    if let KeySpec::Rsa { bits } = spec { *bits } else { 8 * bytes(spec) }
}

fn curve(spec: &KeySpec) -> &'static str {
    match spec {
        KeySpec::Ec(curve) => curve.name(),
        KeySpec::Ed25519 => "ed25519",
        KeySpec::Rsa { .. } | KeySpec::Aes { .. } | KeySpec::Hmac { .. } => "",
    }
}

/// Bytes of a value, or made of them.
enum Lent<'a> {
    Slice(&'a [u8]),
    Made(Held),
}

impl Deref for Lent<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Slice(bytes) => bytes,
            Self::Made(bytes) => bytes,
        }
    }
}

/// A value of an algorithm's `with`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Constant {
    Text(String),
    Number(i64),
    Boolean(bool),
}

impl Constant {
    fn parts(&self) -> (Kind, String) {
        match self {
            Self::Text(text) => (Kind::Text, text.clone()),
            Self::Number(number) => (Kind::Number, number.to_string()),
            Self::Boolean(value) => (Kind::Boolean, value.to_string()),
        }
    }
}

/// Parameters by name, and which of them some template has.
#[derive(Default)]
pub(super) struct Parameters {
    values: BTreeMap<String, String>,
    used: RefCell<BTreeSet<String>>,
}

impl Parameters {
    /// Those of the description with those of the slot, which count more.
    pub(super) fn new(mut values: BTreeMap<String, String>, of_the_slot: &BTreeMap<String, String>) -> Self {
        let used = values.keys().cloned().collect();
        values.extend(of_the_slot.iter().map(|(name, value)| (name.clone(), value.clone())));
        Self { values, used: RefCell::new(used) }
    }

    fn get(&self, name: &str) -> Option<&String> {
        self.used.borrow_mut().insert(name.to_owned());
        self.values.get(name)
    }

    /// One that the slot gives and nothing asks for.
    pub(super) fn unused(&self) -> Option<&str> {
        self.values.keys().map(String::as_str).find(|name| !self.used.borrow().contains(*name))
    }
}

/// What a template may name where it stands.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) sources: &'a [Source],
    pub(super) parameters: &'a Parameters,
    /// The words of the algorithm; `None` where there are no algorithms.
    pub(super) with: Option<&'a BTreeMap<String, Constant>>,
    /// The hash of the digest that is signed.
    pub(super) hash: Option<Hash>,
}

/// A piece of a template.
pub(super) enum Part {
    Literal(String),
    /// A value that is known already; `path`: slashes in it part segments.
    Known {
        kind: Kind,
        text: String,
        path: bool,
    },
    Value(Value),
}

/// A value that a call fills in.
pub(super) struct Value {
    atoms: Vec<Atom>,
    codecs: Vec<Writing>,
    pub(super) optional: bool,
    /// After the codecs.
    pub(super) kind: Kind,
    /// As the description has it, for messages.
    pub(super) name: String,
}

enum Atom {
    Known(Vec<u8>),
    Source(Source),
}

impl Value {
    pub(super) fn has(&self, wanted: impl Fn(Source) -> bool) -> bool {
        self.atoms.iter().any(|atom| matches!(atom, Atom::Source(source) if wanted(*source)))
    }

    pub(super) fn is_absent(&self, values: &Values<'_>) -> bool {
        let is_nothing = |atom: &Atom| match atom {
            Atom::Known(bytes) => bytes.is_empty(),
            Atom::Source(source) => *values.of(*source) == *source.nothing(),
        };
        match self.kind {
            // It may have been turned round.
            Kind::Boolean => self.optional && *self.write(values) == *b"false",
            _ => self.optional && self.atoms.iter().all(is_nothing),
        }
    }

    /// As it is.
    pub(super) fn put(&self, values: &Values<'_>, out: &mut Held) {
        discreet::append(out, &self.write(values));
    }

    fn write<'v>(&'v self, values: &Values<'v>) -> Lent<'v> {
        let of = |atom: &'v Atom| match atom {
            Atom::Known(bytes) => Lent::Slice(bytes),
            Atom::Source(source) => values.of(*source),
        };
        let joined = match self.atoms.as_slice() {
            [atom] => of(atom),
            atoms => {
                let mut joined = Zeroizing::default();
                atoms.iter().for_each(|atom| discreet::append(&mut joined, &of(atom)));
                Lent::Made(joined)
            }
        };
        self.codecs.iter().fold(joined, |value, codec| Lent::Made(codec.write(&value)))
    }
}

/// Takes a template apart; `None` where an optional value is known to be empty.
pub(super) fn parts(text: &str, scope: &Scope<'_>) -> Result<Option<Vec<Part>>, Wrong> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, after) = rest.split_at(at);
        literal.push_str(before);
        if let Some(after) = after.strip_prefix("{{") {
            literal.push('{');
            rest = after;
        } else if let Some(after) = after.strip_prefix("}}") {
            literal.push('}');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let Some((inner, after)) = after.split_once('}') else {
                return wrong("a { has no }", "write {key}, or {{ for the brace itself");
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            let Some(part) = placeholder(inner, scope)? else { return Ok(None) };
            parts.push(part);
            rest = after;
        } else {
            return wrong("a } has no {", "write }} for the brace itself");
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(Some(parts))
}

/// What stands between braces; `None` where it is optional and empty.
fn placeholder(inner: &str, scope: &Scope<'_>) -> Result<Option<Part>, Wrong> {
    let (body, optional) = match inner.strip_suffix('?') {
        Some(body) => (body, true),
        None => (inner, false),
    };
    let mut words = body.split('|').map(str::trim);
    let sources = words.next().unwrap_or_default();
    let mut atoms = Vec::new();
    let mut kinds = Vec::new();
    for name in sources.split('+').map(str::trim) {
        let Some((atom, kind)) = atom(name, scope, optional)? else { return Ok(None) };
        atoms.push(atom);
        kinds.push(kind);
    }
    let mut kind = joined(&kinds, sources)?;
    let mut codecs = Vec::new();
    for word in words {
        let codec = Writing::parse(word, scope.hash)?;
        let Some(made) = codec.makes(kind) else {
            let what = format!("{word} does not take {}, which {{{sources}}} is", kind.name());
            return wrong(what, "take it out, or put base64 or hex in front");
        };
        kind = made;
        codecs.push(codec);
    }
    let path = codecs.iter().any(|codec| matches!(codec, Writing::Path));
    let number = codecs.iter().any(|codec| matches!(codec, Writing::Number));
    let value = Value { atoms, codecs, optional, kind, name: format!("{{{inner}}}") };
    if !value.has(|_| true) {
        let none = Values::default();
        if value.is_absent(&none) {
            return Ok(None);
        }
        // What is known is text, and what codecs make of it is.
        let text = String::from_utf8_lossy(&value.write(&none)).into_owned();
        if number && text.parse().ok().is_none_or(|number: i64| number.to_string() != text) {
            return wrong(format!("{{{sources}}} is {text:?}, and that is no integer"), "write one");
        }
        return Ok(Some(Part::Known { kind, text, path }));
    }
    if path || number {
        let codec = if path { "path" } else { "number" };
        let what = format!("{{{sources}}} is no parameter, and {codec} is for those alone");
        return wrong(what, format!("take {codec} out"));
    }
    Ok(Some(Part::Value(value)))
}

fn joined(kinds: &[Kind], sources: &str) -> Result<Kind, Wrong> {
    match kinds {
        [kind] => Ok(*kind),
        kinds if kinds.iter().all(|kind| matches!(kind, Kind::Text | Kind::Bytes)) => Ok(Kind::Bytes),
        _ => wrong(format!("{{{sources}}} has more than texts and bytes"), "join those alone"),
    }
}

/// A value by its name; `None` for an optional one that the algorithm does not have.
fn atom(name: &str, scope: &Scope<'_>, optional: bool) -> Result<Option<(Atom, Kind)>, Wrong> {
    if let Some(name) = name.strip_prefix("param.") {
        let Some(value) = scope.parameters.get(name) else {
            let what = format!("{{param.{name}}} is in neither [parameters] nor slot.declared.parameters");
            return wrong(what, format!("write \"{name}=value\" into slot.declared.parameters"));
        };
        return Ok(Some((Atom::Known(value.clone().into_bytes()), Kind::Text)));
    }
    if let (Some(name), Some(with)) = (name.strip_prefix("alg."), scope.with) {
        let Some(constant) = with.get(name) else {
            if optional {
                return Ok(None);
            }
            let remedy = format!("write with = {{ {name} = … }} there, or {{alg.{name}?}} here");
            return wrong(format!("the algorithm has no \"{name}\""), remedy);
        };
        let (kind, text) = constant.parts();
        return Ok(Some((Atom::Known(text.into_bytes()), kind)));
    }
    let named = Source::ALL.into_iter().find(|(known, ..)| *known == name);
    match named.filter(|(_, source, _)| scope.sources.contains(source)) {
        Some((_, source, kind)) => Ok(Some((Atom::Source(source), kind))),
        None => {
            let known = Source::ALL.into_iter().filter(|(_, source, _)| scope.sources.contains(source));
            let known: Vec<_> = known.map(|(name, ..)| format!("{{{name}}}")).collect();
            let known = if known.is_empty() { "{param.NAME}".to_owned() } else { known.join(", ") };
            wrong(format!("{{{name}}} is not known here"), format!("there are {known}"))
        }
    }
}

/// Where a text stands: what is done to its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A segment of a path, a value of a query or of a form.
    Url,
    /// A string in JSON, without its quotes.
    Json,
    /// The value of a header line.
    Header,
    /// Bytes as they are.
    Raw,
}

/// A value that must not stand where it would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    pub(super) value: String,
    pub(super) what: &'static str,
}

impl Place {
    /// # Errors
    /// What no value may have here.
    fn put(self, out: &mut Held, value: &[u8]) -> Result<(), &'static str> {
        match self {
            Self::Raw => discreet::append(out, value),
            Self::Url if value.iter().all(is_unreserved) => discreet::append(out, value),
            Self::Json if !value.iter().any(needs_escape) => discreet::append(out, value),
            Self::Header if value.iter().all(|byte| (b' '..=b'~').contains(byte)) => {
                discreet::append(out, value);
            }
            Self::Header => return Err("has a byte that no header may carry"),
            Self::Url => value.iter().for_each(|byte| put_in_url(out, *byte)),
            Self::Json => value.iter().for_each(|byte| put_in_json(out, *byte)),
        }
        Ok(())
    }
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(byte)
}

/// RFC 8259 section 7.
fn needs_escape(byte: &u8) -> bool {
    *byte < 0x20 || b"\"\\".contains(byte)
}

fn put_in_url(out: &mut Held, byte: u8) {
    match byte {
        _ if is_unreserved(&byte) => discreet::append(out, &[byte]),
        _ => discreet::append(out, format!("%{byte:02X}").as_bytes()),
    }
}

fn put_in_json(out: &mut Held, byte: u8) {
    match byte {
        b'"' | b'\\' => discreet::append(out, &[b'\\', byte]),
        _ if needs_escape(&byte) => discreet::append(out, format!("\\u{byte:04x}").as_bytes()),
        _ => discreet::append(out, &[byte]),
    }
}

/// A text to be filled.
pub(super) struct Text {
    place: Place,
    pieces: Vec<Piece>,
}

enum Piece {
    /// Escaped.
    Literal(Vec<u8>),
    Value(Value),
}

impl Text {
    /// # Errors
    /// A value or a text that cannot stand there.
    pub(super) fn of(parts: Vec<Part>, place: Place) -> Result<Self, Wrong> {
        let mut text = Self { place, pieces: Vec::new() };
        parts.into_iter().try_for_each(|part| text.add(part))?;
        Ok(text)
    }

    /// Adds a part, escaped for its place.
    pub(super) fn add(&mut self, part: Part) -> Result<(), Wrong> {
        match part {
            Part::Literal(literal) => self.push(&literal, self.place, "the text"),
            Part::Known { path: true, .. } => wrong("path is for segments of paths", "take path out"),
            Part::Known { kind, text, .. } => {
                self.check_kind(kind, &text)?;
                self.push(&text, self.place, &text)
            }
            Part::Value(value) => {
                self.check_kind(value.kind, &value.name)?;
                self.pieces.push(Piece::Value(value));
                Ok(())
            }
        }
    }

    fn check_kind(&self, kind: Kind, name: &str) -> Result<(), Wrong> {
        if kind == Kind::Bytes && self.place != Place::Raw {
            let bare = name.trim_matches(['{', '}', '?']);
            return wrong(format!("{bare} is bytes"), format!("write {{{bare}|base64}} or another codec"));
        }
        Ok(())
    }

    /// Adds a text that is known, escaped for a place.
    pub(super) fn push(&mut self, literal: &str, place: Place, name: &str) -> Result<(), Wrong> {
        let mut escaped = Zeroizing::default();
        if let Err(what) = place.put(&mut escaped, literal.as_bytes()) {
            return wrong(format!("{name} {what}"), "write visible ASCII and blanks alone");
        }
        match self.pieces.last_mut() {
            Some(Piece::Literal(last)) => last.extend_from_slice(&escaped),
            _ => self.pieces.push(Piece::Literal(escaped.to_vec())),
        }
        Ok(())
    }

    /// All of it, if it is known.
    pub(super) fn known(&self) -> Option<&[u8]> {
        match self.pieces.as_slice() {
            [] => Some(b""),
            [Piece::Literal(literal)] => Some(literal),
            _ => None,
        }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Value(value) => Some(value),
            Piece::Literal(_) => None,
        })
    }

    /// Whether an optional value is empty.
    pub(super) fn is_absent(&self, values: &Values<'_>) -> bool {
        self.values().any(|value| value.is_absent(values))
    }

    pub(super) fn fill(&self, values: &Values<'_>, out: &mut Held) -> Result<(), Misfit> {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => discreet::append(out, literal),
                Piece::Value(value) => self
                    .place
                    .put(out, &value.write(values))
                    .map_err(|what| Misfit { value: value.name.clone(), what })?,
            }
        }
        Ok(())
    }
}
