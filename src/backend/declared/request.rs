//! A call of the description: what is sent, and when it is a success.

use zeroize::Zeroizing;

use super::codec::{Held, Kind};
use super::errors::Success;
use super::path::Path;
use super::reader::{Node, Read, Section};
use super::template::{Misfit, Part, Place, Scope, Source, Text, Value, Values, parts};
use crate::config::document;
use crate::discreet;
use crate::transport::{self, Class, Headers, Method, Request};

/// The keys of each call.
pub(super) const KEYS: [&str; 9] =
    ["method", "path", "headers", "json", "form", "raw", "content_type", "class", "success"];

/// Header lines that nobody but the module writes.
const OWN: [&str; 4] = ["connection", "content-length", "host", "transfer-encoding"];

/// A header line that a call must not write, for somebody else does.
pub(super) struct Taken {
    header: String,
    /// What it is, behind its name.
    what: String,
}

impl Taken {
    pub(super) fn new(header: &str, what: impl Into<String>) -> Self {
        Self { header: header.to_owned(), what: what.into() }
    }

    pub(super) fn is(&self, header: &str) -> bool {
        self.header.eq_ignore_ascii_case(header)
    }
}

/// Whether nobody but the module writes this header line.
pub(super) fn is_of_the_module(name: &str) -> bool {
    OWN.iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// What a call is unless the description says it.
#[derive(Clone, Copy)]
pub(super) struct Usual {
    /// Of a call without a body; one with a body is a POST.
    method: Method,
    /// What may be done when the answer does not come.
    class: Class,
    /// Whether the description may let it be repeated.
    repeats: bool,
}

impl Usual {
    pub(super) const READING: Self = Self { method: Method::Get, class: Class::Repeatable, repeats: true };
    /// A signature may be counted.
    pub(super) const SIGNING: Self = Self { class: Class::OnceOnly, ..Self::READING };
    /// A second key would be nobody's.
    pub(super) const MAKING: Self = Self { method: Method::Post, class: Class::OnceOnly, repeats: false };
    /// The name may be another key's by then.
    pub(super) const DELETING: Self = Self { method: Method::Delete, ..Self::MAKING };
}

/// A call with open values.
pub(super) struct Call {
    method: Method,
    path: Path,
    /// Header lines that are known.
    fixed: Headers,
    headers: Vec<(String, Text)>,
    body: Body,
    class: Class,
    has_password: bool,
    pub(super) success: Option<Success>,
}

enum Body {
    None,
    Json(Json),
    Form(Vec<(Vec<u8>, Text)>),
    Raw(Text),
}

/// What a call came to with its values.
pub(super) struct Filled<'c> {
    call: &'c Call,
    path: Held,
    /// `None`: those that were known suffice.
    headers: Option<Headers>,
    body: Option<Held>,
    class: Class,
}

