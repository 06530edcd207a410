//! Thales Luna with its cryptography from another slot, as the contract suite sees it: the emulator of the suite is that
//! of the other vendor, and each has an appliance beside it whose partition has keys of the same labels.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};

use cryptoki_sys::{CK_RV, CKR_TOKEN_WRITE_PROTECTED};
use reqwest::Method;
use serde_json::{Value, json};

use crate::contract::{Dialect, Purpose, Sealed, Seed, Setting, settings};
use crate::support::emulator::Emulator;
use crate::support::mechanism::Hash;
use crate::support::openssl::to_hex;

const PARTITION: &str = "1682975235230";

/// Its cryptography is that of the other dialect.
pub struct Luna<D>(pub D);

/// The appliances, by the URL of the emulator that they are beside. They end with this process.
static APPLIANCES: LazyLock<Mutex<HashMap<String, &'static Appliance>>> = LazyLock::new(Mutex::default);

struct Appliance {
    emulator: Emulator,
    /// The handles of objects by label.
    handles: Mutex<HashMap<String, Vec<String>>>,
}

fn beside(emulator: &Emulator) -> &'static Appliance {
    APPLIANCES.lock().unwrap_or_else(PoisonError::into_inner)[emulator.url()]
}

impl Appliance {
    fn start(tls: bool) -> Self {
        // Tests that show wrong passwords share a role.
        let emulator = Emulator::start_with("luna", tls, &["--set", "attempts=1000"]);
        let appliance = Self { emulator, handles: Mutex::default() };
        // Its own keys are not those of the other vendor.
        for handle in 19.. {
            if appliance.delete(&handle.to_string()) == 404 {
                break;
            }
        }
        appliance
    }

    fn path(&self) -> String {
        format!("/_emulator/partitions/{PARTITION}/objects")
    }

    fn delete(&self, handle: &str) -> u16 {
        let path = format!("{}/{handle}", self.path());
        self.emulator.call(Method::DELETE, &path, &[], None).status().as_u16()
    }

    fn add(&self, label: &str, class: &str, key_type: &str, id: &[u8]) {
        let private = class != "public-key";
        let object = json!({
            "label": label, "class": class, "keyType": key_type, "keyId": to_hex(id), "private": private,
        });
        let answer = self.emulator.call(Method::POST, &self.path(), &[], Some(&object));
        assert_eq!(answer.status(), 201, "{object}");
        let handle: Value = answer.json().expect("JSON");
        let handle = handle["id"].as_str().expect("a handle").to_owned();
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        handles.entry(label.to_owned()).or_default().push(handle);
    }

    fn add_pair(&self, label: &str, key_type: &str, id: &[u8]) {
        self.add(label, "public-key", key_type, id);
        self.add(label, "private-key", key_type, id);
    }

    /// Adds the keys of the other vendor.
    fn fill(&self, seed: &Seed) {
        for (labels, key_type) in [(seed.rsa, "rsa"), (seed.ec, "ec"), (seed.edwards, "ed25519")] {
            labels.iter().for_each(|label| self.add_pair(label, key_type, label.as_bytes()));
        }
        for (labels, key_type) in [(seed.aes, "aes"), (seed.hmac, "generic-secret")] {
            labels.iter().for_each(|label| self.add(label, "secret-key", key_type, label.as_bytes()));
        }
        seed.locked.iter().for_each(|label| self.add(label, "private-key", "ec", label.as_bytes()));
    }
}

/// The label of the slot that the emulator's cryptography is reached by.
fn crypto(emulator: &Emulator) -> String {
    format!("crypto-{}", emulator.port())
}

