//! Connections are kept, and those that the server ends are not missed.

use std::time::Duration;

use crate::bench_of_signers::Bench;
use crate::support::emulator::{Emulator, PIN};

#[test]
fn a_thousand_signatures_of_one_thread_take_one_connection() {
    for tls in [false, true] {
        let emulator = Emulator::start("securosys", tls);
        let (bench, signer) = Bench::new(&emulator.path("p11rest.toml"), PIN);
        drop(bench.sign(1, 1));
        let before = emulator.stats();
        bench.sign(1, 1000).all_well();
        let after = emulator.stats();
        assert_eq!(after.total - before.total, 1000);
        assert_eq!(after.connections, before.connections);
        assert_eq!(after.handshakes, before.handshakes);
        drop(signer);
    }
}

#[test]
fn ten_thousand_signatures_of_32_threads_take_32_connections() {
    for tls in [false, true] {
        let emulator = Emulator::start_with("securosys", tls, &["--latency-ms", "5"]);
        let before = emulator.stats();
        let (bench, _signer) = Bench::new(&emulator.path("p11rest.toml"), PIN);
        bench.sign(32, 10_000 / 32 + 1).all_well();
        let after = emulator.stats();
        assert!(after.total - before.total >= 10_000);
        // The listing before them may have used its own width of 32; what it opened, they use.
        assert!(after.connections - before.connections <= 32, "{:?}", after.connections - before.connections);
    }
}

/// Without `close_notify`, with a reset, or in good order: the moment is the server's choice, and it often is that of
/// the next request.
#[test]
fn connections_that_the_server_ends_when_idle() {
    for (tls, how) in [(false, "fin"), (false, "rst"), (true, "fin"), (true, "rst"), (true, "silent")] {
        let options = ["--idle-ms", "3", "--idle-how", how];
        let emulator = Emulator::start_with("securosys", tls, &options);
        let (bench, signer) = Bench::new(&emulator.path("p11rest.toml"), PIN);
        let before = emulator.stats().connections;
        for number in 0..300_u64 {
            // About as long as the server waits: before, during and after its end.
            std::thread::sleep(Duration::from_micros(2500 + number % 11 * 100));
            assert_eq!(signer.sign(), Ok(()), "{how}, tls {tls}, the {number}th");
        }
        assert!(emulator.stats().connections - before > 30, "the server did end connections");
        bench.sign(8, 100).all_well();
    }
}
