//! Signed requests over real connections: a gateway that lets nothing pass which it cannot verify.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::proxy::Proxy;
use super::server::Got;
use super::*;
use crate::config::{Level, LogTarget};
use crate::observe::log::Log;
use crate::observe::told;
use crate::transport::auth::{self, Authenticated, GrantError};

const SECRET: &str = "hmac-s3cret-of-the-tests";
const KEY_ID: &str = "client-001";

/// A gateway with the profile `v3.0`, as the reference describes it (section 7).
#[derive(Default)]
struct Gateway {
    /// How many seconds its clock is ahead.
    ahead: AtomicI64,
    nonces: Mutex<BTreeSet<String>>,
    /// What it refused, in order.
    refusals: Mutex<Vec<&'static str>>,
    /// How many more good requests are taken for replays.
    replays: AtomicUsize,
    /// Whether answers are signed, and what becomes of their body after that.
    signs: bool,
    forges: bool,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mac(text: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(text);
    hex(&mac.finalize().into_bytes())
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// RFC 9110 section 5.6.7. Days and months are not looked at: `date -u` knows them.
fn date(seconds: i64) -> String {
    let date = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{seconds}"), "+%a, %d %b %Y %H:%M:%S GMT"])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    String::from_utf8(date.stdout).unwrap().trim().to_owned()
}

/// Request line, header lines by their names in lower case, and body.
fn parts(text: &str) -> (Vec<&str>, HashMap<String, &str>, &str) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let first = lines.next().unwrap().split(' ').collect();
    let pair =
        |line: &'_ str| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.len()));
    let mut headers = HashMap::new();
    for line in lines {
        let (name, length) = pair(line).unwrap();
        let twice = headers.insert(name, &line[line.len() - length..]);
        assert!(twice.is_none(), "{text}");
    }
    (first, headers, body)
}

impl Gateway {
    fn clock(&self) -> i64 {
        now() + self.ahead.load(Ordering::SeqCst)
    }

    /// Rules 2 to 7.
    fn admit(&self, text: &str) -> Result<(), &'static str> {
        let (line, headers, body) = parts(text);
        let header = |name: &str| headers.get(name).copied().ok_or("MISSING_HEADER");
        let (time, nonce) = (header("x-timestamp")?, header("x-nonce")?);
        if header("x-auth-version")? != "v3.0" || header("x-key-id")? != KEY_ID {
            return Err("BAD_SIGNATURE");
        }
        if time.parse::<i64>().unwrap().abs_diff(self.clock()) > 300 {
            return Err("TIMESTAMP_OUT_OF_RANGE");
        }
        let hash = hex(&Sha256::digest(body));
        let (path, query) = line[1].split_once('?').unwrap_or((line[1], ""));
        let signed = ["v3.0", line[0], path, query, time, nonce, KEY_ID, &hash].join("\n");
        if header("x-signature")? != mac(&signed) || header("x-content-sha256")? != hash {
            return Err("BAD_SIGNATURE");
        }
        let replay =
            self.replays.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if !self.nonces.lock().unwrap().insert(nonce.to_owned()) || replay.is_ok() {
            return Err("REPLAY");
        }
        Ok(())
    }

    fn answer(&self, got: &Got) -> Vec<u8> {
        let date = date(self.clock());
        match self.admit(&got.text) {
            Ok(()) => {
                let (_, headers, _) = parts(&got.text);
                let signed = format!("{}\n{}\nok", headers["x-nonce"], headers["x-timestamp"]);
                let line = if self.signs {
                    format!("X-Response-Signature: {}\r\n", mac(&signed))
                } else {
                    String::new()
                };
                let body = if self.forges { "no" } else { "ok" };
                format!("HTTP/1.1 200 OK\r\nDate: {date}\r\n{line}Content-Length: 2\r\n\r\n{body}")
                    .into_bytes()
            }
            Err(error) => {
                self.refusals.lock().unwrap().push(error);
                let body = format!("{{\"success\":false,\"code\":401,\"error\":\"{error}\"}}");
                let head = format!("HTTP/1.1 401 X\r\nDate: {date}\r\nContent-Length: {}", body.len());
                format!("{head}\r\n\r\n{body}").into_bytes()
            }
        }
    }

    fn refusals(&self) -> Vec<&'static str> {
        self.refusals.lock().unwrap().clone()
    }

    fn serve(self: &Arc<Self>) -> Server {
        let gateway = Arc::clone(self);
        Server::start(move |got| vec![Act::Send(gateway.answer(got))])
    }
}

