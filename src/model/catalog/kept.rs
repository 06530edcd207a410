//! Certificates that applications put on the token (`C_CreateObject`), and certificates that they take away.
//!
//! Where the HSM keeps one beside each key, and would show it as the template has it, it goes there. All others are kept
//! in the file of aliases, with the label and the id that they were given.

use std::collections::HashMap;
use std::sync::Arc;

use cryptoki_sys::{
    CK_OBJECT_HANDLE, CK_RV, CKA_CERTIFICATE_CATEGORY, CKA_END_DATE, CKA_ID, CKA_LABEL, CKA_SERIAL_NUMBER,
    CKA_START_DATE, CKA_UNIQUE_ID, CKO_PRIVATE_KEY, CKR_ACTION_PROHIBITED, CKR_ATTRIBUTE_READ_ONLY,
    CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID, CKR_DEVICE_ERROR, CKR_OBJECT_HANDLE_INVALID,
    CKR_TOKEN_WRITE_PROTECTED,
};
use parking_lot::RwLock;
use rand_core::{OsRng, RngCore};

use super::aliases::{Aliases, Base64, Hex, Kept, own_name};
use super::entry::{Entry, Found, Origin, PARTS, Wanted};
use super::key_objects::{CERTIFICATE, KeyObjects};
use super::naming::{label_text, unchangeable};
use super::{Catalog, other_handle};
use crate::crypto::certificate::Certificate;
use crate::crypto::encode;
use crate::crypto::public_key::PublicKey;
use crate::error::{Error, Result};
use crate::model::object::Object;
use crate::model::session_object;
use crate::model::template::Template;
use crate::transport::Deadline;

/// What the HSM refuses to keep, this machine may.
const PLACE_ERRORS: [CK_RV; 4] = [
    CKR_ATTRIBUTE_READ_ONLY,
    CKR_ATTRIBUTE_TYPE_INVALID,
    CKR_ATTRIBUTE_VALUE_INVALID,
    CKR_TOKEN_WRITE_PROTECTED,
];

/// The certificates of the file, as objects.
#[derive(Default)]
pub(super) struct KeptCertificates(RwLock<Vec<Shown>>);

struct Shown {
    handle: CK_OBJECT_HANDLE,
    unique_id: String,
    kept: Kept,
    public_key: Option<PublicKey>,
    /// `None` for what is no certificate: it is told of once.
    object: Option<Arc<Object>>,
}

impl KeptCertificates {
    /// Those that match.
    pub(super) fn matching(&self, template: &Template) -> Vec<Found> {
        let shown = self.0.read();
        let found = shown.iter().filter_map(|shown| Some((shown.handle, Arc::clone(shown.object.as_ref()?))));
        found.filter(|(_, object)| template.matches(&object.attributes)).collect()
    }

    /// The one with this handle.
    pub(super) fn by_handle(&self, handle: CK_OBJECT_HANDLE) -> Option<Arc<Object>> {
        let shown = self.0.read();
        shown.iter().find(|shown| shown.handle == handle)?.object.clone()
    }

    /// Whether one of them is of this key.
    pub(super) fn certifies(&self, public: &PublicKey) -> bool {
        self.0.read().iter().any(|shown| shown.public_key.as_ref() == Some(public))
    }

    /// The handles by `CKA_UNIQUE_ID`, for the child of a fork.
    pub(super) fn handles(&self) -> HashMap<String, CK_OBJECT_HANDLE> {
        self.0.read().iter().map(|shown| (shown.unique_id.clone(), shown.handle)).collect()
    }

    /// Takes over the handles of the parent.
    pub(super) fn inherit(&self, handles: &HashMap<String, CK_OBJECT_HANDLE>) {
        for shown in self.0.write().iter_mut() {
            if let Some(handle) = handles.get(&shown.unique_id) {
                shown.handle = *handle;
            }
        }
    }

    fn unique_id(&self, handle: CK_OBJECT_HANDLE) -> Option<String> {
        let shown = self.0.read();
        shown.iter().find(|shown| shown.handle == handle).map(|shown| shown.unique_id.clone())
    }

