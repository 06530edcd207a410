//! Certificates for keys that have none: nobody's signature (RFC 9925) or the key's own.
//!
//! Issuer and subject are `CN=`name`, OU=`what it is; they are valid at all times, have no extension, and their number is
//! the SHA-1 of the public key but for its first bit (RFC 5280 section 4.1.2.2 has room for 20 bytes). So the same key and
//! name always give the same bytes, but for the signature.

use super::certificate::{COMMON_NAME, Certificate};
use super::encode;
use super::public_key::{PublicKey, PublicKeyKind};
use super::tlv::{self, tag};

/// The DER of the object identifier of organizationalUnitName, 2.5.4.11.
const ORGANIZATIONAL_UNIT: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x0b];

/// Characters of a commonName (RFC 5280, ub-common-name).
const LONGEST_NAME: usize = 64;

/// id-alg-unsigned (RFC 9925 section 3.1), 1.3.6.1.5.5.7.6.36.
const UNSIGNED: &[u8] = &[0x30, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 6, 36];

/// sha256WithRSAEncryption (RFC 4055 section 5), 1.2.840.113549.1.1.11, with its NULL.
const RSA_SHA256: &[u8] = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0];

/// ecdsa-with-SHA256 (RFC 5758 section 3.2), 1.2.840.10045.4.3.2.
const ECDSA_SHA256: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

/// id-Ed25519 (RFC 8410 section 3), 1.3.101.112.
const ED25519: &[u8] = &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70];

/// A certificate that nobody signed.
pub fn unsigned(public: &PublicKey, name: &str) -> Certificate {
    ToBeSigned::new(public, name, "not signed", UNSIGNED).signed(&[])
}

/// What the key has to sign, to have a certificate of its own: RSA with PKCS #1 v1.5 and SHA-256, EC with ECDSA and SHA-256,
/// Ed25519 as it is. `None` for keys of other types.
pub fn self_signed(public: &PublicKey, name: &str) -> Option<ToBeSigned> {
    let algorithm = match public.kind() {
        PublicKeyKind::Rsa { .. } => RSA_SHA256,
        PublicKeyKind::Ec { .. } => ECDSA_SHA256,
        PublicKeyKind::Ed25519(_) => ED25519,
        PublicKeyKind::Other => return None,
    };
    Some(ToBeSigned::new(public, name, "self-signed", algorithm))
}

/// A certificate without its signature.
pub struct ToBeSigned {
    algorithm: &'static [u8],
    serial_number: Vec<u8>,
    name: Vec<u8>,
    spki: Vec<u8>,
    fields: Vec<u8>,
}

impl ToBeSigned {
    fn new(public: &PublicKey, name: &str, what: &str, algorithm: &'static [u8]) -> Self {
        let attribute = |oid: &[u8], text: &str| {
            let value = tlv::element(tag::UTF8_STRING, text.as_bytes());
            tlv::element(tag::SET, &sequence(&[oid, &value]))
        };
        let common: String = name.chars().take(LONGEST_NAME).collect();
        let name = sequence(&[&attribute(COMMON_NAME, &common), &attribute(ORGANIZATIONAL_UNIT, what)]);
        // RFC 5280 section 4.1.2.5: no date of its end is the last second of the year 9999.
        let validity = sequence(&[
            &tlv::element(tag::UTC_TIME, b"700101000000Z"),
            &tlv::element(tag::GENERALIZED_TIME, b"99991231235959Z"),
        ]);
        let mut number = public.subject_key_identifier();
        number[0] &= 0x7f;
        let serial_number = tlv::unsigned(&number);
        let spki = public.spki().to_vec();
        let fields = sequence(&[&serial_number, algorithm, &name, &validity, &name, &spki]);
        Self { algorithm, serial_number, name, spki, fields }
    }

    /// The bytes that are signed: the TBSCertificate.
    pub fn bytes(&self) -> &[u8] {
        &self.fields
    }

