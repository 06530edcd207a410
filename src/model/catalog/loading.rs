//! Attributes and certificates: read when a search needs them, many at once, and kept up to a bound.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use cryptoki_sys::CKR_DEVICE_ERROR;

use super::entry::{Certified, Entry, Found, Loaded, Origin, Pinned, Wanted};
use super::key_objects::{self, KeyObjects};
use super::{Catalog, lock_until};
use crate::backend::{KeyInfo, KeyName};
use crate::crypto::certificate::Certificate;
use crate::error::{Error, Result};
use crate::model::object::Object;
use crate::transport::Deadline;

impl Catalog {
    /// The objects of some entries. What is wanted and not there is read in as few rounds as the back end allows.
    ///
    /// # Errors
    /// `CKR_DEVICE_ERROR` when the deadline came before the end; what was read stays, so that the next call goes on from
    /// there. What the back end says, when nothing at all could be read.
    pub(super) fn load(
        &self,
        entries: &[Arc<Entry>],
        wanted: Wanted,
        deadline: Deadline,
    ) -> Result<Vec<Found>> {
        for entry in entries {
            entry.used.store(self.tick(), Ordering::Relaxed);
        }
        // Other callers must not make room with what this one is about to hand out.
        let pinned = Pinned::new(entries);
        let objects = || entries.iter().flat_map(|entry| entry.objects()).collect();
        if entries.iter().all(|entry| entry.is_settled(wanted, self.settings.refresh)) {
            return Ok(objects());
        }
        // A listing is read by one caller; a single key need not wait for that.
        let _gate = match entries {
            [_] => None,
            _ => Some(lock_until(&self.loading, deadline)?),
        };
        self.load_keys(entries, deadline)?;
        if wanted.certificates {
            self.load_certificates(entries, deadline)?;
        }
        let found = objects();
        drop(pinned);
        self.trim(entries);
        Ok(found)
    }

    fn load_keys(&self, entries: &[Arc<Entry>], deadline: Deadline) -> Result<()> {
        let mut missing = Vec::new();
        let mut stored = false;
        for entry in entries.iter().filter(|entry| !entry.is_settled(Wanted::KEYS, self.settings.refresh)) {
            let is_new = entry.loaded.read().keys.is_none();
            match self.on_disk(&entry.name).filter(|_| is_new) {
                Some(info) => {
                    self.store_keys(entry, &info);
                    stored = true;
                }
                None => missing.push(entry),
            }
        }
        let names: Vec<_> = missing.iter().map(|entry| entry.name.clone()).collect();
        let answers = if self.backend.may_list() {
            self.backend.describe(&names, deadline)
        } else {
            names.iter().map(|name| Ok(Some(self.backend.assumed(name)))).collect()
        };
        let mut told = Vec::new();
        let mut failures = Vec::new();
        for (entry, answer) in missing.iter().zip(answers) {
            match answer {
                Ok(Some(info)) => {
                    self.store_keys(entry, &info);
                    told.push((&entry.name, info));
                }
                // Gone between listing and reading: the next listing will not have it.
                Ok(None) => *entry.loaded.write() = Loaded::default(),
                Err(error) => failures.push((*entry, error)),
            }
        }
        let progress = stored || !told.is_empty();
        if progress {
            self.changed();
        }
        // A cache on disk is written for a listing, not for each key that somebody asks for by name.
        if let Some(cache) = self.on_disk.as_ref().filter(|_| self.backend.may_list() && entries.len() > 1) {
            cache.put(told.iter().map(|(name, info)| (*name, info)));
        }
        match self.settle_failures(failures, progress, deadline)? {
            Some(error) if entries.iter().all(|entry| entry.loaded.read().keys.is_none()) => Err(error),
            _ => Ok(()),
        }
    }

    /// A key that cannot be read spoils nothing: it is left alone for a while, and what was read of it before stays. At the
    /// deadline, though, the rest is simply not known yet. If there was no progress at all, the first key is the one
    /// that everything waited for, and the next call will not.
    ///
    /// # Errors
    /// `CKR_DEVICE_ERROR` when the deadline came before keys of which nothing is known; else gives the last failure back.
    fn settle_failures(
        &self,
        failures: Vec<(&Arc<Entry>, Error)>,
        progress: bool,
        deadline: Deadline,
    ) -> Result<Option<Error>> {
        let late = deadline.remaining().is_none();
        let mut unknown = false;
        let mut last = None;
        for (at, (entry, error)) in failures.into_iter().enumerate() {
            let mut loaded = entry.loaded.write();
            if !late || (at == 0 && !progress) {
                self.log.warn(format_args!("key {:?} cannot be read: {error}", entry.name));
                loaded.failed_at = Some(Instant::now());
            }
            unknown |= loaded.keys.is_none() && loaded.failed_at.is_none();
            last = Some(error);
        }
        match last {
            Some(error) if unknown => {
                Err(Error::new(CKR_DEVICE_ERROR, "not all was read before the deadline").because(error))
            }
            last => Ok(last),
        }
    }

