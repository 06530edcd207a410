//! The choices that the vendor's documentation leaves open.

/// Readings of the documentation where it is silent or contradicts itself (Securosys TSB
/// reference §1.3, §1.5, §7, §14). A client should survive every one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switches {
    /// Whether API keys are asked for at all (`apiAuthentication.enabled`).
    pub api_keys: bool,
    /// The role of `/v1/certificate/**`.
    pub certificates_role: CertificatesRole,
    /// The role of `/v1/generateRandom/**`.
    pub random_role: RandomRole,
    /// HTTP status of error 416, no API key: 401 or 400.
    pub missing_api_key_status: u16,
    /// HTTP status of errors 406 and 617, no or a wrong JWT: 401, 400 or 403.
    pub access_token_status: u16,
    /// The code for malformed JSON and unknown enumeration values.
    pub malformed_code: MalformedCode,
    /// What is answered for the certificate of a key that has none.
    pub missing_certificate: MissingCertificate,
    /// Whether `keySize` is set for symmetric keys; it is documented for RSA alone.
    pub symmetric_key_size: bool,
    /// The form of `certificate` in answers.
    pub certificate_form: CertificateForm,
    /// What is answered when a key may not sign or decrypt.
    pub usage_refusal: UsageRefusal,
    /// What is answered when a key may not be deleted.
    pub undestroyable_refusal: UsageRefusal,
    /// The version of the server.
    pub version: Version,
    /// The licence `REST_API`: keys without policy, synchronous calls.
    pub licence_rest_api: bool,
    /// The licences `TSB_ENGINE` and `KEY_AUTH`: asynchronous calls.
    pub licence_tsb_engine: bool,
    /// What happens to asynchronous calls where only `REST_API` is licensed.
    pub lone_asynchronous: LoneAsynchronous,
    /// A P-256 key `locked` whose password is `pw`, made at the first start that asks for it.
    pub locked_key: bool,
}

impl Default for Switches {
    fn default() -> Switches {
        Switches {
            api_keys: true,
            certificates_role: CertificatesRole::KeyManagement,
            random_role: RandomRole::KeyOperation,
            missing_api_key_status: 401,
            access_token_status: 401,
            malformed_code: MalformedCode::Validation600,
            missing_certificate: MissingCertificate::NoSuchKey,
            symmetric_key_size: false,
            certificate_form: CertificateForm::Pem,
            usage_refusal: UsageRefusal::InHsm701,
            undestroyable_refusal: UsageRefusal::Attributes606,
            version: Version::V2_5,
            licence_rest_api: true,
            licence_tsb_engine: false,
            lone_asynchronous: LoneAsynchronous::Refused,
            locked_key: false,
        }
    }
}

/// The role of the certificate endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificatesRole {
    /// Newer documentation.
    KeyManagement,
    /// Older documentation, and the vendor's Go client.
    KeyOperation,
}

/// The role of the random generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RandomRole {
    /// The documentation.
    KeyOperation,
    /// The vendor's Go client.
    Service,
}

/// The code for malformed JSON and unknown enumeration values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MalformedCode {
    /// `res.error.input.validation.failed`
    Validation600,
    /// `res.error.invalid.json`
    Json621,
    /// `res.error.invalid.value.for.enum`
    Enum501,
}

/// What is answered for the certificate of a key that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingCertificate {
    /// 404/650, as if the key did not exist.
    NoSuchKey,
    /// 400/402 `res.error.invalid.certificate`
    Invalid,
    /// 200 with `certificate` null.
    Null,
    /// 404 by the web server, without an error code.
    NotFound,
}

/// The form of `certificate` in answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateForm {
    /// PEM text.
    Pem,
    /// Base64 of DER, without armour.
    Base64,
}

/// What is answered when a key's attributes forbid an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageRefusal {
    /// 500/701 `res.error.in.hsm`
    InHsm701,
    /// 400/606 `res.error.key.attributes.invalid`
    Attributes606,
    /// 400/614 `res.error.operation.forbidden.for.key`
    Forbidden614,
}

/// The version of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// No `RAW` signatures; `DILITHIUM` and `SPHINCS_PLUS`.
    V2_2,
    /// `RAW` signatures, `ML_DSA` and `SLH_DSA`, `rawCertificate`.
    V2_5,
}

/// What happens to asynchronous calls where only `REST_API` is licensed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoneAsynchronous {
    /// 403/451
    Refused,
    /// Answered as their synchronous twins.
    Forwarded,
}
