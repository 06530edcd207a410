//! One call at the service.

use std::thread;
use std::time::Duration;

use serde::Deserialize;

use super::errors::{Purpose, Refusal, unanswered, unreadable};
use super::wire::Answer;
use crate::error::{Error, Result};
use crate::observe::log::Log;
use crate::transport::auth::Authenticated;
use crate::transport::{self, Class, Deadline, ErrorKind, Headers, Method, Request, Response, Transport};

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
    /// Where there is none: any [`Failure`] but a refusal.
    pub(super) fn exchange(&self, call: &Call<'_>, deadline: Deadline) -> Result<Response, Failure> {
        let answer = self.transport.call(&self.request(call), deadline);
        match &answer {
            Ok(answer) => {
                let (status, length) = (answer.status, answer.body.len());
                self.log.debug(format_args!("{}: HTTP {status}, {length} bytes", call.path));
            }
            Err(error) => self.log.debug(format_args!("{}: {error}", call.path)),
        }
        answer.map_err(|error| Failure::unanswered(call.purpose, error))
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
    /// It did nothing, for it has too much to do, and may be asked again after a pause.
    Busy(Duration, Error),
    /// The service did not get the call, which says nothing of the next one.
    Unsent(Error),
    /// There is no answer, or it is a success that is none.
    Unreadable(Error),
}

impl Failure {
    /// The pause after which the same may be asked again, if nothing was done.
    pub(super) fn pause(&self) -> Option<Duration> {
        match self {
            Self::Busy(pause, _) => Some(*pause),
            _ => None,
        }
    }

    /// There was no answer. Only another call can be luckier whose time was up, or that found nobody.
    fn unanswered(purpose: Purpose, error: transport::Error) -> Self {
        let busy = error.refused.as_deref().and_then(|response| Refusal::read(response).login_pause());
        let passes = matches!(
            error.kind,
            ErrorKind::Connect | ErrorKind::Name | ErrorKind::PoolExhausted | ErrorKind::Timeout
        );
        let unsent = passes && !error.sent;
        let error = unanswered(purpose, error);
        match busy {
            Some(pause) => Self::Busy(pause, error),
            None if unsent => Self::Unsent(error),
            None => Self::Unreadable(error),
        }
    }

    /// The error for the caller and the log.
    pub(super) fn error(self, purpose: Purpose) -> Error {
        match self {
            Self::Refused(refusal) => refusal.error(purpose),
            Self::Busy(_, error) | Self::Unsent(error) | Self::Unreadable(error) => error,
        }
    }
}

/// What `ask` gives at last: it is called again after each pause that the service wants, until `deadline`.
pub(super) fn patiently<T, E>(
    deadline: Deadline,
    pause: impl Fn(&E) -> Option<Duration>,
    mut ask: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    loop {
        let outcome = ask();
        let pause = outcome.as_ref().err().and_then(&pause);
        match pause.filter(|pause| deadline.remaining().is_some_and(|left| *pause < left)) {
            Some(pause) => thread::sleep(pause),
            None => return outcome,
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
        _ => {
            let refusal = Refusal::read(response);
            Err(match refusal.pause() {
                Some(pause) => Failure::Busy(pause, refusal.error(purpose)),
                None => Failure::Refused(refusal),
            })
        }
    }
}

/// Whether the service says itself that it refuses, whatever else is in the answer.
fn is_refusal(response: &Response) -> bool {
    let read = serde_json::from_slice::<Answer<'_, serde::de::IgnoredAny>>(&response.body);
    read.is_ok_and(|answer| !answer.is_success())
}
