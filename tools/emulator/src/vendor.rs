//! What a vendor's API is to the server: routes, and an answer to each request.

use std::net::IpAddr;

use bytes::Bytes;
use hyper::header::HeaderValue;
use hyper::{HeaderMap, Method};

use crate::files::Directory;

/// A request, read whole.
pub(crate) struct Request {
    pub(crate) method: Method,
    /// The path as sent, percent-encoded, without the query.
    pub(crate) path: String,
    /// What stands behind `?`, as sent; empty where there is none.
    pub(crate) query: String,
    /// Who sent it.
    pub(crate) peer: IpAddr,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    /// A header's value, if it is there and readable text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The type of JSON bodies.
pub(crate) const JSON: &str = "application/json";

/// An answer, whole.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: Option<HeaderValue>,
    /// Further headers.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Reply {
    /// An answer without a body.
    pub(crate) fn empty(status: u16) -> Reply {
        Reply { status, content_type: None, headers: Vec::new(), body: Bytes::new() }
    }

    /// An answer in JSON.
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Reply {
        Reply {
            status,
            content_type: Some(HeaderValue::from_static(JSON)),
            headers: Vec::new(),
            body: Bytes::from(body.to_string()),
        }
    }
}

/// What the server knows of a request before the vendor's code sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    /// The path with placeholders, for the statistics.
    pub(crate) pattern: &'static str,
    /// Whether the request may change what others are answered.
    pub(crate) writes: bool,
    /// Whether the answer takes long enough to keep a thread from its connections.
    pub(crate) slow: bool,
}

/// One vendor's REST API.
pub(crate) trait Vendor: Send + Sync {
    /// The route of a request; every request has one, if only that of unknown paths.
    fn route(&self, method: &Method, path: &str) -> Route;

    /// The answer, which may be a refusal.
    fn answer(&self, request: &Request) -> Reply;

    /// The `[[slot]]` of the module's configuration for this server at `url`, without TLS.
    fn module_slot(&self, directory: &Directory, url: &str) -> String;

    /// Whether `C_Login` takes two PINs with a colon between: this slot's, and that of the one with its cryptography.
    fn takes_two_pins(&self) -> bool {
        false
    }

    /// The vendor's share of `/_emulator/…`: what `path` under it has to say; `None` for paths that it does not know.
    fn administer(&self, method: &Method, path: &str, body: &[u8]) -> Option<Reply>;
}
