//! The command-line tool of p11rest.
//!
//! ```text
//! main         arguments
//! options      what `emulate` takes
//! emulate      an emulated HSM on loopback until a signal
//! demo         an emulated HSM, and the application below as a process of its own
//! application  what a PKCS#11 application does: load, log in, list, sign
//! scheme       the signature schemes and their names elsewhere
//! openssl      verification by somebody else
//! library      libp11rest.so: where it is, loading it
//! token        list, sign, verify, public-key, random, generate, delete: through the module, as any application
//! init         a configuration for one slot
//! reference    docs/configuration.md, which has every key
//! manual       manual pages and shell completion
//! by_hand      the commands that do the same in a shell
//! luna         what an administrator of a Luna appliance does once
//! bench        the module beside a bare loop and reqwest, as processes of their own
//! report       progress on standard output
//! failure      what went wrong and what helps
//! refusal      the same, where the module says no
//! ```
//!
//! Exit status: 0 done, 1 failed, 2 wrong arguments.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand};

mod application;
mod bench;
mod by_hand;
mod demo;
mod emulate;
mod failure;
mod init;
mod library;
mod luna;
mod manual;
mod openssl;
mod options;
mod reference;
mod refusal;
mod report;
mod scheme;
mod token;

/// p11rest: one PKCS#11 module in front of REST HSMs.
#[derive(Parser)]
#[command(
    name = "p11rest",
    version,
    about,
    after_help = "\
Examples:
  Without an HSM: emulate one, sign, and verify with OpenSSL:
    p11rest demo
  With one: write a configuration, look, sign:
    p11rest init
    p11rest list --objects
    p11rest sign --key KEY --in FILE --out FILE.sig

\"p11rest COMMAND --help\" has examples of each command; p11rest(1) and p11rest.toml(5) have all of it."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes a configuration for the module.
    Init(init::Args),
    #[command(flatten)]
    Token(token::Command),
    /// Signs a file through the module with keys of an emulated HSM, and lets OpenSSL verify it.
    Demo(DemoArgs),
    /// The half of the demo that loads the module.
    #[command(name = application::COMMAND, hide = true)]
    Application(application::Args),
    /// Runs an emulator of a REST HSM on loopback until SIGINT or SIGTERM.
    Emulate(Box<options::EmulateArgs>),
    /// Prepares a Thales Luna appliance for the module.
    Luna(luna::Args),
    /// Writes a script for a shell that completes the commands and options of this program.
    Completion(manual::CompletionArgs),
    /// Writes the manual pages p11rest(1) and p11rest.toml(5).
    Man(manual::ManArgs),
    /// Measures the module beside two other clients of an emulated HSM. Needs strace and a C compiler.
    Bench(bench::Args),
    /// One client of the benchmark.
    #[command(name = bench::client::COMMAND, hide = true)]
    BenchClient(bench::client::Args),
}

/// What `p11rest demo` takes.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  Everything, from an emulated HSM to signatures that OpenSSL verifies:
    p11rest demo
  With a file of yours, in a folder that stays:
    p11rest demo --dir /tmp/hsm --file contract.pdf")]
struct DemoArgs {
    /// The module; else $P11REST_MODULE, else libp11rest.so in the folder of this program.
    #[arg(long)]
    module: Option<PathBuf>,
    /// Where to work: the keys of an emulator that ran there before are used again; else a new temporary folder.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The file to sign; else a short text.
    #[arg(long)]
    file: Option<PathBuf>,
    /// HTTPS between module and HSM; --tls=false for plain HTTP.
    #[arg(
        long,
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true"
    )]
    tls: bool,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Emulate(args) => emulate::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Application(args) => application::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Token(command) => command.run(),
        Command::Luna(args) => luna::run(&args),
        Command::Completion(args) => manual::completion(&args),
        Command::Man(args) => manual::man(&args),
        Command::Bench(args) => bench::run(&args),
        Command::BenchClient(args) => bench::client::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("p11rest: {failure}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
