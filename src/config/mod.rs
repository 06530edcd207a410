//! The configuration: TOML and environment in, a [`Config`] that is valid by construction out.
//!
//! [`load()`] finds the file, lays the environment over it and reads the one tree that results. Each value knows its line
//! or its variable, so that a [`Problem`] can name it. What is wrong inside one slot makes that slot alone unusable.
//! `docs/configuration.md` has every key; `schema.rs` has the same list for the code.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest, Sha256};

mod address;
mod auth;
mod backend;
mod ciphertrust;
mod declared;
pub(crate) mod document;
mod environment;
mod fast;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod hmac;
mod load;
mod luna;
mod problem;
mod proxy;
mod read;
mod schema;
mod secret;
mod slot;
#[cfg(test)]
mod tests;
mod tls;

pub use auth::{
    API_KEY, ApiKeys, Auth, BasicLogin, BodyForm, FieldValue, HeaderKey, PinFormat, RefreshCall, Scheme,
    TokenLogin,
};
pub use backend::{Backend, BackendKind};
pub use ciphertrust::CipherTrust;
pub use declared::Declared;
pub use fast::{Fast, HashInput, Padding};
pub use hmac::Hmac;
pub use load::{Process, load, log_for_problems};
pub use luna::{ApplianceLogin, Luna, Role, SetPin, Shows};
pub use problem::Problem;
pub use proxy::{Proxy, ProxyLogin, ProxyScheme};
pub(crate) use read::read_all;
pub(crate) use schema::nearest;
pub use secret::Secret;
pub use tls::{Identity, Pin, Tls, TlsVersion};

/// The whole configuration. No file means no slots.
#[derive(Debug, Default)]
pub struct Config {
    /// The file that was read; `None` where there is none.
    pub file: Option<PathBuf>,
    /// Where there is none: each place that was looked at, and why it is not the one.
    pub looked: Vec<String>,
    /// What the child of a fork finds.
    pub fork: Fork,
    /// The log.
    pub log: Log,
    /// The slots in the order of the file, each with its id. One bad slot does not spoil the others.
    pub slots: Vec<Slot>,
}

impl Config {
    /// The slot with this label, hidden ones included, if it is usable.
    pub fn token(&self, label: &str) -> Option<&Token> {
        self.slots.iter().filter_map(|slot| slot.token.as_ref().ok()).find(|token| token.label == label)
    }

    /// Takes the token from every slot that needs a thread, for an application that allows none. Says whether that
    /// leaves no slot with a token where there would be one.
    pub fn forbid_threads(&mut self) -> bool {
        let mut forbidden = false;
        for slot in &mut self.slots {
            if let Ok(token) = &slot.token
                && token.needs_thread()
            {
                let key = if token.proxy.is_some() { "slot.proxy" } else { "slot.http2" };
                let file = self.file.as_deref();
                slot.token = Err(Problem::of_the_application(
                    file,
                    key,
                    "needs a thread, and the application allows none (CKF_LIBRARY_CANT_CREATE_OS_THREADS)",
                    "take out slot.proxy and slot.http2, or let the application allow threads",
                ));
                forbidden = true;
            }
        }
        let mut shown = self.slots.iter().filter(|slot| !slot.hidden);
        forbidden && shown.all(|slot| slot.token.is_err())
    }
}

/// What the child of a fork finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fork {
    /// A module that is not initialised, as the standard says: it calls `C_Initialize`.
    #[default]
    Reinitialize,
    /// Sessions, handles and login of its parent.
    Transparent,
}

/// Where the log goes and how much of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The finest level that is written.
    pub level: Level,
    /// The sink.
    pub target: LogTarget,
}

/// How fine the log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    Off,
    /// What failed.
    Error,
    /// What was odd, and what the caller should mend.
    #[default]
    Warn,
    /// One line for each log-in, listing and change.
    Info,
    /// One line for each request.
    Debug,
    /// One line for each C call.
    Trace,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "OFF",
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        })
    }
}

/// The sink of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogTarget {
    /// Nowhere: a library has no business on its host's terminal unless asked.
    #[default]
    None,
    /// Standard error of the host.
    Stderr,
    /// A file, appended to, made with mode 0600.
    File(PathBuf),
}

/// A slot: usable, or named with the reason why it has no token.
#[derive(Debug)]
pub struct Slot {
    /// The `CK_SLOT_ID`.
    pub id: u64,
    /// Whether applications do not see it: it serves another slot.
    pub hidden: bool,
    /// What the slot is, or why it is nothing.
    pub token: Result<Token, Problem>,
}

/// Where a slot that does no cryptography itself takes it from.
#[derive(Debug)]
pub struct Crypto {
    /// The label of the slot whose service signs and decrypts.
    pub slot: String,
    /// What stands in the PIN between the slot's own and that of the other; `None`: the PIN is all the slot's own.
    pub pin_split: Option<String>,
}

