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

/// How the members of a key are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// `usageMask`, `objectType`, `publickey`, `curveid`
    Mixed,
    /// `usageMask`, `objectType`, `publicKey`, `curveId`
    Camel,
    /// `usagemask`, `objecttype`, `publickey`, `curveid`
    Lower,
}

impl Names {
    /// The spelling of a member whose name has a capital letter in the page's usual way.
    pub(super) fn spell(self, camel: &str) -> String {
        let lower = match self {
            Names::Mixed => matches!(camel, "publicKey" | "curveId"),
            Names::Camel => false,
            Names::Lower => true,
        };
        if lower { camel.to_ascii_lowercase() } else { camel.to_owned() }
    }
}

/// What the member with the curve of a key to be made is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CurveMember {
    Any,
    /// `curveid`
    Lower,
    /// `curveId`
    Camel,
}

/// How signatures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    Hex,
    /// Hexadecimal in capital letters.
    Upper,
    Base64,
}

/// The salt of RSASSA-PSS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Salt {
    /// As long as the hash.
    Hash,
    None,
    /// All that there is room for.
    Max,
}

/// What the answer to an AES encryption has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GcmAnswer {
    /// Ciphertext, tag and IV.
    Full,
    /// No IV where the request brought one.
    Bare,
    /// The tag behind the ciphertext.
    Appended,
}

