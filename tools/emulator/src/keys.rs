//! The keys of an emulated HSM: in memory for use, in files so that a restart keeps them.
//!
//! A key is a file of metadata in JSON, which makes it exist, beside one with the private or
//! secret key in PEM and, for some, one with a certificate.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use der::pem::LineEnding;
use parking_lot::RwLock;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rand_core::{OsRng, RngCore};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::files::{create_private_dir, read_optional, remove_if_present, write_atomically};
use crate::material::{Kind, Material};

/// What a key may do and what may be done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attributes {
    pub(crate) encrypt: bool,
    pub(crate) decrypt: bool,
    pub(crate) verify: bool,
    pub(crate) sign: bool,
    pub(crate) wrap: bool,
    pub(crate) unwrap: bool,
    pub(crate) derive: bool,
    pub(crate) sensitive: bool,
    pub(crate) extractable: bool,
    pub(crate) modifiable: bool,
    pub(crate) copyable: bool,
    pub(crate) destroyable: bool,
}

impl Attributes {
    /// A key that stays in the HSM, may be deleted, and does what the two flags say.
    pub(crate) fn confined(sign: bool, decrypt: bool) -> Attributes {
        Attributes {
            encrypt: decrypt,
            decrypt,
            verify: sign,
            sign,
            wrap: false,
            unwrap: false,
            derive: false,
            sensitive: true,
            extractable: false,
            modifiable: true,
            copyable: false,
            destroyable: true,
        }
    }
}

/// A salted hash of a key's password: enough to compare with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PasswordHash {
    salt: u64,
    sha256: [u8; 32],
}

impl PasswordHash {
    pub(crate) fn new(password: &str) -> PasswordHash {
        let salt = OsRng.next_u64();
        PasswordHash { salt, sha256: PasswordHash::digest(salt, password) }
    }

    pub(crate) fn matches(&self, password: &str) -> bool {
        PasswordHash::digest(self.salt, password) == self.sha256
    }

    fn digest(salt: u64, password: &str) -> [u8; 32] {
        Sha256::new().chain_update(salt.to_be_bytes()).chain_update(password).finalize().into()
    }
}

/// Everything about a key but the key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) label: String,
    pub(crate) kind: Kind,
    pub(crate) id: Option<String>,
    pub(crate) attributes: Attributes,
    /// Seconds since 1970-01-01 UTC.
    pub(crate) created: u64,
    pub(crate) password: Option<PasswordHash>,
}

/// A key with what belongs to it.
pub(crate) struct Key {
    pub(crate) metadata: Metadata,
    pub(crate) material: Material,
    /// SubjectPublicKeyInfo in DER; `None` for secret keys.
    pub(crate) public_key: Option<Vec<u8>>,
    certificate: RwLock<Option<Arc<[u8]>>>,
}

impl Key {
    /// Makes a fresh key; nothing is stored yet.
    pub(crate) fn generate(
        label: &str,
        kind: Kind,
        attributes: Attributes,
        id: Option<String>,
        password: Option<&str>,
    ) -> Result<Key, Error> {
        let material = Material::generate(kind)?;
        let metadata = Metadata {
            label: label.to_owned(),
            kind,
            id,
            attributes,
            created: unix_time(),
            password: password.map(PasswordHash::new),
        };
        Key::new(metadata, material)
    }

    fn new(metadata: Metadata, material: Material) -> Result<Key, Error> {
        let public_key = material.public_key()?;
        Ok(Key { metadata, material, public_key, certificate: RwLock::new(None) })
    }

    /// The certificate in DER.
    pub(crate) fn certificate(&self) -> Option<Arc<[u8]>> {
        self.certificate.read().clone()
    }

    /// Gives a key that is not yet in a store its certificate.
    pub(crate) fn with_certificate(self, certificate: Vec<u8>) -> Key {
        *self.certificate.write() = Some(certificate.into());
        self
    }
}

/// Seconds since 1970-01-01 UTC.
pub(crate) fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// All the keys of an emulator, by label.
pub(crate) struct KeyStore {
    directory: PathBuf,
    keys: RwLock<BTreeMap<String, Arc<Key>>>,
}

