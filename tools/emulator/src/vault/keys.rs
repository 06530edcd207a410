//! The keys of the engine: each is a row of versions, of which the newest signs.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::pem::LineEnding;
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::envelope;
use super::refusal::{Answer, Refusal};
use crate::certificate;
use crate::error::Error;
use crate::keys::{Attributes, Key, KeyStore};
use crate::material::{AesSize, Curve, Kind, Material, RsaSize};
use crate::securosys::time;
use crate::vendor::Reply;

/// All keys by name.
pub(super) struct Keys {
    store: KeyStore,
    names: RwLock<BTreeMap<String, Arc<Versions>>>,
}

/// The versions of one key.
#[derive(Clone)]
pub(super) struct Versions {
    keys: BTreeMap<u32, Arc<Key>>,
    least: Least,
    /// Whether it may be deleted; in memory alone.
    deletable: bool,
}

/// The oldest versions that are of use; the body of the administration's change.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Least {
    #[serde(default = "first")]
    min_decryption_version: u32,
    #[serde(default)]
    min_encryption_version: u32,
}

fn first() -> u32 {
    1
}

/// The body of `POST /v1/transit/keys/{name}`.
#[derive(Deserialize, Default)]
pub(super) struct CreateBody {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    exportable: bool,
}

impl CreateBody {
    pub(super) const MEMBERS: &[&str] = &["type", "exportable"];

    fn kind(&self) -> Answer<Kind> {
        let name = self.kind.as_deref().unwrap_or("aes256-gcm96");
        TYPES
            .into_iter()
            .find(|kind| type_name(*kind) == name)
            .ok_or_else(|| Refusal::bad(format!("unknown key type {name}")))
    }
}

/// The body of `POST /v1/transit/keys/{name}/config`.
#[derive(Deserialize)]
pub(super) struct ConfigBody {
    deletion_allowed: Option<bool>,
}

impl ConfigBody {
    pub(super) const MEMBERS: &[&str] = &["deletion_allowed"];
}

/// What may be made.
const TYPES: [Kind; 9] = [
    Kind::Aes(AesSize::Bits128),
    Kind::Aes(AesSize::Bits256),
    Kind::Ec(Curve::P256),
    Kind::Ec(Curve::P384),
    Kind::Ec(Curve::P521),
    Kind::Ed25519,
    Kind::Rsa(RsaSize::Bits2048),
    Kind::Rsa(RsaSize::Bits3072),
    Kind::Rsa(RsaSize::Bits4096),
];

/// Whether the paths of the service take such a name: letters, digits and `_`, and between them `-` and `.` too.
fn is_name(name: &str) -> bool {
    let is_word = |char: char| char.is_ascii_alphanumeric() || char == '_';
    name.starts_with(is_word)
        && name.ends_with(is_word)
        && name.chars().all(|char| is_word(char) || ".-".contains(char))
}

/// Name and kind of the keys that there are from the start, how many versions, whether with a certificate.
const SEEDS: [(&str, Kind, u32, bool); 8] = [
    ("rsa-2048", Kind::Rsa(RsaSize::Bits2048), 1, true),
    ("ec-p256", Kind::Ec(Curve::P256), 1, true),
    ("ec-p384", Kind::Ec(Curve::P384), 1, false),
    ("ec-p521", Kind::Ec(Curve::P521), 1, false),
    ("ec-rotated", Kind::Ec(Curve::P256), 2, false),
    ("ed25519", Kind::Ed25519, 1, false),
    ("aes-128", Kind::Aes(AesSize::Bits128), 1, false),
    ("aes-256", Kind::Aes(AesSize::Bits256), 1, false),
];

/// A version in the store; names have no such character.
fn stored(name: &str, version: u32) -> String {
    format!("{name}/{version}")
}

impl Keys {
    /// Loads the keys, and makes those that are missing.
    pub(super) fn open(store: KeyStore, extra: usize) -> Result<Keys, Error> {
        let extra = (0..extra).map(|number| format!("extra-{number:04}"));
        let extra = extra.map(|name| (name, Kind::Aes(AesSize::Bits256), 1, false));
        let seeds =
            SEEDS.map(|(name, kind, versions, certified)| (name.to_owned(), kind, versions, certified));
        for (name, kind, versions, certified) in seeds.into_iter().chain(extra) {
            for version in 1..=versions {
                if store.get(&stored(&name, version)).is_none() {
                    store.insert(make(&name, version, kind, false, certified)?)?;
                }
            }
        }
        let mut names: BTreeMap<String, Versions> = BTreeMap::new();
        for label in store.labels() {
            let parts = label.split_once('/').and_then(|(name, number)| Some((name, number.parse().ok()?)));
            if let (Some((name, version)), Some(key)) = (parts, store.get(&label)) {
                names.entry(name.to_owned()).or_insert_with(Versions::none).keys.insert(version, key);
            }
        }
        let names = names.into_iter().map(|(name, versions)| (name, Arc::new(versions))).collect();
        Ok(Keys { store, names: RwLock::new(names) })
    }

