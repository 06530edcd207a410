//! Lists the keys of a token and signs a file with one of them, through the `cryptoki` crate: docs/applications/rust.md.
//!
//! ```sh
//! PIN=1234 sign /usr/local/lib/libp11rest.so TOKEN KEY < FILE > SIGNATURE
//! ```
//!
//! An RSA key signs SHA-256 with PKCS#1 padding, any other ECDSA with SHA-256 (r and s side by side).

use std::error::Error;
use std::io::{Read, Write, stderr, stdin, stdout};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, token, key] = &arguments[..] else {
        return Err("usage: PIN=... sign MODULE TOKEN KEY < FILE > SIGNATURE".into());
    };
    let context = Pkcs11::new(module)?;
    context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;

    let session = context.open_ro_session(slot_of(&context, token)?)?;
    session.login(UserType::User, Some(&AuthPin::from(std::env::var("PIN")?)))?;
    list(&session)?;

    let mut data = Vec::new();
    stdin().read_to_end(&mut data)?;
    stdout().write_all(&sign(&session, key, &data)?)?;

    session.logout()?;
    drop(session);
    Ok(context.finalize()?)
}

/// The slot of the token with this label.
fn slot_of(context: &Pkcs11, label: &str) -> Result<Slot, Box<dyn Error>> {
    for slot in context.get_slots_with_token()? {
        if context.get_token_info(slot)?.label() == label {
            return Ok(slot);
        }
    }
    Err(format!("there is no token {label}").into())
}

/// Names the private keys on standard error.
fn list(session: &Session) -> Result<(), Box<dyn Error>> {
    for key in session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)])? {
        for attribute in session.get_attributes(key, &[AttributeType::Label])? {
            if let Attribute::Label(label) = attribute {
                writeln!(stderr(), "{}", String::from_utf8_lossy(&label))?;
            }
        }
    }
    Ok(())
}

fn sign(session: &Session, label: &str, data: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(label.into())];
    let [key] = session.find_objects(&template)?[..] else {
        return Err(format!("there is no key {label}, or more than one").into());
    };
    let kind = session.get_attributes(key, &[AttributeType::KeyType])?;
    let mechanism = match kind[..] {
        [Attribute::KeyType(KeyType::RSA)] => Mechanism::Sha256RsaPkcs,
        _ => Mechanism::EcdsaSha256,
    };
    Ok(session.sign(&mechanism, key, data)?)
}
