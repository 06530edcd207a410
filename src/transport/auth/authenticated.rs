//! A transport with credentials in front of it.

use std::sync::Arc;

use parking_lot::RwLock;
use secrecy::SecretString;

use super::token::{Grant, Tried};
use super::{ApiKey, AuthError, Basic, Bearer, Credential, GrantError, Token};
use crate::transport::{Class, Deadline, Error, Headers, Request, Response, Transport};

/// Adds the header lines of its layers to each request and reacts to a refusal of them: a token is renewed, a secret
/// with a source is read anew, and the call is repeated once if its class allows. Which answers are refusals is for the
/// dialect to say.
pub struct Authenticated {
    inner: Box<dyn Transport>,
    presented: Presented,
    token: Option<Arc<Token>>,
    refuses: fn(&Response) -> bool,
}

/// A secret that requests show as it is.
#[derive(Debug)]
enum Layer {
    ApiKey(ApiKey),
    Basic(Basic),
    Bearer(Bearer),
}

impl Layer {
    fn apply(&self, headers: &mut Headers) -> Result<(), AuthError> {
        match self {
            Self::ApiKey(layer) => layer.apply(headers),
            Self::Basic(layer) => layer.apply(headers),
            Self::Bearer(layer) => layer.apply(headers),
        }
    }

    fn credential(&self) -> &Credential {
        match self {
            Self::ApiKey(ApiKey { credential, .. })
            | Self::Basic(Basic { credential, .. })
            | Self::Bearer(Bearer { credential }) => credential,
        }
    }
}

/// Those layers, with the lines that they make.
#[derive(Default)]
struct Presented {
    layers: Vec<Layer>,
    made: RwLock<Made>,
}

#[derive(Default)]
struct Made {
    /// Grows when a secret changes, so that lines made of older ones are not kept.
    generation: u64,
    lines: Option<Arc<Headers>>,
}

impl Presented {
    /// `None` without a layer.
    fn lines(&self) -> Result<Option<Arc<Headers>>, Error> {
        if self.layers.is_empty() {
            return Ok(None);
        }
        let generation = {
            let made = self.made.read();
            if let Some(lines) = &made.lines {
                return Ok(Some(Arc::clone(lines)));
            }
            made.generation
        };
        let mut lines = Headers::default();
        self.layers.iter().try_for_each(|layer| layer.apply(&mut lines)).map_err(unauthorised)?;
        let lines = Arc::new(lines);
        let mut made = self.made.write();
        if made.generation == generation {
            made.lines = Some(Arc::clone(&lines));
        }
        Ok(Some(lines))
    }

    /// To be called after a secret has changed.
    fn forget_lines(&self) {
        let mut made = self.made.write();
        made.generation += 1;
        made.lines = None;
    }

    /// Reads the secrets anew and says whether one is another now. One that cannot be read stays what it was.
    fn refresh(&self) -> bool {
        let mut changed = false;
        for layer in &self.layers {
            changed |= layer.credential().refresh().unwrap_or(false);
        }
        if changed {
            self.forget_lines();
        }
        changed
    }
}

fn unauthorised(error: AuthError) -> Error {
    GrantError::from(error).into()
}

/// What one attempt carries besides the lines of the request.
struct Attire {
    presented: Option<Arc<Headers>>,
    grant: Option<Arc<Grant>>,
}

impl Authenticated {
    /// No layer yet.
    pub fn new(inner: Box<dyn Transport>) -> Self {
        Self { inner, presented: Presented::default(), token: None, refuses: |answer| answer.status == 401 }
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

    fn with(mut self, layer: Layer) -> Self {
        self.presented.layers.push(layer);
        self
    }

    /// With a token in each request but for the token calls.
    pub fn with_token(self, token: Arc<Token>) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Says which answers mean that a credential was refused, where the status line does not (401).
    pub fn refused_by(self, refuses: fn(&Response) -> bool) -> Self {
        Self { refuses, ..self }
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
        self.fill(pin);
        let Some(token) = &self.token else { return Ok(()) };
        token.login_with(Some(pin), &self.below(), deadline).inspect_err(|_| self.clear())
    }

    /// Gives the token back, within 2 s, and forgets it and what `C_Login` brought.
    pub fn logout(&self) {
        if let Some(token) = &self.token {
            token.logout(&self.below());
        }
        self.clear();
    }

    /// Forgets what `C_Login` brought and what came of it. Makes no request.
    pub fn clear(&self) {
        if let Some(token) = &self.token {
            token.clear();
        }
        let pins = self.presented.layers.iter().map(Layer::credential).filter(|secret| secret.is_pin());
        pins.for_each(Credential::clear);
        self.presented.forget_lines();
    }

    /// Whether `C_Login` has to bring something.
    pub fn wants_pin(&self) -> bool {
        self.credentials().any(Credential::is_pin)
    }

    /// Whether nothing is still to come from `C_Login`.
    pub fn is_ready(&self) -> bool {
        let presented = self.presented.layers.iter().all(|layer| layer.credential().is_filled());
        presented && self.token.as_ref().is_none_or(|token| token.is_ready())
    }

    /// What `C_Login` brought, for the child of a fork; empty where it is not kept. Tokens are not handed down: a refresh
    /// token is good for one of the two processes alone.
    pub fn brought(&self) -> Option<SecretString> {
        // A PIN has no source that could fail.
        let shown = |secret: &Credential| secret.with(|pin| pin.map(SecretString::from)).ok().flatten();
        self.credentials().filter(|secret| secret.is_pin()).find_map(shown)
    }

    /// Takes what [`Self::brought`] gave in the parent. Makes no request: the first call gets a token.
    pub fn inherit(&self, pin: &str) {
        self.fill(pin);
        if let Some(token) = &self.token
            && token.password().is_pin()
        {
            token.password().fill(pin.into());
        }
    }

    fn fill(&self, pin: &str) {
        let pins = self.presented.layers.iter().map(Layer::credential).filter(|secret| secret.is_pin());
        pins.for_each(|secret| secret.fill(pin.into()));
        self.presented.forget_lines();
    }

    fn credentials(&self) -> impl Iterator<Item = &Credential> {
        let presented = self.presented.layers.iter().map(Layer::credential);
        presented.chain(self.token.iter().map(|token| token.password()))
    }

    /// What token calls go through: the layers without the token.
    fn below(&self) -> Below<'_> {
        Below(self)
    }

