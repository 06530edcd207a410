//! The JSON of the appliance (Luna reference sections 5, 8 and 9). Names of fields are not all documented, so they are
//! looked for without regard to case and to what stands between the words; `"n/a"` and `""` are nothing.

use cryptoki_sys::{
    CK_KEY_TYPE, CKK_AES, CKK_DES3, CKK_DH, CKK_DSA, CKK_EC, CKK_EC_EDWARDS, CKK_EC_MONTGOMERY,
    CKK_GENERIC_SECRET, CKK_RSA,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::crypto::encode;

/// The media type of bodies in JSON; without a number the version is the newest one.
pub(super) fn media_type(version: Option<u32>) -> String {
    let version = version.map(|version| version.to_string()).unwrap_or_default();
    format!("application/vnd.safenetinc.lunasa+json;version={version}")
}

/// `C K A_KeyType` as `ckakeytype`.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_lowercase()).collect()
}

/// The member of an object whose name is one of `names` (plain), wherever it stands: the first name counts most.
pub(super) fn member<'a>(object: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    names
        .iter()
        .find_map(|wanted| object.iter().find(|(name, _)| plain(name) == *wanted).map(|(_, value)| value))
}

/// A text that says something; numbers are texts too.
pub(super) fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty() && !text.eq_ignore_ascii_case("n/a")).then_some(text)
}

/// A number, which may be written as a text.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// A boolean, which may be written as a text or a number.
pub(super) fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(text) => match plain(text).as_str() {
            "true" | "yes" | "1" => Some(true),
            "false" | "no" | "0" => Some(false),
            _ => None,
        },
        Value::Number(number) => number.as_u64().map(|number| number != 0),
        _ => None,
    }
}

/// The first array in an answer, or the answer if it is one.
pub(super) fn array(answer: &Value) -> Option<&[Value]> {
    match answer {
        Value::Array(items) => Some(items),
        Value::Object(members) => members.values().find_map(Value::as_array).map(Vec::as_slice),
        _ => None,
    }
}

/// The id of an element of a list: `{"id":…}`, or the id itself. Only what a path takes as it is.
pub(super) fn id(element: &Value) -> Option<String> {
    let value =
        element.as_object().map_or(Some(element), |object| member(object, &["id", "handle", "objectid"]))?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    text(value).filter(|id| id.bytes().all(allowed) && !id.starts_with('.'))
}

/// The state of a role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RoleState {
    pub(super) initialized: Option<bool>,
    pub(super) locked: bool,
    /// How many wrong passwords are left, where it is told.
    pub(super) attempts: Option<u64>,
    pub(super) to_be_changed: bool,
    /// Whether it proves itself at a PIN entry device.
    pub(super) ped: bool,
}

impl RoleState {
    pub(super) fn read(answer: &Value) -> Option<Self> {
        let object = answer.as_object()?;
        let flag = |name| member(object, &[name]).and_then(boolean);
        let attempts = member(object, &["loginattemptsleft"]).and_then(number);
        let method = member(object, &["primaryauthentication"]).and_then(text);
        Some(Self {
            initialized: flag("initialized"),
            locked: flag("lockedout").unwrap_or(false),
            attempts,
            to_be_changed: flag("pintobechanged").unwrap_or(false),
            ped: method.is_some_and(|method| method.eq_ignore_ascii_case("PED")),
        })
    }

    /// Whether one more wrong password locks it, or worse.
    pub(super) fn is_final_try(&self) -> bool {
        self.attempts.is_some_and(|left| left <= 1)
    }
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    PrivateKey,
    PublicKey,
    SecretKey,
    /// Certificates and data: without their value they are of no use.
    Other,
}

/// What is told of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObjectInfo {
    pub(super) label: Option<String>,
    pub(super) class: Option<Class>,
    pub(super) key_type: Option<CK_KEY_TYPE>,
    /// `CKA_ID`
    pub(super) id: Option<Vec<u8>>,
    pub(super) ouid: Option<String>,
}

