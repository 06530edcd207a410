//! The module: where it is, and how it is loaded.

use std::env::{self, consts::ARCH};
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::Error;

use crate::failure::Failure;
use crate::refusal::pkcs11_failure;

/// Names the module where `--module` does not.
const MODULE_VARIABLE: &str = "P11REST_MODULE";
/// Names its configuration.
const CONFIG_VARIABLE: &str = "P11REST_CONFIG";
/// Its log on standard error, from this level on.
const LOG_VARIABLE: &str = "P11REST_LOG";
const FILE: &str = "libp11rest.so";

/// How the module is found, and what it is told.
#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "The module")]
pub struct Args {
    /// The module; else $P11REST_MODULE, else libp11rest.so in the folder of this program or where it is installed.
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
    /// Its configuration; else it looks where it does in any application: $P11REST_CONFIG, ~/.config/p11rest/p11rest.toml,
    /// /etc/p11rest/p11rest.toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Lets it log to standard error.
    #[arg(long, value_name = "LEVEL", value_parser = ["error", "warn", "info", "debug", "trace"])]
    log: Option<String>,
}

impl Args {
    /// The module, initialised.
    pub fn load(&self) -> Result<Pkcs11, Failure> {
        self.enter_environment()?;
        load(&find(self.module.as_deref())?)
    }

    /// The module takes these from the environment, as in any application. That of a running process cannot be changed
    /// safely, so this program starts anew where it has another one.
    fn enter_environment(&self) -> Result<(), Failure> {
        let config = self.config.as_deref().map(existing_file).transpose()?;
        let wanted = [
            (CONFIG_VARIABLE, config.map(PathBuf::into_os_string)),
            (LOG_VARIABLE, self.log.as_ref().map(OsString::from)),
        ];
        let missing =
            |(name, value): &(&str, Option<OsString>)| value.is_some() && env::var_os(name) != *value;
        if !wanted.iter().any(missing) {
            return Ok(());
        }
        let program = env::current_exe().map_err(Failure::in_context("path of this program"))?;
        let mut anew = Command::new(program);
        anew.args(env::args_os().skip(1));
        anew.envs(wanted.into_iter().filter_map(|(name, value)| Some((name, value?))));
        Err(Failure::in_context("this program")(anew.exec()))
    }
}

/// How to learn more than a refusal tells, unless the log is shown already: `--log` is in the environment by now.
pub fn log_hint() -> Option<&'static str> {
    env::var_os(LOG_VARIABLE).is_none().then_some("--log warn tells why")
}

/// Loads and initialises the module.
pub fn load(module: &Path) -> Result<Pkcs11, Failure> {
    let pkcs11 = Pkcs11::new(module).map_err(|error| match error {
        Error::LibraryLoading(error) => Failure::new(error),
        error => pkcs11_failure(error),
    })?;
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).map_err(pkcs11_failure)?;
    Ok(pkcs11)
}

/// The absolute path of the module: as named, else by the environment, else beside this program, else where it is
/// installed with it.
pub fn find(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let remedy = format!("run make first, or name the module with --module or {MODULE_VARIABLE}");
    let variable = env::var_os(MODULE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = match named.map(Path::to_owned).or(variable) {
        Some(path) => path,
        None => {
            let program = env::current_exe().map_err(Failure::in_context("path of this program"))?;
            let places = places(&program);
            places.iter().find(|path| path.is_file()).unwrap_or(&places[0]).clone()
        }
    };
    existing_file(&path).map_err(|failure| failure.remedy(remedy))
}

/// Beside the program; of `make install`; of the Debian package.
fn places(program: &Path) -> [PathBuf; 3] {
    let prefix = program.ancestors().nth(2).unwrap_or(program);
    let lib = prefix.join("lib");
    let packaged = lib.join(format!("{ARCH}-linux-gnu")).join("pkcs11").join(FILE);
    [program.with_file_name(FILE), lib.join(FILE), packaged]
}

/// The absolute path of a file: dlopen searches the system for a name without a slash.
pub fn existing_file(path: &Path) -> Result<PathBuf, Failure> {
    let absolute = path.canonicalize().map_err(Failure::in_context(path.display()))?;
    match absolute.is_file() {
        true => Ok(absolute),
        false => Err(Failure::new(format_args!("{}: not a file", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_program_finds_the_installed_module() {
        let places = places(Path::new("/usr/bin/p11rest"));
        assert_eq!(places[0], Path::new("/usr/bin/libp11rest.so"));
        assert_eq!(places[1], Path::new("/usr/lib/libp11rest.so"));
        assert_eq!(places[2], Path::new(&format!("/usr/lib/{ARCH}-linux-gnu/pkcs11/libp11rest.so")));
    }
}
