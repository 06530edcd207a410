//! A token: one HSM service with its login, its objects and its mechanisms, shared by all its sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use cryptoki_sys::{
    CK_FLAGS, CK_MECHANISM_TYPE, CK_SESSION_HANDLE, CKR_MECHANISM_INVALID, CKR_SESSION_READ_ONLY_EXISTS,
    CKR_TOKEN_WRITE_PROTECTED, CKR_USER_ALREADY_LOGGED_IN, CKR_USER_ANOTHER_ALREADY_LOGGED_IN,
    CKR_USER_NOT_LOGGED_IN, CKR_USER_TYPE_INVALID,
};
use parking_lot::Mutex;

use super::catalog::{Catalog, Traits, lock_until};
use super::handle::{Counter, Registry};
use super::heritage::{Changes, Login, TokenHeritage};
use super::mechanism::{self, Chosen, Mechanism, Offer};
use super::session_object::SessionObject;
use crate::backend::{Backend, User};
use crate::config;
use crate::error::{Error, Result};
use crate::observe::log::Log;
use crate::transport::Deadline;

mod objects;

/// The values of [`Token::user`].
const NOBODY: u8 = 0;
const USER: u8 = 1;
const SECURITY_OFFICER: u8 = 2;

fn number(user: User) -> u8 {
    match user {
        User::User => USER,
        User::SecurityOfficer => SECURITY_OFFICER,
    }
}

