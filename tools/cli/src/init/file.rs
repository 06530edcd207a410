//! The configuration as text: what was answered, and what else there is as comments, each with what
//! `docs/configuration.md` says about it.

use std::fs;

use x509_cert::Certificate;
use x509_cert::der::{Decode as _, DecodePem as _};

use super::answers::Answers;
use super::vendor::{COMMENTS, Form, Question, Vendor};
use crate::failure::Failure;
use crate::reference::{self, Row};

/// A key of FAST HSM is nothing without its serial number, which `init` reads from this file.
const CERTIFICATE: &str = "slot.key.certificate";
/// What stands for a serial number in a comment.
const SERIAL: &str = "1234567890ABCDEF";
/// How wide comments are.
const WIDTH: usize = 100;

/// The text of the file.
pub fn text(vendor: &Vendor, answers: &Answers) -> Result<String, Failure> {
    let mut text = format!(
        "# p11rest: {}.\n# Written by \"p11rest init\". Every key: p11rest.toml(5), docs/configuration.md; \
         this vendor: docs/vendors/{}.md.\n\nversion = 1\n",
        vendor.title, vendor.name
    );
    let mut lines = Vec::new();
    for row in reference::rows() {
        if let Some(line) = line(&row, vendor, answers)? {
            lines.push((row, line));
        }
    }
    let mut rest = &lines[..];
    while let Some(((first, _), _)) = rest.split_first() {
        let table = table(first.key);
        let size = rest.iter().take_while(|(row, _)| self::table(row.key) == table).count();
        let (section, after) = rest.split_at(size);
        text.push_str(&written(table, section));
        rest = after;
    }
    text.push_str(vendor.tail);
    Ok(text)
}

/// What stands behind a key.
enum Line {
    /// An answer, in TOML.
    Answer(String),
    /// What it might be, in a comment.
    Example(String),
    /// Tables of an array, in TOML.
    Tables(String),
    /// It stands in those tables.
    InTables,
}

fn table(key: &str) -> &str {
    key.rsplit_once('.').map_or("", |(table, _)| table)
}

fn line(row: &Row, vendor: &Vendor, answers: &Answers) -> Result<Option<Line>, Failure> {
    if row.key == "slot.backend" {
        return Ok(Some(Line::Answer(quoted(vendor.name))));
    }
    if let Some((_, example)) = COMMENTS.iter().find(|(key, _)| *key == row.key) {
        return Ok(Some(Line::Example((*example).to_owned())));
    }
    if row.key == "slot.key.serial" && vendor.all_questions().any(|question| question.key == CERTIFICATE) {
        return Ok(Some(match answers.values(CERTIFICATE) {
            [] => Line::Example(quoted(SERIAL)),
            _ => Line::InTables,
        }));
    }
    let Some(question) = vendor.all_questions().find(|question| question.key == row.key) else {
        return Ok(answers.value(row.key).map(quoted).map(Line::Answer));
    };
    let values = answers.values(row.key);
    Ok(Some(match (values, question.form) {
        ([], _) => Line::Example(example(question)),
        (_, Form::Certificates) => Line::Tables(keys(values)?),
        (_, Form::Urls | Form::Pairs) => Line::Answer(list(values)),
        ([value, ..], _) => Line::Answer(quoted(value)),
    }))
}

fn example(question: &Question) -> String {
    match question.form {
        Form::Urls | Form::Pairs => format!("[{}]", quoted(question.example)),
        _ => quoted(question.example),
    }
}

fn list(values: &[String]) -> String {
    let values: Vec<_> = values.iter().map(|value| quoted(value)).collect();
    format!("[{}]", values.join(", "))
}

/// A table with its head, which is a comment if all of it is.
fn written(table: &str, lines: &[(Row, Line)]) -> String {
    let head = match table {
        "slot" | "slot.key" => format!("[[{table}]]"),
        _ => format!("[{table}]"),
    };
    let quiet = lines.iter().all(|(_, line)| matches!(line, Line::Example(_)));
    let mut text = match (lines, quiet) {
        ([.., (_, Line::Tables(_))], _) => "\n".to_owned(),
        (_, true) => format!("\n# {head}\n"),
        (_, false) => format!("\n{head}\n"),
    };
    for (row, line) in lines {
        let (name, meaning) = (row.key.rsplit('.').next().unwrap_or(row.key), reference::plain(row.meaning));
        text.push_str(&match line {
            Line::Tables(_) | Line::InTables => comment(&format!("{name}: {meaning}")),
            Line::Answer(_) | Line::Example(_) => comment(&meaning),
        });
        match line {
            Line::Answer(value) => text.push_str(&format!("{name} = {value}\n")),
            Line::Example(value) => text.push_str(&format!("# {name} = {value}\n")),
            Line::InTables => {}
            Line::Tables(tables) => text.push_str(tables),
        }
    }
    text
}

fn comment(text: &str) -> String {
    let (mut lines, mut line) = (String::new(), String::from("#"));
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            lines.push_str(&format!("{line}\n"));
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    format!("{lines}{line}\n")
}

/// A `[[slot.key]]` for each certificate, with its serial number.
fn keys(files: &[String]) -> Result<String, Failure> {
    let mut text = String::new();
    for file in files {
        let serial = serial(file)?;
        let break_before = if text.is_empty() { "" } else { "\n" };
        text.push_str(&format!(
            "{break_before}[[slot.key]]\nserial = \"{serial}\"\ncertificate = {}\n",
            quoted(file)
        ));
    }
    Ok(text)
}

/// As `openssl x509 -noout -serial` writes it.
fn serial(file: &str) -> Result<String, Failure> {
    let bytes = fs::read(file).map_err(Failure::in_context(file))?;
    let certificate = Certificate::from_pem(&bytes).or_else(|_| Certificate::from_der(&bytes));
    let certificate =
        certificate.map_err(|error| Failure::new(format_args!("{file}: no certificate: {error}")))?;
    let digits = match certificate.tbs_certificate.serial_number.as_bytes() {
        // The sign.
        [0, digits @ ..] if !digits.is_empty() => digits,
        digits => digits,
    };
    Ok(digits.iter().map(|byte| format!("{byte:02X}")).collect())
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_and_comments_are_wrapped() {
        assert_eq!(quoted("a\"b\\c\td é"), r#""a\"b\\c\u0009d é""#);
        let wrapped = comment(&"word ".repeat(50));
        assert!(wrapped.lines().all(|line| line.starts_with("# word") && line.len() <= WIDTH), "{wrapped}");
        assert_eq!(wrapped.matches("word").count(), 50);
    }
}
