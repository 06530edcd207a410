//! One call at the service: which credential it carries, and what follows a refusal of it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use cryptoki_sys::CKR_USER_NOT_LOGGED_IN;
use serde::Deserialize;

use super::credentials::Credentials;
use super::errors::{Purpose, Refusal, unanswered, unauthorised, unreadable};
use super::roles::{Endpoint, Role, Roles};
use crate::config::Level;
use crate::error::{Error, Result};
use crate::observe::log::Log;
use crate::transport::{self, Class, Deadline, Headers, Method, Request, Response, Transport};

/// The service as one set of credentials sees it.
pub(super) struct Service {
    pub(super) transport: Box<dyn Transport>,
    pub(super) credentials: Credentials,
    pub(super) roles: Roles,
    /// How many requests of one scatter are in flight.
    pub(super) width: usize,
    pub(super) log: Log,
}

/// A call to be made.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) endpoint: Endpoint,
    /// The path of the endpoint, with its last segment where it has one.
    pub(super) path: &'a str,
    pub(super) body: Option<&'a [u8]>,
    pub(super) class: Class,
    pub(super) purpose: Purpose,
}

impl<'a> Call<'a> {
    /// A read.
    pub(super) fn get(endpoint: Endpoint, path: &'a str, purpose: Purpose) -> Self {
        Self { endpoint, path, body: None, class: Class::Repeatable, purpose }
    }

    /// A request with a body.
    pub(super) fn post(endpoint: Endpoint, body: &'a [u8], class: Class, purpose: Purpose) -> Self {
        Self { endpoint, path: endpoint.path(), body: Some(body), class, purpose }
    }
}

impl Service {
    /// The answer to `call`, which is a success.
    ///
    /// # Errors
    /// By the table where the service refuses, and where it does not answer.
    pub(super) fn call(&self, call: &Call<'_>, deadline: Deadline) -> Result<Response> {
        let response = self.exchange(call, deadline)?;
        if response.is_success() { Ok(response) } else { Err(Refusal::read(&response).error(call.purpose)) }
    }

    /// The answer to `call`, whatever it is.
    ///
    /// A refused credential gets a second chance where that can do no harm: the key of the other role where the
    /// sources disagree about the endpoint, then the secrets as their files have them by now.
    pub(super) fn exchange(&self, call: &Call<'_>, deadline: Deadline) -> Result<Response> {
        let (role, other) = self.roles_for(call)?;
        let headers = self.headers(call, role)?;
        let answer = self.send(call, &headers, deadline)?;
        if !is_refused(&answer) || !self.may_repeat(call, &answer) {
            return Ok(answer);
        }
        if let Some(other) = other.filter(|_| call.class != Class::NeverTwice) {
            let second = self.send(call, &*self.headers(call, other)?, deadline)?;
            if !is_refused(&second) {
                self.roles.remember(call.endpoint, other);
                return Ok(second);
            }
        }
        match self.credentials.renewed(role, &headers) {
            Ok(Some(headers)) => self.send(call, &headers, deadline),
            Ok(None) => Ok(answer),
            Err(error) => {
                self.log.warn(format_args!("the credential was refused and cannot be read anew: {error}"));
                Ok(answer)
            }
        }
    }

    /// Whether a refused call may go out again. One with what somebody typed may if that was not looked at, because the
    /// JWT of the configuration was refused before it.
    fn may_repeat(&self, call: &Call<'_>, answer: &Response) -> bool {
        call.class != Class::NeverTwice
            || self.credentials.has_own_token() && Refusal::read(answer).is_token()
    }

