//! BitGo, version 3: the secret is a token, of which requests show the hash; answers are signed, too.

use super::{Presented, from_hex, missing, path_and_query, single, unix};
use crate::gateway::refusal::{Answer, Refusal};
use crate::vendor::Request;

/// Method, time, version, path with query, and body.
pub(super) fn read(request: &Request) -> Answer<Presented> {
    let shown = single(request, "authorization")?.strip_prefix("Bearer ");
    let shown = shown.ok_or_else(|| missing("Authorization is not Bearer and a hash."))?;
    let signature = from_hex(single(request, "hmac")?);
    let timestamp = single(request, "auth-timestamp")?;
    let version = single(request, "bitgo-auth-version")?;
    if version != "3.0" {
        return Err(Refusal::new(401, "WRONG_VERSION", format!("{version:?} is not 3.0.")));
    }
    let head = format!("{}|{timestamp}|{version}|{}|", request.method, path_and_query(request));
    let text = [head.as_bytes(), &request.body].concat();
    Ok(Presented::new(shown, (timestamp, unix(timestamp, 1)), signature, text))
}

/// What is signed of an answer, before its body: method, time of the server in milliseconds, path with query, and status.
pub(super) fn answer_head(request: &Request, now: i64, status: u16) -> String {
    format!("{}|{now}|{}|{status}|", request.method, path_and_query(request))
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, Mac};
    use hyper::Method;
    use sha2::Sha256;

    use super::super::hex;
    use super::super::tests::request;
    use super::*;

    /// Both vectors of reference §6.2.
    #[test]
    fn the_vectors_of_bitgo() {
        let headers = [
            ("authorization", "Bearer 4c5dc9b7708905f77f5e5d16316b5dfb425e68cb326dcd55a860e90a7707031e"),
            ("hmac", "56b7c2bb722ebfa55600a0201af42ad5cd926340d9df5735005d91db452386d1"),
            ("auth-timestamp", "1672531200000"),
            ("bitgo-auth-version", "3.0"),
        ];
        let request = |body| request(Method::POST, "/api/test", &headers, body);
        let presented = read(&request("request-body")).ok().unwrap();
        assert!(presented.is_signed_with(b"test-token") && !presented.is_signed_with(b"test-tokem"));
        assert_eq!(presented.sent, Some(1_672_531_200_000));
        assert!(!read(&request("another")).ok().unwrap().is_signed_with(b"test-token"));
        let answer = answer_head(&request("request-body"), 1_672_531_200_000, 200) + "response-body";
        let mac = Hmac::<Sha256>::new_from_slice(b"test-token").unwrap().chain_update(answer);
        let expected = "a16c08b1fa8bff1e2e58d1831855e1745361f78bd6eb6e18b5b7ee17ae0a3bb7";
        assert_eq!(hex(&mac.finalize().into_bytes()), expected);
    }
}
