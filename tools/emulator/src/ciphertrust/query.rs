//! The query of a request: each parameter once, and none that the call does not have.

use percent_encoding::percent_decode_str;

use super::refusal::{Answer, Refusal};

/// The parameters of one request, decoded.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query; `+` is a blank, as in forms.
    pub(super) fn read(text: &str, known: &[&str]) -> Answer<Query> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) =
                pair.split_once('=').ok_or_else(|| Refusal::bad("a parameter has no value"))?;
            if !known.contains(&name) {
                return Err(Refusal::bad(format!("there is no parameter {name:?} here")));
            }
            if pairs.iter().any(|(other, _)| other == name) {
                return Err(Refusal::bad(format!("the parameter {name:?} is there twice")));
            }
            let value = value.replace('+', " ");
            let value = percent_decode_str(&value).decode_utf8();
            let value = value.map_err(|_| Refusal::bad(format!("{name:?} is not UTF-8")))?.into_owned();
            pairs.push((name.to_owned(), value));
        }
        Ok(Query(pairs))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn required(&self, name: &str) -> Answer<&str> {
        self.get(name).ok_or_else(|| Refusal::bad(format!("the parameter {name:?} is missing")))
    }

    /// A number of keys.
    pub(super) fn count(&self, name: &str, default: usize) -> Answer<usize> {
        let number = self
            .get(name)
            .map(|value| value.parse().map_err(|_| Refusal::bad(format!("{name:?} is no number"))));
        number.unwrap_or(Ok(default))
    }
}
