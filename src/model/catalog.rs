//! The catalog: which objects the HSM has, answered from memory.
//!
//! A listing is believed for a while and then taken anew by one caller, while the others still see the old one.
//! Attributes are read when a search needs them, many at once, and kept up to a bound; the handle of a key stays the
//! same until the key is gone, whether its attributes are kept or not. One unreadable key spoils nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cryptoki_sys::{CKO_CERTIFICATE, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY, CKR_DEVICE_ERROR};
use parking_lot::{Mutex, MutexGuard, RwLock};

use super::attribute_cache::AttributeCache;
use super::certificate_store::CertificateStore;
use super::handle::Counter;
use super::key_objects::{self, KeyObjects};
use super::mechanism::{Mechanism, Offer};
use super::object::{Maker, Object};
use super::template::Template;
use crate::backend::{Backend, KeyInfo, KeyName};
use crate::config;
use crate::error::{Error, Result};
use crate::observe::log::Log;
use crate::transport::Deadline;

/// A search by label may ask the HSM for a key that a listing as young as this did not show.
const FRESH: Duration = Duration::from_secs(1);

/// Attributes older than this are read again by the next search: a key can have been made anew under its old name.
const BELIEVED: Duration = Duration::from_secs(60 * 60);

/// Handles are `entry number × 4 + part`, so that the objects of one key need one entry.
const PARTS: u64 = 4;

/// The objects of one token that live at the HSM.
pub struct Catalog {
    backend: Arc<dyn Backend>,
    settings: config::Catalog,
    traits: Traits,
    known: HashMap<KeyName, config::Key>,
    files: CertificateStore,
    on_disk: Option<AttributeCache>,
    counter: Arc<Counter>,
    log: Log,
    entries: RwLock<Entries>,
    index: RwLock<Option<Arc<Index>>>,
    generation: AtomicU64,
    clock: AtomicU64,
    listing: Mutex<()>,
    loading: Mutex<()>,
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
}

#[derive(Default)]
struct Entries {
    by_name: HashMap<KeyName, Arc<Entry>>,
    by_number: HashMap<u64, Arc<Entry>>,
    listed: Option<Listed>,
}

struct Listed {
    at: Instant,
    order: Arc<[Arc<Entry>]>,
}

/// One name at the HSM.
struct Entry {
    number: u64,
    name: KeyName,
    /// When it was last wanted, in ticks of the catalog's clock.
    used: AtomicU64,
    loaded: RwLock<Loaded>,
}

#[derive(Default)]
struct Loaded {
    keys: Option<Arc<KeyObjects>>,
    /// When `keys` were read.
    at: Option<Instant>,
    /// The certificate, once it was asked for.
    certificate: Option<Option<Arc<Object>>>,
}

/// All objects of a listing, for searches that name no label.
struct Index {
    generation: u64,
    built: Instant,
    certificates: bool,
    objects: Vec<(u64, Arc<Object>)>,
    by_id: HashMap<Vec<u8>, Vec<usize>>,
}

