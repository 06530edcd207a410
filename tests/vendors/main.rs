//! All vendors behind one module, each slot another one: they work side by side, none suffers from the fault of another,
//! and each refusal has the code of its vendor's reference.
//!
//! The slots are those that `p11rest emulate` writes. Each emulator is a process of its own, so that one can be ended.

#[path = "../support/mod.rs"]
mod support;

mod refusals;
mod side_by_side;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use cryptoki_sys::*;

use support::emulator::{Emulator, PIN};
use support::openssl;
use support::p11::{Called, P11};
use support::session::Session;

/// A vendor, as far as all tests need to know it.
struct Vendor {
    /// `--vendor` of the emulator, which is the label of the slot, too.
    name: &'static str,
    /// More options of `p11rest emulate`.
    options: &'static [&'static str],
    /// What `C_Login` takes.
    pin: fn() -> String,
    /// The label of a key to sign with, and how.
    key: &'static str,
    mechanism: CK_MECHANISM_TYPE,
    /// Whose emulator makes the signatures, and the file with the private key there.
    signer: &'static str,
    file: &'static str,
}

/// All of them.
const VENDORS: [Vendor; 6] = [
    Vendor {
        name: "securosys",
        options: &[],
        pin: || PIN.to_owned(),
        key: "ec-p256",
        mechanism: CKM_ECDSA_SHA256,
        signer: "securosys",
        file: "keys/ec-p256.pem",
    },
    Vendor {
        name: "fast",
        options: &[],
        pin: || PIN.to_owned(),
        key: "signer-1",
        mechanism: CKM_SHA256_RSA_PKCS,
        signer: "fast",
        file: "keys/5401A3F05E7C2B9D1E60.pem",
    },
    Vendor {
        name: "luna",
        options: &["--set", "crypto=ciphertrust"],
        pin: || format!("{PIN}:{PIN}"),
        key: "rsa-2048",
        mechanism: CKM_SHA256_RSA_PKCS,
        signer: "ciphertrust",
        file: "keys/rsa-2048.pem",
    },
    Vendor {
        name: "ciphertrust",
        options: &[],
        pin: || PIN.to_owned(),
        key: "ec-p256",
        mechanism: CKM_ECDSA_SHA256,
        signer: "ciphertrust",
        file: "keys/ec-p256.pem",
    },
    Vendor {
        name: "gateway",
        options: &[],
        pin: || PIN.to_owned(),
        key: "ec-p256",
        mechanism: CKM_ECDSA_SHA256,
        signer: "gateway",
        file: "keys/ec-p256.pem",
    },
    Vendor {
        name: "vault",
        options: &[],
        pin: || PIN.to_owned(),
        key: "ec-p256",
        mechanism: CKM_ECDSA_SHA256,
        signer: "vault",
        // The first version.
        file: "keys/ec-p256%2F1.pem",
    },
];

/// The vendor of that name.
fn vendor(name: &str) -> &'static Vendor {
    VENDORS.iter().find(|vendor| vendor.name == name).expect("a vendor")
}

/// The emulators and the module with a slot for each, and a second one where a login may be refused.
struct World {
    p11: &'static P11,
    emulators: HashMap<&'static str, Emulator>,
    turn: Mutex<()>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let emulators: HashMap<_, _> = thread::scope(|scope| {
        let starting = VENDORS.each_ref().map(|vendor| {
            scope.spawn(|| (vendor.name, Emulator::start_with(vendor.name, false, vendor.options)))
        });
        starting.into_iter().map(|thread| thread.join().expect("an emulator starts")).collect()
    });
    let mut config = String::from("version = 1\n\n");
    let hasty = format!("[slot.catalog]\nrefresh = \"{}ms\"\n", BELIEVED.as_millis());
    for (suffix, more) in [("", ""), (ODD, &hasty)] {
        for vendor in &VENDORS {
            let text = emulators[vendor.name].text("p11rest.toml");
            let (_, slot) = text.split_once("[[slot]]").expect("the emulator writes a slot");
            let label = |suffix| format!("label = \"{}{suffix}\"", vendor.name);
            assert_eq!(slot.matches(&label("")).count(), 1, "{slot}");
            config.push_str(&format!("[[slot]]{}\n{more}\n", slot.replace(&label(""), &label(suffix))));
        }
    }
    let path = emulators["securosys"].path("all.toml");
    fs::write(&path, config).expect("the configuration can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
    P11::load().initialize(&path).expect("the configuration is right");
    World { p11: P11::load(), emulators, turn: Mutex::default() }
});

/// What stands behind a vendor's name in the label of its second slot.
const ODD: &str = "-odd";
/// How long a listing is believed there.
const BELIEVED: Duration = Duration::from_millis(50);

impl World {
    /// The world for one test at a time: they end emulators, lock accounts, count requests.
    fn take() -> (&'static World, MutexGuard<'static, ()>) {
        // A test that failed leaves its faults, and nothing else that matters.
        let turn = WORLD.turn.lock().unwrap_or_else(PoisonError::into_inner);
        WORLD.emulators.values().for_each(Emulator::heal);
        (&WORLD, turn)
    }

    /// The slot with that label.
    fn slot(&self, label: &str) -> CK_SLOT_ID {
        let slots = self.p11.slots(true).expect("there are slots");
        let has_label = |slot: &CK_SLOT_ID| {
            let info = self.p11.token_info(*slot).expect("the slot has a token");
            String::from_utf8_lossy(&info.label).trim_end() == label
        };
        slots.into_iter().find(has_label).unwrap_or_else(|| panic!("a token called {label}"))
    }

    /// A session with the user logged in.
    fn user(&self, vendor: &Vendor) -> Called<Session> {
        let session = self.p11.open(self.slot(vendor.name))?;
        session.login(&(vendor.pin)())?;
        Ok(session)
    }
}

impl Vendor {
    /// Signs with the vendor's key.
    fn sign(&self, session: &Session, data: &[u8]) -> Called<Vec<u8>> {
        let key = session.the(CKO_PRIVATE_KEY, self.key);
        session.sign_init(&self.mechanism.into(), key)?;
        session.sign(data)
    }

    /// Has OpenSSL verify a signature.
    #[track_caller]
    fn verify(&self, world: &World, data: &[u8], signature: &[u8]) {
        let file: PathBuf = world.emulators[self.signer].path(self.file);
        let der = match self.mechanism {
            CKM_ECDSA_SHA256 => openssl::ecdsa_der(signature),
            _ => signature.to_vec(),
        };
        let public = openssl::public_key(&file);
        openssl::verifies_digest("sha256", &[], &public, data, &der)
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }
}
