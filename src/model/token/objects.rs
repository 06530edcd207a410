//! The objects of a token: found, made, copied, changed and destroyed (PKCS#11 3.2 section 5.7).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cryptoki_sys::{
    CK_BBOOL, CK_FALSE, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CKA_CLASS, CKA_COPYABLE, CKA_DESTROYABLE,
    CKA_MODIFIABLE, CKA_PRIVATE, CKA_TOKEN, CKO_CERTIFICATE, CKR_ACTION_PROHIBITED, CKR_DEVICE_ERROR,
    CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID, CKR_TEMPLATE_INCOMPLETE, CKR_TOKEN_WRITE_PROTECTED,
    CKR_USER_NOT_LOGGED_IN,
};
use rand_core::{OsRng, RngCore};

use super::{NOBODY, Token};
use crate::backend::{KeyName, NewKey};
use crate::error::{Error, Result};
use crate::model::catalog::{Made, other_handle};
use crate::model::generate::{self, Wish, not_made};
use crate::model::object::Object;
use crate::model::session_object::{self, SessionObject};
use crate::model::template::Template;
use crate::model::vendor::CKA_P11REST_KEY_NAME;

impl Token {
    /// The objects that match a template and that may be seen now, in a stable order.
    pub fn find(&self, template: &Template) -> Result<Vec<CK_OBJECT_HANDLE>> {
        let on_token = template.bool(CKA_TOKEN).ok().flatten();
        let wants_private = template.bool(CKA_PRIVATE).ok().flatten() == Some(true);
        let deadline = self.deadline();
        if on_token != Some(false) && self.user.load(Ordering::Acquire) != NOBODY {
            // Whether the login is gone shows below.
            let _ = self.backend.keep_login(deadline);
        }
        let found = match on_token {
            Some(false) => Vec::new(),
            _ if wants_private && !self.sees_private() => Vec::new(),
            _ => self.catalog.find(template, deadline)?,
        };
        // Asked for now: that listing may have found that the HSM has ended the login.
        let sees_private = self.sees_private();
        let visible = |object: &Object| sees_private || !object.attributes.is_private();
        let mut handles: Vec<_> =
            found.iter().filter(|(_, object)| visible(object)).map(|(handle, _)| *handle).collect();
        if on_token != Some(true) {
            let fits =
                |held: &SessionObject| visible(&held.object) && template.matches(&held.object.attributes);
            handles.extend(self.session_objects.select(fits).iter().map(|(handle, _)| *handle));
        }
        Ok(handles)
    }

    /// The object with this handle.
    ///
    /// # Errors
    /// `CKR_OBJECT_HANDLE_INVALID` when there is none, or none that may be seen now.
    pub fn object(&self, handle: CK_OBJECT_HANDLE) -> Result<Arc<Object>> {
        let object = self.any_object(handle)?;
        match object.filter(|object| self.sees_private() || !object.attributes.is_private()) {
            Some(object) => Ok(object),
            None => Err(Error::new(CKR_OBJECT_HANDLE_INVALID, format!("no object has handle {handle}"))),
        }
    }

    /// The key with this handle.
    ///
    /// # Errors
    /// `CKR_KEY_HANDLE_INVALID` when there is none, `CKR_USER_NOT_LOGGED_IN` when it is private and nobody is.
    pub fn key(&self, handle: CK_OBJECT_HANDLE) -> Result<Arc<Object>> {
        let object = self.any_object(handle)?;
        let is_private =
            object.as_ref().map_or(self.catalog.has_given(handle), |o| o.attributes.is_private());
        if is_private {
            self.check_private_access()?;
        }
        object.ok_or_else(|| Error::new(CKR_KEY_HANDLE_INVALID, format!("no key has handle {handle}")))
    }

    /// # Errors
    /// `CKR_USER_NOT_LOGGED_IN` when private objects are out of reach.
    pub fn check_private_access(&self) -> Result<()> {
        if self.sees_private() {
            return Ok(());
        }
        Err(Error::new(CKR_USER_NOT_LOGGED_IN, "the key is private: C_Login first"))
    }

