//! The keys that an emulator is born with.

use cryptoki_sys::{CK_KEY_TYPE, CK_MECHANISM_TYPE, CKK_EC, CKK_RSA, CKM_ECDSA_SHA256, CKM_SHA256_RSA_PKCS};

use super::{AES, EC, EC_CERT, ED, LOCKED, RSA, RSA_CERT};

/// The labels of the keys, each list in order of the alphabet.
#[derive(Clone, Copy, Debug)]
pub struct Seed {
    /// The first has 2048 bits.
    pub rsa: &'static [&'static str],
    /// Whose curve is of NIST.
    pub ec: &'static [&'static str],
    pub edwards: &'static [&'static str],
    pub aes: &'static [&'static str],
    /// Keys for HMAC, called `hmac-` and a hash.
    pub hmac: &'static [&'static str],
    /// Keys whose attributes are behind a password.
    pub locked: &'static [&'static str],
    /// Keys with a certificate beside them.
    pub certified: &'static [&'static str],
    /// Patterns of [`super::Setting::Narrow`], each with the key that it hides.
    pub hidden: &'static [(&'static str, &'static str)],
}

impl Seed {
    /// The most that there is.
    pub const ALL: Self = Self {
        rsa: &[RSA, RSA_CERT],
        ec: &[EC_CERT, EC],
        edwards: &[ED],
        aes: &[AES],
        hmac: &[],
        locked: &[LOCKED],
        certified: &[EC_CERT, RSA_CERT],
        hidden: &[("rsa-c*", RSA_CERT), ("ed25519", ED)],
    };

    /// The keys whose public half is known.
    pub fn pairs(&self) -> Vec<&'static str> {
        sorted(&[self.rsa, self.ec, self.edwards])
    }

    /// The labels of private keys.
    pub fn private(&self) -> Vec<&'static str> {
        sorted(&[&self.pairs(), self.locked])
    }

    /// The labels of objects that are not private.
    pub fn public_objects(&self) -> Vec<&'static str> {
        sorted(&[&self.pairs(), self.certified])
    }

    /// The labels of private objects.
    pub fn private_objects(&self) -> Vec<&'static str> {
        sorted(&[&self.private(), &self.secrets()])
    }

    /// The labels of secret keys.
    pub fn secrets(&self) -> Vec<&'static str> {
        sorted(&[self.aes, self.hmac])
    }

    /// An RSA key of 2048 bits.
    pub fn rsa(&self) -> &'static str {
        self.rsa[0]
    }

    /// A key that is not [`Self::rsa`].
    pub fn other(&self) -> &'static str {
        match self.ec.contains(&EC) {
            true => EC,
            false => self.pairs().into_iter().find(|label| *label != self.rsa()).expect("another key"),
        }
    }

    /// The labels of all objects.
    pub fn objects(&self) -> Vec<&'static str> {
        sorted(&[&self.public_objects(), &self.private_objects()])
    }

    /// How many objects have that label.
    pub fn objects_of(&self, label: &str) -> usize {
        self.objects().iter().filter(|other| **other == label).count()
    }

    /// The key to sign with where it does not matter which.
    pub fn signer(&self) -> Signer {
        match self.ec.contains(&EC) {
            true => Signer { label: EC, key_type: CKK_EC, kind: CKM_ECDSA_SHA256, length: 64 },
            false => Signer { label: self.rsa(), key_type: CKK_RSA, kind: CKM_SHA256_RSA_PKCS, length: 256 },
        }
    }
}

/// Some lists as one, in order.
pub fn sorted(lists: &[&[&'static str]]) -> Vec<&'static str> {
    let mut all = lists.concat();
    all.sort_unstable();
    all
}

/// A key with a mechanism that hashes with SHA-256, and the length of its signatures.
#[derive(Clone, Copy, Debug)]
pub struct Signer {
    pub label: &'static str,
    pub key_type: CK_KEY_TYPE,
    pub kind: CK_MECHANISM_TYPE,
    pub length: usize,
}
