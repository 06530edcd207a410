//! The shapes that the functions of operations share: begin with a mechanism, feed data, turn data into output, end with
//! output.

use cryptoki_sys::{CK_BYTE, CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_ULONG};

use super::arg::{self, OutBuf};
use crate::error::Result;
use crate::model::mechanism::Chosen;
use crate::model::operation::{Input, Output, Room};
use crate::model::session::Session;
use crate::model::slot::Module;

/// `(session, mechanism, key)`
///
/// # Safety
/// The caller owes a valid mechanism or NULL.
pub(super) unsafe fn begin(
    module: &Module,
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
    call: impl FnOnce(&Session, Option<&Chosen>, CK_OBJECT_HANDLE) -> Result<()>,
) -> Result<()> {
    let session = module.session(session)?;
    // SAFETY: the same duty.
    call(&session, unsafe { arg::mechanism(mechanism) }?.as_ref(), key)
}

/// `(session, data, length)`
///
/// # Safety
/// The caller owes data of the length given, or NULL.
pub(super) unsafe fn feed(
    module: &Module,
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    call: impl FnOnce(&Session, Input<'_>) -> Result<()>,
) -> Result<()> {
    let session = module.session(session)?;
    // SAFETY: the same duty.
    call(&session, unsafe { arg::input(data, data_len) })
}

/// `(session, data, length, output, length)`
///
/// # Safety
/// The caller owes data and buffer of the lengths given, or NULL.
pub(super) unsafe fn transform(
    module: &Module,
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
    call: impl FnOnce(&Session, Input<'_>, Room) -> Result<Output>,
) -> Result<()> {
    let session = module.session(session)?;
    // SAFETY: the same duty.
    let (data, out) = unsafe { (arg::input(data, data_len), OutBuf::new(out, out_len)) };
    let result = call(&session, data, out.room());
    out.deliver(result)
}

/// `(session, output, length)`
///
/// # Safety
/// The caller owes a buffer of the length given, or NULL.
pub(super) unsafe fn conclude(
    module: &Module,
    session: CK_SESSION_HANDLE,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
    call: impl FnOnce(&Session, Room) -> Result<Output>,
) -> Result<()> {
    let session = module.session(session)?;
    // SAFETY: the same duty.
    let out = unsafe { OutBuf::new(out, out_len) };
    let result = call(&session, out.room());
    out.deliver(result)
}
