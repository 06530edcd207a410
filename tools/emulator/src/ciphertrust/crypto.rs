//! `/crypto/…`: what is done with keys. Raw bytes go in for signatures and MACs, Base64 in JSON for ciphers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use digest::core_api::BlockSizeUser;
use digest::{Digest, FixedOutputReset};
use hmac::{Mac, SimpleHmac};
use rand_core::{OsRng, RngCore};
use rsa::traits::PublicKeyParts;
use serde::Deserialize;
use serde_json::json;

use super::keys::{Resource, Vault, usage};
use super::query::Query;
use super::refusal::{Answer, Refusal};
use super::settings::{GcmAnswer, HashNames, Salt, Settings, Writing};
use crate::material::{Kind, Material};
use crate::securosys::aes_modes::Aes;
use crate::securosys::algorithm::{Cipher, Scheme, SignatureType};
use crate::securosys::cipher;
use crate::securosys::hash::{Hash, RsaHash};
use crate::securosys::sign;
use crate::vendor::Reply;

/// Bytes of the IV that the server chooses, and of the tag (Luna REST reference §11.1).
const IV_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// What `hashAlgo` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hashing {
    By(RsaHash),
    /// The data are the digest: a setting, and a name of the emulator's own.
    Prehashed,
}

fn hashing(name: &str, settings: &Settings) -> Answer<Hashing> {
    const NAMES: [(&str, &str, RsaHash); 5] = [
        ("sha-1", "sha1", RsaHash::Sha1),
        ("sha-224", "sha224", RsaHash::Sha224),
        ("sha-256", "sha256", RsaHash::Sha256),
        ("sha-384", "sha384", RsaHash::Sha384),
        ("sha-512", "sha512", RsaHash::Sha512),
    ];
    let lower = name.to_ascii_lowercase();
    let fits = |(dashed, plain, _): &&(&str, &str, RsaHash)| match settings.hash_names {
        HashNames::Any => lower == *dashed || lower == *plain,
        HashNames::Dashed => lower == *dashed,
        HashNames::Plain => lower == *plain,
    };
    match NAMES.iter().find(fits) {
        Some((_, _, hash)) => Ok(Hashing::By(*hash)),
        None if settings.prehashed && lower == "none" => Ok(Hashing::Prehashed),
        None => Err(Refusal::bad(format!("hashAlgo {name:?} is not supported"))),
    }
}

/// The scheme of a signature with that key; of a digest PSS knows the hash by its length.
fn scheme(
    key: &Material,
    hashing: Hashing,
    algorithm: Option<&str>,
    settings: &Settings,
    data: &[u8],
) -> Answer<Scheme> {
    let wrong = || Refusal::bad("the key does not sign with this algorithm");
    let is = |name: &str| algorithm.is_some_and(|algorithm| algorithm.eq_ignore_ascii_case(name));
    match (key, hashing) {
        (Material::Rsa(_), hashing) => {
            let pss = is(&settings.pss) || algorithm.is_none() && settings.rsa_is_pss;
            match hashing {
                Hashing::By(hash) if pss => Ok(Scheme::RsaPss(hash)),
                Hashing::Prehashed if pss => by_length(data.len()).map(Scheme::RsaPssDigest),
                _ if algorithm.is_some() && !is("rsa") => Err(wrong()),
                Hashing::By(hash) => Ok(Scheme::RsaPkcs1(hash)),
                Hashing::Prehashed => Ok(Scheme::RsaPkcs1Bare),
            }
        }
        (Material::Secret(_) | Material::Ed25519(_), _) => Err(wrong()),
        _ if algorithm.is_some() && !is("ecdsa") => Err(wrong()),
        (_, Hashing::By(hash)) => Ok(Scheme::Ecdsa(Hash::from(hash))),
        (_, Hashing::Prehashed) => Ok(Scheme::EcdsaDigest),
    }
}

fn by_length(length: usize) -> Answer<RsaHash> {
    let known = [RsaHash::Sha1, RsaHash::Sha224, RsaHash::Sha256, RsaHash::Sha384, RsaHash::Sha512];
    let hash = known.into_iter().find(|hash| hash.size() == length);
    hash.ok_or_else(|| Refusal::bad("no hash has digests of this length"))
}

fn require(resource: &Resource, bit: u32) -> Answer<()> {
    match resource.mask() & bit {
        0 => Err(Refusal::forbidden("The usage mask of the key does not allow this operation")),
        _ => Ok(()),
    }
}

/// `POST /crypto/sign`
pub(super) fn sign(vault: &Vault, settings: &Settings, query: &str, data: &[u8]) -> Answer {
    let query = Query::read(query, &["keyName", "hashAlgo", "signAlgo"])?;
    let resource = vault.by_name(query.required("keyName")?)?;
    let scheme = signature_scheme(&resource, settings, &query, data)?;
    require(&resource, usage::SIGN)?;
    let signature = made(&resource.key.material, scheme, settings, data)?;
    Ok(Reply::json(200, &json!({ "data": written(settings.signature, &signature) })))
}

