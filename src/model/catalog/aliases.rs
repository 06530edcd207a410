//! Names of this machine's own for keys: what `C_SetAttributeValue` makes of `CKA_LABEL` and `CKA_ID`, in a file.
//!
//! No vendor's API changes a label or an id, and applications give both after they made a key. The file is theirs who log
//! in; it holds no secret.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use cryptoki_sys::CKR_FUNCTION_FAILED;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::attribute_cache::write_whole;
use crate::backend::KeyName;
use crate::error::{Error, Result};
use crate::observe::log::Log;

/// A larger file is not ours.
const LIMIT: u64 = 64 << 20;

/// The aliases of one token.
pub struct Aliases {
    path: PathBuf,
    log: Log,
    held: RwLock<Known>,
}

/// By the name at the HSM.
pub type Known = BTreeMap<String, Alias>;

/// What a key is called instead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// `CKA_LABEL`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `CKA_ID`, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hexadecimal")]
    pub id: Option<Vec<u8>>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    keys: Known,
}

impl Aliases {
    /// Those of a file, which need not exist.
    pub fn open(path: PathBuf, log: Log) -> Self {
        let aliases = Self { path, log, held: RwLock::default() };
        aliases.refresh();
        aliases
    }

    /// What this key is called.
    pub fn of(&self, name: &KeyName) -> Option<Alias> {
        self.held.read().get(name.as_str()).cloned()
    }

    /// The name of the key that is called `label`, as far as the file says.
    pub fn name_of(&self, label: &str) -> Option<KeyName> {
        let held = self.held.read();
        held.iter()
            .find(|(_, alias)| alias.label.as_deref() == Some(label))
            .map(|(name, _)| name.as_str().into())
    }

    /// Reads what another process wrote; gives the names that are called otherwise since.
    pub fn refresh(&self) -> Vec<KeyName> {
        let mut held = self.held.write();
        let fresh = match self.read() {
            Ok(content) => content.keys,
            Err(error) => {
                self.log.warn(format_args!("{} is not used: {error}", self.path.display()));
                return Vec::new();
            }
        };
        let names = held.keys().chain(fresh.keys());
        let changed =
            names.filter(|name| held.get(*name) != fresh.get(*name)).map(|name| name.as_str().into());
        let changed = changed.collect();
        *held = fresh;
        changed
    }

    /// Changes what the file says by now, for this process and all that read it later; one process at a time.
    ///
    /// # Errors
    /// What `change` says; `CKR_FUNCTION_FAILED` where the file cannot be read or written. Then nothing changed.
    pub fn update(&self, change: impl FnOnce(&mut Known) -> Result<()>) -> Result<()> {
        let mut held = self.held.write();
        let _lock = self.lock().map_err(unwritable)?;
        let mut content = self.read().map_err(unwritable)?;
        let before = content.keys.clone();
        change(&mut content.keys)?;
        if content.keys != before {
            write_whole(&self.path, &content).map_err(unwritable)?;
        }
        *held = content.keys;
        Ok(())
    }

    /// A file beside the other, which is locked until it is dropped.
    fn lock(&self) -> io::Result<File> {
        let mut path = self.path.clone().into_os_string();
        path.push(".lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.lock()?;
        Ok(file)
    }

    fn read(&self) -> io::Result<Content> {
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::default()),
            Err(error) => return Err(error),
        };
        if metadata.len() > LIMIT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(serde_json::from_slice(&fs::read(&self.path)?)?)
    }
}

fn unwritable(error: io::Error) -> Error {
    Error::new(CKR_FUNCTION_FAILED, "the file of aliases cannot be written").because(error)
}

/// Bytes as hexadecimal digits.
mod hexadecimal {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::crypto::encode;

    pub(super) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = bytes.as_deref().map(encode::to_hex);
        text.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let bytes = encode::from_hex(&text).ok_or_else(|| D::Error::custom("an id is hexadecimal"))?;
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(label: &str, id: &[u8]) -> Alias {
        Alias { label: Some(label.into()), id: Some(id.to_vec()) }
    }

    fn set(aliases: &Aliases, name: &str, alias: Option<Alias>) -> Result<()> {
        let change = |known: &mut Known| {
            match alias {
                Some(alias) => known.insert(name.to_owned(), alias),
                None => known.remove(name),
            };
            Ok(())
        };
        aliases.update(change)
    }

    #[test]
    fn another_process_reads_what_this_one_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("aliases.json");
        let (name, other) = (KeyName::from("k"), KeyName::from("l"));
        let (this, that) = (Aliases::open(path.clone(), Log::off()), Aliases::open(path.clone(), Log::off()));
        set(&this, "k", Some(alias("mine", &[0xab, 1]))).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), r#"{"keys":{"k":{"label":"mine","id":"ab01"}}}"#);
        assert_eq!(that.refresh(), std::slice::from_ref(&name));
        assert_eq!(that.refresh(), []);
        assert_eq!(that.of(&name), Some(alias("mine", &[0xab, 1])));
        assert_eq!(that.name_of("mine"), Some(name.clone()));
        set(&that, "l", Some(Alias { id: None, ..alias("theirs", &[]) })).unwrap();
        // What the other one wrote stays, though this one has not read it yet.
        set(&this, "m", Some(alias("another", &[1]))).unwrap();
        assert_eq!(this.name_of("theirs"), Some(other));
        set(&this, "k", None).unwrap();
        assert_eq!((this.of(&name), this.name_of("mine")), (None, None));
    }

    #[test]
    fn a_file_that_is_not_one_is_neither_used_nor_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("aliases.json");
        for text in ["", "[]", r#"{"keys":{"k":{"id":"a"}}}"#, r#"{"keys":{"k":{"name":"x"}}}"#] {
            fs::write(&path, text).unwrap();
            let aliases = Aliases::open(path.clone(), Log::off());
            assert_eq!(aliases.of(&"k".into()), None, "{text}");
            assert!(set(&aliases, "k", Some(alias("x", &[1]))).is_err(), "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
