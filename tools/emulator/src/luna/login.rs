//! Logins of roles, their end, and their passwords (section 5).

use hyper::Method;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::State;
use super::access::Caller;
use super::exchange::{Exchange, Nothing};
use super::hsm::ID;
use super::refusal::{Answer, Refusal};
use super::roles::{Proof, Role};
use super::routes::Endpoint;
use super::sessions::Place;
use super::settings::{ChangePassword, Settings};
use super::tasks::Work;
use crate::vendor::Reply;

/// The longest password of a role.
const LONGEST: usize = 255;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginBody {
    ped: Option<String>,
    password: Option<Zeroizing<String>>,
    role: Option<String>,
    /// Of the indirect login.
    response: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PasswordBody {
    old_password: Zeroizing<String>,
    new_password: Zeroizing<String>,
    ped: Option<String>,
}

impl Exchange<'_> {
    /// `POST …/login`
    pub(super) fn log_in(&mut self, caller: &Caller) -> Answer {
        let place = self.place()?;
        let session = self.private(caller)?;
        let LoginBody { ped, password, role, response } = self.body()?;
        if response.is_some() {
            return Err(Refusal::not_supported("The indirect login is not emulated."));
        }
        check_device(ped.as_deref())?;
        self.check_initialized(&place)?;
        let role = role.unwrap_or_default();
        let known = self.state.hsm.roles(&place)?.get_key_value(role.as_str());
        let (role, ped) = known
            .map(|(role, state)| (*role, state.ped))
            .ok_or_else(|| Refusal::bad(format_args!("There is no role {role:?} here.")))?;
        if !ped && password.is_none() {
            return Err(Refusal::bad("There is no password."));
        }
        // What stands in `password` beside a PIN entry device is not looked at.
        match password.filter(|_| !ped) {
            Some(password) if !self.settings.logins_are_tasks => {
                self.state.attempt(&session, &place, role, &Proof::Password(password), self.settings)
            }
            password => Ok(self.begin(caller, Work::Login { session, place, role, password })),
        }
    }

    /// `POST …/logout`
    pub(super) fn log_out(&mut self, caller: &Caller) -> Answer {
        let place = self.place()?;
        let id = self.private(caller)?;
        let Nothing {} = self.optional_body()?;
        let session = self.state.sessions.get_mut(&id).ok_or_else(Refusal::not_private)?;
        let before = session.logins.len();
        session.logins.retain(|(at, _)| *at != place);
        if session.logins.len() == before {
            return Err(Refusal::not_logged_in());
        }
        let mut reply = Reply::empty(204);
        if place.is_none() {
            reply.headers.push(("location", format!("/api/lunasa/hsms/{ID}")));
        }
        Ok(reply)
    }

    /// `PATCH …/roles/{role}` and `PUT …/roles/{role}/password`
    pub(super) fn change_password(&mut self, caller: &Caller, endpoint: Endpoint) -> Answer {
        match (endpoint, self.settings.change_password) {
            (Endpoint::PartitionRole, ChangePassword::Put) => return Err(Refusal::method()),
            (Endpoint::RolePassword, ChangePassword::Patch) => return Err(Refusal::no_resource()),
            _ => {}
        }
        let place = self.place()?;
        self.private(caller)?;
        let PasswordBody { old_password, new_password, ped } = self.body()?;
        let is_put = self.request.method == Method::PUT;
        match ped {
            Some(_) if !is_put => return Err(Refusal::bad("There is no field ped.")),
            ped if is_put => check_device(ped.as_deref())?,
            _ => {}
        }
        if !(self.settings.min_password..=LONGEST).contains(&new_password.chars().count()) {
            return Err(Refusal::bad("The new password is too short or too long."));
        }
        self.check_initialized(&place)?;
        let roles = self.state.hsm.roles_mut(&place)?;
        let role: &mut Role = roles.get_mut(self.parameters[2].as_str()).ok_or_else(Refusal::no_role)?;
        role.check_unused(&Proof::Password(old_password), self.settings)?;
        role.password = new_password;
        role.to_be_changed = false;
        Ok(Reply::empty(if is_put { 204 } else { 202 }))
    }

    fn check_initialized(&self, place: &Place) -> Answer<()> {
        let Some(id) = place else { return Ok(()) };
        match self.state.hsm.partition(id)?.initialized {
            true => Ok(()),
            false => Err(Refusal::operation("The partition is not initialised.")),
        }
    }
}

/// `"0"` is the local PIN entry device, or none.
fn check_device(ped: Option<&str>) -> Answer<()> {
    match ped.is_some_and(|ped| ped.parse::<u16>().is_ok()) {
        true => Ok(()),
        false => Err(Refusal::bad("ped is the number of a PIN entry device, as a text.")),
    }
}

impl State {
    /// Logs a role in on a session, or refuses to.
    pub(super) fn attempt(
        &mut self,
        session: &str,
        place: &Place,
        role: &'static str,
        proof: &Proof,
        settings: &Settings,
    ) -> Answer {
        let state = self.hsm.roles_mut(place)?.get_mut(role).ok_or_else(Refusal::no_role)?;
        let outcome = state.check(proof, settings);
        if self.hsm.is_spent() {
            self.hsm.zeroize();
            self.sessions.forget_logins(|_, _| true);
        }
        outcome?;
        let session = self.sessions.get_mut(session).ok_or_else(Refusal::not_private)?;
        session.logins.insert((place.clone(), role));
        // Whatever the role: it has been seen so (section 14.2).
        let location = match place {
            None => format!("/api/lunasa/hsms/{ID}/login/so/1"),
            Some(id) => format!("/api/lunasa/hsms/{ID}/partitions/{id}/login/so/3"),
        };
        Ok(Reply { headers: vec![("location", location)], ..Reply::empty(204) })
    }
}
