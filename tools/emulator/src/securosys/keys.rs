//! Keys: list, attributes, creation, deletion (Securosys TSB reference §2).

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Securosys;
use super::algorithm::Scheme;
use super::hash::RsaHash;
use super::operations::usage_refusal;
use super::refusal::{
    ADDRESS, ALGORITHM, Answer, IN_HSM, KEY_ATTRIBUTES, KEY_EXISTS, KEY_NAME, KEY_SIZE, NOT_LICENSED,
    Refusal, VALIDATION,
};
use super::seed::ATTESTATION_KEY;
use super::sign;
use super::switches::Version;
use super::time;
use super::wire::{CreateAttributes, CreateKey, KeyReference, base64};
use crate::keys::{Attributes, Key, unix_time};
use crate::material::{AesSize, Curve, Kind, Material, RsaSize};
use crate::vendor::Reply;

impl Securosys {
    pub(super) fn list_keys(&self) -> Answer {
        self.require_rest_api()?;
        Ok(Reply::json(200, &json!(self.keys.labels())))
    }

    pub(super) fn attributes(&self, body: KeyReference) -> Answer {
        self.require_rest_api()?;
        let key = self.usable_key(&body.label, body.password.as_ref())?;
        Ok(Reply::json(200, &self.signed_attributes(&key)?))
    }

    pub(super) fn attributes_by_path(&self, label: &str) -> Answer {
        self.require_rest_api()?;
        let key = self.usable_key(label, None)?;
        Ok(Reply::json(200, &self.signed_attributes(&key)?))
    }

    pub(super) fn create_key(&self, body: CreateKey) -> Answer {
        let algorithm = self.algorithm(&body)?;
        let attributes = create_attributes(&body.attributes, algorithm)?;
        if body.policy.is_some() {
            if !self.switches.licence_tsb_engine {
                return Err(Refusal::new(NOT_LICENSED, "The licence KEY_AUTH is missing."));
            }
            return Err(Refusal::not_implemented("policy"));
        }
        self.require_rest_api()?;
        if body.label.is_empty() || body.label.contains('/') {
            return Err(Refusal::new(KEY_NAME, "The label is empty or contains a slash."));
        }
        if self.keys.get(&body.label).is_some() {
            return Err(already_existing(&body.label));
        }
        if body.address_format.is_some() {
            return Err(Refusal::new(ADDRESS, "Only keys with a policy have addresses."));
        }
        let kind = kind(algorithm, &body)?;
        let password = body.password.as_ref().map(|password| password.as_str());
        let key = Key::generate(&body.label, kind, attributes, body.id, password)?;
        let reply = Reply::json(201, &self.signed_attributes(&key)?);
        match self.keys.insert(key)? {
            true => Ok(reply),
            false => Err(already_existing(&body.label)),
        }
    }

    pub(super) fn delete_key(&self, body: KeyReference) -> Answer {
        self.require_rest_api()?;
        let key = self.usable_key(&body.label, body.password.as_ref())?;
        self.delete(&key)
    }

    pub(super) fn delete_key_by_path(&self, label: &str) -> Answer {
        self.require_rest_api()?;
        let key = self.usable_key(label, None)?;
        self.delete(&key)
    }

    fn delete(&self, key: &Key) -> Answer {
        if !key.metadata.attributes.destroyable {
            return Err(usage_refusal(self.switches.undestroyable_refusal, "destroy"));
        }
        self.keys.remove(&key.metadata.label)?;
        Ok(Reply::empty(200))
    }

    fn algorithm(&self, body: &CreateKey) -> Answer<Algorithm> {
        match (body.algorithm.as_deref(), body.algorithm_oid.as_deref()) {
            (Some(name), None) => Algorithm::by_name(name).ok_or_else(|| self.unknown_value("algorithm")),
            (None, Some(oid)) => Algorithm::by_oid(oid).ok_or_else(|| self.unknown_value("algorithmOid")),
            _ => {
                let message = "One of algorithm and algorithmOid is required.";
                Err(Refusal::new(VALIDATION, message))
            }
        }
    }

