//! One account's tokens: got with a password, renewed before they expire, by one thread at a time.
//!
//! No lock is held while a request is under way but the [gate](super::gate) of those who renew. Who finds a token that
//! lives does not stop there: near its end the first to come renews it while the others go on with the old one. Only
//! who has none waits, no longer than its own deadline.
//!
//! A password is never shown twice because of a failure: [`Class::NeverTwice`] sees to it below, and here a password that
//! was refused is not shown again until `C_Login`, or its source, brings another. Where the refusal may be for something
//! that passes, the same one is shown again after a time that doubles.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use secrecy::ExposeSecret;

use super::Credential;
use super::gate::{Entry, Gate};
use super::grant::{Denied, Grant, GrantError, Shown, Verdict, YOUNG};
use super::profile::{FieldValue, Granted, Reading, RevokeCall, Scheme, TokenCall, TokenProfile, Values};
use crate::observe::audit::{Audit, Endpoint, Event};
use crate::transport::{Class, Deadline, Error, ErrorKind, Request, Response, Transport};

/// How long before its end a token is renewed, unless a fifth of its life is less.
const EARLY: Duration = Duration::from_secs(60);
/// How long a renewal that failed is not tried again while the old token lives.
const RESPITE: Duration = Duration::from_secs(5);
/// How long, at most, a password is not shown again after a refusal that may pass.
const LONGEST_RESPITE: Duration = Duration::from_secs(15 * 60);

/// How often a call that was refused goes on with what other threads got meanwhile.
const FOLLOW_LIMIT: u32 = 4;
/// How often it renews the token itself. Each new one may be gone before the call is made again, where tokens live
/// for a moment.
const RENEWAL_LIMIT: u32 = 4;

/// One account's tokens.
pub struct Token {
    profile: TokenProfile,
    user: String,
    password: Credential,
    keep_password: bool,
    audit: Audit,
    state: RwLock<State>,
    gate: Gate,
    /// Which of the lines of a grant is sent.
    other_line: AtomicBool,
    /// Whether a service has accepted that line.
    settled: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Grows with each logout, so that what was asked for before it does not come back after it.
    life: u64,
    /// How many grants there have been.
    count: u64,
    held: Option<Held>,
    refusal: Option<Refusal>,
}

struct Held {
    grant: Arc<Grant>,
    renew_at: Instant,
    /// Whether the refresh call may be tried with it.
    refreshable: bool,
}

/// A password that was refused.
struct Refusal {
    response: Arc<Response>,
    came: Instant,
    /// How long it stands, where it may pass.
    respite: Option<Duration>,
    /// When the source of the password was asked for another one.
    asked: Instant,
}

impl Refusal {
    /// `earlier`: the one before, if nothing was granted since.
    fn new(response: Arc<Response>, verdict: Verdict, earlier: Option<&Self>) -> Self {
        let doubled = earlier.and_then(|earlier| earlier.respite).map(|respite| respite * 2);
        let respite = doubled.map_or(RESPITE, |respite| respite.min(LONGEST_RESPITE));
        let now = Instant::now();
        Self { response, came: now, respite: (verdict != Verdict::Final).then_some(respite), asked: now }
    }

    fn stands(&self) -> bool {
        self.respite.is_none_or(|respite| self.came.elapsed() < respite)
    }
}

/// What one call has tried since it was refused.
#[derive(Default)]
pub(super) struct Tried {
    other_line: bool,
    renewals: u32,
    /// How often another thread had a newer token already.
    followed: u32,
}

/// A token at one moment.
enum Standing {
    Fresh(Arc<Grant>),
    /// It lives, and should be renewed.
    Due(Arc<Grant>),
    Gone,
}

impl Token {
    /// No token yet, and no request. `keep_password`: what `C_Login` brings is kept until logout, so that a token can be
    /// had when refreshing does not give one. A password with a source is read when it is needed.
    pub fn new(
        profile: TokenProfile,
        user: String,
        password: Credential,
        keep_password: bool,
        audit: Audit,
    ) -> Self {
        Self {
            profile,
            user,
            password,
            keep_password,
            audit,
            state: RwLock::default(),
            gate: Gate::default(),
            other_line: AtomicBool::new(false),
            settled: AtomicBool::new(false),
        }
    }

