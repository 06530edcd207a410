//! What applications give to a token and no HSM takes, in a file of this machine: other labels and ids for its keys, which
//! `C_SetAttributeValue` brings, and certificates of `C_CreateObject`.
//!
//! No vendor's API changes a label or an id, and applications give both after they made a key. The file is theirs who log
//! in; it holds no secret.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cryptoki_sys::{CKR_DEVICE_MEMORY, CKR_FUNCTION_FAILED};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use super::attribute_cache::{make_like, write_whole};
use crate::backend::KeyName;
use crate::crypto::encode;
use crate::crypto::public_key::PublicKey;
use crate::error::{Error, Result};
use crate::observe::log::Log;

/// A larger file is not ours.
const LIMIT: u64 = 64 << 20;

/// The aliases of one token.
pub struct Aliases {
    path: PathBuf,
    log: Log,
    held: RwLock<Content>,
    changes: Mutex<Changes>,
    /// When the file was read last. Held while it is read, and until what was read is in `held`.
    read_at: Mutex<Instant>,
}

/// Of what another process has made the file say something else than before.
#[derive(Default)]
pub struct Changes {
    /// Whether there are any.
    pub any: bool,
    /// Keys that are called otherwise.
    pub keys: BTreeSet<KeyName>,
    /// Public keys with another certificate of their own, or none any more: see [`Content::own_certificates`].
    pub own_certificates: BTreeSet<String>,
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
    /// The DER of certificates that keys signed for themselves, by [`own_name`]. One that is empty is not made, for somebody
    /// has destroyed it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub own_certificates: BTreeMap<String, Base64>,
}

/// What a key is called instead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// `CKA_LABEL`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `CKA_ID`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Hex>,
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
        // Processes that come by different links lock one file.
        let path = path.canonicalize().unwrap_or(path);
        let (held, changes) = Default::default();
        let aliases = Self { path, log, held, changes, read_at: Mutex::new(Instant::now()) };
        aliases.refresh();
        // Nobody has seen it otherwise yet.
        aliases.take_changes();
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

    /// What stands for the certificate that this public key does not have.
    pub fn own_certificate(&self, public: &PublicKey) -> Option<Base64> {
        self.held.read().own_certificates.get(&own_name(public)).cloned()
    }

    /// What others changed since this was asked last.
    pub fn take_changes(&self) -> Changes {
        std::mem::take(&mut *self.changes.lock())
    }

    /// Reads what other processes wrote. What cannot be read changes nothing.
    pub fn refresh(&self) {
        let mut read_at = self.read_at.lock();
        *read_at = Instant::now();
        match self.read() {
            Ok(content) => self.adopt(content),
            Err(error) => self.log.warn(format_args!("{} is not read: {error}", self.path.display())),
        }
    }

    /// Whether it was read within this time, or is just being read.
    pub fn is_fresh(&self, age: Duration) -> bool {
        self.read_at.try_lock().is_none_or(|read_at| read_at.elapsed() < age)
    }

    fn adopt(&self, fresh: Content) {
        let mut held = self.held.write();
        if *held == fresh {
            return;
        }
        let mut changes = self.changes.lock();
        changes.any = true;
        changes.keys.extend(differing(&held.keys, &fresh.keys).map(|name| name.as_str().into()));
        let own = differing(&held.own_certificates, &fresh.own_certificates);
        changes.own_certificates.extend(own.cloned());
        *held = fresh;
    }

    /// Changes what the file says by now, for this process and all that read it later; one process at a time. What it changes
    /// is its caller's, and no part of [`take_changes`](Self::take_changes).
    ///
    /// # Errors
    /// What `change` says; `CKR_FUNCTION_FAILED` where the file cannot be read or written, `CKR_DEVICE_MEMORY` where it
    /// would be too large. Then nothing changed.
    pub fn update<T>(&self, change: impl FnOnce(&mut Content) -> Result<T>) -> Result<T> {
        let _lock = self.lock().map_err(unusable)?;
        let _reading = self.read_at.lock();
        let before = self.read().map_err(unusable)?;
        let mut content = before.clone();
        let outcome = change(&mut content)?;
        let differs = content != before;
        if differs {
            self.write(&content)?;
        }
        self.adopt(before);
        if differs {
            *self.held.write() = content;
        }
        Ok(outcome)
    }

    /// Reads the file, and writes it as it is: whoever has something costly to keep in it looks first.
    ///
    /// # Errors
    /// As for [`update`](Self::update).
    pub fn probe(&self) -> Result<()> {
        let _lock = self.lock().map_err(unusable)?;
        let _reading = self.read_at.lock();
        let content = self.read().map_err(unusable)?;
        self.write(&content)?;
        self.adopt(content);
        Ok(())
    }

    fn write(&self, content: &Content) -> Result<()> {
        let bytes = serde_json::to_vec(content).map_err(|error| unusable(error.into()))?;
        if bytes.len() as u64 > LIMIT {
            return Err(Error::new(CKR_DEVICE_MEMORY, "the file of aliases is full"));
        }
        write_whole(&self.path, &bytes, fs::metadata(&self.path).ok().as_ref()).map_err(unusable)
    }

    /// A file beside the other, which is locked for a while. Who may write the one may write the other.
    fn lock(&self) -> io::Result<Lock> {
        const PATIENCE: Duration = Duration::from_secs(2);
        let mut path = self.path.clone().into_os_string();
        path.push(".lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        if let Ok(like) = fs::metadata(&self.path) {
            // Where it is somebody else's, that user has seen to it.
            let _ = make_like(&file, &like);
        }
        let begin = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock(file)),
                Err(TryLockError::WouldBlock) if begin.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn read(&self) -> io::Result<Content> {
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::default()),
            Err(error) => return Err(error),
        };
        if !metadata.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        if metadata.mode() & 0o002 != 0 {
            return Err(io::Error::other("everybody may write it"));
        }
        let mut text = Vec::new();
        File::open(&self.path)?.take(LIMIT + 1).read_to_end(&mut text)?;
        if text.len() as u64 > LIMIT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        // One that was only made, for its owner and its mode, says nothing yet.
        if text.is_empty() {
            return Ok(Content::default());
        }
        Ok(serde_json::from_slice(&text)?)
    }
}