    /// The key of that name; refusals have `missing` as their text.
    pub(super) fn get(&self, name: &str, missing: &str) -> Answer<Arc<Versions>> {
        self.names.read().get(name).cloned().ok_or_else(|| Refusal::bad(missing))
    }

    /// `LIST /v1/transit/keys`
    pub(super) fn list(&self) -> Answer {
        let names: Vec<String> = self.names.read().keys().cloned().collect();
        if names.is_empty() {
            return Err(Refusal::absent());
        }
        Ok(envelope::data(json!({ "keys": names })))
    }

    /// `GET /v1/transit/keys/{name}`
    pub(super) fn describe(&self, name: &str) -> Answer {
        let key = self.names.read().get(name).cloned().ok_or_else(Refusal::absent)?;
        Ok(envelope::data(key.describe(name)))
    }

    /// `POST /v1/transit/keys/{name}`: one that is there stays what it is, whatever is asked for.
    pub(super) fn create(&self, name: &str, body: &CreateBody) -> Answer {
        if !is_name(name) {
            return Err(Refusal::no_path());
        }
        let kind = body.kind()?;
        let there = self.names.read().get(name).cloned();
        let (versions, is_new) = match there {
            Some(versions) => (versions, false),
            // No lock is held while a pair is made.
            None => self.add(name, make(name, 1, kind, body.exportable, false)?)?,
        };
        let data = versions.describe(name);
        if is_new {
            return Ok(envelope::data(data));
        }
        Ok(envelope::warned(data, format!("key {name} already existed")))
    }

    /// The key of that name, which is this one unless another was quicker.
    fn add(&self, name: &str, key: Key) -> Result<(Arc<Versions>, bool), Error> {
        let mut names = self.names.write();
        if let Some(versions) = names.get(name) {
            return Ok((Arc::clone(versions), false));
        }
        self.store.insert(key)?;
        let key = self.store.get(&stored(name, 1)).map(|key| (1, key));
        let versions = Arc::new(Versions { keys: key.into_iter().collect(), ..Versions::none() });
        names.insert(name.to_owned(), Arc::clone(&versions));
        Ok((versions, true))
    }

    /// `POST /v1/transit/keys/{name}/config`
    pub(super) fn configure(&self, name: &str, body: &ConfigBody) -> Answer {
        let mut names = self.names.write();
        let missing = || Refusal::bad(format!("no existing key named {name} could be found"));
        let versions = Arc::make_mut(names.get_mut(name).ok_or_else(missing)?);
        versions.deletable = body.deletion_allowed.unwrap_or(versions.deletable);
        Ok(envelope::data(versions.describe(name)))
    }

    /// `DELETE /v1/transit/keys/{name}`
    pub(super) fn delete(&self, name: &str) -> Answer {
        let refused = |why| Err(Refusal::bad(format!("error deleting policy {name}: {why}")));
        match self.names.read().get(name).map(|versions| versions.deletable) {
            None => return refused("could not delete key; not found"),
            Some(false) => return refused("deletion is not allowed for this key"),
            Some(true) => {}
        }
        self.lose(name)?;
        Ok(Reply::empty(204))
    }

    /// Makes a newer version; `false` if there is no such key.
    pub(super) fn rotate(&self, name: &str) -> Result<bool, Error> {
        let mut names = self.names.write();
        let Some(versions) = names.get_mut(name) else { return Ok(false) };
        let version = versions.latest() + 1;
        self.store.insert(make(name, version, versions.kind(), versions.is_exportable(), false)?)?;
        let key = self.store.get(&stored(name, version));
        Arc::make_mut(versions).keys.extend(key.map(|key| (version, key)));
        Ok(true)
    }

    /// From now on older versions are of no use; `false` if there is no such key.
    pub(super) fn restrict(&self, name: &str, least: Least) -> bool {
        let mut names = self.names.write();
        names.get_mut(name).map(|versions| Arc::make_mut(versions).least = least).is_some()
    }

    /// Loses a key; `false` if there is none.
    pub(super) fn lose(&self, name: &str) -> Result<bool, Error> {
        let Some(versions) = self.names.write().remove(name) else { return Ok(false) };
        for version in versions.keys.keys() {
            self.store.remove(&stored(name, *version))?;
        }
        Ok(true)
    }
}

fn make(name: &str, version: u32, kind: Kind, exportable: bool, certified: bool) -> Result<Key, Error> {
    let decrypts = matches!(kind, Kind::Rsa(_) | Kind::Aes(_));
    let attributes = Attributes {
        extractable: exportable,
        ..Attributes::confined(!matches!(kind, Kind::Aes(_)), decrypts)
    };
    let key = Key::generate(&stored(name, version), kind, attributes, None, None)?;
    if !certified {
        return Ok(key);
    }
    let certificate = certificate::self_signed(name, &key.material)?;
    Ok(key.with_certificate(certificate))
}

