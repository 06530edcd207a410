//! Answers of all kinds, good and bad.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::secured::{Authority, trusting};
use super::server::plain_url;
use super::*;

/// Sends `answer`, then closes.
fn answering(answer: Vec<u8>) -> Server {
    Server::start(move |_| vec![Act::Send(answer.clone()), Act::Fin])
}

#[test]
fn good_answers() {
    let cases: [(&str, u16, &str); 10] = [
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nWiki\r\n5\r\npedia\r\n0\r\nA: b\r\n\r\n",
            200,
            "Wikipedia",
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 1\r\n\r\nx",
            201,
            "x",
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", 204, ""),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", 204, ""),
        ("HTTP/1.1 307 There\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 2\r\n\r\ngo", 307, "go"),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304, ""),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end"),
        ("HTTP/1.0 404 Not Found\r\nContent-Length: 2\r\n\r\nno", 404, "no"),
        ("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", 302, ""),
    ];
    for (answer, status, body) in cases {
        let server = answering(answer.as_bytes().to_vec());
        let response = post(&cluster(&server), Class::OnceOnly, soon()).unwrap();
        assert_eq!(response.status, status);
        assert_eq!(response.body.as_slice(), body.as_bytes());
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn a_connection_is_kept_only_where_the_answer_allows_it() {
    let cases = [
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 1),
        ("HTTP/1.1 204 No Content\r\n\r\n", 1),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x, Close\r\n\r\nok", 2),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 2),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1", 2),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", 2),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", 2),
    ];
    for (answer, connections) in cases {
        let server = Server::saying(answer.as_bytes());
        let cluster = cluster(&server);
        post(&cluster, Class::OnceOnly, soon()).unwrap();
        settle();
        post(&cluster, Class::OnceOnly, soon()).unwrap();
        assert_eq!(server.connections(), connections, "{answer}");
    }
}

#[test]
fn a_broken_connection_is_survived_by_what_may_be_repeated_alone() {
    let starts = [
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nWiki\r\n0\r\n",
    ];
    for (start, reset) in starts.into_iter().flat_map(|start| [(start, false), (start, true)]) {
        for (class, times) in [(Class::Repeatable, 3), (Class::OnceOnly, 1), (Class::NeverTwice, 1)] {
            let server = Server::start(move |_| {
                vec![Act::Send(start.into()), if reset { Act::Reset } else { Act::Fin }]
            });
            let error = post(&cluster(&server), class, soon()).unwrap_err();
            assert_eq!((error.kind, error.sent), (ErrorKind::Broken, true), "{}", error.context);
            assert_eq!(server.requests().len(), times);
            assert_eq!(server.connections(), times);
        }
    }
}

#[test]
fn a_broken_answer_is_followed_by_a_whole_one() {
    let server = Server::start(|got| match got.connection {
        0 => vec![Act::Send(b"HTTP/1.1 200".to_vec()), Act::Fin],
        _ => vec![Act::Send(OK.to_vec())],
    });
    assert_eq!(body(post(&cluster(&server), Class::Repeatable, soon())), "ok");
}

#[test]
fn bad_answers_are_refused_and_not_asked_for_again() {
    let large = |count| "x".repeat(count);
    let cases = [
        ("SSH-2.0-OpenSSH_9.7\r\n".to_owned(), ErrorKind::Malformed),
        (
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f?\x08".to_owned(),
            ErrorKind::Malformed,
        ),
        ("HTTP/2.0 200 OK\r\n\r\n".to_owned(), ErrorKind::Malformed),
        (format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", large(65 << 10)), ErrorKind::TooLarge),
        (format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(97)), ErrorKind::TooLarge),
        ("HTTP/1.1 200 OK\r\nContent-Length: 8388609\r\n\r\n".to_owned(), ErrorKind::TooLarge),
        (format!("HTTP/1.1 200 OK\r\n\r\n{}", large((8 << 20) + 1)), ErrorKind::TooLarge),
        (
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n800000\r\n{}\r\n1\r\nx\r\n",
                large(8 << 20)
            ),
            ErrorKind::TooLarge,
        ),
    ];
    for (answer, kind) in cases {
        let server = answering(answer.into_bytes());
        let error = post(&cluster(&server), Class::Repeatable, soon()).unwrap_err();
        assert_eq!((error.kind, error.sent), (kind, true), "{}", error.context);
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn the_largest_body_is_read() {
    let body = "x".repeat(8 << 20);
    for answer in [
        format!("HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n{body}"),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n800000\r\n{body}\r\n0\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n\r\n{body}"),
    ] {
        let server = answering(answer.into_bytes());
        let response = post(&cluster(&server), Class::OnceOnly, soon()).unwrap();
        assert!(response.body.as_slice() == body.as_bytes());
    }
}

#[test]
fn a_broken_off_answer_over_tls_is_never_taken_for_a_whole_one() {
    let authority = Authority::new("truncated");
    let starts = [
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nWiki\r\n0\r\n",
        "HTTP/1.1 200 OK\r\n\r\nwithout a length",
    ];
    for start in starts {
        for ending in [|| Act::Fin, || Act::Reset, || Act::Goodbye] {
            // Only a farewell tells that an answer without a length is whole.
            let whole = start.ends_with("length") && matches!(ending(), Act::Goodbye);
            let server = authority.serve(move |_| vec![Act::Send(start.into()), ending()]);
            let outcome = post(&trusting(&server, &authority.trusted()), Class::OnceOnly, soon());
            match outcome {
                Ok(response) => assert!(whole && response.status == 200, "{start:?}"),
                Err(error) => {
                    assert!(!whole, "{}", error.context);
                    assert_eq!((error.kind, error.sent), (ErrorKind::Broken, true), "{}", error.context);
                }
            }
            assert_eq!(server.requests().len(), 1);
        }
    }
}

#[test]
fn an_answer_that_came_before_the_request_was_whole_is_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let cluster = cluster_of(&[vec![plain_url(listener.local_addr().unwrap().port())]], POOL);
    let early = std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        tcp.read_exact(&mut [0; 1000]).unwrap();
        tcp.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno").unwrap();
        settle();
        // Ends with a reset, since what came was not read.
    });
    let large = vec![b'x'; 16 << 20];
    let response = upload(&cluster, Class::NeverTwice, &large, soon()).unwrap();
    assert_eq!((response.status, response.body.as_slice()), (413, &b"no"[..]));
    early.join().unwrap();
}