    fn any_object(&self, handle: CK_OBJECT_HANDLE) -> Result<Option<Arc<Object>>> {
        if let Some(held) = self.session_objects.get(handle) {
            return Ok(Some(Arc::clone(&held.object)));
        }
        self.catalog.object(handle, self.deadline())
    }

    /// A new key at the HSM.
    ///
    /// # Errors
    /// `CKR_USER_NOT_LOGGED_IN`, what [`not_made`] says of a key that the HSM does not make, and what the back end says.
    pub fn generate(&self, wish: Wish) -> Result<Made> {
        self.check_writable()?;
        self.check_private_access()?;
        if !self.backend.can_generate(&wish.spec) {
            return Err(not_made(&wish.spec));
        }
        let Wish { label, id, spec, usage, protection } = wish;
        let label = label.unwrap_or_else(|| format!("p11rest-{:016x}", OsRng.next_u64()));
        self.catalog.check_new(&label, generate::key_type_of(&spec))?;
        let deadline = self.deadline();
        let request = NewKey { label: &label, id: id.as_deref(), spec, usage, protection };
        let made = self.backend.generate(&request, deadline);
        let name = made.inspect_err(|error| {
            if error.rv() == CKR_DEVICE_ERROR {
                self.catalog.doubt(None);
            }
        })?;
        self.log.info(format_args!("slot {:?}: key {name:?} was made", self.label));
        // A deadline of its own: making it may have taken most of the first, and it is there.
        self.catalog.admit(name, self.deadline())
    }

    /// A copy of a public key of the token that lives in a session, and is the caller's as `wished`.
    pub fn public_in_session(
        &self,
        owner: CK_SESSION_HANDLE,
        handle: CK_OBJECT_HANDLE,
        wished: &Template,
    ) -> Result<CK_OBJECT_HANDLE> {
        let object = self.object(handle)?;
        let mut own = vec![(CKA_TOKEN, vec![CK_FALSE].into())];
        for kind in [CKA_DESTROYABLE, CKA_MODIFIABLE, CKA_COPYABLE] {
            own.push((kind, vec![CK_BBOOL::from(wished.bool(kind)?.unwrap_or(true))].into()));
        }
        self.create_copy(owner, &object, &Template::new(own))
    }

    /// The HSM says that a key is gone.
    pub fn forget_key(&self, name: &KeyName) {
        self.catalog.forget(name);
    }

    /// `C_CreateObject`: of session objects, and of certificates on the token.
    pub fn create_object(&self, owner: CK_SESSION_HANDLE, template: &Template) -> Result<CK_OBJECT_HANDLE> {
        template.check_consistent()?;
        if template.bool(CKA_TOKEN)? == Some(true) {
            return self.create_on_token(template);
        }
        if template.bool(CKA_PRIVATE)? == Some(true) {
            self.check_private_access()?;
        }
        let handle = other_handle(&self.counter);
        let unique_id = format!("session-object-{handle}");
        let object = Arc::new(session_object::create(template, unique_id, self.edwards_point)?);
        self.session_objects.insert(handle, Arc::new(SessionObject { owner, object }));
        self.changes.note();
        Ok(handle)
    }

    fn create_on_token(&self, template: &Template) -> Result<CK_OBJECT_HANDLE> {
        self.check_changeable()?;
        match template.ulong(CKA_CLASS)? {
            Some(CKO_CERTIFICATE) => {}
            Some(_) => {
                let text = "objects of the HSM are not made from here";
                return Err(Error::new(CKR_TOKEN_WRITE_PROTECTED, text));
            }
            None => return Err(Error::new(CKR_TEMPLATE_INCOMPLETE, "the template lacks CKA_CLASS")),
        }
        self.check_private_access()?;
        self.catalog.create_certificate(template, self.deadline())
    }

    fn check_changeable(&self) -> Result<()> {
        if self.is_write_protected() { self.check_writable() } else { Ok(()) }
    }

    /// `C_CopyObject`: of session objects, into the same or another session.
    pub fn copy_object(
        &self,
        owner: CK_SESSION_HANDLE,
        handle: CK_OBJECT_HANDLE,
        template: &Template,
    ) -> Result<CK_OBJECT_HANDLE> {
        let object = self.object(handle)?;
        let held = self.session_objects.get(handle);
        if held.is_none() {
            self.check_writable()?;
        }
        if held.is_none() || !object.attributes.is_true(CKA_COPYABLE) {
            return Err(Error::new(CKR_ACTION_PROHIBITED, "the object is not to be copied"));
        }
        self.create_copy(owner, &object, template)
    }

