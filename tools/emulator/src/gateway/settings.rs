//! What a test may choose.

use std::str::FromStr;

use super::allow::Networks;
use crate::algorithms::EcdsaForm;
use crate::error::Error;

/// How requests are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    V3,
    Amx,
    BitGo3,
    Azure,
    Acquia2,
    Hawk,
    TsBody,
    MethodPathBody,
    SigV4,
    Rfc9421,
}

impl Scheme {
    /// Each by the name of the module's preset.
    const ALL: [(&str, Scheme); 10] = [
        ("v3.0", Scheme::V3),
        ("amx", Scheme::Amx),
        ("bitgo3", Scheme::BitGo3),
        ("azure-appconfig", Scheme::Azure),
        ("acquia2", Scheme::Acquia2),
        ("hawk", Scheme::Hawk),
        ("ts.body", Scheme::TsBody),
        ("method-path-body", Scheme::MethodPathBody),
        ("sigv4", Scheme::SigV4),
        ("rfc9421-hmac", Scheme::Rfc9421),
    ];

    /// The name of the module's preset.
    pub(super) fn preset(self) -> &'static str {
        Scheme::ALL.iter().find(|(_, scheme)| *scheme == self).map_or("", |(name, _)| name)
    }
}

/// The spelling of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    Snake,
    Pascal,
    Camel,
}

/// The body of the token call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenBody {
    Form,
    Json,
}

/// All settings.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) scheme: Scheme,
    /// Whether requests must carry a token.
    pub(super) tokens: bool,
    /// Whether requests must be signed.
    pub(super) signatures: bool,
    pub(super) sign_token_calls: bool,
    /// Seconds.
    pub(super) skew: u64,
    /// Life of an access token in seconds.
    pub(super) ttl: u64,
    /// Life of a refresh token in seconds.
    pub(super) refresh_ttl: u64,
    pub(super) rotation: bool,
    pub(super) allow: Networks,
    pub(super) trusted_proxies: Networks,
    pub(super) token_body: TokenBody,
    pub(super) token_names: Names,
    pub(super) token_answer: Names,
    pub(super) login_status: u16,
    pub(super) locked_status: u16,
    /// Wrong passwords in a row that lock an account; 0: none do.
    pub(super) attempts: u32,
    pub(super) page_size: usize,
    pub(super) uuid_nonces: bool,
    pub(super) milliseconds: bool,
    pub(super) signed_answers: bool,
    pub(super) ecdsa_form: EcdsaForm,
}

/// One setting. `docs/emulator.md` has the same list with meanings.
struct Row {
    name: &'static str,
    default: &'static str,
    /// What is told to those who give another.
    values: &'static str,
    set: fn(&mut Settings, &str) -> Option<()>,
}

const ROWS: &[Row] = &[
    Row {
        name: "scheme",
        default: "v3.0",
        values: "v3.0, amx, bitgo3, azure-appconfig, acquia2, hawk, ts.body, method-path-body, sigv4 or rfc9421-hmac",
        set: |s, value| {
            s.scheme = Scheme::ALL.iter().find(|(name, _)| *name == value)?.1;
            Some(())
        },
    },
    Row {
        name: "auth",
        default: "jwt+hmac",
        values: "jwt+hmac, hmac or jwt",
        set: |s, value| {
            (s.tokens, s.signatures) = match value {
                "jwt+hmac" => (true, true),
                "hmac" => (false, true),
                "jwt" => (true, false),
                _ => return None,
            };
            Some(())
        },
    },
    Row {
        name: "sign_token_calls",
        default: "true",
        values: BOOLEAN,
        set: |s, v| put(&mut s.sign_token_calls, v),
    },
    Row { name: "skew", default: "300", values: "seconds", set: |s, v| put(&mut s.skew, v) },
    Row { name: "ttl", default: "300", values: "seconds", set: |s, v| put(&mut s.ttl, v) },
    Row { name: "refresh_ttl", default: "86400", values: "seconds", set: |s, v| put(&mut s.refresh_ttl, v) },
    Row { name: "rotation", default: "true", values: BOOLEAN, set: |s, v| put(&mut s.rotation, v) },
    Row { name: "allow", default: "", values: NETWORKS, set: |s, v| put(&mut s.allow, v) },
    Row {
        name: "trusted_proxies",
        default: "",
        values: NETWORKS,
        set: |s, v| put(&mut s.trusted_proxies, v),
    },
    Row {
        name: "token_body",
        default: "form",
        values: "form or json",
        set: |s, value| {
            s.token_body = match value {
                "form" => TokenBody::Form,
                "json" => TokenBody::Json,
                _ => return None,
            };
            Some(())
        },
    },
    Row {
        name: "token_names",
        default: "snake",
        values: "snake or pascal",
        set: |s, v| put(&mut s.token_names, v),
    },
    Row {
        name: "token_answer",
        default: "snake",
        values: "snake, pascal or camel",
        set: |s, v| put(&mut s.token_answer, v),
    },
    Row {
        name: "login_status",
        default: "400",
        values: "400 or 401",
        set: |s, v| one_of(&mut s.login_status, v, &[400, 401]),
    },
    Row {
        name: "locked_status",
        default: "423",
        values: "403, 423 or 429",
        set: |s, v| one_of(&mut s.locked_status, v, &[403, 423, 429]),
    },
    Row { name: "attempts", default: "5", values: "a number; 0: none", set: |s, v| put(&mut s.attempts, v) },
    Row {
        name: "page_size",
        default: "100",
        values: "1 to 1000",
        set: |s, v| put(&mut s.page_size, v).filter(|()| (1..=1000).contains(&s.page_size)),
    },
    Row {
        name: "nonce",
        default: "uuid",
        values: "uuid or any",
        set: |s, value| choose(&mut s.uuid_nonces, value, ["any", "uuid"]),
    },
    Row {
        name: "timestamp",
        default: "unix",
        values: "unix or unix_ms",
        set: |s, value| choose(&mut s.milliseconds, value, ["unix", "unix_ms"]),
    },
    Row {
        name: "signed_answers",
        default: "false",
        values: BOOLEAN,
        set: |s, v| put(&mut s.signed_answers, v),
    },
    Row {
        name: "ecdsa_form",
        default: "der",
        values: "der or raw",
        set: |s, value| {
            s.ecdsa_form = match value {
                "der" => EcdsaForm::Der,
                "raw" => EcdsaForm::Raw,
                _ => return None,
            };
            Some(())
        },
    },
];