    /// What is answered for attributes: JSON and XML, the latter signed by the attestation key.
    fn signed_attributes(&self, key: &Key) -> Answer<Value> {
        let attested = time::iso(unix_time());
        let json = self.attributes_json(key, &attested);
        let xml = attributes_xml(key, &attested);
        let signature = self.attestation(xml.as_bytes())?;
        Ok(json!({
            "xml": xml,
            "json": json,
            "xmlSignature": base64(signature),
            "attestationKeyName": ATTESTATION_KEY,
        }))
    }

    fn attributes_json(&self, key: &Key, attested: &str) -> Value {
        let (algorithm, algorithm_oid, curve_oid) = names(key.metadata.kind);
        let flags = &key.metadata.attributes;
        let mut json = json!({
            "label": key.metadata.label,
            "id": key.metadata.id,
            "uuid": null,
            "algorithm": algorithm,
            "algorithmOid": algorithm_oid,
            "curveOid": curve_oid,
            "derivedAttributes": null,
            "keySize": self.key_size(key.metadata.kind),
            "createTime": time::iso(key.metadata.created),
            "attestTime": attested,
            "publicKey": key.public_key.as_ref().map(base64),
            "addressTruncated": null,
            "attributes": {
                "decrypt": flags.decrypt,
                "sign": flags.sign,
                "ekaSign": null,
                "unwrap": flags.unwrap,
                "derive": flags.derive,
                "sensitive": flags.sensitive,
                "alwaysSensitive": flags.sensitive,
                "extractable": flags.extractable,
                "neverExtractable": !flags.extractable,
                "modifiable": flags.modifiable,
                "copyable": flags.copyable,
                "destroyable": flags.destroyable,
            },
            "policy": null,
        });
        if self.switches.version == Version::V2_2 {
            json["keyUsageCount"] = json!(0);
        }
        json
    }

    /// In bits, of the kinds of key that the answers tell it of.
    fn key_size(&self, kind: Kind) -> Option<u32> {
        match kind {
            Kind::Rsa(size) => Some(size.bits()),
            Kind::Aes(size) if self.switches.symmetric_key_size => Some(size.bits()),
            _ => None,
        }
    }

    fn attestation(&self, xml: &[u8]) -> Answer<Vec<u8>> {
        let failed = || Refusal::new(IN_HSM, "Error signing key attributes");
        let key = self.keys.get(ATTESTATION_KEY).ok_or_else(failed)?;
        let scheme = sign::quick_scheme(Scheme::RsaPkcs1(RsaHash::Sha256)).ok_or_else(failed)?;
        match &key.material {
            Material::Rsa(key) => key.sign_quickly(&scheme, &Sha256::digest(xml)),
            _ => None,
        }
        .ok_or_else(failed)
    }
}

fn already_existing(label: &str) -> Refusal {
    Refusal::new(KEY_EXISTS, format!("A key with the name '{label}' already exists."))
}

/// The algorithms that keys can be made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Rsa,
    Ec,
    Ed,
    Aes,
    HmacSha256,
    /// Of the API, but the emulator has not learnt it.
    Unlearnt,
}

const UNLEARNT: &[&str] = &[
    "DSA",
    "ISS",
    "BLS",
    "Camellia",
    "ChaCha20",
    "TDEA",
    "ML-DSA-44",
    "ML-DSA-65",
    "ML-DSA-87",
    "ML-KEM-512",
    "ML-KEM-768",
    "ML-KEM-1024",
    "LMS",
];

impl Algorithm {
    fn by_name(name: &str) -> Option<Algorithm> {
        Some(match name {
            "RSA" => Algorithm::Rsa,
            "EC" => Algorithm::Ec,
            "ED" => Algorithm::Ed,
            "AES" => Algorithm::Aes,
            "HMACSHA256" => Algorithm::HmacSha256,
            _ if UNLEARNT.contains(&name) => Algorithm::Unlearnt,
            _ if name.starts_with("SLH-DSA-") || name.starts_with("XMSS-") => Algorithm::Unlearnt,
            _ => return None,
        })
    }

