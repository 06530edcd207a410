//! p11rest
pub mod crypto;
