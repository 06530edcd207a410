//! What it gains at FAST HSM that threads share requests: `slot.fast.batch_window`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::Bench;
use super::cells::median;
use super::client::{self, Kind, WARM_UP};
use super::hsm::{Hsm, Vendor};
use crate::failure::Failure;
use crate::report::line;

/// How long the server holds each answer back, in milliseconds.
const LATENCY: u64 = 20;
/// How many threads sign.
const THREADS: usize = 32;
/// The request that signs, as the emulator's statistics have it.
const SIGN: &str = "POST /api/sign/signhash";
/// Connections at most, and the window in milliseconds: a service that answers all threads at once, and one that answers
/// few at a time.
const SETTINGS: [(usize, u64); 6] = [(64, 0), (64, 2), (64, 10), (4, 0), (4, 2), (4, 10)];

/// What was measured with one setting.
pub struct Row {
    connections: usize,
    window: u64,
    rate: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_us: f64,
    /// Signatures a request.
    shared: f64,
}

/// Signs without batches and with them, `plan.repetitions` times each.
pub fn measure(bench: &Bench, work: &Path) -> Result<Vec<Row>, Failure> {
    let hsm = Hsm::start(&bench.program, &work.join("batches"), Vendor::Fast, false, LATENCY)?;
    let limit = ["--ms".to_owned(), bench.plan.ms.to_string()];
    let mut rows = Vec::new();
    for (connections, window) in SETTINGS {
        let config = configure(&hsm, connections, window)?;
        let (mut runs, mut shared) = (Vec::new(), Vec::new());
        for _ in 0..bench.plan.repetitions {
            let before = hsm.requests(SIGN)?;
            let mut command = bench.client(Kind::Fast, &hsm, THREADS, &limit);
            let run = client::outcome(command.env("P11REST_CONFIG", &config))?;
            let signed = run.count() + (WARM_UP * THREADS) as u64;
            shared.push(signed as f64 / (hsm.requests(SIGN)? - before) as f64);
            runs.push(run);
        }
        let row = Row {
            connections,
            window,
            rate: median(runs.iter().map(client::Outcome::rate)),
            p50_us: median(runs.iter().map(|run| run.p50_ns as f64 / 1e3)),
            p99_us: median(runs.iter().map(|run| run.p99_ns as f64 / 1e3)),
            cpu_us: median(runs.iter().map(client::Outcome::cpu_us)),
            shared: median(shared.into_iter()),
        };
        line(format_args!(
            "FAST HSM, {LATENCY} ms, threads: {THREADS}, connections: {connections}, window: {window} ms: {:.0} signatures/s",
            row.rate
        ));
        rows.push(row);
    }
    Ok(rows)
}

/// The emulator's configuration with this setting.
fn configure(hsm: &Hsm, connections: usize, window: u64) -> Result<PathBuf, Failure> {
    let path = hsm.config();
    let text = fs::read_to_string(&path).map_err(Failure::in_context(path.display()))?;
    let lines = format!("fast.batch_window = \"{window}ms\"\npool.max = {connections}\n\n[[slot.key]]");
    let path = hsm.dir().join(format!("batches-{connections}-{window}.toml"));
    let text = text.replacen("\n[[slot.key]]", &lines, 1);
    fs::write(&path, text).map_err(Failure::in_context(path.display()))?;
    Ok(path)
}

/// The table as Markdown.
pub fn markdown(rows: &[Row]) -> String {
    let mut text = format!(
        "| FAST HSM, {LATENCY} ms, {THREADS} threads | | signatures/s | p50 µs | p99 µs | CPU µs | signatures a request |\n\
         |---|---|--:|--:|--:|--:|--:|\n"
    );
    for Row { connections, window, rate, p50_us, p99_us, cpu_us, shared } in rows {
        let batch = match window {
            0 => "without batch".to_owned(),
            _ => format!("with batch, {window} ms"),
        };
        let _ = writeln!(
            text,
            "| {batch} | {connections} connections | {rate:.0} | {p50_us:.0} | {p99_us:.0} | {cpu_us:.1} | {shared:.1} |"
        );
    }
    text
}

/// The figures for programs.
pub fn tsv(rows: &[Row]) -> String {
    let mut text = String::from(
        "\nbatch_window_ms\tconnections\tsignatures_per_s\tp50_us\tp99_us\tcpu_us\tsignatures_a_request\n",
    );
    for Row { connections, window, rate, p50_us, p99_us, cpu_us, shared } in rows {
        let _ = writeln!(text, "{window}\t{connections}\t{rate}\t{p50_us}\t{p99_us}\t{cpu_us}\t{shared}");
    }
    text
}