    fn attire(&self, deadline: Deadline) -> Result<Attire, Error> {
        let presented = self.presented.lines()?;
        let grant = match &self.token {
            Some(token) => Some(token.grant(&self.below(), deadline)?),
            None => None,
        };
        Ok(Attire { presented, grant })
    }

    /// The lines for a request that has its `own`. The usual one has none, and a token alone: nothing is copied then.
    fn dress<'h>(&'h self, own: &'h Headers, attire: &'h Attire) -> Dressed<'h> {
        let token = self.token.as_ref().zip(attire.grant.as_deref());
        let token = token.map(|(token, grant)| token.line(grant));
        let parts = [(!own.is_empty()).then_some(own), attire.presented.as_deref(), token];
        let mut parts = parts.into_iter().flatten();
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

    fn send(&self, request: &Request<'_>, attire: &Attire, deadline: Deadline) -> Result<Response, Error> {
        let dressed = self.dress(request.headers, attire);
        self.inner.call(&Request { headers: dressed.lines(), ..*request }, deadline)
    }

    /// An answer to a call has come. One that is no refusal says that the token is taken.
    fn is_refusal(&self, answer: &Response, attire: &Attire) -> bool {
        let refused = (self.refuses)(answer);
        if !refused && let (Some(token), Some(grant)) = (&self.token, &attire.grant) {
            token.accepted(grant);
        }
        refused
    }

    /// What a call may be tried with again that was refused with `attire`; `None` where nothing is better.
    fn better(
        &self,
        attire: &Attire,
        tried: &mut Attempts,
        deadline: Deadline,
    ) -> Result<Option<Attire>, Error> {
        if let (Some(token), Some(grant)) = (&self.token, &attire.grant)
            && let Some(grant) = token.after_refusal(grant, &mut tried.token, &self.below(), deadline)?
        {
            return Ok(Some(Attire { presented: attire.presented.clone(), grant: Some(grant) }));
        }
        if std::mem::replace(&mut tried.presented, true) || !self.presented.refresh() {
            return Ok(None);
        }
        Ok(Some(Attire { presented: self.presented.lines()?, grant: attire.grant.clone() }))
    }

    /// A call was refused that must not be repeated: the next one gets what is better.
    fn note_refusal(&self, attire: &Attire) {
        if let (Some(token), Some(grant)) = (&self.token, &attire.grant) {
            token.distrust(grant);
        }
        self.presented.refresh();
    }

    /// What comes of a call that was refused with `attire`; `None` where it stays with that.
    fn recover(
        &self,
        request: &Request<'_>,
        mut attire: Attire,
        deadline: Deadline,
    ) -> Result<Option<Response>, Error> {
        if request.class == Class::NeverTwice {
            self.note_refusal(&attire);
            return Ok(None);
        }
        let mut tried = Attempts::default();
        let mut last = None;
        while let Some(better) = self.better(&attire, &mut tried, deadline)? {
            let answer = self.send(request, &better, deadline)?;
            if !self.is_refusal(&answer, &better) {
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
        let attire = self.attire(deadline)?;
        let answer = self.send(request, &attire, deadline)?;
        if !self.is_refusal(&answer, &attire) {
            return Ok(answer);
        }
        Ok(self.recover(request, attire, deadline)?.unwrap_or(answer))
    }

    /// Of those that are refused, the first finds out whether there is a better credential; the others follow it.
    fn call_many(
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
            if answer.as_ref().is_ok_and(|answer| self.is_refusal(answer, &attire)) {
                refused.push((at, *request));
            }
        }
        refused.sort_by_key(|(_, request)| request.class == Class::NeverTwice);
        let Some(((scout, request), rest)) = refused.split_first() else { return answers };
        let outcome = self.recover(request, attire, deadline);
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

    fn warning(&self) -> Option<String> {
        self.inner.warning()
    }

    fn exiting(&self, limit: Deadline) {
        self.inner.exiting(limit);
    }

    fn close(&self) {
        self.inner.close();
    }
}

impl Authenticated {
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
        let attire = Attire { presented: self.0.presented.lines()?, grant: None };
        self.0.send(request, &attire, deadline)
    }

    fn call_many(
        &self,
        requests: &[Request<'_>],
        width: usize,
        deadline: Deadline,
    ) -> Vec<Result<Response, Error>> {
        match self.0.presented.lines() {
            Ok(presented) => self.0.send_many(requests, &Attire { presented, grant: None }, width, deadline),
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
