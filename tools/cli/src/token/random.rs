//! `p11rest random`

use std::path::PathBuf;

use super::encoding::{self, Format};
use crate::failure::Failure;
use crate::refusal::pkcs11_failure;

/// What `p11rest random` takes.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  A key for something else, in hexadecimal:
    p11rest random 32 --format hex
  A mebibyte to look at:
    p11rest random 1048576 --out random.bin")]
pub struct Args {
    /// How many bytes; 1048576 at most.
    #[arg(value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    length: u32,
    /// Where to write them; else standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How to write them; else raw into a file, and base64 to standard output.
    #[arg(long, value_name = "FORMAT", value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    token: super::Args,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let token = args.token.open()?;
    let random = token.session.generate_random_vec(args.length).map_err(pkcs11_failure)?;
    encoding::write(args.out.as_deref(), args.format, &random)
}
