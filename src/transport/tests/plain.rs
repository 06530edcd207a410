//! Lanes and their pool, without TLS.

use super::*;

#[test]
fn a_thousand_calls_go_over_one_connection() {
    let server = Server::saying(OK);
    let cluster = cluster(&server);
    for _ in 0..1000 {
        assert_eq!(body(post(&cluster, Class::NeverTwice, soon())), "ok");
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(server.requests().len(), 1000);
}

#[test]
fn the_request_on_the_wire() {
    let server = Server::saying(OK);
    let url = config::Url { path: "/tsb".to_owned(), ..server.url() };
    let port = url.port;
    let agent = Conventions { headers: &[("User-Agent", "p11rest")], ..Conventions::default() };
    let cluster = Cluster::new(&[vec![url]], &config::Tls::default(), TIMEOUTS, POOL, &agent).unwrap();
    let mut headers = Headers::default();
    headers.add("X-API-KEY", "k").unwrap();
    let mut request = Request {
        method: Method::Post,
        path: "/v1/sign?x=%20",
        headers: &headers,
        body: Some(b"[1]"),
        class: Class::OnceOnly,
    };
    cluster.call(&request, soon()).unwrap();
    request.body = None;
    request.method = Method::Delete;
    cluster.call(&request, soon()).unwrap();
    let texts: Vec<_> = server.requests().into_iter().map(|got| got.text).collect();
    let common = format!(
        "/tsb/v1/sign?x=%20 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: p11rest\r\nX-API-KEY: k\r\n"
    );
    assert_eq!(texts[0], format!("POST {common}Content-Length: 3\r\n\r\n[1]"));
    assert_eq!(texts[1], format!("DELETE {common}\r\n"));
}

#[test]
fn a_path_that_would_end_the_request_line_is_refused() {
    let server = Server::saying(OK);
    let cluster = cluster(&server);
    let headers = Headers::default();
    for path in ["", "v1", "/a b", "/a\r\nX: y", "/ä"] {
        let request =
            Request { method: Method::Get, path, headers: &headers, body: None, class: Class::Repeatable };
        let error = cluster.call(&request, soon()).unwrap_err();
        assert_eq!((error.kind, error.sent), (ErrorKind::Header, false), "{path:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_large_body_arrives_whole() {
    let server = Server::saying(OK);
    let cluster = cluster(&server);
    let large = vec![b'x'; 3_000_000];
    assert_eq!(body(upload(&cluster, Class::OnceOnly, &large, soon())), "ok");
    let text = &server.requests()[0].text;
    assert_eq!(text.split_once("\r\n\r\n").unwrap().1.len(), large.len());
}

#[test]
fn an_idle_connection_that_the_server_closed_is_noticed_before_the_request() {
    for reset in [false, true] {
        let server =
            Server::start(move |_| vec![Act::Send(OK.to_vec()), if reset { Act::Reset } else { Act::Fin }]);
        let cluster = cluster(&server);
        for _ in 0..3 {
            assert_eq!(body(post(&cluster, Class::NeverTwice, soon())), "ok");
            settle();
        }
        assert_eq!(server.connections(), 3);
        assert_eq!(server.requests().len(), 3);
    }
}

#[test]
fn an_idle_connection_on_which_something_came_is_dropped() {
    let server = Server::start(|_| {
        vec![Act::Send(OK.to_vec()), Act::Pause(Duration::from_millis(5)), Act::Send(OK.to_vec())]
    });
    let cluster = cluster(&server);
    body(post(&cluster, Class::Repeatable, soon()));
    settle();
    body(post(&cluster, Class::Repeatable, soon()));
    assert_eq!(server.connections(), 2);
}

/// The first answer of each connection comes; on the second request it is closed without a word.
fn closes_late() -> Server {
    Server::start(|got| match got.turn {
        0 => vec![Act::Send(OK.to_vec())],
        _ => vec![Act::Fin],
    })
}

#[test]
fn a_reused_connection_that_dies_is_replaced_if_the_call_may_be_repeated() {
    let server = closes_late();
    let cluster = cluster(&server);
    body(post(&cluster, Class::Repeatable, soon()));
    body(post(&cluster, Class::Repeatable, soon()));
    let turns: Vec<_> = server.requests().iter().map(|got| (got.connection, got.turn)).collect();
    assert_eq!(turns, [(0, 0), (0, 1), (1, 0)]);
}

#[test]
fn what_must_not_be_repeated_is_sent_once() {
    for class in [Class::OnceOnly, Class::NeverTwice] {
        let server = closes_late();
        let cluster = cluster(&server);
        body(post(&cluster, class, soon()));
        let error = post(&cluster, class, soon()).unwrap_err();
        assert_eq!((error.kind, error.sent), (ErrorKind::Broken, true));
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn what_must_not_be_repeated_goes_on_a_proven_connection() {
    let server = Server::saying(OK);
    let cluster = cluster(&server);
    body(post(&cluster, Class::OnceOnly, soon()));
    std::thread::sleep(Duration::from_millis(1050));
    body(post(&cluster, Class::Repeatable, soon()));
    assert_eq!(server.connections(), 1);
    std::thread::sleep(Duration::from_millis(1050));
    body(post(&cluster, Class::OnceOnly, soon()));
    assert_eq!(server.connections(), 2);
}

#[test]
fn the_deadline_holds_in_every_phase() {
    let limit = Duration::from_millis(150);
    let tick = || vec![Act::Send(b"1".to_vec()), Act::Pause(Duration::from_millis(20))];
    let starts: [&[u8]; 3] =
        [b"", b"HTTP/1.1 200 OK\r\nContent-", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf"];
    for (start, trickle) in starts.into_iter().flat_map(|start| [(start, false), (start, true)]) {
        if start.is_empty() && trickle {
            continue;
        }
        let server = Server::start(move |_| {
            let mut acts = vec![Act::Send(start.to_vec())];
            if trickle {
                // For longer than the slack: what counts is the whole, not the single wait.
                acts.extend((0..200).flat_map(|_| tick()));
            }
            acts.push(Act::Hold);
            acts
        });
        let cluster = cluster(&server);
        let began = Instant::now();
        let error = post(&cluster, Class::Repeatable, Deadline::after(limit)).unwrap_err();
        let took = began.elapsed();
        assert_eq!((error.kind, error.sent), (ErrorKind::Timeout, true), "{}", error.context);
        assert!(took >= limit && took < limit + SLACK, "{took:?}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn a_server_that_does_not_read_cannot_hold_a_send_beyond_the_deadline() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = config::Url { tls: false, host: "127.0.0.1".to_owned(), port, path: String::new() };
    let cluster = cluster_of(&[vec![url]], POOL);
    // More than both kernels' buffers hold.
    let large = vec![0; 16 << 20];
    let began = Instant::now();
    let error =
        upload(&cluster, Class::Repeatable, &large, Deadline::after(Duration::from_secs(1))).unwrap_err();
    assert_eq!((error.kind, error.sent), (ErrorKind::Timeout, true), "{}", error.context);
    assert!(began.elapsed() < Duration::from_secs(1) + SLACK);
}

#[test]
fn a_slow_answer_outlives_the_short_deadline_of_an_earlier_call() {
    let server = Server::start(|got| match got.turn {
        0 => vec![Act::Send(OK.to_vec())],
        _ => vec![Act::Pause(Duration::from_millis(2500)), Act::Send(OK.to_vec())],
    });
    let cluster = cluster(&server);
    body(post(&cluster, Class::OnceOnly, Deadline::after(Duration::from_secs(2))));
    body(post(&cluster, Class::OnceOnly, soon()));
    assert_eq!(server.connections(), 1);
}

#[test]
fn callers_wait_for_a_lane_until_their_deadline() {
    let server = Server::start(|_| vec![Act::Pause(Duration::from_millis(200)), Act::Send(OK.to_vec())]);
    let cluster = cluster_of(&[vec![server.url()]], config::Pool { max: 1, ..POOL });
    std::thread::scope(|scope| {
        scope.spawn(|| body(post(&cluster, Class::OnceOnly, soon())));
        settle();
        let late = post(&cluster, Class::OnceOnly, Deadline::after(Duration::from_millis(50))).unwrap_err();
        assert_eq!((late.kind, late.sent), (ErrorKind::PoolExhausted, false));
        body(post(&cluster, Class::OnceOnly, soon()));
    });
    assert_eq!(server.connections(), 1);
}

#[test]
fn many_threads_share_few_connections() {
    let server = Server::saying(OK);
    let cluster = cluster_of(&[vec![server.url()]], config::Pool { max: 3, ..POOL });
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                (0..50).for_each(|_| assert_eq!(body(post(&cluster, Class::NeverTwice, soon())), "ok"))
            });
        }
    });
    assert_eq!(server.requests().len(), 600);
    assert!(server.connections() <= 3);
}

#[test]
fn old_idle_lanes_are_closed_by_the_next_caller() {
    let server = Server::start(|_| vec![Act::Pause(Duration::from_millis(30)), Act::Send(OK.to_vec())]);
    let pool = config::Pool { idle: Duration::from_millis(300), ..POOL };
    let cluster = cluster_of(&[vec![server.url()]], pool);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| body(post(&cluster, Class::Repeatable, soon())));
        }
    });
    assert_eq!(server.connections(), 4);
    std::thread::sleep(Duration::from_millis(320));
    body(post(&cluster, Class::Repeatable, soon()));
    settle();
    assert_eq!((server.connections(), server.ended()), (5, 4));
}

