//! The header lines of an answer that say where its body ends, and what becomes of the connection (RFC 9112 section 6).

use std::time::Duration;

use super::http1::{BODY_LIMIT, Fault, body_too_large, is_compression, malformed};

/// The header lines that matter here.
#[derive(Default)]
pub(super) struct Fields {
    length: Option<usize>,
    chunked: bool,
    /// Whether the server closes the connection.
    pub close: bool,
    /// Whether the body is compressed.
    pub encoded: bool,
    /// `Retry-After` in seconds; the form with a date is not read.
    pub retry_after: Option<Duration>,
}

/// Where the body ends.
pub(super) enum Framing {
    /// After so many bytes.
    Length(usize),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    UntilEnd,
}

impl Fields {
    /// # Errors
    /// [`ErrorKind::Malformed`](super::ErrorKind::Malformed)
    pub fn read(lines: &[httparse::Header<'_>]) -> Result<Self, Fault> {
        let mut fields = Self::default();
        for line in lines {
            if line.name.eq_ignore_ascii_case("content-length") {
                fields.read_length(line.value)?;
            } else if line.name.eq_ignore_ascii_case("transfer-encoding") {
                let known = line.value.trim_ascii().eq_ignore_ascii_case(b"chunked");
                if fields.chunked || !known {
                    return Err(malformed("the answer has a transfer encoding other than chunked"));
                }
                fields.chunked = true;
            } else if line.name.eq_ignore_ascii_case("connection") {
                let mut options = line.value.split(|byte| *byte == b',');
                fields.close |= options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
            } else if line.name.eq_ignore_ascii_case("content-encoding") {
                fields.encoded |= is_compression(line.value);
            } else if line.name.eq_ignore_ascii_case("retry-after") {
                fields.retry_after = decimal(line.value.trim_ascii()).map(|s| Duration::from_secs(s as u64));
            }
        }
        Ok(fields)
    }

    /// A list of equal values is one value (RFC 9110 8.6).
    fn read_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        for item in value.split(|byte| *byte == b',') {
            let length = decimal(item.trim_ascii()).ok_or(malformed("the content length is not a number"))?;
            if self.length.is_some_and(|known| known != length) {
                return Err(malformed("the answer has two content lengths"));
            }
            self.length = Some(length);
        }
        Ok(())
    }

    /// What the lines say together.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`](super::ErrorKind::Malformed) where they contradict each other, else
    /// [`ErrorKind::TooLarge`](super::ErrorKind::TooLarge).
    pub fn framing(&self) -> Result<Framing, Fault> {
        match self.length {
            Some(_) if self.chunked => Err(malformed("the answer is chunked and has a content length")),
            Some(length) if length > BODY_LIMIT => Err(body_too_large()),
            Some(length) => Ok(Framing::Length(length)),
            None if self.chunked => Ok(Framing::Chunked),
            None => Ok(Framing::UntilEnd),
        }
    }
}

/// A number of digits alone; what is larger than fits is the largest.
pub(super) fn decimal(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_usize, |value, digit| match digit {
        b'0'..=b'9' => Some(value.saturating_mul(10).saturating_add(usize::from(digit - b'0'))),
        _ => None,
    })
}
