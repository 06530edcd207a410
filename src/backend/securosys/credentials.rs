//! The secrets of one token: a JWT and the API keys of each role (Securosys TSB reference section 1).

use std::sync::Arc;

use parking_lot::RwLock;
use secrecy::SecretString;

use super::errors::Blame;
use super::roles::Role;
use crate::config::{self, API_KEY};
use crate::observe::log::Log;
use crate::transport::Headers;
use crate::transport::auth::{ApiKey, AuthError, Bearer, Credential, configured};

/// What a request may carry. Each part is there if the configuration names it; one marked `"pin"` is empty until
/// `C_Login`.
pub(super) struct Credentials {
    bearer: Option<Bearer>,
    /// In the order of [`Role::ALL`]. Of several keys a role, the service takes one at least.
    keys: [Vec<ApiKey>; Role::ALL.len()],
    lines: RwLock<Lines>,
    log: Log,
}

/// The header lines of each role, ready made: most requests carry what the one before them carried.
#[derive(Default)]
struct Lines {
    /// Grows when a secret or a place changes, so that lines made of older ones are not kept.
    generation: u64,
    roles: [Line; Role::ALL.len()],
}

#[derive(Default)]
struct Line {
    /// Which of the keys of the role worked last.
    place: usize,
    made: Option<Arc<Headers>>,
}

/// What a request could carry instead of what was refused.
pub(super) struct Candidate {
    pub(super) role: Role,
    place: usize,
    pub(super) headers: Arc<Headers>,
}

impl Credentials {
    /// Those that the configuration names. Nothing is read yet.
    pub(super) fn new(auth: &config::Auth, log: &Log) -> Self {
        let keys = |role: Role| {
            let key = |secret| ApiKey {
                header: API_KEY.into(),
                credential: configured(secret, format!("slot.auth.api_key.{}", role.name())),
            };
            secrets(&auth.api_key, role).iter().map(key).collect()
        };
        let bearer = |secret| Bearer::new(configured(secret, "slot.auth.bearer"));
        Self {
            bearer: auth.bearer.as_ref().map(bearer),
            keys: Role::ALL.map(keys),
            lines: RwLock::default(),
            log: log.clone(),
        }
    }

    /// The header lines of a request in `role`, with the key that worked last. One that cannot be read is passed over
    /// if there are others.
    ///
    /// # Errors
    /// Where a secret is still to come, cannot be read, or is none that a header takes.
    pub(super) fn headers(&self, role: Role) -> Result<Arc<Headers>, AuthError> {
        let (generation, place) = {
            let lines = self.lines.read();
            let line = &lines.roles[role.index()];
            if let Some(made) = &line.made {
                return Ok(Arc::clone(made));
            }
            (lines.generation, line.place)
        };
        let (place, headers) = self.make_first(role, place)?;
        let headers = Arc::new(headers);
        let mut lines = self.lines.write();
        if lines.generation == generation {
            lines.roles[role.index()] = Line { place, made: Some(Arc::clone(&headers)) };
        }
        Ok(headers)
    }

