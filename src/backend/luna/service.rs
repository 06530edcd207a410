//! One call at the appliance: on which session it goes, and what follows when that is not taken.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cryptoki_sys::CKR_DEVICE_ERROR;
use parking_lot::Mutex;
use secrecy::SecretString;
use serde_json::Value;
use zeroize::Zeroizing;

use super::appliance::{Appliance, response};
use super::errors::{Purpose, Refusal, unanswered, unreadable};
use super::session::{Private, Sessions};
use crate::error::{Error, Result};
use crate::observe::audit::{Audit, Event};
use crate::observe::log::Log;
use crate::transport::auth::Authenticated;
use crate::transport::{Class, Deadline, FAREWELL, Headers, Kept, Method, Request, Response, Transport};

/// How long the source of a refused password is not asked again: it may be a command.
const YOUNG: Duration = Duration::from_secs(5);

const SESSION: &str = "/auth/session";

/// The appliance as one account sees it.
pub(super) struct Service {
    pub(super) transport: Arc<dyn Transport>,
    /// The same with the token of the account, where it has one: the shared session.
    pub(super) tokens: Option<Authenticated>,
    pub(super) appliance: Appliance,
    pub(super) sessions: Sessions,
    pub(super) media_type: String,
    /// How many requests of one scatter are in flight.
    pub(super) width: usize,
    pub(super) log: Log,
    pub(super) audit: Audit,
    /// Whether the password was taken on the shared session.
    pub(super) accepted: AtomicBool,
    /// The password of the account that was refused last.
    pub(super) refusal: Mutex<Option<RefusedPassword>>,
}

/// A password that is not shown again, and how it was refused.
pub(super) struct RefusedPassword {
    shown: SecretString,
    status: u16,
    body: Zeroizing<Vec<u8>>,
    /// When its source was asked last for another one.
    asked: Instant,
}

/// A call to be made.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) body: Option<&'a [u8]>,
    pub(super) class: Class,
    pub(super) purpose: Purpose,
}

impl<'a> Call<'a> {
    /// A read.
    pub(super) fn get(path: &'a str, purpose: Purpose) -> Self {
        Self { method: Method::Get, path, body: None, class: Class::Repeatable, purpose }
    }

    /// A call that changes something.
    pub(super) fn post(path: &'a str, body: &'a [u8], class: Class, purpose: Purpose) -> Self {
        Self { method: Method::Post, path, body: Some(body), class, purpose }
    }
}

/// Method and path, for the audit.
impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method.as_str(), self.path)
    }
}

