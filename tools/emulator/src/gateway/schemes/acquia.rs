//! Acquia HTTP HMAC 2.0.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Presented, body_hash, field, fields, from_base64, missing, single, unix};
use crate::gateway::refusal::{Answer, Refusal};
use crate::vendor::Request;

/// Method, host, path, query, who signs, the headers that are named, time, and if there is a body its type and hash.
pub(super) fn read(request: &Request) -> Answer<Presented> {
    let value = single(request, "authorization")?;
    let items = value.strip_prefix("acquia-http-hmac ").unwrap_or_default().split(',');
    let fields = fields(items, &["realm", "id", "nonce", "version", "headers", "signature"], "\"");
    let fields = fields.ok_or_else(|| missing("Authorization has not the fields of acquia-http-hmac."))?;
    let of = |name: &str| field(&fields, name);
    let (key_id, nonce, realm, version) = (of("id")?, of("nonce")?, of("realm")?, of("version")?);
    if version != "2.0" {
        return Err(Refusal::new(401, "WRONG_VERSION", format!("{version:?} is not 2.0.")));
    }
    let timestamp = single(request, "x-authorization-timestamp")?;
    let account = format!("id={key_id}&nonce={nonce}&realm={realm}&version={version}");
    let mut lines: Vec<String> =
        [request.method.as_str(), single(request, "host")?, &request.path, &request.query, &account]
            .map(str::to_owned)
            .into();
    for name in of("headers")?.split(';').filter(|name| !name.is_empty()) {
        lines.push(format!("{}:{}", name.to_lowercase(), single(request, &name.to_lowercase())?));
    }
    lines.push(timestamp.to_owned());
    let mut intact = true;
    if !request.body.is_empty() {
        let hash = single(request, "x-authorization-content-sha256")?;
        intact = hash == STANDARD.encode(body_hash(request));
        lines.extend([single(request, "content-type")?.to_owned(), hash.to_owned()]);
    }
    let (signature, text) = (from_base64(of("signature")?), lines.join("\n").into_bytes());
    let shown = Presented::new(key_id, (timestamp, unix(timestamp, 1000)), signature, text);
    Ok(Presented { nonce: Some(nonce.to_owned()), intact, ..shown })
}

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::super::tests::request;
    use super::*;

    /// "GET 1" of reference §6.2.
    #[test]
    fn the_vector_of_acquia() {
        let authorization = "acquia-http-hmac realm=\"Pipet%20service\",id=\"efdde334-fe7b-11e4-a322-1697f925ec7b\",\
            nonce=\"d1954337-5319-4821-8427-115542e08d10\",version=\"2.0\",headers=\"\",\
            signature=\"MRlPr/Z1WQY2sMthcaEqETRMw4gPYXlPcTpaLWS2gcc=\"";
        let headers = [
            ("authorization", authorization),
            ("host", "example.acquiapipet.net"),
            ("x-authorization-timestamp", "1432075982"),
        ];
        let secret = from_base64("W5PeGMxSItNerkNFqQMfYiJvH14WzVJMy54CPoTAYoI=");
        let read = |target| read(&request(Method::GET, target, &headers, "")).ok().unwrap();
        let presented = read("/v1.0/task-status/133?limit=10");
        assert!(presented.is_signed_with(&secret) && !presented.is_signed_with(b"another"));
        assert_eq!(presented.nonce.as_deref(), Some("d1954337-5319-4821-8427-115542e08d10"));
        assert!(!read("/v1.0/task-status/133?limit=11").is_signed_with(&secret));
    }

    #[test]
    fn a_body_is_signed_with_its_type() {
        let headers = [
            (
                "authorization",
                "acquia-http-hmac realm=\"r\",id=\"i\",nonce=\"n\",version=\"2.0\",headers=\"\",signature=\"AA==\"",
            ),
            ("host", "h"),
            ("x-authorization-timestamp", "1432075982"),
            ("content-type", "application/json"),
        ];
        let bare = read(&request(Method::POST, "/", &headers, "{}")).map(drop);
        assert_eq!(bare.unwrap_err().error, "MISSING_HEADER", "its hash");
    }
}
