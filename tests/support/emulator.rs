//! `p11rest emulate` as a process, and what the tests ask of it over plain HTTP, past the module.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, Response};
use reqwest::{Certificate, Identity, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{secrets, tool};

/// How long the emulator may take to make its keys.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a command until its standard input ends, which it does at the latest when this process does, however it ends:
/// values in statics are never dropped. Then the folder goes too. A line of input is a port to start anew on; an empty
/// one kills it until then.
const KEEPER: &str = r#"
    folder=$1
    shift
    "$@" &
    child=$!
    end() {
        [ -z "$child" ] || { kill "$1" "$child"; wait "$child" 2>/dev/null; }
        child=
    }
    while read -r port; do
        if [ -n "$port" ]; then
            end -TERM
            "$@" --port "$port" &
            child=$!
        else
            end -KILL
            : >"$folder/killed"
        fi
    done
    end -TERM
    rm -rf -- "$folder"
"#;

/// The key-operation API key of the emulators of the tests, which is the PIN of their slots: long enough to be looked for
/// in the logs.
pub const PIN: &str = "pin-Zq7vXw2LkTt9RhYc4NbGm6Ds";

/// A running emulator with a folder of its own.
pub struct Emulator {
    keeper: Child,
    orders: Mutex<Option<ChildStdin>>,
    folder: PathBuf,
    url: String,
    client: Client,
}

/// What the emulator has seen. Comparisons leave out `open` and `peak`: connections end in their own time.
#[derive(Clone, Debug)]
pub struct Stats {
    /// By method and path.
    pub requests: BTreeMap<String, u64>,
    /// Requests to the vendor's API.
    pub total: u64,
    /// TCP connections accepted, the one that the statistics came over included.
    pub connections: u64,
    /// Connections that have not ended, and the most that there were at a time; that of the statistics included.
    pub open: u64,
    pub peak: u64,
    /// TLS handshakes, and those of them that resumed a session.
    pub handshakes: u64,
    pub resumed: u64,
}

impl PartialEq for Stats {
    fn eq(&self, other: &Self) -> bool {
        let counts = |stats: &Self| (stats.total, stats.connections, stats.handshakes, stats.resumed);
        self.requests == other.requests && counts(self) == counts(other)
    }
}

impl Emulator {
    /// Starts one and waits until it answers.
    pub fn start(vendor: &str, tls: bool) -> Self {
        Self::start_with(vendor, tls, &[])
    }

    /// Starts one with more of the options of `p11rest emulate`.
    pub fn start_with(vendor: &str, tls: bool, options: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made").keep();
        Self::start_in(folder, vendor, tls, options)
    }

    /// Starts another member of the same service: with the same keys, secrets and authority, at an address of its own.
    pub fn twin(&self, options: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made").keep();
        copy(&self.folder, &folder);
        // That of the first one: the new one is not ready before it says so.
        fs::remove_file(folder.join("ready")).expect("the first one is ready");
        Self::start_in(folder, "securosys", self.is_tls(), options)
    }

    fn start_in(folder: PathBuf, vendor: &str, tls: bool, options: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "keeper"]).arg(&folder).arg(tool());
        command.arg("emulate").arg("--dir").arg(&folder).args(["--vendor", vendor]).args(options);
        if !options.contains(&"--no-api-keys") && !options.contains(&"--pin") {
            command.args(["--pin", PIN]);
        }
        if tls {
            command.arg("--tls");
        }
        let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("a shell starts");
        let orders = Mutex::new(keeper.stdin.take());
        let url = ready(&folder);
        secrets::register_folder(&folder);
        let client = client(tls.then_some(folder.as_path()));
        let emulator = Self { keeper, orders, folder, url, client };
        // From now on a connection of our own is open, and is not counted by those who compare.
        emulator.stats();
        emulator
    }

    /// Ends it and starts it again at the same address, with the same keys: every connection is closed.
    pub fn restart(&self) {
        fs::remove_file(self.folder.join("ready")).expect("it was ready");
        self.order(&self.port().to_string());
        assert_eq!(ready(&self.folder), self.url);
    }

    /// Kills it until `restart`: connections end without a word, and nobody listens at its address.
    pub fn kill(&self) {
        self.order("");
        let file = self.folder.join("killed");
        appears(&file);
        fs::remove_file(file).expect("it is there");
    }

    /// A line for the keeper.
    fn order(&self, line: &str) {
        let mut orders = self.orders.lock().expect("nobody panicked with it");
        let orders = orders.as_mut().expect("the emulator runs");
        writeln!(orders, "{line}").expect("the shell reads");
    }

    /// The base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port of the URL.
    pub fn port(&self) -> u16 {
        let (_, port) = self.url.rsplit_once(':').expect("the URL has a port");
        port.parse().expect("a port is a number")
    }

    /// Whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.url.starts_with("https:")
    }

    /// A file in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The text of a file in its folder, without the line break at the end.
    pub fn text(&self, name: &str) -> String {
        let path = self.path(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.trim_end().to_owned()
    }

    /// `GET /_emulator/stats`
    pub fn stats(&self) -> Stats {
        let answer: Value = self.call(Method::GET, "/_emulator/stats", &[], None).json().expect("JSON");
        let number = |value: &Value| value.as_u64().expect("a count");
        let requests = answer["requests"].as_object().expect("counts by path");
        Stats {
            requests: requests.iter().map(|(path, count)| (path.clone(), number(count))).collect(),
            total: number(&answer["requests_total"]),
            connections: number(&answer["connections_accepted"]),
            open: number(&answer["connections_open"]),
            peak: number(&answer["connections_peak"]),
            handshakes: number(&answer["tls_handshakes"]),
            resumed: number(&answer["tls_resumed"]),
        }
    }

    /// Adds a fault, in the words of `POST /_emulator/faults`.
    pub fn fault(&self, fault: &Value) {
        let answer = self.call(Method::POST, "/_emulator/faults", &[], Some(fault));
        assert_eq!(answer.status(), 201, "the emulator takes the fault {fault}");
    }

    /// Behaves again.
    pub fn heal(&self) {
        assert_eq!(self.call(Method::DELETE, "/_emulator/faults", &[], None).status(), 204);
    }

    /// From now on only these API keys are valid for that role, named as in the module's configuration.
    pub fn set_api_keys(&self, role: &str, keys: &[&str]) {
        let answer = self.call(Method::PUT, &format!("/_emulator/api-keys/{role}"), &[], Some(&json!(keys)));
        assert_eq!(answer.status(), 204, "the emulator takes keys for {role}");
    }

    /// From now on requests must carry that JWT.
    pub fn set_bearer(&self, token: &str) {
        assert_eq!(self.call(Method::PUT, "/_emulator/bearer", &[], Some(&json!(token))).status(), 204);
    }

    /// Any request, past the module.
    pub fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Response {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.orders.lock().map(|mut orders| orders.take()));
        // Nothing is lost if it is gone already.
        let _ = self.keeper.wait();
    }
}

/// Copies files and folders, with their modes.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("an entry has a type").is_dir() {
            fs::create_dir(&target).expect("a new folder");
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}

fn ready(folder: &Path) -> String {
    appears(&folder.join("ready")).trim_end().to_owned()
}

/// Waits for a file that the emulator or its keeper writes.
fn appears(file: &Path) -> String {
    let start = Instant::now();
    loop {
        match fs::read_to_string(file) {
            Ok(text) => return text,
            Err(_) if start.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(5)),
            Err(error) => panic!("the emulator keeps us waiting for {}: {error}", file.display()),
        }
    }
}

/// A client that trusts the emulator in that folder and shows the certificate that it takes, should it ask.
fn client(folder: Option<&Path>) -> Client {
    // There may be one already: the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut builder = Client::builder().no_proxy().timeout(PATIENCE);
    if let Some(folder) = folder {
        let pem = |name| fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let authority = Certificate::from_pem(&pem("ca.pem")).expect("the authority is a certificate");
        let identity = [pem("client.key"), pem("client.pem")].concat();
        let identity = Identity::from_pem(&identity).expect("the client's certificate has its key");
        builder = builder.tls_certs_only([authority]).identity(identity);
    }
    builder.build().expect("an HTTP client can be made")
}
