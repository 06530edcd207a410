//! The lines between the data of a chunked body (RFC 9112 7.1), byte by byte.

use super::http1::{BODY_LIMIT, Fault, HEAD_LIMIT, body_too_large, malformed, too_large};

/// Where in a chunked body the next byte is. Lines end with CR LF and nothing else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    place: Place,
    /// The size of the chunk at hand, from its line.
    size: usize,
    /// Bytes that are not data, since the last chunk.
    overhead: usize,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// Before the first digit of a size.
    SizeStart,
    /// Among its digits.
    Size,
    /// Behind the size.
    Extension,
    /// Before the LF of the chunk line.
    SizeEnd,
    /// Before so many bytes of data.
    Data(usize),
    /// Behind the data: the byte that must follow.
    DataEnd(u8),
    /// Before a trailer, or the empty line behind them.
    LineStart,
    /// In a trailer.
    Line,
    /// Before the LF of a trailer.
    LineEnd,
    /// Before the very last LF.
    LastEnd,
}

impl Chunk {
    /// Before the first byte.
    pub const START: Self = Self { place: Place::SizeStart, size: 0, overhead: 0 };

    /// How much data comes next; `None`: a byte for [`step`](Self::step) does.
    pub fn data(&self) -> Option<usize> {
        match self.place {
            Place::Data(left) => Some(left),
            _ => None,
        }
    }

    /// Behind all that was left of the data but `left` bytes.
    pub fn with_data_left(self, left: usize) -> Self {
        let place = if left == 0 { Place::DataEnd(b'\r') } else { Place::Data(left) };
        Self { place, overhead: 0, ..self }
    }

    /// One byte that is not data; `None` behind the last one.
    pub fn step(mut self, byte: u8) -> Result<Option<Self>, Fault> {
        self.overhead += 1;
        if self.overhead > HEAD_LIMIT {
            return Err(too_large("a chunk line or the trailers of the answer are larger than 64 KiB"));
        }
        self.place = match (self.place, byte) {
            (Place::SizeStart | Place::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(byte)?,
            (Place::Size, b'\r') => Place::SizeEnd,
            (Place::Size, b';' | b' ' | b'\t') => Place::Extension,
            (Place::Extension, b'\r') => Place::SizeEnd,
            (Place::Extension, b) if b != b'\n' => Place::Extension,
            (Place::SizeEnd, b'\n') if self.size == 0 => Place::LineStart,
            (Place::SizeEnd, b'\n') => Place::Data(std::mem::take(&mut self.size)),
            (Place::DataEnd(b'\r'), b'\r') => Place::DataEnd(b'\n'),
            (Place::DataEnd(b'\n'), b'\n') => Place::SizeStart,
            (Place::LineStart, b'\r') => Place::LastEnd,
            (Place::Line, b'\r') => Place::LineEnd,
            (Place::LineStart | Place::Line, b) if b != b'\n' => Place::Line,
            (Place::LineEnd, b'\n') => Place::LineStart,
            (Place::LastEnd, b'\n') => return Ok(None),
            _ => return Err(malformed("the chunks of the answer are not those of HTTP/1.1")),
        };
        Ok(Some(self))
    }

    fn digit(&mut self, byte: u8) -> Result<Place, Fault> {
        let digit = char::from(byte).to_digit(16).unwrap_or_default() as usize;
        self.size = self.size.saturating_mul(16).saturating_add(digit);
        if self.size > BODY_LIMIT {
            return Err(body_too_large());
        }
        Ok(Place::Size)
    }
}
