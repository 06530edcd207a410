//! Bytes in and out: raw, base64 or hexadecimal; signatures of ECDSA in DER.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use clap::ValueEnum;
use der::asn1::{SequenceOf, UintRef};
use der::{Decode as _, Encode as _};

use crate::failure::Failure;

/// How bytes are written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// As they are
    Raw,
    /// Base64, in one line
    Base64,
    /// Hexadecimal, in one line
    Hex,
}

impl Format {
    fn encode(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Format::Raw => bytes.to_vec(),
            Format::Base64 => format!("{}\n", BASE64_STANDARD.encode(bytes)).into_bytes(),
            Format::Hex => format!("{}\n", hex(bytes)).into_bytes(),
        }
    }

    /// The bytes of a text that [`Format::encode`] or another program wrote: blanks and line breaks are nothing.
    pub fn decode(self, text: Vec<u8>) -> Result<Vec<u8>, &'static str> {
        if self == Format::Raw {
            return Ok(text);
        }
        let text: Vec<u8> = text.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
        match self {
            Format::Base64 => BASE64_STANDARD.decode(text).map_err(|_| "it is not base64"),
            _ => std::str::from_utf8(&text).ok().and_then(from_hex).ok_or("it is not hexadecimal"),
        }
    }
}

/// Writes to the file, or to standard output: there as text unless asked otherwise.
pub fn write(out: Option<&Path>, format: Option<Format>, bytes: &[u8]) -> Result<(), Failure> {
    match out {
        Some(path) => {
            let bytes = format.unwrap_or(Format::Raw).encode(bytes);
            fs::write(path, bytes).map_err(Failure::in_context(path.display()))
        }
        None => {
            let bytes = format.unwrap_or(Format::Base64).encode(bytes);
            let mut out = io::stdout();
            out.write_all(&bytes).and_then(|()| out.flush()).map_err(Failure::in_context("standard output"))
        }
    }
}

/// All of the file, or of standard input.
pub fn read(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    match file {
        Some(path) => fs::read(path).map_err(Failure::in_context(path.display())),
        None => {
            let mut data = Vec::new();
            io::stdin().read_to_end(&mut data).map_err(Failure::in_context("standard input"))?;
            Ok(data)
        }
    }
}

/// A signature of ECDSA as other programs want it: a SEQUENCE of r and s, where PKCS#11 has r‖s (PKCS#11 3.2 §6.3.1).
pub fn ecdsa_to_der(signature: &[u8]) -> Result<Vec<u8>, Failure> {
    let wrong = || Failure::new("the ECDSA signature is not r‖s");
    let length = signature.len();
    if length == 0 || !length.is_multiple_of(2) {
        return Err(wrong());
    }
    let mut numbers = SequenceOf::<UintRef<'_>, 2>::new();
    let (r, s) = signature.split_at(length / 2);
    for half in [r, s] {
        UintRef::new(half).and_then(|number| numbers.add(number)).map_err(|_| wrong())?;
    }
    numbers.to_der().map_err(|_| wrong())
}

/// Back: r and s with `size` bytes each.
pub fn ecdsa_from_der(signature: &[u8], size: usize) -> Option<Vec<u8>> {
    let numbers = SequenceOf::<UintRef<'_>, 2>::from_der(signature).ok()?;
    if numbers.len() != 2 {
        return None;
    }
    let mut raw = Vec::new();
    for number in numbers.iter() {
        let digits = number.as_bytes();
        raw.resize(raw.len() + size.checked_sub(digits.len())?, 0);
        raw.extend_from_slice(digits);
    }
    Some(raw)
}

/// Hexadecimal digits, in lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal digits.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| !digits.is_empty() && digits.len().is_multiple_of(2))?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `openssl dgst -sha256 -sign` wrote; r is a byte short, and s needs a leading zero.
    const DER: &str = "3044021f346c430a8b018bcf55f139961d30be7e28a769ee09b2039758a9275a9d12ae\
         022100c65024ef99d31e831a292d0e6691cade2ccd1d7585cad27aec8a344e1fef227e";
    /// r and s as `openssl asn1parse` shows them, r filled up to 32 bytes.
    const RAW: &str = "00346c430a8b018bcf55f139961d30be7e28a769ee09b2039758a9275a9d12ae\
         c65024ef99d31e831a292d0e6691cade2ccd1d7585cad27aec8a344e1fef227e";

    #[test]
    fn ecdsa_signatures_become_der_and_come_back() {
        let (der, raw) = (from_hex(DER).unwrap(), from_hex(RAW).unwrap());
        assert_eq!(ecdsa_to_der(&raw).unwrap(), der);
        assert_eq!(ecdsa_from_der(&der, 32).unwrap(), raw);
    }

    #[test]
    fn what_is_no_ecdsa_signature_is_refused() {
        let (der, raw) = (from_hex(DER).unwrap(), from_hex(RAW).unwrap());
        assert!(ecdsa_to_der(&raw[..63]).is_err());
        assert!(ecdsa_to_der(&[]).is_err());
        assert_eq!(ecdsa_from_der(&raw, 32), None);
        assert_eq!(ecdsa_from_der(&der[..der.len() - 1], 32), None);
        // s has 32 bytes.
        assert_eq!(ecdsa_from_der(&der, 31), None);
        // SEQUENCE { INTEGER 1 }
        assert_eq!(ecdsa_from_der(&[0x30, 3, 2, 1, 1], 1), None);
    }

    /// The vectors of RFC 4648 section 10.
    #[test]
    fn texts_are_those_of_the_rfc() {
        assert_eq!(Format::Base64.encode(b"fooba"), b"Zm9vYmE=\n");
        assert_eq!(Format::Hex.encode(b"foobar"), b"666f6f626172\n");
        assert_eq!(Format::Base64.decode(b"Zm9v\r\nYmE=\n".to_vec()), Ok(b"fooba".to_vec()));
        assert_eq!(Format::Hex.decode(b"666F 6f62\n6172".to_vec()), Ok(b"foobar".to_vec()));
        assert!(Format::Hex.decode(b"666".to_vec()).is_err());
        assert!(Format::Hex.decode(b"6+".to_vec()).is_err());
        assert!(Format::Base64.decode(b"Zm9v*".to_vec()).is_err());
        assert_eq!(Format::Raw.decode(b" \n".to_vec()), Ok(b" \n".to_vec()));
    }
}
