//! Small encodings: DigestInfo, ECDSA signatures, hexadecimal, OCTET STRING, object identifiers, PEM.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Error;
use super::digest::Hash;
use super::tlv::{self, Reader, tag};

/// The DER of a DigestInfo (RFC 8017 section 9.2) around a digest made elsewhere.
pub fn digest_info(hash: Hash, digest: &[u8]) -> Vec<u8> {
    let algorithm = [algorithm_oid(hash), &[tag::NULL, 0]].concat();
    let info = [tlv::element(tag::SEQUENCE, &algorithm), octet_string(digest)].concat();
    tlv::element(tag::SEQUENCE, &info)
}

/// Hash function and digest of a DigestInfo in DER, with or without the NULL parameters (RFC 8017 appendix A.2.4
/// wants both accepted). `None` for anything else, be it one byte longer.
pub fn parse_digest_info(der: &[u8]) -> Option<(Hash, &[u8])> {
    let mut outer = Reader::new(Reader::only(der, tag::SEQUENCE, "DigestInfo").ok()?, "DigestInfo");
    let mut algorithm = outer.sequence().ok()?;
    let oid = algorithm.expect(tag::OID).ok()?;
    let parameters = algorithm.optional(tag::NULL).ok()?;
    let digest = outer.expect(tag::OCTET_STRING).ok()?.content;
    let hash = Hash::ALL.into_iter().find(|&hash| algorithm_oid(hash) == oid.raw)?;
    let exact = algorithm.is_empty()
        && outer.is_empty()
        && parameters.is_none_or(|null| null.content.is_empty())
        && digest.len() == hash.len();
    exact.then_some((hash, digest))
}

/// The object identifier of a hash function in DER: it lies in the prefix between four bytes of headers and the NULL
/// and OCTET STRING headers.
fn algorithm_oid(hash: Hash) -> &'static [u8] {
    let prefix = hash.digest_info_prefix();
    prefix.get(4..prefix.len() - 4).unwrap_or_default()
}

/// r and s of an ECDSA signature in DER (RFC 3279 section 2.2.3) as r || s of `width` bytes each, which is how
/// PKCS#11 wants it (section 6.3.1).
///
/// # Errors
/// [`Error::Malformed`] if the DER breaks its rules, [`Error::SignatureLength`] if a number is longer than `width`.
pub fn ecdsa_der_to_raw(der: &[u8], width: usize) -> Result<Vec<u8>, Error> {
    const WHAT: &str = "ECDSA signature";
    let mut numbers = Reader::new(Reader::only(der, tag::SEQUENCE, WHAT)?, WHAT);
    let (r, s) = (numbers.unsigned()?, numbers.unsigned()?);
    numbers.finish()?;
    if width > MAX_WIDTH {
        return Err(Error::SignatureLength);
    }
    let mut raw = vec![0; 2 * width];
    let (left, right) = raw.split_at_mut(width);
    right_aligned(r, left)?;
    right_aligned(s, right)?;
    Ok(raw)
}

/// An ECDSA signature r || s, halves of equal length, in DER.
pub fn ecdsa_raw_to_der(raw: &[u8]) -> Vec<u8> {
    let (r, s) = raw.split_at(raw.len() / 2);
    tlv::element(tag::SEQUENCE, &[tlv::unsigned(r), tlv::unsigned(s)].concat())
}

/// Far above any order, and it keeps a senseless width from asking for all the memory.
const MAX_WIDTH: usize = 1 << 16;

/// Puts a number at the end of `place`, which is zero.
fn right_aligned(number: &[u8], place: &mut [u8]) -> Result<(), Error> {
    let start = place.len().checked_sub(number.len()).ok_or(Error::SignatureLength)?;
    place[start..].copy_from_slice(number); // `start` is within: it was subtracted from the length
    Ok(())
}

/// Bytes as pairs of lower-case hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of pairs of hexadecimal digits, of either case; none for no text. `None` for anything else.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// An OCTET STRING in DER around `content`.
pub fn octet_string(content: &[u8]) -> Vec<u8> {
    tlv::element(tag::OCTET_STRING, content)
}

/// An object identifier in DER, tag and length included, from its dotted form.
///
/// # Errors
/// [`Error::Malformed`] if the text is not at least two numbers with dots between, the first 0 to 2, the second
/// below 40 unless the first is 2, none above 2^128 - 81.
pub fn oid(dotted: &str) -> Result<Vec<u8>, Error> {
    let content = oid_content(dotted).ok_or(Error::Malformed("object identifier"))?;
    Ok(tlv::element(tag::OID, &content))
}

