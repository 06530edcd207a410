//! The flows of the dialect against a scripted appliance.

use crate::transport::Kept;

/// Header lines of an answer.
pub(super) fn kept(lines: &[(&str, &str)]) -> Kept {
    Kept::of(lines)
}
