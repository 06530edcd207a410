//! The named elliptic curves.

use super::Error;
use super::tlv::{Reader, tag};

/// A named curve over a prime field (SEC 2, RFC 5639, ANSSI).
///
/// The table holds what the HSMs make (Securosys TSB reference §2.3), without the curves whose identifiers are in
/// doubt there.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Curve {
    name: &'static str,
    oid: &'static str,
    oid_der: &'static [u8],
    order_bits: usize,
    field_bits: usize,
}

impl Curve {
    /// NIST P-224.
    pub const SECP224R1: Self = sec("secp224r1", "1.3.132.0.33", &[6, 5, 0x2b, 0x81, 4, 0, 33], 224, 224);
    /// A Koblitz curve whose order is one bit longer than its field.
    pub const SECP224K1: Self = sec("secp224k1", "1.3.132.0.32", &[6, 5, 0x2b, 0x81, 4, 0, 32], 225, 224);
    /// NIST P-256.
    pub const SECP256R1: Self =
        sec("secp256r1", "1.2.840.10045.3.1.7", &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], 256, 256);
    /// The curve of Bitcoin.
    pub const SECP256K1: Self = sec("secp256k1", "1.3.132.0.10", &[6, 5, 0x2b, 0x81, 4, 0, 10], 256, 256);
    /// NIST P-384.
    pub const SECP384R1: Self = sec("secp384r1", "1.3.132.0.34", &[6, 5, 0x2b, 0x81, 4, 0, 34], 384, 384);
    /// NIST P-521.
    pub const SECP521R1: Self = sec("secp521r1", "1.3.132.0.35", &[6, 5, 0x2b, 0x81, 4, 0, 35], 521, 521);
    /// RFC 5639.
    pub const BRAINPOOL_P256R1: Self =
        sec("brainpoolP256r1", "1.3.36.3.3.2.8.1.1.7", &[6, 9, 0x2b, 0x24, 3, 3, 2, 8, 1, 1, 7], 256, 256);
    /// RFC 5639.
    pub const BRAINPOOL_P320R1: Self =
        sec("brainpoolP320r1", "1.3.36.3.3.2.8.1.1.9", &[6, 9, 0x2b, 0x24, 3, 3, 2, 8, 1, 1, 9], 320, 320);
    /// RFC 5639.
    pub const BRAINPOOL_P384R1: Self =
        sec("brainpoolP384r1", "1.3.36.3.3.2.8.1.1.11", &[6, 9, 0x2b, 0x24, 3, 3, 2, 8, 1, 1, 11], 384, 384);
    /// RFC 5639.
    pub const BRAINPOOL_P512R1: Self =
        sec("brainpoolP512r1", "1.3.36.3.3.2.8.1.1.13", &[6, 9, 0x2b, 0x24, 3, 3, 2, 8, 1, 1, 13], 512, 512);
    /// The curve of ANSSI.
    pub const FRP256V1: Self = sec(
        "frp256v1",
        "1.2.250.1.223.101.256.1",
        &[6, 10, 0x2a, 0x81, 0x7a, 1, 0x81, 0x5f, 0x65, 0x82, 0, 1],
        256,
        256,
    );

    /// Every curve of the table.
    pub const ALL: [Self; 11] = [
        Self::SECP224R1,
        Self::SECP224K1,
        Self::SECP256R1,
        Self::SECP256K1,
        Self::SECP384R1,
        Self::SECP521R1,
        Self::BRAINPOOL_P256R1,
        Self::BRAINPOOL_P320R1,
        Self::BRAINPOOL_P384R1,
        Self::BRAINPOOL_P512R1,
        Self::FRP256V1,
    ];

    /// The curve with this object identifier in dotted form.
    pub fn from_oid(oid: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.oid == oid)
    }

    /// The curve that a `CKA_EC_PARAMS` names: the DER of an OBJECT IDENTIFIER, or of a PrintableString with the
    /// curve's name (PKCS#11 3.2 section 6.3). `Ok(None)` for parameters that name no curve of the table.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the bytes are not one DER element.
    pub fn from_params(der: &[u8]) -> Result<Option<Self>, Error> {
        let mut reader = Reader::new(der, "EC parameters");
        let params = reader.any()?;
        reader.finish()?;
        Ok(Self::ALL.into_iter().find(|curve| match params.tag {
            tag::PRINTABLE_STRING => curve.name.as_bytes() == params.content,
            _ => curve.oid_der == params.raw,
        }))
    }

    /// The name in its own standard, as OpenSSL spells it but for secp256r1.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// The object identifier in dotted form.
    pub fn oid(self) -> &'static str {
        self.oid
    }

    /// The object identifier in DER, tag and length included: the usual `CKA_EC_PARAMS`.
    pub fn oid_der(self) -> &'static [u8] {
        self.oid_der
    }

    /// Bits of the order of the base point.
    pub fn order_bits(self) -> usize {
        self.order_bits
    }

    /// Bytes of the order: r and s of a signature have this length each.
    pub fn order_bytes(self) -> usize {
        self.order_bits.div_ceil(8)
    }

    /// Bytes of a coordinate of a point.
    pub fn field_bytes(self) -> usize {
        self.field_bits.div_ceil(8)
    }

    /// A point of the curve in its uncompressed form (SEC 1 section 2.3.3), from that form or the compressed one.
    ///
    /// On the curves that can be computed here the point is checked; on the others its form and length are, and a
    /// compressed point stays as it is.
    ///
    /// # Errors
    /// [`Error::Malformed`] for anything else, the point at infinity included.
    pub(super) fn uncompressed(self, point: &[u8]) -> Result<Vec<u8>, Error> {
        if !self.may_be_point(point) {
            return Err(Error::Malformed("EC point"));
        }
        macro_rules! checked {
            ($curve:ident) => {
                $curve::ecdsa::VerifyingKey::from_sec1_bytes(point)
                    .map(|key| key.to_encoded_point(false).as_bytes().to_vec())
                    .map_err(|_| Error::Malformed("EC point"))
            };
        }
        match self {
            Self::SECP256R1 => checked!(p256),
            Self::SECP256K1 => checked!(k256),
            Self::SECP384R1 => checked!(p384),
            Self::SECP521R1 => checked!(p521),
            _ => Ok(point.to_vec()),
        }
    }

    /// Whether form byte and length are those of a point of this curve.
    pub(super) fn may_be_point(self, point: &[u8]) -> bool {
        match point.first() {
            Some(4) => point.len() == 1 + 2 * self.field_bytes(),
            Some(2 | 3) => point.len() == 1 + self.field_bytes(),
            _ => false,
        }
    }
}

const fn sec(
    name: &'static str,
    oid: &'static str,
    oid_der: &'static [u8],
    order_bits: usize,
    field_bits: usize,
) -> Curve {
    Curve { name, oid, oid_der, order_bits, field_bits }
}

#[cfg(test)]
mod tests {
    use super::super::encode;
    use super::*;

    #[test]
    fn both_forms_of_each_identifier_agree() {
        for curve in Curve::ALL {
            assert_eq!(encode::oid(curve.oid()).as_deref(), Ok(curve.oid_der()), "{}", curve.name());
            assert_eq!(Curve::from_oid(curve.oid()), Some(curve));
            assert_eq!(Curve::from_params(curve.oid_der()), Ok(Some(curve)));
        }
    }
}
