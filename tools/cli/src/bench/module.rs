//! The module as an application uses it: through the `cryptoki` crate, which asks for the length of each signature
//! first and allocates room for it.

use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use p11rest_emulator::PIN;

use super::client::{Args, Worker};
use crate::failure::Failure;
use crate::refusal::pkcs11_failure;

/// What is signed: always the same, so that the answer is a canned one.
const DIGEST: [u8; 32] = [0x5a; 32];

/// A key of an emulator, and how it signs.
pub struct Signer {
    pub key: &'static str,
    mechanism: fn() -> Mechanism<'static>,
    /// Bytes of a signature.
    length: usize,
}

/// At Securosys.
pub const ECDSA: Signer = Signer { key: "ec-p256", mechanism: || Mechanism::Ecdsa, length: 64 };
/// At FAST HSM.
pub const RSA: Signer = Signer { key: "signer-1", mechanism: || Mechanism::Sha256RsaPkcs, length: 256 };

/// There too: a description has the serial number as the label.
pub const DESCRIBED: Signer = Signer { key: "5401A3F05E7C2B9D1E60", ..RSA };

/// Loads the module.
pub fn load(module: &Path) -> Result<Pkcs11, Failure> {
    let pkcs11 = Pkcs11::new(module).map_err(pkcs11_failure)?;
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).map_err(pkcs11_failure)?;
    Ok(pkcs11)
}

/// A session on the first token; the first one logs in.
pub fn open(pkcs11: &Pkcs11, login: bool) -> Result<Session, Failure> {
    let slots = pkcs11.get_slots_with_token().map_err(pkcs11_failure)?;
    let slot = slots.first().copied().ok_or_else(|| Failure::new("the module shows no token"))?;
    let session = pkcs11.open_ro_session(slot).map_err(pkcs11_failure)?;
    if login {
        session.login(UserType::User, Some(&AuthPin::from(PIN))).map_err(pkcs11_failure)?;
    }
    Ok(session)
}

/// Threads' work with a session each. As long as one of them lives, the token is logged in.
pub fn workers(args: &Args, signer: &'static Signer) -> Result<Vec<Worker>, Failure> {
    let pkcs11 = load(&args.module)?;
    let sessions: Result<Vec<_>, _> = (0..args.threads).map(|number| open(&pkcs11, number == 0)).collect();
    let sessions = sessions?;
    let key = find(&sessions, signer.key)?;
    Ok(sessions.into_iter().map(|session| worker(session, key, signer)).collect())
}

fn find(sessions: &[Session], label: &str) -> Result<ObjectHandle, Failure> {
    let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(label.into())];
    let session = sessions.first().ok_or_else(|| Failure::new("no thread is to sign"))?;
    let found = session.find_objects(&template).map_err(pkcs11_failure)?;
    found.first().copied().ok_or_else(|| Failure::new(format_args!("no key {label:?}")))
}

fn worker(session: Session, key: ObjectHandle, signer: &'static Signer) -> Worker {
    Box::new(move || {
        let signature = session.sign(&(signer.mechanism)(), key, &DIGEST).map_err(pkcs11_failure)?;
        match signature.len() {
            length if length == signer.length => Ok(()),
            length => Err(Failure::new(format_args!("a signature of {length} bytes"))),
        }
    })
}
