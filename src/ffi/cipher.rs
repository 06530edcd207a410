//! Encryption and decryption (PKCS#11 3.2 sections 5.8 and 5.10).

use cryptoki_sys::{CK_BYTE, CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_ULONG};

use super::arg::{self, OutBuf};
use crate::error::Result;
use crate::model::operation::{Input, Output, Room};
use crate::model::session::Session;
use crate::model::slot::Module;

type WithData = fn(&Session, Input<'_>, Room) -> Result<Output>;
type WithoutData = fn(&Session, Room) -> Result<Output>;

/// A call with data and a buffer.
///
/// # Safety
/// The caller owes data and buffer of the lengths given, or NULL.
unsafe fn transform(
    module: &Module,
    session: CK_SESSION_HANDLE,
    data: (*mut CK_BYTE, CK_ULONG),
    out: (*mut CK_BYTE, *mut CK_ULONG),
    call: WithData,
) -> Result<()> {
    let session = module.session(session)?;
    // SAFETY: the same duty.
    let (data, out) = unsafe { (arg::input(data.0, data.1), OutBuf::new(out.0, out.1)) };
    let result = call(&session, data, out.room());
    out.deliver(result)
}

/// A call with a buffer only.
///
/// # Safety
/// The caller owes a buffer of the length given, or NULL.
unsafe fn conclude(
    module: &Module,
    session: CK_SESSION_HANDLE,
    out: (*mut CK_BYTE, *mut CK_ULONG),
    call: WithoutData,
) -> Result<()> {
    let session = module.session(session)?;
    // SAFETY: the same duty.
    let out = unsafe { OutBuf::new(out.0, out.1) };
    let result = call(&session, out.room());
    out.deliver(result)
}

pub(super) unsafe fn encrypt_init(
    module: &Module,
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    let session = module.session(session)?;
    // SAFETY: the caller owes a valid mechanism or NULL.
    session.encrypt_init(&unsafe { arg::mechanism(mechanism) }?, key)
}

pub(super) unsafe fn encrypt(
    module: &Module,
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    // SAFETY: the duty of `transform` is the caller's.
    unsafe { transform(module, session, (data, data_len), (out, out_len), Session::encrypt) }
}

pub(super) unsafe fn encrypt_update(
    module: &Module,
    session: CK_SESSION_HANDLE,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    // SAFETY: the duty of `transform` is the caller's.
    unsafe { transform(module, session, (part, part_len), (out, out_len), Session::encrypt_update) }
}

pub(super) unsafe fn encrypt_final(
    module: &Module,
    session: CK_SESSION_HANDLE,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    // SAFETY: the duty of `conclude` is the caller's.
    unsafe { conclude(module, session, (out, out_len), Session::encrypt_final) }
}

pub(super) unsafe fn decrypt_init(
    module: &Module,
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    let session = module.session(session)?;
    // SAFETY: the caller owes a valid mechanism or NULL.
    session.decrypt_init(&unsafe { arg::mechanism(mechanism) }?, key)
}

pub(super) unsafe fn decrypt(
    module: &Module,
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    // SAFETY: the duty of `transform` is the caller's.
    unsafe { transform(module, session, (data, data_len), (out, out_len), Session::decrypt) }
}

pub(super) unsafe fn decrypt_update(
    module: &Module,
    session: CK_SESSION_HANDLE,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    // SAFETY: the duty of `transform` is the caller's.
    unsafe { transform(module, session, (part, part_len), (out, out_len), Session::decrypt_update) }
}

pub(super) unsafe fn decrypt_final(
    module: &Module,
    session: CK_SESSION_HANDLE,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    // SAFETY: the duty of `conclude` is the caller's.
    unsafe { conclude(module, session, (out, out_len), Session::decrypt_final) }
}
