//! Certificates for keys that have none: for applications that see a key only beside its certificate.

use std::sync::Arc;
use std::sync::atomic::Ordering;

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
#[derive(PartialEq)]
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
        let none = |keys: Vec<Bare<'_>>| {
            for (entry, keys) in keys {
                entry.loaded.write().put_certificate_of(&keys, None);
            }
        };
        let unsigned = self.substitute(keys);
        let Some(aliases) = self.aliases.as_ref().filter(|_| !unsigned.is_empty() && self.may_sign_now())
        else {
            none(unsigned);
            return Ok(());
        };
        // Whoever signs first and finds no place for it afterwards would sign again and again.
        if let Err(error) = aliases.probe() {
            self.log.warn(format_args!("no key signs a certificate, which could not be kept: {error}"));
            none(unsigned);
            return Ok(());
        }
        // Another process may have had the same wish.
        self.show_kept();
        let unsigned = self.substitute(unsigned);
        let (signed, outcome) = self.have_signed(&unsigned, deadline);
        let kept = keep(aliases, signed);
        let without = self.substitute(unsigned);
        if outcome.is_ok() || kept.is_err() {
            none(without);
        }
        kept.and(outcome)
    }

    /// Gives keys what there is for them; gives back those that have to sign one.
    fn substitute<'a>(&self, keys: Vec<Bare<'a>>) -> Vec<Bare<'a>> {
        let mut unsigned = Vec::new();
        for (entry, keys) in keys {
            let substitute = self.substitute_of(entry, &keys);
            match &substitute {
                Substitute::Made(certificate) => {
                    self.store_certificate(entry, &keys, certificate, Origin::Made);
                }
                Substitute::Nothing => entry.loaded.write().put_certificate_of(&keys, None),
                Substitute::Unsigned => {
                    unsigned.push((entry, keys));
                    continue;
                }
            }
            // Whoever has brought one, or taken one away, may have come too early to see this.
            if self.substitute_of(entry, &keys) != substitute {
                entry.loaded.write().certificate = None;
            }
        }
        unsigned
    }

    fn substitute_of(&self, entry: &Entry, keys: &KeyObjects) -> Substitute {
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
                None if self.can_sign(entry, keys) => Substitute::Unsigned,
                None => Substitute::Nothing,
            },
        }
    }

    fn can_sign(&self, entry: &Entry, keys: &KeyObjects) -> bool {
        !entry.cannot_sign.load(Ordering::Acquire) && self.draft(keys).is_some()
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

    /// The certificates that were signed, one after the other. A key that cannot sign spoils it for no other, but where two in
    /// a row fail for the HSM's sake, or one for the login's, nobody signs any more.
    fn have_signed(&self, keys: &[Bare<'_>], deadline: Deadline) -> (Vec<Certificate>, Result<()>) {
        let mut signed = Vec::new();
        let mut failures = 0;
        for (entry, keys) in keys {
            if deadline.remaining().is_none() {
                return (signed, Err(Error::new(CKR_DEVICE_ERROR, "not all had signed before the deadline")));
            }
            let Some((mechanism, key, draft)) = self.draft(keys) else { continue };
            let error = match self.sign(mechanism, key, draft, deadline) {
                Ok(certificate) => {
                    signed.push(certificate);
                    failures = 0;
                    continue;
                }
                Err(error) => error,
            };
            self.log.warn(format_args!("key {:?} signs no certificate: {error}", entry.name));
            failures = if error.rv() == CKR_DEVICE_ERROR { failures + 1 } else { 0 };
            if failures == 2 || error.rv() == CKR_USER_NOT_LOGGED_IN {
                break;
            }
            // At the deadline, the first one is what everything waited for, and the next call will not.
            if deadline.remaining().is_some() || signed.is_empty() {
                entry.cannot_sign.store(true, Ordering::Release);
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
            entry.cannot_sign.store(false, Ordering::Release);
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
