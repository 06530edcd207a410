//! Requests over kept-alive connections, without a word of PKCS#11.
//!
//! A [`Transport`] is what a back end holds; [`open`] makes it. A [`Cluster`] is the usual one: the members of one HSM
//! service, each with a pool of *lanes*. A lane is one kept-alive HTTP/1.1 connection with a blocking socket of our own.
//! A call checks a lane out, writes one request with one send, reads the answer and puts the lane back: no thread, no
//! runtime, no hop. On a kept-alive connection that is three system calls (look, send, receive).
//!
//! ```text
//! cluster   who is asked, in which order          retry    what becomes of an attempt, by class
//! hedge     asking twice when an answer is late   health   whether a member is worth a call
//! member    one address: connecting, flights      pool     who gets which lane
//! lane      one request, one answer               http1    bytes of both; chunked: the lines in a body
//! stream    with or without TLS (tls)             socket   deadlines, no SIGPIPE; resolve: names
//! seal      what each attempt has of its own: a signature
//! auth      credentials in front of all of these: headers, tokens and their renewal
//! ```
//!
//! Where a proxy or HTTP/2 is configured, [`proxied`] does the same over `reqwest::blocking`, with threads.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config;
use crate::discreet;

pub mod auth;
mod chunked;
mod cluster;
mod fields;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod health;
mod hedge;
mod http1;
mod lane;
mod member;
mod pool;
mod proxied;
mod resolve;
mod retry;
pub mod seal;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
mod tls;

pub use cluster::Cluster;

/// The way to all members of one HSM service. May be used from any number of threads at once; no lock is held while a
/// request is under way.
pub trait Transport: Send + Sync {
    /// Sends one request and waits for its answer, whatever its status. Redirects are not followed.
    ///
    /// # Errors
    /// Any [`ErrorKind`]; [`Error::sent`] says whether the server may have got the request.
    fn call(&self, request: &Request<'_>, deadline: Deadline) -> Result<Response, Error>;

    /// Sends many requests, up to `width` of them in flight at once, and returns the outcomes in the order of the
    /// requests. One that fails does not keep the others from their answers.
    fn call_many(
        &self,
        requests: &[Request<'_>],
        width: usize,
        deadline: Deadline,
    ) -> Vec<Result<Response, Error>>;

    /// What the administrator should know although all works: a client certificate that has expired.
    fn warning(&self) -> Option<String> {
        None
    }

    /// The process ends, and the calling thread ends it: other threads begin nothing that its end would break. What is
    /// under way is waited for until `limit`. One that has passed is the very end, when no call comes any more: idle
    /// connections end, of which children of a fork may have copies.
    fn exiting(&self, limit: Deadline);

    /// Closes all idle connections and refuses new calls with [`ErrorKind::Closed`]. Calls in flight finish.
    fn close(&self);
}

/// One that is shared: with a token in front of it, and without.
impl Transport for Arc<dyn Transport> {
    fn call(&self, request: &Request<'_>, deadline: Deadline) -> Result<Response, Error> {
        (**self).call(request, deadline)
    }

    fn call_many(
        &self,
        requests: &[Request<'_>],
        width: usize,
        deadline: Deadline,
    ) -> Vec<Result<Response, Error>> {
        (**self).call_many(requests, width, deadline)
    }

    fn warning(&self) -> Option<String> {
        (**self).warning()
    }

    fn exiting(&self, limit: Deadline) {
        (**self).exiting(limit);
    }

    fn close(&self) {
        (**self).close();
    }
}

/// What a dialect wants of every exchange.
#[derive(Clone, Copy, Default)]
pub struct Conventions<'a> {
    /// Header lines of every request.
    pub headers: &'a [(&'a str, &'a str)],
    /// The names of the header lines of answers that [`Response::kept`] has, in lower case.
    pub keep: &'a [&'a str],
    /// Whether paths may have what is a caller's, so that the log and the audit leave them out.
    pub discreet_paths: bool,
}

/// The transport that the slot's configuration asks for. Makes no connection and looks up no name.
///
/// # Errors
/// Those of [`Cluster::new`].
pub fn open(token: &config::Token, conventions: &Conventions<'_>) -> Result<Box<dyn Transport>, Error> {
    open_sealed(token, conventions, None)
}

/// The same with a seal on each attempt.
///
/// # Errors
/// Those of [`Cluster::new`].
pub fn open_sealed(
    token: &config::Token,
    conventions: &Conventions<'_>,
    sealer: Option<Arc<dyn seal::Sealer>>,
) -> Result<Box<dyn Transport>, Error> {
    if token.needs_thread() {
        return Ok(Box::new(proxied::Proxied::new(token, conventions)?.sealed(sealer)));
    }
    let cluster = Cluster::new(&token.members, &token.tls, token.timeouts, token.pool, conventions)?;
    Ok(Box::new(cluster.hedged(token.hedge).sealed(sealer)))
}

/// The HTTP methods that the dialects use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `DELETE`
    Delete,
    /// `GET`
    Get,
    /// `PATCH`
    Patch,
    /// `POST`
    Post,
    /// `PUT`
    Put,
}

