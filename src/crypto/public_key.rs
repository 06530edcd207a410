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
    /// RSA, 512 to 16384 bits.
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
        Self::from_parts(RSA, &[tag::NULL, 0], &key)
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

fn names_ed25519(params_der: &[u8]) -> Result<bool, Error> {
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
