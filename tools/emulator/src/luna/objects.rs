//! What a partition holds: metadata alone, for there is no cryptography here (section 9). The names of the fields are
//! not documented, so they are a setting.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::access::Caller;
use super::exchange::Exchange;
use super::refusal::{Answer, Refusal};
use super::routes::Endpoint;
use super::settings::{Hidden, Names, ObjectsPath, ObjectsSession, Values};
use crate::vendor::Reply;

/// The last version that is known to have `objects`, and the first that may have `object/objects`.
const CHANGE: u32 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Class {
    PrivateKey,
    PublicKey,
    SecretKey,
    Certificate,
    Data,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum KeyType {
    Rsa,
    Ec,
    Ed25519,
    Aes,
    GenericSecret,
}

/// An object, as `POST /_emulator/partitions/{id}/objects` brings it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Object {
    #[serde(default)]
    label: String,
    class: Class,
    key_type: Option<KeyType>,
    /// `CKA_ID` in hexadecimal.
    #[serde(default)]
    key_id: String,
    #[serde(default)]
    pub(super) private: bool,
    /// Of RSA keys.
    modulus_bits: Option<u32>,
}

/// A value as words, as the standard's name, and as its number.
type Spellings = (&'static str, &'static str, u64);

impl Class {
    fn spellings(self) -> Spellings {
        match self {
            Class::PrivateKey => ("Private Key", "CKO_PRIVATE_KEY", 3),
            Class::PublicKey => ("Public Key", "CKO_PUBLIC_KEY", 2),
            Class::SecretKey => ("Secret Key", "CKO_SECRET_KEY", 4),
            Class::Certificate => ("Certificate", "CKO_CERTIFICATE", 1),
            Class::Data => ("Data", "CKO_DATA", 0),
        }
    }
}

impl KeyType {
    fn spellings(self) -> Spellings {
        match self {
            KeyType::Rsa => ("RSA", "CKK_RSA", 0),
            KeyType::Ec => ("EC", "CKK_EC", 3),
            KeyType::Ed25519 => ("EC Edwards", "CKK_EC_EDWARDS", 0x40),
            KeyType::Aes => ("AES", "CKK_AES", 0x1f),
            KeyType::GenericSecret => ("Generic Secret", "CKK_GENERIC_SECRET", 0x10),
        }
    }
}

/// The objects that there are from the start: those of the emulated CipherTrust Manager and gateway, by label, as a
/// client finds them whose cryptography is done there.
pub(super) fn seeds(extra: u32) -> Vec<Object> {
    const PAIRS: [(&str, KeyType, Option<u32>); 7] = [
        ("rsa-2048", KeyType::Rsa, Some(2048)),
        ("rsa-3072", KeyType::Rsa, Some(3072)),
        ("rsa-cert", KeyType::Rsa, Some(3072)),
        ("ec-p256", KeyType::Ec, None),
        ("ec-p384", KeyType::Ec, None),
        ("ec-cert", KeyType::Ec, None),
        ("ed25519", KeyType::Ed25519, None),
    ];
    const SECRETS: [(&str, KeyType); 5] = [
        ("aes-256", KeyType::Aes),
        ("hmac-sha1", KeyType::GenericSecret),
        ("hmac-sha256", KeyType::GenericSecret),
        ("hmac-sha384", KeyType::GenericSecret),
        ("hmac-sha512", KeyType::GenericSecret),
    ];
    let new = |label: &str, class, key_type, modulus_bits| Object {
        label: label.to_owned(),
        class,
        key_type,
        key_id: label.bytes().map(|byte| format!("{byte:02x}")).collect(),
        private: matches!(class, Class::PrivateKey | Class::SecretKey),
        modulus_bits,
    };
    let mut objects = Vec::new();
    for (label, key_type, bits) in PAIRS {
        objects.extend(
            [Class::PublicKey, Class::PrivateKey].map(|class| new(label, class, Some(key_type), bits)),
        );
        if label.ends_with("-cert") {
            objects.push(new(label, Class::Certificate, None, None));
        }
    }
    let extra = (0..extra).map(|number| (format!("extra-{number:04}"), KeyType::Aes));
    let secrets = SECRETS.into_iter().map(|(label, key_type)| (label.to_owned(), key_type));
    objects.extend(
        secrets.chain(extra).map(|(label, key_type)| new(&label, Class::SecretKey, Some(key_type), None)),
    );
    objects
}

