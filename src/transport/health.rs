//! Whether a member is worth a call: a circuit that opens after failures and is closed by a probe.
//!
//! A member to which no connection can be made, or that refuses our TLS, is avoided at once; one that is connected to, but breaks off, stays silent
//! or answers 502, 503 or 504, after [`RUN`] such outcomes in a row. It is avoided for a while that doubles with each
//! further failure. Then one caller probes, and the others go on avoiding it until it is known how that went.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::Response;

/// How long a member is avoided at first; each failed probe doubles it.
const FIRST_AVOIDANCE: Duration = Duration::from_millis(250);
/// The longest that a member is avoided.
const LONGEST_AVOIDANCE: Duration = Duration::from_secs(30);
/// How many calls in a row have to end badly on connections that were made.
const RUN: u32 = 3;
/// Between two attempts to connect to a member that is asked only because no other is left.
const SPACING: Duration = Duration::from_millis(50);

/// What a caller should do with a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    /// Ask it.
    Ask,
    /// Ask it, and find out whether it is well again.
    Probe,
    /// Ask another one.
    Avoid,
}

/// How one member fares. Times are milliseconds since `began`, never 0.
#[derive(Debug)]
pub(super) struct Health {
    began: Instant,
    /// How long a probe may take.
    probe: Duration,
    /// Until when the member is avoided; 0: it is well.
    until: AtomicU64,
    /// How many avoidances there were in a row.
    avoidances: AtomicU32,
    /// How many calls in a row ended badly.
    run: AtomicU32,
    /// It can be connected to, so that only an answer shows that it is well.
    mute: AtomicBool,
    /// When it was last found that it cannot be connected to; 0: never.
    refused: AtomicU64,
}

impl Health {
    /// A member that is well, as far as is known. A probe takes `probe` at most.
    pub fn new(probe: Duration) -> Self {
        Self {
            began: Instant::now(),
            probe,
            until: AtomicU64::new(0),
            avoidances: AtomicU32::new(0),
            run: AtomicU32::new(0),
            mute: AtomicBool::new(false),
            refused: AtomicU64::new(0),
        }
    }

    /// Whether nothing speaks against it.
    pub fn is_well(&self) -> bool {
        self.until.load(Relaxed) == 0
    }

    /// What to do. The caller who is told to probe is the only one until the outcome is known. `repeatable`: its request
    /// could be sent to another member if this one stays silent.
    pub fn advice(&self, repeatable: bool) -> Advice {
        if self.is_well() { Advice::Ask } else { self.advice_at(repeatable, self.now()) }
    }

    fn advice_at(&self, repeatable: bool, now: u64) -> Advice {
        let until = self.until.load(Relaxed);
        if until == 0 {
            return Advice::Ask;
        }
        if now < until || self.mute.load(Relaxed) && !repeatable {
            return Advice::Avoid;
        }
        let next = now + millis(self.probe + self.avoidance());
        match self.until.compare_exchange(until, next, Relaxed, Relaxed) {
            Ok(_) => Advice::Probe,
            Err(_) => Advice::Avoid,
        }
    }

    /// No connection could be made. `probe`: this was the probe.
    pub fn unreachable(&self, probe: bool) {
        let now = self.now();
        self.refused.store(now, Relaxed);
        self.avoid(probe, false, now);
    }

    /// The member was connected to, but gave no proper answer.
    pub fn unanswered(&self, probe: bool) {
        self.unanswered_at(probe, self.now());
    }

    /// The member was connected to, but ended TLS: it does not take our certificate, and will not take it from others.
    pub fn turned_away(&self, probe: bool) {
        self.avoid(probe, true, self.now());
    }

    fn unanswered_at(&self, probe: bool, now: u64) {
        let run = self.run.fetch_add(1, Relaxed).saturating_add(1);
        if probe || run >= RUN {
            self.avoid(probe, true, now);
        }
    }

    /// It was connected to, which is all that can be wanted of one that could not.
    pub fn connected(&self) {
        if !self.is_well() && !self.mute.load(Relaxed) {
            self.heal();
        }
    }

    /// It gave a proper answer.
    pub fn answered(&self) {
        if self.run.load(Relaxed) != 0 || !self.is_well() {
            self.heal();
        }
    }

    /// It gave an answer, whatever that says of it. `probe`: this was the probe.
    pub fn judge(&self, answer: &Response, probe: bool) {
        match answer.status {
            502..=504 => self.unanswered(probe),
            _ => self.answered(),
        }
        if let (429 | 503, Some(time)) = (answer.status, answer.retry_after) {
            self.rest(time);
        }
    }

