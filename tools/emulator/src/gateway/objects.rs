//! Keys: listed, told of, used. And random bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::pem::LineEnding;
use rand_core::{OsRng, RngCore};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;

use super::Gateway;
use super::refusal::{Answer, Refusal};
use super::tokens::is_json;
use crate::algorithms::{self, Wrong};
use crate::certificate;
use crate::error::Error;
use crate::keys::{Attributes, Key, KeyStore};
use crate::material::{Curve, Kind, RsaSize};
use crate::vendor::{Reply, Request};

/// The most random bytes for one request.
const MOST_RANDOM: usize = 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sign {
    algorithm: String,
    digest: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decrypt {
    algorithm: String,
    ciphertext: String,
}

/// Makes the keys that the store lacks.
pub(super) fn plant(store: &KeyStore) -> Result<(), Error> {
    let seeds = [
        ("rsa-2048", Kind::Rsa(RsaSize::Bits2048), true),
        ("rsa-3072", Kind::Rsa(RsaSize::Bits3072), false),
        ("ec-p256", Kind::Ec(Curve::P256), true),
        ("ec-p384", Kind::Ec(Curve::P384), false),
        ("ed25519", Kind::Ed25519, false),
    ];
    for (label, kind, certified) in seeds {
        if store.get(label).is_some() {
            continue;
        }
        let attributes = Attributes::confined(true, matches!(kind, Kind::Rsa(_)));
        let mut key = Key::generate(label, kind, attributes, None, None)?;
        if certified {
            let certificate = certificate::self_signed(label, &key.material)?;
            key = key.with_certificate(certificate);
        }
        store.insert(key)?;
    }
    Ok(())
}

impl Gateway {
    /// `GET /api/v1/keys?page=1&size=50`.
    pub(super) fn list(&self, request: &Request) -> Answer {
        let (mut page, mut size) = (1, self.settings.page_size);
        for pair in request.query.split('&').filter(|pair| !pair.is_empty()) {
            let number = |text: &str| text.parse().ok().filter(|number: &usize| *number > 0);
            match pair.split_once('=').map(|(name, value)| (name, number(value))) {
                Some(("page", Some(number))) => page = number,
                Some(("size", Some(number))) => size = number.min(self.settings.page_size),
                _ => return Err(Refusal::bad_request(format!("{pair:?} is no page and no size."))),
            }
        }
        let labels = self.keys.labels();
        let shown: Vec<Value> = labels
            .iter()
            .skip((page - 1).saturating_mul(size))
            .take(size)
            .filter_map(|label| self.keys.get(label))
            .map(|key| json!({ "label": key.metadata.label, "algorithm": family(key.metadata.kind) }))
            .collect();
        let next = (page.saturating_mul(size) < labels.len()).then_some(page + 1);
        Ok(Reply::json(
            200,
            &json!({ "keys": shown, "page": page, "size": size, "total": labels.len(), "next": next }),
        ))
    }

    /// `GET /api/v1/keys/{label}`.
    pub(super) fn describe(&self, label: &str) -> Answer {
        let key = self.key(label)?;
        let pem = |name, der: &[u8]| der::pem::encode_string(name, LineEnding::LF, der).ok();
        let public_key = key.public_key.as_deref().and_then(|der| pem("PUBLIC KEY", der));
        let certificate = key.certificate().and_then(|der| pem("CERTIFICATE", &der));
        let mut body = json!({
            "label": label,
            "algorithm": family(key.metadata.kind),
            "operations": operations(&key),
            "publicKey": public_key,
            "certificate": certificate,
        });
        match key.metadata.kind {
            Kind::Rsa(size) => body["size"] = json!(size.bits()),
            Kind::Ec(curve) => body["curve"] = json!(curve_name(curve)),
            _ => {}
        }
        Ok(Reply::json(200, &body))
    }

    /// `POST /api/v1/keys/{label}/sign`.
    pub(super) fn sign(&self, label: &str, request: &Request) -> Answer {
        let key = self.key(label)?;
        let body: Sign = json_body(request)?;
        let digest = decoded("digest", &body.digest)?;
        if !key.metadata.attributes.sign {
            return Err(usage());
        }
        let signature = algorithms::sign(&key.material, &body.algorithm, &digest, self.settings.ecdsa_form);
        let signature = signature.map_err(|wrong| refused(wrong, &body.algorithm))?;
        Ok(Reply::json(200, &json!({ "signature": STANDARD.encode(signature) })))
    }

    /// `POST /api/v1/keys/{label}/decrypt`.
    pub(super) fn decrypt(&self, label: &str, request: &Request) -> Answer {
        let key = self.key(label)?;
        let body: Decrypt = json_body(request)?;
        let ciphertext = decoded("ciphertext", &body.ciphertext)?;
        if !key.metadata.attributes.decrypt {
            return Err(usage());
        }
        let plaintext = algorithms::decrypt(&key.material, &body.algorithm, &ciphertext);
        let plaintext = plaintext.map_err(|wrong| refused(wrong, &body.algorithm))?;
        Ok(Reply::json(200, &json!({ "plaintext": STANDARD.encode(plaintext) })))
    }

    /// `GET /api/v1/random/{n}`.
    pub(super) fn random(&self, length: &str) -> Answer {
        let length = length.parse().ok().filter(|length| (1..=MOST_RANDOM).contains(length));
        let length = length.ok_or_else(|| Refusal::bad_request("There are 1 to 1024 random bytes."))?;
        let mut bytes = vec![0; length];
        OsRng.fill_bytes(&mut bytes);
        Ok(Reply::json(200, &json!({ "random": STANDARD.encode(bytes) })))
    }

    fn key(&self, label: &str) -> Answer<Arc<Key>> {
        let missing = || Refusal::new(404, "NO_SUCH_KEY", format!("There is no key {label:?}."));
        self.keys.get(label).ok_or_else(missing)
    }
}

/// The body of a request, which must be JSON of exactly that shape.
pub(super) fn json_body<T: DeserializeOwned>(request: &Request) -> Answer<T> {
    if !is_json(request) {
        return Err(Refusal::new(415, "WRONG_TYPE", "The body must be application/json."));
    }
    serde_json::from_slice(&request.body).map_err(Refusal::bad_request)
}

fn decoded(name: &str, text: &str) -> Answer<Vec<u8>> {
    STANDARD.decode(text).map_err(|error| Refusal::bad_request(format!("{name}: {error}")))
}

fn family(kind: Kind) -> &'static str {
    match kind {
        Kind::Rsa(_) => "RSA",
        Kind::Ec(_) => "EC",
        Kind::Ed25519 => "ED25519",
        Kind::Aes(_) => "AES",
        Kind::HmacSha1 | Kind::HmacSha256 | Kind::HmacSha384 | Kind::HmacSha512 => "HMAC",
    }
}

fn curve_name(curve: Curve) -> &'static str {
    match curve {
        Curve::P256 => "P-256",
        Curve::P384 => "P-384",
        Curve::P521 => "P-521",
        Curve::Secp256k1 => "secp256k1",
    }
}

fn operations(key: &Key) -> Vec<&'static str> {
    let attributes = &key.metadata.attributes;
    let all = [("sign", attributes.sign), ("decrypt", attributes.decrypt)];
    all.into_iter().filter(|(_, may)| *may).map(|(name, _)| name).collect()
}

fn usage() -> Refusal {
    Refusal::new(403, "KEY_USAGE", "The key is not for this.")
}

fn refused(wrong: Wrong, algorithm: &str) -> Refusal {
    match wrong {
        Wrong::Algorithm => {
            Refusal::new(400, "WRONG_ALGORITHM", format!("{algorithm:?} is none of this key's."))
        }
        Wrong::Input => Refusal::new(400, "WRONG_INPUT", format!("{algorithm} does not take this input.")),
    }
}
