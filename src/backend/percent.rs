//! Percent-encoding (RFC 3986 section 2.1).

use std::fmt::Write;

/// Appends `text`, all but its unreserved characters (section 2.3) encoded: as one segment of a path, or as a value of a
/// query.
pub(super) fn push(url: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => url.push(byte.into()),
            _ => {
                let written = write!(url, "%{byte:02X}");
                debug_assert!(written.is_ok(), "a String takes all that is written");
            }
        }
    }
}
