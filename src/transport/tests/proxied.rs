//! Through proxies and over HTTP/2: the same promises as those of the lanes.

use std::net::TcpListener;

use tempfile::NamedTempFile;

use super::http2::{Fate, Http2};
use super::proxy::Proxy;
use super::secured::Authority;
use super::server::nobody;
use super::*;

/// `Aladdin` and `open sesame` (RFC 7617 section 2).
const BASIC: &str = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
const LOGIN: &str = "user = \"Aladdin\"\npassword = \"open sesame\"\n";

/// Every class.
const CLASSES: [Class; 3] = [Class::Repeatable, Class::OnceOnly, Class::NeverTwice];

/// A transport as the configuration has it: one group of members, and more lines for the slot.
fn configured(members: &[config::Url], lines: &str) -> Box<dyn Transport> {
    let urls: Vec<_> = members.iter().map(|url| format!("\"{url}\"")).collect();
    let file = NamedTempFile::new().unwrap(); // nobody else may read it
    let slot = "[[slot]]\nlabel = \"a\"\nbackend = \"securosys\"";
    let text = format!("version = 1\n{slot}\nurls = [{}]\n{lines}", urls.join(", "));
    std::fs::write(file.path(), text).unwrap();
    let process = config::Process::with_environment(false, []);
    let config = config::load(Some(file.path()), &process).unwrap();
    let token = config.slots[0].token.as_ref().unwrap();
    assert!(token.needs_thread());
    let headers = &[("Accept", "application/json")];
    super::super::open(token, &Conventions { headers, ..Conventions::default() }).unwrap()
}

fn through(proxy: &Proxy, login: &str, members: &[config::Url]) -> Box<dyn Transport> {
    configured(members, &format!("[slot.proxy]\nurl = \"{}\"\n{login}", proxy.url()))
}

fn secured(authority: &Authority, proxy: &Proxy, member: config::Url) -> Box<dyn Transport> {
    let ca = authority.folder.join("ca.pem");
    let tls = format!("[slot.tls]\nca = \"{}\"", ca.display());
    configured(&[member], &format!("{tls}\n[slot.proxy]\nurl = \"{}\"\n{LOGIN}", proxy.url()))
}

fn over_http2(authority: &Authority, member: config::Url) -> Box<dyn Transport> {
    let ca = authority.folder.join("ca.pem");
    configured(&[member], &format!("http2 = true\n[slot.tls]\nca = \"{}\"", ca.display()))
}

/// Both kinds, for the user of [`LOGIN`].
fn proxies() -> [Proxy; 2] {
    [Proxy::http(Some(BASIC)), Proxy::socks(Some(("Aladdin", "open sesame")))]
}

#[test]
fn proxies_pass_plain_requests_on_for_users_they_know() {
    for proxy in proxies() {
        let server = Server::saying(OK);
        let transport = through(&proxy, LOGIN, &[server.url()]);
        for class in CLASSES {
            for _ in 0..3 {
                assert_eq!(body(post(&*transport, class, soon())), "ok");
            }
        }
        assert_eq!(server.requests().len(), 9);
        let text = server.requests()[0].text.to_ascii_lowercase();
        let (head, sent) = text.split_once("\r\n\r\n").unwrap();
        let host = format!("host: 127.0.0.1:{}", server.url().port);
        for line in ["post /do http/1.1", "accept: application/json", "content-length: 2", host.as_str()] {
            assert!(head.lines().any(|is| is == line), "{line} is not in {head}");
        }
        assert_eq!((head.lines().count(), sent), (4, "{}"), "{head}");
        // A connection for what may be repeated, one for the rest.
        assert_eq!(server.connections(), 2);
    }
}

