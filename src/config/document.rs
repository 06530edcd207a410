//! A TOML file as a tree in which each value knows its line, so that the environment can be laid over it.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

/// The entries of a table by name.
pub(crate) type Table = BTreeMap<String, Item>;

/// A value and where it stands. There is no `Debug`: it may be a secret.
pub(crate) struct Item {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A line of the file, from 1.
    Line(usize),
    /// The name of an environment variable.
    Variable(String),
}

/// A value of a type that the schema has a use for, or the name of one that it has not.
pub(crate) enum Value {
    Boolean(bool),
    Integer(i64),
    List(Vec<Item>),
    Other(&'static str),
    Table(Table),
    Text(Zeroizing<String>),
}

impl Item {
    pub(crate) fn empty_table(place: Place) -> Self {
        Self { place, value: Value::Table(Table::new()) }
    }
}

/// Reads TOML.
///
/// # Errors
/// The line, if the parser knows it, and what the parser says. Its own `Display` would quote the line, which may hold a
/// secret.
pub(crate) fn parse(text: &str) -> Result<Table, (Option<usize>, String)> {
    let lines = Lines::of(text);
    match DeTable::parse(text) {
        Ok(table) => Ok(convert_table(table.into_inner(), &lines)),
        Err(error) => {
            Err((error.span().map(|span| lines.line_of(span.start)), error.message().replace('\n', ", ")))
        }
    }
}

fn convert_table(table: DeTable<'_>, lines: &Lines) -> Table {
    table
        .into_iter()
        .map(|(key, value)| {
            let line = lines.line_of(key.span().start);
            (key.into_inner().into_owned(), convert(value, Some(line), lines))
        })
        .collect()
}

/// `key_line`: the line of the key, which is where a reader looks; elements of lists have lines of their own.
fn convert(value: Spanned<DeValue<'_>>, key_line: Option<usize>, lines: &Lines) -> Item {
    let line = key_line.unwrap_or_else(|| lines.line_of(value.span().start));
    let value = match value.into_inner() {
        DeValue::Array(items) => {
            Value::List(items.into_iter().map(|item| convert(item, None, lines)).collect())
        }
        DeValue::Boolean(value) => Value::Boolean(value),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Float(_) => Value::Other("a fraction"),
        DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(value) => Value::Integer(value),
            Err(_) => Value::Other("an integer of more than 63 bits"),
        },
        DeValue::String(text) => Value::Text(Zeroizing::new(text.into_owned())),
        DeValue::Table(table) => Value::Table(convert_table(table, lines)),
    };
    Item { place: Place::Line(line), value }
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1).collect())
    }

    /// The line, from 1, that the byte at `offset` is on.
    fn line_of(&self, offset: usize) -> usize {
        1 + self.0.partition_point(|start| *start <= offset)
    }
}
