//! Verifying (PKCS#11 3.2 sections 5.15 and 5.16): what is not of the common shapes.

use cryptoki_sys::{CK_BYTE, CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_ULONG};

use super::arg;
use crate::error::Result;
use crate::model::slot::Module;

pub(super) unsafe fn verify(
    module: &Module,
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    signature: *mut CK_BYTE,
    signature_len: CK_ULONG,
) -> Result<()> {
    let session = module.session(session)?;
    // SAFETY: the caller owes data and signature of the lengths given, or NULL.
    unsafe { session.verify(arg::input(data, data_len), arg::input(signature, signature_len)) }
}

pub(super) unsafe fn verify_signature_init(
    module: &Module,
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
    signature: *mut CK_BYTE,
    signature_len: CK_ULONG,
) -> Result<()> {
    let session = module.session(session)?;
    // SAFETY: the caller owes a valid mechanism and a signature of the length given, or NULL.
    let (mechanism, signature) =
        unsafe { (arg::mechanism(mechanism)?, arg::signature(signature, signature_len)?) };
    session.verify_signature_init(mechanism.as_ref(), key, signature)
}

pub(super) unsafe fn verify_signature_final(module: &Module, session: CK_SESSION_HANDLE) -> Result<()> {
    module.session(session)?.verify_signature_final()
}
