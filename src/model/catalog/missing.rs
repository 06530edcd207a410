//! Certificates for keys that have none: for applications that see a key only beside its certificate.

use std::sync::Arc;

use cryptoki_sys::{
    CKA_SIGN, CKF_SIGN, CKM_ECDSA_SHA256, CKM_EDDSA, CKM_SHA256_RSA_PKCS, CKR_DEVICE_ERROR,
    CKR_USER_NOT_LOGGED_IN,
};

use super::Catalog;
use super::aliases::{Aliases, Base64, own_name};
use super::entry::{Entry, Origin};
use super::key_objects::KeyObjects;
use crate::config::MissingCertificates;
use crate::crypto::certificate::Certificate;
use crate::crypto::public_key::PublicKey;
use crate::crypto::self_issued::{self, ToBeSigned};
use crate::error::{Error, Result};
use crate::model::mechanism::{Chosen, Mechanism, Parameter};
use crate::model::object::{HsmKey, Material, key_type};
use crate::model::operation::{Output, Room};
use crate::model::sign::Signing;
use crate::transport::Deadline;

/// A key without a certificate.
type Bare<'a> = (&'a Arc<Entry>, Arc<KeyObjects>);

/// What there is for one.
enum Substitute {
    /// This one.
    Made(Certificate),
    /// None, and there will be none.
    Nothing,
    /// One that the key has to sign.
    Unsigned,
}

impl Catalog {
    /// Notes of these keys that they have no certificate, or gives them one.
    ///
    /// # Errors
    /// `CKR_DEVICE_ERROR` when the deadline came before all had signed: what is signed stays, and the next call goes on.
    pub(super) fn store_missing(&self, keys: Vec<Bare<'_>>, deadline: Deadline) -> Result<()> {
        let unsigned = self.substitute(keys);
        if unsigned.is_empty() {
            return Ok(());
        }
        let Some(aliases) = self.aliases.as_ref().filter(|_| self.may_sign_now()) else {
            unsigned.iter().for_each(|(entry, _)| entry.loaded.write().put_certificate(None));
            return Ok(());
        };
        // Whoever signs first and finds no place for it afterwards would sign again and again.
        if let Err(error) = aliases.probe() {
            self.log.warn(format_args!("no key signs a certificate, which could not be kept: {error}"));
            unsigned.iter().for_each(|(entry, _)| entry.loaded.write().put_certificate(None));
            return Ok(());
        }
        self.take_over();
        // Another process may have had the same wish.
        let unsigned = self.substitute(unsigned);
        let (signed, outcome) = self.have_signed(&unsigned, deadline);
        let kept = keep(aliases, signed);
        self.take_over();
        let without = self.substitute(unsigned);
        if outcome.is_ok() {
            without.iter().for_each(|(entry, _)| entry.loaded.write().put_certificate(None));
        }
        kept.and(outcome)
    }

