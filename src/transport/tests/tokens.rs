//! Tokens over real connections: none is lost when they expire, whoever uses them meanwhile.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use super::issuer::{Issuer, PASSWORD, RULES, Rules, USER, reply};
use super::*;
use crate::observe::audit::Audit;
use crate::observe::log::Log;
use crate::observe::told;
use crate::transport::auth::{
    Authenticated, Credential, FieldValue, GrantError, RevokeCall, Scheme, Token, TokenCall, TokenProfile,
};

const THREADS: usize = 20;

fn profile() -> TokenProfile {
    let login =
        TokenCall::json("/login", [("username", FieldValue::User), ("password", FieldValue::Password)]);
    let refresh = TokenCall::json(
        "/refresh",
        [("AccessToken", FieldValue::Access), ("RefreshToken", FieldValue::Refresh)],
    );
    let revoke = RevokeCall { method: Method::Delete, path: "/logout".into() };
    TokenProfile { refresh: Some(refresh), revoke: Some(revoke), ..TokenProfile::new(login) }
}

/// How a client of the issuer has its password.
struct Client {
    password: Credential,
    keep_password: bool,
    log: Log,
}

impl Client {
    fn configured() -> Self {
        let password = Credential::fixed(|| Ok(PASSWORD.into()));
        Self { password, keep_password: true, log: Log::off() }
    }

    fn with_pin(keep_password: bool) -> Self {
        Self { password: Credential::pin(), keep_password, log: Log::off() }
    }

    fn of(self, server: &Server) -> Authenticated {
        self.with(profile(), server)
    }

    fn with(self, profile: TokenProfile, server: &Server) -> Authenticated {
        // The type of the token calls stands for this one.
        let conventions = Conventions {
            headers: &[("Content-Type", "application/vnd.other")],
            keep: &[],
            ..Conventions::default()
        };
        let pool = config::Pool { max: 32, ..POOL };
        let groups = [vec![server.url()]];
        let cluster = Cluster::new(&groups, &config::Tls::default(), TIMEOUTS, pool, &conventions).unwrap();
        let audit = Audit::new(&self.log, "slot", USER);
        let token = Token::new(profile, USER.into(), self.password, self.keep_password, audit);
        Authenticated::new(Box::new(cluster)).with_token(Arc::new(token))
    }
}

/// So many calls by each of so many threads, none of which fails.
fn call_at_once(service: &Authenticated, calls: usize) {
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..calls {
                    assert_eq!(body(post(service, Class::Repeatable, soon())), "ok");
                }
            });
        }
    });
}

#[test]
fn no_call_is_lost_across_expiries_and_one_thread_renews() {
    const CALLS: usize = 400;
    const PER_TOKEN: usize = 400;
    let issuer = Issuer::new(Rules { uses: PER_TOKEN, ..RULES });
    let server = issuer.serve();
    call_at_once(&Client::configured().of(&server), CALLS);
    let state = issuer.state();
    assert_eq!((state.logins, state.replays), (1, 0), "the first token, and no refresh token twice");
    // Each was used to its end, but for the last.
    assert_eq!(state.renewals, THREADS * CALLS / PER_TOKEN - 1);
    assert!(state.refused >= state.renewals);
    assert_eq!(state.most_granting, 1);
}

/// The life is 800 ms, of which the last 160 are for the renewal.
#[test]
fn others_go_on_with_the_old_token_while_one_renews() {
    let rules = Rules { says: r#","expires_in":0.8"#, takes: Duration::from_millis(60), ..RULES };
    let issuer = Issuer::new(rules);
    let server = issuer.serve();
    let service = Client::configured().of(&server);
    body(post(&service, Class::Repeatable, soon()));
    let end = Instant::now() + Duration::from_millis(2500);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while Instant::now() < end {
                    body(post(&service, Class::Repeatable, soon()));
                }
            });
        }
    });
    let state = issuer.state();
    assert_eq!((state.logins, state.replays, state.most_granting), (1, 0, 1));
    assert!(state.renewals >= 2, "{}", state.renewals);
    assert!(state.answered_meanwhile > 0, "nobody has to wait for a renewal that is early");
    // A renewal ends the token before it: whoever was under way with that comes again.
    assert!(state.refused <= 8 * state.renewals, "{} refused", state.refused);
}

