//! `p11rest emulate`

use p11rest_emulator::{BEARER_FILE, Emulator, Error};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure::Failure;
use crate::options::EmulateArgs;
use crate::report::{line, shell};
use crate::{by_hand, demo};

/// Runs until SIGINT or SIGTERM.
///
/// A signal during the start is kept until the emulator stands, a fraction of a second: its files are then complete,
/// and `ready` is taken away as after any other run.
pub fn run(args: &EmulateArgs) -> Result<(), Failure> {
    // Before the emulator says that it is ready, so that no signal finds the default action.
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(Failure::in_context("signals"))?;
    let emulator = Emulator::start(args.options()).map_err(|error| match error {
        Error::Server(_) if args.port != 0 => {
            Failure::from(error).remedy("without --port a free one is taken")
        }
        error => Failure::from(error),
    })?;
    if signals.pending().next().is_none() {
        announce(args, &emulator)?;
        signals.forever().next();
    }
    emulator.stop();
    Ok(())
}

/// Says where it is and how to use it.
fn announce(args: &EmulateArgs, emulator: &Emulator) -> Result<(), Failure> {
    let dir = args.dir.canonicalize().map_err(Failure::in_context(args.dir.display()))?;
    line(format_args!("Emulated Securosys TSB on {}, files in {}", emulator.url(), dir.display()));
    line("It runs until Ctrl-C or SIGTERM. In another terminal:\n");
    let module = demo::find_module(None).ok();
    let pin = match (args.no_api_keys, &args.bearer) {
        (false, _) => Some(shell(&args.pin)),
        // The token itself stays out of scrollback and history.
        (true, Some(_)) => Some(format!("\"$(cat {})\"", shell(&dir.join(BEARER_FILE)))),
        (true, None) => None,
    };
    for command in by_hand::first_look(&dir, module.as_deref(), pin.as_deref(), emulator.url(), args.tls) {
        line(format_args!("    {command}"));
    }
    Ok(())
}
