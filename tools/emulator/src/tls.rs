//! TLS for the server: a CA and a server certificate, kept in the emulator's directory.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use der::pem::LineEnding;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::certificate;
use crate::client_auth::{self, ClientAuth};
use crate::error::Error;
use crate::files::{Directory, read_optional, write_atomically};
use crate::material::{Curve, Kind, Material};

/// The file with the CA's certificate that clients are to trust.
pub(crate) const CA_FILE: &str = "ca.pem";
const CA_KEY_FILE: &str = "ca.key";
const SERVER_FILE: &str = "server.pem";
const SERVER_KEY_FILE: &str = "server.key";
const KIND: Kind = Kind::Ec(Curve::P256);

/// TLS 1.2 to `max` with session tickets, HTTP/1.1 by ALPN.
pub(crate) fn server_config(
    directory: &Directory,
    client_auth: ClientAuth,
    max: TlsVersion,
) -> Result<Arc<ServerConfig>, Error> {
    let versions: &[_] = match max {
        TlsVersion::V1_3 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::V1_2 => &[&rustls::version::TLS12],
    };
    let (chain, key) = server_identity(directory)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(Error::server)?;
    let builder = match client_auth::prepare(directory, client_auth)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(Error::server)?;
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(Error::server)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The newest version of TLS that the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// 1.2 alone.
    V1_2,
    /// 1.2 and 1.3.
    #[default]
    V1_3,
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn server_identity(directory: &Directory) -> Result<Identity, Error> {
    let authority_key = key(&directory.join(CA_KEY_FILE))?;
    let ca_path = directory.join(CA_FILE);
    let (authority, fresh) = match current_certificate(&ca_path)? {
        Some(der) => (der, false),
        None => (certificate::authority("p11rest emulator CA", &authority_key)?, true),
    };
    if fresh {
        save_certificate(&ca_path, &authority)?;
    }
    let server_key_path = directory.join(SERVER_KEY_FILE);
    let server_key = key(&server_key_path)?;
    let server_path = directory.join(SERVER_FILE);
    let kept = if fresh { None } else { current_certificate(&server_path)? };
    let server = match kept {
        Some(der) => der,
        None => {
            let der = certificate::loopback_server(&server_key, &authority, &authority_key)?;
            save_certificate(&server_path, &der)?;
            der
        }
    };
    let key = PrivateKeyDer::from_pem_file(&server_key_path).map_err(Error::server)?;
    Ok((vec![CertificateDer::from(server)], key))
}

pub(crate) fn key(path: &Path) -> Result<Material, Error> {
    if let Some(pem) = read_optional(path)? {
        return Material::from_pem(KIND, &pem).map_err(|reason| Error::damaged(path, reason));
    }
    let key = Material::generate(KIND)?;
    write_atomically(path, key.to_pem()?.as_bytes())?;
    Ok(key)
}

pub(crate) fn current_certificate(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    if !path.exists() {
        return Ok(None);
    }
    let pem = fs::read(path).map_err(Error::file(path))?;
    match der::pem::decode_vec(&pem) {
        Ok(("CERTIFICATE", der)) if certificate::is_current(&der) => Ok(Some(der)),
        Ok(("CERTIFICATE", _)) => Ok(None),
        Ok((label, _)) => Err(Error::damaged(path, format!("a PEM {label}"))),
        Err(error) => Err(Error::damaged(path, error)),
    }
}

pub(crate) fn save_certificate(path: &Path, der: &[u8]) -> Result<(), Error> {
    let pem = der::pem::encode_string("CERTIFICATE", LineEnding::LF, der);
    write_atomically(path, pem.map_err(Error::crypto)?.as_bytes())
}
