//! A client as plain as can be, so that the tests see the emulator's own bytes, and an emulator
//! in a directory of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p11rest_emulator::{Api, Emulator, Options, Switches};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

pub const PIN: &str = "1234";

pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

pub fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().expect("a string")).expect("Base64")
}

/// An emulator in a fresh directory with keys that all the tests share: RSA keys take time.
pub struct Fixture {
    emulator: Option<Emulator>,
    pub dir: PathBuf,
}

impl Fixture {
    pub fn new() -> Fixture {
        Fixture::with(|_| {})
    }

    pub fn with_switches(change: impl FnOnce(&mut Switches)) -> Fixture {
        Fixture::with(|options| change(&mut options.switches))
    }

    pub fn with(change: impl FnOnce(&mut Options)) -> Fixture {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = scratch(&format!("emulator-{}-{number}", std::process::id()));
        let mut options = Options { dir: dir.clone(), ..Options::default() };
        change(&mut options);
        if let Some(template) = template(options.api) {
            copy(&template.join("keys"), &dir.join("keys"));
        }
        let mut fixture = Fixture { emulator: None, dir };
        fixture.start(options);
        fixture
    }

    pub fn start(&mut self, options: Options) {
        self.emulator = Some(Emulator::start(options).expect("started"));
    }

    pub fn stop(&mut self) {
        self.emulator.take().expect("running").stop();
    }

    pub fn url(&self) -> &str {
        self.emulator.as_ref().expect("running").url()
    }

    pub fn secret(&self, role: &str) -> String {
        fs::read_to_string(self.dir.join(format!("{role}.key"))).expect("a secret")
    }

    /// A connection on which requests carry that API key.
    pub fn connect(&self, key: &str) -> Client {
        let address = self.url().strip_prefix("http://").expect("plain HTTP");
        let stream = TcpStream::connect(address).expect("connected");
        Client::new(Box::new(stream), key)
    }

    /// A connection with the key-operation API key.
    pub fn operator(&self) -> Client {
        self.connect(PIN)
    }

    /// A connection with the key-management API key.
    pub fn manager(&self) -> Client {
        self.connect(&self.secret("key-management"))
    }

    /// Writes a file into the fixture's directory.
    pub fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.dir.join(name);
        fs::write(&path, contents).expect("written");
        path
    }

    /// The public key of a key, as a DER file for OpenSSL.
    pub fn public_key(&self, label: &str) -> PathBuf {
        let answer = self.manager().attributes(label);
        self.file(&format!("{label}.spki"), &bytes(&answer["json"]["publicKey"]))
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        drop(self.emulator.take());
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// A directory with the keys that an emulator of that API has from the start; `None` for those that make theirs quickly.
fn template(api: Api) -> Option<&'static Path> {
    static SECUROSYS: OnceLock<PathBuf> = OnceLock::new();
    static FAST: OnceLock<PathBuf> = OnceLock::new();
    static LUNA: OnceLock<PathBuf> = OnceLock::new();
    let (cell, name) = match api {
        Api::Securosys => (&SECUROSYS, "emulator-template"),
        Api::Fast => (&FAST, "emulator-template-fast"),
        Api::Luna => (&LUNA, "emulator-template-luna"),
        _ => return None,
    };
    Some(cell.get_or_init(|| {
        let dir = scratch(name);
        let _ = fs::remove_dir_all(&dir);
        let mut options = Options { api, dir: dir.clone(), ..Options::default() };
        options.switches.locked_key = true;
        Emulator::start(options).expect("started").stop();
        dir
    }))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("created");
    for entry in fs::read_dir(from).expect("read") {
        let path = entry.expect("read").path();
        fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("copied");
    }
}

/// OpenSSL, the judge of what the emulator computes; its output if it succeeds.
pub fn openssl(arguments: &[&str]) -> std::result::Result<Vec<u8>, String> {
    let output = Command::new("openssl").args(arguments).output().expect("openssl is installed");
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()),
    }
}

pub trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// One kept-alive connection.
pub struct Client {
    stream: BufReader<Box<dyn Duplex>>,
    key: String,
    pub headers: Vec<(&'static str, String)>,
}

pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Status and error code.
    pub fn refusal(&self) -> (u16, u64) {
        (self.status, self.json()["errorCode"].as_u64().unwrap_or(0))
    }
}

impl Client {
    pub fn new(stream: Box<dyn Duplex>, key: &str) -> Client {
        let headers = vec![("Content-Type", "application/json".to_owned())];
        Client { stream: BufReader::new(stream), key: key.to_owned(), headers }
    }

    pub fn try_request(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Answer> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        if !self.key.is_empty() {
            head.push_str(&format!("X-API-KEY: {}\r\n", self.key));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let stream = self.stream.get_mut();
        stream.write_all(&[head.as_bytes(), body].concat())?;
        stream.flush()?;
        self.read_answer()
    }

    fn read_answer(&mut self) -> Result<Answer> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end() {
                "" => break,
                text => lines.push(text.to_owned()),
            }
        }
        let status = lines[0].split(' ').nth(1).expect("a status").parse().expect("a number");
        let headers: Vec<(String, String)> = lines[1..]
            .iter()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |text| text.parse().unwrap());
        answer.body.resize(length, 0);
        self.stream.read_exact(&mut answer.body)?;
        Ok(answer)
    }

    pub fn request(&mut self, method: &str, path: &str, body: &[u8]) -> Answer {
        self.try_request(method, path, body).expect("an answer")
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, b"")
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.request("POST", path, body.to_string().as_bytes())
    }

    pub fn attributes(&mut self, label: &str) -> Value {
        let answer = self.post("/v1/key/attributes", &serde_json::json!({ "label": label }));
        assert_eq!(answer.status, 200);
        answer.json()
    }

    pub fn try_sign(&mut self, label: &str, algorithm: &str, payload: &[u8]) -> Answer {
        let body = serde_json::json!({ "signRequest": {
            "payload": base64(payload), "signKeyName": label, "signatureAlgorithm": algorithm,
        }});
        self.post("/v1/synchronousSign", &body)
    }

    pub fn sign(&mut self, label: &str, algorithm: &str, payload: &[u8]) -> Vec<u8> {
        let answer = self.try_sign(label, algorithm, payload);
        assert_eq!(answer.status, 200, "{algorithm}: {}", answer.json());
        bytes(&answer.json()["signature"])
    }
}

/// The configuration of a TLS client that trusts the CA in that file.
pub fn tls_config(ca: &Path, versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).expect("a certificate")).expect("a CA");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// A TLS connection, before its handshake.
pub fn tls_stream(
    url: &str,
    name: &str,
    config: &Arc<ClientConfig>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let address = url.strip_prefix("https://").expect("HTTPS");
    let stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    StreamOwned::new(ClientConnection::new(Arc::clone(config), name).expect("set up"), stream)
}
