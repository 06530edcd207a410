//! A gateway in front of an emulator: each request must carry a token, which is got with user and password, renewed with a
//! refresh token that is good for once, and given back. Strict: what is shown twice, or late, is counted.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use serde_json::{Value, json};

use super::emulator::PIN;
use super::secrets;

/// Whom it knows, with the PIN of the emulators as password.
pub const USER: &str = "gateway-user";

/// Names of its secrets begin so: long enough to be looked for in the logs.
const ACCESS: &str = "gateway-access-Hq3vK8";
const REFRESH: &str = "gateway-refresh-Wm5xT2";

/// A gateway on loopback, for as long as the process lives.
pub struct Gateway {
    port: u16,
    state: Arc<Mutex<Seen>>,
}

/// What it has seen.
#[derive(Default)]
pub struct Seen {
    /// How many calls a token is good for.
    uses: u64,
    /// One for each login.
    families: Vec<Family>,
    count: u64,
    spent: HashSet<String>,
    pub logins: u64,
    pub renewals: u64,
    /// Refresh tokens that were shown again, or not with their access token.
    pub replays: u64,
    /// Requests that were let through.
    pub passed: u64,
    /// Those whose token was no longer good.
    pub refused: u64,
    pub given_back: u64,
    /// Connections that showed the tokens of two logins.
    pub mixed: u64,
}

struct Family {
    access: String,
    refresh: String,
    left: u64,
    /// Every access token that it had.
    known: HashSet<String>,
}

/// One request of the client.
struct Asked {
    head: Vec<String>,
    body: Vec<u8>,
}

impl Gateway {
    /// A gateway to a port on loopback, with tokens for so many calls each.
    pub fn to(server: u16, uses: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(Mutex::new(Seen { uses, ..Seen::default() }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A client that goes, or a server that is gone, ends the connection.
                thread::spawn(move || serve(client, server, &shared));
            }
        });
        Self { port, state }
    }

    /// The configuration of an emulator without TLS, behind this gateway. `more`: keys of `[slot.auth.token]`.
    pub fn configuration(&self, emulator: &super::emulator::Emulator, more: &str) -> String {
        let text = emulator.text("p11rest.toml");
        let (start, auth) = text.split_once("[slot.auth]\n").expect("the emulator asks for credentials");
        let start = start.replace(emulator.url(), &self.url());
        format!(
            "{start}[slot.auth]\nuser = \"{USER}\"\n\
             token = {{ login = \"/gate/token\", refresh = \"/gate/refresh\", \
             refresh_fields = [\"AccessToken={{access}}\", \"RefreshToken={{refresh}}\"], revoke = \"/gate/token\", \
             header = \"X-Gate-Token\", scheme = \"bare\"{more} }}\n{auth}"
        )
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on no token is good that was granted before, and none renews one.
    pub fn end_all(&self) {
        for family in &mut self.seen().families {
            (family.left, family.refresh) = (0, String::new());
        }
    }

    /// What it has seen so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.state.lock().expect("nobody panicked with it")
    }
}

fn serve(client: TcpStream, server: u16, state: &Mutex<Seen>) -> io::Result<()> {
    let upstream = TcpStream::connect((Ipv4Addr::LOCALHOST, server))?;
    for stream in [&client, &upstream] {
        stream.set_nodelay(true)?;
    }
    let (mut from_client, mut to_client) = (BufReader::new(client.try_clone()?), client);
    let (mut from_server, mut to_server) = (BufReader::new(upstream.try_clone()?), upstream);
    let mut shown = HashSet::new();
    while let Some(asked) = read(&mut from_client)? {
        let verdict = state.lock().expect("nobody panicked with it").judge(&asked, &mut shown);
        match verdict {
            Some((status, body)) => to_client.write_all(&answer(status, &body))?,
            None => {
                to_server.write_all(&asked.bytes())?;
                let Some(answered) = read(&mut from_server)? else { return Ok(()) };
                to_client.write_all(&answered.bytes())?;
            }
        }
    }
    Ok(())
}

