//! How the vendor's documentation is read where its two editions disagree or are silent (FAST HSM reference §5).

use std::time::Duration;

use crate::error::Error;

/// One reading of everything.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) edition: Edition,
    pub(super) auth_style: AuthStyle,
    /// Whether the status line repeats `code`.
    pub(super) mirror_status: bool,
    pub(super) token_ttl: Duration,
    /// How many calls a token lasts for; 0: any number.
    pub(super) token_calls: u64,
    pub(super) token_is_jwt: bool,
    /// Whether a new token ends the older ones of its account.
    pub(super) one_token: bool,
    /// How many wrong passwords lock an account; 0: no number does.
    pub(super) lock_after: u64,
    pub(super) hash_length: HashLength,
    /// Whether the client brings the DigestInfo.
    pub(super) takes_digest_info: bool,
    pub(super) pss: bool,
    /// Whether serial numbers are also known in lower case, with separators and with leading zeros.
    pub(super) lenient_serials: bool,
    /// Whether the certificates of others are said to be forbidden; else they are unknown.
    pub(super) forbids_foreign: bool,
    pub(super) thumbprint: Thumbprint,
    /// Whether an expired certificate still decrypts.
    pub(super) decrypts_expired: bool,
}

/// Which of the two editions of the documentation is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edition {
    Vietnamese,
    English,
}

/// What stands in `Authorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthStyle {
    Bearer,
    Bare,
    Either,
}

/// Which items of `hashArray` are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HashLength {
    /// Digests of SHA-256.
    Sha256,
    /// Digests of SHA-1 and of SHA-2 of 256, 384 and 512 bits.
    Known,
    /// Anything: what is no digest is padded as it is.
    Any,
}

/// What the thumbprint of a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thumbprint {
    Sha1,
    Sha256,
    /// That of another certificate.
    Wrong,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            edition: Edition::English,
            auth_style: AuthStyle::Either,
            mirror_status: true,
            token_ttl: Duration::from_secs(3600),
            token_calls: 0,
            token_is_jwt: true,
            one_token: false,
            lock_after: 0,
            hash_length: HashLength::Sha256,
            takes_digest_info: false,
            pss: false,
            lenient_serials: false,
            forbids_foreign: false,
            thumbprint: Thumbprint::Sha1,
            decrypts_expired: false,
        }
    }
}

/// One setting: its name, its values, what it is about, and how a value is put in place if it is one.
struct Row {
    name: &'static str,
    values: &'static str,
    meaning: &'static str,
    set: fn(&mut Settings, &str) -> bool,
}

const fn row(
    name: &'static str,
    values: &'static str,
    meaning: &'static str,
    set: fn(&mut Settings, &str) -> bool,
) -> Row {
    Row { name, values, meaning, set }
}

