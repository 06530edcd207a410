//! Who may begin a handshake while the process ends.
//!
//! aws-lc's destructors end its random numbers. A thread that draws its first ones after that, for a handshake, aborts
//! the process. Destructors run when all handlers of `exit` have run; so a handler of ours lets no thread but its own
//! begin a handshake any more, and waits for those that are under way. Connections that there are need no random numbers:
//! threads that sign go on signing until the very end.

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use rustix::thread::{Pid, gettid};

use crate::transport::Deadline;

/// How long the handler sleeps before it looks again.
const PAUSE: Duration = Duration::from_millis(1);

/// The way to handshakes of one cluster.
#[derive(Default)]
pub(in crate::transport) struct Gate {
    /// The kernel's number of the only thread that may pass; 0: all may.
    only: AtomicI32,
    inside: AtomicUsize,
}

/// A handshake that is under way.
pub(in crate::transport) struct Pass<'g>(&'g Gate);

impl Gate {
    /// `None`: the process ends, and another thread ends it.
    pub fn enter(&self) -> Option<Pass<'_>> {
        // First counted, then looked: the handler closes the gate first and looks at the count afterwards.
        self.inside.fetch_add(1, SeqCst);
        let pass = Pass(self);
        let only = self.only.load(SeqCst);
        (only == 0 || only == this_thread()).then_some(pass)
    }

    /// Lets no other thread in from now on, and waits until `limit` for those that are.
    pub fn close_to_others(&self, limit: Deadline) {
        self.only.store(this_thread(), SeqCst);
        while self.inside.load(SeqCst) != 0 && limit.remaining().is_some() {
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, SeqCst);
    }
}

/// Not Rust's own number of the thread, which may be gone with the variables of the thread.
fn this_thread() -> i32 {
    Pid::as_raw(Some(gettid()))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_thread_that_ends_the_process_passes_and_no_other() {
        let gate = Gate::default();
        assert!(thread::scope(|scope| scope.spawn(|| gate.enter().is_some()).join().unwrap()));
        gate.close_to_others(Deadline::after(Duration::from_secs(10)));
        assert!(gate.enter().is_some());
        assert!(thread::scope(|scope| scope.spawn(|| gate.enter().is_none()).join().unwrap()));
        assert_eq!(gate.inside.load(SeqCst), 0);
    }

    #[test]
    fn who_is_inside_is_waited_for_but_not_for_ever() {
        let gate = Gate::default();
        let pass = gate.enter().unwrap();
        let begun = Instant::now();
        gate.close_to_others(Deadline::after(Duration::from_millis(50)));
        assert!(begun.elapsed() >= Duration::from_millis(50));
        let (done, is_done) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                gate.close_to_others(Deadline::after(Duration::from_secs(60)));
                done.send(()).unwrap();
            });
            assert!(is_done.recv_timeout(Duration::from_millis(20)).is_err());
            drop(pass);
            is_done.recv_timeout(Duration::from_secs(10)).unwrap();
        });
    }
}