    fn handle(&self, unique_id: &str) -> Option<CK_OBJECT_HANDLE> {
        self.0.read().iter().find(|shown| shown.unique_id == unique_id).map(|shown| shown.handle)
    }
}

impl Catalog {
    /// Shows what the file says by now. What it says still keeps its handle.
    pub(super) fn show_kept(&self) {
        let Some(aliases) = &self.aliases else { return };
        let mut shown = self.kept.0.write();
        let mut before: HashMap<_, _> =
            std::mem::take(&mut *shown).into_iter().map(|shown| (shown.unique_id.clone(), shown)).collect();
        let (mut changed, mut differs) = (Vec::new(), false);
        for (unique_id, kept) in aliases.certificates() {
            let handle = match before.remove(&unique_id) {
                Some(same) if same.kept == kept => {
                    shown.push(same);
                    continue;
                }
                Some(other) => {
                    changed.extend(other.public_key);
                    other.handle
                }
                None => other_handle(&self.counter),
            };
            let new = self.shown(handle, unique_id, kept);
            changed.extend(new.public_key.clone());
            shown.push(new);
            differs = true;
        }
        differs |= !before.is_empty();
        changed.extend(before.into_values().filter_map(|gone| gone.public_key));
        drop(shown);
        if differs {
            self.changes.note();
            self.forget_certificates_of(|public| changed.contains(public));
        }
    }

    fn shown(&self, handle: CK_OBJECT_HANDLE, unique_id: String, kept: Kept) -> Shown {
        let certificate = Certificate::from_der(&kept.value.0).inspect_err(|error| {
            self.log.warn(format_args!("the certificate {unique_id:?} in the file of aliases: {error}"));
        });
        let certificate = certificate.ok();
        let public_key = certificate.as_ref().and_then(|certificate| certificate.public_key().ok());
        let object = certificate.map(|certificate| {
            Arc::new(self.maker().kept_certificate(&unique_id, &kept.label, &kept.id.0, &certificate))
        });
        Shown { handle, unique_id, kept, public_key, object }
    }

    /// Whether one is made for these keys is seen again.
    pub(super) fn forget_certificates_of(&self, is_one: impl Fn(&PublicKey) -> bool) {
        for entry in self.entries.read().by_name.values() {
            let mut loaded = entry.loaded.write();
            let public = loaded.keys.as_ref().and_then(|keys| keys.public_key.as_ref());
            if public.is_some_and(&is_one) {
                loaded.certificate = None;
            }
        }
        self.changed();
    }

    /// Puts a certificate on the token. Without a label or an id in the template it gets those of its key.
    ///
    /// # Errors
    /// Those of [`session_object::x509`]; `CKR_ATTRIBUTE_VALUE_INVALID`, `CKR_ATTRIBUTE_TYPE_INVALID` or
    /// `CKR_ATTRIBUTE_READ_ONLY` for what such an object does not have, `CKR_TOKEN_WRITE_PROTECTED` where there is no
    /// place for it, `CKR_FUNCTION_FAILED` where the file cannot be written, and what the back end says.
    pub fn create_certificate(&self, template: &Template, deadline: Deadline) -> Result<CK_OBJECT_HANDLE> {
        let certificate = session_object::x509(template)?;
        let owner = self.owner(&certificate, deadline)?;
        let mut reason = no_place();
        if let Some((entry, keys)) = owner.as_ref().filter(|(entry, keys)| self.keeps_beside(entry, keys)) {
            let object = self.certificate_object(keys, &certificate, Origin::Hsm);
            let outcome = check_is_as_wished(&object, template)
                .and_then(|()| self.put_at_hsm(entry, keys, &certificate, deadline));
            match outcome {
                Err(error) if PLACE_ERRORS.contains(&error.rv()) => reason = error,
                outcome => return outcome,
            }
        }
        match &self.aliases {
            Some(aliases) => self.keep(aliases, &certificate, owner.map(|(_, keys)| keys), template),
            None => Err(reason),
        }
    }