fn oid_content(dotted: &str) -> Option<Vec<u8>> {
    let arcs: Option<Vec<u128>> = dotted.split('.').map(arc).collect();
    let arcs = arcs?;
    let [first, second, rest @ ..] = arcs.as_slice() else { return None };
    if *first > 2 || (*first < 2 && *second > 39) {
        return None;
    }
    let mut content = base_128(first.checked_mul(40)?.checked_add(*second)?);
    content.extend(rest.iter().flat_map(|&arc| base_128(arc)));
    Some(content)
}

/// A number of a dotted form: digits only, no leading zero.
fn arc(text: &str) -> Option<u128> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    if canonical { text.parse().ok() } else { None }
}

/// Seven bits a byte, most significant first, all bytes but the last with the top bit set.
fn base_128(number: u128) -> Vec<u8> {
    let groups = (128 - number.leading_zeros()).div_ceil(7).max(1);
    (0..groups)
        .rev()
        .map(|group| {
            let more = if group == 0 { 0 } else { 0x80 };
            more | (number >> (7 * group)) as u8 & 0x7f
        })
        .collect()
}

/// The dotted form of the content of an OBJECT IDENTIFIER. `None` if it breaks the rules of X.690 section 8.19 or an
/// arc is longer than 128 bits.
pub(super) fn dotted(content: &[u8]) -> Option<String> {
    let mut arcs = Vec::new();
    let mut number: Option<u128> = None;
    for &byte in content {
        if number.is_none() && byte == 0x80 {
            return None;
        }
        let sum = number.unwrap_or(0).checked_mul(128)?.checked_add(u128::from(byte & 0x7f))?;
        if byte & 0x80 == 0 {
            arcs.push(sum);
            number = None;
        } else {
            number = Some(sum);
        }
    }
    let (&joint, rest) = arcs.split_first()?;
    if number.is_some() {
        return None;
    }
    let first = (joint / 40).min(2);
    let mut text = format!("{first}.{}", joint - 40 * first);
    for arc in rest {
        text.push('.');
        text.push_str(&arc.to_string());
    }
    Some(text)
}

