//! The encryption paddings of RFC 8017 section 7, encoding side.
//!
//! Our own, because those of the `rsa` crate refuse a modulus above 4096 bits and panic when the random generator of
//! the system fails.

use rand_core::{OsRng, RngCore};
use zeroize::Zeroizing;

use super::Error;
use super::digest::{Hash, Hasher};

/// EME-PKCS1-v1_5 (section 7.2.1): `k` bytes.
pub(super) fn pkcs1_v15(data: &[u8], k: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let filler = k.checked_sub(data.len()).and_then(|room| room.checked_sub(3)).filter(|&room| room >= 8);
    let filler = filler.ok_or(Error::DataLength)?;
    let mut encoded = Zeroizing::new(Vec::with_capacity(k));
    encoded.extend_from_slice(&[0, 2]);
    while encoded.len() < 2 + filler {
        let wanted = 2 + filler - encoded.len();
        let drawn = random(wanted)?;
        encoded.extend(drawn.iter().filter(|&&byte| byte != 0));
    }
    encoded.push(0);
    encoded.extend_from_slice(data);
    Ok(encoded)
}

/// EME-OAEP (section 7.1.1) with an empty label and MGF1 with the same hash: `k` bytes.
pub(super) fn oaep(hash: Hash, data: &[u8], k: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let filler = k.checked_sub(2 * hash.len() + 2).and_then(|room| room.checked_sub(data.len()));
    let filler = filler.ok_or(Error::DataLength)?;
    let mut seed = random(hash.len())?;
    let mut block = Zeroizing::new(Vec::with_capacity(k));
    block.extend_from_slice(&hash.digest(&[]));
    block.resize(hash.len() + filler, 0);
    block.push(1);
    block.extend_from_slice(data);
    mask(hash, &seed, &mut block);
    mask(hash, &block, &mut seed);
    let mut encoded = Zeroizing::new(Vec::with_capacity(k));
    encoded.push(0);
    encoded.extend_from_slice(&seed);
    encoded.extend_from_slice(&block);
    Ok(encoded)
}

/// XORs MGF1 of `seed` (appendix B.2.1) onto `target`.
fn mask(hash: Hash, seed: &[u8], target: &mut [u8]) {
    let mut start = Hasher::new(hash);
    start.update(seed);
    for (counter, chunk) in (0u32..).zip(target.chunks_mut(hash.len())) {
        let mut hasher = start.clone();
        hasher.update(&counter.to_be_bytes());
        let bytes = Zeroizing::new(hasher.finish());
        chunk.iter_mut().zip(bytes.iter()).for_each(|(byte, mask)| *byte ^= mask);
    }
}

fn random(length: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut bytes = Zeroizing::new(vec![0; length]);
    OsRng.try_fill_bytes(&mut bytes).map_err(|_| Error::Random)?;
    Ok(bytes)
}
