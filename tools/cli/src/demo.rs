//! `p11rest demo`: an emulated HSM, and beside it an application that signs through the module.
//!
//! The application is a process of its own, this program once more: the module finds its configuration through
//! `P11REST_CONFIG`, as in any application, and the environment of a running process with threads cannot be changed
//! safely. So it is also certain that the two share nothing but the network, and a crash of the one is told by the
//! other.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use p11rest_emulator::{CONFIG_FILE, Emulator, Options};
use signal_hook::consts::{SIGINT, SIGTERM};
use tempfile::TempDir;

use crate::failure::Failure;
use crate::library::existing_file;
use crate::report::{Steps, detail, line, shell};
use crate::{DemoArgs, application, library, openssl};

/// Those of the application included.
pub const STEPS: u8 = 6;

/// Variables with this beginning change slots of the configuration file.
const SLOT_VARIABLES: &[u8] = b"P11REST_SLOT_";
const MESSAGE: &str = "Signed through PKCS#11, by a key that never left the HSM.\n";

/// Runs the whole demo.
pub fn run(args: &DemoArgs) -> Result<(), Failure> {
    // What is missing is told before anything is started.
    let module = library::find(args.module.as_deref())?;
    let openssl = openssl::version()?;
    let file = args.file.as_deref().map(existing_file).transpose()?;
    let interrupt = Interrupt::watch()?;

    line(format_args!("A file signed through {}, checked by {openssl}\n", module.display()));
    let mut steps = Steps::new(1, STEPS);
    let folder = Folder::new(args.dir.as_deref())?;
    let emulator = start_emulator(&mut steps, folder.path(), args.tls)?;
    interrupt.check()?;
    let file = match file {
        Some(file) => file,
        None => write_message(folder.path())?,
    };
    let ended = application(&module, folder.path(), &file, &emulator, args.tls);
    interrupt.check()?;
    ended?;
    emulator.stop();
    folder.keep();
    Ok(())
}

fn start_emulator(steps: &mut Steps, dir: &Path, tls: bool) -> Result<Emulator, Failure> {
    let step = steps.begin("Start an emulated Securosys TSB");
    let emulator = Emulator::start(Options { dir: dir.to_owned(), tls, ..Options::default() })?;
    step.done();
    detail(format_args!(
        "{}, its keys and the module's configuration are in {}",
        emulator.url(),
        dir.display()
    ));
    Ok(emulator)
}

fn write_message(dir: &Path) -> Result<PathBuf, Failure> {
    let path = dir.join("message.txt");
    fs::write(&path, MESSAGE).map_err(Failure::in_context(path.display()))?;
    Ok(path)
}

/// Runs the application until it ends; it has told its own failures.
fn application(
    module: &Path,
    dir: &Path,
    file: &Path,
    emulator: &Emulator,
    tls: bool,
) -> Result<(), Failure> {
    let program = env::current_exe().map_err(Failure::in_context("path of this program"))?;
    let mut command = Command::new(program);
    command
        .arg(application::COMMAND)
        .arg("--module")
        .arg(module)
        .arg("--dir")
        .arg(dir)
        .arg("--file")
        .arg(file);
    command.arg("--port").arg(emulator.port().to_string());
    if tls {
        command.arg("--tls");
    }
    command.env("P11REST_CONFIG", dir.join(CONFIG_FILE));
    without_slot_variables(&mut command);
    let status = command.status().map_err(Failure::in_context("the demo's application"))?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::new(format_args!("demo: the application ended with {status}"))
            .remedy("with P11REST_LOG=debug in the environment the module tells what it does")),
    }
}

/// Takes away what would send our PIN to an HSM that is not ours.
pub fn without_slot_variables(command: &mut Command) {
    for (name, _) in env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(SLOT_VARIABLES)) {
        command.env_remove(name);
    }
}

/// Where the demo works.
enum Folder {
    /// Named by the user.
    Named(PathBuf),
    /// Removed if the demo fails; kept for going on by hand if it does not.
    Fresh(TempDir),
}

impl Folder {
    fn new(named: Option<&Path>) -> Result<Folder, Failure> {
        let Some(dir) = named else {
            let parent = env::temp_dir();
            let mut builder = tempfile::Builder::new();
            builder.prefix("p11rest-demo-").permissions(Permissions::from_mode(0o700));
            let fresh = std::path::absolute(&parent).and_then(|parent| builder.tempdir_in(parent));
            return fresh.map(Folder::Fresh).map_err(Failure::in_context(parent.display()));
        };
        // The emulator makes it if it is missing, for its owner only.
        std::path::absolute(dir).map(Folder::Named).map_err(Failure::in_context(dir.display()))
    }

    fn path(&self) -> &Path {
        match self {
            Folder::Named(path) => path,
            Folder::Fresh(temporary) => temporary.path(),
        }
    }

    fn keep(self) {
        if let Folder::Fresh(temporary) = self {
            line(format_args!("    rm -r {}", shell(&temporary.keep())));
        }
    }
}

/// SIGINT and SIGTERM, looked at between the steps, so that the emulator and a fresh folder never stay behind.
struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    fn watch() -> Result<Interrupt, Failure> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&flag)).map_err(Failure::in_context("signals"))?;
        }
        Ok(Interrupt(flag))
    }

    fn check(&self) -> Result<(), Failure> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(Failure::new("interrupted")),
            false => Ok(()),
        }
    }
}
