//! Private sessions: a cookie each, with the logins that were made on it (section 4.1).

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand_core::{OsRng, RngCore};

use super::settings::Settings;
use crate::vendor::Request;

/// A cookie beside that of the session, as a load balancer sets it.
const SECOND: &str = "lunaNode=1";

/// Where a role is logged in: a partition by its id, or the HSM.
pub(super) type Place = Option<String>;

/// A private session.
pub(super) struct Session {
    pub(super) user: String,
    by_certificate: bool,
    /// Milliseconds since 1970-01-01 UTC.
    used: i64,
    pub(super) logins: BTreeSet<(Place, &'static str)>,
}

impl Session {
    /// Whether one of these roles is logged in there.
    pub(super) fn has(&self, place: &Place, roles: &[&str]) -> bool {
        self.logins.iter().any(|(at, role)| at == place && roles.contains(role))
    }
}

/// All of them, by the value of their cookie.
#[derive(Default)]
pub(super) struct Sessions(BTreeMap<String, Session>);

impl Sessions {
    /// The value of the new session's cookie.
    pub(super) fn open(&mut self, user: &str, by_certificate: bool, now: i64) -> String {
        let id = random();
        self.open_as(id.clone(), user, by_certificate, now);
        id
    }

    /// A session whose cookie is there already.
    pub(super) fn open_as(&mut self, id: String, user: &str, by_certificate: bool, now: i64) {
        let session = Session { user: user.to_owned(), by_certificate, used: now, logins: BTreeSet::new() };
        self.0.insert(id, session);
    }

    /// The session whose cookies a request shows, all of them.
    pub(super) fn find(&self, request: &Request, settings: &Settings) -> Option<String> {
        let known = |pair: &&str| {
            pair.split_once('=').is_some_and(|(name, id)| name == settings.cookie && self.0.contains_key(id))
        };
        let found = cookies(request).find(known)?.split_once('=')?.1.to_owned();
        let is_whole = !settings.second_cookie || cookies(request).any(|pair| pair == SECOND);
        is_whole.then_some(found)
    }

    /// Notes the use of a session; its user, and whether a certificate opened it.
    pub(super) fn touch(&mut self, id: &str, now: i64) -> Option<(String, bool)> {
        let session = self.0.get_mut(id)?;
        session.used = now;
        Some((session.user.clone(), session.by_certificate))
    }

    pub(super) fn get(&self, id: &str) -> Option<&Session> {
        self.0.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Session> {
        self.0.get_mut(id)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Session> {
        self.0.values()
    }

    pub(super) fn end(&mut self, id: &str) {
        self.0.remove(id);
    }

    /// Ends all of them.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Ends those that were not used for too long.
    pub(super) fn age(&mut self, now: i64, settings: &Settings) {
        let limit = i64::try_from(settings.session_idle).unwrap_or(i64::MAX).saturating_mul(1000);
        self.0.retain(|_, session| now.saturating_sub(session.used) < limit);
    }

    /// Logs roles out everywhere.
    pub(super) fn forget_logins(&mut self, gone: impl Fn(&Place, &str) -> bool) {
        for session in self.0.values_mut() {
            session.logins.retain(|(place, role)| !gone(place, role));
        }
    }
}

impl Settings {
    /// The headers that give a client the cookies of a session.
    pub(super) fn cookies(&self, id: &str) -> Vec<(&'static str, String)> {
        const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly";
        let mut headers = vec![("set-cookie", format!("{}={id}; {ATTRIBUTES}", self.cookie))];
        if self.second_cookie {
            headers.push(("set-cookie", format!("{SECOND}; {ATTRIBUTES}")));
        }
        headers
    }
}

/// The pairs of `Cookie` (RFC 6265 section 4.2).
pub(super) fn cookies(request: &Request) -> impl Iterator<Item = &str> {
    request.header("cookie").unwrap_or_default().split(';').map(str::trim)
}

/// 192 random bits in URL-safe characters.
pub(super) fn random() -> String {
    let mut bytes = [0; 24];
    OsRng.fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}