impl Call {
    /// `taken`: the header lines that it may not have.
    pub(super) fn read(
        section: &Section<'_>,
        scope: &Scope<'_>,
        usual: Usual,
        taken: &[Taken],
    ) -> Read<Self> {
        let path = |node: &Node<'_>| {
            let text = node.text()?;
            Path::compile(text, scope).map_err(|(what, remedy)| node.fault(what, remedy))
        };
        let path = section.need("path", "write path = \"/…\"", path)?;
        let (body, media) = body(section, scope)?;
        let methods = [
            ("GET", Method::Get),
            ("POST", Method::Post),
            ("PUT", Method::Put),
            ("PATCH", Method::Patch),
            ("DELETE", Method::Delete),
        ];
        let method = if matches!(body, Body::None) { usual.method } else { Method::Post };
        let classes = [
            ("repeatable", Class::Repeatable),
            ("once", Class::OnceOnly),
            ("never-twice", Class::NeverTwice),
        ];
        let classes = classes.get(usize::from(!usual.repeats)..).unwrap_or_default();
        let mut fixed = Headers::default();
        if let Some(media) = media {
            let unfit = |_| section.fault("content_type is no value of a header", "write visible ASCII");
            fixed.add("Content-Type", &media).map_err(unfit)?;
        }
        let headers = headers(section, scope, taken, &mut fixed)?;
        let mut call = Self {
            method: section.read("method", |node| node.word(&methods))?.unwrap_or(method),
            path,
            fixed,
            headers,
            body,
            class: section.read("class", |node| node.word(classes))?.unwrap_or(usual.class),
            has_password: false,
            success: section.read("success", Success::read)?,
        };
        call.has_password = call.has(Source::Password);
        Ok(call)
    }

    fn values(&self) -> Vec<&Value> {
        let mut values: Vec<_> = self.path.values().collect();
        values.extend(self.headers.iter().flat_map(|(_, text)| text.values()));
        self.body.add_values(&mut values);
        values
    }

    /// Whether some value is this one.
    pub(super) fn has(&self, source: Source) -> bool {
        self.values().iter().any(|value| value.has(|other| other == source))
    }

    /// Whether some value is this one, also where it is empty.
    pub(super) fn needs(&self, source: Source) -> bool {
        self.values().iter().any(|value| !value.optional && value.has(|other| other == source))
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn is_raw(&self) -> bool {
        matches!(self.body, Body::Raw(_))
    }

    /// # Errors
    /// A value that must not stand where it would.
    pub(super) fn fill(&self, values: &Values<'_>) -> Result<Filled<'_>, Misfit> {
        let class = match self.has_password && !values.password.is_empty() {
            true => Class::NeverTwice,
            false => self.class,
        };
        let headers = match self.headers.is_empty() {
            true => None,
            false => Some(self.fill_headers(values)?),
        };
        Ok(Filled {
            call: self,
            path: self.path.fill(values)?,
            headers,
            body: self.body.fill(values)?,
            class,
        })
    }

    fn fill_headers(&self, values: &Values<'_>) -> Result<Headers, Misfit> {
        let mut lines = self.fixed.clone();
        for (name, text) in &self.headers {
            let mut value = Zeroizing::default();
            if text.is_absent(values) {
                continue;
            }
            text.fill(values, &mut value)?;
            let unfit = || Misfit { value: name.clone(), what: "has a byte that no header may carry" };
            let value = std::str::from_utf8(&value).map_err(|_| unfit())?;
            if !value.is_empty() {
                lines.add(name, value).map_err(|_| unfit())?;
            }
        }
        Ok(lines)
    }
}

impl Call {
    /// Whether its path may have what is the caller's.
    pub(super) fn has_discreet_path(&self) -> bool {
        self.path.is_discreet()
    }
}

impl Filled<'_> {
    /// The request.
    pub(super) fn request(&self) -> Request<'_> {
        Request {
            method: self.call.method,
            path: self.path(),
            headers: self.headers.as_ref().unwrap_or(&self.call.fixed),
            body: self.body.as_ref().map(|body| body.as_slice()),
            class: self.class,
        }
    }

    /// All of a path is ASCII: what is written is checked, and values are percent-encoded.
    fn path(&self) -> &str {
        std::str::from_utf8(&self.path).unwrap_or("/")
    }

    /// The path for the log.
    pub(super) fn shown(&self) -> &str {
        self.call.path.shown(self.path())
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn parts(&self) -> (&str, String, Option<&[u8]>) {
        let headers = self.headers.as_ref().unwrap_or(&self.call.fixed);
        let headers = String::from_utf8_lossy(headers.as_bytes()).into_owned();
        (self.path(), headers, self.body.as_ref().map(|body| body.as_slice()))
    }
}

/// The parts of a template; `None` where it is known to be absent.
fn template(node: &Node<'_>, scope: &Scope<'_>) -> Read<Option<Vec<Part>>> {
    parts(node.text()?, scope).map_err(|(what, remedy)| node.fault(what, remedy))
}

fn text(node: &Node<'_>, scope: &Scope<'_>, place: Place) -> Read<Option<Text>> {
    let Some(parts) = template(node, scope)? else { return Ok(None) };
    Text::of(parts, place).map(Some).map_err(|(what, remedy)| node.fault(what, remedy))
}

/// The lines that have values; those that have none are added to `fixed`.
fn headers(
    section: &Section<'_>,
    scope: &Scope<'_>,
    taken: &[Taken],
    fixed: &mut Headers,
) -> Read<Vec<(String, Text)>> {
    let mut open = Vec::new();
    let Some(table) = section.get("headers") else { return Ok(open) };
    for (name, node) in table.table()?.members() {
        check_header(&table, name, taken)?;
        let Some(text) = text(&node, scope, Place::Header)? else { continue };
        match text.known().map(std::str::from_utf8) {
            Some(Ok("")) => {}
            Some(Ok(value)) => add_line(&node, fixed, name, value)?,
            _ => {
                // Whether the name is one.
                add_line(&node, &mut Headers::default(), name, "")?;
                open.push((name.to_owned(), text));
            }
        }
    }
    Ok(open)
}

