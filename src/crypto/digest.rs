//! The hash functions of FIPS 180-4 and FIPS 202.

use sha2::digest::{Digest, DynDigest};

/// A hash function.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha3_224,
    Sha3_256,
    Sha3_384,
    Sha3_512,
}

impl Hash {
    /// Every hash function that is served.
    pub const ALL: [Self; 9] = [
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
        Self::Sha3_224,
        Self::Sha3_256,
        Self::Sha3_384,
        Self::Sha3_512,
    ];

    /// Bytes of the digest.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 | Self::Sha3_224 => 28,
            Self::Sha256 | Self::Sha3_256 => 32,
            Self::Sha384 | Self::Sha3_384 => 48,
            Self::Sha512 | Self::Sha3_512 => 64,
        }
    }

    /// The digest of `data`.
    pub fn digest(self, data: &[u8]) -> Vec<u8> {
        let mut hasher = Hasher::new(self);
        hasher.update(data);
        hasher.finish()
    }

    /// What stands before the digest in the DER of a DigestInfo (RFC 8017 section 9.2, note 1; for SHA-3 with the
    /// identifiers of FIPS 202).
    pub fn digest_info_prefix(self) -> &'static [u8] {
        const SHA1: [u8; 15] =
            [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14];
        const SHA256: [u8; 19] = nist_prefix(1, 32);
        const SHA384: [u8; 19] = nist_prefix(2, 48);
        const SHA512: [u8; 19] = nist_prefix(3, 64);
        const SHA224: [u8; 19] = nist_prefix(4, 28);
        const SHA3_224: [u8; 19] = nist_prefix(7, 28);
        const SHA3_256: [u8; 19] = nist_prefix(8, 32);
        const SHA3_384: [u8; 19] = nist_prefix(9, 48);
        const SHA3_512: [u8; 19] = nist_prefix(10, 64);
        match self {
            Self::Sha1 => &SHA1,
            Self::Sha224 => &SHA224,
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
            Self::Sha512 => &SHA512,
            Self::Sha3_224 => &SHA3_224,
            Self::Sha3_256 => &SHA3_256,
            Self::Sha3_384 => &SHA3_384,
            Self::Sha3_512 => &SHA3_512,
        }
    }

    /// A fresh state behind the trait that the `rsa` crate takes.
    pub(super) fn dynamic(self) -> Box<dyn DynDigest + Send + Sync> {
        match self {
            Self::Sha1 => Box::new(sha1::Sha1::new()),
            Self::Sha224 => Box::new(sha2::Sha224::new()),
            Self::Sha256 => Box::new(sha2::Sha256::new()),
            Self::Sha384 => Box::new(sha2::Sha384::new()),
            Self::Sha512 => Box::new(sha2::Sha512::new()),
            Self::Sha3_224 => Box::new(sha3::Sha3_224::new()),
            Self::Sha3_256 => Box::new(sha3::Sha3_256::new()),
            Self::Sha3_384 => Box::new(sha3::Sha3_384::new()),
            Self::Sha3_512 => Box::new(sha3::Sha3_512::new()),
        }
    }
}

/// The prefix for the hash function 2.16.840.1.101.3.4.2.`arc`, whose digest has `length` bytes.
const fn nist_prefix(arc: u8, length: u8) -> [u8; 19] {
    let oid = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, arc];
    [
        0x30,
        17 + length,
        0x30,
        0x0d,
        0x06,
        0x09,
        oid[0],
        oid[1],
        oid[2],
        oid[3],
        oid[4],
        oid[5],
        oid[6],
        oid[7],
        oid[8],
        0x05,
        0x00,
        0x04,
        length,
    ]
}

/// A digest in the making.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha1(sha1::Sha1),
    Sha224(sha2::Sha224),
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
    Sha3_224(sha3::Sha3_224),
    Sha3_256(sha3::Sha3_256),
    Sha3_384(sha3::Sha3_384),
    Sha3_512(sha3::Sha3_512),
}

