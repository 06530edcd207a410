//! What is measured, and how long.

use std::fmt;

/// How much is measured.
pub struct Plan {
    /// Numbers of signing threads.
    pub threads: &'static [usize],
    /// How long the server holds each answer back, in milliseconds.
    latencies: &'static [u64],
    /// How long one run takes, in milliseconds.
    pub ms: u64,
    /// How often each client of a cell has its turn.
    pub repetitions: usize,
    /// Keys that are listed.
    pub keys: usize,
    /// Signatures of a thread by which the longer of two counted runs is longer, without latency and by one thread.
    counted: u64,
}

impl Plan {
    /// What the report of a release shows.
    pub fn full() -> Plan {
        Plan {
            threads: &[1, 2, 8, 32],
            latencies: &[0, 5],
            ms: 1000,
            repetitions: 3,
            keys: 1000,
            counted: 3200,
        }
    }

    /// What shows in seconds that all works.
    pub fn quick() -> Plan {
        Plan { threads: &[1, 2], latencies: &[0], ms: 50, repetitions: 1, keys: 12, counted: 200 }
    }

    /// Whether TLS, and the latency in milliseconds, of each server.
    pub fn servers(&self) -> impl Iterator<Item = (bool, u64)> + '_ {
        let with = |tls| self.latencies.iter().map(move |latency| (tls, *latency));
        with(false).chain(with(true))
    }

    /// How many signatures each thread makes in the shorter and in the longer of two runs that are counted. What a
    /// client does once, and while its threads find their connections, is in both.
    pub fn counted(&self, cell: Cell) -> (u64, u64) {
        const FEW: u64 = 20;
        let more = self.counted / cell.threads as u64;
        // So many answers that are held back take a second.
        let more = 1000_u64.checked_div(cell.latency).map_or(more, |most| more.min(most));
        (FEW, FEW + more)
    }
}

/// One cell of the table.
#[derive(Clone, Copy)]
pub struct Cell {
    /// HTTPS.
    pub tls: bool,
    /// How long the server holds each answer back, in milliseconds.
    pub latency: u64,
    /// Signing threads.
    pub threads: usize,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "HTTPS" } else { "HTTP" };
        write!(f, "{scheme}, {} ms, threads: {}", self.latency, self.threads)
    }
}

/// What was measured of one client in one cell.
#[derive(Clone, Copy, Default)]
pub struct Figures {
    /// Signatures a second.
    pub rate: f64,
    /// Half of the signatures took no longer, in microseconds.
    pub p50_us: f64,
    /// 99 of 100 signatures took no longer, in microseconds.
    pub p99_us: f64,
    /// Processor time a signature, user and system, in microseconds.
    pub cpu_us: f64,
    /// System calls a signature.
    pub system_calls: f64,
    /// Heap allocations a signature.
    pub allocations: f64,
    /// Connections that one run opened.
    pub connections: u64,
    /// The module's rate to this one.
    pub rate_to_module: f64,
    /// The module's processor time to this one.
    pub cpu_to_module: f64,
}

/// The middle one; of an even number the upper of the two.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
