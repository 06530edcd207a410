//! What the ways of signing carry and what they sign, computed from the request as it came in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use md5::Md5;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::refusal::{Answer, Refusal};
use super::settings::{Scheme, Settings};
use crate::vendor::Request;

/// What a request shows of its sender.
pub(super) struct Presented {
    pub(super) key_id: String,
    /// As it was sent.
    pub(super) timestamp: String,
    /// Absent where the scheme has none.
    pub(super) nonce: Option<String>,
    signature: Vec<u8>,
    /// What may have been signed: one text, or two where the request does not tell whether it came over TLS.
    texts: Vec<Vec<u8>>,
    /// Whether the hash that the request carries is that of its body.
    intact: bool,
}

impl Presented {
    /// Whether the signature was made with this secret. In constant time.
    pub(super) fn is_signed_with(&self, secret: &str) -> bool {
        let matching = self.texts.iter().filter(|text| {
            Hmac::<Sha256>::new_from_slice(secret.as_bytes())
                .is_ok_and(|mac| mac.chain_update(text).verify_slice(&self.signature).is_ok())
        });
        matching.count() > 0 && self.intact
    }
}

/// Reads the headers of the scheme; the version, too, where it has one.
pub(super) fn read(settings: &Settings, request: &Request) -> Answer<Presented> {
    match settings.scheme {
        Scheme::V3 => v3(request),
        Scheme::Amx => amx(request),
        Scheme::Hawk => hawk(request),
        Scheme::TsBody => ts_body(request),
    }
}

/// The header that carries the token, in lower case: not one that a signature needs.
pub(super) fn token_header(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::V3 | Scheme::TsBody => "authorization",
        Scheme::Amx | Scheme::Hawk => "x-authorization",
    }
}

/// Eight lines: reference §5.
fn v3(request: &Request) -> Answer<Presented> {
    let version = single(request, "x-auth-version")?;
    let key_id = single(request, "x-key-id")?;
    let timestamp = single(request, "x-timestamp")?;
    let nonce = single(request, "x-nonce")?;
    let signature = single(request, "x-signature")?;
    if version != "v3.0" {
        return Err(Refusal::new(401, "WRONG_VERSION", format!("{version:?} is not v3.0.")));
    }
    let hash = hex(&Sha256::digest(&request.body));
    let intact = match request.headers.contains_key("x-content-sha256") {
        true => single(request, "x-content-sha256")? == hash,
        false => true,
    };
    let lines =
        ["v3.0", request.method.as_str(), &request.path, &request.query, timestamp, nonce, key_id, &hash];
    Ok(Presented {
        key_id: key_id.to_owned(),
        timestamp: timestamp.to_owned(),
        nonce: Some(nonce.to_owned()),
        signature: from_hex(signature),
        texts: vec![lines.join("\n").into_bytes()],
        intact,
    })
}

/// `amx {id}:{signature}:{nonce}:{timestamp}` over id, method, address, time, nonce and MD5 of the body.
fn amx(request: &Request) -> Answer<Presented> {
    let value = single(request, "authorization")?;
    let missing = || Refusal::new(401, "MISSING_HEADER", "Authorization is not amx id:signature:nonce:time.");
    let parts: Vec<&str> = value.strip_prefix("amx ").ok_or_else(missing)?.split(':').collect();
    let [key_id, signature, nonce, timestamp] = parts[..] else { return Err(missing()) };
    let body = match request.body.is_empty() {
        true => String::new(),
        false => STANDARD.encode(Md5::digest(&request.body)),
    };
    let host = single(request, "host")?;
    let text = |scheme: &str| {
        let address = format!("{scheme}://{host}{}", path_and_query(request)).to_lowercase();
        let address = url_encode(&address);
        format!("{key_id}{}{address}{timestamp}{nonce}{body}", request.method.as_str()).into_bytes()
    };
    Ok(Presented {
        key_id: key_id.to_owned(),
        timestamp: timestamp.to_owned(),
        nonce: Some(nonce.to_owned()),
        signature: STANDARD.decode(signature).unwrap_or_default(),
        texts: vec![text("http"), text("https")],
        intact: true,
    })
}

