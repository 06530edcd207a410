//! X.509 certificates, as far as PKCS#11 shows them.
//!
//! Only the outer fields of the TBSCertificate (RFC 5280 section 4.1) are read, and their bytes kept as they are:
//! a certificate with a negative serial number, an odd name or a broken extension is still a certificate object.

use std::fmt;

use super::Error;
use super::digest::Hash;
use super::encode;
use super::public_key::PublicKey;
use super::tlv::{Element, Reader, tag};

/// Explicit tags of the TBSCertificate.
const VERSION: u8 = 0xa0;
const ISSUER_ID: u8 = 0x81;
const SUBJECT_ID: u8 = 0x82;
const EXTENSIONS: u8 = 0xa3;

/// The DER of the object identifier of basicConstraints, 2.5.29.19.
const BASIC_CONSTRAINTS: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x13];

const WHAT: &str = "certificate";

/// A certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    serial_number: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    not_before: Option<Date>,
    not_after: Option<Date>,
    spki: Vec<u8>,
    is_authority: bool,
}

/// Year, month, day.
type Date = (u16, u8, u8);

impl Certificate {
    /// Reads the DER of one certificate, nothing before or after it.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the outer fields are not those of a certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let mut outer = Reader::new(Reader::only(der, tag::SEQUENCE, WHAT)?, WHAT);
        let mut fields = outer.sequence()?;
        outer.expect(tag::SEQUENCE)?;
        outer.expect(tag::BIT_STRING)?;
        outer.finish()?;
        fields.optional(VERSION)?;
        let serial_number = fields.expect(tag::INTEGER)?.raw.to_vec();
        fields.expect(tag::SEQUENCE)?;
        let issuer = fields.expect(tag::SEQUENCE)?.raw.to_vec();
        let mut validity = fields.sequence()?;
        let subject = fields.expect(tag::SEQUENCE)?.raw.to_vec();
        let spki = fields.expect(tag::SEQUENCE)?.raw.to_vec();
        Ok(Self {
            der: der.to_vec(),
            serial_number,
            issuer,
            subject,
            not_before: validity.any().ok().and_then(date),
            not_after: validity.any().ok().and_then(date),
            spki,
            is_authority: is_authority(fields).unwrap_or(false),
        })
    }

    /// The certificates of a file: one in DER, or any number of PEM blocks `CERTIFICATE` with whatever around them.
    ///
    /// # Errors
    /// [`Error::Malformed`] if one of them cannot be read, or there is none.
    pub fn parse_all(bytes: &[u8]) -> Result<Vec<Self>, Error> {
        if let Ok(certificate) = Self::from_der(bytes) {
            return Ok(vec![certificate]);
        }
        // Comments around the blocks may be in any character set.
        let blocks = encode::parse_pem(&String::from_utf8_lossy(bytes), "CERTIFICATE")?;
        if blocks.is_empty() {
            return Err(Error::Malformed(WHAT));
        }
        blocks.iter().map(|der| Self::from_der(der)).collect()
    }

    /// The whole certificate: `CKA_VALUE`.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The DER of the subject's Name: `CKA_SUBJECT`.
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// The DER of the issuer's Name: `CKA_ISSUER`.
    pub fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// The DER of the serial number, an INTEGER with tag and length: `CKA_SERIAL_NUMBER`.
    pub fn serial_number(&self) -> &[u8] {
        &self.serial_number
    }

    /// The public key.
    ///
    /// # Errors
    /// Those of [`PublicKey::from_spki`].
    pub fn public_key(&self) -> Result<PublicKey, Error> {
        PublicKey::from_spki(&self.spki)
    }

    /// Year, month and day (UTC) from which it is valid: `CKA_START_DATE`. `None` if it cannot be read.
    pub fn not_before(&self) -> Option<(u16, u8, u8)> {
        self.not_before
    }

    /// Year, month and day (UTC) of the end of its validity: `CKA_END_DATE`. `None` if it cannot be read.
    pub fn not_after(&self) -> Option<(u16, u8, u8)> {
        self.not_after
    }

    /// Whether basicConstraints (RFC 5280 section 4.2.1.9) makes it a certificate of an authority:
    /// `CKA_CERTIFICATE_CATEGORY`.
    pub fn is_authority(&self) -> bool {
        self.is_authority
    }

    /// The first three bytes of the SHA-1 of the DER: `CKA_CHECK_VALUE` (PKCS#11 3.2 section 4.6.2).
    pub fn check_value(&self) -> [u8; 3] {
        let mut value = [0; 3];
        value.iter_mut().zip(Hash::Sha1.digest(&self.der)).for_each(|(to, from)| *to = from);
        value
    }
}

/// The day of a UTCTime or GeneralizedTime (RFC 5280 section 4.1.2.5).
fn date(time: Element<'_>) -> Option<Date> {
    let text = std::str::from_utf8(time.content).ok()?;
    if !text.bytes().take(8).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match time.tag {
        tag::UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: u16 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        tag::GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let month: u8 = rest.get(..2)?.parse().ok()?;
    let day: u8 = rest.get(2..4)?.parse().ok()?;
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some((year, month, day))
}

/// cA of basicConstraints, from what follows the public key; an error where the extensions cannot be read.
fn is_authority(mut fields: Reader<'_>) -> Result<bool, Error> {
    fields.optional(ISSUER_ID)?;
    fields.optional(SUBJECT_ID)?;
    let extensions = fields.expect(EXTENSIONS)?.content;
    let mut extensions = Reader::new(extensions, WHAT).sequence()?;
    while !extensions.is_empty() {
        let mut extension = extensions.sequence()?;
        if extension.expect(tag::OID)?.raw == BASIC_CONSTRAINTS {
            extension.optional(tag::BOOLEAN)?;
            let value = extension.expect(tag::OCTET_STRING)?.content;
            let authority = Reader::new(value, WHAT).sequence()?.optional(tag::BOOLEAN)?;
            return Ok(
                authority.is_some_and(|boolean| boolean.content.first().is_some_and(|&byte| byte != 0))
            );
        }
    }
    Ok(false)
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} bytes)", self.der.len())
    }
}
