//! The module in one life between `C_Initialize` and `C_Finalize`: its slots and its sessions.

use std::sync::Arc;

use cryptoki_sys::{
    CK_FLAGS, CK_SESSION_HANDLE, CK_SLOT_ID, CKF_ASYNC_SESSION, CKF_RW_SESSION, CKF_SERIAL_SESSION,
    CKR_SESSION_ASYNC_NOT_SUPPORTED, CKR_SESSION_HANDLE_INVALID, CKR_SESSION_PARALLEL_NOT_SUPPORTED,
    CKR_SESSION_READ_WRITE_SO_EXISTS, CKR_SLOT_ID_INVALID, CKR_TOKEN_NOT_PRESENT, CKR_TOKEN_WRITE_PROTECTED,
};

use super::handle::{Counter, Registry};
use super::heritage::{Changes, Heritage, OpenSession, Told};
use super::session::Session;
use super::token::Token;
use crate::backend::User;
use crate::config::{Config, Fork};
use crate::error::{Error, Result};
use crate::observe::log::Log;
use crate::transport::{Deadline, FAREWELL};

/// Everything that one life of the module owns.
pub struct Module {
    log: Log,
    slots: Vec<Slot>,
    sessions: Registry<Session>,
    session_counter: Arc<Counter>,
    objects: Arc<Counter>,
    changes: Arc<Changes>,
    heirs: Option<Heirs>,
}

/// What is kept for the children of a fork, if they are to go on.
struct Heirs {
    config: Arc<Config>,
    told: Told,
}

/// One slot of the configuration; without a token if the configuration of it is unusable.
pub struct Slot {
    /// `CK_SLOT_ID`
    pub id: CK_SLOT_ID,
    token: Option<Arc<Token>>,
}

impl Slot {
    /// The token.
    ///
    /// # Errors
    /// `CKR_TOKEN_NOT_PRESENT` when there is none; the log said why at the start.
    pub fn token(&self) -> Result<&Arc<Token>> {
        self.token.as_ref().ok_or_else(|| {
            Error::new(CKR_TOKEN_NOT_PRESENT, format!("slot {} is not usable as it is configured", self.id))
        })
    }

    /// Whether there is a token (`CKF_TOKEN_PRESENT`).
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }
}

impl Module {
    /// A life that begins with this configuration. No request is made.
    pub fn new(config: Arc<Config>, log: Log) -> Self {
        Self::counting(config, log, Counter::default(), Counter::default())
    }

    /// The life of a child, which goes on where `heritage` has its parent. No request is made.
    pub fn inherit(heritage: &Heritage) -> Self {
        let module = Self::counting(
            Arc::clone(&heritage.config),
            heritage.log.clone(),
            Counter::after(&heritage.objects),
            Counter::after(&heritage.session_counter),
        );
        for (slot, inherited) in &heritage.tokens {
            if let Ok(token) = module.slot(*slot).and_then(Slot::token) {
                token.inherit(inherited);
            }
        }
        for OpenSession { handle, slot, read_write } in &heritage.sessions {
            if let Ok(token) = module.slot(*slot).and_then(Slot::token) {
                module.begin_session(*handle, *slot, token, *read_write);
            }
        }
        let sessions = heritage.sessions.len();
        module.log.info(format_args!("a fork: this process goes on with {sessions} sessions of its parent"));
        module
    }

    fn counting(config: Arc<Config>, log: Log, objects: Counter, sessions: Counter) -> Self {
        let objects = Arc::new(objects);
        let changes = Arc::new(Changes::default());
        let slots = config.slots.iter().filter(|slot| !slot.hidden).map(|slot| {
            let token = match &slot.token {
                Ok(settings) => {
                    Token::open(settings, &config, Arc::clone(&objects), Arc::clone(&changes), &log)
                        .map_err(|error| error.to_string())
                }
                Err(problem) => Err(problem.to_string()),
            };
            let token = token.map_err(|why| log.error(format_args!("slot {} has no token: {why}", slot.id)));
            Slot { id: slot.id, token: token.ok().map(Arc::new) }
        });
        let slots = slots.collect();
        Self {
            slots,
            log,
            sessions: Registry::default(),
            session_counter: Arc::new(sessions),
            objects,
            changes,
            heirs: (config.fork == Fork::Transparent).then(|| Heirs { config, told: Told::default() }),
        }
    }

    /// Gives `leave` what the child of a fork would go on with, if it is to go on and if anything of that changed.
    pub fn hand_down(&self, leave: impl FnOnce(Heritage)) {
        if let Some(heirs) = &self.heirs {
            heirs.told.keep_up(&self.changes, || leave(self.heritage(&heirs.config)));
        }
    }

