//! Pins: a certificate must be valid, and one of those that the administrator named.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use sha2::{Digest, Sha256};

use crate::config::Pin;
use crate::crypto::certificate::Certificate;

/// First the whole of the usual check, then the pins.
#[derive(Debug)]
pub(super) struct PinnedVerifier {
    usual: Arc<WebPkiServerVerifier>,
    pins: Vec<Pin>,
}

/// A valid certificate that has none of the pins.
#[derive(Debug)]
pub(super) struct Unpinned(String);

impl fmt::Display for Unpinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unpinned {}

impl PinnedVerifier {
    /// `pins` is not empty.
    pub fn new(usual: Arc<WebPkiServerVerifier>, pins: Vec<Pin>) -> Self {
        Self { usual, pins }
    }

    /// Names the pins that the certificate has, so that they can be copied: it was valid, but is it the right one?
    fn check(&self, leaf: &CertificateDer<'_>) -> Result<(), Error> {
        let certificate = Pin::Certificate(Sha256::digest(leaf).into());
        let key = Certificate::from_der(leaf).map(|parsed| Pin::Spki(Sha256::digest(parsed.spki()).into()));
        let key = key.map_err(|_| CertificateError::BadEncoding)?;
        if self.pins.iter().any(|pin| *pin == certificate || *pin == key) {
            return Ok(());
        }
        let text = format!(
            "the server's certificate is valid, but has none of the pins; it has \"{key}\" and \"{certificate}\". \
             If it was renewed on purpose, write one of these into `pins`"
        );
        Err(CertificateError::Other(OtherError(Arc::new(Unpinned(text)))).into())
    }
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.usual.verify_server_cert(leaf, chain, name, ocsp, now)?;
        self.check(leaf)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}