fn add_line(node: &Node<'_>, lines: &mut Headers, name: &str, value: &str) -> Read<()> {
    let unfit = |error: transport::Error| node.fault(error.to_string(), "write what HTTP allows");
    lines.add(name, value).map_err(unfit)
}

/// Whether a description may write this header line.
fn check_header(table: &Node<'_>, name: &str, taken: &[Taken]) -> Read<()> {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    let (what, remedy) = match name {
        _ if is_of_the_module(name) => ("is written by the module", "take it out"),
        _ if is("content-type") => ("is what the body is", "write content_type beside raw"),
        _ if is("authorization") => ("is a credential", "write it in [slot.auth] of the slot"),
        _ => match taken.iter().find(|other| other.is(name)) {
            Some(other) => (other.what.as_str(), "write it in one of them"),
            None => return Ok(()),
        },
    };
    Err(table.fault(format!("{name} {what}"), remedy))
}

/// The header lines of every request, which have no values but parameters.
pub(super) fn file_headers(
    section: &Section<'_>,
    scope: &Scope<'_>,
    taken: &[Taken],
) -> Read<Vec<(String, String)>> {
    let mut lines = Vec::new();
    let Some(table) = section.get("headers") else { return Ok(lines) };
    for (name, node) in table.table()?.members() {
        check_header(&table, name, taken)?;
        let Some(text) = text(&node, scope, Place::Header)? else { continue };
        let value = String::from_utf8_lossy(text.known().unwrap_or_default()).into_owned();
        if !value.is_empty() {
            add_line(&node, &mut Headers::default(), name, &value)?;
            lines.push((name.to_owned(), value));
        }
    }
    Ok(lines)
}

/// The body and its media type.
fn body(section: &Section<'_>, scope: &Scope<'_>) -> Read<(Body, Option<String>)> {
    let there: Vec<_> = ["form", "json", "raw"].into_iter().filter_map(|name| section.get(name)).collect();
    if let [first, _, ..] = there.as_slice() {
        return Err(first.fault("there is another body", "write one of json, form and raw"));
    }
    let content_type = section.read("content_type", Node::text)?;
    if let (Some(_), None) = (content_type, section.get("raw")) {
        return Err(section.fault("content_type is for raw", "take it out"));
    }
    if let Some(node) = section.get("json") {
        let json = Json::read(&node, scope)?;
        let absent = || node.fault("is optional as a whole", "take the ? out");
        return Ok((Body::Json(json.ok_or_else(absent)?), Some("application/json".to_owned())));
    }
    if let Some(node) = section.get("form") {
        let mut fields = Vec::new();
        for (name, node) in node.table()?.members() {
            let mut escaped =
                Text::of(Vec::new(), Place::Url).map_err(|(what, remedy)| node.fault(what, remedy))?;
            escaped.push(name, Place::Url, name).map_err(|(what, remedy)| node.fault(what, remedy))?;
            if let Some(text) = text(&node, scope, Place::Url)? {
                fields.push((escaped.known().unwrap_or_default().to_vec(), text));
            }
        }
        return Ok((Body::Form(fields), Some("application/x-www-form-urlencoded".to_owned())));
    }
    let Some(node) = section.get("raw") else { return Ok((Body::None, None)) };
    let media = content_type.ok_or_else(|| section.missing("content_type", "write what the body is"))?;
    let text = text(&node, scope, Place::Raw)?.filter(|text| !text.values().any(|value| value.optional));
    let absent = || node.fault("is optional as a whole", "take the ? out");
    Ok((Body::Raw(text.ok_or_else(absent)?), Some(media.to_owned())))
}

impl Body {
    fn add_values<'b>(&'b self, values: &mut Vec<&'b Value>) {
        match self {
            Self::None => {}
            Self::Json(json) => json.add_values(values),
            Self::Form(fields) => values.extend(fields.iter().flat_map(|(_, text)| text.values())),
            Self::Raw(text) => values.extend(text.values()),
        }
    }

    fn fill(&self, values: &Values<'_>) -> Result<Option<Held>, Misfit> {
        let mut out = Zeroizing::new(Vec::with_capacity(256));
        match self {
            Self::None => return Ok(None),
            Self::Json(json) => json.fill(values, &mut out)?,
            Self::Raw(text) => text.fill(values, &mut out)?,
            Self::Form(fields) => {
                for (name, text) in fields.iter().filter(|(_, text)| !text.is_absent(values)) {
                    if !out.is_empty() {
                        discreet::append(&mut out, b"&");
                    }
                    discreet::append(&mut out, name);
                    discreet::append(&mut out, b"=");
                    text.fill(values, &mut out)?;
                }
            }
        }
        Ok(Some(out))
    }
}

