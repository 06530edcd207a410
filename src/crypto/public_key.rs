//! Public keys: from a SubjectPublicKeyInfo or from PKCS#11 attributes, and back.

use std::fmt;

use rsa::BigUint;

use super::Error;
pub use super::curve::Curve;
use super::digest::Hash;
use super::encode;
use super::tlv::{self, Reader, tag};

const RSA: &str = "1.2.840.113549.1.1.1";
const RSA_PSS: &str = "1.2.840.113549.1.1.10";
const EC: &str = "1.2.840.10045.2.1";
const ED25519: &str = "1.3.101.112";

/// What names the Edwards curve in `CKA_EC_PARAMS` besides its identifier (PKCS#11 3.2 section 6.3.5).
const ED25519_CURVE_NAME: &[u8] = b"edwards25519";

/// Bits of an RSA modulus that are served.
const RSA_BITS: std::ops::RangeInclusive<usize> = 512..=16384;

/// A public key, checked when it was read.
///
/// Two are equal if they are the same key, however each was encoded.
#[derive(Clone)]
pub struct PublicKey {
    kind: PublicKeyKind,
    spki: Vec<u8>,
    algorithm: String,
    key_identifier: [u8; 20],
}

/// The parts of a public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKeyKind {
    /// RSA, 512 to 16384 bits. Also with the identifier of RSASSA-PSS (RFC 4055 section 1.2), whose restriction to that
    /// scheme [`PublicKey::algorithm_oid`] tells.
    Rsa {
        /// n, big-endian, no leading zero byte.
        modulus: Vec<u8>,
        /// e, big-endian, no leading zero byte.
        exponent: Vec<u8>,
    },
    /// A point of a named curve.
    Ec {
        /// The curve.
        curve: Curve,
        /// The point by SEC 1 section 2.3.3: uncompressed, unless it came compressed on a curve that cannot be
        /// computed here.
        point: Vec<u8>,
    },
    /// Ed25519 as in RFC 8032.
    Ed25519([u8; 32]),
    /// A well-formed SubjectPublicKeyInfo of an algorithm or curve that is not served.
    Other,
}

impl PublicKey {
    /// Reads the DER of a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), nothing before or after it.
    ///
    /// # Errors
    /// [`Error::Malformed`] for broken DER, a point that is not on its curve, an RSA key that cannot be one;
    /// [`Error::Unsupported`] for an RSA modulus below 512 or above 16384 bits. An unknown algorithm is no error but
    /// [`PublicKeyKind::Other`].
    pub fn from_spki(der: &[u8]) -> Result<Self, Error> {
        const WHAT: &str = "SubjectPublicKeyInfo";
        let mut info = Reader::new(Reader::only(der, tag::SEQUENCE, WHAT)?, WHAT);
        let mut identifier = info.sequence()?;
        let algorithm = identifier.expect(tag::OID)?.content;
        let algorithm = encode::dotted(algorithm).ok_or(Error::Malformed(WHAT))?;
        let parameters = if identifier.is_empty() { None } else { Some(identifier.any()?) };
        identifier.finish()?;
        let key = info.bit_string()?;
        info.finish()?;
        let kind = match (algorithm.as_str(), parameters) {
            (RSA, None) | (RSA_PSS, _) => rsa_kind(key)?,
            (RSA, Some(null)) if null.raw == [tag::NULL, 0] => rsa_kind(key)?,
            (EC, Some(parameters)) => ec_kind(parameters.raw, key)?,
            (ED25519, None) => ed25519_kind(key)?,
            (RSA | EC | ED25519, _) => return Err(Error::Malformed("algorithm parameters")),
            _ => PublicKeyKind::Other,
        };
        Ok(Self { kind, spki: der.to_vec(), algorithm, key_identifier: sha1(key) })
    }

    /// An RSA key from `CKA_MODULUS` and `CKA_PUBLIC_EXPONENT`: big-endian, leading zeros allowed.
    ///
    /// # Errors
    /// As [`Self::from_spki`].
    pub fn from_rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, Error> {
        let key = tlv::element(tag::SEQUENCE, &[tlv::unsigned(modulus), tlv::unsigned(exponent)].concat());
        Self::from_rsa_der(&key)
    }

