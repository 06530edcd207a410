//! `[slot.declared]`: what only the declared dialect is told.

use super::problem::Problem;
use super::read::Section;

/// The settings of the declared dialect.
#[derive(Debug)]
pub struct Declared {}

/// Reads them.
pub(super) fn read(_section: &Section<'_>) -> Result<Declared, Problem> {
    Ok(Declared {})
}
