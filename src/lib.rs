//! p11rest
pub mod config;
pub mod observe;