/// Whose session carries a call.
#[derive(Clone, Copy)]
enum On<'a> {
    /// That of the account, which all its clients share: the password carries it, or a token.
    Shared,
    /// The same, by the password.
    Password,
    Private(&'a Private),
    /// None: a login by certificate is under way, with the cookies of its first answer.
    Nobody(Option<&'a Private>),
}

impl Service {
    /// The answer to a read that any session may be good for, whatever it is. The private session is used if there is one;
    /// else the shared one, and a private one is opened if the appliance asks for that (section 14.1).
    pub(super) fn ask(&self, call: &Call<'_>, deadline: Deadline) -> Result<Response> {
        if let Some(answer) = self.on_current(call, deadline)? {
            return Ok(answer);
        }
        if self.appliance.certificate.is_none() {
            let answer = self.on_shared(call, deadline)?;
            if answer.is_success() || !Refusal::read(&answer).is_not_private() {
                return Ok(answer);
            }
        }
        let private = self.private(deadline)?;
        self.on(call, &private, deadline)
    }

    /// The JSON of a successful answer.
    ///
    /// # Errors
    /// By the table.
    pub(super) fn read(&self, call: &Call<'_>, deadline: Deadline) -> Result<Value> {
        parsed(call.purpose, &succeeded(call.purpose, self.ask(call, deadline)?)?)
    }

    /// The answers to reads of one kind, in their order, whatever they are. The first of them finds out on which session
    /// they go.
    pub(super) fn ask_many(&self, calls: &[Call<'_>], deadline: Deadline) -> Vec<Result<Response>> {
        let Some((first, rest)) = calls.split_first() else { return Vec::new() };
        let mut answers = vec![self.ask(first, deadline)];
        if let [Ok(answer)] = &answers[..]
            && !answer.is_success()
            && Refusal::read(answer).is_credential()
        {
            // The others would only show it again.
            let refusal = Refusal::read(answer);
            answers.extend(rest.iter().map(|call| Err(refusal.error(call.purpose))));
            return answers;
        }
        let private = self.sessions.current();
        let on = private.as_deref().map_or(On::Shared, On::Private);
        match self.headers(first, on) {
            Err(error) => {
                let same = |_| Err(Error::new(error.rv(), error.to_string()));
                answers.extend(rest.iter().map(same));
            }
            Ok(headers) => {
                let requests: Vec<_> = rest.iter().map(|call| request(call, &headers)).collect();
                let outcomes = self.way(on).call_many(&requests, self.width, deadline);
                answers.extend(rest.iter().zip(outcomes).map(|(call, outcome)| match outcome {
                    // The session went meanwhile.
                    Ok(answer) if !answer.is_success() && Refusal::read(&answer).is_session_gone() => {
                        self.ask(call, deadline)
                    }
                    outcome => outcome.map_err(|error| unanswered(call.purpose, error)),
                }));
            }
        }
        if let Some(private) = private {
            private.touch();
        }
        answers
    }

    /// The answer on the private session, if there is one and it is still there.
    fn on_current(&self, call: &Call<'_>, deadline: Deadline) -> Result<Option<Response>> {
        let Some(private) = self.sessions.current() else { return Ok(None) };
        let answer = self.on(call, &private, deadline)?;
        Ok(self.sessions.current().is_some_and(|current| Arc::ptr_eq(&current, &private)).then_some(answer))
    }

    /// The answer on this private session, whatever it is. If it says that the session is gone, that is noted.
    pub(super) fn on(&self, call: &Call<'_>, private: &Arc<Private>, deadline: Deadline) -> Result<Response> {
        let answer = self.send(call, On::Private(private), deadline)?;
        private.touch();
        if !answer.is_success() {
            let refusal = Refusal::read(&answer);
            // A refused password has the same status, in the answer to its call and in that of its task.
            let showed_password = call.class == Class::NeverTwice || call.purpose == Purpose::Outcome;
            if refusal.is_session_gone() && (!showed_password || refusal.is_not_private()) {
                self.log.warn(format_args!("the private session is gone: {refusal}"));
                self.sessions.forget(private);
            } else if refusal.is_not_logged_in() {
                private.set_user(None);
            }
        }
        Ok(answer)
    }

    fn on_shared(&self, call: &Call<'_>, deadline: Deadline) -> Result<Response> {
        match self.tokens {
            Some(_) => self.send(call, On::Shared, deadline),
            None => self.by_password(call, Event::Use, deadline),
        }
    }

    /// The answer to a call that shows the password of the account; where it is refused its source is asked for another
    /// one, and the refused one is not shown again. `event`: what a refusal is one of.
    fn by_password(&self, call: &Call<'_>, event: Event, deadline: Deadline) -> Result<Response> {
        if let Some(answer) = self.standing_refusal() {
            return Ok(answer);
        }
        let mut shown = self.appliance.shown_password();
        let mut answer = self.send(call, On::Password, deadline)?;
        let is_refused = |answer: &Response| !answer.is_success() && Refusal::read(answer).is_credential();
        if is_refused(&answer) && self.appliance.has_other_password(shown.as_ref()) {
            self.audit.refused(event, call, answer.status);
            self.audit.granted(Event::Renewal, "the source of the secret");
            shown = self.appliance.shown_password();
            answer = self.send(call, On::Password, deadline)?;
        }
        match is_refused(&answer) {
            true => {
                self.audit.refused(event, call, answer.status);
                *self.refusal.lock() = shown.map(|shown| RefusedPassword {
                    shown,
                    status: answer.status,
                    body: answer.body.clone(),
                    asked: Instant::now(),
                });
            }
            false if answer.status < 500 && !self.accepted.swap(true, Ordering::Relaxed) => {
                self.audit.granted(Event::Login, call);
            }
            false => {}
        }
        Ok(answer)
    }

    /// How the password that would be shown now was refused before; `None` if it is another one.
    fn standing_refusal(&self) -> Option<Response> {
        let mut held = self.refusal.lock();
        let refusal = held.as_mut()?;
        let shown = refusal.shown.clone();
        let (status, body) = (refusal.status, refusal.body.clone());
        let is_due = refusal.asked.elapsed() >= YOUNG;
        if is_due {
            refusal.asked = Instant::now();
        }
        drop(held);
        let is_other = match is_due {
            true => self.appliance.has_other_password(Some(&shown)),
            false => self.appliance.is_other_password(&shown),
        };
        if is_other {
            *self.refusal.lock() = None;
            return None;
        }
        Some(Response { status, retry_after: None, kept: Kept::default(), body })
    }

    /// `C_Login` wants to know: a password that was refused is shown once more, in its newest form.
    pub(super) fn show_password_again(&self) {
        let refusal = self.refusal.lock().take();
        if let Some(refusal) = refusal {
            self.appliance.has_other_password(Some(&refusal.shown));
        }
    }

    /// The private session; opened if there is none.
    pub(super) fn private(&self, deadline: Deadline) -> Result<Arc<Private>> {
        if let Some(private) = self.sessions.current() {
            return Ok(private);
        }
        let _gate = self.sessions.open_gate(deadline)?;
        // Whoever held the gate before may have opened one.
        if let Some(private) = self.sessions.current() {
            return Ok(private);
        }
        let left = deadline.remaining().unwrap_or_default();
        self.end_expired(Deadline::after(FAREWELL.min(left / 2)));
        for _ in 0..2 {
            let taken = self.sessions.taken();
            let private = match &self.appliance.certificate {
                Some(_) => self.answer_challenge(deadline),
                None => self.open_session(deadline),
            };
            let private = Arc::new(private?);
            match self.sessions.put(Arc::clone(&private), taken) {
                Ok(()) => return Ok(private),
                // Whoever logged out meanwhile could not end it.
                Err(orphan) => self.end(&orphan, Deadline::after(FAREWELL)),
            }
        }
        let text = format!("{}: C_Logout came meanwhile, twice", self.appliance.purpose());
        Err(Error::new(CKR_DEVICE_ERROR, text))
    }

    /// Ends a session that was not used for too long, lest the appliance keep it longer than this side thought.
    pub(super) fn end_expired(&self, deadline: Deadline) {
        if let Some(private) = self.sessions.take_expired() {
            let call = Call {
                method: Method::Delete,
                body: None,
                ..Call::post(SESSION, b"", Class::OnceOnly, Purpose::Logout)
            };
            // Most often it is gone: no news for the audit.
            let _ = self.send(&call, On::Private(&private), deadline);
        }
    }

    fn open_session(&self, deadline: Deadline) -> Result<Private> {
        let purpose = self.appliance.purpose();
        let call = Call::post(SESSION, b"{}", Class::OnceOnly, purpose);
        let answer = self.by_password(&call, Event::Login, deadline);
        self.opened(&call, answer?)
    }

    /// The private session that the answer to a login opened.
    fn opened(&self, call: &Call<'_>, answer: Response) -> Result<Private> {
        let answer = succeeded(call.purpose, answer)?;
        Private::opened(&answer.kept)
            .ok_or_else(|| unreadable(call.purpose, &answer, "no session: it sets no cookie"))
    }

    /// Section 4.5. The question carries no password: it may be asked again with the other line ends.
    fn answer_challenge(&self, deadline: Deadline) -> Result<Private> {
        let (purpose, appliance) = (self.appliance.purpose(), &self.appliance);
        let Some(certificate) = &appliance.certificate else { return self.open_session(deadline) };
        let ask = |literal| {
            let body = certificate.question(&appliance.user, literal);
            let call = Call::post("/auth/login/challenge", &body, Class::OnceOnly, purpose);
            self.send(&call, On::Nobody(None), deadline)
        };
        let mut question = ask(false)?;
        if question.status == 400 {
            question = ask(true)?;
        }
        if !question.is_success() {
            self.audit.refused(Event::Login, "POST /auth/login/challenge", question.status);
        }
        let question = succeeded(purpose, question)?;
        let body = response(certificate, &question.body).map_err(|_| {
            Error::new(
                CKR_DEVICE_ERROR,
                format!("{purpose}: the challenge of the appliance cannot be answered"),
            )
        })?;
        // What ties the two calls together is not documented: cookies, if there are any.
        let tie = Private::opened(&question.kept);
        let call = Call::post("/auth/login/basic", &body, Class::NeverTwice, purpose);
        let answer = self.send(&call, On::Nobody(tie.as_ref()), deadline)?;
        let is_success = answer.is_success();
        match is_success {
            true => self.audit.granted(Event::Login, call),
            false => self.audit.refused(Event::Login, call, answer.status),
        }
        match self.opened(&call, answer) {
            // The cookie of the challenge may have become the session.
            Err(error) => tie.filter(|_| is_success).ok_or(error),
            private => private,
        }
    }

    /// Ends a session at the appliance. What it says to that changes nothing.
    pub(super) fn end(&self, private: &Private, deadline: Deadline) {
        let call = Call {
            method: Method::Delete,
            path: SESSION,
            body: None,
            class: Class::OnceOnly,
            purpose: Purpose::Logout,
        };
        self.tell_end(&self.audit, &call, self.send(&call, On::Private(private), deadline));
    }

    /// Tells what became of a call that ends a login.
    pub(super) fn tell_end(&self, audit: &Audit, call: &Call<'_>, outcome: Result<Response>) {
        match outcome {
            Ok(answer) if answer.is_success() => audit.granted(Event::Logout, call),
            Ok(answer) => audit.refused(Event::Logout, call, answer.status),
            Err(error) => audit.failed(Event::Logout, call, error),
        }
    }

    /// What carries a call.
    fn way(&self, on: On<'_>) -> &dyn Transport {
        match (on, &self.tokens) {
            (On::Shared, Some(tokens)) => tokens,
            _ => &*self.transport,
        }
    }

    fn send(&self, call: &Call<'_>, on: On<'_>, deadline: Deadline) -> Result<Response> {
        let headers = self.headers(call, on)?;
        let answer = self.way(on).call(&request(call, &headers), deadline);
        let (method, path) = (call.method.as_str(), call.path);
        match &answer {
            Ok(answer) => self.log.debug(format_args!("{method} {path}: HTTP {}", answer.status)),
            Err(error) => self.log.debug(format_args!("{method} {path}: {error}")),
        }
        answer.map_err(|error| unanswered(call.purpose, error))
    }

    fn headers(&self, call: &Call<'_>, on: On<'_>) -> Result<Headers> {
        let mut headers = Headers::default();
        let mut add = |name: &str, value: &str| {
            headers.add(name, value).map_err(|error| unanswered(call.purpose, error))
        };
        if call.body.is_some() {
            add("Content-Type", &self.media_type)?;
        }
        let cookie = match on {
            On::Shared | On::Password => None,
            On::Private(private) => Some(private.cookie()),
            On::Nobody(tie) => tie.map(Private::cookie),
        };
        if let Some(cookie) = cookie {
            add("Cookie", cookie)?;
        }
        let shows_password = match on {
            On::Shared => self.tokens.is_none(),
            On::Password => true,
            On::Private(_) => self.appliance.send_basic,
            On::Nobody(_) => false,
        };
        if shows_password {
            self.appliance.show_password(call.purpose, &mut headers)?;
        }
        Ok(headers)
    }
}

fn request<'a>(call: &Call<'a>, headers: &'a Headers) -> Request<'a> {
    Request { method: call.method, path: call.path, headers, body: call.body, class: call.class }
}

/// The answer, if it is a success.
///
/// # Errors
/// By the table.
pub(super) fn succeeded(purpose: Purpose, answer: Response) -> Result<Response> {
    if answer.is_success() { Ok(answer) } else { Err(Refusal::read(&answer).error(purpose)) }
}

/// The answer's body as JSON; an empty one is `null`.
///
/// # Errors
/// `CKR_DEVICE_ERROR`
pub(super) fn parsed(purpose: Purpose, answer: &Response) -> Result<Value> {
    if answer.body.trim_ascii().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&answer.body)
        .map_err(|error| unreadable(purpose, answer, "not JSON").because(error))
}