/// The same expression for whichever state there is.
macro_rules! with_state {
    ($hasher:expr, $state:ident => $value:expr) => {
        match $hasher {
            State::Sha1($state) => $value,
            State::Sha224($state) => $value,
            State::Sha256($state) => $value,
            State::Sha384($state) => $value,
            State::Sha512($state) => $value,
            State::Sha3_224($state) => $value,
            State::Sha3_256($state) => $value,
            State::Sha3_384($state) => $value,
            State::Sha3_512($state) => $value,
        }
    };
}

impl Hasher {
    /// A digest of no data so far.
    pub fn new(hash: Hash) -> Self {
        Self(match hash {
            Hash::Sha1 => State::Sha1(Digest::new()),
            Hash::Sha224 => State::Sha224(Digest::new()),
            Hash::Sha256 => State::Sha256(Digest::new()),
            Hash::Sha384 => State::Sha384(Digest::new()),
            Hash::Sha512 => State::Sha512(Digest::new()),
            Hash::Sha3_224 => State::Sha3_224(Digest::new()),
            Hash::Sha3_256 => State::Sha3_256(Digest::new()),
            Hash::Sha3_384 => State::Sha3_384(Digest::new()),
            Hash::Sha3_512 => State::Sha3_512(Digest::new()),
        })
    }

    /// The hash function.
    pub fn hash(&self) -> Hash {
        match self.0 {
            State::Sha1(_) => Hash::Sha1,
            State::Sha224(_) => Hash::Sha224,
            State::Sha256(_) => Hash::Sha256,
            State::Sha384(_) => Hash::Sha384,
            State::Sha512(_) => Hash::Sha512,
            State::Sha3_224(_) => Hash::Sha3_224,
            State::Sha3_256(_) => Hash::Sha3_256,
            State::Sha3_384(_) => Hash::Sha3_384,
            State::Sha3_512(_) => Hash::Sha3_512,
        }
    }

    /// Adds `data`.
    pub fn update(&mut self, data: &[u8]) {
        with_state!(&mut self.0, state => Digest::update(state, data));
    }

    /// The digest, [`Hash::len`] bytes.
    pub fn finish(self) -> Vec<u8> {
        with_state!(self.0, state => state.finalize().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::hex;
    use super::*;

    /// The examples for "abc" that NIST publishes with FIPS 180-4 and FIPS 202.
    const ABC: [(Hash, &str); 9] = [
        (Hash::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (Hash::Sha224, "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
        (Hash::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            Hash::Sha384,
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed
             8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            Hash::Sha512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
        (Hash::Sha3_224, "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf"),
        (Hash::Sha3_256, "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
        (
            Hash::Sha3_384,
            "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b2
             98d88cea927ac7f539f1edf228376d25",
        ),
        (
            Hash::Sha3_512,
            "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e
             10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
        ),
    ];

    #[test]
    fn published_examples() {
        for (hash, digest) in ABC {
            assert_eq!(hash.digest(b"abc"), hex(digest), "{hash:?}");
            assert_eq!(hash.len(), hex(digest).len(), "{hash:?}");
        }
        assert_eq!(ABC.map(|(hash, _)| hash), Hash::ALL);
    }

    #[test]
    fn parts_make_the_whole_and_a_clone_goes_its_own_way() {
        for (hash, digest) in ABC {
            let mut hasher = Hasher::new(hash);
            hasher.update(b"a");
            let mut other = hasher.clone();
            hasher.update(b"");
            hasher.update(b"bc");
            other.update(b"x");
            assert_eq!(hasher.hash(), hash);
            assert_eq!(hasher.finish(), hex(digest));
            assert_ne!(other.finish(), hex(digest));
        }
    }

    #[test]
    fn the_state_for_rsa_is_that_of_the_same_hash() {
        for (hash, digest) in ABC {
            let mut state = hash.dynamic();
            state.update(b"abc");
            assert_eq!(state.finalize().to_vec(), hex(digest), "{hash:?}");
        }
    }
}