impl ObjectInfo {
    /// `None` for an answer without anything that is recognised: an object that is not to be seen.
    pub(super) fn read(answer: &Value) -> Option<Self> {
        let outer = answer.as_object()?;
        // Some answers may wrap the attributes.
        let inner = member(outer, &["attributes", "object"]).and_then(Value::as_object).unwrap_or(outer);
        let find = |names: &[&str]| member(inner, names).or_else(|| member(outer, names));
        let info = Self {
            label: find(&["label", "ckalabel"]).and_then(text),
            class: find(&["class", "ckaclass", "objectclass", "objecttype", "type"])
                .and_then(text)
                .map(|name| class(&name)),
            key_type: find(&["keytype", "ckakeytype"]).and_then(text).and_then(|name| key_type(&name)),
            // `id` alone is the handle.
            id: find(&["ckaid", "keyid"]).and_then(text).and_then(|id| hexadecimal(&id)),
            ouid: find(&["ouid", "ckaouid", "objectuid"]).and_then(text),
        };
        (info.label.is_some() || info.class.is_some()).then_some(info)
    }
}

/// Numbers are those of PKCS#11 (`CKO_*`).
fn class(name: &str) -> Class {
    match plain(name).trim_start_matches("cko") {
        "privatekey" | "private" | "3" => Class::PrivateKey,
        "publickey" | "public" | "2" => Class::PublicKey,
        "secretkey" | "secret" | "symmetrickey" | "4" => Class::SecretKey,
        _ => Class::Other,
    }
}

/// Numbers are those of PKCS#11 (`CKK_*`).
fn key_type(name: &str) -> Option<CK_KEY_TYPE> {
    Some(match plain(name).trim_start_matches("ckk") {
        "rsa" => CKK_RSA,
        "dsa" => CKK_DSA,
        "dh" => CKK_DH,
        "ec" | "ecdsa" => CKK_EC,
        "ecedwards" | "eddsa" => CKK_EC_EDWARDS,
        "ecmontgomery" => CKK_EC_MONTGOMERY,
        "genericsecret" | "generic" => CKK_GENERIC_SECRET,
        "des3" | "3des" => CKK_DES3,
        "aes" => CKK_AES,
        other => other.parse().ok()?,
    })
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.trim_start_matches("0x").chars().filter(|char| *char != ':').collect();
    encode::from_hex(&digits).filter(|bytes| !bytes.is_empty())
}

/// A version in an answer: the first text of the form `7.8`, whatever it is called.
pub(super) fn version(answer: &Value) -> Option<(u8, u8)> {
    let parse = |text: &str| {
        let mut parts = text.trim().split('.');
        let mut number = || parts.next()?.parse::<u8>().ok();
        Some((number()?, number()?))
    };
    match answer {
        Value::String(text) => parse(text),
        Value::Array(items) => items.iter().find_map(version),
        Value::Object(members) => members.values().find_map(version),
        _ => None,
    }
}

/// Bytes of storage: the whole, and what is free.
pub(super) fn storage(answer: &Value) -> Option<(u64, u64)> {
    let object = answer.as_object()?;
    let inner = member(object, &["storagespace", "storage"]).and_then(Value::as_object).unwrap_or(object);
    let find = |names: &[&str]| member(inner, names).and_then(number);
    let total = find(&["total", "totalspace", "totalstoragespace", "size"])?;
    let used = || find(&["used", "usedspace", "usedstoragespace"]);
    let free = find(&["free", "freespace", "freestoragespace"]);
    Some((total, free.or_else(|| used().map(|used| total.saturating_sub(used)))?))
}

/// A body with passwords.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Secret<'a> {
    Login {
        ped: &'a str,
        /// `None`: it is entered at the device.
        #[serde(skip_serializing_if = "Option::is_none")]
        password: Option<&'a str>,
        role: &'a str,
    },
    Change {
        #[serde(rename = "oldPassword")]
        old: &'a str,
        #[serde(rename = "newPassword")]
        new: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        ped: Option<&'a str>,
    },
}

impl Secret<'_> {
    /// The JSON, in a buffer that does not grow: one that does leaves a copy behind.
    pub(super) fn bytes(&self) -> Zeroizing<Vec<u8>> {
        let passwords = match self {
            Self::Login { password, .. } => password.map_or(0, str::len),
            Self::Change { old, new, .. } => old.len() + new.len(),
        };
        // A character is at most six in JSON.
        let mut bytes = Zeroizing::new(Vec::with_capacity(6 * passwords + 256));
        let written = serde_json::to_writer(&mut *bytes, self);
        debug_assert!(written.is_ok(), "texts are always JSON, and a vector takes all");
        bytes
    }
}