/// The header string of Hawk 1.1, and its hash of the payload.
fn hawk(request: &Request) -> Answer<Presented> {
    let value = single(request, "authorization")?;
    let missing =
        |what: &str| Refusal::new(401, "MISSING_HEADER", format!("Authorization has no {what} of Hawk."));
    let fields = hawk_fields(value).ok_or_else(|| missing("well-formed fields"))?;
    let field = |name: &str| fields.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let key_id = field("id").ok_or_else(|| missing("id"))?;
    let timestamp = field("ts").ok_or_else(|| missing("ts"))?;
    let nonce = field("nonce").ok_or_else(|| missing("nonce"))?;
    let mac = field("mac").ok_or_else(|| missing("mac"))?;
    let hash = field("hash").unwrap_or_default();
    if hash.is_empty() && !request.body.is_empty() {
        return Err(missing("hash"));
    }
    let host = single(request, "host")?.to_lowercase();
    let (host, ports) = match host.rsplit_once(':') {
        Some((host, port)) => (host, vec![port]),
        None => (host.as_str(), vec!["80", "443"]),
    };
    let text = |port: &str| {
        let lines = [
            "hawk.1.header",
            timestamp,
            nonce,
            request.method.as_str(),
            &path_and_query(request),
            host,
            port,
            hash,
            field("ext").unwrap_or_default(),
            "",
        ];
        lines.join("\n").into_bytes()
    };
    Ok(Presented {
        key_id: key_id.to_owned(),
        timestamp: timestamp.to_owned(),
        nonce: Some(nonce.to_owned()),
        signature: STANDARD.decode(mac).unwrap_or_default(),
        texts: ports.into_iter().map(text).collect(),
        intact: hash.is_empty() || hash == hawk_payload(request),
    })
}

fn hawk_payload(request: &Request) -> String {
    let media_type = request.header("content-type").unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_lowercase();
    let mut hash = Sha256::new();
    for part in [b"hawk.1.payload\n", media_type.as_bytes(), b"\n", &request.body, b"\n"] {
        hash.update(part);
    }
    STANDARD.encode(hash.finalize())
}

/// `Hawk name="value", …`: no value has a quotation mark, no name stands twice.
fn hawk_fields(value: &str) -> Option<Vec<(&str, &str)>> {
    let mut fields: Vec<(&str, &str)> = Vec::new();
    for item in value.strip_prefix("Hawk ")?.split(", ") {
        let (name, value) = item.split_once("=\"")?;
        let value = value.strip_suffix('"')?;
        let known = ["id", "ts", "nonce", "hash", "ext", "mac"].contains(&name);
        if !known || value.contains('"') || fields.iter().any(|(other, _)| *other == name) {
            return None;
        }
        fields.push((name, value));
    }
    Some(fields)
}

