//! Layers that a slot's configuration puts in front of its service: Basic, a key in a header, tokens, one over the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use super::issuer::reply;
use super::secured::Authority;
use super::*;
use crate::config::{BasicLogin, BodyForm, FieldValue, HeaderKey, RefreshCall, Secret, TokenLogin};
use crate::observe::log::Log;
use crate::observe::told;
use crate::transport::auth::{self, Authenticated};

/// RFC 7617 section 2.
const BASIC: &str = "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";

fn basic(password: Secret) -> config::Auth {
    config::Auth { basic: Some(BasicLogin { user: "Aladdin".into(), password }), ..config::Auth::default() }
}

/// What the slot with that `[slot.auth]` talks through.
fn open(server: &Server, auth: config::Auth, log: &Log) -> Authenticated {
    let token = config::Token { members: vec![vec![server.url()]], auth, ..config::Token::plain("slot") };
    auth::open(&token, &Conventions::default(), log).unwrap()
}

fn file(folder: &Path, name: &str, secret: &str) -> (PathBuf, Secret) {
    let path = folder.join(name);
    fs::write(&path, secret).unwrap();
    (path.clone(), Secret::File(path))
}

/// A server that wants all of these lines.
fn wanting(lines: &'static [&'static str]) -> Server {
    Server::start(move |got| {
        let good = lines.iter().all(|line| got.text.contains(&format!("\r\n{line}\r\n")));
        vec![Act::Send(if good { reply(200, "ok") } else { reply(401, "") })]
    })
}

#[test]
fn user_and_password_are_in_each_request() {
    let server = wanting(&[BASIC]);
    let service = open(&server, basic(Secret::Literal("open sesame".into())), &Log::off());
    assert!(!service.wants_pin() && service.is_ready() && service.has_layers());
    body(post(&service, Class::Repeatable, soon()));
    let headers = Headers::default();
    let request =
        Request { method: Method::Get, path: "/", headers: &headers, body: None, class: Class::Repeatable };
    for answer in service.call_many(&[request; 3], 2, soon()) {
        assert_eq!(body(answer), "ok");
    }
}

#[test]
fn what_login_brings_is_in_each_request_until_logout() {
    let server = wanting(&[BASIC, "X-Gate: open sesame"]);
    let header = Some(HeaderKey { name: "X-Gate".into(), value: Secret::Pin });
    let service = open(&server, config::Auth { header, ..basic(Secret::Pin) }, &Log::off());
    assert_eq!(service.pin_names(), ["header", "basic"]);
    assert!(!service.is_ready());
    assert_eq!(post(&service, Class::Repeatable, soon()).unwrap_err().kind, ErrorKind::Unauthorised);
    service.login("open sesame", soon()).unwrap();
    body(post(&service, Class::Repeatable, soon()));
    let child = {
        let header = Some(HeaderKey { name: "X-Gate".into(), value: Secret::Pin });
        open(&server, config::Auth { header, ..basic(Secret::Pin) }, &Log::off())
    };
    child.inherit_login(&service.login_secrets());
    body(post(&child, Class::Repeatable, soon()));
    service.logout();
    assert!(!service.is_ready() && service.login_secrets().is_empty());
    let before = server.requests().len();
    assert_eq!(post(&service, Class::Repeatable, soon()).unwrap_err().kind, ErrorKind::Unauthorised);
    assert_eq!(server.requests().len(), before);
    // One secret each.
    service.login_with(&["open sesame", "another"], soon()).unwrap();
    assert_eq!(post(&service, Class::NeverTwice, soon()).unwrap().status, 401);
    service.login_with(&["open sesame", "open sesame"], soon()).unwrap();
    body(post(&service, Class::NeverTwice, soon()));
}

/// By the class of the call: what must not be repeated has the new one next time.
#[test]
fn a_refused_secret_is_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let server = wanting(&[BASIC]);
    let service = |name| {
        let (path, secret) = file(folder.path(), name, "another");
        (path, open(&server, basic(secret), &Log::off()))
    };
    let (path, changed) = service("a");
    assert_eq!(post(&changed, Class::Repeatable, soon()).unwrap().status, 401);
    assert_eq!(server.requests().len(), 1, "the same one is not tried again");
    fs::write(&path, "open sesame").unwrap();
    body(post(&changed, Class::Repeatable, soon()));
    assert_eq!(server.requests().len(), 3);

    let (path, careful) = service("b");
    assert_eq!(post(&careful, Class::NeverTwice, soon()).unwrap().status, 401);
    fs::write(&path, "open sesame").unwrap();
    assert_eq!(post(&careful, Class::NeverTwice, soon()).unwrap().status, 401);
    body(post(&careful, Class::NeverTwice, soon()));
}

