//! The one table from refusals to the codes of PKCS#11: the description's rules, and what counts where none fits.

use std::fmt;
use std::sync::Arc;

use cryptoki_sys::*;
use serde_json::Value;

use super::answer::{self, Answer, shown};
use super::pointer::Pointer;
use super::reader::{Node, Read, Section};
use crate::backend::front::speaks_of_lock;
use crate::config::document;
use crate::error::Error;
use crate::transport::auth::GrantError;
use crate::transport::{self, ErrorKind, Response};

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Login,
    List,
    Describe,
    Certificate,
    Sign,
    Decrypt,
    Encrypt,
    Random,
    Generate,
    Delete,
    Health,
}

impl Purpose {
    /// With their names in a description. What proves the credentials is the login, whichever call it is.
    const ALL: [(&'static str, Self); 12] = [
        ("list", Self::List),
        ("describe", Self::Describe),
        ("certificate", Self::Certificate),
        ("sign", Self::Sign),
        ("decrypt", Self::Decrypt),
        ("encrypt", Self::Encrypt),
        ("random", Self::Random),
        ("generate", Self::Generate),
        ("delete", Self::Delete),
        ("health", Self::Health),
        ("probe", Self::Login),
        ("login", Self::Login),
    ];
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Login => "logging in",
            Self::List => "listing the keys",
            Self::Describe => "reading the attributes of a key",
            Self::Certificate => "reading a certificate",
            Self::Sign => "signing",
            Self::Decrypt => "decrypting",
            Self::Encrypt => "encrypting",
            Self::Random => "drawing random bytes",
            Self::Generate => "making a key",
            Self::Delete => "deleting a key",
            Self::Health => "asking for the version",
        })
    }
}

macro_rules! codes {
    ($($code:ident)*) => { [$((stringify!($code), $code)),*] };
}

/// What a rule may say.
const CODES: [(&str, CK_RV); 25] = codes! {
    CKR_ACTION_PROHIBITED CKR_ARGUMENTS_BAD CKR_ATTRIBUTE_VALUE_INVALID CKR_DATA_INVALID CKR_DATA_LEN_RANGE CKR_DEVICE_ERROR
    CKR_DEVICE_MEMORY CKR_ENCRYPTED_DATA_INVALID CKR_ENCRYPTED_DATA_LEN_RANGE CKR_FUNCTION_FAILED
    CKR_FUNCTION_NOT_SUPPORTED CKR_FUNCTION_REJECTED CKR_KEY_FUNCTION_NOT_PERMITTED CKR_KEY_HANDLE_INVALID
    CKR_KEY_SIZE_RANGE CKR_KEY_TYPE_INCONSISTENT CKR_MECHANISM_INVALID CKR_MECHANISM_PARAM_INVALID
    CKR_OBJECT_HANDLE_INVALID CKR_PIN_EXPIRED CKR_PIN_INCORRECT CKR_PIN_LOCKED
    CKR_TEMPLATE_INCONSISTENT CKR_TOKEN_WRITE_PROTECTED
    CKR_USER_NOT_LOGGED_IN
};

/// Ranges of status codes.
struct Statuses(Vec<(u16, u16)>);

impl Statuses {
    fn read(node: &Node<'_>) -> Read<Self> {
        node.elements().iter().map(statuses).collect::<Read<_>>().map(Self)
    }

    fn have(&self, status: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }
}

/// A number, or a class such as `"2xx"`.
fn statuses(node: &Node<'_>) -> Read<(u16, u16)> {
    if let document::Value::Text(text) = node.value() {
        let class = text.strip_suffix("xx").and_then(|class| class.parse::<u16>().ok());
        return match class.filter(|class| (1..=5).contains(class)) {
            Some(class) => Ok((100 * class, 100 * class + 99)),
            None => Err(node.fault(format!("\"{}\" is not a status", &**text), "write a number, or \"4xx\"")),
        };
    }
    // What a body says in place of the status may be any number.
    let status = u16::try_from(node.count(0, u16::MAX.into())?).unwrap_or(u16::MAX);
    Ok((status, status))
}

