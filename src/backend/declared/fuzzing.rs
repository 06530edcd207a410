//! Descriptions as text with values to fill in, for the fuzzers.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::answer::Answer;
use super::description::Description;
use super::making::Generate;
use super::request::Call;
use super::template::Values;
use crate::backend::types::{KeySpec, NewKey, Protection, Usage};
use crate::config::{self, Problem};
use crate::transport::{Kept, Response};

/// Parts the description, a value, and the body of an answer.
const PART: &str = "\n%%\n";

/// Any text gives a description, or a problem with its remedy. Whatever a value is, it stays where it was put: each
/// request is one path, whole header lines, and JSON that can be read. Whatever an answer is, it is read or it is not.
///
/// # Panics
/// Where that is not so.
pub fn text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut parts = text.splitn(3, PART);
    let (description, value, body) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let read = |text: &str| {
        Description::parse(text, &BTreeMap::new(), &config::Auth::default(), Path::new("/c/service.toml"))
    };
    let description = match read(description) {
        Ok(description) => description,
        Err(problem) => return told_well(&problem, &read(description).err()),
    };
    let bytes = value.as_bytes();
    let new = new_key(value, Some(bytes));
    let values = Values {
        key: value,
        password: value,
        payload: bytes,
        ciphertext: bytes,
        tag: bytes,
        iv: bytes,
        aad: bytes,
        cursor: value,
        new: Some(&new),
        ..Values::default()
    };
    calls(&description).into_iter().for_each(|call| stays(call, &values));
    let response = Response {
        status: 200,
        retry_after: None,
        kept: Kept::default(),
        body: body.as_bytes().to_vec().into(),
    };
    let answer = Answer::new(&response);
    let found =
        description.decrypt.plaintext.iter().chain(description.describe.iter().flat_map(|d| &d.public_key));
    found.for_each(|found| drop(found.find(&answer, Some(32))));
    let refusal = description.errors.refusal(&answer);
    assert!(!refusal.to_string().contains(['\r', '\n']), "a line of the log is one line");
}

fn told_well(problem: &Problem, again: &Option<Problem>) {
    assert!(!problem.what().is_empty() && !problem.remedy().is_empty());
    assert_eq!(Some(problem), again.as_ref(), "the same text, the same problem");
}

fn calls(description: &Description) -> Vec<&Call> {
    let Description { list, describe, certificate, random, generate, delete, health, probe, .. } =
        description;
    let mut calls: Vec<_> = description.sign.calls().collect();
    calls.extend(description.decrypt.calls());
    calls.extend(description.encrypt.calls());
    calls.extend(list.iter().map(|list| &list.call));
    calls.extend(describe.iter().map(|describe| &describe.call));
    calls.extend(certificate.iter().map(|(call, _)| call));
    calls.extend(random.iter().map(|random| &random.call));
    calls.extend(generate.iter().flat_map(Generate::calls));
    calls.extend(delete);
    calls.extend(health.iter().map(|(call, _)| call));
    calls.extend(probe);
    calls
}

fn new_key<'a>(label: &'a str, id: Option<&'a [u8]>) -> NewKey<'a> {
    NewKey { label, id, spec: KeySpec::Ed25519, usage: Usage::default(), protection: Protection::UNTOLD }
}

/// Values stay where they were put.
fn stays(call: &Call, values: &Values<'_>) {
    let new = new_key("k", None);
    let harmless = Values { key: "k", new: Some(&new), ..Values::default() };
    let (Ok(filled), Ok(plain)) = (call.fill(values), call.fill(&harmless)) else { return };
    let ((path, headers, body), (plain_path, ..)) = (filled.parts(), plain.parts());
    assert!(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()), "{path:?}");
    let segments = |path: &str| path.split('?').next().unwrap_or_default().matches('/').count();
    assert_eq!(segments(path), segments(plain_path), "{path:?}");
    assert!(headers.is_empty() || headers.ends_with("\r\n"));
    for line in headers.split_terminator("\r\n") {
        assert!(line.contains(": ") && line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
    }
    if let Some(body) = body.filter(|_| headers.contains("Content-Type: application/json\r\n")) {
        // A body of `raw` may say so of itself.
        let is_json = serde_json::from_slice::<Value>(body).is_ok();
        assert!(is_json || call.is_raw(), "{}", String::from_utf8_lossy(body));
    }
}
