//! Faults in the bytes of an answer, seen by a raw socket.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};

use crate::client::{Client, Fixture, PIN, tls_config, tls_stream};

/// More than the emulator sends of anything that has an end.
const LIMIT: u64 = 10 << 20;

fn request() -> String {
    format!("GET /v1/generateRandom/8 HTTP/1.1\r\nHost: localhost\r\nX-API-KEY: {PIN}\r\n\r\n")
}

/// What comes on a connection before it ends or falls silent, and how that shows.
fn exchange(fixture: &Fixture, fault: &Value) -> (Vec<u8>, Option<ErrorKind>) {
    assert_eq!(fixture.operator().post("/_emulator/faults", fault).status, 201, "{fault}");
    let mut stream = TcpStream::connect(fixture.url().strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    stream.write_all(request().as_bytes()).unwrap();
    let mut answer = Vec::new();
    let end = stream.take(LIMIT).read_to_end(&mut answer).err().map(|error| error.kind());
    assert_eq!(fixture.operator().request("DELETE", "/_emulator/faults", b"").status, 204);
    (answer, end)
}

fn head_and_body(answer: &[u8]) -> (&str, &[u8]) {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("the head has an end");
    (std::str::from_utf8(&answer[..end]).unwrap(), &answer[end + 4..])
}

#[test]
fn answers_are_spoilt_as_asked() {
    let fixture = Fixture::new();
    let (silent, reset) = (Some(ErrorKind::WouldBlock), Some(ErrorKind::ConnectionReset));
    let cases = [
        (json!({ "action": "half_open" }), "", "", silent),
        (json!({ "action": "raw", "bytes": "SFRUUA==" }), "HTTP", "HTTP", silent),
        (json!({ "action": "raw", "bytes": "SFRUUA==", "when": "after_answer" }), "HTTP", "HTTP", None),
        (json!({ "action": "drip", "ms": 1 }), "HTTP/1.1 200 OK\r\n", "\"}", silent),
        (json!({ "action": "chunked", "size": 7 }), "HTTP/1.1 200 OK\r\n", "\r\n0\r\n\r\n", silent),
        (json!({ "action": "interim" }), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", "\"}", silent),
        (json!({ "action": "truncate", "at": 3 }), "HTTP/1.1 200 OK\r\n", "\r\n\r\n{\"r", None),
        (json!({ "action": "close" }), "", "", None),
        (json!({ "action": "close", "when": "in_head" }), "HTTP/1.1 200", "", None),
        (json!({ "action": "close", "when": "after_answer" }), "HTTP/1.1 200 OK\r\n", "\"}", None),
        (json!({ "action": "reset" }), "", "", reset),
        (json!({ "action": "reset", "when": "in_head" }), "HTTP/1.1 200", "", reset),
        (json!({ "action": "reset", "when": "in_body", "at": 3 }), "HTTP/1.1 200", "\r\n\r\n{\"r", reset),
        (json!({ "action": "reset", "when": "after_answer" }), "HTTP/1.1 200 OK\r\n", "\"}", reset),
        (json!({ "action": "no_content" }), "HTTP/1.1 204 ", "\r\n\r\n", silent),
        (json!({ "action": "redirect" }), "HTTP/1.1 307 ", "\r\n\r\n", silent),
        (json!({ "action": "text" }), "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n", "</html>", silent),
    ];
    for (fault, begin, end, how) in cases {
        let (answer, ended) = exchange(&fixture, &fault);
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with(begin) && answer.ends_with(end), "{fault}: {answer:?}");
        assert_eq!(ended, how, "{fault}");
    }
}

#[test]
fn an_oversized_body_is_as_long_as_its_head_says() {
    let (answer, end) = exchange(&Fixture::new(), &json!({ "action": "oversized" }));
    let (head, body) = head_and_body(&answer);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.ends_with("\r\ncontent-length: 9437184"), "{head}");
    assert_eq!((body.len(), end), (9 << 20, Some(ErrorKind::WouldBlock)));
}

#[test]
fn an_oversized_head_has_no_end() {
    let (answer, end) = exchange(&Fixture::new(), &json!({ "action": "oversized", "in": "head" }));
    assert_eq!((answer.len() as u64, end), (LIMIT, None));
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert!(!answer.windows(4).any(|window| window == b"\r\n\r\n"));
}

#[test]
fn gzip_packs_the_true_body() {
    let fixture = Fixture::new();
    let (answer, _) = exchange(&fixture, &json!({ "action": "gzip" }));
    let (head, body) = head_and_body(&answer);
    assert!(head.contains("\r\ncontent-encoding: gzip\r\n"), "{head}");
    assert!(head.ends_with(&format!("\r\ncontent-length: {}", body.len())), "{head}");
    let file = fixture.file("answer.gz", body);
    let unpacked = Command::new("gzip").arg("-dc").arg(file).output().expect("gzip is installed");
    assert!(unpacked.status.success(), "{unpacked:?}");
    let body: Value = serde_json::from_slice(&unpacked.stdout).unwrap();
    assert!(body["random"].is_string(), "{body}");
}

/// RFC 8446 §6.1: without close_notify a reader cannot tell an end from a cut, and rustls says so.
#[test]
fn tls_ends_with_and_without_close_notify() {
    let fixture = Fixture::with(|options| options.tls = true);
    for version in [&TLS12, &TLS13] {
        let config = tls_config(&fixture.dir.join("ca.pem"), &[version]);
        let connect = || tls_stream(fixture.url(), "localhost", &config);
        for (when, begin) in
            [("before_head", ""), ("in_body", "HTTP/1.1 200"), ("after_answer", "HTTP/1.1 200")]
        {
            for (notify, end) in [(true, None), (false, Some(ErrorKind::UnexpectedEof))] {
                let fault = json!({ "action": "close", "when": when, "notify": notify, "count": 1 });
                let mut operator = Client::new(Box::new(connect()), PIN);
                assert_eq!(operator.post("/_emulator/faults", &fault).status, 201);
                let mut stream = connect();
                stream.write_all(request().as_bytes()).unwrap();
                let mut answer = Vec::new();
                let ended = stream.read_to_end(&mut answer).err().map(|error| error.kind());
                assert!(answer.starts_with(begin.as_bytes()), "{fault}");
                assert_eq!(ended, end, "{fault}");
            }
        }
    }
}
