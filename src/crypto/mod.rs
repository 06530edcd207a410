//! What needs no secret: digests, public keys, verification, public-key encryption, encodings, certificates.
//!
//! A leaf of the module: nothing here knows of slots, vendors or HTTP. Every function takes bytes of any length and
//! content, from the application or from the HSM, and answers with a value or an [`Error`]; none panics.
//!
//! No private key is ever held here. That is what makes the `rsa` crate fit for the work in spite of
//! RUSTSEC-2023-0071, which is about the timing of operations with a private key.

pub mod certificate;
pub mod curve;
pub mod digest;
pub mod encode;
pub mod encrypt;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod jwe;
mod padding;
pub mod public_key;
pub mod self_issued;
#[cfg(test)]
pub(crate) mod testing;
mod tlv;
pub mod verify;

use std::fmt;

/// Why a computation could not be done or did not succeed.
#[derive(Debug, PartialEq, Eq, Clone)]
pub enum Error {
    /// An encoding that breaks its rules; the text names what was read.
    Malformed(&'static str),
    /// Well-formed, but of a kind that is not served here; the text names it.
    Unsupported(&'static str),
    /// Input whose length or value the key or the scheme cannot take.
    DataLength,
    /// A signature whose length no signature of this key and scheme has.
    SignatureLength,
    /// A signature that does not belong to this key and input.
    SignatureInvalid,
    /// The system's random generator failed.
    Random,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "malformed {what}"),
            Self::Unsupported(what) => write!(f, "unsupported: {what}"),
            Self::DataLength => {
                f.write_str("the key or the scheme cannot take input of this length or value")
            }
            Self::SignatureLength => f.write_str("no signature of this key and scheme has this length"),
            Self::SignatureInvalid => f.write_str("the signature does not belong to this key and input"),
            Self::Random => f.write_str("the random generator of the system failed"),
        }
    }
}

impl std::error::Error for Error {}