    /// The password's place: `C_Login` fills it if it [is the PIN](Credential::is_pin).
    pub fn password(&self) -> &Credential {
        &self.password
    }

    /// Shows the password, once, and takes the tokens that come of it. `transport` is the one without this token.
    ///
    /// # Errors
    /// Any [`GrantError`]; then there is no token.
    pub fn login(&self, transport: &dyn Transport, deadline: Deadline) -> Result<(), GrantError> {
        self.login_with(None, transport, deadline)
    }

    /// The same with what `C_Login` brings: no other thread shows it before this one has.
    ///
    /// # Errors
    /// As [`Self::login`].
    pub fn login_with(
        &self,
        pin: Option<&str>,
        transport: &dyn Transport,
        deadline: Deadline,
    ) -> Result<(), GrantError> {
        let late = || GrantError::Transport(Error::unsent(ErrorKind::Timeout, "another login was under way"));
        let pass = self.gate.enter_alone(deadline).ok_or_else(late)?;
        if let Some(pin) = pin.filter(|_| self.password.is_pin()) {
            self.password.fill(pin.into());
        }
        let refused_before = {
            let mut state = self.state.write();
            state.held = None;
            state.refusal.take().is_some()
        };
        if refused_before {
            // Another one may be there by now; if not, the old one is what the caller wants to be shown again.
            self.password.refresh()?;
        }
        let outcome = self.show_password(transport, deadline);
        if !self.keep_password && self.password.is_pin() {
            self.password.clear();
        }
        drop(pass);
        outcome.map(drop)
    }

    /// Forgets and zeroises the tokens, and the password that `C_Login` brought. The service is not told.
    pub fn clear(&self) {
        self.end();
    }

    /// Gives the token back if the service has a call for that, by `limit`, and forgets it as [`Self::clear`] does.
    pub fn logout(&self, transport: &dyn Transport, limit: Deadline) {
        let Some(grant) = self.end() else { return };
        let Some(RevokeCall { method, path }) = &self.profile.revoke else {
            self.audit.granted(Event::Logout, "this side");
            return;
        };
        let shown = self.show(grant);
        let request =
            Request { method: *method, path, headers: shown.line(), body: None, class: Class::OnceOnly };
        let endpoint = Endpoint::new(method.as_str(), path);
        match transport.call(&request, limit) {
            Ok(response) if response.is_success() => self.audit.granted(Event::Logout, endpoint),
            Ok(response) => self.audit.refused(Event::Logout, endpoint, response.status),
            Err(error) => self.audit.failed(Event::Logout, endpoint, error),
        }
    }

    fn end(&self) -> Option<Arc<Grant>> {
        let mut state = self.state.write();
        state.life += 1;
        state.refusal = None;
        let held = state.held.take();
        drop(state);
        self.password.clear();
        held.map(|held| held.grant)
    }

    /// Whether there is a token that has not expired.
    pub fn is_logged_in(&self) -> bool {
        !matches!(self.standing(), Standing::Gone)
    }

    /// Whether a call could have a token: there is one, or what it takes to get one.
    pub fn is_ready(&self) -> bool {
        self.is_logged_in() || self.can_renew()
    }

    /// The password was refused because of something else. Another refusal of it stays.
    pub(super) fn pardon(&self, response: &Arc<Response>) {
        let mut state = self.state.write();
        if state.refusal.as_ref().is_some_and(|refusal| Arc::ptr_eq(&refusal.response, response)) {
            state.refusal = None;
        }
    }

    /// As if its life were over.
    #[cfg(test)]
    pub(crate) fn expire(&self) {
        self.state.write().held = None;
    }

    /// As if so much time had gone by since the refusal that stands.
    #[cfg(test)]
    pub(crate) fn age_refusal(&self, by: Duration) {
        let mut state = self.state.write();
        let refusal = state.refusal.as_mut().expect("a refusal stands");
        refusal.came = refusal.came.checked_sub(by).expect("the machine has run for so long");
    }

    /// What its calls look like.
    pub(super) fn profile(&self) -> &TokenProfile {
        &self.profile
    }

    /// Tells that a call was refused with a token.
    pub(super) fn tell_refusal(&self, endpoint: Endpoint<'_>, answer: &Response) {
        self.audit.refused(Event::Use, endpoint, self.profile.status(answer));
    }

