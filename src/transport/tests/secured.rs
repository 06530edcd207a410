//! TLS: certificates, ends of connections, resumption.

use std::path::PathBuf;
use std::sync::Arc;

use der::pem::LineEnding;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{HandshakeKind, ServerConfig, SupportedProtocolVersion, version};

use super::server::Got;
use super::*;

/// An authority, and a folder with its certificate that goes when the test does.
pub struct Authority {
    pub issuer: CertifiedIssuer<'static, KeyPair>,
    /// Has `ca.pem`.
    pub folder: PathBuf,
}

impl Authority {
    pub fn new(test: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, test);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = std::env::temp_dir().join(format!("p11rest-{}-{test}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let text = der::pem::encode_string("CERTIFICATE", LineEnding::LF, issuer.der()).unwrap();
        std::fs::write(folder.join("ca.pem"), text).unwrap();
        Self { issuer, folder }
    }

    pub fn trusted(&self) -> config::Tls {
        config::Tls { ca: Some(self.folder.join("ca.pem")), ..Default::default() }
    }

    pub fn server(&self, name: &str, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.ticketer = aws_lc_rs::Ticketer::new().unwrap();
        config
    }

    pub fn serve(&self, script: impl Fn(&Got) -> Vec<Act> + Send + Sync + 'static) -> Server {
        Server::secured(self.server("localhost", rustls::ALL_VERSIONS), script)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

pub fn trusting(server: &Server, tls: &config::Tls) -> Cluster {
    Cluster::new(&[vec![server.url()]], tls, TIMEOUTS, POOL, &Conventions::default()).unwrap()
}

pub fn ok(_: &Got) -> Vec<Act> {
    vec![Act::Send(OK.to_vec())]
}

#[test]
fn calls_share_a_connection_with_either_version() {
    let authority = Authority::new("versions");
    for version in [&version::TLS12, &version::TLS13] {
        let server = Server::secured(authority.server("localhost", &[version]), ok);
        let cluster = trusting(&server, &authority.trusted());
        for _ in 0..50 {
            assert_eq!(body(post(&cluster, Class::NeverTwice, soon())), "ok");
        }
        assert_eq!(server.connections(), 1);
    }
}

#[test]
fn authorities_come_from_a_folder_too() {
    let authority = Authority::new("folder");
    std::fs::write(authority.folder.join("README"), "not a certificate").unwrap();
    let server = authority.serve(ok);
    let tls = config::Tls { ca: Some(authority.folder.clone()), ..Default::default() };
    assert_eq!(body(post(&trusting(&server, &tls), Class::OnceOnly, soon())), "ok");
}

#[test]
fn authorities_that_cannot_be_read_are_told_at_once() {
    let authority = Authority::new("unreadable");
    let server = authority.serve(ok);
    let empty = authority.folder.join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let broken = authority.folder.join("broken.pem");
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let nothing = authority.folder.join("nothing");
    std::fs::create_dir(&nothing).unwrap();
    for ca in [empty, broken, nothing, authority.folder.join("missing.pem")] {
        let tls = config::Tls { ca: Some(ca.clone()), ..Default::default() };
        let error =
            Cluster::new(&[vec![server.url()]], &tls, TIMEOUTS, POOL, &Conventions::default()).err().unwrap();
        assert_eq!((error.kind, error.sent), (ErrorKind::Tls, false));
        assert!(error.context.contains(ca.to_str().unwrap()), "{}", error.context);
    }
}

#[test]
fn a_certificate_of_a_stranger_is_refused() {
    let (authority, stranger) = (Authority::new("known"), Authority::new("stranger"));
    let server = stranger.serve(ok);
    let error = post(&trusting(&server, &authority.trusted()), Class::Repeatable, soon()).unwrap_err();
    assert_eq!((error.kind, error.sent), (ErrorKind::Tls, false));
    assert!(error.context.starts_with(&format!("https://localhost:{}", server.url().port)));
    assert!(error.context.contains("no trusted authority"), "{}", error.context);
    assert_eq!(server.requests(), []);
}

#[test]
fn a_certificate_for_another_name_needs_server_name() {
    let authority = Authority::new("name");
    let server = Server::secured(authority.server("hsm.example", rustls::ALL_VERSIONS), ok);
    let mut tls = authority.trusted();
    let error = post(&trusting(&server, &tls), Class::Repeatable, soon()).unwrap_err();
    assert_eq!((error.kind, error.sent), (ErrorKind::Tls, false));
    assert!(error.context.contains("not for localhost"), "{}", error.context);
    tls.server_name = Some("hsm.example".to_owned());
    assert_eq!(body(post(&trusting(&server, &tls), Class::Repeatable, soon())), "ok");
}

#[test]
fn a_member_that_does_not_speak_tls_is_replaced() {
    let authority = Authority::new("plain");
    let (plain, good) = (Server::saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), authority.serve(ok));
    let url = config::Url { tls: true, ..plain.url() };
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let deaf = config::Url { tls: true, host: "127.0.0.1".to_owned(), port, path: String::new() };
    let timeouts = config::Timeouts { connect: Duration::from_millis(200), ..TIMEOUTS };
    let groups = [vec![url], vec![deaf], vec![good.url()]];
    let cluster =
        Cluster::new(&groups, &authority.trusted(), timeouts, POOL, &Conventions::default()).unwrap();
    let began = Instant::now();
    assert_eq!(body(post(&cluster, Class::NeverTwice, soon())), "ok");
    assert!(began.elapsed() < timeouts.connect + SLACK);
}

#[test]
fn the_deadline_holds_in_the_handshake() {
    let authority = Authority::new("handshake");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = config::Url { tls: true, host: "127.0.0.1".to_owned(), port, path: String::new() };
    let cluster =
        Cluster::new(&[vec![url]], &authority.trusted(), TIMEOUTS, POOL, &Conventions::default()).unwrap();
    let began = Instant::now();
    let limit = Duration::from_millis(150);
    let error = post(&cluster, Class::Repeatable, Deadline::after(limit)).unwrap_err();
    assert_eq!((error.kind, error.sent), (ErrorKind::Timeout, false));
    assert!(began.elapsed() < limit + SLACK);
}

#[test]
fn an_answer_that_is_whole_needs_no_farewell() {
    let authority = Authority::new("whole");
    let server = authority.serve(|_| vec![Act::Send(OK.to_vec()), Act::Fin]);
    let cluster = trusting(&server, &authority.trusted());
    for _ in 0..3 {
        assert_eq!(body(post(&cluster, Class::NeverTwice, soon())), "ok");
        settle();
    }
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn an_answer_until_the_end_needs_one() {
    let authority = Authority::new("until-end");
    let answer = b"HTTP/1.1 200 OK\r\n\r\nall of it";
    let server = authority.serve(|_| vec![Act::Send(answer.to_vec()), Act::Goodbye]);
    assert_eq!(body(post(&trusting(&server, &authority.trusted()), Class::OnceOnly, soon())), "all of it");
    let server = authority.serve(|_| vec![Act::Send(answer.to_vec()), Act::Fin]);
    let error = post(&trusting(&server, &authority.trusted()), Class::OnceOnly, soon()).unwrap_err();
    assert_eq!((error.kind, error.sent), (ErrorKind::Broken, true), "{}", error.context);
}

#[test]
fn an_idle_connection_that_ends_with_a_farewell_is_noticed() {
    let authority = Authority::new("farewell");
    let server = authority.serve(|_| vec![Act::Send(OK.to_vec()), Act::Goodbye]);
    let cluster = trusting(&server, &authority.trusted());
    for _ in 0..3 {
        assert_eq!(body(post(&cluster, Class::NeverTwice, soon())), "ok");
        settle();
    }
    assert_eq!(server.connections(), 3);
}

#[test]
fn what_tls_says_on_an_idle_connection_does_not_end_it() {
    let authority = Authority::new("key-update");
    let server = authority.serve(|_| vec![Act::Send(OK.to_vec()), Act::KeyUpdate]);
    let cluster = trusting(&server, &authority.trusted());
    for _ in 0..3 {
        assert_eq!(body(post(&cluster, Class::NeverTwice, soon())), "ok");
        settle();
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn large_bodies_pass_both_ways() {
    let authority = Authority::new("large");
    let server = authority.serve(|got| {
        let body = got.text.split_once("\r\n\r\n").unwrap().1;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        vec![Act::Send(head.into_bytes()), Act::Send(body.as_bytes().to_vec())]
    });
    let cluster = trusting(&server, &authority.trusted());
    let headers = Headers::default();
    let sent: Vec<u8> = (0..1_000_000_u32).map(|number| b'a' + (number % 23) as u8).collect();
    let request = Request {
        method: Method::Post,
        path: "/",
        headers: &headers,
        body: Some(&sent),
        class: Class::OnceOnly,
    };
    for _ in 0..2 {
        assert!(body(cluster.call(&request, soon())).as_bytes() == sent);
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn sessions_resume_across_lanes() {
    let authority = Authority::new("resume");
    for version in [&version::TLS12, &version::TLS13] {
        let server = Server::secured(authority.server("localhost", &[version]), |_| {
            vec![Act::Send(OK.to_vec()), Act::Fin]
        });
        let cluster = trusting(&server, &authority.trusted());
        for _ in 0..3 {
            body(post(&cluster, Class::OnceOnly, soon()));
            settle();
        }
        use HandshakeKind::{Full, Resumed};
        assert_eq!(server.handshakes(), [Full, Resumed, Resumed]);
    }
}

/// Each ticket of TLS 1.3 is good for one connection: a pool that is opened at once needs many.
#[test]
fn a_whole_pool_resumes_at_once() {
    const LANES: usize = 32;
    let authority = Authority::new("pool");
    for version in [&version::TLS12, &version::TLS13] {
        let server = Server::secured(authority.server("localhost", &[version]), |_| {
            vec![Act::Send(OK.to_vec()), Act::Fin]
        });
        let pool = config::Pool { max: LANES, ..POOL };
        let cluster = Cluster::new(
            &[vec![server.url()]],
            &authority.trusted(),
            TIMEOUTS,
            pool,
            &Conventions::default(),
        )
        .unwrap();
        let headers = Headers::default();
        let request = Request {
            method: Method::Get,
            path: "/",
            headers: &headers,
            body: None,
            class: Class::Repeatable,
        };
        for _ in 0..2 {
            let answers = cluster.call_many(&[request; LANES], LANES, soon());
            assert!(answers.into_iter().all(|answer| body(answer) == "ok"));
            settle();
        }
        let resumed = server.handshakes().into_iter().filter(|kind| *kind == HandshakeKind::Resumed);
        // All of the second round; of the first, those that learnt of a session from lanes before them.
        assert!(resumed.count() >= LANES, "{:?}", server.handshakes());
    }
}