/// What a success looks like.
pub(super) struct Success {
    status: Statuses,
    says: Option<(Pointer, Value)>,
    /// Where nothing may be.
    absent: Option<Pointer>,
}

/// Any 2xx.
impl Default for Success {
    fn default() -> Self {
        Self { status: Statuses(vec![(200, 299)]), says: None, absent: None }
    }
}

impl Success {
    pub(super) fn read(node: &Node<'_>) -> Read<Self> {
        let section = node.section(&["status", "at", "equals", "absent"])?;
        let at = section.read("at", answer::pointer)?;
        let equals = section.read("equals", |node| match node.value() {
            document::Value::Text(text) => Ok(Value::from(text.as_str())),
            document::Value::Integer(number) => Ok(Value::from(*number)),
            document::Value::Boolean(value) => Ok(Value::from(*value)),
            _ => Err(node.fault("is no text, number or boolean", "write one: equals = true")),
        })?;
        let says = match (at, equals) {
            (Some(at), Some(equals)) => Some((at, equals)),
            (None, None) => None,
            (Some(_), None) => return Err(section.missing("equals", "write equals = true")),
            (None, Some(_)) => return Err(section.missing("at", "write at = \"/success\"")),
        };
        let status = section.read("status", Statuses::read)?;
        let absent = section.read("absent", answer::pointer)?;
        Ok(Self { status: status.unwrap_or(Self::default().status), says, absent })
    }

    fn is_met(&self, status: u16, answer: &Answer<'_>) -> bool {
        let said = |(at, equals): &(Pointer, Value)| at.find(answer.tree()) == Some(equals);
        let lacks = |at: &Pointer| at.find(answer.tree()).is_none_or(Value::is_null);
        self.status.have(status)
            && self.says.as_ref().is_none_or(said)
            && self.absent.as_ref().is_none_or(lacks)
    }
}

/// The description's table.
#[derive(Default)]
pub(super) struct Errors {
    status: Vec<Pointer>,
    code: Vec<Pointer>,
    message: Vec<Pointer>,
    rules: Vec<Rule>,
}

struct Rule {
    status: Option<Statuses>,
    code: Option<String>,
    /// In lower case.
    text: Option<String>,
    on: Option<Vec<Purpose>>,
    /// The secret of `[slot.auth]` that it is about.
    secret: Option<&'static str>,
    rv: CK_RV,
}

/// Which secrets a PIN brings.
pub(super) struct Pin {
    names: Vec<&'static str>,
    has_password: bool,
}

impl Pin {
    /// `names`: those that it brings; `has_password`: whether a call for tokens shows a password, whoever brings it.
    pub(super) fn new(names: Vec<&'static str>, has_password: bool) -> Self {
        Self { names, has_password }
    }

    /// Whether it brought what was refused. Where nothing says which secret that was, it is hardly the one that signs:
    /// who refuses a signature says so, and a password beside it is looked at after it.
    fn is_to_blame(&self, secret: Option<&str>) -> bool {
        match secret {
            Some(secret) => self.names.contains(&secret),
            None => self.names.iter().any(|name| *name != "hmac" || !self.has_password),
        }
    }
}

/// The codes that blame the PIN.
const BLAMES: [CK_RV; 3] = [CKR_PIN_EXPIRED, CKR_PIN_INCORRECT, CKR_PIN_LOCKED];

impl Errors {
    pub(super) fn read(node: &Node<'_>) -> Read<Self> {
        let section = node.section(&["status", "code", "message", "rule"])?;
        let pointers = |name| Ok(section.read(name, answer::pointers)?.unwrap_or_default());
        let rules = section.tables("rule", &["status", "code", "text", "on", "secret", "rv"])?;
        Ok(Self {
            status: pointers("status")?,
            code: pointers("code")?,
            message: pointers("message")?,
            rules: rules.iter().map(Rule::read).collect::<Read<_>>()?,
        })
    }

    /// The status of an answer: what its body says stands for that of HTTP.
    fn status(&self, answer: &Answer<'_>) -> u16 {
        let told = answer.text(&self.status).and_then(|status| status.parse().ok());
        told.unwrap_or(answer.response.status)
    }

