//! The JSON of the server (Luna reference section 11.1). What the page calls unconfirmed is taken in each form.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::engine::{DecodePaddingMode, Engine};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::names::{Material, PUBLIC_SUFFIX};
use crate::crypto::encode;
use crate::crypto::public_key::{PublicKey, PublicKeyKind};

/// Bits of `usageMask`.
pub(super) mod usage {
    pub(crate) const SIGN: u32 = 1;
    pub(crate) const VERIFY: u32 = 2;
    pub(crate) const ENCRYPT: u32 = 4;
    pub(crate) const DECRYPT: u32 = 8;
    pub(crate) const WRAP: u32 = 16;
    pub(crate) const UNWRAP: u32 = 32;
    pub(crate) const EXPORT: u32 = 64;
    pub(crate) const MAC_GENERATE: u32 = 128;
    pub(crate) const MAC_VERIFY: u32 = 256;
    pub(crate) const DERIVE: u32 = 512;
}

/// The label of a key that has its `CKA_ID`, in hexadecimal: the server keeps no id that its clients may choose.
const ID_LABEL: &str = "CKA_ID";

/// A page of keys.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) resources: Vec<Resource>,
    /// How many there are in all; not every server tells.
    pub(super) total: Option<usize>,
}

/// A key, or one half of a pair.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Resource {
    pub(super) name: String,
    id: Option<String>,
    pub(super) algorithm: Option<String>,
    /// Bits.
    pub(super) size: Option<u32>,
    #[serde(alias = "curveid")]
    curve_id: Option<String>,
    #[serde(alias = "usagemask")]
    pub(super) usage_mask: Option<u32>,
    pub(super) unexportable: Option<bool>,
    pub(super) undeletable: Option<bool>,
    #[serde(alias = "objecttype")]
    object_type: Option<String>,
    #[serde(alias = "publickey")]
    public_key: Option<String>,
    material: Option<String>,
    labels: Option<BTreeMap<String, Value>>,
    meta: Option<Value>,
}

impl Resource {
    /// Whether it is, or may be, one half of a pair.
    pub(super) fn is_asymmetric(&self) -> bool {
        let asymmetric = |name: &String| ["rsa", "ec"].iter().any(|known| name.eq_ignore_ascii_case(known));
        self.algorithm.as_ref().is_none_or(asymmetric)
    }

    /// Whether it is a public key, or may be by its name.
    pub(super) fn is_public(&self) -> bool {
        match &self.object_type {
            Some(kind) => kind.to_ascii_lowercase().contains("public"),
            None => self.is_asymmetric() && self.name.ends_with(PUBLIC_SUFFIX),
        }
    }

    /// The public key, wherever it stands. The material of anything else is none of ours.
    pub(super) fn public_key(&self) -> Option<PublicKey> {
        let material = self.material.as_ref().filter(|_| self.is_public());
        public_key(self.public_key.as_ref().or(material)?)
    }

    /// Takes the public key of the other half.
    pub(super) fn take_public_key(&mut self, half: Self) {
        self.public_key = half.public_key.or(half.material);
    }

    /// What the server calls it where a name will not do.
    pub(super) fn id(&self) -> &str {
        self.id.as_ref().unwrap_or(&self.name)
    }

    /// The `CKA_ID` that it was given.
    pub(super) fn pkcs11_id(&self) -> Option<Vec<u8>> {
        let told = self.labels.as_ref()?.get(ID_LABEL)?.as_str()?;
        encode::from_hex(told).filter(|id| !id.is_empty())
    }

    /// Whether it is made of this, as far as it is told.
    pub(super) fn is_made_of(&self, material: &Material) -> bool {
        let is = |told: &Option<String>, asked: &str| {
            told.as_ref().is_none_or(|told| told.eq_ignore_ascii_case(asked))
        };
        let has_size = |asked| self.size.is_none_or(|told| usize::try_from(told) == Ok(asked));
        is(&self.algorithm, material.algorithm)
            && material.size.is_none_or(has_size)
            && material.curve.is_none_or(|curve| is(&self.curve_id, curve))
    }

