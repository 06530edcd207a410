//! What is kept of one name at the HSM.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cryptoki_sys::CK_OBJECT_HANDLE;
use parking_lot::RwLock;

use super::key_objects::{CERTIFICATE, KEY, KeyObjects, PUBLIC};
use crate::backend::KeyName;
use crate::model::object::Object;

/// Handles are `number × 4 + part`, so that the objects of one key need one entry.
pub(super) const PARTS: u64 = 4;

/// Attributes older than this are read again by the next search: a key can have been made anew under its old name.
pub(super) const BELIEVED: Duration = Duration::from_secs(60 * 60);

/// The same for certificates, and for there being none: they are renewed beside a key that stays.
const CERTIFICATES_BELIEVED: Duration = Duration::from_secs(10 * 60);

/// An object with its handle.
pub type Found = (CK_OBJECT_HANDLE, Arc<Object>);

/// One name at the HSM. Its handles stay the same until the key is gone, whether its attributes are kept or not; those of
/// private objects end with a logout.
pub(super) struct Entry {
    pub(super) name: KeyName,
    /// For the handles of the public objects.
    pub(super) number: u64,
    /// For the handle of the private or secret key.
    private_number: AtomicU64,
    /// When it was last wanted, in ticks of the catalog's clock.
    pub(super) used: AtomicU64,
    pub(super) loaded: RwLock<Loaded>,
    /// How many callers are at it.
    pins: AtomicU64,
    /// Whether it has failed to sign a certificate for itself. That is not tried again before the next login.
    pub(super) cannot_sign: AtomicBool,
}

/// Entries that a caller is at: until it is dropped, their attributes are not, for want of room.
pub(super) struct Pinned<'a>(&'a [Arc<Entry>]);

impl<'a> Pinned<'a> {
    pub(super) fn new(entries: &'a [Arc<Entry>]) -> Self {
        for entry in entries {
            entry.pins.fetch_add(1, Ordering::AcqRel);
        }
        Self(entries)
    }
}

impl Drop for Pinned<'_> {
    fn drop(&mut self) {
        for entry in self.0 {
            entry.pins.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// What was read of it, and when.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) keys: Option<Arc<KeyObjects>>,
    pub(super) keys_at: Option<Instant>,
    /// The certificate, or that there is none, once it was asked for.
    pub(super) certificate: Option<Option<Certified>>,
    pub(super) certificate_at: Option<Instant>,
    /// When reading failed for a reason of the key's own; it is not asked again at once.
    pub(super) failed_at: Option<Instant>,
}

/// The certificate of a key.
#[derive(Clone)]
pub(super) struct Certified {
    pub(super) object: Arc<Object>,
    pub(super) origin: Origin,
}

/// Where a certificate comes from, and so who can take it away.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The configuration or its files.
    Configured,
    /// The HSM, which keeps it beside the key.
    Hsm,
    /// Made here, since the key had none.
    Made,
}

/// Which kinds of object a search can find, and so what has to be read for it.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) keys: bool,
    pub(super) certificates: bool,
}

impl Wanted {
    /// Keys without their certificates.
    pub(super) const KEYS: Self = Self { keys: true, certificates: false };
}

impl Entry {
    pub(super) fn new(name: KeyName, number: u64, private_number: u64, tick: u64) -> Self {
        Self {
            name,
            number,
            private_number: AtomicU64::new(private_number),
            used: AtomicU64::new(tick),
            loaded: RwLock::default(),
            pins: AtomicU64::new(0),
            cannot_sign: AtomicBool::new(false),
        }
    }

    /// Drops what was read, unless a caller is at it.
    pub(super) fn unload(&self) {
        let mut loaded = self.loaded.write();
        // A caller that pins after this look finds nothing loaded, for it has to wait for the lock.
        if self.pins.load(Ordering::Acquire) == 0 {
            *loaded = Loaded::default();
        }
    }

    /// The numbers by which handles lead here.
    pub(super) fn numbers(&self) -> [u64; 2] {
        [self.number, self.private_number.load(Ordering::Acquire)]
    }

    /// Ends the handle of the private or secret key.
    pub(super) fn renumber_private(&self, number: u64) {
        self.private_number.store(number, Ordering::Release);
    }

    /// The object with this handle: not there, not read, or of a handle that ended.
    pub(super) fn object(&self, handle: CK_OBJECT_HANDLE) -> Option<Arc<Object>> {
        let mut objects = self.objects().into_iter();
        objects.find(|(other, _)| *other == handle).map(|(_, object)| object)
    }

    /// All objects that were read.
    pub(super) fn objects(&self) -> Vec<Found> {
        let loaded = self.loaded.read();
        let keys = loaded.keys.as_ref();
        let [number, private_number] = self.numbers();
        let certificate = loaded.certificate.clone().flatten().map(|certified| certified.object);
        let parts = [
            (private_number * PARTS + KEY, keys.and_then(|keys| keys.key.clone())),
            (number * PARTS + PUBLIC, keys.and_then(|keys| keys.public.clone())),
            (number * PARTS + CERTIFICATE, certificate),
        ];
        parts.into_iter().filter_map(|(handle, object)| Some((handle, object?))).collect()
    }

    /// Whether nothing has to be read for a search. What failed is not tried again for `pause`.
    pub(super) fn is_settled(&self, wanted: Wanted, pause: Duration) -> bool {
        let loaded = self.loaded.read();
        let settled = loaded.has_keys() && (!wanted.certificates || loaded.has_certificate());
        settled || loaded.failed_at.is_some_and(|at| at.elapsed() < pause)
    }
}

impl Loaded {
    pub(super) fn has_keys(&self) -> bool {
        self.keys.is_some() && is_young(self.keys_at, BELIEVED)
    }

    pub(super) fn has_certificate(&self) -> bool {
        self.certificate.is_some() && is_young(self.certificate_at, CERTIFICATES_BELIEVED)
    }

    /// Puts in place what was found for these keys, unless they are others or are called otherwise by now.
    pub(super) fn put_certificate_of(&mut self, keys: &KeyObjects, certificate: Option<Certified>) {
        if self.keys.as_ref().is_some_and(|now| now.is_called_as(keys)) {
            self.put_certificate(certificate);
        }
    }

    /// Puts new key objects in place; a certificate stays with the key that it was matched with.
    pub(super) fn put_keys(&mut self, keys: KeyObjects) {
        if self.keys.as_ref().is_none_or(|before| before.public_key != keys.public_key) {
            self.certificate = None;
        }
        self.keys = Some(Arc::new(keys));
        self.keys_at = Some(Instant::now());
        self.failed_at = None;
    }

    fn put_certificate(&mut self, certificate: Option<Certified>) {
        self.certificate = Some(certificate);
        self.certificate_at = Some(Instant::now());
    }
}

fn is_young(at: Option<Instant>, most: Duration) -> bool {
    at.is_some_and(|at| at.elapsed() < most)
}
