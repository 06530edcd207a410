//! What becomes of an attempt: by the class of the request, within one deadline.
//!
//! | outcome | `Repeatable` | `OnceOnly`, `NeverTwice` |
//! |---|---|---|
//! | not sent | next member (the cluster does it) | the same |
//! | sent, an idle connection was being closed | again on a fresh connection | the error |
//! | sent, connection broke | again, at most [`BREAK_LIMIT`] times | the error |
//! | sent, silence while another member is well | again, once | the wait goes on |
//! | sent, TLS ended in a fault (a client certificate was refused) | again while another member is well | the error |
//! | the seal was refused | again with a new one, at most [`RESEAL_LIMIT`] times | the same; `NeverTwice` once |
//! | 429, 502, 503, 504 | again after a pause, at most [`ATTEMPT_LIMIT`] attempts | the answer |
//! | any other answer or error | as it is | as it is |
//!
//! "Again" is at another member of the group if one is well. A 429 or 503 does not say that nothing was done, so what
//! changes something is not sent again after one. A seal that is refused does say so: [`Check`](super::seal::Check) finds
//! it for `NeverTwice` only where the answer names the clock, for then nobody has looked at the password.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Class, Deadline, Error, ErrorKind, Response};

/// How often a request is sent at most, idle connections that were being closed aside.
const ATTEMPT_LIMIT: u32 = 7;
/// How many broken connections a request survives.
const BREAK_LIMIT: u32 = 2;
/// How often a request gets another seal: for the time of the server's clock, and for a nonce that it has seen.
const RESEAL_LIMIT: u32 = 2;
/// The same of what is never sent twice once it was looked at: for the clock alone.
const RESEAL_LIMIT_ONCE: u32 = 1;
/// The first pause: no longer than some calls at a server nearby, so that a few refusals cost little.
const FIRST_PAUSE: Duration = Duration::from_micros(500);
/// How many times longer each pause is than the one before.
const GROWTH: u32 = 3;
/// The longest pause that a server does not ask for itself.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why an answer did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// As the error says.
    Failed,
    /// Nobody waited for it to the end.
    Left,
    /// The request went out on a reused connection that ended without a byte of an answer: most likely it was being
    /// closed.
    Stale,
}

/// A request that got no answer.
#[derive(Debug)]
pub(super) struct Lost {
    /// What the caller gets if it stays so.
    pub error: Error,
    /// Why.
    pub cause: Cause,
    /// The answer that refused the seal and nothing else: the caller's, if it stays so.
    pub answer: Option<Response>,
}

impl Lost {
    /// Two attempts at once came to nothing.
    pub fn and(self, other: Self) -> Self {
        let answer = self.answer.or(other.answer);
        Self { error: self.error.after(&other.error.context), cause: Cause::Failed, answer }
    }

    /// The seal was refused.
    pub fn unsealed(answer: Response) -> Self {
        let error = Error::sent(ErrorKind::Malformed, "the signature of the request was refused");
        Self { error, cause: Cause::Failed, answer: Some(answer) }
    }
}

impl From<Error> for Lost {
    fn from(error: Error) -> Self {
        Self { error, cause: Cause::Failed, answer: None }
    }
}

/// The attempts at one request so far.
#[derive(Debug)]
pub(super) struct Attempts {
    class: Class,
    start: usize,
    made: u32,
    breaks: u32,
    reseals: u32,
    /// The member that was asked last.
    last: Option<usize>,
    /// That member gets a new connection: the last one broke.
    fresh: bool,
    /// It broke because it was idle, which says nothing about the member.
    stale: bool,
    /// That member was silent and is not asked again.
    left: bool,
    /// What earlier attempts failed of.
    earlier: String,
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Give this to the caller.
    Final(Result<Response, Error>),
    /// Try again after a pause that ends before the deadline.
    Again(Duration),
}

impl Attempts {
    /// Before the first. `start` says which member of a group is the first to be asked.
    pub fn new(class: Class, start: usize) -> Self {
        let earlier = String::new();
        Self {
            class,
            start,
            made: 0,
            breaks: 0,
            reseals: 0,
            last: None,
            fresh: false,
            stale: false,
            left: false,
            earlier,
        }
    }

    /// Which member of a group is to be asked first this time.
    pub fn start(&self) -> usize {
        self.start.wrapping_add(self.made as usize)
    }