    /// Whether it has this owner.
    pub(super) fn is_owned_by(&self, owner: &str) -> bool {
        let told = self.meta.as_ref().and_then(|meta| meta.get("ownerId")?.as_str());
        told == Some(owner)
    }

    /// Whether it has this label.
    pub(super) fn has_label(&self, name: &str, value: &str) -> bool {
        let told = self.labels.as_ref().and_then(|labels| labels.get(name));
        told.is_some_and(|told| told.as_str() == Some(value))
    }
}

/// A public key in PEM, in either of its forms, or in Base64 alone.
fn public_key(text: &str) -> Option<PublicKey> {
    // Some JSON has the line breaks escaped twice.
    let text = if text.contains("\\n") { Cow::Owned(text.replace("\\n", "\n")) } else { Cow::Borrowed(text) };
    let pem = |label| encode::parse_pem(&text, label).ok().and_then(|blocks| blocks.into_iter().next());
    let key = match (pem("PUBLIC KEY"), pem("RSA PUBLIC KEY")) {
        (Some(spki), _) => PublicKey::from_spki(&spki),
        (None, Some(der)) => PublicKey::from_rsa_der(&der),
        (None, None) => PublicKey::from_spki(&base64(&text)?),
    };
    key.ok().filter(|key| *key.kind() != PublicKeyKind::Other)
}

/// The answer to `sign` and `mac`.
#[derive(Deserialize)]
pub(super) struct Data<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
}

impl Data<'_> {
    /// A signature: hexadecimal, as the page has it, else Base64.
    pub(super) fn signature(&self) -> Option<Vec<u8>> {
        encode::from_hex(&self.data).or_else(|| base64(&self.data)).filter(|bytes| !bytes.is_empty())
    }

    /// A MAC of so many bytes: the length tells which of the two it is.
    pub(super) fn mac(&self, length: usize) -> Option<Vec<u8>> {
        let digits = encode::from_hex(&self.data).filter(|bytes| bytes.len() == length);
        digits.or_else(|| base64(&self.data)).filter(|bytes| bytes.len() == length)
    }
}

/// The answer to `macv`.
#[derive(Deserialize)]
pub(super) struct Verified {
    pub(super) verified: bool,
}

/// The answer to `encrypt`.
#[derive(Deserialize)]
pub(super) struct Sealed {
    ciphertext: String,
    tag: Option<String>,
    iv: Option<String>,
}

impl Sealed {
    /// Ciphertext and tag, which may stand behind it.
    pub(super) fn parts(&self, tag_length: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut ciphertext = base64(&self.ciphertext)?;
        let tag = match &self.tag {
            Some(tag) => base64(tag)?,
            None => ciphertext.split_off(ciphertext.len().checked_sub(tag_length)?),
        };
        (tag.len() == tag_length).then_some((ciphertext, tag))
    }

    /// The IV, where it is told.
    pub(super) fn iv(&self) -> Option<Vec<u8>> {
        base64(self.iv.as_ref()?)
    }
}

/// The answer to `decrypt`.
#[derive(Deserialize)]
pub(super) struct Opened<'a> {
    #[serde(borrow)]
    plaintext: Cow<'a, str>,
}

impl Opened<'_> {
    /// The plaintext.
    pub(super) fn plaintext(&self) -> Option<Zeroizing<Vec<u8>>> {
        base64(&self.plaintext).map(Zeroizing::new)
    }
}

/// The body of `encrypt` and `decrypt`. A key is named by its name, which the server is told.
#[derive(Serialize)]
struct Cipher<'a> {
    id: &'a str,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pad: Option<&'static str>,
    #[serde(flatten)]
    data: BTreeMap<&'static str, &'a str>,
}

