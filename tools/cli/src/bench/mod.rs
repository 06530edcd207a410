//! `p11rest bench`: the module beside two floors that send the same bytes, against emulators with canned answers.
//!
//! Every client is a process of its own, so that processor time, system calls and allocations are its alone. The
//! clients of one cell take turns, because they share the machine with the emulator and with each other.
//!
//! ```text
//! cells    what is measured: scheme, latency, threads
//! hsm      the emulators, processes of their own
//! record   the bytes that the module sends
//! client   a client's process: threads that sign, processor time, latencies;   module, floor: what the threads do
//! listing  a client that lists and finds
//! batches  what threads gain that share requests at FAST HSM
//! described  what a description costs
//! counting system calls and allocations of such a process: strace, and a count of malloc
//! table    the report
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::Failure;
use crate::report::line;
use crate::{demo, library};
use cells::{Cell, Figures, Plan, median};
use client::Kind;
use counting::Counter;
use hsm::{Hsm, Vendor};

mod batches;
mod cells;
pub mod client;
mod counting;
mod described;
mod floor;
mod hsm;
mod listing;
mod module;
mod record;
mod table;

/// What `p11rest bench` takes.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  About five minutes on a machine that has nothing else to do:
    p11rest bench --out bench")]
pub struct Args {
    /// The module; else $P11REST_MODULE, else libp11rest.so in the folder of this program.
    #[arg(long)]
    module: Option<PathBuf>,
    /// Where report.md and figures.tsv go; made if missing.
    #[arg(long, default_value = "bench")]
    out: PathBuf,
    /// A few short cells: shows that all works, and measures nothing of worth.
    #[arg(long)]
    quick: bool,
}

/// What all measurements have in common.
struct Bench {
    program: PathBuf,
    module: PathBuf,
    plan: Plan,
    counter: Counter,
}

/// Measures everything and writes the report.
pub fn run(args: &Args) -> Result<(), Failure> {
    let module = library::find(args.module.as_deref())?;
    fs::create_dir_all(&args.out).map_err(Failure::in_context(args.out.display()))?;
    let work = tempfile::tempdir_in(&args.out).map_err(Failure::in_context(args.out.display()))?;
    let work = work.path().canonicalize().map_err(Failure::in_context(args.out.display()))?;
    let program = std::env::current_exe().map_err(Failure::in_context("path of this program"))?;
    let plan = if args.quick { Plan::quick() } else { Plan::full() };
    let bench = Bench { program, module, plan, counter: Counter::new(&work)? };
    let cells = bench.signatures(&work)?;
    let listing = listing::measure(&bench, &work)?;
    let batches = batches::measure(&bench, &work)?;
    let described = described::measure(&bench, &work)?;
    let report = table::Report {
        plan: &bench.plan,
        cells: &cells,
        listing: &listing,
        batches: &batches,
        described: &described,
    };
    report.write(&args.out)?;
    line(report.markdown());
    line(format_args!("In {}: report.md, figures.tsv", args.out.display()));
    Ok(())
}

impl Bench {
    /// All the cells, in the order of the plan.
    fn signatures(&self, work: &Path) -> Result<Vec<(Cell, [Figures; 3])>, Failure> {
        let mut results = Vec::new();
        // Once, over plain HTTP: TLS would hide the bytes, and they are the same.
        let recorded = record::request(
            self,
            &Hsm::start(&self.program, &work.join("record"), Vendor::Securosys, false, 0)?,
        )?;
        for (tls, latency) in self.plan.servers() {
            let scheme = if tls { "https" } else { "http" };
            let dir = work.join(format!("{scheme}-{latency}"));
            let hsm = Hsm::start(&self.program, &dir, Vendor::Securosys, tls, latency)?;
            record::hand_over(&recorded, &hsm)?;
            for threads in self.plan.threads.iter().copied() {
                let cell = Cell { tls, latency, threads };
                let figures = self.cell(&hsm, cell)?;
                line(format_args!("{cell}: {:.0} signatures/s", figures[0].rate));
                results.push((cell, figures));
            }
        }
        Ok(results)
    }

    /// One cell: the clients in turn, several times, and then their counts.
    fn cell(&self, hsm: &Hsm, cell: Cell) -> Result<[Figures; 3], Failure> {
        let mut runs: [Vec<client::Outcome>; 3] = Default::default();
        let mut connections = [0; 3];
        for _ in 0..self.plan.repetitions {
            for (at, kind) in Kind::SIGNERS.into_iter().enumerate() {
                let before = hsm.connections()?;
                let limit = ["--ms".to_owned(), self.plan.ms.to_string()];
                let mut command = self.client(kind, hsm, cell.threads, &limit);
                runs[at].push(client::outcome(&mut command)?);
                connections[at] = hsm.connections()? - before;
            }
        }
        let mut figures: [Figures; 3] = Default::default();
        for (at, kind) in Kind::SIGNERS.into_iter().enumerate() {
            let (few, many) = self.plan.counted(cell);
            let command =
                |count: u64| self.client(kind, hsm, cell.threads, &["--count".to_owned(), count.to_string()]);
            let more = ((many - few) * cell.threads as u64) as f64;
            let over = |mut measure: Box<dyn FnMut(Command) -> Result<u64, Failure> + '_>| {
                let (first, second) = (measure(command(few))?, measure(command(many))?);
                Ok::<_, Failure>((second as f64 - first as f64) / more)
            };
            figures[at] = Figures {
                rate: median(runs[at].iter().map(client::Outcome::rate)),
                p50_us: median(runs[at].iter().map(|run| run.p50_ns as f64 / 1e3)),
                p99_us: median(runs[at].iter().map(|run| run.p99_ns as f64 / 1e3)),
                cpu_us: median(runs[at].iter().map(client::Outcome::cpu_us)),
                system_calls: over(Box::new(|command| self.counter.system_calls(command)))?,
                allocations: over(Box::new(|command| self.counter.allocations(command)))?,
                connections: connections[at],
                rate_to_module: median_ratio(&runs[0], &runs[at], client::Outcome::rate),
                cpu_to_module: median_ratio(&runs[0], &runs[at], client::Outcome::cpu_us),
            };
        }
        Ok(figures)
    }

    /// The command of one client of `hsm`.
    fn client(&self, kind: Kind, hsm: &Hsm, threads: usize, limit: &[String]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(client::COMMAND).arg(kind.name());
        command.arg("--dir").arg(hsm.dir()).arg("--module").arg(&self.module);
        command.arg("--threads").arg(threads.to_string()).args(limit);
        demo::without_slot_variables(&mut command);
        command.env("P11REST_CONFIG", hsm.config()).env_remove("P11REST_LOG");
        command.stdin(Stdio::null()).stderr(Stdio::inherit());
        command
    }
}

/// The median over the repetitions of the module's figure to that of another client, which ran next to it.
fn median_ratio(
    module: &[client::Outcome],
    other: &[client::Outcome],
    figure: impl Fn(&client::Outcome) -> f64,
) -> f64 {
    median(module.iter().zip(other).map(|(module, other)| figure(module) / figure(other)))
}
