//! The secrets of one token: a JWT and one API key a role (Securosys TSB reference section 1).

use std::sync::Arc;

use parking_lot::RwLock;
use secrecy::SecretString;

use super::roles::Role;
use crate::config;
use crate::transport::Headers;
use crate::transport::auth::{ApiKey, AuthError, Bearer, Credential};

/// What a request may carry. Each part is there if the configuration names it; one marked `"pin"` is empty until
/// `C_Login`.
pub(super) struct Credentials {
    bearer: Option<Bearer>,
    /// In the order of [`Role::ALL`].
    keys: [Option<ApiKey>; 3],
    lines: RwLock<Lines>,
}

/// The header lines of each role, ready made: most requests carry what the one before them carried.
#[derive(Default)]
struct Lines {
    /// Grows when a secret changes, so that lines made of an older one are not kept.
    generation: u64,
    made: [Option<Arc<Headers>>; 3],
}

impl Credentials {
    /// Those that the configuration names. Nothing is read yet.
    pub(super) fn new(auth: &config::Auth) -> Self {
        let key = |secret: &Option<config::Secret>, name| {
            let credential = credential(secret.as_ref()?, name);
            Some(ApiKey { header: "X-API-KEY", credential })
        };
        let config::ApiKeys { key_management, key_operation, service } = &auth.api_key;
        Self {
            bearer: auth
                .bearer
                .as_ref()
                .map(|secret| Bearer { credential: credential(secret, "slot.auth.bearer") }),
            keys: [
                key(key_management, "slot.auth.api_key.key_management"),
                key(key_operation, "slot.auth.api_key.key_operation"),
                key(service, "slot.auth.api_key.service"),
            ],
            lines: RwLock::default(),
        }
    }

    /// The header lines of a request in `role`.
    ///
    /// # Errors
    /// Where a secret is still to come, cannot be read, or is none that a header takes.
    pub(super) fn headers(&self, role: Role) -> Result<Arc<Headers>, AuthError> {
        let generation = {
            let lines = self.lines.read();
            if let Some(made) = &lines.made[role.index()] {
                return Ok(Arc::clone(made));
            }
            lines.generation
        };
        let headers = Arc::new(self.make_headers(role)?);
        let mut lines = self.lines.write();
        if lines.generation == generation {
            lines.made[role.index()] = Some(Arc::clone(&headers));
        }
        Ok(headers)
    }

    fn make_headers(&self, role: Role) -> Result<Headers, AuthError> {
        let mut headers = Headers::default();
        if let Some(bearer) = &self.bearer {
            bearer.apply(&mut headers)?;
        }
        if let Some(key) = self.key(role) {
            key.apply(&mut headers)?;
        }
        Ok(headers)
    }

    /// To be called after a secret has changed.
    fn forget_lines(&self) {
        let mut lines = self.lines.write();
        *lines = Lines { generation: lines.generation + 1, ..Lines::default() };
    }

    /// Whether there is a key for `role`, and nothing that it needs is still to come from `C_Login`.
    pub(super) fn has_key(&self, role: Role) -> bool {
        self.key(role).is_some() && self.is_ready(role)
    }

    /// Whether nothing that a request in `role` carries is still to come from `C_Login`.
    pub(super) fn is_ready(&self, role: Role) -> bool {
        self.carried(role).all(Credential::is_filled)
    }

    /// Whether a request in `role` can be accepted: there is a key for it, or none at all because the service asks for
    /// none.
    pub(super) fn may_use(&self, role: Role) -> bool {
        self.is_ready(role) && (self.key(role).is_some() || self.keys.iter().all(Option::is_none))
    }

    /// Whether `C_Login` has to bring something.
    pub(super) fn wants_pin(&self) -> bool {
        self.pins().next().is_some()
    }

    /// Whether there is a JWT that does not come from `C_Login`.
    pub(super) fn has_own_token(&self) -> bool {
        self.bearer().is_some_and(|bearer| !bearer.is_pin())
    }

    /// Takes the PIN wherever it is wanted.
    pub(super) fn fill(&self, pin: &str) {
        self.pins().for_each(|credential| credential.fill(SecretString::from(pin)));
        self.forget_lines();
    }

    /// The PIN, if it was brought.
    pub(super) fn brought(&self) -> Option<SecretString> {
        let shown = self.pins().next()?.with(|pin| pin.map(SecretString::from));
        // A PIN has no source that could fail.
        shown.ok().flatten()
    }

    /// Forgets the PIN.
    pub(super) fn clear(&self) {
        self.pins().for_each(Credential::clear);
        self.forget_lines();
    }

    /// The header lines of a request in `role` after one with the lines `refused`, if there are others by now. The
    /// secrets are read again, unless another caller who was refused has done so.
    ///
    /// # Errors
    /// Where a secret cannot be read any more; what was there before stays.
    pub(super) fn renewed(&self, role: Role, refused: &Headers) -> Result<Option<Arc<Headers>>, AuthError> {
        let other = || {
            let headers = self.headers(role)?;
            Ok(Some(headers).filter(|headers| headers.as_bytes() != refused.as_bytes()))
        };
        if let Some(headers) = other()? {
            return Ok(Some(headers));
        }
        let refreshed = self.carried(role).map(Credential::refresh).fold(Ok(false), Result::and);
        self.forget_lines();
        refreshed?;
        other()
    }

    /// The roles in which the PIN, or else what is there without one, is to be proven.
    pub(super) fn roles_to_prove(&self) -> Vec<Role> {
        let brought = |role: &Role| self.key(*role).is_some_and(|key| key.credential.is_pin());
        let roles: Vec<_> = Role::ALL.into_iter().filter(brought).collect();
        if !roles.is_empty() {
            return roles;
        }
        Role::ALL.into_iter().find(|role| self.may_use(*role)).into_iter().collect()
    }

    fn key(&self, role: Role) -> Option<&ApiKey> {
        self.keys[role.index()].as_ref()
    }

    fn bearer(&self) -> Option<&Credential> {
        self.bearer.as_ref().map(|bearer| &bearer.credential)
    }

    /// What a request in `role` carries.
    fn carried(&self, role: Role) -> impl Iterator<Item = &Credential> {
        self.bearer().into_iter().chain(self.key(role).map(|key| &key.credential))
    }

    fn pins(&self) -> impl Iterator<Item = &Credential> {
        let keys = self.keys.iter().flatten().map(|key| &key.credential);
        self.bearer().into_iter().chain(keys).filter(|credential| credential.is_pin())
    }
}

/// `name` is the key of the configuration, for messages.
fn credential(secret: &config::Secret, name: &'static str) -> Credential {
    if secret.is_pin() {
        return Credential::pin();
    }
    let secret = secret.clone();
    let told = move |problem: config::Problem| format!("{name}: {}; {}", problem.what(), problem.remedy());
    Credential::fixed(move || secret.read().map_err(told))
}