/// The contents of all blocks with this label, such as `CERTIFICATE`, in a text of PEM blocks (RFC 7468). What stands
/// around the blocks, and blocks with other labels, are passed over.
///
/// # Errors
/// [`Error::Malformed`] if a block of this label does not end, or holds anything but Base64.
pub fn parse_pem(text: &str, label: &str) -> Result<Vec<Vec<u8>>, Error> {
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(&begin) {
        let (body, after) = after.split_once(&end).ok_or(Error::Malformed("PEM"))?;
        let body: String = body.split_ascii_whitespace().collect();
        blocks.push(STANDARD.decode(body).map_err(|_| Error::Malformed("PEM"))?);
        rest = after;
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Noise, hex};
    use super::*;

    /// RFC 8017 section 9.2 note 1.
    const PREFIXES: [(Hash, &str); 5] = [
        (Hash::Sha1, "30 21 30 09 06 05 2b 0e 03 02 1a 05 00 04 14"),
        (Hash::Sha224, "30 2d 30 0d 06 09 60 86 48 01 65 03 04 02 04 05 00 04 1c"),
        (Hash::Sha256, "30 31 30 0d 06 09 60 86 48 01 65 03 04 02 01 05 00 04 20"),
        (Hash::Sha384, "30 41 30 0d 06 09 60 86 48 01 65 03 04 02 02 05 00 04 30"),
        (Hash::Sha512, "30 51 30 0d 06 09 60 86 48 01 65 03 04 02 03 05 00 04 40"),
    ];

    /// The arcs of FIPS 202's hash functions under 2.16.840.1.101.3.4.2, from NIST's register of algorithms.
    const SHA3: [(Hash, u8); 4] =
        [(Hash::Sha3_224, 7), (Hash::Sha3_256, 8), (Hash::Sha3_384, 9), (Hash::Sha3_512, 10)];

    #[test]
    fn digest_info_has_the_published_prefixes() {
        for (hash, prefix) in PREFIXES {
            let digest = hash.digest(b"abc");
            assert_eq!(digest_info(hash, &digest), [hex(prefix), digest].concat());
            assert_eq!(hash.digest_info_prefix(), hex(prefix));
        }
        for (hash, arc) in SHA3 {
            assert_eq!(algorithm_oid(hash), oid(&format!("2.16.840.1.101.3.4.2.{arc}")).unwrap());
        }
        for hash in Hash::ALL {
            let digest = hash.digest(b"abc");
            assert_eq!(digest_info(hash, &digest), [hash.digest_info_prefix(), &digest].concat());
        }
    }

    #[test]
    fn digest_info_is_read_exactly() {
        for hash in Hash::ALL {
            let digest = hash.digest(b"abc");
            let der = digest_info(hash, &digest);
            assert_eq!(parse_digest_info(&der), Some((hash, digest.as_slice())));
            let longer = [der.as_slice(), &[0]].concat();
            assert_eq!(parse_digest_info(&longer), None);
            assert_eq!(parse_digest_info(&der[..der.len() - 1]), None);
            assert_eq!(parse_digest_info(&digest_info(hash, &digest[1..])), None);
        }
        let without_null = [hex("302f 300b 0609 608648016503040201 0420"), Hash::Sha256.digest(b"")].concat();
        assert_eq!(parse_digest_info(&without_null), Some((Hash::Sha256, &without_null[17..])));
        let long_null =
            [hex("3032 300e 0609 608648016503040201 050100 0420"), Hash::Sha256.digest(b"")].concat();
        assert_eq!(parse_digest_info(&long_null), None);
    }

    #[test]
    fn ecdsa_signatures_both_ways() {
        let der = hex("3008 0201 01 0203 00ff80");
        assert_eq!(ecdsa_der_to_raw(&der, 4), Ok(hex("00000001 0000ff80")));
        assert_eq!(ecdsa_der_to_raw(&der, 2), Ok(hex("0001 ff80")));
        assert_eq!(ecdsa_der_to_raw(&der, 1), Err(Error::SignatureLength));
        assert_eq!(ecdsa_der_to_raw(&der, usize::MAX), Err(Error::SignatureLength));
        assert_eq!(ecdsa_raw_to_der(&hex("00000001 0000ff80")), der);
        for bad in [
            "",
            "3006 0201 01 0201",
            "3007 0201 01 0202 00",
            "3006 0201 ff 0201 01",
            "3006 0201 01 0201 01 00",
        ] {
            assert_eq!(ecdsa_der_to_raw(&hex(bad), 32), Err(Error::Malformed("ECDSA signature")), "{bad}");
        }
        // A signature over P-521 needs the long form of the length.
        let raw = [0xff; 132];
        assert_eq!(ecdsa_raw_to_der(&raw)[..3], hex("30818a"));
        assert_eq!(ecdsa_der_to_raw(&ecdsa_raw_to_der(&raw), 66), Ok(raw.to_vec()));
        let mut noise = Noise::new();
        for length in 0..200 {
            let raw = noise.bytes(length);
            let mutated = noise.mutated(&ecdsa_raw_to_der(&raw));
            if let Ok(raw) = ecdsa_der_to_raw(&mutated, 128) {
                assert_eq!(ecdsa_raw_to_der(&raw), mutated);
            }
        }
    }

    #[test]
    fn object_identifiers_both_ways() {
        // X.690 section 8.19.5 and RFC 3279 section 2.3.1; 2.25 with a UUID of all ones is the largest of ITU-T X.667.
        let largest = format!("2.25.{}", u128::MAX);
        for (text, der) in [
            ("2.999.3", "0603 883703"),
            ("1.2.840.113549.1.1.1", "0609 2a864886f70d010101"),
            ("0.0", "0601 00"),
            ("2.0", "0601 50"),
            (&largest, "0614 69 83ffffffffffffffffffffffffffffffffff7f"),
        ] {
            assert_eq!(oid(text), Ok(hex(der)), "{text}");
            assert_eq!(dotted(&hex(der)[2..]).as_deref(), Some(text));
        }
        for bad in [
            "",
            "1",
            "1.",
            ".1",
            "3.1",
            "1.40",
            "1.2.-3",
            "1.2.+3",
            "1.2. 3",
            "1.02",
            "1.2.a",
            "2.340282366920938463463374607431768211455",
        ] {
            assert!(oid(bad).is_err(), "{bad}");
        }
        for bad in ["", "80", "2a80", "2a8001", "69 87ffffffffffffffffffffffffffffffffff7f"] {
            assert_eq!(dotted(&hex(bad)), None, "{bad}");
        }
    }

    #[test]
    fn pem_blocks_by_label() {
        let text = "Bag Attributes\n-----BEGIN X-----\r\nAQ\r\n ID \r\n-----END X-----\n\
                    -----BEGIN Y-----\nBA==\n-----END Y-----\n-----BEGIN X-----\n\n-----END X-----";
        assert_eq!(parse_pem(text, "X"), Ok(vec![vec![1, 2, 3], vec![]]));
        assert_eq!(parse_pem(text, "Y"), Ok(vec![vec![4]]));
        assert_eq!(parse_pem(text, "Z"), Ok(vec![]));
        for bad in [
            "-----BEGIN X-----\nAQID",
            "-----BEGIN X-----\nA\n-----END X-----",
            "-----BEGIN X-----\n?\n-----END X-----",
        ] {
            assert_eq!(parse_pem(bad, "X"), Err(Error::Malformed("PEM")), "{bad}");
        }
    }
}
