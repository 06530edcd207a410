//! The lanes of one member: how many there may be, and who gets which.
//!
//! The lane that was used last is given first, so that the others grow old and are closed by the next caller. A
//! [`Seat`] is the right to one connection; whoever holds it does I/O, and the lock is free meanwhile. Lanes that are
//! dropped are closed without the farewell of TLS: that would be one more send that may block.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::Deadline;
use super::lane::Lane;
use crate::config;

/// How long an idle connection counts as proven: shorter than any server's keep-alive time.
pub(super) const PROVEN: Duration = Duration::from_secs(1);

/// The lanes of one member.
pub(super) struct Pool {
    max: usize,
    idle_age: Duration,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    /// By age, the oldest in front.
    idle: VecDeque<Resting>,
    /// Seats that are taken, and idle lanes.
    open: usize,
    closed: bool,
}

struct Resting {
    lane: Lane,
    since: Instant,
}

/// Which lane is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// Any.
    Any,
    /// One that was used within the last second.
    Proven,
    /// A new one.
    Fresh,
}

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// All are taken, and the caller did not want to wait or has waited for too long.
    Busy,
    /// The pool is closed.
    Closed,
}

/// The right to one connection. Dropped, it closes the lane in it.
pub(super) struct Seat<'p> {
    pool: &'p Pool,
    /// The lane; empty: to be connected.
    pub lane: Option<Lane>,
}

impl Pool {
    /// No lanes yet.
    pub fn new(limits: config::Pool) -> Self {
        Self { max: limits.max.max(1), idle_age: limits.idle, state: Mutex::default(), freed: Condvar::new() }
    }

    /// A seat, with a lane in it if there is one that is good enough. Waits until `wait`, if that is given.
    pub fn take(&self, want: Want, wait: Option<Deadline>) -> Result<Seat<'_>, Refused> {
        let mut dropped = Vec::new(); // closed when the lock is free again
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return Err(Refused::Closed);
            }
            state.reap(self.idle_age, &mut dropped);
            if let Some(lane) = state.find(want, self.max, &mut dropped) {
                drop(state);
                return Ok(Seat { pool: self, lane });
            }
            let left = wait.and_then(Deadline::remaining).ok_or(Refused::Busy)?;
            self.freed.wait_for(&mut state, left);
        }
    }

    /// Closes the idle lanes and lets nobody in any more.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let idle = std::mem::take(&mut state.idle);
        state.open -= idle.len(); // each idle lane was counted
        drop(state);
        self.freed.notify_all();
        drop(idle);
    }

    /// Ends the idle connections where they are. For the end of the process: waits for no lock, frees nothing.
    pub fn hang_up(&self) {
        if let Some(state) = self.state.try_lock() {
            state.idle.iter().for_each(|resting| resting.lane.socket().hang_up());
        }
    }
}

impl State {
    fn reap(&mut self, age: Duration, dropped: &mut Vec<Lane>) {
        while let Some(oldest) = self.idle.pop_front_if(|resting| resting.since.elapsed() > age) {
            self.open -= 1; // it was counted when it was connected
            dropped.push(oldest.lane);
        }
    }

    /// `None`: no seat; `Some(None)`: a seat without a lane.
    fn find(&mut self, want: Want, max: usize, dropped: &mut Vec<Lane>) -> Option<Option<Lane>> {
        let good = |resting: &mut Resting| match want {
            Want::Any => true,
            Want::Proven => resting.since.elapsed() < PROVEN,
            Want::Fresh => false,
        };
        if let Some(resting) = self.idle.pop_back_if(good) {
            return Some(Some(resting.lane));
        }
        if self.open < max {
            self.open += 1;
            return Some(None);
        }
        let oldest = self.idle.pop_front()?;
        dropped.push(oldest.lane); // its place in the count passes on
        Some(None)
    }
}

impl Seat<'_> {
    /// Leaves the lane for the next caller.
    pub fn keep(mut self) {
        let Some(lane) = self.lane.take() else { return };
        let mut state = self.pool.state.lock();
        if state.closed {
            drop(state);
            self.lane = Some(lane);
            return;
        }
        state.idle.push_back(Resting { lane, since: Instant::now() });
        drop(state);
        self.pool.freed.notify_one();
        std::mem::forget(self); // the place stays counted, now for the idle lane
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.lane = None; // closed before its place is free
        self.pool.state.lock().open -= 1; // counted when the seat was given
        self.pool.freed.notify_one();
    }
}
