//! Faults in the bytes of an answer, seen by a raw socket.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Fixture, PIN};

/// What comes on a connection before it ends or falls silent, and how that shows.
fn exchange(fixture: &Fixture, fault: &Value) -> (String, Option<ErrorKind>) {
    assert_eq!(fixture.operator().post("/_emulator/faults", fault).status, 201, "{fault}");
    let mut stream = TcpStream::connect(fixture.url().strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let head = format!("GET /v1/generateRandom/8 HTTP/1.1\r\nHost: localhost\r\nX-API-KEY: {PIN}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer).err().map(|error| error.kind());
    assert_eq!(fixture.operator().request("DELETE", "/_emulator/faults", b"").status, 204);
    (String::from_utf8(answer).unwrap(), end)
}

#[test]
fn answers_are_spoilt_as_asked() {
    let fixture = Fixture::new();
    let silent = Some(ErrorKind::WouldBlock);
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
        (json!({ "action": "reset" }), "", "", Some(ErrorKind::ConnectionReset)),
        (json!({ "action": "no_content" }), "HTTP/1.1 204 ", "\r\n\r\n", silent),
        (json!({ "action": "redirect" }), "HTTP/1.1 307 ", "\r\n\r\n", silent),
        (json!({ "action": "text" }), "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n", "</html>", silent),
    ];
    for (fault, begin, end, how) in cases {
        let (answer, ended) = exchange(&fixture, &fault);
        assert!(answer.starts_with(begin) && answer.ends_with(end), "{fault}: {answer:?}");
        assert_eq!(ended, how, "{fault}");
    }
}
