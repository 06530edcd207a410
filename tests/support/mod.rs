//! What the integration tests stand on: the module as it was built, the emulator as a process of its own, the C API
//! without a wrapper's opinion, and the `openssl` program as the second opinion on everything.
//!
//! Each test program uses a part of it.
#![allow(dead_code)]

use std::env;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub mod administration;
pub mod c;
pub mod emulator;
pub mod gateway;
pub mod mechanism;
pub mod openssl;
pub mod p11;
pub mod proxy;
pub mod relay;
pub mod secrets;
pub mod session;

/// The folder of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The module under test: `P11REST_MODULE`, or the release build.
pub fn module() -> PathBuf {
    built("P11REST_MODULE", "target/release/libp11rest.so", &["src"])
}

/// The command-line tool, which runs the emulator: `P11REST_TOOL`, or the release build.
pub fn tool() -> PathBuf {
    built(
        "P11REST_TOOL",
        "target/release/p11rest",
        // With the ready files that are built into it.
        &[
            "tools/cli/src",
            "tools/emulator/src",
            "pkcs11-test-config/fast.toml",
            "pkcs11-test-config/jwt-hmac-gateway.toml",
            "pkcs11-test-config/vault-transit.toml",
        ],
    )
}

/// A file that was built before. One that is older than its sources would test something else.
fn built(variable: &str, default: &str, sources: &[&str]) -> PathBuf {
    let path = env::var_os(variable).map_or_else(|| root().join(default), PathBuf::from);
    assert!(path.is_file(), "{} is not there: run `make`, or name another in {variable}", path.display());
    let time = path.metadata().and_then(|meta| meta.modified()).expect("a file has a time");
    let fresh = sources.iter().all(|folder| newest(&root().join(folder)) <= time);
    assert!(fresh, "{} is older than its sources {sources:?}: run `make`", path.display());
    // dlopen searches the system for a name without a slash.
    path.canonicalize().expect("a file has a path")
}

/// The time of a file, or of the youngest one below a folder, but for those that are in tests only: they build nothing anew.
fn newest(path: &Path) -> SystemTime {
    if path.is_file() {
        return path.metadata().and_then(|meta| meta.modified()).expect("a file has a time");
    }
    let entries = path.read_dir().expect("the sources can be read");
    let entries = entries.map(|entry| entry.expect("the sources can be read"));
    let is_test = |name: &std::ffi::OsStr| name == "tests" || name == "testing.rs";
    let times = entries.filter(|entry| !is_test(&entry.file_name())).map(|entry| newest(&entry.path()));
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}
