//! Reading and writing DER as tag, length and content (X.690).
//!
//! Lengths are strict: definite and minimal. Contents are not looked at, so that a certificate with an odd name or
//! extension still gives the fields around it. Tags above 30 are refused; X.509 has none.

use super::Error;

/// Tags of X.690 section 8 as they stand in the first byte.
pub(super) mod tag {
    pub const BOOLEAN: u8 = 0x01;
    pub const INTEGER: u8 = 0x02;
    pub const BIT_STRING: u8 = 0x03;
    pub const OCTET_STRING: u8 = 0x04;
    pub const NULL: u8 = 0x05;
    pub const OID: u8 = 0x06;
    pub const UTF8_STRING: u8 = 0x0c;
    pub const PRINTABLE_STRING: u8 = 0x13;
    pub const TELETEX_STRING: u8 = 0x14;
    pub const UTC_TIME: u8 = 0x17;
    pub const GENERALIZED_TIME: u8 = 0x18;
    pub const BMP_STRING: u8 = 0x1e;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;
}

/// One element.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    /// The identifier byte.
    pub tag: u8,
    /// What the length counts.
    pub content: &'a [u8],
    /// The whole element.
    pub raw: &'a [u8],
}

/// Takes elements off the front of some bytes.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// What is being read, for the error.
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    /// The content of the one element that `bytes` is, which has to have this tag.
    pub fn only(bytes: &'a [u8], tag: u8, what: &'static str) -> Result<&'a [u8], Error> {
        let mut reader = Self::new(bytes, what);
        let content = reader.expect(tag)?.content;
        reader.finish()?;
        Ok(content)
    }

    /// The next element.
    pub fn any(&mut self) -> Result<Element<'a>, Error> {
        let (element, rest) = split(self.rest).ok_or(self.error())?;
        self.rest = rest;
        Ok(element)
    }

    /// The next element, which has to have this tag.
    pub fn expect(&mut self, tag: u8) -> Result<Element<'a>, Error> {
        self.optional(tag)?.ok_or(self.error())
    }

    /// The next element if it has this tag.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, Error> {
        if self.rest.first() == Some(&tag) { self.any().map(Some) } else { Ok(None) }
    }

    /// The inside of the next element, which has to be a SEQUENCE.
    pub fn sequence(&mut self) -> Result<Self, Error> {
        Ok(Self::new(self.expect(tag::SEQUENCE)?.content, self.what))
    }

    /// The next element as a positive INTEGER or zero: big-endian, no leading zero byte, empty for zero.
    pub fn unsigned(&mut self) -> Result<&'a [u8], Error> {
        match self.expect(tag::INTEGER)?.content {
            [0] => Ok(&[]),
            [0, rest @ ..] if rest.first().is_some_and(|&byte| byte >= 0x80) => Ok(rest),
            content @ [0x01..=0x7f, ..] => Ok(content),
            _ => Err(self.error()),
        }
    }

    /// The next element as a BIT STRING of whole bytes.
    pub fn bit_string(&mut self) -> Result<&'a [u8], Error> {
        match self.expect(tag::BIT_STRING)?.content {
            [0, bytes @ ..] => Ok(bytes),
            _ => Err(self.error()),
        }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Refuses bytes that are left over.
    pub fn finish(&self) -> Result<(), Error> {
        if self.is_empty() { Ok(()) } else { Err(self.error()) }
    }

    fn error(&self) -> Error {
        Error::Malformed(self.what)
    }
}

fn split(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, after_tag) = bytes.split_first()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (length, after_length) = split_length(after_tag)?;
    let (content, rest) = after_length.split_at_checked(length)?;
    let raw = bytes.get(..bytes.len() - rest.len())?;
    Some((Element { tag, content, raw }, rest))
}

fn split_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        return Some((usize::from(first), rest));
    }
    let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    // No digit is the indefinite form, five say more than any caller can hold, a leading zero is not minimal.
    if digits.len() > 4 || *digits.first()? == 0 {
        return None;
    }
    let length =
        digits.iter().try_fold(0usize, |sum, &digit| sum.checked_mul(256)?.checked_add(digit.into()))?;
    (length >= 0x80).then_some((length, rest))
}

/// An element with this tag around `content`.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = Vec::with_capacity(content.len() + 6);
    der.push(tag);
    match u8::try_from(content.len()) {
        Ok(length @ ..0x80) => der.push(length),
        _ => {
            let digits = content.len().to_be_bytes();
            let digits = strip_zeros(&digits);
            // A usize has at most eight digits, so the sum stays within the byte.
            der.push(0x80 | digits.len() as u8);
            der.extend_from_slice(digits);
        }
    }
    der.extend_from_slice(content);
    der
}

/// An INTEGER from big-endian bytes with or without leading zeros.
pub(super) fn unsigned(value: &[u8]) -> Vec<u8> {
    let value = strip_zeros(value);
    match value.first() {
        Some(..0x80) => element(tag::INTEGER, value),
        _ => element(tag::INTEGER, &[&[0], value].concat()),
    }
}

/// A BIT STRING of whole bytes.
pub(super) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    element(tag::BIT_STRING, &[&[0], bytes].concat())
}

/// Big-endian bytes without their leading zeros.
pub(super) fn strip_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_minimal_both_ways() {
        for length in [0, 1, 127, 128, 255, 256, 65535, 65536] {
            let der = element(tag::OCTET_STRING, &vec![7; length]);
            assert_eq!(Reader::only(&der, tag::OCTET_STRING, "test").map(<[u8]>::len), Ok(length));
        }
        assert_eq!(element(tag::OCTET_STRING, &[0; 128])[..3], [0x04, 0x81, 0x80]);
        // Indefinite, not minimal, not minimal, longer than four digits.
        for head in [&[0x80][..], &[0x81, 0x7f], &[0x82, 0x00, 0x80], &[0x85, 0, 0, 0, 0, 0x80]] {
            let bad = [&[tag::OCTET_STRING], head, &[0; 200]].concat();
            assert!(Reader::new(&bad, "test").any().is_err(), "{head:02x?}");
        }
        // Longer than what is there, and a tag of two bytes.
        assert!(Reader::new(&[0x04, 2, 0], "test").any().is_err());
        assert!(Reader::new(&[0x1f, 1, 0], "test").any().is_err());
    }

    #[test]
    fn integers_are_minimal_and_positive() {
        let read = |der: &[u8]| Reader::new(der, "test").unsigned().map(<[u8]>::to_vec);
        assert_eq!(read(&[2, 1, 0]), Ok(vec![]));
        assert_eq!(read(&[2, 1, 0x7f]), Ok(vec![0x7f]));
        assert_eq!(read(&[2, 2, 0, 0x80]), Ok(vec![0x80]));
        for bad in [&[2, 0][..], &[2, 1, 0x80], &[2, 2, 0, 0x7f], &[2, 2, 0xff, 0]] {
            assert!(read(bad).is_err(), "{bad:02x?}");
        }
        assert_eq!(unsigned(&[0, 0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(unsigned(&[0, 1]), [2, 1, 1]);
        assert_eq!(unsigned(&[]), [2, 1, 0]);
    }
}
