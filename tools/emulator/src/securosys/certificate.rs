//! Certificates of keys (Securosys TSB reference §2.11).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::pem::LineEnding;
use der::{Decode, Encode};
use serde_json::{Value, json};
use x509_cert::Certificate;

use super::Securosys;
use super::refusal::{
    Answer, CERTIFICATE_ENCODING, IN_HSM, INVALID_CERTIFICATE, KEY_TYPE, NO_SUCH_KEY, Refusal,
};
use super::switches::{CertificateForm, MissingCertificate, Version};
use super::wire::{ImportCertificate, base64};
use crate::vendor::Reply;

impl Securosys {
    pub(super) fn get_certificate(&self, label: &str) -> Answer {
        self.require_rest_api()?;
        let key = self.key(label)?;
        let Some(certificate) = key.certificate() else {
            return self.missing_certificate(label);
        };
        let text = match self.switches.certificate_form {
            CertificateForm::Base64 => base64(&certificate),
            CertificateForm::Pem => der::pem::encode_string("CERTIFICATE", LineEnding::LF, &certificate)
                .map_err(|error| Refusal::new(IN_HSM, error))?,
        };
        let mut body = json!({ "label": label, "certificate": text });
        if self.switches.version == Version::V2_5 {
            body["rawCertificate"] = Value::String(base64(&certificate));
        }
        Ok(Reply::json(200, &body))
    }

    fn missing_certificate(&self, label: &str) -> Answer {
        let message = format!("There is no certificate for the key '{label}'.");
        match self.switches.missing_certificate {
            MissingCertificate::NoSuchKey => Err(Refusal::new(NO_SUCH_KEY, message)),
            MissingCertificate::Invalid => Err(Refusal::new(INVALID_CERTIFICATE, message)),
            MissingCertificate::NotFound => Err(Refusal::http(404)),
            MissingCertificate::Null => Ok(Reply::json(200, &json!({ "label": label, "certificate": null }))),
        }
    }

    pub(super) fn import_certificate(&self, body: ImportCertificate) -> Answer {
        self.require_rest_api()?;
        let key = self.key(&body.label)?;
        let Some(public_key) = &key.public_key else {
            return Err(Refusal::new(KEY_TYPE, "A secret key has no certificate."));
        };
        let (der, certified) = read(&body.certificate)
            .ok_or_else(|| Refusal::new(CERTIFICATE_ENCODING, "The certificate is unreadable."))?;
        if certified != *public_key {
            return Err(Refusal::new(INVALID_CERTIFICATE, "The certificate is for another key."));
        }
        self.keys.set_certificate(&key, Some(der))?;
        Ok(Reply::empty(200))
    }

    pub(super) fn delete_certificate(&self, label: &str) -> Answer {
        self.require_rest_api()?;
        let key = self.key(label)?;
        if key.certificate().is_none() {
            return self.missing_certificate(label);
        }
        self.keys.set_certificate(&key, None)?;
        Ok(Reply::empty(200))
    }
}

/// A certificate with its public key. Armour is refused: section 0 of the reference has it tolerated, section 2.11 wants none.
fn read(text: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let der = STANDARD.decode(text).ok()?;
    let certificate = Certificate::from_der(&der).ok()?;
    let public_key = certificate.tbs_certificate.subject_public_key_info.to_der().ok()?;
    Some((der, public_key))
}
