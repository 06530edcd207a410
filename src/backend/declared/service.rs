//! One call at the service.

use cryptoki_sys::{CKR_ATTRIBUTE_VALUE_INVALID, CKR_FUNCTION_FAILED};

use super::answer::Answer;
use super::description::Description;
use super::errors::{Pin, Purpose, Refusal};
use super::request::{Call, Filled};
use super::template::{Misfit, Values};
use crate::error::{Error, Result};
use crate::observe::log::Log;
use crate::transport::auth::Authenticated;
use crate::transport::{self, Deadline, Response, Transport};

/// The service with one set of credentials.
pub(super) struct Service {
    pub(super) description: std::sync::Arc<Description>,
    pub(super) transport: Authenticated,
    pub(super) pin: Pin,
    /// How many requests of one scatter are in flight.
    pub(super) width: usize,
    pub(super) log: Log,
}

/// An answer that is no success, with what it says.
pub(super) type Judged<T> = std::result::Result<T, Refusal>;

impl Service {
    /// The answer to a call, which is a success.
    ///
    /// # Errors
    /// By the table where the service refuses; `CKR_FUNCTION_FAILED` for a value that must not stand where it would,
    /// `CKR_ATTRIBUTE_VALUE_INVALID` where it is that of a new key.
    pub(super) fn call(
        &self,
        call: &Call,
        values: &Values<'_>,
        purpose: Purpose,
        deadline: Deadline,
    ) -> Result<Response> {
        let filled = call.fill(values).map_err(|misfit| misfitting(purpose, misfit))?;
        let answer = self.transport.call(&filled.request(), deadline);
        let answer = self.told(&filled, answer, purpose)?;
        match self.judge(call, &answer) {
            Ok(()) => Ok(answer),
            Err(refusal) if purpose == Purpose::Login => {
                Err(self.description.errors.login_error(&refusal, &self.pin))
            }
            Err(refusal) => Err(self.description.errors.error(&refusal, purpose)),
        }
    }

    /// The answers to one call with many values, in their order, with what those say that are no success.
    pub(super) fn call_many<'v>(
        &self,
        call: &Call,
        values: impl Iterator<Item = Values<'v>>,
        purpose: Purpose,
        deadline: Deadline,
    ) -> Vec<Result<Judged<Response>>> {
        let all: Vec<_> = values.map(|values| call.fill(&values)).collect();
        let requests: Vec<_> = all.iter().flatten().map(Filled::request).collect();
        let mut answers = self.transport.call_many(&requests, self.width, deadline).into_iter();
        let judged = |answer: Response| match self.judge(call, &answer) {
            Ok(()) => Ok(answer),
            Err(refusal) => Err(refusal),
        };
        let mut settled = Vec::with_capacity(all.len());
        for filled in &all {
            settled.push(match filled {
                Err(misfit) => Err(misfitting(purpose, misfit.clone())),
                Ok(filled) => match answers.next() {
                    Some(answer) => self.told(filled, answer, purpose).map(judged),
                    None => Err(Error::internal(format!("{purpose}: a request without an answer"))),
                },
            });
        }
        settled
    }

    fn told(
        &self,
        filled: &Filled<'_>,
        answer: std::result::Result<Response, transport::Error>,
        purpose: Purpose,
    ) -> Result<Response> {
        match &answer {
            Ok(answer) => self.log.debug(format_args!(
                "{}: HTTP {}, {} bytes",
                filled.shown(),
                answer.status,
                answer.body.len()
            )),
            Err(error) => self.log.debug(format_args!("{}: {error}", filled.shown())),
        }
        answer.map_err(|error| self.description.errors.unanswered(purpose, error))
    }

    fn judge(&self, call: &Call, response: &Response) -> Judged<()> {
        let Description { errors, success, .. } = &*self.description;
        let answer = Answer::new(response);
        match errors.is_success(call.success.as_ref().unwrap_or(success), &answer) {
            true => Ok(()),
            false => Err(errors.refusal(&answer)),
        }
    }
}

/// The error for a value that must not stand where it would.
pub(super) fn misfitting(purpose: Purpose, Misfit { value, what }: Misfit) -> Error {
    let rv = if purpose == Purpose::Generate { CKR_ATTRIBUTE_VALUE_INVALID } else { CKR_FUNCTION_FAILED };
    Error::new(rv, format!("{purpose}: nothing was sent, for {value} {what}"))
}
