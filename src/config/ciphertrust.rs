//! `[slot.ciphertrust]`: what only CipherTrust Manager is told.

use super::problem::{Fault, Problem};
use super::read::{Section, word};
use crate::crypto::digest::Hash;

/// Where the API of keys and operations begins (Luna reference section 14.4).
const PREFIX: &str = "/api/v1";

/// The longest message that is sent to be hashed.
const MAX_MESSAGE: usize = 1 << 20;

/// No longer message is kept in memory, in bytes.
const MOST: u32 = 64 << 20;

/// The name of RSASSA-PSS that is the likeliest.
const PSS: &str = "RSASSA-PSS";

/// The settings of CipherTrust Manager.
#[derive(Debug)]
pub struct CipherTrust {
    /// What stands before the paths of keys and operations.
    pub prefix: String,
    /// The domain to log in to; `None`: the account's own.
    pub domain: Option<String>,
    /// The domain that the account is in; `None`: the one to log in to.
    pub auth_domain: Option<String>,
    /// The connection to a directory that knows the account; `None`: the server does.
    pub connection: Option<String>,
    /// Whether the PIN is kept as long as the user is logged in.
    pub keep_password: bool,
    /// Only keys of this owner are shown.
    pub owner: Option<String>,
    /// Only keys with all of these labels are shown: name and value.
    pub labels: Vec<(String, String)>,
    /// The longest message, in bytes.
    pub max_message: usize,
    /// The `hashAlgo` of what is hashed already; `None`: the server hashes itself.
    pub prehashed: Option<String>,
    /// The `signAlgo` of RSASSA-PKCS1-v1_5; `None`: it is what the server takes where nothing is said.
    pub pkcs1: Option<String>,
    /// The `signAlgo` of RSASSA-PSS.
    pub pss: String,
    /// The hash of the server's RSAES-OAEP.
    pub oaep_hash: Hash,
}

/// Reads them.
pub(super) fn read(section: &Section<'_>) -> Result<CipherTrust, Problem> {
    let hashes = [
        ("sha1", Hash::Sha1),
        ("sha224", Hash::Sha224),
        ("sha256", Hash::Sha256),
        ("sha384", Hash::Sha384),
        ("sha512", Hash::Sha512),
    ];
    Ok(CipherTrust {
        prefix: section.text("prefix", |_, text| prefix(text))?.unwrap_or_else(|| PREFIX.to_owned()),
        domain: section.text("domain", |_, text| name(text))?,
        auth_domain: section.text("auth_domain", |_, text| name(text))?,
        connection: section.text("connection", |_, text| name(text))?,
        keep_password: section.boolean("keep_password")?.unwrap_or(true),
        owner: section.text("owner", |_, text| name(text))?,
        labels: section.list("labels", |_, text| label(text))?.unwrap_or_default(),
        max_message: section.count("max_message", 1, MOST)?.unwrap_or(MAX_MESSAGE),
        prehashed: section.text("prehashed", |_, text| name(text))?,
        pkcs1: section.text("pkcs1", |_, text| name(text))?,
        pss: section.text("pss", |_, text| name(text))?.unwrap_or_else(|| PSS.to_owned()),
        oaep_hash: section.text("oaep_hash", |_, text| word(text, &hashes))?.unwrap_or(Hash::Sha1),
    })
}

fn name(text: &str) -> Result<String, Fault> {
    let what = match text {
        "" => "is empty",
        _ if text.chars().any(char::is_control) => "has a control character",
        _ => return Ok(text.to_owned()),
    };
    Err(Fault::new(what, "write the name as the server has it, or take it out"))
}

/// A path, without the `/` at its end.
fn prefix(text: &str) -> Result<String, Fault> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%".contains(&byte);
    let path = text.strip_suffix('/').unwrap_or(text);
    if path.is_empty() || (path.starts_with('/') && path.bytes().all(allowed)) {
        return Ok(path.to_owned());
    }
    Err(Fault::new(format!("\"{text}\" is not a path"), "write \"/api/v1\" or \"/v1\""))
}

fn label(text: &str) -> Result<(String, String), Fault> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Fault::new(format!("\"{text}\" is not a label"), "write \"name=value\"")),
    }
}
