//! Why an emulator could not start, or could not keep its state.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A failure of the emulator itself; refusals of requests are answers, not errors of this type.
#[derive(Debug)]
pub enum Error {
    /// A file or a directory could not be read or written.
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another emulator is running on the same directory.
    InUse(PathBuf),
    /// A file of the directory does not contain what it should.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A key or a certificate could not be made.
    Crypto(String),
    /// The socket, a thread or the TLS configuration could not be set up.
    Server(String),
}

impl Error {
    /// For `map_err` on file operations.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
        move |source| Error::File { path: path.to_owned(), source }
    }

    pub(crate) fn damaged(path: &Path, reason: impl fmt::Display) -> Error {
        Error::Damaged { path: path.to_owned(), reason: reason.to_string() }
    }

    pub(crate) fn crypto(reason: impl fmt::Display) -> Error {
        Error::Crypto(reason.to_string())
    }

    pub(crate) fn server(reason: impl fmt::Display) -> Error {
        Error::Server(reason.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::File { path, source } => write!(f, "{}: {source}", path.display()),
            Error::InUse(path) => {
                write!(f, "{}: another emulator is running on this directory", path.display())
            }
            Error::Damaged { path, reason } => {
                write!(f, "{}: {reason}; move the file away to start afresh", path.display())
            }
            Error::Crypto(reason) => write!(f, "cannot make a key or certificate: {reason}"),
            Error::Server(reason) => write!(f, "cannot start the server: {reason}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::File { source, .. } => Some(source),
            _ => None,
        }
    }
}
