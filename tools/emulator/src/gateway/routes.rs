//! The endpoints and their paths.

use hyper::Method;
use percent_encoding::percent_decode_str;

use crate::vendor::Route;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Token,
    Refresh,
    List,
    Describe,
    Sign,
    Decrypt,
    Random,
    Health,
}

/// One path, which has one method.
struct Row {
    method: Method,
    /// `{…}` stands for one segment.
    pattern: &'static str,
    endpoint: Endpoint,
}

const ROWS: &[Row] = &[
    Row { method: Method::POST, pattern: "/token", endpoint: Endpoint::Token },
    Row { method: Method::POST, pattern: "/api/Auth/RefreshToken", endpoint: Endpoint::Refresh },
    Row { method: Method::GET, pattern: "/api/v1/keys", endpoint: Endpoint::List },
    Row { method: Method::GET, pattern: "/api/v1/keys/{label}", endpoint: Endpoint::Describe },
    Row { method: Method::POST, pattern: "/api/v1/keys/{label}/sign", endpoint: Endpoint::Sign },
    Row { method: Method::POST, pattern: "/api/v1/keys/{label}/decrypt", endpoint: Endpoint::Decrypt },
    Row { method: Method::GET, pattern: "/api/v1/random/{n}", endpoint: Endpoint::Random },
    Row { method: Method::GET, pattern: "/api/v1/health", endpoint: Endpoint::Health },
];

/// Where a request leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// With what the placeholder of the path stands for, decoded.
    Found(Endpoint, String),
    /// The path is known, with this method.
    WrongMethod(Method),
    Unknown,
}

/// The endpoint of a request.
pub(super) fn target(method: &Method, path: &str) -> Target {
    match row_of(path) {
        None => Target::Unknown,
        Some((row, _)) if row.method != *method => Target::WrongMethod(row.method.clone()),
        Some((row, parameter)) => {
            // A label that is no UTF-8 is no label: it finds nothing.
            let parameter = percent_decode_str(parameter).decode_utf8_lossy().into_owned();
            Target::Found(row.endpoint, parameter)
        }
    }
}

/// What the server is told of a request.
pub(super) fn route(path: &str) -> Route {
    let Some((row, _)) = row_of(path) else {
        return Route { pattern: "(unknown path)", writes: false, slow: false };
    };
    let writes = matches!(row.endpoint, Endpoint::Token | Endpoint::Refresh);
    let slow = matches!(row.endpoint, Endpoint::Sign | Endpoint::Decrypt);
    Route { pattern: row.pattern, writes, slow }
}

fn row_of(path: &str) -> Option<(&'static Row, &str)> {
    ROWS.iter().find_map(|row| Some((row, matched(row.pattern, path)?)))
}

/// What the placeholder stands for, empty if there is none; `None` if the path does not fit.
fn matched<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    let mut parameter = "";
    let mut actual = path.split('/');
    for expected in pattern.split('/') {
        let segment = actual.next()?;
        if expected.starts_with('{') && !segment.is_empty() {
            parameter = segment;
        } else if expected != segment {
            return None;
        }
    }
    actual.next().is_none().then_some(parameter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_their_endpoints() {
        let found = |path| target(&Method::GET, path);
        assert_eq!(found("/api/v1/keys"), Target::Found(Endpoint::List, String::new()));
        assert_eq!(found("/api/v1/keys/a%2Fb"), Target::Found(Endpoint::Describe, "a/b".to_owned()));
        assert_eq!(found("/token"), Target::WrongMethod(Method::POST));
        for path in ["/api/v1/keys/", "/api/v1/keys/a/b", "/API/v1/keys", "/"] {
            assert_eq!(found(path), Target::Unknown, "{path}");
        }
    }
}
