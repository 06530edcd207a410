//! What is wrong with the configuration, where, and what would be right.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

/// Why a configuration, a slot or a secret cannot be used. Never holds a secret.
///
/// Printed: `/etc/p11rest/p11rest.toml:12: slot.urls: has no entry; write urls = ["https://host:port"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub(super) file: Option<PathBuf>,
    pub(super) line: Option<usize>,
    pub(super) key: Option<String>,
    pub(super) what: String,
    pub(super) remedy: String,
    pub(super) reserved: bool,
}

impl Problem {
    /// What the application does not allow.
    pub(super) fn of_the_application(file: Option<&Path>, key: &str, what: &str, remedy: &str) -> Self {
        Self {
            file: file.map(Path::to_owned),
            line: None,
            key: Some(key.to_owned()),
            what: what.to_owned(),
            remedy: remedy.to_owned(),
            reserved: false,
        }
    }

    /// What is wrong in a file that the configuration names.
    pub(crate) fn of_a_file(file: &Path, line: Option<usize>, key: &str, what: &str, remedy: &str) -> Self {
        Self { line, ..Self::of_the_application(Some(file), key, what, remedy) }
    }

    /// The configuration file that has it; `None` for what comes from the environment.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The line of the file, from 1.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// The key as `docs/configuration.md` has it, or the environment variable.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// What is wrong.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What would be right.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    /// Whether the file was named by `CK_C_INITIALIZE_ARGS.pReserved`: then it is the caller's argument that is bad.
    pub fn is_from_reserved(&self) -> bool {
        self.reserved
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{}:{line}: ", file.display())?,
            (Some(file), None) => write!(f, "{}: ", file.display())?,
            (None, _) => {}
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl Error for Problem {}

/// A [`Problem`] that does not know its place yet.
#[derive(Debug)]
pub(super) struct Fault {
    /// What is wrong.
    pub(super) what: String,
    /// What would be right, as an order: `write …`.
    pub(super) remedy: String,
}

impl Fault {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}
