//! Certificates of keys (Securosys TSB reference §2.11).

use der::pem::LineEnding;
use der::{Decode, Encode};
use serde_json::{Value, json};
use x509_cert::Certificate;

use super::Securosys;
use super::refusal::{Answer, CERTIFICATE_ENCODING, IN_HSM, INVALID_CERTIFICATE, NO_SUCH_KEY, Refusal};
use super::switches::{CertificateForm, MissingCertificate, Version};
use super::wire::{Base64, ImportCertificate, base64};
use crate::keys::Key;
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
        let der = certificate_der(&body.certificate)
            .ok_or_else(|| Refusal::new(CERTIFICATE_ENCODING, "The certificate is unreadable."))?;
        if !certifies(&der, &key) {
            let message = "The certificate is for another key.";
            return Err(Refusal::new(INVALID_CERTIFICATE, message));
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

/// Base64 of DER; the import endpoints tolerate PEM (reference §0).
fn certificate_der(text: &str) -> Option<Vec<u8>> {
    if text.trim_start().starts_with("-----BEGIN CERTIFICATE-----") {
        return der::pem::decode_vec(text.trim().as_bytes()).ok().map(|(_, der)| der);
    }
    serde_json::from_value(Value::String(text.to_owned())).ok().map(|Base64(der)| der)
}

fn certifies(certificate: &[u8], key: &Key) -> bool {
    let certified = Certificate::from_der(certificate)
        .and_then(|certificate| certificate.tbs_certificate.subject_public_key_info.to_der());
    certified.is_ok_and(|public_key| Some(public_key) == key.public_key)
}
