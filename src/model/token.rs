//! A token: one HSM service with its login, its objects and its mechanisms, shared by all its sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use cryptoki_sys::{
    CK_BBOOL, CK_FALSE, CK_FLAGS, CK_MECHANISM_TYPE, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CKA_COPYABLE,
    CKA_DESTROYABLE, CKA_MODIFIABLE, CKA_PRIVATE, CKA_TOKEN, CKR_ACTION_PROHIBITED, CKR_DEVICE_ERROR,
    CKR_KEY_HANDLE_INVALID, CKR_MECHANISM_INVALID, CKR_OBJECT_HANDLE_INVALID, CKR_SESSION_READ_ONLY_EXISTS,
    CKR_TOKEN_WRITE_PROTECTED, CKR_USER_ALREADY_LOGGED_IN, CKR_USER_ANOTHER_ALREADY_LOGGED_IN,
    CKR_USER_NOT_LOGGED_IN, CKR_USER_TYPE_INVALID,
};
use parking_lot::Mutex;
use rand_core::{OsRng, RngCore};

use super::catalog::{Catalog, Made, Traits, lock_until, other_handle};
use super::generate::{self, Wish, not_made};
use super::handle::{Counter, Registry};
use super::heritage::{Changes, Login, TokenHeritage};
use super::mechanism::{self, Chosen, Mechanism, Offer};
use super::object::Object;
use super::session_object::{self, SessionObject};
use super::template::Template;
use super::vendor::CKA_P11REST_KEY_NAME;
use crate::backend::{Backend, KeyName, NewKey, User};
use crate::config;
use crate::error::{Error, Result};
use crate::observe::log::Log;
use crate::transport::Deadline;

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

    /// What is refused on a token that nothing here can change.
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

    // Objects.

    /// The objects that match a template and that may be seen now, in a stable order.
    pub fn find(&self, template: &Template) -> Result<Vec<CK_OBJECT_HANDLE>> {
        let on_token = template.bool(CKA_TOKEN).ok().flatten();
        let wants_private = template.bool(CKA_PRIVATE).ok().flatten() == Some(true);
        let deadline = self.deadline();
        if on_token != Some(false) && self.user.load(Ordering::Acquire) != NOBODY {
            // Whether the login is gone shows below.
            let _ = self.backend.keep_login(deadline);
        }
        let found = match on_token {
            Some(false) => Vec::new(),
            _ if wants_private && !self.sees_private() => Vec::new(),
            _ => self.catalog.find(template, deadline)?,
        };
        // Asked for now: that listing may have found that the HSM has ended the login.
        let sees_private = self.sees_private();
        let visible = |object: &Object| sees_private || !object.attributes.is_private();
        let mut handles: Vec<_> =
            found.iter().filter(|(_, object)| visible(object)).map(|(handle, _)| *handle).collect();
        if on_token != Some(true) {
            let fits =
                |held: &SessionObject| visible(&held.object) && template.matches(&held.object.attributes);
            handles.extend(self.session_objects.select(fits).iter().map(|(handle, _)| *handle));
        }
        Ok(handles)
    }

    /// The object with this handle.
    ///
    /// # Errors
    /// `CKR_OBJECT_HANDLE_INVALID` when there is none, or none that may be seen now.
    pub fn object(&self, handle: CK_OBJECT_HANDLE) -> Result<Arc<Object>> {
        let object = self.any_object(handle)?;
        match object.filter(|object| self.sees_private() || !object.attributes.is_private()) {
            Some(object) => Ok(object),
            None => Err(Error::new(CKR_OBJECT_HANDLE_INVALID, format!("no object has handle {handle}"))),
        }
    }

    /// The key with this handle.
    ///
    /// # Errors
    /// `CKR_KEY_HANDLE_INVALID` when there is none, `CKR_USER_NOT_LOGGED_IN` when it is private and nobody is.
    pub fn key(&self, handle: CK_OBJECT_HANDLE) -> Result<Arc<Object>> {
        let object = self.any_object(handle)?;
        let is_private =
            object.as_ref().map_or(self.catalog.has_given(handle), |o| o.attributes.is_private());
        if is_private {
            self.check_private_access()?;
        }
        object.ok_or_else(|| Error::new(CKR_KEY_HANDLE_INVALID, format!("no key has handle {handle}")))
    }

    /// # Errors
    /// `CKR_USER_NOT_LOGGED_IN` when private objects are out of reach.
    pub fn check_private_access(&self) -> Result<()> {
        if self.sees_private() {
            return Ok(());
        }
        Err(Error::new(CKR_USER_NOT_LOGGED_IN, "the key is private: C_Login first"))
    }

    fn any_object(&self, handle: CK_OBJECT_HANDLE) -> Result<Option<Arc<Object>>> {
        if let Some(held) = self.session_objects.get(handle) {
            return Ok(Some(Arc::clone(&held.object)));
        }
        self.catalog.object(handle, self.deadline())
    }

    /// A new key at the HSM.
    ///
    /// # Errors
    /// `CKR_USER_NOT_LOGGED_IN`, what [`not_made`] says of a key that the HSM does not make, and what the back end says.
    pub fn generate(&self, wish: Wish) -> Result<Made> {
        self.check_writable()?;
        self.check_private_access()?;
        if !self.backend.can_generate(&wish.spec) {
            return Err(not_made(&wish.spec));
        }
        let Wish { label, id, spec, usage, protection } = wish;
        let label = label.unwrap_or_else(|| format!("p11rest-{:016x}", OsRng.next_u64()));
        self.catalog.check_new(&label, generate::key_type_of(&spec))?;
        let deadline = self.deadline();
        let request = NewKey { label: &label, id: id.as_deref(), spec, usage, protection };
        let made = self.backend.generate(&request, deadline);
        let name = made.inspect_err(|error| {
            if error.rv() == CKR_DEVICE_ERROR {
                self.catalog.doubt(None);
            }
        })?;
        self.log.info(format_args!("slot {:?}: key {name:?} was made", self.label));
        // A deadline of its own: making it may have taken most of the first, and it is there.
        self.catalog.admit(name, self.deadline())
    }

    /// A copy of a public key of the token that lives in a session, and is the caller's as `wished`.
    pub fn public_in_session(
        &self,
        owner: CK_SESSION_HANDLE,
        handle: CK_OBJECT_HANDLE,
        wished: &Template,
    ) -> Result<CK_OBJECT_HANDLE> {
        let object = self.object(handle)?;
        let mut own = vec![(CKA_TOKEN, vec![CK_FALSE].into())];
        for kind in [CKA_DESTROYABLE, CKA_MODIFIABLE, CKA_COPYABLE] {
            own.push((kind, vec![CK_BBOOL::from(wished.bool(kind)?.unwrap_or(true))].into()));
        }
        self.create_copy(owner, &object, &Template::new(own))
    }

    /// The HSM says that a key is gone.
    pub fn forget_key(&self, name: &KeyName) {
        self.catalog.forget(name);
    }

    /// `C_CreateObject`: session objects only.
    pub fn create_object(&self, owner: CK_SESSION_HANDLE, template: &Template) -> Result<CK_OBJECT_HANDLE> {
        template.check_consistent()?;
        if template.bool(CKA_TOKEN)? == Some(true) {
            let text = "objects of the HSM are not made from here";
            return Err(Error::new(CKR_TOKEN_WRITE_PROTECTED, text));
        }
        if template.bool(CKA_PRIVATE)? == Some(true) {
            self.check_private_access()?;
        }
        let handle = other_handle(&self.counter);
        let unique_id = format!("session-object-{handle}");
        let object = Arc::new(session_object::create(template, unique_id, self.edwards_point)?);
        self.session_objects.insert(handle, Arc::new(SessionObject { owner, object }));
        self.changes.note();
        Ok(handle)
    }

    /// `C_CopyObject`: of session objects, into the same or another session.
    pub fn copy_object(
        &self,
        owner: CK_SESSION_HANDLE,
        handle: CK_OBJECT_HANDLE,
        template: &Template,
    ) -> Result<CK_OBJECT_HANDLE> {
        let object = self.object(handle)?;
        let held = self.session_objects.get(handle);
        if held.is_none() {
            self.check_writable()?;
        }
        if held.is_none() || !object.attributes.is_true(CKA_COPYABLE) {
            return Err(Error::new(CKR_ACTION_PROHIBITED, "the object is not to be copied"));
        }
        self.create_copy(owner, &object, template)
    }

    /// A session object with the attributes of another one, but for those of the template.
    fn create_copy(
        &self,
        owner: CK_SESSION_HANDLE,
        object: &Object,
        template: &Template,
    ) -> Result<CK_OBJECT_HANDLE> {
        let mut merged: Vec<_> = session_object::own_attributes(object, template);
        merged.extend(template.iter().map(|(kind, value)| (kind, value.to_vec().into())));
        self.create_object(owner, &Template::new(merged))
    }

    /// `C_DestroyObject`: of session objects, and of keys with all that belongs to them. A public half goes with its private
    /// one only.
    pub fn destroy_object(&self, handle: CK_OBJECT_HANDLE) -> Result<()> {
        let object = self.object(handle)?;
        let destroyable = object.attributes.is_true(CKA_DESTROYABLE);
        if destroyable && self.session_objects.remove(handle).is_some() {
            self.changes.note();
            return Ok(());
        }
        let held = self.session_objects.get(handle);
        if held.is_none() {
            self.check_writable()?;
        }
        match key_name(&object).filter(|_| held.is_none() && destroyable && self.sees_private()) {
            Some(name) => self.delete_key(&name),
            None => Err(Error::new(CKR_ACTION_PROHIBITED, "the object is not to be destroyed")),
        }
    }

    fn rename(&self, object: &Object, template: &Template) -> Result<()> {
        let Some(name) = key_name(object).filter(|_| self.sees_private()) else {
            return Err(Error::new(CKR_ACTION_PROHIBITED, "the object is not to be changed"));
        };
        template.check_consistent()?;
        self.catalog.rename(&name, template)
    }

    fn delete_key(&self, name: &KeyName) -> Result<()> {
        let outcome = self.backend.delete(name, self.deadline());
        match &outcome {
            Ok(()) => self.log.info(format_args!("slot {:?}: key {name:?} was deleted", self.label)),
            Err(error) if error.rv() == CKR_KEY_HANDLE_INVALID => {}
            Err(error) => {
                if error.rv() != CKR_ACTION_PROHIBITED {
                    self.catalog.doubt(Some(name));
                }
                return outcome;
            }
        }
        self.catalog.deleted(name);
        outcome
    }

    /// `C_SetAttributeValue`: of session objects, and of keys that may be called otherwise on this machine; no HSM's API has
    /// such a call.
    pub fn set_attributes(&self, handle: CK_OBJECT_HANDLE, template: &Template) -> Result<()> {
        let object = self.object(handle)?;
        let held = self.session_objects.get(handle);
        if held.is_none() {
            if self.catalog.renames() {
                return self.rename(&object, template);
            }
            self.check_writable()?;
        }
        let Some(held) = held.filter(|_| object.attributes.is_true(CKA_MODIFIABLE)) else {
            return Err(Error::new(CKR_ACTION_PROHIBITED, "the object is not to be changed"));
        };
        template.check_consistent()?;
        let changed = Arc::new(session_object::changed(&object, template)?);
        if self
            .session_objects
            .replace(handle, Arc::new(SessionObject { owner: held.owner, object: changed }))
        {
            self.changes.note();
            return Ok(());
        }
        Err(Error::new(CKR_OBJECT_HANDLE_INVALID, "the object was destroyed meanwhile"))
    }
}

/// The name at the HSM, of keys there: a copy in a session is another object.
fn key_name(object: &Object) -> Option<KeyName> {
    object.attributes.is_true(CKA_TOKEN).then_some(())?;
    let name = object.attributes.get(CKA_P11REST_KEY_NAME)?;
    str::from_utf8(name).ok().map(KeyName::from)
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