#[test]
fn proxies_pass_tls_on_unread() {
    for proxy in proxies() {
        let authority = Authority::new(&format!("tunnel-{}", proxy.port()));
        let server = authority.serve(|_| vec![Act::Send(OK.to_vec())]);
        let transport = secured(&authority, &proxy, server.url());
        for _ in 0..3 {
            assert_eq!(body(post(&*transport, Class::NeverTwice, soon())), "ok");
        }
        assert_eq!((server.connections(), proxy.asked().len()), (1, 1));
        let target = format!("localhost:{}", server.url().port);
        assert!(proxy.asked()[0].contains(&target), "{:?}", proxy.asked());
    }
}

#[test]
fn users_and_passwords_arrive_as_they_are() {
    let server = Server::saying(OK);
    let proxy = Proxy::socks(Some(("me%20", "a%41:@/ü")));
    let login = "user = \"me%20\"\npassword = \"a%41:@/ü\"\n";
    assert_eq!(body(post(&*through(&proxy, login, &[server.url()]), Class::OnceOnly, soon())), "ok");
}

#[test]
fn a_proxy_that_refuses_the_user_is_named_and_asked_once() {
    let authority = Authority::new("proxy-user");
    for (proxy, told) in [
        (Proxy::http(Some("Basic another")), 1),
        // It says no before it is asked for anything.
        (Proxy::socks(Some(("Aladdin", "another"))), 0),
    ] {
        let servers = [authority.serve(|_| vec![Act::Send(OK.to_vec())]), Server::saying(OK)];
        let plain = through(&proxy, LOGIN, &[servers[1].url(), nobody()]);
        let secured = secured(&authority, &proxy, servers[0].url());
        for (asked, transport) in [plain, secured].into_iter().enumerate() {
            let error = post(&*transport, Class::NeverTwice, soon()).unwrap_err();
            assert_eq!((error.kind, error.sent), (ErrorKind::Connect, false), "{error}");
            for part in ["the proxy does not accept the user", "slot.proxy.password", proxy.url().as_str()] {
                assert!(error.context.contains(part), "{error}");
            }
            assert!(!error.context.contains("sesame"));
            assert_eq!(proxy.asked().len(), told * (asked + 1));
        }
        assert!(servers.iter().all(|server| server.connections() == 0));
    }
}

#[test]
fn a_password_that_changed_is_read_anew_after_a_refusal() {
    let (proxy, server) = (Proxy::http(Some(BASIC)), Server::saying(OK));
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "shut").unwrap();
    let login = format!("user = \"Aladdin\"\npassword = \"file:{}\"\n", file.path().display());
    let transport = through(&proxy, &login, &[server.url()]);
    assert_eq!(post(&*transport, Class::OnceOnly, soon()).unwrap_err().kind, ErrorKind::Connect);
    std::fs::write(file.path(), "open sesame\n").unwrap();
    assert_eq!(body(post(&*transport, Class::OnceOnly, soon())), "ok");
    std::fs::remove_file(file.path()).unwrap();
    // The other client is still to be made.
    let error = post(&*transport, Class::Repeatable, soon()).unwrap_err();
    assert!(error.context.contains("the password of the proxy"), "{error}");
}

#[test]
fn a_407_of_the_hsm_is_an_answer() {
    let server = Server::saying(b"HTTP/1.1 407 Odd\r\nContent-Length: 0\r\n\r\n");
    let transport = through(&Proxy::socks(None), "", &[server.url()]);
    assert_eq!(post(&*transport, Class::NeverTwice, soon()).unwrap().status, 407);
}

