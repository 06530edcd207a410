//! The JSON of the service (Securosys TSB reference sections 2 and 3), reduced to what this module needs.
//!
//! Requests are written straight into the bytes that go out: no tree, and no copy of a password or a plaintext that
//! is not wiped. Answers borrow from the body that they came in.

use std::borrow::Cow;
use std::fmt;

use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::engine::{DecodePaddingMode, Engine};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use crate::discreet;

/// A JSON object in the making.
///
/// Every member is optional at the service and older servers refuse names that they do not know, so only what a call
/// needs is added. The buffer is wiped when it is dropped and when it grows.
pub(super) struct Body {
    bytes: Zeroizing<Vec<u8>>,
    /// What closes the object and its wrapper.
    end: &'static str,
}

impl Body {
    /// `{…}`.
    pub(super) fn plain() -> Self {
        Self::start(&["{"], "}", 0)
    }

    /// `{"wrapper":{…}}` with room for `payload` bytes of binary data.
    pub(super) fn wrapped(wrapper: &'static str, payload: usize) -> Self {
        Self::start(&["{\"", wrapper, "\":{"], "}}", payload)
    }

    fn start(parts: &[&str], end: &'static str, payload: usize) -> Self {
        /// Enough for the names of the members, a label and an algorithm.
        const ROOM: usize = 384;
        let mut body = Self { bytes: Zeroizing::new(Vec::with_capacity(ROOM + encoded_len(payload))), end };
        for part in parts {
            body.push(part.as_bytes());
        }
        body
    }

    /// Adds a text.
    pub(super) fn text(mut self, name: &'static str, value: &str) -> Self {
        self.name(name);
        self.push(b"\"");
        let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
        for run in value.as_bytes().split_inclusive(special) {
            match run.split_last() {
                Some((byte, plain)) if special(byte) => {
                    self.push(plain);
                    self.push(&escape((*byte).into()));
                }
                _ => self.push(run),
            }
        }
        self.push(b"\"");
        self
    }

    /// Adds a number.
    pub(super) fn number(mut self, name: &'static str, value: usize) -> Self {
        self.name(name);
        self.push(value.to_string().as_bytes());
        self
    }

    /// Adds a truth value.
    pub(super) fn flag(mut self, name: &'static str, value: bool) -> Self {
        self.name(name);
        self.push(if value { b"true" } else { b"false" });
        self
    }

    /// Adds an object, of which `fill` adds the members.
    pub(super) fn object(mut self, name: &'static str, fill: impl FnOnce(Self) -> Self) -> Self {
        self.name(name);
        self.push(b"{");
        let mut body = fill(self);
        body.push(b"}");
        body
    }

    /// Adds bytes in Base64.
    pub(super) fn binary(mut self, name: &'static str, value: &[u8]) -> Self {
        self.name(name);
        self.push(b"\"");
        let (start, length) = (self.bytes.len(), encoded_len(value.len()));
        discreet::reserve(&mut self.bytes, length + 1);
        self.bytes.resize(start + length, 0);
        let written = self.bytes.get_mut(start..).map(|room| STANDARD.encode_slice(value, room));
        debug_assert!(matches!(written, Some(Ok(n)) if n == length));
        self.push(b"\"");
        self
    }

