//! Modes of AES (NIST SP 800-38A, SP 800-38D), with what the API has and ready-made modes leave
//! out: GCM with short tags and initialisation vectors of any length.

use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;

/// Bytes of a block.
pub(crate) const BLOCK: usize = 16;

/// A block.
pub(crate) type Block = [u8; BLOCK];

/// AES with a key of one of its three sizes.
pub(crate) enum Aes {
    Bits128(Box<Aes128>),
    Bits192(Box<Aes192>),
    Bits256(Box<Aes256>),
}

impl Aes {
    /// `None` if the key has none of the three sizes.
    pub(crate) fn new(key: &[u8]) -> Option<Aes> {
        Some(match key.len() {
            16 => Aes::Bits128(Box::new(Aes128::new_from_slice(key).ok()?)),
            24 => Aes::Bits192(Box::new(Aes192::new_from_slice(key).ok()?)),
            32 => Aes::Bits256(Box::new(Aes256::new_from_slice(key).ok()?)),
            _ => return None,
        })
    }

    fn encrypt_block(&self, mut block: Block) -> Block {
        match self {
            Aes::Bits128(aes) => aes.encrypt_block((&mut block).into()),
            Aes::Bits192(aes) => aes.encrypt_block((&mut block).into()),
            Aes::Bits256(aes) => aes.encrypt_block((&mut block).into()),
        }
        block
    }

    fn decrypt_block(&self, mut block: Block) -> Block {
        match self {
            Aes::Bits128(aes) => aes.decrypt_block((&mut block).into()),
            Aes::Bits192(aes) => aes.decrypt_block((&mut block).into()),
            Aes::Bits256(aes) => aes.decrypt_block((&mut block).into()),
        }
        block
    }

    /// ECB; `None` unless the data are whole blocks.
    pub(crate) fn ecb_encrypt(&self, data: &[u8]) -> Option<Vec<u8>> {
        Some(blocks(data)?.into_iter().flat_map(|block| self.encrypt_block(block)).collect())
    }

    /// ECB; `None` unless the data are whole blocks.
    pub(crate) fn ecb_decrypt(&self, data: &[u8]) -> Option<Vec<u8>> {
        Some(blocks(data)?.into_iter().flat_map(|block| self.decrypt_block(block)).collect())
    }

    /// CBC; `None` unless the data are whole blocks.
    pub(crate) fn cbc_encrypt(&self, iv: Block, data: &[u8]) -> Option<Vec<u8>> {
        let mut chain = iv;
        let mut encrypted = Vec::with_capacity(data.len());
        for block in blocks(data)? {
            chain = self.encrypt_block(xor(block, chain));
            encrypted.extend_from_slice(&chain);
        }
        Some(encrypted)
    }

    /// CBC; `None` unless the data are whole blocks.
    pub(crate) fn cbc_decrypt(&self, iv: Block, data: &[u8]) -> Option<Vec<u8>> {
        let mut chain = iv;
        let mut decrypted = Vec::with_capacity(data.len());
        for block in blocks(data)? {
            decrypted.extend_from_slice(&xor(self.decrypt_block(block), chain));
            chain = block;
        }
        Some(decrypted)
    }

    /// CTR with the whole block as the counter; decryption is the same.
    pub(crate) fn ctr(&self, counter: Block, data: &[u8]) -> Vec<u8> {
        self.keystream(data, counter, |block| u128::from_be_bytes(block).wrapping_add(1).to_be_bytes())
    }

    /// GCM; the ciphertext and the whole tag.
    pub(crate) fn gcm_encrypt(&self, iv: &[u8], aad: &[u8], data: &[u8]) -> (Vec<u8>, Block) {
        let first = self.gcm_first_block(iv);
        let encrypted = self.keystream(data, gcm_next(first), gcm_next);
        let tag = self.gcm_tag(first, aad, &encrypted);
        (encrypted, tag)
    }

    /// GCM; `None` if the tag, which may be short, is wrong.
    pub(crate) fn gcm_decrypt(&self, iv: &[u8], aad: &[u8], data: &[u8], tag: &[u8]) -> Option<Vec<u8>> {
        let first = self.gcm_first_block(iv);
        if self.gcm_tag(first, aad, data).get(..tag.len()) != Some(tag) {
            return None;
        }
        Some(self.keystream(data, gcm_next(first), gcm_next))
    }

    fn keystream(&self, data: &[u8], mut counter: Block, next: impl Fn(Block) -> Block) -> Vec<u8> {
        let mut result = Vec::with_capacity(data.len());
        for chunk in data.chunks(BLOCK) {
            let stream = self.encrypt_block(counter);
            result.extend(chunk.iter().zip(stream).map(|(byte, mask)| byte ^ mask));
            counter = next(counter);
        }
        result
    }

