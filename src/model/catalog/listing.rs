//! Which names there are: taken from the HSM by one caller at a time, believed for a while.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::entry::{Entry, Wanted};
use super::{Catalog, lock_until};
use crate::backend::KeyName;
use crate::error::Result;
use crate::transport::Deadline;

/// A search by label may ask the HSM for a key that a listing as young as this did not show.
const FRESH: Duration = Duration::from_secs(1);

/// A listing in the order of the HSM.
pub(super) type Order = Arc<[Arc<Entry>]>;

/// A key that came or went by this module's doing.
enum Own {
    Made(KeyName),
    Deleted(KeyName),
}

/// All names that are known.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) by_name: HashMap<KeyName, Arc<Entry>>,
    by_number: HashMap<u64, Arc<Entry>>,
    listed: Option<(Instant, Order)>,
    /// Grows when credentials come or go: what was listed with the old ones is not kept.
    era: u64,
    /// What this module made and deleted while a listing is under way, which may be from before or after it.
    meanwhile: Option<Vec<Own>>,
    /// Grows with each change of names and numbers.
    pub(super) revision: u64,
}

impl Entries {
    pub(super) fn by_number(&self, number: u64) -> Option<&Arc<Entry>> {
        self.by_number.get(&number)
    }

    pub(super) fn insert(&mut self, entry: &Arc<Entry>) {
        self.revision += 1;
        for number in entry.numbers() {
            self.by_number.insert(number, Arc::clone(entry));
        }
        self.by_name.insert(entry.name.clone(), Arc::clone(entry));
    }

    /// Takes a name out.
    pub(super) fn remove(&mut self, name: &KeyName) -> bool {
        let Some(entry) = self.by_name.remove(name) else { return false };
        self.revision += 1;
        for number in entry.numbers() {
            self.by_number.remove(&number);
        }
        if let Some((_, order)) = &mut self.listed {
            *order = order.iter().filter(|other| other.name != *name).cloned().collect();
        }
        true
    }

    /// Takes in a key that this module made: the listing has it from now on.
    pub(super) fn admit(&mut self, entry: &Arc<Entry>) {
        // Of a key that another client deleted under that name.
        self.remove(&entry.name);
        self.insert(entry);
        if let Some((_, order)) = &mut self.listed {
            *order = order.iter().chain([entry]).cloned().collect();
        }
        self.note(Own::Made(entry.name.clone()));
    }

    /// Takes out a key that this module deleted.
    pub(super) fn deleted(&mut self, name: &KeyName) {
        self.remove(name);
        self.note(Own::Deleted(name.clone()));
    }

    fn note(&mut self, own: Own) {
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile.push(own);
        }
    }

    /// The next search takes a new listing.
    pub(super) fn outdate(&mut self) {
        self.listed = None;
    }

    /// Whether the last listing, if there is one, has this name.
    pub(super) fn may_have(&self, name: &KeyName) -> bool {
        self.listed.is_none() || self.by_name.contains_key(name)
    }

    /// Puts a new listing in place of the old one; names that it does not have are gone. The same names are the same
    /// listing.
    fn replace(&mut self, order: Vec<Arc<Entry>>) -> Order {
        let numbers = |entry: &Arc<Entry>| entry.number;
        let order = match self.listed.take() {
            Some((_, old)) if old.iter().map(numbers).eq(order.iter().map(numbers)) => old,
            _ => order.into(),
        };
        self.revision += 1;
        self.by_name.clear();
        self.by_number.clear();
        for entry in order.iter() {
            self.insert(entry);
        }
        self.listed = Some((Instant::now(), Arc::clone(&order)));
        order
    }

    /// The credentials changed: no listing is believed and no attribute, since neither may have been the HSM's.
    pub(super) fn begin_era(&mut self) {
        self.era += 1;
        self.listed = None;
        for entry in self.by_name.values() {
            *entry.loaded.write() = Default::default();
        }
    }

    /// Forgets all other names, handles included, and what was read of these.
    pub(super) fn keep(&mut self, stays: impl Fn(&KeyName) -> bool) {
        self.begin_era();
        let gone: Vec<_> = self.by_name.keys().filter(|name| !stays(name)).cloned().collect();
        for name in gone {
            self.remove(&name);
        }
    }

    /// Ends the handles of all private and secret keys (section 5.6.9).
    pub(super) fn renumber_private(&mut self, next: impl Fn() -> u64) {
        self.revision += 1;
        for entry in self.by_name.values() {
            let [_, old] = entry.numbers();
            let new = next();
            entry.renumber_private(new);
            self.by_number.remove(&old);
            self.by_number.insert(new, Arc::clone(entry));
        }
    }
}

