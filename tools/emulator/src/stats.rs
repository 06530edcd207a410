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
    handshakes: AtomicU64,
}

impl Stats {
    pub(crate) fn count_request(&self, method: &Method, pattern: &'static str) {
        *self.requests.lock().entry((method.clone(), pattern)).or_default() += 1;
    }

    pub(crate) fn count_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_handshake(&self) {
        self.handshakes.fetch_add(1, Ordering::Relaxed);
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
            "tls_handshakes": self.handshakes.load(Ordering::Relaxed),
        })
    }
}
