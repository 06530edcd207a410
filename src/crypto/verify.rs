//! Verification of signatures.

use rsa::traits::PublicKeyParts;
use rsa::{BigUint, Pkcs1v15Sign, Pss, RsaPublicKey};

use super::Error;
use super::digest::Hash;
use super::public_key::{Curve, PublicKey, PublicKeyKind};

/// How a signature was made, and so what the input of [`verify`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2). With a hash the input is the digest; with `None` it is the bytes
    /// that were padded, up to the length of the modulus less 11.
    RsaPkcs1(Option<Hash>),
    /// RSASSA-PSS (RFC 8017 section 8.1), MGF1 with the same hash; the input is the digest.
    RsaPss {
        /// The hash function of the digest and of MGF1.
        hash: Hash,
        /// Bytes of the salt.
        salt_len: usize,
    },
    /// ECDSA (FIPS 186-5 section 6.4); the input is the digest, of which the leftmost bits count if it is longer
    /// than the order; the signature is r || s.
    Ecdsa,
    /// Ed25519 (RFC 8032 section 5.1); the input is the message.
    EdDsa,
}

/// Verifies `signature`.
///
/// # Errors
/// [`Error::SignatureLength`] if no signature of this key and scheme has that length, [`Error::SignatureInvalid`] if
/// this is not the one, [`Error::DataLength`] if the scheme cannot take that input, [`Error::Unsupported`] if scheme
/// and key do not go together, the curve cannot be computed here, or the salt is too long for the modulus.
pub fn verify(key: &PublicKey, scheme: Scheme, input: &[u8], signature: &[u8]) -> Result<(), Error> {
    match (scheme, key.kind()) {
        (Scheme::RsaPkcs1(hash), PublicKeyKind::Rsa { .. }) => rsa_pkcs1(&key.rsa()?, hash, input, signature),
        (Scheme::RsaPss { hash, salt_len }, PublicKeyKind::Rsa { .. }) => {
            rsa_pss(&key.rsa()?, hash, salt_len, input, signature)
        }
        (Scheme::Ecdsa, PublicKeyKind::Ec { curve, point }) => ecdsa(*curve, point, input, signature),
        (Scheme::EdDsa, PublicKeyKind::Ed25519(key)) => ed25519(key, input, signature),
        _ => Err(Error::Unsupported("the scheme is not of this key's type")),
    }
}

fn rsa_pkcs1(key: &RsaPublicKey, hash: Option<Hash>, input: &[u8], signature: &[u8]) -> Result<(), Error> {
    let prefix = hash.map_or(&[][..], Hash::digest_info_prefix);
    if hash.is_some_and(|hash| input.len() != hash.len()) || input.len() + prefix.len() + 11 > key.size() {
        return Err(Error::DataLength);
    }
    check_rsa_signature(key, signature)?;
    let padding = Pkcs1v15Sign { hash_len: hash.map(Hash::len), prefix: prefix.into() };
    key.verify(padding, input, signature).map_err(|_| Error::SignatureInvalid)
}

fn rsa_pss(
    key: &RsaPublicKey,
    hash: Hash,
    salt_len: usize,
    input: &[u8],
    signature: &[u8],
) -> Result<(), Error> {
    if input.len() != hash.len() {
        return Err(Error::DataLength);
    }
    let encoded = (key.n().bits() - 1).div_ceil(8);
    if encoded.checked_sub(hash.len() + 2).is_none_or(|room| salt_len > room) {
        return Err(Error::Unsupported("PSS salt or hash too long for the modulus"));
    }
    check_rsa_signature(key, signature)?;
    let padding = Pss { blinded: false, digest: hash.dynamic(), salt_len };
    key.verify(padding, input, signature).map_err(|_| Error::SignatureInvalid)
}

/// RFC 8017 section 5.2.2 wants a number below the modulus; the `rsa` crate does not look for PSS.
fn check_rsa_signature(key: &RsaPublicKey, signature: &[u8]) -> Result<(), Error> {
    if signature.len() != key.size() {
        return Err(Error::SignatureLength);
    }
    if BigUint::from_bytes_be(signature) >= *key.n() { Err(Error::SignatureInvalid) } else { Ok(()) }
}

/// Whether signatures of this key can be verified here: of elliptic curves only some have arithmetic.
pub fn serves(key: &PublicKey) -> bool {
    match key.kind() {
        PublicKeyKind::Rsa { .. } | PublicKeyKind::Ed25519(_) => true,
        PublicKeyKind::Ec { curve, .. } => {
            [Curve::SECP256R1, Curve::SECP256K1, Curve::SECP384R1, Curve::SECP521R1].contains(curve)
        }
        PublicKeyKind::Other => false,
    }
}

