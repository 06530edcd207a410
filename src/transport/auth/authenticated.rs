//! A transport with credentials in front of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use secrecy::{ExposeSecret, SecretString};

use super::front::{Front, Judge};
use super::grant::Shown;
use super::presented::{Layer, Lines, Presented};
use super::token::Tried;
use super::{ApiKey, AuthError, Basic, Bearer, Credential, GrantError, Signer, Token};
use crate::observe::audit::{Audit, Endpoint, Event};
use crate::transport::{Class, Deadline, Error, ErrorKind, FAREWELL, Headers, Request, Response, Transport};

/// Adds the header lines of its layers to each request and reacts to a refusal of them: a token is renewed, a secret
/// with a source is read anew, and the call is repeated once if its class allows. Which answers are refusals is for the
/// dialect to say.
pub struct Authenticated {
    inner: Box<dyn Transport>,
    presented: Presented,
    token: Option<Arc<Token>>,
    /// The generation of the lines that the last answer to a token call was for.
    asked_with: AtomicU64,
    refuses: Box<Judge>,
    front: Front,
    /// Of the secrets that are presented; the token has its own.
    audit: Option<Audit>,
}

fn unauthorised(error: AuthError) -> Error {
    GrantError::from(error).into()
}

/// What `C_Login` brought cannot be the secret: as a gateway would say it (reference section 7), without asking.
fn unfit() -> GrantError {
    let (kept, body) = (Default::default(), br#"{"error":"BAD_SIGNATURE"}"#.to_vec().into());
    GrantError::Refused(Arc::new(Response { status: 401, retry_after: None, kept, body }))
}

/// What one attempt carries besides the lines of the request.
#[derive(Clone)]
struct Attire {
    presented: Option<Arc<Lines>>,
    token: Option<Shown>,
}

impl Attire {
    fn generation(&self) -> u64 {
        self.presented.as_ref().map_or(0, |lines| lines.generation)
    }
}

impl Authenticated {
    /// No layer yet.
    pub fn new(inner: Box<dyn Transport>) -> Self {
        Self {
            inner,
            presented: Presented::default(),
            token: None,
            asked_with: AtomicU64::new(0),
            refuses: Box::new(|answer| answer.status == 401),
            front: Front::default(),
            audit: None,
        }
    }

    /// With user and password in each request, token calls included.
    pub fn with_basic(self, basic: Basic) -> Self {
        self.with(Layer::Basic(basic))
    }

    /// With a bearer token that is no [`Token`] in each request, token calls included.
    pub fn with_bearer(self, bearer: Bearer) -> Self {
        self.with(Layer::Bearer(bearer))
    }

    /// With an API key in each request, token calls included.
    pub fn with_api_key(self, key: ApiKey) -> Self {
        self.with(Layer::ApiKey(key))
    }

    /// With the secret of a signer, which is also asked by the transport beneath.
    pub fn with_signer(self, signer: Arc<Signer>) -> Self {
        self.with(Layer::Signed(signer))
    }

    fn with(mut self, layer: Layer) -> Self {
        self.presented.add(layer);
        self
    }

    /// With events of the secrets that requests show as they are: accepted for the first time, refused, read anew.
    pub fn audited(self, audit: Audit) -> Self {
        if let Some(signer) = self.presented.signer() {
            signer.audited(audit.clone());
        }
        Self { audit: Some(audit), ..self }
    }

    /// With a token in each request but for the token calls.
    pub fn with_token(self, token: Arc<Token>) -> Self {
        if let Some(signer) = self.presented.signer() {
            signer.know_tokens(token.profile());
        }
        Self { token: Some(token), ..self }
    }

    /// Says which answers mean that a credential was refused, where the status line does not (401).
    pub fn refused_by(self, refuses: impl Fn(&Response) -> bool + Send + Sync + 'static) -> Self {
        Self { refuses: Box::new(refuses), ..self }
    }

    /// Says which refusals are the service's. The layers so far are for what stands in front of it, if there are any: what
    /// that refuses by itself is [`ErrorKind::Barred`] then, and no word of the service.
    pub fn fronted(self, is_own: impl Fn(&Response) -> bool + Send + Sync + 'static) -> Self {
        let front = if self.has_layers() { Front::new(is_own) } else { Front::default() };
        Self { front, ..self }
    }

    /// Whether anything is shown besides what the requests have themselves.
    pub fn has_layers(&self) -> bool {
        self.token.is_some() || !self.presented.is_empty()
    }

    /// The token layer, if there is one.
    pub fn token(&self) -> Option<&Arc<Token>> {
        self.token.as_ref()
    }

    /// Takes what `C_Login` brings as each secret that is marked so, and gets a token if there is a token layer: the
    /// password is shown once. Other layers are proven by the next call, which the dialect makes.
    ///
    /// # Errors
    /// Those of [`Token::login`]; then nothing is kept.
    pub fn login(&self, pin: &str, deadline: Deadline) -> Result<(), GrantError> {
        let secrets: Vec<_> = self.pins().map(|_| pin).collect();
        self.login_with(&secrets, deadline)
    }

    /// The same with a secret for each of [`Self::pin_names`].
    ///
    /// # Errors
    /// Those of [`Token::login`]; then nothing is kept.
    pub fn login_with(&self, secrets: &[&str], deadline: Deadline) -> Result<(), GrantError> {
        self.presented.fill(secrets);
        if self.presented.signer().is_some_and(Signer::has_unfit_pin) {
            self.presented.clear();
            return Err(self.front.of_login(unfit(), &self.presented));
        }
        let Some(token) = &self.token else { return Ok(()) };
        // What C_Login does not bring it does not change either.
        if !token.password().is_pin() && token.is_logged_in() {
            return Ok(());
        }
        let pin = secrets.get(self.presented.pins().count()).copied();
        let outcome = token.login_with(pin, &self.below(), deadline).inspect_err(|error| {
            // For the next C_Login: what was shown besides the PIN may be old.
            if matches!(error, GrantError::Refused(_)) {
                self.read_anew();
            }
            self.clear();
        });
        outcome.map_err(|error| self.front.of_login(error, &self.presented))
    }

    /// Gives the token back, within [`FAREWELL`], and forgets it and what `C_Login` brought. A token for a password that it did
    /// not bring stays until [`Transport::close`].
    pub fn logout(&self) {
        if let Some(token) = self.token.as_ref().filter(|token| token.password().is_pin()) {
            token.logout(&self.below(), Deadline::after(FAREWELL));
        }
        self.forget_presented();
    }

    /// Gives the token back by `limit`, whoever brought its password, forgets all that `C_Login` brought, and closes.
    pub fn close_by(&self, limit: Deadline) {
        if let Some(token) = &self.token {
            token.logout(&self.below(), limit);
        }
        self.forget_presented();
        self.inner.close();
    }

    fn forget_presented(&self) {
        if self.presented.clear()
            && let Some(audit) = &self.audit
        {
            audit.granted(Event::Logout, "this side");
        }
    }

    /// Forgets what `C_Login` brought and what came of it. Makes no request.
    pub fn clear(&self) {
        if let Some(token) = &self.token {
            token.clear();
        }
        self.presented.clear();
    }

    /// Whether `C_Login` has to bring something.
    pub fn wants_pin(&self) -> bool {
        self.pins().next().is_some()
    }

    /// What it has to bring: the names in `[slot.auth]`, in a fixed order.
    pub fn pin_names(&self) -> Vec<&'static str> {
        self.pins().map(|(name, _)| name).collect()
    }

    /// Whether nothing is still to come from `C_Login`: where a service refused to renew a token, it is again.
    pub fn is_ready(&self) -> bool {
        self.presented.is_ready() && self.token.as_ref().is_none_or(|token| token.is_ready())
    }

    /// What `C_Login` brought, in the order of [`Self::pin_names`], for the child of a fork; empty where a part of it is
    /// not kept. Tokens are not handed down: a refresh token is good for one of the two processes alone, and so is what
    /// a logout ends.
    pub fn login_secrets(&self) -> Vec<SecretString> {
        // A PIN has no source that could fail.
        let shown = |pin: &Credential| pin.with(|pin| pin.map(SecretString::from)).ok().flatten();
        self.pins().map(|(_, pin)| shown(pin)).collect::<Option<_>>().unwrap_or_default()
    }

    /// Takes what [`Self::login_secrets`] gave in the parent. Makes no request: the first call gets a token.
    pub fn inherit_login(&self, secrets: &[SecretString]) {
        let secrets: Vec<_> = secrets.iter().map(ExposeSecret::expose_secret).collect();
        self.presented.fill(&secrets);
        let mine = self.pins().skip(self.presented.pins().count());
        let theirs = secrets.iter().skip(self.presented.pins().count());
        mine.zip(theirs).for_each(|((_, password), secret)| password.fill((*secret).into()));
    }

    /// Those of the layers, then the password of the token.
    fn pins(&self) -> impl Iterator<Item = (&'static str, &Credential)> {
        let password = self.token.iter().map(|token| ("password", token.password()));
        self.presented.pins().chain(password.filter(|(_, password)| password.is_pin()))
    }

    /// What token calls go through: the layers without the token.
    fn below(&self) -> Below<'_> {
        Below(self)
    }

    fn lines(&self) -> Result<Option<Arc<Lines>>, Error> {
        self.presented.lines().map_err(unauthorised)
    }

    /// What the token has for a call. The password was not to blame for a refusal, if what was shown besides is another by
    /// now.
    fn ask<T>(&self, token: &Token, mut ask: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
        let began = self.generation();
        let error = match ask() {
            Err(error) if error.kind == ErrorKind::Refused => error,
            outcome => return outcome,
        };
        let Some(response) = &error.refused else { return Err(error) };
        if self.newer(self.asked_with.load(Ordering::Acquire)).is_some() {
            token.pardon(response);
            return ask();
        }
        // Another thread has asked with newer secrets since: what came of that counts.
        if self.generation() == began { Err(error) } else { ask() }
    }

    /// That of the lines that a call has now.
    fn generation(&self) -> u64 {
        self.presented.lines().ok().flatten().map_or(0, |lines| lines.generation)
    }

    fn attire(&self, deadline: Deadline) -> Result<Attire, Error> {
        let token = match &self.token {
            Some(token) => {
                let grant = self.ask(token, || token.grant(&self.below(), deadline))?;
                Some(token.show(grant))
            }
            None => None,
        };
        // After the token: on the way to it a secret may have been read anew.
        Ok(Attire { presented: self.lines()?, token })
    }

    /// The lines for a request that has its `own`. The usual one has none, and a token alone: nothing is copied then.
    fn dress<'h>(&'h self, own: &'h Headers, attire: &'h Attire) -> Dressed<'h> {
        let token = attire.token.as_ref().map(Shown::line);
        let parts = [Some(own), attire.presented.as_ref().map(|lines| &lines.headers), token];
        let mut parts = parts.into_iter().flatten().filter(|lines| !lines.is_empty());
        match (parts.next(), parts.next()) {
            (None, _) => Dressed::As(own),
            (Some(lines), None) => Dressed::As(lines),
            (Some(first), Some(second)) => {
                let mut lines = first.clone();
                [second].into_iter().chain(parts).for_each(|part| lines.append(part));
                Dressed::Anew(lines)
            }
        }
    }

    /// Where a call goes, for the audit.
    fn endpoint<'r>(&self, request: &Request<'r>) -> Endpoint<'r> {
        let (method, path) = (request.method.as_str(), request.path);
        self.audit.as_ref().map_or_else(|| Endpoint::new(method, path), |audit| audit.endpoint(method, path))
    }

    fn send(&self, request: &Request<'_>, attire: &Attire, deadline: Deadline) -> Result<Response, Error> {
        let dressed = self.dress(request.headers, attire);
        self.inner.call(&Request { headers: dressed.lines(), ..*request }, deadline)
    }

    /// An answer to a call has come: whether it refuses what was shown with it. What a server says that fails is neither
    /// a refusal nor the contrary.
    fn is_refusal(&self, answer: &Response, request: &Request<'_>, attire: &Attire) -> bool {
        let refused = (self.refuses)(answer);
        let endpoint = || self.endpoint(request);
        let token = self.token.as_ref().zip(attire.token.as_ref());
        if let Some((token, shown)) = token {
            match refused {
                true => token.tell_refusal(endpoint(), answer),
                false if answer.status < 500 => token.accepted(shown),
                false => {}
            }
        }
        if let (Some(lines), Some(audit)) = (&attire.presented, &self.audit) {
            match refused {
                true if token.is_none() => audit.refused(Event::Use, endpoint(), answer.status),
                false if answer.status < 500 && !self.is_barred(answer) && lines.accept() => {
                    audit.granted(Event::Login, endpoint())
                }
                _ => {}
            }
        }
        refused
    }

    /// Whether something in front of the service has refused, and the service has seen nothing.
    fn is_barred(&self, answer: &Response) -> bool {
        self.front.barred(answer, &self.presented).is_some()
    }

    /// What a call may be tried with again that was refused with `attire` by `answer`; `None` where nothing is better.
    fn better(
        &self,
        attire: &Attire,
        answer: &Response,
        tried: &mut Attempts,
        deadline: Deadline,
    ) -> Result<Option<Attire>, Error> {
        // Token calls are signed, too: with an old secret there is no new token.
        if self.presented.signer().is_some()
            && let Some(better) = self.with_newer(attire, tried)
        {
            return Ok(Some(better));
        }
        // What does not look at the token is not shown the password for another one.
        if let (Some(token), Some(shown)) = (&self.token, &attire.token)
            && !self.is_barred(answer)
        {
            let mut after = || token.after_refusal(shown, &mut tried.token, &self.below(), deadline);
            if let Some(shown) = self.ask(token, &mut after)? {
                // On the way to it a secret may have been read anew.
                return Ok(Some(Attire { presented: self.lines()?, token: Some(shown) }));
            }
        }
        Ok(self.with_newer(attire, tried))
    }

    /// `attire` with secrets that are newer, if there are any. A call looks for them once.
    fn with_newer(&self, attire: &Attire, tried: &mut Attempts) -> Option<Attire> {
        if std::mem::replace(&mut tried.presented, true) {
            return None;
        }
        let presented = Some(self.newer(attire.generation())?);
        Some(Attire { presented, token: attire.token.clone() })
    }

    /// The lines, if the secrets are others by now than those of that generation: because another thread has read them
    /// anew since, or this one does.
    fn newer(&self, generation: u64) -> Option<Arc<Lines>> {
        let newer = || self.presented.lines().ok().flatten().filter(|lines| lines.generation != generation);
        newer().or_else(|| {
            self.read_anew();
            newer()
        })
    }

    /// Reads the secrets that are presented anew.
    fn read_anew(&self) {
        if self.presented.refresh()
            && let Some(audit) = &self.audit
        {
            audit.granted(Event::Renewal, "the source of the secret");
        }
    }

    /// A call was refused that must not be repeated: the next one gets what is better.
    fn note_refusal(&self, attire: &Attire) {
        if let (Some(token), Some(shown)) = (&self.token, &attire.token) {
            token.distrust(&shown.grant);
        }
        self.newer(attire.generation());
    }

    /// What comes of a call that was refused with `attire` by `first`; `None` where it stays with that.
    fn recover(
        &self,
        request: &Request<'_>,
        mut attire: Attire,
        first: &Response,
        deadline: Deadline,
    ) -> Result<Option<Response>, Error> {
        if request.class == Class::NeverTwice {
            self.note_refusal(&attire);
            return Ok(None);
        }
        let mut tried = Attempts::default();
        let mut last: Option<Response> = None;
        while let Some(better) = self.better(&attire, last.as_ref().unwrap_or(first), &mut tried, deadline)? {
            let answer = self.send(request, &better, deadline)?;
            if !self.is_refusal(&answer, request, &better) {
                return Ok(Some(answer));
            }
            (attire, last) = (better, Some(answer));
        }
        Ok(last)
    }
}

