//! What stands in front of a service: which part of the PIN is for what, and what the refusals of a gateway mean (JWT and
//! HMAC reference section 8), which the dialect of the service behind it does not know.

use cryptoki_sys::{
    CK_RV, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_DEVICE_ERROR, CKR_FUNCTION_REJECTED, CKR_PIN_INCORRECT,
    CKR_PIN_LOCKED, CKR_USER_NOT_LOGGED_IN,
};
use serde::Deserialize;

use crate::config::PinFormat;
use crate::error::{Error, Result};
use crate::transport::auth::{Authenticated, GrantError};
use crate::transport::{self, ErrorKind, Response};

/// `transport`, in which what stands in front of the service refuses by itself what is not in the words of the service, as
/// `is_own` knows them.
pub(super) fn before(transport: Authenticated, is_own: fn(&Response) -> bool) -> Authenticated {
    // An account that is locked is one matter, whoever says so: it is in the tables.
    transport.fronted(move |refusal| {
        is_own(refusal) && !names_error(refusal) || speaks_of_lock(&String::from_utf8_lossy(&refusal.body))
    })
}

/// Whether a refusal has the member that those of a gateway have (section 7), and those of no service behind one.
fn names_error(refusal: &Response) -> bool {
    #[derive(Deserialize)]
    struct Named {
        #[serde(rename = "error")]
        _error: String,
    }
    serde_json::from_slice::<Named>(&refusal.body).is_ok()
}

/// The code for a request that something in front of the service has refused; `None`: it is another error.
pub(super) fn barred(error: &transport::Error, at_login: bool) -> Option<CK_RV> {
    match error.kind {
        ErrorKind::BarredPin if at_login => Some(CKR_PIN_INCORRECT),
        ErrorKind::Barred | ErrorKind::BarredPin => {
            Some(if error.refused.as_deref().is_some_and(speaks_of_permission) {
                CKR_FUNCTION_REJECTED
            } else {
                CKR_DEVICE_ERROR
            })
        }
        _ => None,
    }
}

/// Whether a 403 is for whose request it is, not for where it comes from. A bare one is taken for the latter (section 9).
fn speaks_of_permission(refusal: &Response) -> bool {
    let text = String::from_utf8_lossy(&refusal.body).to_lowercase();
    refusal.status == 403
        && ["not_permitted", "not permitted", "permission"].iter().any(|word| text.contains(word))
}

/// The code for a call that found no token: the credential for one was refused, and is not kept or not shown again.
pub(super) fn refused_code(refusal: &Response) -> CK_RV {
    if is_verdict(refusal) { CKR_USER_NOT_LOGGED_IN } else { CKR_DEVICE_ERROR }
}

/// The error of a `C_Login` that got no token. `pin`: the names of what it brought; what was refused and is not of it, is
/// no fault of the PIN's.
pub(super) fn login_error(error: GrantError, pin: &[&str]) -> Error {
    let rv = match &error {
        GrantError::Missing => CKR_USER_NOT_LOGGED_IN,
        GrantError::Refused(refusal) if pin.contains(&"password") => login_code(refusal),
        GrantError::Transport(transport::Error { kind: ErrorKind::Closed, .. }) => {
            CKR_CRYPTOKI_NOT_INITIALIZED
        }
        GrantError::Transport(error) => barred(error, true).unwrap_or(CKR_DEVICE_ERROR),
        GrantError::Malformed(_) | GrantError::Refused(_) | GrantError::Unreadable(_) => CKR_DEVICE_ERROR,
    };
    Error::new(rv, "logging in to the gateway").because(transport::Error::from(error))
}