#[expect(clippy::disallowed_methods, reason = "AWS-LC has one length of salt, and the keys are of no worth")]
fn made(key: &Material, scheme: Scheme, settings: &Settings, data: &[u8]) -> Answer<Vec<u8>> {
    let failed = || Refusal::bad("signing failed");
    let form = if settings.ecdsa_raw { SignatureType::Raw } else { SignatureType::Der };
    match (key, scheme, settings.pss_salt) {
        (Material::Rsa(key), Scheme::RsaPss(hash), Salt::None | Salt::Max) => {
            // RFC 8017 §9.1.1: all but the digest and two bytes.
            let room = key.size() - hash.size() - 2;
            let salt = if settings.pss_salt == Salt::Max { room } else { 0 };
            let digest = Hash::from(hash).digest(data);
            key.sign_with_rng(&mut OsRng, sign::pss(hash, salt), &digest).map_err(|_| failed())
        }
        _ => sign::sign(key, scheme, form, data).map_err(|_| failed()),
    }
}

fn written(writing: Writing, bytes: &[u8]) -> String {
    match writing {
        Writing::Hex => hex(bytes),
        Writing::Upper => hex(bytes).to_ascii_uppercase(),
        Writing::Base64 => STANDARD.encode(bytes),
    }
}

fn signature_scheme(resource: &Resource, settings: &Settings, query: &Query, data: &[u8]) -> Answer<Scheme> {
    let hashing = hashing(query.required("hashAlgo")?, settings)?;
    scheme(&resource.key.material, hashing, query.get("signAlgo"), settings, data)
}

/// `POST /crypto/signv`
pub(super) fn verify(vault: &Vault, settings: &Settings, query: &str, data: &[u8]) -> Answer {
    let query = Query::read(query, &["keyName", "hashAlgo", "signAlgo", "signature"])?;
    let resource = vault.by_name(query.required("keyName")?)?;
    let scheme = signature_scheme(&resource, settings, &query, data)?;
    require(&resource, usage::VERIFY)?;
    let signature = from_hex(query.required("signature")?)?;
    let verified = sign::verify(&resource.key.material, scheme, data, &signature);
    let verified = verified.map_err(|_| Refusal::bad("verification failed"))?;
    Ok(Reply::json(200, &json!({ "verified": verified })))
}

/// `POST /crypto/mac`
pub(super) fn mac(vault: &Vault, settings: &Settings, query: &str, data: &[u8]) -> Answer {
    let query = Query::read(query, &["keyName"])?;
    let resource = vault.by_name(query.required("keyName")?)?;
    require(&resource, usage::MAC_GENERATE)?;
    let mac = keyed_hash(&resource, data)?;
    let text = if settings.mac_hex { hex(&mac) } else { STANDARD.encode(mac) };
    Ok(Reply::json(200, &json!({ "data": text })))
}

/// `POST /crypto/macv`
pub(super) fn verify_mac(vault: &Vault, settings: &Settings, query: &str, data: &[u8]) -> Answer {
    let query = Query::read(query, &["keyName", "hash"])?;
    let resource = vault.by_name(query.required("keyName")?)?;
    require(&resource, usage::MAC_VERIFY)?;
    let text = query.required("hash")?;
    let given = if settings.mac_hex {
        from_hex(text)?
    } else {
        STANDARD.decode(text).map_err(|_| Refusal::bad("the hash is not Base64"))?
    };
    Ok(Reply::json(200, &json!({ "verified": keyed_hash(&resource, data)? == given })))
}

fn keyed_hash(resource: &Resource, data: &[u8]) -> Answer<Vec<u8>> {
    let Material::Secret(key) = &resource.key.material else {
        return Err(Refusal::bad("the key is none for MACs"));
    };
    match resource.key.metadata.kind {
        Kind::HmacSha1 => Ok(hmac::<sha1::Sha1>(key, data)),
        Kind::HmacSha256 => Ok(hmac::<sha2::Sha256>(key, data)),
        Kind::HmacSha384 => Ok(hmac::<sha2::Sha384>(key, data)),
        Kind::HmacSha512 => Ok(hmac::<sha2::Sha512>(key, data)),
        _ => Err(Refusal::bad("the key is none for MACs")),
    }
}

fn hmac<D: Digest + BlockSizeUser + FixedOutputReset>(key: &[u8], data: &[u8]) -> Vec<u8> {
    // A key of any length is taken.
    SimpleHmac::<D>::new_from_slice(key)
        .map(|mac| mac.chain_update(data).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

/// The body of `POST /crypto/encrypt`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EncryptBody {
    id: String,
    plaintext: String,
    mode: Option<String>,
    iv: Option<String>,
    aad: Option<String>,
    r#type: Option<String>,
    pad: Option<String>,
}

/// The body of `POST /crypto/decrypt`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DecryptBody {
    id: String,
    ciphertext: String,
    mode: Option<String>,
    tag: Option<String>,
    iv: Option<String>,
    aad: Option<String>,
    r#type: Option<String>,
    pad: Option<String>,
}

