//! The directory of an emulator: private to its owner, every file replaced by rename so that a
//! reader never sees half of one, and one emulator at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rand_core::{OsRng, RngCore};
use zeroize::Zeroizing;

use crate::error::Error;

/// The directory, held for as long as this value lives.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// The advisory lock goes with the open file.
    _lock: File,
}

impl Directory {
    /// Makes the directory where it is missing and takes it for this process.
    pub(crate) fn open(path: &Path) -> Result<Directory, Error> {
        create_private_dir(path)?;
        let path = path.canonicalize().map_err(Error::file(path))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(Error::file(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Directory { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse(path)),
            Err(TryLockError::Error(source)) => Err(Error::File { path: lock_path, source }),
        }
    }

    /// The absolute path of a file of the directory.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The secret in a file, made on the first start (43 URL-safe characters, 256 random bits).
    pub(crate) fn secret(&self, name: &str) -> Result<Zeroizing<String>, Error> {
        let path = self.join(name);
        if let Some(text) = read_optional(&path)? {
            let text = Zeroizing::new(text);
            return match text.trim() {
                "" => Err(Error::damaged(&path, "empty")),
                secret => Ok(Zeroizing::new(secret.to_owned())),
            };
        }
        let secret = random_token();
        write_atomically(&path, secret.as_bytes())?;
        Ok(secret)
    }
}

/// Makes a directory, and those above it, that nobody else may enter.
pub(crate) fn create_private_dir(path: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Error::file(path))
}

/// Puts `contents` in place of the file, mode 0600.
pub(crate) fn write_atomically(path: &Path, contents: &[u8]) -> Result<(), Error> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let written = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(contents));
    written.map_err(Error::file(&temporary))?;
    fs::rename(&temporary, path).map_err(Error::file(path))
}

/// The text of a file, or `None` where there is none.
pub(crate) fn read_optional(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { path: path.to_owned(), source }),
    }
}

/// Removes a file that may already be gone.
pub(crate) fn remove_if_present(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::File { path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

/// A basic TOML string: quotes, backslashes and control characters escaped (TOML 1.0, "String").
pub(crate) fn toml_string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn random_token() -> Zeroizing<String> {
    use base64::Engine as _;
    let mut bytes = Zeroizing::new([0u8; 32]);
    OsRng.fill_bytes(bytes.as_mut());
    Zeroizing::new(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_strings_are_escaped() {
        assert_eq!(toml_string("/tmp/a"), "\"/tmp/a\"");
        assert_eq!(toml_string("a\"b\\c"), "\"a\\\"b\\\\c\"");
        assert_eq!(toml_string("a\nb"), "\"a\\u000Ab\"");
        assert_eq!(toml_string("é"), "\"é\"");
    }

    #[test]
    fn one_emulator_at_a_time() {
        let path = std::env::temp_dir().join(format!("p11rest-files-{}", std::process::id()));
        let first = Directory::open(&path).unwrap();
        assert!(matches!(Directory::open(&path), Err(Error::InUse(_))));
        let secret = first.secret("service.key").unwrap();
        assert!(secret.len() >= 32);
        assert_eq!(first.secret("service.key").unwrap(), secret);
        drop(first);
        assert!(Directory::open(&path).is_ok());
        fs::remove_dir_all(path).unwrap();
    }
}
