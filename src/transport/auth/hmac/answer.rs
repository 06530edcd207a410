//! What an answer says of the signature that was sent, and whether its own one is right.

use std::cell::OnceCell;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

use super::values::{self, Moment, Shown, Side, Target, Values};
use super::{Clocks, encode, mac, time};
use crate::config::hmac::{AnswerScheme, Scheme};
use crate::observe::audit::{Audit, Event};
use crate::observe::log::Log;
use crate::transport::seal::{Check, Finding};
use crate::transport::{Class, Error, ErrorKind, Response};

/// How far an answer may be ahead of our idea of the server's time, in milliseconds.
const AHEAD: i64 = 60_000;

/// One signed attempt.
pub(super) struct Ticket {
    pub(super) scheme: Arc<Scheme>,
    pub(super) key_id: String,
    pub(super) clocks: Arc<Clocks>,
    pub(super) audit: Option<Audit>,
    pub(super) key: Zeroizing<Vec<u8>>,
    pub(super) target: Target,
    pub(super) moment: Moment,
    pub(super) class: Class,
    /// Its time in milliseconds since 1970, as we think that the server's clock goes.
    pub(super) sent: i64,
    /// What was signed, fit for a log.
    pub(super) told: Option<String>,
    pub(super) log: Log,
}

impl Check for Ticket {
    fn check(&self, answer: &Response) -> Result<Finding, Error> {
        if let Some(scheme) = &self.scheme.answer {
            self.verify(scheme, answer).map_err(|reason| {
                let host = self.target.host();
                self.log.warn(format_args!("{host}: the answer is not used: {reason}"));
                Error::sent(ErrorKind::Malformed, format!("the answer is not used: {reason}"))
            })?;
        }
        if !matches!(answer.status, 401 | 403) {
            return Ok(Finding::Good);
        }
        let words = String::from_utf8_lossy(&answer.body).to_lowercase();
        let has = |listed: &[String]| listed.iter().any(|word| words.contains(word));
        if let Some(ahead) = self.learn(answer) {
            return self.after_clock(answer, ahead, has(&self.scheme.clock_words));
        }
        // What is never sent twice has a nonce that was never sent before: the words are about something else.
        if self.class != Class::NeverTwice && answer.status == 401 && has(&self.scheme.replay_words) {
            return Ok(self.again(answer));
        }
        if let Some(told) = &self.told {
            self.log.debug(format_args!(
                "{}: HTTP {} for a request for which this was signed: {told:?}",
                self.target.host(),
                answer.status
            ));
        }
        Ok(Finding::Good)
    }
}

impl Ticket {
    /// How far the server's clock is ahead of ours, in milliseconds, if it is so far from the time that was sent that
    /// this alone is a reason to refuse. Then the next attempt has its time.
    fn learn(&self, answer: &Response) -> Option<i64> {
        if !self.scheme.has_time() {
            return None;
        }
        let told = answer.kept.first(&self.scheme.server_time_header).and_then(time::read);
        // Times of HTTP have no fractions of a second: half of one is the likeliest.
        let theirs = told?.saturating_add(500);
        let skew = i64::try_from(self.scheme.clock_skew.as_millis()).unwrap_or(i64::MAX);
        if theirs.saturating_sub(self.sent).saturating_abs() <= skew {
            return None;
        }
        let ahead = theirs.saturating_sub(time::now());
        self.clocks.learn(self.target.host(), ahead);
        self.log.warn(format_args!(
            "{}: its clock is {} s ahead of ours (slot.auth.hmac): requests have its time from now on",
            self.target.host(),
            ahead / 1000
        ));
        Some(ahead)
    }

    /// The refusal of a request whose time was wrong. It may be one of the password in it all the same: a server may let
    /// times be further off than we think.
    fn after_clock(&self, answer: &Response, ahead: i64, named: bool) -> Result<Finding, Error> {
        if named || self.class != Class::NeverTwice {
            return Ok(self.again(answer));
        }
        let seconds = ahead / 1000;
        Err(Error::sent(
            ErrorKind::Malformed,
            format!(
                "refused while its clock was {seconds} s ahead of ours, and it does not say of what (clock_words)"
            ),
        ))
    }

    /// Another signature is asked for.
    fn again(&self, answer: &Response) -> Finding {
        if let Some(audit) = &self.audit {
            audit.refused(Event::Signature, self.target.endpoint(audit), answer.status);
        }
        Finding::Again
    }

    /// The signature of the answer. A refusal may have none: who does not know us cannot sign for us.
    fn verify(&self, scheme: &AnswerScheme, answer: &Response) -> Result<(), String> {
        let Some(line) = answer.kept.first(&scheme.header) else {
            return match answer.status {
                400.. => Ok(()),
                _ => Err(format!("it has no {}", scheme.header)),
            };
        };
        let attributes = attributes(line);
        let shown = match &scheme.attribute {
            Some(name) => values::attribute(&attributes, name)
                .ok_or_else(|| format!("its {} has no {name}", scheme.header))?,
            None => line,
        };
        let values = Values {
            scheme: &self.scheme,
            key_id: &self.key_id,
            token_header: "",
            target: &self.target,
            moment: &self.moment,
            side: Side::Answer { response: answer, attributes: &attributes },
            shown: Shown::All,
            body_hash: OnceCell::new(),
        };
        let text = values.text(&scheme.template).map_err(|error| error.context)?;
        let signed = encode::write(self.scheme.output, &mac(&values, &self.key, &text));
        verify_slices_are_equal(signed.as_bytes(), shown.as_bytes())
            .map_err(|_| format!("its {} is not that of the answer to this request", scheme.header))?;
        self.check_time(scheme, answer)
    }

    fn check_time(&self, scheme: &AnswerScheme, answer: &Response) -> Result<(), String> {
        let Some(header) = &scheme.time_header else { return Ok(()) };
        let told = answer.kept.first(header).and_then(time::read);
        let told = told.ok_or_else(|| format!("it has no time in {header}"))?;
        let now = time::now().saturating_add(self.clocks.ahead_of(self.target.host()));
        let skew = i64::try_from(self.scheme.clock_skew.as_millis()).unwrap_or(i64::MAX);
        match told.saturating_sub(now) {
            apart if apart > AHEAD || apart < -skew => {
                Err(format!("its time is {} s from now", apart / 1000))
            }
            _ => Ok(()),
        }
    }
}

/// `name="value"` after each other, as `Authorization` has them.
fn attributes(line: &str) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("=\"") {
        let Some((value, next)) = after.split_once('"') else { break };
        let name = before.rsplit([' ', ',']).next().unwrap_or_default();
        attributes.push((name.to_owned(), value.to_owned()));
        rest = next;
    }
    attributes
}