    /// An RSA key from the DER of an RSAPublicKey (RFC 8017 section A.1.1).
    ///
    /// # Errors
    /// As [`Self::from_spki`].
    pub fn from_rsa_der(der: &[u8]) -> Result<Self, Error> {
        Self::from_parts(RSA, &[tag::NULL, 0], der)
    }

    /// An EC or Ed25519 key from `CKA_EC_PARAMS` and `CKA_EC_POINT` (PKCS#11 3.2 sections 6.3.3 and 6.3.5).
    ///
    /// The parameters are the DER of an OBJECT IDENTIFIER or of a PrintableString with the curve's name; the point
    /// may stand in a DER OCTET STRING, as the standard has it for EC, or bare, as many applications have it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a curve that is not in the table of [`Curve`], else as [`Self::from_spki`].
    pub fn from_ec(params_der: &[u8], point: &[u8]) -> Result<Self, Error> {
        if names_ed25519(params_der)? {
            return Self::from_ed25519(if point.len() == 32 { point } else { unwrapped(point)? });
        }
        let curve = Curve::from_params(params_der)?.ok_or(Error::Unsupported("curve"))?;
        // An uncompressed point begins with the tag of an OCTET STRING: the length tells them apart.
        let point = if curve.may_be_point(point) { point } else { unwrapped(point)? };
        Self::from_parts(EC, curve.oid_der(), point)
    }

    /// An Ed25519 key from its 32 bytes (RFC 8032 section 5.1.5).
    ///
    /// # Errors
    /// [`Error::Malformed`] if they are not 32 or encode no point.
    pub fn from_ed25519(key: &[u8]) -> Result<Self, Error> {
        Self::from_parts(ED25519, &[], key)
    }

    fn from_parts(algorithm: &str, parameters: &[u8], key: &[u8]) -> Result<Self, Error> {
        let identifier = [&encode::oid(algorithm)?, parameters].concat();
        let info = [tlv::element(tag::SEQUENCE, &identifier), tlv::bit_string(key)].concat();
        Self::from_spki(&tlv::element(tag::SEQUENCE, &info))
    }

    /// The parts.
    pub fn kind(&self) -> &PublicKeyKind {
        &self.kind
    }

    /// The DER of the SubjectPublicKeyInfo, as it was read: `CKA_PUBLIC_KEY_INFO`.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Bits of the RSA modulus, of the order of the EC curve, 255 for Ed25519, 0 for [`PublicKeyKind::Other`].
    pub fn bits(&self) -> usize {
        match &self.kind {
            PublicKeyKind::Rsa { modulus, .. } => bit_length(modulus),
            PublicKeyKind::Ec { curve, .. } => curve.order_bits(),
            PublicKeyKind::Ed25519(_) => 255,
            PublicKeyKind::Other => 0,
        }
    }

    /// The object identifier of the algorithm in dotted form.
    pub fn algorithm_oid(&self) -> String {
        self.algorithm.clone()
    }

    /// SHA-1 of the content of the BIT STRING (RFC 5280 section 4.2.1.2, method 1).
    pub fn subject_key_identifier(&self) -> [u8; 20] {
        self.key_identifier
    }

    /// `CKA_EC_PARAMS`: the object identifier of the curve in DER. `None` unless EC or Ed25519.
    pub fn ec_params(&self) -> Option<Vec<u8>> {
        match &self.kind {
            PublicKeyKind::Ec { curve, .. } => Some(curve.oid_der().to_vec()),
            PublicKeyKind::Ed25519(_) => encode::oid(ED25519).ok(),
            PublicKeyKind::Rsa { .. } | PublicKeyKind::Other => None,
        }
    }

    /// `CKA_EC_POINT`: the point in a DER OCTET STRING. `None` unless EC or Ed25519.
    pub fn ec_point_octet_string(&self) -> Option<Vec<u8>> {
        match &self.kind {
            PublicKeyKind::Ec { point, .. } => Some(encode::octet_string(point)),
            PublicKeyKind::Ed25519(key) => Some(encode::octet_string(key)),
            PublicKeyKind::Rsa { .. } | PublicKeyKind::Other => None,
        }
    }