#[test]
fn a_dead_proxy_and_dead_members_are_told() {
    let server = Server::saying(OK);
    let dead = format!("[slot.proxy]\nurl = \"http://127.0.0.1:{}\"", nobody().port);
    let error = post(&*configured(&[server.url()], &dead), Class::Repeatable, soon()).unwrap_err();
    assert_eq!((error.kind, error.sent), (ErrorKind::Connect, false), "{error}");
    assert!(error.context.contains("through http://127.0.0.1:"), "{error}");
    assert!(error.context.contains("Connection refused"), "{error}");
    assert_eq!(server.connections(), 0);
    let authority = Authority::new("dead-member");
    let gone = config::Url { tls: true, host: "localhost".to_owned(), ..nobody() };
    for proxy in proxies() {
        let error = post(&*secured(&authority, &proxy, gone.clone()), Class::NeverTwice, soon());
        let error = error.unwrap_err();
        assert_eq!((error.kind, error.sent), (ErrorKind::Connect, false), "{error}");
    }
    let name = config::Url { host: "nobody.invalid".to_owned(), ..server.url() };
    let error = post(&*over_http2(&authority, config::Url { tls: true, ..name }), Class::OnceOnly, soon());
    let error = error.unwrap_err();
    assert_eq!((error.kind, error.sent), (ErrorKind::Name, false), "{error}");
}

#[test]
fn the_next_member_takes_what_was_not_sent() {
    let (proxy, server) = (Proxy::socks(None), Server::saying(OK));
    for class in CLASSES {
        let transport = through(&proxy, "", &[nobody(), server.url()]);
        for _ in 0..4 {
            assert_eq!(body(post(&*transport, class, soon())), "ok");
        }
    }
    assert_eq!(server.requests().len(), 12);
    let dead = [nobody(), nobody()];
    let error = post(&*through(&proxy, "", &dead), Class::Repeatable, soon()).unwrap_err();
    assert!(dead.iter().all(|url| error.context.contains(&format!(":{} through", url.port))), "{error}");
}

#[test]
fn the_deadline_holds_wherever_it_is_silent() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let held = Server::start(|_| vec![Act::Hold]);
    let half = Server::start(|_| {
        vec![Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec()), Act::Hold]
    });
    let mute = |scheme: &str| {
        configured(&[held.url()], &format!("[slot.proxy]\nurl = \"{scheme}://127.0.0.1:{port}\""))
    };
    let proxy = Proxy::http(None);
    let limit = Duration::from_millis(300);
    for (transport, sent) in [
        (mute("socks5"), None),
        (mute("http"), None),
        (through(&proxy, "", &[held.url()]), Some(true)),
        (through(&proxy, "", &[half.url()]), Some(true)),
    ] {
        for class in CLASSES {
            let began = Instant::now();
            let error = post(&*transport, class, Deadline::after(limit)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
            assert!(sent.is_none_or(|sent| sent == error.sent), "{error}");
            assert!(began.elapsed() < limit + SLACK);
        }
    }
    assert_eq!((held.requests().len(), half.requests().len()), (3, 3));
}

#[test]
fn what_may_be_sent_once_is_sent_once() {
    let authority = Authority::new("once");
    for proxy in proxies() {
        for end in [|| Act::Fin, || Act::Reset] {
            let server = authority.serve(move |_| vec![end()]);
            let transport = secured(&authority, &proxy, server.url());
            for (class, times) in [(Class::NeverTwice, 1), (Class::OnceOnly, 1), (Class::Repeatable, 3)] {
                let before = server.requests().len();
                let error = post(&*transport, class, soon()).unwrap_err();
                assert_eq!((error.kind, error.sent), (ErrorKind::Broken, true), "{error}");
                assert_eq!(server.requests().len() - before, times, "{class:?}");
            }
        }
    }
}

/// The server's word comes while the connection is idle, or together with the next request.
#[test]
fn idle_connections_that_end_are_no_error() {
    let authority = Authority::new("idle");
    let proxy = Proxy::http(None);
    for end in [|| Act::Fin, || Act::Goodbye] {
        let server = authority.serve(move |_| vec![Act::Send(OK.to_vec()), end()]);
        let transport = secured(&authority, &proxy, server.url());
        for class in CLASSES {
            for _ in 0..4 {
                assert_eq!(body(post(&*transport, class, soon())), "ok");
                settle();
            }
        }
        assert_eq!(server.requests().len(), 12);
    }
}

