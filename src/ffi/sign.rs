//! Signing and verifying (PKCS#11 3.2 sections 5.13, 5.15 and 5.16).

use cryptoki_sys::{CK_BYTE, CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_ULONG};

use super::arg::{self, OutBuf};
use crate::error::Result;
use crate::model::slot::Module;

pub(super) unsafe fn sign_init(
    module: &Module,
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    let session = module.session(session)?;
    // SAFETY: the caller owes a valid mechanism or NULL.
    session.sign_init(&unsafe { arg::mechanism(mechanism) }?, key)
}

pub(super) unsafe fn sign(
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
    let result = session.sign(data, out.room());
    out.deliver(result)
}

pub(super) unsafe fn sign_update(
    module: &Module,
    session: CK_SESSION_HANDLE,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the caller owes data of the length given, or NULL.
    module.session(session)?.sign_update(unsafe { arg::input(part, part_len) })
}

pub(super) unsafe fn sign_final(
    module: &Module,
    session: CK_SESSION_HANDLE,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    let session = module.session(session)?;
    // SAFETY: the caller owes a buffer of the length given, or NULL.
    let out = unsafe { OutBuf::new(out, out_len) };
    let result = session.sign_final(out.room());
    out.deliver(result)
}

pub(super) unsafe fn verify_init(
    module: &Module,
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    let session = module.session(session)?;
    // SAFETY: the caller owes a valid mechanism or NULL.
    session.verify_init(&unsafe { arg::mechanism(mechanism) }?, key, None)
}

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
    unsafe { session.verify(arg::input(data, data_len), Some(arg::input(signature, signature_len))) }
}

pub(super) unsafe fn verify_update(
    module: &Module,
    session: CK_SESSION_HANDLE,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the caller owes data of the length given, or NULL.
    module.session(session)?.verify_update(unsafe { arg::input(part, part_len) }, false)
}

pub(super) unsafe fn verify_final(
    module: &Module,
    session: CK_SESSION_HANDLE,
    signature: *mut CK_BYTE,
    signature_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the caller owes a signature of the length given, or NULL.
    module.session(session)?.verify_final(Some(unsafe { arg::input(signature, signature_len) }))
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
        unsafe { (arg::mechanism(mechanism)?, arg::bytes(signature, signature_len)?) };
    session.verify_init(&mechanism, key, Some(signature.to_vec()))
}

pub(super) unsafe fn verify_signature(
    module: &Module,
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the caller owes data of the length given, or NULL.
    module.session(session)?.verify(unsafe { arg::input(data, data_len) }, None)
}

pub(super) unsafe fn verify_signature_update(
    module: &Module,
    session: CK_SESSION_HANDLE,
    part: *mut CK_BYTE,
    part_len: CK_ULONG,
) -> Result<()> {
    // SAFETY: the caller owes data of the length given, or NULL.
    module.session(session)?.verify_update(unsafe { arg::input(part, part_len) }, true)
}

pub(super) unsafe fn verify_signature_final(module: &Module, session: CK_SESSION_HANDLE) -> Result<()> {
    module.session(session)?.verify_final(None)
}