/// Which kinds of object a search can find, and so what has to be read for it.
#[derive(Clone, Copy)]
struct Wanted {
    keys: bool,
    certificates: bool,
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
        log: Log,
    ) -> Self {
        let known = token.keys.iter().map(|key| (KeyName::from(key.label.as_str()), key.clone())).collect();
        let on_disk = token.catalog.cache.clone();
        let on_disk = on_disk.map(|path| AttributeCache::new(path, traits.serial, log.clone()));
        Self {
            backend,
            settings: token.catalog.clone(),
            traits,
            known,
            files: CertificateStore::new(token.certificates.clone(), log.clone()),
            on_disk,
            counter,
            log,
            entries: RwLock::default(),
            index: RwLock::default(),
            generation: AtomicU64::new(0),
            clock: AtomicU64::new(0),
            listing: Mutex::new(()),
            loading: Mutex::new(()),
        }
    }

    /// The objects that match, private ones included, in the order of the HSM's listing.
    ///
    /// # Errors
    /// `CKR_DEVICE_ERROR` or what the back end says when nothing can be told; never because of a single key.
    pub fn find(&self, template: &Template, deadline: Deadline) -> Result<Vec<(u64, Arc<Object>)>> {
        let wanted = Wanted::by(template);
        if !wanted.keys && !wanted.certificates {
            return Ok(Vec::new());
        }
        let mut found = match template.label() {
            Some(label) => {
                let entries: Vec<_> = self.entry_by_label(label, deadline)?.into_iter().collect();
                self.load(&entries, wanted, deadline)?;
                let objects = entries.iter().flat_map(|entry| self.objects_of(entry));
                objects.filter(|(_, object)| template.matches(&object.attributes)).collect()
            }
            None => self.index(wanted, deadline)?.search(template),
        };
        if wanted.certificates {
            found.extend(self.loose_certificates(template));
        }
        Ok(found)
    }

    /// The object with this handle, read again if its attributes were dropped; `None` when it is gone.
    pub fn object(&self, handle: u64, deadline: Deadline) -> Result<Option<Arc<Object>>> {
        let (number, part) = (handle / PARTS, handle % PARTS);
        let Some(entry) = self.entries.read().by_number.get(&number).cloned() else {
            return Ok(self.files.by_handle(handle));
        };
        if let Some(object) = entry.part(part) {
            entry.used.store(self.tick(), Ordering::Relaxed);
            return Ok(Some(object));
        }
        let wanted = Wanted { keys: true, certificates: part == key_objects::CERTIFICATE };
        self.load(std::slice::from_ref(&entry), wanted, deadline)?;
        Ok(entry.part(part))
    }

    /// Forgets a key that the HSM says is gone.
    pub fn forget(&self, name: &KeyName) {
        if let Some(cache) = &self.on_disk {
            cache.forget(name);
        }
        let mut entries = self.entries.write();
        if let Some(entry) = entries.by_name.remove(name) {
            entries.by_number.remove(&entry.number);
            if let Some(listed) = &mut entries.listed {
                listed.order = listed.order.iter().filter(|other| other.name != *name).cloned().collect();
            }
            self.changed();
        }
    }

    /// Believes no listing any more: the credentials changed.
    pub fn expire(&self) {
        self.entries.write().listed = None;
        self.changed();
    }

    /// Forgets everything, handles included: the right to list is gone.
    pub fn clear(&self) {
        *self.entries.write() = Entries::default();
        *self.index.write() = None;
        self.changed();
    }

    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    // Listing.

    /// The entries of the listing, taken anew if it is too old.
    fn listed(&self, deadline: Deadline) -> Result<Arc<[Arc<Entry>]>> {
        let current = || {
            let entries = self.entries.read();
            entries.listed.as_ref().map(|listed| (listed.at.elapsed(), Arc::clone(&listed.order)))
        };
        let old = match current() {
            Some((age, order)) if age < self.settings.refresh => return Ok(order),
            Some((_, order)) => Some(order),
            None => None,
        };
        let guard = match old {
            // Somebody else is at it: the old listing is good enough until then.
            Some(order) => match self.listing.try_lock() {
                Some(guard) => guard,
                None => return Ok(order),
            },
            None => lock_until(&self.listing, deadline)?,
        };
        // Whoever held the gate before may have listed.
        if let Some((_, order)) = current().filter(|(age, _)| *age < self.settings.refresh) {
            return Ok(order);
        }
        let order = self.list_anew(deadline)?;
        drop(guard);
        Ok(order)
    }

    fn list_anew(&self, deadline: Deadline) -> Result<Arc<[Arc<Entry>]>> {
        let names = if self.backend.may_list() {
            self.backend.list(deadline)?
        } else {
            // Without the right to list, the configuration is all that can be known.
            let mut names: Vec<_> = self.known.keys().cloned().collect();
            names.sort();
            names
        };
        let mut entries = self.entries.write();
        let mut by_name = HashMap::with_capacity(names.len());
        let mut order = Vec::with_capacity(names.len());
        for name in names.into_iter().filter(|name| !self.is_hidden(name)) {
            let entry = entries.by_name.get(&name).cloned().unwrap_or_else(|| self.new_entry(name.clone()));
            if by_name.insert(name, Arc::clone(&entry)).is_none() {
                order.push(entry);
            }
        }
        entries.by_number = order.iter().map(|entry| (entry.number, Arc::clone(entry))).collect();
        entries.by_name = by_name;
        let order: Arc<[_]> = order.into();
        let numbers = |order: &[Arc<Entry>]| order.iter().map(|entry| entry.number).collect::<Vec<_>>();
        let same = entries.listed.as_ref().is_some_and(|old| numbers(&old.order) == numbers(&order));
        entries.listed = Some(Listed { at: Instant::now(), order: Arc::clone(&order) });
        drop(entries);
        if !same {
            self.changed();
        }
        self.log.info(format_args!("listed {} keys", order.len()));
        Ok(order)
    }

    fn new_entry(&self, name: KeyName) -> Arc<Entry> {
        Arc::new(Entry {
            number: self.counter.next(),
            name,
            used: AtomicU64::new(self.tick()),
            loaded: RwLock::default(),
        })
    }

    fn is_hidden(&self, name: &KeyName) -> bool {
        self.settings.hides(name.as_str())
    }

    /// The entry of one label; a label that no recent listing has is asked for by name.
    fn entry_by_label(&self, label: &[u8], deadline: Deadline) -> Result<Option<Arc<Entry>>> {
        let Some(name) = std::str::from_utf8(label).ok().filter(|name| !name.is_empty()).map(KeyName::from)
        else {
            return Ok(None);
        };
        if self.is_hidden(&name) {
            return Ok(None);
        }
        let fresh = {
            let entries = self.entries.read();
            if let Some(entry) = entries.by_name.get(&name) {
                return Ok(Some(Arc::clone(entry)));
            }
            entries.listed.as_ref().is_some_and(|listed| listed.at.elapsed() < FRESH)
        };
        let askable = self.backend.may_list() || self.known.contains_key(&name);
        if fresh || !askable {
            return Ok(None);
        }
        let entry = self.new_entry(name);
        self.load(std::slice::from_ref(&entry), Wanted { keys: true, certificates: false }, deadline)?;
        if entry.loaded.read().keys.is_none() {
            return Ok(None);
        }
        let mut entries = self.entries.write();
        let entry = Arc::clone(entries.by_name.entry(entry.name.clone()).or_insert(entry));
        entries.by_number.insert(entry.number, Arc::clone(&entry));
        // The next search without a label has to see it too.
        entries.listed = None;
        self.changed();
        Ok(Some(entry))
    }

    // Attributes.

    /// Reads what is wanted and not there, in as few rounds as the back end allows.
    fn load(&self, entries: &[Arc<Entry>], wanted: Wanted, deadline: Deadline) -> Result<()> {
        if entries.iter().all(|entry| entry.has(wanted)) {
            return Ok(());
        }
        let _single_flight = lock_until(&self.loading, deadline)?;
        self.load_keys(entries, deadline)?;
        if wanted.certificates {
            self.load_certificates(entries, deadline);
        }
        self.trim(entries);
        self.changed();
        Ok(())
    }

    fn load_keys(&self, entries: &[Arc<Entry>], deadline: Deadline) -> Result<()> {
        let missing: Vec<_> = entries.iter().filter(|entry| !entry.loaded.read().has_keys()).collect();
        let (stored, missing): (Vec<_>, Vec<_>) = missing
            .into_iter()
            .map(|entry| (entry, self.on_disk(&entry.name)))
            .partition(|(_, info)| info.is_some());
        for (entry, info) in &stored {
            info.iter().for_each(|info| self.store_keys(entry, info));
        }
        let names: Vec<_> = missing.iter().map(|(entry, _)| entry.name.clone()).collect();
        let answers = if self.backend.may_list() {
            self.backend.describe(&names, deadline)
        } else {
            names.iter().map(|_| Ok(Some(key_objects::assumed()))).collect()
        };
        let asked = answers.len();
        let mut failures = Vec::new();
        let mut told = Vec::new();
        for ((entry, _), answer) in missing.iter().zip(answers) {
            match answer {
                Ok(Some(info)) => {
                    self.store_keys(entry, &info);
                    told.push((&entry.name, info));
                }
                // Gone between listing and reading: the next listing will not have it.
                Ok(None) => *entry.loaded.write() = Loaded::default(),
                Err(error) => failures.push((&entry.name, error)),
            }
        }
        if let Some(cache) = self.on_disk.as_ref().filter(|_| self.backend.may_list()) {
            cache.put(told.iter().map(|(name, info)| (*name, info)));
        }
        for (name, error) in &failures {
            self.log.warn(format_args!("the attributes of key {name:?} cannot be read: {error}"));
        }
        match failures.pop() {
            Some((_, error)) if failures.len() + 1 == asked => Err(error),
            _ => Ok(()),
        }
    }

    fn on_disk(&self, name: &KeyName) -> Option<KeyInfo> {
        self.on_disk.as_ref().filter(|_| self.backend.may_list())?.get(name)
    }

    fn store_keys(&self, entry: &Entry, info: &KeyInfo) {
        let keys = key_objects::build(&self.maker(), &entry.name, info, self.known.get(&entry.name));
        if let Some(odd) = &keys.remark {
            self.log.info(format_args!("key {:?}: {odd}", entry.name));
        }
        let mut loaded = entry.loaded.write();
        // A certificate was matched with the key as it was.
        let same = loaded.keys.as_ref().is_some_and(|before| before.public_key == keys.public_key);
        let certificate = if same { loaded.certificate.take() } else { None };
        *loaded = Loaded { keys: Some(Arc::new(keys)), at: Some(Instant::now()), certificate };
    }

    /// From the configuration, else the files, else the HSM: the first two cost no request.
    fn load_certificates(&self, entries: &[Arc<Entry>], deadline: Deadline) {
        let mut ask = Vec::new();
        for entry in entries.iter().filter(|entry| entry.loaded.read().certificate.is_none()) {
            let Some(keys) = entry.loaded.read().keys.clone() else { continue };
            let at_hand = self.files.for_key(self.known.get(&entry.name), keys.public_key.as_ref());
            match at_hand {
                Some(certificate) => self.store_certificate(entry, &keys, Some(&certificate)),
                None if keys.may_have_certificate && self.backend.may_list() => ask.push((entry, keys)),
                None => self.store_certificate(entry, &keys, None),
            }
        }
        let names: Vec<_> = ask.iter().map(|(entry, _)| entry.name.clone()).collect();
        for ((entry, keys), answer) in ask.iter().zip(self.backend.certificates(&names, deadline)) {
            match answer.map(|der| der.as_deref().map(crate::crypto::certificate::Certificate::from_der)) {
                Ok(None) => self.store_certificate(entry, keys, None),
                Ok(Some(Ok(certificate))) => self.store_certificate(entry, keys, Some(&certificate)),
                Ok(Some(Err(error))) => {
                    self.log
                        .warn(format_args!("the certificate of key {:?} is no X.509: {error}", entry.name));
                    self.store_certificate(entry, keys, None);
                }
                Err(error) => {
                    self.log
                        .warn(format_args!("the certificate of {:?} cannot be read: {error}", entry.name));
                }
            }
        }
    }

    fn store_certificate(
        &self,
        entry: &Entry,
        keys: &KeyObjects,
        certificate: Option<&crate::crypto::certificate::Certificate>,
    ) {
        let object = certificate.map(|certificate| {
            Arc::new(self.maker().certificate(entry.name.as_str(), &keys.id, certificate))
        });
        entry.loaded.write().certificate = Some(object);
    }

    /// Certificates of the files that belong to no key that is known.
    fn loose_certificates(&self, template: &Template) -> Vec<(u64, Arc<Object>)> {
        let maker = self.maker();
        let number = || self.counter.next() * PARTS + key_objects::CERTIFICATE;
        let entries = self.entries.read();
        let has_key = |spki: &[u8]| {
            let is_it = |entry: &Arc<Entry>| {
                let loaded = entry.loaded.read();
                let key = loaded.keys.as_ref().and_then(|keys| keys.public_key.as_ref());
                key.is_some_and(|key| key.spki() == spki)
            };
            entries.by_name.values().any(is_it)
        };
        self.files
            .loose(&maker, number, has_key)
            .into_iter()
            .filter(|(_, object)| template.matches(&object.attributes))
            .collect()
    }

    /// Drops the attributes that were wanted longest ago, beyond the bound; `keep` are in use.
    fn trim(&self, keep: &[Arc<Entry>]) {
        let entries = self.entries.read();
        let mut loaded: Vec<_> =
            entries.by_name.values().filter(|entry| entry.loaded.read().keys.is_some()).collect();
        let Some(surplus) = loaded.len().checked_sub(self.settings.capacity.max(keep.len())) else { return };
        loaded.sort_by_key(|entry| entry.used.load(Ordering::Relaxed));
        for entry in loaded.into_iter().take(surplus) {
            *entry.loaded.write() = Loaded::default();
        }
    }

    // Index.

    fn index(&self, wanted: Wanted, deadline: Deadline) -> Result<Arc<Index>> {
        let order = self.listed(deadline)?;
        let generation = self.generation.load(Ordering::Acquire);
        let usable = |index: &&Arc<Index>| {
            index.generation == generation
                && index.built.elapsed() < BELIEVED
                && (index.certificates || !wanted.certificates)
        };
        if let Some(index) = self.index.read().as_ref().filter(usable) {
            return Ok(Arc::clone(index));
        }
        self.load(&order, wanted, deadline)?;
        let generation = self.generation.load(Ordering::Acquire);
        let mut index = Index {
            generation,
            built: Instant::now(),
            certificates: wanted.certificates,
            objects: Vec::new(),
            by_id: HashMap::new(),
        };
        for (handle, object) in order.iter().flat_map(|entry| self.objects_of(entry)) {
            index.by_id.entry(object.attributes.id().to_vec()).or_default().push(index.objects.len());
            index.objects.push((handle, object));
        }
        let index = Arc::new(index);
        if order.len() <= self.settings.capacity {
            *self.index.write() = Some(Arc::clone(&index));
        }
        Ok(index)
    }

    fn objects_of(&self, entry: &Arc<Entry>) -> Vec<(u64, Arc<Object>)> {
        entry.used.store(self.tick(), Ordering::Relaxed);
        (0..PARTS)
            .filter_map(|part| entry.part(part).map(|object| (entry.number * PARTS + part, object)))
            .collect()
    }

    fn maker(&self) -> Maker<'_> {
        Maker {
            serial: self.traits.serial,
            backend: self.traits.backend,
            edwards_point: self.traits.edwards_point,
            offers: &self.traits.offers,
        }
    }
}

