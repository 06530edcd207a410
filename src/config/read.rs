//! Typed reading of the tree: what is not there is `None`, what is wrong is a [`Problem`] with its place.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use super::document::{Item, Place, Table, Value};
use super::problem::{Fault, Problem};
use super::schema;

/// What the readers have to know of the file and the process.
#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    /// The file; `None` where the environment is all there is.
    pub(super) file: Option<PathBuf>,
    /// What relative paths in the file are relative to.
    pub(super) folder: PathBuf,
    /// The mode of the file if others than its owner may read it.
    pub(super) readable_by_others: Option<u32>,
    /// Whether `pReserved` named the file.
    pub(super) reserved: bool,
    /// Whether the process is set-uid or set-gid.
    pub(super) secure: bool,
}

impl Source {
    /// A problem at a place; `key` is the dotted path that stands there.
    pub(super) fn problem(&self, place: Option<&Place>, key: Option<&str>, fault: Fault) -> Problem {
        let (file, line, key) = match place {
            Some(Place::Line(line)) => (self.file.clone(), Some(*line), key),
            Some(Place::Variable(name)) => (None, None, Some(name.as_str())),
            None => (self.file.clone(), None, key),
        };
        let Fault { what, remedy } = fault;
        Problem { file, line, key: key.map(str::to_owned), what, remedy, reserved: self.reserved }
    }

    /// An absolute path. In the file paths are relative to the file's folder, in the environment to the working
    /// directory of now: a daemon may change it before the path is used.
    pub(super) fn path(&self, place: &Place, text: &str) -> Result<PathBuf, Fault> {
        if text.is_empty() {
            return Err(Fault::new("is empty", "write the path of a file"));
        }
        let base = match place {
            Place::Line(_) => self.folder.as_path(),
            Place::Variable(_) => Path::new(""),
        };
        std::path::absolute(base.join(text)).map_err(|error| {
            Fault::new(format!("cannot be made absolute ({error})"), "write a path that begins with /")
        })
    }
}

/// A table of the tree with its path in the schema.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    source: &'a Source,
    path: &'a str,
    /// `None`: the table is not there, and everything in it has its default.
    found: Option<(&'a Place, &'a Table)>,
}

impl<'a> Section<'a> {
    /// The table at `path`.
    ///
    /// # Errors
    /// A key that the schema does not have there.
    pub(super) fn open(
        source: &'a Source,
        path: &'a str,
        place: &'a Place,
        table: &'a Table,
    ) -> Result<Self, Problem> {
        let known = schema::names_in(path);
        let section = Self::unchecked(source, path, place, table);
        let unknown = table.iter().find(|(name, _)| !known.contains(&name.as_str()));
        let Some((name, item)) = unknown else { return Ok(section) };
        let remedy = match schema::nearest(name, &known) {
            Some(near) => format!("write {near}"),
            None => format!("what may stand here is {}", known.join(", ")),
        };
        Err(section.problem_at(&item.place, name, Fault::new("is not a known key", remedy)))
    }

    /// The table at `path`, whatever keys it has.
    pub(super) fn unchecked(source: &'a Source, path: &'a str, place: &'a Place, table: &'a Table) -> Self {
        Self { source, path, found: Some((place, table)) }
    }

    /// The table `name` in this one; an absent one is empty. `path` is its whole path.
    pub(super) fn section(&self, name: &str, path: &'a str) -> Result<Self, Problem> {
        let Some(item) = self.item(name) else {
            return Ok(Self { source: self.source, path, found: None });
        };
        match &item.value {
            Value::Table(table) => Self::open(self.source, path, &item.place, table),
            other => Err(self.problem_at(
                &item.place,
                name,
                Fault::new(format!("is {}", form(other)), format!("write a table: [{path}]")),
            )),
        }
    }

