//! Hawk 1.1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::{Presented, field, fields, from_base64, missing, path_and_query, single, unix};
use crate::gateway::refusal::Answer;
use crate::vendor::Request;

/// The header string of Hawk 1.1, and its hash of the payload.
pub(super) fn read(request: &Request) -> Answer<Presented> {
    let value = single(request, "authorization")?;
    let items = value.strip_prefix("Hawk ").unwrap_or_default().split(", ");
    let fields = fields(items, &["id", "ts", "nonce", "hash", "ext", "mac"], "\"");
    let fields = fields.ok_or_else(|| missing("Authorization has not the fields of Hawk."))?;
    let of = |name: &str| field(&fields, name);
    let (key_id, timestamp, nonce, mac) = (of("id")?, of("ts")?, of("nonce")?, of("mac")?);
    let hash = if request.body.is_empty() { of("hash").unwrap_or_default() } else { of("hash")? };
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
            of("ext").unwrap_or_default(),
            "",
        ];
        lines.join("\n").into_bytes()
    };
    let texts = ports.into_iter().map(text).collect();
    let shown = Presented::new(key_id, (timestamp, unix(timestamp, 1000)), from_base64(mac), Vec::new());
    let intact = hash.is_empty() && request.body.is_empty() || hash == payload(request);
    Ok(Presented { nonce: Some(nonce.to_owned()), texts, intact, ..shown })
}

fn payload(request: &Request) -> String {
    let media_type = request.header("content-type").unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_lowercase();
    let mut hash = Sha256::new();
    for part in [b"hawk.1.payload\n", media_type.as_bytes(), b"\n", &request.body, b"\n"] {
        hash.update(part);
    }
    STANDARD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::super::tests::request;
    use super::*;

    /// The examples of Hawk's own page.
    #[test]
    fn the_vectors_of_hawk() {
        let secret = b"werxhqb98rpaxn39848xrunpaw3489ruxnpa98w4rxn";
        let target = "/resource/1?b=1&a=2";
        let value = |hash: &str, mac: &str| {
            format!(
                "Hawk id=\"dh37fgj492je\", ts=\"1353832234\", nonce=\"j4h3g2\", {hash}ext=\"some-app-ext-data\", mac=\"{mac}\""
            )
        };
        let get = value("", "6R4rV5iE+NPoym+WwjeHzjAGXUtLNIxmo1vpMofpLAE=");
        let headers = [("authorization", get.as_str()), ("host", "example.com:8000")];
        assert!(read(&request(Method::GET, target, &headers, "")).ok().unwrap().is_signed_with(secret));
        let hash = "hash=\"Yi9LfIIFRtBEPt74PVmbTF/xVAwPn7ub15ePICfgnuY=\", ";
        let post = value(hash, "aSe1DERmZuRl3pI36/9BdZmnErTw3sNzOOAUlfeKjVw=");
        let headers =
            [("authorization", post.as_str()), ("host", "example.com:8000"), ("content-type", "text/plain")];
        let body = "Thank you for flying Hawk";
        assert!(read(&request(Method::POST, target, &headers, body)).ok().unwrap().is_signed_with(secret));
        assert!(
            !read(&request(Method::POST, target, &headers, "thank")).ok().unwrap().is_signed_with(secret)
        );
        let bare = value("", "6R4rV5iE+NPoym+WwjeHzjAGXUtLNIxmo1vpMofpLAE=");
        let headers = [("authorization", bare.as_str()), ("host", "example.com:8000")];
        assert!(read(&request(Method::POST, target, &headers, body)).is_err());
    }
}
