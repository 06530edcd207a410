//! What every dialect owes: functions that take a slot of an emulator and know nothing of its vendor.
//!
//! A test program names a [`Dialect`] and what it is able to do ([`suite`]). There is one `C_Initialize` in a process, so
//! one configuration serves all tests: each has a slot, and with it login, catalog and connections, of its own. Tests
//! that count requests, break the HSM or change its keys take turns on emulators that the others do not touch.
#![allow(dead_code)]

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cryptoki_sys::{
    CK_OBJECT_HANDLE, CK_RV, CK_SLOT_ID, CKK_EC, CKO_CERTIFICATE, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY,
    CKO_SECRET_KEY, CKR_ACTION_PROHIBITED, CKR_ATTRIBUTE_VALUE_INVALID,
};
use serde_json::json;

use crate::support::emulator::{Emulator, PIN};
use crate::support::mechanism::{HASHES, Hash};
use crate::support::openssl;
use crate::support::p11::P11;
use crate::support::session::Session;

pub mod attributes;
pub mod cases;
pub mod catalog;
pub mod ciphers;
pub mod connections;
pub mod cryptoki_crate;
pub mod digests;
pub mod faults;
pub mod generation;
pub mod keys;
pub mod listing;
pub mod login;
pub mod operations;
pub mod refusals;
pub mod seed;
pub mod session_objects;
pub mod sessions;
pub mod settings;
pub mod signatures;
pub mod slots;
pub mod suite;
pub mod tls;
pub mod token_certificates;

pub use seed::{Seed, Signer};
use suite::Plan;
#[allow(unused_imports)]
pub(crate) use suite::{signing_suite, suite};

/// What the tests need to know of a vendor. What is said here of abilities that a dialect does not have, nobody asks.
pub trait Dialect: Sync {
    /// `--vendor` of the emulator.
    fn vendor(&self) -> &'static str;