/// A slot with signatures, and these variables besides.
fn slot(members: &[config::Url], more: &[(&str, &str)]) -> config::Token {
    let urls: Vec<_> = members.iter().map(ToString::to_string).collect();
    let urls = urls.join(" ");
    let usual = [
        ("LABEL", "slot"),
        ("BACKEND", "securosys"),
        ("URLS", urls.as_str()),
        ("AUTH_HMAC_KEY_ID", KEY_ID),
        ("AUTH_HMAC_SECRET", SECRET),
    ];
    let variables = usual.iter().chain(more).map(|(name, value)| (format!("P11REST_SLOT_0_{name}"), *value));
    let variables = variables.map(|(name, value)| (name.into(), value.into()));
    let config = config::load(None, &config::Process::with_environment(false, variables)).unwrap();
    config.slots.into_iter().next().unwrap().token.unwrap()
}

fn open(members: &[config::Url], more: &[(&str, &str)]) -> Authenticated {
    logged(members, more, &Log::off())
}

fn logged(members: &[config::Url], more: &[(&str, &str)], log: &Log) -> Authenticated {
    auth::open(&slot(members, more), &Conventions::default(), log).unwrap()
}

#[test]
fn what_is_signed_is_what_is_sent() {
    let gateway = Arc::new(Gateway::default());
    let server = gateway.serve();
    let base = config::Url { path: "/base".to_owned(), ..server.url() };
    for members in [server.url(), base] {
        let service = open(&[members], &[]);
        let headers = Headers::default();
        for (method, path, sent) in [
            (Method::Get, "/api/v1/keys?a=1&b=%C3%A9&b=x%20y", None),
            (Method::Post, "/do", Some(&b"{\"a\": 1}"[..])),
            (Method::Put, "/a//b/%2f?", Some(&b""[..])),
            (Method::Delete, "/x?y", None),
        ] {
            let class = Class::Repeatable;
            let request = Request { method, path, headers: &headers, body: sent, class };
            assert_eq!(body(service.call(&request, soon())), "ok", "{path}");
        }
    }
    assert_eq!(gateway.refusals(), [""; 0]);
}

