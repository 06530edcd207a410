//! What a test may change while the gateway runs: `/_emulator/…`.

use std::collections::BTreeMap;

use hyper::Method;
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Gateway;
use crate::vendor::Reply;

/// How often each thing happened.
#[derive(Debug, Default)]
pub(super) struct Events(Mutex<BTreeMap<&'static str, u64>>);

impl Events {
    pub(super) fn count(&self, name: &'static str) {
        *self.0.lock().entry(name).or_default() += 1;
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountChange {
    locked: Option<bool>,
    permitted: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenChange {
    calls: Option<u32>,
}

impl Gateway {
    pub(super) fn switch(&self, method: &Method, path: &str, body: &[u8]) -> Option<Reply> {
        let put = *method == Method::PUT;
        let post = *method == Method::POST;
        Some(match path {
            "events" if *method == Method::GET => Reply::json(200, &json!(*self.events.0.lock())),
            "clock" if put => changed(body, |ahead| self.clock.set(ahead)),
            "allow" if put => return Some(self.replace_networks(body)),
            "replay" if put => changed(body, |count| *self.replays.lock() = count),
            "tokens" if put => changed(body, |TokenChange { calls }| self.accounts.lock().calls = calls),
            "tokens/expire" if post => done(|| self.accounts.lock().expire()),
            "tokens/revoke" if post => done(|| self.accounts.lock().revoke()),
            "events" | "clock" | "allow" | "replay" | "tokens" | "tokens/expire" | "tokens/revoke" => {
                Reply::empty(405)
            }
            _ => match path.split_once('/')? {
                ("accounts", user) if put => self.change_account(user, body),
                ("secrets", key_id) if put => self.replace_secrets(key_id, body),
                ("accounts" | "secrets", _) => Reply::empty(405),
                _ => return None,
            },
        })
    }

    fn replace_networks(&self, body: &[u8]) -> Reply {
        let networks =
            serde_json::from_slice(body).ok().and_then(|list: Vec<String>| list.join(",").parse().ok());
        match networks {
            Some(networks) => done(|| *self.allow.write() = networks),
            None => bad("an array of networks such as 10.0.0.0/8"),
        }
    }

    fn change_account(&self, user: &str, body: &[u8]) -> Reply {
        let Ok(change) = serde_json::from_slice::<AccountChange>(body) else {
            return bad("an object with locked, permitted or both");
        };
        let mut accounts = self.accounts.lock();
        let Some(account) = accounts.get_mut(user) else { return Reply::empty(404) };
        account.locked = change.locked.unwrap_or(account.locked);
        account.permitted = change.permitted.unwrap_or(account.permitted);
        Reply::empty(204)
    }

    fn replace_secrets(&self, key_id: &str, body: &[u8]) -> Reply {
        match serde_json::from_slice::<Vec<String>>(body) {
            Ok(secrets) if (1..=2).contains(&secrets.len()) => {
                match self.accounts.lock().replace_secrets(key_id, secrets) {
                    true => Reply::empty(204),
                    false => Reply::empty(404),
                }
            }
            _ => bad("an array of one or two strings"),
        }
    }
}

fn changed<T: DeserializeOwned>(body: &[u8], change: impl FnOnce(T)) -> Reply {
    match serde_json::from_slice(body) {
        Ok(value) => done(|| change(value)),
        Err(error) => Reply::json(400, &json!({ "message": error.to_string() })),
    }
}

fn done(change: impl FnOnce()) -> Reply {
    change();
    Reply::empty(204)
}

fn bad(expected: &str) -> Reply {
    Reply::json(400, &json!({ "message": format!("the body is not {expected}") }))
}