    pub(super) fn is_success(&self, success: &Success, answer: &Answer<'_>) -> bool {
        success.is_met(self.status(answer), answer)
    }

    pub(super) fn refusal(&self, answer: &Answer<'_>) -> Refusal {
        let said = answer.text(&self.message);
        let told = match &said {
            Some(message) => message.into(),
            None => String::from_utf8_lossy(&answer.response.body),
        };
        let code = answer.text(&self.code);
        Refusal {
            status: self.status(answer),
            locked: speaks_of_lock(&told) || code.as_deref().is_some_and(speaks_of_lock),
            searched: told.to_lowercase(),
            is_json: !answer.tree().is_null(),
            code,
            said,
        }
    }

    /// Whether an answer says that the credential is good no longer, so that a better one is worth a try.
    pub(super) fn refuses_credential(&self, response: &Response) -> bool {
        if response.is_success() && self.status.is_empty() {
            return false;
        }
        let refusal = self.refusal(&Answer::new(response));
        let fits = |rule: &Rule| rule.rv == CKR_USER_NOT_LOGGED_IN && rule.is_met(&refusal);
        refusal.status == 401 || self.rules.iter().any(fits)
    }

    /// The code, and the secret that the refusal is about, where a rule says so.
    fn judge(&self, refusal: &Refusal, purpose: Purpose) -> (CK_RV, Option<&'static str>) {
        let on = |rule: &&Rule| rule.on.as_ref().is_none_or(|on| on.contains(&purpose));
        let rule = self.rules.iter().filter(on).find(|rule| rule.is_met(refusal));
        rule.map_or_else(|| (otherwise(refusal, purpose), None), |rule| (rule.rv, rule.secret))
    }

    pub(super) fn rv(&self, refusal: &Refusal, purpose: Purpose) -> CK_RV {
        self.judge(refusal, purpose).0
    }

    /// The error of a refused login: where the PIN did not bring what was refused, it is not to blame.
    pub(super) fn login_error(&self, refusal: &Refusal, pin: &Pin) -> Error {
        let (rv, secret) = self.judge(refusal, Purpose::Login);
        let is_wronged = BLAMES.contains(&rv) && !pin.is_to_blame(secret);
        let rv = if is_wronged { CKR_DEVICE_ERROR } else { rv };
        let whose = if is_wronged { ", and what it refused is not from the PIN" } else { "" };
        Error::new(rv, format!("{}: the service answered {refusal}{whose}", Purpose::Login))
    }

    /// The error for the caller and the log.
    pub(super) fn error(&self, refusal: &Refusal, purpose: Purpose) -> Error {
        Error::new(self.rv(refusal, purpose), format!("{purpose}: the service answered {refusal}"))
    }

    /// The error for a request that got no answer, if only for want of a token.
    pub(super) fn unanswered(&self, purpose: Purpose, error: transport::Error) -> Error {
        let rv = match (error.kind, &error.refused) {
            (ErrorKind::Closed, _) => CKR_CRYPTOKI_NOT_INITIALIZED,
            // Nothing was sent, and no device is to blame.
            (ErrorKind::Header, _) => CKR_FUNCTION_FAILED,
            (ErrorKind::Unauthorised, _) => CKR_USER_NOT_LOGGED_IN,
            (ErrorKind::Refused, Some(response)) => self.renewal_refused(response),
            _ => CKR_DEVICE_ERROR,
        };
        Error::new(rv, format!("{purpose}: no answer")).because(error)
    }

    /// What becomes of a use of a key when no new token is to be had.
    fn renewal_refused(&self, response: &Arc<Response>) -> CK_RV {
        match self.judge(&self.refusal(&Answer::new(response)), Purpose::Login) {
            // What signs the requests is no login that could be over.
            (rv, Some("hmac")) if BLAMES.contains(&rv) => CKR_DEVICE_ERROR,
            (rv, _) if BLAMES.contains(&rv) => CKR_USER_NOT_LOGGED_IN,
            (other, _) => other,
        }
    }

