//! Azure App Configuration.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Presented, body_hash, field, fields, from_base64, missing, path_and_query, single};
use crate::clock;
use crate::gateway::refusal::Answer;
use crate::vendor::Request;

/// What is signed besides method and address, in this order.
const SIGNED: &str = "x-ms-date;host;x-ms-content-sha256";

/// Method, path with query, and the three headers.
pub(super) fn read(request: &Request) -> Answer<Presented> {
    let value = single(request, "authorization")?;
    let items = value.strip_prefix("HMAC-SHA256 ").unwrap_or_default().split('&');
    let fields = fields(items, &["Credential", "SignedHeaders", "Signature"], "");
    let fields = fields.ok_or_else(|| missing("Authorization has not the fields of HMAC-SHA256."))?;
    if field(&fields, "SignedHeaders")? != SIGNED {
        return Err(missing("SignedHeaders is not what it must be."));
    }
    let date = single(request, "x-ms-date")?;
    let hash = single(request, "x-ms-content-sha256")?;
    let (method, address) = (request.method.as_str(), path_and_query(request));
    let text = format!("{method}\n{address}\n{date};{};{hash}", single(request, "host")?).into_bytes();
    let signature = from_base64(field(&fields, "Signature")?);
    let sent = clock::from_http_date(date).map(|seconds| 1000 * seconds);
    let shown = Presented::new(field(&fields, "Credential")?, (date, sent), signature, text);
    Ok(Presented { intact: hash == STANDARD.encode(body_hash(request)), ..shown })
}

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::super::tests::{SECRET, request};
    use super::*;

    /// V7 of the reference.
    #[test]
    fn the_vector_of_azure() {
        let authorization = format!(
            "HMAC-SHA256 Credential=id&SignedHeaders={SIGNED}&Signature=deeRqFpqBNIBKwMGoyUn89fkvZJsMg3Wl9Zw8HY1REE="
        );
        let headers = [
            ("authorization", authorization.as_str()),
            ("host", "example.azconfig.io"),
            ("x-ms-date", "Fri, 11 May 2018 18:48:36 GMT"),
            ("x-ms-content-sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
        ];
        let target = "/kv?api-version=1.0";
        let presented = read(&request(Method::GET, target, &headers, "")).ok().unwrap();
        assert!(presented.is_signed_with(SECRET));
        assert_eq!((presented.key_id.as_str(), presented.sent), ("id", Some(1_526_064_516_000)));
        assert!(!read(&request(Method::GET, target, &headers, "x")).ok().unwrap().is_signed_with(SECRET));
        let fewer = [("authorization", "HMAC-SHA256 Credential=id&SignedHeaders=host&Signature=AA==")];
        let fewer = request(Method::GET, target, &[&fewer[..], &headers[1..]].concat(), "");
        assert_eq!(read(&fewer).map(drop).unwrap_err().error, "MISSING_HEADER");
    }
}