fn ecdsa(curve: Curve, point: &[u8], input: &[u8], signature: &[u8]) -> Result<(), Error> {
    if input.is_empty() {
        return Err(Error::DataLength);
    }
    if signature.len() != 2 * curve.order_bytes() {
        return Err(Error::SignatureLength);
    }
    let representative = leftmost_bits(input, curve.order_bits());
    // The half of s that a signer chose is no matter of the standard; k256 alone insists on the lower one.
    macro_rules! verify_on {
        ($curve:ident) => {{
            use $curve::ecdsa::signature::hazmat::PrehashVerifier;
            let invalid = |_| Error::SignatureInvalid;
            let key = $curve::ecdsa::VerifyingKey::from_sec1_bytes(point)
                .map_err(|_| Error::Malformed("EC point"))?;
            let signature = $curve::ecdsa::Signature::from_slice(signature).map_err(invalid)?;
            let signature = signature.normalize_s().unwrap_or(signature);
            key.verify_prehash(&representative, &signature).map_err(invalid)
        }};
    }
    match curve {
        Curve::SECP256R1 => verify_on!(p256),
        Curve::SECP256K1 => verify_on!(k256),
        Curve::SECP384R1 => verify_on!(p384),
        Curve::SECP521R1 => verify_on!(p521),
        _ => Err(Error::Unsupported("arithmetic on this curve")),
    }
}

/// The leftmost `bits` bits of `digest` as a number of as many bits, in whole bytes (FIPS 186-5 section 6.4.2 step 2).
///
/// The curve crates pad only digests of at least half the length of the order, and cut at whole bytes: both would be
/// wrong for P-521.
fn leftmost_bits(digest: &[u8], bits: usize) -> Vec<u8> {
    let length = bits.div_ceil(8);
    let Some(kept) = digest.get(..length) else {
        return [&vec![0; length - digest.len()], digest].concat();
    };
    let surplus = 8 * length - bits;
    let mut carry = 0u16;
    kept.iter()
        .map(|&byte| {
            let window = carry << 8 | u16::from(byte);
            carry = u16::from(byte);
            (window >> surplus) as u8
        })
        .collect()
}

fn ed25519(key: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), Error> {
    let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| Error::SignatureLength)?;
    let key =
        ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_| Error::Malformed("Ed25519 public key"))?;
    key.verify_strict(message, &signature).map_err(|_| Error::SignatureInvalid)
}

#[cfg(test)]
mod tests {
    use super::super::encode;
    use super::super::testing::{Noise, OpenSsl, hex, openssl_name};
    use super::*;

    fn ec_key(curve: Curve, point: &str) -> PublicKey {
        PublicKey::from_ec(curve.oid_der(), &hex(point)).unwrap()
    }

    /// RFC 6979 appendix A.2.5: the public key, and signatures over "sample".
    #[test]
    fn rfc_6979_p256() {
        let key = ec_key(
            Curve::SECP256R1,
            "04 60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6
                7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299",
        );
        for (hash, signature) in [
            (
                Hash::Sha1,
                "61340C88C3AAEBEB4F6D667F672CA9759A6CCAA9FA8811313039EE4A35471D32
                 6D7F147DAC089441BB2E2FE8F7A3FA264B9C475098FDCF6E00D7C996E1B8B7EB",
            ),
            (
                Hash::Sha256,
                "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
                 F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
            ),
            (
                Hash::Sha512,
                "8496A60B5E9B47C825488827E0495B0E3FA109EC4568FD3F8D1097678EB97F00
                 2362AB1ADBE2B8ADF9CB9EDAB740EA6049C028114F2460F96554F61FAE3302FE",
            ),
        ] {
            accepts_this_alone(&key, Scheme::Ecdsa, &hash.digest(b"sample"), &hex(signature));
        }
    }