impl Catalog {
    /// The listing, taken anew if it is too old.
    pub(super) fn listed(&self, deadline: Deadline) -> Result<Order> {
        let current = || {
            let entries = self.entries.read();
            entries.listed.as_ref().map(|(at, order)| (at.elapsed(), Arc::clone(order)))
        };
        let old = match current() {
            Some((age, order)) if age < self.settings.refresh => return Ok(order),
            old => old.map(|(_, order)| order),
        };
        let _gate = match old {
            // Somebody else is at it: the old listing is good enough until then.
            Some(order) => match self.listing.try_lock() {
                Some(gate) => gate,
                None => return Ok(order),
            },
            None => lock_until(&self.listing, deadline)?,
        };
        // Whoever held the gate before may have listed.
        match current() {
            Some((age, order)) if age < self.settings.refresh => Ok(order),
            _ => self.list_anew(deadline),
        }
    }

    fn list_anew(&self, deadline: Deadline) -> Result<Order> {
        let era = {
            let mut entries = self.entries.write();
            entries.meanwhile = Some(Vec::new());
            entries.era
        };
        let names = self.names(deadline);
        self.refresh_aliases();
        let mut entries = self.entries.write();
        let meanwhile = entries.meanwhile.take().unwrap_or_default();
        let mut names = names?;
        for own in meanwhile {
            match own {
                Own::Made(name) => names.push(name),
                Own::Deleted(name) => names.retain(|other| *other != name),
            }
        }
        let mut seen = HashSet::with_capacity(names.len());
        let mut order = Vec::with_capacity(names.len());
        for name in names.into_iter().filter(|name| !self.settings.hides(name.as_str())) {
            let entry = entries.by_name.get(&name).cloned().unwrap_or_else(|| self.new_entry(name.clone()));
            if seen.insert(name) {
                order.push(entry);
            }
        }
        self.log.info(format_args!("listed {} keys", order.len()));
        if entries.era != era {
            return Ok(order.into());
        }
        let order = entries.replace(order);
        drop(entries);
        self.changes.note();
        Ok(order)
    }

    fn names(&self, deadline: Deadline) -> Result<Vec<KeyName>> {
        if self.backend.may_list() {
            return self.backend.list(deadline);
        }
        // Without the right to list, the configuration is all that can be known.
        let mut names: Vec<_> = self.known.keys().cloned().collect();
        names.sort();
        Ok(names)
    }

    pub(super) fn new_entry(&self, name: KeyName) -> Arc<Entry> {
        Arc::new(Entry::new(name, self.counter.next(), self.counter.next(), self.tick()))
    }

    /// The entry of one label; a label that no recent listing has is asked for by name.
    pub(super) fn entry_by_label(&self, label: &[u8], deadline: Deadline) -> Result<Option<Arc<Entry>>> {
        let text = std::str::from_utf8(label).ok().filter(|name| !name.is_empty());
        let Some(name) = text.and_then(|label| self.called(label)) else { return Ok(None) };
        if self.settings.hides(name.as_str()) {
            return Ok(None);
        }
        let (fresh, era) = {
            let entries = self.entries.read();
            if let Some(entry) = entries.by_name.get(&name) {
                return Ok(Some(Arc::clone(entry)));
            }
            (entries.listed.as_ref().is_some_and(|(at, _)| at.elapsed() < FRESH), entries.era)
        };
        let askable = self.backend.may_list() || self.known.contains_key(&name);
        if fresh || !askable {
            return Ok(None);
        }
        let entry = self.new_entry(name);
        self.load(std::slice::from_ref(&entry), Wanted::KEYS, deadline)?;
        if entry.loaded.read().keys.is_none() {
            return Ok(None);
        }
        let mut entries = self.entries.write();
        if let Some(other) = entries.by_name.get(&entry.name) {
            return Ok(Some(Arc::clone(other)));
        }
        if entries.era == era {
            entries.insert(&entry);
            // The next search without a label has to see it too.
            entries.listed = None;
            self.changes.note();
        }
        Ok(Some(entry))
    }
}
