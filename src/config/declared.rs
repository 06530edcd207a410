//! `[slot.declared]`: the file that describes the service, and what the slot says to it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::problem::{Fault, Problem};
use super::read::Section;
use super::slot::existing;

/// The settings of a service that a file describes.
#[derive(Debug)]
pub struct Declared {
    /// The description.
    pub file: PathBuf,
    /// Values for the names that the description leaves open.
    pub parameters: BTreeMap<String, String>,
}

/// Reads them.
pub(super) fn read(section: &Section<'_>) -> Result<Declared, Problem> {
    let file = section.path("file")?;
    let file = section.required("file", file, "write file = \"the description of the service\"")?;
    let file = existing(file).map_err(|fault| section.problem("file", fault))?;
    let mut parameters = BTreeMap::new();
    for (name, value) in section.list("parameters", |_, text| parameter(text))?.unwrap_or_default() {
        if parameters.insert(name.clone(), value).is_some() {
            let fault = Fault::new(format!("{name} is there twice"), "take one of the two out");
            return Err(section.problem("parameters", fault));
        }
    }
    Ok(Declared { file, parameters })
}

fn parameter(text: &str) -> Result<(String, String), Fault> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Fault::new(format!("\"{text}\" is not a parameter"), "write \"name=value\"")),
    }
}
