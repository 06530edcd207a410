//! The server's names of algorithms, and the paths of its calls (Luna reference section 11.1).

use std::sync::atomic::{AtomicU8, Ordering};

use crate::backend::percent;
use crate::backend::types::{KeyKind, KeySpec, SignScheme};
use crate::crypto::curve::Curve;
use crate::crypto::digest::Hash;

/// What stands behind the name of a pair's private key in that of its public key.
pub(super) const PUBLIC_SUFFIX: &str = "-pub";

/// How many keys are asked for at a time.
pub(super) const PAGE: usize = 200;

/// How the names of hashes are spelled: both have been seen, and nobody says that all servers take both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// `sha-256`
    Dashed,
    /// `SHA256`
    Plain,
}

/// A hash as `hashAlgo` has it; `None` for one that the server does not have.
pub(super) fn hash(hash: Hash, spelling: Spelling) -> Option<&'static str> {
    let (dashed, plain) = match hash {
        Hash::Sha1 => ("sha-1", "SHA1"),
        Hash::Sha224 => ("sha-224", "SHA224"),
        Hash::Sha256 => ("sha-256", "SHA256"),
        Hash::Sha384 => ("sha-384", "SHA384"),
        Hash::Sha512 => ("sha-512", "SHA512"),
        _ => return None,
    };
    Some(match spelling {
        Spelling::Dashed => dashed,
        Spelling::Plain => plain,
    })
}

/// Whether the server signs with a scheme once it has the digest, or can make it.
pub(super) fn is_signed(scheme: SignScheme) -> bool {
    let known = |name: Hash| hash(name, Spelling::Dashed).is_some();
    match scheme {
        SignScheme::RsaPkcs1(name) | SignScheme::Ecdsa { hash: name, .. } => name.is_none_or(known),
        SignScheme::RsaPss(name) => known(name),
        SignScheme::EdDsa | SignScheme::Hmac(_) => false,
    }
}

/// The hash that the server would have to apply; `None`: the caller brings a digest, or bytes.
pub(super) fn hash_of(scheme: SignScheme) -> Option<Hash> {
    match scheme {
        SignScheme::RsaPkcs1(hash) | SignScheme::Ecdsa { hash, .. } => hash,
        SignScheme::RsaPss(hash) | SignScheme::Hmac(hash) => Some(hash),
        SignScheme::EdDsa => None,
    }
}

/// The algorithms of keys for HMAC.
const MACS: [(&str, Hash); 4] = [
    ("hmac-sha1", Hash::Sha1),
    ("hmac-sha256", Hash::Sha256),
    ("hmac-sha384", Hash::Sha384),
    ("hmac-sha512", Hash::Sha512),
];

/// Whether there are keys for HMAC with this hash.
pub(super) fn is_mac_hash(hash: Hash) -> bool {
    MACS.iter().any(|(_, known)| *known == hash)
}

/// What a secret key of that `algorithm` is, of so many bits.
pub(super) fn secret_kind(algorithm: &str, bits: Option<u32>) -> KeyKind {
    let bytes =
        bits.filter(|bits| *bits > 0 && bits % 8 == 0).and_then(|bits| usize::try_from(bits / 8).ok());
    if algorithm.eq_ignore_ascii_case("aes") {
        return KeyKind::Aes(bytes.filter(|bytes| matches!(bytes, 16 | 24 | 32)));
    }
    match MACS.iter().find(|(name, _)| algorithm.eq_ignore_ascii_case(name)) {
        Some((_, hash)) => KeyKind::Hmac { hash: *hash, bytes },
        None => KeyKind::Other(algorithm.to_owned()),
    }
}

/// Names of the member with a curve: that of the documentation, and that of a client.
pub(super) const CURVE_MEMBERS: [&str; 2] = ["curveid", "curveId"];

/// What a new key is made of, in the server's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Material {
    pub(super) algorithm: &'static str,
    /// Bits; `None` where the algorithm or the curve says it.
    pub(super) size: Option<usize>,
    pub(super) curve: Option<&'static str>,
    pub(super) is_pair: bool,
}

