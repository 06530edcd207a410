//! The C edge: all of the module's `unsafe` code.
//!
//! Every exported function goes through [`entry`]: epoch, life-cycle, panic boundary, result, return code. The functions
//! themselves are one file a chapter of the standard; each reads the caller's memory through [`arg`], calls the model,
//! and says nothing about codes that the model has not said.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use cryptoki_sys::{
    CK_RV, CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID, CKR_BUFFER_TOO_SMALL,
    CKR_CRYPTOKI_NOT_INITIALIZED, CKR_FUNCTION_NOT_PARALLEL, CKR_FUNCTION_NOT_SUPPORTED, CKR_GENERAL_ERROR,
    CKR_NO_EVENT, CKR_OK, CKR_RANDOM_SEED_NOT_SUPPORTED, CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE,
};

use crate::config::Level;
use crate::error::{Error, Result};
use crate::model::slot::Module;
use crate::observe::log::Log;
use table::Function;

pub mod arg;
pub mod codes;
mod digest;
mod epoch;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod general;
mod generate;
mod message;
mod object;
mod random;
pub mod rv_name;
mod session;
mod slot;
mod step;
pub mod table;
mod verify;

/// A function that needs an initialised module: nearly all.
fn entry(function: Function, body: impl FnOnce(&Module) -> Result<()>) -> CK_RV {
    let Some(call) = epoch::enter() else { return CKR_CRYPTOKI_NOT_INITIALIZED };
    let module = call.module();
    let begun = module.log().enabled(Level::Trace).then(Instant::now);
    let rv = conclude(function, Some(module.log()), || body(module));
    call.hand_down();
    if let Some(begun) = begun {
        let (name, told, took) = (function.name(), rv_name::name(rv), begun.elapsed().as_micros());
        module.log().trace(format_args!("{name}: {told} after {took} µs"));
    }
    rv
}

/// A function that works before `C_Initialize` and after `C_Finalize`.
fn pure_entry(function: Function, body: impl FnOnce() -> Result<()>) -> CK_RV {
    conclude(function, None, body)
}

/// Runs the body; a panic stops here, a failure is logged here and gets a code that the function may return.
fn conclude(function: Function, log: Option<&Log>, body: impl FnOnce() -> Result<()>) -> CK_RV {
    let error = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return CKR_OK,
        Ok(Err(error)) => error,
        // The hook that C_Initialize set has logged where it happened.
        Err(_) => Error::new(CKR_GENERAL_ERROR, "a bug of this module: it panicked"),
    };
    let rv = codes::settle(function, error.rv());
    if let Some(log) = log {
        report(log, function, rv, &error);
    }
    rv
}

/// Codes that answer a question rather than tell of a failure.
const ANSWERS: [CK_RV; 8] = [
    CKR_ATTRIBUTE_SENSITIVE,
    CKR_ATTRIBUTE_TYPE_INVALID,
    CKR_BUFFER_TOO_SMALL,
    CKR_FUNCTION_NOT_PARALLEL,
    CKR_NO_EVENT,
    CKR_RANDOM_SEED_NOT_SUPPORTED,
    CKR_SIGNATURE_INVALID,
    CKR_SIGNATURE_LEN_RANGE,
];

/// One line a failure.
fn report(log: &Log, function: Function, rv: CK_RV, error: &Error) {
    let level = match rv {
        CKR_FUNCTION_NOT_SUPPORTED => Level::Info,
        _ if ANSWERS.contains(&rv) => Level::Debug,
        _ => Level::Error,
    };
    let (name, told) = (function.name(), rv_name::name(rv));
    if rv == error.rv() {
        log.write(level, format_args!("{name}: {told}: {error}"));
    } else {
        log.write(level, format_args!("{name}: {told} (from {}): {error}", rv_name::name(error.rv())));
    }
}
