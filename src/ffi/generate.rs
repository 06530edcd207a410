//! Making keys (PKCS#11 3.2 section 5.18).

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_ULONG, CKF_GENERATE,
    CKF_GENERATE_KEY_PAIR,
};

use super::arg;
use crate::error::Result;
use crate::model::slot::Module;

pub(super) unsafe fn generate_key(
    module: &Module,
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    key: *mut CK_OBJECT_HANDLE,
) -> Result<()> {
    let session = module.session(session)?;
    session.check_generates(CKF_GENERATE)?;
    arg::check_place(key)?;
    // SAFETY: the caller owes a mechanism, a template of the length given and a place for a handle, or NULL.
    unsafe {
        let (chosen, template) = (arg::mechanism(mechanism)?, arg::template(template, count)?);
        arg::write(key, session.generate_key(chosen.as_ref(), &template)?)
    }
}

#[allow(clippy::too_many_arguments)] // the standard's
pub(super) unsafe fn generate_key_pair(
    module: &Module,
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    public_template: *mut CK_ATTRIBUTE,
    public_count: CK_ULONG,
    private_template: *mut CK_ATTRIBUTE,
    private_count: CK_ULONG,
    public_key: *mut CK_OBJECT_HANDLE,
    private_key: *mut CK_OBJECT_HANDLE,
) -> Result<()> {
    let session = module.session(session)?;
    session.check_generates(CKF_GENERATE_KEY_PAIR)?;
    arg::check_place(public_key)?;
    arg::check_place(private_key)?;
    // SAFETY: the caller owes a mechanism, templates of the lengths given and places for handles, or NULL.
    unsafe {
        let chosen = arg::mechanism(mechanism)?;
        let public = arg::template(public_template, public_count)?;
        let private = arg::template(private_template, private_count)?;
        let (public, private) = session.generate_key_pair(chosen.as_ref(), &public, &private)?;
        arg::write(public_key, public)?;
        arg::write(private_key, private)
    }
}
