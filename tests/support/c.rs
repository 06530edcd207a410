//! The programs of `tests/c`: compiled against the 3.2 header and `include/p11rest.h`, and run on the module.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use super::emulator::{Emulator, PIN};
use super::{module, root, secrets};

/// The emulator, with TLS, of those that do not break it.
pub static EMULATOR: LazyLock<Emulator> = LazyLock::new(|| Emulator::start("securosys", true));

/// A program of `tests/c`, compiled, in a scratch directory of its own.
pub struct Program {
    directory: PathBuf,
    file: PathBuf,
    name: String,
    under: Vec<String>,
}

impl Program {
    /// `tests/c/{name}.c`. `test` makes the directory another one than those of other tests of the same program.
    pub fn of(name: &str, test: &str) -> Self {
        let directory = scratch(test);
        let source = root().join("tests/c").join(name).with_extension("c");
        let file = compile(&source, &directory, &[standard_header()]);
        Self { directory, file, name: name.to_owned(), under: Vec::new() }
    }

    /// Has it run by another program, with these arguments before its own.
    pub fn under(mut self, command: &[&str]) -> Self {
        self.under = command.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes a configuration for it.
    pub fn configuration(&self, text: &str) -> PathBuf {
        let path = self.directory.join("p11rest.toml");
        fs::write(&path, text).expect("the scratch directory can be written");
        path
    }

    /// The command that runs it on the module with a configuration.
    pub fn command(&self, configuration: &str) -> Command {
        let mut words = self.under.iter().map(OsStr::new).chain([self.file.as_os_str()]);
        let mut command = Command::new(words.next().expect("the program itself is one"));
        command.args(words).arg(module()).env("P11REST_CONFIG", self.configuration(configuration));
        log_of(&mut command, &self.name);
        command
    }

    /// Runs it with a configuration and more variables. What it printed.
    pub fn run(&self, configuration: &str, variables: &[(&str, &OsStr)]) -> String {
        let output =
            self.command(configuration).envs(variables.iter().copied()).output().expect("the program starts");
        assert!(output.status.success(), "{}: {}", self.name, report(&output));
        String::from_utf8(output.stdout).expect("the program prints text")
    }

    /// Runs it with a configuration and more variables while it says on standard output what it needs from outside, a
    /// word a line: each is given to `act`, and then answered by a line. What it said.
    pub fn converse(
        &self,
        configuration: &str,
        variables: &[(&str, &OsStr)],
        mut act: impl FnMut(&str),
    ) -> Vec<String> {
        let mut command = self.command(configuration);
        command.envs(variables.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut answers = child.stdin.take().expect("it is a pipe");
        let mut said = Vec::new();
        for line in BufReader::new(child.stdout.take().expect("it is a pipe")).lines() {
            let line = line.expect("the program writes text");
            act(&line);
            said.push(line);
            // One that has ended says why by its status.
            let _ = answers.write_all(b"done\n");
        }
        let status = child.wait().expect("the program ends");
        assert!(status.success(), "{}: {status}: {said:?}", self.name);
        said
    }

    /// Runs it on the emulator; `top` comes before the emulator's own configuration.
    pub fn run_on_emulator(&self, top: &str, variables: &[(&str, &OsStr)]) -> String {
        self.run(&format!("{top}{}", EMULATOR.text("p11rest.toml")), variables)
    }
}

/// The configuration of one slot at an address.
pub fn slot_at(address: &str) -> String {
    format!(
        "version = 1\n[[slot]]\nlabel = \"slot\"\nbackend = \"securosys\"\nurls = [[\"http://{address}\"]]\n"
    )
}

/// Has the module log at the finest level to where the check at the end of the suite looks.
pub fn log_of(command: &mut Command, name: &str) {
    command.env("P11REST_LOG_TARGET", secrets::log(Some(name))).env("P11REST_LOG_LEVEL", "trace");
}

/// Compiles `tests/c/{name}.c` as a shared library.
pub fn library(name: &str, directory: &Path) -> PathBuf {
    let file = directory.join(name).with_extension("so");
    let source = root().join("tests/c").join(name).with_extension("c");
    let mut cc = compiler();
    cc.args(["-shared", "-fPIC", "-o"]).arg(&file).arg(&source);
    finish(&mut cc, &source);
    file
}

/// Compiles without a warning. What the program defines is there for the module too.
pub fn compile(source: &Path, directory: &Path, include: &[PathBuf]) -> PathBuf {
    let program = directory.join("program");
    let mut cc = compiler();
    for directory in [root().join("include"), root().join("tests/c")].iter().chain(include) {
        cc.arg("-I").arg(directory);
    }
    cc.arg("-rdynamic").arg("-o").arg(&program).arg(source).arg("-ldl");
    finish(&mut cc, source);
    program
}

fn compiler() -> Command {
    let mut cc = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-pthread"]).arg(format!("-DPIN=\"{PIN}\""));
    cc
}

fn finish(cc: &mut Command, source: &Path) {
    let output = cc.output().expect("a C compiler is installed");
    assert!(output.status.success(), "{}: {}", source.display(), report(&output));
}

/// The directory of `pkcs11.h` inside the package cryptoki-sys that this build uses.
pub fn standard_header() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "cargo metadata: {}", report(&output));
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let package = metadata["packages"]
        .as_array()
        .and_then(|packages| packages.iter().find(|package| package["name"] == "cryptoki-sys"))
        .expect("cryptoki-sys is a dependency");
    let manifest = package["manifest_path"].as_str().expect("a package has a manifest");
    let directory = Path::new(manifest).with_file_name("vendor");
    assert!(directory.join("pkcs11.h").is_file(), "no pkcs11.h in {}", directory.display());
    directory
}

/// A directory of this test alone.
pub fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c_programs").join(name);
    fs::create_dir_all(&directory).expect("the target directory can be written");
    directory
}

pub fn report(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
