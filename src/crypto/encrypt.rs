//! Encryption with an RSA public key, and the end of the padding of block ciphers.

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
    fn only_rsa_keys_encrypt() {
        let key = OpenSsl::ec("prime256v1").public_key();
        let error = Err(Error::Unsupported("not an RSA key"));
        assert_eq!(rsa_pkcs1(&key, &[]), error);
        assert_eq!(rsa_oaep(&key, Hash::Sha1, &[]), error);
    }

    #[test]
    fn pkcs7_padding_is_taken_off() {
        assert_eq!(unpad_pkcs7(&[4; 4], 4), Ok(&b""[..]));
        assert_eq!(unpad_pkcs7(b"abc\x01", 4), Ok(&b"abc"[..]));
        assert_eq!(unpad_pkcs7(b"abcd\x04\x04\x04\x04", 4), Ok(&b"abcd"[..]));
        for block in [1, 8, 16, 255] {
            for length in 0..40 {
                let missing = block - length % block;
                let padded = [vec![7; length], vec![missing as u8; missing]].concat();
                assert_eq!(unpad_pkcs7(&padded, block), Ok(&vec![7; length][..]), "{block} {length}");
            }
        }
        assert_eq!(unpad_pkcs7(&[1; 256], 256), Err(Error::DataLength));
        assert_eq!(unpad_pkcs7(&[1], 0), Err(Error::DataLength));
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