/// A key by its id, or by its name where the request says so.
fn referred(vault: &Vault, settings: &Settings, id: &str, kind: Option<&str>) -> Answer<Resource> {
    match kind {
        Some("name") => vault.by_name(id),
        Some("id") => vault.by_id(id),
        None if settings.names_as_ids => vault.by_id(id).or_else(|_| vault.by_name(id)),
        None => vault.by_id(id),
        Some(_) => Err(Refusal::bad("type is name or id")),
    }
}

/// `POST /crypto/encrypt`
pub(super) fn encrypt(vault: &Vault, settings: &Settings, body: &EncryptBody) -> Answer {
    let resource = referred(vault, settings, &body.id, body.r#type.as_deref())?;
    require(&resource, usage::ENCRYPT)?;
    let plaintext = base64(&body.plaintext)?;
    let key = match &resource.key.material {
        Material::Secret(key) => key,
        key => {
            let padding = padding(settings, body.pad.as_deref())?;
            let sealed = cipher::encrypt(key, padding, &cipher::Parameters::default(), &plaintext);
            let sealed = sealed.map_err(|_| Refusal::bad("encryption failed"))?;
            return Ok(Reply::json(200, &json!({ "ciphertext": STANDARD.encode(sealed.payload) })));
        }
    };
    require_gcm(body.mode.as_deref(), body.pad.as_deref())?;
    let iv = match &body.iv {
        Some(iv) => base64(iv)?,
        None => random_iv(),
    };
    check_iv(&iv)?;
    let aad = base64(body.aad.as_deref().unwrap_or_default())?;
    let (mut ciphertext, tag) = aes(key)?.gcm_encrypt(&iv, &aad, &plaintext);
    let mut answer = json!({ "id": body.id, "mode": "gcm", "version": 0 });
    if settings.gcm == GcmAnswer::Appended {
        ciphertext.extend_from_slice(&tag);
    } else {
        answer["tag"] = STANDARD.encode(tag).into();
    }
    if settings.gcm == GcmAnswer::Full || body.iv.is_none() {
        answer["iv"] = STANDARD.encode(&iv).into();
    }
    answer["ciphertext"] = STANDARD.encode(ciphertext).into();
    Ok(Reply::json(200, &answer))
}

/// `POST /crypto/decrypt`
pub(super) fn decrypt(vault: &Vault, settings: &Settings, body: &DecryptBody) -> Answer {
    let resource = referred(vault, settings, &body.id, body.r#type.as_deref())?;
    require(&resource, usage::DECRYPT)?;
    let ciphertext = base64(&body.ciphertext)?;
    let failed = || Refusal::decryption(settings.tag_failure);
    let plaintext = match &resource.key.material {
        Material::Secret(key) => {
            require_gcm(body.mode.as_deref(), body.pad.as_deref())?;
            let iv = base64(body.iv.as_deref().unwrap_or_default())?;
            check_iv(&iv)?;
            let tag = base64(body.tag.as_deref().unwrap_or_default())?;
            if tag.len() != TAG_BYTES {
                return Err(Refusal::bad("the tag has 16 bytes"));
            }
            let aad = base64(body.aad.as_deref().unwrap_or_default())?;
            aes(key)?.gcm_decrypt(&iv, &aad, &ciphertext, &tag).ok_or_else(failed)?
        }
        key => {
            let padding = padding(settings, body.pad.as_deref())?;
            cipher::decrypt(key, padding, &cipher::Parameters::default(), &ciphertext)
                .map_err(|_| failed())?
        }
    };
    Ok(Reply::json(200, &json!({ "plaintext": STANDARD.encode(plaintext) })))
}

/// What `pad` means for an RSA key; PKCS#1 v1.5 where it is not there.
fn padding(settings: &Settings, pad: Option<&str>) -> Answer<Cipher> {
    match pad {
        Some("oaep") if settings.oaep_sha256 => Ok(Cipher::RsaOaep(RsaHash::Sha256)),
        Some("oaep") => Ok(Cipher::RsaOaep(RsaHash::Sha1)),
        None | Some("pkcs1") => Ok(Cipher::RsaPkcs1),
        Some(other) => Err(Refusal::bad(format!("pad {other:?} is not supported"))),
    }
}

fn require_gcm(mode: Option<&str>, pad: Option<&str>) -> Answer<()> {
    match (mode, pad) {
        (Some("gcm"), None) => Ok(()),
        _ => Err(Refusal::unlearnt("modes other than gcm")),
    }
}

fn check_iv(iv: &[u8]) -> Answer<()> {
    if iv.len() == IV_BYTES { Ok(()) } else { Err(Refusal::bad("the iv has 12 bytes")) }
}

fn random_iv() -> Vec<u8> {
    let mut iv = vec![0; IV_BYTES];
    OsRng.fill_bytes(&mut iv);
    iv
}

fn aes(key: &[u8]) -> Answer<Aes> {
    Aes::new(key).ok_or_else(|| Refusal::bad("the key is no AES key"))
}

fn base64(text: &str) -> Answer<Vec<u8>> {
    STANDARD.decode(text).map_err(|_| Refusal::bad("what should be Base64 is not"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Answer<Vec<u8>> {
    let wrong = || Refusal::bad("what should be hexadecimal is not");
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0).ok_or_else(wrong)?;
    // Two digits are at most 255.
    Ok(digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}