    /// RFC 6979 appendix A.2.7. SHA-1 and SHA-256 are shorter than half of the order.
    #[test]
    fn rfc_6979_p521() {
        let key = ec_key(
            Curve::SECP521R1,
            "04 01894550D0785932E00EAA23B694F213F8C3121F86DC97A04E5A7167DB4E5BCD37
                1123D46E45DB6B5D5370A7F20FB633155D38FFA16D2BD761DCAC474B9A2F5023A4
                00493101C962CD4D2FDDF782285E64584139C2F91B47F87FF82354D6630F746A28
                A0DB25741B5B34A828008B22ACC23F924FAAFBD4D33F81EA66956DFEAA2BFDFCF5",
        );
        for (hash, signature) in [
            (
                Hash::Sha1,
                "00343B6EC45728975EA5CBA6659BBB6062A5FF89EEA58BE3C80B619F322C87910F
                 E092F7D45BB0F8EEE01ED3F20BABEC079D202AE677B243AB40B5431D497C55D75D
                 00E7B0E675A9B24413D448B8CC119D2BF7B2D2DF032741C096634D6D65D0DBE3D5
                 694625FB9E8104D3B842C1B0E2D0B98BEA19341E8676AEF66AE4EBA3D5475D5D16",
            ),
            (
                Hash::Sha256,
                "01511BB4D675114FE266FC4372B87682BAECC01D3CC62CF2303C92B3526012659D
                 16876E25C7C1E57648F23B73564D67F61C6F14D527D54972810421E7D87589E1A7
                 004A171143A83163D6DF460AAF61522695F207A58B95C0644D87E52AA1A347916E
                 4F7A72930B1BC06DBE22CE3F58264AFD23704CBB63B29B931F7DE6C9D949A7ECFC",
            ),
            (
                Hash::Sha512,
                "00C328FAFCBD79DD77850370C46325D987CB525569FB63C5D3BC53950E6D4C5F17
                 4E25A1EE9017B5D450606ADD152B534931D7D4E8455CC91F9B15BF05EC36E377FA
                 00617CCE7CF5064806C467F678D3B4080D6F1CC50AF26CA209417308281B68AF28
                 2623EAA63E5B5C0723D8B8C37FF0777B1A20F8CCB1DCCC43997F1EE0E44DA4A67A",
            ),
        ] {
            accepts_this_alone(&key, Scheme::Ecdsa, &hash.digest(b"sample"), &hex(signature));
        }
    }

