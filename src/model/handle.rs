//! Handles: numbers that are never given out twice in one life of the module.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

/// Gives numbers from 1 upwards; 0 is `CK_INVALID_HANDLE`.
#[derive(Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    /// A counter that goes on where `other` is now.
    pub fn after(other: &Self) -> Self {
        Self(AtomicU64::new(other.0.load(Ordering::Relaxed)))
    }

    /// Whether the number was given out.
    pub fn has_given(&self, number: u64) -> bool {
        (1..self.0.load(Ordering::Relaxed)).contains(&number)
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

impl Default for Counter {
    fn default() -> Self {
        Self(AtomicU64::new(1))
    }
}

/// Things by handle. The lock is held for a look-up or a change, never during a call of anything else.
#[derive(Debug)]
pub struct Registry<T>(RwLock<HashMap<u64, Arc<T>>>);

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T> Registry<T> {
    /// The thing with this handle.
    pub fn get(&self, handle: u64) -> Option<Arc<T>> {
        self.0.read().get(&handle).cloned()
    }

    /// Adds a thing under a handle that a [`Counter`] gave.
    pub fn insert(&self, handle: u64, thing: Arc<T>) {
        self.0.write().insert(handle, thing);
    }

    /// Puts a thing in the place of the one with this handle, if it is still there.
    pub fn replace(&self, handle: u64, thing: Arc<T>) -> bool {
        match self.0.write().get_mut(&handle) {
            Some(place) => {
                *place = thing;
                true
            }
            None => false,
        }
    }

    /// Takes a thing out.
    pub fn remove(&self, handle: u64) -> Option<Arc<T>> {
        self.0.write().remove(&handle)
    }

    /// Takes out all things that `which` is true for.
    pub fn remove_where(&self, which: impl Fn(&T) -> bool) -> Vec<Arc<T>> {
        let mut things = self.0.write();
        let mut removed = Vec::new();
        things.retain(|_, thing| {
            let goes = which(thing);
            if goes {
                removed.push(Arc::clone(thing));
            }
            !goes
        });
        removed
    }

    /// The things that `which` is true for, in the order of their handles.
    pub fn select(&self, which: impl Fn(&T) -> bool) -> Vec<(u64, Arc<T>)> {
        let things = self.0.read();
        let mut found: Vec<_> = things
            .iter()
            .filter(|(_, thing)| which(thing))
            .map(|(handle, thing)| (*handle, Arc::clone(thing)))
            .collect();
        found.sort_by_key(|(handle, _)| *handle);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_never_given_twice() {
        let counter = Counter::default();
        let registry = Registry::default();
        let first = counter.next();
        registry.insert(first, Arc::new("one"));
        assert!(registry.remove(first).is_some());
        let second = counter.next();
        assert_ne!(first, second);
        assert_ne!(first, 0);
        assert!(registry.get(first).is_none());
    }
}