const BOOLEAN: &str = "true or false";
const NETWORKS: &str = "networks such as 10.0.0.0/8 or ::1/128, with commas between them";

impl Settings {
    /// The defaults, and over them what was given by name.
    pub(super) fn read(given: &[(String, String)]) -> Result<Settings, Error> {
        let mut settings = Settings::blank();
        for row in ROWS {
            // Every default is one of the values.
            (row.set)(&mut settings, row.default).ok_or_else(|| Error::server(row.name))?;
        }
        for (name, value) in given {
            let row = ROWS.iter().find(|row| row.name == name).ok_or_else(|| {
                let known: Vec<_> = ROWS.iter().map(|row| row.name).collect();
                Error::server(format!("{name}: no setting of the gateway; it has {}", known.join(", ")))
            })?;
            (row.set)(&mut settings, value)
                .ok_or_else(|| Error::server(format!("{name}: {value:?} is none of {}", row.values)))?;
        }
        Ok(settings)
    }

    /// Before the defaults.
    fn blank() -> Settings {
        Settings {
            scheme: Scheme::V3,
            tokens: false,
            signatures: false,
            sign_token_calls: false,
            skew: 0,
            ttl: 0,
            refresh_ttl: 0,
            rotation: false,
            allow: Networks::default(),
            trusted_proxies: Networks::default(),
            token_body: TokenBody::Form,
            token_names: Names::Snake,
            token_answer: Names::Snake,
            login_status: 0,
            locked_status: 0,
            attempts: 0,
            page_size: 0,
            uuid_nonces: false,
            milliseconds: false,
            signed_answers: false,
            ecdsa_form: EcdsaForm::Der,
        }
    }
}

impl FromStr for Names {
    type Err = ();

    fn from_str(text: &str) -> Result<Names, ()> {
        match text {
            "snake" => Ok(Names::Snake),
            "pascal" => Ok(Names::Pascal),
            "camel" => Ok(Names::Camel),
            _ => Err(()),
        }
    }
}

fn put<T: FromStr>(place: &mut T, value: &str) -> Option<()> {
    *place = value.parse().ok()?;
    Some(())
}

fn one_of(place: &mut u16, value: &str, allowed: &[u16]) -> Option<()> {
    put(place, value).filter(|()| allowed.contains(place))
}

/// `false` for the first of the words, `true` for the second.
fn choose(place: &mut bool, value: &str, words: [&str; 2]) -> Option<()> {
    *place = words.iter().position(|word| *word == value)? == 1;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_nonsense_is_refused() {
        let read = |name: &str, value: &str| Settings::read(&[(name.to_owned(), value.to_owned())]);
        assert_eq!(read("scheme", "hawk").unwrap().scheme, Scheme::Hawk);
        assert_eq!(read("skew", "7").unwrap().skew, 7);
        for (name, value) in [
            ("schema", "v3.0"),
            ("scheme", "v4"),
            ("skew", "-1"),
            ("locked_status", "500"),
            ("page_size", "0"),
            ("allow", "10.0.0.0/33"),
            ("rotation", "yes"),
        ] {
            assert!(read(name, value).is_err(), "{name} {value}");
        }
    }
}