impl Object {
    /// The attributes by name.
    fn to_json(&self, handle: u32, names: Names, values: Values) -> Map<String, Value> {
        let value = |(words, standard, number): Spellings| match values {
            Values::Words => Value::from(words),
            Values::Cko => standard.into(),
            Values::Numbers => number.into(),
        };
        // What does not apply is "n/a".
        let or_none = |value: Option<Value>| value.unwrap_or_else(|| "n/a".into());
        let attributes: [([&str; 4], Value); 7] = [
            (["label", "CKA_LABEL", "Label", "label"], self.label.as_str().into()),
            (["class", "CKA_CLASS", "Object Type", "type"], value(self.class.spellings())),
            (
                ["keyType", "CKA_KEY_TYPE", "Key Type", "key_type"],
                or_none(self.key_type.map(|key_type| value(key_type.spellings()))),
            ),
            (["keyId", "CKA_ID", "Key ID", "key_id"], self.key_id.as_str().into()),
            (["private", "CKA_PRIVATE", "Private", "private"], self.private.into()),
            (
                ["modulusBits", "CKA_MODULUS_BITS", "Modulus Bits", "modulus_bits"],
                or_none(self.modulus_bits.map(Value::from)),
            ),
            (["ouid", "CKA_OUID", "OUID", "ouid"], format!("{handle:024x}").into()),
        ];
        attributes.into_iter().map(|(known, value)| (known[names as usize].to_owned(), value)).collect()
    }
}

impl Exchange<'_> {
    /// Whether the objects are at this place.
    fn has_objects_at(&self, endpoint: Endpoint) -> bool {
        let is_old = matches!(endpoint, Endpoint::OldObjects | Endpoint::OldObject);
        match self.settings.objects_path {
            ObjectsPath::Both => true,
            ObjectsPath::Objects => is_old,
            ObjectsPath::Object => !is_old,
            ObjectsPath::ByVersion if is_old => self.version <= CHANGE,
            ObjectsPath::ByVersion => self.version >= CHANGE,
        }
    }

    /// `GET …/objects`
    pub(super) fn objects(&self, caller: &Caller, endpoint: Endpoint) -> Answer {
        self.check_place(caller, endpoint, self.settings.objects_session == ObjectsSession::Both)?;
        let shows_all = self.shows_private(caller);
        let objects = self.state.hsm.partition(self.parameter(1))?.objects.iter();
        let listed = objects.filter(|(_, object)| shows_all || !object.private || self.settings.list_hidden);
        let path = &self.request.path;
        let item = |(handle, object): (&u32, &Object)| {
            let handle_text = handle.to_string();
            let mut item = json!({ "id": self.id(&handle_text), "url": format!("{path}/{handle}") });
            if self.settings.object_list_whole
                && (shows_all || !object.private)
                && let Some(item) = item.as_object_mut()
            {
                item.extend(self.attributes(*handle, object));
            }
            item
        };
        self.listing("objects", listed.map(item).collect())
    }

    /// `GET …/objects/{objectid}`
    pub(super) fn object(&self, caller: &Caller, endpoint: Endpoint) -> Answer {
        self.check_place(caller, endpoint, self.settings.objects_session != ObjectsSession::Neither)?;
        let handle = self.parameter(2).parse().map_err(|_| Refusal::no_object())?;
        let objects = &self.state.hsm.partition(self.parameter(1))?.objects;
        let object = objects.get(&handle).ok_or_else(Refusal::no_object)?;
        if object.private && !self.shows_private(caller) {
            return match self.settings.hidden_object {
                Hidden::Object => Ok(Reply::json(200, &json!({}))),
                Hidden::Nothing => Ok(Reply::empty(204)),
                Hidden::Refused => Err(Refusal::not_logged_in()),
            };
        }
        let mut body = Map::from_iter([("id".to_owned(), self.id(self.parameter(2)))]);
        body.extend(self.attributes(handle, object));
        Ok(Reply::json(200, &Value::Object(body)))
    }

    fn check_place(&self, caller: &Caller, endpoint: Endpoint, needs_session: bool) -> Answer<()> {
        if !self.has_objects_at(endpoint) {
            return Err(Refusal::no_resource());
        }
        self.place()?;
        if needs_session {
            self.private(caller)?;
        }
        Ok(())
    }

    /// Whether a role that may use the objects is logged in on the caller's session.
    fn shows_private(&self, caller: &Caller) -> bool {
        let session = caller.session.as_ref().and_then(|id| self.state.sessions.get(id));
        let place = Some(self.parameter(1).to_owned());
        session.is_some_and(|session| session.has(&place, &["co", "cu"]))
    }

    fn attributes(&self, handle: u32, object: &Object) -> Map<String, Value> {
        let attributes = object.to_json(handle, self.settings.object_names, self.settings.object_values);
        match self.settings.object_wrap {
            true => Map::from_iter([("attributes".to_owned(), Value::Object(attributes))]),
            false => attributes,
        }
    }
}
