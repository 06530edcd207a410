//! The dialect of the REST API of the Thales Luna Network HSM.
//!
//! That API administers the appliance: it tells what a partition holds, logs its roles in, and does no cryptography.
//! Section numbers in this folder are those of the Luna reference.
//!
//! # Layout
//! * `mod.rs`: the calls of [`Backend`]; `login.rs`: roles of a partition; `objects.rs`: what it holds
//! * `place.rs`: where it is
//! * `service.rs`: one exchange, on the session of the account or on a private one (`session.rs`); `tasks.rs`: what the
//!   appliance does later
//! * `appliance.rs`: the account; `challenge.rs`: its login by certificate
//! * `wire.rs`: the JSON; `errors.rs`: the one table from refusals to `CKR_*`

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_FUNCTION_NOT_SUPPORTED, CKR_MECHANISM_INVALID, CKR_RANDOM_NO_RNG};
use parking_lot::{Mutex, RwLock};
use secrecy::SecretString;
use zeroize::Zeroizing;

use self::appliance::Appliance;
use self::login::{Login, Standing};
use self::objects::Shelf;
use self::place::{About, Place};
use self::service::Service;
use self::session::Sessions;
use self::wire::RoleState;
use crate::backend::{
    Backend, DecryptRequest, DecryptScheme, EncryptRequest, EncryptScheme, Encrypted, Firmware, KeyInfo,
    KeyName, Outcome, PinState, SignInput, SignRequest, SignScheme, TokenState, User,
};
use crate::config;
use crate::error::{Error, Result};
use crate::observe::audit::Audit;
use crate::observe::log::Log;
use crate::transport::{self, Conventions, Deadline, Transport};

mod appliance;
mod challenge;
mod errors;
mod login;
mod objects;
mod place;
mod service;
mod session;
mod tasks;
mod wire;

#[cfg(test)]
mod tests;

/// The header lines of answers that are looked at.
const KEPT: [&str; 3] = ["set-cookie", "location", "link"];

/// One partition behind a Luna appliance.
pub struct Luna {
    service: Service,
    settings: Settings,
    place: RwLock<Option<Place>>,
    about: Mutex<Option<About>>,
    standing: RwLock<Standing>,
    roles: Mutex<Roles>,
    shelf: RwLock<Option<Arc<Shelf>>>,
    /// Where objects are found, once it is known.
    objects_at: Mutex<Option<&'static str>>,
    /// One caller at a time shows the password of a role.
    logging_in: Mutex<()>,
}

/// What the configuration says, but for the account.
struct Settings {
    partition: Option<String>,
    role: config::Role,
    so: bool,
    final_try: bool,
    ped: Option<u32>,
    keep_pin: bool,
    set_pin: Option<config::SetPin>,
}

/// What was told last of the two roles that may log in.
#[derive(Default)]
struct Roles {
    user: Told,
    so: Told,
    /// Whether a role said that it proves itself at a PIN entry device.
    ped: bool,
}

/// What was told of one role.
#[derive(Clone, Copy, Default)]
struct Told {
    pin: PinState,
    /// The most tries that it was seen to have.
    most: Option<u64>,
}

/// The back end that `token` describes. Reads the files that it names, makes no request.
///
/// # Errors
/// `CKR_DEVICE_ERROR` where one of them cannot be read.
pub fn open(token: &config::Token, settings: &config::Luna, log: &Log) -> Result<Arc<dyn Backend>> {
    Ok(Arc::new(Luna::open(token, settings, log)?))
}

impl Luna {
    fn open(token: &config::Token, settings: &config::Luna, log: &Log) -> Result<Self> {
        let media_type = wire::media_type(settings.api_version);
        let conventions =
            Conventions { headers: &[("Accept", &media_type)], keep: &KEPT, discreet_paths: false };
        let transport = transport::open(token, &conventions).map_err(|error| {
            Error::new(CKR_DEVICE_ERROR, format!("slot {:?} cannot be opened", token.label)).because(error)
        })?;
        let transport: Arc<dyn Transport> = transport.into();
        if let Some(warning) = transport.warning() {
            log.warn(format_args!("slot {:?}: {warning}", token.label));
        }
        let audit = Audit::new(log, &token.label, &settings.user);
        let service = Service {
            tokens: appliance::tokens(settings, &transport, &media_type, audit.clone()),
            transport,
            appliance: Appliance::new(settings)?,
            sessions: Sessions::new(settings.session_idle),
            media_type,
            width: token.catalog.width,
            log: log.clone(),
            audit,
            accepted: AtomicBool::new(false),
            refusal: Mutex::default(),
        };
        let settings = Settings {
            partition: settings.partition.clone(),
            role: settings.role,
            so: settings.so,
            final_try: settings.final_try,
            ped: settings.ped,
            keep_pin: settings.keep_pin,
            set_pin: settings.set_pin,
        };
        Ok(Self {
            service,
            settings,
            place: RwLock::default(),
            about: Mutex::default(),
            standing: RwLock::default(),
            roles: Mutex::default(),
            shelf: RwLock::default(),
            objects_at: Mutex::default(),
            logging_in: Mutex::default(),
        })
    }

    /// Where the partition is: found when it is first needed.
    fn place(&self, deadline: Deadline) -> Result<Place> {
        let known = self.place.read().clone();
        if let Some(place) = known {
            return Ok(place);
        }
        let place = self.service.find(self.settings.partition.as_deref(), deadline)?;
        *self.place.write() = Some(place.clone());
        Ok(place)
    }