impl Method {
    /// As a request line has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// What may be done with a request whose fate is not known. The back end decides it for each call and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Harmless twice: reads, and signatures that burn no state.
    Repeatable,
    /// Changes something: sent again only if it provably was not sent.
    OnceOnly,
    /// Carries a password, and some HSMs zeroise after three wrong ones: on a fresh or proven connection, once.
    NeverTwice,
}

/// How long giving back what a service keeps open may take: whoever logs out waits no longer for any HSM.
pub const FAREWELL: Duration = Duration::from_secs(2);

/// The instant at which a whole C call gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// `timeout` from now; more than a century is a century.
    pub fn after(timeout: Duration) -> Self {
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        Self(Instant::now() + timeout.min(CENTURY)) // no clock is that near its end
    }

    /// What is left; `None` when it has passed.
    pub fn remaining(self) -> Option<Duration> {
        self.0.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// The end of the first turn, where `turns` of them share what is left: what one does not need is the others'.
    pub fn first_of(self, turns: u32) -> Self {
        Self::after(self.remaining().unwrap_or_default() / turns.max(1))
    }
}

/// One request. `path` begins with `/` and is put behind the member's base path.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// Path and query, percent-encoded.
    pub path: &'a str,
    /// Header lines besides those that the lane writes itself (`Host`, `Content-Length`, `Connection`).
    pub headers: &'a Headers,
    /// The body; `None` sends neither body nor `Content-Length` (a `POST` should have one).
    pub body: Option<&'a [u8]>,
    /// What may be done when the answer does not come.
    pub class: Class,
}

const CONTENT_TYPE: &str = "Content-Type";

/// Header lines of one request, as bytes ready for the wire. They may hold a credential: zeroised when dropped.
#[derive(Clone, Default)]
pub struct Headers {
    lines: zeroize::Zeroizing<Vec<u8>>,
    /// Whether `Content-Type` is among them.
    typed: bool,
}

impl Headers {
    /// Adds one line. A `Content-Type` here stands for the one of the [`Conventions`].
    ///
    /// # Errors
    /// [`ErrorKind::Header`] when `name` is no token of HTTP (RFC 9110 5.6.2), or `value` has a byte that would end the
    /// line or that HTTP forbids (RFC 9110 5.5).
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) {
            return Err(Error::unsent(ErrorKind::Header, format!("{name:?} is not the name of a header")));
        }
        let forbidden = |byte: u8| byte != b'\t' && !(b' '..=b'~').contains(&byte);
        if value.bytes().any(forbidden) {
            return Err(Error::unsent(
                ErrorKind::Header,
                format!("the value of {name} has a byte that no header may carry"),
            ));
        }
        let parts = [name, ": ", value, "\r\n"];
        discreet::reserve(&mut self.lines, parts.iter().map(|part| part.len()).sum());
        for part in parts {
            self.lines.extend_from_slice(part.as_bytes());
        }
        self.typed |= name.eq_ignore_ascii_case(CONTENT_TYPE);
        Ok(())
    }

    /// Adds the lines of others.
    pub fn append(&mut self, others: &Self) {
        discreet::append(&mut self.lines, &others.lines);
        self.typed |= others.typed;
    }

    /// The lines, each ended by CR LF.
    pub fn as_bytes(&self) -> &[u8] {
        &self.lines
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether `Content-Type` is among them.
    fn is_typed(&self) -> bool {
        self.typed
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Headers({} bytes)", self.lines.len())
    }
}