    /// The member asks to be left alone for `time`.
    pub fn rest(&self, time: Duration) {
        self.mute.store(true, Relaxed);
        self.until.fetch_max(self.now() + millis(time.min(LONGEST_AVOIDANCE)), Relaxed);
    }

    /// How long to wait before connecting to it although it is avoided: callers who have nobody else to ask must not
    /// ask it all the time.
    pub fn pause(&self) -> Duration {
        match self.refused.load(Relaxed) {
            0 => Duration::ZERO,
            refused => SPACING.saturating_sub(Duration::from_millis(self.now().saturating_sub(refused))),
        }
    }

    fn heal(&self) {
        self.run.store(0, Relaxed);
        self.avoidances.store(0, Relaxed);
        self.refused.store(0, Relaxed);
        self.until.store(0, Relaxed);
    }

    /// What callers report who had set out before it was avoided is no news: one failure is one avoidance.
    fn avoid(&self, probe: bool, mute: bool, now: u64) {
        let until = self.until.load(Relaxed);
        if !probe && until > now {
            return;
        }
        let next = now + millis(self.avoidance());
        if self.until.compare_exchange(until, next, Relaxed, Relaxed).is_ok() {
            self.avoidances.fetch_add(1, Relaxed);
            self.mute.store(mute, Relaxed);
        }
    }

    fn avoidance(&self) -> Duration {
        let doublings = self.avoidances.load(Relaxed).min(16);
        FIRST_AVOIDANCE.saturating_mul(1 << doublings).min(LONGEST_AVOIDANCE)
    }

    fn now(&self) -> u64 {
        millis(self.began.elapsed()) + 1
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2) // leaves room to add the present
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: Duration = Duration::from_secs(5);

    #[test]
    fn one_refusal_is_enough_and_then_one_caller_probes() {
        let health = Health::new(PROBE);
        health.avoid(false, false, 1000);
        assert!(!health.is_well());
        assert_eq!(health.advice_at(true, 1249), Advice::Avoid);
        assert_eq!(health.advice_at(false, 1250), Advice::Probe);
        // A probe that hangs keeps the others away for as long as it may take, and then some.
        assert_eq!(health.advice_at(true, 6400), Advice::Avoid);
        health.connected();
        assert_eq!(health.advice_at(true, 6401), Advice::Ask);
    }

    #[test]
    fn avoidance_doubles_with_each_failed_probe_up_to_half_a_minute() {
        let health = Health::new(PROBE);
        health.avoid(false, false, 1);
        let mut now = 251;
        for length in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            assert_eq!(health.advice_at(true, now), Advice::Probe);
            health.avoid(true, false, now);
            assert_eq!(health.advice_at(true, now + length - 1), Advice::Avoid);
            now += length;
        }
    }

    #[test]
    fn callers_who_fail_together_are_one_failure() {
        let health = Health::new(PROBE);
        (0..8).for_each(|_| health.avoid(false, false, 100));
        assert_eq!(health.advice_at(true, 350), Advice::Probe);
    }

    #[test]
    fn bad_answers_count_in_a_row_only() {
        let health = Health::new(PROBE);
        for _ in 0..10 {
            health.unanswered_at(false, 10);
            health.unanswered_at(false, 10);
            assert!(health.is_well());
            health.answered();
        }
        (0..3).for_each(|_| health.unanswered_at(false, 10));
        assert_eq!(health.advice_at(true, 259), Advice::Avoid);
        // What cannot be repeated does not try one that took requests and did not answer.
        assert_eq!(health.advice_at(false, 260), Advice::Avoid);
        assert_eq!(health.advice_at(true, 260), Advice::Probe);
        health.connected();
        assert!(!health.is_well());
        health.answered();
        assert!(health.is_well());
    }

    #[test]
    fn one_that_asks_for_rest_gets_it() {
        let health = Health::new(PROBE);
        health.rest(Duration::from_secs(2));
        let now = health.now();
        assert_eq!(health.advice_at(true, now + 1900), Advice::Avoid);
        assert_eq!(health.advice_at(true, now + 2000), Advice::Probe);
        health.rest(Duration::from_secs(3600));
        assert_eq!(health.advice_at(true, now + 31_000), Advice::Probe);
    }

    #[test]
    fn who_was_refused_just_now_is_not_tried_at_once() {
        let health = Health::new(PROBE);
        assert_eq!(health.pause(), Duration::ZERO);
        health.unreachable(false);
        assert!(health.pause() > Duration::ZERO && health.pause() <= SPACING);
        std::thread::sleep(SPACING);
        assert_eq!(health.pause(), Duration::ZERO);
    }
}
