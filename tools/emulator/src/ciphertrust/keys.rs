//! The vault: its keys as the API shows them, one resource for each half of a pair.

use std::collections::BTreeMap;
use std::sync::Arc;

use der::pem::LineEnding;
use parking_lot::RwLock;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::query::Query;
use super::refusal::{Answer, Refusal};
use super::settings::{Paging, PublicKeyPlace, Settings};
use crate::certificate;
use crate::error::Error;
use crate::keys::{Attributes, Key, KeyStore};
use crate::material::{AesSize, Curve, Kind, Material, RsaSize};
use crate::securosys::time;
use crate::vendor::Reply;

/// Bits of `usageMask` (Luna REST reference §11.1).
pub(super) mod usage {
    pub(crate) const SIGN: u32 = 1;
    pub(crate) const VERIFY: u32 = 2;
    pub(crate) const ENCRYPT: u32 = 4;
    pub(crate) const DECRYPT: u32 = 8;
    pub(crate) const WRAP: u32 = 16;
    pub(crate) const UNWRAP: u32 = 32;
    pub(crate) const EXPORT: u32 = 64;
    pub(crate) const MAC_GENERATE: u32 = 128;
    pub(crate) const MAC_VERIFY: u32 = 256;
    pub(crate) const DERIVE: u32 = 512;
}

/// A pair `X` has its public half under this name (Luna REST reference §11.1).
pub(super) const PUBLIC_SUFFIX: &str = "-pub";

/// How many keys a page has where nothing is asked for.
const DEFAULT_LIMIT: usize = 10;

/// One key of the API: a secret key, or one half of a pair.
#[derive(Clone)]
pub(super) struct Resource {
    pub(super) key: Arc<Key>,
    /// Whether it is the public half.
    pub(super) public: bool,
    pub(super) note: Note,
}

/// What whoever made a key said of it. It is in memory alone.
#[derive(Clone, Default)]
pub(super) struct Note {
    /// An object, or null.
    pub(super) labels: Value,
    /// An object with `ownerId`, or null.
    pub(super) meta: Value,
}

impl Resource {
    pub(super) fn name(&self) -> String {
        let suffix = if self.public { PUBLIC_SUFFIX } else { "" };
        format!("{}{suffix}", self.key.metadata.label)
    }