/// What one slot's token is and how to reach it.
#[derive(Debug)]
pub struct Token {
    /// `CK_TOKEN_INFO.label`: 1 to 32 bytes of UTF-8, unique among the slots.
    pub label: String,
    /// The dialect.
    pub backend: Backend,
    /// The members of the HSM service: groups in order of preference, members of a group as equals. Never empty.
    pub members: Vec<Vec<Url>>,
    /// Where cryptography comes from, if not from there.
    pub crypto: Option<Crypto>,
    /// The credentials.
    pub auth: Auth,
    /// TLS.
    pub tls: Tls,
    /// What all requests go through.
    pub proxy: Option<Proxy>,
    /// Whether HTTP/2 is offered to the members, all of which speak TLS then.
    pub http2: bool,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// The connection pool of each member.
    pub pool: Pool,
    /// Second requests for what is answered late, if there are any.
    pub hedge: Option<Hedge>,
    /// How keys are listed and kept.
    pub catalog: Catalog,
    /// PEM or DER files, or directories of them, with certificates of keys in this slot.
    pub certificates: Vec<PathBuf>,
    /// What the HSM will not tell of single keys.
    pub keys: Vec<Key>,
    /// Mechanisms to offer, `CKM_*` names; `None`: all that the back end can do.
    pub mechanisms: Option<Vec<String>>,
    /// Those of them not to offer: exact, or with `*` for any run of characters.
    pub hide_mechanisms: Vec<String>,
    /// How `CKA_EC_POINT` of Edwards keys is encoded.
    pub edwards_point: EdwardsPoint,
}

impl Token {
    /// `CK_TOKEN_INFO.serialNumber`, the same in every process: the last 16 digits of a partition's id where the
    /// configuration has that, else 16 hexadecimal digits made of the first URL and the label.
    pub fn serial_number(&self) -> [u8; 16] {
        if let Backend::Luna(luna) = &self.backend
            && let Some(id) = luna.partition_id()
        {
            let mut serial = [b' '; 16];
            let digits = id.as_bytes();
            let last = digits.len().saturating_sub(serial.len());
            serial.iter_mut().zip(&digits[last..]).for_each(|(place, digit)| *place = *digit);
            return serial;
        }
        let mut hash = Sha256::new();
        if let Some(url) = self.members.first().and_then(|group| group.first()) {
            hash.update(url.to_string());
        }
        // A URL has no NUL, so no other pair of URL and label gives these bytes.
        hash.update([0]);
        hash.update(&self.label);
        let digits = hash.finalize().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let mut serial = [b'0'; 16];
        for (place, digit) in serial.iter_mut().zip(digits) {
            *place = if digit < 10 { b'0' + digit } else { b'A' + digit - 10 };
        }
        serial
    }

    /// A slot of Securosys with all that may be left out left out, for tests. It has no member.
    #[cfg(test)]
    pub(crate) fn plain(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            backend: Backend::Securosys,
            members: Vec::new(),
            crypto: None,
            auth: Auth::default(),
            tls: Tls::default(),
            proxy: None,
            http2: false,
            timeouts: Timeouts { connect: Duration::from_secs(5), call: Duration::from_secs(10) },
            pool: Pool { max: 16, idle: Duration::from_secs(10) },
            hedge: None,
            catalog: Catalog {
                refresh: Duration::from_secs(60),
                capacity: 100,
                width: 4,
                hide: Vec::new(),
                aliases: None,
                hide_types: Vec::new(),
                missing_certificates: MissingCertificates::None,
                cache: None,
            },
            certificates: Vec::new(),
            keys: Vec::new(),
            mechanisms: None,
            hide_mechanisms: Vec::new(),
            edwards_point: EdwardsPoint::Raw,
        }
    }

    /// Whether the mechanism of this name may be offered.
    pub fn allows_mechanism(&self, name: &str) -> bool {
        let listed = self.mechanisms.as_ref().is_none_or(|names| names.iter().any(|listed| listed == name));
        listed && !self.hide_mechanisms.iter().any(|pattern| matches(pattern, name))
    }

    /// Whether the slot needs a thread of the module's own, since proxies and HTTP/2 do.
    pub fn needs_thread(&self) -> bool {
        self.proxy.is_some() || self.http2
    }

    /// Whether a secret is left for `C_Login` to bring (`CKF_LOGIN_REQUIRED`).
    pub fn login_required(&self) -> bool {
        // The password of a role of the partition, or that of the appliance.
        if matches!(self.backend, Backend::Luna(_)) {
            return true;
        }
        let Auth { bearer, api_key, pin_format: _, user: _, password, basic, header, token, hmac } =
            &self.auth;
        let ApiKeys { key_management, key_operation, approver, service, approver_key_management } = api_key;
        let lists = [key_management, key_operation, approver, service, approver_key_management];
        let password = (token.is_some() || self.backend.kind().logs_in_by_itself()).then_some(password);
        let basic = basic.as_ref().map(|basic| &basic.password);
        let header = header.as_ref().map(|header| &header.value);
        let hmac = hmac.as_ref().map(|hmac| &hmac.secret);
        let layers = password.into_iter().chain(basic).chain(header).chain(hmac);
        let secrets = bearer.iter().chain(lists.into_iter().flatten()).chain(layers);
        secrets.into_iter().any(Secret::is_pin)
    }
}

