//! `[slot.fast]`: what only FAST HSM is told.

use super::problem::Problem;
use super::read::Section;

/// The settings of FAST HSM.
#[derive(Debug)]
pub struct Fast {}

/// Reads them.
pub(super) fn read(_section: &Section<'_>) -> Result<Fast, Problem> {
    Ok(Fast {})
}