/// After a broken connection, at another member, and where the first answer is late.
#[test]
fn each_attempt_has_a_nonce_of_its_own() {
    let gateway = Arc::new(Gateway::default());
    let (first, count) = (Arc::clone(&gateway), AtomicUsize::new(0));
    let bad = Server::start(move |got| {
        assert!(first.admit(&got.text).is_ok());
        match count.fetch_add(1, Ordering::SeqCst) % 3 {
            0 => vec![Act::Reset],
            1 => vec![Act::Send(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n".to_vec())],
            _ => vec![Act::Pause(Duration::from_millis(300)), Act::Send(OK.to_vec())],
        }
    });
    let good = gateway.serve();
    let service = open(&[bad.url(), good.url()], &[("HEDGE_AFTER", "30ms"), ("HEDGE_BUDGET", "100")]);
    for _ in 0..12 {
        assert_eq!(body(post(&service, Class::Repeatable, soon())), "ok");
    }
    let requests = bad.requests().len() + good.requests().len();
    assert!(requests > 12 && bad.requests().len() >= 3, "{requests}");
    assert_eq!(gateway.nonces.lock().unwrap().len(), requests);
    assert_eq!(gateway.refusals(), [""; 0]);
}

#[test]
fn a_clock_that_is_ten_minutes_off_costs_one_request() {
    for (ahead, class) in [(600, Class::Repeatable), (-600, Class::OnceOnly), (600, Class::NeverTwice)] {
        let gateway = Arc::new(Gateway { ahead: ahead.into(), ..Gateway::default() });
        let server = gateway.serve();
        let service = open(&[server.url()], &[]);
        for _ in 0..3 {
            assert_eq!(body(post(&service, class, soon())), "ok");
        }
        assert_eq!((server.requests().len(), gateway.refusals()), (4, vec!["TIMESTAMP_OUT_OF_RANGE"]));
        // It is set right: that is learnt, too.
        gateway.ahead.store(0, Ordering::SeqCst);
        assert_eq!(body(post(&service, class, soon())), "ok");
        assert_eq!((server.requests().len(), gateway.refusals().len()), (6, 2));
    }
}

/// The server lets times be 15 minutes off, and refuses the password: that is sent once for each `C_Login`.
#[test]
fn a_password_that_is_refused_is_not_sent_again_for_the_clock() {
    let server = Server::start(|_| {
        let refusal = format!("HTTP/1.1 401 X\r\nDate: {}\r\nContent-Length: 16", date(now() + 600));
        vec![Act::Send(format!("{refusal}\r\n\r\n{{\"error\":\"login\"}}").into_bytes())]
    });
    let login = [("AUTH_USER", "u"), ("AUTH_PASSWORD", "pin"), ("AUTH_TOKEN_LOGIN", "/token")];
    let service = open(&[server.url()], &login);
    // Nobody can tell whether it was the password: it is not blamed.
    let Err(GrantError::Transport(error)) = service.login("wr0ng", soon()) else { panic!() };
    assert_eq!((error.kind, server.requests().len()), (ErrorKind::Malformed, 1));
    assert!(error.context.contains("clock_words") && !error.context.contains("wr0ng"), "{error}");
    // Now the time is right, so the answer says what it says.
    let Err(GrantError::Refused(answer)) = service.login("wr0ng", soon()) else { panic!() };
    assert_eq!((answer.status, server.requests().len()), (401, 2));
    // Where the refusal names the clock, a right password gets in at once.
    let gateway = Arc::new(Gateway { ahead: 600.into(), ..Gateway::default() });
    let server = gateway.serve();
    let service = open(&[server.url()], &[]);
    assert_eq!(post(&service, Class::NeverTwice, soon()).unwrap().status, 200);
    assert_eq!((server.requests().len(), gateway.refusals()), (2, vec!["TIMESTAMP_OUT_OF_RANGE"]));
}

#[test]
fn each_member_has_its_clock() {
    let gateways =
        [600, -3600, 0].map(|ahead| Arc::new(Gateway { ahead: ahead.into(), ..Gateway::default() }));
    let servers = gateways.each_ref().map(Gateway::serve);
    let service = open(&servers.each_ref().map(Server::url), &[]);
    for _ in 0..12 {
        assert_eq!(body(post(&service, Class::OnceOnly, soon())), "ok");
    }
    let refusals = gateways.each_ref().map(|gateway| gateway.refusals().len());
    assert_eq!(refusals, [1, 1, 0]);
    assert_eq!(servers.each_ref().map(|server| server.requests().len()), [5, 5, 4]);
}

/// Those who were under way with the old time come again.
#[test]
fn many_at_once_learn_the_clock() {
    let gateway = Arc::new(Gateway { ahead: 600.into(), ..Gateway::default() });
    let server = gateway.serve();
    let service = open(&[server.url()], &[]);
    let headers = Headers::default();
    let request =
        Request { method: Method::Get, path: "/x", headers: &headers, body: None, class: Class::Repeatable };
    for answer in service.call_many(&[request; 20], 8, soon()) {
        assert_eq!(body(answer), "ok");
    }
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(body(post(&service, Class::NeverTwice, soon())), "ok"));
        }
    });
    assert!(gateway.refusals().len() <= 20);
}

#[test]
fn a_nonce_that_was_seen_is_replaced_and_a_wrong_secret_is_not() {
    let gateway = Arc::new(Gateway { replays: 1.into(), ..Gateway::default() });
    let server = gateway.serve();
    let service = open(&[server.url()], &[]);
    for (class, status) in [(Class::Repeatable, 200), (Class::OnceOnly, 200), (Class::NeverTwice, 401)] {
        gateway.replays.store(1, Ordering::SeqCst);
        assert_eq!(post(&service, class, soon()).unwrap().status, status, "{class:?}");
    }
    assert_eq!((server.requests().len(), gateway.refusals()), (5, vec!["REPLAY"; 3]));
    // A server that says nothing else is not asked for ever.
    gateway.replays.store(100, Ordering::SeqCst);
    assert_eq!(post(&service, Class::Repeatable, soon()).unwrap().status, 401);
    assert_eq!(server.requests().len(), 8);
    let wrong = open(&[server.url()], &[("AUTH_HMAC_SECRET", "another")]);
    assert_eq!(post(&wrong, Class::Repeatable, soon()).unwrap().status, 401);
    assert_eq!((server.requests().len(), gateway.refusals().last()), (9, Some(&"BAD_SIGNATURE")));
}

