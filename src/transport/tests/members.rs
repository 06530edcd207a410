//! Several members, several requests, and what is tried again.

use super::server::nobody;
use super::*;

const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";

#[test]
fn a_member_that_refuses_is_replaced_whatever_the_class() {
    for class in [Class::Repeatable, Class::OnceOnly, Class::NeverTwice] {
        let server = Server::saying(OK);
        for groups in [vec![vec![nobody(), server.url()]], vec![vec![nobody()], vec![server.url()]]] {
            let cluster = cluster_of(&groups, POOL);
            for _ in 0..4 {
                assert_eq!(body(post(&cluster, class, soon())), "ok");
            }
        }
        assert_eq!(server.requests().len(), 8);
    }
}

#[test]
fn a_member_that_came_back_is_found_again() {
    let (first, second) = (nobody(), Server::saying(OK));
    let cluster = cluster_of(&[vec![first.clone()], vec![second.url()]], POOL);
    body(post(&cluster, Class::OnceOnly, soon()));
    let listener = std::net::TcpListener::bind(("127.0.0.1", first.port)).unwrap();
    body(post(&cluster, Class::OnceOnly, soon())); // still avoided
    assert_eq!(second.requests().len(), 2);
    std::thread::sleep(Duration::from_millis(300));
    let probe = post(&cluster, Class::OnceOnly, Deadline::after(Duration::from_millis(50)));
    assert_eq!(probe.unwrap_err().kind, ErrorKind::Timeout); // nobody accepts, but it is connected
    drop(listener);
    assert_eq!(second.requests().len(), 2);
}

#[test]
fn the_error_names_every_member_that_failed() {
    let (first, second) = (nobody(), nobody());
    let cluster = cluster_of(&[vec![first.clone()], vec![second.clone()]], POOL);
    for _ in 0..2 {
        let error = post(&cluster, Class::Repeatable, soon()).unwrap_err();
        assert_eq!((error.kind, error.sent), (ErrorKind::Connect, false));
        for port in [first.port, second.port] {
            assert!(
                error.context.contains(&format!("http://127.0.0.1:{port}: connecting")),
                "{}",
                error.context
            );
        }
    }
}

#[test]
fn no_members_are_no_connection() {
    let error = post(&cluster_of(&[], POOL), Class::Repeatable, soon()).unwrap_err();
    assert_eq!((error.kind, error.sent), (ErrorKind::Connect, false));
}

#[test]
fn members_of_a_group_share_the_load_and_later_groups_get_none() {
    let servers: Vec<_> = (0..3).map(|_| Server::saying(OK)).collect();
    let groups = [vec![servers[0].url(), servers[1].url()], vec![servers[2].url()]];
    let cluster = cluster_of(&groups, POOL);
    for _ in 0..10 {
        body(post(&cluster, Class::OnceOnly, soon()));
    }
    let counts: Vec<_> = servers.iter().map(|server| server.requests().len()).collect();
    assert_eq!(counts, [5, 5, 0]);
}

#[test]
fn a_full_member_hands_over_to_its_group_but_not_to_the_next_one() {
    let slow = || Server::start(|_| vec![Act::Pause(Duration::from_millis(150)), Act::Send(OK.to_vec())]);
    let (first, second, other) = (slow(), slow(), Server::saying(OK));
    let groups = [vec![first.url(), second.url()], vec![other.url()]];
    let cluster = cluster_of(&groups, config::Pool { max: 1, ..POOL });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| body(post(&cluster, Class::OnceOnly, soon())));
        }
    });
    let counts = [&first, &second, &other].map(|server| server.requests().len());
    assert_eq!(counts, [2, 2, 0]);
}

#[test]
fn what_broke_at_one_member_is_repeated_at_another() {
    let bad = Server::start(|_| vec![Act::Fin]);
    let good = Server::saying(OK);
    let cluster = cluster_of(&[vec![bad.url(), good.url()]], POOL);
    assert_eq!(body(post(&cluster, Class::Repeatable, soon())), "ok");
    assert_eq!((bad.requests().len(), good.requests().len()), (1, 1));
}

#[test]
fn a_busy_server_is_asked_again_where_that_is_harmless() {
    for status in
        ["429 Too Many Requests", "502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout"]
    {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes();
        let server = Server::start(move |got| match got.turn % 3 {
            0 | 1 => vec![Act::Send(answer.clone())],
            _ => vec![Act::Send(OK.to_vec())],
        });
        let cluster = cluster(&server);
        assert_eq!(body(post(&cluster, Class::Repeatable, soon())), "ok");
        assert_eq!(server.requests().len(), 3);
        for class in [Class::OnceOnly, Class::NeverTwice] {
            assert_ne!(post(&cluster, class, soon()).unwrap().status, 200);
        }
        assert_eq!(server.requests().len(), 5);
    }
}

