//! All objects of a listing, for searches that name no label.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Catalog;
use super::entry::{BELIEVED, Found, Wanted};
use super::listing::Order;
use crate::error::Result;
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
}

impl Index {
    fn new(order: Order, generation: u64, certificates: bool, objects: Vec<Found>) -> Self {
        let mut by_id: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        for (at, (_, object)) in objects.iter().enumerate() {
            by_id.entry(object.attributes.id().to_vec()).or_default().push(at);
        }
        Self { order, generation, built: Instant::now(), certificates, objects, by_id }
    }

    /// The objects that match.
    pub(super) fn search(&self, template: &Template) -> Vec<Found> {
        let fits = |(_, object): &&Found| template.matches(&object.attributes);
        match template.id() {
            Some(id) => {
                let candidates = self.by_id.get(id).into_iter().flatten();
                candidates.filter_map(|at| self.objects.get(*at)).filter(fits).cloned().collect()
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
        let objects = self.load(&order, wanted, deadline)?;
        // Loading counts as a change; one that comes after this moment makes the index stale, as it should.
        let generation = self.generation.load(Ordering::Acquire);
        let fits = order.len() <= self.settings.capacity;
        let index = Arc::new(Index::new(order, generation, wanted.certificates, objects));
        if fits {
            *self.index.write() = Some(Arc::clone(&index));
        }
        Ok(index)
    }

    /// Certificates of the files that belong to no key that is known.
    pub(super) fn loose_certificates(&self, template: &Template) -> Vec<Found> {
        if self.files.is_empty() {
            return Vec::new();
        }
        let known: HashSet<Vec<u8>> = {
            let entries = self.entries.read();
            let public = |entry: &Arc<super::entry::Entry>| {
                let loaded = entry.loaded.read();
                Some(loaded.keys.as_ref()?.public_key.as_ref()?.spki().to_vec())
            };
            entries.by_name.values().filter_map(public).collect()
        };
        let handle = || super::other_handle(&self.counter);
        let loose = self.files.loose(&self.maker(), handle, |spki| known.contains(spki));
        loose.into_iter().filter(|(_, object)| template.matches(&object.attributes)).collect()
    }
}
