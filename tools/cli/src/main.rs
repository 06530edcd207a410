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
//! token        list, sign, verify, public-key, random: through the module, as any application
//! by_hand      the commands that do the same in a shell
//! luna         what an administrator of a Luna appliance does once
//! bench        the module beside a bare loop and reqwest, as processes of their own
//! report       progress on standard output
//! failure      what went wrong and what helps
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
mod library;
mod luna;
mod openssl;
mod options;
mod report;
mod scheme;
mod token;

/// p11rest: one PKCS#11 module in front of REST HSMs.
#[derive(Parser)]
#[command(name = "p11rest", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs an emulator of a REST HSM on loopback until SIGINT or SIGTERM.
    Emulate(Box<options::EmulateArgs>),
    /// Signs a file through the module with keys of an emulated HSM, and lets OpenSSL verify it.
    Demo(DemoArgs),
    /// The half of the demo that loads the module.
    #[command(name = application::COMMAND, hide = true)]
    Application(application::Args),
    /// Shows slots and tokens, and the objects and mechanisms of a token.
    List(token::list::Args),
    /// Signs a file with a key of a token.
    Sign(token::sign::SignArgs),
    /// Verifies a signature with a key of a token.
    Verify(token::sign::VerifyArgs),
    /// Writes a public key of a token in PEM.
    PublicKey(token::export::Args),
    /// Draws random bytes from the HSM.
    Random(token::random::Args),
    /// Prepares a Thales Luna appliance for the module.
    Luna(luna::Args),
    /// Measures the module beside two other clients of an emulated HSM. Needs strace and a C compiler.
    Bench(bench::Args),
    /// One client of the benchmark.
    #[command(name = bench::client::COMMAND, hide = true)]
    BenchClient(bench::client::Args),
}

/// What `p11rest demo` takes.
#[derive(clap::Args)]
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
        Command::List(args) => token::list::run(&args),
        Command::Sign(args) => token::sign::sign(&args),
        Command::Verify(args) => token::sign::verify(&args),
        Command::PublicKey(args) => token::export::run(&args),
        Command::Random(args) => token::random::run(&args),
        Command::Luna(args) => luna::run(&args),
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