    /// `grant` with the line that is sent now.
    pub(super) fn show(&self, grant: Arc<Grant>) -> Shown {
        Shown { grant, other_line: self.other_line.load(Ordering::Relaxed) }
    }

    /// A token that lives; one is got if there is none.
    pub(super) fn grant(&self, transport: &dyn Transport, deadline: Deadline) -> Result<Arc<Grant>, Error> {
        match self.standing() {
            Standing::Fresh(grant) => Ok(grant),
            Standing::Due(grant) => Ok(self.renew_early(transport, deadline).unwrap_or(grant)),
            Standing::Gone => self.obtain(None, transport, deadline),
        }
    }

    /// A call with `shown` was not refused.
    pub(super) fn accepted(&self, shown: &Shown) {
        // Looked at before they are written: all threads share them.
        if !self.settled.load(Ordering::Relaxed) {
            self.other_line.store(shown.other_line, Ordering::Relaxed);
            self.settled.store(true, Ordering::Relaxed);
        }
        if !shown.grant.accepted.load(Ordering::Relaxed) {
            shown.grant.accepted.store(true, Ordering::Relaxed);
        }
    }

    /// A call with `shown` was refused: the token to try it with again, if one is worth it. Where the refusal is not for
    /// its age another would be no better.
    ///
    /// # Errors
    /// Where a new one cannot be had.
    pub(super) fn after_refusal(
        &self,
        shown: &Shown,
        tried: &mut Tried,
        transport: &dyn Transport,
        deadline: Deadline,
    ) -> Result<Option<Shown>, Error> {
        if self.take_other_line(shown, tried) {
            return Ok(Some(Shown { other_line: !shown.other_line, ..shown.clone() }));
        }
        let grant = &shown.grant;
        if tried.followed < FOLLOW_LIMIT
            && let Some(newer) = self.usable(Some(grant.number))
        {
            tried.followed += 1;
            return Ok(Some(self.show(newer)));
        }
        if !grant.may_be_old() || tried.renewals == RENEWAL_LIMIT || !self.can_renew() {
            return Ok(None);
        }
        tried.renewals += 1;
        let grant = self.obtain(Some(grant.number), transport, deadline)?;
        Ok(Some(self.show(grant)))
    }

    /// Takes the other scheme, if that is known to be right by now, or none is and the age of the token is none of the
    /// reasons. Of those who are refused at once with the same line one alone turns the switch.
    fn take_other_line(&self, shown: &Shown, tried: &mut Tried) -> bool {
        if self.profile.scheme != Scheme::Auto || tried.other_line {
            return false;
        }
        let sent = shown.other_line;
        tried.other_line = match self.settled.load(Ordering::Relaxed) {
            true => self.other_line.load(Ordering::Relaxed) != sent,
            false => shown.grant.is_young(),
        };
        if tried.other_line {
            // What it was turned to already stays.
            let _ = self.other_line.compare_exchange(sent, !sent, Ordering::Relaxed, Ordering::Relaxed);
        }
        tried.other_line
    }

    /// `grant` was refused to a call that must not be repeated: the next one gets another.
    pub(super) fn distrust(&self, grant: &Grant) {
        let mut state = self.state.write();
        if let Some(held) = &mut state.held
            && held.grant.number == grant.number
            && grant.may_be_old()
        {
            held.renew_at = Instant::now();
        }
    }

    /// Whether there is something to get a new token with.
    fn can_renew(&self) -> bool {
        let state = self.state.read();
        let held = state.held.as_ref().filter(|held| held.refreshable);
        self.password.is_filled() || held.is_some_and(|held| self.refresh_call(&held.grant).is_some())
    }

    fn standing(&self) -> Standing {
        let state = self.state.read();
        let Some(held) = &state.held else { return Standing::Gone };
        let now = Instant::now();
        match () {
            () if now < held.renew_at => Standing::Fresh(Arc::clone(&held.grant)),
            () if now < held.grant.expires => Standing::Due(Arc::clone(&held.grant)),
            () => Standing::Gone,
        }
    }

