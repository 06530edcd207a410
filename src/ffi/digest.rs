//! Message digesting (PKCS#11 3.2 section 5.12): what is not of the common shapes.

use cryptoki_sys::{CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE};

use super::arg;
use crate::error::Result;
use crate::model::slot::Module;

pub(super) unsafe fn digest_init(
    module: &Module,
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
) -> Result<()> {
    let session = module.session(session)?;
    // SAFETY: the caller owes a valid mechanism or NULL.
    session.digest_init(unsafe { arg::mechanism(mechanism) }?.as_ref())
}

pub(super) unsafe fn digest_key(
    module: &Module,
    session: CK_SESSION_HANDLE,
    _key: CK_OBJECT_HANDLE,
) -> Result<()> {
    module.session(session)?.digest_key()
}
