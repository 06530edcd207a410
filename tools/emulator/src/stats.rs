//! Counters that tests and benchmarks read.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// What the server has seen since it started.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    requests: Mutex<HashMap<(Method, &'static str), u64>>,
    connections: AtomicU64,
    /// Connections that have not ended, and the most that there were at a time.
    open: AtomicU64,
    peak: AtomicU64,
    handshakes: AtomicU64,
    /// The handshakes that resumed a session.
    resumed: AtomicU64,
}

impl Stats {
    pub(crate) fn count_request(&self, method: &Method, pattern: &'static str) {
        *self.requests.lock().entry((method.clone(), pattern)).or_default() += 1;
    }

    pub(crate) fn count_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(open, Ordering::Relaxed);
    }

    pub(crate) fn count_handshake(&self, resumed: bool) {
        self.handshakes.fetch_add(1, Ordering::Relaxed);
        self.resumed.fetch_add(u64::from(resumed), Ordering::Relaxed);
    }

    /// A connection has ended.
    pub(crate) fn count_end(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// The body of `GET /_emulator/stats`.
    pub(crate) fn to_json(&self) -> Value {
        let requests = self.requests.lock();
        let by_route: serde_json::Map<String, Value> = requests
            .iter()
            .map(|((method, pattern), count)| (format!("{method} {pattern}"), json!(count)))
            .collect();
        json!({
            "requests": by_route,
            "requests_total": requests.values().sum::<u64>(),
            "connections_accepted": self.connections.load(Ordering::Relaxed),
            "connections_open": self.open.load(Ordering::Relaxed),
            "connections_peak": self.peak.load(Ordering::Relaxed),
            "tls_resumed": self.resumed.load(Ordering::Relaxed),
            "tls_handshakes": self.handshakes.load(Ordering::Relaxed),
        })
    }
}
