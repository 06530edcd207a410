//! The credentials of one slot: `[slot.auth]`.

use std::time::Duration;

use serde_json::Value;

use super::hmac::{self, Hmac};
use super::problem::{Fault, Problem};
use super::read::{Section, word};
use super::{BackendKind, Secret};

const AUTHORIZATION: &str = "Authorization";

/// Where Securosys wants its API keys (reference section 1).
pub const API_KEY: &str = "X-API-KEY";

/// Header lines that belong to the transport.
const RESERVED: [&str; 5] = ["connection", "content-length", "content-type", "host", "transfer-encoding"];

/// The credentials of one slot, each of them optional.
#[derive(Debug, Default)]
pub struct Auth {
    /// `Authorization: Bearer …`.
    pub bearer: Option<Secret>,
    /// API keys by role.
    pub api_key: ApiKeys,
    /// What a PIN is.
    pub pin_format: PinFormat,
    /// The account that `token`, or a dialect with token calls of its own, logs in.
    pub user: Option<String>,
    /// Its password.
    pub password: Secret,
    /// User and password in each request.
    pub basic: Option<BasicLogin>,
    /// One more secret in each request.
    pub header: Option<HeaderKey>,
    /// A token in each request, and how it is got.
    pub token: Option<Box<TokenLogin>>,
    /// A signature on each request.
    pub hmac: Option<Box<Hmac>>,
}

/// What `C_Login` brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PinFormat {
    /// The secret itself, for all that are marked `"pin"`.
    #[default]
    Plain,
    /// `role=secret` for each that is marked `"pin"`, with commas between them.
    Roles,
    /// The password, a colon, and the secret that requests are signed with.
    PasswordAndSecret,
}

/// The API keys of each role (Securosys TSB reference section 1.3). Of several the service takes one at least: they are
/// the old one and the new one while the service's list changes. [`Secret::Pin`] stands alone.
#[derive(Debug, Default)]
pub struct ApiKeys {
    /// Protects the list of keys and their attributes.
    pub key_management: Vec<Secret>,
    /// Protects the use of keys.
    pub key_operation: Vec<Secret>,
    /// Protects the tasks of those who approve uses of keys.
    pub approver: Vec<Secret>,
    /// Protects version and licence.
    pub service: Vec<Secret>,
    /// Protects the list of those who approve.
    pub approver_key_management: Vec<Secret>,
}

/// User and password in each request: `[slot.auth.basic]`.
#[derive(Debug)]
pub struct BasicLogin {
    /// The name, without a colon.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// A secret in a header line of each request: `[slot.auth.header]`.
#[derive(Debug)]
pub struct HeaderKey {
    /// The name of the header.
    pub name: String,
    /// The secret.
    pub value: Secret,
}

/// How tokens are got: `[slot.auth.token]`. What is `None` is as most services have it.
#[derive(Debug)]
pub struct TokenLogin {
    /// The path of the login call.
    pub login: String,
    /// What its body is.
    pub body: BodyForm,
    /// The members of the body.
    pub fields: Vec<(String, FieldValue)>,
    /// Whether user and password are in `Authorization: Basic` of the login call.
    pub basic: bool,
    /// The refresh call, if there is one.
    pub refresh: Option<RefreshCall>,
    /// Where in an answer `true` must be.
    pub success: Option<String>,
    /// Where in an answer a number stands for its status.
    pub code: Option<String>,
    /// Where the access token is.
    pub access: Option<Vec<String>>,
    /// Where the refresh token is.
    pub refresh_token: Option<Vec<String>>,
    /// Where its life is.
    pub life: Option<Vec<String>>,
    /// The life of a token that says nothing of it.
    pub default_life: Duration,
    /// The header that carries it.
    pub header: String,
    /// What stands before it there.
    pub scheme: Scheme,
    /// Whether the PIN is kept as long as the user is logged in.
    pub keep_password: bool,
    /// The path that is deleted at logout.
    pub revoke: Option<String>,
}

#[cfg(test)]
impl TokenLogin {
    /// User and password as JSON to that path, and nothing besides.
    pub(crate) fn plain(login: &str) -> Self {
        Self {
            login: login.to_owned(),
            body: BodyForm::Json,
            fields: vec![
                ("username".to_owned(), FieldValue::User),
                ("password".to_owned(), FieldValue::Password),
            ],
            basic: false,
            refresh: None,
            success: None,
            code: None,
            access: None,
            refresh_token: None,
            life: None,
            default_life: Duration::from_secs(3600),
            header: AUTHORIZATION.to_owned(),
            scheme: Scheme::Bearer,
            keep_password: true,
            revoke: None,
        }
    }
}

/// The call that exchanges a token for a new one.
#[derive(Debug)]
pub struct RefreshCall {
    /// Its path.
    pub path: String,
    /// What its body is.
    pub body: BodyForm,
    /// The members of the body.
    pub fields: Vec<(String, FieldValue)>,
}

/// What the body of a token call is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyForm {
    /// A JSON object.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
}