impl<D: Dialect> Dialect for Luna<D> {
    fn vendor(&self) -> &'static str {
        self.0.vendor()
    }

    fn options(&self) -> &'static [&'static str] {
        self.0.options()
    }

    fn backend(&self) -> &'static str {
        "luna"
    }

    fn seed(&self) -> Seed {
        self.0.seed()
    }

    fn hashes(&self) -> &'static [Hash] {
        self.0.hashes()
    }

    fn oaep_hashes(&self) -> &'static [Hash] {
        self.0.oaep_hashes()
    }

    fn slot(&self, label: &str, emulator: &Emulator, setting: Setting) -> String {
        let luna = &beside(emulator).emulator;
        // Each has an authority of its own.
        let text = |emulator: &Emulator| emulator.path("ca.pem").display().to_string();
        let tables = settings::tables(setting, emulator, &self.seed()).replace(&text(emulator), &text(luna));
        format!(
            "[[slot]]\nlabel = \"{label}\"\nbackend = \"luna\"\nurls = [\"{}\"]\n{}\
             [slot.luna]\nuser = \"operator\"\npassword = \"file:{}\"\n[slot.crypto]\nslot = \"{}\"\n{tables}",
            settings::url(setting, luna),
            settings::lines(setting, emulator),
            luna.path("operator.password").display(),
            crypto(emulator),
        )
    }

    /// The other slot has credentials of its own: the PIN is the partition's.
    fn last_slots(&self, emulator: &Emulator) -> String {
        let slot = self.0.slot(&crypto(emulator), emulator, Setting::NoLogin);
        // Attributes come one after the other, whatever the slot in front says.
        let narrow = "[slot.catalog]\nwidth = 1\n";
        slot.replacen("[[slot]]\n", "[[slot]]\nhidden = true\n", 1) + narrow
    }

    fn prepare(&self, emulator: &Emulator) {
        self.0.prepare(emulator);
        let appliance: &'static Appliance = Box::leak(Box::new(Appliance::start(emulator.is_tls())));
        appliance.fill(&self.seed());
        let mut appliances = APPLIANCES.lock().unwrap_or_else(PoisonError::into_inner);
        appliances.insert(emulator.url().to_owned(), appliance);
    }

    fn private_pem(&self, emulator: &Emulator, label: &str) -> PathBuf {
        self.0.private_pem(emulator, label)
    }

    fn certificate_pem(&self, emulator: &Emulator, label: &str) -> PathBuf {
        self.0.certificate_pem(emulator, label)
    }

    fn secret(&self, emulator: &Emulator, label: &str) -> Vec<u8> {
        self.0.secret(emulator, label)
    }

    fn create_key(&self, emulator: &Emulator, label: &str, id: Option<&[u8]>) {
        self.0.create_key(emulator, label, None);
        beside(emulator).add_pair(label, "ec", id.unwrap_or_default());
    }

    fn create_locked_secret(&self, emulator: &Emulator, label: &str) {
        self.0.create_locked_secret(emulator, label);
        beside(emulator).add(label, "secret-key", "aes", b"");
    }

    fn delete_key(&self, emulator: &Emulator, label: &str, password: Option<&str>) {
        self.0.delete_key(emulator, label, password);
        let appliance = beside(emulator);
        let handles = appliance.handles.lock().unwrap_or_else(PoisonError::into_inner).remove(label);
        for handle in handles.expect("it was added") {
            assert_eq!(appliance.delete(&handle), 204, "{label}");
        }
    }

    fn open_gcm(&self, emulator: &Emulator, sealed: &Sealed<'_>) -> Vec<u8> {
        self.0.open_gcm(emulator, sealed)
    }

    fn request(&self, purpose: Purpose) -> (&'static str, &'static str) {
        match purpose {
            Purpose::Login => ("POST", "/api/lunasa/hsms/{hsmid}/partitions/{partitionid}/login"),
            Purpose::List => ("GET", "/api/lunasa/hsms/{hsmid}/partitions/{partitionid}/object/objects"),
            Purpose::Sign | Purpose::Decrypt | Purpose::Describe => self.0.request(purpose),
        }
    }

    fn place_of(&self, emulator: &'static Emulator, purpose: Purpose) -> &'static Emulator {
        match purpose {
            Purpose::Login | Purpose::List => &beside(emulator).emulator,
            Purpose::Sign | Purpose::Decrypt | Purpose::Describe => emulator,
        }
    }

    fn describing(&self, label: &str) -> Value {
        self.0.describing(label)
    }

    fn unreadable(&self) -> Value {
        self.0.unreadable()
    }

    fn odd_description(&self) -> Value {
        self.0.odd_description()
    }

    fn longest_message(&self) -> usize {
        self.0.longest_message()
    }

    fn empty_signatures(&self) -> Vec<Value> {
        self.0.empty_signatures()
    }

    fn token_objects_are_fixed(&self) -> CK_RV {
        CKR_TOKEN_WRITE_PROTECTED
    }
}