    fn by_oid(oid: &str) -> Option<Algorithm> {
        Some(match oid {
            "1.2.840.113549.1.1.1" => Algorithm::Rsa,
            "1.2.840.10045.2.1" => Algorithm::Ec,
            "1.3.101.112" => Algorithm::Ed,
            _ => return None,
        })
    }

    fn is_secret(self) -> bool {
        matches!(self, Algorithm::Aes | Algorithm::HmacSha256)
    }
}

/// The kind of key that a request describes.
fn kind(algorithm: Algorithm, body: &CreateKey) -> Answer<Kind> {
    if body.curve_oid.is_some() && !matches!(algorithm, Algorithm::Ec | Algorithm::Ed) {
        return Err(Refusal::new(VALIDATION, "The algorithm has no curveOid."));
    }
    let size = body.key_size.unwrap_or(0);
    let sized = matches!(algorithm, Algorithm::Rsa | Algorithm::Aes | Algorithm::Unlearnt);
    if !sized && size != 0 {
        return Err(Refusal::new(KEY_SIZE, "The algorithm has no keySize."));
    }
    Ok(match algorithm {
        Algorithm::Rsa => Kind::Rsa(match size {
            2048 => RsaSize::Bits2048,
            3072 => RsaSize::Bits3072,
            4096 => RsaSize::Bits4096,
            8192 => RsaSize::Bits8192,
            _ => return Err(Refusal::new(KEY_SIZE, "RSA has keys of 2048 to 8192 bits.")),
        }),
        Algorithm::Aes => Kind::Aes(match size {
            128 => AesSize::Bits128,
            192 => AesSize::Bits192,
            256 => AesSize::Bits256,
            _ => {
                return Err(Refusal::new(KEY_SIZE, "AES has keys of 128, 192 and 256 bits."));
            }
        }),
        Algorithm::Ec => Kind::Ec(curve(body.curve_oid.as_deref())?),
        Algorithm::Ed => match body.curve_oid.as_deref() {
            Some(ED25519_OID) => Kind::Ed25519,
            None if body.algorithm_oid.is_some() => Kind::Ed25519,
            _ => {
                return Err(Refusal::new(VALIDATION, "ED needs the curveOid 1.3.101.112."));
            }
        },
        Algorithm::HmacSha256 => Kind::HmacSha256,
        Algorithm::Unlearnt => return Err(Refusal::not_implemented("this key algorithm")),
    })
}

const ED25519_OID: &str = "1.3.101.112";
const CURVES: [(&str, Curve); 4] = [
    ("1.2.840.10045.3.1.7", Curve::P256),
    ("1.3.132.0.34", Curve::P384),
    ("1.3.132.0.35", Curve::P521),
    ("1.3.132.0.10", Curve::Secp256k1),
];

fn curve(oid: Option<&str>) -> Answer<Curve> {
    let Some(oid) = oid else {
        return Err(Refusal::new(VALIDATION, "EC needs a curveOid."));
    };
    if let Some((_, curve)) = CURVES.iter().find(|(known, _)| *known == oid) {
        return Ok(*curve);
    }
    match oid.starts_with("1.3.132.0.") || oid.starts_with("1.3.36.3.3.2.8.1.1.") {
        true => Err(Refusal::not_implemented("this curve")),
        false => Err(Refusal::new(ALGORITHM, "There is no such curve.")),
    }
}

