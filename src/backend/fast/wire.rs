//! The JSON of the service (sections 2 and 4).

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What is around every answer; `D` is its `data`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer<'a, D> {
    pub(super) success: bool,
    #[serde(default, borrow)]
    pub(super) message: Option<Cow<'a, str>>,
    /// Like an HTTP status; it counts more than that.
    #[serde(default)]
    pub(super) code: Option<u16>,
    #[serde(default = "nothing")]
    pub(super) data: Option<D>,
    #[serde(default, borrow)]
    pub(super) signature_array: Option<Vec<Cow<'a, str>>>,
}

fn nothing<D>() -> Option<D> {
    None
}

/// The answer to `signhash`, which has no `data`.
pub(super) type Signed<'a> = Answer<'a, IgnoredAny>;

impl<D> Answer<'_, D> {
    /// Whether it says so itself.
    pub(super) fn is_success(&self) -> bool {
        self.success && self.code.is_none_or(|code| (200..300).contains(&code))
    }
}

/// The body of `getinfosn`.
#[derive(Serialize)]
struct Query<'a> {
    #[serde(rename = "certificateSN")]
    serial: &'a str,
}

pub(super) fn query(serial: &str) -> Vec<u8> {
    body(&Query { serial })
}

/// `data` of the answer to `getinfosn`. The Vietnamese edition has no `algorithm`, which the certificate tells better.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Info {
    pub(super) subject: Option<String>,
    pub(super) status: Option<String>,
    key_usage: Option<Vec<String>>,
    pub(super) thumbprint: Option<String>,
}

impl Info {
    /// Whether the certificate is in force; what is not told is left to the service to refuse.
    pub(super) fn is_valid(&self) -> bool {
        self.status.as_ref().is_none_or(|status| status.eq_ignore_ascii_case("valid"))
    }

    /// Whether its key signs.
    pub(super) fn signs(&self) -> bool {
        self.is_for(["digitalSignature", "nonRepudiation"])
    }

    /// Whether its key opens what was sealed.
    pub(super) fn opens(&self) -> bool {
        self.is_for(["keyEncipherment", "dataEncipherment"])
    }

    fn is_for(&self, uses: [&str; 2]) -> bool {
        let named = |told: &String| uses.iter().any(|name| told.eq_ignore_ascii_case(name));
        self.key_usage.as_ref().is_none_or(|told| told.iter().any(named))
    }

    /// The common name in the subject, which is written for people: `CN=Nguyen Van A, O=Company ABC, C=VN`.
    pub(super) fn common_name(&self) -> Option<&str> {
        let mut parts = self.subject.as_ref()?.split(',').map(str::trim);
        parts.find_map(|part| part.strip_prefix("CN=")).filter(|name| !name.is_empty())
    }
}

/// The body of `signhash`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hashes<'a> {
    #[serde(rename = "certificateSN")]
    serial: &'a str,
    hash_array: Vec<String>,
}

pub(super) fn hashes(serial: &str, items: &[&[u8]]) -> Vec<u8> {
    body(&Hashes { serial, hash_array: items.iter().map(|item| STANDARD.encode(item)).collect() })
}

/// A signature of the answer to it; `None` where it is none.
pub(super) fn signature(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.trim()).ok().filter(|bytes| !bytes.is_empty())
}

/// The body of `decryptjwe`.
#[derive(Serialize)]
struct SealedText<'a> {
    #[serde(rename = "certificateSN")]
    serial: &'a str,
    data: &'a str,
}

pub(super) fn sealed_text(serial: &str, data: &str) -> Vec<u8> {
    body(&SealedText { serial, data })
}

/// `data` of the answer to it.
#[derive(Deserialize)]
pub(super) struct Opened<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
}

impl Opened<'_> {
    /// The plaintext.
    pub(super) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.data.into_owned().into_bytes())
    }
}

fn body(value: &impl Serialize) -> Vec<u8> {
    let body = serde_json::to_vec(value);
    debug_assert!(body.is_ok(), "texts are always JSON");
    body.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The example of section 4.2, with `algorithm` and without.
    #[test]
    fn what_a_certificate_is_for() {
        let told = json!({
            "serialNumber": "1234567890ABCDEF",
            "subject": "CN=Nguyen Van A, O=Company ABC, C=VN",
            "status": "valid",
            "keyUsage": ["digitalSignature", "keyEncipherment"],
            "thumbprint": "A1B2C3D4E5F6",
            "algorithm": "RSA-2048",
        });
        let info = |value: &Value| serde_json::from_value::<Info>(value.clone()).unwrap();
        assert!(info(&told).is_valid() && info(&told).signs() && info(&told).opens());
        assert_eq!(info(&told).common_name(), Some("Nguyen Van A"));
        for (status, usage, valid, signs, opens) in [
            ("expired", json!(["nonRepudiation"]), false, true, false),
            ("Valid", json!(["dataEncipherment"]), true, false, true),
            ("suspended", json!([]), false, false, false),
            ("valid", json!(null), true, true, true),
        ] {
            let info = info(&json!({ "status": status, "keyUsage": usage }));
            assert_eq!((info.is_valid(), info.signs(), info.opens()), (valid, signs, opens), "{status}");
            assert_eq!(info.common_name(), None);
        }
    }

    /// Section 5: SHA-256("test") in base64.
    #[test]
    fn bodies_are_those_of_the_page() {
        let read = |body: Vec<u8>| serde_json::from_slice::<Value>(&body).unwrap();
        let digest = crate::crypto::digest::Hash::Sha256.digest(b"test");
        assert_eq!(
            read(hashes("1234567890ABCDEF", &[&digest, &[0xff]])),
            json!({
                "certificateSN": "1234567890ABCDEF",
                "hashArray": ["n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=", "/w=="],
            })
        );
        assert_eq!(read(query("01")), json!({ "certificateSN": "01" }));
        assert_eq!(read(sealed_text("01", "a\"b")), json!({ "certificateSN": "01", "data": "a\"b" }));
    }
}