#[test]
fn a_refused_renewal_is_one_login_with_the_kept_password() {
    const CALLS: usize = 100;
    const PER_TOKEN: usize = 200;
    let issuer = Issuer::new(Rules { uses: PER_TOKEN, refuses_refresh: true, ..RULES });
    let server = issuer.serve();
    let service = Client::with_pin(true).of(&server);
    service.login(PASSWORD, soon()).unwrap();
    call_at_once(&service, CALLS);
    let state = issuer.state();
    let tokens = THREADS * CALLS / PER_TOKEN;
    assert_eq!((state.logins, state.refused_refreshes), (tokens, tokens - 1));
    assert_eq!((state.most_granting, state.refused_logins), (1, 0));
}

#[test]
fn a_refused_renewal_without_a_kept_password_ends_the_login() {
    let issuer = Issuer::new(RULES);
    let server = issuer.serve();
    let service = Client::with_pin(false).of(&server);
    assert!(service.wants_pin() && !service.is_ready());
    assert_eq!(post(&service, Class::Repeatable, soon()).unwrap_err().kind, ErrorKind::Unauthorised);
    service.login(PASSWORD, soon()).unwrap();
    body(post(&service, Class::Repeatable, soon()));
    // As long as renewals do, nobody needs the password.
    issuer.expire();
    body(post(&service, Class::Repeatable, soon()));
    assert!(service.is_ready());
    issuer.state().rules.refuses_refresh = true;
    issuer.expire();
    let refused = post(&service, Class::Repeatable, soon()).unwrap_err();
    assert_eq!((refused.kind, refused.refused.unwrap().status), (ErrorKind::Refused, 400));
    assert!(!service.is_ready(), "the user is logged out");
    let before = server.requests().len();
    assert_eq!(post(&service, Class::Repeatable, soon()).unwrap_err().kind, ErrorKind::Unauthorised);
    assert_eq!(server.requests().len(), before, "there is nothing to ask with");
    assert_eq!(issuer.state().logins, 1);
    service.login(PASSWORD, soon()).unwrap();
    body(post(&service, Class::Repeatable, soon()));
}

/// The password was changed meanwhile: the kept one is shown once, and not by each of the threads.
#[test]
fn a_kept_password_that_is_refused_is_not_shown_again() {
    let issuer = Issuer::new(RULES);
    let server = issuer.serve();
    let service = Client::with_pin(true).of(&server);
    service.login(PASSWORD, soon()).unwrap();
    body(post(&service, Class::Repeatable, soon()));
    {
        let mut state = issuer.state();
        (state.rules.refuses_refresh, state.rules.refuses_login) = (true, true);
    }
    issuer.expire();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            // What the call was refused with stays where there is nothing to get another token with any more.
            let refused =
                || post(&service, Class::Repeatable, soon()).is_ok_and(|answer| answer.status != 401);
            scope.spawn(move || assert!(!refused()));
        }
    });
    assert!(!service.is_ready());
    let state = issuer.state();
    assert_eq!((state.refused_refreshes, state.refused_logins), (1, 1));
}

