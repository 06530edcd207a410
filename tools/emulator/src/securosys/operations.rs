//! Operations with keys (Securosys TSB reference §3), each checked in the order of §11.

use std::sync::Arc;

use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::Sha256;

use super::Securosys;
use super::algorithm::{self, Cipher, SignatureType};
use super::cipher::{self, Encrypted, Parameters};
use super::refusal::{
    Answer, FORBIDDEN, IN_HSM, KEY_ATTRIBUTES, KEY_TYPE, NO_SUCH_KEY, PASSWORD, PAYLOAD, Refusal, VALIDATION,
};
use super::sign;
use super::switches::UsageRefusal;
use super::wire::{
    Base64, DecryptBody, DecryptRequest, EncryptBody, HmacBody, Password, SignBody, SignRequest, VerifyBody,
    VerifyHmacRequest, VerifyRequest, base64,
};
use crate::keys::Key;
use crate::material::Material;
use crate::vendor::Reply;

/// The limit of a whole request to the HSM, here of its payload (reference §7).
const MAX_PAYLOAD_BYTES: usize = 64 * 1024;

impl Securosys {
    pub(super) fn sign(&self, body: SignBody) -> Answer {
        let signature = self.signature(body.sign_request)?;
        Ok(Reply::json(200, &json!({ "signature": base64(signature) })))
    }

    /// The signature that a request asks for.
    pub(super) fn signature(&self, request: SignRequest) -> Answer<Vec<u8>> {
        let version = self.switches.version;
        let scheme = algorithm::scheme(&request.signature_algorithm, version)
            .ok_or_else(|| self.unknown_value("signatureAlgorithm"))?;
        let form = algorithm::signature_type(request.signature_type.as_deref(), version)
            .ok_or_else(|| self.unknown_value("signatureType"))?;
        let plain = algorithm::payload_is_plain(request.payload_type.as_deref())
            .ok_or_else(|| self.unknown_value("payloadType"))?;
        check_extras(&request, plain)?;
        self.require_rest_api()?;
        let key = self.usable_key(&request.sign_key_name, request.key_password.as_ref())?;
        sign::check_key(&key.material, scheme, form)?;
        if !key.metadata.attributes.sign {
            return Err(usage_refusal(self.switches.usage_refusal, "sign"));
        }
        check_size(&request.payload)?;
        sign::sign(&key.material, scheme, form, &request.payload.0)
    }

    pub(super) fn verify(&self, body: VerifyBody) -> Answer {
        let valid = match (body.verify_signature_request, body.verify_hmac_request) {
            (Some(request), None) => self.verify_signature(request)?,
            (None, Some(request)) => self.verify_hmac(request)?,
            _ => {
                let message = "Either verifySignatureRequest or verifyHmacRequest is required.";
                return Err(Refusal::new(VALIDATION, message));
            }
        };
        Ok(Reply::json(200, &json!({ "signatureValid": valid })))
    }

    fn verify_signature(&self, request: VerifyRequest) -> Answer<bool> {
        let scheme = algorithm::scheme(&request.signature_algorithm, self.switches.version)
            .ok_or_else(|| self.unknown_value("signatureAlgorithm"))?;
        self.require_rest_api()?;
        let key = self.key(&request.sign_key_name)?;
        sign::check_key(&key.material, scheme, SignatureType::Der)?;
        if !key.metadata.attributes.verify {
            return Err(Refusal::new(KEY_ATTRIBUTES, "The key may not verify."));
        }
        check_size(&request.payload)?;
        sign::verify(&key.material, scheme, &request.payload.0, &request.signature.0)
    }

    fn verify_hmac(&self, request: VerifyHmacRequest) -> Answer<bool> {
        let mac = self.keyed_hash(&request.key_name, &request.payload)?;
        Ok(mac.verify_slice(&request.signature.0).is_ok())
    }

    pub(super) fn hmac(&self, body: HmacBody) -> Answer {
        let request = body.hmac_request;
        let mac = self.keyed_hash(&request.key_name, &request.payload)?;
        let hash = mac.finalize().into_bytes();
        Ok(Reply::json(200, &json!({ "keyedHash": base64(hash) })))
    }

    fn keyed_hash(&self, label: &str, payload: &Base64) -> Answer<Hmac<Sha256>> {
        self.require_rest_api()?;
        let key = self.usable_key(label, None)?;
        let bytes = match (&key.material, key.metadata.kind) {
            (Material::Secret(bytes), crate::material::Kind::HmacSha256) => bytes,
            _ => return Err(Refusal::new(KEY_TYPE, "The key is none for HMAC.")),
        };
        if !key.metadata.attributes.sign {
            return Err(usage_refusal(self.switches.usage_refusal, "sign"));
        }
        check_size(payload)?;
        let mac = Hmac::<Sha256>::new_from_slice(bytes)
            .map_err(|_| Refusal::new(IN_HSM, "Error computing HMAC"))?;
        Ok(mac.chain_update(&payload.0))
    }