fn read(from: &mut impl BufRead) -> io::Result<Option<Asked>> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let mut asked = Asked { head, body: Vec::new() };
    assert_eq!(asked.header("transfer-encoding"), None, "neither side sends pieces");
    let length = asked.header("content-length").map_or(0, |digits| digits.parse().expect("a length"));
    asked.body = vec![0; length];
    from.read_exact(&mut asked.body)?;
    Ok(Some(asked))
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.iter().skip(1).filter_map(|line| line.split_once(':'));
        let found = lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }

    /// As it goes on: without the token, which is nobody else's business.
    fn bytes(&self) -> Vec<u8> {
        let lines = self.head.iter().filter(|line| !line.to_ascii_lowercase().starts_with("x-gate-token:"));
        let head: String = lines.map(|line| format!("{line}\r\n")).collect();
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

fn answer(status: u16, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

impl Seen {
    /// The gateway's own answer; `None`: the request may pass.
    fn judge(&mut self, asked: &Asked, shown: &mut HashSet<usize>) -> Option<(u16, Value)> {
        let line = asked.head.first().map_or("", |line| line.trim_end_matches(" HTTP/1.1"));
        let body = || serde_json::from_slice::<Value>(&asked.body).unwrap_or_default();
        match line {
            "POST /gate/token" => Some(self.log_in(&body())),
            "POST /gate/refresh" => Some(self.renew(&body())),
            "DELETE /gate/token" => Some(self.give_back(asked)),
            _ => self.pass(asked, shown),
        }
    }

    fn log_in(&mut self, body: &Value) -> (u16, Value) {
        if *body != json!({"username": USER, "password": PIN}) {
            return (401, json!({"error": "invalid_grant"}));
        }
        self.logins += 1;
        let (access, refresh) = self.pair();
        let known = HashSet::from([access.clone()]);
        self.families.push(Family {
            access: access.clone(),
            refresh: refresh.clone(),
            left: self.uses,
            known,
        });
        (200, json!({"access_token": access, "refresh_token": refresh, "expires_in": 3600}))
    }

    fn renew(&mut self, body: &Value) -> (u16, Value) {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let (access, refresh) = (text("AccessToken"), text("RefreshToken"));
        let fresh = self.spent.insert(refresh.clone());
        let pair = self.pair();
        let uses = self.uses;
        let family =
            self.families.iter_mut().find(|family| family.refresh == refresh && family.access == access);
        match family.filter(|_| fresh) {
            Some(family) => {
                family.known.insert(pair.0.clone());
                (family.access, family.refresh) = pair.clone();
                family.left = uses;
                self.renewals += 1;
                (200, json!({"access_token": pair.0, "refresh_token": pair.1, "expires_in": 3600}))
            }
            None => {
                self.replays += 1;
                (400, json!({"error": "invalid_grant"}))
            }
        }
    }

    fn pair(&mut self) -> (String, String) {
        self.count += 1;
        let pair = (format!("{ACCESS}-{}", self.count), format!("{REFRESH}-{}", self.count));
        secrets::register("gateway token", pair.0.as_bytes());
        secrets::register("gateway token", pair.1.as_bytes());
        pair
    }

    fn family(&mut self, asked: &Asked) -> Option<&mut Family> {
        let shown = asked.header("x-gate-token")?;
        self.families.iter_mut().find(|family| family.access == shown)
    }

    fn give_back(&mut self, asked: &Asked) -> (u16, Value) {
        match self.family(asked) {
            Some(family) => {
                family.left = 0;
                // Nothing renews it any more.
                family.refresh.clear();
                self.given_back += 1;
                (200, json!({}))
            }
            None => (401, json!({"error": "invalid_token"})),
        }
    }

    fn pass(&mut self, asked: &Asked, shown: &mut HashSet<usize>) -> Option<(u16, Value)> {
        let token = asked.header("x-gate-token").unwrap_or_default();
        let family = self.families.iter().position(|family| family.known.contains(token));
        if family.is_some_and(|family| shown.insert(family)) && shown.len() == 2 {
            self.mixed += 1;
        }
        match self.family(asked).filter(|family| family.left > 0) {
            Some(family) => {
                family.left -= 1;
                self.passed += 1;
                None
            }
            None => {
                self.refused += 1;
                Some((401, json!({"error": "invalid_token"})))
            }
        }
    }
}
