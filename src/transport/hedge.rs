//! Asking twice when the first answer is late.
//!
//! A `Repeatable` call that has not heard a byte after a while is sent a second time, and the first good answer counts.
//! The calling thread waits for both. A budget bounds how many calls are sent twice, so that a service that is slow
//! because it is busy does not get twice the load. The connection of the other answer is closed: it cannot carry a
//! request before that answer is through, and closing tells the server that nobody waits for it. That costs one
//! handshake, of a session that resumes, for each call that was sent twice.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use super::member::Flight;
use super::retry::Lost;
use super::{Deadline, Response};
use crate::config;

/// What one second request costs; each call brings as many as the budget has percent.
const PRICE: u32 = 100;
/// The most that is saved up: for ten second requests.
const MOST: u32 = 10 * PRICE;

/// When calls are sent twice, and how many may be.
#[derive(Debug)]
pub(super) struct Hedge {
    /// How long nothing must have come.
    pub after: Duration,
    percent: u32,
    saved: AtomicU32,
}

impl Hedge {
    /// With enough saved for one.
    pub fn new(settings: config::Hedge) -> Self {
        Self { after: settings.after, percent: settings.budget, saved: AtomicU32::new(PRICE) }
    }

    /// A call is made.
    pub fn earn(&self) {
        let more = |saved: u32| (saved < MOST).then(|| saved.saturating_add(self.percent).min(MOST));
        let _ = self.saved.fetch_update(Relaxed, Relaxed, more); // an error: nothing to add
    }

    /// Whether a second request may be sent. It is paid for with that.
    pub fn spend(&self) -> bool {
        self.saved.fetch_update(Relaxed, Relaxed, |saved| saved.checked_sub(PRICE)).is_ok()
    }

    /// The second request was not sent after all.
    pub fn refund(&self) {
        self.saved.fetch_add(PRICE, Relaxed);
    }
}

/// Waits for the first good answer of two.
pub(super) fn race<'m>(first: Flight<'m>, second: Flight<'m>, deadline: Deadline) -> Result<Response, Lost> {
    let (mut this, mut other) = (first, second);
    loop {
        for _ in 0..2 {
            match this.glance() {
                Ok(false) => {}
                Ok(true) => return conclude(this.land(deadline), other, deadline),
                Err(lost) => return conclude(Err(lost), other, deadline),
            }
            std::mem::swap(&mut this, &mut other);
        }
        // TLS has been asked for what it holds: what is still to come has to come through the sockets.
        if !Flight::wait_for_either(&this, &other, deadline) {
            other.leave();
            return this.land(deadline);
        }
    }
}

/// A bad answer waits for what the other flight brings.
fn conclude(
    outcome: Result<Response, Lost>,
    other: Flight<'_>,
    deadline: Deadline,
) -> Result<Response, Lost> {
    if outcome.as_ref().is_ok_and(is_good) {
        other.leave();
        return outcome;
    }
    match (outcome, other.land(deadline)) {
        (_, Ok(answer)) if is_good(&answer) => Ok(answer),
        (Ok(answer), _) | (Err(_), Ok(answer)) => Ok(answer),
        (Err(one), Err(two)) => Err(one.and(two)),
    }
}

fn is_good(answer: &Response) -> bool {
    answer.status < 500 && answer.status != 429
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hedge(budget: u32) -> Hedge {
        Hedge::new(config::Hedge { after: Duration::from_millis(20), budget })
    }

    #[test]
    fn no_more_than_the_share_of_calls_is_sent_twice() {
        for budget in [1, 5, 50, 100] {
            let hedge = hedge(budget);
            let mut sent = 0;
            for _ in 0..1000 {
                hedge.earn();
                sent += u32::from(hedge.spend());
            }
            assert!((10 * budget..=10 * budget + 1).contains(&sent), "{sent} with {budget} percent");
        }
    }

    #[test]
    fn what_was_not_needed_is_saved_for_ten() {
        let hedge = hedge(100);
        (0..1000).for_each(|_| hedge.earn());
        assert_eq!((0..100).filter(|_| hedge.spend()).count(), 10);
        hedge.refund();
        assert!(hedge.spend() && !hedge.spend());
    }
}
