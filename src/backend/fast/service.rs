//! One call at the service.

use serde::Deserialize;

use super::errors::{Purpose, Refusal, unanswered, unreadable};
use super::wire::Answer;
use crate::error::{Error, Result};
use crate::observe::log::Log;
use crate::transport::auth::Authenticated;
use crate::transport::{Class, Deadline, Headers, Method, Request, Response, Transport};

/// The service as one account sees it.
pub(super) struct Service {
    pub(super) transport: Authenticated,
    none: Headers,
    /// How many requests of one scatter are in flight.
    width: usize,
    log: Log,
}

/// A call to be made: all are `POST`s with JSON.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) path: &'a str,
    pub(super) body: &'a [u8],
    pub(super) purpose: Purpose,
    pub(super) class: Class,
}

impl Service {
    pub(super) fn new(transport: Authenticated, width: usize, log: &Log) -> Self {
        Self { transport, none: Headers::default(), width, log: log.clone() }
    }

    /// The answer to `call`, whatever it is.
    ///
    /// # Errors
    /// By the table where there is none.
    pub(super) fn exchange(&self, call: &Call<'_>, deadline: Deadline) -> Result<Response> {
        let answer = self.transport.call(&self.request(call), deadline);
        match &answer {
            Ok(answer) => {
                let (status, length) = (answer.status, answer.body.len());
                self.log.debug(format_args!("{}: HTTP {status}, {length} bytes", call.path));
            }
            Err(error) => self.log.debug(format_args!("{}: {error}", call.path)),
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
        Request {
            method: Method::Post,
            path: call.path,
            headers: &self.none,
            body: Some(call.body),
            class: call.class,
        }
    }
}

/// Why an answer is of no use.
pub(super) enum Failure {
    /// The service refused.
    Refused(Refusal),
    /// It is a success that is none.
    Unreadable(Error),
}

impl Failure {
    /// The error for the caller and the log.
    pub(super) fn error(self, purpose: Purpose) -> Error {
        match self {
            Self::Refused(refusal) => refusal.error(purpose),
            Self::Unreadable(error) => error,
        }
    }
}

/// The answer, if it is a success.
pub(super) fn succeeded<'a, D: Deserialize<'a>>(
    purpose: Purpose,
    response: &'a Response,
) -> Result<Answer<'a, D>, Failure> {
    let read = serde_json::from_slice::<Answer<'a, D>>(&response.body);
    match read {
        Ok(answer) if answer.is_success() && response.is_success() => Ok(answer),
        Err(error) if response.is_success() && !is_refusal(response) => {
            let what =
                format!("not the JSON that it should be at line {}, column {}", error.line(), error.column());
            Err(Failure::Unreadable(unreadable(purpose, response, &what)))
        }
        _ => Err(Failure::Refused(Refusal::read(response))),
    }
}

/// Whether the service says itself that it refuses, whatever else is in the answer.
fn is_refusal(response: &Response) -> bool {
    let read = serde_json::from_slice::<Answer<'_, serde::de::IgnoredAny>>(&response.body);
    read.is_ok_and(|answer| !answer.is_success())
}
