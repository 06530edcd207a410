//! `[slot.ciphertrust]`: what only CipherTrust Manager is told.

use super::problem::Problem;
use super::read::Section;

/// The settings of CipherTrust Manager.
#[derive(Debug)]
pub struct CipherTrust {}

/// Reads them.
pub(super) fn read(_section: &Section<'_>) -> Result<CipherTrust, Problem> {
    Ok(CipherTrust {})
}
