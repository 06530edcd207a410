//! The module behind proxies: the same programs and promises as without.

use std::ffi::OsStr;

use cryptoki_sys::*;
use support::c::{EMULATOR, Program, library};
use support::emulator::PIN;
use support::p11::{P11, refused};
use support::proxy::Proxy;
use support::relay::Relay;
use tempfile::NamedTempFile;

mod support;

/// `Aladdin` and `open sesame` (RFC 7617 section 2).
const BASIC: &str = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
const LOGIN: (&str, &str) = ("Aladdin", "open sesame");

/// The emulator's configuration, through a proxy at `url`.
fn through(url: &str, top: &str) -> String {
    let text = EMULATOR.text("p11rest.toml");
    format!(
        "{top}{text}\n[slot.proxy]\nurl = \"{url}\"\nuser = \"{}\"\npassword = \"env:P11REST_TEST_PROXY\"\n",
        LOGIN.0
    )
}

/// Runs a C program behind a proxy. The environment names other ones, which are nobody's business.
fn run(program: &Program, proxy: &Proxy, top: &str, variables: &[(&str, &OsStr)]) {
    let dead = OsStr::new("http://127.0.0.1:1");
    let mut all = vec![
        ("P11REST_TEST_PROXY", OsStr::new(LOGIN.1)),
        ("HTTPS_PROXY", dead),
        ("ALL_PROXY", dead),
        ("NO_PROXY", OsStr::new("*")),
    ];
    all.extend(variables);
    program.run(&through(&proxy.url(), top), &all);
    assert!(!proxy.asked().is_empty());
}

#[test]
fn forks() {
    let program = Program::of("forks", "proxied_forks");
    run(&program, &Proxy::http(Some(BASIC)), "", &[("FORK", "reinitialize".as_ref())]);
}

#[test]
fn transparent_forks() {
    let program = Program::of("forks", "proxied_transparent_forks");
    let top = "fork = \"transparent\"\n";
    run(&program, &Proxy::socks(Some(LOGIN)), top, &[("FORK", "transparent".as_ref())]);
}

#[test]
fn cycles() {
    let program = Program::of("cycles", "proxied_cycles");
    run(&program, &Proxy::socks(Some(LOGIN)), "", &[("CYCLES", "120".as_ref())]);
}

#[test]
fn exits() {
    let program = Program::of("exits", "proxied_exits");
    let late = library("late", program.directory());
    run(&program, &Proxy::http(Some(BASIC)), "", &[("LATE", late.as_os_str())]);
}

/// A write to a connection that was reset raises SIGPIPE, which has its default action in that program.
#[test]
fn broken_connections() {
    let proxy = Proxy::http(Some(BASIC));
    let relay = Relay::to(proxy.port());
    let program = Program::of("proxied", "proxied_broken");
    let config = through(&proxy.url_through(relay.port()), "");
    let said = program.converse(&config, &[("P11REST_TEST_PROXY", OsStr::new(LOGIN.1))], |word| match word {
        "break off" => relay.break_off(),
        "mend" => relay.mend(),
        _ => {}
    });
    assert_eq!(said[..2], ["break off", "mend"]);
}

/// HTTP/2 is offered, and a server that knows HTTP/1.1 alone gets that.
#[test]
fn http2_and_a_refusal_by_a_proxy() {
    let p11 = P11::load();
    let text = EMULATOR.text("p11rest.toml");
    let proxy = Proxy::http(Some("Basic another"));
    let (head, slot) = text.split_once("[[slot]]").expect("there is a slot");
    let second = slot.replace("label = \"securosys\"", "label = \"refused\"");
    let login = format!("user = \"{}\"\npassword = \"{}\"", LOGIN.0, LOGIN.1);
    // Nobody else may read it, as the password wants it.
    let file = NamedTempFile::new().expect("a file can be made");
    let config = format!(
        "{head}[[slot]]\nhttp2 = true{slot}\n[[slot]]{second}\n[slot.proxy]\nurl = \"{}\"\n{login}\n",
        proxy.url()
    );
    std::fs::write(file.path(), config).expect("it can be written");
    p11.initialize(file.path()).unwrap();
    let slots = p11.slots(true).unwrap();
    let session = p11.open(slots[0]).unwrap();
    session.login(PIN).unwrap();
    assert!(session.find(&[]).unwrap().len() > 6);
    // The proxy's refusal is not that of the PIN.
    let refusing = p11.open(slots[1]).unwrap();
    refused(refusing.login(PIN), CKR_DEVICE_ERROR);
    assert_eq!(proxy.asked().len(), 1);
    drop((session, refusing));
    p11.finalize().unwrap();
}

/// The application allows no threads: what needs none works, and where all need one it is told so.
#[test]
fn applications_without_threads() {
    let program = Program::of("proxied_threadless", "proxied_threadless");
    let text = EMULATOR.text("p11rest.toml");
    let (_, slot) = text.split_once("[[slot]]").expect("there is a slot");
    let second = slot.replace("label = \"securosys\"", "label = \"other\"");
    program.run(&format!("{text}\n[[slot]]\nhttp2 = true{second}"), &[("SLOTS", "1".as_ref())]);
    program.run(&text.replace("[[slot]]", "[[slot]]\nhttp2 = true"), &[("SLOTS", "0".as_ref())]);
}
