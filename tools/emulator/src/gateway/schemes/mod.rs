//! What the ways of signing carry and what they sign, computed from the request as it came in: reference §4 to §6. One
//! file for each family, with the vectors of the reference as its tests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::refusal::{Answer, Refusal};
use super::settings::{Scheme, Settings};
use super::verify::Signed;
use crate::vendor::{Reply, Request};

mod acquia;
mod amx;
mod azure;
mod bitgo;
mod hawk;
mod own;
mod rfc9421;
mod sigv4;

/// What a request shows of its sender.
pub(super) struct Presented {
    /// The name of the secret, or what [`Scheme::BitGo3`] has in its place: the hash of it.
    pub(super) key_id: String,
    /// As it was sent.
    pub(super) timestamp: String,
    /// The same in milliseconds since 1970; `None`: it is no time.
    pub(super) sent: Option<i64>,
    /// Absent where the scheme has none.
    pub(super) nonce: Option<String>,
    signature: Vec<u8>,
    key: Key,
    /// What may have been signed: one text, or two where the request does not tell whether it came over TLS.
    texts: Vec<Vec<u8>>,
    /// Whether the hash that the request carries is that of its body.
    intact: bool,
}

/// What signs.
enum Key {
    Secret,
    /// Signature Version 4: derived for date, region and service.
    Derived([String; 3]),
}

impl Presented {
    /// Without a nonce, signed with the secret itself.
    fn new(
        key_id: &str,
        (timestamp, sent): (&str, Option<i64>),
        signature: Vec<u8>,
        text: Vec<u8>,
    ) -> Presented {
        Presented {
            key_id: key_id.to_owned(),
            timestamp: timestamp.to_owned(),
            sent,
            nonce: None,
            signature,
            key: Key::Secret,
            texts: vec![text],
            intact: true,
        }
    }

    /// Whether the signature was made with this secret. In constant time.
    pub(super) fn is_signed_with(&self, secret: &[u8]) -> bool {
        let key = match &self.key {
            Key::Secret => secret.to_vec(),
            Key::Derived(scope) => sigv4::derived(secret, scope),
        };
        let matching = self.texts.iter().filter(|text| {
            Hmac::<Sha256>::new_from_slice(&key)
                .is_ok_and(|mac| mac.chain_update(text).verify_slice(&self.signature).is_ok())
        });
        matching.count() > 0 && self.intact
    }
}

/// Reads the headers of the scheme; the version, too, where it has one.
pub(super) fn read(settings: &Settings, request: &Request) -> Answer<Presented> {
    let unit = if settings.milliseconds { 1 } else { 1000 };
    match settings.scheme {
        Scheme::V3 => own::v3(request, unit),
        Scheme::TsBody => own::ts_body(request, unit),
        Scheme::MethodPathBody => own::method_path_body(request, unit),
        Scheme::Amx => amx::read(request, unit),
        Scheme::Hawk => hawk::read(request),
        Scheme::BitGo3 => bitgo::read(request),
        Scheme::Azure => azure::read(request),
        Scheme::Acquia2 => acquia::read(request),
        Scheme::SigV4 => sigv4::read(request),
        Scheme::Rfc9421 => rfc9421::read(request),
    }
}

/// Whether a signature is in `Authorization`.
pub(super) fn takes_authorization(scheme: Scheme) -> bool {
    match scheme {
        Scheme::V3 | Scheme::TsBody | Scheme::MethodPathBody | Scheme::Rfc9421 => false,
        Scheme::Amx | Scheme::Hawk | Scheme::BitGo3 | Scheme::Azure | Scheme::Acquia2 | Scheme::SigV4 => true,
    }
}

/// The header that carries the token, in lower case: not one that a signature needs.
pub(super) fn token_header(scheme: Scheme) -> &'static str {
    if takes_authorization(scheme) { "x-authorization" } else { "authorization" }
}