impl Index {
    fn search(&self, template: &Template) -> Vec<(u64, Arc<Object>)> {
        let fits = |(_, object): &&(u64, Arc<Object>)| template.matches(&object.attributes);
        match template.id() {
            Some(id) => {
                let candidates = self.by_id.get(id).into_iter().flatten();
                candidates.filter_map(|at| self.objects.get(*at)).filter(fits).cloned().collect()
            }
            None => self.objects.iter().filter(fits).cloned().collect(),
        }
    }
}

impl Loaded {
    fn has_keys(&self) -> bool {
        self.keys.is_some() && self.at.is_some_and(|at| at.elapsed() < BELIEVED)
    }
}

impl Entry {
    fn has(&self, wanted: Wanted) -> bool {
        let loaded = self.loaded.read();
        loaded.has_keys() && (!wanted.certificates || loaded.certificate.is_some())
    }

    fn part(&self, part: u64) -> Option<Arc<Object>> {
        let loaded = self.loaded.read();
        match part {
            key_objects::KEY => loaded.keys.as_ref()?.key.clone(),
            key_objects::PUBLIC => loaded.keys.as_ref()?.public.clone(),
            key_objects::CERTIFICATE => loaded.certificate.clone().flatten(),
            _ => None,
        }
    }
}

/// A handle for an object that is not in a catalog, from the same numbers.
pub fn other_handle(counter: &Counter) -> u64 {
    counter.next() * PARTS + PARTS - 1
}

/// A single-flight gate: whoever waits wants what the one inside is asking the HSM for.
pub fn lock_until(gate: &Mutex<()>, deadline: Deadline) -> Result<MutexGuard<'_, ()>> {
    let guard = deadline.remaining().and_then(|left| gate.try_lock_for(left));
    guard.ok_or_else(|| {
        Error::new(CKR_DEVICE_ERROR, "another thread still waited for the HSM at the deadline")
    })
}
