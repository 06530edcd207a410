//! One request for several callers: those who sign with one certificate at about the same time share it (section 6.5).
//!
//! The first caller opens a batch, waits for the window, and sends for all that have joined it; the others wait for what
//! comes of it. So no thread is needed, and a batch never has two certificates, let alone two accounts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cryptoki_sys::{CK_RV, CKR_DEVICE_ERROR};
use parking_lot::{Condvar, Mutex};

use crate::backend::types::KeyName;
use crate::error::Error;
use crate::transport::Deadline;

/// The most that one request may have (section 4.3).
pub(super) const MOST: usize = 100;

/// The batches that can be joined.
pub(super) struct Batches {
    window: Duration,
    open: Mutex<HashMap<KeyName, Arc<Batch>>>,
}

/// What comes of a batch.
pub(super) enum Verdict {
    /// As many signatures as items, in their order.
    Signed(Vec<Vec<u8>>),
    /// Nothing was made, perhaps for the sake of one item alone: each has to be tried by itself.
    Singly,
    /// Nothing was made, and the service wants a pause: only who has more time than that may still ask.
    Busy(Duration, Error),
    /// It failed, for all of them.
    Failed(Error),
}

/// What comes of it for one caller.
pub(super) enum Share {
    Signature(Vec<u8>),
    /// The caller has to ask for itself.
    Alone,
    Failed(Error),
}

struct Batch {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    items: Vec<Vec<u8>>,
    outcome: Option<Outcome>,
}

/// A verdict that each can take its share of.
enum Outcome {
    Signed(Vec<Vec<u8>>),
    Singly,
    Busy(Duration, CK_RV, Arc<str>),
    Failed(CK_RV, Arc<str>),
}

impl Batches {
    /// A `window` of zero: nobody waits for others.
    pub(super) fn new(window: Duration) -> Self {
        Self { window, open: Mutex::default() }
    }

    /// Whether there are any.
    pub(super) fn are_made(&self) -> bool {
        !self.window.is_zero()
    }

    /// Has `item` signed in a batch. `send` is called by the one caller who opened it, with the items of all, two at
    /// least; who stays alone asks for itself.
    pub(super) fn share(
        &self,
        key: &KeyName,
        item: &[u8],
        deadline: Deadline,
        send: impl FnOnce(&[Vec<u8>]) -> Verdict,
    ) -> Share {
        let (batch, place) = self.join(key, item);
        if place > 0 {
            return batch.wait(place, deadline);
        }
        // Half of the time is for the request, whose fate all share.
        batch.gather(self.window.min(deadline.remaining().unwrap_or_default() / 2));
        self.shut(key, &batch);
        let promise = Promise(&batch);
        // Nobody joins a batch that is shut.
        let items = std::mem::take(&mut batch.state.lock().items);
        if items.len() < 2 {
            return Share::Alone;
        }
        let verdict = send(&items);
        promise.keep(verdict, items.len());
        batch.wait(place, deadline)
    }

    /// The batch that is open, or a new one, with the place of the item in it.
    fn join(&self, key: &KeyName, item: &[u8]) -> (Arc<Batch>, usize) {
        let mut open = self.open.lock();
        if let Some(batch) = open.get(key) {
            let batch = Arc::clone(batch);
            let place = batch.add(item);
            if place + 1 == MOST {
                open.remove(key);
                drop(open);
                batch.changed.notify_all();
            }
            return (batch, place);
        }
        let state = State { items: vec![item.to_vec()], outcome: None };
        let batch = Arc::new(Batch { state: Mutex::new(state), changed: Condvar::new() });
        open.insert(key.clone(), Arc::clone(&batch));
        (batch, 0)
    }

    /// Lets nobody join any more.
    fn shut(&self, key: &KeyName, batch: &Arc<Batch>) {
        let mut open = self.open.lock();
        if open.get(key).is_some_and(|other| Arc::ptr_eq(other, batch)) {
            open.remove(key);
        }
    }
}

impl Batch {
    fn add(&self, item: &[u8]) -> usize {
        let mut state = self.state.lock();
        state.items.push(item.to_vec());
        state.items.len() - 1
    }

    /// Waits for others, until the window is over or no more may come.
    fn gather(&self, window: Duration) {
        let end = Instant::now() + window;
        let mut state = self.state.lock();
        while state.items.len() < MOST && !self.changed.wait_until(&mut state, end).timed_out() {}
    }

    /// The share of one place, once there is a verdict.
    fn wait(&self, place: usize, deadline: Deadline) -> Share {
        let mut state = self.state.lock();
        loop {
            match &mut state.outcome {
                Some(Outcome::Signed(signatures)) => {
                    let signature = signatures.get_mut(place).map(std::mem::take).unwrap_or_default();
                    return Share::Signature(signature);
                }
                Some(Outcome::Singly) => return Share::Alone,
                Some(Outcome::Busy(pause, ..)) if deadline.remaining().is_some_and(|left| *pause < left) => {
                    return Share::Alone;
                }
                Some(Outcome::Busy(_, rv, text) | Outcome::Failed(rv, text)) => {
                    return Share::Failed(Error::new(*rv, text.to_string()));
                }
                None => {}
            }
            let Some(left) = deadline.remaining() else {
                let text = "signing: the batch had no answer at the deadline";
                return Share::Failed(Error::new(CKR_DEVICE_ERROR, text));
            };
            self.changed.wait_for(&mut state, left);
        }
    }
}

/// That those who wait for a batch hear of it, whatever becomes of the caller who sends it.
struct Promise<'a>(&'a Batch);

impl Promise<'_> {
    fn keep(self, verdict: Verdict, count: usize) {
        let told = |error: &Error| format!("in a batch of {count}: {error}").into();
        self.0.state.lock().outcome = Some(match verdict {
            Verdict::Signed(signatures) => Outcome::Signed(signatures),
            Verdict::Singly => Outcome::Singly,
            Verdict::Busy(pause, error) => Outcome::Busy(pause, error.rv(), told(&error)),
            Verdict::Failed(error) => Outcome::Failed(error.rv(), told(&error)),
        });
        // The drop tells the others.
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        let broken = || Outcome::Failed(CKR_DEVICE_ERROR, "signing: the batch was given up".into());
        self.0.state.lock().outcome.get_or_insert_with(broken);
        self.0.changed.notify_all();
    }
}
