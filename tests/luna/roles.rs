//! Roles of the partition: who logs in, with how many tries, and what the token tells of it.

use cryptoki_sys::*;
use reqwest::Method;
use serde_json::json;

use super::{LOGIN, PARTITION, count, flags, session_of, sessions, set_role, switch, with, with_own};
use crate::support::emulator::PIN;
use crate::support::p11::{Called, P11, refused};

/// What a login in a session of its own comes to.
fn log_in(p11: &'static P11, slot: CK_SLOT_ID, pin: &str) -> Called {
    p11.open(slot).unwrap().login(pin)
}

#[test]
fn the_user_is_the_configured_role() {
    with("role = \"cu\"", &[], |p11, slot, emulator| {
        let session = p11.open(slot).unwrap();
        session.login(PIN).unwrap();
        assert_eq!(sessions(emulator), session_of("cu"));
    });
}

#[test]
fn the_security_officer_logs_in_if_configured() {
    with("", &[], |p11, slot, emulator| {
        let session = p11.open_rw(slot).unwrap();
        let pin = emulator.text("partition-so.password");
        refused(session.login_as(CKU_SO, pin.as_bytes()), CKR_USER_TYPE_INVALID);
        assert_eq!(emulator.stats().total, 0);
    });
    with("so = true", &[], |p11, slot, emulator| {
        let session = p11.open_rw(slot).unwrap();
        let pin = emulator.text("partition-so.password");
        session.login_as(CKU_SO, pin.as_bytes()).unwrap();
        assert_eq!(sessions(emulator), session_of("so"));
        assert_eq!(session.info().unwrap().state, CKS_RW_SO_FUNCTIONS);
        session.logout().unwrap();
        refused(session.login_as(CKU_SO, PIN.as_bytes()), CKR_PIN_INCORRECT);
        assert_ne!(flags(p11, slot) & CKF_SO_PIN_COUNT_LOW, 0);
        session.login(PIN).unwrap();
        assert_eq!(sessions(emulator), session_of("co"));
    });
}

#[test]
fn the_token_tells_what_was_told_last() {
    with_own(&[], |p11, slot, emulator| {
        let info = p11.token_info(slot).unwrap();
        assert_eq!(emulator.stats().total, 0, "nobody is asked for that");
        assert_eq!(&info.manufacturerID[..6], b"Thales");
        assert_eq!(&info.model, b"Luna Network HSM");
        let told = (info.firmwareVersion.major, info.ulTotalPublicMemory);
        assert_eq!(told, (0, CK_UNAVAILABLE_INFORMATION));
        assert_ne!(info.flags & CKF_WRITE_PROTECTED, 0);
        assert_eq!(info.flags & (CKF_RNG | CKF_PROTECTED_AUTHENTICATION_PATH), 0);
        set_role(emulator, "co", &json!({"pinToBeChanged": true, "loginAttemptsLeft": 9}));
        // CKR_PIN_EXPIRED is none of the codes of C_Login.
        refused(log_in(p11, slot, PIN), CKR_PIN_INCORRECT);
        assert_ne!(flags(p11, slot) & CKF_USER_PIN_TO_BE_CHANGED, 0);
        set_role(emulator, "co", &json!({"pinToBeChanged": false}));
        let session = p11.open(slot).unwrap();
        session.login(PIN).unwrap();
        let info = p11.token_info(slot).unwrap();
        assert_eq!((info.firmwareVersion.major, info.firmwareVersion.minor), (7, 8));
        assert_eq!(info.ulTotalPublicMemory, 33_554_432);
        assert_eq!(info.ulFreePublicMemory, 33_554_432 - 648_381);
        let expected = CKF_USER_PIN_INITIALIZED | CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED;
        assert_eq!(info.flags & !CKF_WRITE_PROTECTED, expected);
    });
}

/// The serial number is the partition's where it is named by its id.
#[test]
fn the_serial_number_is_the_partition_s() {
    with(&format!("partition = \"{PARTITION}\""), &["--set", "partitions=several"], |p11, slot, _| {
        assert_eq!(p11.token_info(slot).unwrap().serialNumber.trim_ascii(), PARTITION.as_bytes());
    });
}

#[test]
fn the_last_try_is_spared_unless_configured() {
    with_own(&["--set", "attempts=3"], |p11, slot, emulator| {
        for _ in 0..2 {
            refused(log_in(p11, slot, "wrong-pin"), CKR_PIN_INCORRECT);
        }
        assert_ne!(flags(p11, slot) & CKF_USER_PIN_FINAL_TRY, 0);
        assert_ne!(flags(p11, slot) & CKF_USER_PIN_COUNT_LOW, 0);
        // Even the right one is not tried.
        for pin in ["wrong-pin", PIN] {
            refused(log_in(p11, slot, pin), CKR_PIN_LOCKED);
        }
        assert_eq!(count(emulator, LOGIN), 2);
        assert_eq!(flags(p11, slot) & CKF_USER_PIN_LOCKED, 0);
    });
    with("final_try = true", &["--set", "attempts=2"], |p11, slot, emulator| {
        refused(log_in(p11, slot, "wrong-pin"), CKR_PIN_INCORRECT);
        refused(log_in(p11, slot, "wrong-pin"), CKR_PIN_LOCKED);
        assert_ne!(flags(p11, slot) & CKF_USER_PIN_LOCKED, 0);
        refused(log_in(p11, slot, PIN), CKR_PIN_LOCKED);
        assert_eq!(count(emulator, LOGIN), 2, "what is locked is not tried");
        set_role(emulator, "co", &json!({"lockedOut": false, "loginAttemptsLeft": 1}));
        log_in(p11, slot, PIN).unwrap();
        assert_eq!(flags(p11, slot) & (CKF_USER_PIN_LOCKED | CKF_USER_PIN_FINAL_TRY), 0);
    });
}