/// A service whose login call has that status, and whose tokens are taken with no scheme before them.
fn answering(status: &Arc<AtomicU16>) -> Server {
    let status = Arc::clone(status);
    Server::start(move |got| {
        let answer = match (got.text.split(' ').nth(1).unwrap(), status.load(Ordering::SeqCst)) {
            ("/login", 200) => reply(200, r#"{"token":"t0k"}"#),
            ("/login" | "/refresh", status) => reply(status, "{}"),
            _ if got.text.contains("\r\nAuthorization: Bearer t0k\r\n") => reply(200, "ok"),
            _ => reply(401, "{}"),
        };
        vec![Act::Send(answer)]
    })
}

const RESPITE: Duration = Duration::from_secs(5);

/// The gateway is being installed anew, say, or does not know our address yet.
#[test]
fn a_refusal_that_may_pass_does_not_stand_for_ever() {
    for refusal in [403, 404, 405, 421, 302] {
        let status = Arc::new(AtomicU16::new(refusal));
        let server = answering(&status);
        let service = Client::configured().of(&server);
        let refused = || post(&service, Class::Repeatable, soon()).unwrap_err().kind;
        for respite in [RESPITE, 2 * RESPITE] {
            let before = server.requests().len();
            assert_eq!((refused(), refused()), (ErrorKind::Refused, ErrorKind::Refused));
            assert_eq!(server.requests().len(), before + 1, "{refusal}: not at once");
            service.token().unwrap().age_refusal(respite - Duration::from_secs(1));
            assert_eq!(refused(), ErrorKind::Refused);
            assert_eq!(server.requests().len(), before + 1, "{refusal}: it stands for {respite:?}");
            service.token().unwrap().age_refusal(Duration::from_secs(1));
        }
        status.store(200, Ordering::SeqCst);
        assert_eq!(body(post(&service, Class::Repeatable, soon())), "ok");
    }
}

#[test]
fn a_refusal_of_the_password_stands() {
    for refusal in [400, 401, 423] {
        let server = answering(&Arc::new(AtomicU16::new(refusal)));
        let service = Client::configured().of(&server);
        for _ in 0..2 {
            assert_eq!(post(&service, Class::Repeatable, soon()).unwrap_err().kind, ErrorKind::Refused);
            service.token().unwrap().age_refusal(2 * RESPITE);
        }
        assert_eq!(server.requests().len(), 1, "{refusal}");
    }
}

/// What `C_Login` brought is not wrong because a call was away for a moment.
#[test]
fn a_refusal_that_may_pass_is_no_logout() {
    let status = Arc::new(AtomicU16::new(200));
    let server = answering(&status);
    // No refresh call: the password is shown again.
    let service = Client::with_pin(true).with(TokenProfile { refresh: None, ..profile() }, &server);
    service.login(PASSWORD, soon()).unwrap();
    body(post(&service, Class::Repeatable, soon()));
    status.store(404, Ordering::SeqCst);
    service.token().unwrap().expire();
    assert_eq!(post(&service, Class::Repeatable, soon()).unwrap_err().kind, ErrorKind::Refused);
    assert!(service.is_ready());
    status.store(200, Ordering::SeqCst);
    service.token().unwrap().age_refusal(RESPITE);
    body(post(&service, Class::Repeatable, soon()));
}

/// Whoever brought the password can log in again then.
#[test]
fn an_account_that_is_not_let_in_any_more_is_logged_out() {
    let status = Arc::new(AtomicU16::new(200));
    let server = answering(&status);
    let service = Client::with_pin(true).with(TokenProfile { refresh: None, ..profile() }, &server);
    service.login(PASSWORD, soon()).unwrap();
    status.store(403, Ordering::SeqCst);
    service.token().unwrap().expire();
    assert_eq!(post(&service, Class::Repeatable, soon()).unwrap_err().kind, ErrorKind::Refused);
    assert!(!service.is_ready());
}

/// All are refused before the first of them takes the other scheme.
#[test]
fn of_many_refused_with_one_scheme_each_takes_the_other() {
    let all = Barrier::new(THREADS);
    let server = Server::start(move |got| {
        let shown = |line: &str| got.text.contains(&format!("\r\nAuthorization: {line}\r\n"));
        let answer = match () {
            () if got.text.starts_with("POST /login ") => reply(200, r#"{"token":"t0k"}"#),
            () if shown("t0k") => reply(200, "ok"),
            () => {
                assert!(shown("Bearer t0k"), "{}", got.text);
                all.wait();
                reply(401, "{}")
            }
        };
        vec![Act::Send(answer)]
    });
    let service = Client::configured().with(TokenProfile { scheme: Scheme::Auto, ..profile() }, &server);
    call_at_once(&service, 1);
    assert_eq!(server.requests().len(), 1 + 2 * THREADS);
    call_at_once(&service, 1);
    assert_eq!(server.requests().len(), 1 + 3 * THREADS, "it is known by now");
}

#[test]
fn a_wrong_pin_is_shown_once_and_forgotten() {
    let issuer = Issuer::new(RULES);
    let server = issuer.serve();
    let service = Client::with_pin(true).of(&server);
    let Err(GrantError::Refused(refusal)) = service.login("another", soon()) else { panic!() };
    assert_eq!(refusal.status, 401);
    assert_eq!(post(&service, Class::Repeatable, soon()).unwrap_err().kind, ErrorKind::Unauthorised);
    assert_eq!(server.requests().len(), 1);
    service.login(PASSWORD, soon()).unwrap();
    body(post(&service, Class::Repeatable, soon()));
}

/// By the difference of its two dates, the service's clock being far from ours.
#[test]
fn the_claims_of_a_token_tell_when_to_renew_it() {
    let issuer = Issuer::new(Rules { claims: r#"{"iat":1000,"exp":1001}"#, ..RULES });
    let server = issuer.serve();
    let service = Client::configured().of(&server);
    body(post(&service, Class::Repeatable, soon()));
    thread::sleep(Duration::from_millis(850));
    body(post(&service, Class::Repeatable, soon()));
    let state = issuer.state();
    assert_eq!((state.logins, state.renewals, state.refused), (1, 1, 0), "before anybody was refused");
}

/// Tokens without `iat`, and a clock of ours that was set an hour, a day, a year ahead or back: whatever it makes us
/// believe, refusals put it right.
#[test]
fn a_clock_that_is_wrong_loses_no_call() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for exp in [now - 3600, now + 1, now + 3600, now + 365 * 24 * 3600] {
        let claims: &'static str = format!(r#"{{"exp":{exp}}}"#).leak();
        let issuer = Issuer::new(Rules { claims, uses: 40, ..RULES });
        let server = issuer.serve();
        call_at_once(&Client::configured().of(&server), 10);
        let state = issuer.state();
        assert_eq!((state.logins, state.replays, state.answered), (1, 0, 10 * THREADS), "{exp}");
    }
}

/// Method and path of what the server has got from the `from`-th request on.
fn targets(server: &Server, from: usize) -> Vec<String> {
    let target = |text: &str| text.split(' ').take(2).collect::<Vec<_>>().join(" ");
    server.requests()[from..].iter().map(|got| target(&got.text)).collect()
}

#[test]
fn a_refused_call_is_one_renewal_and_one_repetition() {
    for class in [Class::Repeatable, Class::OnceOnly] {
        let issuer = Issuer::new(RULES);
        let server = issuer.serve();
        let service = Client::configured().of(&server);
        body(post(&service, class, soon()));
        issuer.expire();
        body(post(&service, class, soon()));
        assert_eq!(targets(&server, 2), ["POST /do", "POST /refresh", "POST /do"]);
    }
}

/// It may carry a password of its own.
#[test]
fn a_refused_call_that_must_not_be_repeated_is_not() {
    let issuer = Issuer::new(RULES);
    let server = issuer.serve();
    let service = Client::configured().of(&server);
    body(post(&service, Class::Repeatable, soon()));
    issuer.expire();
    assert_eq!(post(&service, Class::NeverTwice, soon()).unwrap().status, 401);
    assert_eq!(targets(&server, 2), ["POST /do"]);
    // The next one has a new token from the start.
    body(post(&service, Class::NeverTwice, soon()));
    assert_eq!(targets(&server, 3), ["POST /refresh", "POST /do"]);
}

/// A right is missing, say: each new token would be refused as well.
#[test]
fn a_call_that_is_refused_with_a_new_token_is_refused() {
    let issuer = Issuer::new(Rules { uses: 0, ..RULES });
    let server = issuer.serve();
    let service = Client::configured().of(&server);
    assert_eq!(post(&service, Class::Repeatable, soon()).unwrap().status, 401);
    assert_eq!(targets(&server, 0), ["POST /login", "POST /do"]);
}

#[test]
fn of_many_calls_one_renews_and_the_others_follow() {
    const MANY: usize = 30;
    let issuer = Issuer::new(RULES);
    let server = issuer.serve();
    let service = Client::configured().of(&server);
    body(post(&service, Class::Repeatable, soon()));
    issuer.expire();
    let headers = Headers::default();
    let request = |class| Request { method: Method::Post, path: "/do", headers: &headers, body: None, class };
    let mut requests = vec![request(Class::Repeatable); MANY];
    requests[0].class = Class::NeverTwice;
    requests[7].class = Class::OnceOnly;
    let answers = service.call_many(&requests, 8, soon());
    let statuses: Vec<_> = answers.iter().map(|answer| answer.as_ref().unwrap().status).collect();
    assert_eq!(statuses[0], 401, "once, whatever comes of it");
    assert_eq!(statuses[1..], [200; MANY - 1]);
    let state = issuer.state();
    assert_eq!((state.logins, state.renewals, state.replays), (1, 1, 0));
    assert_eq!((state.refused, state.answered), (MANY, MANY));
}

/// Each process has tokens of its own: what one of them renews or gives back is none of the other's.
#[test]
fn the_child_of_a_fork_gets_a_token_of_its_own() {
    let issuer = Issuer::new(Rules { uses: 50, ..RULES });
    let server = issuer.serve();
    let parent = Client::with_pin(true).of(&server);
    assert!(parent.login_secrets().is_empty());
    parent.login(PASSWORD, soon()).unwrap();
    body(post(&parent, Class::Repeatable, soon()));
    let child = Client::with_pin(true).of(&server);
    let before = server.requests().len();
    child.inherit_login(&parent.login_secrets());
    assert!(child.is_ready());
    assert_eq!(server.requests().len(), before, "no request by itself");
    thread::scope(|scope| {
        scope.spawn(|| call_at_once(&parent, 10));
        scope.spawn(|| call_at_once(&child, 10));
    });
    {
        let state = issuer.state();
        assert_eq!((state.logins, state.replays), (2, 0));
        assert!(state.renewals >= 6, "{}", state.renewals);
    }
    parent.logout();
    body(post(&child, Class::Repeatable, soon()));
    // What is not kept cannot be handed down.
    let careful = Client::with_pin(false).of(&server);
    careful.login(PASSWORD, soon()).unwrap();
    assert!(careful.login_secrets().is_empty());
    let orphan = Client::with_pin(false).of(&server);
    orphan.inherit_login(&careful.login_secrets());
    assert!(!orphan.is_ready());
}

#[test]
fn a_logout_gives_the_token_back_that_the_pin_brought() {
    let issuer = Issuer::new(RULES);
    let server = issuer.serve();
    let service = Client::with_pin(true).of(&server);
    service.login(PASSWORD, soon()).unwrap();
    service.logout();
    assert_eq!(issuer.state().revoked, 1);
    assert_eq!(post(&service, Class::Repeatable, soon()).unwrap_err().kind, ErrorKind::Unauthorised);

    // The configuration's own stays until the end.
    let service = Client::configured().of(&server);
    body(post(&service, Class::Repeatable, soon()));
    service.logout();
    body(post(&service, Class::Repeatable, soon()));
    assert_eq!(issuer.state().logins, 2);
    assert_eq!(issuer.state().revoked, 1);
    service.close();
    assert_eq!(issuer.state().revoked, 2);
    service.close();
    assert_eq!(issuer.state().revoked, 2);
}

#[test]
fn each_step_of_a_token_is_an_event() {
    let issuer = Issuer::new(RULES);
    let server = issuer.serve();
    let events = told::events(&[PASSWORD, "tok-access", "tok-refresh"], |log| {
        let service = Client { log: log.clone(), ..Client::with_pin(false) }.of(&server);
        assert!(service.login("another", soon()).is_err());
        service.login(PASSWORD, soon()).unwrap();
        body(post(&service, Class::Repeatable, soon()));
        issuer.expire();
        body(post(&service, Class::Repeatable, soon()));
        service.logout();
        service.login(PASSWORD, soon()).unwrap();
        body(post(&service, Class::Repeatable, soon()));
        issuer.state().rules.refuses_refresh = true;
        issuer.expire();
        assert!(post(&service, Class::Repeatable, soon()).is_err());
        server.kill();
        assert!(service.login(PASSWORD, soon()).is_err());
    });
    let event = |level, what| format!("{level} slot \"slot\", account \"tok-user\": {what}");
    let (last, events) = events.split_last().unwrap();
    assert_eq!(
        events,
        [
            event("WARN", "login at POST /login: refused with HTTP 401"),
            event("INFO", "login at POST /login: granted"),
            event("WARN", "use at POST /do: refused with HTTP 401"),
            event("INFO", "renewal at POST /refresh: granted"),
            event("INFO", "logout at DELETE /logout: granted"),
            event("INFO", "login at POST /login: granted"),
            event("WARN", "use at POST /do: refused with HTTP 401"),
            event("WARN", "renewal at POST /refresh: refused with HTTP 400"),
        ]
    );
    assert!(last.starts_with(&event("WARN", "login at POST /login: failed: ")), "{last}");
}
