//! `[slot.tls]`: whom to trust, and who we are.

use std::fmt;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use base64::prelude::{BASE64_STANDARD, Engine};

use super::problem::{Fault, Problem};
use super::read::{Section, word};
use super::slot::existing;
use super::{Secret, address};

/// TLS towards the members of one slot.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// PEM file, or directory of PEM files, with the authorities to trust; `None`: those of the platform.
    pub ca: Option<PathBuf>,
    /// The name (or address) that the server's certificate must have, if it is not the host of the URL.
    pub server_name: Option<String>,
    /// The client certificate; `None`: the module has none.
    pub identity: Option<Identity>,
    /// What the server's certificate must be besides valid: one of these. Empty: anything.
    pub pins: Vec<Pin>,
    /// The oldest version of TLS that is spoken.
    pub min_version: TlsVersion,
}

/// Where the client certificate and its key are.
#[derive(Clone, Debug)]
pub enum Identity {
    /// Two files in PEM.
    Pem {
        /// The certificate, those of the authorities between it and the server's one behind it.
        certificate: PathBuf,
        /// The private key: PKCS#8, PKCS#1 or SEC1.
        key: PathBuf,
    },
    /// All in one file (RFC 7292).
    Pkcs12 {
        /// The file.
        file: PathBuf,
        /// Its password, never the PIN; `None`: an empty one.
        password: Option<Secret>,
    },
}

/// What a server's certificate may be pinned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// The SHA-256 of the whole certificate, DER.
    Certificate([u8; 32]),
    /// The SHA-256 of its SubjectPublicKeyInfo, DER: it outlives a renewal that keeps the key.
    Spki([u8; 32]),
}

impl Pin {
    /// What stands before the digest.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Certificate(_) => "certificate-sha256",
            Self::Spki(_) => "spki-sha256",
        }
    }
}

impl fmt::Display for Pin {
    /// As in the configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Certificate(digest) | Self::Spki(digest)) = self;
        write!(f, "{}:{}", self.kind(), BASE64_STANDARD.encode(digest))
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

/// Reads the table.
pub(super) fn read(section: &Section<'_>) -> Result<Tls, Problem> {
    let source = section.source();
    Ok(Tls {
        ca: section.text("ca", |place, text| existing(source.path(place, text)?))?,
        server_name: section.text("server_name", |_, text| server_name(text))?,
        identity: identity(&section.section("identity", "slot.tls.identity")?)?,
        pins: section.list("pins", |_, text| pin(text))?.unwrap_or_default(),
        min_version: section
            .text("min_version", |_, text| {
                word(text, &[("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)])
            })?
            .unwrap_or_default(),
    })
}

fn server_name(text: &str) -> Result<String, Fault> {
    if address::is_host_name(text) || text.parse::<IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    Err(Fault::new(format!("\"{text}\" is not a name"), "write the DNS name in the certificate"))
}

/// The files must be there; what is in them is read when the slot is opened, and whenever they change.
fn identity(section: &Section<'_>) -> Result<Option<Identity>, Problem> {
    let source = section.source();
    let certificate = section.text("certificate", |place, text| existing(source.path(place, text)?))?;
    let key = section.text("key", |place, text| private(existing(source.path(place, text)?)?))?;
    let file = section.text("pkcs12", |place, text| existing(source.path(place, text)?))?;
    let password = section.text("password", |place, text| match Secret::parse(place, text, source)? {
        Secret::Pin => Err(Fault::new(
            "cannot be the PIN, since connections are made before C_Login",
            "write \"file:/path\", \"env:NAME\" or \"command:…\"",
        )),
        secret => Ok(secret),
    })?;
    if let Some(file) = file {
        if certificate.is_some() || key.is_some() {
            let fault =
                Fault::new("stands beside certificate or key", "write pkcs12, or certificate and key");
            return Err(section.problem("pkcs12", fault));
        }
        return Ok(Some(Identity::Pkcs12 { file, password }));
    }
    if password.is_some() {
        let fault = Fault::new("is for pkcs12, which is not there", "write pkcs12 = \"client.p12\"");
        return Err(section.problem("password", fault));
    }
    if certificate.is_none() && key.is_none() {
        return Ok(None);
    }
    let certificate = section.required("certificate", certificate, "write certificate = \"client.pem\"")?;
    let key = section.required("key", key, "write key = \"client.key\"")?;
    Ok(Some(Identity::Pem { certificate, key }))
}

/// A file that not everybody may read. Its group may: that is how services share a key (`ssl-cert` of Debian, `fsGroup`
/// of Kubernetes), and unlike a literal secret it has no other place to be in.
pub(super) fn private(path: PathBuf) -> Result<PathBuf, Fault> {
    let mode = path.metadata().map_or(0, |metadata| metadata.permissions().mode() & 0o7777);
    if mode & 0o004 == 0 {
        return Ok(path);
    }
    let shown = path.display();
    Err(Fault::new(
        format!("{shown} is a private key that everybody may read (mode {mode:04o})"),
        format!("take that right away: chmod o-rwx {shown}"),
    ))
}

fn pin(text: &str) -> Result<Pin, Fault> {
    let digest = |encoded: &str| {
        let bytes = BASE64_STANDARD.decode(encoded).ok()?;
        <[u8; 32]>::try_from(bytes).ok()
    };
    let pin = match text.split_once(':') {
        Some(("spki-sha256", encoded)) => digest(encoded).map(Pin::Spki),
        Some(("certificate-sha256", encoded)) => digest(encoded).map(Pin::Certificate),
        _ => None,
    };
    pin.ok_or_else(|| {
        Fault::new(
            format!("\"{text}\" is not a pin"),
            "write \"spki-sha256:\" or \"certificate-sha256:\" and the digest in base64 (44 characters)",
        )
    })
}