/// Scheme, host, port and base path of one member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// Port, 1 to 65535.
    pub port: u16,
    /// Base path: empty, or begins with `/` and does not end with one.
    pub path: String,
}

impl fmt::Display for Url {
    /// With the port, always: `https://hsm:443/base`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{open}{}{close}:{}{}", self.host, self.port, self.path)
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first SYN to the end of the TLS handshake.
    pub connect: Duration,
    /// A whole C call, with all that it needs.
    pub call: Duration,
}

/// The connection pool of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Connections at the same time, idle ones included.
    pub max: usize,
    /// How long an idle connection is kept.
    pub idle: Duration,
}

/// When a request is sent a second time because its answer is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hedge {
    /// How long nothing must have come.
    pub after: Duration,
    /// How many of a hundred calls may be sent twice, 1 to 100.
    pub budget: u32,
}

/// How keys are listed and kept.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// How long a listing is believed.
    pub refresh: Duration,
    /// How many keys' attributes are kept.
    pub capacity: usize,
    /// How many attribute requests are in flight at once.
    pub width: usize,
    /// Names not to show: exact, or with `*` for any run of characters. The built-in ones are among them, unless
    /// `show_internal` dropped them.
    pub hide: Vec<String>,
    /// Where labels and ids that applications give to keys are kept, and certificates that they bring; `None`: they cannot.
    pub aliases: Option<PathBuf>,
    /// Types of keys not to show.
    pub hide_types: Vec<KeyFamily>,
    /// What is shown beside a pair that has no certificate.
    pub missing_certificates: MissingCertificates,
    /// Where public attributes are kept between processes, mode 0600; `None`: nowhere.
    pub cache: Option<PathBuf>,
}

/// What takes the place of a certificate that a key pair does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingCertificates {
    /// Nothing.
    None,
    /// One that nobody signed (RFC 9925).
    Unsigned,
    /// One that the key signs, once: it is kept where the aliases are.
    SelfSigned,
}

impl Catalog {
    /// Whether the key of this name is not to be shown.
    pub fn hides(&self, name: &str) -> bool {
        self.hide.iter().any(|pattern| matches(pattern, name))
    }
}

/// Whether `pattern`, in which `*` stands for any run of characters, is all of `name`.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(head) else { return false };
    let mut pieces = tail.split('*');
    let last = pieces.next_back().unwrap_or_default();
    for piece in pieces {
        // The first place is as good as any later one: what follows has the more room.
        let Some(at) = rest.find(piece) else { return false };
        rest = rest.get(at + piece.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

/// What the HSM will not tell of one key, from `[[slot.key]]`.
#[derive(Clone, Debug)]
pub struct Key {
    /// The name at the HSM: of FAST HSM the serial number of the certificate.
    pub name: String,
    /// `CKA_LABEL`, where that is not the name.
    pub label: Option<String>,
    /// `CKA_ID` instead of the default one.
    pub id: Option<Vec<u8>>,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Option<Vec<u8>>,
    /// X.509 certificate, DER.
    pub certificate: Option<Vec<u8>>,
    /// The type, where no public key says it.
    pub key_type: Option<KeyType>,
    /// Whether each use needs the key's password (`CKA_ALWAYS_AUTHENTICATE`).
    pub password: bool,
}

/// Keys that applications tell apart by `CKA_KEY_TYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum KeyFamily {
    Rsa,
    Ec,
    Ed25519,
    Aes,
    Hmac,
}

impl KeyFamily {
    /// By their names in the configuration.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("rsa", Self::Rsa),
        ("ec", Self::Ec),
        ("ed25519", Self::Ed25519),
        ("aes", Self::Aes),
        ("hmac", Self::Hmac),
    ];
}

/// The type of a key without a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// AES of 128, 192 or 256 bits.
    Aes {
        /// 16, 24 or 32.
        bytes: usize,
    },
}

/// How `CKA_EC_POINT` of Edwards keys is encoded: the standard and some applications differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EdwardsPoint {
    /// The bytes of RFC 8032, as PKCS#11 3.1 and later say.
    #[default]
    Raw,
    /// The same in a DER OCTET STRING, as older applications expect.
    OctetString,
}
