//! Which key, and what is shown of an object.

use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::encoding::hex;
use crate::failure::Failure;
use crate::refusal::pkcs11_failure;

/// Which key.
#[derive(clap::Args)]
#[group(id = "which_key", required = true, multiple = true)]
pub struct Args {
    /// The key's label.
    #[arg(long = "key", value_name = "LABEL")]
    label: Option<String>,
    /// The key's id, hexadecimal.
    #[arg(long, value_name = "HEX", value_parser = id)]
    id: Option<Id>,
}

/// `CKA_ID`.
#[derive(Clone)]
struct Id(Vec<u8>);

fn id(text: &str) -> Result<Id, &'static str> {
    super::encoding::from_hex(text).map(Id).ok_or("it is not hexadecimal")
}

/// A key that was found.
pub struct Key {
    /// Its handle.
    pub handle: ObjectHandle,
    /// What kind it is.
    pub kind: KeyType,
    /// Whether each use needs its password.
    pub has_password: bool,
    /// Label, class and id, for people.
    pub described: String,
}

impl Args {
    /// The only key of the first class of which there is one.
    pub fn find(&self, session: &Session, classes: &[ObjectClass]) -> Result<Key, Failure> {
        for class in classes {
            let found = session.find_objects(&self.template(*class)).map_err(pkcs11_failure)?;
            match found[..] {
                [] => {}
                [handle] => return describe(session, handle),
                _ => {
                    let rows =
                        found.iter().map(|object| row(session, *object)).collect::<Result<Vec<_>, _>>();
                    let ids: Vec<_> = rows.map_err(pkcs11_failure)?.into_iter().map(|[.., id]| id).collect();
                    return Err(Failure::new(format_args!(
                        "{} is the name of {} keys",
                        self.name(),
                        found.len()
                    ))
                    .remedy(format_args!("name one with --id: {}", ids.join(", "))));
                }
            }
        }
        let classes: Vec<_> = classes.iter().map(ObjectClass::to_string).collect();
        Err(Failure::new(format_args!("there is no {} {}", classes.join(" or "), self.name()))
            .remedy("p11rest list --objects shows what there is"))
    }

    fn template(&self, class: ObjectClass) -> Vec<Attribute> {
        let label = self.label.as_ref().map(|label| Attribute::Label(label.as_str().into()));
        let id = self.id.as_ref().map(|Id(id)| Attribute::Id(id.clone()));
        [Attribute::Class(class)].into_iter().chain(label).chain(id).collect()
    }

    fn name(&self) -> String {
        let label = self.label.as_ref().map(|label| format!("{label:?}"));
        let id = self.id.as_ref().map(|Id(id)| format!("with id {}", hex(id)));
        label.into_iter().chain(id).collect::<Vec<_>>().join(" ")
    }
}

/// What is known of it.
pub fn describe(session: &Session, handle: ObjectHandle) -> Result<Key, Failure> {
    let [class, kind, label, id] = row(session, handle).map_err(pkcs11_failure)?;
    let described = format!("{label:?} ({class}, {kind}, id {id})");
    let wanted = [AttributeType::KeyType, AttributeType::AlwaysAuthenticate];
    let found = session.get_attributes(handle, &wanted).map_err(pkcs11_failure)?;
    let kind = found.iter().find_map(|found| match found {
        Attribute::KeyType(kind) => Some(*kind),
        _ => None,
    });
    let has_password = found.iter().any(|found| matches!(found, Attribute::AlwaysAuthenticate(true)));
    let kind = kind.ok_or_else(|| Failure::new(format_args!("{described} has no CKA_KEY_TYPE")))?;
    Ok(Key { handle, kind, has_password, described })
}

/// Class, type, label and id of an object; empty what it does not have.
pub fn row(session: &Session, object: ObjectHandle) -> Result<[String; 4], Error> {
    const WANTED: [AttributeType; 5] = [
        AttributeType::Class,
        AttributeType::KeyType,
        AttributeType::CertificateType,
        AttributeType::Label,
        AttributeType::Id,
    ];
    let [mut class, mut kind, mut label, mut id] = [const { String::new() }; 4];
    for attribute in session.get_attributes(object, &WANTED)? {
        match attribute {
            Attribute::Class(value) => class = value.to_string(),
            // The types for SHA-256, SHA-384 and SHA-512 are one to the crate cryptoki 0.12.
            Attribute::KeyType(KeyType::SHA256_HMAC) => kind = "HMAC".to_owned(),
            Attribute::KeyType(value) => kind = value.to_string(),
            Attribute::CertificateType(value) => kind = value.to_string(),
            Attribute::Label(value) => label = String::from_utf8_lossy(&value).into_owned(),
            Attribute::Id(value) => id = hex(&value),
            _ => {}
        }
    }
    Ok([class, kind, label, id])
}

/// The heads of the columns of [`row`].
pub const COLUMNS: [&str; 4] = ["class", "type", "label", "id"];