    /// Keeps what was told of a role; `good`: after its password was taken.
    fn note(&self, user: User, state: RoleState, good: bool) {
        let mut roles = self.roles.lock();
        roles.ped |= state.ped;
        let told = if user == User::User { &mut roles.user } else { &mut roles.so };
        // A login that was taken gives all the tries back.
        let attempts = state.attempts.filter(|_| !good);
        told.most = told.most.max(attempts);
        told.pin = PinState {
            initialized: state.initialized.unwrap_or(true),
            count_low: attempts.is_some_and(|left| Some(left) < told.most),
            final_try: attempts.is_some_and(|left| left == 1),
            locked: state.locked && !good,
            to_be_changed: state.to_be_changed,
        };
    }
}

fn no_cryptography() -> Error {
    Error::new(
        CKR_MECHANISM_INVALID,
        "the REST API of a Luna appliance does no cryptography: see slot.crypto",
    )
}

impl Backend for Luna {
    fn manufacturer(&self) -> &'static str {
        "Thales"
    }

    fn model(&self) -> &'static str {
        "Luna Network HSM"
    }

    fn firmware(&self) -> Option<Firmware> {
        self.about.lock().and_then(|about| about.firmware)
    }

    fn token_state(&self) -> TokenState {
        let roles = self.roles.lock();
        TokenState {
            user_pin: roles.user.pin,
            so_pin: self.settings.so.then_some(roles.so.pin),
            protected_path: roles.ped || self.settings.ped.is_some(),
            write_protected: !self.settings.so && self.settings.set_pin.is_none(),
            memory: self.about.lock().and_then(|about| about.memory),
        }
    }

    fn has_cryptography(&self) -> bool {
        false
    }

    fn login_required(&self) -> bool {
        true
    }

    fn may_list(&self) -> bool {
        self.service.appliance.is_ready()
    }

    fn login(&self, pin: &[u8], deadline: Deadline) -> Result<()> {
        self.log_in(User::User, pin, deadline)
    }

    fn login_so(&self, pin: &[u8], deadline: Deadline) -> Result<()> {
        self.log_in(User::SecurityOfficer, pin, deadline)
    }

    fn login_stands(&self) -> bool {
        self.stands()
    }

    fn keep_login(&self, deadline: Deadline) -> Result<()> {
        self.keep(deadline)
    }

    fn login_shows_more(&self) -> bool {
        true
    }

    fn set_pin(&self, user: User, old: &[u8], new: &[u8], deadline: Deadline) -> Result<()> {
        let form = self.settings.set_pin.ok_or_else(|| {
            Error::new(CKR_FUNCTION_NOT_SUPPORTED, "the PIN is not changed from here: see slot.luna.set_pin")
        })?;
        self.change_password(form, user, old, new, deadline)
    }

    fn logout(&self) {
        self.forget_login();
        self.leave();
        self.forget_account();
    }

    fn login_secrets(&self) -> Vec<SecretString> {
        // The session itself is the parent's: whoever logs out first would end it for both.
        self.standing.read().login.as_ref().and_then(|login| login.pin.clone()).into_iter().collect()
    }

    fn inherit_login(&self, secrets: &[SecretString]) {
        let pin = secrets.first().cloned();
        if let Some(pin) = &pin {
            self.take_account(pin);
        }
        self.standing.write().login = Some(Login { user: User::User, pin });
    }

    fn list(&self, deadline: Deadline) -> Result<Vec<KeyName>> {
        Ok(self.take_stock(deadline)?.names.clone())
    }

    fn describe(&self, names: &[KeyName], deadline: Deadline) -> Vec<Result<Option<KeyInfo>>> {
        match self.stock(names, deadline) {
            Ok(shelf) => names.iter().map(|name| Ok(shelf.keys.get(name).cloned())).collect(),
            Err(error) => names.iter().map(|_| Err(Error::new(error.rv(), error.to_string()))).collect(),
        }
    }

    fn certificates(&self, names: &[KeyName], _deadline: Deadline) -> Vec<Result<Option<Vec<u8>>>> {
        names.iter().map(|_| Ok(None)).collect()
    }

    fn sign_input(&self, _scheme: SignScheme) -> Option<SignInput> {
        None
    }

    fn sign(&self, _request: &SignRequest<'_>, _deadline: Deadline) -> Result<Outcome<Vec<u8>>> {
        Err(no_cryptography())
    }

    fn can_decrypt(&self, _scheme: &DecryptScheme<'_>) -> bool {
        false
    }

    fn decrypt(
        &self,
        _request: &DecryptRequest<'_>,
        _deadline: Deadline,
    ) -> Result<Outcome<Zeroizing<Vec<u8>>>> {
        Err(no_cryptography())
    }

    fn can_encrypt(&self, _scheme: &EncryptScheme<'_>) -> bool {
        false
    }

    fn encrypt(&self, _request: &EncryptRequest<'_>, _deadline: Deadline) -> Result<Encrypted> {
        Err(no_cryptography())
    }

    fn payload_limit(&self) -> usize {
        0
    }

    fn random(&self, _buffer: &mut [u8], _deadline: Deadline) -> Result<()> {
        Err(Error::new(CKR_RANDOM_NO_RNG, "the REST API of a Luna appliance has no random numbers"))
    }

    fn exiting(&self, limit: Deadline) {
        self.service.transport.exiting(limit);
    }

    fn close(&self, limit: Deadline) {
        self.forget_login();
        // Also one that was opened to list objects, with nobody logged in.
        let session = if self.service.tokens.is_some() { limit.first_of(2) } else { limit };
        self.leave_for_good(session);
        self.forget_password();
        match &self.service.tokens {
            // Gives the token back first.
            Some(tokens) => tokens.close_by(limit),
            None => self.service.transport.close(),
        }
    }
}
