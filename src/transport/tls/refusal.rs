//! What to say when a server does not want our certificate, or the lack of one.
//!
//! In TLS 1.2 its alert ends the handshake. In TLS 1.3 our side of the handshake is over before the server has seen the
//! certificate: the alert comes instead of the first answer, if it is not lost in a reset.

use std::sync::Arc;

use rustls::AlertDescription;

use super::super::stream::Fault;
use super::Access;

/// How we introduced ourselves on a new connection.
pub(in crate::transport) struct Introduction {
    /// Whether it is known that the server asked for a certificate. It does not when a session is resumed.
    pub(super) asked: bool,
    pub(super) access: Arc<Access>,
}

impl Introduction {
    /// What a fault before the first answer has to do with the client certificate, if it has.
    pub fn explain(&self, fault: &Fault) -> Option<String> {
        match fault {
            Fault::Tls(rustls::Error::AlertReceived(alert)) => self.explain_alert(*alert),
            Fault::Tls(_) => None,
            Fault::Io(error) if self.asked && error.kind() != std::io::ErrorKind::TimedOut => {
                Some(format!("{error}; the server had asked for a client certificate: {}", self.suspicion()))
            }
            Fault::Io(_) => None,
        }
    }

    /// The same for an alert.
    pub(super) fn explain_alert(&self, alert: AlertDescription) -> Option<String> {
        let reason = reason(alert).or_else(|| {
            // These have other meanings too.
            use AlertDescription::{DecryptError, HandshakeFailure};
            let vague = self.asked && matches!(alert, DecryptError | HandshakeFailure);
            vague.then_some("it does not say why")
        })?;
        match &self.access.identity {
            Some(name) => Some(format!(
                "the server refused the client certificate {name}: {reason} (alert {alert:?}){}",
                self.access.stale_words()
            )),
            None if self.asked || alert == AlertDescription::CertificateRequired => Some(format!(
                "the server wants a client certificate, and none is configured (alert {alert:?}); \
                 set slot.tls.identity"
            )),
            None => None,
        }
    }

    fn suspicion(&self) -> String {
        match &self.access.identity {
            Some(name) => format!("it may have refused {name}{}", self.access.stale_words()),
            None => "it may insist on one; set slot.tls.identity".to_owned(),
        }
    }
}

/// The alerts about certificates (RFC 8446 section 6.2) in words.
fn reason(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::AccessDenied => "it is valid, but may not use the service",
        AlertDescription::BadCertificate => "it is not well-formed, or its signature is wrong",
        AlertDescription::CertificateExpired => "it has expired or is not valid yet",
        AlertDescription::CertificateRequired => {
            "it was not sent, since its key suits none of the server's schemes"
        }
        AlertDescription::CertificateRevoked => "it is revoked",
        AlertDescription::CertificateUnknown => {
            "it is not acceptable for a reason that the server does not tell"
        }
        AlertDescription::UnknownCA => "the server does not trust the authority that issued it",
        AlertDescription::UnsupportedCertificate => "it is of a kind that the server does not support",
        _ => return None,
    })
}