    /// The same for as long as the key is the same.
    fn id(&self) -> String {
        let text = format!("{} {}", self.name(), self.key.metadata.created);
        Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// `usageMask`
    pub(super) fn mask(&self) -> u32 {
        let attributes = &self.key.metadata.attributes;
        let bit = |set: bool, bit: u32| if set { bit } else { 0 };
        if self.public {
            return bit(attributes.verify, usage::VERIFY)
                | bit(attributes.encrypt, usage::ENCRYPT)
                | bit(attributes.wrap, usage::WRAP);
        }
        bit(attributes.extractable, usage::EXPORT)
            | bit(attributes.wrap && self.key.public_key.is_none(), usage::WRAP)
            | bit(attributes.unwrap, usage::UNWRAP)
            | bit(attributes.derive, usage::DERIVE)
            | match self.key.metadata.kind {
                Kind::Rsa(_) | Kind::Ec(_) | Kind::Ed25519 => {
                    bit(attributes.sign, usage::SIGN) | bit(attributes.decrypt, usage::DECRYPT)
                }
                Kind::Aes(_) => {
                    bit(attributes.encrypt, usage::ENCRYPT) | bit(attributes.decrypt, usage::DECRYPT)
                }
                _ => bit(attributes.sign, usage::MAC_GENERATE) | bit(attributes.verify, usage::MAC_VERIFY),
            }
    }

    pub(super) fn to_json(&self, settings: &Settings) -> Result<Value, Error> {
        let (algorithm, size, curve) = described(self.key.metadata.kind);
        let attributes = &self.key.metadata.attributes;
        let object_type = match (&self.key.material, self.public) {
            (Material::Secret(_), _) => "Symmetric Key",
            (_, true) => "Public Key",
            (_, false) => "Private Key",
        };
        let spell = |name| settings.names.spell(name);
        let mut object = json!({
            "id": self.id(),
            "uri": format!("kylo:kylo:vault:keys:{}-v0", self.name()),
            "account": "kylo:kylo:admin:accounts:kylo",
            "createdAt": time::iso(self.key.metadata.created),
            "name": self.name(),
            "state": "Active",
            "meta": self.note.meta,
            "labels": self.note.labels,
            "version": 0,
            "size": size,
            "unexportable": !attributes.extractable,
            "undeletable": !attributes.destroyable,
        });
        let lower = settings.lower_algorithms;
        object["algorithm"] =
            if lower { algorithm.to_ascii_lowercase() } else { algorithm.to_owned() }.into();
        object[spell("usageMask")] = self.mask().into();
        if settings.tells_type {
            object[spell("objectType")] = object_type.into();
        }
        if let Some(curve) = curve {
            object[spell("curveId")] = curve.into();
        }
        match settings.public_key {
            PublicKeyPlace::Field if self.key.public_key.is_some() => {
                object[spell("publicKey")] = self.pem(settings)?.into();
            }
            PublicKeyPlace::Material if self.public => object["material"] = self.pem(settings)?.into(),
            _ => {}
        }
        Ok(object)
    }

    /// The public key in PEM.
    fn pem(&self, settings: &Settings) -> Result<String, Error> {
        let (label, der) = match (&self.key.material, &self.key.public_key) {
            (Material::Rsa(key), _) if settings.pkcs1 => {
                use rsa::pkcs1::EncodeRsaPublicKey;
                let der = key.to_public_key().to_pkcs1_der().map_err(Error::crypto)?;
                ("RSA PUBLIC KEY", der.into_vec())
            }
            (_, Some(spki)) => ("PUBLIC KEY", spki.clone()),
            (_, None) => return Err(Error::crypto("a secret key has no public half")),
        };
        der::pem::encode_string(label, LineEnding::LF, &der).map_err(Error::crypto)
    }
}

/// Algorithm, size and curve as the API has them.
pub(super) fn described(kind: Kind) -> (&'static str, u32, Option<&'static str>) {
    let bits = |bytes: Option<usize>| 8 * bytes.unwrap_or_default() as u32;
    match kind {
        Kind::Rsa(size) => ("RSA", size.bits(), None),
        Kind::Ec(Curve::P256) => ("EC", 256, Some("prime256v1")),
        Kind::Ec(Curve::P384) => ("EC", 384, Some("secp384r1")),
        Kind::Ec(Curve::P521) => ("EC", 521, Some("secp521r1")),
        Kind::Ec(Curve::Secp256k1) => ("EC", 256, Some("secp256k1")),
        Kind::Ed25519 => ("EC", 256, Some("curve25519")),
        Kind::Aes(size) => ("AES", size.bits(), None),
        Kind::HmacSha1 => ("HMAC-SHA1", bits(kind.secret_bytes()), None),
        Kind::HmacSha256 => ("HMAC-SHA256", bits(kind.secret_bytes()), None),
        Kind::HmacSha384 => ("HMAC-SHA384", bits(kind.secret_bytes()), None),
        Kind::HmacSha512 => ("HMAC-SHA512", bits(kind.secret_bytes()), None),
    }
}

/// The vault.
pub(super) struct Vault {
    pub(super) store: KeyStore,
    /// By the name of the secret or private key.
    pub(super) notes: RwLock<BTreeMap<String, Note>>,
    /// Pairs of which the public half alone is left, by the same name. They are in memory alone.
    pub(super) halves: RwLock<BTreeMap<String, Arc<Key>>>,
    missing_status: u16,
}

impl Vault {
    /// The keys of the store, with the seeds that it lacks.
    pub(super) fn open(store: KeyStore, settings: &Settings) -> Result<Vault, Error> {
        let seeds = [
            ("rsa-2048", Kind::Rsa(RsaSize::Bits2048), true, true),
            ("rsa-cert", Kind::Rsa(RsaSize::Bits3072), true, true),
            ("ec-p256", Kind::Ec(Curve::P256), true, false),
            ("ec-cert", Kind::Ec(Curve::P384), true, false),
            ("aes-256", Kind::Aes(AesSize::Bits256), false, true),
            ("hmac-sha1", Kind::HmacSha1, true, false),
            ("hmac-sha256", Kind::HmacSha256, true, false),
            ("hmac-sha384", Kind::HmacSha384, true, false),
            ("hmac-sha512", Kind::HmacSha512, true, false),
        ];
        for (label, kind, sign, decrypt) in seeds {
            plant(&store, label, kind, Attributes::confined(sign, decrypt))?;
        }
        for number in 0..settings.extra_keys {
            let label = format!("extra-{number:04}");
            plant(&store, &label, Kind::Aes(AesSize::Bits256), Attributes::confined(false, true))?;
        }
        let (notes, halves) = (RwLock::default(), RwLock::default());
        Ok(Vault { store, notes, halves, missing_status: settings.missing_status })
    }