/// The material of a key; `None` for what the server does not make.
pub(super) fn material(spec: &KeySpec) -> Option<Material> {
    let pair = |algorithm, size, curve| Material { algorithm, size, curve, is_pair: true };
    let secret = |algorithm, size| Material { algorithm, size, curve: None, is_pair: false };
    match *spec {
        KeySpec::Rsa { bits: bits @ (1024 | 2048 | 3072 | 4096) } => Some(pair("rsa", Some(bits), None)),
        KeySpec::Ec(curve) => Some(pair("ec", None, Some(curve_name(curve)?))),
        KeySpec::Aes { bytes: bytes @ (16 | 24 | 32) } => Some(secret("aes", Some(8 * bytes))),
        // Other lengths than that of the hash are not known of this server.
        KeySpec::Hmac { hash, bytes } if bytes.is_none_or(|bytes| bytes == hash.len()) => {
            let (name, _) = MACS.iter().find(|(_, known)| *known == hash)?;
            Some(secret(name, bytes.map(|bytes| 8 * bytes)))
        }
        _ => None,
    }
}

/// A curve as the server names it.
fn curve_name(curve: Curve) -> Option<&'static str> {
    match curve {
        Curve::SECP256R1 => Some("prime256v1"),
        Curve::SECP256K1
        | Curve::SECP384R1
        | Curve::SECP521R1
        | Curve::BRAINPOOL_P256R1
        | Curve::BRAINPOOL_P320R1
        | Curve::BRAINPOOL_P384R1
        | Curve::BRAINPOOL_P512R1 => Some(curve.name()),
        _ => None,
    }
}

/// What was learnt of two ways to write something, of which one server may take one alone.
pub(super) struct Learnt(AtomicU8);

impl Learnt {
    /// Nothing.
    pub(super) const fn nothing() -> Self {
        Self(AtomicU8::new(0))
    }

    /// The ways to try, the likelier one first, each with its number; one alone once it is known to be right.
    pub(super) fn to_try<T>(&self, [first, second]: [T; 2]) -> impl Iterator<Item = (u8, T)> {
        let (one, other) = match self.0.load(Ordering::Relaxed) {
            0 => ((1, first), Some((2, second))),
            1 => ((1, first), None),
            _ => ((2, second), None),
        };
        std::iter::once(one).chain(other)
    }

    /// That the way of this number is right.
    pub(super) fn settle(&self, number: u8) {
        // Looked at before it is written: all threads share it.
        if self.0.load(Ordering::Relaxed) != number {
            self.0.store(number, Ordering::Relaxed);
        }
    }
}

/// The paths below one prefix.
pub(super) struct Paths {
    /// `/api/v1`, as a rule.
    pub(super) prefix: String,
}

impl Paths {
    fn start(&self, path: &str, room: usize) -> String {
        let mut whole = String::with_capacity(self.prefix.len() + path.len() + room);
        whole.push_str(&self.prefix);
        whole.push_str(path);
        whole
    }

    /// A page of the keys.
    pub(super) fn keys(&self, skip: usize) -> String {
        format!("{}/vault/keys2?skip={skip}&limit={PAGE}", self.prefix)
    }

    /// Where keys are made.
    pub(super) fn vault(&self) -> String {
        self.start("/vault/keys2", 0)
    }

    /// One key, by its name with a suffix, or by its id.
    pub(super) fn key(&self, name: &str, suffix: &str) -> String {
        let mut path = self.start("/vault/keys2/", 3 * name.len() + suffix.len() + "/export".len());
        percent::push(&mut path, name);
        path.push_str(suffix);
        path
    }

    /// An operation with a key and more parameters, each encoded.
    pub(super) fn operation(&self, operation: &str, key: &str, more: &[(&str, &str)]) -> String {
        let room =
            3 * key.len() + more.iter().map(|(name, value)| name.len() + 3 * value.len() + 2).sum::<usize>();
        let mut path = self.start("/crypto/", operation.len() + "?keyName=".len() + room);
        path.push_str(operation);
        path.push_str("?keyName=");
        percent::push(&mut path, key);
        for (name, value) in more {
            for part in ["&", name, "="] {
                path.push_str(part);
            }
            percent::push(&mut path, value);
        }
        path
    }

