//! What all TLS connections of one cluster share: trusted authorities, pins, versions, client certificate, resumption.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, RootCertStore, SupportedProtocolVersion, version,
};

pub(super) use self::gate::{Gate, Pass};
use self::identity::{Identity, Presenter, Stamp};
use self::pins::PinnedVerifier;
pub(super) use self::refusal::Introduction;
use self::tickets::Tickets;
use super::{Deadline, Error, ErrorKind};
use crate::config;

mod gate;
mod identity;
mod pins;
mod pkcs12;
mod refusal;
mod tickets;

/// The TLS of a cluster, kept up with the files of the client certificate.
pub(super) struct Tls {
    settings: config::Tls,
    state: Mutex<State>,
    gate: Gate,
}

struct State {
    access: Arc<Access>,
    stamp: Stamp,
}

/// With what new connections are made.
pub(super) struct Access {
    pub config: Arc<ClientConfig>,
    /// The client certificate, for the log.
    identity: Option<String>,
    warning: Option<String>,
    /// Why a newer version of the client certificate is not used.
    stale: Option<String>,
}

impl Access {
    fn stale_words(&self) -> String {
        let stale = self.stale.as_ref();
        stale.map(|reason| format!("; its files have changed since, but {reason}")).unwrap_or_default()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`ErrorKind::Tls`] where the authorities or the client certificate cannot be read or used.
    pub fn new(settings: &config::Tls) -> Result<Self, Error> {
        let stamp = Stamp::of(settings.identity.as_ref());
        let access = Arc::new(access(settings)?);
        Ok(Self {
            settings: settings.clone(),
            state: Mutex::new(State { access, stamp }),
            gate: Gate::default(),
        })
    }

    /// What to connect with. A client certificate whose files have changed is read anew; if that fails, the one before
    /// stays until they change again.
    pub fn access(&self) -> Arc<Access> {
        let stamp = Stamp::of(self.settings.identity.as_ref());
        let current = {
            let mut state = self.state.lock();
            let current = Arc::clone(&state.access);
            if state.stamp == stamp {
                return current;
            }
            state.stamp = stamp; // others go on with what there is
            current
        };
        let renewed = Arc::new(access(&self.settings).unwrap_or_else(|error| Access {
            config: Arc::clone(&current.config),
            identity: current.identity.clone(),
            warning: current.warning.clone(),
            stale: Some(error.context),
        }));
        self.state.lock().access = Arc::clone(&renewed);
        renewed
    }

    /// To be held during a handshake; `None` where none may begin because the process ends.
    pub fn pass(&self) -> Option<Pass<'_>> {
        self.gate.enter()
    }

    /// The process ends: other threads begin no handshake any more. Those under way are waited for until `limit`.
    pub fn exiting(&self, limit: Deadline) {
        self.gate.close_to_others(limit);
    }

    /// What is wrong with the client certificate although it can be used.
    pub fn warning(&self) -> Option<String> {
        self.state.lock().access.warning.clone()
    }
}

/// TLS with aws-lc-rs, whatever provider the process has; sessions resume among all who share it. Nothing is negotiated
/// with ALPN, since HTTP/1.1 is what a server speaks without it.
fn access(settings: &config::Tls) -> Result<Access, Error> {
    let failed = |error: &dyn std::fmt::Display| refuse(error.to_string());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let identity = settings.identity.as_ref().map(Identity::read).transpose().map_err(refuse)?;
    let versions: &[&SupportedProtocolVersion] = match settings.min_version {
        config::TlsVersion::V1_2 => &[&version::TLS13, &version::TLS12],
        config::TlsVersion::V1_3 => &[&version::TLS13],
    };
    let usual =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots(settings)?), Arc::clone(&provider))
            .build()
            .map_err(|error| failed(&error))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| failed(&error))?;
    let builder = match &settings.pins[..] {
        [] => builder.with_webpki_verifier(usual),
        pins => {
            let verifier = Arc::new(PinnedVerifier::new(usual, pins.to_vec()));
            builder.dangerous().with_custom_certificate_verifier(verifier)
        }
    };
    let presenter = Presenter(identity.as_ref().map(|identity| Arc::clone(&identity.certified)));
    let mut config = builder.with_client_cert_resolver(Arc::new(presenter));
    config.resumption = Resumption::store(Arc::new(Tickets::default()));
    let (identity, warning) = identity.map(|found| (found.name, found.warning)).unzip();
    Ok(Access { config: Arc::new(config), identity, warning: warning.flatten(), stale: None })
}

/// How a connection that this thread has just made was introduced.
pub(super) fn introduction(access: &Arc<Access>) -> Introduction {
    Introduction { asked: identity::was_asked(), access: Arc::clone(access) }
}

/// What a fault of a connection that another thread has made says of the client certificate, if it does.
pub(super) fn explain_refusal(error: &rustls::Error, access: &Arc<Access>) -> Option<String> {
    let introduction = Introduction { asked: false, access: Arc::clone(access) };
    match error {
        rustls::Error::AlertReceived(alert) => introduction.explain_alert(*alert),
        _ => None,
    }
}

fn roots(settings: &config::Tls) -> Result<RootCertStore, Error> {
    match &settings.ca {
        Some(path) => configured_roots(path),
        None => platform_roots(),
    }
}

/// The name that the certificate must have.
pub(super) fn server_name(tls: &config::Tls, host: &str) -> Result<ServerName<'static>, Error> {
    let name = tls.server_name.as_deref().unwrap_or(host);
    ServerName::try_from(name.to_owned())
        .map_err(|_| refuse(format!("\"{name}\" is not a name that a certificate can have")))
}

/// Why TLS failed, and what the reader may do about it.
pub(super) fn explain(error: &rustls::Error, name: &ServerName<'_>) -> String {
    let certificate = match error {
        rustls::Error::InvalidCertificate(certificate) => certificate,
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)
        | rustls::Error::PeerIncompatible(_) => {
            return format!("{error}; is `min_version` more than the server can?");
        }
        _ => return error.to_string(),
    };
    let name = name.to_str();
    match certificate {
        // A bad signature is what an authority with the same name but another key leaves.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "no trusted authority has issued the server's certificate; `ca` names those to trust".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("the server's certificate is not for {name}: {error}; `server_name` can name another")
        }
        CertificateError::Other(pins) => pins.to_string(),
        _ => format!("the server's certificate for {name} is not valid: {error}"),
    }
}

fn refuse(context: String) -> Error {
    Error::unsent(ErrorKind::Tls, context)
}

/// A file must hold certificates and nothing broken; a directory may hold other files too.
fn configured_roots(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    if path.is_dir() {
        let unreadable = |error| refuse(format!("the directory {} cannot be read: {error}", path.display()));
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if let Ok(certificates) = read_certificates(&file) {
                roots.add_parsable_certificates(certificates);
            }
        }
    } else {
        let unreadable = |error| refuse(format!("the CA file {} cannot be read: {error}", path.display()));
        for certificate in read_certificates(path).map_err(unreadable)? {
            roots.add(certificate).map_err(|error| {
                refuse(format!("a certificate in the CA file {} is broken: {error}", path.display()))
            })?;
        }
    }
    if roots.is_empty() {
        return Err(refuse(format!("{} holds no certificate of an authority in PEM", path.display())));
    }
    Ok(roots)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    CertificateDer::pem_file_iter(path)?.collect()
}

fn platform_roots() -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(refuse(format!(
            "the platform has no trusted authorities{reason}; `ca` names those to trust"
        )));
    }
    Ok(roots)
}