/// `{timestamp}.{body}`, as many web hooks have it: neither path nor nonce.
fn ts_body(request: &Request) -> Answer<Presented> {
    let key_id = single(request, "x-api-key")?;
    let timestamp = single(request, "x-timestamp")?;
    let signature = single(request, "x-signature")?;
    Ok(Presented {
        key_id: key_id.to_owned(),
        timestamp: timestamp.to_owned(),
        nonce: None,
        signature: from_hex(signature),
        texts: vec![[timestamp.as_bytes(), b".", &request.body].concat()],
        intact: true,
    })
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

/// As .NET's `HttpUtility.UrlEncode`: escapes in lower case, a plus for a blank.
fn url_encode(text: &str) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'!')
        .remove(b'*')
        .remove(b'(')
        .remove(b')');
    // Nothing but escapes has capitals: the text was in lower case.
    utf8_percent_encode(text, ESCAPED).to_string().to_lowercase().replace("%20", "+")
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

    use super::*;

    const BODY: &str = r#"{"certificateSN":"1234567890ABCDEF","hashArray":["n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="]}"#;
    const SECRET: &str = "test-secret-0123456789abcdef";
    const NONCE: &str = "6f1e7b0c-2a4d-4c3e-9b8f-0d5a1e2f3c4b";

    fn request(method: Method, target: &str, headers: &[(&str, &str)], body: &str) -> Request {
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

    fn v3_headers(signature: &str) -> [(&str, &str); 5] {
        [
            ("x-auth-version", "v3.0"),
            ("x-key-id", "client-001"),
            ("x-timestamp", "1700000000"),
            ("x-nonce", NONCE),
            ("x-signature", signature),
        ]
    }

    /// V1 and V2 of the reference §6.1.
    #[test]
    fn the_vectors_of_the_profile() {
        let v1 = v3_headers("55205aaf6e599e6d8db0dec964c3b4d0d7115bed39f4a42a4111e4706064f5be");
        let presented = v3(&request(Method::POST, "/api/sign/signhash", &v1, BODY)).ok().unwrap();
        assert!(presented.is_signed_with(SECRET) && !presented.is_signed_with("another"));
        let v2 = v3_headers("559e508466eaf8fb10c6073414787b089ca89b117e7cda90efd4c9ffec917bab");
        let target = "/api/v1/keys?a=1&b=%C3%A9&b=x%20y";
        assert!(v3(&request(Method::GET, target, &v2, "")).ok().unwrap().is_signed_with(SECRET));
        assert!(!v3(&request(Method::GET, target, &v2, " ")).ok().unwrap().is_signed_with(SECRET));
    }

    #[test]
    fn headers_must_be_there_once_and_the_version_known() {
        let error = |headers: &[(&str, &str)]| {
            v3(&request(Method::GET, "/", headers, "")).map(drop).unwrap_err().error
        };
        let all = v3_headers("00");
        assert_eq!(error(&all[1..]), "MISSING_HEADER");
        assert_eq!(error(&[&all[..], &all[4..]].concat()), "MISSING_HEADER");
        assert_eq!(error(&[&[("x-auth-version", "v2.0")], &all[1..]].concat()), "WRONG_VERSION");
    }

    /// V4 of the reference. The secret is the text that the base64 stands for, which need not be UTF-8: so the text is
    /// checked, and not the signature.
    #[test]
    fn amx_signs_the_address_in_lower_case() {
        let nonce = "7ed378c1967441bbafa469e1d88f7d18";
        let value = format!(
            "amx 4d53bce03ec34c0a911182d4c228ee6c:8gYGZ+v28mXvedEyskfVT9qAojoviFmMojvDnEXuF6s=:{nonce}:1700000000"
        );
        let headers = [("authorization", value.as_str()), ("host", "gw.example")];
        let presented = amx(&request(Method::POST, "/api/Sign/SignHash", &headers, BODY)).ok().unwrap();
        let text = format!(
            "4d53bce03ec34c0a911182d4c228ee6cPOSThttps%3a%2f%2fgw.example%2fapi%2fsign%2fsignhash1700000000{nonce}xFFqwkMJl84dB/gFVYSoqQ=="
        );
        assert_eq!(String::from_utf8_lossy(&presented.texts[1]), text);
        let secret = STANDARD.decode("A93reRTUJHsCuQSHR+L3GxqOJyDmQpCgps102ciuabc=").unwrap();
        let mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap().chain_update(&presented.texts[1]);
        assert!(mac.verify_slice(&presented.signature).is_ok());
    }

    /// The examples of Hawk's own page.
    #[test]
    fn the_vectors_of_hawk() {
        let secret = "werxhqb98rpaxn39848xrunpaw3489ruxnpa98w4rxn";
        let target = "/resource/1?b=1&a=2";
        let value = |hash: &str, mac: &str| {
            format!(
                "Hawk id=\"dh37fgj492je\", ts=\"1353832234\", nonce=\"j4h3g2\", {hash}ext=\"some-app-ext-data\", mac=\"{mac}\""
            )
        };
        let get = value("", "6R4rV5iE+NPoym+WwjeHzjAGXUtLNIxmo1vpMofpLAE=");
        let headers = [("authorization", get.as_str()), ("host", "example.com:8000")];
        assert!(hawk(&request(Method::GET, target, &headers, "")).ok().unwrap().is_signed_with(secret));
        let hash = "hash=\"Yi9LfIIFRtBEPt74PVmbTF/xVAwPn7ub15ePICfgnuY=\", ";
        let post = value(hash, "aSe1DERmZuRl3pI36/9BdZmnErTw3sNzOOAUlfeKjVw=");
        let headers =
            [("authorization", post.as_str()), ("host", "example.com:8000"), ("content-type", "text/plain")];
        let body = "Thank you for flying Hawk";
        assert!(hawk(&request(Method::POST, target, &headers, body)).ok().unwrap().is_signed_with(secret));
        assert!(
            !hawk(&request(Method::POST, target, &headers, "thank")).ok().unwrap().is_signed_with(secret)
        );
        let bare = value("", "6R4rV5iE+NPoym+WwjeHzjAGXUtLNIxmo1vpMofpLAE=");
        let headers = [("authorization", bare.as_str()), ("host", "example.com:8000")];
        assert!(hawk(&request(Method::POST, target, &headers, body)).is_err());
    }

    /// V5 of the reference.
    #[test]
    fn the_vector_of_time_and_body() {
        let headers = [
            ("x-api-key", "client-001"),
            ("x-timestamp", "1700000000"),
            ("x-signature", "7bceb6af7b7fda404f44b30929995bd21afb58fc6f4b2c6613f4ca2947df809b"),
        ];
        let presented = ts_body(&request(Method::POST, "/any", &headers, BODY)).ok().unwrap();
        assert!(presented.is_signed_with(SECRET));
    }
}
