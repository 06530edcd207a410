//! HTTP Message Signatures (RFC 9421) with `hmac-sha256`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Presented, body_hash, from_base64, missing, single, unix};
use crate::gateway::refusal::Answer;
use crate::vendor::Request;

/// What must be among the components.
const COVERED: [&str; 5] = ["@method", "@authority", "@path", "@query", "content-digest"];

pub(super) fn read(request: &Request) -> Answer<Presented> {
    let input = single(request, "signature-input")?;
    let (label, parameters) =
        input.split_once('=').ok_or_else(|| missing("Signature-Input has no label."))?;
    let signature = single(request, "signature")?.strip_prefix(label);
    let signature = signature.and_then(|signature| signature.strip_prefix("=:")?.strip_suffix(':'));
    let signature = signature.ok_or_else(|| missing("Signature has not the label of Signature-Input."))?;
    let names = components(parameters).ok_or_else(|| missing("Signature-Input has no components."))?;
    if !COVERED.iter().all(|name| names.contains(name)) {
        return Err(missing(&format!("What is signed must have {}.", COVERED.join(", "))));
    }
    let key_id = quoted(parameters, "keyid").ok_or_else(|| missing("Signature-Input has no keyid."))?;
    let created =
        parameter(parameters, "created").ok_or_else(|| missing("Signature-Input has no created."))?;
    let digest = single(request, "content-digest")?;
    let text = base(request, &names, parameters)?.into_bytes();
    let shown = Presented::new(key_id, (created, unix(created, 1000)), from_base64(signature), text);
    Ok(Presented {
        nonce: quoted(parameters, "nonce").map(str::to_owned),
        intact: digest == format!("sha-256=:{}:", STANDARD.encode(body_hash(request))),
        ..shown
    })
}

/// The signature base (RFC 9421 §2.5).
fn base(request: &Request, names: &[&str], parameters: &str) -> Answer<String> {
    let mut text = String::new();
    for name in names {
        let value = match *name {
            "@method" => request.method.to_string(),
            "@authority" => single(request, "host")?.to_lowercase(),
            "@path" => request.path.clone(),
            "@query" => format!("?{}", request.query),
            name if name.starts_with('@') => return Err(missing(&format!("{name} is not known here."))),
            name => single(request, name)?.trim().to_owned(),
        };
        text.push_str(&format!("\"{name}\": {value}\n"));
    }
    Ok(format!("{text}\"@signature-params\": {parameters}"))
}

/// The names in the inner list that stands first, each once.
fn components(parameters: &str) -> Option<Vec<&str>> {
    let (list, _) = parameters.strip_prefix('(')?.split_once(')')?;
    let names = list.split(' ').map(|name| name.strip_prefix('"')?.strip_suffix('"'));
    let names: Vec<&str> = names.collect::<Option<_>>()?;
    let once = (1..).zip(&names).all(|(next, name)| !names.iter().skip(next).any(|other| other == name));
    once.then_some(names)
}

/// The value of a parameter of the list.
fn parameter<'r>(parameters: &'r str, name: &str) -> Option<&'r str> {
    let (_, parameters) = parameters.split_once(')')?;
    parameters.split(';').find_map(|item| item.strip_prefix(name)?.strip_prefix('='))
}

fn quoted<'r>(parameters: &'r str, name: &str) -> Option<&'r str> {
    parameter(parameters, name)?.strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::super::tests::request;
    use super::*;

    const INPUT: &str =
        r#"("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#;

    /// RFC 9421 appendix B.2.5, which signs less than is wanted here.
    #[test]
    fn the_vector_of_the_rfc() {
        let headers = [
            ("host", "example.com"),
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("content-type", "application/json"),
        ];
        let names = components(INPUT).unwrap();
        let text = base(&request(Method::POST, "/foo", &headers, ""), &names, INPUT).ok().unwrap();
        let signature = from_base64("pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=");
        let presented = Presented::new("", ("", None), signature, text.into_bytes());
        let secret =
            "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
        assert!(presented.is_signed_with(&from_base64(secret)));
        let input = format!("sig1={INPUT}");
        let headers = [("signature-input", input.as_str()), ("signature", "sig1=:AA==:")];
        let refused = read(&request(Method::POST, "/foo", &headers, "")).map(drop).unwrap_err();
        assert_eq!(refused.error, "MISSING_HEADER");
    }

    #[test]
    fn parameters_are_read_by_name() {
        assert_eq!(components(INPUT), Some(vec!["date", "@authority", "content-type"]));
        assert_eq!(quoted(INPUT, "keyid"), Some("test-shared-secret"));
        assert_eq!((parameter(INPUT, "created"), quoted(INPUT, "nonce")), (Some("1618884473"), None));
        for wrong in ["", "()", "(date)", r#"("a" "a")"#, r#"("a""#] {
            assert_eq!(components(wrong), None, "{wrong}");
        }
    }
}
