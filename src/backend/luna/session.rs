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
        let state = State { used: Instant::now(), user: None };
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
    held: Mutex<Option<Arc<Private>>>,
    /// One caller at a time opens a session or keeps it.
    gate: Mutex<()>,
    /// How long the appliance keeps one that is not used.
    limit: Duration,
}

impl Sessions {
    pub(super) fn new(limit: Duration) -> Self {
        Self { held: Mutex::new(None), gate: Mutex::new(()), limit }
    }

    /// The session, if there is one that can still be there.
    pub(super) fn current(&self) -> Option<Arc<Private>> {
        let mut held = self.held.lock();
        if held.as_ref().is_some_and(|private| private.idle() >= self.limit) {
            *held = None;
        }
        held.clone()
    }

    /// Waits for whoever opens a session.
    pub(super) fn open_gate(&self, deadline: Deadline) -> Result<MutexGuard<'_, ()>> {
        let guard = deadline.remaining().and_then(|left| self.gate.try_lock_for(left));
        guard.ok_or_else(|| {
            let purpose = Purpose::Appliance { pin: false };
            Error::new(CKR_DEVICE_ERROR, format!("{purpose}: another thread was still at it at the deadline"))
        })
    }

    /// Whether the session should be used soon, lest it end; `None` for callers who can leave it to another one.
    pub(super) fn keep_gate(&self, private: &Private) -> Option<MutexGuard<'_, ()>> {
        let is_old = || private.idle() >= self.limit / 2;
        if !is_old() {
            return None;
        }
        self.gate.try_lock().filter(|_| is_old())
    }

    pub(super) fn put(&self, private: Arc<Private>) {
        *self.held.lock() = Some(private);
    }

    /// Takes the session out, to end it.
    pub(super) fn take(&self) -> Option<Arc<Private>> {
        self.held.lock().take()
    }

    /// The appliance says that this session is gone. Another one may be there already.
    pub(super) fn forget(&self, gone: &Arc<Private>) {
        let mut held = self.held.lock();
        if held.as_ref().is_some_and(|private| Arc::ptr_eq(private, gone)) {
            *held = None;
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
        sessions.put(Arc::clone(&private));
        assert!(sessions.current().is_some() && sessions.keep_gate(&private).is_none());
        sessions.forget(&session());
        assert!(sessions.current().is_some(), "that was another one");
        sessions.forget(&private);
        assert!(sessions.current().is_none());
        let sessions = Sessions::new(Duration::ZERO);
        sessions.put(Arc::clone(&private));
        assert!(sessions.keep_gate(&private).is_some());
        assert!(sessions.current().is_none());
    }
}
