//! Where those who need a new token meet: one goes in and gets it, the others wait for what comes of that.

use parking_lot::{Condvar, Mutex};

use crate::transport::{Deadline, Error};

/// The gate.
#[derive(Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Default)]
struct State {
    busy: bool,
    /// How many have gone in and come out.
    round: u64,
    /// What the last of them failed of.
    failure: Option<Error>,
}

/// How somebody came to the gate.
pub(super) enum Entry<'g> {
    /// Nobody was in: the caller is now.
    First(Pass<'g>),
    /// Somebody was in and has come out, with an error or without.
    After(Option<Error>),
    /// Somebody was in for longer than the caller could wait.
    Late,
}

/// Being in. Dropped, it lets others in.
pub(super) struct Pass<'g> {
    gate: &'g Gate,
    failure: Option<Error>,
}

impl Gate {
    /// Goes in, or waits for whoever is.
    pub(super) fn enter(&self, deadline: Deadline) -> Entry<'_> {
        let mut state = self.state.lock();
        if !state.busy {
            state.busy = true;
            return Entry::First(Pass { gate: self, failure: None });
        }
        let round = state.round;
        while state.round == round {
            if self.left.wait_until(&mut state, deadline.0).timed_out() && state.round == round {
                return Entry::Late;
            }
        }
        Entry::After(state.failure.clone())
    }

    /// Goes in, after all who are before; `None` if that takes too long.
    pub(super) fn enter_alone(&self, deadline: Deadline) -> Option<Pass<'_>> {
        loop {
            match self.enter(deadline) {
                Entry::First(pass) => return Some(pass),
                Entry::After(_) => {}
                Entry::Late => return None,
            }
        }
    }

    /// Goes in if nobody is.
    pub(super) fn try_enter(&self) -> Option<Pass<'_>> {
        let mut state = self.state.lock();
        let first = !std::mem::replace(&mut state.busy, true);
        // Made only if it is handed out: dropping it opens the gate.
        first.then(|| Pass { gate: self, failure: None })
    }
}

impl Pass<'_> {
    /// Comes out and tells those who wait what went wrong.
    pub(super) fn fail(mut self, failure: Error) {
        self.failure = Some(failure);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        state.busy = false;
        state.round += 1;
        state.failure = self.failure.take();
        drop(state);
        self.gate.left.notify_all();
    }
}
