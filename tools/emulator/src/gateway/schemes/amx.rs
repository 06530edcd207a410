//! The tutorials of ASP.NET.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Presented, from_base64, missing, path_and_query, single, unix};
use crate::gateway::refusal::Answer;
use crate::vendor::Request;

/// `amx {id}:{signature}:{nonce}:{timestamp}` over id, method, address, time, nonce and MD5 of the body.
pub(super) fn read(request: &Request, unit: i64) -> Answer<Presented> {
    let value = single(request, "authorization")?;
    let missing = || missing("Authorization is not amx id:signature:nonce:time.");
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
    let shown =
        Presented::new(key_id, (timestamp, unix(timestamp, unit)), from_base64(signature), text("http"));
    let texts = vec![text("http"), text("https")];
    Ok(Presented { nonce: Some(nonce.to_owned()), texts, ..shown })
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

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::super::tests::{BODY, request};
    use super::*;

    /// V4 of the reference.
    #[test]
    fn amx_signs_the_address_in_lower_case() {
        let nonce = "7ed378c1967441bbafa469e1d88f7d18";
        let value = format!(
            "amx 4d53bce03ec34c0a911182d4c228ee6c:8gYGZ+v28mXvedEyskfVT9qAojoviFmMojvDnEXuF6s=:{nonce}:1700000000"
        );
        let headers = [("authorization", value.as_str()), ("host", "gw.example")];
        let presented =
            read(&request(Method::POST, "/api/Sign/SignHash", &headers, BODY), 1000).ok().unwrap();
        let text = format!(
            "4d53bce03ec34c0a911182d4c228ee6cPOSThttps%3a%2f%2fgw.example%2fapi%2fsign%2fsignhash1700000000{nonce}xFFqwkMJl84dB/gFVYSoqQ=="
        );
        assert_eq!(String::from_utf8_lossy(&presented.texts[1]), text);
        let secret = STANDARD.decode("A93reRTUJHsCuQSHR+L3GxqOJyDmQpCgps102ciuabc=").unwrap();
        assert!(presented.is_signed_with(&secret));
    }
}
