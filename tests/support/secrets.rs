//! What no log may hold, and where the logs are.
//!
//! Every program that loads the module has it log at the finest level into one folder, and writes down beside its log
//! what was secret: `NAME.log` and `NAME.secrets`, the latter with a kind and hexadecimal digits in each line. At the
//! end of the suite `tests/log_check.rs` looks for all of them in all logs.

use std::collections::HashSet;
use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::openssl::to_hex;

/// What is shorter may stand in a log by chance.
pub const SHORTEST: usize = 12;

/// Of longer ones the beginning and the end are kept, so many bytes each.
const KEPT: usize = 64;

/// The folder of the logs; `tests/applications/lib.sh` has the same.
pub fn folder() -> PathBuf {
    let folder = env::var_os("P11REST_LOGS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("logs"));
    fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

/// The log of the module in this process, or in one that it starts under the name of `what`.
pub fn log(what: Option<&str>) -> PathBuf {
    let what = what.map(|what| format!("-{what}")).unwrap_or_default();
    folder().join(format!("{}{what}.log", *NAME))
}

/// The test program with the number of the process.
static NAME: LazyLock<String> = LazyLock::new(|| format!("{}-{}", program(), process::id()));

/// The name of the test program, without the hash that cargo puts behind it.
pub fn program() -> String {
    let path = env::current_exe().expect("the test is a program");
    let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("cargo gives it a plain name");
    stem.rsplit_once('-').map_or(stem, |(name, _)| name).to_owned()
}

/// Writes down what no log may hold. What is shorter than [`SHORTEST`], or is much the same byte, is not looked for.
pub fn register(kind: &str, secret: &[u8]) {
    static KNOWN: LazyLock<Mutex<HashSet<Vec<u8>>>> = LazyLock::new(Mutex::default);
    let (first, last) = (&secret[..secret.len().min(KEPT)], &secret[secret.len().saturating_sub(KEPT)..]);
    for part in [first, last] {
        let tells = part.len() >= SHORTEST && part.iter().collect::<HashSet<_>>().len() >= 6;
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if tells && known.insert(part.to_vec()) {
            let path = folder().join(format!("{}.secrets", *NAME));
            let mut file =
                OpenOptions::new().append(true).create(true).open(path).expect("a file can be made");
            writeln!(file, "{kind} {}", to_hex(part)).expect("it can be written");
        }
    }
}

/// Writes down the secrets that an emulator keeps in its folder: API keys, JWT, passwords, private keys.
pub fn register_folder(folder: &Path) {
    let files =
        [folder.to_owned(), folder.join("keys")].into_iter().filter_map(|folder| folder.read_dir().ok());
    for path in files.flatten().map(|entry| entry.expect("the emulator's folder can be read").path()) {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if !["key", "jwt", "password", "pem", "secret"].contains(&extension) {
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let kind = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match private_part(&text) {
            Some(bytes) => register(kind, &bytes),
            None if extension != "pem" => register(kind, text.trim_end().as_bytes()),
            None => {}
        }
    }
}

/// Bytes of a PEM file that only its owner may know. (In PKCS#8 the scalar of a curve begins at 36 at the latest, and
/// the private exponent of RSA is in the middle; certificates are public.)
fn private_part(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    let inner = text.strip_prefix("-----BEGIN ")?;
    let (label, rest) = inner.split_once("-----")?;
    if label.contains("CERTIFICATE") || label.contains("PUBLIC") {
        return None;
    }
    let digits: String = rest.split("-----").next()?.split_whitespace().collect();
    let der = base64::engine::general_purpose::STANDARD.decode(digits).expect("PEM is Base64");
    let range = match der.len() {
        length @ ..64 => length.saturating_sub(32)..length,
        64..300 => 36..64,
        length => length / 2..length / 2 + 48,
    };
    Some(der[range].to_vec())
}

/// The configuration with the log of this process at the finest level: a file beside it, unless it has a log of its
/// own or is none.
pub fn with_log(config: &Path) -> PathBuf {
    let Ok(text) = fs::read_to_string(config) else { return config.to_owned() };
    if text.contains("[log]") || !text.contains("version = 1") {
        return config.to_owned();
    }
    let log = log(None);
    let path = config.with_extension(format!("{}.toml", process::id()));
    let logged = format!("{text}\n[log]\nlevel = \"trace\"\ntarget = {:?}\n", log.display().to_string());
    // Made private before anything is in it.
    let copied = fs::copy(config, &path).and_then(|_| fs::write(&path, logged));
    copied.map_or_else(|_| config.to_owned(), |()| path)
}
