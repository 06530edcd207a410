//! The HSM and its partitions (sections 5 and 8).

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::objects::{Object, seeds};
use super::refusal::{Answer, Refusal};
use super::roles::{Role, Roles};
use super::sessions::Place;
use super::settings::Settings;

/// The serial number of the HSM.
pub(super) const ID: &str = "154704";
/// The partition that there always is.
pub(super) const PARTITION: &str = "1682975235230";
/// One whose crypto officer and user are not initialised.
const FRESH: &str = "1682975235231";
/// One that is not initialised at all.
const BLANK: &str = "1682975235232";
/// How many wrong passwords of the security officer zeroize the HSM.
pub(super) const SO_ATTEMPTS: u32 = 3;
/// As the auditor's in the reference.
const AUDIT_ATTEMPTS: u32 = 10;
/// Where handles of objects begin.
const FIRST_HANDLE: u32 = 19;

/// The HSM.
pub(super) struct Hsm {
    pub(super) roles: Roles,
    pub(super) partitions: BTreeMap<String, Partition>,
}

/// A partition.
pub(super) struct Partition {
    pub(super) name: &'static str,
    pub(super) initialized: bool,
    pub(super) roles: Roles,
    /// By their handles.
    pub(super) objects: BTreeMap<u32, Object>,
}

impl Partition {
    fn new(name: &'static str, pin: &str, so: &str, settings: &Settings) -> Partition {
        let role =
            |password: &str| Role::new(Zeroizing::new(password.to_owned()), settings.attempts, settings);
        Partition {
            name,
            initialized: true,
            roles: BTreeMap::from([("co", role(pin)), ("cu", role(pin)), ("so", role(so))]),
            objects: BTreeMap::new(),
        }
    }

    /// `state`, as it is told.
    pub(super) fn state(&self) -> &'static str {
        if self.initialized { "initialized" } else { "zeroized" }
    }

    /// The handle of a new object.
    pub(super) fn add(&mut self, object: Object) -> u32 {
        let handle = self.objects.last_key_value().map_or(FIRST_HANDLE, |(last, _)| last + 1);
        self.objects.insert(handle, object);
        handle
    }

    fn erase(&mut self) {
        self.initialized = false;
        self.objects.clear();
        self.roles.values_mut().for_each(|role| role.initialized = false);
    }
}

impl Hsm {
    pub(super) fn seeded(pin: &str, so: &str, hsm_so: Zeroizing<String>, settings: &Settings) -> Hsm {
        let mut audit = Role::new(Zeroizing::default(), AUDIT_ATTEMPTS, settings);
        audit.initialized = false;
        let roles = BTreeMap::from([("audit", audit), ("so", Role::new(hsm_so, SO_ATTEMPTS, settings))]);
        let mut main = Partition::new("p11rest", pin, so, settings);
        seeds(settings.extra_objects).into_iter().for_each(|object| {
            main.add(object);
        });
        let mut partitions = BTreeMap::from([(PARTITION.to_owned(), main)]);
        if settings.several_partitions {
            let mut fresh = Partition::new("fresh", pin, so, settings);
            for (_, role) in fresh.roles.iter_mut().filter(|(id, _)| **id != "so") {
                role.initialized = false;
            }
            let mut blank = Partition::new("blank", pin, so, settings);
            blank.erase();
            partitions.extend([(FRESH.to_owned(), fresh), (BLANK.to_owned(), blank)]);
        }
        Hsm { roles, partitions }
    }

    pub(super) fn partition(&self, id: &str) -> Answer<&Partition> {
        self.partitions.get(id).ok_or_else(Refusal::no_partition)
    }

    /// The roles of a place.
    pub(super) fn roles(&self, place: &Place) -> Answer<&Roles> {
        match place {
            None => Ok(&self.roles),
            Some(id) => Ok(&self.partition(id)?.roles),
        }
    }

    /// The same, to be changed.
    pub(super) fn roles_mut(&mut self, place: &Place) -> Answer<&mut Roles> {
        match place {
            None => Ok(&mut self.roles),
            Some(id) => {
                self.partitions.get_mut(id).map(|known| &mut known.roles).ok_or_else(Refusal::no_partition)
            }
        }
    }

    /// Whether the security officer used up all tries.
    pub(super) fn is_spent(&self) -> bool {
        self.roles.get("so").is_some_and(|so| so.left == 0)
    }

    /// Erases everything.
    pub(super) fn zeroize(&mut self) {
        self.partitions.values_mut().for_each(Partition::erase);
        self.roles.values_mut().for_each(|role| role.initialized = false);
    }
}
