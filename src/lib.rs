//! p11rest
pub mod backend;
pub mod config;
pub mod crypto;
pub mod error;
pub mod observe;
pub mod transport;