#[test]
fn a_role_or_partition_that_is_not_initialised() {
    with_own(&[], |p11, slot, emulator| {
        set_role(emulator, "co", &json!({"initialized": false}));
        refused(log_in(p11, slot, PIN), CKR_USER_PIN_NOT_INITIALIZED);
        assert_eq!(flags(p11, slot) & CKF_USER_PIN_INITIALIZED, 0);
        assert_eq!(count(emulator, LOGIN), 0);
    });
    with_own(&[], |p11, slot, emulator| {
        switch(emulator, Method::PUT, &format!("partitions/{PARTITION}"), &json!({"initialized": false}));
        // So of an open session (section 12.3).
        refused(log_in(p11, slot, PIN), CKR_DEVICE_REMOVED);
    });
}

/// The PIN is shown at the device: the call has none.
#[test]
fn a_pin_entry_device_is_a_protected_path() {
    with_own(&["--set", "ped=yes", "--set", "attempts=3"], |p11, slot, emulator| {
        assert_eq!(flags(p11, slot) & CKF_PROTECTED_AUTHENTICATION_PATH, 0, "nobody has said so");
        let session = p11.open(slot).unwrap();
        session.login("").unwrap();
        assert_ne!(flags(p11, slot) & CKF_PROTECTED_AUTHENTICATION_PATH, 0);
        assert_eq!(sessions(emulator), session_of("co"));
        session.logout().unwrap();
        switch(emulator, Method::PUT, "ped", &json!("refuse"));
        refused(session.login(""), CKR_PIN_INCORRECT);
        assert_eq!(count(emulator, "GET /tasks/{taskid}/response"), 2);
    });
    with("ped = 1\n[slot.timeouts]\ncall = \"1s\"", &["--set", "ped=yes"], |p11, slot, emulator| {
        assert_ne!(flags(p11, slot) & CKF_PROTECTED_AUTHENTICATION_PATH, 0, "the configuration says so");
        switch(emulator, Method::PUT, "ped", &json!("wait"));
        refused(log_in(p11, slot, ""), CKR_DEVICE_ERROR);
        assert_eq!(count(emulator, LOGIN), 1);
        switch(emulator, Method::PUT, "ped", &json!("accept"));
        log_in(p11, slot, "").unwrap();
    });
}

#[test]
fn an_account_without_the_rights_is_told_so() {
    with("", &[], |p11, slot, emulator| {
        switch(emulator, Method::PUT, "accounts/operator", &json!({"role": "monitor"}));
        let session = p11.open(slot).unwrap();
        // May read the state of the role, and not log it in.
        refused(session.login(PIN), CKR_DEVICE_ERROR);
        assert_eq!(count(emulator, LOGIN), 1);
        switch(emulator, Method::PUT, "accounts/operator", &json!({"role": "audit"}));
        assert!(session.find(&[]).is_err());
        switch(emulator, Method::PUT, "accounts/operator", &json!({"role": "operator", "mustChange": true}));
        refused(session.login(PIN), CKR_DEVICE_ERROR);
        switch(emulator, Method::PUT, "accounts/operator", &json!({"mustChange": false}));
        session.login(PIN).unwrap();
    });
}

#[test]
fn a_pin_is_changed_by_the_configured_call() {
    const NEW: &str = "another-pin-7f3a";
    for form in ["patch", "put"] {
        let option = format!("change_password={form}");
        with(&format!("set_pin = \"{form}\""), &["--set", &option], |p11, slot, emulator| {
            assert_eq!(flags(p11, slot) & CKF_WRITE_PROTECTED, 0);
            let session = p11.open_rw(slot).unwrap();
            refused(session.set_pin("wrong-pin", NEW), CKR_PIN_INCORRECT);
            refused(session.set_pin(PIN, "short"), CKR_PIN_LEN_RANGE);
            refused(session.set_pin(PIN, &"x".repeat(256)), CKR_PIN_LEN_RANGE);
            session.set_pin(PIN, NEW).unwrap();
            assert_eq!(sessions(emulator), json!([]), "that of the call is ended");
            refused(session.login(PIN), CKR_PIN_INCORRECT);
            session.login(NEW).unwrap();
            session.set_pin(NEW, PIN).unwrap();
            assert_eq!(sessions(emulator), session_of("co"), "who is logged in stays so");
        });
    }
    // A PIN that must be changed can be.
    with("set_pin = \"patch\"", &[], |p11, slot, emulator| {
        set_role(emulator, "co", &json!({"pinToBeChanged": true}));
        refused(log_in(p11, slot, PIN), CKR_PIN_INCORRECT);
        p11.open_rw(slot).unwrap().set_pin(PIN, NEW).unwrap();
        log_in(p11, slot, NEW).unwrap();
        assert_eq!(flags(p11, slot) & CKF_USER_PIN_TO_BE_CHANGED, 0);
    });
}