#[test]
fn busy_answers_are_repeated_by_class() {
    let busy = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";
    for (class, status, times) in [(Class::Repeatable, 200, 2), (Class::NeverTwice, 503, 1)] {
        let server = Server::start(move |got| {
            vec![Act::Send(if got.turn == 0 { busy.to_vec() } else { OK.to_vec() })]
        });
        let transport = through(&Proxy::socks(None), "", &[server.url()]);
        assert_eq!(post(&*transport, class, soon()).unwrap().status, status);
        assert_eq!(server.requests().len(), times);
    }
}

#[test]
fn answers_are_read_as_strictly_as_by_lanes() {
    let with_length = |length: usize, body: &str| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
    };
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, "x".repeat(1 << 20));
    let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(9));
    let long = format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(200_000));
    let redirect = "HTTP/1.1 307 Else\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n";
    let interim = "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Hint\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n";
    let later = "HTTP/1.1 429 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
    let compressed = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc";
    for (answer, outcome) in [
        (with_length(4, "body"), Ok(200)),
        (redirect.into(), Ok(307)),
        (interim.into(), Ok(204)),
        (later.into(), Ok(429)),
        (with_length(8 << 20 | 1, ""), Err(ErrorKind::TooLarge)),
        (chunked.into_bytes(), Err(ErrorKind::TooLarge)),
        (long.into_bytes(), Err(ErrorKind::TooLarge)),
        (compressed.into(), Err(ErrorKind::Malformed)),
        (with_length(9, "half"), Err(ErrorKind::Broken)),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(), Err(ErrorKind::Malformed)),
        (b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n".to_vec(), Err(ErrorKind::Malformed)),
    ] {
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(80)]).into_owned();
        let server = Server::start(move |_| vec![Act::Send(answer.clone()), Act::Fin]);
        let transport = through(&Proxy::socks(None), "", &[server.url()]);
        let result = post(&*transport, Class::NeverTwice, soon());
        if let Ok(response) = &result {
            assert_eq!(response.retry_after.is_some(), response.status == 429);
        }
        let error = result.as_ref().err().map(|error| (error.sent, error.context.clone()));
        assert_eq!(result.map(|response| response.status).map_err(|error| error.kind), outcome, "{shown}");
        assert!(error.is_none_or(|(sent, context)| sent && context.contains("through socks5h://")));
        assert_eq!(server.requests().len(), 1, "{shown}");
    }
}

#[test]
fn large_bodies_pass_both_ways() {
    let server = Server::start(|got| {
        let body = got.text.split_once("\r\n\r\n").unwrap().1;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        vec![Act::Send(head.into_bytes()), Act::Send(body.as_bytes().to_vec())]
    });
    let transport = through(&Proxy::http(None), "", &[server.url()]);
    let sent: Vec<u8> = (0..1_000_000_u32).map(|number| b'a' + (number % 23) as u8).collect();
    let (headers, class) = (Headers::default(), Class::OnceOnly);
    let request = Request { method: Method::Post, path: "/", headers: &headers, body: Some(&sent), class };
    assert!(body(transport.call(&request, soon())).as_bytes() == sent);
}

#[test]
fn paths_arrive_as_they_are_or_not_at_all() {
    let server = Server::saying(OK);
    let base = config::Url { path: "/base".to_owned(), ..server.url() };
    let transport = through(&Proxy::socks(None), "", &[base]);
    let (headers, class) = (Headers::default(), Class::Repeatable);
    let get = |path| {
        let request = Request { method: Method::Get, path, headers: &headers, body: None, class };
        transport.call(&request, soon())
    };
    for path in ["/v1/key/a%2Fb%20c%25", "/v1/key?label=a%26b", "/~x!$&'()*+,;=:@"] {
        get(path).unwrap();
        let text = server.requests().last().unwrap().text.clone();
        assert!(text.starts_with(&format!("GET /base{path} HTTP/1.1\r\n")), "{text}");
    }
    let before = server.requests().len();
    for path in ["/v1/../admin", "/v1/%2e%2E/admin", "/v1/key#x", "/v1\\key", "v1", "/v1 2"] {
        let error = get(path).unwrap_err();
        assert_eq!((error.kind, error.sent), (ErrorKind::Header, false), "{path}: {error}");
    }
    assert_eq!(server.requests().len(), before);
}