    /// Adds `keyPassword`, if there is one: an array of one-character strings, as the service declares it. A Java
    /// character is a UTF-16 unit, so a character beyond the first plane takes two.
    pub(super) fn password(mut self, password: Option<&SecretString>) -> Self {
        let Some(password) = password.map(SecretString::expose_secret).filter(|text| !text.is_empty()) else {
            return self;
        };
        self.name("keyPassword");
        for (at, unit) in password.encode_utf16().enumerate() {
            self.push(if at == 0 { b"[\"" } else { b",\"" });
            match u8::try_from(unit) {
                Ok(byte @ (b' ' | b'!' | b'#'..=b'[' | b']'..=b'~')) => self.push(&[byte]),
                _ => self.push(&escape(unit)),
            }
            self.push(b"\"");
        }
        self.push(b"]");
        self
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> Zeroizing<Vec<u8>> {
        self.push(self.end.as_bytes());
        self.bytes
    }

    fn name(&mut self, name: &'static str) {
        if self.bytes.last() != Some(&b'{') {
            self.push(b",");
        }
        for part in ["\"", name, "\":"] {
            self.push(part.as_bytes());
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        discreet::append(&mut self.bytes, bytes);
    }
}

/// Length in Base64 with padding.
fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// `\uXXXX` of one UTF-16 unit (RFC 8259 section 7).
fn escape(unit: u16) -> [u8; 6] {
    let digit = |shift: u32| match (unit >> shift) as u8 & 0xf {
        nibble @ 0..10 => b'0' + nibble,
        nibble => b'a' + nibble - 10,
    };
    [b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]
}

/// A text of an answer. (`Cow` by itself borrows only where it is not inside an `Option` or `Vec`.)
/// It may be a plaintext, so `Debug` shows its length alone.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        discreet::Bytes(self.0.as_bytes()).fmt(f)
    }
}

impl Text<'_> {
    /// The text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes that the text is Base64 of; `None` if it is not.
    pub(super) fn binary(&self) -> Option<Vec<u8>> {
        /// The service pads; a proxy in between may think it need not.
        const TOLERANT: GeneralPurpose = GeneralPurpose::new(
            &base64::alphabet::STANDARD,
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
        );
        TOLERANT.decode(self.0.as_bytes()).ok()
    }
}

/// The body of a refusal (section 7).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fault<'a> {
    /// The number that decides.
    pub(super) error_code: Option<u32>,
    /// Its name.
    #[serde(borrow)]
    pub(super) reason: Option<Text<'a>>,
    /// For people.
    #[serde(borrow)]
    pub(super) message: Option<Text<'a>>,
}

/// The attributes of a key (section 2.2), as a program and as an auditor reads them.
#[derive(Debug, Deserialize)]
pub(super) struct SignedAttributes<'a> {
    /// The document that the attestation key signs. Only its root element tells where the key comes from.
    #[serde(borrow)]
    pub(super) xml: Option<Text<'a>>,
    /// The rest.
    #[serde(borrow)]
    pub(super) json: KeyAttributes<'a>,
}

/// The part `json` of [`SignedAttributes`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeyAttributes<'a> {
    /// The id of the key, in an encoding that no document settles.
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    /// The type of the key.
    #[serde(borrow)]
    pub(super) algorithm: Text<'a>,
    /// Bits; not always there.
    pub(super) key_size: Option<u32>,
    /// SubjectPublicKeyInfo, Base64 of DER; `None` for symmetric keys.
    #[serde(borrow)]
    pub(super) public_key: Option<Text<'a>>,
    /// Uses and protection.
    #[serde(default)]
    pub(super) attributes: Flags,
    /// Who has to approve what; only for keys under smart key attributes.
    pub(super) policy: Option<Policy>,
}

/// The part `attributes` of [`KeyAttributes`]; the flags of public halves are never told.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Flags {
    pub(super) decrypt: Option<bool>,
    pub(super) sign: Option<bool>,
    pub(super) unwrap: Option<bool>,
    pub(super) derive: Option<bool>,
    pub(super) sensitive: Option<bool>,
    pub(super) always_sensitive: Option<bool>,
    pub(super) extractable: Option<bool>,
    pub(super) never_extractable: Option<bool>,
    pub(super) modifiable: Option<bool>,
    pub(super) copyable: Option<bool>,
    pub(super) destroyable: Option<bool>,
}

/// The part `policy` of [`KeyAttributes`] (section 4).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Policy {
    rule_use: Option<Rule>,
}

#[derive(Debug, Deserialize)]
struct Rule {
    tokens: Option<Vec<IgnoredAny>>,
}

impl Policy {
    /// Whether a use waits for approvals: a rule without tokens asks for none.
    pub(super) fn guards_use(&self) -> bool {
        let tokens = self.rule_use.as_ref().and_then(|rule| rule.tokens.as_ref());
        tokens.is_some_and(|tokens| !tokens.is_empty())
    }
}