/// A value in the body of a token call.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    /// This one.
    Literal(Value),
    /// The name of the account.
    User,
    /// Its password.
    Password,
    /// The access token that there is.
    Access,
    /// The refresh token that there is.
    Refresh,
}

/// What stands before a token in its header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// `Bearer` and a blank.
    #[default]
    Bearer,
    /// Nothing.
    Bare,
    /// The one of the two that the service takes.
    Auto,
}

/// Reads the table.
pub(super) fn read(section: &Section<'_>, backend: BackendKind) -> Result<Auth, Problem> {
    let keys = section.section("api_key", "slot.auth.api_key")?;
    let hmac = signed(section)?;
    let auth = Auth {
        bearer: secret(section, "bearer")?,
        api_key: ApiKeys {
            key_management: secrets(&keys, "key_management")?,
            key_operation: secrets(&keys, "key_operation")?,
            approver: secrets(&keys, "approver")?,
            service: secrets(&keys, "service")?,
            approver_key_management: secrets(&keys, "approver_key_management")?,
        },
        pin_format: section
            .text("pin_format", |_, text| {
                let pair = ("password:secret", PinFormat::PasswordAndSecret);
                word(text, &[("plain", PinFormat::Plain), ("roles", PinFormat::Roles), pair])
            })?
            .unwrap_or_default(),
        user: section.text("user", |_, text| name(text))?,
        password: secret(section, "password")?.unwrap_or_default(),
        basic: basic(&section.section("basic", "slot.auth.basic")?)?,
        header: header_key(&section.section("header", "slot.auth.header")?)?,
        token: login(section, hmac.as_deref())?,
        hmac,
    };
    check(section, &auth, backend)?;
    Ok(auth)
}

/// `[slot.auth.hmac]`, if it is there: in a place of its own, as `C_Initialize` may be called on a small stack.
fn signed(section: &Section<'_>) -> Result<Option<Box<Hmac>>, Problem> {
    if section.item("hmac").is_none() {
        return Ok(None);
    }
    hmac::read(&section.section("hmac", "slot.auth.hmac")?).map(Box::new).map(Some)
}

/// `[slot.auth.token]`, likewise.
fn login(section: &Section<'_>, hmac: Option<&Hmac>) -> Result<Option<Box<TokenLogin>>, Problem> {
    if section.item("token").is_none() {
        return Ok(None);
    }
    token(&section.section("token", "slot.auth.token")?, hmac).map(Box::new).map(Some)
}

