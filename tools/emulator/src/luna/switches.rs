//! What a test may change while the appliance runs: `/_emulator/…`.

use hyper::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::objects::Object;
use super::{Luna, State};
use crate::vendor::Reply;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct HsmChange {
    so_logins_left: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartitionChange {
    initialized: bool,
}

/// By the names that the appliance has for them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RoleChange {
    password: Option<Zeroizing<String>>,
    initialized: Option<bool>,
    locked_out: Option<bool>,
    login_attempts_left: Option<u32>,
    pin_to_be_changed: Option<bool>,
    ped: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct AccountChange {
    password: Option<Zeroizing<String>>,
    role: Option<String>,
    enabled: Option<bool>,
    must_change: Option<bool>,
}

/// What is there to be changed, or not.
type Change = Option<Reply>;

impl Luna {
    /// `None` for paths that there are not; 405 for other methods, 404 for what is not there, 400 for a wrong body.
    pub(super) fn switch(&self, method: &Method, path: &str, body: &[u8]) -> Option<Reply> {
        let segments: Vec<_> = path.split('/').collect();
        let state = &mut *self.state.lock();
        let change = match (method, segments.as_slice()) {
            (&Method::PUT, ["clock"]) => read(body, |ahead| {
                self.clock.set(ahead);
                done()
            }),
            (&Method::GET, ["sessions"]) => Some(Reply::json(200, &sessions(state))),
            (&Method::DELETE, ["sessions"]) => clear(|| state.sessions.clear()),
            (&Method::DELETE, ["tokens"]) => clear(|| state.tokens.clear()),
            (&Method::DELETE, ["tasks"]) => clear(|| state.tasks.clear()),
            (&Method::PUT, ["ped"]) => read(body, |ped| {
                state.tasks.ped = ped;
                done()
            }),
            (&Method::PUT, ["hsm"]) => read(body, |change: HsmChange| {
                let so = state.hsm.roles.get_mut("so")?;
                (so.left, so.locked) = (change.so_logins_left, change.so_logins_left == 0);
                done()
            }),
            (&Method::PUT, ["partitions", id]) => read(body, |PartitionChange { initialized }| {
                state.hsm.partitions.get_mut(*id)?.initialized = initialized;
                done()
            }),
            (&Method::DELETE, ["partitions", id]) => state.hsm.partitions.remove(*id).and_then(|_| done()),
            (&Method::POST, ["partitions", id, "logout"]) => {
                clear(|| state.sessions.forget_logins(|place, _| place.as_deref() == Some(id)))
            }
            (&Method::PUT, ["partitions", id, "roles", role]) => {
                read(body, |change| change_role(state, id, role, change))
            }
            (&Method::POST, ["partitions", id, "objects"]) => read(body, |object: Object| {
                let handle = state.hsm.partitions.get_mut(*id)?.add(object);
                Some(Reply::json(201, &json!({ "id": handle.to_string() })))
            }),
            (&Method::DELETE, ["partitions", id, "objects", handle]) => {
                let objects = state.hsm.partitions.get_mut(*id).map(|partition| &mut partition.objects);
                objects.and_then(|objects| objects.remove(&handle.parse().ok()?)).and_then(|_| done())
            }
            (&Method::PUT, ["accounts", user]) => read(body, |change| change_account(state, user, change)),
            (&Method::DELETE, ["accounts", user, "certificates"]) => {
                let account = state.accounts.users.get_mut(*user);
                account.map(|account| account.certificates.clear()).and_then(|()| done())
            }
            (
                _,
                ["clock" | "sessions" | "tokens" | "tasks" | "ped" | "hsm" | "partitions" | "accounts", ..],
            ) => Some(Reply::empty(405)),
            _ => return None,
        };
        Some(change.unwrap_or_else(|| Reply::empty(404)))
    }
}

fn done() -> Change {
    Some(Reply::empty(204))
}

fn clear(change: impl FnOnce()) -> Change {
    change();
    done()
}

/// Hands on what the body is, if it is that.
fn read<T: DeserializeOwned>(body: &[u8], change: impl FnOnce(T) -> Change) -> Change {
    match serde_json::from_slice(body) {
        Ok(value) => change(value),
        Err(error) => Some(Reply::json(400, &json!({ "message": error.to_string() }))),
    }
}

/// Who is logged in where, without the cookies.
fn sessions(state: &State) -> Value {
    let all = state.sessions.all().map(|session| {
        let logins = session.logins.iter();
        let logins: Vec<_> =
            logins.map(|(place, role)| format!("{}/{role}", place.as_deref().unwrap_or("hsm"))).collect();
        json!({ "user": session.user, "logins": logins })
    });
    Value::Array(all.collect())
}

fn change_role(state: &mut State, partition: &str, role: &str, change: RoleChange) -> Change {
    let role = state.hsm.partitions.get_mut(partition)?.roles.get_mut(role)?;
    if let Some(password) = change.password {
        role.password = password;
    }
    role.initialized = change.initialized.unwrap_or(role.initialized);
    role.locked = change.locked_out.unwrap_or(role.locked);
    role.left = change.login_attempts_left.unwrap_or(role.left);
    role.to_be_changed = change.pin_to_be_changed.unwrap_or(role.to_be_changed);
    role.ped = change.ped.unwrap_or(role.ped);
    done()
}

fn change_account(state: &mut State, user: &str, change: AccountChange) -> Change {
    let account = state.accounts.users.get_mut(user)?;
    if let Some(password) = change.password {
        account.password = password;
    }
    if let Some(role) = change.role {
        account.role = role;
    }
    account.enabled = change.enabled.unwrap_or(account.enabled);
    account.must_change = change.must_change.unwrap_or(account.must_change);
    done()
}
