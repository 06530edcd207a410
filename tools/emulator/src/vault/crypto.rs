//! `sign`, `encrypt`, `decrypt`, `random`: what is done with keys.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rand_core::{OsRng, RngCore};
use rsa::traits::PublicKeyParts;
use serde::Deserialize;
use serde_json::json;

use super::envelope;
use super::keys::{Keys, type_name};
use super::refusal::{Answer, Refusal};
use crate::keys::Key;
use crate::material::{Kind, Material};
use crate::rsa_key::RsaKey;
use crate::securosys::aes_modes::Aes;
use crate::securosys::algorithm::{Cipher, Scheme, SignatureType};
use crate::securosys::cipher;
use crate::securosys::hash::{Hash, RsaHash};
use crate::securosys::sign;

/// Bytes of the IV before a ciphertext, and of the tag behind it.
const IV_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// The most random bytes of one request.
const MOST_RANDOM: usize = 128 * 1024;

const HASHES: [(&str, RsaHash); 5] = [
    ("sha1", RsaHash::Sha1),
    ("sha2-224", RsaHash::Sha224),
    ("sha2-256", RsaHash::Sha256),
    ("sha2-384", RsaHash::Sha384),
    ("sha2-512", RsaHash::Sha512),
];

/// The body of `POST /v1/transit/sign/{name}`.
#[derive(Deserialize)]
pub(super) struct SignBody {
    #[serde(default)]
    input: String,
    hash_algorithm: Option<String>,
    key_version: Option<i64>,
    #[serde(default)]
    prehashed: bool,
    #[serde(default)]
    signature_algorithm: String,
    marshaling_algorithm: Option<String>,
    salt_length: Option<String>,
}

impl SignBody {
    pub(super) const MEMBERS: &[&str] = &[
        "input",
        "hash_algorithm",
        "key_version",
        "prehashed",
        "signature_algorithm",
        "marshaling_algorithm",
        "salt_length",
    ];
}

/// What is signed with, besides the key.
struct Way {
    /// `None`: the input is padded as it is.
    hash: Option<RsaHash>,
    prehashed: bool,
    form: SignatureType,
}

/// `POST /v1/transit/sign/{name}[/{hash}]`; the hash of the path goes before that of the body.
pub(super) fn sign(keys: &Keys, name: &str, hash: Option<&str>, body: &SignBody) -> Answer {
    let way = way(hash, body)?;
    let versions = keys.get(name, "signing key not found")?;
    if matches!(versions.kind(), Kind::Aes(_)) {
        let kind = type_name(versions.kind());
        return Err(Refusal::bad(format!("key type {kind} does not support signing")));
    }
    if way.hash.is_none() && !(way.prehashed && body.signature_algorithm == "pkcs1v15") {
        let text = "hash_algorithm=none requires both prehashed=true and signature_algorithm=pkcs1v15";
        return Err(Refusal::bad(text));
    }
    let input = STANDARD.decode(&body.input);
    let input = input.map_err(|error| Refusal::bad(format!("unable to decode input as base64: {error}")))?;
    let (version, key) = versions.current(body.key_version, "signing")?;
    let signature = compute(key, &way, body, input)?;
    let text = match way.form {
        SignatureType::Raw => URL_SAFE_NO_PAD.encode(signature),
        _ => STANDARD.encode(signature),
    };
    Ok(envelope::data(json!({ "signature": format!("vault:v{version}:{text}"), "key_version": version })))
}

fn way(hash: Option<&str>, body: &SignBody) -> Answer<Way> {
    let name = hash.or(body.hash_algorithm.as_deref()).unwrap_or("sha2-256");
    let hash = HASHES.iter().find(|(known, _)| *known == name).map(|(_, hash)| *hash);
    if hash.is_none() && name != "none" {
        return Err(Refusal::bad(format!("invalid hash algorithm {name:?}")));
    }
    let form = match body.marshaling_algorithm.as_deref().unwrap_or("asn1") {
        "asn1" => SignatureType::Der,
        "jws" => SignatureType::Raw,
        other => return Err(Refusal::bad(format!("invalid marshaling type {other:?}"))),
    };
    Ok(Way { hash, prehashed: body.prehashed, form })
}