    /// More options of `p11rest emulate`.
    fn options(&self) -> &'static [&'static str] {
        &[]
    }

    /// `backend` of the configuration.
    fn backend(&self) -> &'static str {
        self.vendor()
    }

    /// The keys of a new emulator, once it is prepared.
    fn seed(&self) -> Seed {
        Seed::ALL
    }

    /// The hashes that the HSM signs with.
    fn hashes(&self) -> &'static [Hash] {
        &HASHES
    }

    /// Those that it opens RSAES-OAEP with.
    fn oaep_hashes(&self) -> &'static [Hash] {
        &HASHES
    }

    /// What `C_Login` takes.
    fn pin(&self) -> &'static str {
        PIN
    }

    /// What it takes with [`Setting::ListingLogin`].
    fn listing_pin(&self, _emulator: &Emulator) -> String {
        unable("pin_that_lists")
    }

    /// A `[[slot]]` of the configuration; [`settings`] has what all vendors have alike.
    fn slot(&self, label: &str, emulator: &Emulator, setting: Setting) -> String;

    /// Gives a new emulator what it needs: keys with the password [`PASSWORD`], for instance.
    fn prepare(&self, _emulator: &Emulator) {}

    /// Labels that the HSM lists and the module hides.
    fn hidden(&self) -> &'static [&'static str] {
        unable("internal")
    }

    /// The PEM file of a private key of the emulator.
    fn private_pem(&self, emulator: &Emulator, label: &str) -> PathBuf {
        emulator.path("keys").join(label).with_extension("pem")
    }

    /// The PEM file of a certificate that the emulator keeps beside a key.
    fn certificate_pem(&self, emulator: &Emulator, label: &str) -> PathBuf {
        emulator.path("keys").join(label).with_extension("crt")
    }

    /// The certificate that the HSM keeps beside a key now, in DER, past the module.
    fn kept_certificate(&self, _emulator: &Emulator, _label: &str) -> Option<Vec<u8>> {
        unable("keeps_certificates")
    }

    /// The bytes of an AES key of the emulator.
    fn secret(&self, emulator: &Emulator, label: &str) -> Vec<u8> {
        let pem = emulator.text(&format!("keys/{label}.pem"));
        let lines: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        STANDARD.decode(lines).expect("PEM is Base64")
    }

    /// Makes a P-256 key for signing, past the module.
    fn create_key(&self, _emulator: &Emulator, _label: &str, _id: Option<&[u8]>) {
        unable("new_keys")
    }

    /// Makes an AES key of 256 bits with the password [`PASSWORD`], past the module.
    fn create_locked_secret(&self, _emulator: &Emulator, _label: &str) {
        unable("passwords")
    }

    /// Deletes a key, past the module.
    fn delete_key(&self, _emulator: &Emulator, _label: &str, _password: Option<&str>) {
        unable("new_keys")
    }

    /// Opens a GCM ciphertext, past the module.
    fn open_gcm(&self, _emulator: &Emulator, _sealed: &Sealed<'_>) -> Vec<u8> {
        unable("gcm")
    }

    /// Slots for an emulator that stand behind all others.
    fn last_slots(&self, _emulator: &Emulator) -> String {
        String::new()
    }

    /// Which emulator gets the requests for a purpose, where there is another one beside that of the suite.
    fn place_of(&self, emulator: &'static Emulator, _purpose: Purpose) -> &'static Emulator {
        emulator
    }

    /// The request of the vendor's API that a C function makes, as the emulator's statistics and faults name it: method
    /// and path.
    fn request(&self, purpose: Purpose) -> (&'static str, &'static str);

    /// Of a fault, in the words of the emulator: which requests ask for the attributes of this one key.
    fn describing(&self, _label: &str) -> serde_json::Value {
        unable("describe")
    }

    /// More of it: the HSM says that the failure is its own.
    fn unreadable(&self) -> serde_json::Value {
        json!({ "status": 500 })
    }

    /// An answer about a key that nobody understands.
    fn odd_description(&self) -> serde_json::Value {
        json!({ "label": "odd", "algorithm": "KYBER-9000" })
    }

    /// The longest message that the HSM hashes.
    fn longest_message(&self) -> usize {
        1 << 20
    }

    /// Answers that say nothing of a signature, though they say that all is well.
    fn empty_signatures(&self) -> Vec<serde_json::Value> {
        vec![json!({ "signature": "" }), json!({ "signature": "AAAA" }), json!({ "signature": 7 })]
    }

    /// Whether RSA keys decrypt with a mechanism that no other HSM has, and that the suite does not test.
    fn deciphers_otherwise(&self) -> bool {
        false
    }

    /// Whether what is shown before the login is all in the configuration, so that nobody is asked for it.
    fn public_objects_are_configured(&self) -> bool {
        false
    }

    /// What becomes of a new key whose label another one has.
    fn taken_label(&self) -> CK_RV {
        CKR_ATTRIBUTE_VALUE_INVALID
    }

    /// What becomes of an attempt to change, copy or delete an object of the HSM in a read/write session.
    fn token_objects_are_fixed(&self) -> CK_RV {
        CKR_ACTION_PROHIBITED
    }
}

/// For what a dialect has said that it is unable to do.
fn unable<T>(what: &str) -> T {
    panic!("the dialect is said to be able to do {what:?}, and does not say how")
}

/// A GCM ciphertext in its parts.
pub struct Sealed<'a> {
    pub label: &'a str,
    pub iv: &'a [u8],
    pub aad: &'a [u8],
    pub ciphertext: &'a [u8],
    pub tag: &'a [u8],
}

/// What a request is for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// The one that proves the PIN.
    Login,
    Sign,
    Decrypt,
    List,
    Describe,
}