/// What goes together, and what does not.
fn check(section: &Section<'_>, auth: &Auth, backend: BackendKind) -> Result<(), Problem> {
    let own_tokens = backend.logs_in_by_itself();
    if own_tokens && auth.token.is_some() {
        let what = "is not for this back end, which has token calls of its own";
        return Err(section.problem("token", Fault::new(what, "take it out")));
    }
    if matches!(backend, BackendKind::CipherTrust | BackendKind::Fast) {
        for name in ["bearer", "basic", "api_key"] {
            if section.item(name).is_some() {
                let what = "is not for this back end, which shows a token for user and password";
                return Err(section.problem(name, Fault::new(what, "take it out")));
            }
        }
        section.required("user", auth.user.as_ref(), "write user = \"the name of the account\"")?;
    }
    if backend == BackendKind::Declared && section.item("api_key").is_some() {
        let fault = Fault::new("is for slots with backend = \"securosys\"", "write slot.auth.header");
        return Err(section.problem("api_key", fault));
    }
    if auth.pin_format == PinFormat::PasswordAndSecret
        && !auth.hmac.as_ref().is_some_and(|hmac| hmac.secret.is_pin())
    {
        let what = "has a secret, which slot.auth.hmac.secret = \"pin\" would be";
        return Err(section.problem("pin_format", Fault::new(what, "write that, or another format")));
    }
    if let Some(token) = &auth.token {
        let user = auth.user.as_ref();
        if token.basic || token.fields.iter().any(|(_, value)| *value == FieldValue::User) {
            section.required("user", user, "write user = \"the name of the account\"")?;
        }
    }
    if auth.token.is_none() && !own_tokens {
        for name in ["user", "password"] {
            if section.item(name).is_some() {
                let fault = Fault::new(
                    "is for [slot.auth.token], which is not there",
                    "write that, or take this out",
                );
                return Err(section.problem(name, fault));
            }
        }
    }
    each_header_once(section, auth, backend)
}

impl Auth {
    /// The header lines of the layers that stand in front of any back end, each behind its key. A bearer token and API
    /// keys are not among them: where those are shown the back end says.
    pub fn headers(&self) -> Vec<(&'static str, &str)> {
        let layers = [
            ("basic", self.basic.as_ref().map(|_| AUTHORIZATION)),
            ("header", self.header.as_ref().map(|key| key.name.as_str())),
            ("token", self.token.as_ref().map(|token| token.header.as_str())),
        ];
        let layers = layers.into_iter().filter_map(|(key, header)| Some((key, header?)));
        let signed = self.hmac.iter().flat_map(|hmac| &hmac.scheme.headers);
        layers.chain(signed.map(|(name, _)| ("hmac", name.as_str()))).collect()
    }
}

/// No two secrets want the same header, in the requests that carry both.
fn each_header_once(section: &Section<'_>, auth: &Auth, backend: BackendKind) -> Result<(), Problem> {
    let in_authorization = |there: bool| there.then_some(AUTHORIZATION);
    let ApiKeys { key_management, key_operation, approver, service, approver_key_management } = &auth.api_key;
    let keys = [key_management, key_operation, approver, service, approver_key_management];
    let has_key = keys.iter().any(|keys| !keys.is_empty());
    // Where a bearer token is in front of a declared service, its description says.
    let has_bearer = auth.bearer.is_some() && backend != BackendKind::Declared;
    let own = [
        // First what nothing else can stand for.
        ("", in_authorization(backend.logs_in_by_itself())),
        ("api_key", has_key.then_some(API_KEY)),
        ("bearer", in_authorization(has_bearer)),
    ];
    let own = own.into_iter().filter_map(|(key, header)| Some((key, header?)));
    let carried: Vec<_> = own.chain(auth.headers()).collect();
    for (at, (key, header)) in carried.iter().enumerate() {
        let same = |other: &str| header.eq_ignore_ascii_case(other);
        if let Some((first, _)) = carried.iter().take(at).find(|(_, other)| same(other)) {
            let first = match *first {
                "" => "the token of the back end itself".to_owned(),
                first => format!("slot.auth.{first}"),
            };
            let what = format!("would be in the header {header}, where {first} is");
            let remedy = match *key {
                "header" => "write another name: slot.auth.header.name",
                "hmac" => {
                    "write another header for the token (slot.auth.token.header), or slot.auth.hmac.headers"
                }
                _ => "take one of them out, or write another header for the token: slot.auth.token.header",
            };
            return Err(section.problem(key, Fault::new(what, remedy)));
        }
    }
    if auth.token.as_ref().is_some_and(|token| token.basic) && auth.basic.is_some() {
        let what = "would be in the header Authorization of the login call, where slot.auth.token.basic is";
        return Err(section.problem("basic", Fault::new(what, "take one of them out")));
    }
    Ok(())
}