/// What one call has tried since it was refused.
#[derive(Default)]
struct Attempts {
    token: Tried,
    presented: bool,
}

/// The header lines of an attempt.
enum Dressed<'h> {
    As(&'h Headers),
    Anew(Headers),
}

impl Dressed<'_> {
    fn lines(&self) -> &Headers {
        match self {
            Self::As(lines) => lines,
            Self::Anew(lines) => lines,
        }
    }
}

impl Transport for Authenticated {
    fn call(&self, request: &Request<'_>, deadline: Deadline) -> Result<Response, Error> {
        self.front.of_call(self.exchange(request, deadline), &self.presented)
    }

    /// Of those that are refused, the first finds out whether there is a better credential; the others follow it.
    fn call_many(
        &self,
        requests: &[Request<'_>],
        width: usize,
        deadline: Deadline,
    ) -> Vec<Result<Response, Error>> {
        let outcomes = self.exchange_many(requests, width, deadline);
        outcomes.into_iter().map(|outcome| self.front.of_call(outcome, &self.presented)).collect()
    }

    fn warning(&self) -> Option<String> {
        self.inner.warning()
    }

    fn exiting(&self, limit: Deadline) {
        self.inner.exiting(limit);
    }

    /// As [`Authenticated::close_by`], within [`FAREWELL`].
    fn close(&self) {
        self.close_by(Deadline::after(FAREWELL));
    }
}

impl Authenticated {
    fn exchange(&self, request: &Request<'_>, deadline: Deadline) -> Result<Response, Error> {
        let attire = self.attire(deadline)?;
        let answer = self.send(request, &attire, deadline)?;
        if !self.is_refusal(&answer, request, &attire) {
            return Ok(answer);
        }
        Ok(self.recover(request, attire, &answer, deadline)?.unwrap_or(answer))
    }

