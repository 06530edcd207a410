//! The catalog: which objects the HSM has, answered from memory.
//!
//! A listing is believed for a while and then taken anew by one caller, while the others still see the old one
//! (`listing`). Attributes and certificates are read when a search needs them, many at once, and kept up to a bound
//! (`loading`). A search that names a label reads that label only; all others are answered by an index that lives until
//! something changes (`index`). What keys are called on this machine stands in a file (`aliases`, `naming`), and in the same
//! one the certificates that applications put on the token (`kept`) or that are made for want of any (`missing`). A key
//! that cannot be read spoils nothing but itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cryptoki_sys::{
    CK_KEY_TYPE, CK_OBJECT_HANDLE, CKO_CERTIFICATE, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY,
    CKR_ATTRIBUTE_VALUE_INVALID, CKR_DEVICE_ERROR,
};
use parking_lot::{Mutex, MutexGuard, RwLock};

use self::aliases::Aliases;
use self::attribute_cache::AttributeCache;
use self::certificate_store::CertificateStore;
use self::entry::{Entry, Found, PARTS, Wanted};
pub(super) use self::heritage::Heritage;
use self::heritage::Names;
use self::index::Index;
use self::kept::KeptCertificates;
use self::listing::Entries;
use super::handle::Counter;
use super::heritage::Changes;
use super::mechanism::{Mechanism, Offer, key_types};
use super::object::{Maker, Object};
use super::template::Template;
use crate::backend::{Backend, KeyName};
use crate::config;
use crate::error::{Error, Result};
use crate::observe::log::Log;
use crate::transport::Deadline;

mod aliases;
mod attribute_cache;
mod certificate_store;
mod entry;
mod heritage;
mod index;
mod kept;
mod key_objects;
mod listing;
mod loading;
mod missing;
mod naming;
mod profile;

/// The objects of one token that live at the HSM.
pub struct Catalog {
    backend: Arc<dyn Backend>,
    settings: config::Catalog,
    traits: Traits,
    known: HashMap<KeyName, config::Key>,
    /// `CKA_KEY_TYPE` of what is not shown.
    hidden_types: Vec<CK_KEY_TYPE>,
    files: CertificateStore,
    on_disk: Option<AttributeCache>,
    aliases: Option<Aliases>,
    taking_over: Mutex<()>,
    kept: KeptCertificates,
    profile: Option<Arc<Object>>,
    counter: Arc<Counter>,
    changes: Arc<Changes>,
    log: Log,
    entries: RwLock<Entries>,
    index: RwLock<Option<Arc<Index>>>,
    /// Grows with each change of what is kept.
    generation: AtomicU64,
    clock: AtomicU64,
    listing: Mutex<()>,
    loading: Mutex<()>,
    handed_down: Mutex<Names>,
}