#[test]
fn answers_that_are_not_signed_as_they_must_be_are_not_used() {
    let verifying = [("AUTH_HMAC_RESPONSE_VERIFY", "true")];
    let outcome = |gateway: Gateway| {
        let gateway = Arc::new(gateway);
        let server = gateway.serve();
        let service = open(&[server.url()], &verifying);
        (post(&service, Class::Repeatable, soon()), server.requests().len())
    };
    let (answer, _) = outcome(Gateway { signs: true, ..Gateway::default() });
    assert_eq!(body(answer), "ok");
    for gateway in [Gateway::default(), Gateway { signs: true, forges: true, ..Gateway::default() }] {
        let (answer, requests) = outcome(gateway);
        let error = answer.unwrap_err();
        assert_eq!((error.kind, error.sent, requests), (ErrorKind::Malformed, true, 1));
        assert!(error.context.contains("the answer is not used: it"), "{error}");
    }
    // One that was good before is not good again.
    let gateway = Arc::new(Gateway { signs: true, ..Gateway::default() });
    let (inner, first) = (Arc::clone(&gateway), Mutex::new(None));
    let server = Server::start(move |got| {
        vec![Act::Send(first.lock().unwrap().get_or_insert_with(|| inner.answer(got)).clone())]
    });
    let service = open(&[server.url()], &verifying);
    assert_eq!(body(post(&service, Class::Repeatable, soon())), "ok");
    assert_eq!(post(&service, Class::Repeatable, soon()).unwrap_err().kind, ErrorKind::Malformed);
    // A refusal cannot be signed for somebody unknown.
    let gateway = Arc::new(Gateway { signs: true, ..Gateway::default() });
    let server = gateway.serve();
    let service = open(&[server.url()], &[verifying[0], ("AUTH_HMAC_SECRET", "another")]);
    assert_eq!(post(&service, Class::Repeatable, soon()).unwrap().status, 401);
}

#[test]
fn through_a_proxy_it_is_the_same() {
    let gateway = Arc::new(Gateway { ahead: 600.into(), signs: true, ..Gateway::default() });
    let server = gateway.serve();
    for proxy in [Proxy::http(None), Proxy::socks(None)] {
        gateway.refusals.lock().unwrap().clear();
        let url = proxy.url();
        let more = [("PROXY_URL", url.as_str()), ("AUTH_HMAC_RESPONSE_VERIFY", "true")];
        let service = open(&[server.url()], &more);
        for class in [Class::NeverTwice, Class::OnceOnly, Class::Repeatable] {
            assert_eq!(body(post(&service, class, soon())), "ok");
        }
        assert_eq!(gateway.refusals(), ["TIMESTAMP_OUT_OF_RANGE"]);
    }
    let gateway = Arc::new(Gateway { signs: true, forges: true, ..Gateway::default() });
    let (server, proxy) = (gateway.serve(), Proxy::http(None));
    let url = proxy.url();
    let more = [("PROXY_URL", url.as_str()), ("AUTH_HMAC_RESPONSE_VERIFY", "true")];
    let error = post(&open(&[server.url()], &more), Class::Repeatable, soon()).unwrap_err();
    assert_eq!((error.kind, error.sent), (ErrorKind::Malformed, true));
}

#[test]
fn the_secret_may_be_the_pin() {
    let gateway = Arc::new(Gateway::default());
    let server = gateway.serve();
    let service = open(&[server.url()], &[("AUTH_HMAC_SECRET", "pin")]);
    assert_eq!(service.pin_names(), ["hmac"]);
    assert!(!service.is_ready());
    assert_eq!(post(&service, Class::Repeatable, soon()).unwrap_err().kind, ErrorKind::Unauthorised);
    assert_eq!(server.requests().len(), 0);
    service.login(SECRET, soon()).unwrap();
    assert_eq!(body(post(&service, Class::Repeatable, soon())), "ok");
    let child = open(&[server.url()], &[("AUTH_HMAC_SECRET", "pin")]);
    child.inherit_login(&service.login_secrets());
    assert_eq!(body(post(&child, Class::Repeatable, soon())), "ok");
    service.logout();
    assert_eq!(post(&service, Class::Repeatable, soon()).unwrap_err().kind, ErrorKind::Unauthorised);
}

#[test]
fn a_pin_that_cannot_be_the_secret_is_refused_unasked() {
    let gateway = Arc::new(Gateway::default());
    let server = gateway.serve();
    let service = open(&[server.url()], &[("AUTH_HMAC_SECRET", "pin"), ("AUTH_HMAC_SECRET_ENCODING", "hex")]);
    for pin in ["", "no digits", "0"] {
        let Err(GrantError::Refused(answer)) = service.login(pin, soon()) else { panic!("{pin}") };
        assert_eq!(answer.status, 401);
        assert!(!service.is_ready() && service.login_secrets().is_empty());
    }
    assert_eq!(server.requests().len(), 0);
    service.login(&hex(SECRET.as_bytes()), soon()).unwrap();
    assert_eq!(body(post(&service, Class::Repeatable, soon())), "ok");
}