#[test]
fn close_lets_calls_in_flight_finish_and_refuses_new_ones() {
    let server = Server::start(|_| vec![Act::Pause(Duration::from_millis(150)), Act::Send(OK.to_vec())]);
    let cluster = cluster_of(&[vec![server.url()]], config::Pool { max: 2, ..POOL });
    std::thread::scope(|scope| {
        let flying = scope.spawn(|| post(&cluster, Class::OnceOnly, soon()));
        body(post(&cluster, Class::OnceOnly, soon()));
        let flying_too = scope.spawn(|| post(&cluster, Class::OnceOnly, soon()));
        let third = scope.spawn(|| post(&cluster, Class::OnceOnly, soon()));
        settle();
        let waiting = scope.spawn(|| post(&cluster, Class::OnceOnly, soon()));
        settle();
        cluster.close();
        let error = post(&cluster, Class::OnceOnly, soon()).unwrap_err();
        assert_eq!((error.kind, error.sent), (ErrorKind::Closed, false));
        assert_eq!(waiting.join().unwrap().unwrap_err().kind, ErrorKind::Closed);
        for call in [flying, flying_too, third] {
            assert_eq!(body(call.join().unwrap()), "ok");
        }
    });
    settle();
    assert_eq!(server.ended(), server.connections());
}

#[test]
fn a_deadline_beyond_all_clocks_is_none() {
    let server = Server::saying(OK);
    assert_eq!(body(post(&cluster(&server), Class::OnceOnly, Deadline::after(Duration::MAX))), "ok");
}