/// The PIN as text; `None` if it is no UTF-8.
pub(super) fn pin(bytes: &[u8]) -> Option<SecretString> {
    std::str::from_utf8(bytes).ok().map(SecretString::from)
}

/// The PIN for a body, which has none where it is entered elsewhere.
pub(super) fn shown(pin: &SecretString) -> Option<&str> {
    Some(pin.expose_secret()).filter(|pin| !pin.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn media_types_are_those_of_section_3() {
        assert_eq!(media_type(Some(15)), "application/vnd.safenetinc.lunasa+json;version=15");
        assert_eq!(media_type(None), "application/vnd.safenetinc.lunasa+json;version=");
    }

    /// The worked example of section 5.
    #[test]
    fn the_state_of_a_role() {
        let answer = json!({"id":"co","name":"Crypto Officer","initialized":false,"activated":false,"lockedOut":false,
            "loginAttemptsLeft":0,"pinToBeChanged":false,"challengeToBeChanged":false,
            "primaryAuthentication":"PED","secondaryAuthentication":"None"});
        let state = RoleState::read(&answer).unwrap();
        let expected =
            RoleState { initialized: Some(false), attempts: Some(0), ped: true, ..RoleState::default() };
        assert_eq!(state, expected);
        assert!(state.is_final_try());
    }

    #[test]
    fn fields_are_found_however_they_are_spelt() {
        let expected = ObjectInfo {
            label: Some("signing".into()),
            class: Some(Class::PrivateKey),
            key_type: Some(CKK_RSA),
            id: Some(vec![0x01, 0xab]),
            ouid: None,
        };
        for answer in [
            json!({"id":"19","label":"signing","class":"privateKey","keyType":"RSA","keyId":"01ab"}),
            json!({"CKA_LABEL":"signing","CKA_CLASS":"CKO_PRIVATE_KEY","CKA_KEY_TYPE":"CKK_RSA","CKA_ID":"01AB"}),
            json!({"Label":"signing","Object Type":"Private Key","Key Type":"rsa","Key ID":"0x01ab","OUID":"n/a"}),
            json!({"label":"signing","type":"private_key","key_type":"0","key_id":"01:ab","ouid":""}),
            json!({"id":19,"attributes":{"label":"signing","class":3,"keyType":0,"ckaId":"01ab"}}),
        ] {
            assert_eq!(ObjectInfo::read(&answer), Some(expected.clone()), "{answer}");
        }
        assert_eq!(ObjectInfo::read(&json!({})), None);
        assert_eq!(ObjectInfo::read(&json!({"id":"19"})), None);
    }

    #[test]
    fn ids_are_texts_or_numbers_and_fit_a_path() {
        assert_eq!(id(&json!({"id":"1682975235230","url":"…"})).as_deref(), Some("1682975235230"));
        assert_eq!(id(&json!({"id":154_704})).as_deref(), Some("154704"));
        assert_eq!(id(&json!(19)).as_deref(), Some("19"));
        assert_eq!(id(&json!({"id":"a/../b"})), None);
        assert_eq!(id(&json!("..")), None);
        assert_eq!(array(&json!({"count":1,"objects":[1]})), Some(&[json!(1)][..]));
    }

    #[test]
    fn passwords_are_escaped_and_fit_their_buffer() {
        let password = "q\u{1}\"\\ü".repeat(50);
        let body = Secret::Login { ped: "0", password: Some(&password), role: "co" }.bytes();
        let back: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(back, json!({"ped":"0","password":password,"role":"co"}));
        let body = Secret::Login { ped: "1", password: None, role: "co" }.bytes();
        assert_eq!(&**body, br#"{"ped":"1","role":"co"}"#);
        let body = Secret::Change { old: "a", new: "b", ped: Some("0") }.bytes();
        assert_eq!(&**body, br#"{"oldPassword":"a","newPassword":"b","ped":"0"}"#);
    }

    #[test]
    fn versions_and_storage_are_looked_for() {
        assert_eq!(version(&json!({"id":154_704,"firmware":"7.8.4-254"})), Some((7, 8)));
        assert_eq!(version(&json!({"version":"none"})), None);
        assert_eq!(storage(&json!({"total":100,"used":30,"free":70})), Some((100, 70)));
        assert_eq!(storage(&json!({"totalSpace":"100","usedSpace":"30"})), Some((100, 70)));
        assert_eq!(storage(&json!({"partitions":[]})), None);
    }
}