/// Signs an answer by the secret of its request, where the scheme has it so or the settings want it; `now`: in milliseconds.
pub(super) fn sign_answer(
    settings: &Settings,
    request: &Request,
    signed: &Signed,
    now: i64,
    reply: &mut Reply,
) {
    let mac = |head: String, body: &[u8]| {
        let mac = Hmac::<Sha256>::new_from_slice(signed.secret.as_bytes()).ok()?;
        Some(mac.chain_update(head).chain_update(body).finalize().into_bytes())
    };
    let usual = || mac(format!("{}\n{}\n", signed.nonce, signed.timestamp), &reply.body);
    let line = match settings.scheme {
        Scheme::Acquia2 => usual().map(|mac| ("x-server-authorization-hmac-sha256", STANDARD.encode(mac))),
        Scheme::BitGo3 => {
            mac(bitgo::answer_head(request, now, reply.status), &reply.body).map(|mac| ("hmac", hex(&mac)))
        }
        _ if settings.signed_answers => usual().map(|mac| ("x-response-signature", hex(&mac))),
        _ => None,
    };
    reply.headers.extend(line);
    if settings.scheme == Scheme::BitGo3 {
        reply.headers.push(("timestamp", now.to_string()));
    }
}

/// Refuses what has not the form of the scheme.
fn missing(what: &str) -> Refusal {
    Refusal::new(401, "MISSING_HEADER", what)
}

/// A number of seconds (`unit` 1000) or milliseconds (1), in milliseconds.
fn unix(text: &str, unit: i64) -> Option<i64> {
    let number: i64 = text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse().ok())??;
    Some(number.saturating_mul(unit))
}

fn from_base64(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap_or_default()
}

/// The SHA-256 of the body.
fn body_hash(request: &Request) -> impl AsRef<[u8]> {
    Sha256::digest(&request.body)
}

/// Each value behind its name, between these quotation marks. No name stands twice.
fn fields<'r>(
    items: impl Iterator<Item = &'r str>,
    known: &[&str],
    mark: &str,
) -> Option<Vec<(&'r str, &'r str)>> {
    let mut fields: Vec<(&str, &str)> = Vec::new();
    for item in items {
        let (name, value) = item.split_once('=')?;
        let value = value.strip_prefix(mark)?.strip_suffix(mark)?;
        let twice = fields.iter().any(|(other, _)| *other == name);
        if !known.contains(&name) || value.contains('"') || twice {
            return None;
        }
        fields.push((name, value));
    }
    Some(fields)
}

fn field<'r>(fields: &[(&str, &'r str)], name: &str) -> Answer<&'r str> {
    let found = fields.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    found.ok_or_else(|| missing(&format!("The signature has no {name}.")))
}

/// The value of a header that must be there exactly once.
fn single<'r>(request: &'r Request, name: &str) -> Answer<&'r str> {
    let mut values = request.headers.get_all(name).iter();
    let value = values.next().and_then(|value| value.to_str().ok());
    match (value, values.next()) {
        (Some(value), None) if !value.is_empty() => Ok(value),
        _ => Err(Refusal::new(401, "MISSING_HEADER", format!("{name} must be there, once."))),
    }
}

fn path_and_query(request: &Request) -> String {
    match request.query.as_str() {
        "" => request.path.clone(),
        query => format!("{}?{query}", request.path),
    }
}

/// In lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What lower-case digits stand for; what they are not is no signature.
fn from_hex(text: &str) -> Vec<u8> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks(2).map(|pair| match *pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect::<Option<Vec<u8>>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::header::{HeaderName, HeaderValue};
    use hyper::{HeaderMap, Method};

    use crate::vendor::Request;

    /// The common values of reference §6.1.
    pub(super) const BODY: &str = r#"{"certificateSN":"1234567890ABCDEF","hashArray":["n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="]}"#;
    pub(super) const SECRET: &[u8] = b"test-secret-0123456789abcdef";
    pub(super) const NONCE: &str = "6f1e7b0c-2a4d-4c3e-9b8f-0d5a1e2f3c4b";

    pub(super) fn request(method: Method, target: &str, headers: &[(&str, &str)], body: &str) -> Request {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        Request {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
            headers: map,
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    #[test]
    fn fields_are_known_and_stand_once() {
        let read = |text: &'static str, mark| super::fields(text.split(','), &["a", "b"], mark);
        assert_eq!(read(r#"a="1",b="""#, "\""), Some(vec![("a", "1"), ("b", "")]));
        assert_eq!(read("a=1,b=2", ""), Some(vec![("a", "1"), ("b", "2")]));
        for wrong in [r#"a="1",a="2""#, r#"c="2""#, r#"a="1"#, r#"a="1"2""#, "a=1", r#"a=""#, "a"] {
            assert_eq!(read(wrong, "\""), None, "{wrong}");
        }
        assert_eq!(read(r#"a="1""#, ""), None);
    }
}