/// The certificate beside a key (section 2.11).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CertificateAnswer<'a> {
    /// Newer servers: Base64 of DER.
    #[serde(borrow)]
    pub(super) raw_certificate: Option<Text<'a>>,
    /// PEM, or Base64 of DER.
    #[serde(borrow)]
    pub(super) certificate: Option<Text<'a>>,
}

/// A signature (section 3.1).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SignAnswer<'a> {
    #[serde(borrow)]
    signature: Option<Text<'a>>,
    /// Some servers wrap the answer as requests are wrapped.
    #[serde(borrow)]
    sign_response: Option<InnerSignAnswer<'a>>,
}

#[derive(Debug, Deserialize)]
struct InnerSignAnswer<'a> {
    #[serde(borrow)]
    signature: Option<Text<'a>>,
}

impl<'a> SignAnswer<'a> {
    /// The signature, wherever it is.
    pub(super) fn signature(self) -> Option<Text<'a>> {
        self.signature.or(self.sign_response.and_then(|inner| inner.signature))
    }
}

/// A ciphertext (section 3.4).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EncryptAnswer<'a> {
    /// Ciphertext, with the tag behind it if there is one.
    #[serde(borrow)]
    pub(super) encrypted_payload: Option<Text<'a>>,
    /// Ciphertext alone; newer servers.
    #[serde(borrow)]
    pub(super) encrypted_payload_without_message_authentication_code: Option<Text<'a>>,
    /// What the server chose.
    #[serde(borrow)]
    pub(super) initialization_vector: Option<Text<'a>>,
    /// The tag alone; newer servers.
    #[serde(borrow)]
    pub(super) message_authentication_code: Option<Text<'a>>,
}

/// A plaintext (section 3.5).
#[derive(Debug, Deserialize)]
pub(super) struct DecryptAnswer<'a> {
    #[serde(borrow)]
    pub(super) payload: Option<Text<'a>>,
}

/// Random bytes (section 3.8).
#[derive(Debug, Deserialize)]
pub(super) struct RandomAnswer<'a> {
    #[serde(borrow)]
    pub(super) random: Option<Text<'a>>,
}

/// The version of the service (section 5), with an upper-case initial.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct VersionAnswer<'a> {
    #[serde(borrow)]
    pub(super) version: Option<Text<'a>>,
}