    /// Whether the HSM has a place beside this key, and what is there would be seen.
    fn keeps_beside(&self, entry: &Entry, keys: &KeyObjects) -> bool {
        let configured = || self.files.for_key(self.known.get(&entry.name), keys.public_key.as_ref());
        self.backend.keeps_certificates() && self.backend.may_list() && configured().is_none()
    }

    /// The key of the token that a certificate is of.
    fn owner(
        &self,
        certificate: &Certificate,
        deadline: Deadline,
    ) -> Result<Option<(Arc<Entry>, Arc<KeyObjects>)>> {
        let Ok(public) = certificate.public_key() else { return Ok(None) };
        let index = self.index(Wanted::KEYS, deadline)?;
        let is_its =
            |object: &Object| object.class() == CKO_PRIVATE_KEY && object.public_key() == Some(&public);
        let Some(handle) = index.handle_of(is_its) else { return Ok(None) };
        let Some(entry) = self.entries.read().by_number(handle / PARTS).cloned() else { return Ok(None) };
        // Its attributes may have been dropped to make room.
        self.load(std::slice::from_ref(&entry), Wanted::KEYS, deadline)?;
        let keys = entry.loaded.read().keys.clone();
        Ok(keys.map(|keys| (entry, keys)))
    }

    fn put_at_hsm(
        &self,
        entry: &Entry,
        keys: &KeyObjects,
        certificate: &Certificate,
        deadline: Deadline,
    ) -> Result<CK_OBJECT_HANDLE> {
        let outcome = self.backend.put_certificate(&entry.name, certificate.der(), deadline);
        // Nobody knows what came of it, or the key is gone.
        let doubtful = |error: &Error| [CKR_DEVICE_ERROR, CKR_ATTRIBUTE_VALUE_INVALID].contains(&error.rv());
        outcome.inspect_err(|error| {
            if doubtful(error) {
                self.doubt(Some(&entry.name))
            }
        })?;
        self.store_certificate(entry, keys, certificate, Origin::Hsm);
        self.changed();
        Ok(entry.number * PARTS + CERTIFICATE)
    }

    fn keep(
        &self,
        aliases: &Aliases,
        certificate: &Certificate,
        owner: Option<Arc<KeyObjects>>,
        template: &Template,
    ) -> Result<CK_OBJECT_HANDLE> {
        let (label, id) = owner.map(|keys| (keys.label.clone(), keys.id.clone())).unwrap_or_default();
        let kept = Kept {
            label: template.label().map(label_text).transpose()?.map_or(label, str::to_owned),
            id: Hex(template.id().map_or(id, <[u8]>::to_vec)),
            value: Base64(certificate.der().to_vec()),
        };
        let mut number = [0; 16];
        OsRng.fill_bytes(&mut number);
        let unique_id = encode::to_hex(&number);
        let object = self.maker().kept_certificate(&unique_id, &kept.label, &kept.id.0, certificate);
        check_is_as_wished(&object, template)?;
        aliases.update(|content| Ok(content.certificates.insert(unique_id.clone(), kept)))?;
        self.show_kept();
        self.kept.handle(&unique_id).ok_or_else(|| Error::internal("a certificate was kept and is not there"))
    }

    /// Gives a certificate that an application brought another label or id.
    ///
    /// # Errors
    /// As for `rename`; `CKR_ACTION_PROHIBITED` for any other certificate: it is called as its key. NSS gives one that it finds
    /// on the token the label and the id that it has: that is no change.
    pub fn rename_certificate(
        &self,
        handle: CK_OBJECT_HANDLE,
        object: &Object,
        template: &Template,
    ) -> Result<()> {
        let stays =
            |(kind, value)| [CKA_LABEL, CKA_ID].contains(&kind) && object.attributes.get(kind) == Some(value);
        if template.iter().all(stays) {
            return Ok(());
        }
        let (Some(aliases), Some(unique_id)) = (&self.aliases, self.kept.unique_id(handle)) else {
            return Err(Error::new(CKR_ACTION_PROHIBITED, "the certificate is not to be changed"));
        };
        aliases.update(|content| {
            let kept = content.certificates.get_mut(&unique_id).ok_or_else(gone)?;
            for (kind, value) in template.iter() {
                match kind {
                    CKA_LABEL => kept.label = label_text(value)?.to_owned(),
                    CKA_ID => kept.id = Hex(value.to_vec()),
                    _ => return Err(unchangeable(kind)),
                }
            }
            Ok(())
        })?;
        self.show_kept();
        Ok(())
    }