    /// A token that lives and is not the refused one.
    fn usable(&self, refused: Option<u64>) -> Option<Arc<Grant>> {
        let state = self.state.read();
        let grant = state.held.as_ref().map(|held| &held.grant);
        grant.filter(|grant| grant.lives() && Some(grant.number) != refused).cloned()
    }

    /// Renews a token that still lives, unless another thread does it or it does not work: then the old one will do. Half
    /// of the time is left for the call itself.
    fn renew_early(&self, transport: &dyn Transport, deadline: Deadline) -> Option<Arc<Grant>> {
        let pass = self.gate.try_enter()?;
        if let Standing::Fresh(grant) = self.standing() {
            return Some(grant);
        }
        let half = Deadline::after(deadline.remaining().unwrap_or_default() / 2);
        match self.renew(transport, half) {
            Ok(grant) => Some(grant),
            Err(error) => {
                if let Some(held) = &mut self.state.write().held {
                    held.renew_at = Instant::now() + RESPITE;
                }
                pass.fail(error.into());
                None
            }
        }
    }

    /// A token that is not the refused one: another thread's, if one renews it just now.
    fn obtain(
        &self,
        refused: Option<u64>,
        transport: &dyn Transport,
        deadline: Deadline,
    ) -> Result<Arc<Grant>, Error> {
        loop {
            let entry = self.gate.enter(deadline);
            if let Some(grant) = self.usable(refused) {
                return Ok(grant);
            }
            match entry {
                Entry::First(pass) => {
                    return self.renew(transport, deadline).map_err(|error| {
                        if matches!(error, GrantError::Refused(_)) {
                            self.drop_refused(refused);
                        }
                        let error = Error::from(error);
                        pass.fail(error.clone());
                        error
                    });
                }
                // Who had too little time says nothing of the service.
                Entry::After(Some(error)) if error.kind != ErrorKind::Timeout => return Err(error),
                Entry::After(_) => {}
                Entry::Late => {
                    let reason = "another thread was getting a token, and it took too long";
                    return Err(Error::unsent(ErrorKind::Timeout, reason));
                }
            }
        }
    }

    /// Forgets a token that is of no use any more.
    fn drop_refused(&self, refused: Option<u64>) {
        let mut state = self.state.write();
        if state.held.as_ref().is_some_and(|held| Some(held.grant.number) == refused) {
            state.held = None;
        }
    }

    /// A new token, by the refresh call if there is one that may work, else by the password. The gate is held.
    fn renew(&self, transport: &dyn Transport, deadline: Deadline) -> Result<Arc<Grant>, GrantError> {
        let old = {
            let state = self.state.read();
            state.held.as_ref().filter(|held| held.refreshable).map(|held| Arc::clone(&held.grant))
        };
        let refresh = old.as_ref().and_then(|old| Some((old, self.refresh_call(old)?)));
        let Some((old, call)) = refresh else { return self.show_password(transport, deadline) };
        let denied = match self.ask(call, Event::Renewal, Some(old), transport, deadline) {
            Ok(grant) => return Ok(grant),
            Err(denied) if denied.verdict == Verdict::Open => return Err(denied.error),
            Err(denied) => denied,
        };
        if let Some(held) = &mut self.state.write().held {
            held.refreshable = false;
        }
        match self.show_password(transport, deadline) {
            Err(GrantError::Missing) => Err(denied.error),
            outcome => outcome,
        }
    }

    /// The refresh call, if `old` has what it needs.
    fn refresh_call(&self, old: &Grant) -> Option<&TokenCall> {
        let call = self.profile.refresh.as_ref()?;
        (old.refresh.is_some() || !call.has(&FieldValue::Refresh)).then_some(call)
    }

    /// A new token by the password, unless a refusal of it stands. The gate is held.
    fn show_password(&self, transport: &dyn Transport, deadline: Deadline) -> Result<Arc<Grant>, GrantError> {
        if let Some(response) = self.standing_refusal() {
            return Err(GrantError::Refused(response));
        }
        self.ask(&self.profile.login, Event::Login, None, transport, deadline).map_err(|denied| {
            if let GrantError::Refused(response) = &denied.error
                && denied.verdict != Verdict::Open
            {
                let mut state = self.state.write();
                let refusal = Refusal::new(Arc::clone(response), denied.verdict, state.refusal.as_ref());
                // Who brought it is told that the login is over.
                let is_over = denied.verdict != Verdict::Passing && self.password.is_pin();
                state.refusal = Some(refusal);
                drop(state);
                if is_over {
                    self.password.clear();
                }
            }
            denied.error
        })
    }

