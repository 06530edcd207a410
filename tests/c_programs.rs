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

/// Counts, not times: they are the same on a busy machine. What the program does once is taken off.
#[test]
fn a_signature_takes_three_system_calls_and_ten_allocations_at_most() {
    const FEW: u64 = 50;
    const MORE: u64 = 1000;
    let directory = scratch("sign");
    let program = compile(&root().join("tests/c/sign.c"), &directory, &[standard_header()]);
    let library = allocation_counter(&directory);
    for tls in [false, true] {
        let emulator = Emulator::start_with("securosys", tls, &["--canned"]);
        let more = |count: &dyn Fn(u64) -> u64| count(FEW + MORE) - count(FEW);
        let run = |mut command: Command, number: u64| {
            command.arg(module()).arg(number.to_string()).env("P11REST_CONFIG", emulator.path("p11rest.toml"));
            let output = command.output().expect("the program starts");
            assert!(output.status.success(), "{}", report(&output));
        };
        let file = directory.join("counted");
        let counted = || fs::read_to_string(&file).expect("something was counted");
        let system_calls = more(&|number| {
            let mut command = Command::new("strace");
            command.args(["-f", "-c", "-o"]).arg(&file).arg(&program);
            run(command, number);
            let summary = counted();
            let total = summary.lines().rfind(|line| line.ends_with(" total")).expect("strace adds up");
            total.split_whitespace().nth(3).and_then(|calls| calls.parse().ok()).expect("a number of calls")
        });
        let allocations = more(&|number| {
            let mut command = Command::new(&program);
            command.env("LD_PRELOAD", &library).env("P11REST_ALLOCATIONS", &file);
            run(command, number);
            counted().trim().parse().expect("a number of allocations")
        });
        // One in a hundred may have more to do, such as setting a timeout anew.
        assert!((MORE..=3 * MORE + MORE / 100).contains(&system_calls), "{system_calls}, TLS: {tls}");
        assert!((1..=10 * MORE + MORE / 100).contains(&allocations), "{allocations}, TLS: {tls}");
    }
}

/// The benchmark's library that counts allocations.
fn allocation_counter(directory: &Path) -> PathBuf {
    let library = directory.join("allocations.so");
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]).arg(&library);
    let output = cc.arg(root().join("tools/cli/src/bench/allocations.c")).output().expect("cc starts");
    assert!(output.status.success(), "{}", report(&output));
    library
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