/// The body of a GCM operation: `data` has the names and values of what is binary.
pub(super) fn gcm(key: &str, data: &[(&'static str, &[u8])]) -> Zeroizing<Vec<u8>> {
    cipher(key, Some("gcm"), None, data)
}

/// The body of an OAEP operation.
pub(super) fn oaep(key: &str, data: &[(&'static str, &[u8])]) -> Zeroizing<Vec<u8>> {
    cipher(key, None, Some("oaep"), data)
}

fn cipher(
    key: &str,
    mode: Option<&'static str>,
    pad: Option<&'static str>,
    data: &[(&'static str, &[u8])],
) -> Zeroizing<Vec<u8>> {
    let encoded: Vec<_> = data.iter().map(|(name, bytes)| (*name, encoded(bytes))).collect();
    let data: BTreeMap<_, _> = encoded.iter().map(|(name, text)| (*name, text.as_str())).collect();
    // In a buffer that does not grow, for one that does leaves a copy behind. A character is at most six in JSON.
    let room =
        128 + 6 * key.len() + encoded.iter().map(|(name, text)| name.len() + text.len() + 6).sum::<usize>();
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    let written = serde_json::to_writer(&mut *body, &Cipher { id: key, r#type: "name", mode, pad, data });
    debug_assert!(written.is_ok(), "texts are always JSON, and a vector takes all");
    body
}

fn encoded(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len().div_ceil(3) * 4));
    STANDARD.encode_string(bytes, &mut text);
    text
}

/// A key to be made.
pub(super) struct NewKey<'a> {
    pub(super) name: &'a str,
    pub(super) id: Option<&'a [u8]>,
    pub(super) material: &'a Material,
    /// What the member with the curve is called.
    pub(super) curve_member: &'static str,
    pub(super) usage_mask: u32,
    pub(super) unexportable: bool,
    pub(super) undeletable: bool,
    /// Whose it is; `None`: of the account that makes it.
    pub(super) owner: Option<&'a str>,
    pub(super) labels: BTreeMap<&'a str, &'a str>,
}

/// The body of `POST /vault/keys2`.
pub(super) fn new_key(new: &NewKey<'_>) -> Vec<u8> {
    let mut body = json!({
        "name": new.name,
        "algorithm": new.material.algorithm,
        "usageMask": new.usage_mask,
        "unexportable": new.unexportable,
        "undeletable": new.undeletable,
    });
    if let Some(size) = new.material.size {
        body["size"] = size.into();
    }
    if let Some(curve) = new.material.curve {
        body[new.curve_member] = curve.into();
    }
    match new.owner {
        Some(owner) => body["meta"] = json!({ "ownerId": owner }),
        // A key that belongs to nobody may not be used or deleted by who made it.
        None => body["assignSelfAsOwner"] = true.into(),
    }
    for (name, value) in &new.labels {
        body["labels"][*name] = (*value).into();
    }
    if let Some(id) = new.id.filter(|id| !id.is_empty()) {
        body["labels"][ID_LABEL] = encode::to_hex(id).into();
    }
    body.to_string().into_bytes()
}

/// How a MAC may be written in a query.
pub(super) fn spellings(mac: &[u8]) -> [String; 2] {
    [STANDARD.encode(mac), encode::to_hex(mac)]
}

fn base64(text: &str) -> Option<Vec<u8>> {
    /// With or without padding.
    const TOLERANT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    TOLERANT.decode(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(value: Value) -> Resource {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn macs_are_told_by_their_length() {
        // 64 characters against 44 for SHA-256 (section 11.1).
        let mac: Vec<u8> = (0..32).collect();
        for text in spellings(&mac) {
            let read = |length| Data { data: text.as_str().into() }.mac(length);
            assert_eq!(read(32).as_deref(), Some(&mac[..]), "{text}");
            assert_eq!(read(20), None);
        }
        // Base64 that could be hexadecimal.
        let data = Data { data: "abcdabcdabcdabcdabcdabcdabcd".into() };
        assert_eq!((data.mac(14).unwrap().len(), data.mac(21).unwrap().len()), (14, 21));
    }

    #[test]
    fn signatures_are_hexadecimal_or_base64() {
        let read = |text: &str| Data { data: text.into() }.signature();
        assert_eq!(read("30Ff"), Some(vec![0x30, 0xff]));
        assert_eq!(read("MP8="), Some(vec![0x30, 0xff]));
        assert_eq!(read(""), None);
        assert_eq!(read("*"), None);
    }

    #[test]
    fn fields_are_found_in_each_spelling() {
        for answer in [
            json!({"name":"k-pub","algorithm":"EC","usageMask":2,"objectType":"Public Key"}),
            json!({"name":"k-pub","algorithm":"ec","usagemask":2,"objecttype":"public key"}),
            json!({"name":"k-pub","algorithm":"ec","usageMask":2,"curveId":"x","meta":null}),
        ] {
            let read = resource(answer.clone());
            assert!(read.is_public() && read.is_asymmetric(), "{answer}");
            assert_eq!(read.usage_mask, Some(2));
        }
        let private = resource(json!({"name":"not-pub","algorithm":"RSA","objectType":"Private Key"}));
        assert!(!private.is_public());
        assert!(!resource(json!({"name":"x-pub","algorithm":"aes"})).is_public());
    }

    #[test]
    fn owner_and_labels() {
        let key = resource(json!({"name":"k","labels":{"env":"prod"},"meta":{"ownerId":"local|1"}}));
        assert!(key.is_owned_by("local|1") && !key.is_owned_by("local|2"));
        assert!(key.has_label("env", "prod") && !key.has_label("env", "test") && !key.has_label("x", "prod"));
        assert!(!resource(json!({"name":"k"})).is_owned_by("local|1"));
    }

    /// The point of the base of P-256 (SEC 2 section 2.4.2), as `openssl pkey -pubout` writes it.
    const EC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n\
        6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn public_keys_in_each_place_and_form() {
        let spki = public_key(EC).unwrap();
        assert_eq!(public_key(&EC.replace('\n', "\\n")), Some(spki.clone()));
        let bare: String = EC.lines().filter(|line| !line.starts_with('-')).collect();
        assert_eq!(public_key(&bare), Some(spki.clone()));
        assert_eq!(public_key("no key"), None);
        assert_eq!(resource(json!({"name":"k","publickey":EC})).public_key(), Some(spki.clone()));
        assert_eq!(resource(json!({"name":"k","publicKey":EC})).public_key(), Some(spki.clone()));
        let material = json!({"name":"k-pub","algorithm":"ec","material":EC});
        assert_eq!(resource(material.clone()).public_key(), Some(spki.clone()));
        // Of a private key the same field would be something else.
        assert_eq!(resource(json!({"name":"k","algorithm":"ec","material":EC})).public_key(), None);
        let mut private = resource(json!({"name":"k","algorithm":"ec"}));
        private.take_public_key(resource(material));
        assert_eq!(private.public_key(), Some(spki));
    }

    #[test]
    fn bodies_are_those_of_the_page() {
        let body = gcm("k\"1", &[("plaintext", b"text"), ("iv", &[0; 3])]);
        let read: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(read, json!({"id":"k\"1","type":"name","mode":"gcm","plaintext":"dGV4dA==","iv":"AAAA"}));
        let read: Value = serde_json::from_slice(&oaep("k", &[("ciphertext", b"")])).unwrap();
        assert_eq!(read, json!({"id":"k","type":"name","pad":"oaep","ciphertext":""}));
    }

    #[test]
    fn a_tag_may_stand_behind_the_ciphertext() {
        let sealed: Sealed = serde_json::from_value(json!({"ciphertext":"AQIDBA==","tag":"AwQ="})).unwrap();
        assert_eq!(sealed.parts(2), Some((vec![1, 2, 3, 4], vec![3, 4])));
        assert_eq!(sealed.parts(3), None);
        let sealed: Sealed = serde_json::from_value(json!({"ciphertext":"AQIDBA==","iv":"AA=="})).unwrap();
        assert_eq!(sealed.parts(2), Some((vec![1, 2], vec![3, 4])));
        assert_eq!((sealed.parts(5), sealed.iv()), (None, Some(vec![0])));
    }
}
