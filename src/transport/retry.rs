//! What becomes of an attempt: by the class of the request, within one deadline.
//!
//! | outcome | `Repeatable` | `OnceOnly`, `NeverTwice` |
//! |---|---|---|
//! | not sent | next member (the cluster does it) | the same |
//! | sent, connection broke | again on a fresh connection, at most [`BREAK_LIMIT`] times | the error |
//! | 429, 502, 503, 504 | again after a pause, at most [`ATTEMPT_LIMIT`] attempts | the answer |
//! | any other answer or error | as it is | as it is |
//!
//! A 429 or 503 does not say that nothing was done, so what changes something is not sent again after one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Class, Deadline, Error, ErrorKind, Response};

/// How often a request is sent at most.
const ATTEMPT_LIMIT: u32 = 6;
/// How many broken connections a request survives, a reused one that was closed meanwhile aside.
const BREAK_LIMIT: u32 = 2;
/// The first pause; each one is double the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause that a server does not ask for itself.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A request that got no answer.
#[derive(Debug)]
pub(super) struct Lost {
    /// What the caller gets if it stays so.
    pub error: Error,
    /// It was sent on a reused connection that ended without a byte of an answer: most likely it was being closed.
    pub stale: bool,
}

/// The attempts at one request so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempts {
    class: Class,
    start: usize,
    made: u32,
    breaks: u32,
    fresh: bool,
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
        Self { class, start, made: 0, breaks: 0, fresh: false }
    }

    /// Which member of a group is to be asked first this time.
    pub fn start(&self) -> usize {
        self.start.wrapping_add(self.made as usize)
    }

    /// Whether the connection must be a new one: after one that broke.
    pub fn fresh(&self) -> bool {
        self.fresh
    }

    /// Judges the outcome of an attempt.
    pub fn judge(&mut self, outcome: Result<Response, Lost>, deadline: Deadline, jitter: &Jitter) -> Verdict {
        self.made += 1;
        self.fresh = false;
        let pause = match &outcome {
            _ if self.class != Class::Repeatable || self.made >= ATTEMPT_LIMIT => None,
            Ok(response) if matches!(response.status, 429 | 502 | 503 | 504) => {
                Some(self.back_off(jitter).max(response.retry_after.unwrap_or_default()))
            }
            Err(lost) if lost.error.sent && lost.error.kind == ErrorKind::Broken => {
                self.after_break(lost, jitter)
            }
            _ => None,
        };
        match pause.filter(|pause| deadline.remaining().is_some_and(|left| *pause < left)) {
            Some(pause) => Verdict::Again(pause),
            None => Verdict::Final(outcome.map_err(|lost| lost.error)),
        }
    }

    fn after_break(&mut self, lost: &Lost, jitter: &Jitter) -> Option<Duration> {
        self.fresh = true;
        if lost.stale {
            return Some(Duration::ZERO);
        }
        self.breaks += 1;
        (self.breaks <= BREAK_LIMIT).then(|| self.back_off(jitter))
    }

    /// Between half of the pause and all of it, so that those who failed together do not come back together.
    fn back_off(&self, jitter: &Jitter) -> Duration {
        let doublings = (self.made - 1).min(16); // called after an attempt was counted
        jitter.spread(FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE))
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
        Ok(Response { status, retry_after, body: Default::default() })
    }

    fn failure(kind: ErrorKind, sent: bool, stale: bool) -> Result<Response, Lost> {
        Err(Lost { error: Error { kind, sent, context: String::new() }, stale })
    }

    /// The pause before a second attempt, in milliseconds; `None`: there is none.
    fn second(class: Class, outcome: Result<Response, Lost>) -> Option<u128> {
        let deadline = Deadline::after(Duration::from_secs(10));
        match Attempts::new(class, 0).judge(outcome, deadline, &Jitter::new()) {
            Verdict::Final(_) => None,
            Verdict::Again(pause) => Some(pause.as_millis()),
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
                (answer(429, None), Some(2..=5)),
                (answer(502, None), Some(2..=5)),
                (answer(503, None), Some(2..=5)),
                (answer(504, None), Some(2..=5)),
                (answer(503, Some(0)), Some(2..=5)),
                (answer(503, Some(3)), Some(3000..=3000)),
                (answer(503, Some(11)), None),
                (failure(ErrorKind::Broken, true, false), Some(2..=5)),
                (failure(ErrorKind::Broken, true, true), Some(0..=0)),
                (failure(ErrorKind::Connect, false, false), None),
                (failure(ErrorKind::Malformed, true, false), None),
                (failure(ErrorKind::Timeout, true, false), None),
                (failure(ErrorKind::Tls, true, false), None),
                (failure(ErrorKind::TooLarge, true, false), None),
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
    fn a_connection_is_fresh_after_one_that_broke_and_only_then() {
        let deadline = Deadline::after(Duration::from_secs(10));
        let (mut attempts, jitter) = (Attempts::new(Class::Repeatable, 7), Jitter::new());
        let outcomes = [(failure(ErrorKind::Broken, true, true), true), (answer(503, None), false)];
        for (made, (outcome, fresh)) in outcomes.into_iter().enumerate() {
            assert!(matches!(attempts.judge(outcome, deadline, &jitter), Verdict::Again(_)));
            assert_eq!((attempts.fresh(), attempts.start()), (fresh, 8 + made));
        }
    }

    #[test]
    fn jitter_spreads_over_the_upper_half() {
        let jitter = Jitter::new();
        let pauses: Vec<_> = (0..1000).map(|_| jitter.spread(Duration::from_secs(1)).as_millis()).collect();
        assert!(pauses.iter().all(|pause| (500..=1000).contains(pause)));
        assert!(pauses.iter().any(|pause| *pause < 600) && pauses.iter().any(|pause| *pause > 900));
    }
}
