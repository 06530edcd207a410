//! Readings of the vendor's documentation where it leaves a choice (Luna REST reference §11.1, §14.4).

use crate::error::Error;

/// Where the PEM of a public key is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PublicKeyPlace {
    /// The field `publickey` of both halves.
    Field,
    /// The field `material` of the public half.
    Material,
    /// Only what `POST …/export` of the public half answers.
    Export,
}

/// What a page of a listing tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paging {
    /// `skip`, `limit`, `total` beside the keys.
    Full,
    /// The keys alone.
    Bare,
    /// All keys at once, whatever was asked for.
    Ignored,
}

/// Which spellings of hash names are taken, in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HashNames {
    Any,
    /// `sha-256`
    Dashed,
    /// `SHA256`
    Plain,
}

/// All of them.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) prefix: String,
    pub(super) token_life: u64,
    pub(super) refresh_life: u64,
    pub(super) rotation: bool,
    pub(super) lock_after: u64,
    pub(super) user: String,
    pub(super) domain: Option<String>,
    pub(super) paging: Paging,
    pub(super) page_limit: usize,
    pub(super) extra_keys: usize,
    pub(super) public_key: PublicKeyPlace,
    pub(super) pkcs1: bool,
    pub(super) curve_field: &'static str,
    pub(super) mac_hex: bool,
    pub(super) ecdsa_raw: bool,
    pub(super) hash_names: HashNames,
    pub(super) prehashed: bool,
    pub(super) names_as_ids: bool,
    pub(super) oaep_sha256: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            prefix: "/api/v1".to_owned(),
            token_life: 300,
            refresh_life: 1799,
            rotation: false,
            lock_after: 5,
            user: "p11rest".to_owned(),
            domain: None,
            paging: Paging::Full,
            page_limit: 100,
            extra_keys: 0,
            public_key: PublicKeyPlace::Field,
            pkcs1: false,
            curve_field: "curveid",
            mac_hex: false,
            ecdsa_raw: false,
            hash_names: HashNames::Any,
            prehashed: false,
            names_as_ids: false,
            oaep_sha256: false,
        }
    }
}

/// One setting: its name, what may be written, and what that does.
struct Row {
    name: &'static str,
    allowed: &'static str,
    set: fn(&mut Settings, &str) -> Option<()>,
}

macro_rules! rows {
    ($($name:ident $allowed:literal |$settings:ident, $value:ident| $set:expr;)*) => {
        &[$(Row { name: stringify!($name), allowed: $allowed, set: |$settings, $value| { $set; Some(()) } }),*]
    };
}

/// Every setting; docs/emulator.md says what they mean.
const ROWS: &[Row] = rows! {
    prefix "/api/v1 or /v1" |s, v| s.prefix = one_of(v, &["/api/v1", "/v1"])?.to_owned();
    token_life "seconds" |s, v| s.token_life = v.parse().ok()?;
    refresh_life "seconds" |s, v| s.refresh_life = v.parse().ok()?;
    rotation "yes or no" |s, v| s.rotation = choice(v, "yes", "no")?;
    lock_after "a number of wrong passwords" |s, v| s.lock_after = v.parse().ok()?;
    user "a name" |s, v| s.user = v.to_owned();
    domain "a name" |s, v| s.domain = Some(v.to_owned());
    paging "full, bare or ignored" |s, v| s.paging = match v {
        "full" => Paging::Full,
        "bare" => Paging::Bare,
        "ignored" => Paging::Ignored,
        _ => return None,
    };
    page_limit "a number of keys" |s, v| s.page_limit = v.parse().ok().filter(|limit| *limit > 0)?;
    extra_keys "a number of keys" |s, v| s.extra_keys = v.parse().ok()?;
    public_key "publickey, material or export" |s, v| s.public_key = match v {
        "publickey" => PublicKeyPlace::Field,
        "material" => PublicKeyPlace::Material,
        "export" => PublicKeyPlace::Export,
        _ => return None,
    };
    pem "spki or pkcs1" |s, v| s.pkcs1 = choice(v, "pkcs1", "spki")?;
    curve_field "curveid or curveId" |s, v| s.curve_field = one_of(v, &["curveid", "curveId"])?;
    mac "base64 or hex" |s, v| s.mac_hex = choice(v, "hex", "base64")?;
    ecdsa "der or raw" |s, v| s.ecdsa_raw = choice(v, "raw", "der")?;
    hash_names "any, dashed or plain" |s, v| s.hash_names = match v {
        "any" => HashNames::Any,
        "dashed" => HashNames::Dashed,
        "plain" => HashNames::Plain,
        _ => return None,
    };
    prehashed "yes or no" |s, v| s.prehashed = choice(v, "yes", "no")?;
    key_reference "strict or lenient" |s, v| s.names_as_ids = choice(v, "lenient", "strict")?;
    oaep "sha1 or sha256" |s, v| s.oaep_sha256 = choice(v, "sha256", "sha1")?;
};

fn choice(value: &str, yes: &str, no: &str) -> Option<bool> {
    [yes, no].contains(&value).then_some(value == yes)
}

fn one_of(value: &str, allowed: &[&'static str]) -> Option<&'static str> {
    allowed.iter().find(|allowed| **allowed == value).copied()
}

impl Settings {
    /// Reads `--set NAME=VALUE`.
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
        assert_eq!(read("token_life", "2").unwrap().token_life, 2);
        assert!(read("rotation", "yes").unwrap().rotation);
        assert!(!read("rotation", "no").unwrap().rotation);
        assert!(read("rotation", "maybe").unwrap_err().to_string().contains("write yes or no"));
        assert!(read("rotations", "yes").unwrap_err().to_string().contains("no setting \"rotations\""));
    }
}