    /// The lines with the first key that can be read, from `place` on.
    fn make_first(&self, role: Role, place: usize) -> Result<(usize, Headers), AuthError> {
        let mut first_error = None;
        for place in self.places(role, place) {
            match self.make(role, place) {
                Ok(headers) => return Ok((place, headers)),
                Err(error) => {
                    if self.keys(role).len() > 1 {
                        self.log.warn(format_args!("an API key of a list is passed over: {error}"));
                    }
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or(AuthError::Missing))
    }

    fn make(&self, role: Role, place: usize) -> Result<Headers, AuthError> {
        let mut headers = Headers::default();
        if let Some(bearer) = &self.bearer {
            bearer.apply(&mut headers)?;
        }
        if let Some(key) = self.keys(role).get(place) {
            key.apply(&mut headers)?;
        }
        Ok(headers)
    }

    /// The places of the keys of `role`, all of them once, beginning with `first`. A role without a key has one place:
    /// the JWT alone.
    fn places(&self, role: Role, first: usize) -> impl Iterator<Item = usize> {
        let count = self.keys(role).len().max(1);
        (first..count).chain(0..first.min(count))
    }

    /// What a request in `role` may carry as things are now, what worked last first, as far as it can be read.
    pub(super) fn candidates(&self, role: Role) -> impl Iterator<Item = Candidate> {
        let place = self.lines.read().roles[role.index()].place;
        self.places(role, place).filter_map(move |place| {
            let headers = Arc::new(self.make(role, place).ok()?);
            Some(Candidate { role, place, headers })
        })
    }

    /// The service accepted `candidate`: its key goes first from now on.
    pub(super) fn remember(&self, candidate: &Candidate) {
        let Candidate { role, place, .. } = *candidate;
        let mut lines = self.lines.write();
        let line = &mut lines.roles[role.index()];
        if line.place == place {
            return;
        }
        // Its lines are made again: the secret may have been forgotten meanwhile.
        *line = Line { place, made: None };
        lines.generation += 1;
        drop(lines);
        let (name, entry) = (role.name(), place + 1);
        self.log.warn(format_args!("slot.auth.api_key.{name}: entry {entry} is used, others were refused"));
    }

    /// Reads the secrets of `role` anew, as far as `blame` means them. One that cannot be read any more stays what it
    /// was.
    pub(super) fn refresh(&self, role: Role, blame: Blame) {
        let bearer = self.bearer().filter(|_| blame.includes_token());
        let keys = self.keys(role).iter().filter(|_| blame.includes_api_key()).map(|key| &key.credential);
        for credential in bearer.into_iter().chain(keys) {
            if let Err(error) = credential.refresh() {
                self.log.warn(format_args!("a credential was refused and cannot be read anew: {error}"));
            }
        }
        self.forget_lines();
    }

    /// To be called after a secret has changed.
    fn forget_lines(&self) {
        let mut lines = self.lines.write();
        lines.generation += 1;
        lines.roles.iter_mut().for_each(|line| line.made = None);
    }

    /// Whether there is a key for `role`, and nothing that it needs is still to come from `C_Login`.
    pub(super) fn has_key(&self, role: Role) -> bool {
        !self.keys(role).is_empty() && self.is_ready(role)
    }

    /// Whether nothing that a request in `role` carries is still to come from `C_Login`.
    pub(super) fn is_ready(&self, role: Role) -> bool {
        let keys = self.keys(role).iter().map(|key| &key.credential);
        self.bearer().into_iter().chain(keys).all(Credential::is_filled)
    }

    /// Whether a request in `role` can be accepted: there is a key for it, or none at all because the service asks for
    /// none.
    pub(super) fn may_use(&self, role: Role) -> bool {
        self.is_ready(role) && (!self.keys(role).is_empty() || self.keys.iter().all(Vec::is_empty))
    }

    /// Whether `C_Login` has to bring something.
    pub(super) fn wants_pin(&self) -> bool {
        self.pins().next().is_some()
    }

    /// Whether there is a JWT that does not come from `C_Login`.
    pub(super) fn has_own_token(&self) -> bool {
        self.bearer().is_some_and(|bearer| !bearer.is_pin())
    }

    /// Whether the key of `role` is what `C_Login` brings.
    pub(super) fn is_pin(&self, role: Role) -> bool {
        self.keys(role).iter().any(|key| key.credential.is_pin())
    }

    /// What `C_Login` brings: the names in the configuration, in a fixed order.
    pub(super) fn pin_names(&self) -> Vec<&'static str> {
        self.pins().map(|(name, _)| name).collect()
    }

    /// Who calls in `role`, for events.
    pub(super) fn account(&self, role: Role) -> &'static str {
        if self.keys(role).is_empty() { "bearer" } else { role.name() }
    }

    /// Whether there is nothing to show at all.
    pub(super) fn is_empty(&self) -> bool {
        self.bearer.is_none() && self.keys.iter().all(Vec::is_empty)
    }

    /// What it brought, in the same order.
    pub(super) fn brought(&self) -> Vec<SecretString> {
        // A PIN has no source that could fail.
        let shown =
            |credential: &Credential| credential.with(|pin| pin.map(SecretString::from)).ok().flatten();
        self.pins().filter_map(|(_, credential)| shown(credential)).collect()
    }

    /// Takes what `C_Login` brought, in the order of [`Self::pin_names`].
    pub(super) fn fill<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) {
        for ((_, credential), secret) in self.pins().zip(secrets) {
            credential.fill(SecretString::from(secret));
        }
        self.forget_lines();
    }

    /// Forgets what `C_Login` brought.
    pub(super) fn clear(&self) {
        self.pins().for_each(|(_, credential)| credential.clear());
        self.forget_lines();
    }

    /// The roles in which the PIN, or else what is there without one, is to be proven.
    pub(super) fn roles_to_prove(&self) -> Vec<Role> {
        let brought: Vec<_> = Role::ALL.into_iter().filter(|role| self.is_pin(*role)).collect();
        if !brought.is_empty() {
            return brought;
        }
        Role::ALL.into_iter().find(|role| self.may_use(*role)).into_iter().collect()
    }

    fn keys(&self, role: Role) -> &[ApiKey] {
        &self.keys[role.index()]
    }

    fn bearer(&self) -> Option<&Credential> {
        self.bearer.as_ref().map(|bearer| &bearer.credential)
    }

    fn pins(&self) -> impl Iterator<Item = (&'static str, &Credential)> {
        let bearer = self.bearer().into_iter().map(|bearer| ("bearer", bearer));
        let keys = Role::ALL
            .into_iter()
            .flat_map(|role| self.keys(role).iter().map(move |key| (role.name(), &key.credential)));
        bearer.chain(keys).filter(|(_, credential)| credential.is_pin())
    }
}

fn secrets(keys: &config::ApiKeys, role: Role) -> &[config::Secret] {
    match role {
        Role::KeyManagement => &keys.key_management,
        Role::KeyOperation => &keys.key_operation,
        Role::Service => &keys.service,
        Role::ApproverKeyManagement => &keys.approver_key_management,
        Role::Approver => &keys.approver,
    }
}
