//! Request bodies. Unknown and repeated fields are refused: a client should not send what it
//! does not need (Securosys TSB reference §3.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, IgnoredAny};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// Bytes in standard Base64, padded, without line breaks (reference §0).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base64(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Base64, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Base64).map_err(|_| de::Error::custom("not standard Base64"))
    }
}

/// Base64 for answers.
pub(super) fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// A key's password: a string, or an array of strings of one character each (reference §0).
pub(super) struct Password(Zeroizing<String>);

impl Password {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Password, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(Zeroizing<String>),
            Characters(Zeroizing<Vec<char>>),
        }
        let text = match Form::deserialize(deserializer)? {
            Form::Text(text) => text,
            Form::Characters(characters) => Zeroizing::new(characters.iter().collect()),
        };
        if text.is_empty() {
            return Err(de::Error::custom("an empty password; leave the field out"));
        }
        Ok(Password(text))
    }
}

/// Bodies that wrap what is asked for beside an optional signature over it.
pub(super) trait Signed {
    /// Whether a signature came along.
    fn has_signature(&self) -> bool;
}

macro_rules! signed {
    ($(#[$doc:meta])* $name:ident { $field:ident: $inner:ty }) => {
        $(#[$doc])*
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub(super) struct $name {
            pub(super) $field: $inner,
            request_signature: Option<IgnoredAny>,
        }

        impl Signed for $name {
            fn has_signature(&self) -> bool {
                self.request_signature.is_some()
            }
        }
    };
}

signed!(
    /// `POST /v1/synchronousSign`, `POST /v1/sign`
    SignBody { sign_request: SignRequest }
);
signed!(
    /// `POST /v1/encrypt`
    EncryptBody { encrypt_request: EncryptRequest }
);
signed!(
    /// `POST /v1/synchronousDecrypt`, `POST /v1/decrypt`
    DecryptBody { decrypt_request: DecryptRequest }
);
signed!(
    /// `POST /v1/synchronousHmac`
    HmacBody { hmac_request: HmacRequest }
);

/// `POST /v1/verify`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct VerifyBody {
    pub(super) verify_signature_request: Option<VerifyRequest>,
    pub(super) verify_hmac_request: Option<VerifyHmacRequest>,
    request_signature: Option<IgnoredAny>,
}

impl Signed for VerifyBody {
    fn has_signature(&self) -> bool {
        self.request_signature.is_some()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SignRequest {
    pub(super) payload: Base64,
    pub(super) payload_type: Option<String>,
    pub(super) sign_key_name: String,
    pub(super) key_password: Option<Password>,
    pub(super) signature_algorithm: String,
    pub(super) signature_type: Option<String>,
    pub(super) sign_key_object: Option<IgnoredAny>,
    /// For approvers; without a policy nobody looks at it.
    #[serde(rename = "metaData")]
    _meta_data: Option<Base64>,
    #[serde(rename = "metaDataSignature")]
    _meta_data_signature: Option<Base64>,
    pub(super) context: Option<Base64>,
    pub(super) auxiliary_random_data: Option<Base64>,
    pub(super) taproot_tweak_data: Option<Base64>,
    pub(super) merkle_root_data: Option<Base64>,
    pub(super) signed_approvals: Option<Vec<Base64>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct VerifyRequest {
    pub(super) sign_key_name: String,
    /// Of the key that a temporary one is derived from; there are none here.
    #[serde(rename = "masterKeyPassword")]
    _master_key_password: Option<Password>,
    pub(super) signature_algorithm: String,
    pub(super) payload: Base64,
    pub(super) signature: Base64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct VerifyHmacRequest {
    pub(super) key_name: String,
    pub(super) payload: Base64,
    pub(super) signature: Base64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EncryptRequest {
    pub(super) payload: Base64,
    pub(super) encrypt_key_name: String,
    pub(super) key_password: Option<Password>,
    pub(super) cipher_algorithm: String,
    pub(super) tag_length: Option<i64>,
    pub(super) additional_authentication_data: Option<Base64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DecryptRequest {
    pub(super) encrypted_payload: Base64,
    pub(super) decrypt_key_name: String,
    pub(super) key_password: Option<Password>,
    pub(super) cipher_algorithm: String,
    pub(super) initialization_vector: Option<Base64>,
    pub(super) tag_length: Option<i64>,
    pub(super) additional_authentication_data: Option<Base64>,
    #[serde(rename = "metaData")]
    _meta_data: Option<Base64>,
    #[serde(rename = "metaDataSignature")]
    _meta_data_signature: Option<Base64>,
    pub(super) signed_approvals: Option<Vec<Base64>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HmacRequest {
    pub(super) key_name: String,
    pub(super) payload: Base64,
}

/// `POST /v1/key/attributes`, `POST /v1/key/deleteKey`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct KeyReference {
    pub(super) label: String,
    pub(super) password: Option<Password>,
}

/// `POST /v1/key`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateKey {
    pub(super) label: String,
    pub(super) password: Option<Password>,
    pub(super) id: Option<String>,
    pub(super) algorithm: Option<String>,
    pub(super) algorithm_oid: Option<String>,
    pub(super) curve_oid: Option<String>,
    pub(super) key_size: Option<u32>,
    pub(super) address_format: Option<IgnoredAny>,
    pub(super) attributes: CreateAttributes,
    pub(super) policy: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateAttributes {
    pub(super) encrypt: Option<bool>,
    pub(super) decrypt: Option<bool>,
    pub(super) verify: Option<bool>,
    pub(super) sign: Option<bool>,
    pub(super) wrap: Option<bool>,
    pub(super) unwrap: Option<bool>,
    pub(super) derive: Option<bool>,
    pub(super) bip32: Option<bool>,
    pub(super) slip10: Option<bool>,
    pub(super) extractable: Option<bool>,
    pub(super) modifiable: Option<bool>,
    pub(super) destroyable: Option<bool>,
    pub(super) sensitive: Option<bool>,
    pub(super) copyable: Option<bool>,
}

/// `POST /v1/certificate/import/plain`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ImportCertificate {
    pub(super) label: String,
    pub(super) certificate: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_strict() {
        let parse = |text: &str| serde_json::from_str::<Base64>(&format!("\"{text}\""));
        assert_eq!(parse("YXNk").unwrap().0, b"asd");
        assert_eq!(parse("").unwrap().0, b"");
        for bad in ["YXM", "YX\\nNk", "YXNk=", "-_-_", "YXN=", "YX Nk"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn passwords_have_two_forms() {
        let parse = |json: &str| serde_json::from_str::<Password>(json);
        assert_eq!(parse(r#""pw""#).unwrap().as_str(), "pw");
        assert_eq!(parse(r#"["p","w"]"#).unwrap().as_str(), "pw");
        for bad in ["[]", r#""""#, r#"["pw"]"#, "1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
