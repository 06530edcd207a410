//! What the tests of this folder share: hexadecimal, the `openssl` program, bytes that come again in each run.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::digest::Hash;
use super::public_key::PublicKey;

/// Bytes from hexadecimal with any white space.
pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).expect("hexadecimal")).collect();
    assert!(digits.len().is_multiple_of(2));
    digits.chunks(2).map(|pair| (16 * pair[0] + pair[1]) as u8).collect()
}

/// A folder of its own with a private key, worked on by the `openssl` program, which has to be on the path.
pub(super) struct OpenSsl(PathBuf);

impl OpenSsl {
    /// A key made by `openssl ARGUMENTS -out key.pem`.
    pub fn with_key(arguments: &str) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("p11rest-crypto-{}-{number}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let openssl = Self(folder);
        openssl.run(&format!("{arguments} -out key.pem"));
        openssl
    }

    pub fn rsa(bits: usize) -> Self {
        Self::with_key(&format!("genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:{bits}"))
    }

    pub fn ec(curve: &str) -> Self {
        Self::with_key(&format!("ecparam -genkey -noout -name {curve}"))
    }

    pub fn public_key(&self) -> PublicKey {
        PublicKey::from_spki(&self.spki()).unwrap()
    }

    pub fn spki(&self) -> Vec<u8> {
        self.run("pkey -in key.pem -pubout -outform DER -out out")
    }

    /// `openssl pkeyutl -sign` or `-decrypt` of `input`.
    pub fn pkeyutl(&self, arguments: &str, input: &[u8]) -> Vec<u8> {
        fs::write(self.0.join("in"), input).unwrap();
        self.run(&format!("pkeyutl -inkey key.pem -in in -out out {arguments}"))
    }

    /// What `openssl ARGUMENTS` leaves in the file `out`, if it does.
    fn run(&self, arguments: &str) -> Vec<u8> {
        let output =
            Command::new("openssl").args(arguments.split_whitespace()).current_dir(&self.0).output().unwrap();
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        fs::read(self.0.join("out")).unwrap_or_default()
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// The name of a hash function on the command line of `openssl`.
pub(super) fn openssl_name(hash: Hash) -> &'static str {
    match hash {
        Hash::Sha1 => "sha1",
        Hash::Sha224 => "sha224",
        Hash::Sha256 => "sha256",
        Hash::Sha384 => "sha384",
        Hash::Sha512 => "sha512",
        Hash::Sha3_224 => "sha3-224",
        Hash::Sha3_256 => "sha3-256",
        Hash::Sha3_384 => "sha3-384",
        Hash::Sha3_512 => "sha3-512",
    }
}

/// Numbers that look random and are the same in each run (xorshift).
pub(crate) struct Noise(u64);

impl Noise {
    pub fn new() -> Self {
        Self::of(0)
    }

    /// Other numbers for another seed.
    pub fn of(seed: u64) -> Self {
        // Odd times anything but zero is not zero, from which xorshift would never come away.
        Self((seed.wrapping_mul(2) | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(256) as u8).collect()
    }

    /// `bytes` with one to three faults: a byte changed, taken out, put in, or the end cut off.
    pub fn mutated(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(3) {
            let position = self.below(bytes.len() + 1);
            let byte = self.below(256) as u8;
            match self.below(4) {
                0 => bytes.insert(position, byte),
                _ if position == bytes.len() => {}
                1 => drop(bytes.remove(position)),
                2 if self.below(8) == 0 => bytes.truncate(position),
                _ => bytes[position] = byte,
            }
        }
        bytes
    }
}
