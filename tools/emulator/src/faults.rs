//! Faults on demand: tests tell the emulator how to misbehave, and on which requests.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::Method;
use hyper::header::HeaderValue;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::script::{self, Ending, Step, When};
use crate::vendor::{JSON, Reply, Request};

/// More than any answer of the API.
const OVERSIZED: usize = 9 << 20;

/// How the server misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    /// Answers with the status, body and headers of the fault.
    #[default]
    Status,
    /// Closes the connection at `when`; `notify: false` spares TLS its close_notify.
    Close,
    /// Resets the connection (RST) at `when`.
    Reset,
    /// Sends the true answer up to `at` bytes of its body, half of it if absent, then closes.
    Truncate,
    /// Sends the true answer a byte each `ms` milliseconds, 10 if absent.
    Drip,
    /// 204, without a body.
    NoContent,
    /// 200 with a page in HTML.
    Text,
    /// 307 to a path that the API does not have.
    Redirect,
    /// Says nothing and keeps the connection open.
    HalfOpen,
    /// Sends 9 MiB of blanks, or with `in: "head"` a head without end.
    Oversized,
    /// Sends the true body in chunks of `size` bytes, 16 if absent.
    Chunked,
    /// Sends the true answer packed with gzip, which nobody asked for.
    Gzip,
    /// Sends 100 and 103 in turn, `count_interim` of them, before the true answer.
    Interim,
    /// Sends `bytes` (Base64) as they are; with `when: "after_answer"` it then closes.
    Raw,
    /// Says nothing for `ms` milliseconds, then answers.
    Stall,
    /// Gives the true answer without its signature.
    DropSignature,
}

/// What of an answer is beyond measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    Head,
    #[default]
    Body,
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
    /// For `truncate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<usize>,
    /// For `chunked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<NonZeroUsize>,
    /// For `interim`; 1 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    count_interim: Option<usize>,
    /// For `raw`.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
    /// For `oversized`.
    #[serde(rename = "in", default)]
    part: Part,
    #[serde(default)]
    when: When,
    /// For `close` and `truncate` over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    notify: Option<bool>,
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
    /// Play that instead of answering; the request is not carried out.
    Play(Vec<Step>),
    /// Play what the true answer becomes.
    Spoil(Spoil),
    /// Wait before the true answer.
    Stall(Duration),
    /// Take `signature` out of the true answer.
    DropSignature,
}

/// How a true answer is spoilt.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spoil {
    Cut(When, Option<usize>, Ending),
    Drip(Duration),
    Chunks(usize),
    Gzip,
    Interim(usize),
}

impl Spoil {
    pub(crate) fn script(self, reply: &Reply) -> Vec<Step> {
        let (bytes, head) = script::whole(reply);
        let bytes = Bytes::from(bytes);
        match self {
            Spoil::Cut(when, at, ending) => {
                let half = at.unwrap_or(reply.body.len() / 2);
                let end = match when {
                    When::BeforeHead => 0,
                    When::InHead => head / 2,
                    When::InBody => (head + half).min(bytes.len()),
                    When::AfterAnswer => bytes.len(),
                };
                vec![Step::Send(bytes.slice(..end)), Step::End(ending)]
            }
            Spoil::Drip(pause) => vec![Step::Drip(bytes, pause)],
            Spoil::Chunks(size) => vec![Step::Send(script::chunked(reply, size).into())],
            Spoil::Gzip => vec![Step::Send(script::gzipped(reply).into())],
            Spoil::Interim(count) => {
                let interim =
                    ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\n"];
                let before: String = interim.into_iter().cycle().take(count).collect();
                vec![Step::Send(before.into()), Step::Send(bytes)]
            }
        }
    }
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
                Ok(_) => {
                    bad_fault("status must be 200 to 599, every and count at least 1, bytes of raw Base64")
                }
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
            && (self.action != Action::Raw || self.raw().is_some())
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
        Some(self.strike())
    }

    fn strike(&self) -> Strike {
        let fin = if self.notify == Some(false) { Ending::Silent } else { Ending::Fin };
        let ms = |default| Duration::from_millis(self.ms.unwrap_or(default));
        match self.action {
            Action::Status => Strike::Answer(self.reply()),
            Action::NoContent => Strike::Answer(Reply::empty(204)),
            Action::Text => Strike::Answer(Reply {
                content_type: Some(HeaderValue::from_static("text/html")),
                body: Bytes::from_static(b"<html>Hello</html>"),
                ..Reply::empty(200)
            }),
            Action::Redirect => Strike::Answer(Reply {
                headers: vec![("location", "/v1/redirected".to_owned())],
                ..Reply::empty(307)
            }),
            Action::Close => self.end(fin),
            Action::Reset => self.end(Ending::Reset),
            Action::Truncate => Strike::Spoil(Spoil::Cut(When::InBody, self.at, fin)),
            Action::Drip => Strike::Spoil(Spoil::Drip(ms(10))),
            Action::HalfOpen => Strike::Play(vec![Step::Hold]),
            Action::Oversized => Strike::Play(self.oversized()),
            Action::Chunked => Strike::Spoil(Spoil::Chunks(self.size.map_or(16, NonZeroUsize::get))),
            Action::Gzip => Strike::Spoil(Spoil::Gzip),
            Action::Interim => Strike::Spoil(Spoil::Interim(self.count_interim.unwrap_or(1))),
            Action::Raw => {
                let mut steps = vec![Step::Send(self.raw().unwrap_or_default())];
                steps.extend((self.when == When::AfterAnswer).then_some(Step::End(fin)));
                Strike::Play(steps)
            }
            Action::Stall => Strike::Stall(ms(1000)),
            Action::DropSignature => Strike::DropSignature,
        }
    }

    fn end(&self, ending: Ending) -> Strike {
        match self.when {
            When::BeforeHead => Strike::Play(vec![Step::End(ending)]),
            when => Strike::Spoil(Spoil::Cut(when, self.at, ending)),
        }
    }

    fn raw(&self) -> Option<Bytes> {
        STANDARD.decode(self.bytes.as_deref()?).ok().map(Bytes::from)
    }

    fn oversized(&self) -> Vec<Step> {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {JSON}\r\n");
        match self.part {
            Part::Head => vec![
                Step::Send(head.into()),
                Step::Endless(b"x-filler: 0123456789abcdef\r\n".repeat(64).into()),
            ],
            Part::Body => {
                vec![
                    Step::Send(format!("{head}content-length: {OVERSIZED}\r\n\r\n").into()),
                    Step::Blanks(OVERSIZED),
                ]
            }
        }
    }

    fn reply(&self) -> Reply {
        let body = match &self.body {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(json) => json.to_string(),
        };
        Reply {
            status: self.status.unwrap_or(503),
            content_type: HeaderValue::from_str(self.content_type.as_deref().unwrap_or(JSON)).ok(),
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

/// Where the vendors have the signature.
const SIGNATURES: [&str; 3] = ["signature", "signatureArray", "data"];

/// The answer without its signature; an answer that has none stays as it is.
pub(crate) fn without_signature(mut reply: Reply) -> Reply {
    if let Ok(Value::Object(mut fields)) = serde_json::from_slice(&reply.body)
        && SIGNATURES.iter().any(|name| fields.remove(*name).is_some())
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
            query: String::new(),
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
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