/// What the objects of one token have in common.
pub struct Traits {
    /// `CK_TOKEN_INFO.serialNumber`
    pub serial: [u8; 16],
    /// The dialect's name.
    pub backend: &'static str,
    /// How `CKA_EC_POINT` of Edwards keys is encoded.
    pub edwards_point: config::EdwardsPoint,
    /// What the token offers.
    pub offers: Arc<[(&'static Mechanism, Offer)]>,
    /// Whether the service deletes keys.
    pub deletes: bool,
}

/// The objects of a new key.
pub struct Made {
    /// The handle of the private or secret key.
    pub key: CK_OBJECT_HANDLE,
    /// The handle of the public key, of a pair.
    pub public: Option<CK_OBJECT_HANDLE>,
}

impl Wanted {
    fn by(template: &Template) -> Self {
        let class = template.class();
        let is = |classes: &[u64]| class.is_none_or(|class| classes.contains(&class));
        Self {
            keys: is(&[CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY]),
            certificates: is(&[CKO_CERTIFICATE]),
        }
    }
}

impl Catalog {
    /// A catalog that knows nothing yet.
    pub fn new(
        backend: Arc<dyn Backend>,
        token: &config::Token,
        traits: Traits,
        counter: Arc<Counter>,
        changes: Arc<Changes>,
        log: Log,
    ) -> Self {
        let known = token.keys.iter().map(|key| (KeyName::from(key.name.as_str()), key.clone())).collect();
        let on_disk = token.catalog.cache.clone();
        let on_disk = on_disk.map(|path| AttributeCache::new(path, traits.serial, log.clone()));
        let certificates_are_public = profile::certificates_are_public(backend.as_ref());
        let mut catalog = Self {
            backend,
            settings: token.catalog.clone(),
            traits,
            known,
            hidden_types: token.catalog.hide_types.iter().copied().flat_map(key_types).collect(),
            files: CertificateStore::new(token.certificates.clone(), log.clone()),
            on_disk,
            aliases: token.catalog.aliases.clone().map(|path| Aliases::open(path, log.clone())),
            taking_over: Mutex::new(()),
            kept: KeptCertificates::default(),
            profile: None,
            counter,
            changes,
            log,
            entries: RwLock::default(),
            index: RwLock::default(),
            generation: AtomicU64::new(0),
            clock: AtomicU64::new(0),
            listing: Mutex::new(()),
            loading: Mutex::new(()),
            handed_down: Mutex::default(),
        };
        let profile = certificates_are_public.then(|| profile::public_certificates(&catalog.maker()));
        catalog.profile = profile.map(Arc::new);
        catalog.show_kept();
        catalog
    }

    /// The objects that match, private ones included, in the order of the HSM's listing.
    ///
    /// # Errors
    /// What the back end says when there is no listing, or when not one key can be read; `CKR_DEVICE_ERROR` when the
    /// deadline comes before all is read.
    pub fn find(&self, template: &Template, deadline: Deadline) -> Result<Vec<Found>> {
        let wanted = Wanted::by(template);
        let mut found = match wanted.keys || wanted.certificates {
            true => self.find_stored(template, wanted, deadline)?,
            false => Vec::new(),
        };
        found.extend(self.matching_profile(template));
        Ok(found)
    }

    fn find_stored(&self, template: &Template, wanted: Wanted, deadline: Deadline) -> Result<Vec<Found>> {
        self.refresh_old_aliases();
        let name = template.label().filter(|_| self.backend.labels_are_names());
        let (mut found, all) = match name {
            Some(label) => {
                let entry = self.entry_by_label(label, deadline)?;
                let mut objects = self.load(entry.as_slice(), wanted, deadline)?;
                objects.retain(|(_, object)| template.matches(&object.attributes));
                (objects, None)
            }
            None => {
                let index = self.index(wanted, deadline)?;
                (index.search(template), Some(index))
            }
        };
        if wanted.certificates {
            found.extend(self.loose_certificates(template, all, deadline)?);
            found.extend(self.kept.matching(template));
        }
        Ok(found)
    }

    /// The object with this handle, read again if its attributes were dropped; `None` when it is gone.
    pub fn object(&self, handle: CK_OBJECT_HANDLE, deadline: Deadline) -> Result<Option<Arc<Object>>> {
        let Some(entry) = self.entries.read().by_number(handle / PARTS).cloned() else {
            let others = self.files.by_handle(handle).or_else(|| self.kept.by_handle(handle));
            return Ok(others.or_else(|| self.profile(handle)));
        };
        if let Some(object) = entry.object(handle) {
            entry.used.store(self.tick(), Ordering::Relaxed);
            return Ok(Some(object));
        }
        let wanted = Wanted { keys: true, certificates: handle % PARTS == key_objects::CERTIFICATE };
        let objects = self.load(std::slice::from_ref(&entry), wanted, deadline)?;
        Ok(objects.into_iter().find(|(other, _)| *other == handle).map(|(_, object)| object))
    }

    /// That a new key could be found.
    ///
    /// # Errors
    /// `CKR_ATTRIBUTE_VALUE_INVALID` for a label or a type of keys that the configuration hides, and for a label that another
    /// key has here.
    pub fn check_new(&self, label: &str, key_type: Option<CK_KEY_TYPE>) -> Result<()> {
        let hidden = self.backend.labels_are_names() && self.settings.hides(label);
        if hidden || key_type.is_some_and(|key_type| self.hidden_types.contains(&key_type)) {
            return Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "the configuration hides such keys"));
        }
        self.check_free(label)
    }

