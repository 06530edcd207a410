//! One request: what it is in, and the ways of answering that resources have in common (section 3).

use hyper::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::State;
use super::access::Caller;
use super::refusal::{Answer, Refusal};
use super::routes::Endpoint;
use super::settings::Settings;
use crate::keys::Key;
use crate::vendor::{Reply, Request};

/// The vendor's types are this and `json` or `octet-stream`.
const VENDOR_TYPE: &str = "application/vnd.safenetinc.lunasa+";
/// The oldest version that is known of.
const OLDEST: u32 = 4;

/// A request under way.
pub(super) struct Exchange<'a> {
    pub(super) request: &'a Request,
    pub(super) settings: &'a Settings,
    /// The key of the appliance.
    pub(super) server: &'a Key,
    pub(super) state: &'a mut State,
    /// Milliseconds since 1970-01-01 UTC.
    pub(super) now: i64,
    /// The version of the API that is spoken.
    pub(super) version: u32,
    /// What the placeholders of the path stand for.
    pub(super) parameters: Vec<String>,
}

/// The body of calls that have nothing to say.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Kind and version in a content type of the vendor's.
fn vendor_type(text: &str) -> Option<(String, String)> {
    let text = text.to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next()?.strip_prefix(VENDOR_TYPE)?.to_owned();
    let version = parts.find_map(|parameter| parameter.strip_prefix("version=")).unwrap_or_default();
    Some((kind, version.to_owned()))
}

/// The version that a request asks for, after a look at the type of its body. Content-Type wins over Accept.
pub(super) fn version(request: &Request, endpoint: Endpoint, settings: &Settings) -> Answer<u32> {
    let content_type = request.header("content-type").and_then(vendor_type);
    let has_body = [Method::POST, Method::PUT, Method::PATCH].contains(&request.method);
    let expected = if endpoint == Endpoint::RoleResources { "octet-stream" } else { "json" };
    let fits = content_type.as_ref().is_some_and(|(kind, _)| kind == expected);
    if has_body && settings.strict_types && !fits {
        return Err(Refusal::bad(format_args!(
            "The content type must be {VENDOR_TYPE}{expected};version=N."
        )));
    }
    let asked = content_type.or_else(|| request.header("accept").and_then(vendor_type));
    match asked.map(|(_, version)| version).filter(|version| !version.is_empty()) {
        None => Ok(settings.version),
        Some(version) => version
            .parse()
            .ok()
            .filter(|version| (OLDEST..=settings.version).contains(version))
            .ok_or_else(|| Refusal::bad(format_args!("There is no version {version:?} of the API."))),
    }
}

