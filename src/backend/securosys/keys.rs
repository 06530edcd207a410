//! The order for a new key (Securosys TSB reference section 2.3).

use cryptoki_sys::CKR_ATTRIBUTE_VALUE_INVALID;
use zeroize::Zeroizing;

use super::errors::Purpose;
use super::names::{self, Making};
use super::wire::Body;
use crate::backend::types::{KeySpec, NewKey, Protection, Usage};
use crate::crypto::encode;
use crate::error::{Error, Result};

/// The body of the request.
///
/// # Errors
/// `CKR_ATTRIBUTE_VALUE_INVALID` for a label with a slash, which no path could name, and for what the service does not
/// make.
pub(super) fn new_key(request: &NewKey<'_>) -> Result<Zeroizing<Vec<u8>>> {
    let refused = |what| Error::new(CKR_ATTRIBUTE_VALUE_INVALID, format!("{}: {what}", Purpose::Generate));
    if request.label.contains('/') {
        return Err(refused("a label has no slash"));
    }
    let Making { algorithm, key_size, curve_oid } =
        names::making(&request.spec).ok_or_else(|| refused("the service makes no such key"))?;
    let mut body = Body::plain().text("label", request.label).text("algorithm", algorithm);
    if let Some(id) = request.id {
        body = body.text("id", &encode::to_hex(id));
    }
    if let Some(bits) = key_size {
        body = body.number("keySize", bits);
    }
    if let Some(oid) = curve_oid {
        body = body.text("curveOid", oid);
    }
    let NewKey { usage, protection, .. } = *request;
    let cipher = matches!(request.spec, KeySpec::Aes { .. });
    Ok(body.object("attributes", |body| attributes(body, usage, protection, cipher)).finish())
}

/// All that the model knows is said: what is left out of `destroyable`, for one, makes a key for good.
fn attributes(body: Body, usage: Usage, protection: Protection, cipher: bool) -> Body {
    let Usage { sign, decrypt, unwrap, derive } = usage;
    let body = body.flag("decrypt", decrypt).flag("sign", sign).flag("unwrap", unwrap).flag("derive", derive);
    // Documented for symmetric keys only; of pairs they follow.
    let body = if cipher { body.flag("encrypt", decrypt).flag("wrap", unwrap) } else { body };
    body.flag("sensitive", protection.sensitive)
        .flag("extractable", protection.extractable)
        .flag("modifiable", protection.modifiable)
        .flag("copyable", protection.copyable)
        .flag("destroyable", protection.destroyable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::curve::Curve;
    use crate::crypto::digest::Hash;

    fn body(label: &str, id: Option<&[u8]>, spec: KeySpec, usage: Usage) -> String {
        let protection =
            Protection { sensitive: true, modifiable: true, destroyable: true, ..Protection::UNTOLD };
        let request = NewKey { label, id, spec, usage, protection };
        String::from_utf8(new_key(&request).unwrap().to_vec()).unwrap()
    }

    const SIGN: Usage = Usage { sign: true, decrypt: false, unwrap: false, derive: false };

    /// The worked example of section 2.3, in another order and with what it leaves to the service.
    #[test]
    fn an_rsa_pair() {
        assert_eq!(
            body("demo", None, KeySpec::Rsa { bits: 2048 }, Usage { decrypt: true, ..SIGN }),
            concat!(
                r#"{"label":"demo","algorithm":"RSA","keySize":2048,"attributes":{"decrypt":true,"sign":true,"#,
                r#""unwrap":false,"derive":false,"sensitive":true,"extractable":false,"modifiable":true,"#,
                r#""copyable":false,"destroyable":true}}"#
            )
        );
    }

    #[test]
    fn other_kinds() {
        let starts = |spec, start: &str| {
            let body = body("k\"", Some(&[0xab, 1]), spec, SIGN);
            assert!(body.starts_with(&format!("{{\"label\":\"k\\u0022\",{start}")), "{body}");
        };
        starts(
            KeySpec::Ec(Curve::SECP384R1),
            r#""algorithm":"EC","id":"ab01","curveOid":"1.3.132.0.34","attributes":{"decrypt":false"#,
        );
        starts(KeySpec::Ed25519, r#""algorithm":"ED","id":"ab01","curveOid":"1.3.101.112","attributes""#);
        starts(KeySpec::Aes { bytes: 24 }, r#""algorithm":"AES","id":"ab01","keySize":192,"attributes""#);
    }

    #[test]
    fn what_the_service_cannot_make_is_not_asked_for() {
        let request =
            |label, spec| NewKey { label, id: None, spec, usage: SIGN, protection: Protection::UNTOLD };
        for request in [
            request("a/b", KeySpec::Ed25519),
            request("k", KeySpec::Rsa { bits: 2047 }),
            request("k", KeySpec::Aes { bytes: 8 }),
            request("k", KeySpec::Hmac { hash: Hash::Sha256, bytes: None }),
        ] {
            assert_eq!(new_key(&request).unwrap_err().rv(), CKR_ATTRIBUTE_VALUE_INVALID, "{request:?}");
        }
    }
}