#[test]
fn many_requests_fly_at_once_and_come_back_in_order() {
    let server = Server::start(|got| {
        let path = got.text.split(' ').nth(1).unwrap().to_owned();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len());
        vec![Act::Pause(Duration::from_millis(20)), Act::Send(answer.into_bytes())]
    });
    let headers = Headers::default();
    let paths: Vec<_> = (0..24).map(|number| format!("/{number}")).collect();
    let requests: Vec<_> = paths
        .iter()
        .map(|path| Request {
            method: Method::Get,
            path,
            headers: &headers,
            body: None,
            class: Class::Repeatable,
        })
        .collect();
    let login = "[slot.pool]\nmax = 6\n";
    let transport = through(&Proxy::socks(None), login, &[server.url()]);
    for (width, most) in [(4, 4), (32, 6)] {
        let results = transport.call_many(&requests, width, soon());
        let bodies: Vec<_> = results.into_iter().map(body).collect();
        assert_eq!(bodies, paths);
        assert!(server.busiest() <= most && server.busiest() > 1, "{}", server.busiest());
    }
    assert!(transport.call_many(&[], 4, soon()).is_empty());
}

#[test]
fn a_full_member_is_waited_for_until_the_deadline() {
    let server = Server::start(|_| vec![Act::Hold]);
    let transport = through(&Proxy::socks(None), "[slot.pool]\nmax = 1\n", &[server.url()]);
    std::thread::scope(|scope| {
        scope.spawn(|| post(&*transport, Class::OnceOnly, Deadline::after(Duration::from_secs(1))));
        while server.requests().is_empty() {
            settle();
        }
        let error = post(&*transport, Class::OnceOnly, Deadline::after(Duration::from_millis(200)));
        let error = error.unwrap_err();
        assert_eq!((error.kind, error.sent), (ErrorKind::PoolExhausted, false), "{error}");
    });
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_closed_transport_takes_nothing() {
    let server = Server::saying(OK);
    let transport = through(&Proxy::socks(None), "", &[server.url()]);
    body(post(&*transport, Class::Repeatable, soon()));
    transport.close();
    let error = post(&*transport, Class::Repeatable, soon()).unwrap_err();
    assert_eq!((error.kind, error.sent), (ErrorKind::Closed, false), "{error}");
    settle();
    assert_eq!(server.ended(), 1);
}

#[test]
fn certificates_are_judged_behind_a_proxy_too() {
    let (authority, stranger) = (Authority::new("proxied-known"), Authority::new("proxied-stranger"));
    let server = stranger.serve(|_| vec![Act::Send(OK.to_vec())]);
    for proxy in proxies() {
        let error = post(&*secured(&authority, &proxy, server.url()), Class::Repeatable, soon());
        let error = error.unwrap_err();
        assert_eq!((error.kind, error.sent), (ErrorKind::Tls, false), "{error}");
        assert!(error.context.contains("no trusted authority has issued the server's"), "{error}");
    }
    assert_eq!(server.requests(), []);
}

#[test]
fn http2_carries_everything_on_one_connection() {
    let authority = Authority::new("http2");
    let server = Http2::start(authority.server("localhost", rustls::ALL_VERSIONS), Fate::Answer);
    let transport = over_http2(&authority, server.url());
    // Those who come before the first connection is known to be HTTP/2 make one each.
    assert_eq!(body(post(&*transport, Class::Repeatable, soon())), "ok");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert_eq!(body(post(&*transport, Class::Repeatable, soon())), "ok");
                }
            });
        }
    });
    assert_eq!((server.requests(), server.connections()), (41, 1));
    assert_eq!(body(post(&*transport, Class::NeverTwice, soon())), "ok");
    // Through a proxy too, and a server that knows only HTTP/1.1 gets that.
    let ca = authority.folder.join("ca.pem");
    let proxy = Proxy::http(None);
    let old = authority.serve(|_| vec![Act::Send(OK.to_vec())]);
    let lines = format!("http2 = true\ntls.ca = \"{}\"\nproxy.url = \"{}\"", ca.display(), proxy.url());
    for url in [server.url(), old.url()] {
        assert_eq!(body(post(&*configured(&[url], &lines), Class::OnceOnly, soon())), "ok");
    }
    assert_eq!(proxy.asked().len(), 2);
}

