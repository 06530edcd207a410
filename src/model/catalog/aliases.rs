//! What applications give to a token and no HSM takes, in a file of this machine: other labels and ids for its keys, which
//! `C_SetAttributeValue` brings, and certificates of `C_CreateObject`.
//!
//! No vendor's API changes a label or an id, and applications give both after they made a key. The file is theirs who log
//! in; it holds no secret.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cryptoki_sys::CKR_FUNCTION_FAILED;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::attribute_cache::write_whole;
use crate::backend::KeyName;
use crate::crypto::encode;
use crate::error::{Error, Result};
use crate::observe::log::Log;

/// A larger file is not ours.
const LIMIT: u64 = 64 << 20;

/// The aliases of one token.
pub struct Aliases {
    path: PathBuf,
    log: Log,
    held: RwLock<Content>,
}

/// What stands in the file.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// By the name at the HSM.
    #[serde(default)]
    pub keys: BTreeMap<String, Alias>,
    /// By `CKA_UNIQUE_ID`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub certificates: BTreeMap<String, Kept>,
}

/// What a key is called instead, and what stands for the certificate that it does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// `CKA_LABEL`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `CKA_ID`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Hex>,
    /// The DER of the certificate that it signed for itself; empty: there is to be none, for somebody has destroyed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_certificate: Option<Base64>,
}

/// A certificate that an application put on the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// `CKA_LABEL`
    #[serde(default)]
    pub label: String,
    /// `CKA_ID`
    #[serde(default)]
    pub id: Hex,
    /// Its DER.
    pub value: Base64,
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
        self.held.read().keys.get(name.as_str()).cloned()
    }

    /// The name of the key that is called `label`, as far as the file says.
    pub fn name_of(&self, label: &str) -> Option<KeyName> {
        let held = self.held.read();
        held.keys
            .iter()
            .find(|(_, alias)| alias.label.as_deref() == Some(label))
            .map(|(name, _)| name.as_str().into())
    }

    /// The certificates that applications put on the token.
    pub fn certificates(&self) -> BTreeMap<String, Kept> {
        self.held.read().certificates.clone()
    }

    /// Reads what another process wrote; gives the names of keys of which it says something else now.
    pub fn refresh(&self) -> Vec<KeyName> {
        let mut held = self.held.write();
        let fresh = match self.read() {
            Ok(content) => content,
            Err(error) => {
                self.log.warn(format_args!("{} is not used: {error}", self.path.display()));
                return Vec::new();
            }
        };
        let differs = |name: &&String| held.keys.get(*name) != fresh.keys.get(*name);
        let names = held.keys.keys().chain(fresh.keys.keys());
        let changed = names.filter(differs).map(|name| name.as_str().into()).collect();
        *held = fresh;
        changed
    }

    /// Changes what the file says by now, for this process and all that read it later; one process at a time.
    ///
    /// # Errors
    /// What `change` says; `CKR_FUNCTION_FAILED` where the file cannot be read or written. Then nothing changed.
    pub fn update<T>(&self, change: impl FnOnce(&mut Content) -> Result<T>) -> Result<T> {
        let mut held = self.held.write();
        let _lock = self.lock().map_err(unwritable)?;
        let before = self.read().map_err(unwritable)?;
        let mut content = before.clone();
        let outcome = change(&mut content)?;
        if content != before {
            write_whole(&self.path, &content).map_err(unwritable)?;
        }
        *held = content;
        Ok(outcome)
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

/// Bytes that stand in the file as hexadecimal digits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hex(pub Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
        encode::from_hex(&text).map(Self).ok_or("an id is hexadecimal")
    }
}

impl From<Hex> for String {
    fn from(bytes: Hex) -> Self {
        encode::to_hex(&bytes.0)
    }
}

/// Bytes that stand in the file in Base64.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Base64(pub Vec<u8>);

impl TryFrom<String> for Base64 {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
        STANDARD.decode(text).map(Self).map_err(|_| "a certificate is its DER in Base64")
    }
}

impl From<Base64> for String {
    fn from(bytes: Base64) -> Self {
        STANDARD.encode(bytes.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(label: &str, id: &[u8]) -> Alias {
        Alias { label: Some(label.into()), id: Some(Hex(id.to_vec())), own_certificate: None }
    }

    fn set(aliases: &Aliases, name: &str, alias: Option<Alias>) -> Result<()> {
        let change = |content: &mut Content| {
            match alias {
                Some(alias) => content.keys.insert(name.to_owned(), alias),
                None => content.keys.remove(name),
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
    fn certificates_stand_beside_the_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("aliases.json");
        let text = r#"{"keys":{"k":{"own_certificate":"MAA="}},"certificates":{"a1":{"label":"web","id":"01","value":"MAE="},"a2":{"value":""}}}"#;
        fs::write(&path, text).unwrap();
        let aliases = Aliases::open(path.clone(), Log::off());
        assert_eq!(aliases.of(&"k".into()).unwrap().own_certificate, Some(Base64(vec![0x30, 0])));
        let kept = |label: &str, id: &[u8], value: &[u8]| Kept {
            label: label.into(),
            id: Hex(id.to_vec()),
            value: Base64(value.to_vec()),
        };
        let certificates = BTreeMap::from([
            ("a1".to_owned(), kept("web", &[1], &[0x30, 1])),
            ("a2".to_owned(), kept("", &[], &[])),
        ]);
        assert_eq!(aliases.certificates(), certificates);
        aliases.update(|content| Ok(content.certificates.remove("a2"))).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text.replace(r#","a2":{"value":""}"#, ""));
    }

    #[test]
    fn a_file_that_is_not_one_is_neither_used_nor_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("aliases.json");
        for text in [
            "",
            "[1]",
            r#"{"keys":{"k":{"id":"a"}}}"#,
            r#"{"keys":{"k":{"name":"x"}}}"#,
            r#"{"certificates":{"k":{"value":"?"}}}"#,
        ] {
            fs::write(&path, text).unwrap();
            let aliases = Aliases::open(path.clone(), Log::off());
            assert_eq!(aliases.of(&"k".into()), None, "{text}");
            assert!(set(&aliases, "k", Some(alias("x", &[1]))).is_err(), "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