/// How the slot of a test is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// As `p11rest emulate` writes it: the credential for operations is the PIN.
    Plain,
    /// All credentials are in files.
    NoLogin,
    /// `edwards_point = "octet-string"`
    OctetStringPoint,
    /// `[[slot.key]]` gives the public key of [`LOCKED`], [`DESCRIBED_ID`] to [`EC`] and its type to [`AES`].
    Described,
    /// A folder with the certificates [`FILE_CERTIFICATE`] of the signer and [`LOOSE_CERTIFICATE`] of no key.
    Certificates,
    /// `mechanisms` lists `CKM_SHA256_RSA_PKCS`, `CKM_SHA256` and two more that `hide_mechanisms` takes away; patterns hide the
    /// keys of [`Seed::hidden`].
    Narrow,
    /// `show_internal = true`
    ShowInternal,
    /// `hide_types = ["rsa"]`
    WithoutRsa,
    /// `missing_certificates = "unsigned"`
    Unsigned,
    /// `aliases` names a file in the emulator's folder.
    Aliases,
    /// `missing_certificates = "self-signed"`, and another such file.
    SelfSigned,
    /// Nobody listens at the URL.
    Unreachable,
    /// A call may take half a second.
    Impatient,
    /// The same, and attributes are asked for one key at a time.
    OneByOne,
    /// A listing is believed for 200 ms.
    Hasty,
    /// The attributes of three keys are kept; the certificates are those of [`Setting::Certificates`].
    Small,
    /// The credential for listing is the PIN, that for operations is in the configuration; `[[slot.key]]` gives
    /// [`DESCRIBED_ID`] to [`EC`].
    ListingLogin,
    /// `[[slot.key]]` says that [`LOCKED_SECRET`] is an AES key with a password.
    LockedSecret,
    /// The authority to trust is another.
    WrongAuthority,
}

// The keys of the emulators that call them so; for what each vendor calls in its own way a test asks the seed.
pub const RSA: &str = "rsa-2048";
pub const RSA_CERT: &str = "rsa-cert";
pub const EC: &str = "ec-p256";
pub const EC_CERT: &str = "ec-cert";
pub const ED: &str = "ed25519";
pub const AES: &str = "aes-256";
/// A P-256 key with a password.
pub const LOCKED: &str = "locked";
/// An AES key with a password; a test makes it.
pub const LOCKED_SECRET: &str = "locked-aes";
pub const PASSWORD: &str = "correct horse \"battery\" \\ stäple";

pub const DESCRIBED_ID: [u8; 3] = [0x00, 0xd1, 0xd2];
pub const FILE_CERTIFICATE: &str = "leaf.pem";
pub const LOOSE_CERTIFICATE: &str = "authority.pem";