    /// `openssl ecparam -name secp256k1 -genkey`, `openssl pkey -pubout -outform DER`, and a signature by
    /// `openssl pkeyutl -sign` over the SHA-256 of "abc", picked for its s above half of the order.
    #[test]
    fn secp256k1_with_the_higher_s() {
        let key = PublicKey::from_spki(&hex(
            "3056301006072a8648ce3d020106052b8104000a0342000423de13cbfa90766b991ef01924080811154aad0541441192
             6e3d984b873e4f4a7aea5468027b8a338aef62f679f6efee9569866636e92638ae33a5a90b89b227",
        ))
        .unwrap();
        let signature = hex("3046022100b1208a24283fcc2bfced2a111f61281612e6d784671a8bde8bc56bb1dd735139
                             022100f8230037c4f52417dc2da1ee7595fd08524b67dc3457e06326f738e641d0cad6");
        let signature = encode::ecdsa_der_to_raw(&signature, 32).unwrap();
        accepts_this_alone(&key, Scheme::Ecdsa, &Hash::Sha256.digest(b"abc"), &signature);
    }

    /// RFC 8032 section 7.1, tests 1 to 3.
    #[test]
    fn rfc_8032() {
        for (key, message, signature) in [
            (
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b
                 d25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c
                 387b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                "af82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659
                 4a7c15e9716ed28dc027beceea1ec40a",
            ),
        ] {
            let key = PublicKey::from_ed25519(&hex(key)).unwrap();
            assert_eq!(verify(&key, Scheme::EdDsa, &hex(message), &hex(signature)), Ok(()));
            accepts_this_alone(&key, Scheme::EdDsa, &hex(message), &hex(signature));
        }
    }

    #[test]
    fn ecdsa_of_openssl_with_every_digest() {
        for name in ["prime256v1", "secp256k1", "secp384r1", "secp521r1"] {
            let openssl = OpenSsl::ec(name);
            let key = openssl.public_key();
            for hash in Hash::ALL {
                let digest = hash.digest(name.as_bytes());
                let signature = openssl.pkeyutl("-sign", &digest);
                let signature = encode::ecdsa_der_to_raw(&signature, key.bits().div_ceil(8)).unwrap();
                assert_eq!(verify(&key, Scheme::Ecdsa, &digest, &signature), Ok(()), "{name} {hash:?}");
            }
            // Input of any length can be handed to CKM_ECDSA.
            for length in [1, 63] {
                let digest = Noise::new().bytes(length);
                let signature = openssl.pkeyutl("-sign", &digest);
                let signature = encode::ecdsa_der_to_raw(&signature, key.bits().div_ceil(8)).unwrap();
                assert_eq!(
                    verify(&key, Scheme::Ecdsa, &digest, &signature),
                    Ok(()),
                    "{name}, {length} bytes"
                );
            }
        }
    }

    /// FIPS 186-5 section 6.4.2: inputs with the same leftmost 521 bits have the same signatures.
    #[test]
    fn bits_beyond_the_order_do_not_count() {
        let openssl = OpenSsl::ec("secp521r1");
        let key = openssl.public_key();
        let digest = Hash::Sha512.digest(b"message");
        let signature = encode::ecdsa_der_to_raw(&openssl.pkeyutl("-sign", &digest), 66).unwrap();
        let shifted = (BigUint::from_bytes_be(&digest) << 7usize) + BigUint::from(0x5au8);
        let shifted = shifted.to_bytes_be();
        let padded = [vec![0; 66 - shifted.len()], shifted].concat();
        for more in [&[][..], &[0xff], &[0xff; 40]] {
            let input = [&padded, more].concat();
            assert_eq!(verify(&key, Scheme::Ecdsa, &input, &signature), Ok(()));
        }
        let one_byte_short = &padded[..65];
        assert_eq!(verify(&key, Scheme::Ecdsa, one_byte_short, &signature), Err(Error::SignatureInvalid));
    }

    #[test]
    fn rsa_of_openssl_with_every_hash() {
        // One bit more than whole bytes makes the encoded message of PSS a byte shorter than the modulus.
        for bits in [1024, 1025, 2047] {
            let openssl = OpenSsl::rsa(bits);
            let key = openssl.public_key();
            assert_eq!(key.bits(), bits);
            for hash in Hash::ALL {
                let digest = hash.digest(b"message");
                let name = openssl_name(hash);
                let signature = openssl.pkeyutl(&format!("-sign -pkeyopt digest:{name}"), &digest);
                accepts_this_alone(&key, Scheme::RsaPkcs1(Some(hash)), &digest, &signature);
                let info = encode::digest_info(hash, &digest);
                accepts_this_alone(&key, Scheme::RsaPkcs1(None), &info, &signature);
                if hash.len() == 64 && bits == 1024 {
                    continue;
                }
                for salt_len in [0, 20, hash.len()] {
                    if 2 + hash.len() + salt_len > (bits - 1).div_ceil(8) {
                        continue;
                    }
                    let options =
                        format!("-pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:{salt_len}");
                    let signature =
                        openssl.pkeyutl(&format!("-sign -pkeyopt digest:{name} {options}"), &digest);
                    accepts_this_alone(&key, Scheme::RsaPss { hash, salt_len }, &digest, &signature);
                    let longer = Scheme::RsaPss { hash, salt_len: salt_len + 1 };
                    assert!(verify(&key, longer, &digest, &signature).is_err(), "{bits} {hash:?} {salt_len}");
                }
            }
        }
    }

    #[test]
    fn rsa_of_openssl_over_bare_bytes() {
        let openssl = OpenSsl::rsa(1024);
        let key = openssl.public_key();
        for length in [0, 1, 117] {
            let data = Noise::new().bytes(length);
            // RFC 8017 section 9.2 step 5; OpenSSL's own padding stops at 64 bytes of data.
            let padded = [&[0, 1], &vec![0xff; 125 - length][..], &[0], &data].concat();
            let signature = openssl.pkeyutl("-decrypt -pkeyopt rsa_padding_mode:none", &padded);
            assert_eq!(verify(&key, Scheme::RsaPkcs1(None), &data, &signature), Ok(()), "{length}");
        }
        assert_eq!(verify(&key, Scheme::RsaPkcs1(None), &[0; 118], &[0; 128]), Err(Error::DataLength));
    }

    /// The signature as it is, none other, no other input.
    fn accepts_this_alone(key: &PublicKey, scheme: Scheme, input: &[u8], signature: &[u8]) {
        assert_eq!(verify(key, scheme, input, signature), Ok(()), "{key:?} {scheme:?}");
        for position in [0, signature.len() / 2, signature.len() - 1] {
            let mut wrong = signature.to_vec();
            wrong[position] ^= 1;
            assert_eq!(verify(key, scheme, input, &wrong), Err(Error::SignatureInvalid));
        }
        if !input.is_empty() {
            let mut wrong = input.to_vec();
            wrong[0] ^= 1;
            assert_eq!(verify(key, scheme, &wrong, signature), Err(Error::SignatureInvalid));
        }
        let longer = [signature, &[0]].concat();
        for wrong in [&[][..], &signature[1..], &longer] {
            assert_eq!(verify(key, scheme, input, wrong), Err(Error::SignatureLength));
        }
        for byte in [0, 0xff] {
            let wrong = vec![byte; signature.len()];
            assert_eq!(verify(key, scheme, input, &wrong), Err(Error::SignatureInvalid));
        }
    }

    #[test]
    fn an_rsa_signature_with_the_modulus_added_is_another_number() {
        // 1017 bits: the sum still has the 128 bytes of the modulus.
        let openssl = OpenSsl::rsa(1017);
        let key = openssl.public_key();
        let digest = Hash::Sha256.digest(b"message");
        let PublicKeyKind::Rsa { modulus, .. } = key.kind() else { panic!("an RSA key") };
        for (scheme, options) in [
            (Scheme::RsaPkcs1(Some(Hash::Sha256)), ""),
            (
                Scheme::RsaPss { hash: Hash::Sha256, salt_len: 32 },
                "-pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:32",
            ),
        ] {
            let signature = openssl.pkeyutl(&format!("-sign -pkeyopt digest:sha256 {options}"), &digest);
            assert_eq!(verify(&key, scheme, &digest, &signature), Ok(()));
            let sum = BigUint::from_bytes_be(&signature) + BigUint::from_bytes_be(modulus);
            let sum = sum.to_bytes_be();
            assert_eq!(sum.len(), signature.len());
            assert_eq!(verify(&key, scheme, &digest, &sum), Err(Error::SignatureInvalid), "{scheme:?}");
        }
    }

    #[test]
    fn input_and_scheme_have_to_fit_the_key() {
        let rsa = OpenSsl::rsa(512).public_key();
        let ec = OpenSsl::ec("prime256v1").public_key();
        let brainpool = OpenSsl::ec("brainpoolP256r1").public_key();
        let hash = Hash::Sha256;
        let pss = |hash, salt_len| Scheme::RsaPss { hash, salt_len };
        for (key, scheme, length, error) in [
            (&rsa, Scheme::RsaPkcs1(Some(hash)), 31, Error::DataLength),
            (&rsa, Scheme::RsaPkcs1(Some(Hash::Sha512)), 64, Error::DataLength),
            (&rsa, pss(hash, 20), 33, Error::DataLength),
            (&rsa, pss(hash, 31), 32, Error::Unsupported("PSS salt or hash too long for the modulus")),
            (
                &rsa,
                pss(hash, usize::MAX),
                32,
                Error::Unsupported("PSS salt or hash too long for the modulus"),
            ),
            (&rsa, pss(Hash::Sha512, 0), 64, Error::Unsupported("PSS salt or hash too long for the modulus")),
            (&ec, Scheme::Ecdsa, 0, Error::DataLength),
            (&brainpool, Scheme::Ecdsa, 32, Error::Unsupported("arithmetic on this curve")),
            (&ec, Scheme::EdDsa, 32, Error::Unsupported("the scheme is not of this key's type")),
            (&rsa, Scheme::Ecdsa, 32, Error::Unsupported("the scheme is not of this key's type")),
            (&ec, pss(hash, 32), 32, Error::Unsupported("the scheme is not of this key's type")),
        ] {
            assert_eq!(verify(key, scheme, &vec![0; length], &[1; 64]), Err(error), "{key:?} {scheme:?}");
        }
    }

    #[test]
    fn odd_rsa_keys_and_lengths_never_panic() {
        let mut noise = Noise::new();
        for bits in [512, 520, 1031, 4096] {
            let mut modulus = noise.bytes(usize::div_ceil(bits, 8));
            modulus[0] = if bits % 8 == 0 { 0x80 } else { 1 << (bits % 8 - 1) };
            *modulus.last_mut().unwrap() |= 1;
            let long = [vec![1], vec![0; modulus.len() - 2], vec![1]].concat();
            for exponent in
                [&[1][..], &[3], &[1, 0, 1], &[1, 0xff, 0xff, 0xff, 0xff], &[3, 0, 0, 0, 1], &long, &modulus]
            {
                let key = PublicKey::from_rsa(&modulus, exponent).unwrap();
                for length in [0, 1, modulus.len() - 1, modulus.len(), modulus.len() + 1] {
                    let mut signature = noise.bytes(length);
                    if let Some(first) = signature.first_mut() {
                        *first = 0;
                    }
                    for hash in Hash::ALL {
                        let input = hash.digest(b"");
                        for scheme in [
                            Scheme::RsaPkcs1(Some(hash)),
                            Scheme::RsaPkcs1(None),
                            Scheme::RsaPss { hash, salt_len: 0 },
                        ] {
                            assert!(verify(&key, scheme, &input, &signature).is_err());
                        }
                    }
                }
            }
        }
    }
}