/// All are refused with the old one before the first of them reads the new one.
#[test]
fn of_many_refused_with_an_old_secret_each_shows_the_new_one() {
    const THREADS: usize = 8;
    let folder = tempfile::tempdir().unwrap();
    let (path, secret) = file(folder.path(), "secret", "another");
    let all = Barrier::new(THREADS);
    let server = Server::start(move |got| {
        if got.text.contains(&format!("\r\n{BASIC}\r\n")) {
            return vec![Act::Send(reply(200, "ok"))];
        }
        if all.wait().is_leader() {
            fs::write(&path, "open sesame").unwrap();
        }
        all.wait();
        vec![Act::Send(reply(401, ""))]
    });
    let service = open(&server, basic(secret), &Log::off());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| assert_eq!(body(post(&service, Class::Repeatable, soon())), "ok"));
        }
    });
    assert_eq!(server.requests().len(), 2 * THREADS);
}

/// The login is refused because of the secret beside the password: whoever waits for the token gets one all the same, and
/// the password is shown once with each secret.
#[test]
fn an_old_secret_in_a_token_call_is_nobody_s_end() {
    const THREADS: usize = 8;
    let folder = tempfile::tempdir().unwrap();
    let (path, secret) = file(folder.path(), "secret", "another");
    let server = Server::start(move |got| {
        let answer = match got.text.contains(&format!("\r\n{BASIC}\r\n")) {
            true if got.text.starts_with("POST /token ") => reply(200, r#"{"token":"t0k"}"#),
            true if got.text.contains("\r\nX-Token: Bearer t0k\r\n") => reply(200, "ok"),
            true => reply(403, ""),
            false => {
                thread::sleep(Duration::from_millis(50));
                fs::write(&path, "open sesame").unwrap();
                reply(401, "")
            }
        };
        vec![Act::Send(answer)]
    });
    let token = TokenLogin { header: "X-Token".into(), ..TokenLogin::plain("/token") };
    let auth = config::Auth {
        user: Some("alice".into()),
        password: Secret::Literal("p4ss".into()),
        token: Some(Box::new(token)),
        ..basic(secret)
    };
    let service = open(&server, auth, &Log::off());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| assert_eq!(body(post(&service, Class::Repeatable, soon())), "ok"));
        }
    });
    let requests = server.requests();
    let logins = requests.iter().filter(|got| got.text.starts_with("POST /token ")).count();
    assert_eq!((logins, requests.len()), (2, 2 + THREADS));
}

#[test]
fn token_calls_carry_what_stands_in_front_of_them() {
    let server = Server::start(|got| {
        let has = |line: &str| got.text.contains(&format!("\r\n{line}\r\n"));
        let answer = match () {
            () if !has(BASIC) || !has("X-Gate: g4te") => reply(401, "basic"),
            () if got.text.starts_with("POST /base/token ") => {
                let body = got.text.rsplit("\r\n").next().unwrap();
                assert_eq!(body, "grant_type=password&username=al+ice&password=p%26ss");
                assert!(has("Content-Type: application/x-www-form-urlencoded"), "{}", got.text);
                reply(200, r#"{"token":"t0k"}"#)
            }
            () if has("X-Token: t0k") && got.text.matches("\r\nX-Token").count() == 1 => reply(200, "ok"),
            () => reply(401, "token"),
        };
        vec![Act::Send(answer)]
    });
    let text = format!(
        "version = 1\n[[slot]]\nlabel = \"slot\"\nbackend = \"securosys\"\nurls = [\"{}/base\"]\n[slot.auth]\n\
         user = \"al ice\"\npassword = \"p&ss\"\nbasic = {{ user = \"Aladdin\", password = \"open sesame\" }}\n\
         header = {{ name = \"X-Gate\", value = \"g4te\" }}\n\
         token = {{ login = \"/token\", body = \"form\", header = \"X-Token\", scheme = \"bare\" }}\n",
        server.url()
    );
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = file(folder.path(), "p11rest.toml", &text);
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let config = config::load(Some(&path), &config::Process::with_environment(false, [])).unwrap();
    let token = config.slots[0].token.as_ref().unwrap();
    let service = auth::open(token, &Conventions::default(), &Log::off()).unwrap();
    body(post(&service, Class::Repeatable, soon()));
    body(post(&service, Class::Repeatable, soon()));
    assert_eq!(server.requests().len(), 3);
}

/// What a gateway behind TLS asks of each request: a client certificate, user and password, a key, and of all but the
/// token calls a token in a header of its own, which is good for so many calls.
#[derive(Default)]
struct Strict {
    /// The number of the token that is good.
    token: usize,
    left: usize,
    logins: usize,
    renewals: usize,
    answered: usize,
    revoked: usize,
}

impl Strict {
    const USES: usize = 100;

    fn answer(&mut self, text: &str) -> Vec<u8> {
        let has = |line: &str| text.matches(&format!("\r\n{line}\r\n")).count() == 1;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let shows_token = has(&format!("X-Authorization: Bearer t{}", self.token));
        let both = format!(r#"{{"AccessToken":"t{0}","RefreshToken":"r{0}"}}"#, self.token);
        match head.split(" HTTP/").next().unwrap() {
            _ if !has(BASIC) || !has("X-API-KEY: k3y") => reply(403, ""),
            "POST /token" if body == "grant_type=password&username=alice&password=p%26ss" => {
                self.logins += 1;
                self.grant()
            }
            "POST /refresh" if body == both => {
                self.renewals += 1;
                self.grant()
            }
            "DELETE /logout" if shows_token => {
                self.revoked += 1;
                reply(204, "")
            }
            "POST /do" if shows_token && self.left > 0 => {
                self.left -= 1;
                self.answered += 1;
                reply(200, "ok")
            }
            _ => reply(401, ""),
        }
    }

    fn grant(&mut self) -> Vec<u8> {
        (self.token, self.left) = (self.token + 1, Self::USES);
        reply(
            200,
            &format!(r#"{{"access_token":"t{0}","refresh_token":"r{0}","expires_in":600}}"#, self.token),
        )
    }
}

#[test]
fn basic_key_token_and_client_certificate_go_together() {
    const THREADS: usize = 20;
    const CALLS: usize = 25;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let authority = Authority::new("together");
        let strict = Arc::new(Mutex::new(Strict::default()));
        let gateway = Arc::clone(&strict);
        let server = authority
            .serve_known(version, move |got| vec![Act::Send(gateway.lock().unwrap().answer(&got.text))]);
        let named = |(name, value): (&str, FieldValue)| (name.to_owned(), value);
        let both = [("AccessToken", FieldValue::Access), ("RefreshToken", FieldValue::Refresh)];
        let refresh =
            RefreshCall { path: "/refresh".into(), body: BodyForm::Json, fields: both.map(named).to_vec() };
        let plain = TokenLogin::plain("/token");
        let grant = named(("grant_type", FieldValue::Literal("password".into())));
        let token = TokenLogin {
            body: BodyForm::Form,
            fields: [vec![grant], plain.fields].concat(),
            refresh: Some(refresh),
            header: "X-Authorization".into(),
            keep_password: false,
            revoke: Some("/logout".into()),
            ..TokenLogin::plain("/token")
        };
        let auth = config::Auth {
            user: Some("alice".into()),
            header: Some(HeaderKey { name: "X-API-KEY".into(), value: Secret::Literal("k3y".into()) }),
            token: Some(Box::new(token)),
            ..basic(Secret::Literal("open sesame".into()))
        };
        let tls = authority.knowing(authority.issue(&authority.folder, 1));
        let pool = config::Pool { max: THREADS, ..POOL };
        let slot = config::Token {
            members: vec![vec![server.url()]],
            auth,
            tls,
            pool,
            ..config::Token::plain("slot")
        };
        let service = auth::open(&slot, &Conventions::default(), &Log::off()).unwrap();
        assert_eq!(service.pin_names(), ["password"]);
        service.login("p&ss", soon()).unwrap();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..CALLS {
                        assert_eq!(body(post(&service, Class::OnceOnly, soon())), "ok");
                    }
                });
            }
        });
        service.logout();
        let strict = strict.lock().unwrap();
        let tokens = THREADS * CALLS / Strict::USES;
        assert_eq!((strict.logins, strict.renewals, strict.revoked), (1, tokens - 1, 1));
        assert_eq!(strict.answered, THREADS * CALLS);
    }
}