/// What [`Content::own_certificates`] call a public key: its key identifier in hexadecimal.
pub fn own_name(public: &PublicKey) -> String {
    encode::to_hex(&public.subject_key_identifier())
}

/// A locked file. It is unlocked in so many words: a child of a fork may have a copy, which would keep it locked.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

fn differing<'a, T: PartialEq>(
    before: &'a BTreeMap<String, T>,
    after: &'a BTreeMap<String, T>,
) -> impl Iterator<Item = &'a String> {
    let names = before.keys().chain(after.keys());
    names.filter(|name| before.get(*name) != after.get(*name))
}

fn unusable(error: io::Error) -> Error {
    Error::new(CKR_FUNCTION_FAILED, "the file of aliases cannot be changed").because(error)
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
        Alias { label: Some(label.into()), id: Some(Hex(id.to_vec())) }
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
        let changed = |aliases: &Aliases| Vec::from_iter(aliases.take_changes().keys);
        that.refresh();
        assert_eq!(changed(&that), std::slice::from_ref(&name));
        that.refresh();
        assert_eq!(changed(&that), []);
        assert_eq!(that.of(&name), Some(alias("mine", &[0xab, 1])));
        assert_eq!(that.name_of("mine"), Some(name.clone()));
        set(&that, "l", Some(Alias { id: None, ..alias("theirs", &[]) })).unwrap();
        // What the other one wrote stays, though this one has not read it yet.
        set(&this, "m", Some(alias("another", &[1]))).unwrap();
        assert_eq!(this.name_of("theirs"), Some(other.clone()));
        assert_eq!(changed(&this), [other], "what the other one changed");
        set(&this, "k", None).unwrap();
        assert_eq!((this.of(&name), this.name_of("mine")), (None, None));
    }

    #[test]
    fn certificates_stand_beside_the_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("aliases.json");
        let text = concat!(
            r#"{"keys":{},"certificates":{"a1":{"label":"web","id":"01","value":"MAE="},"a2":{"value":""}},"#,
            r#""own_certificates":{"cf4b764a7c72b120cd772b4ec7c60efe6d0d0f33":"MAA="}}"#
        );
        fs::write(&path, text).unwrap();
        let aliases = Aliases::open(path.clone(), Log::off());
        // The key of an authority in the tests of `Certificate`, whose key identifier OpenSSL printed.
        let spki = "3059301306072a8648ce3d020106082a8648ce3d03010703420004911587239a8b8ac20d34e663ef641b9e550d20e33c96dd\
                    f3871e9d963b6035b8f733d3a2f86e4516826ce350ac8db6454df65a8749835d7e1b604ae3a3a828e2";
        let public = PublicKey::from_spki(&encode::from_hex(spki).unwrap()).unwrap();
        assert_eq!(aliases.own_certificate(&public), Some(Base64(vec![0x30, 0])));
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
            " ",
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

    #[test]
    fn the_file_stays_as_its_owner_made_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("aliases.json");
        let aliases = Aliases::open(path.clone(), Log::off());
        let mode = || fs::metadata(&path).unwrap().mode() & 0o777;
        aliases.probe().unwrap();
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        set(&aliases, "k", Some(alias("x", &[1]))).unwrap();
        assert_eq!(mode(), 0o640);
        // What everybody may write says nothing.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o602)).unwrap();
        assert_eq!(set(&aliases, "k", None).unwrap_err().rv(), CKR_FUNCTION_FAILED);
        assert_eq!(Aliases::open(path.clone(), Log::off()).of(&"k".into()), None);
    }

    #[test]
    fn a_copy_in_another_process_does_not_keep_it_locked() {
        let folder = tempfile::tempdir().unwrap();
        let aliases = Aliases::open(folder.path().join("aliases.json"), Log::off());
        let lock = aliases.lock().unwrap();
        let copy = lock.0.try_clone().unwrap();
        drop(lock);
        aliases.probe().unwrap();
        drop(copy);
    }

    #[test]
    fn it_does_not_grow_beyond_what_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let aliases = Aliases::open(folder.path().join("aliases.json"), Log::off());
        let large = "x".repeat(usize::try_from(LIMIT).unwrap());
        assert_eq!(set(&aliases, "k", Some(alias(&large, &[]))).unwrap_err().rv(), CKR_DEVICE_MEMORY);
        assert_eq!(aliases.of(&"k".into()), None);
    }
}