    fn heritage(&self, config: &Arc<Config>) -> Heritage {
        let tokens = self.slots.iter().filter_map(|slot| Some((slot.id, slot.token.as_ref()?.heritage())));
        let sessions = self.sessions.select(|_| true).into_iter().map(|(handle, session)| OpenSession {
            handle,
            slot: session.slot(),
            read_write: session.is_read_write(),
        });
        Heritage {
            config: Arc::clone(config),
            log: self.log.clone(),
            objects: Arc::clone(&self.objects),
            session_counter: Arc::clone(&self.session_counter),
            sessions: sessions.collect(),
            tokens: tokens.collect(),
        }
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The slots in the order of the configuration.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// One slot.
    ///
    /// # Errors
    /// `CKR_SLOT_ID_INVALID`
    pub fn slot(&self, id: CK_SLOT_ID) -> Result<&Slot> {
        let slot = self.slots.iter().find(|slot| slot.id == id);
        slot.ok_or_else(|| Error::new(CKR_SLOT_ID_INVALID, format!("there is no slot {id}")))
    }

    /// `C_OpenSession`
    ///
    /// # Errors
    /// `CKR_SESSION_PARALLEL_NOT_SUPPORTED` without `CKF_SERIAL_SESSION` (section 5.6.1), and those of the slot.
    pub fn open_session(&self, slot: CK_SLOT_ID, flags: CK_FLAGS) -> Result<CK_SESSION_HANDLE> {
        let slot = self.slot(slot)?;
        if flags & CKF_SERIAL_SESSION == 0 {
            return Err(Error::new(CKR_SESSION_PARALLEL_NOT_SUPPORTED, "CKF_SERIAL_SESSION is missing"));
        }
        if flags & CKF_ASYNC_SESSION != 0 {
            return Err(Error::new(CKR_SESSION_ASYNC_NOT_SUPPORTED, "sessions are synchronous"));
        }
        let token = slot.token()?;
        let read_only = flags & CKF_RW_SESSION == 0;
        if read_only && token.logged_in() == Some(User::SecurityOfficer) {
            let text = "the security officer is logged in, who takes no read-only sessions";
            return Err(Error::new(CKR_SESSION_READ_WRITE_SO_EXISTS, text));
        }
        if !read_only && token.refuses_read_write() {
            let text = "nothing of this token is changed from here: open a read-only session";
            return Err(Error::new(CKR_TOKEN_WRITE_PROTECTED, text));
        }
        let handle = self.session_counter.next();
        self.begin_session(handle, slot.id, token, !read_only);
        Ok(handle)
    }

    fn begin_session(
        &self,
        handle: CK_SESSION_HANDLE,
        slot: CK_SLOT_ID,
        token: &Arc<Token>,
        read_write: bool,
    ) {
        let session = Session::new(handle, slot, Arc::clone(token), read_write);
        token.session_opened(read_write);
        self.sessions.insert(handle, Arc::new(session));
        self.changes.note();
    }

    /// The session with this handle.
    ///
    /// # Errors
    /// `CKR_SESSION_HANDLE_INVALID`
    pub fn session(&self, handle: CK_SESSION_HANDLE) -> Result<Arc<Session>> {
        self.sessions.get(handle).ok_or_else(|| no_session(handle))
    }

    /// `C_CloseSession`
    ///
    /// # Errors
    /// `CKR_SESSION_HANDLE_INVALID`
    pub fn close_session(&self, handle: CK_SESSION_HANDLE) -> Result<()> {
        let session = self.sessions.remove(handle).ok_or_else(|| no_session(handle))?;
        session.token().session_closed(handle, session.is_read_write());
        self.changes.note();
        Ok(())
    }

    /// `C_CloseAllSessions`
    ///
    /// # Errors
    /// `CKR_SLOT_ID_INVALID`, `CKR_TOKEN_NOT_PRESENT`
    pub fn close_all_sessions(&self, slot: CK_SLOT_ID) -> Result<()> {
        self.slot(slot)?.token()?;
        for session in self.sessions.remove_where(|session| session.slot() == slot) {
            session.token().session_closed(session.handle(), session.is_read_write());
        }
        self.changes.note();
        Ok(())
    }

    /// The process ends, and the calling thread ends it: see [`Backend::exiting`](crate::backend::Backend::exiting).
    pub fn exiting(&self, limit: Deadline) {
        for token in self.slots.iter().filter_map(|slot| slot.token.as_ref()) {
            token.backend().exiting(limit);
        }
    }

    /// `C_Finalize`: credentials and idle connections go; calls under way end on their own. Logging out at all HSMs
    /// takes [`FAREWELL`] at most, of which one that does not answer leaves the others their share.
    pub fn close(&self) {
        if let Some(heirs) = &self.heirs {
            heirs.told.end();
        }
        self.sessions.remove_where(|_| true);
        let limit = Deadline::after(FAREWELL);
        let tokens: Vec<_> = self.slots.iter().filter_map(|slot| slot.token.as_ref()).collect();
        for (turns, token) in (1..=tokens.len()).rev().zip(tokens) {
            token.close(limit.first_of(u32::try_from(turns).unwrap_or(u32::MAX)));
        }
    }
}

fn no_session(handle: CK_SESSION_HANDLE) -> Error {
    Error::new(CKR_SESSION_HANDLE_INVALID, format!("no session has handle {handle}"))
}
