//! `p11rest emulate`

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{p11rest, run, stderr, stdout};

/// Key generation without optimisation on a busy machine included.
const PATIENCE: Duration = Duration::from_secs(60);

/// An emulator, killed if the test fails.
pub struct Running {
    child: Option<Child>,
    dir: PathBuf,
}

impl Running {
    pub fn start(dir: &Path, options: &[&str]) -> Running {
        let mut command = p11rest();
        command.arg("emulate").arg("--dir").arg(dir).args(options);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Running { child: Some(child), dir: dir.to_owned() }
    }

    /// Waits for a file in the folder.
    pub fn wait_for(&mut self, name: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.dir.join(name).exists() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert_eq!(ended, None, "the emulator ended before {name} was there");
            assert!(Instant::now() < deadline, "no {name} after {PATIENCE:?}");
            sleep(Duration::from_millis(5));
        }
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.join(name)).unwrap()
    }

    /// What it says once it stands, to its last line.
    fn announcement(&mut self) -> String {
        let mut said = String::new();
        let mut lines = BufReader::new(self.child.as_mut().unwrap().stdout.as_mut().unwrap());
        while !said.contains("/_emulator/stats\n") {
            assert_ne!(lines.read_line(&mut said).unwrap(), 0, "{said}");
        }
        said
    }

    fn end_by(mut self, signal: Signal) -> Output {
        let child = self.child.take().unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        child.wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn get(url: &str, path: &str) -> String {
    get_with_key(url, path, "")
}

fn get_with_key(url: &str, path: &str, key: &str) -> String {
    exchange(url, "GET", path, &format!("X-API-KEY: {key}\r\n"), "")
}

fn post(url: &str, path: &str, body: &str) -> String {
    let head = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    exchange(url, "POST", path, &head, body)
}

fn exchange(url: &str, method: &str, path: &str, headers: &str, body: &str) -> String {
    let authority = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(authority).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {authority}\r\n{headers}Connection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn it_answers_until_sigterm() {
    let dir = TempDir::new().unwrap();
    let mut emulator = Running::start(dir.path(), &[]);
    emulator.wait_for("ready");
    let url = emulator.read("ready").trim().to_owned();
    let config = emulator.read("p11rest.toml");
    assert!(config.contains(&format!("urls = [\"{url}\"]")), "{config}");
    let stats = get(&url, "/_emulator/stats");
    assert!(stats.starts_with("HTTP/1.1 200 OK\r\n"), "{stats}");
    assert!(stats.contains("\"connections_accepted\":1"), "{stats}");
    assert!(stats.contains("\"tls_handshakes\":0"), "{stats}");

    let output = emulator.end_by(Signal::TERM);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(stderr(&output), "");
    assert!(!dir.path().join("ready").exists());
    let config_path = dir.path().canonicalize().unwrap().join("p11rest.toml");
    let said = stdout(&output);
    assert!(said.contains(&format!("export P11REST_CONFIG={}\n", config_path.display())), "{said}");
    assert!(said.contains(&url), "{said}");
}

#[test]
fn it_speaks_tls_and_ends_on_sigint() {
    let dir = TempDir::new().unwrap();
    let mut emulator = Running::start(dir.path(), &["--tls", "--vendor", "securosys", "--canned"]);
    emulator.wait_for("ready");
    assert!(emulator.read("ready").starts_with("https://127.0.0.1:"));
    assert!(emulator.read("p11rest.toml").contains("ca.pem"));
    let output = emulator.end_by(Signal::INT);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stdout(&output).contains("curl --cacert "), "{output:?}");
    assert!(!dir.path().join("ready").exists());
}

/// OpenSSL is the judge of the handshake.
#[test]
fn it_asks_for_client_certificates_and_holds_tls_back() {
    let dir = TempDir::new().unwrap();
    let options = ["--tls", "--client-auth", "need", "--tls-max", "1.2"];
    let mut emulator = Running::start(dir.path(), &options);
    emulator.wait_for("ready");
    let ready = emulator.read("ready");
    let address = ready.trim().strip_prefix("https://").unwrap();
    let handshake = |options: &[&str]| {
        let mut command = Command::new("openssl");
        command.args([
            "s_client",
            "-brief",
            "-verify_return_error",
            "-CAfile",
            "ca.pem",
            "-connect",
            address,
        ]);
        command.args(options).current_dir(dir.path()).stdin(Stdio::null()).output().unwrap()
    };
    let identity = ["-cert", "client.pem", "-key", "client.key"];
    let shown = handshake(&identity);
    assert!(shown.status.success() && stderr(&shown).contains("TLSv1.2"), "{shown:?}");
    let newer = handshake(&[&identity[..], &["-tls1_3"]].concat());
    assert!(!newer.status.success() && stderr(&newer).contains("alert protocol version"), "{newer:?}");
    assert!(!handshake(&[]).status.success(), "without a certificate");
    assert!(emulator.read("p11rest.toml").contains("identity = { certificate = "));
    emulator.end_by(Signal::TERM);
}

#[test]
fn it_resets_connections_that_are_idle() {
    let dir = TempDir::new().unwrap();
    let mut emulator = Running::start(dir.path(), &["--idle-ms", "200", "--idle-how", "rst"]);
    emulator.wait_for("ready");
    let url = emulator.read("ready");
    let mut stream = TcpStream::connect(url.trim().strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /_emulator/stats HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    let end = stream.read_to_string(&mut answer).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::ConnectionReset, "{end}");
    emulator.end_by(Signal::TERM);
}

/// Configuration and commands fit what is asked for; the token is in its file alone.
#[test]
fn the_pin_is_what_the_flags_leave() {
    const TOKEN: &str = "a.b.c";
    let cases: [(&[&str], &str, &str, &str); 3] = [
        (&["--bearer", TOKEN], "bearer = \"file:", "key_operation = \"pin\"", " --login --pin 1234 "),
        (&["--bearer", TOKEN, "--no-api-keys"], "bearer = \"pin\"", "bearer", " --login --pin \"$(cat "),
        (&["--no-api-keys"], "urls", "backend", "libp11rest.so --list-objects"),
    ];
    let dir = TempDir::new().unwrap();
    for (options, bearer, key, command) in cases {
        let mut emulator = Running::start(dir.path(), options);
        emulator.wait_for("ready");
        let config = emulator.read("p11rest.toml");
        assert!(config.contains(bearer) && config.contains(key), "{options:?}: {config}");
        assert_eq!(config.contains("api_key"), !options.contains(&"--no-api-keys"), "{options:?}: {config}");
        assert_eq!(config.contains("[slot.auth]"), options != ["--no-api-keys"], "{options:?}: {config}");
        assert!(!config.contains(TOKEN), "{options:?}: {config}");
        let file = dir.path().join("bearer.jwt");
        assert_eq!(file.exists(), options.contains(&"--bearer"), "{options:?}");
        if file.exists() {
            assert_eq!(emulator.read("bearer.jwt"), TOKEN);
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        let said = emulator.announcement();
        assert!(said.contains(command) && !said.contains(TOKEN), "{options:?}: {said}");
        assert_eq!(said.contains("--login"), options != ["--no-api-keys"], "{options:?}: {said}");
        emulator.end_by(Signal::TERM);
    }
}

/// One switch of each kind: a word, a number, a list.
#[test]
fn the_documentation_is_read_as_asked() {
    let dir = TempDir::new().unwrap();
    let options = ["--pin", "a-longer-pin", "--licence", "TSB_ENGINE,REST_API", "--random-role", "service"];
    let mut emulator =
        Running::start(dir.path(), &[&options[..], &["--missing-api-key-status", "400"]].concat());
    emulator.wait_for("ready");
    let url = emulator.read("ready").trim().to_owned();
    let keys = get(&url, "/_emulator/api-keys/key_operation");
    assert!(keys.ends_with("[\"a-longer-pin\"]"), "{keys}");
    let nobody = get(&url, "/v1/licenseInfo");
    assert!(nobody.starts_with("HTTP/1.1 400 ") && nobody.contains("\"errorCode\":416"), "{nobody}");
    let service = emulator.read("service.key");
    let licence = get_with_key(&url, "/v1/licenseInfo", service.trim());
    assert!(licence.contains("\"TSB_ENGINE\"") && licence.contains("\"REST_API\""), "{licence}");
    let random = get_with_key(&url, "/v1/generateRandom/8", service.trim());
    assert!(random.starts_with("HTTP/1.1 200 "), "{random}");
    let said = emulator.announcement();
    assert!(said.contains(" --login --pin a-longer-pin "), "{said}");
    emulator.end_by(Signal::TERM);
}

#[test]
fn a_signal_during_the_start_ends_it_cleanly() {
    let dir = TempDir::new().unwrap();
    let mut emulator = Running::start(dir.path(), &[]);
    emulator.wait_for("lock");
    let output = emulator.end_by(Signal::TERM);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!dir.path().join("ready").exists());
    // And nothing is half-made: the next one starts.
    let mut next = Running::start(dir.path(), &[]);
    next.wait_for("ready");
    assert_eq!(next.end_by(Signal::TERM).status.code(), Some(0));
}

#[test]
fn a_folder_has_one_emulator() {
    let dir = TempDir::new().unwrap();
    let mut first = Running::start(dir.path(), &[]);
    first.wait_for("ready");
    let second = run(p11rest().arg("emulate").arg("--dir").arg(dir.path()));
    assert_eq!(second.status.code(), Some(1));
    let complaint = stderr(&second);
    assert!(complaint.starts_with("p11rest: "), "{complaint}");
    assert!(complaint.contains("another emulator is running on this directory"), "{complaint}");
    assert!(complaint.contains("--dir"), "{complaint}");
    // The first is none the worse for it.
    assert!(get(first.read("ready").trim(), "/_emulator/stats").starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let dir = TempDir::new().unwrap();
    let output = run(p11rest().arg("emulate").arg("--dir").arg(dir.path()).args(["--port", &port]));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&format!("127.0.0.1:{port}: Address already in use")), "{output:?}");
    assert!(stderr(&output).contains("without --port"), "{output:?}");
    assert!(!dir.path().join("ready").exists());
}

