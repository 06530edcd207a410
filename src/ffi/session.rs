//! Session management and login (PKCS#11 3.2 section 5.6).

use cryptoki_sys::{
    CK_FLAGS, CK_NOTIFY, CK_SESSION_HANDLE, CK_SESSION_INFO, CK_SESSION_VALIDATION_FLAGS_TYPE, CK_SLOT_ID,
    CK_ULONG, CK_USER_TYPE, CK_UTF8CHAR, CK_VOID_PTR, CKR_FUNCTION_NOT_SUPPORTED, CKR_PIN_INCORRECT,
    CKR_PIN_LEN_RANGE, CKR_USER_TYPE_INVALID, CKS_LAST_VALIDATION_OK, CKU_CONTEXT_SPECIFIC, CKU_SO, CKU_USER,
};
use secrecy::SecretString;

use super::arg;
use super::general;
use super::slot::LONGEST_PIN;
use crate::backend::User;
use crate::error::{Error, Result};
use crate::model::slot::Module;

pub(super) unsafe fn open_session(
    module: &Module,
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    _application: CK_VOID_PTR,
    _notify: CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> Result<()> {
    module.slot(slot)?;
    arg::check_place(session)?;
    let handle = module.open_session(slot, flags)?;
    // SAFETY: the caller owes a place for a handle; NULL was refused.
    unsafe { arg::write(session, handle) }
}

pub(super) unsafe fn close_session(module: &Module, session: CK_SESSION_HANDLE) -> Result<()> {
    module.close_session(session)
}

pub(super) unsafe fn close_all_sessions(module: &Module, slot: CK_SLOT_ID) -> Result<()> {
    module.close_all_sessions(slot)
}

pub(super) unsafe fn get_session_info(
    module: &Module,
    session: CK_SESSION_HANDLE,
    info: *mut CK_SESSION_INFO,
) -> Result<()> {
    let session = module.session(session)?;
    let value = CK_SESSION_INFO {
        slotID: session.slot(),
        state: session.state(),
        flags: session.flags(),
        ulDeviceError: 0,
    };
    // SAFETY: the caller owes a CK_SESSION_INFO or NULL.
    unsafe { arg::write(info, value) }
}

pub(super) unsafe fn session_cancel(
    module: &Module,
    session: CK_SESSION_HANDLE,
    flags: CK_FLAGS,
) -> Result<()> {
    module.session(session)?.cancel(flags);
    Ok(())
}

pub(super) unsafe fn login(
    module: &Module,
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: *mut CK_UTF8CHAR,
    pin_len: CK_ULONG,
) -> Result<()> {
    let session = module.session(session)?;
    if pin_len > LONGEST_PIN {
        return Err(Error::new(CKR_PIN_INCORRECT, "the PIN is longer than ulMaxPinLen"));
    }
    // SAFETY: the caller owes a PIN of the length given, or NULL.
    let pin = unsafe { arg::bytes(pin, pin_len) }?;
    match user {
        CKU_CONTEXT_SPECIFIC => {}
        CKU_USER => return session.token().login(User::User, pin),
        CKU_SO => return session.token().login(User::SecurityOfficer, pin),
        _ => return Err(Error::new(CKR_USER_TYPE_INVALID, "no such user is known")),
    }
    let text = std::str::from_utf8(pin)
        .map_err(|_| Error::new(CKR_PIN_INCORRECT, "the password of a key is UTF-8 text"))?;
    session.authenticate(SecretString::from(text))
}

pub(super) unsafe fn set_pin(
    module: &Module,
    session: CK_SESSION_HANDLE,
    old: *mut CK_UTF8CHAR,
    old_len: CK_ULONG,
    new: *mut CK_UTF8CHAR,
    new_len: CK_ULONG,
) -> Result<()> {
    let session = module.session(session)?;
    if old_len > LONGEST_PIN || new_len > LONGEST_PIN {
        return Err(Error::new(CKR_PIN_LEN_RANGE, "a PIN is longer than ulMaxPinLen"));
    }
    // SAFETY: the caller owes PINs of the lengths given, or NULL.
    let (old, new) = unsafe { (arg::bytes(old, old_len)?, arg::bytes(new, new_len)?) };
    session.set_pin(old, new)
}

/// A function that sets a token up anew: no HSM is set up from here.
pub(super) unsafe fn init_token(
    module: &Module,
    slot: CK_SLOT_ID,
    _pin: *mut CK_UTF8CHAR,
    _pin_len: CK_ULONG,
    _label: *mut CK_UTF8CHAR,
) -> Result<()> {
    module.slot(slot)?.token()?.check_writable()?;
    general::refuse(CKR_FUNCTION_NOT_SUPPORTED)
}

/// As for `init_token`.
pub(super) unsafe fn init_pin(
    module: &Module,
    session: CK_SESSION_HANDLE,
    _pin: *mut CK_UTF8CHAR,
    _pin_len: CK_ULONG,
) -> Result<()> {
    module.session(session)?.token().check_writable()?;
    general::refuse(CKR_FUNCTION_NOT_SUPPORTED)
}

/// No vendor has users besides the one of the credentials.
pub(super) unsafe fn login_user(
    module: &Module,
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: *mut CK_UTF8CHAR,
    pin_len: CK_ULONG,
    username: *mut CK_UTF8CHAR,
    username_len: CK_ULONG,
) -> Result<()> {
    module.session(session)?;
    if username.is_null() && username_len > 0 {
        return Err(Error::arguments("NULL where there should be a name"));
    }
    if username_len > 0 {
        return Err(Error::new(CKR_USER_TYPE_INVALID, "this HSM has no named users"));
    }
    // SAFETY: the caller owes a PIN of the length given, or NULL.
    unsafe { login(module, session, user, pin, pin_len) }
}

pub(super) unsafe fn logout(module: &Module, session: CK_SESSION_HANDLE) -> Result<()> {
    module.session(session)?.token().logout()
}

/// Whether modes are validated is a matter of the HSM that it does not tell.
pub(super) unsafe fn get_session_validation_flags(
    module: &Module,
    session: CK_SESSION_HANDLE,
    kind: CK_SESSION_VALIDATION_FLAGS_TYPE,
    flags: *mut CK_FLAGS,
) -> Result<()> {
    module.session(session)?;
    if kind != CKS_LAST_VALIDATION_OK {
        return Err(Error::arguments(format!("validation flags of type {kind} are not known")));
    }
    // SAFETY: the caller owes a place for the flags, or NULL.
    unsafe { arg::write(flags, 0) }
}
