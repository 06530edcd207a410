//! `C_Login`, `C_Logout` and `C_SetPIN`: the roles of a partition on a private session (Luna reference section 5).
//!
//! A password is never sent twice: wrong ones lock a role, and those of the security officer erase the HSM. So the state
//! of the role is read first, and what is locked, not initialised or at its last try is not tried at all.

use std::sync::Arc;
use std::time::Duration;

use cryptoki_sys::{
    CKR_DEVICE_ERROR, CKR_FUNCTION_REJECTED, CKR_PIN_EXPIRED, CKR_PIN_INCORRECT, CKR_PIN_LEN_RANGE,
    CKR_PIN_LOCKED, CKR_USER_NOT_LOGGED_IN, CKR_USER_PIN_NOT_INITIALIZED,
};
use parking_lot::MutexGuard;
use secrecy::{ExposeSecret, SecretString};

use super::Luna;
use super::errors::{Purpose, Refusal};
use super::place::Place;
use super::service::{Call, parsed, succeeded};
use super::session::Private;
use super::wire::{self, RoleState, Secret};
use crate::backend::User;
use crate::config::{Role, SetPin};
use crate::error::{Error, Result};
use crate::observe::audit::Event;
use crate::transport::auth::Authenticated;
use crate::transport::{Class, Deadline, FAREWELL, Method, Response};

/// How long a call may be kept waiting to keep the session: it has its own work to do.
const PING: Duration = Duration::from_secs(2);

/// How many characters a password of a role has (section 5).
const PASSWORD_LENGTHS: std::ops::RangeInclusive<usize> = 8..=255;

/// What the vendor suggests to keep a session with (section 4.1).
const CHEAP: &str = "/api/lunasa/services/webserver";

/// Who is logged in, and how often that was ended: what began before an end counts for nothing after it.
#[derive(Default)]
pub(super) struct Standing {
    pub(super) login: Option<Login>,
    life: u64,
}

/// That somebody is logged in.
pub(super) struct Login {
    pub(super) user: User,
    /// Kept if the configuration lets it.
    pub(super) pin: Option<SecretString>,
}

/// A login that failed.
struct Failed {
    error: Error,
    /// Whether the password may have been looked at: then it is not shown again unasked.
    shown: bool,
}

/// Nothing was shown.
impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, shown: false }
    }
}

impl Luna {
    /// As [`crate::backend::Backend::login`] has it.
    pub(super) fn log_in(&self, user: User, pin: &[u8], deadline: Deadline) -> Result<()> {
        let pin = wire::pin(pin).ok_or_else(|| {
            Error::new(CKR_PIN_INCORRECT, format!("{}: the PIN is not UTF-8", Purpose::Login))
        })?;
        let _turn = self.turn(deadline)?;
        let life = self.standing.read().life;
        self.service.show_password_again();
        self.make_login(user, pin, life, deadline).map_err(|failed| failed.error)
    }