fn compute(key: &Key, way: &Way, body: &SignBody, input: Vec<u8>) -> Answer<Vec<u8>> {
    let hashed = |input: Vec<u8>| match way.hash {
        Some(hash) if !way.prehashed => Hash::from(hash).digest(&input),
        _ => input,
    };
    let (scheme, input) = match &key.material {
        Material::Rsa(rsa) => return sign_rsa(key, rsa, way, body, &hashed(input)),
        Material::Ed25519(_) if way.prehashed => {
            return Err(Refusal::bad("only Pure Ed25519 signatures supported, prehashed must be false"));
        }
        Material::Ed25519(_) => (Scheme::EdDsa, input),
        _ => (Scheme::EcdsaDigest, hashed(input)),
    };
    sign::sign(&key.material, scheme, way.form, &input).map_err(|_| Refusal::internal("signing failed"))
}

fn sign_rsa(key: &Key, rsa: &RsaKey, way: &Way, body: &SignBody, digest: &[u8]) -> Answer<Vec<u8>> {
    let wrong = || Refusal::internal("crypto/rsa: input must be hashed message");
    let scheme = match (body.signature_algorithm.as_str(), way.hash) {
        ("pkcs1v15", Some(hash)) => Scheme::RsaPkcs1Digest(hash),
        ("pkcs1v15", None) => Scheme::RsaPkcs1Bare,
        ("" | "pss", Some(hash)) => match salt_bytes(rsa, hash, body.salt_length.as_deref())? {
            salt if salt == hash.size() => Scheme::RsaPssDigest(hash),
            salt => return sign_pss(rsa, hash, salt, digest).ok_or_else(wrong),
        },
        (other, _) => return Err(Refusal::internal(format!("unsupported rsa signature algorithm {other}"))),
    };
    sign::sign(&key.material, scheme, SignatureType::Der, digest).map_err(|_| wrong())
}

#[expect(clippy::disallowed_methods, reason = "AWS-LC has no such salts, and the keys are of no worth")]
fn sign_pss(key: &RsaKey, hash: RsaHash, salt: usize, digest: &[u8]) -> Option<Vec<u8>> {
    let fits = digest.len() == hash.size();
    fits.then(|| key.sign_with_rng(&mut OsRng, sign::pss(hash, salt), digest).ok()).flatten()
}

/// Without a word about it, a salt is as long as there is room for.
fn salt_bytes(key: &RsaKey, hash: RsaHash, asked: Option<&str>) -> Answer<usize> {
    match asked.unwrap_or("auto") {
        // RFC 8017 §9.1.1, step 3.
        "auto" => Ok(key.size() - hash.size() - 2),
        "hash" => Ok(hash.size()),
        number => number.parse().map_err(|_| Refusal::bad(format!("salt length {number:?} is unsupported"))),
    }
}

/// The body of `POST /v1/transit/encrypt/{name}`.
#[derive(Deserialize)]
pub(super) struct EncryptBody {
    plaintext: String,
    key_version: Option<i64>,
    #[serde(default)]
    associated_data: String,
    padding_scheme: Option<String>,
    nonce: Option<String>,
}

impl EncryptBody {
    pub(super) const MEMBERS: &[&str] =
        &["plaintext", "key_version", "associated_data", "padding_scheme", "nonce"];
}

/// The body of `POST /v1/transit/decrypt/{name}`.
#[derive(Deserialize)]
pub(super) struct DecryptBody {
    ciphertext: String,
    #[serde(default)]
    associated_data: String,
    padding_scheme: Option<String>,
}

impl DecryptBody {
    pub(super) const MEMBERS: &[&str] = &["ciphertext", "associated_data", "padding_scheme"];
}

/// `POST /v1/transit/encrypt/{name}`; an IV is the engine's to choose.
pub(super) fn encrypt(keys: &Keys, name: &str, body: &EncryptBody) -> Answer {
    let versions = keys.get(name, "encryption key not found")?;
    let (version, key) = versions.current(body.key_version, "encryption")?;
    let plaintext = base64(&body.plaintext, "plaintext")?;
    if body.nonce.as_ref().is_some_and(|nonce| !nonce.is_empty()) {
        return Err(Refusal::bad("provided nonce not allowed for this key"));
    }
    let sealed = match &key.material {
        Material::Secret(secret) => {
            let aad = base64(&body.associated_data, "associated_data")?;
            let mut iv = [0; IV_BYTES];
            OsRng.fill_bytes(&mut iv);
            let (ciphertext, tag) = aes(secret)?.gcm_encrypt(&iv, &aad, &plaintext);
            [&iv[..], &ciphertext, &tag].concat()
        }
        Material::Rsa(_) => {
            let padding = padding(body.padding_scheme.as_deref())?;
            let sealed = cipher::encrypt(&key.material, padding, &cipher::Parameters::default(), &plaintext);
            sealed.map_err(|_| Refusal::bad("message too long for RSA key size"))?.payload
        }
        _ => return Err(no_cipher(key, "encryption")),
    };
    let text = format!("vault:v{version}:{}", STANDARD.encode(sealed));
    Ok(envelope::data(json!({ "ciphertext": text, "key_version": version })))
}