impl Exchange<'_> {
    /// The answer of a resource.
    pub(super) fn serve(mut self, endpoint: Endpoint) -> Answer {
        match endpoint {
            Endpoint::Challenge => return self.post().and_then(|()| self.challenge()),
            Endpoint::LoginBasic => return self.post().and_then(|()| self.log_in_by_body()),
            _ => {}
        }
        let caller = self.identify()?;
        self.check_rights(&caller)?;
        self.dispatch(endpoint, &caller)
    }

    fn dispatch(&mut self, endpoint: Endpoint, caller: &Caller) -> Answer {
        use Endpoint as E;
        match (&self.request.method, endpoint) {
            (&Method::POST, E::Session) => self.open_session(caller),
            (&Method::DELETE, E::Session) => self.end_session(caller),
            (&Method::POST, E::Jwt) => self.grant_token(caller),
            (&Method::DELETE, E::Jwt) => self.revoke_token(caller),
            (&Method::GET, E::Users) => self.users(),
            (&Method::POST, E::Users) => self.create_user(),
            (&Method::GET, E::User) => self.user(),
            (&Method::DELETE, E::User) => self.delete_user(),
            (&Method::POST, E::UserAction) => self.user_action(),
            (&Method::POST, E::Certificates | E::Certificate) => self.enrol(endpoint),
            (&Method::POST, E::Roles) => self.create_role(),
            (&Method::PUT, E::RoleResources) => self.set_acl(),
            (&Method::GET, E::Tasks) => self.tasks(caller),
            (&Method::GET, E::Task) => self.task(caller),
            (&Method::GET, E::TaskResponse) => self.task_response(caller),
            (&Method::GET, E::TaskActions) => self.task_actions(caller),
            (&Method::POST, E::TaskAction) => self.task_action(caller),
            (&Method::GET, E::Appliance) => self.appliance(),
            (&Method::GET, E::WebServer) => self.web_server(),
            (&Method::GET, E::Hsms) => self.hsms(),
            (&Method::GET, E::Hsm) => self.hsm(),
            (&Method::GET, E::Firmware) => self.firmware(),
            (&Method::GET, E::Storage) => self.storage(),
            (&Method::GET, E::HsmRoles | E::PartitionRoles) => self.roles(),
            (&Method::GET, E::HsmRole | E::PartitionRole) => self.role(),
            (&Method::POST, E::HsmLogin | E::Login) => self.log_in(caller),
            (&Method::POST, E::HsmLogout | E::Logout) => self.log_out(caller),
            (&Method::POST, E::HsmAction) => self.hsm_action(caller),
            (&Method::GET, E::Partitions) => self.partitions(),
            (&Method::GET, E::Partition) => self.partition(),
            (&Method::PATCH, E::PartitionRole) => self.change_password(caller, endpoint),
            (&Method::PUT, E::RolePassword) => self.change_password(caller, endpoint),
            (&Method::GET, E::OldObjects | E::NewObjects) => self.objects(caller, endpoint),
            (&Method::GET, E::OldObject | E::NewObject) => self.object(caller, endpoint),
            _ => Err(Refusal::method()),
        }
    }

    fn post(&self) -> Answer<()> {
        if self.request.method == Method::POST { Ok(()) } else { Err(Refusal::method()) }
    }

    /// What the placeholder of that number stands for.
    pub(super) fn parameter(&self, number: usize) -> &str {
        self.parameters.get(number).map_or("", String::as_str)
    }

    /// The body of the request: JSON of exactly that shape.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Answer<T> {
        serde_json::from_slice(&self.request.body).map_err(|error| {
            // Where it is wrong; the text around that may be a password.
            Refusal::bad(format_args!(
                "The body is wrong at line {}, column {}.",
                error.line(),
                error.column()
            ))
        })
    }

    /// The same for a body that may be missing.
    pub(super) fn optional_body<T: DeserializeOwned + Default>(&self) -> Answer<T> {
        if self.request.body.is_empty() { Ok(T::default()) } else { self.body() }
    }

    /// A list, or the page of it that was asked for, with a link to the next one.
    pub(super) fn listing(&self, name: &str, items: Vec<Value>) -> Answer {
        let (limit, offset) = (self.number("limit")?, self.number("offset")?.unwrap_or(0));
        let total = items.len();
        let page: Vec<_> = items.into_iter().skip(offset).take(limit.unwrap_or(total)).collect();
        let next = offset.saturating_add(page.len());
        let mut reply = Reply::json(200, &json!({ name: page }));
        if let Some(limit) = limit.filter(|_| next < total) {
            let link = format!("<{}?limit={limit}&offset={next}>; rel=\"next\"", self.request.path);
            reply.headers.push(("link", link));
        }
        Ok(reply)
    }

    /// A number in the query.
    fn number(&self, name: &str) -> Answer<Option<usize>> {
        let pairs = self.request.query.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value);
        let number = value.map(|value| value.parse());
        number.transpose().map_err(|_| Refusal::bad(format_args!("{name} is no number.")))
    }

    /// An id as lists have it.
    pub(super) fn id(&self, id: &str) -> Value {
        match id.parse::<u64>() {
            Ok(number) if self.settings.numeric_ids => number.into(),
            _ => id.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_are_those_of_section_3() {
        let read = |text| vendor_type(text).map(|(kind, version)| format!("{kind} {version}"));
        assert_eq!(read("application/vnd.safenetinc.lunasa+json;version=15").as_deref(), Some("json 15"));
        assert_eq!(read("application/vnd.safenetinc.lunasa+json;version=").as_deref(), Some("json "));
        assert_eq!(read("application/vnd.safenetinc.lunasa+octet-stream").as_deref(), Some("octet-stream "));
        assert_eq!(read("application/json"), None);
    }
}
