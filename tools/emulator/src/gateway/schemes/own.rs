//! The reference's own profile, and two of the simplest kind.

use super::{Presented, body_hash, from_hex, hex, path_and_query, single, unix};
use crate::gateway::refusal::{Answer, Refusal};
use crate::vendor::Request;

/// Eight lines: reference §5.
pub(super) fn v3(request: &Request, unit: i64) -> Answer<Presented> {
    let version = single(request, "x-auth-version")?;
    let key_id = single(request, "x-key-id")?;
    let timestamp = single(request, "x-timestamp")?;
    let nonce = single(request, "x-nonce")?;
    let signature = single(request, "x-signature")?;
    if version != "v3.0" {
        return Err(Refusal::new(401, "WRONG_VERSION", format!("{version:?} is not v3.0.")));
    }
    let hash = hex(body_hash(request).as_ref());
    let intact = match request.headers.contains_key("x-content-sha256") {
        true => single(request, "x-content-sha256")? == hash,
        false => true,
    };
    let lines =
        ["v3.0", request.method.as_str(), &request.path, &request.query, timestamp, nonce, key_id, &hash];
    let text = lines.join("\n").into_bytes();
    let shown = Presented::new(key_id, (timestamp, unix(timestamp, unit)), from_hex(signature), text);
    Ok(Presented { nonce: Some(nonce.to_owned()), intact, ..shown })
}

/// `{timestamp}.{body}`, as many web hooks have it: neither path nor nonce.
pub(super) fn ts_body(request: &Request, unit: i64) -> Answer<Presented> {
    let key_id = single(request, "x-api-key")?;
    let timestamp = single(request, "x-timestamp")?;
    let text = [timestamp.as_bytes(), b".", &request.body].concat();
    let signature = from_hex(single(request, "x-signature")?);
    Ok(Presented::new(key_id, (timestamp, unix(timestamp, unit)), signature, text))
}

/// Method, path with query, body and time.
pub(super) fn method_path_body(request: &Request, unit: i64) -> Answer<Presented> {
    let key_id = single(request, "x-key-id")?;
    let timestamp = single(request, "x-timestamp")?;
    let head = format!("{}\n{}\n", request.method, path_and_query(request));
    let text = [head.as_bytes(), &request.body, b"\n", timestamp.as_bytes()].concat();
    let signature = from_hex(single(request, "x-signature")?);
    Ok(Presented::new(key_id, (timestamp, unix(timestamp, unit)), signature, text))
}

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::super::tests::{BODY, NONCE, SECRET, request};
    use super::*;

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
        let presented = v3(&request(Method::POST, "/api/sign/signhash", &v1, BODY), 1000).ok().unwrap();
        assert!(presented.is_signed_with(SECRET) && !presented.is_signed_with(b"another"));
        let v2 = v3_headers("559e508466eaf8fb10c6073414787b089ca89b117e7cda90efd4c9ffec917bab");
        let target = "/api/v1/keys?a=1&b=%C3%A9&b=x%20y";
        assert!(v3(&request(Method::GET, target, &v2, ""), 1000).ok().unwrap().is_signed_with(SECRET));
        assert!(!v3(&request(Method::GET, target, &v2, " "), 1000).ok().unwrap().is_signed_with(SECRET));
    }

    #[test]
    fn headers_must_be_there_once_and_the_version_known() {
        let error = |headers: &[(&str, &str)]| {
            v3(&request(Method::GET, "/", headers, ""), 1000).map(drop).unwrap_err().error
        };
        let all = v3_headers("00");
        assert_eq!(error(&all[1..]), "MISSING_HEADER");
        assert_eq!(error(&[&all[..], &all[4..]].concat()), "MISSING_HEADER");
        assert_eq!(error(&[&[("x-auth-version", "v2.0")], &all[1..]].concat()), "WRONG_VERSION");
    }

    /// V5 of the reference.
    #[test]
    fn the_vector_of_time_and_body() {
        let headers = [
            ("x-api-key", "client-001"),
            ("x-timestamp", "1700000000"),
            ("x-signature", "7bceb6af7b7fda404f44b30929995bd21afb58fc6f4b2c6613f4ca2947df809b"),
        ];
        let presented = ts_body(&request(Method::POST, "/any", &headers, BODY), 1000).ok().unwrap();
        assert!(presented.is_signed_with(SECRET));
    }

    /// V6 of the reference.
    #[test]
    fn the_vector_of_method_path_body() {
        let headers = [
            ("x-key-id", "client-001"),
            ("x-timestamp", "1700000000"),
            ("x-signature", "23e6576f4b7c8673063d997665a9c3dec0bd742c59fd55080d4feb0e3f240e91"),
        ];
        let read =
            |target| method_path_body(&request(Method::POST, target, &headers, BODY), 1000).ok().unwrap();
        assert!(read("/api/sign/signhash").is_signed_with(SECRET));
        assert!(!read("/api/sign/signhash?a").is_signed_with(SECRET));
        assert_eq!(read("/").sent, Some(1_700_000_000_000));
    }
}
