//! The proxy of one slot: `[slot.proxy]`.

use std::fmt;

use http::Uri;

use super::document::Place;
use super::problem::{Fault, Problem};
use super::read::Section;
use super::{Secret, address};

const EXAMPLE: &str = "write it as http://host:port, https://…, socks5://… or socks5h://…";

/// Most bytes of a user name: what SOCKS can carry (RFC 1929 section 2).
const USER_LIMIT: usize = 255;

/// What stands between this host and the members of a service.
#[derive(Debug)]
pub struct Proxy {
    /// What is spoken with it.
    pub scheme: ProxyScheme,
    /// Name or address, without brackets.
    pub host: String,
    /// Port, 1 to 65535.
    pub port: u16,
    /// What it wants to know of its users.
    pub login: Option<ProxyLogin>,
}

/// What is spoken with a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyScheme {
    /// HTTP; to members with TLS through `CONNECT`.
    Http,
    /// The same within TLS.
    Https,
    /// SOCKS 5; names are looked up here.
    Socks5,
    /// SOCKS 5; the proxy looks names up.
    Socks5h,
}

/// User and password of a proxy.
#[derive(Debug)]
pub struct ProxyLogin {
    /// The name, 1 to 255 bytes.
    pub user: String,
    /// The password; never the PIN.
    pub password: Secret,
}

impl fmt::Display for Proxy {
    /// `socks5h://proxy:1080`, never with a user.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{}{close}:{}", self.scheme.name(), self.host, self.port)
    }
}

impl ProxyScheme {
    const ALL: [Self; 4] = [Self::Http, Self::Https, Self::Socks5, Self::Socks5h];

    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }
}

/// Reads the table; without a `url`, `user` and `password` there is no proxy.
pub(super) fn proxy(section: &Section<'_>) -> Result<Option<Proxy>, Problem> {
    let proxy = section.text("url", |_, text| parse(text))?;
    let user = section.text("user", |_, text| parse_user(text))?;
    let password = section.text("password", |place, text| parse_password(place, text, section))?;
    if proxy.is_none() && user.is_none() && password.is_none() {
        return Ok(None);
    }
    let proxy = section.required("url", proxy, "write url = \"http://host:port\"")?;
    if user.is_none() && password.is_none() {
        return Ok(Some(proxy));
    }
    let login = ProxyLogin {
        user: section.required("user", user, "write user = \"the name that the proxy knows\"")?,
        password: section.required("password", password, "write password = \"file:/path\"")?,
    };
    Ok(Some(Proxy { login: Some(login), ..proxy }))
}

fn parse(text: &str) -> Result<Proxy, Fault> {
    address::refuse_foreign_parts(text, "slot.proxy.user and slot.proxy.password")?;
    let bad = |what: &str| Fault::new(format!("\"{text}\" {what}"), EXAMPLE);
    let uri: Uri = text.parse().map_err(|_| bad("is not a URL"))?;
    let name = uri.scheme_str().ok_or_else(|| bad("has no scheme"))?;
    let scheme = ProxyScheme::ALL.into_iter().find(|scheme| scheme.name() == name);
    let scheme = scheme.ok_or_else(|| bad("is neither http, https, socks5 nor socks5h"))?;
    let (host, port) = address::host_and_port(&uri, None).map_err(bad)?;
    if !matches!(uri.path(), "" | "/") {
        return Err(bad("has a path"));
    }
    Ok(Proxy { scheme, host, port, login: None })
}

fn parse_user(text: &str) -> Result<String, Fault> {
    let what = match text.len() {
        0 => "is empty".to_owned(),
        length if length > USER_LIMIT => format!("has {length} bytes"),
        // RFC 7617 section 2.
        _ if text.contains(':') => "has a colon".to_owned(),
        _ if text.chars().any(char::is_control) => "has a control character".to_owned(),
        _ => return Ok(text.to_owned()),
    };
    Err(Fault::new(what, "write 1 to 255 bytes without a colon"))
}

fn parse_password(place: &Place, text: &str, section: &Section<'_>) -> Result<Secret, Fault> {
    match Secret::parse(place, text, section.source())? {
        Secret::Pin => Err(Fault::new(
            "is the PIN, which is no business of a proxy",
            "write \"file:/path\", \"env:NAME\" or \"command:…\"",
        )),
        password => Ok(password),
    }
}
