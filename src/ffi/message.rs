//! Message-based encryption (PKCS#11 3.2 section 5.9): GCM with an IV that the HSM chooses.

use cryptoki_sys::{CK_BYTE, CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_ULONG, CK_VOID_PTR};

use super::arg::{self, GcmMessage, OutBuf};
use crate::error::Result;
use crate::model::cipher::Message;
use crate::model::slot::Module;

pub(super) unsafe fn message_encrypt_init(
    module: &Module,
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    let session = module.session(session)?;
    // SAFETY: the caller owes a valid mechanism or NULL.
    session.message_encrypt_init(unsafe { arg::message_mechanism(mechanism) }?.as_ref(), key)
}

#[allow(clippy::too_many_arguments)] // the standard's
pub(super) unsafe fn encrypt_message(
    module: &Module,
    session: CK_SESSION_HANDLE,
    parameter: CK_VOID_PTR,
    parameter_len: CK_ULONG,
    aad: *mut CK_BYTE,
    aad_len: CK_ULONG,
    plaintext: *mut CK_BYTE,
    plaintext_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> Result<()> {
    let session = module.session(session)?;
    session.check_message_encrypting()?;
    // SAFETY: the caller owes parameter, data and buffer of the lengths given, or NULL.
    let (parameter, aad, plaintext, out) = unsafe {
        (
            GcmMessage::new(parameter, parameter_len)?,
            arg::bytes(aad, aad_len)?,
            arg::input(plaintext, plaintext_len),
            OutBuf::new(out, out_len),
        )
    };
    let message = Message { iv_len: parameter.iv_len(), tag_bits: parameter.tag_bits(), aad, plaintext };
    let result = session.encrypt_message(&message, out.room()).and_then(|sealed| {
        parameter.deliver(&sealed.iv, &sealed.tag)?;
        Ok(sealed.ciphertext)
    });
    out.deliver(result)
}

pub(super) unsafe fn message_encrypt_final(module: &Module, session: CK_SESSION_HANDLE) -> Result<()> {
    module.session(session)?.message_encrypt_final()
}
