//! Message digesting (PKCS#11 3.2 section 5.12).

use cryptoki_sys::{CK_BYTE, CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_ULONG};

use super::arg::{self, OutBuf};
use crate::error::Result;
use crate::model::slot::Module;

pub(super) unsafe fn digest_init(
    module: &Module,
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
) -> Result<()> {
    let session = module.session(session)?;
    // SAFETY: the caller owes a valid mechanism or NULL.
    session.digest_init(&unsafe { arg::mechanism(mechanism) }?)
}

pub(super) unsafe fn digest(
    module: &Module,
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    let session = module.session(session)?;
    // SAFETY: the caller owes data and buffer of the lengths given, or NULL.
    let (data, out) = unsafe { (arg::input(data, data_len), OutBuf::new(out, out_len)) };
    let result = session.digest(data, out.room());
    out.deliver(result)
}

pub(super) unsafe fn digest_update(
    module: &Module,
    session: CK_SESSION_HANDLE,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the caller owes data of the length given, or NULL.
    module.session(session)?.digest_update(unsafe { arg::input(part, part_len) })
}

pub(super) unsafe fn digest_key(
    module: &Module,
    session: CK_SESSION_HANDLE,
    _key: CK_OBJECT_HANDLE,
) -> Result<()> {
    module.session(session)?.digest_key()
}

pub(super) unsafe fn digest_final(
    module: &Module,
    session: CK_SESSION_HANDLE,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    let session = module.session(session)?;
    // SAFETY: the caller owes a buffer of the length given, or NULL.
    let out = unsafe { OutBuf::new(out, out_len) };
    let result = session.digest_final(out.room());
    out.deliver(result)
}
