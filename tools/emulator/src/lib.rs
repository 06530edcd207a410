//! An emulator of REST HSMs on loopback: real keys, real cryptography, strict checks.
//!
//! It stands in for the HSM where there is none: on a developer's machine, in tests, in
//! benchmarks. What it answers follows the vendor's documentation; where that is silent or
//! contradicts itself, [`Switches`] choose, so that a client can be tried against every reading.
//!
//! ```text
//! lib       Emulator: start, stop, the files that clients wait for
//! fleet     several of them, with one configuration
//! server    HTTP/1.1, statistics, canned answers                  (no vendor's words)
//! tls       its certificate;  client_auth: those of clients, good and bad, and what is made of them
//! faults    which requests go wrong, and how;  script: the bytes and endings that hyper would not write
//! idle      connections that are closed for having nothing to do
//! vendor    what a vendor's API is to the server
//! securosys the REST API of the Securosys Transaction Security Broker
//! fast, luna, ciphertrust, gateway, vault: those of others, one folder each
//! clock     the time of a service, which tests may set;  settings: `--set NAME=VALUE`;  jwt: tokens
//! algorithms signatures and decryption by name, for those who hash by themselves
//! keys      the keys and their files;  material, rsa_key, certificate: what they are made of
//! ```
//!
//! It protects nothing: its secrets lie in files, it serves whoever can reach the loopback
//! interface, and it must not be used for keys of any worth.

mod algorithms;
mod canned;
mod certificate;
mod ciphertrust;
mod client_auth;
mod clock;
mod error;
mod fast;
mod faults;
mod files;
mod fleet;
mod gateway;
mod idle;
mod jwt;
mod keys;
mod luna;
mod material;
mod rsa_key;
mod script;
mod securosys;
mod server;
mod settings;
mod stats;
mod tls;
mod vault;
mod vendor;

use std::fmt;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

pub use client_auth::ClientAuth;
pub use error::Error;
pub use fleet::Fleet;
pub use idle::Idle;
pub use script::Ending;
pub use securosys::{
    BEARER_FILE, CertificateForm, CertificatesRole, LoneAsynchronous, MalformedCode, MissingCertificate, PIN,
    RandomRole, Switches, UsageRefusal, Version,
};
pub use tls::TlsVersion;

use canned::Canned;
use files::{Directory, remove_if_present, toml_string, write_atomically};
use securosys::Securosys;
use server::Shared;
use vendor::Vendor;

/// The configuration for the module, in the emulator's directory; ready for `P11REST_CONFIG`.
pub const CONFIG_FILE: &str = "p11rest.toml";
/// How it begins.
const CONFIG_HEAD: &str = "version = 1\n\n";
/// Holds the URL for as long as the emulator answers.
pub const READY_FILE: &str = "ready";
/// How long abandoned requests may hold up the end of the emulator.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// The APIs that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Securosys Transaction Security Broker
    Securosys,
    /// FAST HSM
    Fast,
    /// Thales Luna Network HSM
    Luna,
    /// Thales CipherTrust Manager
    CipherTrust,
    /// A signing gateway behind JSON Web Tokens and signed requests
    Gateway,
    /// A transit engine as HashiCorp Vault has it
    Vault,
}

impl Api {
    /// Each with the name that the command line, the settings of a fleet and its folders have for it.
    pub const ALL: [(&'static str, Api); 6] = [
        ("securosys", Api::Securosys),
        ("fast", Api::Fast),
        ("luna", Api::Luna),
        ("ciphertrust", Api::CipherTrust),
        ("gateway", Api::Gateway),
        ("vault", Api::Vault),
    ];

    /// That name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, api)| *api == self).map_or("", |(name, _)| name)
    }
}

/// What it is for people.
impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Api::Securosys => "Securosys TSB",
            Api::Fast => "FAST HSM",
            Api::Luna => "Thales Luna",
            Api::CipherTrust => "CipherTrust Manager",
            Api::Gateway => "signing gateway",
            Api::Vault => "transit engine",
        })
    }
}

/// How to run an emulator.
#[derive(Clone)]
pub struct Options {
    /// Whose API is spoken.
    pub api: Api,
    /// Readings of that vendor's documentation by name and value; those of Securosys are in [`Options::switches`].
    pub settings: Vec<(String, String)>,
    /// Where keys, secrets and the configuration are kept; made if missing, mode 0700.
    pub dir: PathBuf,
    /// The TCP port on 127.0.0.1; 0 = any that is free.
    pub port: u16,
    /// HTTPS with a certificate for localhost from a CA in `dir` (`ca.pem`).
    pub tls: bool,
    /// With `tls`: whether clients must show a certificate. Good and bad ones are in `dir`.
    pub client_auth: ClientAuth,
    /// With `tls`: the newest version.
    pub tls_max: TlsVersion,
    /// Slept before each answer of the vendor's API.
    pub latency: Duration,
    /// Answer a repeated identical request from memory, without cryptography: for benchmarks.
    pub canned: bool,
    /// Closes connections that have had nothing to do for a while; `None`: they stay open.
    pub idle: Option<Idle>,
    /// The PIN of the slot, which is a password or the key-operation API key; [`PIN`] unless told otherwise.
    pub pin: String,
    /// The JSON Web Token that requests must carry; `None`: none is asked for.
    pub bearer: Option<String>,
    /// Readings of the vendor's documentation where it leaves a choice.
    pub switches: Switches,
}

