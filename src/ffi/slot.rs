//! Slot and token management (PKCS#11 3.2 section 5.5).

use cryptoki_sys::{
    CK_BBOOL, CK_EFFECTIVELY_INFINITE, CK_FALSE, CK_FLAGS, CK_MECHANISM_INFO, CK_MECHANISM_TYPE, CK_SLOT_ID,
    CK_SLOT_INFO, CK_TOKEN_INFO, CK_ULONG, CK_UNAVAILABLE_INFORMATION, CK_VERSION, CK_VOID_PTR,
    CKF_DONT_BLOCK, CKF_HW_SLOT, CKF_LOGIN_REQUIRED, CKF_PROTECTED_AUTHENTICATION_PATH, CKF_RNG,
    CKF_SO_PIN_COUNT_LOW, CKF_SO_PIN_FINAL_TRY, CKF_SO_PIN_LOCKED, CKF_SO_PIN_TO_BE_CHANGED,
    CKF_TOKEN_INITIALIZED, CKF_TOKEN_PRESENT, CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY,
    CKF_USER_PIN_INITIALIZED, CKF_USER_PIN_LOCKED, CKF_USER_PIN_TO_BE_CHANGED, CKF_WRITE_PROTECTED,
    CKR_FUNCTION_NOT_SUPPORTED, CKR_NO_EVENT,
};

use super::arg;
use super::general::{MANUFACTURER, padded};
use crate::backend::{Firmware, Memory, TokenState};
use crate::error::{Error, Result};
use crate::model::slot::Module;
use crate::model::token::Token;

/// The longest PIN in bytes: a JWT can be one.
pub(super) const LONGEST_PIN: CK_ULONG = 8192;

pub(super) unsafe fn get_slot_list(
    module: &Module,
    present: CK_BBOOL,
    slots: *mut CK_SLOT_ID,
    count: *mut CK_ULONG,
) -> Result<()> {
    let wanted = module.slots().iter().filter(|slot| present == CK_FALSE || slot.has_token());
    let ids: Vec<CK_SLOT_ID> = wanted.map(|slot| slot.id).collect();
    // SAFETY: the caller owes a list of the length given and a place for the count, or NULL.
    unsafe { arg::deliver_list(&ids, slots, count) }
}

pub(super) unsafe fn get_slot_info(module: &Module, slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO) -> Result<()> {
    let slot = module.slot(slot)?;
    let token = slot.token().ok();
    let description = match token {
        Some(token) => format!("p11rest: {}", token.label()),
        None => "p11rest: not usable as configured".to_owned(),
    };
    let value = CK_SLOT_INFO {
        slotDescription: padded(&description),
        manufacturerID: padded(MANUFACTURER),
        flags: CKF_HW_SLOT | if token.is_some() { CKF_TOKEN_PRESENT } else { 0 },
        hardwareVersion: CK_VERSION { major: 0, minor: 0 },
        firmwareVersion: token.map_or(CK_VERSION { major: 0, minor: 0 }, |token| firmware(token)),
    };
    // SAFETY: the caller owes a CK_SLOT_INFO or NULL.
    unsafe { arg::write(info, value) }
}

fn firmware(token: &Token) -> CK_VERSION {
    let Firmware { major, minor } = token.backend().firmware().unwrap_or(Firmware { major: 0, minor: 0 });
    CK_VERSION { major, minor }
}

