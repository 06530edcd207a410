//! Encryption with an RSA public key, and the padding of block ciphers.

use rsa::BigUint;
use rsa::traits::PublicKeyParts;
use zeroize::Zeroizing;

use super::digest::Hash;
use super::public_key::PublicKey;
use super::{Error, padding};

/// RSAES-PKCS1-v1_5 (RFC 8017 section 7.2) of up to the length of the modulus less 11 bytes.
///
/// # Errors
/// [`Error::DataLength`], [`Error::Random`], or [`Error::Unsupported`] if the key is no RSA key or its exponent is
/// above 33 bits.
pub fn rsa_pkcs1(key: &PublicKey, data: &[u8]) -> Result<Vec<u8>, Error> {
    let key = key.rsa()?;
    raise(&key, &padding::pkcs1_v15(data, key.size())?)
}

/// RSAES-OAEP (RFC 8017 section 7.1), empty label, MGF1 with the same hash, of up to the length of the modulus less
/// twice the digest and 2 bytes.
///
/// # Errors
/// As [`rsa_pkcs1`].
pub fn rsa_oaep(key: &PublicKey, hash: Hash, data: &[u8]) -> Result<Vec<u8>, Error> {
    let key = key.rsa()?;
    raise(&key, &padding::oaep(hash, data, key.size())?)
}

/// RSA without padding (`CKM_RSA_X_509`, PKCS#11 3.2 section 6.1.7): shorter data counts as padded with zeros on the
/// left.
///
/// # Errors
/// [`Error::DataLength`] if the data is longer than the modulus or, as a number, not below it; [`Error::Unsupported`]
/// as in [`rsa_pkcs1`].
pub fn rsa_raw(key: &PublicKey, data: &[u8]) -> Result<Vec<u8>, Error> {
    let key = key.rsa()?;
    if data.len() > key.size() {
        return Err(Error::DataLength);
    }
    raise(&key, data)
}

/// RSAEP (RFC 8017 section 5.1.1), as long as the modulus.
fn raise(key: &rsa::RsaPublicKey, message: &[u8]) -> Result<Vec<u8>, Error> {
    let message = Zeroizing::new(BigUint::from_bytes_be(message));
    if *message >= *key.n() {
        return Err(Error::DataLength);
    }
    let ciphertext = message.modpow(key.e(), key.n()).to_bytes_be();
    // A remainder is never longer than the modulus, so the difference is not negative; zero comes as one byte.
    let mut padded = vec![0; key.size().saturating_sub(ciphertext.len())];
    padded.extend_from_slice(&ciphertext);
    Ok(padded)
}

/// `data` with the padding of PKCS#7 (RFC 5652 section 6.3) for blocks of `block` bytes: 1 to `block` bytes more.
///
/// The padding is defined for blocks of 1 to 255 bytes; another `block` is taken as the nearest of them.
pub fn pad_pkcs7(data: &[u8], block: usize) -> Vec<u8> {
    let block = block.clamp(1, 255);
    let missing = block - data.len() % block;
    let mut padded = Vec::with_capacity(data.len() + missing);
    padded.extend_from_slice(data);
    // At most 255 by the clamp.
    padded.resize(data.len() + missing, missing as u8);
    padded
}

