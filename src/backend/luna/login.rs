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
use crate::transport::{Class, Deadline, Method, Response};

/// How long the end of a session may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// How many characters a password of a role has (section 5).
const PASSWORD_LENGTHS: std::ops::RangeInclusive<usize> = 8..=255;

/// What the vendor suggests to keep a session with (section 4.1).
const CHEAP: &str = "/api/lunasa/services/webserver";

/// That somebody is logged in.
pub(super) struct Login {
    pub(super) user: User,
    /// Kept if the configuration lets it.
    pub(super) pin: Option<SecretString>,
}

impl Luna {
    /// As [`crate::backend::Backend::login`] has it.
    pub(super) fn log_in(&self, user: User, pin: &[u8], deadline: Deadline) -> Result<()> {
        let pin = wire::pin(pin).ok_or_else(|| {
            Error::new(CKR_PIN_INCORRECT, format!("{}: the PIN is not UTF-8", Purpose::Login))
        })?;
        if self.service.appliance.wants_pin() {
            self.log_in_to_appliance(&pin, deadline)?;
        } else {
            self.log_in_to_partition(user, &pin, deadline)?;
        }
        // What was listed before lacks what only this login shows.
        *self.shelf.write() = None;
        let pin =
            (self.settings.keep_pin && user == User::User && wire::shown(&pin).is_some()).then_some(pin);
        *self.login.write() = Some(Login { user, pin });
        Ok(())
    }

    /// The PIN is the password of the account: no role of the partition is logged in.
    fn log_in_to_appliance(&self, pin: &SecretString, deadline: Deadline) -> Result<()> {
        if pin.expose_secret().is_empty() {
            return Err(no_pin());
        }
        self.take_account(pin);
        let private = self.service.private(deadline).inspect_err(|_| self.forget_account())?;
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
        if let Some(password) = self.service.appliance.password().filter(|password| password.is_pin()) {
            password.clear();
        }
        if let Some(tokens) = &self.service.tokens {
            tokens.logout();
        }
    }

    fn log_in_to_partition(&self, user: User, pin: &SecretString, deadline: Deadline) -> Result<()> {
        let place = self.place(deadline)?;
        let outcome = self.try_password(&place, user, pin, deadline);
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

    fn try_password(&self, place: &Place, user: User, pin: &SecretString, deadline: Deadline) -> Result<()> {
        let (private, state) = self.role_state(place, user, deadline)?;
        self.check_attempt(state, user, wire::shown(pin).is_some())?;
        let ped = self.ped();
        let role = self.role(user);
        let body = Secret::Login { ped: &ped, password: wire::shown(pin), role }.bytes();
        let path = place.below("login");
        let call = Call::post(&path, &body, Class::NeverTwice, Purpose::Login);
        let answer = self.service.on(&call, &private, deadline)?;
        let answer = self.service.finished(answer, &private, deadline)?;
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
    ) -> Error {
        let refusal = Refusal::read(answer);
        if !refusal.is_about_password() {
            return refusal.error(purpose);
        }
        let path = place.below(&format!("roles/{}", self.role(user)));
        let call = Call::get(&path, Purpose::Role);
        let told = self.service.on(&call, private, deadline).ok();
        if told.as_ref().is_some_and(|told| !told.is_success() && Refusal::read(told).is_session_gone()) {
            // Then that was the reason: nobody looked at the password.
            let text = format!("{purpose}: the session ended before the password was looked at ({refusal})");
            return Error::new(CKR_DEVICE_ERROR, text);
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
        Error::new(rv, format!("{purpose}: the appliance answered {refusal}"))
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
                return Err(self.refused(&answer, &place, user, &private, deadline, purpose));
            }
            let state = RoleState { to_be_changed: false, ..state.unwrap_or_default() };
            self.note(user, RoleState { initialized: Some(true), ..state }, true);
            Ok(())
        });
        if self.service.sessions.current().is_some_and(|private| private.user().is_none()) {
            self.leave();
        }
        if outcome.is_ok()
            && let Some(login) = self.login.write().as_mut()
            && login.user == user
            && login.pin.is_some()
        {
            login.pin = Some(new.clone());
        }
        outcome
    }

    /// Whether the login stands, without a request.
    pub(super) fn stands(&self) -> bool {
        let login = self.login.read();
        login.as_ref().is_some_and(|login| login.pin.is_some() || self.is_logged_in(login.user))
    }

    fn is_logged_in(&self, user: User) -> bool {
        self.service.sessions.current().is_some_and(|private| private.user() == Some(user))
    }

    /// As [`crate::backend::Backend::keep_login`] has it: a session that was not used for half of its time is used, and
    /// with a kept PIN one that is gone is made again.
    pub(super) fn keep(&self, deadline: Deadline) -> Result<()> {
        let user = self.login.read().as_ref().map(|login| login.user);
        let gone = || Error::new(CKR_USER_NOT_LOGGED_IN, "the appliance has ended the login: C_Login again");
        let user = user.ok_or_else(gone)?;
        let held = self.service.sessions.current().filter(|private| private.user() == Some(user));
        if let Some(private) = held {
            let Some(gate) = self.service.sessions.keep_gate(&private) else { return Ok(()) };
            self.service.on(&Call::get(CHEAP, Purpose::KeepAlive), &private, deadline)?;
            drop(gate);
            if self.is_logged_in(user) {
                return Ok(());
            }
        }
        // By whoever is first; the others find it done.
        let _gate = self.revival.try_lock_for(deadline.remaining().unwrap_or_default()).ok_or_else(gone)?;
        if self.is_logged_in(user) {
            return Ok(());
        }
        let pin = self.login.read().as_ref().and_then(|login| login.pin.clone()).ok_or_else(gone)?;
        self.service
            .log
            .info(format_args!("the appliance has ended the login: it is made again with the kept PIN"));
        let outcome = self.log_in(user, pin.expose_secret().as_bytes(), deadline);
        if outcome.is_err() {
            // It is not tried again.
            *self.login.write() = None;
        }
        outcome
    }

    /// Logs the role out and ends the private session, for 2 s at most.
    pub(super) fn leave(&self) {
        let Some(private) = self.service.sessions.take() else { return };
        let deadline = Deadline::after(FAREWELL);
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

fn no_pin() -> Error {
    Error::new(CKR_PIN_INCORRECT, format!("{}: there is no PIN; nothing was sent", Purpose::Login))
}