/// The flags of the licence (section 5).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LicenceAnswer<'a> {
    #[serde(borrow)]
    pub(super) client_flags: Option<Vec<Text<'a>>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: Body) -> String {
        String::from_utf8(body.finish().to_vec()).unwrap()
    }

    #[test]
    fn requests_are_those_of_the_worked_exchanges() {
        // W2 and W6 of the reference, without the optional `payloadType`; the digest is that of section 3.1.
        assert_eq!(text(Body::plain().text("label", "nope")), r#"{"label":"nope"}"#);
        let digest = STANDARD.decode("V9XQHTAVDqEypvi82Gf/IV1o2BrLQDRZMqKjjWpNxjM=").unwrap();
        let body = Body::wrapped("signRequest", digest.len())
            .binary("payload", &digest)
            .text("signKeyName", "my-ec")
            .text("signatureAlgorithm", "NONE_WITH_ECDSA");
        assert_eq!(
            text(body),
            r#"{"signRequest":{"payload":"V9XQHTAVDqEypvi82Gf/IV1o2BrLQDRZMqKjjWpNxjM=","signKeyName":"my-ec","signatureAlgorithm":"NONE_WITH_ECDSA"}}"#
        );
    }

    #[test]
    fn a_password_is_an_array_of_utf_16_units() {
        let with = |password: &str| text(Body::plain().password(Some(&password.into())));
        assert_eq!(with("pw"), r#"{"keyPassword":["p","w"]}"#);
        assert_eq!(with("\"\\\u{e9}"), r#"{"keyPassword":["\u0022","\u005c","\u00e9"]}"#);
        // U+1F511 is D83D DD11 in UTF-16.
        assert_eq!(with("\u{1f511}"), r#"{"keyPassword":["\ud83d","\udd11"]}"#);
        assert_eq!(with(""), "{}");
        assert_eq!(text(Body::plain().password(None)), "{}");
    }

    #[test]
    fn a_label_is_read_back_by_any_json_parser() {
        let label = "a\"b\\c\n\u{1}\u{7f}\u{e9}\u{1f511}";
        let body = text(Body::plain().text("label", label).number("tagLength", 128));
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(value["label"], label);
        assert_eq!(value["tagLength"], 128);
    }

    #[test]
    fn a_body_that_outgrows_its_room_stays_whole() {
        let long = "x".repeat(5000);
        let value: serde_json::Value =
            serde_json::from_str(&text(Body::plain().text("a", &long).binary("b", long.as_bytes()))).unwrap();
        assert_eq!(value["a"], long.as_str());
        assert_eq!(value["b"], STANDARD.encode(long).as_str());
    }

    #[test]
    fn a_body_within_its_room_is_never_moved() {
        let payload = [7_u8; 4096];
        let body = Body::wrapped("signRequest", payload.len());
        let place = body.bytes.as_ptr();
        let bytes = body.binary("payload", &payload).text("signKeyName", "demo").finish();
        assert_eq!(bytes.as_ptr(), place);
    }

    #[test]
    fn answers_borrow_from_their_body() {
        let body = r#"{"signature":"MEQCIGvSZ9Fylbf5"}"#;
        let answer: SignAnswer<'_> = serde_json::from_str(body).unwrap();
        assert!(matches!(answer.signature(), Some(Text(Cow::Borrowed("MEQCIGvSZ9Fylbf5")))));
    }

    #[test]
    fn a_signature_may_be_wrapped_or_missing() {
        let signature = |body| {
            let answer: SignAnswer<'_> = serde_json::from_str(body).unwrap();
            answer.signature().and_then(|text| text.binary())
        };
        assert_eq!(signature(r#"{"signResponse":{"signature":"YXNk"}}"#).unwrap(), b"asd");
        assert_eq!(signature(r#"{"signature":"YXNk","publicNonce":null}"#).unwrap(), b"asd");
        assert_eq!(signature("{}"), None);
        assert_eq!(signature(r#"{"signature":null}"#), None);
        assert_eq!(signature(r#"{"signature":"*"}"#), None);
    }

    #[test]
    fn answers_show_no_text() {
        let body =
            r#"{"payload":"c2VjcmV0","signature":"c2VjcmV0","random":"c2VjcmV0","message":"c2VjcmV0"}"#;
        let shown = [
            format!("{:?}", serde_json::from_str::<DecryptAnswer<'_>>(body).unwrap()),
            format!("{:#?}", serde_json::from_str::<SignAnswer<'_>>(body).unwrap()),
            format!("{:?}", serde_json::from_str::<RandomAnswer<'_>>(body).unwrap()),
            format!("{:?}", serde_json::from_str::<Fault<'_>>(body).unwrap()),
        ];
        assert!(shown.iter().all(|text| text.contains("[8 bytes]") && !text.contains("c2Vj")), "{shown:?}");
    }

    #[test]
    fn base64_is_read_with_and_without_padding() {
        assert_eq!(Text("YXM=".into()).binary().unwrap(), b"as");
        assert_eq!(Text("YXM".into()).binary().unwrap(), b"as");
        assert_eq!(Text("YX M=".into()).binary(), None);
    }

    #[test]
    fn policies_guard_only_with_tokens() {
        // The policies of section 4.
        let guards = |text: &str| serde_json::from_str::<Policy>(text).unwrap().guards_use();
        assert!(guards(
            r#"{"ruleUse":{"tokens":[{"name":"T","timelock":0,"timeout":600,"groups":[{"name":"G","quorum":1,
                "approvals":[{"type":"public_key","name":"alice","value":"AA=="}]}]}]},
                "ruleBlock":null,"ruleUnblock":null,"ruleModify":null,"keyStatus":{"blocked":false}}"#
        ));
        assert!(!guards(r#"{"keyStatus":{"blocked":false}}"#));
        assert!(!guards(r#"{"ruleUse":{"tokens":[]}}"#));
        assert!(!guards(r#"{"ruleUse":{"tokens":null}}"#));
    }
}
