//! Digests, signatures, and how bytes, queries and addresses are written.

use base64::engine::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::digest::core_api::BlockSizeUser;
use hmac::{Mac, SimpleHmac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use crate::config::hmac::{Digest, Encoding, MacMode};

/// The hash of the parts, one behind the other.
pub(super) fn digest(hash: Digest, parts: &[&[u8]]) -> Vec<u8> {
    fn of<D: sha2::Digest>(parts: &[&[u8]]) -> Vec<u8> {
        let mut hash = D::new();
        parts.iter().for_each(|part| hash.update(part));
        hash.finalize().to_vec()
    }
    match hash {
        Digest::Md5 => of::<Md5>(parts),
        Digest::Sha1 => of::<Sha1>(parts),
        Digest::Sha256 => of::<Sha256>(parts),
        Digest::Sha384 => of::<Sha384>(parts),
        Digest::Sha512 => of::<Sha512>(parts),
    }
}

/// HMAC of the parts, one behind the other.
pub(super) fn hmac(hash: Digest, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    fn of<D: sha2::Digest + BlockSizeUser>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        // A key of any length will do.
        let Ok(mut mac) = SimpleHmac::<D>::new_from_slice(key) else { return Vec::new() };
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().to_vec()
    }
    match hash {
        Digest::Md5 => of::<Md5>(key, parts),
        Digest::Sha1 => of::<Sha1>(key, parts),
        Digest::Sha256 => of::<Sha256>(key, parts),
        Digest::Sha384 => of::<Sha384>(key, parts),
        Digest::Sha512 => of::<Sha512>(key, parts),
    }
}

/// What the secret does to the text.
pub(super) fn sign(mode: MacMode, hash: Digest, key: &[u8], text: &[u8]) -> Vec<u8> {
    match mode {
        MacMode::Hmac => hmac(hash, key, &[text]),
        MacMode::HmacSuffix => hmac(hash, key, &[text, key]),
        MacMode::DigestSuffix => digest(hash, &[text, key]),
        MacMode::DigestPrefix => digest(hash, &[key, text]),
    }
}

/// The key of Signature Version 4 for date, region and service.
pub(super) fn sigv4_key(hash: Digest, secret: &[u8], scope: [&str; 3]) -> Zeroizing<Vec<u8>> {
    let start = Zeroizing::new([b"AWS4", secret].concat());
    let step = |key: Zeroizing<Vec<u8>>, part: &str| Zeroizing::new(hmac(hash, &key, &[part.as_bytes()]));
    scope.into_iter().chain(["aws4_request"]).fold(start, step)
}

/// Bytes as text.
pub(super) fn write(encoding: Encoding, bytes: &[u8]) -> String {
    let digits = |table: &[u8; 16]| {
        let digit = |nibble: u8| char::from(table[usize::from(nibble & 15)]);
        bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
    };
    match encoding {
        Encoding::Hex => digits(b"0123456789abcdef"),
        Encoding::UpperHex => digits(b"0123456789ABCDEF"),
        Encoding::Base64 => STANDARD.encode(bytes),
        Encoding::Base64UrlUnpadded => URL_SAFE_NO_PAD.encode(bytes),
    }
}

/// Percent-encoded but for what RFC 3986 section 2.3 has as unreserved, and for what is in `besides`.
pub(super) fn percent_encode(bytes: &[u8], besides: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            _ if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || besides.contains(&byte) => {
                text.push(char::from(byte));
            }
            _ => {
                text.push('%');
                text.push_str(&write(Encoding::UpperHex, &[byte]));
            }
        }
    }
    text
}

/// As .NET's `HttpUtility.UrlEncode`, of a text in lower case: escapes in lower case, a plus for a blank.
pub(super) fn dot_net_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + 32);
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            _ if byte.is_ascii_alphanumeric() || b"-_.!*()".contains(&byte) => encoded.push(char::from(byte)),
            _ => {
                encoded.push('%');
                encoded.push_str(&write(Encoding::Hex, &[byte]));
            }
        }
    }
    encoded
}

/// The query by name, then value, each percent-encoded strictly.
pub(super) fn sorted_query(query: &str) -> String {
    let strict = |text: &str| percent_encode(&percent_decode(text), &[]);
    let mut pairs: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (strict(name), strict(value)))
        .collect();
    pairs.sort();
    let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// What is no escape stands for itself.
fn percent_decode(text: &str) -> Vec<u8> {
    let digit = |at: usize| text.as_bytes().get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.as_bytes().get(at) {
        let pair = (byte == b'%').then(|| digit(at + 1).zip(digit(at + 2))).flatten();
        match pair.and_then(|(high, low)| u8::try_from(high << 4 | low).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                at += 3;
            }
            None => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_sorted_and_encoded_strictly() {
        // By hand, from RFC 3986 and the rules of Signature Version 4.
        for (raw, sorted) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1", "a=1&a=2"),
            ("flag", "flag="),
            ("a=%c3%a9&b=x%20y", "a=%C3%A9&b=x%20y"),
            ("a=1/2+3", "a=1%2F2%2B3"),
            ("a=100%", "a=100%25"),
        ] {
            assert_eq!(sorted_query(raw), sorted, "{raw}");
        }
    }

    #[test]
    fn bytes_are_written_in_four_ways() {
        let bytes = [0x0f, 0xfb, 0xff];
        for (encoding, text) in [
            (Encoding::Hex, "0ffbff"),
            (Encoding::UpperHex, "0FFBFF"),
            (Encoding::Base64, "D/v/"),
            (Encoding::Base64UrlUnpadded, "D_v_"),
        ] {
            assert_eq!(write(encoding, &bytes), text);
        }
        assert_eq!(dot_net_encode("https://a/b c?d=é"), "https%3a%2f%2fa%2fb+c%3fd%3d%c3%a9");
        assert_eq!(percent_encode(b"/a b%20", b"/"), "/a%20b%2520");
    }
}
