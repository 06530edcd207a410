//! The module as callers in C see it: each program of `tests/c` is compiled against the 3.2 header and
//! `include/p11rest.h`, loads the module with `dlopen` and checks it.
//!
//! The module is the release build, or the file that `P11REST_MODULE` names. Its configuration has one slot at an
//! address where nobody listens: none of the programs but `live` may need the network.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::thread;

use support::emulator::Emulator;
use support::relay::Relay;
use support::{module, root};

mod support;

#[test]
fn tables() {
    run("tables");
}

#[test]
fn initialize() {
    run("initialize");
}

#[test]
fn hostile() {
    run("hostile");
}

#[test]
fn fork() {
    run("fork");
}

#[test]
fn lifecycle() {
    run("lifecycle");
}

/// The program says what is to happen to the emulator, a word a line, and goes on when it is answered by a line.
#[test]
fn live() {
    let emulator = Emulator::start("securosys", true);
    let relay = Relay::to(emulator.port());
    let directory = scratch("live");
    let config = directory.join("p11rest.toml");
    let direct = emulator.text("p11rest.toml");
    let (_, slot) = direct.split_once("[[slot]]").expect("there is a slot");
    let relayed = slot
        .replace("label = \"securosys\"", "label = \"relayed\"")
        .replace(emulator.url(), &format!("https://127.0.0.1:{}", relay.port()));
    fs::write(&config, format!("{direct}\n[[slot]]{relayed}")).expect("the scratch directory can be written");
    let program = compile(&root().join("tests/c/live.c"), &directory, &[standard_header()]);
    let mut child = Command::new(program)
        .arg(module())
        .env("P11REST_CONFIG", config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut answers = child.stdin.take().expect("it is a pipe");
    let mut said = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("it is a pipe")).lines() {
        let line = line.expect("the program writes text");
        match line.as_str() {
            "kill" => {
                // Connections of their own: the parent's, its ten children's, and that of the statistics.
                assert!(emulator.stats().handshakes > 10 + 1);
                emulator.kill();
            }
            "restart" => emulator.restart(),
            "break off" => relay.break_off(),
            "mend" => relay.mend(),
            _ => {}
        }
        said.push(line);
        // One that has ended says why by its status.
        let _ = answers.write_all(b"done\n");
    }
    let status = child.wait().expect("the program ends");
    assert!(status.success(), "live: {status}: {said:?}");
    assert_eq!(said[..5], ["kill", "restart", "restart", "break off", "mend"]);
}

#[test]
fn transparent() {
    run_on_emulator("transparent", TRANSPARENT, &[]);
}

#[test]
fn forks() {
    run_on_emulator("forks", "", &[("FORK", "reinitialize")]);
}

#[test]
fn transparent_forks() {
    run_on_emulator("forks", TRANSPARENT, &[("FORK", "transparent")]);
}

/// Other headers define `CKA_VENDOR_DEFINED` in other words; the vendor header needs nothing else, and stands twice.
#[test]
fn the_vendor_header_needs_no_particular_header() {
    let directory = scratch("vendor_header");
    let source = directory.join("vendor_header.c");
    let text = r#"
        #define CKA_VENDOR_DEFINED ((unsigned long)(1UL << 31))
        #include "p11rest.h"
        #include "p11rest.h"
        _Static_assert(CKA_P11REST_KEY_NAME == 0xD0313152UL, "key name");
        _Static_assert(CKA_P11REST_BACKEND == 0xD0313153UL, "back end");
        _Static_assert(CKA_P11REST_APPROVAL == 0xD0313154UL, "approval");
        int main(void) { return sizeof P11REST_RESERVED_PREFIX == sizeof "config=" ? 0 : 1; }
    "#;
    fs::write(&source, text).expect("the scratch directory can be written");
    let program = compile(&source, &directory, &[]);
    let output = Command::new(program).output().expect("the program starts");
    assert!(output.status.success(), "{}", report(&output));
}

/// Compiles `tests/c/{name}.c` and runs it on the module.
fn run(name: &str) {
    let directory = scratch(name);
    let source = root().join("tests/c").join(name).with_extension("c");
    let program = compile(&source, &directory, &[standard_header()]);
    let output = Command::new(program)
        .arg(module())
        .env("P11REST_CONFIG", configuration(&directory))
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{name}: {}", report(&output));
}

/// The emulator, with TLS, of the tests that do not break it.
static EMULATOR: LazyLock<Emulator> = LazyLock::new(|| Emulator::start("securosys", true));

/// A line for the top of a configuration.
const TRANSPARENT: &str = "fork = \"transparent\"\n";

/// Compiles `tests/c/{name}.c` and runs it on the module and the emulator. `top` comes before the emulator's own
/// configuration.
fn run_on_emulator(name: &str, top: &str, variables: &[(&str, &str)]) {
    let directory = scratch(&format!("{name}-{}", thread::current().name().unwrap_or_default()));
    let config = directory.join("p11rest.toml");
    fs::write(&config, format!("{top}{}", EMULATOR.text("p11rest.toml")))
        .expect("the scratch directory can be written");
    let source = root().join("tests/c").join(name).with_extension("c");
    let program = compile(&source, &directory, &[standard_header()]);
    let output = Command::new(program)
        .arg(module())
        .env("P11REST_CONFIG", config)
        .envs(variables.iter().copied())
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{name}: {}", report(&output));
}

/// Compiles without a warning.
fn compile(source: &Path, directory: &Path, include: &[PathBuf]) -> PathBuf {
    let program = directory.join("program");
    let mut cc = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-pthread"]);
    for directory in [root().join("include"), root().join("tests/c")].iter().chain(include) {
        cc.arg("-I").arg(directory);
    }
    let output =
        cc.arg("-o").arg(&program).arg(source).arg("-ldl").output().expect("a C compiler is installed");
    assert!(output.status.success(), "{}: {}", source.display(), report(&output));
    program
}

/// The directory of `pkcs11.h` inside the package cryptoki-sys that this build uses.
fn standard_header() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "cargo metadata: {}", report(&output));
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let package = metadata["packages"]
        .as_array()
        .and_then(|packages| packages.iter().find(|package| package["name"] == "cryptoki-sys"))
        .expect("cryptoki-sys is a dependency");
    let manifest = package["manifest_path"].as_str().expect("a package has a manifest");
    let directory = Path::new(manifest).with_file_name("vendor");
    assert!(directory.join("pkcs11.h").is_file(), "no pkcs11.h in {}", directory.display());
    directory
}

fn configuration(directory: &Path) -> PathBuf {
    let path = directory.join("p11rest.toml");
    let text = r#"version = 1

[[slot]]
label = "unreachable"
backend = "securosys"
urls = [["http://127.0.0.1:1"]]
"#;
    fs::write(&path, text).expect("the scratch directory can be written");
    path
}

/// A directory of this test alone.
fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c_programs").join(name);
    fs::create_dir_all(&directory).expect("the target directory can be written");
    directory
}

fn report(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
