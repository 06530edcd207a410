//! Sessions to resume, shared by all lanes of a cluster.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use parking_lot::Mutex;
use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

/// Tickets of TLS 1.3 kept for a server. Each is good for one lane, and a server gives one or two a connection: enough
/// to open two pools of the default size at once. (The store of rustls keeps eight.)
const LIMIT: usize = 128;

/// Keeps sessions by the name of the server. The names are those of the configuration, so there are few.
#[derive(Default)]
pub(super) struct Tickets(Mutex<HashMap<ServerName<'static>, Sessions>>);

#[derive(Default)]
struct Sessions {
    group: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    /// The oldest in front.
    tls13: VecDeque<Tls13ClientSessionValue>,
}

impl Tickets {
    fn edit<T>(&self, name: ServerName<'static>, edit: impl FnOnce(&mut Sessions) -> T) -> T {
        edit(self.0.lock().entry(name).or_default())
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.edit(name, |sessions| sessions.group = Some(group));
    }

    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.edit(name.to_owned(), |sessions| sessions.group)
    }

    fn set_tls12_session(&self, name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.edit(name, |sessions| sessions.tls12 = Some(value));
    }

    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.edit(name.to_owned(), |sessions| sessions.tls12.clone())
    }

    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        self.edit(name.clone(), |sessions| sessions.tls12 = None);
    }

    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.edit(name, |sessions| {
            if sessions.tls13.len() == LIMIT {
                sessions.tls13.pop_front();
            }
            sessions.tls13.push_back(value);
        });
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.edit(name.clone(), |sessions| sessions.tls13.pop_back())
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets([redacted])")
    }
}