    /// Whether this member was asked last.
    pub fn is_last(&self, member: usize) -> bool {
        self.last == Some(member)
    }

    /// Whether the connection to this member must be a new one.
    pub fn fresh(&self, member: usize) -> bool {
        self.fresh && self.is_last(member)
    }

    /// Whether this member is to be asked after the others of its group: it was asked last, in vain.
    pub fn is_last_choice(&self, member: usize) -> bool {
        self.made > 0 && !self.stale && self.is_last(member)
    }

    /// Whether this member is to be asked only when nobody else is left.
    pub fn has_left(&self, member: usize) -> bool {
        self.left && self.is_last(member)
    }

    /// Whether the call could turn to another member if one stays silent. It does so once.
    pub fn may_leave(&self) -> bool {
        self.class == Class::Repeatable && !self.left
    }

    /// The request has been sent to this member.
    pub fn sent_to(&mut self, member: usize) {
        self.last = Some(member);
    }

    /// Judges the outcome of an attempt. `elsewhere`: another member is well, so that nobody has to wait for as long as
    /// this one asks.
    pub fn judge(
        &mut self,
        outcome: Result<Response, Lost>,
        deadline: Deadline,
        jitter: &Jitter,
        elsewhere: bool,
    ) -> Verdict {
        if let Err(Lost { answer: Some(answer), .. }) = outcome {
            return self.after_refused_seal(answer, deadline);
        }
        let stale = matches!(&outcome, Err(lost) if lost.cause == Cause::Stale);
        self.made += u32::from(!stale);
        self.stale = stale;
        self.fresh = matches!(&outcome, Err(lost) if lost.error.kind == ErrorKind::Broken);
        let pause = match &outcome {
            _ if self.class != Class::Repeatable || self.made >= ATTEMPT_LIMIT => None,
            Ok(Response { status: 429 | 502..=504, retry_after, .. }) => {
                let asked = retry_after.filter(|_| !elsewhere).unwrap_or_default();
                Some(self.back_off(jitter).max(asked))
            }
            Err(lost) => self.after_loss(lost, jitter, elsewhere),
            Ok(_) => None,
        };
        match pause.filter(|pause| deadline.remaining().is_some_and(|left| *pause < left)) {
            Some(pause) => {
                if let Err(lost) = outcome {
                    self.earlier = lost.error.after(&self.earlier).context;
                }
                Verdict::Again(pause)
            }
            None => Verdict::Final(outcome.map_err(|lost| lost.error.after(&self.earlier))),
        }
    }

    /// Nothing was done. The same member is asked again: others may have other clocks.
    fn after_refused_seal(&mut self, answer: Response, deadline: Deadline) -> Verdict {
        self.reseals += 1;
        (self.stale, self.fresh) = (true, false);
        let limit = if self.class == Class::NeverTwice { RESEAL_LIMIT_ONCE } else { RESEAL_LIMIT };
        if self.reseals > limit || deadline.remaining().is_none() {
            return Verdict::Final(Ok(answer));
        }
        Verdict::Again(Duration::ZERO)
    }

    fn after_loss(&mut self, lost: &Lost, jitter: &Jitter, elsewhere: bool) -> Option<Duration> {
        match lost.cause {
            Cause::Stale => Some(Duration::ZERO),
            Cause::Left => {
                self.left = true;
                Some(Duration::ZERO)
            }
            Cause::Failed if lost.error.sent && lost.error.kind == ErrorKind::Broken => {
                self.breaks += 1;
                (self.breaks <= BREAK_LIMIT).then(|| self.back_off(jitter))
            }
            // The same member would say the same again.
            Cause::Failed if lost.error.kind == ErrorKind::Tls => elsewhere.then_some(Duration::ZERO),
            Cause::Failed => None,
        }
    }

    /// Between half of the pause and all of it, so that those who failed together do not come back together.
    fn back_off(&self, jitter: &Jitter) -> Duration {
        let growth = GROWTH.saturating_pow(self.made - 1); // called after an attempt was counted
        jitter.spread(FIRST_PAUSE.saturating_mul(growth).min(LONGEST_PAUSE))
    }
}

/// Chance enough to spread callers in time; no secret depends on it.
#[derive(Debug)]
pub(super) struct Jitter(AtomicU64);