/// `data` without the padding of PKCS#7 for blocks of `block` bytes.
///
/// The time does not depend on the padding's content, so that its length and faults do not show in the timing of this
/// function; whoever asks for unpadding of unauthenticated data still tells apart good and bad by the result.
///
/// # Errors
/// [`Error::DataLength`] if `data` is not one or more whole blocks, or `block` is not 1 to 255;
/// [`Error::Malformed`] if the padding is wrong.
pub fn unpad_pkcs7(data: &[u8], block: usize) -> Result<&[u8], Error> {
    let Some(&last) = data.last() else { return Err(Error::DataLength) };
    if !(1..=255).contains(&block) || !data.len().is_multiple_of(block) {
        return Err(Error::DataLength);
    }
    let count = usize::from(last);
    let mut wrong = (count == 0) | (count > block);
    // `data` has at least `block` bytes.
    for (position, &byte) in data.iter().rev().take(block).enumerate() {
        wrong |= (position < count) & (byte != last);
    }
    if wrong {
        return Err(Error::Malformed("padding"));
    }
    data.get(..data.len() - count).ok_or(Error::Malformed("padding"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Noise, OpenSsl, openssl_name};
    use super::*;

    #[test]
    fn openssl_decrypts_pkcs1() {
        // 4104 bits: more than the `rsa` crate would encrypt with.
        for bits in [512, 1025, 4104] {
            let openssl = OpenSsl::rsa(bits);
            let key = openssl.public_key();
            let limit = bits.div_ceil(8) - 11;
            for length in [0, 1, limit] {
                let data = Noise::new().bytes(length);
                let ciphertext = rsa_pkcs1(&key, &data).unwrap();
                assert_eq!(ciphertext.len(), bits.div_ceil(8));
                assert_eq!(openssl.pkeyutl("-decrypt", &ciphertext), data, "{bits} {length}");
                assert_ne!(rsa_pkcs1(&key, &data).unwrap(), ciphertext);
            }
            assert_eq!(rsa_pkcs1(&key, &vec![0; limit + 1]), Err(Error::DataLength));
            assert_eq!(rsa_pkcs1(&key, &vec![0; 2 * limit]), Err(Error::DataLength));
        }
    }

    #[test]
    fn openssl_decrypts_oaep_with_every_hash() {
        for bits in [1100, 4104] {
            let openssl = OpenSsl::rsa(bits);
            let key = openssl.public_key();
            for hash in Hash::ALL {
                let name = openssl_name(hash);
                let options = format!(
                    "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:{name} -pkeyopt rsa_mgf1_md:{name}"
                );
                let limit = bits.div_ceil(8) - 2 - 2 * hash.len();
                for length in [0, 1, limit] {
                    let data = Noise::new().bytes(length);
                    let ciphertext = rsa_oaep(&key, hash, &data).unwrap();
                    assert_eq!(
                        openssl.pkeyutl(&format!("-decrypt {options}"), &ciphertext),
                        data,
                        "{bits} {hash:?} {length}"
                    );
                    assert_ne!(rsa_oaep(&key, hash, &data).unwrap(), ciphertext);
                }
                assert_eq!(rsa_oaep(&key, hash, &vec![0; limit + 1]), Err(Error::DataLength));
            }
        }
        let short = OpenSsl::rsa(512).public_key();
        assert_eq!(rsa_oaep(&short, Hash::Sha512, &[]), Err(Error::DataLength));
    }

    #[test]
    fn openssl_decrypts_raw() {
        let openssl = OpenSsl::rsa(1024);
        let key = openssl.public_key();
        for length in [0, 1, 127, 128] {
            let mut data = Noise::new().bytes(length);
            if length == 128 {
                data[0] = 0;
            }
            let ciphertext = rsa_raw(&key, &data).unwrap();
            let padded = [vec![0; 128 - length], data].concat();
            assert_eq!(
                openssl.pkeyutl("-decrypt -pkeyopt rsa_padding_mode:none", &ciphertext),
                padded,
                "{length}"
            );
        }
        assert_eq!(rsa_raw(&key, &[0xff; 128]), Err(Error::DataLength));
        assert_eq!(rsa_raw(&key, &[0; 129]), Err(Error::DataLength));
    }

    #[test]
    fn only_rsa_keys_encrypt() {
        let key = OpenSsl::ec("prime256v1").public_key();
        let error = Err(Error::Unsupported("not an RSA key"));
        assert_eq!(rsa_pkcs1(&key, &[]), error);
        assert_eq!(rsa_oaep(&key, Hash::Sha1, &[]), error);
        assert_eq!(rsa_raw(&key, &[]), error);
    }

    #[test]
    fn pkcs7_padding_both_ways() {
        assert_eq!(pad_pkcs7(b"", 4), [4; 4]);
        assert_eq!(pad_pkcs7(b"abc", 4), *b"abc\x01");
        assert_eq!(pad_pkcs7(b"abcd", 4), *b"abcd\x04\x04\x04\x04");
        for block in [0, 1, 8, 16, 255, 256, usize::MAX] {
            for length in 0..40 {
                let data = vec![7; length];
                let padded = pad_pkcs7(&data, block);
                let unpadded = unpad_pkcs7(&padded, block);
                let expected =
                    if (1..=255).contains(&block) { Ok(data.as_slice()) } else { Err(Error::DataLength) };
                assert_eq!(unpadded, expected, "{block} {length}");
            }
        }
    }

    #[test]
    fn wrong_pkcs7_padding_is_refused() {
        for bad in
            [*b"abcdefg\x00", *b"abcdefg\x05", *b"abcdef\x01\x02", *b"abcd\x03\x04\x04\x04", *b"abcdefg\xff"]
        {
            assert_eq!(unpad_pkcs7(&bad, 4), Err(Error::Malformed("padding")), "{bad:?}");
        }
        for length in [0, 3, 5] {
            assert_eq!(unpad_pkcs7(&vec![1; length], 4), Err(Error::DataLength));
        }
    }
}