/// `POST /v1/transit/decrypt/{name}`
pub(super) fn decrypt(keys: &Keys, name: &str, body: &DecryptBody) -> Answer {
    let versions = keys.get(name, "encryption key not found")?;
    let rest = body.ciphertext.strip_prefix("vault:v");
    let rest = rest.ok_or_else(|| Refusal::bad("invalid ciphertext: no prefix"))?;
    let parts = rest.split_once(':').and_then(|(version, text)| Some((version.parse().ok()?, text)));
    let (version, text) =
        parts.ok_or_else(|| Refusal::bad("invalid ciphertext: version number could not be decoded"))?;
    let key = versions.of_ciphertext(version)?;
    let sealed = STANDARD.decode(text);
    let sealed = sealed.map_err(|_| Refusal::bad("invalid ciphertext: could not decode base64"))?;
    let plaintext = match &key.material {
        Material::Secret(secret) => {
            let aad = base64(&body.associated_data, "associated_data")?;
            open_gcm(&aes(secret)?, &aad, &sealed)?
        }
        Material::Rsa(_) => {
            let padding = padding(body.padding_scheme.as_deref())?;
            let opened = cipher::decrypt(&key.material, padding, &cipher::Parameters::default(), &sealed);
            opened.map_err(|_| {
                Refusal::bad("failed to RSA decrypt the ciphertext: crypto/rsa: decryption error")
            })?
        }
        _ => return Err(no_cipher(key, "decryption")),
    };
    Ok(envelope::data(json!({ "plaintext": STANDARD.encode(plaintext) })))
}

fn open_gcm(aes: &Aes, aad: &[u8], sealed: &[u8]) -> Answer<Vec<u8>> {
    if sealed.len() < IV_BYTES + TAG_BYTES {
        return Err(Refusal::bad("invalid ciphertext length"));
    }
    let (iv, rest) = sealed.split_at(IV_BYTES);
    let (ciphertext, tag) = rest.split_at(rest.len() - TAG_BYTES);
    let opened = aes.gcm_decrypt(iv, aad, ciphertext, tag);
    opened.ok_or_else(|| Refusal::bad("cipher: message authentication failed"))
}

fn no_cipher(key: &Key, what: &str) -> Refusal {
    Refusal::bad(format!("message {what} not supported for key type {}", type_name(key.metadata.kind)))
}

/// OAEP has SHA-256, also in its MGF1.
fn padding(asked: Option<&str>) -> Answer<Cipher> {
    match asked.unwrap_or("oaep") {
        "oaep" => Ok(Cipher::RsaOaep(RsaHash::Sha256)),
        "pkcs1v15" => Ok(Cipher::RsaPkcs1),
        other => Err(Refusal::bad(format!("padding_scheme argument invalid: {other}"))),
    }
}

fn aes(secret: &[u8]) -> Answer<Aes> {
    Aes::new(secret).ok_or_else(|| Refusal::bad("the key type has no cipher"))
}

fn base64(text: &str, what: &str) -> Answer<Vec<u8>> {
    STANDARD.decode(text).map_err(|_| Refusal::bad(format!("failed to base64-decode {what}")))
}

/// The body of `POST /v1/transit/random[/{bytes}]`.
#[derive(Deserialize)]
pub(super) struct RandomBody {
    bytes: Option<usize>,
    format: Option<String>,
}

impl RandomBody {
    pub(super) const MEMBERS: &[&str] = &["bytes", "format"];
}

/// `POST /v1/transit/random[/{bytes}]`; the number in the path goes before that of the body, and 32 is the usual one.
pub(super) fn random(length: Option<&str>, body: &RandomBody) -> Answer {
    let length = match length {
        Some(text) => text.parse().map_err(|error| Refusal::bad(format!("error parsing bytes: {error}")))?,
        None => body.bytes.unwrap_or(32),
    };
    if !(1..=MOST_RANDOM).contains(&length) {
        return Err(Refusal::bad(format!("\"bytes\" should be between 1 and {MOST_RANDOM}")));
    }
    let mut bytes = vec![0; length];
    OsRng.fill_bytes(&mut bytes);
    let text = match body.format.as_deref().unwrap_or("base64") {
        "base64" => STANDARD.encode(bytes),
        "hex" => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        other => return Err(Refusal::bad(format!("unsupported encoding format {other:?}"))),
    };
    Ok(envelope::data(json!({ "random_bytes": text })))
}