    /// Takes a certificate away.
    ///
    /// # Errors
    /// `CKR_ACTION_PROHIBITED` for one of the configuration, `CKR_OBJECT_HANDLE_INVALID` when it is gone,
    /// `CKR_FUNCTION_FAILED` where the file cannot be written, and what the back end says.
    pub fn destroy_certificate(&self, handle: CK_OBJECT_HANDLE, deadline: Deadline) -> Result<()> {
        if let (Some(aliases), Some(unique_id)) = (&self.aliases, self.kept.unique_id(handle)) {
            aliases.update(|content| content.certificates.remove(&unique_id).ok_or_else(gone))?;
            self.show_kept();
            return Ok(());
        }
        let entry = self.entries.read().by_number(handle / PARTS).cloned().ok_or_else(gone)?;
        let (keys, certified) = {
            let loaded = entry.loaded.read();
            let keys = loaded.keys.clone().ok_or_else(gone)?;
            (keys, loaded.certificate.clone().flatten().ok_or_else(gone)?)
        };
        match (certified.origin, &self.aliases, &keys.public_key) {
            (Origin::Hsm, ..) => return self.remove_at_hsm(&entry, &keys, deadline),
            (Origin::Made, Some(aliases), Some(public)) => {
                aliases.update(|content| {
                    Ok(content.own_certificates.insert(own_name(public), Base64::default()))
                })?;
            }
            _ => return Err(Error::new(CKR_ACTION_PROHIBITED, "the certificate is not to be destroyed")),
        }
        entry.loaded.write().put_certificate_of(&keys, None);
        self.changed();
        Ok(())
    }

    fn remove_at_hsm(&self, entry: &Entry, keys: &KeyObjects, deadline: Deadline) -> Result<()> {
        let outcome = self.backend.remove_certificate(&entry.name, deadline);
        let code = outcome.as_ref().err().map(Error::rv);
        match code {
            None => entry.loaded.write().put_certificate_of(keys, None),
            // What it has by now, it is asked.
            Some(CKR_OBJECT_HANDLE_INVALID | CKR_DEVICE_ERROR) => entry.loaded.write().certificate = None,
            Some(_) => {}
        }
        self.changed();
        outcome
    }
}

fn gone() -> Error {
    Error::new(CKR_OBJECT_HANDLE_INVALID, "the certificate was destroyed meanwhile")
}

fn no_place() -> Error {
    let text = "there is no place for certificates: slot.catalog.aliases names none";
    Error::new(CKR_TOKEN_WRITE_PROTECTED, text)
}

/// That an object is what a template asks for. Nothing is asked by an empty date, nor by the category 0 (section 4.6.2).
fn check_is_as_wished(object: &Object, template: &Template) -> Result<()> {
    for (kind, value) in template.iter() {
        let has = object.attributes.get(kind);
        let fits = match kind {
            CKA_START_DATE | CKA_END_DATE if value.is_empty() => true,
            CKA_CERTIFICATE_CATEGORY if value.iter().all(|byte| *byte == 0) => true,
            // Java 17 gives it without tag and length.
            CKA_SERIAL_NUMBER => has.is_some_and(|has| has == value || has.get(2..) == Some(value)),
            _ => has == Some(value),
        };
        let code = match kind {
            _ if fits => continue,
            CKA_UNIQUE_ID => CKR_ATTRIBUTE_READ_ONLY,
            _ if has.is_none() => CKR_ATTRIBUTE_TYPE_INVALID,
            _ => CKR_ATTRIBUTE_VALUE_INVALID,
        };
        return Err(Error::new(code, format!("attribute {kind:#x} of a certificate here is another")));
    }
    Ok(())
}