    /// Takes in a key that was just made, and that no listing has yet.
    ///
    /// # Errors
    /// `CKR_DEVICE_ERROR` when the HSM does not tell what it made; what the back end says.
    pub fn admit(&self, name: KeyName, deadline: Deadline) -> Result<Made> {
        let entry = self.new_entry(name);
        self.forget_alias(&entry.name, None);
        self.forget_on_disk(&entry.name);
        self.entries.write().admit(&entry);
        self.changes.note();
        self.changed();
        let found = self.load_new(&entry, deadline)?;
        let of = |is_wanted: fn(u64) -> bool| {
            found.iter().find(|(_, object)| is_wanted(object.class())).map(|(handle, _)| *handle)
        };
        let key = of(|class| class != CKO_PUBLIC_KEY).ok_or_else(|| {
            Error::new(CKR_DEVICE_ERROR, format!("key {:?} was made, and is not told of", entry.name))
        })?;
        Ok(Made { key, public: of(|class| class == CKO_PUBLIC_KEY) })
    }

    /// The objects of a key that was just made. A member of the service may not know yet what another one made.
    fn load_new(&self, entry: &Arc<Entry>, deadline: Deadline) -> Result<Vec<Found>> {
        const PAUSE: Duration = Duration::from_millis(100);
        loop {
            let found = self.load(std::slice::from_ref(entry), Wanted::KEYS, deadline)?;
            if !found.is_empty() || deadline.remaining().is_none_or(|left| left < 2 * PAUSE) {
                return Ok(found);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Forgets a key that was deleted, with what it was called.
    pub fn deleted(&self, name: &KeyName) {
        self.forget_on_disk(name);
        let entry = self.entries.read().by_name.get(name).cloned();
        let keys = entry.and_then(|entry| entry.loaded.read().keys.clone());
        self.entries.write().deleted(name);
        self.changed();
        self.forget_alias(name, keys.and_then(|keys| keys.public_key.clone()).as_ref());
    }

    /// Nobody knows what became of an order of this module's: the next search asks the HSM for all names, and for what this
    /// one is.
    pub fn doubt(&self, name: Option<&KeyName>) {
        if let Some(name) = name {
            self.forget_on_disk(name);
            self.reload(std::slice::from_ref(name));
        }
        self.entries.write().outdate();
        self.changed();
    }

    /// Forgets a key that the HSM says is gone.
    pub fn forget(&self, name: &KeyName) {
        self.forget_on_disk(name);
        if self.entries.write().remove(name) {
            self.changed();
        }
    }

    fn forget_on_disk(&self, name: &KeyName) {
        if let Some(cache) = &self.on_disk {
            cache.forget(name);
        }
    }

    /// After a login: handles of private objects from an earlier one stay invalid (section 5.6.9), and where it brought
    /// the right to list, nothing is believed that was assumed without it.
    pub fn begin_login(&self, could_list: bool) {
        let mut entries = self.entries.write();
        if !could_list {
            entries.begin_era();
        }
        entries.renumber_private(|| self.counter.next());
        drop(entries);
        self.retry_missing();
        self.changed();
    }

    /// After a logout: where the right to list went too, what is left are the keys of the configuration, as before the
    /// login.
    pub fn end_login(&self) {
        if !self.backend.may_list() {
            self.entries.write().keep(|name| self.known.contains_key(name));
            self.changed();
        }
    }

    /// Whether an object had this handle once.
    pub fn has_given(&self, handle: CK_OBJECT_HANDLE) -> bool {
        self.counter.has_given(handle / PARTS)
    }

    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    fn maker(&self) -> Maker<'_> {
        Maker {
            serial: self.traits.serial,
            backend: self.traits.backend,
            edwards_point: self.traits.edwards_point,
            offers: &self.traits.offers,
            deletes: self.traits.deletes,
            renames: self.renames(),
        }
    }
}

/// A handle for an object that no name at the HSM has, from the same numbers.
pub fn other_handle(counter: &Counter) -> CK_OBJECT_HANDLE {
    counter.next() * PARTS + PARTS - 1
}

/// A single-flight gate: whoever waits wants what the one inside is asking the HSM for.
pub fn lock_until(gate: &Mutex<()>, deadline: Deadline) -> Result<MutexGuard<'_, ()>> {
    let guard = deadline.remaining().and_then(|left| gate.try_lock_for(left));
    guard.ok_or_else(|| {
        Error::new(CKR_DEVICE_ERROR, "another thread still waited for the HSM at the deadline")
    })
}
