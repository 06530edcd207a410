//! Object management (PKCS#11 3.2 section 5.7).

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_ULONG, CKR_ATTRIBUTE_SENSITIVE,
    CKR_ATTRIBUTE_TYPE_INVALID,
};

use super::arg::{self, Told};
use crate::error::{Error, Result};
use crate::model::object::Object;
use crate::model::slot::Module;

pub(super) unsafe fn create_object(
    module: &Module,
    session: CK_SESSION_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    object: *mut CK_OBJECT_HANDLE,
) -> Result<()> {
    let session = module.session(session)?;
    arg::check_place(object)?;
    // SAFETY: the caller owes a template of the length given and a place for a handle, or NULL.
    unsafe {
        let template = arg::template(template, count)?;
        arg::write(object, session.create_object(&template)?)
    }
}

pub(super) unsafe fn copy_object(
    module: &Module,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    copy: *mut CK_OBJECT_HANDLE,
) -> Result<()> {
    let session = module.session(session)?;
    arg::check_place(copy)?;
    // SAFETY: the caller owes a template of the length given and a place for a handle, or NULL.
    unsafe {
        let template = arg::template(template, count)?;
        arg::write(copy, session.copy_object(object, &template)?)
    }
}

pub(super) unsafe fn destroy_object(
    module: &Module,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
) -> Result<()> {
    module.session(session)?.destroy_object(object)
}

pub(super) unsafe fn get_object_size(
    module: &Module,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    size: *mut CK_ULONG,
) -> Result<()> {
    let session = module.session(session)?;
    arg::check_place(size)?;
    let object = session.token().object(object)?;
    // SAFETY: the caller owes a place for the size; NULL was refused.
    unsafe { arg::write(size, object.attributes.size() as CK_ULONG) }
}

pub(super) unsafe fn get_attribute_value(
    module: &Module,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> Result<()> {
    let object = module.session(session)?.token().object(object)?;
    // SAFETY: the caller owes a template of the length given, with buffers of their lengths, or NULL.
    unsafe { arg::fill(template, count, |kind| tell(&object, kind)) }
}

fn tell(object: &Object, kind: u64) -> Told<'_> {
    if object.hides(kind) {
        let text = format!("attribute {kind:#x} is never told");
        return Told::Nothing(Error::new(CKR_ATTRIBUTE_SENSITIVE, text));
    }
    match object.attributes.get(kind) {
        Some(value) => Told::Value(value),
        None => {
            let text = format!("the object has no attribute {kind:#x}");
            Told::Nothing(Error::new(CKR_ATTRIBUTE_TYPE_INVALID, text))
        }
    }
}

pub(super) unsafe fn set_attribute_value(
    module: &Module,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> Result<()> {
    let session = module.session(session)?;
    // SAFETY: the caller owes a template of the length given, or NULL.
    session.set_attributes(object, &unsafe { arg::template(template, count) }?)
}

pub(super) unsafe fn find_objects_init(
    module: &Module,
    session: CK_SESSION_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> Result<()> {
    let session = module.session(session)?;
    // SAFETY: the caller owes a template of the length given, or NULL.
    session.find_init(&unsafe { arg::template(template, count) }?)
}

pub(super) unsafe fn find_objects(
    module: &Module,
    session: CK_SESSION_HANDLE,
    objects: *mut CK_OBJECT_HANDLE,
    most: CK_ULONG,
    count: *mut CK_ULONG,
) -> Result<()> {
    let session = module.session(session)?;
    arg::check_place(count)?;
    if most > 0 {
        arg::check_place(objects)?;
    }
    let found = session.find_next(usize::try_from(most).unwrap_or(usize::MAX))?;
    // SAFETY: the caller owes a list of `most` handles and a place for the count; NULL was refused.
    unsafe {
        for (at, handle) in found.iter().enumerate() {
            arg::write(objects.add(at), *handle)?;
        }
        arg::write(count, found.len() as CK_ULONG)
    }
}

pub(super) unsafe fn find_objects_final(module: &Module, session: CK_SESSION_HANDLE) -> Result<()> {
    module.session(session)?.find_final()
}
