//! All objects of a listing, for searches that name no label.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CK_OBJECT_HANDLE, CKA_CLASS, CKA_KEY_TYPE, CKA_PUBLIC_KEY_INFO};

use super::Catalog;
use super::entry::{BELIEVED, Found, Pinned, Wanted};
use super::listing::Order;
use crate::error::Result;
use crate::model::object::Object;
use crate::model::template::Template;
use crate::transport::Deadline;

/// An immutable answer to all searches, until something changes.
pub(super) struct Index {
    /// The listing that it is of.
    order: Order,
    generation: u64,
    built: Instant,
    certificates: bool,
    objects: Vec<Found>,
    by_id: HashMap<Vec<u8>, Vec<usize>>,
    /// By class and key type, which most searches without an id name.
    by_kind: HashMap<Kind, Vec<usize>>,
}

/// The values of `CKA_CLASS` and `CKA_KEY_TYPE`.
type Kind = [Vec<u8>; 2];

/// `None` where one is missing: such an object is not found by both, and such a template not looked up.
fn kind<'a>(get: impl Fn(CK_ATTRIBUTE_TYPE) -> Option<&'a [u8]>) -> Option<Kind> {
    Some([get(CKA_CLASS)?.to_vec(), get(CKA_KEY_TYPE)?.to_vec()])
}

impl Index {
    fn new(order: Order, generation: u64, certificates: bool, objects: Vec<Found>) -> Self {
        let mut by_id: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        let mut by_kind: HashMap<Kind, Vec<usize>> = HashMap::new();
        for (at, (_, object)) in objects.iter().enumerate() {
            by_id.entry(object.attributes.id().to_vec()).or_default().push(at);
            if let Some(kind) = kind(|wanted| object.attributes.get(wanted)) {
                by_kind.entry(kind).or_default().push(at);
            }
        }
        Self { order, generation, built: Instant::now(), certificates, objects, by_id, by_kind }
    }

    /// The handle of one object.
    pub(super) fn handle_of(&self, is_it: impl Fn(&Object) -> bool) -> Option<CK_OBJECT_HANDLE> {
        self.objects.iter().find(|(_, object)| is_it(object)).map(|(handle, _)| *handle)
    }

    /// The objects that match.
    pub(super) fn search(&self, template: &Template) -> Vec<Found> {
        let fits = |(_, object): &&Found| template.matches(&object.attributes);
        let kind = || kind(|wanted| template.get(wanted));
        let candidates = match template.id() {
            Some(id) => Some(self.by_id.get(id)),
            None => kind().map(|kind| self.by_kind.get(&kind)),
        };
        match candidates {
            Some(some) => {
                let candidates = some.into_iter().flatten().filter_map(|at| self.objects.get(*at));
                candidates.filter(fits).cloned().collect()
            }
            None => self.objects.iter().filter(fits).cloned().collect(),
        }
    }
}

impl Catalog {
    /// The index of the listing, built anew if anything changed. One that lacks a key which could not be read lives no
    /// longer than the pause before that key is tried again.
    pub(super) fn index(&self, wanted: Wanted, deadline: Deadline) -> Result<Arc<Index>> {
        let order = self.listed(deadline)?;
        let is_current = |index: &&Arc<Index>| {
            Arc::ptr_eq(&index.order, &order)
                && index.generation == self.generation.load(Ordering::Acquire)
                && (index.certificates || !wanted.certificates)
                && (index.built.elapsed() < self.settings.refresh.min(BELIEVED)
                    || order.iter().all(|entry| entry.is_settled(wanted, self.settings.refresh)))
        };
        if let Some(index) = self.index.read().as_ref().filter(is_current) {
            return Ok(Arc::clone(index));
        }
        let pinned = Pinned::new(&order);
        self.load(&order, wanted, deadline)?;
        // Loading counts as a change; one that comes after this moment makes the index stale, as it should.
        let generation = self.generation.load(Ordering::Acquire);
        let objects = order.iter().flat_map(|entry| entry.objects()).collect();
        drop(pinned);
        self.trim(&order);
        let fits = order.len() <= self.settings.capacity;
        let index = Arc::new(Index::new(order, generation, wanted.certificates, objects));
        if fits {
            *self.index.write() = Some(Arc::clone(&index));
        }
        Ok(index)
    }

    /// Certificates of the files that belong to no key. Which those are, only the whole listing tells: what happens to be
    /// kept is not enough.
    pub(super) fn loose_certificates(
        &self,
        template: &Template,
        all: Option<Arc<Index>>,
        deadline: Deadline,
    ) -> Result<Vec<Found>> {
        let handle = || {
            // Whoever tells of it has to wait for the lock of the store, which is held until the handle is in it.
            self.changes.note();
            super::other_handle(&self.counter)
        };
        let mut candidates = self.files.objects(&self.maker(), handle);
        candidates.retain(|(_, object)| template.matches(&object.attributes));
        if candidates.is_empty() {
            return Ok(candidates);
        }
        let index = match all {
            Some(index) => index,
            None => self.index(Wanted::KEYS, deadline)?,
        };
        let keys: HashSet<_> = index.objects.iter().filter_map(|(_, object)| public_key(object)).collect();
        candidates.retain(|(_, object)| public_key(object).is_none_or(|key| !keys.contains(key)));
        Ok(candidates)
    }
}

/// The SubjectPublicKeyInfo of an object.
fn public_key(object: &Object) -> Option<&[u8]> {
    object.attributes.get(CKA_PUBLIC_KEY_INFO)
}
