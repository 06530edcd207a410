//! The REST API of FAST HSM (FAST HSM reference).
//!
//! A request passes, in this order: path and method, token, content type, JSON, and then what the operation checks.

mod accounts;
mod certificates;
mod envelope;
mod jwe;
mod settings;
mod sign;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::files::{Directory, toml_string};
use crate::material::Material;
use crate::rsa_key::RsaKey;
use crate::vendor::{JSON, Reply, Request, Route, Vendor};

use accounts::{Accounts, OTHER_USER, USER};
use certificates::{Certificates, Held, SEEDS, Status, is_serial};
use envelope::{
    DATA_FORMAT, DECRYPTION_FAILED, ENCRYPTION_FAILED, FORBIDDEN, HASH_FORMAT, INVALID_CERTIFICATE, Member,
    NOT_JSON, Refusal, SERIAL_FORMAT, SIGNING_FAILED, TOO_MANY_HASHES, UNKNOWN_CERTIFICATE, UNKNOWN_PATH,
    WRONG_METHOD,
};
use settings::{Edition, Settings};

/// The most items of `hashArray`.
const MOST_HASHES: usize = 100;
/// The password of the account that the module's slot does not use.
const OTHER_PASSWORD_FILE: &str = "somebody-else.password";

type Answer<T = (&'static str, Value)> = Result<T, Refusal>;

/// Loads the keys and secrets of a directory, and makes those that are missing.
pub(crate) fn open(
    directory: &Directory,
    pin: &str,
    settings: &[(String, String)],
) -> Result<Box<dyn Vendor>, Error> {
    let settings = Settings::read(settings)?;
    let other = directory.secret(OTHER_PASSWORD_FILE)?;
    let accounts = Accounts::new([(USER, Zeroizing::new(pin.to_owned())), (OTHER_USER, other)]);
    Ok(Box::new(Fast { settings, accounts, certificates: Certificates::open(directory)? }))
}

/// An emulated service.
struct Fast {
    settings: Settings,
    accounts: Accounts,
    certificates: Certificates,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    GetToken,
    GetInfo,
    Sign,
    Encrypt,
    Decrypt,
}

const ENDPOINTS: [(&str, Endpoint); 5] = [
    ("/api/account/gettoken", Endpoint::GetToken),
    ("/api/certificate/getinfosn", Endpoint::GetInfo),
    ("/api/sign/signhash", Endpoint::Sign),
    ("/api/sign/encryptjwe", Endpoint::Encrypt),
    ("/api/sign/decryptjwe", Endpoint::Decrypt),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    username: String,
    password: Zeroizing<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CertificateQuery {
    #[serde(rename = "certificateSN")]
    serial: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SignRequest {
    #[serde(rename = "certificateSN")]
    serial: String,
    hash_array: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JweRequest {
    #[serde(rename = "certificateSN")]
    serial: String,
    data: Zeroizing<String>,
}

impl Fast {
    fn handle(&self, request: &Request) -> Reply {
        let endpoint =
            ENDPOINTS.iter().find(|(path, _)| *path == request.path).map(|(_, endpoint)| *endpoint);
        let (outcome, member) = match endpoint {
            None => (Err(UNKNOWN_PATH), Member::Data),
            Some(_) if request.method != Method::POST => (Err(WRONG_METHOD), Member::Data),
            Some(Endpoint::GetToken) => (self.get_token(request), Member::Data),
            Some(Endpoint::GetInfo) => (self.get_info(request), Member::Data),
            Some(Endpoint::Sign) => (self.sign(request), Member::SignatureArray),
            Some(Endpoint::Encrypt) => (self.encrypt(request), Member::Data),
            Some(Endpoint::Decrypt) => (self.decrypt(request), Member::Data),
        };
        envelope::reply(outcome, member, &self.settings)
    }

    fn get_token(&self, request: &Request) -> Answer {
        let Login { username, password } = body(request)?;
        let token = self.accounts.grant(&username, &password, &self.settings)?;
        Ok(match self.settings.edition {
            Edition::Vietnamese => ("Success", json!({ "token": token })),
            Edition::English => {
                let life = self.settings.token_ttl.as_secs();
                let data = json!({ "accessToken": token, "tokenType": "Bearer", "expiresIn": life });
                ("Successfully", data)
            }
        })
    }

    fn get_info(&self, request: &Request) -> Answer {
        let user = self.accounts.admit(request, &self.settings)?;
        let CertificateQuery { serial } = body(request)?;
        if !is_serial(&serial, &self.settings) {
            return Err(SERIAL_FORMAT);
        }
        let held = self.owned(&user, &serial, UNKNOWN_CERTIFICATE)?;
        let internal = Refusal { code: 500, message: "Internal server error" };
        Ok(("Successfully", held.describe(&self.settings).ok_or(internal)?))
    }

    fn sign(&self, request: &Request) -> Answer {
        let user = self.accounts.admit(request, &self.settings)?;
        let SignRequest { serial, hash_array } = body(request)?;
        let held = self.owned(&user, &serial, INVALID_CERTIFICATE)?;
        if held.status != Status::Valid || !held.is_for(&["digitalSignature", "nonRepudiation"]) {
            return Err(INVALID_CERTIFICATE);
        }
        let key = rsa(&held).ok_or(SIGNING_FAILED)?;
        if hash_array.len() > MOST_HASHES {
            return Err(TOO_MANY_HASHES);
        }
        if hash_array.is_empty() {
            return Err(HASH_FORMAT);
        }
        let signature = |item: &String| {
            let item = STANDARD.decode(item).map_err(|_| HASH_FORMAT)?;
            sign::sign(key, &item, &self.settings).map(|bytes| STANDARD.encode(bytes)).ok_or(HASH_FORMAT)
        };
        let signatures = hash_array.iter().map(signature).collect::<Answer<Vec<_>>>()?;
        Ok(("Successfully", json!(signatures)))
    }

    fn encrypt(&self, request: &Request) -> Answer {
        let user = self.accounts.admit(request, &self.settings)?;
        let JweRequest { serial, data } = body(request)?;
        let held = self.sealing(&user, &serial, &[Status::Valid])?;
        let key = rsa(&held).ok_or(ENCRYPTION_FAILED)?;
        let sealed = jwe::seal(key, &data, self.settings.edition).ok_or(ENCRYPTION_FAILED)?;
        Ok(("Successfully", json!({ "data": sealed })))
    }

    fn decrypt(&self, request: &Request) -> Answer {
        let user = self.accounts.admit(request, &self.settings)?;
        let JweRequest { serial, data } = body(request)?;
        let usable: &[Status] = match self.settings.decrypts_expired {
            true => &[Status::Valid, Status::Expired],
            false => &[Status::Valid],
        };
        let held = self.sealing(&user, &serial, usable)?;
        let key = rsa(&held).ok_or(DECRYPTION_FAILED)?;
        let opened = jwe::open(key, &data, self.settings.edition).map_err(|failure| match failure {
            jwe::Failure::Format => DATA_FORMAT,
            jwe::Failure::Content => DECRYPTION_FAILED,
        })?;
        Ok(("Successfully", json!({ "data": opened })))
    }

    /// A certificate that seals and opens, in one of these states.
    fn sealing(&self, user: &str, serial: &str, usable: &[Status]) -> Answer<Held> {
        let held = self.owned(user, serial, INVALID_CERTIFICATE)?;
        match usable.contains(&held.status) && held.is_for(&["keyEncipherment", "dataEncipherment"]) {
            true => Ok(held),
            false => Err(INVALID_CERTIFICATE),
        }
    }

    /// A certificate of that account.
    fn owned(&self, user: &str, serial: &str, unknown: Refusal) -> Answer<Held> {
        let held = self.certificates.find(serial, &self.settings).ok_or(unknown)?;
        match held.seed.owner == user {
            true => Ok(held),
            false => Err(if self.settings.forbids_foreign { FORBIDDEN } else { unknown }),
        }
    }
}

fn rsa(held: &Held) -> Option<&RsaKey> {
    match &held.key.material {
        Material::Rsa(key) => Some(key),
        _ => None,
    }
}

/// The body of a request, which must be JSON of exactly that shape.
fn body<T: DeserializeOwned>(request: &Request) -> Answer<T> {
    let media_type = request.header("content-type").unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case(JSON) {
        return Err(NOT_JSON);
    }
    serde_json::from_slice(&request.body).map_err(|_| NOT_JSON)
}

impl Vendor for Fast {
    fn route(&self, _method: &Method, path: &str) -> Route {
        let known = ENDPOINTS.iter().find(|(known, _)| *known == path);
        let (pattern, endpoint) =
            known.map_or(("(unknown)", None), |(path, endpoint)| (*path, Some(*endpoint)));
        Route {
            pattern,
            // Each token is another one.
            writes: endpoint == Some(Endpoint::GetToken),
            slow: matches!(endpoint, Some(Endpoint::Sign | Endpoint::Encrypt | Endpoint::Decrypt)),
        }
    }

    fn answer(&self, request: &Request) -> Reply {
        self.handle(request)
    }

    /// The PIN is the password; the certificates are those of the account.
    fn module_slot(&self, directory: &Directory, url: &str) -> String {
        let mut slot = format!(
            "[[slot]]\nlabel = \"fast\"\nbackend = \"fast\"\nurls = [{}]\nauth = {{ user = {}, password = \"pin\" }}\n",
            toml_string(url),
            toml_string(USER),
        );
        if self.settings.pss {
            slot.push_str("fast.padding = \"pss\"\n");
        }
        if self.settings.takes_digest_info && !self.settings.pss {
            slot.push_str("fast.hash_input = \"digestinfo\"\n");
        }
        for seed in SEEDS.iter().filter(|seed| seed.owner == USER) {
            let certificate = directory.join("keys").join(format!("{}.crt", seed.serial));
            slot.push_str(&format!(
                "\n[[slot.key]]\nserial = \"{}\"\ncertificate = {}\n",
                seed.serial,
                toml_string(&certificate.to_string_lossy()),
            ));
        }
        slot
    }

    /// `PUT accounts/{user}`: `{"locked": true}`; `DELETE tokens`; `PUT certificates/{SN}`: its status, a JSON string.
    fn administer(&self, method: &Method, path: &str, body: &[u8]) -> Option<Reply> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Lock {
            locked: bool,
        }
        if path == "tokens" {
            return Some(match *method {
                Method::DELETE => {
                    self.accounts.expire_all();
                    Reply::empty(204)
                }
                _ => Reply::empty(405),
            });
        }
        if let Some(user) = path.strip_prefix("accounts/") {
            return Some(changed(method, body, |lock: Lock| self.accounts.set_locked(user, lock.locked)));
        }
        let serial = path.strip_prefix("certificates/")?;
        Some(changed(method, body, |status| self.certificates.set_status(serial, status)))
    }
}

/// Hands on what the body of a PUT is, if it is that; 404 where there was nothing to change.
fn changed<T: DeserializeOwned>(method: &Method, body: &[u8], change: impl FnOnce(T) -> bool) -> Reply {
    if *method != Method::PUT {
        return Reply::empty(405);
    }
    match serde_json::from_slice(body) {
        Ok(value) => Reply::empty(if change(value) { 204 } else { 404 }),
        Err(error) => Reply::json(400, &json!({ "message": error.to_string() })),
    }
}