    /// Gives keys what there is for them; gives back those that have to sign one.
    fn substitute<'a>(&self, keys: Vec<Bare<'a>>) -> Vec<Bare<'a>> {
        let mut unsigned = Vec::new();
        for (entry, keys) in keys {
            match self.substitute_of(&keys) {
                Substitute::Made(certificate) => {
                    self.store_certificate(entry, &keys, &certificate, Origin::Made);
                    // One that an application has brought meanwhile takes its place.
                    if keys.public_key.as_ref().is_some_and(|public| self.kept.certifies(public)) {
                        entry.loaded.write().put_certificate(None);
                    }
                }
                Substitute::Nothing => entry.loaded.write().put_certificate(None),
                Substitute::Unsigned => unsigned.push((entry, keys)),
            }
        }
        unsigned
    }

    fn substitute_of(&self, keys: &KeyObjects) -> Substitute {
        let (Some(public), Some(_)) = (&keys.public_key, &keys.key) else { return Substitute::Nothing };
        let own = self.aliases.as_ref().and_then(|aliases| aliases.own_certificate(public));
        // One whose certificate an application brought, or destroyed.
        if own.as_ref().is_some_and(|own| own.0.is_empty()) || self.kept.certifies(public) {
            return Substitute::Nothing;
        }
        match self.settings.missing_certificates {
            MissingCertificates::None => Substitute::Nothing,
            MissingCertificates::Unsigned => Substitute::Made(self_issued::unsigned(public, &keys.label)),
            MissingCertificates::SelfSigned => match own.and_then(|own| of_key(&own, public)) {
                Some(certificate) => Substitute::Made(certificate),
                None if self.draft(keys).is_some() => Substitute::Unsigned,
                None => Substitute::Nothing,
            },
        }
    }

    fn may_sign_now(&self) -> bool {
        self.backend.login_stands() && self.backend.is_licensed()
    }

    /// What a key has to sign, with what; `None` where it does not, or where the token offers nothing for it.
    fn draft<'a>(&self, keys: &'a KeyObjects) -> Option<(&'static Mechanism, &'a Arc<HsmKey>, ToBeSigned)> {
        let (public, object) = (keys.public_key.as_ref()?, keys.key.as_ref()?);
        let Material::Hsm(key) = &object.material else { return None };
        if !object.attributes.is_true(CKA_SIGN) || key.approval || key.password {
            return None;
        }
        let wanted = [CKM_SHA256_RSA_PKCS, CKM_ECDSA_SHA256, CKM_EDDSA];
        let (mechanism, _) = self.traits.offers.iter().find(|(mechanism, offer)| {
            let fits = wanted.contains(&mechanism.kind) && mechanism.key_type() == key_type(public);
            fits && offer.flags & CKF_SIGN != 0
        })?;
        Some((mechanism, key, self_issued::self_signed(public, &keys.label)?))
    }

    /// The certificates that were signed, one after the other. A key that cannot sign spoils it for no other.
    fn have_signed(&self, keys: &[Bare<'_>], deadline: Deadline) -> (Vec<Certificate>, Result<()>) {
        let mut signed = Vec::new();
        for (entry, keys) in keys {
            let Some((mechanism, key, draft)) = self.draft(keys) else { continue };
            let outcome = self.sign(mechanism, key, draft, deadline);
            let is_late = deadline.remaining().is_none();
            match outcome {
                Ok(certificate) => signed.push(certificate),
                Err(error) => {
                    self.log.warn(format_args!("key {:?} signs no certificate: {error}", entry.name));
                    if !is_late && [CKR_DEVICE_ERROR, CKR_USER_NOT_LOGGED_IN].contains(&error.rv()) {
                        break;
                    }
                    // The first one is what everything waited for, and the next call will not.
                    if is_late && signed.is_empty() {
                        entry.loaded.write().put_certificate(None);
                    }
                }
            }
            if is_late {
                return (signed, Err(Error::new(CKR_DEVICE_ERROR, "not all had signed before the deadline")));
            }
        }
        (signed, Ok(()))
    }

    fn sign(
        &self,
        mechanism: &'static Mechanism,
        key: &Arc<HsmKey>,
        draft: ToBeSigned,
        deadline: Deadline,
    ) -> Result<Certificate> {
        let backend = self.backend.as_ref();
        let chosen = Chosen { mechanism, parameter: Parameter::None };
        let mut signing = Signing::new(&chosen, Arc::clone(key), backend)?;
        match signing.sign(Some(draft.bytes()), Room::Bytes(usize::MAX), backend, deadline)? {
            Output::Bytes(signature) => Ok(draft.signed(&signature)),
            Output::Length(_) => Err(Error::internal("a signature was asked for, not its length")),
        }
    }

    /// After a login more keys can sign.
    pub(super) fn retry_missing(&self) {
        if self.settings.missing_certificates != MissingCertificates::SelfSigned {
            return;
        }
        for entry in self.entries.read().by_name.values() {
            let mut loaded = entry.loaded.write();
            let can_sign = loaded.keys.as_ref().is_some_and(|keys| self.draft(keys).is_some());
            if can_sign && matches!(loaded.certificate, Some(None)) {
                loaded.certificate = None;
            }
        }
    }
}

/// Keeps what keys signed. Where another process was first, or somebody has destroyed what it made, that counts.
fn keep(aliases: &Aliases, signed: Vec<Certificate>) -> Result<()> {
    aliases.update(|content| {
        for certificate in signed {
            let Ok(public) = certificate.public_key() else { continue };
            let name = own_name(&public);
            let first = content.own_certificates.get(&name);
            if first.is_none_or(|first| !first.0.is_empty() && of_key(first, &public).is_none()) {
                content.own_certificates.insert(name, Base64(certificate.der().to_vec()));
            }
        }
        Ok(())
    })
}

/// The certificate, if it is one of this key: the file can be written by hand.
fn of_key(own: &Base64, public: &PublicKey) -> Option<Certificate> {
    let certificate = Certificate::from_der(&own.0).ok()?;
    (certificate.public_key().as_ref() == Ok(public)).then_some(certificate)
}
