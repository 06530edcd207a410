//! The command-line tool of p11rest.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

mod emulate;

/// p11rest: one PKCS#11 module in front of REST HSMs.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs an emulator of a REST HSM on loopback until SIGINT or SIGTERM.
    Emulate(EmulateArgs),
}

/// What `p11rest emulate` takes.
#[derive(clap::Args)]
struct EmulateArgs {
    /// Where keys, secrets and the ready-made configuration are kept.
    #[arg(long)]
    dir: PathBuf,
    /// Whose API is spoken.
    #[arg(long, default_value = "securosys", value_parser = ["securosys"])]
    vendor: String,
    /// The TCP port; 0 takes any that is free.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Speaks HTTPS with a certificate from an authority of its own (DIR/ca.pem).
    #[arg(long)]
    tls: bool,
    /// How long each answer is held back, in milliseconds.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=600_000))]
    latency_ms: u64,
    /// Answers a repeated request from memory, without cryptography: for benchmarks.
    #[arg(long)]
    canned: bool,
}

impl EmulateArgs {
    fn options(&self) -> p11rest_emulator::Options {
        p11rest_emulator::Options {
            dir: self.dir.clone(),
            port: self.port,
            tls: self.tls,
            latency: Duration::from_millis(self.latency_ms),
            canned: self.canned,
            ..p11rest_emulator::Options::default()
        }
    }
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Emulate(args) => emulate::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("p11rest: {error}");
            ExitCode::FAILURE
        }
    }
}