/// What one test may use.
pub struct Case {
    pub p11: &'static P11,
    pub slot: CK_SLOT_ID,
    pub label: String,
    pub dialect: &'static dyn Dialect,
    pub emulator: &'static Emulator,
    able: &'static [&'static str],
    /// A slot whose configuration is wrong.
    pub bad_slot: CK_SLOT_ID,
    /// A slot on a good HSM where nobody ever logs in.
    pub neighbour: CK_SLOT_ID,
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Case {
    /// Whether the dialect is able to do this: a word of [`suite::ABLE`] or [`suite::MANNERS`].
    pub fn able(&self, what: &str) -> bool {
        self.able.contains(&suite::known(what))
    }

    /// The keys.
    pub fn seed(&self) -> Seed {
        self.dialect.seed()
    }

    /// A key to sign with, and how.
    pub fn signer(&self) -> Signer {
        self.seed().signer()
    }

    /// The emulator that gets the requests for a purpose.
    pub fn place_of(&self, purpose: Purpose) -> &'static Emulator {
        self.dialect.place_of(self.emulator, purpose)
    }

    /// How often a request has been made so far.
    pub fn asked(&self, purpose: Purpose) -> u64 {
        let (method, path) = self.dialect.request(purpose);
        self.place_of(purpose).stats().requests.get(&format!("{method} {path}")).copied().unwrap_or(0)
    }

    /// Has OpenSSL verify what [`Case::signer`] signed.
    #[track_caller]
    pub fn openssl_verifies(&self, data: &[u8], signature: &[u8]) {
        let signer = self.signer();
        let der = if signer.key_type == CKK_EC { openssl::ecdsa_der(signature) } else { signature.to_vec() };
        openssl::verifies_digest("sha256", &[], &self.spki(signer.label), data, &der).unwrap();
    }

    /// An RSA key of 2048 bits, and another one where there is one.
    pub fn rsa(&self) -> &'static str {
        self.seed().rsa()
    }
    pub fn other_rsa(&self) -> &'static str {
        self.seed().rsa.last().expect("every HSM has RSA")
    }

    /// A key on a curve of NIST, other than [`EC`] where there is one.
    pub fn other_ec(&self) -> &'static str {
        self.seed().ec.iter().find(|label| **label != EC).copied().unwrap_or(EC)
    }

    /// A fault of the requests for one key's attributes.
    pub fn describing(&self, label: &str, more: serde_json::Value) -> serde_json::Value {
        let mut fault = self.dialect.describing(label);
        let both = fault.as_object_mut().zip(more.as_object());
        both.map(|(fault, more)| fault.extend(more.clone())).expect("a fault is an object");
        fault
    }

    /// A session of nobody's.
    pub fn session(&self) -> Session {
        self.p11.open(self.slot).expect("a session opens")
    }

    /// A read/write session, with the user logged in.
    pub fn user(&self) -> Session {
        let session = self.p11.open_rw(self.slot).expect("a session opens");
        session.login(self.dialect.pin()).expect("the PIN is right");
        session
    }

    /// The SubjectPublicKeyInfo of a key, from OpenSSL.
    pub fn spki(&self, label: &str) -> Vec<u8> {
        openssl::public_key(&self.dialect.private_pem(self.emulator, label))
    }

    /// The certificate that the HSM keeps beside a key now, in DER.
    pub fn kept_certificate(&self, label: &str) -> Option<Vec<u8>> {
        self.dialect.kept_certificate(self.emulator, label)
    }

    /// The certificate that the HSM keeps beside a key from the beginning, in DER.
    pub fn certificate(&self, label: &str) -> Vec<u8> {
        let path = self.dialect.certificate_pem(self.emulator, label);
        openssl::openssl(&["x509", "-in", path.to_str().expect("text"), "-outform", "DER"], b"")
    }
}

/// Shorthands for [`Session::the`].
pub fn private(session: &Session, label: &str) -> CK_OBJECT_HANDLE {
    session.the(CKO_PRIVATE_KEY, label)
}
pub fn public(session: &Session, label: &str) -> CK_OBJECT_HANDLE {
    session.the(CKO_PUBLIC_KEY, label)
}
pub fn secret(session: &Session, label: &str) -> CK_OBJECT_HANDLE {
    session.the(CKO_SECRET_KEY, label)
}
pub fn certificate(session: &Session, label: &str) -> CK_OBJECT_HANDLE {
    session.the(CKO_CERTIFICATE, label)
}

/// The emulators, the configuration and the module of one test program.
pub struct World {
    dialect: &'static dyn Dialect,
    emulators: HashMap<(bool, bool), Emulator>,
    turns: HashMap<(bool, bool), Mutex<()>>,
    /// By scheme and name of the test: its slot, and which emulator it is on.
    slots: HashMap<String, (CK_SLOT_ID, (bool, bool))>,
    bad_slot: CK_SLOT_ID,
    able: &'static [&'static str],
}