    /// The error for a login that gave no token.
    pub(super) fn not_granted(&self, error: GrantError, pin: &Pin) -> Error {
        let purpose = Purpose::Login;
        match error {
            GrantError::Transport(error) => self.unanswered(purpose, error),
            GrantError::Missing => {
                Error::new(CKR_USER_NOT_LOGGED_IN, format!("{purpose}: a logout came in between"))
            }
            GrantError::Unreadable(reason) => Error::new(CKR_DEVICE_ERROR, format!("{purpose}: {reason}")),
            GrantError::Refused(response) => self.login_error(&self.refusal(&Answer::new(&response)), pin),
            GrantError::Malformed(reason) => Error::new(CKR_DEVICE_ERROR, format!("{purpose}: {reason}")),
        }
    }
}

impl Rule {
    fn read(section: &Section<'_>) -> Read<Self> {
        let rv = |node: &Node<'_>| {
            let name = node.text()?;
            let found = CODES.iter().find(|(known, _)| *known == name).map(|(_, code)| *code);
            found.ok_or_else(|| {
                let what = format!("\"{name}\" is not a code that can be declared");
                node.fault(what, "write CKR_KEY_HANDLE_INVALID or another of docs/declared.md")
            })
        };
        let on = |node: &Node<'_>| node.elements().iter().map(|node| node.word(&Purpose::ALL)).collect();
        let code = |node: &Node<'_>| match node.value() {
            document::Value::Integer(code) => Ok(code.to_string()),
            _ => node.text().map(str::to_owned),
        };
        const SECRETS: [&str; 5] = ["basic", "bearer", "header", "hmac", "password"];
        let secret = |node: &Node<'_>| node.word(&SECRETS.map(|name| (name, name)));
        Ok(Self {
            status: section.read("status", Statuses::read)?,
            secret: section.read("secret", secret)?,
            code: section.read("code", code)?,
            text: section.read("text", Node::text)?.map(str::to_lowercase),
            on: section.read("on", on)?,
            rv: section.need("rv", "write rv = \"CKR_…\"", rv)?,
        })
    }

    fn is_met(&self, refusal: &Refusal) -> bool {
        self.status.as_ref().is_none_or(|status| status.have(refusal.status))
            && self.code.as_ref().is_none_or(|code| refusal.code.as_ref() == Some(code))
            && self.text.as_ref().is_none_or(|text| refusal.searched.contains(text))
    }
}

/// Where no rule fits.
fn otherwise(refusal: &Refusal, purpose: Purpose) -> CK_RV {
    match (refusal.status, purpose) {
        (403 | 423 | 429, Purpose::Login) if refusal.locked => CKR_PIN_LOCKED,
        // A success that nobody understands.
        (200..=299, _) if !refusal.is_json => CKR_DEVICE_ERROR,
        (200..=299 | 400 | 401 | 403, Purpose::Login) => CKR_PIN_INCORRECT,
        (_, Purpose::Login) => CKR_DEVICE_ERROR,
        (200..=299 | 400, _) => CKR_FUNCTION_FAILED,
        (401, _) => CKR_USER_NOT_LOGGED_IN,
        (403, _) => CKR_FUNCTION_REJECTED,
        (413, _) => CKR_DATA_LEN_RANGE,
        // 404 too: a proxy may have answered.
        _ => CKR_DEVICE_ERROR,
    }
}

/// An answer that is no success.
pub(super) struct Refusal {
    status: u16,
    code: Option<String>,
    /// The message, where the description knows of one.
    said: Option<String>,
    /// The message, or else the whole body, in lower case.
    searched: String,
    /// Whether it says that an account is locked.
    locked: bool,
    is_json: bool,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, ", code {}", shown(code))?;
        }
        if let Some(message) = &self.said {
            write!(f, ", {}", shown(message))?;
        }
        Ok(())
    }
}

/// The error for a success that is not what it should be.
pub(super) fn unreadable(purpose: Purpose, response: &Response, what: &str) -> Error {
    let (status, length) = (response.status, response.body.len());
    Error::new(CKR_DEVICE_ERROR, format!("{purpose}: HTTP {status} with {length} bytes: {what}"))
}
