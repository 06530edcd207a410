//! OpenSSL's command-line tool: somebody else's opinion of a signature.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Output};

use crate::failure::Failure;

/// The version line of the installed tool, such as `OpenSSL 3.0.17 1 Jul 2025 …`.
pub fn version() -> Result<String, Failure> {
    let output = run(Command::new("openssl").arg("version"))?;
    if !output.status.success() {
        return Err(Failure::new(format_args!("openssl version: {}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Verifies a signature of the file's SHA-256 and returns what OpenSSL says, which is `Verified OK`.
///
/// RSASSA-PKCS1-v1_5 or ECDSA, as the key has it; the key is in PEM, an ECDSA signature in DER.
pub fn verify(key: &Path, signature: &Path, file: &Path) -> Result<String, Failure> {
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha256", "-verify"]).arg(key).arg("-signature").arg(signature).arg(file);
    let output = run(&mut command)?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    match output.status.success() {
        true => Ok(said),
        false => Err(Failure::new(format_args!("{}: OpenSSL: {said}", signature.display()))),
    }
}

fn run(command: &mut Command) -> Result<Output, Failure> {
    command.output().map_err(|error| {
        let failure = Failure::new(format_args!("openssl cannot be run: {error}"));
        match error.kind() {
            ErrorKind::NotFound => failure.remedy("apt-get install openssl (Debian, Ubuntu)"),
            _ => failure,
        }
    })
}
