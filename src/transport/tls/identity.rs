//! The client certificate with its key, from PEM or PKCS#12.

use std::cell::Cell;
use std::fmt::Write as _;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::ResolvesClientCert;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{InconsistentKeys, SignatureScheme};
use secrecy::ExposeSecret;
use zeroize::{Zeroize, Zeroizing};

use super::pkcs12;
use crate::config;
use crate::crypto::certificate::Certificate;

/// Most bytes of a file.
const LIMIT: u64 = 1024 * 1024;

/// A client certificate that can be used.
#[derive(Debug)]
pub(super) struct Identity {
    /// For TLS.
    pub certified: Arc<CertifiedKey>,
    /// File, serial number and end, for the log.
    pub name: String,
    /// What is wrong with it although it can be used.
    pub warning: Option<String>,
}

impl Identity {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong, with the name of the file and the remedy.
    pub fn read(settings: &config::Identity) -> Result<Self, String> {
        let (file, certified) = match settings {
            config::Identity::Pem { certificate, key } => (certificate, from_pem(certificate, key)?),
            config::Identity::Pkcs12 { file, password } => (file, from_pkcs12(file, password.as_ref())?),
        };
        let leaf = certified.end_entity_cert().map_err(|error| error.to_string())?;
        let leaf = Certificate::from_der(leaf).map_err(|error| {
            format!("the client certificate in {} cannot be read: {error}", file.display())
        })?;
        let name = describe(file, &leaf);
        let warning = doubt(&leaf).map(|doubt| format!("the client certificate {name} {doubt}"));
        Ok(Self { certified: Arc::new(certified), name, warning })
    }
}

/// `client.pem (serial number 7f01, not after 2027-11-23)`: the number as `openssl x509 -serial` has it.
fn describe(file: &Path, certificate: &Certificate) -> String {
    let mut text = format!("{} (serial number ", file.display());
    // Behind tag and length; numbers of more than 127 bytes are shown with a part of the length.
    let number = certificate.serial_number().get(2..).unwrap_or_default();
    let digits = if number.len() > 1 { number.strip_prefix(&[0]).unwrap_or(number) } else { number };
    for byte in digits {
        // A String takes everything.
        let _ = write!(text, "{byte:02X}");
    }
    if let Some((year, month, day)) = certificate.not_after() {
        let _ = write!(text, ", not after {year:04}-{month:02}-{day:02}");
    }
    text.push(')');
    text
}

/// By the day: a certificate that ends today is still taken for good.
fn doubt(certificate: &Certificate) -> Option<&'static str> {
    let now = der::DateTime::from_system_time(SystemTime::now()).ok()?;
    let today = (now.year(), now.month(), now.day());
    if certificate.not_after().is_some_and(|end| end < today) {
        return Some("has expired");
    }
    certificate.not_before().is_some_and(|start| start > today).then_some("is not valid yet")
}