/// Whether a refusal says that an account is locked. The words are the product's own, so that only this one is looked
/// for, as a word: in `ACCOUNT_LOCKED` and `accountLocked` it is one, in "blocked" and "clock" it is not.
pub(super) fn speaks_of_lock(text: &str) -> bool {
    text.match_indices(['l', 'L']).any(|(at, first)| {
        let (before, word) = text.split_at(at);
        let joined = match first {
            "L" => |char: &char| char.is_ascii_uppercase(),
            _ => |char: &char| char.is_ascii_alphabetic(),
        };
        let begins = before.chars().next_back().filter(joined).is_none();
        let word = word.split(|char: char| !char.is_ascii_alphabetic()).next().unwrap_or_default();
        let is = |known: &str| word.get(..known.len()).is_some_and(|head| head.eq_ignore_ascii_case(known));
        let ends = |known: &str| {
            let rest = word.get(known.len()..).unwrap_or_default();
            is(known) && (rest.is_empty() || rest.starts_with(|char: char| char.is_ascii_uppercase()))
        };
        begins && (is("locked") || is("lockout") || ends("lock"))
    })
}

fn login_code(refusal: &Response) -> CK_RV {
    match refusal.status {
        423 => CKR_PIN_LOCKED,
        403 | 429 if speaks_of_lock(&String::from_utf8_lossy(&refusal.body)) => CKR_PIN_LOCKED,
        // A success in HTTP with a refusal inside, where the configuration names a success test.
        200..=299 | 400 | 401 => CKR_PIN_INCORRECT,
        _ => CKR_DEVICE_ERROR,
    }
}

/// Whether the credential was looked at.
fn is_verdict(refusal: &Response) -> bool {
    refusal.status < 500 && !matches!(refusal.status, 408 | 429)
}

/// What the PIN has for each of `names`, in their order.
///
/// # Errors
/// `CKR_PIN_INCORRECT` where it is not of that form: nothing is sent then.
pub(super) fn secrets<'a>(pin: &'a [u8], names: &[&str], format: PinFormat) -> Result<Vec<&'a str>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let incorrect =
        |what: String| Error::new(CKR_PIN_INCORRECT, format!("logging in: the PIN is not {what}"));
    let pin = str::from_utf8(pin).ok().filter(|pin| !pin.is_empty());
    let pin = pin.ok_or_else(|| incorrect("a text".to_owned()))?;
    match format {
        PinFormat::Plain => Ok(names.iter().map(|_| pin).collect()),
        PinFormat::Roles => by_role(pin, names).ok_or_else(|| {
            let entries: Vec<_> = names.iter().map(|name| format!("{name}=…")).collect();
            incorrect(entries.join(","))
        }),
        PinFormat::PasswordAndSecret => {
            let parts =
                pin.rsplit_once(':').filter(|(password, secret)| !password.is_empty() && !secret.is_empty());
            let (password, secret) = parts.ok_or_else(|| incorrect("password:secret".to_owned()))?;
            Ok(names.iter().map(|name| if *name == "hmac" { secret } else { password }).collect())
        }
    }
}

