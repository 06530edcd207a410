//! Tokens over real connections: none is lost when they expire, whoever uses them meanwhile.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::observe::audit::Audit;
use crate::observe::log::Log;
use crate::transport::auth::{Authenticated, Credential, FieldValue, Token, TokenCall, TokenProfile};

/// A service whose tokens are good for so many calls, whose refresh tokens are good for one, and which takes its time
/// over both.
struct Issuer {
    uses: usize,
    state: Mutex<Issued>,
    granting: AtomicUsize,
    most_granting: AtomicUsize,
}

#[derive(Default)]
struct Issued {
    count: usize,
    /// The access token that is good, and for how many calls still.
    access: Option<(String, usize)>,
    refresh: String,
    spent: HashSet<String>,
    logins: usize,
    renewals: usize,
    replays: usize,
    refused: usize,
}

impl Issuer {
    fn new(uses: usize) -> Arc<Self> {
        Arc::new(Self {
            uses,
            state: Mutex::default(),
            granting: AtomicUsize::new(0),
            most_granting: AtomicUsize::new(0),
        })
    }

    fn serve(self: &Arc<Self>) -> Server {
        let issuer = Arc::clone(self);
        Server::start(move |got| vec![Act::Send(issuer.answer(&got.text))])
    }

    fn answer(&self, text: &str) -> Vec<u8> {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        match head.split(' ').nth(1).unwrap() {
            "/login" | "/refresh" => {
                let now = self.granting.fetch_add(1, Ordering::SeqCst) + 1;
                self.most_granting.fetch_max(now, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(5));
                let answer = self.grant(head, body);
                self.granting.fetch_sub(1, Ordering::SeqCst);
                answer
            }
            _ => {
                // So that a token lives for some time slices of a busy machine.
                std::thread::sleep(Duration::from_millis(2));
                self.use_token(head)
            }
        }
    }

    fn grant(&self, head: &str, body: &str) -> Vec<u8> {
        let mut state = self.state.lock().unwrap();
        assert!(head.contains("\r\nContent-Type: application/json"), "{head}");
        assert_eq!(head.matches("Content-Type").count(), 1, "{head}");
        assert!(!head.contains("Authorization"), "{head}");
        if head.starts_with("POST /login ") {
            assert_eq!(body, r#"{"username":"tok-user","password":"tok-p4ss"}"#);
            state.logins += 1;
        } else {
            let wanted = format!(r#"{{"AccessToken":"tok-access-{}","RefreshToken":"#, state.count);
            let refresh = body.rsplit('"').nth(1).unwrap().to_owned();
            if !body.starts_with(&wanted) || refresh != state.refresh || !state.spent.insert(refresh) {
                state.replays += 1;
                return reply(401, "{}");
            }
            state.renewals += 1;
        }
        state.count += 1;
        let count = state.count;
        state.refresh = format!("tok-refresh-{count}");
        state.access = Some((format!("tok-access-{count}"), self.uses));
        reply(
            200,
            &format!(r#"{{"access_token":"tok-access-{count}","refresh_token":"tok-refresh-{count}"}}"#),
        )
    }

    fn use_token(&self, head: &str) -> Vec<u8> {
        let mut state = self.state.lock().unwrap();
        let shown = head.lines().find_map(|line| line.strip_prefix("Authorization: Bearer "));
        if let Some((access, left)) = &mut state.access
            && shown == Some(access)
            && *left > 0
        {
            *left -= 1;
            return reply(200, "ok");
        }
        state.refused += 1;
        reply(401, "{}")
    }
}

fn reply(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn profile() -> TokenProfile {
    let login =
        TokenCall::json("/login", [("username", FieldValue::User), ("password", FieldValue::Password)]);
    let refresh = TokenCall::json(
        "/refresh",
        [("AccessToken", FieldValue::Access), ("RefreshToken", FieldValue::Refresh)],
    );
    TokenProfile { refresh: Some(refresh), ..TokenProfile::new(login) }
}

fn authenticated(server: &Server, profile: TokenProfile) -> Authenticated {
    // The type of the token calls stands for this one.
    let conventions = Conventions { headers: &[("Content-Type", "application/vnd.other")], keep: &[] };
    let pool = config::Pool { max: 32, ..POOL };
    let groups = [vec![server.url()]];
    let cluster = Cluster::new(&groups, &config::Tls::default(), TIMEOUTS, pool, &conventions).unwrap();
    let password = Credential::fixed(|| Ok("tok-p4ss".into()));
    let audit = Audit::new(&Log::off(), "slot", "tok-user");
    let token = Token::new(profile, "tok-user".into(), password, true, audit);
    Authenticated::new(Box::new(cluster)).with_token(Arc::new(token))
}

#[test]
fn no_call_is_lost_across_expiries_and_one_thread_renews() {
    const THREADS: usize = 20;
    const CALLS: usize = 200;
    const PER_TOKEN: usize = 400;
    let issuer = Issuer::new(PER_TOKEN);
    let server = issuer.serve();
    let service = authenticated(&server, profile());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..CALLS {
                    assert_eq!(body(post(&service, Class::Repeatable, soon())), "ok");
                }
            });
        }
    });
    let state = issuer.state.lock().unwrap();
    assert_eq!((state.logins, state.replays), (1, 0), "the first token, and no refresh token twice");
    // Each was used to its end, but for the last.
    assert_eq!(state.renewals, THREADS * CALLS / PER_TOKEN - 1);
    assert!(state.refused >= state.renewals);
    assert_eq!(issuer.most_granting.load(Ordering::SeqCst), 1);
}