/// One token. Login, objects and catalog are the token's, never a session's.
pub struct Token {
    label: String,
    serial: [u8; 16],
    backend: Arc<dyn Backend>,
    catalog: Catalog,
    /// With every licence.
    offers: Arc<[(&'static Mechanism, Offer)]>,
    edwards_point: config::EdwardsPoint,
    timeouts: config::Timeouts,
    /// [`NOBODY`], [`USER`] or [`SECURITY_OFFICER`].
    user: AtomicU8,
    login_gate: Mutex<()>,
    session_objects: Registry<SessionObject>,
    counter: Arc<Counter>,
    changes: Arc<Changes>,
    sessions: AtomicU64,
    read_write_sessions: AtomicU64,
    log: Log,
}

impl Token {
    /// The token of one slot of the configuration; makes no request.
    pub fn open(
        settings: &config::Token,
        config: &config::Config,
        counter: Arc<Counter>,
        changes: Arc<Changes>,
        log: &Log,
    ) -> Result<Self> {
        mechanism::check_names(settings)?;
        let backend = crate::backend::open(settings, config, log)?;
        let offers: Arc<[_]> = offers(settings, backend.as_ref()).into();
        let traits = Traits {
            serial: settings.serial_number(),
            backend: settings.backend.name(),
            edwards_point: settings.edwards_point,
            offers: Arc::clone(&offers),
            deletes: backend.can_delete(),
        };
        let catalog = Catalog::new(
            Arc::clone(&backend),
            settings,
            traits,
            Arc::clone(&counter),
            Arc::clone(&changes),
            log.clone(),
        );
        Ok(Self {
            label: settings.label.clone(),
            serial: settings.serial_number(),
            backend,
            catalog,
            offers,
            edwards_point: settings.edwards_point,
            timeouts: settings.timeouts,
            user: AtomicU8::new(NOBODY),
            login_gate: Mutex::new(()),
            session_objects: Registry::default(),
            counter,
            changes,
            sessions: AtomicU64::new(0),
            read_write_sessions: AtomicU64::new(0),
            log: log.clone(),
        })
    }

    /// What the child of a fork needs of it.
    pub(super) fn heritage(&self) -> TokenHeritage {
        TokenHeritage {
            login: self.logged_in().map(|user| Login { user, secrets: self.backend.login_secrets() }),
            catalog: self.catalog.heritage(),
            session_objects: self.session_objects.select(|_| true),
        }
    }

    /// Takes over what the parent left.
    pub(super) fn inherit(&self, heritage: &TokenHeritage) {
        self.catalog.inherit(&heritage.catalog);
        for (handle, held) in &heritage.session_objects {
            self.session_objects.insert(*handle, Arc::clone(held));
        }
        if let Some(login) = &heritage.login {
            self.backend.inherit_login(&login.secrets);
            self.user.store(number(login.user), Ordering::Release);
        }
    }

    /// The label of the configuration.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The serial number.
    pub fn serial(&self) -> [u8; 16] {
        self.serial
    }

    /// What stands behind it.
    pub fn backend(&self) -> &dyn Backend {
        self.backend.as_ref()
    }

    /// The deadline of a C call that begins now.
    pub fn deadline(&self) -> Deadline {
        Deadline::after(self.timeouts.call)
    }

    // Mechanisms.

    /// What the token offers now, in the order of the table.
    pub fn offers(&self) -> impl Iterator<Item = (&'static Mechanism, Offer)> {
        self.offers
            .iter()
            .filter_map(|&(mechanism, offer)| Some((mechanism, self.licensed(mechanism, offer)?)))
    }

    fn licensed(&self, mechanism: &Mechanism, offer: Offer) -> Option<Offer> {
        if self.backend.is_licensed() { Some(offer) } else { mechanism.without_hsm(offer) }
    }

    /// What the token offers for one mechanism.
    ///
    /// # Errors
    /// `CKR_MECHANISM_INVALID` when it offers nothing.
    pub fn offer(&self, kind: CK_MECHANISM_TYPE) -> Result<Offer> {
        let row = self.offers.iter().find(|(mechanism, _)| mechanism.kind == kind);
        row.and_then(|&(mechanism, offer)| self.licensed(mechanism, offer)).ok_or_else(|| {
            Error::new(CKR_MECHANISM_INVALID, format!("this token does not offer mechanism {kind:#x}"))
        })
    }

    /// Checks that the token offers a mechanism for one purpose (a `CKF_*` flag).
    ///
    /// # Errors
    /// `CKR_MECHANISM_INVALID`
    pub fn offers_for(&self, chosen: &Chosen, purpose: CK_FLAGS) -> Result<()> {
        if self.offer(chosen.mechanism.kind)?.flags & purpose != 0 {
            return Ok(());
        }
        let text = format!("this token does not offer {} for that", chosen.mechanism.name);
        Err(Error::new(CKR_MECHANISM_INVALID, text))
    }

    /// Whether the token has a random number generator.
    pub fn offers_random(&self) -> bool {
        self.backend.has_cryptography() && self.backend.has_random() && self.backend.is_licensed()
    }

    /// Whether nothing of the token can be changed. What stands in a file of this machine can, even where nothing at the HSM
    /// can.
    pub fn is_write_protected(&self) -> bool {
        self.backend.token_state().write_protected && !self.catalog.renames()
    }

    /// Whether read/write sessions are refused.
    pub fn refuses_read_write(&self) -> bool {
        self.backend.refuses_read_write() && !self.catalog.renames()
    }

    /// What is refused on a token of whose HSM nothing here can be changed.
    ///
    /// # Errors
    /// `CKR_TOKEN_WRITE_PROTECTED`
    pub fn check_writable(&self) -> Result<()> {
        if self.backend.token_state().write_protected {
            return Err(Error::new(CKR_TOKEN_WRITE_PROTECTED, "nothing of this token is changed from here"));
        }
        Ok(())
    }

    // Login.

    /// Whether the user is logged in, or need not be.
    pub fn sees_private(&self) -> bool {
        self.logged_in() == Some(User::User) || !self.backend.login_required()
    }

    /// Who is logged in. A login that the HSM has ended is none.
    pub fn logged_in(&self) -> Option<User> {
        let user = self.user.load(Ordering::Acquire);
        let user = match user {
            USER => User::User,
            SECURITY_OFFICER => User::SecurityOfficer,
            _ => return None,
        };
        self.backend.login_stands().then_some(user)
    }

    /// `C_Login`. The session's own checks are done.
    ///
    /// # Errors
    /// `CKR_USER_TYPE_INVALID`, `CKR_USER_ALREADY_LOGGED_IN`, `CKR_USER_ANOTHER_ALREADY_LOGGED_IN`,
    /// `CKR_SESSION_READ_ONLY_EXISTS` for the security officer, and what the back end says of the PIN.
    pub fn login(&self, user: User, pin: &[u8]) -> Result<()> {
        if user == User::SecurityOfficer && self.backend.token_state().so_pin.is_none() {
            return Err(Error::new(CKR_USER_TYPE_INVALID, "this HSM knows no such user"));
        }
        let deadline = self.deadline();
        let _gate = lock_until(&self.login_gate, deadline)?;
        match self.logged_in() {
            Some(other) if other == user => {
                return Err(Error::new(CKR_USER_ALREADY_LOGGED_IN, "that user is logged in"));
            }
            Some(_) => {
                return Err(Error::new(CKR_USER_ANOTHER_ALREADY_LOGGED_IN, "the other user is logged in"));
            }
            // One that the HSM has ended: nobody is logged in, which is no failure here.
            None => drop(self.forget_login()),
        }
        let could_list = self.backend.may_list() && !self.backend.login_shows_more();
        match user {
            User::User => self.backend.login(pin, deadline)?,
            User::SecurityOfficer => {
                let (all, read_write) = self.session_counts();
                if all != read_write {
                    let text = "the security officer takes no read-only sessions";
                    return Err(Error::new(CKR_SESSION_READ_ONLY_EXISTS, text));
                }
                self.backend.login_so(pin, deadline)?;
            }
        }
        if self.backend.login_required() {
            self.catalog.begin_login(could_list);
        }
        self.user.store(number(user), Ordering::Release);
        self.changes.note();
        self.log.info(format_args!("slot {:?}: logged in", self.label));
        Ok(())
    }

    /// `C_SetPIN`: the PIN of who is logged in, or of the user.
    ///
    /// # Errors
    /// What the back end says.
    pub fn set_pin(&self, old: &[u8], new: &[u8]) -> Result<()> {
        let deadline = self.deadline();
        let _gate = lock_until(&self.login_gate, deadline)?;
        let user = self.logged_in().unwrap_or(User::User);
        self.backend.set_pin(user, old, new, deadline)?;
        self.changes.note();
        self.log.info(format_args!("slot {:?}: the PIN was changed", self.label));
        Ok(())
    }

    /// `C_Logout`: private session objects are destroyed, operations with private keys fail from now on.
    ///
    /// # Errors
    /// `CKR_USER_NOT_LOGGED_IN`
    pub fn logout(&self) -> Result<()> {
        let _gate = lock_until(&self.login_gate, self.deadline())?;
        self.forget_login()
    }

    /// The gate of logins is held: none is under way.
    fn forget_login(&self) -> Result<()> {
        if self.user.swap(NOBODY, Ordering::AcqRel) == NOBODY {
            return Err(Error::new(CKR_USER_NOT_LOGGED_IN, "nobody is logged in"));
        }
        self.backend.logout();
        self.catalog.end_login();
        if self.backend.login_required() {
            self.session_objects.remove_where(|held| held.object.attributes.is_private());
        }
        self.changes.note();
        self.log.info(format_args!("slot {:?}: logged out", self.label));
        Ok(())
    }

    // Sessions.

    /// Counts a session in.
    pub fn session_opened(&self, read_write: bool) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        self.read_write_sessions.fetch_add(u64::from(read_write), Ordering::Relaxed);
    }

    /// Counts a session out, with its objects; the last one takes the login with it (section 5.6.2).
    pub fn session_closed(&self, session: CK_SESSION_HANDLE, read_write: bool) {
        self.session_objects.remove_where(|held| held.owner == session);
        self.read_write_sessions.fetch_sub(u64::from(read_write), Ordering::Relaxed);
        if self.sessions.fetch_sub(1, Ordering::AcqRel) != 1 || self.user.load(Ordering::Acquire) == NOBODY {
            return;
        }
        let gate = lock_until(&self.login_gate, self.deadline());
        // Meanwhile a new session may have been opened, and its login must stay.
        if gate.is_ok() && self.sessions.load(Ordering::Acquire) == 0 {
            // Not being logged in any more is no failure here.
            let _ = self.forget_login();
        }
    }

    /// All sessions, and those that are read/write.
    pub fn session_counts(&self) -> (u64, u64) {
        (self.sessions.load(Ordering::Relaxed), self.read_write_sessions.load(Ordering::Relaxed))
    }

    /// The module goes: what the HSM gave is forgotten. What is ended there is ended by `limit`.
    pub fn close(&self, limit: Deadline) {
        self.user.store(NOBODY, Ordering::Release);
        self.backend.close(limit);
    }
}

/// What the back end can do of what the configuration lets the token offer.
fn offers(settings: &config::Token, backend: &dyn Backend) -> Vec<(&'static Mechanism, Offer)> {
    if !backend.has_cryptography() {
        return Vec::new();
    }
    mechanism::TABLE
        .iter()
        .filter(|row| settings.allows_mechanism(row.name))
        .filter_map(|row| row.offer(backend).map(|offer| (row, offer)))
        .collect()
}