#[test]
fn token_calls_are_signed_or_not() {
    const TOKEN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"token\":\"t0k\"}";
    let unsigned_calls = |more: &[(&str, &str)]| {
        let gateway = Arc::new(Gateway::default());
        let inner = Arc::clone(&gateway);
        let server = Server::start(move |got| {
            vec![Act::Send(match got.text.starts_with("POST /token") {
                true if inner.admit(&got.text).is_ok() || !got.text.contains("X-Signature") => TOKEN.to_vec(),
                _ => inner.answer(got),
            })]
        });
        let login = [
            ("AUTH_USER", "u"),
            ("AUTH_PASSWORD", "p"),
            ("AUTH_TOKEN_LOGIN", "/token"),
            ("AUTH_TOKEN_REFRESH", "/r"),
        ];
        let service = open(&[server.url()], &[&login, more].concat());
        assert_eq!(body(post(&service, Class::Repeatable, soon())), "ok");
        let requests = server.requests();
        assert!(requests[1].text.contains("Authorization: Bearer t0k\r\n"));
        requests.iter().filter(|got| !got.text.contains("X-Signature: ")).count()
    };
    assert_eq!(unsigned_calls(&[]), 0);
    assert_eq!(unsigned_calls(&[("AUTH_HMAC_SIGN_TOKEN_CALLS", "false")]), 1);
}

#[test]
fn a_signature_that_is_made_anew_is_an_event() {
    let gateway = Arc::new(Gateway { ahead: 600.into(), replays: 1.into(), ..Gateway::default() });
    let server = gateway.serve();
    let events = told::events(&[SECRET], |log| {
        assert_eq!(body(post(&logged(&[server.url()], &[], log), Class::OnceOnly, soon())), "ok");
    });
    let refused = "WARN slot \"slot\", account \"client-001\": signature at POST /do: refused with HTTP 401";
    let events: Vec<_> =
        events.iter().map(String::as_str).filter(|event| event.starts_with("WARN")).collect();
    assert_eq!((events, gateway.refusals()), (vec![refused; 2], vec!["TIMESTAMP_OUT_OF_RANGE", "REPLAY"]));
}

/// A caller's data in a path is in no line at any level.
#[test]
fn a_discreet_path_is_in_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let settings = config::Log { level: Level::Debug, target: LogTarget::File(path.clone()) };
    let log = Log::open(&settings).unwrap();
    let gateway = Arc::new(Gateway { ahead: 600.into(), ..Gateway::default() });
    let server = gateway.serve();
    let conventions = Conventions { discreet_paths: true, ..Conventions::default() };
    let wrong = slot(&[server.url()], &[("AUTH_HMAC_SECRET", "another")]);
    let service = auth::open(&wrong, &conventions, &log).unwrap();
    let (headers, class) = (Headers::default(), Class::OnceOnly);
    let request =
        Request { method: Method::Post, path: "/sign/k/p4yl0ad", headers: &headers, body: None, class };
    assert_eq!(service.call(&request, soon()).unwrap().status, 401);
    let text = std::fs::read_to_string(path).unwrap();
    assert!(
        text.contains("signature at POST /…: refused") && text.contains(" use at POST /…: refused"),
        "{text}"
    );
    assert!(text.contains(r"POST\n[15 bytes]\n") && !text.contains("p4yl0ad"), "{text}");
}

#[test]
fn a_log_has_what_was_signed_without_secret_query_and_body() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let settings = config::Log { level: Level::Debug, target: LogTarget::File(path.clone()) };
    let gateway = Arc::new(Gateway { ahead: 600.into(), ..Gateway::default() });
    let server = gateway.serve();
    let log = Log::open(&settings).unwrap();
    let body_too = ("AUTH_HMAC_TEMPLATE", "{method}\n{path}\n{query}\n{timestamp}\n{nonce}\n{body}");
    let service = logged(&[server.url()], &[body_too], &log);
    let headers = Headers::default();
    let (path_and_query, sent) = ("/keys?who=al1ce", Some(&b"pl4in"[..]));
    let class = Class::Repeatable;
    let request =
        Request { method: Method::Post, path: path_and_query, headers: &headers, body: sent, class };
    assert_eq!(service.call(&request, soon()).unwrap().status, 401);
    let text = std::fs::read_to_string(path).unwrap();
    assert!(
        text.contains("its clock is 600 s ahead of ours") || text.contains("its clock is 599 s"),
        "{text}"
    );
    assert!(text.contains(r"POST\n/keys\n[9 bytes]\n"), "{text}");
    for secret in [SECRET, "al1ce", "pl4in"] {
        assert!(!text.contains(secret), "{text}");
    }
}
