//! What takes minutes: `make soak` runs it, `cargo test` alone does not.
//!
//! The same rules as for the other tests: the real `.so`, the emulator over real sockets. Counts instead of clocks
//! wherever it can be so.

#[path = "../support/mod.rs"]
mod support;

mod lifecycle;
mod proxies;
mod tokens;
mod valgrind;
