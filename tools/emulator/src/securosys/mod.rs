//! The REST API of the Securosys Transaction Security Broker.
//!
//! A request passes, in this order: JWT, API key of the path's role, path and method, content
//! type, JSON, licence, and then what the operation checks (Securosys TSB reference §1.4, §11).

pub(crate) mod aes_modes;
pub(crate) mod algorithm;
mod certificate;
pub(crate) mod cipher;
pub(crate) mod hash;
mod keys;
mod operations;
mod refusal;
mod requests;
mod roles;
mod routes;
mod seed;
mod service;
pub(crate) mod sign;
mod switches;
pub(crate) mod time;
mod wire;

use hyper::Method;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::error::Error;
use crate::files::{Directory, remove_if_present, toml_string, write_atomically};
use crate::keys::KeyStore;
use crate::vendor::{JSON, Reply, Request, Route, Vendor};

pub use switches::{
    CertificateForm, CertificatesRole, LoneAsynchronous, MalformedCode, MissingCertificate, RandomRole,
    Switches, UsageRefusal, Version,
};

use refusal::{Answer, INVALID_ENUM, INVALID_JSON, NOT_LICENSED, Refusal, VALIDATION};
use requests::Requests;
use roles::{Credentials, Role, role_of};
use routes::{Endpoint, Target, UNKNOWN_PATH, target};

/// The key-operation API key of an emulator that was told no other, and so the PIN of its slot.
pub const PIN: &str = "1234";
const KEY_MANAGEMENT_FILE: &str = "key-management.key";
const SERVICE_FILE: &str = "service.key";
/// The JSON Web Token that requests must carry, in the emulator's directory; there only if one is asked for.
pub const BEARER_FILE: &str = "bearer.jwt";

/// An emulated TSB server with its HSM partition.
pub(crate) struct Securosys {
    switches: Switches,
    credentials: Credentials,
    keys: KeyStore,
    requests: Requests,
}

impl Securosys {
    /// Loads the keys and secrets of a directory, and makes those that are missing.
    pub(crate) fn open(
        directory: &Directory,
        switches: Switches,
        pin: String,
        bearer: Option<String>,
    ) -> Result<Securosys, Error> {
        let bearer_path = directory.join(BEARER_FILE);
        match &bearer {
            Some(token) => write_atomically(&bearer_path, token.as_bytes())?,
            None => remove_if_present(&bearer_path)?,
        }
        let keys = [
            (Role::KeyManagement, directory.secret(KEY_MANAGEMENT_FILE)?),
            (Role::KeyOperation, pin.into()),
            (Role::Approver, directory.secret("approver.key")?),
            (Role::Service, directory.secret(SERVICE_FILE)?),
            (Role::ApproverKeyManagement, directory.secret("approver-key-management.key")?),
        ];
        let credentials = Credentials::new(keys, bearer);
        let keys = KeyStore::open(directory.join("keys"))?;
        seed::plant(&keys, switches.locked_key)?;
        Ok(Securosys { switches, credentials, keys, requests: Requests::default() })
    }

    fn handle(&self, request: &Request) -> Answer {
        let Some(role) = role_of(&request.path, &self.switches) else {
            return Err(Refusal::http(404));
        };
        self.credentials.admit(request, role, &self.switches)?;
        let (endpoint, parameter) = match target(&request.method, &request.path) {
            Target::Found { endpoint, parameter, .. } => (endpoint, parameter),
            Target::WrongMethod { allow, .. } => {
                return Err(Refusal::Http { status: 405, allow: Some(allow) });
            }
            Target::Unknown => return Err(Refusal::http(404)),
        };
        check_accept(request)?;
        self.dispatch(endpoint, &parameter, request)
    }

    fn dispatch(&self, endpoint: Endpoint, parameter: &str, request: &Request) -> Answer {
        match endpoint {
            Endpoint::ListKeys => self.list_keys(),
            Endpoint::CreateKey => self.create_key(self.body(request)?),
            Endpoint::Attributes => self.attributes(self.body(request)?),
            Endpoint::AttributesByPath => self.attributes_by_path(parameter),
            Endpoint::DeleteKey => self.delete_key(self.body(request)?),
            Endpoint::DeleteKeyByPath => self.delete_key_by_path(parameter),
            Endpoint::GetCertificate => self.get_certificate(parameter),
            Endpoint::ImportCertificate => self.import_certificate(self.body(request)?),
            Endpoint::DeleteCertificate => self.delete_certificate(parameter),
            Endpoint::Sign => self.sign(self.signed_body(request)?),
            Endpoint::Verify => self.verify(self.signed_body(request)?),
            Endpoint::Encrypt => self.encrypt(self.signed_body(request)?),
            Endpoint::Decrypt => self.decrypt(self.signed_body(request)?),
            Endpoint::Hmac => self.hmac(self.signed_body(request)?),
            Endpoint::Random => self.random(parameter),
            Endpoint::Version => Ok(self.version_info()),
            Endpoint::Licence => Ok(self.licence_info()),
            Endpoint::Statistics => Ok(self.statistics()),
            Endpoint::AsynchronousSign => self.asynchronous_sign(self.signed_body(request)?),
            Endpoint::AsynchronousDecrypt => self.asynchronous_decrypt(self.signed_body(request)?),
            Endpoint::GetRequest => self.get_request(parameter),
            Endpoint::CancelRequest => self.cancel_request(parameter),
            Endpoint::Unlearnt => Err(Refusal::not_implemented(&request.path)),
            Endpoint::UnlearntLicensed => {
                self.require_tsb_engine()?;
                Err(Refusal::not_implemented(&request.path))
            }
        }
    }