/// The attributes that a request describes, with the defaults of the reference (§2.3).
fn create_attributes(asked: &CreateAttributes, algorithm: Algorithm) -> Answer<Attributes> {
    let required = |value: Option<bool>| match value {
        Some(value) => Ok(value),
        // Keys for HMAC are made with `sign` alone (reference §14).
        None if algorithm == Algorithm::HmacSha256 => Ok(false),
        None => Err(Refusal::new(VALIDATION, "The attributes decrypt, sign, unwrap are required.")),
    };
    let (decrypt, sign) = (required(asked.decrypt)?, required(asked.sign)?);
    let unwrap = required(asked.unwrap)?;
    if !(decrypt || sign || unwrap) {
        return Err(Refusal::new(KEY_ATTRIBUTES, "The key would be of no use."));
    }
    let derive = asked.derive.unwrap_or(false);
    let derivation = asked.bip32.unwrap_or(false) || asked.slip10.unwrap_or(false);
    if derivation && (!derive || algorithm.is_secret()) {
        return Err(Refusal::new(KEY_ATTRIBUTES, "bip32 and slip10 need derive, on EC or ED."));
    }
    if derivation {
        return Err(Refusal::not_implemented("key derivation"));
    }
    Ok(Attributes {
        encrypt: asked.encrypt.unwrap_or(decrypt),
        decrypt,
        verify: asked.verify.unwrap_or(sign),
        sign,
        wrap: asked.wrap.unwrap_or(unwrap),
        unwrap,
        derive,
        sensitive: asked.sensitive.unwrap_or(true),
        extractable: asked.extractable.unwrap_or(false),
        modifiable: asked.modifiable.unwrap_or(true),
        copyable: asked.copyable.unwrap_or(false),
        destroyable: asked.destroyable.unwrap_or(false),
    })
}

/// What a key is called: algorithm, its OID, the curve's OID.
fn names(kind: Kind) -> (&'static str, Option<&'static str>, Option<&'static str>) {
    match kind {
        Kind::Rsa(_) => ("RSA", Some("1.2.840.113549.1.1.1"), None),
        Kind::Ec(curve) => {
            let oid = CURVES.iter().find(|(_, known)| *known == curve).map(|(oid, _)| *oid);
            ("EC", Some("1.2.840.10045.2.1"), oid)
        }
        // The algorithm's OID carries the curve (reference §2.2).
        Kind::Ed25519 => ("ED", Some(ED25519_OID), None),
        Kind::Aes(_) => ("AES", None, None),
        Kind::HmacSha1 => ("HMACSHA1", None, None),
        Kind::HmacSha256 => ("HMACSHA256", None, None),
        Kind::HmacSha384 => ("HMACSHA384", None, None),
        Kind::HmacSha512 => ("HMACSHA512", None, None),
    }
}

fn attributes_xml(key: &Key, attested: &str) -> String {
    let (algorithm, algorithm_oid, curve_oid) = names(key.metadata.kind);
    let root = if key.public_key.is_some() { "private_key" } else { "secret_key" };
    let mut fields = String::new();
    let mut field = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            fields.push_str(&format!("  <{name}>{}</{name}>\n", xml_text(&value)));
        }
    };
    field("label", Some(key.metadata.label.clone()));
    field("create_time", Some(time::iso(key.metadata.created)));
    field("attest_time", Some(attested.to_owned()));
    field("algorithm", Some(algorithm.to_owned()));
    field("algorithm_oid", algorithm_oid.map(str::to_owned));
    field("curve_oid", curve_oid.map(str::to_owned));
    field("key_size", rsa_bits(key.metadata.kind));
    field("public_key", key.public_key.as_ref().map(base64));
    let flags = &key.metadata.attributes;
    let flags = [
        ("decrypt", flags.decrypt),
        ("sign", flags.sign),
        ("unwrap", flags.unwrap),
        ("derive", flags.derive),
        ("sensitive", flags.sensitive),
        ("always_sensitive", flags.sensitive),
        ("extractable", flags.extractable),
        ("never_extractable", !flags.extractable),
        ("modifiable", flags.modifiable),
        ("copyable", flags.copyable),
        ("destroyable", flags.destroyable),
    ];
    let flags: String = flags.iter().map(|(name, value)| format!("    <{name}>{value}</{name}>\n")).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} creation=\"generated\">\n{fields}  \
         <attributes>\n{flags}  </attributes>\n</{root}>\n\n"
    )
}

fn rsa_bits(kind: Kind) -> Option<String> {
    match kind {
        Kind::Rsa(size) => Some(size.bits().to_string()),
        _ => None,
    }
}

fn xml_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
