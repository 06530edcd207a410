//! The C programs under valgrind's memcheck: no byte that was not written or not allocated is read, and no memory of the
//! module is lost.

use crate::support::c::{EMULATOR, Program, slot_at};

/// The options of all. Exit codes of the programs themselves are 0 to 3.
const MEMCHECK: [&str; 4] = ["valgrind", "--quiet", "--error-exitcode=99", "--num-callers=40"];

/// What nobody can reach any more is an error. Not where there are forks: a child has lost its parent's state by
/// design, and the stacks of its parent's other threads too.
const LEAKS: [&str; 3] =
    ["--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"];

/// A program that runs twenty times as slow, beside others, has time for a handshake.
const PATIENCE: &str = "\n[slot.timeouts]\nconnect = \"60s\"\ncall = \"100s\"\n";

fn under(options: &[&str], name: &str) -> Program {
    let command = [&MEMCHECK[..], options].concat();
    Program::of(name, &format!("valgrind_{name}")).under(&command)
}

/// On the emulator.
fn live(options: &[&str], name: &str, top: &str) {
    under(options, name).run(&format!("{top}{}{PATIENCE}", EMULATOR.text("p11rest.toml")), &[]);
}

/// Without an HSM.
fn alone(options: &[&str], name: &str) {
    under(options, name).run(&slot_at("127.0.0.1:1"), &[]);
}

#[test]
fn bad_arguments_read_nothing_that_is_not_there() {
    for name in ["tables", "initialize", "hostile"] {
        alone(&LEAKS, name);
    }
}

#[test]
fn ends_and_forks_touch_nothing_that_is_gone() {
    for name in ["lifecycle", "fork"] {
        alone(&["--leak-check=no"], name);
    }
}

#[test]
fn lives_with_signatures_lose_nothing() {
    live(&LEAKS, "threadless", "");
}

#[test]
fn children_that_go_on_touch_nothing_that_is_gone() {
    live(&["--leak-check=no"], "transparent", "fork = \"transparent\"\n");
}