/// The secrets of `names`, in their order, from `key_operation=…,service=…`. `None` if one is missing or something else
/// is there.
fn by_role<'a>(pin: &'a str, names: &[&str]) -> Option<Vec<&'a str>> {
    let entries: Vec<_> = pin.split(',').map(|entry| entry.split_once('=')).collect::<Option<_>>()?;
    let secret = |name: &&str| entries.iter().find(|(role, _)| role == name).map(|(_, secret)| *secret);
    let secrets: Vec<_> = names.iter().map(secret).collect::<Option<_>>()?;
    let whole = entries.len() == names.len() && secrets.iter().all(|secret| !secret.is_empty());
    whole.then_some(secrets)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn refusal(status: u16, body: &str) -> Response {
        let kept = transport::Kept::default();
        Response { status, retry_after: None, kept, body: body.as_bytes().to_vec().into() }
    }

    #[test]
    fn a_refused_login_by_the_table() {
        for (status, body, with_pin) in [
            (400, r#"{"error":"invalid_grant"}"#, CKR_PIN_INCORRECT),
            (401, "", CKR_PIN_INCORRECT),
            (200, r#"{"success":false}"#, CKR_PIN_INCORRECT),
            (403, r#"{"error":"ACCOUNT_LOCKED"}"#, CKR_PIN_LOCKED),
            (423, "", CKR_PIN_LOCKED),
            (429, "Your account has been locked.", CKR_PIN_LOCKED),
            (403, r#"{"error":"IP_NOT_ALLOWED"}"#, CKR_DEVICE_ERROR),
            (403, "Your IP address is blocked", CKR_DEVICE_ERROR),
            (429, "slow down", CKR_DEVICE_ERROR),
            (503, "", CKR_DEVICE_ERROR),
        ] {
            let error = || GrantError::Refused(Arc::new(refusal(status, body)));
            assert_eq!(login_error(error(), &["hmac", "password"]).rv(), with_pin, "{status} {body}");
            assert_eq!(login_error(error(), &["basic"]).rv(), CKR_DEVICE_ERROR, "{status} {body}");
        }
        let unsent = |kind| GrantError::Transport(transport::Error::unsent(kind, "x"));
        assert_eq!(login_error(unsent(ErrorKind::Connect), &["password"]).rv(), CKR_DEVICE_ERROR);
        assert_eq!(login_error(unsent(ErrorKind::Closed), &["password"]).rv(), CKR_CRYPTOKI_NOT_INITIALIZED);
        assert_eq!(login_error(GrantError::Malformed("x".into()), &["password"]).rv(), CKR_DEVICE_ERROR);
    }

    #[test]
    fn a_lock_is_a_word() {
        for text in
            ["ACCOUNT_LOCKED", "accountLocked", "AccountLockedOut", "Lockout.", "account lock", "isLock:1"]
        {
            assert!(speaks_of_lock(text), "{text}");
        }
        for text in
            ["Your IP address is blocked", "BLOCKED", "clock skew too large", "CLOCK", "unlock", "locket", ""]
        {
            assert!(!speaks_of_lock(text), "{text}");
        }
    }

    #[test]
    fn a_refused_renewal_ends_the_login_and_a_busy_gateway_does_not() {
        for status in [400, 401, 403] {
            assert_eq!(refused_code(&refusal(status, "")), CKR_USER_NOT_LOGGED_IN, "{status}");
        }
        for status in [429, 500, 503] {
            assert_eq!(refused_code(&refusal(status, "")), CKR_DEVICE_ERROR, "{status}");
        }
    }

    #[test]
    fn a_pin_names_every_role_once() {
        let names = ["bearer", "key_operation"];
        for pin in ["bearer=a.b.c=,key_operation=k=1", "key_operation=k=1,bearer=a.b.c="] {
            assert_eq!(by_role(pin, &names), Some(vec!["a.b.c=", "k=1"]), "{pin}");
        }
        for pin in [
            "k",
            "bearer=a",
            "bearer=a,",
            "bearer=a,key_operation=",
            "bearer=a,bearer=b",
            "bearer=a,key_operation=k,service=s",
            "bearer=a,key_operation=k,key_operation=l",
            "bearer=a, key_operation=k",
            "Bearer=a,key_operation=k",
        ] {
            assert_eq!(by_role(pin, &names), None, "{pin}");
        }
    }

    #[test]
    fn a_plain_pin_is_every_secret() {
        let plain = |pin, names: &[&str]| secrets(pin, names, PinFormat::Plain).map_err(|error| error.rv());
        assert_eq!(plain("p,a=\u{e9}".as_bytes(), &["basic", "password"]), Ok(vec!["p,a=\u{e9}"; 2]));
        assert_eq!(plain(b"\xff", &[]), Ok(vec![]), "it is not looked at");
        for pin in [&b""[..], b"\xff"] {
            assert_eq!(plain(pin, &["password"]), Err(CKR_PIN_INCORRECT));
        }
        let pair = |pin| secrets(pin, &["hmac", "password"], PinFormat::PasswordAndSecret);
        assert_eq!(pair(b"p:4ss:s3cret").unwrap(), ["s3cret", "p:4ss"]);
        for pin in [&b"s3cret"[..], b":s3cret", b"p:4ss:"] {
            assert_eq!(pair(pin).unwrap_err().rv(), CKR_PIN_INCORRECT);
        }
        let roles = secrets(b"password=p,hmac=h", &["hmac", "password"], PinFormat::Roles);
        assert_eq!(roles.unwrap(), ["h", "p"]);
        let error = secrets(b"s3cret", &["hmac", "password"], PinFormat::Roles).unwrap_err();
        assert_eq!(error.to_string(), "logging in: the PIN is not hmac=…,password=…");
    }
}
