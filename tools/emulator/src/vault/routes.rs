//! Paths, and what they ask for.

use hyper::Method;
use percent_encoding::percent_decode_str;

/// What a path asks for, with its parameters decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Health,
    Login(String),
    LookUpSelf,
    RenewSelf,
    RevokeSelf,
    Keys,
    Key(String),
    Config(String),
    /// With the hash that the path names.
    Sign(String, Option<String>),
    Encrypt(String),
    Decrypt(String),
    Random(Option<String>),
}

impl Target {
    /// For the statistics.
    pub(super) fn pattern(&self) -> &'static str {
        match self {
            Target::Health => "/v1/sys/health",
            Target::Login(_) => "/v1/auth/userpass/login/{user}",
            Target::LookUpSelf => "/v1/auth/token/lookup-self",
            Target::RenewSelf => "/v1/auth/token/renew-self",
            Target::RevokeSelf => "/v1/auth/token/revoke-self",
            Target::Keys => "/v1/transit/keys",
            Target::Key(_) => "/v1/transit/keys/{name}",
            Target::Config(_) => "/v1/transit/keys/{name}/config",
            Target::Sign(..) => "/v1/transit/sign/{name}",
            Target::Encrypt(_) => "/v1/transit/encrypt/{name}",
            Target::Decrypt(_) => "/v1/transit/decrypt/{name}",
            Target::Random(_) => "/v1/transit/random",
        }
    }

    /// Whether a write may change what others are answered.
    pub(super) fn changes(&self) -> bool {
        let of_keys = matches!(self, Target::Key(_) | Target::Config(_));
        of_keys || matches!(self, Target::Login(_) | Target::RenewSelf | Target::RevokeSelf)
    }

    /// Whether the answer to a write takes long.
    pub(super) fn computes(&self) -> bool {
        matches!(self, Target::Sign(..) | Target::Encrypt(_) | Target::Decrypt(_) | Target::Key(_))
    }
}

/// What a client does with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Read,
    List,
    Write,
    Delete,
}

/// `LIST` may be written as a GET with `list=true`.
pub(super) fn operation(method: &Method, query: &str) -> Option<Operation> {
    match method.as_str() {
        "GET" if query.split('&').any(|pair| pair == "list=true") => Some(Operation::List),
        "LIST" => Some(Operation::List),
        "GET" => Some(Operation::Read),
        "POST" | "PUT" => Some(Operation::Write),
        "DELETE" => Some(Operation::Delete),
        _ => None,
    }
}

/// The target of a path; `mount` is where the engine is.
pub(super) fn target(path: &str, mount: &str) -> Option<Target> {
    let path = path.strip_prefix("/v1/")?;
    let fixed = match path {
        "sys/health" => Some(Target::Health),
        "auth/token/lookup-self" => Some(Target::LookUpSelf),
        "auth/token/renew-self" => Some(Target::RenewSelf),
        "auth/token/revoke-self" => Some(Target::RevokeSelf),
        _ => None,
    };
    if fixed.is_some() {
        return fixed;
    }
    if let Some(user) = path.strip_prefix("auth/userpass/login/") {
        return name(user).map(Target::Login);
    }
    let path = path.strip_prefix(mount)?.strip_prefix('/')?;
    let (call, rest) = path.split_once('/').unwrap_or((path, ""));
    match (call, rest) {
        ("keys", "") => Some(Target::Keys),
        ("keys", rest) => match rest.split_once('/') {
            Some((key, "config")) => name(key).map(Target::Config),
            _ => name(rest).map(Target::Key),
        },
        ("sign", rest) => match rest.split_once('/') {
            Some((key, hash)) => Some(Target::Sign(name(key)?, Some(name(hash)?))),
            None => Some(Target::Sign(name(rest)?, None)),
        },
        ("encrypt", key) => name(key).map(Target::Encrypt),
        ("decrypt", key) => name(key).map(Target::Decrypt),
        ("random", "") => Some(Target::Random(None)),
        ("random", length) => Some(Target::Random(Some(name(length)?))),
        _ => None,
    }
}

/// A parameter; none of them is empty or has a slash, also not a percent-encoded one.
fn name(segment: &str) -> Option<String> {
    let decoded = percent_decode_str(segment).decode_utf8().ok()?;
    (!decoded.is_empty() && !decoded.contains('/')).then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_targets() {
        let sign = |name: &str, hash: Option<&str>| Target::Sign(name.to_owned(), hash.map(str::to_owned));
        for (path, expected) in [
            ("/v1/transit/keys", Some(Target::Keys)),
            ("/v1/transit/keys/", Some(Target::Keys)),
            ("/v1/transit/keys/a%20b", Some(Target::Key("a b".to_owned()))),
            ("/v1/transit/keys/a/b", None),
            ("/v1/transit/keys/a/config", Some(Target::Config("a".to_owned()))),
            ("/v1/transit/keys/a%2Fb", None),
            ("/v1/transit/sign/a", Some(sign("a", None))),
            ("/v1/transit/sign/a/sha2-256", Some(sign("a", Some("sha2-256")))),
            ("/v1/transit/sign/", None),
            ("/v1/transits/keys", None),
            ("/v1/sys/health", Some(Target::Health)),
            ("/transit/keys", None),
        ] {
            assert_eq!(target(path, "transit"), expected, "{path}");
        }
        assert_eq!(target("/v1/team/transit/keys", "team/transit"), Some(Target::Keys));
    }
}
