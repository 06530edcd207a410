//! The optional on-disk cache of public attributes: a process that starts need not ask the HSM for each key.
//!
//! Reading attributes can cost the HSM a signature a key. What is kept is public but for one thing: whoever can write
//! the file can make callers verify with another key. So it is read only if it is this user's alone (mode 0600).

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::backend::{KeyInfo, KeyKind, KeyName, Protection, Usage};
use crate::crypto::public_key::PublicKey;
use crate::observe::log::Log;

/// What is older than this is asked for again.
const BELIEVED: Duration = Duration::from_secs(24 * 60 * 60);

/// A larger file is not ours.
const LIMIT: u64 = 256 << 20;

/// The attributes of one token's keys in one file.
pub struct AttributeCache {
    path: PathBuf,
    serial: String,
    log: Log,
    held: Mutex<Option<BTreeMap<String, Stored>>>,
    /// Held while the file is read, changed and written.
    saving: Mutex<()>,
}

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    /// The serial number of the token: a file of another one says nothing.
    token: String,
    keys: BTreeMap<String, Stored>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    /// Seconds since 1970 at which the HSM said so.
    at: u64,
    id: Option<Vec<u8>>,
    #[serde(default)]
    label: Option<String>,
    /// SubjectPublicKeyInfo in Base64; none for secret keys.
    public_key: Option<String>,
    /// Whether there is a private key beside the public one.
    pair: bool,
    /// Bytes of an AES key.
    aes: Option<usize>,
    usage: Usage,
    protection: Protection,
    approval: bool,
}

impl AttributeCache {
    /// A cache in this file, which need not exist, for the token with this serial number.
    pub fn new(path: PathBuf, serial: [u8; 16], log: Log) -> Self {
        let serial = String::from_utf8_lossy(&serial).into_owned();
        Self { path, serial, log, held: Mutex::new(None), saving: Mutex::new(()) }
    }

    /// What is known of one key.
    pub fn get(&self, name: &KeyName) -> Option<KeyInfo> {
        self.with(|keys| keys.get(name.as_str()).filter(|stored| stored.is_fresh()).and_then(Stored::info))
    }

    /// Keeps what the HSM told of some keys.
    pub fn put<'a>(&self, told: impl Iterator<Item = (&'a KeyName, &'a KeyInfo)>) {
        let mut changed = false;
        self.with(|keys| {
            for (name, stored) in told.filter_map(|(name, info)| Some((name, Stored::of(info)?))) {
                keys.insert(name.as_str().to_owned(), stored);
                changed = true;
            }
        });
        if changed {
            self.save(None);
        }
    }

    /// Forgets a key that is gone.
    pub fn forget(&self, name: &KeyName) {
        let held = self.with(|keys| keys.remove(name.as_str())).is_some();
        // Another process may have kept it since.
        if held || self.load().contains_key(name.as_str()) {
            self.save(Some(name));
        }
    }

    fn with<T>(&self, run: impl FnOnce(&mut BTreeMap<String, Stored>) -> T) -> T {
        run(self.held.lock().get_or_insert_with(|| self.load()))
    }

    fn load(&self) -> BTreeMap<String, Stored> {
        match self.read() {
            Ok(Some(content)) if content.version == 1 && content.token == self.serial => content.keys,
            Ok(_) => BTreeMap::new(),
            Err(error) => {
                self.log.warn(format_args!("{} is not used: {error}", self.path.display()));
                BTreeMap::new()
            }
        }
    }

    fn read(&self) -> io::Result<Option<Content>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if metadata.mode() & 0o077 != 0 || metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other("it must be this user's, with mode 0600"));
        }
        let mut text = Vec::new();
        file.take(LIMIT).read_to_end(&mut text)?;
        Ok(Some(serde_json::from_slice(&text)?))
    }

    /// Writes what is kept, and what another process wrote meanwhile, but for a key that is gone.
    fn save(&self, gone: Option<&KeyName>) {
        let _one_at_a_time = self.saving.lock();
        let mut keys = self.load();
        keys.extend(self.with(|keys| keys.clone()));
        if let Some(gone) = gone {
            keys.remove(gone.as_str());
        }
        let content = Content { version: 1, token: self.serial.clone(), keys };
        let bytes = serde_json::to_vec(&content).map_err(io::Error::from);
        if let Err(error) = bytes.and_then(|bytes| write_whole(&self.path, &bytes, None)) {
            self.log.warn(format_args!("{} is not written: {error}", self.path.display()));
        }
    }
}