#[test]
fn a_server_that_stays_busy_gets_its_answer_through() {
    let server = Server::saying(BUSY);
    let began = Instant::now();
    let response = post(&cluster(&server), Class::Repeatable, soon()).unwrap();
    assert_eq!((response.status, response.body.as_slice()), (503, &b"busy"[..]));
    assert_eq!(server.requests().len(), 7);
    // Pauses of 0.5, 1.5, 4.5, 13.5, 40.5 and 121.5 ms, each at least half of that.
    assert!((Duration::from_millis(91)..SLACK).contains(&began.elapsed()));
}

#[test]
fn retry_after_is_kept_within_the_deadline() {
    let server = Server::start(|got| match got.turn {
        0 => vec![Act::Send(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n".to_vec())],
        _ => vec![Act::Send(OK.to_vec())],
    });
    let cluster = cluster(&server);
    let began = Instant::now();
    let response = post(&cluster, Class::Repeatable, Deadline::after(Duration::from_millis(500))).unwrap();
    assert_eq!((response.status, response.retry_after), (503, Some(Duration::from_secs(1))));
    // Not even a part of the second was waited for.
    assert!(began.elapsed() < Duration::from_secs(1));

    let server = Server::start(|got| match got.turn {
        0 => vec![Act::Send(b"HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n".to_vec())],
        _ => vec![Act::Send(OK.to_vec())],
    });
    let began = Instant::now();
    assert_eq!(body(post(&self::cluster(&server), Class::Repeatable, soon())), "ok");
    let second = Duration::from_secs(1);
    assert!((second..second + SLACK).contains(&began.elapsed()));
}

fn many(cluster: &Cluster, paths: &[String], class: Class, width: usize) -> Vec<Result<Response, Error>> {
    let headers = Headers::default();
    let request = |path| Request { method: Method::Get, path, headers: &headers, body: None, class };
    let requests: Vec<_> = paths.iter().map(|path| request(path.as_str())).collect();
    cluster.call_many(&requests, width, soon())
}

fn paths(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("/{number}")).collect()
}

/// Answers with the path of the request, after a while that differs.
fn echoing() -> Server {
    Server::start(|got| {
        let path = got.text.split(' ').nth(1).unwrap();
        let number: u64 = path[1..].parse().unwrap();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len());
        vec![Act::Pause(Duration::from_millis(20 + number * 7 % 20)), Act::Send(answer.into_bytes())]
    })
}

#[test]
fn many_requests_are_answered_in_order_with_so_many_in_flight() {
    for (width, pool, busiest) in [(1, 8, 1), (4, 8, 4), (5, 2, 2), (0, 8, 1)] {
        let server = echoing();
        let cluster = cluster_of(&[vec![server.url()]], config::Pool { max: pool, ..POOL });
        let paths = paths(20);
        let results = many(&cluster, &paths, Class::Repeatable, width);
        assert_eq!(results.into_iter().map(body).collect::<Vec<_>>(), paths);
        assert_eq!(server.connections(), busiest);
        assert_eq!(server.busiest(), busiest);
    }
}

#[test]
fn one_bad_request_of_many_spoils_no_other() {
    let server = Server::start(|got| match got.text.split(' ').nth(1).unwrap() {
        "/3" => vec![Act::Fin],
        "/5" => vec![Act::Send(b"nonsense".to_vec()), Act::Fin],
        _ => vec![Act::Send(OK.to_vec())],
    });
    let cluster = cluster(&server);
    let mut paths = paths(8);
    paths[6] = "no path".to_owned();
    let results = many(&cluster, &paths, Class::OnceOnly, 3);
    for (number, result) in results.into_iter().enumerate() {
        let error = |result: Result<Response, Error>| result.unwrap_err().kind;
        match number {
            3 => assert_eq!(error(result), ErrorKind::Broken),
            5 => assert_eq!(error(result), ErrorKind::Malformed),
            6 => assert_eq!(error(result), ErrorKind::Header),
            _ => assert_eq!(body(result), "ok"),
        }
    }
    assert_eq!(server.requests().len(), 7);
}

#[test]
fn many_requests_are_repeated_together() {
    let server = Server::start(|got| match got.connection {
        0 => vec![Act::Fin],
        _ if got.turn == 0 => vec![Act::Send(BUSY.to_vec())],
        _ => vec![Act::Send(OK.to_vec())],
    });
    let cluster = cluster_of(&[vec![server.url()]], config::Pool { max: 4, ..POOL });
    let results = many(&cluster, &paths(16), Class::Repeatable, 4);
    assert!(results.into_iter().all(|result| body(result) == "ok"));
}

#[test]
fn many_requests_to_nobody_are_as_many_errors() {
    let cluster = cluster_of(&[vec![nobody()]], POOL);
    let results = many(&cluster, &paths(3), Class::Repeatable, 2);
    assert_eq!(results.len(), 3);
    assert!(results.into_iter().all(|result| result.unwrap_err().kind == ErrorKind::Connect));
}