fn basic(section: &Section<'_>) -> Result<Option<BasicLogin>, Problem> {
    let user = section.text("user", |_, text| name_without_colon(text))?;
    let password = secret(section, "password")?;
    if user.is_none() && password.is_none() {
        return Ok(None);
    }
    let user = section.required("user", user, "write user = \"the name of the account\"")?;
    Ok(Some(BasicLogin { user, password: password.unwrap_or_default() }))
}

fn header_key(section: &Section<'_>) -> Result<Option<HeaderKey>, Problem> {
    let name = section.text("name", |_, text| header_name(text))?;
    let value = secret(section, "value")?;
    if name.is_none() && value.is_none() {
        return Ok(None);
    }
    let name = section.required("name", name, "write name = \"the name of the header\"")?;
    Ok(Some(HeaderKey { name, value: section.required("value", value, "write value = \"file:/path\"")? }))
}

fn token(section: &Section<'_>, hmac: Option<&Hmac>) -> Result<TokenLogin, Problem> {
    let login = section.text("login", |_, text| path(text))?;
    let body = form(section, "body")?;
    let usual: &[&str] = match body {
        BodyForm::Json => &["username={user}", "password={password}"],
        BodyForm::Form => &["grant_type=password", "username={user}", "password={password}"],
    };
    let login_fields = fields(section, "fields", usual)?;
    if login_fields.iter().any(|(_, value)| matches!(value, FieldValue::Access | FieldValue::Refresh)) {
        let what = "has {access} or {refresh}, of which there is none before the login";
        return Err(section.problem("fields", Fault::new(what, "take them out")));
    }
    let refresh_body = form(section, "refresh_body")?;
    let refresh_fields = fields(section, "refresh_fields", &["refresh_token={refresh}"])?;
    let refresh = section.text("refresh", |_, text| path(text))?;
    if refresh.is_none() {
        for name in ["refresh_body", "refresh_fields"] {
            if section.item(name).is_some() {
                let fault = Fault::new("has no `refresh` beside it", "write refresh = \"/path\" too");
                return Err(section.problem(name, fault));
            }
        }
    }
    let header = section.text("header", |_, text| header_name(text))?;
    Ok(TokenLogin {
        body,
        fields: login_fields,
        basic: section.boolean("basic")?.unwrap_or(false),
        refresh: refresh.map(|path| RefreshCall { path, body: refresh_body, fields: refresh_fields }),
        success: section.text("success", |_, text| pointer(text))?,
        code: section.text("code", |_, text| pointer(text))?,
        access: section.list("access", |_, text| pointer(text))?,
        refresh_token: section.list("refresh_token", |_, text| pointer(text))?,
        life: section.list("life", |_, text| pointer(text))?,
        default_life: section
            .duration("default_life", Duration::from_secs(1))?
            .unwrap_or(Duration::from_secs(3600)),
        // Where the signature is in the usual one, the token has another (gateway reference section 10).
        header: header.unwrap_or_else(|| match hmac {
            Some(hmac) if hmac.scheme.has_header(AUTHORIZATION) => format!("X-{AUTHORIZATION}"),
            _ => AUTHORIZATION.to_owned(),
        }),
        scheme: section
            .text("scheme", |_, text| {
                word(text, &[("bearer", Scheme::Bearer), ("bare", Scheme::Bare), ("auto", Scheme::Auto)])
            })?
            .unwrap_or_default(),
        keep_password: section.boolean("keep_password")?.unwrap_or(true),
        revoke: section.text("revoke", |_, text| path(text))?,
        // At the end, so that what is wrong is told before what is missing.
        login: section.required("login", login, "write login = \"/path/of/the/login/call\"")?,
    })
}

fn form(section: &Section<'_>, name: &str) -> Result<BodyForm, Problem> {
    let words = [("json", BodyForm::Json), ("form", BodyForm::Form)];
    Ok(section.text(name, |_, text| word(text, &words))?.unwrap_or_default())
}

