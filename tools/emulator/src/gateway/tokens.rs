//! The token call and its renewal.

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Gateway;
use super::accounts::Granted;
use super::objects::json_body;
use super::refusal::{Answer, Refusal};
use super::settings::{Names, TokenBody};
use crate::vendor::{JSON, Reply, Request};

/// The call as the product's page prints it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Renewal {
    #[serde(rename = "AccessToken")]
    access: String,
    #[serde(rename = "RefreshToken")]
    refresh: String,
}

impl Gateway {
    /// `POST /token`. `signer`: whose secret signed the call, if it had to be signed.
    pub(super) fn log_in(&self, request: &Request, signer: Option<&str>) -> Answer {
        let fields = match self.settings.token_body {
            TokenBody::Form => form(request)?,
            TokenBody::Json => json_fields(request)?,
        };
        let names = match self.settings.token_names {
            Names::Pascal => ["Grant_Type", "Username", "Password"],
            Names::Snake | Names::Camel => ["grant_type", "username", "password"],
        };
        let field = |name: &str| {
            let mut values = fields.iter().filter(|(known, _)| known == name);
            match (values.next(), values.next()) {
                (Some((_, value)), None) => Ok(value.as_str()),
                _ => Err(Refusal::bad_request(format!("{name} must be there, once."))),
            }
        };
        let [grant, user, password] = [field(names[0])?, field(names[1])?, field(names[2])?];
        if fields.len() > names.len() {
            return Err(Refusal::bad_request("There are more fields than the call has."));
        }
        if !grant.eq_ignore_ascii_case("password") {
            return Err(Refusal::new(400, "UNSUPPORTED_GRANT_TYPE", "The grant is none but the password."));
        }
        if signer.is_some_and(|signer| signer != user) {
            return Err(Refusal::new(401, "WRONG_PRINCIPAL", "The signature is another account's."));
        }
        let now = self.clock.seconds();
        let granted = self.accounts.lock().log_in(user, password, &self.settings, now)?;
        self.events.count("LOGIN");
        Ok(self.granted(granted))
    }

    /// `POST /api/Auth/RefreshToken`.
    pub(super) fn renew(&self, request: &Request) -> Answer {
        let Renewal { access, refresh } = json_body(request)?;
        let now = self.clock.seconds();
        let granted = self.accounts.lock().renew(&access, &refresh, &self.settings, now)?;
        self.events.count("REFRESH");
        Ok(self.granted(granted))
    }

    fn granted(&self, granted: Granted) -> Reply {
        let names = match self.settings.token_answer {
            Names::Snake => ["access_token", "token_type", "expires_in", "refresh_token"],
            Names::Pascal => ["AccessToken", "TokenType", "ExpiresIn", "RefreshToken"],
            Names::Camel => ["accessToken", "tokenType", "expiresIn", "refreshToken"],
        };
        let mut body = Map::new();
        body.insert(names[0].to_owned(), Value::String(granted.access));
        body.insert(names[1].to_owned(), json!("bearer"));
        body.insert(names[2].to_owned(), json!(self.settings.ttl));
        if let Some(refresh) = granted.refresh {
            body.insert(names[3].to_owned(), Value::String(refresh));
        }
        Reply::json(200, &Value::Object(body))
    }
}

/// The fields of a form. Its type may stand without `application/`, as the product's page prints it.
fn form(request: &Request) -> Answer<Vec<(String, String)>> {
    let media_type = media_type(request);
    if !["application/x-www-form-urlencoded", "x-www-form-urlencoded"].contains(&media_type.as_str()) {
        return Err(Refusal::new(415, "WRONG_TYPE", "The body must be a form."));
    }
    let text = std::str::from_utf8(&request.body).map_err(Refusal::bad_request)?;
    let decode = |part: &str| {
        let blanks = part.replace('+', " ");
        percent_decode_str(&blanks).decode_utf8().map(String::from).map_err(Refusal::bad_request)
    };
    let pairs = text.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').ok_or_else(|| Refusal::bad_request("No form."))?;
        Ok((decode(name)?, decode(value)?))
    });
    pairs.collect()
}

fn json_fields(request: &Request) -> Answer<Vec<(String, String)>> {
    let fields: Map<String, Value> = json_body(request)?;
    let texts = fields.into_iter().map(|(name, value)| match value {
        Value::String(text) => Ok((name, text)),
        _ => Err(Refusal::bad_request(format!("{name} is no text."))),
    });
    texts.collect()
}

/// In lower case, without parameters.
fn media_type(request: &Request) -> String {
    let value = request.header("content-type").unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether the body says that it is JSON.
pub(super) fn is_json(request: &Request) -> bool {
    media_type(request) == JSON
}
