//! The command-line tool as its users see it: processes, exit codes, output, files, signals.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

mod arguments;
mod bench;
mod demo;
mod emulate;
mod init;
mod luna;
mod manual;
mod token;

/// The tool, without what the environment of the test run would tell it.
fn p11rest() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_p11rest"));
    for name in ["P11REST_MODULE", "P11REST_CONFIG", "P11REST_LOG", "P11REST_PIN"] {
        command.env_remove(name);
    }
    command
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The names in a folder, sorted.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The built module: `P11REST_MODULE`, else the release build.
fn module() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let module = std::env::var_os("P11REST_MODULE")
        .map_or_else(|| workspace.join("target/release/libp11rest.so"), PathBuf::from);
    assert!(module.is_file(), "no module at {}: run make first, or set P11REST_MODULE", module.display());
    module.canonicalize().unwrap()
}