/// An answer, whatever its status. The body may hold plaintext: zeroised when dropped.
pub struct Response {
    /// The status code, 200 to 599; interim 1xx answers are read over.
    pub status: u16,
    /// `Retry-After`, if it was there in seconds.
    pub retry_after: Option<Duration>,
    /// The header lines that [`open`] was told to keep.
    pub kept: Kept,
    /// The whole body, de-chunked.
    pub body: zeroize::Zeroizing<Vec<u8>>,
}

impl Response {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {} bytes)", self.status, self.body.len())
    }
}

/// Header lines of an answer, in their order. They may hold a session's cookie: zeroised when dropped.
#[derive(Clone, Default)]
pub struct Kept(Vec<(String, zeroize::Zeroizing<String>)>);

impl Kept {
    /// Keeps a line. Values with bytes beyond ASCII are none that this module reads.
    fn push(&mut self, name: &str, value: &[u8]) {
        if let Ok(value) = std::str::from_utf8(value.trim_ascii()) {
            self.0.push((name.to_ascii_lowercase(), value.to_owned().into()));
        }
    }

    /// These lines.
    #[cfg(test)]
    pub(crate) fn of(lines: &[(&str, &str)]) -> Self {
        let mut kept = Self::default();
        lines.iter().for_each(|(name, value)| kept.push(name, value.as_bytes()));
        kept
    }

    /// The values of the lines of this name, which is in lower case.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(kept, _)| kept == name).map(|(_, value)| value.as_str())
    }

    /// The value of the first line of this name, which is in lower case.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// What kept a request from its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// What stands in front of the service refused the request by itself: for where it comes from, for whose it is, or for
    /// how it is signed. With [`Error::refused`]; the request itself did nothing.
    Barred,
    /// The same for the secret that signs, and `C_Login` brought that.
    BarredPin,
    /// The connection ended before the answer was whole.
    Broken,
    /// The pool is shut: the module was finalised.
    Closed,
    /// No connection could be made.
    Connect,
    /// The source of a credential cannot be read, or what it gives is none. Nothing was sent.
    Credential,
    /// A header value that HTTP forbids.
    Header,
    /// What came back is not HTTP/1.1 as RFC 9112 has it, or is not signed as it must be.
    Malformed,
    /// The name of the host has no address.
    Name,
    /// All lanes are taken and none came free in time.
    PoolExhausted,
    /// A credential was refused when a token was to be had for it, and there is nothing left to try: with
    /// [`Error::refused`]. The request itself did nothing.
    Refused,
    /// The deadline passed.
    Timeout,
    /// TLS refused: certificate, name, version or alert.
    Tls,
    /// The head or the body is larger than the limits.
    TooLarge,
    /// A credential is one that `C_Login` brings, and it has not. Nothing was sent.
    Unauthorised,
}

/// A request without an answer. An answer of any status is a [`Response`].
#[derive(Clone, Debug)]
pub struct Error {
    /// What happened.
    pub kind: ErrorKind,
    /// Whether the server may have got the request.
    pub sent: bool,
    /// Member, phase and reason, for the log.
    pub context: String,
    /// The answer that refused, with [`ErrorKind::Refused`], [`ErrorKind::Barred`] and [`ErrorKind::BarredPin`]: the dialect
    /// knows what it says.
    pub refused: Option<Arc<Response>>,
}

impl Error {
    /// A failure before the first byte of the request left.
    pub fn unsent(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self { kind, sent: false, context: context.into(), refused: None }
    }

    /// Puts what went wrong before in front. What was told already is not told again.
    fn after(self, earlier: &str) -> Self {
        let context = if earlier.contains(&self.context) {
            earlier.to_owned()
        } else if earlier.is_empty() || self.context.contains(earlier) {
            self.context
        } else {
            format!("{earlier}; {}", self.context)
        };
        Self { context, ..self }
    }

    /// A failure after the request, or a part of it, left.
    pub fn sent(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self { kind, sent: true, context: context.into(), refused: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl std::error::Error for Error {}
