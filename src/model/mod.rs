//! Slots, tokens, sessions, objects and operations: the rules of the standard, with no word of HTTP or of a vendor.

pub mod attribute;
pub mod catalog;
pub mod cipher;
pub mod digest;
pub mod generate;
pub mod handle;
pub mod heritage;
pub mod mechanism;
pub mod object;
pub mod operation;
pub mod session;
pub mod session_object;
pub mod sign;
pub mod slot;
pub mod template;
pub mod token;
pub mod vendor;