/// reqwest would send again what HTTP/2 says was not handled; whether it was is not for it to decide.
#[test]
fn http2_sends_once_what_may_be_sent_once() {
    let authority = Authority::new("http2-once");
    for fate in [Fate::Refuse, Fate::GoAway] {
        let server = Http2::start(authority.server("localhost", rustls::ALL_VERSIONS), fate);
        let transport = over_http2(&authority, server.url());
        for (class, times) in [(Class::NeverTwice, 1), (Class::OnceOnly, 1), (Class::Repeatable, 3)] {
            let before = server.requests();
            let error = post(&*transport, class, soon()).unwrap_err();
            assert_eq!((error.kind, error.sent), (ErrorKind::Broken, true), "{fate:?}: {error}");
            assert_eq!(server.requests() - before, times, "{fate:?} {class:?}");
        }
    }
}

/// The calling thread may have masked signals of its own, and gets them back.
#[test]
fn the_mask_of_the_calling_thread_is_what_it_was() {
    use nix::sys::signal::{SigSet, Signal};
    let mut before = SigSet::thread_get_mask().unwrap();
    before.add(Signal::SIGUSR2);
    before.thread_set_mask().unwrap();
    let server = Server::saying(OK);
    let transport = through(&Proxy::socks(None), "", &[server.url()]);
    body(post(&*transport, Class::OnceOnly, soon()));
    transport.close();
    assert_eq!(SigSet::thread_get_mask().unwrap(), before);
}

#[test]
fn a_silent_member_is_left_for_one_that_is_well_if_the_class_allows() {
    let (silent, well) = (Server::start(|_| vec![Act::Hold]), Server::saying(OK));
    let urls = [silent.url(), well.url()];
    let limit = || Deadline::after(Duration::from_millis(1500));
    let transport = through(&Proxy::socks(None), "", &urls);
    assert_eq!(body(post(&*transport, Class::Repeatable, limit())), "ok");
    assert_eq!((silent.requests().len(), well.requests().len()), (1, 1));
    let transport = through(&Proxy::socks(None), "", &urls);
    let error = post(&*transport, Class::NeverTwice, limit()).unwrap_err();
    assert_eq!((error.kind, error.sent), (ErrorKind::Timeout, true), "{error}");
    assert_eq!((silent.requests().len(), well.requests().len()), (2, 1));
}

/// As the lanes do with handshakes: any request may need one here.
#[test]
fn only_the_thread_that_ends_the_process_begins_a_request() {
    let (proxy, server) = (Proxy::http(Some(BASIC)), Server::saying(OK));
    let transport = &*through(&proxy, LOGIN, &[server.url()]);
    let again = || post(transport, Class::Repeatable, soon());
    assert_eq!(body(again()), "ok");
    std::thread::scope(|scope| {
        let ending = || {
            transport.exiting(soon());
            again()
        };
        assert_eq!(body(scope.spawn(ending).join().unwrap()), "ok");
    });
    assert_eq!(again().unwrap_err().kind, ErrorKind::Closed);
    let headers = Headers::default();
    let request =
        Request { method: Method::Get, path: "/do", headers: &headers, body: None, class: Class::Repeatable };
    let many = transport.call_many(&[request, request], 2, soon());
    assert!(many.iter().all(|result| result.as_ref().is_err_and(|error| error.kind == ErrorKind::Closed)));
    assert_eq!(server.requests().len(), 2);
}