impl Jitter {
    /// Seeded by the clock and by where this value lives, which differ between processes.
    pub fn new() -> Self {
        let place = Box::new(0_u8);
        let address = std::ptr::from_ref(&*place) as usize as u64;
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = address.rotate_left(32) ^ time.as_nanos() as u64 ^ u64::from(std::process::id());
        Self(AtomicU64::new(seed | 1))
    }

    /// Evenly between half of `pause` and all of it.
    pub fn spread(&self, pause: Duration) -> Duration {
        let half = pause / 2;
        let part = (self.next() >> 32) as u32;
        half + half.mul_f64(f64::from(part) / f64::from(u32::MAX))
    }

    /// The next of Marsaglia's xorshift64 (2003). Two callers at once may get the same number.
    fn next(&self) -> u64 {
        let mut x = self.0.load(Ordering::Relaxed);
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.store(x, Ordering::Relaxed);
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: Option<u64>) -> Result<Response, Lost> {
        let retry_after = retry_after.map(Duration::from_secs);
        Ok(Response { status, retry_after, kept: Default::default(), body: Default::default() })
    }

    fn failure(kind: ErrorKind, sent: bool, cause: Cause) -> Result<Response, Lost> {
        Err(Lost { error: Error { sent, ..Error::unsent(kind, "") }, cause, answer: None })
    }

    /// The pause before a second attempt, in microseconds; `None`: there is none.
    fn second(class: Class, outcome: Result<Response, Lost>) -> Option<u128> {
        let deadline = Deadline::after(Duration::from_secs(10));
        match Attempts::new(class, 0).judge(outcome, deadline, &Jitter::new(), false) {
            Verdict::Final(_) => None,
            Verdict::Again(pause) => Some(pause.as_micros()),
        }
    }

    #[test]
    fn only_harmless_calls_are_repeated_and_only_after_what_may_pass() {
        let outcomes = || {
            [
                (answer(200, None), None),
                (answer(302, None), None),
                (answer(400, None), None),
                (answer(401, None), None),
                (answer(500, None), None),
                (answer(429, None), Some(250..=500)),
                (answer(502, None), Some(250..=500)),
                (answer(503, None), Some(250..=500)),
                (answer(504, None), Some(250..=500)),
                (answer(503, Some(0)), Some(250..=500)),
                (answer(503, Some(3)), Some(3_000_000..=3_000_000)),
                (answer(503, Some(11)), None),
                (failure(ErrorKind::Broken, true, Cause::Failed), Some(250..=500)),
                (failure(ErrorKind::Broken, true, Cause::Stale), Some(0..=0)),
                (failure(ErrorKind::Connect, false, Cause::Failed), None),
                (failure(ErrorKind::Malformed, true, Cause::Failed), None),
                (failure(ErrorKind::Timeout, true, Cause::Failed), None),
                (failure(ErrorKind::Tls, true, Cause::Failed), None),
                (failure(ErrorKind::TooLarge, true, Cause::Failed), None),
            ]
        };
        for (outcome, pauses) in outcomes() {
            let pause = second(Class::Repeatable, outcome);
            match (pause, pauses) {
                (None, None) => {}
                (Some(pause), Some(pauses)) => {
                    assert!(pauses.contains(&pause), "{pause} is not in {pauses:?}")
                }
                (pause, pauses) => panic!("{pause:?} instead of {pauses:?}"),
            }
        }
        for class in [Class::OnceOnly, Class::NeverTwice] {
            assert!(outcomes().into_iter().all(|(outcome, _)| second(class, outcome).is_none()));
        }
    }

    #[test]
    fn what_was_idle_and_broke_is_replaced_without_counting() {
        let deadline = Deadline::after(Duration::from_secs(10));
        let (mut attempts, jitter) = (Attempts::new(Class::Repeatable, 7), Jitter::new());
        for _ in 0..20 {
            attempts.sent_to(1);
            let verdict =
                attempts.judge(failure(ErrorKind::Broken, true, Cause::Stale), deadline, &jitter, true);
            assert!(matches!(verdict, Verdict::Again(Duration::ZERO)));
            assert_eq!((attempts.start(), attempts.is_last_choice(1)), (7, false));
            assert!(attempts.fresh(1) && !attempts.fresh(0));
        }
    }