    /// A session object with the attributes of another one, but for those of the template.
    fn create_copy(
        &self,
        owner: CK_SESSION_HANDLE,
        object: &Object,
        template: &Template,
    ) -> Result<CK_OBJECT_HANDLE> {
        let mut merged: Vec<_> = session_object::own_attributes(object, template);
        merged.extend(template.iter().map(|(kind, value)| (kind, value.to_vec().into())));
        self.create_object(owner, &Template::new(merged))
    }

    /// `C_DestroyObject`: of session objects, of certificates, and of keys with all that belongs to them. A public half goes
    /// with its private one only.
    pub fn destroy_object(&self, handle: CK_OBJECT_HANDLE) -> Result<()> {
        let object = self.object(handle)?;
        let destroyable = object.attributes.is_true(CKA_DESTROYABLE);
        if destroyable && self.session_objects.remove(handle).is_some() {
            self.changes.note();
            return Ok(());
        }
        let on_token = self.session_objects.get(handle).is_none();
        let is_certificate = object.class() == CKO_CERTIFICATE;
        if on_token {
            if is_certificate { self.check_changeable() } else { self.check_writable() }?;
        }
        if on_token && destroyable && self.sees_private() {
            if is_certificate {
                return self.catalog.destroy_certificate(handle, self.deadline());
            }
            if let Some(name) = key_name(&object) {
                return self.delete_key(&name);
            }
        }
        Err(Error::new(CKR_ACTION_PROHIBITED, "the object is not to be destroyed"))
    }

    fn rename(&self, handle: CK_OBJECT_HANDLE, object: &Object, template: &Template) -> Result<()> {
        template.check_consistent()?;
        self.check_private_access()?;
        match key_name(object) {
            Some(name) => self.catalog.rename(&name, template),
            None => self.catalog.rename_certificate(handle, object, template),
        }
    }

    fn delete_key(&self, name: &KeyName) -> Result<()> {
        let outcome = self.backend.delete(name, self.deadline());
        match &outcome {
            Ok(()) => self.log.info(format_args!("slot {:?}: key {name:?} was deleted", self.label)),
            Err(error) if error.rv() == CKR_KEY_HANDLE_INVALID => {}
            Err(error) => {
                if error.rv() != CKR_ACTION_PROHIBITED {
                    self.catalog.doubt(Some(name));
                }
                return outcome;
            }
        }
        self.catalog.deleted(name);
        outcome
    }

    /// `C_SetAttributeValue`: of session objects, and of keys that may be called otherwise on this machine; no HSM's API has
    /// such a call.
    pub fn set_attributes(&self, handle: CK_OBJECT_HANDLE, template: &Template) -> Result<()> {
        let object = self.object(handle)?;
        let held = self.session_objects.get(handle);
        if held.is_none() {
            if self.catalog.renames() {
                return self.rename(handle, &object, template);
            }
            self.check_writable()?;
        }
        let Some(held) = held.filter(|_| object.attributes.is_true(CKA_MODIFIABLE)) else {
            return Err(Error::new(CKR_ACTION_PROHIBITED, "the object is not to be changed"));
        };
        template.check_consistent()?;
        let changed = Arc::new(session_object::changed(&object, template)?);
        if self
            .session_objects
            .replace(handle, Arc::new(SessionObject { owner: held.owner, object: changed }))
        {
            self.changes.note();
            return Ok(());
        }
        Err(Error::new(CKR_OBJECT_HANDLE_INVALID, "the object was destroyed meanwhile"))
    }
}

/// The name at the HSM, of keys there: a copy in a session is another object.
fn key_name(object: &Object) -> Option<KeyName> {
    object.attributes.is_true(CKA_TOKEN).then_some(())?;
    let name = object.attributes.get(CKA_P11REST_KEY_NAME)?;
    str::from_utf8(name).ok().map(KeyName::from)
}
