//! Client certificates and pins.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair, SerialNumber};
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use super::secured::{Authority, ok, trusting};
use super::server::Got;
use super::*;
use crate::config::{Identity, Pin, Secret, TlsVersion};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

impl Authority {
    /// Writes a client certificate of this authority to `folder`: `client.pem` and `client.key`.
    pub fn issue(&self, folder: &Path, serial: u64) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "client");
        params.serial_number = Some(SerialNumber::from(serial));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (certificate_file, key_file) = (folder.join("client.pem"), folder.join("client.key"));
        fs::write(&certificate_file, pem("CERTIFICATE", certificate.der())).unwrap();
        fs::write(&key_file, pem("PRIVATE KEY", &key.serialize_der())).unwrap();
        Identity::Pem { certificate: certificate_file, key: key_file }
    }

    /// A server that insists on a client certificate of this authority.
    fn insisting(&self, version: &'static SupportedProtocolVersion) -> Server {
        self.serve_known(version, ok)
    }

    /// The same with a script.
    pub fn serve_known(
        &self,
        version: &'static SupportedProtocolVersion,
        script: impl Fn(&Got) -> Vec<Act> + Send + Sync + 'static,
    ) -> Server {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let mut config: ServerConfig = self.server("localhost", &[version]);
        // The builder of the test's servers asks for none.
        let resolver = Arc::clone(&config.cert_resolver);
        config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(resolver);
        Server::secured(config, script)
    }

    pub fn knowing(&self, identity: Identity) -> config::Tls {
        config::Tls { identity: Some(identity), ..self.trusted() }
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    der::pem::encode_string(label, der::pem::LineEnding::LF, der).unwrap()
}

/// The refusal, of which it is known that nobody tried again.
fn refusal(server: &Server, tls: &config::Tls) -> String {
    let before = server.connections();
    let error = post(&trusting(server, tls), Class::Repeatable, soon()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Tls, "{}", error.context);
    assert_eq!((server.connections() - before, server.requests().len()), (1, 0));
    error.context
}

fn openssl(folder: &Path, arguments: &str) {
    run("openssl", folder, arguments);
}

