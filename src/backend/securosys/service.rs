//! One call at the service: which credential it carries, and what follows a refusal of it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use cryptoki_sys::{CKR_GENERAL_ERROR, CKR_USER_NOT_LOGGED_IN};
use serde::Deserialize;

use super::credentials::{Candidate, Credentials};
use super::errors::{Blame, Purpose, Refusal, unanswered, unauthorised, unreadable};
use super::roles::{Order, Role, Roles};
use crate::config::Level;
use crate::error::{Error, Result};
use crate::observe::audit::{Audit, Endpoint, Event};
use crate::observe::log::Log;
use crate::transport::auth::Authenticated;
use crate::transport::{self, Class, Deadline, Headers, Method, Request, Response, Transport};

/// The service as one set of credentials sees it.
pub(super) struct Service {
    /// With what the configuration puts in front of the service.
    pub(super) transport: Authenticated,
    pub(super) credentials: Credentials,
    pub(super) roles: Roles,
    /// How many requests of one scatter are in flight.
    pub(super) width: usize,
    pub(super) audit: Audit,
    pub(super) log: Log,
}

/// A call to be made.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    /// One of [`super::endpoint`], with its last segment where it has one.
    pub(super) path: &'a str,
    pub(super) method: Method,
    pub(super) body: Option<&'a [u8]>,
    pub(super) class: Class,
    pub(super) purpose: Purpose,
}

impl<'a> Call<'a> {
    /// A read.
    pub(super) fn get(path: &'a str, purpose: Purpose) -> Self {
        Self { path, method: Method::Get, body: None, class: Class::Repeatable, purpose }
    }

    /// A request with a body.
    pub(super) fn post(path: &'a str, body: &'a [u8], class: Class, purpose: Purpose) -> Self {
        Self { path, method: Method::Post, body: Some(body), class, purpose }
    }

    /// The end of what is at `path`.
    pub(super) fn delete(path: &'a str, purpose: Purpose) -> Self {
        Self { path, method: Method::Delete, body: None, class: Class::OnceOnly, purpose }
    }

    /// For events.
    pub(super) fn endpoint(&self) -> Endpoint<'a> {
        Endpoint::new(self.method.as_str(), self.path)
    }
}

impl Service {
    /// The answer to `call`, which is a success.
    ///
    /// # Errors
    /// By the table where the service refuses, and where it does not answer.
    pub(super) fn call(&self, call: &Call<'_>, deadline: Deadline) -> Result<Response> {
        succeeded(call.purpose, self.exchange(call, deadline)?)
    }

    /// The answer to `call`, whatever it is.
    ///
    /// A refused credential gets more chances where that can do no harm: the other keys of the role, those of the other
    /// role where the sources disagree about the endpoint, then the secrets as their files have them by now.
    pub(super) fn exchange(&self, call: &Call<'_>, deadline: Deadline) -> Result<Response> {
        let (order, headers) = self.prepare(call)?;
        let answer = self.send(call, &headers, deadline)?;
        if !is_refused(&answer) {
            return Ok(answer);
        }
        let better = self.recover(call, order, headers, &answer, deadline)?;
        Ok(better.unwrap_or(answer))
    }

    /// What comes of a call whose first `answer`, to a request with the lines `headers`, was a refusal of them: a better
    /// answer, or the refusal to tell instead; `None` where it is that first one.
    fn recover(
        &self,
        call: &Call<'_>,
        order: Order,
        headers: Arc<Headers>,
        answer: &Response,
        deadline: Deadline,
    ) -> Result<Option<Response>> {
        let (mut role, mut blame) = (order.first, self.repeatable(call, order.first, answer));
        self.tell_refusal(call, role, answer);
        let (mut tried, mut read_anew) = (vec![headers], Vec::new());
        let mut told = None;
        while let Some(refused) = blame {
            let Some(candidate) = self.untried(order, role, refused, &tried) else {
                if read_anew.contains(&refused) {
                    break;
                }
                read_anew.push(refused);
                [Some(order.first), order.other].into_iter().flatten().for_each(|role| {
                    self.credentials.refresh(role, refused);
                });
                continue;
            };
            let answer = self.send(call, &candidate.headers, deadline)?;
            role = candidate.role;
            if !is_refused(&answer) {
                // A server that fails has not said what it takes.
                if answer.is_success() || Refusal::read(&answer).accepts_credential() {
                    self.credentials.remember(&candidate);
                    self.roles.remember(call.path, role);
                    self.audit.of(self.credentials.account(role)).granted(Event::Renewal, call.endpoint());
                }
                return Ok(Some(answer));
            }
            self.tell_refusal(call, role, &answer);
            tried.push(candidate.headers);
            blame = self.repeatable(call, role, &answer);
            if role == order.documented {
                told = Some(answer);
            }
        }
        self.roles.remember(call.path, order.documented);
        Ok(told)
    }

    /// That a credential was refused; what becomes of a login is told there.
    fn tell_refusal(&self, call: &Call<'_>, role: Role, answer: &Response) {
        if call.purpose != Purpose::Login {
            let account = self.credentials.account(role);
            self.audit.of(account).refused(Event::Use, call.endpoint(), answer.status);
        }
    }

