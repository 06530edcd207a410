//! One request to one member and its answer, and the failures of reqwest in the words of the transport.

use std::error::Error as Cause;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Url;
use reqwest::blocking;
use reqwest::header::{CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use rustls::pki_types::ServerName;
use zeroize::Zeroizing;

use super::client::{Client, Route};
use crate::config;
use crate::transport::fields;
use crate::transport::http1::{self, BODY_LIMIT};
use crate::transport::member::{authority, kept_for};
use crate::transport::seal::{Finding, Outgoing, Sealed, Sealer};
use crate::transport::{
    Conventions, Deadline, Error, ErrorKind, Headers, Kept, Method, Request, Response, tls,
};

/// How much of a body is taken at once, in bytes.
const PORTION: usize = 16 * 1024;

/// What reqwest says of a proxy that wants another user or password: HTTP's (after `CONNECT`) and that of SOCKS.
const REFUSALS: [&str; 3] = [
    "proxy authorization required",
    "credentials not accepted",
    "server does not support user/pass authentication",
];

/// What it says of a proxy that cannot be reached, where that proxy speaks HTTP and the member TLS.
const NO_PROXY: &str = "failed to create underlying connection";

/// And of a head that is larger than it takes.
const HEAD_TOO_LARGE: &str = "message head is too large";

/// A member as a target of requests.
pub(super) struct Target {
    name: String,
    base: Url,
    path: String,
    secured: Option<ServerName<'static>>,
    fixed: HeaderMap,
    keep: Arc<[Box<str>]>,
    route: Arc<Route>,
    /// For seals: `fixed` as lines, what reqwest writes as `Host`, and the port.
    lines: Headers,
    host: String,
    port: u16,
    sealer: Option<Arc<dyn Sealer>>,
}

/// Why there is no answer.
pub(super) struct Failure {
    /// For the caller.
    pub error: Error,
    /// It is the proxy who refuses user or password: to ask it for another member is of no use.
    pub at_proxy: bool,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Target {
    /// # Errors
    /// [`ErrorKind::Tls`] for a host with a name that no certificate can have; [`ErrorKind::Header`] for a default
    /// header that HTTP forbids.
    pub fn new(url: &config::Url, route: Arc<Route>, conventions: &Conventions<'_>) -> Result<Self, Error> {
        let mut fixed = Headers::default();
        for (header, value) in conventions.headers {
            fixed.add(header, value)?;
        }
        let keep = conventions.keep.iter().map(|&name| name.into()).collect();
        let member = authority(url);
        let host = member.split_once("://").map_or(member.as_str(), |(_, host)| host).to_owned();
        let base = Url::parse(&member).map_err(|error| {
            Error::unsent(ErrorKind::Header, format!("{member} is not a URL for a proxy: {error}"))
        })?;
        let name = match &route.proxy {
            Some(proxy) => format!("{member} through {proxy}"),
            None => member,
        };
        let secured = url.tls.then(|| tls::server_name(&route.names, &url.host)).transpose()?;
        Ok(Self {
            name,
            base,
            path: url.path.clone(),
            secured,
            fixed: header_map(&fixed)?,
            keep,
            route,
            lines: fixed,
            host,
            port: url.port,
            sealer: None,
        })
    }

    /// Each attempt from now on has a seal.
    pub fn seal_with(&mut self, sealer: &Arc<dyn Sealer>) {
        self.keep = kept_for(sealer, &self.keep);
        self.sealer = Some(Arc::clone(sealer));
    }

    /// Sends the request, once, with a seal if there is one, and reads the answer.
    pub fn exchange(
        &self,
        client: &Client,
        request: &Request<'_>,
        deadline: Deadline,
    ) -> Result<(Response, Finding), Failure> {
        let Some(sealed) = self.seal(request).map_err(|error| self.own(error))? else {
            return Ok((self.exchange_as_is(client, request, deadline)?, Finding::Good));
        };
        let request = Request { headers: &sealed.headers, ..*request };
        let response = self.exchange_as_is(client, &request, deadline)?;
        let finding = sealed.check.check(&response).map_err(|error| self.own(error))?;
        Ok((response, finding))
    }

    fn seal(&self, request: &Request<'_>) -> Result<Option<Sealed>, Error> {
        let Some(sealer) = &self.sealer else { return Ok(None) };
        let place = (self.secured.is_some(), self.host.as_str(), self.port, self.path.as_str());
        sealer.seal(&Outgoing::new(place, self.lines.as_bytes(), request))
    }

    fn exchange_as_is(
        &self,
        client: &Client,
        request: &Request<'_>,
        deadline: Deadline,
    ) -> Result<Response, Failure> {
        let sent = self.begin(client, request, deadline).map_err(|error| self.own(error))?;
        let response =
            sent.send().map_err(|error| self.failure(client, &error, !error.is_connect(), deadline))?;
        let status = response.status().as_u16();
        if status == 407 && self.route.proxy_answers {
            return Err(self.refused_by_proxy());
        }
        if !(200..=599).contains(&status) {
            return Err(
                self.own(Error::sent(ErrorKind::Malformed, "the status of the answer is none of HTTP"))
            );
        }
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| {
            fields::decimal(value.as_bytes().trim_ascii()).map(|seconds| Duration::from_secs(seconds as u64))
        });
        let mut kept = Kept::default();
        for name in self.keep.iter() {
            for value in response.headers().get_all(&**name) {
                kept.push(name, value.as_bytes());
            }
        }
        let compressed = response
            .headers()
            .get(CONTENT_ENCODING)
            .is_some_and(|value| http1::is_compression(value.as_bytes()));
        let body = self.read_body(client, response, deadline)?;
        if compressed && !body.is_empty() {
            let fault = http1::compressed();
            return Err(self.own(Error::sent(fault.kind, fault.reason)));
        }
        Ok(Response { status, retry_after, kept, body })
    }

    fn begin(
        &self,
        client: &Client,
        request: &Request<'_>,
        deadline: Deadline,
    ) -> Result<blocking::RequestBuilder, Error> {
        let client = client.get().ok_or_else(|| Error::unsent(ErrorKind::Closed, "the client has ended"))?;
        let left = deadline
            .remaining()
            .ok_or_else(|| Error::unsent(ErrorKind::Timeout, "no time was left to send the request"))?;
        let method = match request.method {
            Method::Delete => reqwest::Method::DELETE,
            Method::Get => reqwest::Method::GET,
            Method::Patch => reqwest::Method::PATCH,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
        };
        let mut headers = self.fixed.clone();
        headers.extend(header_map(request.headers)?);
        let builder = client.request(method, self.url(request.path)?).headers(headers).timeout(left);
        Ok(match request.body {
            Some(body) => builder.body(Bytes::from_owner(Zeroizing::new(body.to_vec()))),
            None => builder,
        })
    }

    /// The URL, if it asks for exactly that path: reqwest takes out dots, and what is in other clothes a dot.
    fn url(&self, path: &str) -> Result<Url, Error> {
        let asked = format!("{}{path}", self.path);
        let refuse = || {
            let reason = "the path of the request has dots or a # that reqwest would take for something else";
            Error::unsent(ErrorKind::Header, reason)
        };
        let url = self.base.join(&asked).map_err(|_| refuse())?;
        let (same_path, query) = match asked.split_once('?') {
            Some((path, query)) => (path == url.path(), Some(query)),
            None => (asked == url.path(), None),
        };
        let as_asked = same_path && query == url.query() && url.origin() == self.base.origin();
        if as_asked && url.fragment().is_none() { Ok(url) } else { Err(refuse()) }
    }

    fn read_body(
        &self,
        client: &Client,
        mut response: blocking::Response,
        deadline: Deadline,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let limit = |fault: http1::Fault| self.own(Error::sent(fault.kind, fault.reason));
        let told = response.content_length().map(|told| usize::try_from(told).unwrap_or(usize::MAX));
        if told.is_some_and(|told| told > BODY_LIMIT) {
            return Err(limit(http1::body_too_large()));
        }
        let mut body = Zeroizing::new(Vec::with_capacity(told.unwrap_or_default()));
        let mut portion = Zeroizing::new(vec![0; PORTION]);
        loop {
            match response.read(&mut portion) {
                Ok(0) => return Ok(body),
                Ok(count) => {
                    let part = portion.get(..count).unwrap_or_default();
                    http1::append(&mut body, part).map_err(limit)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failure(client, &error, true, deadline)),
            }
        }
    }

    /// What went wrong, in our words. `sent`: the member may have got the request.
    fn failure(
        &self,
        client: &Client,
        error: &(dyn Cause + 'static),
        sent: bool,
        deadline: Deadline,
    ) -> Failure {
        let causes: Vec<_> = causes(error).collect();
        // reqwest's own words would tell the URL.
        let others = causes.iter().filter(|cause| !cause.is::<reqwest::Error>());
        let texts: Vec<_> = others.map(ToString::to_string).collect();
        let says = |what: &str| texts.iter().any(|text| text.contains(what));
        if !sent && REFUSALS.iter().any(|refusal| says(refusal)) {
            return self.refused_by_proxy();
        }
        let phase = if sent { "waiting for the answer" } else { "connecting" };
        let tls = causes.iter().find_map(|cause| cause.downcast_ref::<rustls::Error>());
        let name = match &self.secured {
            Some(name) if !says(NO_PROXY) => Some(name),
            _ => self.route.proxy_name.as_ref(),
        };
        let (kind, reason) = match (tls, name) {
            (Some(tls), Some(name)) => (ErrorKind::Tls, client.explain(tls, name)),
            _ if sent && says(HEAD_TOO_LARGE) => (ErrorKind::TooLarge, told(&texts)),
            _ => (kind(&causes, sent, deadline), told(&texts)),
        };
        self.own(Error { sent, ..Error::unsent(kind, format!("{phase}: {reason}")) })
    }

    fn refused_by_proxy(&self) -> Failure {
        let proxy = self.route.proxy.as_deref().unwrap_or("the proxy");
        let status = if self.route.proxy_answers { " (407)" } else { "" };
        let context = format!(
            "{}: the proxy does not accept the user{status}: slot.proxy.user and slot.proxy.password must be \
             those that {proxy} knows",
            self.name
        );
        Failure { error: Error::unsent(ErrorKind::Connect, context), at_proxy: true }
    }

    fn own(&self, error: Error) -> Failure {
        let context = format!("{}: {}", self.name, error.context);
        Failure { error: Error { context, ..error }, at_proxy: false }
    }
}

fn kind(causes: &[&(dyn Cause + 'static)], sent: bool, deadline: Deadline) -> ErrorKind {
    let unknown = |cause: &&(dyn Cause + 'static)| cause.downcast_ref().is_some_and(reqwest::Error::is_dns);
    let unreadable =
        |cause: &&(dyn Cause + 'static)| cause.downcast_ref().is_some_and(hyper::Error::is_parse);
    if causes.iter().any(unknown) {
        ErrorKind::Name
    } else if deadline.remaining().is_none() {
        ErrorKind::Timeout
    } else if !sent {
        ErrorKind::Connect
    } else if causes.iter().any(unreadable) {
        ErrorKind::Malformed
    } else {
        ErrorKind::Broken
    }
}

/// The lines as reqwest wants them. What may be a credential is kept out of its logs and of HTTP/2's tables.
fn header_map(headers: &Headers) -> Result<HeaderMap, Error> {
    let mut map = HeaderMap::new();
    let malformed = || Error::unsent(ErrorKind::Header, "a header line that HTTP forbids");
    let lines = headers.as_bytes().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    for line in lines {
        let line = line.strip_suffix(b"\r").ok_or_else(malformed)?;
        let colon = line.iter().position(|byte| *byte == b':').ok_or_else(malformed)?;
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name).map_err(|_| malformed())?;
        let value = value.strip_prefix(b": ").ok_or_else(malformed)?;
        let mut value = HeaderValue::from_bytes(value).map_err(|_| malformed())?;
        value.set_sensitive(true);
        map.append(name, value);
    }
    Ok(map)
}

/// The error and what caused it, in that order. An I/O error that carries another error hides it from `source`.
fn causes<'e>(error: &'e (dyn Cause + 'static)) -> impl Iterator<Item = &'e (dyn Cause + 'static)> {
    std::iter::successors(Some(error), |error: &&'e (dyn Cause + 'static)| {
        let error: &'e (dyn Cause + 'static) = *error;
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(carried) => Some(carried),
            None => error.source(),
        }
    })
}

/// The innermost two texts: those outside of them only say that there was an error.
fn told(texts: &[String]) -> String {
    let mut inner: Vec<_> = texts.iter().rev().take(2).map(String::as_str).collect();
    inner.reverse();
    inner.dedup();
    inner.join(": ")
}