/// A JSON value with open places.
enum Json {
    Literal(Vec<u8>),
    String(Text),
    /// A number or a truth value, which is one also as a template's only value.
    Bare(Value),
    List(Vec<Json>),
    /// Each name with its quotes and colon.
    Object(Vec<(Vec<u8>, Json)>),
}

impl Json {
    /// `None` for one that is known to be absent.
    fn read(node: &Node<'_>, scope: &Scope<'_>) -> Read<Option<Self>> {
        Ok(Some(match node.value() {
            document::Value::Boolean(value) => Self::Literal(value.to_string().into_bytes()),
            document::Value::Integer(number) => Self::Literal(number.to_string().into_bytes()),
            document::Value::Other(what) => {
                return Err(node.fault(format!("is {what}"), "write a string, an integer or a boolean"));
            }
            document::Value::List(_) => {
                let read = |node: &Node<'_>| Self::read(node, scope).transpose();
                Self::List(node.elements().iter().filter_map(read).collect::<Read<_>>()?)
            }
            document::Value::Table(_) => {
                let read = |(name, node): (&str, Node<'_>)| {
                    let value = Self::read(&node, scope).transpose()?;
                    Some(
                        value
                            .map(|value| (format!("{}:", serde_json::Value::from(name)).into_bytes(), value)),
                    )
                };
                Self::Object(node.table()?.members().into_iter().filter_map(read).collect::<Read<_>>()?)
            }
            document::Value::Text(_) => {
                let Some(parts) = template(node, scope)? else { return Ok(None) };
                return Self::of(parts).map(Some).map_err(|(what, remedy)| node.fault(what, remedy));
            }
        }))
    }

    /// A string that is one placeholder keeps the type of its source.
    fn of(mut parts: Vec<Part>) -> Result<Self, (String, String)> {
        let bare = |value: &Value| matches!(value.kind, Kind::Number | Kind::Boolean);
        let alone = parts.len() == 1;
        match parts.pop() {
            Some(Part::Known { kind: Kind::Number | Kind::Boolean, text, .. }) if alone => {
                Ok(Self::Literal(text.into_bytes()))
            }
            Some(Part::Value(value)) if alone && bare(&value) => Ok(Self::Bare(value)),
            last => {
                parts.extend(last);
                Text::of(parts, Place::Json).map(Self::String)
            }
        }
    }

    fn add_values<'j>(&'j self, values: &mut Vec<&'j Value>) {
        match self {
            Self::Literal(_) => {}
            Self::String(text) => values.extend(text.values()),
            Self::Bare(value) => values.push(value),
            Self::List(items) => items.iter().for_each(|item| item.add_values(values)),
            Self::Object(members) => members.iter().for_each(|(_, value)| value.add_values(values)),
        }
    }

    fn is_absent(&self, values: &Values<'_>) -> bool {
        match self {
            Self::String(text) => text.is_absent(values),
            Self::Bare(value) => value.is_absent(values),
            Self::Literal(_) | Self::List(_) | Self::Object(_) => false,
        }
    }

    fn fill(&self, values: &Values<'_>, out: &mut Held) -> Result<(), Misfit> {
        match self {
            Self::Literal(literal) => discreet::append(out, literal),
            Self::Bare(value) => value.put(values, out),
            Self::String(text) => {
                discreet::append(out, b"\"");
                text.fill(values, out)?;
                discreet::append(out, b"\"");
            }
            Self::List(items) => {
                let items = items.iter().filter(|item| !item.is_absent(values));
                enclosed(out, [b"[", b"]"], items, |item, out| item.fill(values, out))?;
            }
            Self::Object(members) => {
                let members = members.iter().filter(|(_, value)| !value.is_absent(values));
                enclosed(out, [b"{", b"}"], members, |(name, value), out| {
                    discreet::append(out, name);
                    value.fill(values, out)
                })?;
            }
        }
        Ok(())
    }
}

/// Writes items with commas between them.
fn enclosed<T>(
    out: &mut Held,
    [open, close]: [&[u8]; 2],
    items: impl Iterator<Item = T>,
    write: impl Fn(T, &mut Held) -> Result<(), Misfit>,
) -> Result<(), Misfit> {
    discreet::append(out, open);
    for (number, item) in items.enumerate() {
        if number > 0 {
            discreet::append(out, b",");
        }
        write(item, out)?;
    }
    discreet::append(out, close);
    Ok(())
}