    /// The block J0 (SP 800-38D §7.1).
    fn gcm_first_block(&self, iv: &[u8]) -> Block {
        if iv.len() == 12 {
            let mut block = [0; BLOCK];
            block[..12].copy_from_slice(iv);
            block[15] = 1;
            return block;
        }
        self.ghash(&[], iv)
    }

    fn gcm_tag(&self, first: Block, aad: &[u8], encrypted: &[u8]) -> Block {
        xor(self.ghash(aad, encrypted), self.encrypt_block(first))
    }

    /// GHASH over both, each padded to whole blocks, and their lengths in bits.
    fn ghash(&self, aad: &[u8], data: &[u8]) -> Block {
        let mut hash = GHash::new((&self.encrypt_block([0; BLOCK])).into());
        hash.update_padded(aad);
        hash.update_padded(data);
        let mut lengths = [0; BLOCK];
        lengths[..8].copy_from_slice(&(8 * aad.len() as u64).to_be_bytes());
        lengths[8..].copy_from_slice(&(8 * data.len() as u64).to_be_bytes());
        hash.update_padded(&lengths);
        hash.finalize().into()
    }
}

/// Increments the last 32 bits alone.
fn gcm_next(mut block: Block) -> Block {
    let [.., a, b, c, d] = block;
    let next = u32::from_be_bytes([a, b, c, d]).wrapping_add(1);
    block[12..].copy_from_slice(&next.to_be_bytes());
    block
}

fn blocks(data: &[u8]) -> Option<Vec<Block>> {
    let (blocks, rest) = data.as_chunks::<BLOCK>();
    rest.is_empty().then(|| blocks.to_vec())
}

fn xor(a: Block, b: Block) -> Block {
    std::array::from_fn(|index| a[index] ^ b[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    /// "The Galois/Counter Mode of Operation" (McGrew, Viega), test cases 4, 5 and 6.
    #[test]
    fn gcm_of_the_specification() {
        let aes = Aes::new(&hex("feffe9928665731c6d6a8f9467308308")).unwrap();
        let plain = hex(concat!(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c959568095",
            "32fcf0e2449a6b525b16aedf5aa0de657ba637b39"
        ));
        let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let long_iv = hex(concat!(
            "9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728c3c0c951568095",
            "39fcf0e2429a6b525416aedbf5a0de6a57a637b39b"
        ));
        let cases = [
            (hex("cafebabefacedbaddecaf888"), "42831ec2", "5bc94fbc3221a5db94fae95ae7121a47"),
            (hex("cafebabefacedbad"), "61353b4c", "3612d2e79e3b0785561be14aaca2fccb"),
            (long_iv, "8ce24998", "619cc5aefffe0bfa462af43c1699d050"),
        ];
        for (iv, start, tag) in cases {
            let (encrypted, actual) = aes.gcm_encrypt(&iv, &aad, &plain);
            assert_eq!(encrypted[..4], hex(start));
            assert_eq!(actual.as_slice(), hex(tag));
            let open = |tag: &[u8]| aes.gcm_decrypt(&iv, &aad, &encrypted, tag);
            assert_eq!(open(&actual[..12]).as_deref(), Some(plain.as_slice()));
            assert_eq!(open(&[0; 12]), None);
        }
    }

    /// NIST SP 800-38A, F.1.1, F.2.1 and F.5.1.
    #[test]
    fn confidentiality_modes_of_the_standard() {
        let aes = Aes::new(&hex("2b7e151628aed2a6abf7158809cf4f3c")).unwrap();
        let plain = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
        let iv: Block = hex("000102030405060708090a0b0c0d0e0f").try_into().unwrap();
        let counter: Block = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").try_into().unwrap();
        let ecb = hex("3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf");
        let cbc = hex("7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2");
        let ctr = hex("874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff");
        assert_eq!(aes.ecb_encrypt(&plain).unwrap(), ecb);
        assert_eq!(aes.ecb_decrypt(&ecb).unwrap(), plain);
        assert_eq!(aes.cbc_encrypt(iv, &plain).unwrap(), cbc);
        assert_eq!(aes.cbc_decrypt(iv, &cbc).unwrap(), plain);
        assert_eq!(aes.ctr(counter, &plain), ctr);
        assert_eq!(aes.ctr(counter, &ctr[..20]), plain[..20]);
        assert!(aes.ecb_encrypt(&plain[1..]).is_none());
    }
}