    /// Whether `C_Login` has to bring something.
    pub(super) fn wants_pin(&self) -> bool {
        self.transport.wants_pin() || self.credentials.wants_pin()
    }

    /// What to try next, of what the credentials are now.
    fn untried(&self, order: Order, role: Role, blame: Blame, tried: &[Arc<Headers>]) -> Option<Candidate> {
        let is_new = |candidate: &Candidate| {
            tried.iter().all(|headers| headers.as_bytes() != candidate.headers.as_bytes())
        };
        if blame == Blame::Token {
            // No other API key makes the JWT better.
            return self.credentials.candidates(role).next().filter(is_new);
        }
        let roles = [Some(order.first), order.other].into_iter().flatten();
        roles.flat_map(|role| self.credentials.candidates(role)).find(is_new)
    }

    /// Which credential was refused in `role`, if the call may go out again. One with what somebody typed may if that
    /// was not looked at, because something of the configuration was refused before it.
    fn repeatable(&self, call: &Call<'_>, role: Role, answer: &Response) -> Option<Blame> {
        let blame = Refusal::read(answer).blame()?;
        let harmless = match blame {
            _ if call.class != Class::NeverTwice => true,
            Blame::Token => self.credentials.has_own_token(),
            Blame::ApiKey => !self.credentials.is_pin(role),
            Blame::Either => false,
        };
        harmless.then_some(blame)
    }

    /// The answers to calls of one endpoint, in their order, whatever they are.
    pub(super) fn exchange_many(&self, calls: &[Call<'_>], deadline: Deadline) -> Vec<Result<Response>> {
        let Some(first) = calls.first() else { return Vec::new() };
        let (order, headers) = match self.prepare(first) {
            Ok(prepared) => prepared,
            Err(error) => {
                let same = |call: &Call<'_>| Err(Error::new(error.rv(), format!("{}: {error}", call.path)));
                return calls.iter().map(same).collect();
            }
        };
        let mut answers = self.send_many(calls, &headers, deadline);
        let refused = |answer: &Result<Response>| answer.as_ref().is_ok_and(is_refused);
        let again: Vec<usize> =
            (0..).zip(&answers).filter(|(_, answer)| refused(answer)).map(|(at, _)| at).collect();
        // One of the refused calls finds out whether there is a better credential; the others then follow it.
        let Some((&scout, rest)) = again.split_first() else { return answers };
        let (Some(call), Some(answer)) = (calls.get(scout), answers.get_mut(scout)) else { return answers };
        let Ok(first_answer) = answer else { return answers };
        match self.recover(call, order, headers, first_answer, deadline) {
            Ok(Some(better)) => *answer = Ok(better),
            Ok(None) => {}
            Err(error) => *answer = Err(error),
        }
        if !refused(answer)
            && let Ok((_, headers)) = self.prepare(call)
        {
            let calls: Vec<_> = rest.iter().filter_map(|&at| calls.get(at).copied()).collect();
            for (&at, second) in rest.iter().zip(self.send_many(&calls, &headers, deadline)) {
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

    fn send_many(&self, calls: &[Call<'_>], headers: &Headers, deadline: Deadline) -> Vec<Result<Response>> {
        let requests: Vec<_> = calls.iter().map(|call| request(call, headers)).collect();
        let answers = self.transport.call_many(&requests, self.width, deadline);
        let finish = |(call, answer): (&Call<'_>, Result<Response, transport::Error>)| {
            self.log_answer(call, &answer, format_args!(""));
            answer.map_err(|error| unanswered(call.purpose, error))
        };
        calls.iter().zip(answers).map(finish).collect()
    }

    /// The roles for a call, and the header lines with which it goes out first.
    fn prepare(&self, call: &Call<'_>) -> Result<(Order, Arc<Headers>)> {
        let order = self.order(call)?;
        let headers = self.credentials.headers(order.first);
        Ok((order, headers.map_err(|error| unauthorised(call.purpose, error))?))
    }

    /// The roles for a call, as far as there are keys for them.
    fn order(&self, call: &Call<'_>) -> Result<Order> {
        let Call { path, purpose, .. } = call;
        let mut order = self
            .roles
            .of(path)
            .ok_or_else(|| Error::new(CKR_GENERAL_ERROR, format!("{purpose}: no API key is for {path}")))?;
        order.other = order.other.filter(|&role| self.credentials.has_key(role));
        match order.other {
            Some(other) if !self.credentials.has_key(order.first) => {
                Ok(Order { first: other, other: None, ..order })
            }
            _ if self.credentials.is_ready(order.first) => Ok(order),
            _ => Err(not_logged_in(*purpose)),
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

fn request<'a>(call: &Call<'a>, headers: &'a Headers) -> Request<'a> {
    Request { method: call.method, path: call.path, headers, body: call.body, class: call.class }
}

fn is_refused(answer: &Response) -> bool {
    !answer.is_success() && Refusal::read(answer).is_credential()
}

fn not_logged_in(purpose: Purpose) -> Error {
    Error::new(CKR_USER_NOT_LOGGED_IN, format!("{purpose}: the credential is still to come from C_Login"))
}