    /// The refusal of the password that would be shown now; `None` if it has changed since.
    fn standing_refusal(&self) -> Option<Arc<Response>> {
        let response = {
            let mut state = self.state.write();
            let refusal = state.refusal.as_mut().filter(|refusal| refusal.stands())?;
            let response = Arc::clone(&refusal.response);
            if refusal.asked.elapsed() < YOUNG {
                return Some(response);
            }
            refusal.asked = Instant::now();
            response
        };
        if !self.password.refresh().unwrap_or(false) {
            return Some(response);
        }
        self.state.write().refusal = None;
        None
    }

    /// Makes a token call and takes what it grants.
    fn ask(
        &self,
        call: &TokenCall,
        event: Event,
        old: Option<&Grant>,
        transport: &dyn Transport,
        deadline: Deadline,
    ) -> Result<Arc<Grant>, Denied> {
        let life = self.state.read().life;
        let endpoint = Endpoint::new(call.method.as_str(), &call.path);
        let response = self.send(call, old, transport, deadline).inspect_err(|error| match error {
            GrantError::Transport(error) => self.audit.failed(event, endpoint, error),
            GrantError::Unreadable(reason) => self.audit.failed(event, endpoint, reason),
            GrantError::Missing | GrantError::Malformed(_) | GrantError::Refused(_) => {}
        })?;
        match self.profile.read(&response) {
            Reading::Granted(granted) => {
                self.audit.granted(event, endpoint);
                Ok(self.take(granted, old, life)?)
            }
            Reading::Refused { status } => {
                self.audit.refused(event, endpoint, status);
                let error = GrantError::Refused(Arc::new(response));
                Err(Denied { error, verdict: Verdict::of(status) })
            }
            Reading::Malformed => {
                let reason = format!("HTTP {} without a token", response.status);
                self.audit.failed(event, endpoint, &reason);
                let error = GrantError::Malformed(format!("{endpoint}: {reason}"));
                // What answers so to a refresh token does not take it; a password is not blamed for it.
                Err(Denied { error, verdict: Verdict::Final })
            }
        }
    }

    fn send(
        &self,
        call: &TokenCall,
        old: Option<&Grant>,
        transport: &dyn Transport,
        deadline: Deadline,
    ) -> Result<Response, GrantError> {
        let fill = |password: Option<&str>| {
            call.fill(&Values {
                user: &self.user,
                password,
                access: old.map(|old| old.access.expose_secret()),
                refresh: old.and_then(|old| Some(old.refresh.as_ref()?.expose_secret())),
            })
        };
        let (headers, body) = if call.shows_password() { self.password.with(fill)?? } else { fill(None)? };
        let class = if call.shows_password() { Class::NeverTwice } else { Class::OnceOnly };
        let request =
            Request { method: call.method, path: &call.path, headers: &headers, body: Some(&body), class };
        transport.call(&request, deadline).map_err(GrantError::Transport)
    }

    fn take(&self, granted: Granted, old: Option<&Grant>, life: u64) -> Result<Arc<Grant>, GrantError> {
        let lines = self.profile.lines(granted.access.expose_secret())?;
        let now = Instant::now();
        // 80 % of the life, or the last minute: whichever is later.
        let wait = (granted.life * 4 / 5).max(granted.life.saturating_sub(EARLY));
        let mut state = self.state.write();
        if state.life != life {
            return Err(GrantError::Missing);
        }
        state.count += 1;
        let grant = Arc::new(Grant {
            number: state.count,
            lines,
            access: granted.access,
            refresh: granted.refresh.or_else(|| old.and_then(|old| old.refresh.clone())),
            got: now,
            expires: now + granted.life,
            accepted: AtomicBool::new(false),
        });
        let held = Held { grant: Arc::clone(&grant), renew_at: now + wait, refreshable: true };
        let old = state.held.replace(held);
        state.refusal = None;
        drop(state);
        drop(old); // zeroised when the lock is free again
        Ok(grant)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:?}, redacted)", self.user)
    }
}