    /// The answers to calls of one endpoint, in their order, whatever they are.
    pub(super) fn exchange_many(&self, calls: &[Call<'_>], deadline: Deadline) -> Vec<Result<Response>> {
        let mut answers = self.send_many(calls, deadline);
        let refused = |answer: &Result<Response>| answer.as_ref().is_ok_and(is_refused);
        let again: Vec<usize> =
            (0..).zip(&answers).filter(|(_, answer)| refused(answer)).map(|(at, _)| at).collect();
        // One of the refused calls finds out whether there is a better credential; the others then follow it.
        let Some((&scout, rest)) = again.split_first() else { return answers };
        let (Some(call), Some(answer)) = (calls.get(scout), answers.get_mut(scout)) else { return answers };
        *answer = self.exchange(call, deadline);
        if !refused(answer) {
            let calls: Vec<_> = rest.iter().filter_map(|&at| calls.get(at).copied()).collect();
            for (&at, second) in rest.iter().zip(self.send_many(&calls, deadline)) {
                if let Some(answer) = answers.get_mut(at) {
                    *answer = second;
                }
            }
        }
        answers
    }

    fn send(&self, call: &Call<'_>, headers: &Headers, deadline: Deadline) -> Result<Response> {
        let begun = self.log.enabled(Level::Debug).then(Instant::now);
        let answer = self.transport.call(&request(call, headers), deadline);
        if let Some(begun) = begun {
            self.log_answer(call, &answer, format_args!(" after {} µs", begun.elapsed().as_micros()));
        }
        answer.map_err(|error| unanswered(call.purpose, error))
    }

    fn send_many(&self, calls: &[Call<'_>], deadline: Deadline) -> Vec<Result<Response>> {
        let Some(first) = calls.first() else { return Vec::new() };
        let headers = self.roles_for(first).and_then(|(role, _)| self.headers(first, role));
        let headers = match headers {
            Ok(headers) => headers,
            Err(error) => {
                let same = |call: &Call<'_>| Err(Error::new(error.rv(), format!("{}: {error}", call.path)));
                return calls.iter().map(same).collect();
            }
        };
        let requests: Vec<_> = calls.iter().map(|call| request(call, &headers)).collect();
        let answers = self.transport.call_many(&requests, self.width, deadline);
        let finish = |(call, answer): (&Call<'_>, Result<Response, transport::Error>)| {
            self.log_answer(call, &answer, format_args!(""));
            answer.map_err(|error| unanswered(call.purpose, error))
        };
        calls.iter().zip(answers).map(finish).collect()
    }

    fn headers(&self, call: &Call<'_>, role: Role) -> Result<Arc<Headers>> {
        self.credentials.headers(role).map_err(|error| unauthorised(call.purpose, error))
    }

    /// The role to try first and the one to try after a refusal, as far as there are keys for them.
    fn roles_for(&self, call: &Call<'_>) -> Result<(Role, Option<Role>)> {
        let (first, other) = self.roles.of(call.endpoint);
        let other = other.filter(|&role| self.credentials.has_key(role));
        match other {
            Some(other) if !self.credentials.has_key(first) => Ok((other, None)),
            _ if self.credentials.is_ready(first) => Ok((first, other)),
            _ => Err(not_logged_in(call.purpose)),
        }
    }

    fn log_answer(
        &self,
        call: &Call<'_>,
        answer: &Result<Response, transport::Error>,
        time: fmt::Arguments<'_>,
    ) {
        let path = call.path;
        match answer {
            Ok(answer) => self.log.debug(format_args!(
                "{path}: HTTP {}, {} bytes{time}",
                answer.status,
                answer.body.len()
            )),
            Err(error) => self.log.debug(format_args!("{path}: {error}{time}")),
        }
    }
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

fn request<'a>(call: &Call<'a>, headers: &'a Headers) -> Request<'a> {
    let method = if call.body.is_some() { Method::Post } else { Method::Get };
    Request { method, path: call.path, headers, body: call.body, class: call.class }
}

fn is_refused(answer: &Response) -> bool {
    !answer.is_success() && Refusal::read(answer).is_credential()
}

fn not_logged_in(purpose: Purpose) -> Error {
    Error::new(CKR_USER_NOT_LOGGED_IN, format!("{purpose}: the credential is still to come from C_Login"))
}