fn from_pem(certificate: &Path, key: &Path) -> Result<CertifiedKey, String> {
    let shown = certificate.display();
    let chain = CertificateDer::pem_slice_iter(&read(certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("{shown} is not PEM: {error}"))?;
    if chain.is_empty() {
        return Err(format!("{shown} holds no certificate in PEM"));
    }
    let certified = CertifiedKey::new(chain, load_pem_key(key)?);
    if fits(&certified)? {
        return Ok(certified);
    }
    Err(format!("the key in {} does not belong to the first certificate in {shown}", key.display()))
}

fn load_pem_key(path: &Path) -> Result<Arc<dyn SigningKey>, String> {
    let text = read(path)?;
    let shown = path.display();
    let has = |mark: &[u8]| text.windows(mark.len()).any(|window| window == mark);
    if has(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || has(b"Proc-Type: 4,ENCRYPTED") {
        return Err(format!(
            "the key in {shown} is encrypted; put key and certificate into a PKCS#12 file (openssl pkcs12 -export) \
             and name it with its password, or decrypt the key (openssl pkey -in {shown} -out FILE)"
        ));
    }
    let key = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|error| format!("{shown} holds no private key in PEM: {error}"))?;
    load(key).map_err(|error| format!("the key in {shown} {error}"))
}

fn from_pkcs12(path: &Path, password: Option<&config::Secret>) -> Result<CertifiedKey, String> {
    let shown = path.display();
    let secret = password.map(config::Secret::read).transpose();
    let secret = secret.map_err(|problem| format!("the password of {shown}: {problem}"))?;
    let password = secret.as_ref().map_or("", |secret| secret.expose_secret());
    let contents = pkcs12::open(&read(path)?, password).map_err(|fault| format!("{shown} {fault}"))?;
    let certificates: Vec<_> = contents.certificates.into_iter().map(CertificateDer::from).collect();
    if certificates.is_empty() || contents.keys.is_empty() {
        return Err(format!("{shown} holds no certificate with a private key"));
    }
    for key in &contents.keys {
        let key = load(PrivatePkcs8KeyDer::from(key.to_vec()).into())
            .map_err(|error| format!("the key in {shown} {error}"))?;
        for leaf in &certificates {
            let certified = CertifiedKey::new(chain(leaf, &certificates), Arc::clone(&key));
            if fits(&certified)? {
                return Ok(certified);
            }
        }
    }
    Err(format!("no key in {shown} belongs to a certificate in it"))
}

/// The leaf, and from `others` one issuer after the other, as TLS wants them.
fn chain(leaf: &CertificateDer<'static>, others: &[CertificateDer<'static>]) -> Vec<CertificateDer<'static>> {
    let mut chain = vec![leaf.clone()];
    while let Some(last) = chain.last().and_then(|last| Certificate::from_der(last).ok()) {
        let issued = |other: &&CertificateDer<'_>| {
            Certificate::from_der(other).is_ok_and(|other| other.subject() == last.issuer())
        };
        match others.iter().find(issued) {
            Some(issuer) if !chain.contains(issuer) => chain.push(issuer.clone()),
            _ => break,
        }
    }
    chain
}

fn load(mut key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, String> {
    let provider: CryptoProvider = aws_lc_rs::default_provider();
    let loaded = provider.key_provider.load_private_key(key.clone_key());
    key.zeroize();
    loaded.map_err(|error| format!("is none that TLS can use: {error}"))
}

/// Whether the key is that of the first certificate.
fn fits(certified: &CertifiedKey) -> Result<bool, String> {
    match certified.keys_match() {
        Ok(()) => Ok(true),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Ok(false),
        Err(error) => Err(format!("the client certificate cannot be used: {error}")),
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let fail = |error: &dyn std::fmt::Display| format!("{} cannot be read: {error}", path.display());
    let metadata = fs::metadata(path).map_err(|error| fail(&error))?;
    if !metadata.is_file() || metadata.len() > LIMIT {
        return Err(fail(&"it is not a file of at most 1 MiB"));
    }
    fs::read(path).map(Zeroizing::new).map_err(|error| fail(&error))
}

/// Tells versions of the files from each other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<(u64, u64, i64, i64)>>);

impl Stamp {
    /// As the files are now; nothing is asked where there is no identity.
    pub fn of(settings: Option<&config::Identity>) -> Self {
        let paths: Vec<&Path> = match settings {
            None => Vec::new(),
            Some(config::Identity::Pem { certificate, key }) => vec![certificate, key],
            Some(config::Identity::Pkcs12 { file, .. }) => vec![file],
        };
        let stamp = |meta: Metadata| (meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec());
        Self(paths.into_iter().map(|path| fs::metadata(path).ok().map(stamp)).collect())
    }
}

thread_local! {
    /// Whether a server asked for a certificate. The handshake of a lane is made by one thread from start to end.
    static ASKED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a server has asked this thread for a client certificate since the last call.
pub(super) fn was_asked() -> bool {
    ASKED.replace(false)
}

/// Answers servers that ask for a certificate.
#[derive(Debug)]
pub(super) struct Presenter(pub Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Presenter {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        ASKED.set(true);
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}