impl Versions {
    fn none() -> Versions {
        Versions {
            keys: BTreeMap::new(),
            least: Least { min_decryption_version: 1, min_encryption_version: 0 },
            deletable: false,
        }
    }

    fn latest(&self) -> u32 {
        self.keys.keys().next_back().copied().unwrap_or_default()
    }

    /// All versions are of one kind, and there is one at least.
    pub(super) fn kind(&self) -> Kind {
        self.keys.values().next().map_or(Kind::Ed25519, |key| key.metadata.kind)
    }

    fn is_exportable(&self) -> bool {
        self.keys.values().any(|key| key.metadata.attributes.extractable)
    }

    /// The version that signs or encrypts: the newest, or the one that was asked for. `doing` is a word for refusals.
    pub(super) fn current(&self, asked: Option<i64>, doing: &str) -> Answer<(u32, &Key)> {
        let wrong = |what: &str| Refusal::bad(format!("requested version for {doing} is {what}"));
        let version = match asked.unwrap_or_default() {
            0 => self.latest(),
            asked if asked < 0 => return Err(wrong("negative")),
            asked => u32::try_from(asked).unwrap_or(u32::MAX),
        };
        if version > self.latest() {
            return Err(wrong("higher than the latest key version"));
        }
        if version < self.least.min_encryption_version {
            return Err(wrong("less than the minimum encryption key version"));
        }
        self.keys.get(&version).map(|key| (version, &**key)).ok_or_else(|| wrong("gone"))
    }

    /// The version that a ciphertext is of.
    pub(super) fn of_ciphertext(&self, version: u32) -> Answer<&Key> {
        if version > self.latest() {
            return Err(Refusal::bad("invalid ciphertext: version is too new"));
        }
        if version < self.least.min_decryption_version {
            let text = "ciphertext or signature version is disallowed by policy (too old)";
            return Err(Refusal::bad(text));
        }
        let missing = || Refusal::bad("invalid ciphertext: version is invalid");
        self.keys.get(&version).map(|key| &**key).ok_or_else(missing)
    }

    fn describe(&self, name: &str) -> Value {
        let kind = self.kind();
        let shown = self.keys.range(self.least.min_decryption_version..);
        let versions: Map<String, Value> =
            shown.map(|(version, key)| (version.to_string(), describe_version(key))).collect();
        let signs = !matches!(kind, Kind::Aes(_));
        let encrypts = matches!(kind, Kind::Rsa(_) | Kind::Aes(_));
        json!({
            "allow_plaintext_backup": false,
            "auto_rotate_period": 0,
            "deletion_allowed": self.deletable,
            "derived": false,
            "exportable": self.is_exportable(),
            "imported_key": false,
            "keys": versions,
            "latest_version": self.latest(),
            "min_available_version": 0,
            "min_decryption_version": self.least.min_decryption_version,
            "min_encryption_version": self.least.min_encryption_version,
            "name": name,
            "supports_decryption": encrypts,
            "supports_derivation": matches!(kind, Kind::Aes(_) | Kind::Ed25519),
            "supports_encryption": encrypts,
            "supports_signing": signs,
            "type": type_name(kind),
        })
    }
}

/// The service's name of a type.
pub(super) fn type_name(kind: Kind) -> String {
    match kind {
        Kind::Rsa(size) => format!("rsa-{}", size.bits()),
        Kind::Ec(Curve::P256) => "ecdsa-p256".to_owned(),
        Kind::Ec(Curve::P384) => "ecdsa-p384".to_owned(),
        Kind::Ec(Curve::P521) => "ecdsa-p521".to_owned(),
        Kind::Ec(Curve::Secp256k1) => "ecdsa-secp256k1".to_owned(),
        Kind::Ed25519 => "ed25519".to_owned(),
        Kind::Aes(size) => format!("aes{}-gcm96", size.bits()),
        Kind::HmacSha1 | Kind::HmacSha256 | Kind::HmacSha384 | Kind::HmacSha512 => "hmac".to_owned(),
    }
}

/// Of pairs the public half; of secret keys when they were made.
fn describe_version(key: &Key) -> Value {
    let Some(public_key) = &key.public_key else { return json!(key.metadata.created) };
    let pem = |label, der: &[u8]| der::pem::encode_string(label, LineEnding::LF, der).unwrap_or_default();
    let name = match key.metadata.kind {
        Kind::Ec(Curve::P256) => "P-256".to_owned(),
        Kind::Ec(Curve::P384) => "P-384".to_owned(),
        Kind::Ec(Curve::P521) => "P-521".to_owned(),
        kind => type_name(kind),
    };
    let public_key = match &key.material {
        Material::Ed25519(key) => STANDARD.encode(key.verifying_key().as_bytes()),
        _ => pem("PUBLIC KEY", public_key),
    };
    json!({
        "certificate_chain": key.certificate().map_or(String::new(), |der| pem("CERTIFICATE", &der)),
        "creation_time": time::iso(key.metadata.created),
        "name": name,
        "public_key": public_key,
    })
}
