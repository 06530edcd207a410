//! `--set NAME=VALUE`: rows of settings, read by name.

use std::str::FromStr;

use crate::error::Error;

/// One setting of `S`: its name, what may be written, and what that does.
pub(crate) struct Row<S> {
    pub(crate) name: &'static str,
    /// What is told to those who write something else.
    pub(crate) values: &'static str,
    /// `None` for a value that there is not.
    pub(crate) set: fn(&mut S, &str) -> Option<()>,
}

/// The defaults of `S`, and over them what was given by name.
///
/// # Errors
/// A name or a value that there is not, with those that there are.
pub(crate) fn read<S: Default>(rows: &[Row<S>], given: &[(String, String)]) -> Result<S, Error> {
    let mut settings = S::default();
    for (name, value) in given {
        let Some(row) = rows.iter().find(|row| row.name == name) else {
            let known: Vec<_> = rows.iter().map(|row| row.name).collect();
            return Err(Error::server(format!("no setting {name:?}; there are {}", known.join(", "))));
        };
        (row.set)(&mut settings, value)
            .ok_or_else(|| Error::server(format!("{name}={value}: write {}", row.values)))?;
    }
    Ok(settings)
}

/// Puts a value in place, if it is one.
pub(crate) fn put<T: FromStr>(place: &mut T, text: &str) -> Option<()> {
    *place = text.parse().ok()?;
    Some(())
}

/// Puts the value of a word in place.
pub(crate) fn choose<T: Copy>(place: &mut T, text: &str, words: &[(&str, T)]) -> Option<()> {
    *place = words.iter().find(|(word, _)| *word == text)?.1;
    Some(())
}

/// Puts `yes` or `no` in place.
pub(crate) fn yes(place: &mut bool, text: &str) -> Option<()> {
    choose(place, text, &[("yes", true), ("no", false)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &[Row<(u8, bool)>] = &[
        Row { name: "number", values: "0 to 255", set: |s, v| put(&mut s.0, v) },
        Row { name: "sure", values: "yes or no", set: |s, v| yes(&mut s.1, v) },
    ];

    #[test]
    fn settings_are_refused_by_name_and_by_value() {
        let read = |name: &str, value: &str| read(ROWS, &[(name.to_owned(), value.to_owned())]);
        assert_eq!(read("number", "7").unwrap(), (7, false));
        assert_eq!(read("sure", "yes").unwrap(), (0, true));
        assert!(read("number", "256").unwrap_err().to_string().contains("number=256: write 0 to 255"));
        assert!(read("sure", "maybe").unwrap_err().to_string().contains("write yes or no"));
        assert!(read("numbers", "7").unwrap_err().to_string().contains("there are number, sure"));
    }
}