impl World {
    /// Starts what the tests need.
    pub fn new(
        dialect: &'static dyn Dialect,
        plans: &[Plan],
        able: &'static [&'static str],
        unable: &[&str],
    ) -> Self {
        for word in suite::ABLE.iter().chain(&suite::MANNERS) {
            assert!(able.contains(word) != unable.contains(word), "{word} is in one of the two lists");
        }
        let unusual = unable.iter().filter(|word| suite::USUAL.contains(word)).count();
        assert_eq!(
            able.len() + unable.len(),
            suite::ABLE.len() + suite::MANNERS.len() + unusual,
            "and nothing else is"
        );
        let plans: Vec<_> = plans.iter().filter(|plan| plan.is_for(unable)).collect();
        // By TLS and by whether tests take turns.
        let kinds = [(false, false), (false, true), (true, false), (true, true)];
        let emulators: HashMap<_, _> = thread::scope(|scope| {
            let starting = kinds.map(|kind| {
                scope.spawn(move || {
                    let emulator = Emulator::start_with(dialect.vendor(), kind.0, dialect.options());
                    dialect.prepare(&emulator);
                    write_certificates(dialect, &emulator);
                    (kind, emulator)
                })
            });
            starting.into_iter().map(|thread| thread.join().expect("an emulator starts")).collect()
        });
        let mut slots = HashMap::new();
        let mut config = String::from("version = 1\n\n");
        for (id, plan) in plans.iter().enumerate() {
            let kind = (plan.scheme == "https", plan.own);
            let label = label(id);
            config.push_str(&dialect.slot(&label, &emulators[&kind], plan.setting));
            let slot = CK_SLOT_ID::try_from(id).expect("a slot id");
            assert!(slots.insert(plan.key(), (slot, kind)).is_none(), "{} twice", plan.key());
        }
        config.push_str(&format!("[[slot]]\nlabel = \"bad\"\nbackend = \"{}\"\n", dialect.backend()));
        config.push_str("urls = [\"ftp://127.0.0.1\"]\n");
        config.push_str(&dialect.slot("neighbour", &emulators[&kinds[0]], Setting::Plain));
        kinds.iter().for_each(|kind| config.push_str(&dialect.last_slots(&emulators[kind])));
        let path = emulators[&kinds[0]].path("world.toml");
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).expect("a new file");
        file.write_all(config.as_bytes()).expect("the configuration can be written");
        let stats = || kinds.map(|kind| emulators[&kind].stats());
        let before = stats();
        P11::load().initialize(&path).expect("the configuration is right");
        assert_eq!(stats(), before, "C_Initialize makes no request");
        let turns = kinds.into_iter().map(|kind| (kind, Mutex::default())).collect();
        let bad_slot = CK_SLOT_ID::try_from(plans.len()).expect("a slot id");
        Self { dialect, emulators, turns, slots, bad_slot, able }
    }

    /// Runs one test.
    pub fn run(&'static self, scheme: &str, name: &str, test: fn(&Case)) {
        let (slot, kind) = self.slots[&format!("{scheme} {name}")];
        let emulator = &self.emulators[&kind];
        let turn = kind.1.then(|| {
            // A test that failed leaves nothing that matters but its faults.
            let turn = self.turns[&kind].lock().unwrap_or_else(PoisonError::into_inner);
            emulator.heal();
            turn
        });
        let label = label(usize::try_from(slot).expect("a slot id"));
        let (dialect, able, bad_slot) = (self.dialect, self.able, self.bad_slot);
        let neighbour = bad_slot + 1;
        test(&Case {
            p11: P11::load(),
            slot,
            label,
            dialect,
            emulator,
            able,
            bad_slot,
            neighbour,
            _turn: turn,
        });
    }
}

fn label(slot: usize) -> String {
    format!("slot-{slot}")
}

/// Certificates that the HSM does not know, for [`Setting::Certificates`].
fn write_certificates(dialect: &dyn Dialect, emulator: &Emulator) {
    let folder = emulator.path("certificates");
    fs::create_dir(&folder).expect("a new folder");
    let certify = |key: &str, subject: &str, name: &str| {
        let out = folder.join(name);
        let (subject, out) = (format!("/CN={subject}"), out.to_str().expect("text"));
        let arguments = ["req", "-x509", "-key", key, "-subj", &subject, "-days", "9", "-out", out];
        openssl::openssl(&arguments, b"");
    };
    let key = dialect.private_pem(emulator, dialect.seed().signer().label);
    certify(key.to_str().expect("text"), "from a file", FILE_CERTIFICATE);
    let other = emulator.path("other.key");
    let other = other.to_str().expect("text");
    openssl::openssl(&["genpkey", "-algorithm", "ED25519", "-out", other], b"");
    certify(other, "nobody's", LOOSE_CERTIFICATE);
}
