//! Signatures over the items of `hashArray` (FAST HSM reference §4.3).

use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512};
use aws_lc_rs::signature::{
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
    RsaEncoding,
};
use rand_core::OsRng;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};

use super::settings::{HashLength, Settings};
use crate::rsa_key::{QuickScheme, RsaKey};

/// A hash of which an item can be the digest: only its length tells.
struct Hash {
    algorithm: &'static Algorithm,
    pkcs1: &'static dyn RsaEncoding,
    pss: &'static dyn RsaEncoding,
    /// The DER before the digest in a DigestInfo (RFC 8017 §9.2 note 1).
    prefix: &'static [u8],
}

static HASHES: [Hash; 3] = [
    Hash {
        algorithm: &SHA256,
        pkcs1: &RSA_PKCS1_SHA256,
        pss: &RSA_PSS_SHA256,
        prefix: b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
    },
    Hash {
        algorithm: &SHA384,
        pkcs1: &RSA_PKCS1_SHA384,
        pss: &RSA_PSS_SHA384,
        prefix: b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
    },
    Hash {
        algorithm: &SHA512,
        pkcs1: &RSA_PKCS1_SHA512,
        pss: &RSA_PSS_SHA512,
        prefix: b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
    },
];

/// SHA-1 stands alone: AWS-LC does not sign over it.
const SHA1_BYTES: usize = 20;
const SHA1_PREFIX: &[u8] = b"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14";

/// The signature over an item; `None` for one that the settings do not take.
pub(super) fn sign(key: &RsaKey, item: &[u8], settings: &Settings) -> Option<Vec<u8>> {
    let digest = match settings.takes_digest_info && !settings.pss {
        true => digest_of(item),
        false => Some(item),
    };
    let known = match settings.hash_length {
        HashLength::Sha256 => &HASHES[..1],
        HashLength::Known | HashLength::Any => &HASHES[..],
    };
    let hash = digest.and_then(|digest| Some((digest, known.iter().find(|hash| hash.has_length(digest))?)));
    if let Some((digest, hash)) = hash {
        let encoding = if settings.pss { hash.pss } else { hash.pkcs1 };
        return key.sign_quickly(&QuickScheme { encoding, hash: hash.algorithm }, digest);
    }
    match (settings.hash_length, digest) {
        _ if settings.pss => None,
        (HashLength::Known | HashLength::Any, Some(digest)) if digest.len() == SHA1_BYTES => {
            pad_and_sign(key, &[SHA1_PREFIX, digest].concat())
        }
        (HashLength::Any, _) => pad_and_sign(key, item),
        _ => None,
    }
}

impl Hash {
    fn has_length(&self, digest: &[u8]) -> bool {
        self.algorithm.output_len() == digest.len()
    }
}

/// The digest in a DigestInfo of one of the hashes.
fn digest_of(item: &[u8]) -> Option<&[u8]> {
    let known = HASHES.iter().map(|hash| (hash.prefix, hash.algorithm.output_len()));
    let fits =
        |(prefix, length): (&[u8], usize)| item.strip_prefix(prefix).filter(|digest| digest.len() == length);
    known.chain([(SHA1_PREFIX, SHA1_BYTES)]).find_map(fits)
}

#[expect(clippy::disallowed_methods, reason = "AWS-LC has no such padding, and the keys are of no worth")]
fn pad_and_sign(key: &RsaPrivateKey, bytes: &[u8]) -> Option<Vec<u8>> {
    key.sign_with_rng(&mut OsRng, Pkcs1v15Sign::new_unprefixed(), bytes).ok()
}