    fn on_disk(&self, name: &KeyName) -> Option<KeyInfo> {
        self.on_disk.as_ref().filter(|_| self.backend.may_list())?.get(name)
    }

    fn store_keys(&self, entry: &Entry, info: &KeyInfo) {
        let configured = self.known.get(&entry.name);
        let alias = || self.aliases.as_ref().and_then(|aliases| aliases.of(&entry.name));
        let mut called = alias();
        loop {
            let of_now = called.clone().unwrap_or_default();
            let mut keys = key_objects::build(&self.maker(), &entry.name, info, configured, of_now);
            keys.hide(&self.hidden_types);
            if let Some(odd) = &keys.remark {
                self.log.info(format_args!("key {:?}: {odd}", entry.name));
            }
            entry.loaded.write().put_keys(keys);
            // Whoever has renamed it meanwhile may have come too early to see this.
            let now = alias();
            if now == called {
                return;
            }
            called = now;
        }
    }

    /// From the configuration, else the files, else the HSM: the first two cost no request.
    fn load_certificates(&self, entries: &[Arc<Entry>], deadline: Deadline) -> Result<()> {
        let (mut ask, mut missing) = (Vec::new(), Vec::new());
        let both = Wanted { keys: true, certificates: true };
        for entry in entries.iter().filter(|entry| !entry.is_settled(both, self.settings.refresh)) {
            let Some(keys) = entry.loaded.read().keys.clone() else { continue };
            let at_hand = self.files.for_key(self.known.get(&entry.name), keys.public_key.as_ref());
            match at_hand {
                Some(certificate) => {
                    self.store_certificate(entry, &keys, &certificate, Origin::Configured);
                }
                None if keys.may_have_certificate && self.backend.may_list() => ask.push((entry, keys)),
                None => missing.push((entry, keys)),
            }
        }
        let names: Vec<_> = ask.iter().map(|(entry, _)| entry.name.clone()).collect();
        let mut failures = Vec::new();
        let mut progress = false;
        let answers = self.backend.certificates(&names, deadline);
        for ((entry, keys), answer) in ask.into_iter().zip(answers) {
            progress |= answer.is_ok();
            match answer.map(|der| der.as_deref().map(Certificate::from_der)) {
                Ok(Some(Ok(certificate))) => self.store_certificate(entry, &keys, &certificate, Origin::Hsm),
                Ok(Some(Err(error))) => {
                    self.log
                        .warn(format_args!("the certificate of key {:?} is no X.509: {error}", entry.name));
                    missing.push((entry, keys));
                }
                Ok(None) => missing.push((entry, keys)),
                Err(error) => failures.push((entry, error)),
            }
        }
        // Before anything is signed, which takes time: what came too late so far came too late by itself.
        let settled = self.settle_failures(failures, progress, deadline);
        let made = self.store_missing(missing, deadline);
        self.changed();
        settled.map(|_| ()).and(made)
    }

    pub(super) fn store_certificate(
        &self,
        entry: &Entry,
        keys: &KeyObjects,
        certificate: &Certificate,
        origin: Origin,
    ) {
        let object = Arc::new(self.certificate_object(keys, certificate, origin));
        entry.loaded.write().put_certificate_of(keys, Some(Certified { object, origin }));
    }

    /// The object of a key's certificate, which shares its label and its id.
    pub(super) fn certificate_object(
        &self,
        keys: &KeyObjects,
        certificate: &Certificate,
        origin: Origin,
    ) -> Object {
        let destroyable = match origin {
            Origin::Configured => false,
            Origin::Hsm => self.backend.keeps_certificates(),
            Origin::Made => self.renames(),
        };
        self.maker().certificate(&keys.label, &keys.id, certificate, destroyable)
    }

    /// Drops the attributes that were wanted longest ago, beyond the bound, but not those that a caller is at.
    pub(super) fn trim(&self, in_use: &[Arc<Entry>]) {
        let entries = self.entries.read();
        let is_loaded = |entry: &&Arc<Entry>| entry.loaded.read().keys.is_some();
        let loaded = entries.by_name.values().filter(is_loaded).count();
        let Some(surplus) = loaded.checked_sub(self.settings.capacity).filter(|surplus| *surplus > 0) else {
            return;
        };
        let is_idle = |entry: &&Arc<Entry>| !in_use.iter().any(|other| Arc::ptr_eq(other, entry));
        let mut victims: Vec<_> = match in_use {
            [_] => entries.by_name.values().filter(is_loaded).filter(is_idle).collect(),
            // A whole listing was just read: none of it is older than another.
            _ => entries.by_name.values().filter(is_loaded).collect(),
        };
        victims.sort_by_key(|entry| entry.used.load(Ordering::Relaxed));
        for entry in victims.into_iter().take(surplus) {
            entry.unload();
        }
    }
}
