//! JSON Web Encryption in its compact form (RFC 7516 section 7.1): RSA-OAEP-256 and A256GCM (RFC 7518 sections 4.3, 5.3).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand_core::{OsRng, RngCore};
use zeroize::Zeroizing;

use super::digest::Hash;
use super::public_key::PublicKey;
use super::{Error, encrypt};

const HEADER: &str = r#"{"alg":"RSA-OAEP-256","enc":"A256GCM"}"#;
const KEY_LEN: usize = 32;
const TAG_LEN: usize = 16;

/// Seals a text for the owner of an RSA key.
///
/// # Errors
/// Those of [`encrypt::rsa_oaep`].
pub fn seal(key: &PublicKey, text: &str) -> Result<String, Error> {
    let mut secret = Zeroizing::new([0; KEY_LEN]);
    let mut nonce = [0; NONCE_LEN];
    OsRng.try_fill_bytes(secret.as_mut()).map_err(|_| Error::Random)?;
    OsRng.try_fill_bytes(&mut nonce).map_err(|_| Error::Random)?;
    let wrapped = encrypt::rsa_oaep(key, Hash::Sha256, secret.as_ref())?;
    let header = URL_SAFE_NO_PAD.encode(HEADER);
    let mut sealed = Zeroizing::new(text.as_bytes().to_vec());
    let unsupported = |_| Error::Unsupported("AES-256-GCM");
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret.as_ref()).map_err(unsupported)?);
    let tag = cipher
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&header), &mut sealed)
        .map_err(unsupported)?;
    let mut compact = String::with_capacity(sealed_len(wrapped.len(), text.len()));
    compact.push_str(&header);
    for part in [&wrapped[..], &nonce, &sealed, tag.as_ref()] {
        compact.push('.');
        URL_SAFE_NO_PAD.encode_string(part, &mut compact);
    }
    Ok(compact)
}

/// The bytes of what [`seal`] makes of `text` bytes for a key with a modulus of `modulus` bytes.
pub fn sealed_len(modulus: usize, text: usize) -> usize {
    let encoded = |bytes: usize| (bytes * 4).div_ceil(3);
    let parts = [HEADER.len(), modulus, NONCE_LEN, text, TAG_LEN];
    parts.into_iter().map(encoded).sum::<usize>() + parts.len() - 1
}

/// Whether it has the five parts of the compact form, each of the alphabet of base64url.
pub fn is_compact(text: &str) -> bool {
    let of_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.split('.').count() == 5 && text.split('.').all(|part| part.bytes().all(of_alphabet))
}

#[cfg(test)]
mod tests {
    use super::super::public_key::PublicKey;
    use super::*;

    /// What each part decodes to. That the whole is opened by others is for the tests of the module.
    #[test]
    fn the_parts_are_those_of_rfc_7516() {
        let key = PublicKey::from_rsa(&[0xc1; 256], &[1, 0, 1]).unwrap();
        for text in ["", "a", "ab", "abc", "\u{1f511} text"] {
            let compact = seal(&key, text).unwrap();
            assert_eq!(compact.len(), sealed_len(256, text.len()), "{text}");
            assert!(is_compact(&compact));
            let parts: Vec<_> =
                compact.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
            assert_eq!(parts[0], HEADER.as_bytes());
            let lengths: Vec<_> = parts[1..].iter().map(Vec::len).collect();
            assert_eq!(lengths, [256, 12, text.len(), 16]);
        }
    }

    /// The example of RFC 7516 section 3.3 begins so; what follows is not.
    #[test]
    fn other_forms_are_not_compact() {
        let header = "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ";
        assert!(is_compact(&format!("{header}.OKOawD.48V1_ALb6US04U3b.5eym8TW_c8SuK0lt.XFBoMYUZodetZdvT")));
        for other in ["", header, "a.b.c.d", "a.b.c.d.e.f", "a.b.c.d.e=", "YS5iLmMuZC5l"] {
            assert!(!is_compact(other), "{other}");
        }
    }
}
