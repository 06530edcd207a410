//! Which handles belong to which names, for the child of a fork: its handles are those of its parent.

use std::collections::HashMap;
use std::sync::Arc;

use cryptoki_sys::CK_OBJECT_HANDLE;

use super::Catalog;
use super::entry::{Entry, Found};
use crate::backend::KeyName;

/// The handles of one token's objects at the HSM. Attributes are read again.
pub struct Heritage {
    names: Arc<[Named]>,
    loose_certificates: Vec<Found>,
    /// By `CKA_UNIQUE_ID`.
    kept_certificates: HashMap<String, CK_OBJECT_HANDLE>,
}

struct Named {
    name: KeyName,
    number: u64,
    private_number: u64,
}

/// The names as they were handed down last: sessions come and go more often than keys.
#[derive(Default)]
pub(super) struct Names {
    /// That of the entries that they were taken from.
    revision: u64,
    names: Arc<[Named]>,
}

impl Catalog {
    /// What a child needs to know.
    pub fn heritage(&self) -> Heritage {
        // Not under the lock of the entries: who shows what the file says holds theirs and wants that one.
        let (loose_certificates, kept_certificates) = (self.files.shown(), self.kept.handles());
        let mut handed_down = self.handed_down.lock();
        let entries = self.entries.read();
        if handed_down.revision != entries.revision {
            let named = |entry: &Arc<Entry>| {
                let [number, private_number] = entry.numbers();
                Named { name: entry.name.clone(), number, private_number }
            };
            let names = entries.by_name.values().map(named).collect();
            *handed_down = Names { revision: entries.revision, names };
        }
        Heritage { names: Arc::clone(&handed_down.names), loose_certificates, kept_certificates }
    }

    /// Takes over the handles of the parent.
    pub fn inherit(&self, heritage: &Heritage) {
        self.files.inherit(&heritage.loose_certificates);
        self.kept.inherit(&heritage.kept_certificates);
        let mut entries = self.entries.write();
        for Named { name, number, private_number } in heritage.names.iter() {
            let entry = Entry::new(name.clone(), *number, *private_number, self.tick());
            entries.insert(&Arc::new(entry));
        }
    }
}
