//! A client's process: threads that do the same again and again.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rustix::time::{ClockId, clock_gettime};

use super::{floor, listing, module};
use crate::failure::Failure;
use crate::report::line;

/// The hidden command behind which it is.
pub const COMMAND: &str = "bench-client";

/// What each thread does before the clocks start: connections are open then, and answers canned.
pub const WARM_UP: usize = 10;

/// What the benchmark tells it. The module's configuration comes in `P11REST_CONFIG`.
#[derive(clap::Args)]
pub struct Args {
    /// Which client.
    #[arg(value_enum)]
    pub kind: Kind,
    /// The emulator's folder.
    #[arg(long)]
    pub dir: PathBuf,
    /// The module, absolute.
    #[arg(long)]
    pub module: PathBuf,
    /// How many threads sign.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// For how long, in milliseconds.
    #[arg(long, conflicts_with = "count", default_value_t = 1000)]
    ms: u64,
    /// How many signatures each thread makes, however long that takes.
    #[arg(long)]
    count: Option<u64>,
}

/// Who signs.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// The module, through `cryptoki`.
    Module,
    /// A bare loop over a socket.
    Bare,
    /// `reqwest::blocking`
    Reqwest,
    /// The module at FAST HSM.
    Fast,
    /// The module at FAST HSM, which a file describes.
    Described,
    /// Nobody: the module lists and finds.
    Listing,
}

impl Kind {
    /// Those that sign; the module is the first.
    pub const SIGNERS: [Kind; 3] = [Kind::Module, Kind::Bare, Kind::Reqwest];

    /// As on the command line, and in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Module => "module",
            Kind::Bare => "bare",
            Kind::Reqwest => "reqwest",
            Kind::Fast => "fast",
            Kind::Described => "described",
            Kind::Listing => "listing",
        }
    }
}

/// What a thread does once for each signature.
pub type Worker = Box<dyn FnMut() -> Result<(), Failure> + Send>;

/// What a client's process measured of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Signatures.
    count: u64,
    /// The time that they took together.
    elapsed_ns: u64,
    /// The processor time of the process meanwhile, user and system.
    cpu_ns: u64,
    /// Half of the signatures took no longer.
    pub p50_ns: u64,
    /// 99 of 100 signatures took no longer.
    pub p99_ns: u64,
}

impl Outcome {
    /// Signatures.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Signatures a second.
    pub fn rate(&self) -> f64 {
        self.count as f64 * 1e9 / self.elapsed_ns as f64
    }

    /// Microseconds of processor time a signature.
    pub fn cpu_us(&self) -> f64 {
        self.cpu_ns as f64 / 1e3 / self.count as f64
    }
}

/// Is a client, and tells what it measured on standard output.
pub fn run(args: &Args) -> Result<(), Failure> {
    let mut workers = match args.kind {
        Kind::Module => module::workers(args, &module::ECDSA)?,
        Kind::Fast => module::workers(args, &module::RSA)?,
        Kind::Described => module::workers(args, &module::DESCRIBED)?,
        Kind::Bare => floor::bare(&args.dir, args.threads)?,
        Kind::Reqwest => floor::reqwest(&args.dir, args.threads)?,
        Kind::Listing => return listing::run(args),
    };
    let outcome = measure(&mut workers, args.count, Duration::from_millis(args.ms))?;
    let Outcome { count, elapsed_ns, cpu_ns, p50_ns, p99_ns } = outcome;
    line(format_args!("{count} {elapsed_ns} {cpu_ns} {p50_ns} {p99_ns}"));
    Ok(())
}

/// Runs a client's process and reads what it measured.
pub fn outcome(command: &mut Command) -> Result<Outcome, Failure> {
    match numbers(command)?[..] {
        [count, elapsed_ns, cpu_ns, p50_ns, p99_ns] if count > 0 && elapsed_ns > 0 => {
            Ok(Outcome { count, elapsed_ns, cpu_ns, p50_ns, p99_ns })
        }
        _ => Err(Failure::new("a client of the benchmark measured nothing")),
    }
}

/// Runs a client's process; the numbers that it tells.
pub fn numbers(command: &mut Command) -> Result<Vec<u64>, Failure> {
    let context = "a client of the benchmark";
    let output = command.stdout(Stdio::piped()).output().map_err(Failure::in_context(context))?;
    if !output.status.success() {
        return Err(Failure::new(format_args!("{context} ended with {}", output.status)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().map(|word| word.parse().map_err(Failure::in_context(context))).collect()
}

fn measure(workers: &mut [Worker], count: Option<u64>, time: Duration) -> Result<Outcome, Failure> {
    let start = Barrier::new(workers.len() + 1);
    let (began, cpu, took) = thread::scope(|scope| {
        let start = &start;
        let threads: Vec<_> =
            workers.iter_mut().map(|worker| scope.spawn(move || work(worker, start, count, time))).collect();
        start.wait();
        let (began, cpu) = (Instant::now(), cpu_time());
        let took: Result<Vec<Vec<u32>>, Failure> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(Failure::new("a thread panicked"))))
            .collect();
        (began, cpu, took)
    });
    let (elapsed, cpu) = (began.elapsed(), cpu_time() - cpu);
    let mut took = took?.concat();
    took.sort_unstable();
    let part = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default().into();
    Ok(Outcome {
        count: took.len() as u64,
        elapsed_ns: nanoseconds(elapsed),
        cpu_ns: nanoseconds(cpu),
        p50_ns: part(50),
        p99_ns: part(99),
    })
}

/// What one thread does; the nanoseconds that each signature took.
fn work(
    worker: &mut Worker,
    start: &Barrier,
    count: Option<u64>,
    time: Duration,
) -> Result<Vec<u32>, Failure> {
    let warm = (0..WARM_UP).try_for_each(|_| worker());
    // Once for all, so that the figures of a counted run have no allocation of ours.
    let mut took = Vec::with_capacity(count.unwrap_or(1 << 17) as usize);
    start.wait();
    warm?;
    let began = Instant::now();
    let mut before = began;
    while count.map_or_else(|| before - began < time, |count| (took.len() as u64) < count) {
        worker()?;
        let now = Instant::now();
        took.push(u32::try_from((now - before).as_nanos()).unwrap_or(u32::MAX));
        before = now;
    }
    Ok(took)
}

/// Of all threads of this process, those that have ended included.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// More than 500 years are that many.
pub fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