    #[test]
    fn a_refused_seal_is_replaced_twice_and_once_with_what_is_never_sent_twice() {
        let deadline = Deadline::after(Duration::from_secs(10));
        for (class, times) in [(Class::Repeatable, 2), (Class::OnceOnly, 2), (Class::NeverTwice, 1)] {
            let (mut attempts, jitter) = (Attempts::new(class, 7), Jitter::new());
            let refused = || Err(Lost::unsealed(answer(401, None).unwrap()));
            for _ in 0..times {
                attempts.sent_to(1);
                let verdict = attempts.judge(refused(), deadline, &jitter, true);
                assert!(matches!(verdict, Verdict::Again(Duration::ZERO)));
                assert_eq!((attempts.start(), attempts.is_last_choice(1)), (7, false));
            }
            let verdict = attempts.judge(refused(), deadline, &jitter, true);
            assert!(matches!(verdict, Verdict::Final(Ok(Response { status: 401, .. }))));
        }
    }

    #[test]
    fn another_member_is_asked_first_after_what_went_wrong() {
        let deadline = Deadline::after(Duration::from_secs(10));
        let (mut attempts, jitter) = (Attempts::new(Class::Repeatable, 7), Jitter::new());
        let outcomes = [
            (failure(ErrorKind::Broken, true, Cause::Failed), true, false),
            (answer(503, None), false, false),
            (failure(ErrorKind::Timeout, true, Cause::Left), false, true),
        ];
        for (made, (outcome, fresh, left)) in outcomes.into_iter().enumerate() {
            attempts.sent_to(1);
            assert!(attempts.may_leave());
            assert!(matches!(attempts.judge(outcome, deadline, &jitter, true), Verdict::Again(_)));
            assert_eq!((attempts.start(), attempts.is_last_choice(1)), (8 + made, true));
            assert_eq!((attempts.fresh(1), attempts.has_left(1)), (fresh, left));
            assert!(!attempts.is_last_choice(0) && !attempts.has_left(0));
        }
        assert!(!attempts.may_leave());
    }

    #[test]
    fn nobody_waits_for_one_member_while_another_is_well() {
        let deadline = Deadline::after(Duration::from_secs(10));
        let mut attempts = Attempts::new(Class::Repeatable, 0);
        let verdict = attempts.judge(answer(503, Some(3)), deadline, &Jitter::new(), true);
        assert!(matches!(verdict, Verdict::Again(pause) if pause <= FIRST_PAUSE));
    }

    #[test]
    fn only_another_member_is_asked_after_a_fault_of_tls() {
        let deadline = Deadline::after(Duration::from_secs(10));
        for (class, elsewhere, again) in [
            (Class::Repeatable, true, true),
            (Class::Repeatable, false, false),
            (Class::OnceOnly, true, false),
        ] {
            let outcome = failure(ErrorKind::Tls, true, Cause::Failed);
            let verdict = Attempts::new(class, 0).judge(outcome, deadline, &Jitter::new(), elsewhere);
            assert_eq!(matches!(verdict, Verdict::Again(Duration::ZERO)), again, "{class:?} {elsewhere}");
        }
    }

    #[test]
    fn the_error_tells_what_each_attempt_failed_of() {
        let deadline = Deadline::after(Duration::from_secs(10));
        let (mut attempts, jitter) = (Attempts::new(Class::Repeatable, 0), Jitter::new());
        for context in ["a: reset", "b: reset", "b: reset"] {
            let error = Error::sent(ErrorKind::Broken, context);
            if let Verdict::Final(result) = attempts.judge(Err(error.into()), deadline, &jitter, true) {
                assert_eq!(result.unwrap_err().context, "a: reset; b: reset");
                return;
            }
        }
        panic!("three breaks are one too many");
    }

    #[test]
    fn jitter_spreads_over_the_upper_half() {
        let jitter = Jitter::new();
        let pauses: Vec<_> = (0..1000).map(|_| jitter.spread(Duration::from_secs(1)).as_millis()).collect();
        assert!(pauses.iter().all(|pause| (500..=1000).contains(pause)));
        assert!(pauses.iter().any(|pause| *pause < 600) && pauses.iter().any(|pause| *pause > 900));
    }
}
