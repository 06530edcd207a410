//! AWS Signature Version 4.

use hmac::{Hmac, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};

use super::{Key, Presented, body_hash, field, fields, from_hex, hex, missing, single};
use crate::clock;
use crate::gateway::refusal::Answer;
use crate::vendor::Request;

/// All but what RFC 3986 §2.3 has as unreserved.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn read(request: &Request) -> Answer<Presented> {
    let value = single(request, "authorization")?;
    let items = value.strip_prefix("AWS4-HMAC-SHA256 ").unwrap_or_default().split(", ");
    let fields = fields(items, &["Credential", "SignedHeaders", "Signature"], "");
    let fields = fields.ok_or_else(|| missing("Authorization has not the fields of AWS4-HMAC-SHA256."))?;
    let scope: Vec<&str> = field(&fields, "Credential")?.split('/').collect();
    let [key_id, date, region, service, "aws4_request"] = scope[..] else {
        return Err(missing("Credential is not id/date/region/service/aws4_request."));
    };
    let timestamp = single(request, "x-amz-date")?;
    if timestamp.get(..8) != Some(date) {
        return Err(missing("Credential has another date than X-Amz-Date."));
    }
    let names = field(&fields, "SignedHeaders")?;
    let hash = hex(&Sha256::digest(canonical(request, names)?));
    let text = format!("AWS4-HMAC-SHA256\n{timestamp}\n{date}/{region}/{service}/aws4_request\n{hash}");
    let sent = clock::from_basic(timestamp).map(|seconds| 1000 * seconds);
    let signature = from_hex(field(&fields, "Signature")?);
    let shown = Presented::new(key_id, (timestamp, sent), signature, text.into_bytes());
    Ok(Presented { key: Key::Derived([date, region, service].map(str::to_owned)), ..shown })
}

/// The key for date, region and service.
pub(super) fn derived(secret: &[u8], scope: &[String; 3]) -> Vec<u8> {
    let steps = scope.iter().map(String::as_str).chain(["aws4_request"]);
    steps.fold([b"AWS4", secret].concat(), |key, part| {
        let mac =
            Hmac::<Sha256>::new_from_slice(&key).map(|mac| mac.chain_update(part).finalize().into_bytes());
        mac.map(|mac| mac.to_vec()).unwrap_or_default()
    })
}

/// Method, path, query, the headers with these names, and the hash of the body.
fn canonical(request: &Request, names: &str) -> Answer<String> {
    let list: Vec<&str> = names.split(';').collect();
    if !list.is_sorted() || !["host", "x-amz-date"].iter().all(|name| list.contains(name)) {
        return Err(missing("SignedHeaders must be sorted, and have host and x-amz-date."));
    }
    let mut headers = String::new();
    for name in list {
        headers.push_str(&format!("{name}:{}\n", single(request, name)?.trim()));
    }
    let path: Vec<_> = request.path.split('/').map(|part| strict(part.as_bytes())).collect();
    let (method, hash) = (&request.method, hex(body_hash(request).as_ref()));
    Ok([method.as_str(), &path.join("/"), &sorted(&request.query), &headers, names, &hash].join("\n"))
}

/// By name, then value.
fn sorted(query: &str) -> String {
    let again = |text: &str| strict(&percent_decode_str(text).collect::<Vec<u8>>());
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut pairs: Vec<_> = pairs.map(|(name, value)| (again(name), again(value))).collect();
    pairs.sort();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

fn strict(bytes: &[u8]) -> String {
    percent_encode(bytes, STRICT).to_string()
}

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::super::tests::request;
    use super::*;

    fn authorization(date: &str, names: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{date}/us-east-1/service/aws4_request, SignedHeaders={names}, \
             Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        )
    }

    fn shown(authorization: &str, target: &str) -> Answer<Presented> {
        let host = ("host", "example.amazonaws.com");
        let headers = [("authorization", authorization), host, ("x-amz-date", "20150830T123600Z")];
        read(&request(Method::GET, target, &headers, ""))
    }

    /// "get-vanilla" of reference §6.2.
    #[test]
    fn the_vector_of_aws() {
        let secret = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let good = authorization("20150830", "host;x-amz-date");
        let presented = shown(&good, "/").ok().unwrap();
        assert!(presented.is_signed_with(secret) && !presented.is_signed_with(b"another"));
        // `date -u -d 2015-08-30T12:36:00Z +%s`
        assert_eq!((presented.key_id.as_str(), presented.sent), ("AKIDEXAMPLE", Some(1_440_938_160_000)));
        assert!(!shown(&good, "/x").ok().unwrap().is_signed_with(secret));
        for wrong in [authorization("20150831", "host;x-amz-date"), authorization("20150830", "host")] {
            assert_eq!(shown(&wrong, "/").map(drop).unwrap_err().error, "MISSING_HEADER", "{wrong}");
        }
    }

    /// By hand, from RFC 3986 and the rules of Signature Version 4.
    #[test]
    fn queries_are_sorted_and_encoded_strictly() {
        for (raw, expected) in
            [("b=2&a=1&", "a=1&b=2"), ("flag", "flag="), ("b=x%20y&a=1/2", "a=1%2F2&b=x%20y")]
        {
            assert_eq!(sorted(raw), expected);
        }
    }
}
