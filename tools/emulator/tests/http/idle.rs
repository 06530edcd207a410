//! Connections that the server closes because they have nothing to do.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use p11rest_emulator::{Ending, Idle};
use rustls::version::TLS13;
use serde_json::json;

use crate::client::{Fixture, tls_config, tls_stream};

const REQUEST: &[u8] = b"GET /_emulator/stats HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn fixture(limit: Duration, ending: Ending, tls: bool) -> Fixture {
    Fixture::with(|options| {
        options.idle = Some(Idle { limit, ending });
        options.tls = tls;
    })
}

fn connect(fixture: &Fixture) -> TcpStream {
    let stream = TcpStream::connect(fixture.url().strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// How the connection ends that one request was made on.
fn end(mut stream: impl Read + Write) -> Option<ErrorKind> {
    stream.write_all(REQUEST).unwrap();
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer).err().map(|error| error.kind());
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    end
}

#[test]
fn idle_connections_end_as_asked() {
    let limit = Duration::from_millis(300);
    for (ending, how) in [(Ending::Fin, None), (Ending::Reset, Some(ErrorKind::ConnectionReset))] {
        let fixture = fixture(limit, ending, false);
        let stream = connect(&fixture);
        let begin = Instant::now();
        assert_eq!(end(stream), how, "{ending:?}");
        assert!(begin.elapsed() >= limit, "{ending:?}");
    }
}

#[test]
fn idle_tls_connections_end_with_or_without_close_notify() {
    for (ending, how) in [
        (Ending::Fin, None),
        (Ending::Silent, Some(ErrorKind::UnexpectedEof)),
        (Ending::Reset, Some(ErrorKind::ConnectionReset)),
    ] {
        let fixture = fixture(Duration::from_millis(100), ending, true);
        let config = tls_config(&fixture.dir.join("ca.pem"), &[&TLS13]);
        assert_eq!(end(tls_stream(fixture.url(), "localhost", &config)), how, "{ending:?}");
    }
}

#[test]
fn a_request_in_progress_is_not_idle() {
    let fixture = fixture(Duration::from_millis(100), Ending::Reset, false);
    let fault = json!({ "action": "stall", "ms": 500 });
    assert_eq!(fixture.operator().post("/_emulator/faults", &fault).status, 201);
    assert_eq!(fixture.operator().get("/v1/generateRandom/8").status, 200);
}

#[test]
fn neither_is_half_a_head_nor_a_connection_without_a_request() {
    let limit = Duration::from_secs(2);
    let fixture = fixture(limit, Ending::Reset, false);
    let (mut fresh, mut halved) = (connect(&fixture), connect(&fixture));
    let mut answer = [0; 4096];
    halved.write_all(REQUEST).unwrap();
    assert_ne!(halved.read(&mut answer).unwrap(), 0);
    halved.write_all(&REQUEST[..20]).unwrap();
    sleep(limit + Duration::from_secs(1));
    halved.write_all(&REQUEST[20..]).unwrap();
    assert_ne!(halved.read(&mut answer).unwrap(), 0);
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    fresh.write_all(REQUEST).unwrap();
    assert_ne!(fresh.read(&mut answer).unwrap(), 0);
}
