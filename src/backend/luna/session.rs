//! The private session of a token: the cookie that carries it, who is logged in on it, and whether it can still be there.
//!
//! The appliance ends a session that is not used for a while, and every login on it (Luna reference section 4.1). No
//! thread keeps it: the calls do, and what was not called for too long is known to be gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use zeroize::Zeroizing;

use super::errors::Purpose;
use crate::backend::User;
use crate::error::{Error, Result};
use crate::transport::{Deadline, Kept};
use cryptoki_sys::CKR_DEVICE_ERROR;

/// A private session.
pub(super) struct Private {
    /// The value of `Cookie`.
    cookie: Zeroizing<String>,
    state: Mutex<State>,
}

struct State {
    used: Instant,
    /// When somebody last set out to keep it.
    kept: Option<Instant>,
    user: Option<User>,
}

impl Private {
    /// The session that an answer opened; `None` if it set no cookie. Names and values are the appliance's business.
    pub(super) fn opened(kept: &Kept) -> Option<Self> {
        let mut cookie = Zeroizing::new(String::with_capacity(kept.all("set-cookie").map(str::len).sum()));
        // Attributes stand behind the first semicolon (RFC 6265 section 5.2).
        for pair in kept.all("set-cookie").filter_map(|line| line.split(';').next()).map(str::trim) {
            if pair.contains('=') {
                if !cookie.is_empty() {
                    cookie.push_str("; ");
                }
                cookie.push_str(pair);
            }
        }
        let state = State { used: Instant::now(), kept: None, user: None };
        (!cookie.is_empty()).then(|| Self { cookie, state: Mutex::new(state) })
    }

    pub(super) fn cookie(&self) -> &str {
        &self.cookie
    }

    /// Who is logged in to the partition on it.
    pub(super) fn user(&self) -> Option<User> {
        self.state.lock().user
    }

    pub(super) fn set_user(&self, user: Option<User>) {
        self.state.lock().user = user;
    }

    /// The appliance answered a call on it.
    pub(super) fn touch(&self) {
        self.state.lock().used = Instant::now();
    }

    /// How long it has not been used.
    pub(super) fn idle(&self) -> Duration {
        self.state.lock().used.elapsed()
    }
}

/// The place of the one private session of a token.
pub(super) struct Sessions {
    held: Mutex<Held>,
    /// One caller at a time opens a session or keeps it.
    gate: Mutex<()>,
    /// How long the appliance keeps one that is not used.
    limit: Duration,
}

#[derive(Default)]
struct Held {
    current: Option<Arc<Private>>,
    /// Not used for too long, as this side counts: the appliance may still have it.
    expired: Option<Arc<Private>>,
    /// How often the session was taken out: one that was asked for before that is nobody's.
    taken: u64,
}

impl Sessions {
    pub(super) fn new(limit: Duration) -> Self {
        Self { held: Mutex::default(), gate: Mutex::new(()), limit }
    }

    /// The session, if there is one that can still be there.
    pub(super) fn current(&self) -> Option<Arc<Private>> {
        let mut held = self.held.lock();
        if held.current.as_ref().is_some_and(|private| private.idle() >= self.limit) {
            held.expired = held.current.take();
        }
        held.current.clone()
    }

    /// How often the session was taken out.
    pub(super) fn taken(&self) -> u64 {
        self.held.lock().taken
    }

    /// Waits for whoever opens a session.
    pub(super) fn open_gate(&self, deadline: Deadline) -> Result<MutexGuard<'_, ()>> {
        let guard = deadline.remaining().and_then(|left| self.gate.try_lock_for(left));
        guard.ok_or_else(|| {
            let purpose = Purpose::Appliance { pin: false };
            Error::new(CKR_DEVICE_ERROR, format!("{purpose}: another thread was still at it at the deadline"))
        })
    }

    /// Whether the session should be used soon, lest it end; `None` for callers who can leave it to another one, or who
    /// come just after one who tried.
    pub(super) fn keep_gate(&self, private: &Private) -> Option<MutexGuard<'_, ()>> {
        let is_due = || {
            let state = private.state.lock();
            state.used.elapsed() >= self.limit / 2
                && state.kept.is_none_or(|kept| kept.elapsed() >= self.limit / 20)
        };
        if !is_due() {
            return None;
        }
        let gate = self.gate.try_lock().filter(|_| is_due())?;
        private.state.lock().kept = Some(Instant::now());
        Some(gate)
    }

    /// Keeps a session that was asked for when `taken` was told.
    ///
    /// # Errors
    /// The session, if one was taken out since: it is to be ended.
    pub(super) fn put(&self, private: Arc<Private>, taken: u64) -> Result<(), Arc<Private>> {
        let mut held = self.held.lock();
        if held.taken != taken {
            return Err(private);
        }
        held.current = Some(private);
        Ok(())
    }

    /// Takes the session out, to end it.
    pub(super) fn take(&self) -> Option<Arc<Private>> {
        let _ = self.current();
        let mut held = self.held.lock();
        held.taken += 1;
        held.current.take()
    }

    /// Takes out one that was not used for too long.
    pub(super) fn take_expired(&self) -> Option<Arc<Private>> {
        self.held.lock().expired.take()
    }

    /// The appliance says that this session is gone. Another one may be there already.
    pub(super) fn forget(&self, gone: &Arc<Private>) {
        let mut held = self.held.lock();
        if held.current.as_ref().is_some_and(|private| Arc::ptr_eq(private, gone)) {
            held.current = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::kept;
    use super::*;

    #[test]
    fn cookies_are_kept_as_they_came() {
        let private = Private::opened(&kept(&[
            ("set-cookie", "lunaSession=\"q/+=\"; Path=/; Secure; HttpOnly"),
            ("set-cookie", "lb=7"),
        ]));
        assert_eq!(private.unwrap().cookie(), "lunaSession=\"q/+=\"; lb=7");
        assert!(Private::opened(&kept(&[])).is_none());
        assert!(Private::opened(&kept(&[("set-cookie", "; Path=/")])).is_none());
    }

    #[test]
    fn what_was_not_used_for_too_long_is_gone() {
        let session = || Arc::new(Private::opened(&kept(&[("set-cookie", "a=b")])).unwrap());
        let sessions = Sessions::new(Duration::from_secs(3600));
        let private = session();
        assert!(sessions.put(Arc::clone(&private), sessions.taken()).is_ok());
        assert!(sessions.current().is_some() && sessions.keep_gate(&private).is_none());
        sessions.forget(&session());
        assert!(sessions.current().is_some(), "that was another one");
        sessions.forget(&private);
        assert!(sessions.current().is_none());
        let sessions = Sessions::new(Duration::ZERO);
        assert!(sessions.put(Arc::clone(&private), sessions.taken()).is_ok());
        assert!(sessions.keep_gate(&private).is_some());
        assert!(sessions.current().is_none());
        assert!(Arc::ptr_eq(&sessions.take_expired().unwrap(), &private), "the appliance may have it");
        let before = sessions.taken();
        assert!(sessions.take().is_none());
        assert!(sessions.put(private, before).is_err(), "it was asked for before the end");
    }
}
