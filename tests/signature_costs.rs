//! What a signature costs the caller's process, in counts: unlike times they are the same on a busy machine.

use std::ffi::OsStr;
use std::fs;

use support::c::{Program, library};
use support::emulator::Emulator;

mod support;

/// Signatures of the shorter of two runs; what a program does once is in both.
const FEW: u64 = 50;
/// Signatures by which the longer one is longer.
const MORE: u64 = 1000;
/// One signature in a hundred may have one more, as when a timeout is set anew.
const SLACK: u64 = MORE / 100;

#[test]
fn a_signature_takes_three_system_calls_at_most() {
    for tls in [false, true] {
        let program = Program::of("signatures", "system_calls");
        let file = program.directory().join("strace");
        let program = program.under(&["strace", "-f", "-c", "-o", file.to_str().expect("the path is text")]);
        let calls = more(&program, tls, &[], || {
            let summary = fs::read_to_string(&file).expect("strace counted");
            let total = summary.lines().rfind(|line| line.ends_with(" total")).expect("strace adds up");
            total.split_whitespace().nth(3).expect("a column of calls").parse().expect("a number")
        });
        assert!((2 * MORE..=3 * MORE + SLACK).contains(&calls), "{calls} in {MORE}, TLS: {tls}");
    }
}

#[test]
fn a_signature_takes_ten_allocations_at_most() {
    for tls in [false, true] {
        let program = Program::of("signatures", "allocations");
        let file = program.directory().join("allocated");
        let counter = library("allocations", program.directory());
        let variables = [("LD_PRELOAD", counter.as_os_str()), ("P11REST_ALLOCATIONS", file.as_os_str())];
        let allocations = more(&program, tls, &variables, || {
            fs::read_to_string(&file).expect("the library counted").trim().parse().expect("a number")
        });
        assert!((MORE..=10 * MORE + SLACK).contains(&allocations), "{allocations} in {MORE}, TLS: {tls}");
    }
}

/// By how much the count of a run with more signatures is higher.
fn more(program: &Program, tls: bool, variables: &[(&str, &OsStr)], counted: impl Fn() -> u64) -> u64 {
    let emulator = Emulator::start_with("securosys", tls, &["--canned"]);
    let configuration = emulator.text("p11rest.toml");
    let [few, many] = [FEW, FEW + MORE].map(|number| {
        let number = number.to_string();
        // A line of the log costs more than all the rest.
        let own = [("NUMBER", OsStr::new(&number)), ("P11REST_LOG_LEVEL", OsStr::new("off"))];
        let variables = [variables, &own].concat();
        program.run(&configuration, &variables);
        counted()
    });
    many - few
}