    fn exchange_many(
        &self,
        requests: &[Request<'_>],
        width: usize,
        deadline: Deadline,
    ) -> Vec<Result<Response, Error>> {
        let attire = match self.attire(deadline) {
            Ok(attire) => attire,
            Err(error) => return requests.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut answers = self.send_many(requests, &attire, width, deadline);
        let mut refused = Vec::new();
        for (at, (request, answer)) in requests.iter().zip(&answers).enumerate() {
            if answer.as_ref().is_ok_and(|answer| self.is_refusal(answer, request, &attire)) {
                refused.push((at, *request));
            }
        }
        refused.sort_by_key(|(_, request)| request.class == Class::NeverTwice);
        let Some(((scout, request), rest)) = refused.split_first() else { return answers };
        let Some(Ok(first)) = answers.get(*scout) else { return answers };
        let outcome = self.recover(request, attire, first, deadline);
        let found = matches!(&outcome, Ok(Some(answer)) if !(self.refuses)(answer));
        if let Some(outcome) = outcome.transpose() {
            put(&mut answers, *scout, outcome);
        }
        let rest: Vec<_> = rest.iter().filter(|(_, request)| request.class != Class::NeverTwice).collect();
        if found && let Ok(attire) = self.attire(deadline) {
            let requests: Vec<_> = rest.iter().map(|(_, request)| *request).collect();
            let again = self.send_many(&requests, &attire, width, deadline);
            rest.iter().zip(again).for_each(|((at, _), answer)| put(&mut answers, *at, answer));
        }
        answers
    }

    fn send_many(
        &self,
        requests: &[Request<'_>],
        attire: &Attire,
        width: usize,
        deadline: Deadline,
    ) -> Vec<Result<Response, Error>> {
        let dressed: Vec<_> = requests.iter().map(|request| self.dress(request.headers, attire)).collect();
        let requests: Vec<_> = requests
            .iter()
            .zip(&dressed)
            .map(|(request, dressed)| Request { headers: dressed.lines(), ..*request })
            .collect();
        self.inner.call_many(&requests, width, deadline)
    }
}

fn put(answers: &mut [Result<Response, Error>], at: usize, answer: Result<Response, Error>) {
    if let Some(place) = answers.get_mut(at) {
        *place = answer;
    }
}

/// The layers without the token.
struct Below<'a>(&'a Authenticated);

impl Transport for Below<'_> {
    fn call(&self, request: &Request<'_>, deadline: Deadline) -> Result<Response, Error> {
        let attire = Attire { presented: self.0.lines()?, token: None };
        let answer = self.0.send(request, &attire, deadline);
        self.0.asked_with.store(attire.generation(), Ordering::Release);
        answer
    }

    fn call_many(
        &self,
        requests: &[Request<'_>],
        width: usize,
        deadline: Deadline,
    ) -> Vec<Result<Response, Error>> {
        match self.0.lines() {
            Ok(presented) => self.0.send_many(requests, &Attire { presented, token: None }, width, deadline),
            Err(error) => requests.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    fn exiting(&self, limit: Deadline) {
        self.0.exiting(limit);
    }

    fn close(&self) {
        self.0.close();
    }
}
