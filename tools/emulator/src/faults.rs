//! Faults on demand: tests tell the emulator how to misbehave, and on which requests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::vendor::{JSON, Reply, Request};

/// How the server misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    /// Answers with the status, body and headers of the fault.
    #[default]
    Status,
    /// Closes the connection instead of answering.
    Close,
    /// Resets the connection (RST) instead of answering.
    Reset,
    /// Sends half of the body of the true answer, then closes.
    Truncate,
    /// Says nothing for `ms` milliseconds, then answers.
    Stall,
    /// Gives the true answer without its `signature`.
    DropSignature,
}

/// A fault, as `POST /_emulator/faults` brings it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    /// The path, exactly as sent or with placeholders as in the statistics; absent: every path.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    /// Only requests whose body has this text: those for one key, where its name is not in the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    contains: Option<String>,
    #[serde(default)]
    action: Action,
    /// For `status`; 503 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// For `status`: a string is sent as it is, anything else as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// Seconds, for the header Retry-After.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    /// For `stall`; 1000 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<u64>,
    /// Strikes only each n-th request that matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    every: Option<u64>,
    /// Strikes that many times, then never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_deserializing)]
    matched: u64,
    #[serde(skip_deserializing)]
    applied: u64,
}

/// What is to be done with a request that a fault strikes.
#[derive(Debug, Clone)]
pub(crate) enum Strike {
    /// Answer that.
    Answer(Reply),
    /// Close without an answer.
    Close,
    /// Reset without an answer.
    Reset,
    /// Send half of the true answer.
    Truncate,
    /// Wait before the true answer.
    Stall(Duration),
    /// Take `signature` out of the true answer.
    DropSignature,
}

/// The faults in force.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Spares requests the lock while there are no faults.
    any: AtomicBool,
    list: Mutex<Vec<Fault>>,
}

impl Faults {
    /// The fault that strikes this request, if any; the first that matches and is due.
    pub(crate) fn strike(&self, request: &Request, pattern: &str) -> Option<Strike> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.list.lock().iter_mut().find_map(|fault| fault.due(request, pattern))
    }

    /// `GET` lists, `POST` adds, `DELETE` clears.
    pub(crate) fn administer(&self, method: &Method, body: &[u8]) -> Reply {
        let mut list = self.list.lock();
        match *method {
            Method::GET => Reply::json(200, &json!({ "faults": *list })),
            Method::DELETE => {
                list.clear();
                self.any.store(false, Ordering::Release);
                Reply::empty(204)
            }
            Method::POST => match serde_json::from_slice::<Fault>(body) {
                Ok(fault) if fault.is_valid() => {
                    list.push(fault);
                    self.any.store(true, Ordering::Release);
                    Reply::json(201, &json!({ "faults": *list }))
                }
                Ok(_) => bad_fault("status must be 200 to 599, every and count at least 1"),
                Err(error) => bad_fault(&error.to_string()),
            },
            _ => Reply::empty(405),
        }
    }
}

impl Fault {
    fn is_valid(&self) -> bool {
        self.status.is_none_or(|status| (200..=599).contains(&status))
            && self.every != Some(0)
            && self.count != Some(0)
    }

    fn due(&mut self, request: &Request, pattern: &str) -> Option<Strike> {
        let path_fits = self.path.as_deref().is_none_or(|wanted| wanted == request.path || wanted == pattern);
        let method_fits = self.method.as_deref().is_none_or(|wanted| wanted == request.method.as_str());
        let body_fits = self.contains.as_deref().is_none_or(|text| has(&request.body, text));
        if !(path_fits && method_fits && body_fits) || self.count.is_some_and(|count| self.applied >= count) {
            return None;
        }
        self.matched += 1;
        if !self.matched.is_multiple_of(self.every.unwrap_or(1)) {
            return None;
        }
        self.applied += 1;
        Some(match self.action {
            Action::Status => Strike::Answer(self.reply()),
            Action::Close => Strike::Close,
            Action::Reset => Strike::Reset,
            Action::Truncate => Strike::Truncate,
            Action::Stall => Strike::Stall(Duration::from_millis(self.ms.unwrap_or(1000))),
            Action::DropSignature => Strike::DropSignature,
        })
    }

    fn reply(&self) -> Reply {
        let body = match &self.body {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(json) => json.to_string(),
        };
        Reply {
            status: self.status.unwrap_or(503),
            content_type: Some(self.content_type.clone().unwrap_or_else(|| JSON.to_owned())),
            headers: self
                .retry_after
                .map(|seconds| ("retry-after", seconds.to_string()))
                .into_iter()
                .collect(),
            body: Bytes::from(body),
        }
    }
}

fn has(body: &[u8], text: &str) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The answer without its `signature`; an answer that has none stays as it is.
pub(crate) fn without_signature(mut reply: Reply) -> Reply {
    if let Ok(Value::Object(mut fields)) = serde_json::from_slice(&reply.body)
        && fields.remove("signature").is_some()
    {
        reply.body = Bytes::from(Value::Object(fields).to_string());
    }
    reply
}

fn bad_fault(message: &str) -> Reply {
    Reply::json(400, &json!({ "message": message }))
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::*;

    fn strikes(faults: &Faults, requests: usize) -> usize {
        let request = Request {
            method: Method::POST,
            path: "/v1/key/a".to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(br#"{"label":"b"}"#),
        };
        (0..requests).filter(|_| faults.strike(&request, "/v1/key/{label}").is_some()).count()
    }

    #[test]
    fn every_and_count_are_kept() {
        let faults = Faults::default();
        let body = br#"{"path":"/v1/key/{label}","status":503,"every":3,"count":2}"#;
        assert_eq!(faults.administer(&Method::POST, body).status, 201);
        assert_eq!(strikes(&faults, 5), 1);
        assert_eq!(strikes(&faults, 1), 1);
        assert_eq!(strikes(&faults, 30), 0);
        assert_eq!(faults.administer(&Method::DELETE, b"").status, 204);
        assert_eq!(faults.administer(&Method::GET, b"").body, r#"{"faults":[]}"#);
    }

    #[test]
    fn other_paths_and_methods_are_spared() {
        let faults = Faults::default();
        faults.administer(&Method::POST, br#"{"path":"/v1/key/b"}"#);
        faults.administer(&Method::POST, br#"{"method":"GET"}"#);
        assert_eq!(strikes(&faults, 3), 0);
    }

    #[test]
    fn a_body_is_searched() {
        let faults = Faults::default();
        faults.administer(&Method::POST, br#"{"contains":"\"a\""}"#);
        assert_eq!(strikes(&faults, 3), 0);
        faults.administer(&Method::POST, br#"{"contains":"\"b\""}"#);
        assert_eq!(strikes(&faults, 3), 3);
    }

    #[test]
    fn nonsense_is_refused() {
        let faults = Faults::default();
        for body in [r#"{"stauts":503}"#, r#"{"every":0}"#, r#"{"status":99}"#, "503"] {
            assert_eq!(faults.administer(&Method::POST, body.as_bytes()).status, 400, "{body}");
        }
    }
}