impl KeyStore {
    /// Loads the keys that the directory holds, which is made where it is missing.
    pub(crate) fn open(directory: PathBuf) -> Result<KeyStore, Error> {
        create_private_dir(&directory)?;
        let mut keys = BTreeMap::new();
        for entry in fs::read_dir(&directory).map_err(Error::file(&directory))? {
            let path = entry.map_err(Error::file(&directory))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let key = load(&path)?;
                keys.insert(key.metadata.label.clone(), Arc::new(key));
            }
        }
        Ok(KeyStore { directory, keys: RwLock::new(keys) })
    }

    /// The labels, in order.
    pub(crate) fn labels(&self) -> Vec<String> {
        self.keys.read().keys().cloned().collect()
    }

    /// The key of that label.
    pub(crate) fn get(&self, label: &str) -> Option<Arc<Key>> {
        self.keys.read().get(label).cloned()
    }

    /// Stores a key; `false` if the label is taken.
    pub(crate) fn insert(&self, key: Key) -> Result<bool, Error> {
        let mut keys = self.keys.write();
        let label = key.metadata.label.clone();
        if keys.contains_key(&label) {
            return Ok(false);
        }
        self.save(&key)?;
        keys.insert(label, Arc::new(key));
        Ok(true)
    }

    /// Deletes a key with its certificate; `false` if there is none of that label.
    pub(crate) fn remove(&self, label: &str) -> Result<bool, Error> {
        let mut keys = self.keys.write();
        if keys.remove(label).is_none() {
            return Ok(false);
        }
        for extension in ["json", "pem", "crt"] {
            remove_if_present(&self.file(label, extension))?;
        }
        Ok(true)
    }

    /// Replaces or removes the certificate of a key of this store.
    pub(crate) fn set_certificate(&self, key: &Key, certificate: Option<Vec<u8>>) -> Result<(), Error> {
        let mut current = key.certificate.write();
        self.save_certificate(&key.metadata.label, certificate.as_deref())?;
        *current = certificate.map(Arc::from);
        Ok(())
    }

    fn save(&self, key: &Key) -> Result<(), Error> {
        let label = &key.metadata.label;
        let pem = key.material.to_pem()?;
        write_atomically(&self.file(label, "pem"), pem.as_bytes())?;
        self.save_certificate(label, key.certificate().as_deref())?;
        let metadata = serde_json::to_vec_pretty(&key.metadata).map_err(Error::crypto)?;
        write_atomically(&self.file(label, "json"), &metadata)
    }

    fn save_certificate(&self, label: &str, certificate: Option<&[u8]>) -> Result<(), Error> {
        let path = self.file(label, "crt");
        match certificate {
            None => remove_if_present(&path),
            Some(der) => {
                let pem = der::pem::encode_string("CERTIFICATE", LineEnding::LF, der);
                write_atomically(&path, pem.map_err(Error::crypto)?.as_bytes())
            }
        }
    }

    fn file(&self, label: &str, extension: &str) -> PathBuf {
        /// What a label may contribute to a file name as it is.
        const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
        let name = utf8_percent_encode(label, ESCAPED);
        self.directory.join(format!("{name}.{extension}"))
    }
}

fn load(path: &Path) -> Result<Key, Error> {
    let text = fs::read_to_string(path).map_err(Error::file(path))?;
    let metadata: Metadata = serde_json::from_str(&text).map_err(|error| Error::damaged(path, error))?;
    let pem_path = path.with_extension("pem");
    let pem = fs::read_to_string(&pem_path).map_err(Error::file(&pem_path))?;
    let material =
        Material::from_pem(metadata.kind, &pem).map_err(|reason| Error::damaged(&pem_path, reason))?;
    let key = Key::new(metadata, material)?;
    let certificate_path = path.with_extension("crt");
    match read_optional(&certificate_path)? {
        None => Ok(key),
        Some(pem) => match der::pem::decode_vec(pem.as_bytes()) {
            Ok(("CERTIFICATE", der)) => Ok(key.with_certificate(der)),
            Ok((label, _)) => Err(Error::damaged(&certificate_path, format!("a PEM {label}"))),
            Err(error) => Err(Error::damaged(&certificate_path, error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::material::Curve;

    #[test]
    fn a_reopened_store_has_the_same_keys() {
        let directory = std::env::temp_dir().join(format!("p11rest-keys-{}", std::process::id()));
        let label = "odd ../label: é";
        let made = Key::generate(
            label,
            Kind::Ec(Curve::P256),
            Attributes::confined(true, false),
            Some("01".to_owned()),
            Some("pw"),
        );
        let made = made.unwrap().with_certificate(vec![0x30, 0x00]);
        let public_key = made.public_key.clone();
        let store = KeyStore::open(directory.clone()).unwrap();
        assert!(store.insert(made).unwrap());

        let store = KeyStore::open(directory.clone()).unwrap();
        assert_eq!(store.labels(), [label]);
        let key = store.get(label).unwrap();
        assert_eq!(key.public_key, public_key);
        assert_eq!(key.metadata.id.as_deref(), Some("01"));
        assert_eq!(key.certificate().as_deref(), Some([0x30, 0x00].as_slice()));
        let password = key.metadata.password.as_ref().unwrap();
        assert!(password.matches("pw") && !password.matches("pW"));

        assert!(store.remove(label).unwrap());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        fs::remove_dir_all(directory).unwrap();
    }
}
