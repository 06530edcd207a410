//! `p11rest emulate`

use std::path::Path;

use p11rest_emulator::{Api, BEARER_FILE, Emulator, Error, Fleet};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure::Failure;
use crate::options::EmulateArgs;
use crate::report::{line, shell};
use crate::{by_hand, library};

/// Runs until SIGINT or SIGTERM.
///
/// A signal during the start is kept until the emulators stand, a fraction of a second: their files are then complete,
/// and `ready` is taken away as after any other run.
pub fn run(args: &EmulateArgs) -> Result<(), Failure> {
    // Before an emulator says that it is ready, so that no signal finds the default action.
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(Failure::in_context("signals"))?;
    let emulators = Emulators::start(args).map_err(|error| match error {
        Error::Server(_) if args.port != 0 => {
            Failure::from(error).remedy("without --port a free one is taken")
        }
        error => Failure::from(error),
    })?;
    if signals.pending().next().is_none() {
        announce(args, &emulators)?;
        signals.forever().next();
    }
    emulators.stop();
    Ok(())
}

/// One, with its files where `--dir` says, or several below it.
enum Emulators {
    One(Api, Emulator),
    Several(Fleet),
}

impl Emulators {
    fn start(args: &EmulateArgs) -> Result<Emulators, Error> {
        match args.vendor.0[..] {
            [api] => Ok(Emulators::One(api, Emulator::start(args.options(api))?)),
            ref apis => Ok(Emulators::Several(Fleet::start(apis, &args.options(Api::Securosys))?)),
        }
    }

    fn stop(self) {
        match self {
            Emulators::One(_, emulator) => emulator.stop(),
            Emulators::Several(fleet) => fleet.stop(),
        }
    }
}

/// Says where they are and how to use them.
fn announce(args: &EmulateArgs, emulators: &Emulators) -> Result<(), Failure> {
    let dir = args.dir.canonicalize().map_err(Failure::in_context(args.dir.display()))?;
    let module = library::find(None).ok();
    let commands = match emulators {
        Emulators::One(api, emulator) => {
            line(format_args!("Emulated {api} on {}, files in {}", emulator.url(), dir.display()));
            line("It runs until Ctrl-C or SIGTERM. In another terminal:\n");
            let pin = pin(args, *api, emulator, &dir);
            by_hand::first_look(&dir, module.as_deref(), pin.as_deref(), emulator.url(), args.tls)
        }
        Emulators::Several(fleet) => {
            line(format_args!("Files in {}, one folder each. Emulated are:", dir.display()));
            for (api, emulator) in fleet.emulators() {
                line(format_args!("    {:<12}{} ({api})", api.name(), emulator.url()));
            }
            line("They run until Ctrl-C or SIGTERM. In another terminal:\n");
            let members = fleet.emulators().map(|(api, emulator)| {
                (api.name(), emulator.url(), pin(args, api, emulator, &dir.join(api.name())))
            });
            by_hand::first_look_at_all(&dir, module.as_deref(), members, args.tls)
        }
    };
    for command in commands {
        line(format_args!("    {command}"));
    }
    Ok(())
}

/// The PIN as a word of the shell; none: no login is needed.
fn pin(args: &EmulateArgs, api: Api, emulator: &Emulator, dir: &Path) -> Option<String> {
    match (args.no_api_keys && api == Api::Securosys, &args.bearer) {
        (false, _) => Some(shell(&emulator.login_pin(&args.pin))),
        // The token itself stays out of scrollback and history.
        (true, Some(_)) => Some(format!("\"$(cat {})\"", shell(&dir.join(BEARER_FILE)))),
        (true, None) => None,
    }
}
