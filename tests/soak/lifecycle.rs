//! Hosts in C that live long: many lives of the module, and many signatures over connections that end.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::support::c::{EMULATOR, Program};
use crate::support::relay::Relay;

/// 500 times C_Initialize, login, signature, C_Finalize: no descriptor, thread or memory is left of them.
#[test]
fn lives_leave_nothing_behind() {
    Program::of("cycles", "cycles").run_on_emulator("", &[("CYCLES", "500".as_ref())]);
}

/// All connections end ten times a second, at any moment of an exchange, with FIN or with FIN and RST. Often enough to hit
/// each state of a connection, and too seldom for one request to be hit on both of its repetitions.
#[test]
fn no_signature_is_lost_with_a_connection() {
    const PAUSE: Duration = Duration::from_millis(100);
    let relay = Relay::to(EMULATOR.port());
    let relayed = format!("https://127.0.0.1:{}", relay.port());
    let configuration = EMULATOR.text("p11rest.toml").replace(EMULATOR.url(), &relayed);
    let before = EMULATOR.stats();
    let mut host = Program::of("steady", "steady")
        .command(&configuration)
        .env("SIGNATURES", "10000")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut said = BufReader::new(host.stdout.take().expect("it is a pipe")).lines();
    said.next().expect("the program logs in").expect("it writes text");
    let (over, end) = channel::<()>();
    let breaker = thread::spawn(move || {
        let mut times = 0;
        while end.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
            relay.hang_up(times % 2 == 1);
            times += 1;
        }
        times
    });
    let status = host.wait().expect("the program ends");
    drop(over);
    assert!(status.success(), "steady: {status}: {:?}", said.collect::<Vec<_>>());
    let times = breaker.join().expect("it does not panic");
    let handshakes = EMULATOR.stats().handshakes - before.handshakes;
    assert!(times > 4 && handshakes > times, "{times} times, {handshakes} handshakes");
}
