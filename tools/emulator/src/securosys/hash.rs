//! Hash functions by name.

use digest::Digest;

/// A hash function of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha3_224,
    Sha3_256,
    Sha3_384,
    Sha3_512,
    Keccak224,
    Keccak256,
    Keccak384,
    Keccak512,
    /// SHA-256 twice, as Bitcoin has it.
    DoubleSha256,
}

impl Hash {
    /// The digest of a message.
    pub(crate) fn digest(self, message: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha1 => digest::<sha1::Sha1>(message),
            Hash::Sha224 => digest::<sha2::Sha224>(message),
            Hash::Sha256 => digest::<sha2::Sha256>(message),
            Hash::Sha384 => digest::<sha2::Sha384>(message),
            Hash::Sha512 => digest::<sha2::Sha512>(message),
            Hash::Sha3_224 => digest::<sha3::Sha3_224>(message),
            Hash::Sha3_256 => digest::<sha3::Sha3_256>(message),
            Hash::Sha3_384 => digest::<sha3::Sha3_384>(message),
            Hash::Sha3_512 => digest::<sha3::Sha3_512>(message),
            Hash::Keccak224 => digest::<sha3::Keccak224>(message),
            Hash::Keccak256 => digest::<sha3::Keccak256>(message),
            Hash::Keccak384 => digest::<sha3::Keccak384>(message),
            Hash::Keccak512 => digest::<sha3::Keccak512>(message),
            Hash::DoubleSha256 => digest::<sha2::Sha256>(&digest::<sha2::Sha256>(message)),
        }
    }
}

/// The hash functions that RSA padding schemes of the API use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RsaHash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl RsaHash {
    /// The length of a digest in bytes.
    pub(crate) fn size(self) -> usize {
        match self {
            RsaHash::Sha1 => 20,
            RsaHash::Sha224 => 28,
            RsaHash::Sha256 => 32,
            RsaHash::Sha384 => 48,
            RsaHash::Sha512 => 64,
        }
    }
}

impl From<RsaHash> for Hash {
    fn from(hash: RsaHash) -> Hash {
        match hash {
            RsaHash::Sha1 => Hash::Sha1,
            RsaHash::Sha224 => Hash::Sha224,
            RsaHash::Sha256 => Hash::Sha256,
            RsaHash::Sha384 => Hash::Sha384,
            RsaHash::Sha512 => Hash::Sha512,
        }
    }
}

fn digest<D: Digest>(message: &[u8]) -> Vec<u8> {
    D::digest(message).to_vec()
}
