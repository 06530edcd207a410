//! Start, stop, files, TLS.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use p11rest_emulator::{Emulator, Error, Options};
use rustls::HandshakeKind;

use crate::client::{Client, Fixture, PIN, openssl, tls_config, tls_stream};

#[test]
fn files_of_a_running_emulator() {
    let fixture = Fixture::new();
    let url = fixture.url();
    let dir = fixture.dir.canonicalize().unwrap();
    let dir = dir.to_str().unwrap();
    assert_eq!(fs::read_to_string(fixture.dir.join("ready")).unwrap(), format!("{url}\n"));
    let expected = format!(
        "version = 1\n\n[[slot]]\nlabel = \"securosys\"\nbackend = \"securosys\"\n\
         urls = [\"{url}\"]\n\n[slot.auth]\napi_key = {{ \
         key_management = \"file:{dir}/key-management.key\", key_operation = \"pin\", \
         service = \"file:{dir}/service.key\" }}\n"
    );
    assert_eq!(fs::read_to_string(fixture.dir.join("p11rest.toml")).unwrap(), expected);
    assert!(fixture.secret("key-management").len() >= 32);
    assert_ne!(fixture.secret("key-management"), fixture.secret("service"));
    for path in ["keys/rsa-2048.pem", "key-management.key", "service.key", "p11rest.toml"] {
        let mode = fs::metadata(fixture.dir.join(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
}

#[test]
fn a_restart_keeps_keys_and_secrets() {
    let mut fixture = Fixture::new();
    let secret = fixture.secret("key-management");
    let before = fixture.manager().attributes("rsa-cert")["json"]["publicKey"].clone();
    let certificate = fixture.manager().get("/v1/certificate/rsa-cert").json();
    let options = Options { dir: fixture.dir.clone(), ..Options::default() };
    assert!(matches!(Emulator::start(options.clone()), Err(Error::InUse(_))));
    let old = fixture.url().to_owned();
    fixture.stop();
    assert!(!fixture.dir.join("ready").exists());
    assert!(TcpStream::connect(old.strip_prefix("http://").unwrap()).is_err());
    fixture.start(options);
    assert_eq!(fixture.secret("key-management"), secret);
    assert_eq!(fixture.manager().attributes("rsa-cert")["json"]["publicKey"], before);
    assert_eq!(fixture.manager().get("/v1/certificate/rsa-cert").json(), certificate);
}

#[test]
fn a_taken_port_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let fixture = Fixture::new();
    let port = listener.local_addr().unwrap().port();
    let dir = fixture.dir.join("another");
    let options = Options { dir, port, ..Options::default() };
    assert!(matches!(Emulator::start(options), Err(Error::Server(_))));
}

#[test]
fn stopping_lets_a_request_finish() {
    let mut fixture = Fixture::with(|options| options.latency = Duration::from_millis(300));
    let mut operator = fixture.operator();
    let request = std::thread::spawn(move || operator.get("/v1/generateRandom/8").status);
    std::thread::sleep(Duration::from_millis(100));
    let begin = Instant::now();
    fixture.stop();
    assert_eq!(request.join().unwrap(), 200);
    assert!(begin.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_stalled_request_does_not_hold_up_the_end() {
    let mut fixture = Fixture::new();
    let mut operator = fixture.operator();
    let fault = serde_json::json!({ "action": "stall", "ms": 60_000 });
    assert_eq!(operator.post("/_emulator/faults", &fault).status, 201);
    let request = std::thread::spawn(move || operator.try_request("GET", "/v1/generateRandom/8", b""));
    std::thread::sleep(Duration::from_millis(100));
    let begin = Instant::now();
    fixture.stop();
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert!(request.join().unwrap().is_err());
}

#[test]
fn tls_versions_names_and_resumption() {
    let fixture = Fixture::with(|options| options.tls = true);
    let url = fixture.url();
    let ca = fixture.dir.join("ca.pem");
    let mut handshakes = 0;
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        for name in ["localhost", "127.0.0.1", "::1"] {
            let config = tls_config(&ca, &[version]);
            let mut resumed = Vec::new();
            for _ in 0..2 {
                let mut stream = tls_stream(url, name, &config);
                while stream.conn.is_handshaking() {
                    stream.conn.complete_io(&mut stream.sock).unwrap();
                }
                resumed.push(stream.conn.handshake_kind() == Some(HandshakeKind::Resumed));
                let mut client = Client::new(Box::new(stream), PIN);
                assert_eq!(client.get("/v1/generateRandom/8").status, 200);
                handshakes += 1;
            }
            assert_eq!(resumed, [false, true], "{version:?} {name}");
        }
    }
    let config = tls_config(&ca, rustls::ALL_VERSIONS);
    let mut wrong = tls_stream(url, "example.com", &config);
    assert!(wrong.conn.complete_io(&mut wrong.sock).is_err());
    let stream = tls_stream(url, "localhost", &config);
    let stats = Client::new(Box::new(stream), "").get("/_emulator/stats").json();
    assert_eq!(stats["connections_accepted"], handshakes + 2);
    // A client that refuses the name may have let the server finish its half.
    let counted = stats["tls_handshakes"].as_u64().unwrap();
    assert!((handshakes + 1..=handshakes + 2).contains(&counted), "{counted}");
    let config = fs::read_to_string(fixture.dir.join("p11rest.toml")).unwrap();
    assert!(config.contains("[slot.tls]\nca = \"/") && config.contains("urls = [\"https://127"));
}

#[test]
fn tls_certificates_are_kept_and_sound() {
    let mut fixture = Fixture::with(|options| options.tls = true);
    let read = |fixture: &Fixture, name: &str| fs::read(fixture.dir.join(name)).unwrap();
    let before = [read(&fixture, "ca.pem"), read(&fixture, "server.pem")];
    let path = |name: &str| fixture.dir.join(name).to_str().unwrap().to_owned();
    let (ca, server) = (path("ca.pem"), path("server.pem"));
    for name in [["-verify_hostname", "localhost"], ["-verify_ip", "127.0.0.1"], ["-verify_ip", "::1"]] {
        openssl(&[
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-CAfile",
            &ca,
            name[0],
            name[1],
            &server,
        ])
        .unwrap();
    }
    fixture.stop();
    fixture.start(Options { dir: fixture.dir.clone(), tls: true, ..Options::default() });
    assert_eq!([read(&fixture, "ca.pem"), read(&fixture, "server.pem")], before);
}
