//! What all TLS connections of one cluster share: trusted authorities, versions, resumption.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};

use super::{Error, ErrorKind};
use crate::config;

/// TLS 1.2 and 1.3 with aws-lc-rs, whatever provider the process has; sessions resume among all who share it. Nothing
/// is negotiated with ALPN, since HTTP/1.1 is what a server speaks without it.
pub(super) fn client_config(tls: &config::Tls) -> Result<Arc<ClientConfig>, Error> {
    let roots = match &tls.ca {
        Some(path) => configured_roots(path)?,
        None => platform_roots()?,
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(error.to_string()))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// The name that the certificate must have.
pub(super) fn server_name(tls: &config::Tls, host: &str) -> Result<ServerName<'static>, Error> {
    let name = tls.server_name.as_deref().unwrap_or(host);
    ServerName::try_from(name.to_owned())
        .map_err(|_| refuse(format!("\"{name}\" is not a name that a certificate can have")))
}

/// Why TLS failed, and what the reader may do about it.
pub(super) fn explain(error: &rustls::Error, name: &ServerName<'_>) -> String {
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return error.to_string();
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
