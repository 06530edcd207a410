//! A server that says nothing, or too little, holds no call beyond its deadline: in no phase, with TLS or without.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use super::secured::{Authority, trusting};
use super::server::plain_url;
use super::*;

const LIMIT: Duration = Duration::from_millis(300);
/// How long the scripts go on: what holds a call to their end is seen.
const LONG: Duration = Duration::from_secs(4);

/// Makes a call that ends at its deadline without an answer.
fn runs_out(cluster: &Cluster, class: Class, sent: bool, phase: &str) {
    let began = Instant::now();
    let error = post(cluster, class, Deadline::after(LIMIT)).unwrap_err();
    let took = began.elapsed();
    assert_eq!((error.kind, error.sent), (ErrorKind::Timeout, sent), "{phase}: {}", error.context);
    assert!(took >= LIMIT && took < LIMIT + SLACK, "{phase}: {took:?}");
}

/// Passes bytes on between a client and `server`; those from the server end or slow down after `from` bytes.
struct Relay {
    port: u16,
}

#[derive(Clone, Copy)]
enum Then {
    /// No more of them come.
    Silence,
    /// One comes every 20 ms.
    Drip,
}

impl Relay {
    fn before(server: &Server, from: usize, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = server.url().port;
        std::thread::spawn(move || {
            let Ok((client, _)) = listener.accept() else { return };
            let upstream = TcpStream::connect(("127.0.0.1", target)).unwrap();
            let (mut from_client, mut to_server) =
                (client.try_clone().unwrap(), upstream.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
            answer(upstream, client, from, then);
        });
        Self { port }
    }

    fn url(&self) -> config::Url {
        config::Url { tls: true, host: "localhost".to_owned(), ..plain_url(self.port) }
    }
}

fn answer(mut upstream: TcpStream, mut client: TcpStream, from: usize, then: Then) {
    std::io::copy(&mut upstream.try_clone().unwrap().take(from as u64), &mut client).unwrap();
    let began = Instant::now();
    while began.elapsed() < LONG {
        std::thread::sleep(Duration::from_millis(20));
        let mut byte = [0];
        if matches!(then, Then::Drip)
            && (upstream.read_exact(&mut byte).is_err() || client.write_all(&byte).is_err())
        {
            break;
        }
    }
    let _ = upstream.shutdown(Shutdown::Both);
}

#[test]
fn connecting() {
    let deaf = Deaf::new();
    runs_out(&cluster_of(&[vec![deaf.url()]], POOL), Class::Repeatable, false, "connecting");
}

#[test]
fn the_handshake() {
    let authority = Authority::new("slow-handshake");
    let server = authority.serve(|_| vec![Act::Send(OK.to_vec())]);
    // Nothing, a part of the first record, and the whole ServerHello with a part of what follows.
    for from in [0, 3, 200] {
        for then in [Then::Silence, Then::Drip] {
            let url = Relay::before(&server, from, then).url();
            let cluster =
                Cluster::new(&[vec![url]], &authority.trusted(), TIMEOUTS, POOL, &Conventions::default())
                    .unwrap();
            runs_out(&cluster, Class::NeverTwice, false, &format!("handshake after {from} bytes"));
        }
    }
    assert_eq!(server.requests(), []);
}

#[test]
fn the_answer_byte_by_byte() {
    let pieces: [(&str, &[u8], &[u8]); 8] = [
        ("nothing", b"", b""),
        ("in the head", b"HTTP/1.1 200 OK\r\nA: ", b"x"),
        ("interim answers", b"", b"HTTP/1.1 100 Continue\r\nA: b\r\n"),
        ("in the body", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x"),
        ("in a body until the end", b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        ("in a chunk line", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
        ("in chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        ("in trailers", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n"),
    ];
    let authority = Authority::new("slow-answer");
    std::thread::scope(|scope| {
        for (phase, start, piece) in pieces {
            let drip = move |_: &server::Got| {
                let byte = |byte: &u8| vec![Act::Send(vec![*byte]), Act::Pause(Duration::from_millis(20))];
                let count = (LONG.as_millis() / 20) as usize;
                let drops = piece.iter().cycle().take(if piece.is_empty() { 0 } else { count });
                [Act::Send(start.to_vec())]
                    .into_iter()
                    .chain(drops.flat_map(byte))
                    .chain([Act::Hold])
                    .collect()
            };
            let authority = &authority;
            scope.spawn(move || {
                let (plain, secured) = (Server::start(drip), authority.serve(drip));
                runs_out(&cluster(&plain), Class::Repeatable, true, phase);
                runs_out(&trusting(&secured, &authority.trusted()), Class::Repeatable, true, phase);
                assert_eq!((plain.requests().len(), secured.requests().len()), (1, 1));
            });
        }
    });
}

#[test]
fn what_never_ends_but_is_quick_is_refused() {
    let endless: [(&[u8], &[u8], ErrorKind); 4] = [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", ErrorKind::Malformed),
        (b"HTTP/1.1 200 OK\r\n", b"A: 0123456789012345678901234567890123456789\r\n", ErrorKind::TooLarge),
        (b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 4096], ErrorKind::TooLarge),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            b"A: 0123456789012345678901234567890123456789\r\n",
            ErrorKind::TooLarge,
        ),
    ];
    for (start, piece, kind) in endless {
        let server =
            Server::start(move |_| vec![Act::Send(start.to_vec()), Act::Send(piece.repeat(4096)), Act::Hold]);
        let error = post(&cluster(&server), Class::Repeatable, soon()).unwrap_err();
        assert_eq!((error.kind, error.sent), (kind, true), "{}", error.context);
    }
}

#[test]
fn the_request() {
    let authority = Authority::new("slow-request");
    let server = authority.serve(|_| vec![Act::Send(OK.to_vec())]);
    // TLS is through, and then nobody reads: the buffers between fill up.
    let relay = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = relay.local_addr().unwrap().port();
    let target = server.url().port;
    std::thread::spawn(move || {
        let (mut client, _) = relay.accept().unwrap();
        let mut upstream = TcpStream::connect(("127.0.0.1", target)).unwrap();
        let (mut back, mut to_client) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut back, &mut to_client));
        let mut portion = [0; 4096];
        let mut passed = 0;
        while passed < 8192 {
            let count = client.read(&mut portion).unwrap();
            upstream.write_all(&portion[..count]).unwrap();
            passed += count;
        }
        std::thread::sleep(LONG);
    });
    let url = config::Url { tls: true, host: "localhost".to_owned(), ..plain_url(port) };
    let cluster =
        Cluster::new(&[vec![url]], &authority.trusted(), TIMEOUTS, POOL, &Conventions::default()).unwrap();
    let large = vec![b'x'; 16 << 20];
    let (began, limit) = (Instant::now(), Duration::from_secs(1));
    let error = upload(&cluster, Class::Repeatable, &large, Deadline::after(limit)).unwrap_err();
    assert_eq!((error.kind, error.sent), (ErrorKind::Timeout, true), "{}", error.context);
    assert!(began.elapsed() < limit + SLACK, "{:?}", began.elapsed());
}

#[test]
fn a_host_that_takes_nothing_in_is_given_up_before_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let cluster = cluster_of(&[vec![plain_url(listener.local_addr().unwrap().port())]], POOL);
    let large = vec![0; 16 << 20];
    let error =
        upload(&cluster, Class::OnceOnly, &large, Deadline::after(Duration::from_secs(20))).unwrap_err();
    assert_eq!((error.kind, error.sent), (ErrorKind::Broken, true), "{}", error.context);
}