    /// The key for computing.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it is no RSA key, or its exponent is below 3 or of more than 33 bits.
    pub(super) fn rsa(&self) -> Result<rsa::RsaPublicKey, Error> {
        let PublicKeyKind::Rsa { modulus, exponent } = &self.kind else {
            return Err(Error::Unsupported("not an RSA key"));
        };
        let (n, e) = (BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(exponent));
        rsa::RsaPublicKey::new_with_max_size(n, e, *RSA_BITS.end())
            .map_err(|_| Error::Unsupported("RSA public exponent"))
    }
}

fn rsa_kind(key: &[u8]) -> Result<PublicKeyKind, Error> {
    const WHAT: &str = "RSA public key";
    let mut numbers = Reader::new(Reader::only(key, tag::SEQUENCE, WHAT)?, WHAT);
    let (modulus, exponent) = (numbers.unsigned()?, numbers.unsigned()?);
    numbers.finish()?;
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    if !is_odd(modulus) || !is_odd(exponent) || exponent.len() > modulus.len() {
        return Err(Error::Malformed(WHAT));
    }
    if !RSA_BITS.contains(&bit_length(modulus)) {
        return Err(Error::Unsupported("length of the RSA modulus"));
    }
    Ok(PublicKeyKind::Rsa { modulus: modulus.to_vec(), exponent: exponent.to_vec() })
}

fn ec_kind(parameters: &[u8], point: &[u8]) -> Result<PublicKeyKind, Error> {
    match Curve::from_params(parameters)? {
        Some(curve) => Ok(PublicKeyKind::Ec { curve, point: curve.uncompressed(point)? }),
        None => Ok(PublicKeyKind::Other),
    }
}

fn ed25519_kind(key: &[u8]) -> Result<PublicKeyKind, Error> {
    let malformed = Error::Malformed("Ed25519 public key");
    let Ok(key) = <[u8; 32]>::try_from(key) else { return Err(malformed) };
    match ed25519_dalek::VerifyingKey::from_bytes(&key) {
        Ok(_) => Ok(PublicKeyKind::Ed25519(key)),
        Err(_) => Err(malformed),
    }
}

/// Whether a `CKA_EC_PARAMS` names edwards25519, by object identifier or by name (PKCS#11 3.2 section 6.3.5).
///
/// # Errors
/// [`Error::Malformed`] if the bytes are not one DER element.
pub fn names_ed25519(params_der: &[u8]) -> Result<bool, Error> {
    let mut reader = Reader::new(params_der, "EC parameters");
    let params = reader.any()?;
    reader.finish()?;
    Ok(match params.tag {
        tag::OID => encode::dotted(params.content).as_deref() == Some(ED25519),
        tag::PRINTABLE_STRING => params.content == ED25519_CURVE_NAME,
        _ => false,
    })
}

fn unwrapped(point: &[u8]) -> Result<&[u8], Error> {
    Reader::only(point, tag::OCTET_STRING, "EC point")
}

/// Bits of a number without leading zero bytes.
fn bit_length(number: &[u8]) -> usize {
    number.first().map_or(0, |first| 8 * number.len() - first.leading_zeros() as usize)
}