    /// The certificate with this signature, which is as PKCS#11 has it: that of EC r || s.
    pub fn signed(self, signature: &[u8]) -> Certificate {
        let signature = match self.algorithm {
            ECDSA_SHA256 => encode::ecdsa_raw_to_der(signature),
            _ => signature.to_vec(),
        };
        let der = sequence(&[&self.fields, self.algorithm, &tlv::bit_string(&signature)]);
        Certificate {
            der,
            serial_number: self.serial_number,
            issuer: self.name.clone(),
            subject: self.name,
            not_before: Some((1970, 1, 1)),
            not_after: Some((9999, 12, 31)),
            spki: self.spki,
            is_authority: false,
        }
    }
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv::element(tag::SEQUENCE, &parts.concat())
}

#[cfg(test)]
mod tests {
    use x509_cert::der::{Decode, Encode};

    use super::super::testing::hex;
    use super::*;

    /// Of `openssl genpkey`: RSA is in the tests of [`PublicKey`].
    fn keys() -> [PublicKey; 2] {
        [
            "3059301306072a8648ce3d020106082a8648ce3d03010703420004911587239a8b8ac20d34e663ef641b9e550d20e33c96dd\
             f3871e9d963b6035b8f733d3a2f86e4516826ce350ac8db6454df65a8749835d7e1b604ae3a3a828e2",
            "302a300506032b6570032100e416f2073b075a755b12ace5590aa7f5eae2933c977bdd1776379dca4e85358c",
        ]
        .map(|spki| PublicKey::from_spki(&hex(spki)).unwrap())
    }

    #[test]
    fn one_that_nobody_signed() {
        for public in keys() {
            let made = unsigned(&public, "k\u{e9}y");
            assert!(Certificate::from_der(made.der()) == Ok(made.clone()));
            assert!(unsigned(&public, "k\u{e9}y") == made, "the same again");
            let read = x509_cert::Certificate::from_der(made.der()).unwrap();
            let fields = &read.tbs_certificate;
            assert_eq!(fields.subject.to_string(), "OU=not signed,CN=k\u{e9}y");
            assert_eq!(fields.issuer, fields.subject);
            assert_eq!(fields.validity.not_after.to_string(), "9999-12-31T23:59:59Z");
            assert_eq!(fields.subject_public_key_info.to_der().unwrap(), public.spki());
            // RFC 9925 section 3.1.
            assert_eq!(read.signature_algorithm.oid.to_string(), "1.3.6.1.5.5.7.6.36");
            assert!(read.signature_algorithm.parameters.is_none());
            assert_eq!(read.signature.bit_len(), 0);
        }
        let [key, _] = keys();
        assert_eq!(unsigned(&key, &"x".repeat(200)).common_name().map(|name| name.len()), Some(64));
    }

    #[test]
    fn one_that_the_key_signed() {
        let algorithms = ["1.2.840.10045.4.3.2", "1.3.101.112"];
        let signature = [[0x80; 32], [1; 32]].concat();
        let forms = [encode::ecdsa_raw_to_der(&signature), signature.clone()];
        for ((public, algorithm), form) in keys().into_iter().zip(algorithms).zip(forms) {
            let draft = self_signed(&public, "key").unwrap();
            let fields = draft.bytes().to_vec();
            let made = draft.signed(&signature);
            assert!(Certificate::from_der(made.der()) == Ok(made.clone()));
            let read = x509_cert::Certificate::from_der(made.der()).unwrap();
            assert_eq!(read.tbs_certificate.to_der().unwrap(), fields);
            assert_eq!(read.tbs_certificate.subject.to_string(), "OU=self-signed,CN=key");
            assert_eq!(read.tbs_certificate.issuer, read.tbs_certificate.subject);
            assert_eq!(read.signature_algorithm.oid.to_string(), algorithm);
            assert_eq!(read.tbs_certificate.signature, read.signature_algorithm);
            assert_eq!(read.signature.as_bytes().unwrap(), form);
        }
    }
}
