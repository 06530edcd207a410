//! What the child of a fork goes on with, under `fork = "transparent"`.
//!
//! Locks of the parent may be held by threads that the child does not have. So the child reads nothing of what it
//! inherited but one immutable [`Heritage`], and the counters in it, which are atomic. Of what it takes over from there,
//! references are counted and nothing is dropped, for the heritage itself never is. Connections, operations under way and
//! the passwords of keys are no part of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cryptoki_sys::{CK_SESSION_HANDLE, CK_SLOT_ID};
use parking_lot::Mutex;
use secrecy::SecretString;

use super::catalog;
use super::handle::Counter;
use super::session_object::SessionObject;
use crate::backend::User;
use crate::config::Config;
use crate::observe::log::Log;

/// A life of the module as a child needs it.
pub struct Heritage {
    pub(super) config: Arc<Config>,
    pub(super) log: Log,
    /// Read when the child begins: what was given out until the fork is not given out again.
    pub(super) objects: Arc<Counter>,
    pub(super) session_counter: Arc<Counter>,
    pub(super) sessions: Vec<OpenSession>,
    pub(super) tokens: Vec<(CK_SLOT_ID, TokenHeritage)>,
}

/// A session without its operations.
pub(super) struct OpenSession {
    pub(super) handle: CK_SESSION_HANDLE,
    pub(super) slot: CK_SLOT_ID,
    pub(super) read_write: bool,
}

/// One token.
pub(super) struct TokenHeritage {
    pub(super) login: Option<Login>,
    pub(super) catalog: catalog::Heritage,
    pub(super) session_objects: Vec<(u64, Arc<SessionObject>)>,
}

/// That somebody is logged in.
pub(super) struct Login {
    pub(super) user: User,
    /// What `C_Login` brought: as much as was asked for.
    pub(super) secrets: Vec<SecretString>,
}

/// Counts the changes of what a child would have to know; each is counted when it is done.
#[derive(Debug)]
pub struct Changes(AtomicU64);

impl Changes {
    /// Something changed.
    pub fn note(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

impl Default for Changes {
    /// The beginning is a change: it was not told either.
    fn default() -> Self {
        Self(AtomicU64::new(1))
    }
}

/// Which changes children have been told of.
#[derive(Default)]
pub(super) struct Told {
    changes: AtomicU64,
    /// Whether no more is to be told. The lock is held while one caller gathers and tells.
    over: Mutex<bool>,
}

impl Told {
    /// Calls `tell` if `changes` has grown since the last time.
    pub(super) fn keep_up(&self, changes: &Changes, tell: impl FnOnce()) {
        if self.changes.load(Ordering::Acquire) == changes.count() {
            return;
        }
        let over = self.over.lock();
        // Counted before anything is gathered: who changes something meanwhile tells it again.
        let count = changes.count();
        if *over || self.changes.load(Ordering::Acquire) == count {
            return;
        }
        tell();
        self.changes.store(count, Ordering::Release);
    }

    /// Nothing is told any more once this returns.
    pub(super) fn end(&self) {
        *self.over.lock() = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_told_once_until_the_end() {
        let (changes, told) = (Changes::default(), Told::default());
        let mut count = 0;
        told.keep_up(&changes, || count += 1);
        told.keep_up(&changes, || count += 1);
        assert_eq!(count, 1);
        changes.note();
        told.keep_up(&changes, || {
            count += 1;
            changes.note();
        });
        assert_eq!(count, 2);
        told.keep_up(&changes, || count += 1);
        assert_eq!(count, 3, "what changed while the last one was gathered");
        changes.note();
        told.end();
        told.keep_up(&changes, || count += 1);
        assert_eq!(count, 3);
    }
}
