//! Client certificates (Securosys TSB reference §1.1): refusals are alerts, and no HTTP answer comes.

use std::io::{Read, Write};
use std::sync::Arc;

use p11rest_emulator::{ClientAuth, TlsVersion};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use crate::client::{Fixture, tls_stream};

fn fixture(client_auth: ClientAuth) -> Fixture {
    Fixture::with(|options| {
        options.tls = true;
        options.client_auth = client_auth;
    })
}

fn config(
    fixture: &Fixture,
    identity: Option<&str>,
    version: &'static SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(fixture.dir.join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let certificate = fixture.dir.join(format!("{name}.pem"));
            let key = fixture.dir.join(format!("{name}.key"));
            let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
        }
    })
}

/// The answer to a request, or why there was none.
fn ask(fixture: &Fixture, config: &Arc<ClientConfig>) -> Result<String, String> {
    let mut stream = tls_stream(fixture.url(), "localhost", config);
    let request = b"GET /_emulator/stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
    Ok(answer)
}

/// The names are those of RFC 8446 §6, as rustls spells them.
#[test]
fn who_may_not_in_is_told_by_an_alert() {
    let fixture = fixture(ClientAuth::Need);
    for version in [&TLS12, &TLS13] {
        for (identity, alert) in [
            (None, "CertificateRequired"),
            (Some("revoked"), "CertificateRevoked"),
            (Some("expired"), "CertificateExpired"),
            (Some("stranger"), "UnknownCA"),
        ] {
            let error = ask(&fixture, &config(&fixture, identity, version)).unwrap_err();
            assert!(error.contains(alert), "{identity:?}: {error}");
        }
        let answer = ask(&fixture, &config(&fixture, Some("client"), version)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}

#[test]
fn who_is_only_wanted_may_come_without_but_not_with_a_bad_one() {
    let fixture = fixture(ClientAuth::Want);
    assert!(ask(&fixture, &config(&fixture, None, &TLS13)).is_ok());
    assert!(ask(&fixture, &config(&fixture, Some("client"), &TLS13)).is_ok());
    let error = ask(&fixture, &config(&fixture, Some("stranger"), &TLS13)).unwrap_err();
    assert!(error.contains("UnknownCA"), "{error}");
}

#[test]
fn the_configuration_has_the_identity_where_one_is_asked_for() {
    let config = |client_auth| {
        let fixture = fixture(client_auth);
        std::fs::read_to_string(fixture.dir.join("p11rest.toml")).unwrap()
    };
    let need = config(ClientAuth::Need);
    assert!(need.contains("identity = { certificate = \"") && need.contains("/client.key\" }"), "{need}");
    assert!(!config(ClientAuth::None).contains("identity"));
}

#[test]
fn resumed_sessions_are_counted() {
    let fixture = fixture(ClientAuth::Need);
    let config = config(&fixture, Some("client"), &TLS13);
    ask(&fixture, &config).unwrap();
    let answer = ask(&fixture, &config).unwrap();
    assert!(answer.contains("\"tls_handshakes\":2"), "{answer}");
    assert!(answer.contains("\"tls_resumed\":1"), "{answer}");
    assert!(answer.contains("\"connections_open\":1"), "{answer}");
}

#[test]
fn the_newest_version_can_be_held_back() {
    let fixture = Fixture::with(|options| {
        options.tls = true;
        options.tls_max = TlsVersion::V1_2;
    });
    assert!(ask(&fixture, &config(&fixture, None, &TLS12)).is_ok());
    let error = ask(&fixture, &config(&fixture, None, &TLS13)).unwrap_err();
    assert!(error.contains("ProtocolVersion"), "{error}");
}
