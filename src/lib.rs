//! p11rest
#![deny(unsafe_code)]
pub mod config;
pub mod error;
pub mod transport;