/// PIN and token are secrets.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("api", &self.api)
            .field("settings", &self.settings)
            .field("dir", &self.dir)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .field("client_auth", &self.client_auth)
            .field("tls_max", &self.tls_max)
            .field("latency", &self.latency)
            .field("canned", &self.canned)
            .field("idle", &self.idle)
            .field("pin", &"[redacted]")
            .field("bearer", &self.bearer.as_ref().map(|_| "[redacted]"))
            .field("switches", &self.switches)
            .finish()
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            api: Api::Securosys,
            settings: Vec::new(),
            dir: PathBuf::from("p11rest-emulator"),
            port: 0,
            tls: false,
            client_auth: ClientAuth::None,
            tls_max: TlsVersion::V1_3,
            latency: Duration::ZERO,
            canned: false,
            idle: None,
            pin: PIN.to_owned(),
            bearer: None,
            switches: Switches::default(),
        }
    }
}

/// A running emulator; it ends when dropped.
#[derive(Debug)]
pub struct Emulator {
    url: String,
    port: u16,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    directory: Directory,
    /// The `[[slot]]` of the module's configuration.
    slot: String,
    two_pins: bool,
}

impl Emulator {
    /// Starts an emulator and returns when it answers.
    ///
    /// Writes `p11rest.toml` (ready for `P11REST_CONFIG`) and then `ready`, which holds the URL,
    /// into the directory.
    ///
    /// # Errors
    /// [`Error`] if the directory is in use or damaged, or the port is taken.
    pub fn start(options: Options) -> Result<Emulator, Error> {
        let directory = Directory::open(&options.dir)?;
        remove_if_present(&directory.join(READY_FILE))?;
        let vendor = open(&directory, &options)?;
        let tls = match options.tls {
            true => {
                Some(TlsAcceptor::from(tls::server_config(&directory, options.client_auth, options.tls_max)?))
            }
            false => None,
        };
        let listener = bind(options.port)?;
        let port = listener.local_addr().map_err(Error::server)?.port();
        let url = url_of(port, options.tls);
        let client_auth = options.tls.then_some(options.client_auth);
        let slot = format!(
            "{}{}",
            vendor.module_slot(&directory, &url),
            client_auth.map_or(String::new(), |client_auth| tls_section(&directory, client_auth))
        );
        let two_pins = vendor.takes_two_pins();
        let shared = Arc::new(Shared {
            vendor,
            stats: stats::Stats::default(),
            faults: faults::Faults::default(),
            canned: options.canned.then(Canned::default),
            latency: options.latency,
            idle: options.idle,
        });
        let (stop, stopped) = watch::channel(false);
        let thread = spawn(listener, tls, shared, stopped)?;
        let emulator = Emulator { url, port, stop, thread: Some(thread), directory, slot, two_pins };
        let config = format!("{CONFIG_HEAD}{}", emulator.slot);
        write_atomically(&emulator.directory.join(CONFIG_FILE), config.as_bytes())?;
        let ready = format!("{}\n", emulator.url);
        write_atomically(&emulator.directory.join(READY_FILE), ready.as_bytes())?;
        Ok(emulator)
    }

    /// The base URL, without a trailing slash: `http://127.0.0.1:PORT` or `https://…`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The TCP port on 127.0.0.1: the one that was asked for, or the free one that was taken.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What `C_Login` takes, where the emulator was told that [`Options::pin`] is `pin`.
    pub fn login_pin(&self, pin: &str) -> String {
        if self.two_pins { format!("{pin}:{pin}") } else { pin.to_owned() }
    }

    /// Ends the emulator: requests in progress get a second to finish.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Nothing can be done about a file that will not go away; the next start replaces it.
        let _ = remove_if_present(&self.directory.join(READY_FILE));
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The vendor's side, with the keys and secrets of the directory.
fn open(directory: &Directory, options: &Options) -> Result<Box<dyn Vendor>, Error> {
    let (pin, settings) = (options.pin.as_str(), options.settings.as_slice());
    match options.api {
        Api::Securosys => {
            let (pin, bearer) = (options.pin.clone(), options.bearer.clone());
            Ok(Box::new(Securosys::open(directory, options.switches, pin, bearer)?))
        }
        Api::Fast => fast::open(directory, pin, settings),
        Api::Luna => luna::open(directory, pin, settings),
        Api::CipherTrust => ciphertrust::open(directory, pin, settings),
        Api::Gateway => gateway::open(directory, pin, settings),
        Api::Vault => vault::open(directory, pin, settings),
    }
}

/// `[slot.tls]` of the module's configuration.
fn tls_section(directory: &Directory, client_auth: ClientAuth) -> String {
    let path = |name: &str| toml_string(&directory.join(name).to_string_lossy());
    let mut section = format!("\n[slot.tls]\nca = {}\n", path(tls::CA_FILE));
    if client_auth != ClientAuth::None {
        section.push_str(&format!(
            "identity = {{ certificate = {}, key = {} }}\n",
            path(client_auth::CERTIFICATE_FILE),
            path(client_auth::KEY_FILE),
        ));
    }
    section
}

fn bind(port: u16) -> Result<TcpListener, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map_err(|error| Error::server(format!("127.0.0.1:{port}: {error}")))?;
    listener.set_nonblocking(true).map_err(Error::server)?;
    Ok(listener)
}

fn url_of(port: u16, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{}:{port}", Ipv4Addr::LOCALHOST)
}

/// Runs the server on a thread of its own; from here on the listener answers.
fn spawn(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_io()
        .enable_time()
        .thread_name("emulator")
        .build()
        .map_err(Error::server)?;
    let listener = {
        let _context = runtime.enter();
        tokio::net::TcpListener::from_std(listener).map_err(Error::server)?
    };
    std::thread::Builder::new()
        .name("emulator".to_owned())
        .spawn(move || {
            // Spawned, so that the accept loop runs on a worker that also runs the connections.
            let server = runtime.spawn(server::serve(listener, tls, shared, stop));
            let _ = runtime.block_on(server);
            runtime.shutdown_timeout(SHUTDOWN);
        })
        .map_err(Error::server)
}