fn run(program: &str, folder: &Path, arguments: &str) {
    let mut command = Command::new(program);
    let output = command.current_dir(folder).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_server_gets_the_certificate_that_it_insists_on() {
    let authority = Authority::new("insists");
    let tls = authority.knowing(authority.issue(&authority.folder, 1));
    for version in VERSIONS {
        let server = authority.insisting(version);
        assert_eq!(body(post(&trusting(&server, &tls), Class::NeverTwice, soon())), "ok");
    }
}

#[test]
fn a_certificate_that_is_refused_is_named_with_the_reason_and_not_shown_again() {
    let (authority, stranger) = (Authority::new("refuses"), Authority::new("refused"));
    let tls = authority.knowing(stranger.issue(&stranger.folder, 0x7f01));
    let file = stranger.folder.join("client.pem");
    for version in VERSIONS {
        let context = refusal(&authority.insisting(version), &tls);
        let named =
            format!("the server refused the client certificate {} (serial number 7F01, ", file.display());
        assert!(context.contains(&named), "{context}");
        let reason = "the server does not trust the authority that issued it (alert UnknownCA)";
        assert!(context.contains(reason), "{context}");
    }
}

/// In TLS 1.3 the request has left by the time that the refusal comes.
#[test]
fn a_member_that_refuses_the_certificate_is_left_for_another_one() {
    let (authority, stranger) = (Authority::new("leaves"), Authority::new("left"));
    let tls = authority.knowing(stranger.issue(&stranger.folder, 1));
    for version in VERSIONS {
        let (refusing, other) = (authority.insisting(version), authority.serve(ok));
        let members = [vec![refusing.url(), other.url()]];
        let cluster = Cluster::new(&members, &tls, TIMEOUTS, POOL, &Conventions::default()).unwrap();
        assert_eq!(body(post(&cluster, Class::Repeatable, soon())), "ok");
        assert_eq!(body(post(&cluster, Class::NeverTwice, soon())), "ok");
        assert_eq!((refusing.connections(), refusing.requests().len()), (1, 0));
    }
}

#[test]
fn a_certificate_that_is_missing_is_asked_for() {
    let authority = Authority::new("missing");
    for version in VERSIONS {
        let context = refusal(&authority.insisting(version), &authority.trusted());
        assert!(
            context.contains("the server wants a client certificate, and none is configured"),
            "{context}"
        );
        assert!(context.contains("set slot.tls.identity"), "{context}");
    }
}

#[test]
fn a_certificate_that_is_renewed_is_used() {
    let (authority, stranger) = (Authority::new("renews"), Authority::new("renewed"));
    let tls = authority.knowing(stranger.issue(&stranger.folder, 1));
    let server = authority.insisting(&version::TLS13);
    let cluster = trusting(&server, &tls);
    assert!(post(&cluster, Class::Repeatable, soon()).is_err());
    fs::write(stranger.folder.join("client.pem"), "").unwrap();
    let error = post(&cluster, Class::Repeatable, soon()).unwrap_err();
    assert!(error.context.contains("its files have changed since, but "), "{}", error.context);
    authority.issue(&stranger.folder, 22);
    assert_eq!(body(post(&cluster, Class::Repeatable, soon())), "ok");
}

#[test]
fn files_of_pkcs12_open_as_openssl_writes_them() {
    let authority = Authority::new("pkcs12");
    let folder = &authority.folder;
    authority.issue(folder, 1);
    let password = folder.join("password");
    fs::write(&password, "pässword\n").unwrap();
    let old = "-certpbe PBE-SHA1-RC2-40 -keypbe PBE-SHA1-3DES -macalg sha1 -legacy";
    for options in ["-macalg sha256", "-macalg sha512 -keypbe AES-128-CBC", "-nomac", "-legacy", old] {
        let files = "-in client.pem -inkey client.key -certfile ca.pem -out client.p12";
        openssl(folder, &format!("pkcs12 -export {files} -passout file:password {options}"));
        let file = folder.join("client.p12");
        let password = Some(Secret::File(password.clone()));
        let tls = authority.knowing(Identity::Pkcs12 { file: file.clone(), password });
        let server = authority.insisting(&version::TLS13);
        assert_eq!(body(post(&trusting(&server, &tls), Class::NeverTwice, soon())), "ok", "{options}");
        let tls = authority.knowing(Identity::Pkcs12 { file: file.clone(), password: None });
        let error =
            Cluster::new(&[vec![server.url()]], &tls, TIMEOUTS, POOL, &Conventions::default()).err().unwrap();
        assert_eq!(error.context, format!("{} cannot be opened with this password", file.display()));
    }
}

#[test]
fn files_of_pkcs12_open_as_java_writes_them() {
    let authority = Authority::new("java");
    let url = config::Url { tls: true, ..server::nobody() };
    for (name, option) in [("new.p12", ""), ("old.p12", " -J-Dkeystore.pkcs12.legacy=true")] {
        let file = authority.folder.join(name);
        let arguments = format!(
            "-genkeypair -alias a -dname CN=a -keyalg RSA -storetype PKCS12 -storepass secret -keystore {name}{option}"
        );
        run("keytool", &authority.folder, &arguments);
        let secret = authority.folder.join("password");
        fs::write(&secret, "secret").unwrap();
        let identity = Identity::Pkcs12 { file, password: Some(Secret::File(secret)) };
        Cluster::new(
            &[vec![url.clone()]],
            &authority.knowing(identity),
            TIMEOUTS,
            POOL,
            &Conventions::default(),
        )
        .unwrap();
    }
}

#[test]
fn keys_in_every_form_of_openssl_are_read() {
    let authority = Authority::new("forms");
    let folder = &authority.folder;
    openssl(folder, "req -x509 -newkey rsa:2048 -nodes -subj /CN=a -keyout pkcs8.key -out rsa.pem");
    openssl(folder, "rsa -in pkcs8.key -traditional -out pkcs1.key");
    openssl(folder, "ecparam -name prime256v1 -genkey -noout -out sec1.key");
    openssl(folder, "req -x509 -new -key sec1.key -subj /CN=a -out ec.pem");
    openssl(folder, "rsa -in pkcs8.key -aes128 -passout pass:secret -out encrypted.key");
    openssl(folder, "rsa -in pkcs8.key -traditional -aes128 -passout pass:secret -out old-encrypted.key");
    let url = config::Url { tls: true, ..server::nobody() };
    let opened = |certificate: &str, key: &str| {
        let identity = Identity::Pem { certificate: folder.join(certificate), key: folder.join(key) };
        let tls = authority.knowing(identity);
        Cluster::new(&[vec![url.clone()]], &tls, TIMEOUTS, POOL, &Conventions::default()).map(drop)
    };
    for (certificate, key) in [("rsa.pem", "pkcs8.key"), ("rsa.pem", "pkcs1.key"), ("ec.pem", "sec1.key")] {
        opened(certificate, key).unwrap();
    }
    for (certificate, key, words) in [
        ("ec.pem", "pkcs1.key", "pkcs1.key does not belong to the first certificate in "),
        (
            "rsa.pem",
            "encrypted.key",
            "encrypted.key is encrypted; put key and certificate into a PKCS#12 file",
        ),
        ("rsa.pem", "old-encrypted.key", "old-encrypted.key is encrypted; "),
        ("pkcs8.key", "pkcs8.key", "pkcs8.key holds no certificate in PEM"),
        ("rsa.pem", "ec.pem", "ec.pem holds no private key in PEM"),
    ] {
        let error = opened(certificate, key).unwrap_err();
        assert!(error.context.contains(words), "{}", error.context);
    }
}

#[test]
fn pins_come_on_top_of_the_check() {
    let (authority, stranger) = (Authority::new("pins"), Authority::new("pinned"));
    let server = authority.serve(ok);
    let pinned = |pins: Vec<Pin>| config::Tls { pins, ..authority.trusted() };
    let context = refusal(&server, &pinned(vec![Pin::Spki([7; 32])]));
    assert!(context.contains("is valid, but has none of the pins; it has \"spki-sha256:"), "{context}");
    // What the message names can be copied.
    let quoted: Vec<_> = context.split('"').filter(|part| part.contains("-sha256:")).collect();
    let digest = |text: &str| {
        use base64::prelude::{BASE64_STANDARD, Engine};
        BASE64_STANDARD.decode(text.split_once(':').unwrap().1).unwrap().try_into().unwrap()
    };
    let [spki, certificate] = [Pin::Spki(digest(quoted[0])), Pin::Certificate(digest(quoted[1]))];
    for pins in [vec![spki], vec![Pin::Spki([7; 32]), certificate]] {
        assert_eq!(body(post(&trusting(&server, &pinned(pins)), Class::OnceOnly, soon())), "ok");
    }
    let tls = config::Tls { pins: vec![spki, certificate], ..stranger.trusted() };
    let error = post(&trusting(&server, &tls), Class::OnceOnly, soon()).unwrap_err();
    assert!(error.context.contains("no trusted authority"), "{}", error.context);
}

#[test]
fn the_oldest_version_is_kept_to() {
    let authority = Authority::new("least");
    let tls = config::Tls { min_version: TlsVersion::V1_3, ..authority.trusted() };
    let old = Server::secured(authority.server("localhost", &[&version::TLS12]), ok);
    let context = refusal(&old, &tls);
    assert!(context.contains("is `min_version` more than the server can?"), "{context}");
    let new = Server::secured(authority.server("localhost", &[&version::TLS13]), ok);
    assert_eq!(body(post(&trusting(&new, &tls), Class::OnceOnly, soon())), "ok");
}