fn sha1(data: &[u8]) -> [u8; 20] {
    let mut digest = [0; 20];
    // Both are twenty bytes.
    digest.copy_from_slice(&Hash::Sha1.digest(data));
    digest
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (PublicKeyKind::Other, PublicKeyKind::Other) => self.spki == other.spki,
            (one, two) => one == two,
        }
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            PublicKeyKind::Rsa { .. } => write!(f, "PublicKey(RSA, {} bits)", self.bits()),
            PublicKeyKind::Ec { curve, .. } => write!(f, "PublicKey(EC, {})", curve.name()),
            PublicKeyKind::Ed25519(_) => f.write_str("PublicKey(Ed25519)"),
            PublicKeyKind::Other => write!(f, "PublicKey({})", self.algorithm),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Noise, OpenSsl, hex};
    use super::super::verify::{Scheme, verify};
    use super::super::{encode, encrypt};
    use super::*;

    /// RFC 8410 section 10.1.
    const ED25519_SPKI: &str =
        "302a300506032b657003210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

    /// The base point of P-256 (SEC 2 section 2.4.2), compressed and not.
    const P256_BASE: [&str; 2] = [
        "03 6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296",
        "04 6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
            4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5",
    ];

    #[test]
    fn rsa_both_ways() {
        for bits in [512, 1025, 2048] {
            let openssl = OpenSsl::rsa(bits);
            let key = openssl.public_key();
            assert_eq!((key.bits(), key.algorithm_oid().as_str()), (bits, "1.2.840.113549.1.1.1"));
            let PublicKeyKind::Rsa { modulus, exponent } = key.kind() else { panic!("an RSA key") };
            assert_eq!(exponent, &[1, 0, 1]);
            let again = PublicKey::from_rsa(&[&[0, 0], modulus.as_slice()].concat(), &[0, 1, 0, 1]).unwrap();
            assert_eq!(again.spki(), openssl.spki());
            assert_eq!(again, key);
            assert_eq!((key.ec_params(), key.ec_point_octet_string()), (None, None));
            assert_eq!(format!("{key:?}"), format!("PublicKey(RSA, {bits} bits)"));
        }
    }

    #[test]
    fn every_curve_both_ways() {
        for curve in Curve::ALL {
            let name = if curve == Curve::SECP256R1 { "prime256v1" } else { curve.name() };
            if curve == Curve::FRP256V1 {
                continue; // OpenSSL does not have it.
            }
            let openssl = OpenSsl::ec(name);
            let key = openssl.public_key();
            let PublicKeyKind::Ec { curve: read, point } = key.kind() else { panic!("an EC key") };
            assert_eq!(*read, curve);
            assert!(openssl.spki().ends_with(point));
            assert_eq!(point.len(), 1 + 2 * curve.field_bytes());
            assert_eq!((key.bits(), key.algorithm_oid().as_str()), (curve.order_bits(), "1.2.840.10045.2.1"));
            let (params, wrapped) = (key.ec_params().unwrap(), key.ec_point_octet_string().unwrap());
            assert_eq!(params, curve.oid_der());
            for point in [point, &wrapped] {
                assert_eq!(PublicKey::from_ec(&params, point).unwrap().spki(), openssl.spki(), "{name}");
            }
            // The signature tells the length of the order: that of secp224k1 is a bit longer than its field.
            let signature =
                encode::ecdsa_der_to_raw(&openssl.pkeyutl("-sign", &[1; 20]), curve.order_bytes());
            assert_eq!(signature.map(|raw| raw.len()), Ok(2 * curve.order_bytes()));
        }
        assert_eq!(Curve::SECP224K1.order_bytes(), 29);
    }

    #[test]
    fn ed25519_both_ways() {
        let key = PublicKey::from_spki(&hex(ED25519_SPKI)).unwrap();
        let raw = &hex(ED25519_SPKI)[12..];
        assert_eq!(key.kind(), &PublicKeyKind::Ed25519(raw.try_into().unwrap()));
        assert_eq!((key.bits(), key.algorithm_oid().as_str()), (255, "1.3.101.112"));
        let wrapped = key.ec_point_octet_string().unwrap();
        assert_eq!(wrapped, [&[4, 32], raw].concat());
        assert_eq!(key.ec_params(), Some(hex("06032b6570")));
        let curve_name = [&[0x13, 12], &b"edwards25519"[..]].concat();
        for params in [&hex("06032b6570"), &curve_name] {
            for point in [raw, &wrapped] {
                assert_eq!(PublicKey::from_ec(params, point).unwrap().spki(), hex(ED25519_SPKI));
            }
        }
        assert!(PublicKey::from_ed25519(&raw[1..]).is_err());
        // y = 2 has no x on the curve.
        assert!(PublicKey::from_ed25519(&[&[2], &[0; 31][..]].concat()).is_err());
    }

    #[test]
    fn a_compressed_point_is_the_same_key() {
        let [compressed, uncompressed] =
            P256_BASE.map(|point| PublicKey::from_ec(Curve::SECP256R1.oid_der(), &hex(point)).unwrap());
        assert_eq!(compressed, uncompressed);
        assert_ne!(compressed.spki(), uncompressed.spki());
        assert_eq!(compressed.ec_point_octet_string(), uncompressed.ec_point_octet_string());
        let named = [&[0x13, 9], &b"secp256r1"[..]].concat();
        assert_eq!(PublicKey::from_ec(&named, &hex(P256_BASE[1])), Ok(uncompressed));
    }

    #[test]
    fn points_off_the_curve_are_refused() {
        for curve in [Curve::SECP256R1, Curve::SECP256K1, Curve::SECP384R1, Curve::SECP521R1] {
            let mut point = vec![1; 1 + 2 * curve.field_bytes()];
            point[0] = 4;
            assert_eq!(PublicKey::from_ec(curve.oid_der(), &point), Err(Error::Malformed("EC point")));
        }
        for curve in Curve::ALL {
            let length = 1 + 2 * curve.field_bytes();
            for (form, length) in
                [(0, 1), (4, length - 1), (4, length + 1), (5, 1 + curve.field_bytes()), (6, length)]
            {
                let mut point = vec![1; length];
                point[0] = form;
                assert!(PublicKey::from_ec(curve.oid_der(), &point).is_err(), "{} {form}", curve.name());
            }
            assert!(PublicKey::from_ec(curve.oid_der(), &[]).is_err());
        }
        assert_eq!(PublicKey::from_ec(&hex("0603 2a0304"), &[]), Err(Error::Unsupported("curve")));
        assert_eq!(PublicKey::from_ec(&hex("0603 2a03"), &[]), Err(Error::Malformed("EC parameters")));
    }

    #[test]
    fn other_algorithms_are_known_as_such() {
        // Headers of Securosys TSB reference §6; the keys themselves are of no matter here.
        let ml_dsa = [hex("30820532 300b 0609608648016503040311 03820521 00"), vec![9; 1312]].concat();
        let slh_dsa = [hex("3030 300b 0609608648016503040314 0321 00"), vec![9; 32]].concat();
        let lms = [hex("304e 300d 060b2a864886f70d0109100311 033d 00"), vec![9; 60]].concat();
        let x25519 = [hex("302a 3005 06032b656e 0321 00"), vec![9; 32]].concat();
        // EC with the parameters of a curve that is not in the table: brainpoolP224r1.
        let unknown_curve =
            [hex("3052 3014 06072a8648ce3d0201 06092b2403030208010105 033a 00 04"), vec![9; 56]].concat();
        for (spki, oid) in [
            (ml_dsa, "2.16.840.1.101.3.4.3.17"),
            (slh_dsa, "2.16.840.1.101.3.4.3.20"),
            (lms, "1.2.840.113549.1.9.16.3.17"),
            (x25519, "1.3.101.110"),
            (unknown_curve, "1.2.840.10045.2.1"),
        ] {
            let key = PublicKey::from_spki(&spki).unwrap();
            assert_eq!(
                (key.kind(), key.bits(), key.algorithm_oid().as_str()),
                (&PublicKeyKind::Other, 0, oid)
            );
            assert_eq!((key.spki(), key.ec_params(), key.ec_point_octet_string()), (&spki[..], None, None));
            let mut another = spki.clone();
            *another.last_mut().unwrap() ^= 1;
            assert_ne!(PublicKey::from_spki(&another), Ok(key));
        }
    }

    #[test]
    fn the_subject_key_identifier_of_openssl() {
        // The key of the certificate in the tests of `certificate`, whose identifier OpenSSL made.
        let key = hex(
            "3059301306072a8648ce3d020106082a8648ce3d03010703420004911587239a8b8ac20d34e663ef641b9e550d20e33c
             96ddf3871e9d963b6035b8f733d3a2f86e4516826ce350ac8db6454df65a8749835d7e1b604ae3a3a828e2",
        );
        let key = PublicKey::from_spki(&key).unwrap();
        assert_eq!(key.subject_key_identifier().to_vec(), hex("cf4b764a7c72b120cd772b4ec7c60efe6d0d0f33"));
    }

    #[test]
    fn rsa_limits() {
        let number = |bits: usize| {
            let mut number = vec![0xff; bits.div_ceil(8)];
            number[0] = 0xff >> (8 * number.len() - bits);
            number
        };
        let unsupported = Err(Error::Unsupported("length of the RSA modulus"));
        assert_eq!(PublicKey::from_rsa(&number(511), &[3]), unsupported);
        assert_eq!(PublicKey::from_rsa(&number(512), &[3]).map(|key| key.bits()), Ok(512));
        assert_eq!(PublicKey::from_rsa(&number(16384), &[3]).map(|key| key.bits()), Ok(16384));
        assert_eq!(PublicKey::from_rsa(&number(16385), &[3]), unsupported);
        let malformed = Err(Error::Malformed("RSA public key"));
        for exponent in [&[][..], &[0], &[2], &number(521)] {
            assert_eq!(PublicKey::from_rsa(&number(512), exponent), malformed, "{exponent:?}");
        }
        assert_eq!(PublicKey::from_rsa(&[], &[3]), malformed);
        assert_eq!(PublicKey::from_rsa(&[&number(512)[..63], &[2]].concat(), &[3]), malformed);
    }

    #[test]
    fn strict_about_what_stands_around() {
        let with_null = OpenSsl::rsa(512).public_key();
        let PublicKeyKind::Rsa { modulus, exponent } = with_null.kind() else { panic!("an RSA key") };
        let body = [tlv::unsigned(modulus), tlv::unsigned(exponent)].concat();
        let body = tlv::element(tag::SEQUENCE, &body);
        assert_eq!(PublicKey::from_parts(RSA, &[], &body), Ok(with_null.clone()));
        assert_eq!(PublicKey::from_parts(RSA_PSS, &[], &body), Ok(with_null.clone()));
        assert!(PublicKey::from_parts(RSA, &hex("0101ff"), &body).is_err());
        assert!(PublicKey::from_parts(RSA, &hex("05000500"), &body).is_err());
        assert!(PublicKey::from_parts(RSA, &[tag::NULL, 0], &[&body[..], &[0]].concat()).is_err());
        assert!(PublicKey::from_parts(ED25519, &[tag::NULL, 0], &hex(ED25519_SPKI)[12..]).is_err());
        assert!(PublicKey::from_parts(EC, &[], &hex(P256_BASE[1])).is_err());
        let spki = with_null.spki();
        assert!(PublicKey::from_spki(&[spki, &[0]].concat()).is_err());
        for length in 0..spki.len() {
            assert!(PublicKey::from_spki(&spki[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn broken_keys_never_panic() {
        let mut noise = Noise::new();
        let spkis = [
            OpenSsl::rsa(512).spki(),
            OpenSsl::ec("prime256v1").spki(),
            OpenSsl::ec("secp521r1").spki(),
            OpenSsl::ec("brainpoolP320r1").spki(),
            hex(ED25519_SPKI),
        ];
        let mut read = 0;
        for round in 0..4000 {
            let Ok(key) = PublicKey::from_spki(&noise.mutated(&spkis[round % spkis.len()])) else { continue };
            read += 1;

            for scheme in [Scheme::RsaPkcs1(Some(Hash::Sha1)), Scheme::Ecdsa, Scheme::EdDsa] {
                let length = noise.below(140);
                assert!(verify(&key, scheme, &[1; 20], &noise.bytes(length)).is_err());
            }
            if let Ok(ciphertext) = encrypt::rsa_pkcs1(&key, b"data") {
                assert_eq!(ciphertext.len(), key.bits().div_ceil(8));
            }
        }
        assert!(read > 100, "{read} of the mutations could be read");
    }
}
