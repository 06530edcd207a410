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

/// The DER of the object identifier of commonName, 2.5.4.3.
pub(super) const COMMON_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x03];

const WHAT: &str = "certificate";

/// A certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    pub(super) der: Vec<u8>,
    pub(super) serial_number: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    pub(super) subject: Vec<u8>,
    pub(super) not_before: Option<Date>,
    pub(super) not_after: Option<Date>,
    pub(super) spki: Vec<u8>,
    pub(super) is_authority: bool,
}

/// Year, month, day.
pub(super) type Date = (u16, u8, u8);

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

    /// The serial number in upper-case hexadecimal digits, without zeros in front: as OpenSSL writes it, but for those.
    pub fn serial_digits(&self) -> String {
        let content = Reader::only(&self.serial_number, tag::INTEGER, WHAT).unwrap_or_default();
        let digits: String = content.iter().map(|byte| format!("{byte:02X}")).collect();
        digits.trim_start_matches('0').to_owned()
    }

    /// The common name of the subject, if it has one in an alphabet that is read here; of several the last, which is the
    /// most specific.
    pub fn common_name(&self) -> Option<String> {
        let mut names = Reader::new(Reader::only(&self.subject, tag::SEQUENCE, WHAT).ok()?, WHAT);
        let mut found = None;
        while !names.is_empty() {
            let mut set = Reader::new(names.expect(tag::SET).ok()?.content, WHAT);
            while !set.is_empty() {
                let mut attribute = set.sequence().ok()?;
                if attribute.expect(tag::OID).ok()?.raw == COMMON_NAME {
                    found = attribute.any().ok().and_then(text).or(found);
                }
            }
        }
        found
    }

    /// The DER of the SubjectPublicKeyInfo, whatever the kind of the key.
    pub fn spki(&self) -> &[u8] {
        &self.spki
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

/// A DirectoryString (RFC 5280 section 4.1.2.4) in UTF-8, ASCII or UTF-16.
fn text(element: Element<'_>) -> Option<String> {
    match element.tag {
        tag::UTF8_STRING | tag::PRINTABLE_STRING | tag::TELETEX_STRING => {
            std::str::from_utf8(element.content).ok().map(str::to_owned)
        }
        tag::BMP_STRING => {
            let (pairs, rest) = element.content.as_chunks::<2>();
            let units: Vec<_> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            if rest.is_empty() { String::from_utf16(&units).ok() } else { None }
        }
        _ => None,
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

#[cfg(test)]
mod tests {
    use x509_cert::der::{Decode, Encode};

    use super::super::testing::{Noise, hex};
    use super::super::tlv;
    use super::*;

    /// `openssl req -x509 -new -key ca.key -subj "/C=CH/O=Example/CN=Example Root" -days 20000 -set_serial 0x7f01
    /// -addext basicConstraints=critical,CA:TRUE -addext subjectKeyIdentifier=hash`, and below it a certificate of
    /// version 1 with a negative number: `openssl x509 -req -set_serial -5 -days 365` for an Ed25519 key.
    const BUNDLE: &str = "
subject=C = CH, O = Example, CN = Example Root
-----BEGIN CERTIFICATE-----
MIIBsTCCAVegAwIBAgICfwEwCgYIKoZIzj0EAwIwNjELMAkGA1UEBhMCQ0gxEDAO
BgNVBAoMB0V4YW1wbGUxFTATBgNVBAMMDEV4YW1wbGUgUm9vdDAgFw0yNjExMjMw
MzA0MzFaGA8yMDgxMDgyNjAzMDQzMVowNjELMAkGA1UEBhMCQ0gxEDAOBgNVBAoM
B0V4YW1wbGUxFTATBgNVBAMMDEV4YW1wbGUgUm9vdDBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABJEVhyOai4rCDTTmY+9kG55VDSDjPJbd84cenZY7YDW49zPTovhu
RRaCbONQrI22RU32WodJg11+G2BK46OoKOKjUzBRMB8GA1UdIwQYMBaAFM9Ldkp8
crEgzXcrTsfGDv5tDQ8zMA8GA1UdEwEB/wQFMAMBAf8wHQYDVR0OBBYEFM9Ldkp8
crEgzXcrTsfGDv5tDQ8zMAoGCCqGSM49BAMCA0gAMEUCIQDl0fyhdfnH6evYzeQh
Dg62/cE5ZR24DDgD3/cMxPM4LAIgQG/ZrjKD1yMGGra8Z3C4iA1VZ6qJtnjwnzPz
YaBjP2w=
-----END CERTIFICATE-----
-----BEGIN CERTIFICATE-----
MIIBBjCBrAIB+zAKBggqhkjOPQQDAjA2MQswCQYDVQQGEwJDSDEQMA4GA1UECgwH
RXhhbXBsZTEVMBMGA1UEAwwMRXhhbXBsZSBSb290MB4XDTI2MTEyMzAzMDQzMVoX
DTI3MTEyMzAzMDQzMVowFzEVMBMGA1UEAwwMbGVhZi5leGFtcGxlMCowBQYDK2Vw
AyEA5BbyBzsHWnVbEqzlWQqn9erikzyXe90Xdjedyk6FNYwwCgYIKoZIzj0EAwID
SQAwRgIhAJNNIOGsA6U+ArhWzrUnREFHdxZh678/AidYgUkc8Bd4AiEAk75N2J6N
olzuzQkNjlq/5+6591wYTQSVeVJuyd6c7LY=
-----END CERTIFICATE-----
";

    fn bundle() -> [Certificate; 2] {
        Certificate::parse_all(BUNDLE.as_bytes()).unwrap().try_into().unwrap()
    }

    /// The expected values are those that `openssl x509` and `openssl dgst -sha1` print.
    #[test]
    fn an_authority() {
        let [root, _] = bundle();
        assert_eq!(root.serial_number(), hex("02027f01"));
        assert_eq!(root.subject(), root.issuer());
        assert_eq!(root.not_before(), Some((2026, 11, 23)));
        assert_eq!(root.not_after(), Some((2081, 8, 26)));
        assert!(root.is_authority());
        assert_eq!(root.serial_digits(), "7F01");
        assert_eq!(root.common_name().as_deref(), Some("Example Root"));
        assert_eq!(root.check_value().to_vec(), hex("efa5ca"));
        let key = root.public_key().unwrap();
        assert_eq!(key.subject_key_identifier().to_vec(), hex("cf4b764a7c72b120cd772b4ec7c60efe6d0d0f33"));
    }

    #[test]
    fn version_1_with_a_negative_number() {
        let [root, leaf] = bundle();
        assert_eq!(leaf.serial_number(), hex("0201fb"));
        assert_eq!(leaf.issuer(), root.subject());
        assert_eq!(leaf.subject(), [&hex("3017311530130603550403 0c0c"), &b"leaf.example"[..]].concat());
        assert_eq!(leaf.not_after(), Some((2027, 11, 23)));
        assert!(!leaf.is_authority());
        assert_eq!(leaf.common_name().as_deref(), Some("leaf.example"));
        assert_eq!(leaf.check_value().to_vec(), hex("dbf0ce"));
        let key =
            hex("302a300506032b6570032100e416f2073b075a755b12ace5590aa7f5eae2933c977bdd1776379dca4e85358c");
        assert_eq!(leaf.public_key().unwrap().spki(), key);
    }

    #[test]
    fn the_same_fields_as_another_reader() {
        let [root, _] = bundle();
        let other = x509_cert::Certificate::from_der(root.der()).unwrap().tbs_certificate;
        assert_eq!(root.subject(), other.subject.to_der().unwrap());
        assert_eq!(root.issuer(), other.issuer.to_der().unwrap());
        assert_eq!(root.serial_number(), other.serial_number.to_der().unwrap());
        assert_eq!(root.public_key().unwrap().spki(), other.subject_public_key_info.to_der().unwrap());
    }

    #[test]
    fn a_file_is_der_or_pem() {
        let [root, leaf] = bundle();
        assert_eq!(Certificate::parse_all(root.der()), Ok(vec![root.clone()]));
        let latin_1 = [&b"Z\xfcrich\n"[..], BUNDLE.as_bytes()].concat();
        assert_eq!(Certificate::parse_all(&latin_1), Ok(vec![root.clone(), leaf]));
        for bad in [
            &b""[..],
            b"no certificate",
            b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----",
            &[0x30],
        ] {
            assert!(Certificate::parse_all(bad).is_err());
        }
        assert!(Certificate::from_der(&[root.der(), &[0]].concat()).is_err());
    }

    /// A certificate around these times and extensions, the other fields as short as can be.
    fn with(validity: &[u8], after_key: &[u8]) -> Certificate {
        let sequence = |content: &[u8]| tlv::element(tag::SEQUENCE, content);
        let empty = sequence(&[]);
        let fields =
            [&hex("020101"), &empty, &empty, &sequence(validity), &empty, &empty, after_key].concat();
        let der = sequence(&[sequence(&fields), empty, hex("030100")].concat());
        Certificate::from_der(&der).unwrap()
    }

    #[test]
    fn days_of_both_kinds_of_time() {
        // RFC 5280 section 4.1.2.5.1: years from 50 are of the last century.
        for (time, day) in [
            ("500101000000Z", Some((1950, 1, 1))),
            ("491231235959Z", Some((2049, 12, 31))),
            ("491331235959Z", None),
            ("490031235959Z", None),
            ("491200235959Z", None),
            ("+9123123595Z", None),
            ("4912", None),
            ("", None),
        ] {
            assert_eq!(with(&tlv::element(tag::UTC_TIME, time.as_bytes()), &[]).not_before(), day, "{time}");
        }
        let generalized = tlv::element(tag::GENERALIZED_TIME, b"99991231235959Z");
        assert_eq!(with(&[&generalized[..], &generalized].concat(), &[]).not_after(), Some((9999, 12, 31)));
        let neither = tlv::element(tag::INTEGER, b"99991231235959Z");
        assert_eq!(with(&neither, &[]).not_before(), None);
    }

    #[test]
    fn names_in_the_alphabets_of_rfc_5280() {
        let name = |tag: u8, content: &[u8]| text(Element { tag, content, raw: content });
        assert_eq!(name(tag::UTF8_STRING, "Nguyễn".as_bytes()).as_deref(), Some("Nguyễn"));
        assert_eq!(name(tag::PRINTABLE_STRING, b"Nguyen").as_deref(), Some("Nguyen"));
        assert_eq!(name(tag::BMP_STRING, &hex("004e1ec5")).as_deref(), Some("Nễ"));
        for (tag, content) in
            [(tag::BMP_STRING, &b"\0N\x1e"[..]), (tag::UTF8_STRING, b"\xff"), (tag::INTEGER, b"1")]
        {
            assert_eq!(name(tag, content), None);
        }
        assert_eq!(with(&[], &[]).common_name(), None);
    }

    #[test]
    fn odd_extensions_do_not_spoil_the_rest() {
        let constraints = |value: &str| {
            let value = hex(value);
            let extension = [BASIC_CONSTRAINTS, &tlv::element(tag::OCTET_STRING, &value)].concat();
            let extensions = tlv::element(tag::SEQUENCE, &tlv::element(tag::SEQUENCE, &extension));
            tlv::element(EXTENSIONS, &extensions)
        };
        let unique_id = hex("8102 0000");
        for (after_key, authority) in [
            (constraints("3003 0101ff"), true),
            ([unique_id, constraints("3006 0101ff 020100")].concat(), true),
            (constraints("3000"), false),
            (constraints("3003 010100"), false),
            (constraints("3003 020101"), false),
            (constraints(""), false),
            (hex("a302 3001"), false),
            (hex("a300"), false),
            (hex("ff00"), false),
        ] {
            assert_eq!(with(&[], &after_key).is_authority(), authority, "{after_key:02x?}");
        }
    }

    #[test]
    fn broken_certificates_never_panic() {
        let mut noise = Noise::new();
        let mut read = 0;
        for round in 0..4000 {
            let [root, leaf] = bundle();
            let Ok(certificate) = Certificate::from_der(&noise.mutated([root, leaf][round % 2].der())) else {
                continue;
            };
            read += 1;
            let inside = [certificate.subject(), certificate.issuer(), certificate.serial_number()];
            assert!(
                inside
                    .iter()
                    .all(|field| certificate.der().windows(field.len()).any(|window| window == *field))
            );
            if let Ok(key) = certificate.public_key() {
                assert!(certificate.der().windows(key.spki().len()).any(|window| window == key.spki()));
            }
        }
        assert!(read > 100, "{read} of the mutations could be read");
    }
}
