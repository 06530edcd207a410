//! Layers that a slot's configuration puts in front of its service: Basic, a key in a header, tokens, one over the other.

use std::fs;
use std::path::{Path, PathBuf};

use super::issuer::reply;
use super::*;
use crate::config::{BasicLogin, HeaderKey, Secret};
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
