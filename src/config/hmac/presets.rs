//! The ways of signing that are known by name (gateway reference sections 4 and 5).

use super::{
    Derivation, Digest, EmptyBody, Encoding, MacMode, NonceFormat, QueryMode, SecretEncoding, TimeFormat,
};

/// What the keys of `[slot.auth.hmac]` are where they are not written.
pub(super) struct Preset {
    pub(super) version: &'static str,
    pub(super) template: &'static [&'static str],
    pub(super) join: &'static str,
    pub(super) trailing_join: bool,
    pub(super) mac: MacMode,
    pub(super) hash: Digest,
    pub(super) secret_encoding: SecretEncoding,
    pub(super) derivation: Derivation,
    pub(super) output: Encoding,
    pub(super) body_hash: Option<Digest>,
    pub(super) body_hash_encoding: Encoding,
    pub(super) body_hash_template: &'static str,
    pub(super) empty_body: EmptyBody,
    pub(super) query: QueryMode,
    pub(super) timestamp: TimeFormat,
    pub(super) nonce: NonceFormat,
    pub(super) headers: &'static [&'static str],
    pub(super) signed_headers: &'static [&'static str],
    pub(super) parameters: &'static [(&'static str, &'static str)],
    pub(super) answer: Answer,
    /// In seconds.
    pub(super) clock_skew: u64,
}

/// How answers are signed, and whether that is looked at.
pub(super) struct Answer {
    pub(super) on: bool,
    pub(super) template: &'static [&'static str],
    pub(super) header: &'static str,
    pub(super) attribute: &'static str,
    pub(super) time_header: &'static str,
}

/// All of them; the first is the usual one.
pub(super) static PRESETS: [(&str, Preset); 10] = [
    ("v3.0", V3),
    ("amx", AMX),
    ("bitgo3", BITGO3),
    ("azure-appconfig", AZURE),
    ("acquia2", ACQUIA2),
    ("hawk", HAWK),
    ("ts.body", TS_BODY),
    ("method-path-body", METHOD_PATH_BODY),
    ("sigv4", SIGV4),
    ("rfc9421-hmac", RFC9421),
];

const V3: Preset = Preset {
    version: "v3.0",
    template: &[
        "{version}",
        "{method}",
        "{path}",
        "{query}",
        "{timestamp}",
        "{nonce}",
        "{key_id}",
        "{body_hash}",
    ],
    join: "\n",
    trailing_join: false,
    mac: MacMode::Hmac,
    hash: Digest::Sha256,
    secret_encoding: SecretEncoding::Utf8,
    derivation: Derivation::None,
    output: Encoding::Hex,
    body_hash: Some(Digest::Sha256),
    body_hash_encoding: Encoding::Hex,
    body_hash_template: "{body}",
    empty_body: EmptyBody::Hash,
    query: QueryMode::Raw,
    timestamp: TimeFormat::Unix,
    nonce: NonceFormat::Uuid,
    headers: &[
        "X-Auth-Version: {version}",
        "X-Key-Id: {key_id}",
        "X-Timestamp: {timestamp}",
        "X-Nonce: {nonce}",
        "X-Content-SHA256: {body_hash}",
        "X-Signature: {signature}",
    ],
    signed_headers: &[],
    parameters: &[],
    answer: Answer {
        on: false,
        template: &["{nonce}", "{timestamp}", "{body}"],
        header: "x-response-signature",
        attribute: "",
        time_header: "",
    },
    clock_skew: 300,
};

const AMX: Preset = Preset {
    template: &["{key_id}", "{method}", "{url_lower_enc}", "{timestamp}", "{nonce}", "{body_hash}"],
    join: "",
    secret_encoding: SecretEncoding::Base64,
    output: Encoding::Base64,
    body_hash: Some(Digest::Md5),
    body_hash_encoding: Encoding::Base64,
    empty_body: EmptyBody::Empty,
    nonce: NonceFormat::UuidPlain,
    headers: &["Authorization: amx {key_id}:{signature}:{nonce}:{timestamp}"],
    ..V3
};

const BITGO3: Preset = Preset {
    version: "3.0",
    template: &["{method}", "{timestamp}", "{version}", "{path_query}", "{body}"],
    join: "|",
    body_hash: None,
    timestamp: TimeFormat::UnixMillis,
    nonce: NonceFormat::None,
    headers: &[
        "Authorization: Bearer {secret_sha256}",
        "HMAC: {signature}",
        "Auth-Timestamp: {timestamp}",
        "BitGo-Auth-Version: {version}",
    ],
    answer: Answer {
        on: true,
        template: &["{method}", "{header:timestamp}", "{path_query}", "{status}", "{body}"],
        header: "hmac",
        attribute: "",
        time_header: "timestamp",
    },
    ..V3
};