    /// The tables of the array `name`, in order, each with its place.
    pub(super) fn tables(&self, name: &str) -> Result<Vec<(&'a Place, &'a Table)>, Problem> {
        let Some(item) = self.item(name) else { return Ok(Vec::new()) };
        let fault = |item: &Item, what: &str| {
            let remedy = format!("write [[{}]]", self.key(name));
            self.problem_at(&item.place, name, Fault::new(what, remedy))
        };
        let Value::List(items) = &item.value else {
            return Err(fault(item, &format!("is {}, not an array of tables", form(&item.value))));
        };
        let table = |item: &'a Item| match &item.value {
            Value::Table(table) => Ok((&item.place, table)),
            other => Err(fault(item, &format!("has {} among its tables", form(other)))),
        };
        items.iter().map(table).collect()
    }

    /// The value of `name`, parsed.
    pub(super) fn get<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&'a Item) -> Result<T, Fault>,
    ) -> Result<Option<T>, Problem> {
        let Some(item) = self.item(name) else { return Ok(None) };
        parse(item).map(Some).map_err(|fault| self.problem_at(&item.place, name, fault))
    }

    /// The string `name`, parsed.
    pub(super) fn text<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&'a Place, &'a str) -> Result<T, Fault>,
    ) -> Result<Option<T>, Problem> {
        self.get(name, |item| parse(&item.place, text(item)?))
    }

    /// The list of strings `name`, each parsed; one string will do for a list of one.
    pub(super) fn list<T>(
        &self,
        name: &str,
        mut parse: impl FnMut(&'a Place, &'a str) -> Result<T, Fault>,
    ) -> Result<Option<Vec<T>>, Problem> {
        let Some(item) = self.item(name) else { return Ok(None) };
        let one = |item: &'a Item| {
            text(item)
                .and_then(|text| parse(&item.place, text))
                .map_err(|fault| self.problem_at(&item.place, name, fault))
        };
        elements(item).iter().map(one).collect::<Result<_, _>>().map(Some)
    }

    /// The file path `name`.
    pub(super) fn path(&self, name: &str) -> Result<Option<PathBuf>, Problem> {
        self.text(name, |place, text| self.source.path(place, text))
    }

    /// The boolean `name`.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Problem> {
        self.get(name, |item| match &item.value {
            Value::Boolean(value) => Ok(*value),
            other => Err(Fault::new(format!("is {}", form(other)), "write true or false")),
        })
    }

    /// The integer `name`, from `least` to `most`.
    pub(super) fn integer(&self, name: &str, least: i64, most: i64) -> Result<Option<i64>, Problem> {
        let remedy = || format!("write an integer from {least} to {most}");
        self.get(name, |item| match &item.value {
            Value::Integer(value) if (least..=most).contains(value) => Ok(*value),
            Value::Integer(value) => Err(Fault::new(format!("is {value}"), remedy())),
            other => Err(Fault::new(format!("is {}", form(other)), remedy())),
        })
    }

    /// The integer `name`, from `least` to `most`, as a count.
    pub(super) fn count(&self, name: &str, least: u32, most: u32) -> Result<Option<usize>, Problem> {
        // The limits make the conversion sure where `usize` has 32 bits or more.
        Ok(self.integer(name, least.into(), most.into())?.and_then(|value| usize::try_from(value).ok()))
    }

    /// The duration `name`, `least` or longer and at most a day.
    pub(super) fn duration(&self, name: &str, least: Duration) -> Result<Option<Duration>, Problem> {
        self.get(name, |item| duration(item, least))
    }

    /// `value`, or the problem that a key is missing which every table of this kind must have.
    pub(super) fn required<T>(&self, name: &str, value: Option<T>, remedy: &str) -> Result<T, Problem> {
        value.ok_or_else(|| {
            let place = self.found.map(|(place, _)| place);
            let place = place.filter(|place| matches!(place, Place::Line(_)));
            self.source.problem(place, Some(&self.key(name)), Fault::new("is missing", remedy))
        })
    }

    /// A problem with the value of `name`, or with the whole table where that is not there.
    pub(super) fn problem(&self, name: &str, fault: Fault) -> Problem {
        let place = self.item(name).map(|item| &item.place).or(self.found.map(|(place, _)| place));
        self.source.problem(place, Some(&self.key(name)), fault)
    }

    /// A problem with `name` at a place of its own.
    pub(super) fn problem_at(&self, place: &Place, name: &str, fault: Fault) -> Problem {
        self.source.problem(Some(place), Some(&self.key(name)), fault)
    }

    pub(super) fn source(&self) -> &'a Source {
        self.source
    }

    pub(super) fn item(&self, name: &str) -> Option<&'a Item> {
        self.found.and_then(|(_, table)| table.get(name))
    }

    fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// The elements of a list; a value that is none is a list of one.
pub(super) fn elements(item: &Item) -> &[Item] {
    match &item.value {
        Value::List(items) => items,
        _ => std::slice::from_ref(item),
    }
}

/// The text of a string.
pub(super) fn text(item: &Item) -> Result<&str, Fault> {
    match &item.value {
        Value::Text(text) => Ok(text.as_str()),
        other => Err(Fault::new(format!("is {}", form(other)), "write a string in quotes")),
    }
}

/// One of some words.
pub(super) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, Fault> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        Fault::new(format!("\"{text}\" is not known"), format!("write {}", known.join(" or ")))
    })
}

/// `"250ms"`, `"5s"`, `"2m"` or `"1h"`.
fn duration(item: &Item, least: Duration) -> Result<Duration, Fault> {
    const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
    const REMEDY: &str = "write \"250ms\", \"5s\", \"2m\" or \"1h\"";
    let text = match &item.value {
        Value::Integer(number) => {
            return Err(Fault::new(
                format!("{number} has no unit"),
                format!("write \"{number}s\" for seconds"),
            ));
        }
        _ => text(item)?,
    };
    let bad = || Fault::new(format!("\"{text}\" is not a duration"), REMEDY);
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let millis_of_unit = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(bad()),
    };
    let number: u64 = digits.parse().map_err(|_| bad())?;
    let value = Duration::from_millis(number.checked_mul(millis_of_unit).ok_or_else(bad)?);
    if value < least {
        return Err(Fault::new(format!("\"{text}\" is too short"), format!("write {least:?} or longer")));
    }
    if value > LONGEST {
        return Err(Fault::new(format!("\"{text}\" is too long"), "write \"24h\" or less"));
    }
    Ok(value)
}

/// What a value is, for `is …`.
fn form(value: &Value) -> &'static str {
    match value {
        Value::Boolean(_) => "true or false",
        Value::Integer(_) => "an integer",
        Value::List(_) => "a list",
        Value::Other(name) => name,
        Value::Table(_) => "a table",
        Value::Text(_) => "a string",
    }
}

/// All of an open file, of at most `limit` bytes. `InvalidData` if there is more.
pub(crate) fn read_all(file: &File, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let expected = file.metadata().map_or(0, |metadata| metadata.len());
    // Room for all of it from the start: a vector that grows leaves copies that nobody zeroises.
    let room = usize::try_from(expected).map_or(limit, |length| length.min(limit)) + 64;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    let most = u64::try_from(limit).map_or(u64::MAX, |limit| limit + 1);
    file.take(most).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}
