//! `p11rest emulate`

use std::error::Error;

use p11rest_emulator::Emulator;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::EmulateArgs;

/// Runs until SIGINT or SIGTERM.
pub fn run(args: &EmulateArgs) -> Result<(), Box<dyn Error>> {
    // Before the emulator says that it is ready, so that no signal finds the default action.
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let emulator = Emulator::start(args.options())?;
    let dir = std::path::absolute(&args.dir)?;
    println!("p11rest: emulator of {} on {}", args.vendor, emulator.url());
    println!("export P11REST_CONFIG={}", dir.join("p11rest.toml").display());
    signals.forever().next();
    emulator.stop();
    Ok(())
}
