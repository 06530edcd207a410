//! What the module tells of itself.

pub mod audit;
pub mod log;
