//! What the module tells of itself.

pub mod audit;
pub mod log;
#[cfg(test)]
pub mod told;
