//! Counts of another process: system calls by `strace`, allocations by a library that is loaded before all others.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::client;
use crate::failure::Failure;

/// The library's source, which tests of the module use too.
const SOURCE: &str = include_str!("../../../../tests/c/allocations.c");

/// Runs programs and counts what they do.
pub struct Counter {
    work: PathBuf,
    library: PathBuf,
}

impl Counter {
    /// Compiles the library in `work`.
    pub fn new(work: &Path) -> Result<Counter, Failure> {
        let (source, library) = (work.join("allocations.c"), work.join("allocations.so"));
        fs::write(&source, SOURCE).map_err(Failure::in_context(source.display()))?;
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
        let output = cc.output().map_err(missing("cc"))?;
        if !output.status.success() {
            return Err(Failure::new(format_args!("cc: {}", String::from_utf8_lossy(&output.stderr))));
        }
        Ok(Counter { work: work.to_owned(), library })
    }

    /// How many blocks of memory a client allocates.
    pub fn allocations(&self, mut command: Command) -> Result<u64, Failure> {
        let file = self.work.join("allocations");
        command.env("LD_PRELOAD", &self.library).env("P11REST_ALLOCATIONS", &file);
        client::numbers(&mut command)?;
        let text = fs::read_to_string(&file).map_err(Failure::in_context(file.display()))?;
        text.trim().parse().map_err(Failure::in_context(file.display()))
    }

    /// How many system calls a client makes.
    pub fn system_calls(&self, command: Command) -> Result<u64, Failure> {
        let file = self.work.join("strace");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-c", "-o"]).arg(&file).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => strace.env(name, value),
                None => strace.env_remove(name),
            };
        }
        let status = strace.stdin(Stdio::null()).stdout(Stdio::null()).status().map_err(missing("strace"))?;
        if !status.success() {
            return Err(Failure::new(format_args!("strace ended with {status}")));
        }
        let text = fs::read_to_string(&file).map_err(Failure::in_context(file.display()))?;
        total(&text).ok_or_else(|| Failure::new(format_args!("{}: no total", file.display())))
    }
}

fn missing(program: &str) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| {
        Failure::new(format_args!("{program}: {error}"))
            .remedy("Debian has it in gcc and strace; tests/setup bench installs both")
    }
}

/// The sum of a summary of `strace -c`: `% time, seconds, usecs/call, calls, errors, syscall`.
fn total(summary: &str) -> Option<u64> {
    let line = summary.lines().rfind(|line| line.ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_strace_is_found() {
        let summary = "% time     seconds  usecs/call     calls    errors syscall\n\
                       ------ ----------- ----------- --------- --------- ----------------\n \
                       60.00    0.000012           4         3         1 openat\n \
                       40.00    0.000008           4         2           read\n\
                       ------ ----------- ----------- --------- --------- ----------------\n\
                       100.00    0.000020           4         5         1 total\n";
        assert_eq!(total(summary), Some(5));
        assert_eq!(total(""), None);
    }
}