    /// Waits for whoever logs in or changes a password.
    fn turn(&self, deadline: Deadline) -> Result<MutexGuard<'_, ()>> {
        let guard = deadline.remaining().and_then(|left| self.logging_in.try_lock_for(left));
        guard.ok_or_else(|| {
            let purpose = Purpose::Login;
            Error::new(CKR_DEVICE_ERROR, format!("{purpose}: another thread was still at it at the deadline"))
        })
    }

    /// A login that counts if none was ended since `life`.
    fn make_login(&self, user: User, pin: SecretString, life: u64, deadline: Deadline) -> Result<(), Failed> {
        if self.service.appliance.wants_pin() {
            self.log_in_to_appliance(&pin, deadline)?;
        } else {
            self.log_in_to_partition(user, &pin, life, deadline)?;
        }
        // What was listed before lacks what only this login shows.
        *self.shelf.write() = None;
        let keeps = self.settings.keep_pin && user == User::User && wire::shown(&pin).is_some();
        let login = Login { user, pin: keeps.then_some(pin) };
        let mut standing = self.standing.write();
        if standing.life == life {
            standing.login = Some(login);
            return Ok(());
        }
        drop(standing);
        // Whoever logged out found nothing to end, or not all of it.
        self.leave();
        self.forget_account();
        Err(logged_out().into())
    }

    /// Nobody is logged in any more, and a login that is under way does not count.
    pub(super) fn forget_login(&self) {
        let mut standing = self.standing.write();
        standing.login = None;
        standing.life += 1;
        drop(standing);
        *self.shelf.write() = None;
    }

    /// The PIN is the password of the account: no role of the partition is logged in.
    fn log_in_to_appliance(&self, pin: &SecretString, deadline: Deadline) -> Result<(), Failed> {
        if pin.expose_secret().is_empty() {
            return Err(no_pin().into());
        }
        self.take_account(pin);
        let private = self.service.private(deadline).map_err(|error| {
            self.forget_account();
            Failed { shown: error.rv() == CKR_PIN_INCORRECT, error }
        })?;
        private.set_user(Some(User::User));
        Ok(())
    }

    /// Takes the password of the account, where `C_Login` brings it. Makes no request.
    pub(super) fn take_account(&self, pin: &SecretString) {
        let tokens =
            self.service.tokens.as_ref().and_then(Authenticated::token).map(|token| token.password());
        for password in
            self.service.appliance.password().into_iter().chain(tokens).filter(|known| known.is_pin())
        {
            password.fill(pin.clone());
        }
    }

    /// Forgets it, and gives a token for it back.
    pub(super) fn forget_account(&self) {
        self.forget_password();
        if let Some(tokens) = &self.service.tokens {
            tokens.logout();
        }
    }

    pub(super) fn forget_password(&self) {
        if let Some(password) = self.service.appliance.password().filter(|password| password.is_pin()) {
            password.clear();
        }
    }

    fn log_in_to_partition(
        &self,
        user: User,
        pin: &SecretString,
        life: u64,
        deadline: Deadline,
    ) -> Result<(), Failed> {
        let place = self.place(deadline)?;
        let outcome = self.try_password(&place, user, pin, life, deadline);
        match &outcome {
            Ok(()) => {
                let mut about = self.about.lock();
                if about.is_none() {
                    *about = Some(self.service.about(&place));
                }
            }
            // A login that got no answer may have been one.
            Err(_) => self.leave(),
        }
        outcome
    }

    fn try_password(
        &self,
        place: &Place,
        user: User,
        pin: &SecretString,
        life: u64,
        deadline: Deadline,
    ) -> Result<(), Failed> {
        let (private, state) = self.role_state(place, user, deadline)?;
        self.check_attempt(state, user, wire::shown(pin).is_some())?;
        let ped = self.ped();
        let role = self.role(user);
        let body = Secret::Login { ped: &ped, password: wire::shown(pin), role }.bytes();
        let path = place.below("login");
        let call = Call::post(&path, &body, Class::NeverTwice, Purpose::Login);
        if self.standing.read().life != life {
            return Err(logged_out().into());
        }
        // What gets no answer may have been tried.
        let shown = |error| Failed { error, shown: true };
        let answer = self.service.on(&call, &private, deadline).map_err(shown)?;
        let answer = self.service.finished(answer, &private, deadline).map_err(shown)?;
        let audit = self.service.audit.of(role);
        if !answer.is_success() {
            audit.refused(Event::Login, call, answer.status);
            return Err(self.refused(&answer, place, user, &private, deadline, Purpose::Login));
        }
        audit.granted(Event::Login, call);
        private.set_user(Some(user));
        self.note(user, RoleState { initialized: Some(true), ..state.unwrap_or_default() }, true);
        Ok(())
    }

    /// A private session that is there, and the state of the role as told on it; `None` where the account may not see it.
    fn role_state(
        &self,
        place: &Place,
        user: User,
        deadline: Deadline,
    ) -> Result<(Arc<Private>, Option<RoleState>)> {
        let path = place.below(&format!("roles/{}", self.role(user)));
        let call = Call::get(&path, Purpose::Role);
        let mut private = self.service.private(deadline)?;
        let mut answer = self.service.on(&call, &private, deadline)?;
        if !answer.is_success() && Refusal::read(&answer).is_session_gone() {
            private = self.service.private(deadline)?;
            answer = self.service.on(&call, &private, deadline)?;
        }
        if !answer.is_success() && Refusal::read(&answer).is_not_allowed() {
            self.service.log.warn(format_args!("{}: {}", call.purpose, Refusal::read(&answer)));
            return Ok((private, None));
        }
        let answer = succeeded(call.purpose, answer)?;
        let state = RoleState::read(&parsed(call.purpose, &answer)?);
        if let Some(state) = state {
            self.note(user, state, false);
        }
        Ok((private, state))
    }

    /// Refuses what is known to fail, and what would be dangerous.
    fn check_attempt(&self, state: Option<RoleState>, user: User, has_pin: bool) -> Result<()> {
        let purpose = Purpose::Login;
        let role = self.role(user);
        let no = |rv, what: &str| Err(Error::new(rv, format!("{purpose}: {what}; nothing was sent")));
        let careless = self.settings.final_try;
        let Some(state) = state else {
            return match careless {
                true => Ok(()),
                false => no(
                    CKR_FUNCTION_REJECTED,
                    "the account may not read the state of the role, so that nobody knows how many tries are left: \
                     allow it …/roles and …/roles/{roleid}, or write slot.luna.final_try = true",
                ),
            };
        };
        match () {
            () if state.locked => no(CKR_PIN_LOCKED, &format!("role {role:?} is locked")),
            () if state.initialized == Some(false) => {
                no(CKR_USER_PIN_NOT_INITIALIZED, &format!("role {role:?} is not initialised"))
            }
            () if !has_pin && !state.ped && self.settings.ped.is_none() => Err(no_pin()),
            () if state.is_final_try() && !careless => no(
                CKR_PIN_LOCKED,
                &format!("role {role:?} has one try left (slot.luna.final_try = true lets it be used)"),
            ),
            () if state.attempts.is_none() && !careless => no(
                CKR_FUNCTION_REJECTED,
                &format!(
                    "the appliance does not say how many tries role {role:?} has left: write slot.luna.final_try = true"
                ),
            ),
            () => Ok(()),
        }
    }

    /// What a refused password means: the state of the role tells (section 12.3).
    fn refused(
        &self,
        answer: &Response,
        place: &Place,
        user: User,
        private: &Arc<Private>,
        deadline: Deadline,
        purpose: Purpose,
    ) -> Failed {
        let refusal = Refusal::read(answer);
        if !refusal.is_about_password() {
            let shown = !(refusal.is_not_private() || refusal.is_not_allowed());
            return Failed { error: refusal.error(purpose), shown };
        }
        let path = place.below(&format!("roles/{}", self.role(user)));
        let call = Call::get(&path, Purpose::Role);
        let told = self.service.on(&call, private, deadline).ok();
        if told.as_ref().is_some_and(|told| !told.is_success() && Refusal::read(told).is_session_gone()) {
            // Then that was the reason: nobody looked at the password.
            let text = format!("{purpose}: the session ended before the password was looked at ({refusal})");
            return Error::new(CKR_DEVICE_ERROR, text).into();
        }
        let state = told.filter(Response::is_success);
        let state = state.and_then(|answer| RoleState::read(&parsed(call.purpose, &answer).ok()?));
        if let Some(state) = state {
            self.note(user, state, false);
        }
        let state = state.unwrap_or_default();
        let rv = match () {
            () if state.locked => CKR_PIN_LOCKED,
            () if state.initialized == Some(false) => CKR_USER_PIN_NOT_INITIALIZED,
            () if state.to_be_changed => CKR_PIN_EXPIRED,
            () => CKR_PIN_INCORRECT,
        };
        Failed { error: Error::new(rv, format!("{purpose}: the appliance answered {refusal}")), shown: true }
    }

    /// As [`crate::backend::Backend::set_pin`] has it: on a private session, which is ended if it was opened for this.
    pub(super) fn change_password(
        &self,
        form: SetPin,
        user: User,
        old: &[u8],
        new: &[u8],
        deadline: Deadline,
    ) -> Result<()> {
        let purpose = Purpose::SetPin;
        let (Some(old), Some(new)) = (wire::pin(old), wire::pin(new)) else {
            return Err(Error::new(CKR_PIN_INCORRECT, format!("{purpose}: a PIN is not UTF-8")));
        };
        let Some(old_text) = wire::shown(&old) else { return Err(no_pin()) };
        let new_text = new.expose_secret();
        if !PASSWORD_LENGTHS.contains(&new_text.chars().count()) {
            let text = format!("{purpose}: the new one has not 8 to 255 characters; nothing was sent");
            return Err(Error::new(CKR_PIN_LEN_RANGE, text));
        }
        let _turn = self.turn(deadline)?;
        let place = self.place(deadline)?;
        let outcome = self.role_state(&place, user, deadline).and_then(|(private, state)| {
            self.check_attempt(state, user, true)?;
            let (ped, role) = (self.ped(), self.role(user));
            let (method, path) = match form {
                SetPin::Patch => (Method::Patch, place.below(&format!("roles/{role}"))),
                SetPin::Put => (Method::Put, place.below(&format!("roles/{role}/password"))),
            };
            let ped = (form == SetPin::Put).then_some(ped.as_str());
            let body = Secret::Change { old: old_text, new: new_text, ped }.bytes();
            let call = Call { method, ..Call::post(&path, &body, Class::NeverTwice, purpose) };
            let answer = self.service.on(&call, &private, deadline)?;
            let answer = self.service.finished(answer, &private, deadline)?;
            if !answer.is_success() {
                return Err(self.refused(&answer, &place, user, &private, deadline, purpose).error);
            }
            let state = RoleState { to_be_changed: false, ..state.unwrap_or_default() };
            self.note(user, RoleState { initialized: Some(true), ..state }, true);
            Ok(())
        });
        if self.service.sessions.current().is_some_and(|private| private.user().is_none()) {
            self.leave();
        }
        if outcome.is_ok()
            && let Some(login) = self.standing.write().login.as_mut()
            && login.user == user
            && login.pin.is_some()
        {
            login.pin = Some(new.clone());
        }
        outcome
    }

    /// Whether the login stands, without a request.
    pub(super) fn stands(&self) -> bool {
        let standing = self.standing.read();
        let login = standing.login.as_ref();
        login.is_some_and(|login| login.pin.is_some() || self.is_logged_in(login.user))
    }

    fn is_logged_in(&self, user: User) -> bool {
        self.service.sessions.current().is_some_and(|private| private.user() == Some(user))
    }

    /// As [`crate::backend::Backend::keep_login`] has it: a session that was not used for half of its time is used, and
    /// with a kept PIN one that is gone is made again.
    pub(super) fn keep(&self, deadline: Deadline) -> Result<()> {
        let gone = || Error::new(CKR_USER_NOT_LOGGED_IN, "the appliance has ended the login: C_Login again");
        let user = self.standing.read().login.as_ref().map(|login| login.user).ok_or_else(gone)?;
        self.ping(user, deadline);
        if self.is_logged_in(user) {
            return Ok(());
        }
        // By whoever is first; the others find it done.
        let _turn = self.turn(deadline)?;
        if self.is_logged_in(user) {
            return Ok(());
        }
        let kept = {
            let standing = self.standing.read();
            standing.login.as_ref().and_then(|login| Some((login.pin.clone()?, standing.life)))
        };
        let (pin, life) = kept.ok_or_else(gone)?;
        self.service
            .log
            .info(format_args!("the appliance has ended the login: it is made again with the kept PIN"));
        self.make_login(user, pin, life, deadline).map_err(|failed| {
            let mut standing = self.standing.write();
            // One that was not taken is not tried again; one that was not shown may be.
            if failed.shown && standing.life == life {
                standing.login = None;
            }
            failed.error
        })
    }

    /// Uses the session, if it is time to. What comes of that matters only where it says that the login is gone: the work
    /// at hand is another service's, which may be well.
    fn ping(&self, user: User, deadline: Deadline) {
        let held = self.service.sessions.current().filter(|private| private.user() == Some(user));
        let Some(private) = held else { return };
        let Some(_gate) = self.service.sessions.keep_gate(&private) else { return };
        let limit = PING.min(deadline.remaining().unwrap_or_default() / 2);
        let call = Call::get(CHEAP, Purpose::KeepAlive);
        if let Err(error) = self.service.on(&call, &private, Deadline::after(limit)) {
            self.service.log.warn(format_args!("{error}"));
        }
    }

    /// Logs the role out and ends the private session, for [`FAREWELL`] at most.
    pub(super) fn leave(&self) {
        self.leave_by(Deadline::after(FAREWELL));
    }

    /// The same for good: a session that is just being opened is waited for.
    pub(super) fn leave_for_good(&self, deadline: Deadline) {
        let _gate = self.service.sessions.open_gate(deadline);
        self.leave_by(deadline);
    }

    fn leave_by(&self, deadline: Deadline) {
        let private = self.service.sessions.take();
        self.service.end_expired(deadline);
        let Some(private) = private else { return };
        let place = self.place.read().clone();
        if let Some(place) = place.filter(|_| private.user().is_some() && !self.service.appliance.wants_pin())
        {
            let path = place.below("logout");
            let call = Call::post(&path, b"{}", Class::OnceOnly, Purpose::Logout);
            let role = self.role(private.user().unwrap_or(User::User));
            let outcome = self.service.on(&call, &private, deadline);
            self.service.tell_end(&self.service.audit.of(role), &call, outcome);
        }
        self.service.end(&private, deadline);
    }

    pub(super) fn role(&self, user: User) -> &'static str {
        match (user, self.settings.role) {
            (User::SecurityOfficer, _) => "so",
            (User::User, Role::CryptoOfficer) => "co",
            (User::User, Role::CryptoUser) => "cu",
        }
    }

    fn ped(&self) -> String {
        self.settings.ped.unwrap_or(0).to_string()
    }
}

fn logged_out() -> Error {
    Error::new(CKR_USER_NOT_LOGGED_IN, format!("{}: C_Logout came meanwhile", Purpose::Login))
}

fn no_pin() -> Error {
    Error::new(CKR_PIN_INCORRECT, format!("{}: there is no PIN; nothing was sent", Purpose::Login))
}