fn fields(section: &Section<'_>, name: &str, usual: &[&str]) -> Result<Vec<(String, FieldValue)>, Problem> {
    let usual = || usual.iter().map(|text| field(text)).collect::<Result<_, _>>();
    match section.list(name, |_, text| field(text))? {
        Some(fields) => Ok(fields),
        None => usual().map_err(|fault| section.problem(name, fault)),
    }
}

/// `name=text`, `name={password}` and the like, or `name:=JSON`.
fn field(text: &str) -> Result<(String, FieldValue), Fault> {
    const REMEDY: &str = "write \"name=text\", \"name={user}\", \"name={password}\", \"name={access}\", \"name={refresh}\" or \"name:=JSON\"";
    let bad = |what: &str| Fault::new(format!("has an entry that {what}"), REMEDY);
    let (name, value) = text.split_once('=').ok_or_else(|| bad("has no ="))?;
    let (name, json) = match name.strip_suffix(':') {
        Some(name) => (name, true),
        None => (name, false),
    };
    if name.is_empty() {
        return Err(bad("has no name"));
    }
    let value = match value {
        _ if json => {
            FieldValue::Literal(serde_json::from_str(value).map_err(|_| bad("has no JSON behind :="))?)
        }
        "{user}" => FieldValue::User,
        "{password}" => FieldValue::Password,
        "{access}" => FieldValue::Access,
        "{refresh}" => FieldValue::Refresh,
        _ if value.starts_with('{') && value.ends_with('}') => {
            return Err(bad("names nothing that is known"));
        }
        _ => FieldValue::Literal(value.into()),
    };
    Ok((name.to_owned(), value))
}

fn path(text: &str) -> Result<String, Fault> {
    let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    if text.starts_with('/') && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        format!("\"{text}\" is not a path"),
        "write \"/path\", which comes behind the URL of the member, percent-encoded",
    ))
}

/// A JSON pointer (RFC 6901).
fn pointer(text: &str) -> Result<String, Fault> {
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    Err(Fault::new(format!("\"{text}\" is not a JSON pointer"), "write it as \"/data/access_token\""))
}

/// The name of a header that is not the transport's.
pub(super) fn header_name(text: &str) -> Result<String, Fault> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let what = match text {
        "" => "is empty".to_owned(),
        _ if !text.bytes().all(allowed) => format!("\"{text}\" is not the name of a header"),
        _ if RESERVED.iter().any(|reserved| text.eq_ignore_ascii_case(reserved)) => {
            format!("{text} says something else in a request")
        }
        _ => return Ok(text.to_owned()),
    };
    Err(Fault::new(what, "write the name of a header, such as \"X-Auth-Token\""))
}

fn name(text: &str) -> Result<String, Fault> {
    let what = match text {
        "" => "is empty",
        _ if text.chars().any(char::is_control) => "has a control character",
        _ => return Ok(text.to_owned()),
    };
    Err(Fault::new(what, "write the name of the account"))
}

/// RFC 7617 section 2.
fn name_without_colon(text: &str) -> Result<String, Fault> {
    match name(text)? {
        name if name.contains(':') => {
            Err(Fault::new("has a colon, which ends the name in Basic", "write a name without one"))
        }
        name => Ok(name),
    }
}

fn secret(section: &Section<'_>, name: &str) -> Result<Option<Secret>, Problem> {
    section.text(name, |place, text| Secret::parse(place, text, section.source()))
}

/// One secret or a list of them.
fn secrets(section: &Section<'_>, name: &str) -> Result<Vec<Secret>, Problem> {
    let secrets = section.list(name, |place, text| Secret::parse(place, text, section.source()))?;
    let fault = match secrets.as_deref() {
        Some([]) => Fault::new("has no entry", "write \"env:NAME\", \"file:/path\" or \"pin\""),
        Some(secrets @ [_, _, ..]) if secrets.iter().any(Secret::is_pin) => {
            Fault::new("has \"pin\" among other secrets", "write \"pin\" alone, or take it out of the list")
        }
        _ => return Ok(secrets.unwrap_or_default()),
    };
    Err(section.problem(name, fault))
}