    pub(super) fn encrypt(&self, body: EncryptBody) -> Answer {
        let request = body.encrypt_request;
        let cipher = self.cipher(&request.cipher_algorithm)?;
        self.require_rest_api()?;
        let key = match cipher {
            // With the public key: only secret keys need their password (reference §3.4).
            Cipher::RsaOaep(_) | Cipher::RsaPkcs1 | Cipher::RsaRaw => self.key(&request.encrypt_key_name)?,
            _ => self.usable_key(&request.encrypt_key_name, request.key_password.as_ref())?,
        };
        cipher::check_key(key.metadata.kind, cipher)?;
        if !key.metadata.attributes.encrypt {
            return Err(Refusal::new(KEY_ATTRIBUTES, "The key may not encrypt."));
        }
        check_size(&request.payload)?;
        let parameters = Parameters {
            iv: None,
            aad: request.additional_authentication_data.map(|aad| aad.0),
            tag_length: request.tag_length.unwrap_or(0),
        };
        let encrypted = cipher::encrypt(&key.material, cipher, &parameters, &request.payload.0)?;
        Ok(encrypted_reply(&encrypted))
    }

    pub(super) fn decrypt(&self, body: DecryptBody) -> Answer {
        let payload = self.decrypted(body.decrypt_request)?;
        Ok(Reply::json(200, &json!({ "payload": base64(payload) })))
    }

    /// The plaintext that a request asks for.
    pub(super) fn decrypted(&self, request: DecryptRequest) -> Answer<Vec<u8>> {
        let cipher = self.cipher(&request.cipher_algorithm)?;
        check_approvals(request.signed_approvals.as_deref())?;
        self.require_rest_api()?;
        let key = self.usable_key(&request.decrypt_key_name, request.key_password.as_ref())?;
        cipher::check_key(key.metadata.kind, cipher)?;
        if !key.metadata.attributes.decrypt {
            return Err(usage_refusal(self.switches.usage_refusal, "decrypt"));
        }
        check_size(&request.encrypted_payload)?;
        let parameters = Parameters {
            iv: request.initialization_vector.map(|iv| iv.0),
            aad: request.additional_authentication_data.map(|aad| aad.0),
            tag_length: request.tag_length.unwrap_or(0),
        };
        cipher::decrypt(&key.material, cipher, &parameters, &request.encrypted_payload.0)
    }

    fn cipher(&self, name: &str) -> Answer<Cipher> {
        algorithm::cipher(name).ok_or_else(|| self.unknown_value("cipherAlgorithm"))
    }

    /// The key of that label.
    pub(super) fn key(&self, label: &str) -> Answer<Arc<Key>> {
        self.keys.get(label).ok_or_else(|| {
            Refusal::new(NO_SUCH_KEY, format!("A key with the name '{label}' does not exist."))
        })
    }

    /// The key of that label, if its password, where it has one, is right.
    pub(super) fn usable_key(&self, label: &str, password: Option<&Password>) -> Answer<Arc<Key>> {
        let key = self.key(label)?;
        let open = key
            .metadata
            .password
            .as_ref()
            .is_none_or(|expected| password.is_some_and(|password| expected.matches(password.as_str())));
        if open {
            return Ok(key);
        }
        Err(Refusal::new(PASSWORD, format!("Key password mismatch for key '{label}'.")))
    }
}

/// The refusal of an operation that the key's attributes forbid.
pub(super) fn usage_refusal(switch: UsageRefusal, operation: &str) -> Refusal {
    let code = match switch {
        UsageRefusal::InHsm701 => IN_HSM,
        UsageRefusal::Attributes606 => KEY_ATTRIBUTES,
        UsageRefusal::Forbidden614 => FORBIDDEN,
    };
    Refusal::new(code, format!("The key does not allow: {operation}"))
}

/// Fields of other key types, and those that the emulator has not learnt.
fn check_extras(request: &SignRequest, plain: bool) -> Answer<()> {
    if !plain {
        return Err(Refusal::not_implemented("payloadType HEX"));
    }
    if request.sign_key_object.is_some() {
        return Err(Refusal::not_implemented("signKeyObject"));
    }
    let foreign = [
        &request.context,
        &request.auxiliary_random_data,
        &request.taproot_tweak_data,
        &request.merkle_root_data,
    ];
    if foreign.iter().any(|field| field.is_some()) {
        let message = "The request has fields that the algorithm has no use for.";
        return Err(Refusal::new(VALIDATION, message));
    }
    check_approvals(request.signed_approvals.as_deref())
}

/// Keys without a policy need no approvals.
fn check_approvals(approvals: Option<&[Base64]>) -> Answer<()> {
    if approvals.is_some_and(|approvals| !approvals.is_empty()) {
        return Err(Refusal::new(VALIDATION, "The key has no policy that asks for approvals."));
    }
    Ok(())
}

fn check_size(payload: &Base64) -> Answer<()> {
    if payload.0.len() > MAX_PAYLOAD_BYTES {
        return Err(Refusal::new(PAYLOAD, "The payload is longer than 64 KB."));
    }
    Ok(())
}

fn encrypted_reply(encrypted: &Encrypted) -> Reply {
    let split = encrypted.payload.len() - encrypted.tag_bytes.unwrap_or(0);
    let (bare, tag) = encrypted.payload.split_at(split);
    let has_tag = encrypted.tag_bytes.is_some();
    Reply::json(
        200,
        &json!({
            "encryptedPayload": base64(&encrypted.payload),
            "encryptedPayloadWithoutMessageAuthenticationCode": has_tag.then(|| base64(bare)),
            "initializationVector": encrypted.iv.as_ref().map(base64),
            "messageAuthenticationCode": has_tag.then(|| base64(tag)),
        }),
    )
}
