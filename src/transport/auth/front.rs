//! What stands in front of a service and refuses requests by itself (gateway reference section 8).

use std::sync::Arc;

use super::GrantError;
use super::presented::Presented;
use crate::transport::{Error, ErrorKind, Response};

/// What a dialect says of an answer.
pub(super) type Judge = dyn Fn(&Response) -> bool + Send + Sync;

/// What is known of it; nothing, where nothing stands there.
#[derive(Default)]
pub(super) struct Front(Option<Box<Judge>>);

impl Front {
    /// `is_own`: which refusals are in the words of the service behind it.
    pub(super) fn new(is_own: impl Fn(&Response) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(is_own)))
    }

    /// How an answer refuses that the service behind cannot have given; `shown`: what the request carried.
    pub(super) fn barred(&self, answer: &Response, shown: &Presented) -> Option<ErrorKind> {
        let is_own = self.0.as_ref()?;
        match answer.status {
            401 | 403 if is_own(answer) => None,
            401 => shown.signer()?.barred(answer),
            // Some say so to a wrong key, too.
            403 if shown.pins().any(|(name, _)| name != "hmac") => None,
            403 => Some(ErrorKind::Barred),
            _ => None,
        }
    }

    /// What comes of a call: the service has not seen one that was barred.
    pub(super) fn of_call(
        &self,
        outcome: Result<Response, Error>,
        shown: &Presented,
    ) -> Result<Response, Error> {
        let error = match outcome {
            Ok(answer) => {
                return match self.barred(&answer, shown) {
                    Some(kind) => Err(error(kind, Arc::new(answer))),
                    None => Ok(answer),
                };
            }
            Err(error) => error,
        };
        let barred = |answer: &Arc<Response>| Some((self.barred(answer, shown)?, Arc::clone(answer)));
        match error.refused.as_ref().filter(|_| error.kind == ErrorKind::Refused).and_then(barred) {
            Some((kind, answer)) => Err(Error { sent: error.sent, ..self::error(kind, answer) }),
            None => Err(error),
        }
    }

    /// The same of a login.
    pub(super) fn of_login(&self, error: GrantError, shown: &Presented) -> GrantError {
        let GrantError::Refused(answer) = error else { return error };
        match self.barred(&answer, shown) {
            Some(kind) => GrantError::Transport(self::error(kind, answer)),
            None => GrantError::Refused(answer),
        }
    }
}

fn error(kind: ErrorKind, answer: Arc<Response>) -> Error {
    let why = match answer.status {
        403 => "which may not have the address of this host on its list",
        _ => "which does not take how it is signed",
    };
    let context = format!("HTTP {} from what stands in front of the service, {why}", answer.status);
    Error { refused: Some(answer), ..Error::sent(kind, context) }
}
