//! Thales Luna: the module against the emulated appliance, in each reading of the vendor's documentation; its roles and
//! sessions; what it refuses; and cryptography by way of other slots.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use cryptoki_sys::{CK_FLAGS, CK_SLOT_ID};
use reqwest::Method;
use serde_json::{Value, json};
use support::emulator::Emulator;
use support::p11::P11;

#[path = "../support/mod.rs"]
mod support;

mod crypto;
mod enrolment;
mod expiries;
mod readings;
mod refusals;
mod roles;
mod sessions;

/// The id of the emulator's partition.
const PARTITION: &str = "1682975235230";
const LOGIN: &str = "POST /api/lunasa/hsms/{hsmid}/partitions/{partitionid}/login";
const SESSION: &str = "POST /auth/session";

/// Runs `check` on the slot that the emulator with those options writes itself.
fn with_own(options: &[&str], check: impl FnOnce(&'static P11, CK_SLOT_ID, &Emulator)) {
    run(options, |emulator| emulator.path("p11rest.toml"), check);
}

/// Runs `check` on a slot with these lines in `[slot.luna]`, and tables behind them.
fn with(lines: &str, options: &[&str], check: impl FnOnce(&'static P11, CK_SLOT_ID, &Emulator)) {
    run(options, |emulator| write(emulator, &slot("luna", emulator, lines)), check);
}

/// One module, one at a time.
fn run(
    options: &[&str],
    configure: impl FnOnce(&Emulator) -> PathBuf,
    check: impl FnOnce(&'static P11, CK_SLOT_ID, &Emulator),
) {
    let _turn = turn();
    let emulator = Emulator::start_with("luna", false, options);
    let p11 = P11::load();
    // After a test that failed.
    let _ = p11.finalize();
    p11.initialize(&configure(&emulator)).unwrap();
    check(p11, p11.slots(true).unwrap()[0], &emulator);
    p11.finalize().unwrap();
    assert_eq!(sessions(&emulator), json!([]), "nothing stays open at the appliance");
}

fn turn() -> std::sync::MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A slot at an emulator.
fn slot(label: &str, emulator: &Emulator, lines: &str) -> String {
    let (url, password) = (emulator.url(), emulator.path("operator.password"));
    format!(
        "[[slot]]\nlabel = \"{label}\"\nbackend = \"luna\"\nurls = [\"{url}\"]\n[slot.luna]\nuser = \"operator\"\n\
         password = \"file:{}\"\n{lines}\n",
        password.display()
    )
}

/// A configuration with these slots.
fn write(emulator: &Emulator, slots: &str) -> PathBuf {
    let path = emulator.path("own.toml");
    fs::write(&path, format!("version = 1\n{slots}")).unwrap();
    // There may be secrets in it.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// `/_emulator/…`
fn switch(emulator: &Emulator, method: Method, path: &str, body: &Value) {
    let answer = emulator.call(method, &format!("/_emulator/{path}"), &[], Some(body));
    assert_eq!(answer.status(), 204, "{path}: {body}");
}

/// Changes a role of the partition.
fn set_role(emulator: &Emulator, role: &str, change: &Value) {
    switch(emulator, Method::PUT, &format!("partitions/{PARTITION}/roles/{role}"), change);
}

/// Who is logged in where.
fn sessions(emulator: &Emulator) -> Value {
    emulator.call(Method::GET, "/_emulator/sessions", &[], None).json().unwrap()
}

/// One private session of the account with that role.
fn session_of(role: &str) -> Value {
    json!([{ "user": "operator", "logins": [format!("{PARTITION}/{role}")] }])
}

fn count(emulator: &Emulator, request: &str) -> u64 {
    emulator.stats().requests.get(request).copied().unwrap_or(0)
}

fn flags(p11: &P11, slot: CK_SLOT_ID) -> CK_FLAGS {
    p11.token_info(slot).unwrap().flags
}