#[test]
fn a_file_is_no_folder() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = run(p11rest().arg("emulate").arg("--dir").arg(file.path()));
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("p11rest: {}: File exists", file.path().display());
    assert!(stderr(&output).starts_with(&expected), "{output:?}");
}

/// One process, one configuration, a port and a folder for each.
#[test]
fn several_vendors_run_side_by_side() {
    const VENDORS: [&str; 4] = ["securosys", "fast", "luna", "ciphertrust"];
    let dir = TempDir::new().unwrap();
    let options =
        ["--vendor", "securosys,fast,luna,ciphertrust", "--set", "fast.edition=vi", "--pin", "a-common-pin"];
    let mut emulators = Running::start(dir.path(), &options);
    emulators.wait_for("ready");
    let ready = emulators.read("ready");
    let lines: Vec<_> = ready.lines().map(|line| line.split_once(' ').unwrap()).collect();
    assert_eq!(lines.iter().map(|(name, _)| *name).collect::<Vec<_>>(), VENDORS);
    let config = emulators.read("p11rest.toml");
    assert_eq!(
        (config.matches("version = 1").count(), config.matches("[[slot]]").count()),
        (1, 4),
        "{config}"
    );
    for (name, url) in &lines {
        assert!(get(url, "/_emulator/stats").starts_with("HTTP/1.1 200 OK"), "{name}");
        assert!(config.contains(&format!("label = \"{name}\"")) && config.contains(url), "{name}: {config}");
        assert_eq!(emulators.read(&format!("{name}/ready")).trim(), *url);
    }
    // The edition tells which one the setting was for.
    let token =
        post(lines[1].1, "/api/account/gettoken", r#"{"username":"p11rest","password":"a-common-pin"}"#);
    assert!(token.contains(r#""token":"#) && !token.contains("accessToken"), "{token}");
    // The appliance has no cryptography of its own: its slot takes it from that of CipherTrust Manager, and two PINs.
    assert!(config.contains("[slot.crypto]\nslot = \"ciphertrust\"\npin_split = \":\"\n"), "{config}");
    let output = emulators.end_by(Signal::TERM);
    assert_eq!(output.status.code(), Some(0));
    let said = stdout(&output);
    assert!(said.contains("--pin a-common-pin:a-common-pin --token-label luna "), "{said}");
    for (name, url) in &lines {
        assert!(said.contains(url) && said.contains(&format!("--token-label {name} ")), "{said}");
    }
    let left = VENDORS.map(|name| dir.path().join(name).join("ready")).into_iter();
    assert!(left.chain([dir.path().join("ready")]).all(|file| !file.exists()));
}

#[test]
fn what_several_vendors_are_told_wrongly_is_named() {
    let dir = TempDir::new().unwrap();
    let complaint = |options: &[&str]| {
        let output = run(p11rest().arg("emulate").arg("--dir").arg(dir.path()).args(options));
        assert!(!output.status.success());
        assert!(!dir.path().join("ready").exists(), "{options:?}");
        stderr(&output)
    };
    let unknown = complaint(&["--vendor", "fast,hal"]);
    assert!(unknown.contains("\"hal\" is none of them: securosys, fast, luna, ciphertrust"), "{unknown}");
    assert!(complaint(&["--vendor", "fast,fast"]).contains("fast is there twice"));
    let whose = complaint(&["--vendor", "fast,ciphertrust", "--set", "edition=vi"]);
    assert!(whose.contains("setting edition: write VENDOR.edition"), "{whose}");
    let none = complaint(&["--vendor", "fast,ciphertrust", "--set", "luna.edition=vi"]);
    assert!(none.contains("VENDOR is one of fast, ciphertrust"), "{none}");
    let wrong = complaint(&["--vendor", "ciphertrust,fast", "--set", "fast.edition=latin"]);
    assert!(wrong.contains("edition"), "{wrong}");
}
