//! **p11rest**: one PKCS#11 module in front of REST HSMs of several vendors.
//!
//! An application that speaks PKCS#11 loads `libp11rest.so`; a TOML file says which HSM stands behind which slot.
//!
//! # Layout
//!
//! ```text
//! C caller ─► ffi        pointers → typed views, panic boundary, process epoch, return codes
//!             model      slot, token, session, object, mechanism, operation: the rules of the standard
//!             crypto     what needs no secret: digests, public keys, verification, encodings, certificates
//!             backend    what an HSM must be able to do, and a folder for each vendor's dialect
//!             transport  lanes (connections), failover, retry, TLS, credentials
//!             config     TOML and environment → a configuration that is valid by construction; secrets
//!             observe    the log
//!             discreet   bytes that `Debug` does not show and that are wiped
//! ```
//!
//! Arrows run downwards only. `crypto` is a leaf. The standard's words are in `model`, a vendor's in its dialect, HTTP's
//! in `transport` and the dialects.
//!
//! # Lock rules
//!
//! 1. A registry (sessions, objects, catalog entries) is locked for a look-up or a change, never during a request.
//! 2. A session is locked during its own operation, the request included. Nothing wider ever is, but for the three
//!    single-flight gates of a token (listing its keys, reading attributes, logging in), whose waiters want the same answer
//!    and wait no longer than their deadline.
//! 3. Everything hangs off the epoch (`ffi/epoch.rs`): after a fork the child finds no state, and touches none.
#![deny(unsafe_code)]

pub mod backend;
pub mod config;
pub mod crypto;
pub mod discreet;
pub mod error;
pub mod ffi;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod model;
pub mod observe;
#[cfg(test)]
mod secrecy_tests;
pub mod transport;