/// Every setting; docs/emulator.md has the same list.
const TABLE: &[Row] = &[
    row(
        "edition",
        "en|vi",
        "the edition of the documentation: token field, texts, packaging of JWE",
        |to, text| choose(&mut to.edition, text, &[("en", Edition::English), ("vi", Edition::Vietnamese)]),
    ),
    row("auth-style", "either|bearer|bare", "the form of the Authorization header", |to, text| {
        let styles =
            [("either", AuthStyle::Either), ("bearer", AuthStyle::Bearer), ("bare", AuthStyle::Bare)];
        choose(&mut to.auth_style, text, &styles)
    }),
    row("http-status", "mirror|always200", "whether the status line repeats the code", |to, text| {
        choose(&mut to.mirror_status, text, &[("mirror", true), ("always200", false)])
    }),
    row("token-ttl", "MILLISECONDS", "the life of a token", |to, text| {
        text.parse().map(|ms| to.token_ttl = Duration::from_millis(ms)).is_ok()
    }),
    row("token-calls", "N", "how many calls a token lasts for; 0: any number", |to, text| {
        count(&mut to.token_calls, text)
    }),
    row("token-form", "jwt|opaque", "what a token is", |to, text| {
        choose(&mut to.token_is_jwt, text, &[("jwt", true), ("opaque", false)])
    }),
    row("new-token", "adds|replaces", "whether it ends the older ones of its account", |to, text| {
        choose(&mut to.one_token, text, &[("adds", false), ("replaces", true)])
    }),
    row("lock-after", "N", "how many wrong passwords lock an account; 0: none do", |to, text| {
        count(&mut to.lock_after, text)
    }),
    row("hash-length", "sha256|known|any", "which items of hashArray are signed", |to, text| {
        let lengths =
            [("sha256", HashLength::Sha256), ("known", HashLength::Known), ("any", HashLength::Any)];
        choose(&mut to.hash_length, text, &lengths)
    }),
    row("hash-input", "digest|digestinfo", "what an item of hashArray is", |to, text| {
        choose(&mut to.takes_digest_info, text, &[("digest", false), ("digestinfo", true)])
    }),
    row("padding", "pkcs1|pss", "how signatures are padded", |to, text| {
        choose(&mut to.pss, text, &[("pkcs1", false), ("pss", true)])
    }),
    row("serial-form", "exact|lenient", "which spellings of a serial number are known", |to, text| {
        choose(&mut to.lenient_serials, text, &[("exact", false), ("lenient", true)])
    }),
    row("foreign", "unknown|forbidden", "what certificates of other accounts are", |to, text| {
        choose(&mut to.forbids_foreign, text, &[("unknown", false), ("forbidden", true)])
    }),
    row("thumbprint", "sha1|sha256|wrong", "what thumbprint is", |to, text| {
        let kinds =
            [("sha1", Thumbprint::Sha1), ("sha256", Thumbprint::Sha256), ("wrong", Thumbprint::Wrong)];
        choose(&mut to.thumbprint, text, &kinds)
    }),
    row("decrypt-expired", "refuse|allow", "whether an expired certificate decrypts", |to, text| {
        choose(&mut to.decrypts_expired, text, &[("refuse", false), ("allow", true)])
    }),
];

impl Settings {
    /// The defaults with these changes.
    ///
    /// # Errors
    /// A name or a value that is not in the table.
    pub(super) fn read(given: &[(String, String)]) -> Result<Settings, Error> {
        let mut settings = Settings::default();
        for (name, value) in given {
            let Some(row) = TABLE.iter().find(|row| row.name == name) else {
                let known: Vec<_> = TABLE
                    .iter()
                    .map(|row| format!("\n  {}={}  {}", row.name, row.values, row.meaning))
                    .collect();
                let text = format!("FAST HSM has no setting {name:?}; there are{}", known.concat());
                return Err(Error::server(text));
            };
            if !(row.set)(&mut settings, value) {
                let text = format!("{name}={value}: write {name}={} ({})", row.values, row.meaning);
                return Err(Error::server(text));
            }
        }
        Ok(settings)
    }
}

fn choose<T: Copy>(place: &mut T, text: &str, choices: &[(&str, T)]) -> bool {
    let chosen = choices.iter().find(|(word, _)| *word == text);
    chosen.map(|(_, value)| *place = *value).is_some()
}

fn count(place: &mut u64, text: &str) -> bool {
    text.parse().map(|number| *place = number).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<Settings, String> {
        Settings::read(&[(name.to_owned(), value.to_owned())]).map_err(|error| error.to_string())
    }

    #[test]
    fn every_value_of_the_table_is_taken_and_no_other() {
        for row in TABLE {
            for value in row.values.split('|') {
                let value = if value.chars().all(char::is_uppercase) { "7" } else { value };
                read(row.name, value).unwrap();
            }
            assert!(read(row.name, "nonsense").unwrap_err().contains(row.values), "{}", row.name);
        }
    }

    #[test]
    fn an_unknown_name_is_told_what_there_is() {
        let error = read("editions", "vi").unwrap_err();
        assert!(TABLE.iter().all(|row| error.contains(row.name)), "{error}");
    }
}
