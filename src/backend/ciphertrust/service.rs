//! One call at the server.

use cryptoki_sys::CKR_DEVICE_ERROR;
use serde::Deserialize;

use super::errors::{Purpose, Refusal, unanswered, unreadable};
use crate::error::{Error, Result};
use crate::observe::log::Log;
use crate::transport::auth::Authenticated;
use crate::transport::{Class, Deadline, Headers, Method, Request, Response, Transport};

/// The server as one account sees it.
pub(super) struct Service {
    pub(super) transport: Authenticated,
    /// The line of a request in JSON; without it a body is raw bytes, as that of a signature is.
    json: Headers,
    none: Headers,
    /// How many requests of one scatter are in flight.
    width: usize,
    log: Log,
}

/// A call to be made.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) content: Content<'a>,
    pub(super) purpose: Purpose,
}

/// The body of a request.
#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    None,
    Json(&'a [u8]),
    Raw(&'a [u8]),
}

impl<'a> Call<'a> {
    /// A read.
    pub(super) fn get(path: &'a str, purpose: Purpose) -> Self {
        Self { method: Method::Get, path, content: Content::None, purpose }
    }

    /// A deletion.
    pub(super) fn delete(path: &'a str, purpose: Purpose) -> Self {
        Self { method: Method::Delete, path, content: Content::None, purpose }
    }

    /// A request with raw bytes.
    pub(super) fn raw(path: &'a str, bytes: &'a [u8], purpose: Purpose) -> Self {
        Self { method: Method::Post, path, content: Content::Raw(bytes), purpose }
    }

    /// A request in JSON.
    pub(super) fn json(path: &'a str, body: &'a [u8], purpose: Purpose) -> Self {
        Self { method: Method::Post, path, content: Content::Json(body), purpose }
    }
}

impl Service {
    /// # Errors
    /// `CKR_DEVICE_ERROR` where no header can be made, which is a bug.
    pub(super) fn new(transport: Authenticated, width: usize, log: &Log) -> Result<Self> {
        let mut json = Headers::default();
        json.add("Content-Type", "application/json")
            .map_err(|error| Error::new(CKR_DEVICE_ERROR, "no header can be made").because(error))?;
        Ok(Self { transport, json, none: Headers::default(), width, log: log.clone() })
    }

    /// The answer to `call`, which is a success.
    ///
    /// # Errors
    /// By the table where the server refuses, and where it does not answer.
    pub(super) fn call(&self, call: &Call<'_>, deadline: Deadline) -> Result<Response> {
        succeeded(call.purpose, self.exchange(call, deadline)?)
    }

    /// The answer to `call`, whatever it is.
    pub(super) fn exchange(&self, call: &Call<'_>, deadline: Deadline) -> Result<Response> {
        let answer = self.transport.call(&self.request(call), deadline);
        // A query may have what is the caller's.
        let path = call.path.split('?').next().unwrap_or_default();
        match &answer {
            Ok(answer) => {
                let (status, length) = (answer.status, answer.body.len());
                self.log.debug(format_args!("{path}: HTTP {status}, {length} bytes"));
            }
            Err(error) => self.log.debug(format_args!("{path}: {error}")),
        }
        answer.map_err(|error| unanswered(call.purpose, error))
    }

    /// The answers to calls, in their order, whatever they are.
    pub(super) fn exchange_many(&self, calls: &[Call<'_>], deadline: Deadline) -> Vec<Result<Response>> {
        let requests: Vec<_> = calls.iter().map(|call| self.request(call)).collect();
        let answers = self.transport.call_many(&requests, self.width, deadline);
        let told = |(call, answer): (&Call<'_>, Result<Response, _>)| {
            answer.map_err(|error| unanswered(call.purpose, error))
        };
        calls.iter().zip(answers).map(told).collect()
    }

    fn request<'a>(&'a self, call: &Call<'a>) -> Request<'a> {
        let (headers, body) = match call.content {
            Content::None => (&self.none, None),
            Content::Json(body) => (&self.json, Some(body)),
            Content::Raw(bytes) => (&self.none, Some(bytes)),
        };
        // Most read, or make what may be made twice.
        let class = if call.purpose.changes_vault() { Class::OnceOnly } else { Class::Repeatable };
        Request { method: call.method, path: call.path, headers, body, class }
    }
}

/// The answer, if it is a success.
///
/// # Errors
/// By the table.
pub(super) fn succeeded(purpose: Purpose, answer: Response) -> Result<Response> {
    if answer.is_success() { Ok(answer) } else { Err(Refusal::read(&answer).error(purpose)) }
}

/// The answer's body as `T`.
///
/// # Errors
/// `CKR_DEVICE_ERROR` without a word of the body, which may be a plaintext.
pub(super) fn read<'a, T: Deserialize<'a>>(purpose: Purpose, response: &'a Response) -> Result<T> {
    serde_json::from_slice(&response.body).map_err(|error| {
        let what =
            format!("not the JSON that it should be at line {}, column {}", error.line(), error.column());
        unreadable(purpose, response, &what)
    })
}