const AZURE: Preset = Preset {
    template: &["{method}", "{path_query}", "{timestamp};{host};{body_hash}"],
    secret_encoding: SecretEncoding::Base64,
    output: Encoding::Base64,
    body_hash_encoding: Encoding::Base64,
    timestamp: TimeFormat::HttpDate,
    nonce: NonceFormat::None,
    headers: &[
        "x-ms-date: {timestamp}",
        "x-ms-content-sha256: {body_hash}",
        "Authorization: HMAC-SHA256 Credential={key_id}&SignedHeaders={signed_names}&Signature={signature}",
    ],
    signed_headers: &["x-ms-date", "host", "x-ms-content-sha256"],
    clock_skew: 900,
    ..V3
};

const ACQUIA2: Preset = Preset {
    version: "2.0",
    template: &[
        "{method}",
        "{host}",
        "{path}",
        "{query}",
        "id={key_id}&nonce={nonce}&realm={param:realm}&version={version}",
        "[{signed_headers}]",
        "{timestamp}",
        "[{content_type}\n{body_hash}]",
    ],
    secret_encoding: SecretEncoding::Base64,
    output: Encoding::Base64,
    body_hash_encoding: Encoding::Base64,
    empty_body: EmptyBody::Empty,
    headers: &[
        "X-Authorization-Timestamp: {timestamp}",
        "X-Authorization-Content-SHA256: {body_hash}",
        "Authorization: acquia-http-hmac realm=\"{param:realm}\",id=\"{key_id}\",nonce=\"{nonce}\",\
         version=\"{version}\",headers=\"{signed_names}\",signature=\"{signature}\"",
    ],
    answer: Answer {
        on: true,
        template: &["{nonce}", "{timestamp}", "{body}"],
        header: "x-server-authorization-hmac-sha256",
        attribute: "",
        time_header: "",
    },
    clock_skew: 900,
    ..V3
};

const HAWK: Preset = Preset {
    template: &[
        "hawk.1.header",
        "{timestamp}",
        "{nonce}",
        "{method}",
        "{path_query}",
        "{hostname}",
        "{port}",
        "{body_hash}",
        "{param:ext}",
    ],
    trailing_join: true,
    output: Encoding::Base64,
    body_hash_encoding: Encoding::Base64,
    body_hash_template: "hawk.1.payload\n{media_type}\n{body}\n",
    empty_body: EmptyBody::Empty,
    nonce: NonceFormat::Hex,
    headers: &["Authorization: Hawk id=\"{key_id}\", ts=\"{timestamp}\", nonce=\"{nonce}\"\
                [, hash=\"{body_hash}\"][, ext=\"{param:ext}\"], mac=\"{signature}\""],
    parameters: &[("ext", "")],
    answer: Answer {
        on: false,
        template: &[
            "hawk.1.response",
            "{timestamp}",
            "{nonce}",
            "{method}",
            "{path_query}",
            "{hostname}",
            "{port}",
            "{body_hash}",
            "{attribute:ext}",
        ],
        header: "server-authorization",
        attribute: "mac",
        time_header: "",
    },
    clock_skew: 60,
    ..V3
};

const TS_BODY: Preset = Preset {
    template: &["{timestamp}.{body}"],
    nonce: NonceFormat::None,
    headers: &["X-Api-Key: {key_id}", "X-Timestamp: {timestamp}", "X-Signature: {signature}"],
    answer: Answer { template: &[], header: "", ..V3.answer },
    ..V3
};

const METHOD_PATH_BODY: Preset = Preset {
    template: &["{method}", "{path_query}", "{body}", "{timestamp}"],
    nonce: NonceFormat::None,
    headers: &["X-Key-Id: {key_id}", "X-Timestamp: {timestamp}", "X-Signature: {signature}"],
    answer: Answer { template: &[], header: "", ..V3.answer },
    ..V3
};

const SIGV4: Preset = Preset {
    template: &[
        "{method}",
        "{path_encoded}",
        "{query}",
        "{signed_headers}",
        "",
        "{signed_names}",
        "{body_hash}",
    ],
    derivation: Derivation::SigV4,
    query: QueryMode::Sorted,
    timestamp: TimeFormat::IsoBasic,
    nonce: NonceFormat::None,
    headers: &[
        "X-Amz-Date: {timestamp}",
        "Authorization: AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={signed_names}, \
         Signature={signature}",
    ],
    signed_headers: &["host", "x-amz-date"],
    answer: Answer { template: &[], header: "", ..V3.answer },
    clock_skew: 900,
    ..V3
};

const RFC9421: Preset = Preset {
    template: &[
        "{components}",
        "\"@signature-params\": ({component_names});created={timestamp};keyid=\"{key_id}\"[;nonce=\"{nonce}\"]",
    ],
    secret_encoding: SecretEncoding::Base64,
    output: Encoding::Base64,
    body_hash_encoding: Encoding::Base64,
    headers: &[
        "Content-Digest: sha-256=:{body_hash}:",
        "Signature-Input: sig1=({component_names});created={timestamp};keyid=\"{key_id}\"[;nonce=\"{nonce}\"]",
        "Signature: sig1=:{signature}:",
    ],
    signed_headers: &["@method", "@authority", "@path", "@query", "content-digest"],
    answer: Answer { template: &[], header: "", ..V3.answer },
    ..V3
};