    /// The body of a request, which must be JSON of exactly that shape.
    fn body<T: DeserializeOwned>(&self, request: &Request) -> Answer<T> {
        let media_type = request.header("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case(JSON) {
            return Err(Refusal::http(415));
        }
        serde_json::from_slice(&request.body).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Refusal::new(VALIDATION, error),
            _ => self.malformed(&error.to_string()),
        })
    }

    /// As [`Securosys::body`]; a signature over the request is more than the emulator can check.
    fn signed_body<T: DeserializeOwned + wire::Signed>(&self, request: &Request) -> Answer<T> {
        let body: T = self.body(request)?;
        if body.has_signature() {
            return Err(Refusal::not_implemented("requestSignature"));
        }
        Ok(body)
    }

    /// Malformed JSON or an unknown enumeration value.
    fn malformed(&self, message: &str) -> Refusal {
        let code = match self.switches.malformed_code {
            MalformedCode::Validation600 => VALIDATION,
            MalformedCode::Json621 => INVALID_JSON,
            MalformedCode::Enum501 => INVALID_ENUM,
        };
        Refusal::new(code, message)
    }

    fn unknown_value(&self, field: &str) -> Refusal {
        self.malformed(&format!("The value of {field} is none of those that there are."))
    }

    /// Synchronous calls on keys without a policy.
    fn require_rest_api(&self) -> Answer<()> {
        match self.switches.licence_rest_api {
            true => Ok(()),
            false => Err(Refusal::new(NOT_LICENSED, "The licence REST_API is missing.")),
        }
    }

    /// Asynchronous calls and policies.
    fn require_tsb_engine(&self) -> Answer<()> {
        match self.switches.licence_tsb_engine {
            true => Ok(()),
            false => Err(Refusal::new(NOT_LICENSED, "The licence TSB_ENGINE is missing.")),
        }
    }
}

impl Vendor for Securosys {
    /// The PIN is the key-operation API key; where no API keys are asked for, the JWT.
    fn module_slot(&self, directory: &Directory, url: &str) -> String {
        let path = |name: &str| directory.join(name).to_string_lossy().into_owned();
        let file = |name: &str| toml_string(&format!("file:{}", path(name)));
        let mut slot = format!(
            "[[slot]]\nlabel = \"securosys\"\nbackend = \"securosys\"\nurls = [{}]\n",
            toml_string(url),
        );
        if self.switches.api_keys || self.credentials.asks_for_bearer() {
            slot.push_str("\n[slot.auth]\n");
        }
        if self.credentials.asks_for_bearer() {
            let bearer = if self.switches.api_keys { file(BEARER_FILE) } else { toml_string("pin") };
            slot.push_str(&format!("bearer = {bearer}\n"));
        }
        if self.switches.api_keys {
            slot.push_str(&format!(
                "api_key = {{ key_management = {}, key_operation = \"pin\", service = {} }}\n",
                file(KEY_MANAGEMENT_FILE),
                file(SERVICE_FILE),
            ));
        }
        slot
    }

    fn route(&self, method: &Method, path: &str) -> Route {
        match target(method, path) {
            Target::Found { endpoint, pattern, .. } => {
                Route { pattern, writes: endpoint.writes(), slow: endpoint.slow() }
            }
            Target::WrongMethod { pattern, .. } => Route { pattern, writes: false, slow: false },
            Target::Unknown => Route { pattern: UNKNOWN_PATH, writes: false, slow: false },
        }
    }

    fn answer(&self, request: &Request) -> Reply {
        self.handle(request).unwrap_or_else(|refusal| refusal.into_reply(&request.path))
    }

    /// `GET|PUT api-keys/{role}`: a JSON array of strings; `PUT bearer`: a JSON string.
    fn administer(&self, method: &Method, path: &str, body: &[u8]) -> Option<Reply> {
        if path == "bearer" {
            return Some(match *method {
                Method::PUT => replaced(body, |token| self.credentials.replace_bearer(token)),
                _ => Reply::empty(405),
            });
        }
        let role = Role::named(path.strip_prefix("api-keys/")?)?;
        Some(match *method {
            Method::GET => self.credentials.list(role),
            Method::PUT => replaced(body, |keys| self.credentials.replace(role, keys)),
            _ => Reply::empty(405),
        })
    }
}

/// Hands on what the body is, if it is that.
fn replaced<T: DeserializeOwned>(body: &[u8], replace: impl FnOnce(T)) -> Reply {
    match serde_json::from_slice(body) {
        Ok(value) => {
            replace(value);
            Reply::empty(204)
        }
        Err(error) => Reply::json(400, &json!({ "message": error.to_string() })),
    }
}

/// Every answer is JSON, or empty: a client that takes neither is told so.
fn check_accept(request: &Request) -> Answer<()> {
    let Some(accept) = request.header("accept") else {
        return Ok(());
    };
    let takes_json = accept.split(',').any(|range| {
        let range = range.split(';').next().unwrap_or_default().trim();
        ["*/*", "application/*", JSON].iter().any(|good| good.eq_ignore_ascii_case(range))
    });
    if takes_json { Ok(()) } else { Err(Refusal::http(406)) }
}
