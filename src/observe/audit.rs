//! Audit events: which account logged in where, and what came of it.
//!
//! Each is one line of the log that begins with `audit:`, at level info; refusals and failures are at level warn. There is
//! never a secret in one, nor a word that the service said: the status of its answer is all that is told of that.

use std::fmt;

use super::log::Log;
use crate::config::Level;

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A password, a key or a certificate was shown.
    Login,
    /// A token was exchanged for a new one, without the password; or a secret was read anew after a refusal.
    Renewal,
    /// A call showed a token, a password or a key.
    Use,
    /// A call was signed, at a wrong time or with a nonce that was seen: it is signed anew.
    Signature,
    /// A login ended.
    Logout,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Login => "login",
            Self::Renewal => "renewal",
            Self::Use => "use",
            Self::Signature => "signature",
            Self::Logout => "logout",
        })
    }
}

/// Where a request goes: method and path, without the query, which may carry what is nobody's business.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint<'a> {
    method: &'a str,
    path: &'a str,
}

impl<'a> Endpoint<'a> {
    /// Of a request.
    pub fn new(method: &'a str, path: &'a str) -> Self {
        Self { method, path: path.split_once('?').map_or(path, |(path, _query)| path) }
    }
}

impl fmt::Display for Endpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// The events of one account at one slot.
#[derive(Clone, Debug)]
pub struct Audit {
    log: Log,
    slot: Box<str>,
    account: Box<str>,
    paths: bool,
}

impl Audit {
    /// `slot` is its label, `account` a name that is no secret: of a user, or of a role.
    pub fn new(log: &Log, slot: &str, account: &str) -> Self {
        Self { log: log.clone(), slot: slot.into(), account: account.into(), paths: true }
    }

    /// Without the paths of calls, which may have a caller's data.
    pub fn without_paths(self) -> Self {
        Self { paths: false, ..self }
    }

    /// Whether the paths of calls may be told.
    pub fn tells_paths(&self) -> bool {
        self.paths
    }

    /// Where a call goes, as far as that may be told.
    pub fn endpoint<'a>(&self, method: &'a str, path: &'a str) -> Endpoint<'a> {
        Endpoint::new(method, if self.paths { path } else { "/…" })
    }

    /// The same of another account at the slot.
    pub fn of(&self, account: &str) -> Self {
        Self { account: account.into(), ..self.clone() }
    }

    /// The service did what was asked. `endpoint`: method and path.
    pub fn granted(&self, event: Event, endpoint: impl fmt::Display) {
        self.tell(Level::Info, event, endpoint, format_args!("granted"));
    }

    /// The service refused, with this status.
    pub fn refused(&self, event: Event, endpoint: impl fmt::Display, status: u16) {
        self.tell(Level::Warn, event, endpoint, format_args!("refused with HTTP {status}"));
    }

    /// There was no answer, or none that can be read. `reason` has neither a secret nor a part of an answer.
    pub fn failed(&self, event: Event, endpoint: impl fmt::Display, reason: impl fmt::Display) {
        self.tell(Level::Warn, event, endpoint, format_args!("failed: {reason}"));
    }

    fn tell(&self, level: Level, event: Event, endpoint: impl fmt::Display, outcome: fmt::Arguments<'_>) {
        let Self { log, slot, account, paths: _ } = self;
        log.write(
            level,
            format_args!("audit: slot {slot:?}, account {account:?}: {event} at {endpoint}: {outcome}"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::told;

    #[test]
    fn an_event_is_one_line_with_slot_account_endpoint_and_outcome() {
        let events = told::events(&["secret"], |log| {
            let audit = Audit::new(log, "pay\nments", "al\"ice");
            audit.granted(Event::Login, "POST /token");
            audit.refused(Event::Renewal, Endpoint::new("POST", "/refresh?key=secret"), 401);
            audit.failed(Event::Logout, "DELETE /token", "no answer");
            let audit = audit.without_paths();
            audit.refused(Event::Signature, audit.endpoint("POST", "/sign/secret"), 401);
        });
        let who = r#"slot "pay\nments", account "al\"ice":"#;
        assert_eq!(
            events,
            [
                format!("INFO {who} login at POST /token: granted"),
                format!("WARN {who} renewal at POST /refresh: refused with HTTP 401"),
                format!("WARN {who} logout at DELETE /token: failed: no answer"),
                format!("WARN {who} signature at POST /…: refused with HTTP 401"),
            ]
        );
    }
}
