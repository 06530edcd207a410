//! The module as callers in C see it: each program of `tests/c` is compiled against the 3.2 header and
//! `include/p11rest.h`, loads the module with `dlopen` and checks it.
//!
//! The module is the release build, or the file that `P11REST_MODULE` names. Those of the programs that need an HSM have
//! the emulator, over TLS; the others have a slot at an address where nobody listens.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use support::c::{EMULATOR, Program, compile, library, report, scratch, slot_at};
use support::emulator::Emulator;
use support::gateway::Gateway;
use support::openssl::openssl;
use support::relay::Relay;

mod support;

/// A line for the top of a configuration.
const TRANSPARENT: &str = "fork = \"transparent\"\n";

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
    let program = Program::of("live", "live");
    let direct = emulator.text("p11rest.toml");
    let (_, slot) = direct.split_once("[[slot]]").expect("there is a slot");
    let relayed = slot
        .replace("label = \"securosys\"", "label = \"relayed\"")
        .replace(emulator.url(), &format!("https://127.0.0.1:{}", relay.port()));
    let said = program.converse(&format!("{direct}\n[[slot]]{relayed}"), &[], |word| match word {
        "kill" => {
            // Connections of their own: the parent's, its ten children's, and that of the statistics.
            assert!(emulator.stats().handshakes > 10 + 1);
            emulator.kill();
        }
        "restart" => emulator.restart(),
        "break off" => relay.break_off(),
        "mend" => relay.mend(),
        _ => {}
    });
    assert_eq!(said[..5], ["kill", "restart", "restart", "break off", "mend"]);
}

#[test]
fn transparent() {
    let folder = EMULATOR.path("aliases");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("aliases.json");
    let key = EMULATOR.path("keys/ec-p256.pem");
    let arguments = ["req", "-x509", "-key", key.to_str().unwrap(), "-subj", "/CN=kept", "-outform", "DER"];
    let value = STANDARD.encode(openssl(&arguments, b""));
    fs::write(&file, format!(r#"{{"certificates":{{"c":{{"label":"kept","value":"{value}"}}}}}}"#)).unwrap();
    let config =
        format!("{TRANSPARENT}{}\n[slot.catalog]\naliases = {file:?}\n", EMULATOR.text("p11rest.toml"));
    Program::of("transparent", "transparent").run(&config, &[("KEPT", "kept".as_ref())]);
}

#[test]
fn forks() {
    Program::of("forks", "forks").run_on_emulator("", &[("FORK", "reinitialize".as_ref())]);
}

#[test]
fn transparent_forks() {
    let program = Program::of("forks", "transparent_forks");
    program.run_on_emulator(TRANSPARENT, &[("FORK", "transparent".as_ref())]);
}

/// Each of the fifty children gets a token of its own, by the kept PIN or by its own `C_Login`: none shows one of its
/// parent's, and none renews it.
#[test]
fn transparent_forks_with_tokens() {
    let emulator = Emulator::start("securosys", false);
    let gateway = Gateway::to(emulator.port(), 20);
    let program = Program::of("forks", "transparent_forks_with_tokens");
    let config = format!("{TRANSPARENT}{}", gateway.configuration(&emulator, ""));
    program.run(&config, &[("FORK", "transparent".as_ref())]);
    let seen = gateway.seen();
    assert_eq!((seen.logins, seen.replays, seen.mixed), (1 + 50, 0, 0));
    assert!(seen.renewals > 0, "the parent has signed more often than a token is good for");
    // By the parent, and by the half of the children that log out.
    assert_eq!(seen.given_back, 1 + 25);
}

/// What a child does to its login leaves that of its parent alone.
#[test]
fn transparent_with_tokens() {
    let emulator = Emulator::start("securosys", false);
    let gateway = Gateway::to(emulator.port(), 1000);
    let program = Program::of("transparent", "transparent_with_tokens");
    program.run(&format!("{TRANSPARENT}{}", gateway.configuration(&emulator, "")), &[]);
    let seen = gateway.seen();
    assert_eq!((seen.replays, seen.mixed), (0, 0));
    assert!(seen.logins > 1 && seen.given_back > 1, "{} logins, {} given back", seen.logins, seen.given_back);
}

#[test]
fn exits() {
    let program = Program::of("exits", "exits");
    let late = library("late", program.directory());
    program.run_on_emulator("", &[("LATE", late.as_os_str())]);
}

/// No connection is kept.
#[test]
fn exit_connecting() {
    let program = Program::of("exit_connecting", "exit_connecting");
    let late = library("late", program.directory());
    let variables = [("LATE", late.as_os_str()), ("P11REST_SLOT_0_POOL_IDLE", "0ms".as_ref())];
    program.run_on_emulator("", &variables);
}

#[test]
fn threadless() {
    Program::of("threadless", "threadless").run_on_emulator("", &[]);
}

#[test]
fn interrupted() {
    Program::of("interrupted", "interrupted").run_on_emulator("", &[]);
}

#[test]
fn small_stack() {
    Program::of("small_stack", "small_stack").run_on_emulator("", &[]);
}

#[test]
fn silent() {
    // The kernel takes the connection, and nobody ever reads from it.
    let server = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let slot = slot_at(&server.local_addr().expect("it is bound").to_string());
    Program::of("silent", "silent").run(&format!("{slot}\n[slot.timeouts]\ncall = \"8s\"\n"), &[]);
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

/// Runs `tests/c/{name}.c` where no HSM is to be had.
fn run(name: &str) {
    Program::of(name, name).run(&slot_at("127.0.0.1:1"), &[]);
}