    /// An operation whose parameters are in its body.
    pub(super) fn cipher(&self, operation: &str) -> String {
        format!("{}/crypto/{operation}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_page() {
        let paths = Paths { prefix: "/api/v1".into() };
        let more = [("hashAlgo", "sha-384"), ("signAlgo", "ecdsa")];
        assert_eq!(
            paths.operation("sign", "K", &more),
            "/api/v1/crypto/sign?keyName=K&hashAlgo=sha-384&signAlgo=ecdsa"
        );
        assert_eq!(
            paths.operation("macv", "a b&c", &[("hash", "a+/=")]),
            "/api/v1/crypto/macv?keyName=a%20b%26c&hash=a%2B%2F%3D"
        );
        assert_eq!(paths.key("../x?y", "-pub/export"), "/api/v1/vault/keys2/..%2Fx%3Fy-pub/export");
        assert_eq!(Paths { prefix: "/v1".into() }.keys(400), "/v1/vault/keys2?skip=400&limit=200");
    }

    #[test]
    fn hashes_have_the_spellings_that_were_seen() {
        assert_eq!(hash(Hash::Sha1, Spelling::Plain), Some("SHA1"));
        assert_eq!(hash(Hash::Sha384, Spelling::Dashed), Some("sha-384"));
        assert_eq!(hash(Hash::Sha3_256, Spelling::Plain), None);
        assert!(!is_signed(SignScheme::RsaPss(Hash::Sha3_256)));
    }

    #[test]
    fn one_way_is_tried_once_it_is_known() {
        let learnt = Learnt::nothing();
        let to_try = || learnt.to_try(["a", "b"]).collect::<Vec<_>>();
        assert_eq!(to_try(), [(1, "a"), (2, "b")]);
        learnt.settle(2);
        assert_eq!(to_try(), [(2, "b")]);
        learnt.settle(1);
        assert_eq!(to_try(), [(1, "a")]);
    }

    /// The sizes and curves of section 11.1.
    #[test]
    fn materials_are_those_of_the_page() {
        let told = |spec| material(&spec).map(|made| (made.algorithm, made.size, made.curve, made.is_pair));
        let hmac = |hash, bytes| KeySpec::Hmac { hash, bytes };
        for (spec, expected) in [
            (KeySpec::Rsa { bits: 2048 }, Some(("rsa", Some(2048), None, true))),
            (KeySpec::Rsa { bits: 8192 }, None),
            (KeySpec::Rsa { bits: 2047 }, None),
            (KeySpec::Ec(Curve::SECP256R1), Some(("ec", None, Some("prime256v1"), true))),
            (KeySpec::Ec(Curve::SECP521R1), Some(("ec", None, Some("secp521r1"), true))),
            (KeySpec::Ec(Curve::BRAINPOOL_P384R1), Some(("ec", None, Some("brainpoolP384r1"), true))),
            (KeySpec::Ec(Curve::FRP256V1), None),
            (KeySpec::Ed25519, None),
            (KeySpec::Aes { bytes: 24 }, Some(("aes", Some(192), None, false))),
            (KeySpec::Aes { bytes: 20 }, None),
            (hmac(Hash::Sha384, None), Some(("hmac-sha384", None, None, false))),
            (hmac(Hash::Sha1, Some(20)), Some(("hmac-sha1", Some(160), None, false))),
            (hmac(Hash::Sha1, Some(32)), None),
            (hmac(Hash::Sha224, None), None),
        ] {
            assert_eq!(told(spec), expected, "{spec:?}");
        }
    }

    #[test]
    fn algorithms_of_secret_keys() {
        assert_eq!(secret_kind("AES", Some(192)), KeyKind::Aes(Some(24)));
        assert_eq!(secret_kind("aes", Some(7)), KeyKind::Aes(None));
        assert_eq!(
            secret_kind("HMAC-SHA256", Some(256)),
            KeyKind::Hmac { hash: Hash::Sha256, bytes: Some(32) }
        );
        assert_eq!(secret_kind("tdes", Some(168)), KeyKind::Other("tdes".into()));
    }
}
