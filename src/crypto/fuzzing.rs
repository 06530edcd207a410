//! DER, keys, certificates and signatures, for the fuzzers.

use super::certificate::Certificate;
use super::digest::Hash;
use super::encode;
use super::encrypt;
use super::public_key::{PublicKey, PublicKeyKind};
use super::tlv::{self, Reader, tag};
use super::verify::{self, Scheme};

/// What is read is written back as it was, and nothing that is no signature is taken for one.
///
/// # Panics
/// Where that is not so.
pub fn der(data: &[u8]) {
    elements(data);
    encodings(data);
    certificates(data);
    if let Ok(key) = PublicKey::from_spki(data) {
        public_key(&key);
        foreign_signatures(&key, data);
    }
    for curve in ["1.2.840.10045.3.1.7", "1.3.132.0.10", "1.3.132.0.34", "1.3.101.112"] {
        if let Ok(key) = encode::oid(curve).and_then(|parameters| PublicKey::from_ec(&parameters, data)) {
            public_key(&key);
        }
    }
    let (left, right) = data.split_at(data.len() / 2);
    if let Ok(key) = PublicKey::from_rsa(left, right) {
        public_key(&key);
        foreign_signatures(&key, data);
    }
}

/// DER has one way to say a thing: what was read can be written again.
fn elements(data: &[u8]) {
    let mut reader = Reader::new(data, "element");
    let mut written = Vec::new();
    while let Ok(element) = reader.any() {
        assert_eq!(tlv::element(element.tag, element.content), element.raw);
        written.extend_from_slice(element.raw);
        // Without recursion: the readers of the module look where they are told, and no deeper.
        let _inner = Reader::new(element.content, "element").any();
    }
    assert!(data.starts_with(&written) && reader.is_empty() == (written.len() == data.len()));
    if let Ok(number) = Reader::new(data, "number").unsigned() {
        assert!(data.starts_with(&tlv::unsigned(number)));
    }
}

fn encodings(data: &[u8]) {
    if let Some((hash, digest)) = encode::parse_digest_info(data) {
        assert_eq!(encode::parse_digest_info(&encode::digest_info(hash, digest)), Some((hash, digest)));
    }
    for width in [20, 28, 32, 48, 66] {
        if let Ok(raw) = encode::ecdsa_der_to_raw(data, width) {
            assert_eq!(raw.len(), 2 * width);
            assert_eq!(encode::ecdsa_raw_to_der(&raw), data, "DER has one way to say it");
        }
        if let Some(raw) = data.get(..2 * width) {
            let der = encode::ecdsa_raw_to_der(raw);
            assert_eq!(encode::ecdsa_der_to_raw(&der, width).as_deref(), Ok(raw));
        }
    }
    if let Some(dotted) = encode::dotted(data) {
        let again = encode::oid(&dotted).map(|der| der == tlv::element(tag::OID, data));
        assert_eq!(again, Ok(true), "{dotted}");
    }
    if let Ok(plain) = encrypt::unpad_pkcs7(data, 16) {
        assert!(data.len().is_multiple_of(16) && (1..=16).contains(&(data.len() - plain.len())));
    }
}

fn certificates(data: &[u8]) {
    for certificate in Certificate::parse_all(data).unwrap_or_default() {
        assert_eq!(Certificate::from_der(certificate.der()).as_ref(), Ok(&certificate));
        if let Ok(key) = certificate.public_key() {
            public_key(&key);
        }
        let dates = [certificate.not_before(), certificate.not_after()];
        for (_, month, day) in dates.into_iter().flatten() {
            assert!((1..=12).contains(&month) && (1..=31).contains(&day));
        }
    }
}

/// Its parts, as attributes give them, make the same key.
fn public_key(key: &PublicKey) {
    assert_eq!(PublicKey::from_spki(key.spki()).as_ref(), Ok(key));
    let again = match key.kind() {
        PublicKeyKind::Rsa { modulus, exponent } => PublicKey::from_rsa(modulus, exponent),
        PublicKeyKind::Ec { .. } | PublicKeyKind::Ed25519(_) => {
            let parameters = key.ec_params().unwrap_or_default();
            PublicKey::from_ec(&parameters, &key.ec_point_octet_string().unwrap_or_default())
        }
        PublicKeyKind::Other => return,
    };
    // Compressed points and the identifier of PSS have other encodings of the same key.
    assert_eq!(again.as_ref().map(PublicKey::kind), Ok(key.kind()));
}

/// Nobody has signed anything with a key that came out of a fuzzer.
fn foreign_signatures(key: &PublicKey, data: &[u8]) {
    let digest = [0x5a; 32];
    let PublicKeyKind::Rsa { modulus, .. } = key.kind() else {
        for scheme in [Scheme::Ecdsa, Scheme::EdDsa] {
            for signature in [data, &[1; 64], &[0; 64]] {
                assert!(verify::verify(key, scheme, &digest, signature).is_err());
            }
        }
        return;
    };
    // Larger ones are only slower.
    if modulus.len() > 256 {
        return;
    }
    let signature: Vec<u8> = data.iter().copied().cycle().take(modulus.len()).collect();
    for scheme in [
        Scheme::RsaPkcs1(Some(Hash::Sha256)),
        Scheme::RsaPkcs1(None),
        Scheme::RsaPss { hash: Hash::Sha256, salt_len: 32 },
    ] {
        assert!(verify::verify(key, scheme, &digest, &signature).is_err());
    }
    for sealed in [encrypt::rsa_pkcs1(key, &digest), encrypt::rsa_oaep(key, Hash::Sha1, &digest)] {
        assert!(sealed.is_err() || sealed.is_ok_and(|sealed| sealed.len() == modulus.len()));
    }
}