/// Once when they are taken for the first time, then when they are not, and when another one is found.
#[test]
fn what_is_shown_as_it_is_has_events_too() {
    let folder = tempfile::tempdir().unwrap();
    let server = wanting(&[BASIC]);
    let (path, secret) = file(folder.path(), "secret", "wr0ng");
    let events = told::events(&["wr0ng", "sesame"], |log| {
        let service = open(&server, basic(secret), log);
        assert_eq!(post(&service, Class::Repeatable, soon()).unwrap().status, 401);
        fs::write(path, "open sesame").unwrap();
        body(post(&service, Class::Repeatable, soon()));
        body(post(&service, Class::Repeatable, soon()));
        // It is the configuration's: there is nothing to log out.
        service.logout();
    });
    let event = |level, what| format!("{level} slot \"slot\", account \"Aladdin\": {what}");
    assert_eq!(
        events,
        [
            event("WARN", "use at POST /do: refused with HTTP 401"),
            event("WARN", "use at POST /do: refused with HTTP 401"),
            event("INFO", "renewal at the source of the secret: granted"),
            event("INFO", "login at POST /do: granted"),
        ]
    );
}

/// A logout is told of what was let in.
#[test]
fn what_login_brings_has_events_from_login_to_logout() {
    let server = wanting(&[BASIC]);
    let events = told::events(&["wr0ng", "sesame"], |log| {
        let service = open(&server, basic(Secret::Pin), log);
        for pin in ["wr0ng", "open sesame", "open sesame"] {
            service.login(pin, soon()).unwrap();
            let answer = post(&service, Class::NeverTwice, soon()).unwrap();
            assert_eq!(answer.is_success(), pin != "wr0ng");
            service.logout();
        }
        service.logout();
    });
    let event = |level, what| format!("{level} slot \"slot\", account \"Aladdin\": {what}");
    let life = [event("INFO", "login at POST /do: granted"), event("INFO", "logout at this side: granted")];
    assert_eq!(events[0], event("WARN", "use at POST /do: refused with HTTP 401"));
    assert_eq!(events[1..], [life.clone(), life].concat());
}
