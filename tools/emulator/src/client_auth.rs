//! Client certificates: an authority, certificates good and bad from it, and the check of what clients show.
//!
//! Refusals are alerts in the handshake, as of a server that keeps a trust store and asks an OCSP responder
//! (Securosys TSB reference §1.1): no certificate, `certificate_required`; a revoked one, `certificate_revoked`;
//! one that has expired, `certificate_expired`; one of another authority, `unknown_ca`.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};

use crate::certificate::{self, Lifetime};
use crate::error::Error;
use crate::files::Directory;
use crate::tls::{current_certificate, key, save_certificate};

/// The certificate that the server takes, with the authority's behind it.
pub(crate) const CERTIFICATE_FILE: &str = "client.pem";
/// Its private key, PKCS#8.
pub(crate) const KEY_FILE: &str = "client.key";

/// Whether clients must show a certificate (`server.ssl.client-auth`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// None is asked for.
    #[default]
    None,
    /// Checked if there is one.
    Want,
    /// No handshake without.
    Need,
}

/// Writes the authority and its certificates, and gives what checks those of clients.
pub(crate) fn prepare(
    directory: &Directory,
    mode: ClientAuth,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, Error> {
    let authority = issue(directory, "client-ca", None, "p11rest emulator client CA", Lifetime::Current)?;
    let by_authority = Some(("client-ca", authority.as_slice()));
    issue(directory, "client", by_authority, "p11rest client", Lifetime::Current)?;
    issue(directory, "expired", by_authority, "p11rest expired client", Lifetime::Over)?;
    let revoked = issue(directory, "revoked", by_authority, "p11rest revoked client", Lifetime::Current)?;
    let other = issue(directory, "stranger-ca", None, "an unknown CA", Lifetime::Current)?;
    issue(directory, "stranger", Some(("stranger-ca", &other)), "stranger", Lifetime::Current)?;
    if mode == ClientAuth::None {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority)).map_err(Error::server)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match mode {
        ClientAuth::Want => builder.allow_unauthenticated(),
        _ => builder,
    };
    let trust = builder.build().map_err(Error::server)?;
    Ok(Some(Arc::new(Revocation { trust, revoked: CertificateDer::from(revoked) })))
}

/// The certificate in `NAME.pem` for the key in `NAME.key`. Without an authority it is one itself, and stays until it
/// runs out; the others are made anew at each start.
fn issue(
    directory: &Directory,
    name: &str,
    authority: Option<(&str, &[u8])>,
    common_name: &str,
    lifetime: Lifetime,
) -> Result<Vec<u8>, Error> {
    let own_key = key(&directory.join(&format!("{name}.key")))?;
    let path = directory.join(&format!("{name}.pem"));
    let Some((issuer, authority)) = authority else {
        if let Some(kept) = current_certificate(&path)? {
            return Ok(kept);
        }
        let made = certificate::authority(common_name, &own_key)?;
        save_certificate(&path, &made)?;
        return Ok(made);
    };
    let issuer_key = key(&directory.join(&format!("{issuer}.key")))?;
    let made = certificate::client(common_name, &own_key, authority, &issuer_key, lifetime)?;
    save_certificate(&path, &made)?;
    Ok(made)
}

/// The trust store, and one certificate that was revoked.
#[derive(Debug)]
struct Revocation {
    trust: Arc<dyn ClientCertVerifier>,
    revoked: CertificateDer<'static>,
}

impl ClientCertVerifier for Revocation {
    fn client_auth_mandatory(&self) -> bool {
        self.trust.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.trust.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.trust.verify_client_cert(end_entity, intermediates, now)?;
        match *end_entity == self.revoked {
            true => Err(CertificateError::Revoked.into()),
            false => Ok(verified),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.trust.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.trust.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.supported_verify_schemes()
    }
}
