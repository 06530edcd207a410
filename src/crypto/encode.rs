//! Small encodings: DigestInfo, ECDSA signatures, OCTET STRING, object identifiers, PEM.

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
    let mut raw = left_padded(r, width)?;
    raw.extend_from_slice(&left_padded(s, width)?);
    Ok(raw)
}

/// An ECDSA signature r || s, halves of equal length, in DER.
pub fn ecdsa_raw_to_der(raw: &[u8]) -> Vec<u8> {
    let (r, s) = raw.split_at(raw.len() / 2);
    tlv::element(tag::SEQUENCE, &[tlv::unsigned(r), tlv::unsigned(s)].concat())
}

fn left_padded(number: &[u8], width: usize) -> Result<Vec<u8>, Error> {
    /// Far above any order, and it keeps a senseless width from asking for all the memory.
    const MAX_WIDTH: usize = 1 << 16;
    let zeros =
        width.checked_sub(number.len()).filter(|_| width <= MAX_WIDTH).ok_or(Error::SignatureLength)?;
    Ok([&vec![0; zeros], number].concat())
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
