//! What the module tells of itself.

pub mod log;