/// All of them.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) prefix: String,
    pub(super) token_life: u64,
    pub(super) refresh_life: u64,
    pub(super) gives_refresh_token: bool,
    pub(super) tells_life: bool,
    pub(super) rotation: bool,
    pub(super) lock_after: u64,
    pub(super) locked_status: u16,
    pub(super) user: String,
    pub(super) domain: Option<String>,
    pub(super) paging: Paging,
    pub(super) page_limit: usize,
    pub(super) versions: usize,
    pub(super) extra_keys: usize,
    pub(super) names: Names,
    pub(super) tells_type: bool,
    pub(super) lower_algorithms: bool,
    pub(super) public_key: PublicKeyPlace,
    pub(super) pkcs1: bool,
    pub(super) missing_status: u16,
    pub(super) curve_member: CurveMember,
    pub(super) keeps_public_half: bool,
    pub(super) undeletable_status: u16,
    pub(super) may_change: bool,
    pub(super) mac_hex: bool,
    pub(super) signature: Writing,
    pub(super) ecdsa_raw: bool,
    pub(super) hash_names: HashNames,
    pub(super) rsa_is_pss: bool,
    pub(super) pss: String,
    pub(super) pss_salt: Salt,
    pub(super) prehashed: bool,
    pub(super) names_as_ids: bool,
    pub(super) gcm: GcmAnswer,
    pub(super) tag_failure: u16,
    pub(super) oaep_sha256: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            prefix: "/api/v1".to_owned(),
            token_life: 300,
            refresh_life: 1799,
            gives_refresh_token: true,
            tells_life: true,
            rotation: false,
            lock_after: 5,
            locked_status: 401,
            user: "p11rest".to_owned(),
            domain: None,
            paging: Paging::Full,
            page_limit: 100,
            versions: 1,
            extra_keys: 0,
            names: Names::Mixed,
            tells_type: true,
            lower_algorithms: false,
            public_key: PublicKeyPlace::Field,
            pkcs1: false,
            missing_status: 404,
            curve_member: CurveMember::Any,
            keeps_public_half: false,
            undeletable_status: 403,
            may_change: true,
            mac_hex: false,
            signature: Writing::Hex,
            ecdsa_raw: false,
            hash_names: HashNames::Any,
            rsa_is_pss: false,
            pss: "RSASSA-PSS".to_owned(),
            pss_salt: Salt::Hash,
            prehashed: false,
            names_as_ids: false,
            gcm: GcmAnswer::Full,
            tag_failure: 400,
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
    prefix "/api/v1 or /v1" |s, v| s.prefix = one_of(v, [("/api/v1", "/api/v1"), ("/v1", "/v1")])?.to_owned();
    token_life "seconds" |s, v| s.token_life = v.parse().ok()?;
    refresh_life "seconds" |s, v| s.refresh_life = v.parse().ok()?;
    refresh_token "yes or no" |s, v| s.gives_refresh_token = choice(v, "yes", "no")?;
    duration "yes or no" |s, v| s.tells_life = choice(v, "yes", "no")?;
    rotation "yes or no" |s, v| s.rotation = choice(v, "yes", "no")?;
    lock_after "a number of wrong passwords" |s, v| s.lock_after = v.parse().ok()?;
    locked_status "401, 403, 423 or 429" |s, v| s.locked_status = status(v, &[401, 403, 423, 429])?;
    user "a name" |s, v| s.user = v.to_owned();
    domain "a name" |s, v| s.domain = Some(v.to_owned());
    paging "full, bare or ignored" |s, v| s.paging =
        one_of(v, [("full", Paging::Full), ("bare", Paging::Bare), ("ignored", Paging::Ignored)])?;
    page_limit "a number of keys" |s, v| s.page_limit = positive(v)?;
    versions "a number" |s, v| s.versions = positive(v)?;
    extra_keys "a number of keys" |s, v| s.extra_keys = v.parse().ok()?;
    names "mixed, camel or lower" |s, v| s.names =
        one_of(v, [("mixed", Names::Mixed), ("camel", Names::Camel), ("lower", Names::Lower)])?;
    object_type "yes or no" |s, v| s.tells_type = choice(v, "yes", "no")?;
    algorithm "upper or lower" |s, v| s.lower_algorithms = choice(v, "lower", "upper")?;
    public_key "publickey, material or export" |s, v| s.public_key = one_of(v, [
        ("publickey", PublicKeyPlace::Field),
        ("material", PublicKeyPlace::Material),
        ("export", PublicKeyPlace::Export),
    ])?;
    pem "spki or pkcs1" |s, v| s.pkcs1 = choice(v, "pkcs1", "spki")?;
    missing "404 or 400" |s, v| s.missing_status = status(v, &[404, 400])?;
    curve "any, lower or camel" |s, v| s.curve_member = one_of(v, [
        ("any", CurveMember::Any),
        ("lower", CurveMember::Lower),
        ("camel", CurveMember::Camel),
    ])?;
    public_half "deleted or kept" |s, v| s.keeps_public_half = choice(v, "kept", "deleted")?;
    undeletable "403, 409 or 400" |s, v| s.undeletable_status = status(v, &[403, 409, 400])?;
    vault "open or read_only" |s, v| s.may_change = choice(v, "open", "read_only")?;
    mac "base64 or hex" |s, v| s.mac_hex = choice(v, "hex", "base64")?;
    signature "hex, upper or base64" |s, v| s.signature =
        one_of(v, [("hex", Writing::Hex), ("upper", Writing::Upper), ("base64", Writing::Base64)])?;
    ecdsa "der or raw" |s, v| s.ecdsa_raw = choice(v, "raw", "der")?;
    hash_names "any, dashed or plain" |s, v| s.hash_names = one_of(v, [
        ("any", HashNames::Any),
        ("dashed", HashNames::Dashed),
        ("plain", HashNames::Plain),
    ])?;
    rsa "pkcs1 or pss" |s, v| s.rsa_is_pss = choice(v, "pss", "pkcs1")?;
    pss "a name" |s, v| s.pss = v.to_owned();
    pss_salt "hash, none or max" |s, v| s.pss_salt =
        one_of(v, [("hash", Salt::Hash), ("none", Salt::None), ("max", Salt::Max)])?;
    prehashed "yes or no" |s, v| s.prehashed = choice(v, "yes", "no")?;
    key_reference "strict or lenient" |s, v| s.names_as_ids = choice(v, "lenient", "strict")?;
    gcm "full, bare or appended" |s, v| s.gcm = one_of(v, [
        ("full", GcmAnswer::Full),
        ("bare", GcmAnswer::Bare),
        ("appended", GcmAnswer::Appended),
    ])?;
    tag_failure "400 or 422" |s, v| s.tag_failure = status(v, &[400, 422])?;
    oaep "sha1 or sha256" |s, v| s.oaep_sha256 = choice(v, "sha256", "sha1")?;
};

fn choice(value: &str, yes: &str, no: &str) -> Option<bool> {
    one_of(value, [(yes, true), (no, false)])
}

fn one_of<T, const N: usize>(value: &str, allowed: [(&str, T); N]) -> Option<T> {
    allowed.into_iter().find(|(name, _)| *name == value).map(|(_, meaning)| meaning)
}

fn positive(value: &str) -> Option<usize> {
    value.parse().ok().filter(|number| *number > 0)
}

fn status(value: &str, allowed: &[u16]) -> Option<u16> {
    value.parse().ok().filter(|status| allowed.contains(status))
}

impl Settings {
    /// The account as `meta.ownerId` and the claim `sub` name it.
    pub(super) fn owner(&self) -> String {
        format!("local|{}", self.user)
    }

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
        assert!(read("missing", "500").is_err() && read("page_limit", "0").is_err());
        assert!(read("rotations", "yes").unwrap_err().to_string().contains("no setting \"rotations\""));
    }
}
