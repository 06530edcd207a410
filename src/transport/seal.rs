//! What is only good for one attempt at a request: a signature over the bytes that are sent, with a time and a nonce of
//! its own. Whoever makes the last step of an attempt asks for it there, so that a repetition, a second member and a
//! hedge each have another one.

use super::{Class, Error, Headers, Method, Request, Response};

/// Makes seals.
pub trait Sealer: Send + Sync {
    /// The names of the header lines of answers that seals look at, in lower case.
    fn keep(&self) -> Vec<String>;

    /// The header lines of the request with those of a new seal, and what looks at the answer; `None`: this request is
    /// sent as it is.
    ///
    /// # Errors
    /// Where there is no secret, or where the request has not what is to be sealed. Nothing was sent.
    fn seal(&self, outgoing: &Outgoing<'_>) -> Result<Option<Sealed>, Error>;
}

/// An attempt as it is about to be sent.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// The method.
    pub method: Method,
    /// Whether it goes over TLS.
    pub tls: bool,
    /// As in the line `Host`.
    pub host: &'a str,
    /// The port, also where it is the usual one.
    pub port: u16,
    /// What stands before the path.
    pub base: &'a str,
    /// Path and query, behind `base`.
    pub path: &'a str,
    /// Header lines of the member. One of the request's own stands for one of the same name here.
    pub fixed: &'a [u8],
    /// The request's own.
    pub headers: &'a Headers,
    /// The body.
    pub body: &'a [u8],
    /// What may be done when it is refused.
    pub class: Class,
}

impl<'a> Outgoing<'a> {
    /// The attempt at `request` at the member that `place` describes: TLS, host, port and base path.
    pub(super) fn new(
        (tls, host, port, base): (bool, &'a str, u16, &'a str),
        fixed: &'a [u8],
        request: &Request<'a>,
    ) -> Self {
        let Request { method, path, headers, body, class } = *request;
        let body = body.unwrap_or_default();
        Self { method, tls, host, port, base, path, fixed, headers, body, class }
    }
}

/// A sealed attempt.
pub struct Sealed {
    /// All header lines of the request.
    pub headers: Headers,
    /// Looks at the answer.
    pub check: Box<dyn Check>,
}

/// Looks at the answer to one attempt.
pub trait Check: Send {
    /// What is to be done with the answer.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`](super::ErrorKind::Malformed) for an answer that must not be used: it is not from whom it
    /// should be, not to this request, or a refusal of which nobody can tell whether it is one of the seal or of a
    /// password, which is not sent twice to find out.
    fn check(&self, answer: &Response) -> Result<Finding, Error>;
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The answer is the caller's.
    Good,
    /// The seal was refused, and with it all else: nothing was done. Another one may be taken. For what must never be
    /// sent twice only where the answer says so in words that the configuration lists.
    Again,
}
