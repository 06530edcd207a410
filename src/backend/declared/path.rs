//! Templates of paths and their queries.

use zeroize::Zeroizing;

use super::codec::Held;
use super::template::{Misfit, Part, Place, Scope, Source, Text, Value, Values, Wrong, parts};
use crate::discreet;

/// A path with its query.
pub(super) struct Path {
    segments: Vec<Segment>,
    query: Vec<Parameter>,
    /// As the description has it.
    template: String,
    /// Whether what comes of it is nothing for a log.
    discreet: bool,
}

/// What stands between two slashes.
struct Segment {
    text: Text,
    /// Whether a value is a part of it.
    valued: bool,
}

struct Parameter {
    name: Vec<u8>,
    text: Text,
}

/// The names of the values of whole segments, for messages.
fn names(text: &Text) -> String {
    text.values().map(|value| value.name.as_str()).collect::<Vec<_>>().join("")
}

/// What a whole segment cannot be: servers and proxies fold it.
fn folds(segment: &[u8]) -> bool {
    matches!(segment, b"" | b"." | b"..")
}

impl Path {
    /// # Errors
    /// What is wrong with the template.
    pub(super) fn compile(template: &str, scope: &Scope<'_>) -> Result<Self, Wrong> {
        let wrong = |what: &str, remedy: &str| Err((what.to_owned(), remedy.to_owned()));
        if !template.starts_with('/') {
            return wrong("does not begin with /", "write path = \"/…\"");
        }
        let Some(parts) = path_parts(template, scope)? else {
            return wrong("has an optional value outside of a query", "take the ? out");
        };
        let mut reader = Reader::default();
        for part in parts {
            reader.take(part)?;
        }
        let (segments, query) = reader.finish()?;
        if segments.iter().any(|segment| segment.text.values().any(|value| value.optional)) {
            return wrong("has an optional value outside of a query", "take the ? out");
        }
        let path = Self { segments, query, template: template.to_owned(), discreet: false };
        if path.values().any(|value| value.has(|source| source == Source::Password)) {
            return wrong("{password} is for bodies and headers, for paths are logged", "write it elsewhere");
        }
        let discreet = path.values().any(|value| value.has(Source::is_discreet));
        Ok(Self { discreet, ..path })
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        let texts = self.segments.iter().map(|segment| &segment.text);
        texts.chain(self.query.iter().map(|parameter| &parameter.text)).flat_map(Text::values)
    }

    /// Whether it may have what is the caller's.
    pub(super) fn is_discreet(&self) -> bool {
        self.discreet
    }

    /// For the log: with the names of keys, but without what is the caller's.
    pub(super) fn shown<'p>(&'p self, filled: &'p str) -> &'p str {
        if self.discreet { &self.template } else { filled }
    }

    /// # Errors
    /// A value that cannot be a segment.
    pub(super) fn fill(&self, values: &Values<'_>) -> Result<Held, Misfit> {
        let mut path = Zeroizing::new(Vec::with_capacity(2 * self.template.len() + 3 * values.key.len()));
        for Segment { text, valued } in &self.segments {
            discreet::append(&mut path, b"/");
            let start = path.len();
            text.fill(values, &mut path)?;
            if *valued && path.get(start..).is_none_or(folds) {
                return Err(Misfit {
                    value: names(text),
                    what: "is empty, . or .., which no segment can be",
                });
            }
        }
        let mut mark = b"?";
        for Parameter { name, text } in self.query.iter().filter(|one| !one.text.is_absent(values)) {
            discreet::append(&mut path, mark);
            discreet::append(&mut path, name);
            discreet::append(&mut path, b"=");
            text.fill(values, &mut path)?;
            mark = b"&";
        }
        Ok(path)
    }
}

/// The parts of a template, of which each parameter of the query that is known to be absent is left out.
fn path_parts(template: &str, scope: &Scope<'_>) -> Result<Option<Vec<Part>>, Wrong> {
    let (path, query) = split_query(template);
    let Some(mut all) = parts(path, scope)? else { return Ok(None) };
    let mut mark = "?";
    for parameter in query.map(split_parameters).unwrap_or_default() {
        if let Some(parts) = parts(parameter, scope)? {
            all.push(Part::Literal(mark.to_owned()));
            all.extend(parts);
            mark = "&";
        }
    }
    Ok(Some(all))
}

