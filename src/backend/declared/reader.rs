//! Reading a description: what is not there is `None`, what is wrong is a [`Fault`] with line, key and remedy.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::document::{Item, Place, Table, Value};
use crate::config::{Problem, nearest};

/// What is wrong in a description.
#[derive(Debug)]
pub(super) struct Fault {
    line: Option<usize>,
    key: String,
    what: String,
    remedy: String,
}

pub(super) type Read<T> = Result<T, Fault>;

impl Fault {
    pub(super) fn new(
        line: Option<usize>,
        key: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { line, key: key.into(), what: what.into(), remedy: remedy.into() }
    }

    /// The same with its file.
    pub(super) fn of(&self, file: &Path) -> Problem {
        Problem::of_a_file(file, self.line, &self.key, &self.what, &self.remedy)
    }
}

/// A value with its dotted key.
pub(super) struct Node<'a> {
    pub(super) key: String,
    item: &'a Item,
}

impl<'a> Node<'a> {
    fn line(&self) -> Option<usize> {
        match self.item.place {
            Place::Line(line) => Some(line),
            Place::Variable(_) => None,
        }
    }

    pub(super) fn fault(&self, what: impl Into<String>, remedy: impl Into<String>) -> Fault {
        Fault::new(self.line(), self.key.clone(), what, remedy)
    }

    fn is_not(&self, wanted: &str) -> Fault {
        self.fault(format!("is {}", form(&self.item.value)), format!("write {wanted}"))
    }

    pub(super) fn value(&self) -> &'a Value {
        &self.item.value
    }

    pub(super) fn text(&self) -> Read<&'a str> {
        match &self.item.value {
            Value::Text(text) => Ok(text.as_str()),
            _ => Err(self.is_not("a string in quotes")),
        }
    }

    pub(super) fn boolean(&self) -> Read<bool> {
        match self.item.value {
            Value::Boolean(value) => Ok(value),
            _ => Err(self.is_not("true or false")),
        }
    }

    /// An integer from `least` to `most`.
    pub(super) fn count(&self, least: u32, most: u32) -> Read<usize> {
        let remedy = format!("an integer from {least} to {most}");
        let Value::Integer(value) = self.item.value else { return Err(self.is_not(&remedy)) };
        let fits = (i64::from(least)..=i64::from(most)).contains(&value);
        let value = usize::try_from(value).ok().filter(|_| fits);
        value.ok_or_else(|| {
            let Value::Integer(value) = self.item.value else { return self.is_not(&remedy) };
            self.fault(format!("is {value}"), format!("write {remedy}"))
        })
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Read<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let known: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            self.fault(format!("\"{text}\" is not known"), format!("write {}", known.join(", ")))
        })
    }

    /// The elements of a list; a value that is none is a list of one.
    pub(super) fn elements(&self) -> Vec<Node<'a>> {
        let items = match &self.item.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(self.item),
        };
        items.iter().map(|item| Node { key: self.key.clone(), item }).collect()
    }

    /// A table, whatever its keys are.
    pub(super) fn table(&self) -> Read<Section<'a>> {
        match &self.item.value {
            Value::Table(table) => Ok(Section { key: self.key.clone(), line: self.line(), table }),
            _ => Err(self.is_not(&format!("a table: [{}]", self.key))),
        }
    }

    /// A table with these keys and no others.
    pub(super) fn section(&self, known: &[&str]) -> Read<Section<'a>> {
        self.table()?.of(known)
    }
}

/// A table with its dotted key, which is empty for the whole file.
pub(super) struct Section<'a> {
    pub(super) key: String,
    line: Option<usize>,
    table: &'a Table,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(super) fn root(table: &'a Table) -> Self {
        Self { key: String::new(), line: None, table }
    }

    /// The same, which has these keys and no others.
    pub(super) fn of(self, known: &[&str]) -> Read<Self> {
        let Some(unknown) = self.members().into_iter().find(|(name, _)| !known.contains(name)) else {
            return Ok(self);
        };
        let remedy = match nearest(unknown.0, known) {
            Some(near) => format!("write {near}"),
            None => format!("what may stand here is {}", known.join(", ")),
        };
        Err(unknown.1.fault("is not a known key", remedy))
    }

    /// All of it.
    pub(super) fn members(&self) -> Vec<(&'a str, Node<'a>)> {
        let node = |name: &'a String, item| (name.as_str(), Node { key: self.key_of(name), item });
        self.table.iter().map(|(name, item)| node(name, item)).collect()
    }

    fn key_of(&self, name: &str) -> String {
        if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) }
    }

    pub(super) fn get(&self, name: &str) -> Option<Node<'a>> {
        self.table.get(name).map(|item| Node { key: self.key_of(name), item })
    }

    /// The value of `name`, read.
    pub(super) fn read<T>(&self, name: &str, read: impl FnOnce(&Node<'a>) -> Read<T>) -> Read<Option<T>> {
        self.get(name).map(|node| read(&node)).transpose()
    }

    /// The value of `name`, read, which has to be there.
    pub(super) fn need<T>(
        &self,
        name: &str,
        remedy: &str,
        read: impl FnOnce(&Node<'a>) -> Read<T>,
    ) -> Read<T> {
        self.read(name, read)?.ok_or_else(|| self.missing(name, remedy))
    }

    pub(super) fn missing(&self, name: &str, remedy: &str) -> Fault {
        Fault::new(self.line, self.key_of(name), "is missing", remedy)
    }

    pub(super) fn fault(&self, what: impl Into<String>, remedy: impl Into<String>) -> Fault {
        Fault::new(self.line, self.key.clone(), what, remedy)
    }

    /// The texts of the table `name`.
    pub(super) fn texts(&self, name: &str) -> Read<BTreeMap<String, String>> {
        let Some(node) = self.get(name) else { return Ok(BTreeMap::new()) };
        let text = |(name, node): (&str, Node<'a>)| Ok((name.to_owned(), node.text()?.to_owned()));
        node.table()?.members().into_iter().map(text).collect()
    }

    /// The tables of the array `name`.
    pub(super) fn tables(&self, name: &str, known: &[&str]) -> Read<Vec<Section<'a>>> {
        let Some(node) = self.get(name) else { return Ok(Vec::new()) };
        let Value::List(_) = node.value() else { return Err(node.is_not(&format!("[[{}]]", node.key))) };
        node.elements().iter().map(|node| node.section(known)).collect()
    }
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
