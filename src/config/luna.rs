//! `[slot.luna]`: what only Thales Luna is told.

use super::problem::Problem;
use super::read::Section;

/// The settings of Thales Luna.
#[derive(Debug)]
pub struct Luna {}

/// Reads them.
pub(super) fn read(_section: &Section<'_>) -> Result<Luna, Problem> {
    Ok(Luna {})
}