/// At the first `?` outside of braces.
fn split_query(template: &str) -> (&str, Option<&str>) {
    let mut found = split_outside(template, b'?').into_iter();
    let path = found.next().unwrap_or_default();
    (path, found.next().and_then(|_| template.get(path.len() + 1..)))
}

fn split_parameters(query: &str) -> Vec<&str> {
    split_outside(query, b'&')
}

/// The parts between marks that stand in no braces.
fn split_outside(text: &str, mark: u8) -> Vec<&str> {
    let mut inside = false;
    let mut start = 0;
    let mut found = Vec::new();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => inside = true,
            b'}' => inside = false,
            _ if byte == mark && !inside => {
                found.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    found.extend(text.get(start..));
    found
}

/// Puts parts where they belong.
#[derive(Default)]
struct Reader {
    segments: Vec<Vec<Part>>,
    query: Vec<(Option<String>, Vec<Part>)>,
}

impl Reader {
    fn take(&mut self, part: Part) -> Result<(), Wrong> {
        match part {
            Part::Literal(literal) => literal.chars().try_for_each(|char| self.take_char(char)),
            Part::Known { path: true, text, kind } if self.query.is_empty() => {
                for (number, segment) in text.split('/').enumerate() {
                    if number > 0 {
                        self.segments.push(Vec::new());
                    }
                    self.put(Part::Known { kind, text: segment.to_owned(), path: false })?;
                }
                Ok(())
            }
            part => self.put(part),
        }
    }

    fn take_char(&mut self, char: char) -> Result<(), Wrong> {
        match (char, self.query.last_mut()) {
            ('/', None) => self.segments.push(Vec::new()),
            ('?', None) | ('&', Some(_)) => self.query.push((None, Vec::new())),
            ('=', Some((name @ None, parts))) => {
                let literal = parts.drain(..).map(|part| match part {
                    Part::Literal(text) => Ok(text),
                    _ => Err((
                        "has a value in the name of a parameter".to_owned(),
                        "write the name".to_owned(),
                    )),
                });
                *name = Some(literal.collect::<Result<String, _>>()?);
            }
            _ if !char.is_ascii_graphic() || "\"<>\\^`|#{}".contains(char) => {
                let what = format!("has {char:?}, which no path may have");
                return Err((what, "percent-encode it".to_owned()));
            }
            _ => return self.put(Part::Literal(char.into())),
        }
        Ok(())
    }

    fn put(&mut self, part: Part) -> Result<(), Wrong> {
        let parts = match (self.query.last_mut(), self.segments.last_mut()) {
            (Some((_, parts)), _) | (None, Some(parts)) => parts,
            (None, None) => {
                return Err(("does not begin with /".to_owned(), "write path = \"/…\"".to_owned()));
            }
        };
        parts.push(part);
        Ok(())
    }

    fn finish(self) -> Result<(Vec<Segment>, Vec<Parameter>), Wrong> {
        let segments = self.segments.into_iter().map(segment).collect::<Result<_, _>>()?;
        let parameter = |(name, parts): (Option<String>, _)| match name.filter(|name| !name.is_empty()) {
            Some(name) => Ok(Parameter { name: name.into_bytes(), text: url_text(parts)? }),
            None => Err(("has a parameter without =".to_owned(), "write name=value".to_owned())),
        };
        Ok((segments, self.query.into_iter().map(parameter).collect::<Result<_, _>>()?))
    }
}

fn segment(parts: Vec<Part>) -> Result<Segment, Wrong> {
    let valued = parts.iter().any(|part| !matches!(part, Part::Literal(_)));
    let text = url_text(parts)?;
    if let Some(known) = text.known()
        && folds(known)
        && (valued || !known.is_empty())
    {
        let what = "has a segment that is empty, . or .., which servers and proxies fold";
        return Err((what.to_owned(), "write another value".to_owned()));
    }
    Ok(Segment { text, valued })
}

/// Literals are as the administrator wrote them; values are escaped.
fn url_text(parts: Vec<Part>) -> Result<Text, Wrong> {
    let mut text = Text::of(Vec::new(), Place::Url)?;
    for part in parts {
        match part {
            Part::Literal(literal) => text.push(&literal, Place::Raw, "the text")?,
            part => text.add(part)?,
        }
    }
    Ok(text)
}