    fn resource(&self, key: Arc<Key>, public: bool) -> Resource {
        let note = self.notes.read().get(&key.metadata.label).cloned().unwrap_or_default();
        Resource { key, public, note }
    }

    fn no_key(&self) -> Refusal {
        Refusal::no_key(self.missing_status)
    }

    /// All keys in the order of their names, and then what is left of pairs.
    fn all(&self) -> Vec<Resource> {
        let keys = self.store.labels().into_iter().filter_map(|label| self.store.get(&label));
        let whole = keys.flat_map(|key| {
            let halves: &[bool] = if key.public_key.is_some() { &[false, true] } else { &[false] };
            halves.iter().map(move |public| self.resource(Arc::clone(&key), *public))
        });
        let halves: Vec<_> = self.halves.read().values().cloned().collect();
        whole.chain(halves.into_iter().map(|key| self.resource(key, true))).collect()
    }

    /// The key of that name.
    pub(super) fn by_name(&self, name: &str) -> Answer<Resource> {
        if let Some(key) = self.store.get(name) {
            return Ok(self.resource(key, false));
        }
        let label = name.strip_suffix(PUBLIC_SUFFIX).ok_or_else(|| self.no_key())?;
        let pair = self.store.get(label).or_else(|| self.halves.read().get(label).cloned());
        match pair.filter(|key| key.public_key.is_some()) {
            Some(key) => Ok(self.resource(key, true)),
            None => Err(self.no_key()),
        }
    }

    /// The key of that id.
    pub(super) fn by_id(&self, id: &str) -> Answer<Resource> {
        self.all().into_iter().find(|resource| resource.id() == id).ok_or_else(|| self.no_key())
    }

    /// The key of that id or name.
    pub(super) fn either(&self, id_or_name: &str) -> Answer<Resource> {
        self.by_name(id_or_name).or_else(|_| self.by_id(id_or_name))
    }

    /// `GET /vault/keys2`
    pub(super) fn list(&self, query: &str, settings: &Settings) -> Answer {
        let query = Query::read(query, &["name", "skip", "limit"])?;
        let (skip, limit) = (query.count("skip", 0)?, query.count("limit", DEFAULT_LIMIT)?);
        let mut found = self.all();
        found.retain(|resource| query.get("name").is_none_or(|name| resource.name() == name));
        // A version is a row of its own.
        let versions = |resource: Resource| std::iter::repeat_n(resource, settings.versions);
        let found: Vec<_> = found.into_iter().flat_map(versions).collect();
        let total = found.len();
        let (skip, limit) = match settings.paging {
            Paging::Ignored => (0, total),
            Paging::Full | Paging::Bare => (skip, limit.min(settings.page_limit)),
        };
        let page = found.iter().skip(skip).take(limit);
        let resources: Vec<Value> =
            page.map(|resource| resource.to_json(settings)).collect::<Result<_, _>>()?;
        let mut answer = json!({ "resources": resources });
        if settings.paging == Paging::Full {
            (answer["skip"], answer["limit"], answer["total"]) = (skip.into(), limit.into(), total.into());
        }
        Ok(Reply::json(200, &answer))
    }

    /// `GET /vault/keys2/{idOrName}`
    pub(super) fn describe(&self, id_or_name: &str, settings: &Settings) -> Answer {
        Ok(Reply::json(200, &self.either(id_or_name)?.to_json(settings)?))
    }

    /// `POST /vault/keys2/{idOrName}/export`: of public keys alone.
    pub(super) fn export(&self, id_or_name: &str, settings: &Settings) -> Answer {
        let resource = self.either(id_or_name)?;
        if !resource.public {
            return Err(Refusal::forbidden("The key is not exportable"));
        }
        let mut object = resource.to_json(settings)?;
        object["material"] = resource.pem(settings)?.into();
        Ok(Reply::json(200, &object))
    }

    /// Removes a key, whatever it allows; `false` if there is none.
    pub(super) fn lose(&self, label: &str) -> Result<bool, Error> {
        self.notes.write().remove(label);
        let half = self.halves.write().remove(label).is_some();
        Ok(self.store.remove(label)? || half)
    }
}

fn plant(store: &KeyStore, label: &str, kind: Kind, attributes: Attributes) -> Result<(), Error> {
    if store.get(label).is_some() {
        return Ok(());
    }
    let mut key = Key::generate(label, kind, attributes, None, None)?;
    if label.ends_with("-cert") {
        let certificate = certificate::self_signed(label, &key.material)?;
        key = key.with_certificate(certificate);
    }
    store.insert(key).map(drop)
}
