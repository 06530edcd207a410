//! Certificates for keys that have none: for applications that see a key only beside its certificate.

use std::sync::Arc;

use cryptoki_sys::{CKA_SIGN, CKF_SIGN, CKM_ECDSA_SHA256, CKM_EDDSA, CKM_SHA256_RSA_PKCS};

use super::Catalog;
use super::aliases::{Aliases, Base64};
use super::entry::{Entry, Origin};
use super::key_objects::KeyObjects;
use crate::config::MissingCertificates;
use crate::crypto::certificate::Certificate;
use crate::crypto::public_key::PublicKey;
use crate::crypto::self_issued;
use crate::error::{Error, Result};
use crate::model::mechanism::{Chosen, Parameter};
use crate::model::object::{HsmKey, Material};
use crate::model::operation::{Output, Room};
use crate::model::sign::Signing;
use crate::transport::Deadline;

impl Catalog {
    /// Notes of these keys that they have no certificate, or gives them one. What cannot be signed now is tried again after
    /// the next login, or when it is asked for whether there is one by now.
    pub(super) fn store_missing(&self, keyless: Vec<(&Arc<Entry>, Arc<KeyObjects>)>, deadline: Deadline) {
        let mut signs = self.settings.missing_certificates == MissingCertificates::SelfSigned
            && self.backend.login_stands()
            && self.backend.is_licensed();
        for (entry, keys) in keyless {
            let made = self.made(entry, &keys, &mut signs, deadline).unwrap_or_else(|error| {
                self.log.warn(format_args!("key {:?} signs no certificate: {error}", entry.name));
                signs = false;
                None
            });
            match made {
                Some(certificate) => self.store_certificate(entry, &keys, &certificate, Origin::Made),
                None => entry.loaded.write().put_certificate(None),
            }
        }
    }

    /// The certificate that is made for a key; none for one whose certificate an application brought, or destroyed.
    fn made(
        &self,
        entry: &Entry,
        keys: &KeyObjects,
        signs: &mut bool,
        deadline: Deadline,
    ) -> Result<Option<Certificate>> {
        let (Some(public), Some(key)) = (&keys.public_key, &keys.key) else { return Ok(None) };
        let own = self.aliases.as_ref().and_then(|aliases| aliases.of(&entry.name)?.own_certificate);
        if own.as_ref().is_some_and(|own| own.0.is_empty()) || self.kept.certifies(public) {
            return Ok(None);
        }
        match (self.settings.missing_certificates, &self.aliases, &key.material) {
            (MissingCertificates::Unsigned, ..) => Ok(Some(self_issued::unsigned(public, &keys.label))),
            (MissingCertificates::SelfSigned, Some(aliases), Material::Hsm(hsm_key)) => {
                if let Some(certificate) = own.and_then(|own| of_key(&own, public)) {
                    return Ok(Some(certificate));
                }
                let may_sign = key.attributes.is_true(CKA_SIGN) && !hsm_key.approval && !hsm_key.password;
                if !*signs || !may_sign {
                    return Ok(None);
                }
                let certificate = self.self_signed(hsm_key, public, &keys.label, deadline)?;
                certificate.map(|certificate| keep_first(aliases, entry, public, certificate)).transpose()
            }
            _ => Ok(None),
        }
    }

    /// `None` where the token offers no mechanism for it.
    fn self_signed(
        &self,
        key: &Arc<HsmKey>,
        public: &PublicKey,
        label: &str,
        deadline: Deadline,
    ) -> Result<Option<Certificate>> {
        let wanted = [CKM_SHA256_RSA_PKCS, CKM_ECDSA_SHA256, CKM_EDDSA];
        let key_type = crate::model::object::key_type(public);
        let mut offers = self.traits.offers.iter();
        let offered = offers.find(|(mechanism, offer)| {
            wanted.contains(&mechanism.kind)
                && mechanism.key_type() == key_type
                && offer.flags & CKF_SIGN != 0
        });
        let (Some((mechanism, _)), Some(draft)) = (offered, self_issued::self_signed(public, label)) else {
            return Ok(None);
        };
        let chosen = Chosen { mechanism, parameter: Parameter::None };
        let backend = self.backend.as_ref();
        let mut signing = Signing::new(&chosen, Arc::clone(key), backend)?;
        match signing.sign(Some(draft.bytes()), Room::Bytes(usize::MAX), backend, deadline)? {
            Output::Bytes(signature) => Ok(Some(draft.signed(&signature))),
            Output::Length(_) => Err(Error::internal("a signature was asked for, not its length")),
        }
    }

    /// After a login more keys can sign.
    pub(super) fn retry_missing(&self) {
        if self.settings.missing_certificates != MissingCertificates::SelfSigned {
            return;
        }
        for entry in self.entries.read().by_name.values() {
            let certificate = &mut entry.loaded.write().certificate;
            if matches!(certificate, Some(None)) {
                *certificate = None;
            }
        }
    }
}

/// Keeps what a key signed. Another process may have been first: then its certificate is the one.
fn keep_first(
    aliases: &Aliases,
    entry: &Entry,
    public: &PublicKey,
    certificate: Certificate,
) -> Result<Certificate> {
    aliases.update(|content| {
        let alias = content.keys.entry(entry.name.as_str().to_owned()).or_default();
        if let Some(first) = alias.own_certificate.as_ref().and_then(|own| of_key(own, public)) {
            return Ok(first);
        }
        alias.own_certificate = Some(Base64(certificate.der().to_vec()));
        Ok(certificate)
    })
}

/// The certificate, if it is one of this key: a key can have been made anew under its old name.
fn of_key(own: &Base64, public: &PublicKey) -> Option<Certificate> {
    let certificate = Certificate::from_der(&own.0).ok()?;
    (certificate.public_key().as_ref() == Ok(public)).then_some(certificate)
}
