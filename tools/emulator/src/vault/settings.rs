//! What a test chooses at the start: `--set NAME=VALUE`.

use std::time::Duration;

use crate::error::Error;

/// All settings.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// Where the transit engine is mounted.
    pub(super) mount: String,
    /// The namespace that requests must name, if there are namespaces.
    pub(super) namespace: Option<String>,
    pub(super) login: Login,
    /// The life of a token; `None`: it has no end.
    pub(super) token_life: Option<Duration>,
    /// How long renewals can make it; `None`: any time.
    pub(super) token_max_life: Option<Duration>,
    /// How many requests a token is good for; 0: any number.
    pub(super) token_uses: u64,
    /// How many wrong passwords lock the account; 0: no number does.
    pub(super) lock_after: u64,
    /// Paths that no token may use, without `/v1/`; `*` at the end stands for anything.
    pub(super) denied: Vec<String>,
    /// Whether members that a call does not have are refused; the service itself passes them over.
    pub(super) strict: bool,
    /// How many AES keys there are besides the others.
    pub(super) extra_keys: usize,
    pub(super) version: String,
    /// Whether a key that was made or changed is answered with itself; older releases answer nothing.
    pub(super) shows_changes: bool,
}

/// What the PIN is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    /// A token.
    Token,
    /// The password of the account at `auth/userpass`.
    Userpass,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            mount: "transit".to_owned(),
            namespace: None,
            login: Login::Token,
            token_life: None,
            token_max_life: None,
            token_uses: 0,
            lock_after: 5,
            denied: Vec::new(),
            strict: true,
            extra_keys: 0,
            version: "1.15.2".to_owned(),
            shows_changes: true,
        }
    }
}

/// One setting: its name, what may be written, and what that does.
struct Row {
    name: &'static str,
    allowed: &'static str,
    set: fn(&mut Settings, &str) -> Option<()>,
}

const fn row(name: &'static str, allowed: &'static str, set: fn(&mut Settings, &str) -> Option<()>) -> Row {
    Row { name, allowed, set }
}

/// Every setting; docs/emulator.md says what they mean.
const ROWS: &[Row] = &[
    row("mount", "a path such as team/transit", |s, v| {
        let fits = !v.is_empty() && v.split('/').all(|part| !part.is_empty());
        fits.then(|| s.mount = v.to_owned())
    }),
    row("namespace", "a name", |s, v| (!v.is_empty()).then(|| s.namespace = Some(v.to_owned()))),
    row("login", "token or userpass", |s, v| {
        s.login = match v {
            "token" => Login::Token,
            "userpass" => Login::Userpass,
            _ => return None,
        };
        Some(())
    }),
    row("token_life", "seconds; 0: without end", |s, v| seconds(v).map(|life| s.token_life = life)),
    row("token_max_life", "seconds; 0: without end", |s, v| seconds(v).map(|life| s.token_max_life = life)),
    row("token_uses", "a number of requests; 0: any", |s, v| v.parse().ok().map(|uses| s.token_uses = uses)),
    row("lock_after", "a number of wrong passwords; 0: none do", |s, v| {
        v.parse().ok().map(|number| s.lock_after = number)
    }),
    row("deny", "paths with commas between them, such as transit/decrypt/*", |s, v| {
        s.denied = v.split(',').map(str::to_owned).collect();
        s.denied.iter().all(|path| !path.is_empty()).then_some(())
    }),
    row("unknown_members", "refuse or ignore", |s, v| {
        s.strict = v == "refuse";
        ["refuse", "ignore"].contains(&v).then_some(())
    }),
    row("extra_keys", "a number of keys", |s, v| v.parse().ok().map(|number| s.extra_keys = number)),
    row("changes", "shown or silent", |s, v| {
        s.shows_changes = v == "shown";
        ["shown", "silent"].contains(&v).then_some(())
    }),
    row("version", "a version", |s, v| (!v.is_empty()).then(|| s.version = v.to_owned())),
];

fn seconds(text: &str) -> Option<Option<Duration>> {
    let seconds = text.parse().ok()?;
    Some((seconds > 0).then(|| Duration::from_secs(seconds)))
}

impl Settings {
    /// The defaults with these changes.
    ///
    /// # Errors
    /// A name or a value that is not in the table.
    pub(super) fn read(given: &[(String, String)]) -> Result<Settings, Error> {
        let mut settings = Settings::default();
        for (name, value) in given {
            let Some(row) = ROWS.iter().find(|row| row.name == name) else {
                let known: Vec<_> = ROWS.iter().map(|row| row.name).collect();
                return Err(Error::server(format!("no setting {name:?}; there are {}", known.join(", "))));
            };
            (row.set)(&mut settings, value)
                .ok_or_else(|| Error::server(format!("{name}={value}: write {}", row.allowed)))?;
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_refused_by_name_and_by_value() {
        let read = |name: &str, value: &str| Settings::read(&[(name.to_owned(), value.to_owned())]);
        assert_eq!(read("token_life", "2").unwrap().token_life, Some(Duration::from_secs(2)));
        assert_eq!(read("token_life", "0").unwrap().token_life, None);
        assert_eq!(read("deny", "a/b,c/*").unwrap().denied, ["a/b", "c/*"]);
        assert!(!read("unknown_members", "ignore").unwrap().strict);
        assert!(read("mount", "a//b").unwrap_err().to_string().contains("write a path"));
        assert!(read("login", "ldap").unwrap_err().to_string().contains("write token or userpass"));
        assert!(read("logins", "token").unwrap_err().to_string().contains("no setting \"logins\""));
    }
}
