//! A service that issues tokens, and answers whoever shows one that is good.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::server::{Act, Server};

/// What it asks for, to be found nowhere else.
pub const USER: &str = "tok-user";
pub const PASSWORD: &str = "tok-p4ss";

/// How it behaves.
#[derive(Clone, Copy)]
pub struct Rules {
    /// How many calls a token is good for.
    pub uses: usize,
    /// What an answer says besides the tokens, beginning with a comma.
    pub says: &'static str,
    /// How long a token call takes.
    pub takes: Duration,
    /// Whether refresh tokens are refused.
    pub refuses_refresh: bool,
    /// Whether passwords are.
    pub refuses_login: bool,
    /// The claims of its access tokens; empty: they are no JWTs.
    pub claims: &'static str,
}

pub const RULES: Rules = Rules {
    uses: usize::MAX,
    says: "",
    takes: Duration::from_millis(5),
    refuses_refresh: false,
    refuses_login: false,
    claims: "",
};

/// The service. A refresh token is good for once, and each renewal ends the access token before it.
pub struct Issuer {
    state: Mutex<Issued>,
    granting: AtomicUsize,
}

/// What became of it.
pub struct Issued {
    pub rules: Rules,
    /// How many tokens there were.
    pub count: usize,
    /// One for each login: what is good of it now.
    families: Vec<Family>,
    spent: HashSet<String>,
    pub logins: usize,
    pub renewals: usize,
    /// Refresh tokens that were shown again, or with another access token than theirs.
    pub replays: usize,
    pub refused_refreshes: usize,
    pub refused_logins: usize,
    /// Calls with a token that is not good.
    pub refused: usize,
    pub answered: usize,
    /// Those of them that came while a token call was under way.
    pub answered_meanwhile: usize,
    /// How many token calls were under way at once, at most.
    pub most_granting: usize,
    pub revoked: usize,
}

struct Family {
    access: String,
    left: usize,
    refresh: String,
}

impl Issuer {
    pub fn new(rules: Rules) -> Arc<Self> {
        let state = Issued {
            rules,
            count: 0,
            families: Vec::new(),
            spent: HashSet::new(),
            logins: 0,
            renewals: 0,
            replays: 0,
            refused_refreshes: 0,
            refused_logins: 0,
            refused: 0,
            answered: 0,
            answered_meanwhile: 0,
            most_granting: 0,
            revoked: 0,
        };
        Arc::new(Self { state: Mutex::new(state), granting: AtomicUsize::new(0) })
    }

    pub fn serve(self: &Arc<Self>) -> Server {
        let issuer = Arc::clone(self);
        Server::start(move |got| vec![Act::Send(issuer.answer(&got.text))])
    }

    pub fn state(&self) -> std::sync::MutexGuard<'_, Issued> {
        self.state.lock().unwrap()
    }

    /// Ends all access tokens.
    pub fn expire(&self) {
        self.state().families.iter_mut().for_each(|family| family.left = 0);
    }

    fn answer(&self, text: &str) -> Vec<u8> {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut words = head.split(' ');
        match (words.next().unwrap(), words.next().unwrap()) {
            ("POST", "/login" | "/refresh") => {
                let now = self.granting.fetch_add(1, Ordering::SeqCst) + 1;
                let takes = {
                    let mut state = self.state();
                    state.most_granting = state.most_granting.max(now);
                    state.rules.takes
                };
                std::thread::sleep(takes);
                let answer = self.state().grant(head, body);
                self.granting.fetch_sub(1, Ordering::SeqCst);
                answer
            }
            ("DELETE", "/logout") => self.state().revoke(head),
            _ => {
                // So that a token lives for some time slices of a busy machine.
                std::thread::sleep(Duration::from_millis(2));
                let meanwhile = self.granting.load(Ordering::SeqCst) > 0;
                self.state().use_token(head, meanwhile)
            }
        }
    }
}

impl Issued {
    fn grant(&mut self, head: &str, body: &str) -> Vec<u8> {
        assert!(head.contains("\r\nContent-Type: application/json"), "{head}");
        assert_eq!(head.matches("Content-Type").count(), 1, "{head}");
        assert!(!head.contains("Authorization"), "{head}");
        self.count += 1;
        let (access, refresh) = (self.access_token(), format!("tok-refresh-{}", self.count));
        if head.starts_with("POST /login ") {
            if self.rules.refuses_login || body != credentials(PASSWORD) {
                self.refused_logins += 1;
                return reply(401, "{}");
            }
            self.logins += 1;
            self.families.push(Family { access, left: self.rules.uses, refresh });
        } else {
            let shown = body.rsplit('"').nth(1).unwrap().to_owned();
            let again = !self.spent.insert(shown.clone());
            let family = self.families.iter_mut().find(|family| {
                body == format!(r#"{{"AccessToken":"{}","RefreshToken":"{shown}"}}"#, family.access)
            });
            let family = family.filter(|family| family.refresh == shown && !again);
            if self.rules.refuses_refresh {
                self.refused_refreshes += 1;
                return reply(400, "{}");
            }
            let Some(family) = family else {
                self.replays += 1;
                return reply(401, "{}");
            };
            self.renewals += 1;
            *family = Family { access, left: self.rules.uses, refresh };
        }
        let (access, refresh) = (self.access_token(), format!("tok-refresh-{}", self.count));
        let says = self.rules.says;
        reply(200, &format!(r#"{{"access_token":"{access}","refresh_token":"{refresh}"{says}}}"#))
    }

    /// The one of this count.
    fn access_token(&self) -> String {
        use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
        match self.rules.claims {
            "" => format!("tok-access-{}", self.count),
            claims => format!("e30.{}.tok-access-{}", BASE64_URL_SAFE_NO_PAD.encode(claims), self.count),
        }
    }

    fn family(&mut self, head: &str) -> Option<&mut Family> {
        let shown = head.lines().find_map(|line| line.strip_prefix("Authorization: Bearer "))?;
        self.families.iter_mut().find(|family| family.access == shown && family.left > 0)
    }

    fn use_token(&mut self, head: &str, meanwhile: bool) -> Vec<u8> {
        let Some(family) = self.family(head) else {
            self.refused += 1;
            return reply(401, "{}");
        };
        family.left -= 1;
        self.answered += 1;
        self.answered_meanwhile += usize::from(meanwhile);
        reply(200, "ok")
    }

    fn revoke(&mut self, head: &str) -> Vec<u8> {
        let Some(family) = self.family(head) else { return reply(401, "{}") };
        family.left = 0;
        self.revoked += 1;
        reply(204, "")
    }
}

/// The body of a login.
pub fn credentials(password: &str) -> String {
    format!(r#"{{"username":"{USER}","password":"{password}"}}"#)
}

pub fn reply(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