pub(super) unsafe fn get_token_info(
    module: &Module,
    slot: CK_SLOT_ID,
    info: *mut CK_TOKEN_INFO,
) -> Result<()> {
    let token = module.slot(slot)?.token()?;
    let (sessions, read_write_sessions) = token.session_counts();
    let login = if token.backend().login_required() { CKF_LOGIN_REQUIRED } else { 0 };
    let random = if token.offers_random() { CKF_RNG } else { 0 };
    let state = TokenState { write_protected: token.is_write_protected(), ..token.backend().token_state() };
    let bytes = |of: fn(Memory) -> u64| state.memory.map_or(CK_UNAVAILABLE_INFORMATION, of);
    let (total, free) = (bytes(|memory| memory.total), bytes(|memory| memory.free));
    let value = CK_TOKEN_INFO {
        label: padded(token.label()),
        manufacturerID: padded(token.backend().manufacturer()),
        model: padded(token.backend().model()),
        serialNumber: token.serial(),
        flags: CKF_TOKEN_INITIALIZED | login | random | state_flags(&state),
        ulMaxSessionCount: CK_EFFECTIVELY_INFINITE,
        ulSessionCount: sessions,
        ulMaxRwSessionCount: CK_EFFECTIVELY_INFINITE,
        ulRwSessionCount: read_write_sessions,
        ulMaxPinLen: LONGEST_PIN,
        ulMinPinLen: 0,
        ulTotalPublicMemory: total,
        ulFreePublicMemory: free,
        ulTotalPrivateMemory: CK_UNAVAILABLE_INFORMATION,
        ulFreePrivateMemory: CK_UNAVAILABLE_INFORMATION,
        hardwareVersion: CK_VERSION { major: 0, minor: 0 },
        firmwareVersion: firmware(token),
        utcTime: padded(""),
    };
    // SAFETY: the caller owes a CK_TOKEN_INFO or NULL.
    unsafe { arg::write(info, value) }
}

/// The flags that follow from what the HSM told last.
fn state_flags(state: &TokenState) -> CK_FLAGS {
    let TokenState { user_pin, so_pin, protected_path, write_protected, memory: _ } = *state;
    let so_pin = so_pin.unwrap_or_default();
    [
        (user_pin.initialized, CKF_USER_PIN_INITIALIZED),
        (user_pin.count_low, CKF_USER_PIN_COUNT_LOW),
        (user_pin.final_try, CKF_USER_PIN_FINAL_TRY),
        (user_pin.locked, CKF_USER_PIN_LOCKED),
        (user_pin.to_be_changed, CKF_USER_PIN_TO_BE_CHANGED),
        (so_pin.count_low, CKF_SO_PIN_COUNT_LOW),
        (so_pin.final_try, CKF_SO_PIN_FINAL_TRY),
        (so_pin.locked, CKF_SO_PIN_LOCKED),
        (so_pin.to_be_changed, CKF_SO_PIN_TO_BE_CHANGED),
        (protected_path, CKF_PROTECTED_AUTHENTICATION_PATH),
        (write_protected, CKF_WRITE_PROTECTED),
    ]
    .into_iter()
    .filter(|(holds, _)| *holds)
    .fold(0, |flags, (_, flag)| flags | flag)
}

pub(super) unsafe fn get_mechanism_list(
    module: &Module,
    slot: CK_SLOT_ID,
    list: *mut CK_MECHANISM_TYPE,
    count: *mut CK_ULONG,
) -> Result<()> {
    let offers = module.slot(slot)?.token()?.offers();
    let kinds: Vec<CK_MECHANISM_TYPE> = offers.map(|(mechanism, _)| mechanism.kind).collect();
    // SAFETY: the caller owes a list of the length given and a place for the count, or NULL.
    unsafe { arg::deliver_list(&kinds, list, count) }
}

pub(super) unsafe fn get_mechanism_info(
    module: &Module,
    slot: CK_SLOT_ID,
    kind: CK_MECHANISM_TYPE,
    info: *mut CK_MECHANISM_INFO,
) -> Result<()> {
    let token = module.slot(slot)?.token()?;
    arg::check_place(info)?;
    let offer = token.offer(kind)?;
    let value = CK_MECHANISM_INFO { ulMinKeySize: offer.min, ulMaxKeySize: offer.max, flags: offer.flags };
    // SAFETY: the caller owes a CK_MECHANISM_INFO or NULL.
    unsafe { arg::write(info, value) }
}

/// Slots come and go with the configuration only. Waiting is refused: NSS then polls, and its thread can end.
pub(super) unsafe fn wait_for_slot_event(
    _module: &Module,
    flags: CK_FLAGS,
    slot: *mut CK_SLOT_ID,
    reserved: CK_VOID_PTR,
) -> Result<()> {
    arg::check_place(slot)?;
    if !reserved.is_null() {
        return Err(Error::arguments("pReserved must be NULL"));
    }
    if flags & CKF_DONT_BLOCK == 0 {
        return Err(Error::new(CKR_FUNCTION_NOT_SUPPORTED, "waiting for slot events is not supported: poll"));
    }
    Err(Error::new(CKR_NO_EVENT, "no slot changed"))
}
