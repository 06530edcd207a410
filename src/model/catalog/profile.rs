//! The profile that a token may say it conforms to (PKCS#11 3.2 section 4.12): certificates are public.
//!
//! NSS reads certificates of a token that says so without asking for a PIN first. Only who asks for profiles finds it, as the
//! standard has it for hardware features and mechanisms (sections 4.3 and 4.11): programs that list all objects often know
//! no such class, and end.

use std::sync::Arc;

use cryptoki_sys::{
    CK_OBJECT_HANDLE, CKA_COPYABLE, CKA_DESTROYABLE, CKA_MODIFIABLE, CKA_PROFILE_ID, CKO_PROFILE,
    CKP_PUBLIC_CERTIFICATES_TOKEN,
};

use super::Catalog;
use super::entry::Found;
use crate::backend::Backend;
use crate::model::object::{Maker, Material, Object};
use crate::model::template::Template;

/// Of number 0, which no counter gives: the same in each process, so that no child of a fork need be told.
const HANDLE: CK_OBJECT_HANDLE = 1;

/// Whether certificates are shown without a login. Asked before there is one.
pub(super) fn certificates_are_public(backend: &dyn Backend) -> bool {
    !backend.login_required() || (backend.may_list() && !backend.login_shows_more())
}

/// The object that says so.
pub(super) fn public_certificates(maker: &Maker<'_>) -> Object {
    let mut builder = maker.storage("", "public certificates", CKO_PROFILE, false, &[]);
    builder
        .bool(CKA_MODIFIABLE, false)
        .bool(CKA_COPYABLE, false)
        .bool(CKA_DESTROYABLE, false)
        .ulong(CKA_PROFILE_ID, CKP_PUBLIC_CERTIFICATES_TOKEN);
    Object { attributes: builder.build(), material: Material::Passive }
}

impl Catalog {
    /// The profile object, if it is asked for.
    pub(super) fn matching_profile(&self, template: &Template) -> Option<Found> {
        let profile = self.profile.as_ref().filter(|_| template.class() == Some(CKO_PROFILE))?;
        template.matches(&profile.attributes).then_some(())?;
        Some((HANDLE, Arc::clone(profile)))
    }

    /// The profile object, if this is its handle.
    pub(super) fn profile(&self, handle: CK_OBJECT_HANDLE) -> Option<Arc<Object>> {
        self.profile.clone().filter(|_| handle == HANDLE)
    }
}
