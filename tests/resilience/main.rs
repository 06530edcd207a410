//! What a server, or the way to it, may do to the module, and what becomes of the signatures: the real `.so` against
//! emulators that are told to misbehave (issue list: field notes of rivals, and the standard's codes for the rest).

#[path = "../support/mod.rs"]
mod support;

mod bench_of_signers;
mod keep_alive;
mod members;
mod odd_answers;