/// Writes a new file and puts it in the place of the old one, so that nobody reads half of it. It is this user's alone, or
/// those users' who may use the one that it is `like`.
pub(super) fn write_whole(path: &Path, content: &[u8], like: Option<&Metadata>) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".{}", std::process::id()));
    let fresh = PathBuf::from(fresh);
    // What a process that died with the same number left behind.
    let _ = fs::remove_file(&fresh);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    let written = fill(file, content, like).and_then(|()| fs::rename(&fresh, path));
    written.inspect_err(|_| drop(fs::remove_file(&fresh)))
}

fn fill(mut file: File, content: &[u8], like: Option<&Metadata>) -> io::Result<()> {
    if let Some(like) = like {
        make_like(&file, like)?;
    }
    file.write_all(content)?;
    file.sync_all()
}

/// Gives a file the owner, the group and the mode of another one, as far as this user may. Who may not give it to the
/// group gives it to no group.
pub(super) fn make_like(file: &File, like: &Metadata) -> io::Result<()> {
    let given =
        fchown(file, Some(like.uid()), Some(like.gid())).or_else(|_| fchown(file, None, Some(like.gid())));
    let mode = like.mode() & if given.is_ok() { 0o664 } else { 0o604 };
    file.set_permissions(Permissions::from_mode(mode))
}

impl Stored {
    /// Keys whose kind is not known for sure are not kept, nor those that may become usable at any time.
    fn of(info: &KeyInfo) -> Option<Self> {
        if info.dormant {
            return None;
        }
        let (public_key, pair, aes) = match &info.kind {
            KeyKind::Pair(public) => (Some(public), true, None),
            KeyKind::Public(public) => (Some(public), false, None),
            KeyKind::Aes(bytes) => (None, false, *bytes),
            KeyKind::Hmac { .. } | KeyKind::Listed(_) | KeyKind::Locked | KeyKind::Other(_) => return None,
        };
        Some(Self {
            at: now(),
            id: info.id.clone(),
            label: info.label.clone(),
            public_key: public_key.map(|public| STANDARD.encode(public.spki())),
            pair,
            aes,
            usage: info.usage,
            protection: info.protection,
            approval: info.approval,
        })
    }

    fn is_fresh(&self) -> bool {
        // What is from the future is as doubtful as what is too old.
        now().checked_sub(self.at).is_some_and(|age| age < BELIEVED.as_secs())
    }

    fn info(&self) -> Option<KeyInfo> {
        let kind = match &self.public_key {
            Some(text) => {
                let public = PublicKey::from_spki(&STANDARD.decode(text).ok()?).ok()?;
                if self.pair { KeyKind::Pair(public) } else { KeyKind::Public(public) }
            }
            None => KeyKind::Aes(self.aes),
        };
        Some(KeyInfo {
            id: self.id.clone(),
            label: self.label.clone(),
            kind,
            usage: self.usage,
            protection: self.protection,
            approval: self.approval,
            dormant: false,
        })
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aes(bytes: usize) -> KeyInfo {
        KeyInfo {
            kind: KeyKind::Aes(Some(bytes)),
            usage: Usage { decrypt: true, ..Usage::default() },
            ..KeyInfo::untold(KeyKind::Other("unknown".into()))
        }
    }

    fn cache(path: &Path, serial: &[u8; 16]) -> AttributeCache {
        AttributeCache::new(path.to_owned(), *serial, Log::off())
    }

    #[test]
    fn another_process_finds_what_this_one_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        let name = KeyName::from("k");
        cache(&path, b"0123456789ABCDEF").put([(&name, &aes(32))].into_iter());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let again = cache(&path, b"0123456789ABCDEF");
        assert_eq!(again.get(&name), Some(aes(32)));
        again.forget(&name);
        assert_eq!(cache(&path, b"0123456789ABCDEF").get(&name), None);
    }

    #[test]
    fn a_file_of_another_token_or_open_to_others_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        let name = KeyName::from("k");
        cache(&path, b"0123456789ABCDEF").put([(&name, &aes(32))].into_iter());
        assert_eq!(cache(&path, b"FEDCBA9876543210").get(&name), None);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(cache(&path, b"0123456789ABCDEF").get(&name), None);
    }
}
