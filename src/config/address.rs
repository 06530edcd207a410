//! The URL of a member of an HSM service.

use std::net::Ipv6Addr;

use http::Uri;

use super::problem::Fault;
use super::{BackendKind, Url};

const EXAMPLE: &str = "write it as https://host:port or https://host:port/base";

/// Parses the base URL of a service: `http` or `https`, host, port, path, and nothing else. Bases are taken with or
/// without a `/` at the end, those of Securosys with or without `/v1` (Securosys TSB reference section "Base URLs").
pub(super) fn parse(text: &str, backend: BackendKind) -> Result<Url, Fault> {
    refuse_foreign_parts(text, "[slot.auth]")?;
    let bad = |what: &str| Fault::new(format!("\"{text}\" {what}"), EXAMPLE);
    let uri: Uri = text.parse().map_err(|_| bad("is not a URL"))?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        Some(_) => return Err(bad("is neither http nor https")),
        None => return Err(bad("has no scheme")),
    };
    let (host, port) = host_and_port(&uri, Some(if tls { 443 } else { 80 })).map_err(bad)?;
    let path = path(uri.path(), backend).ok_or_else(|| bad("has a path with unescaped characters"))?;
    Ok(Url { tls, host, port, path })
}

/// Host and port; `usual` is the port where there is none. The error says what is wrong with the URL.
pub(super) fn host_and_port(uri: &Uri, usual: Option<u16>) -> Result<(String, u16), &'static str> {
    let authority = uri.authority().ok_or("has no host")?;
    let host = host(authority.host()).ok_or("has no valid host")?;
    let port = match authority.as_str().strip_prefix(authority.host()) {
        Some("" | ":") => usual,
        Some(port) => {
            // `parse` alone would take a `+` too.
            let digits = port.strip_prefix(':').filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
            digits.and_then(|digits| digits.parse().ok()).filter(|port| *port != 0)
        }
        None => None,
    };
    Ok((host, port.ok_or("has no valid port")?))
}

/// Checked on the text itself, before it is shown in any message: a user's password could be in it.
/// `home` is where that belongs.
pub(super) fn refuse_foreign_parts(text: &str, home: &str) -> Result<(), Fault> {
    let after_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = after_scheme.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') || text.contains('@') && !text.contains("://") {
        return Err(Fault::new(
            "the URL has a user name or password",
            format!("take it out and put credentials into {home}"),
        ));
    }
    for (mark, name) in [('?', "query"), ('#', "fragment")] {
        if text.contains(mark) {
            return Err(Fault::new(
                format!("the URL has a {name}"),
                format!("take out all from the {mark} on"),
            ));
        }
    }
    Ok(())
}

/// Name or address, in lower case, an IPv6 address without brackets.
fn host(text: &str) -> Option<String> {
    if let Some(address) = text.strip_prefix('[') {
        let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        return Some(address.to_string());
    }
    is_host_name(text).then(|| text.to_ascii_lowercase())
}

/// Whether DNS and TLS can take it: labels of 1 to 63 letters, digits, `-` and `_`. IPv4 addresses are among them.
pub(super) fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

/// The path without what is put behind it anyway; `None` if it has characters that RFC 3986 section 3.3 forbids.
fn path(text: &str, backend: BackendKind) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte);
    let escaped =
        |piece: &str| piece.len() >= 2 && piece.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !text.bytes().all(allowed) || !text.split('%').skip(1).all(escaped) {
        return None;
    }
    let base = text.trim_end_matches('/');
    let base = match backend {
        BackendKind::Securosys => base.strip_suffix("/v1").unwrap_or(base),
        BackendKind::Fast | BackendKind::Luna | BackendKind::CipherTrust | BackendKind::Declared => base,
    };
    Some(base.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        parse(text, BackendKind::Securosys)
            .map_or_else(|fault| format!("{}; {}", fault.what, fault.remedy), |url| url.to_string())
    }

    #[test]
    fn bases_are_normalised() {
        assert_eq!(shown("https://hsm"), "https://hsm:443");
        assert_eq!(shown("http://HSM.Example."), "http://hsm.example.:80");
        assert_eq!(shown("HTTPS://hsm:8443/"), "https://hsm:8443");
        assert_eq!(shown("https://hsm:8443/v1/"), "https://hsm:8443");
        assert_eq!(shown("https://hsm/tsb/v1"), "https://hsm:443/tsb");
        assert_eq!(shown("https://hsm/tsb/v11//"), "https://hsm:443/tsb/v11");
        assert_eq!(shown("https://10.0.0.1:1"), "https://10.0.0.1:1");
        assert_eq!(shown("https://[2001:DB8::0:1]:8080/a%20b"), "https://[2001:db8::1]:8080/a%20b");
    }

    #[test]
    fn an_address_has_no_brackets() {
        assert_eq!(
            parse("http://[::1]", BackendKind::Securosys).unwrap(),
            Url { tls: false, host: "::1".into(), port: 80, path: String::new() }
        );
    }

    #[test]
    fn what_is_no_base_is_refused() {
        for (text, what) in [
            ("hsm-a:8080", "\"hsm-a:8080\" has no scheme"),
            ("/base", "\"/base\" has no scheme"),
            ("ftp://hsm", "\"ftp://hsm\" is neither http nor https"),
            ("https://", "\"https://\" is not a URL"),
            ("https:///base", "\"https:///base\" is not a URL"),
            ("https://hsm:0", "\"https://hsm:0\" has no valid port"),
            ("https://hsm:65536", "\"https://hsm:65536\" has no valid port"),
            ("https://hsm:+1", "\"https://hsm:+1\" has no valid port"),
            ("https://[::1", "\"https://[::1\" is not a URL"),
            ("https://[fe80::1%25eth0]", "\"https://[fe80::1%25eth0]\" has no valid host"),
            ("https://a..b", "\"https://a..b\" has no valid host"),
            ("https://hsm/a%2", "\"https://hsm/a%2\" has a path with unescaped characters"),
            ("https://hsm/ä", "\"https://hsm/ä\" has a path with unescaped characters"),
            ("https://hs m", "\"https://hs m\" is not a URL"),
        ] {
            assert_eq!(shown(text), format!("{what}; {EXAMPLE}"));
        }
    }

    #[test]
    fn credentials_are_refused_and_not_repeated() {
        for text in ["https://user:s3cret@hsm", "https://user:s3 cret@hsm:99999/", "user:s3cret@hsm"] {
            assert_eq!(
                shown(text),
                "the URL has a user name or password; take it out and put credentials into [slot.auth]"
            );
        }
        assert_eq!(shown("https://hsm/?key=s3cret"), "the URL has a query; take out all from the ? on");
        assert_eq!(shown("https://hsm/#s3cret"), "the URL has a fragment; take out all from the # on");
    }
}
