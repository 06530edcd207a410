//! Several vendors in one process: each an emulator of its own, on its own port, with its own folder below the common one,
//! where one configuration has all their slots.

use std::path::Path;

use crate::files::{Directory, remove_if_present, write_atomically};
use crate::{Api, CONFIG_FILE, CONFIG_HEAD, Emulator, Error, Options, READY_FILE};

/// The label of the slot with Luna's cryptography.
const LUNA_CRYPTO: &str = "luna.crypto";

/// Running emulators; they end when it is dropped.
#[derive(Debug)]
pub struct Fleet {
    emulators: Vec<(Api, Emulator)>,
    directory: Directory,
}

impl Fleet {
    /// Starts an emulator for each of `apis` and returns when all answer. Where `options` names a port it is that of the
    /// first one, and the others have those behind it. A setting is for one vendor: `fast.edition`. Luna's slot has the
    /// cryptography of CipherTrust Manager's where both are there and `luna.crypto` says nothing else.
    ///
    /// Writes `p11rest.toml` with all slots and then `ready`, with a name and a URL in each line, into the directory;
    /// the emulators' own files are in folders of their names.
    ///
    /// # Errors
    /// [`Error`] if a setting is for none of them, or one cannot start: then none runs.
    pub fn start(apis: &[Api], options: &Options) -> Result<Fleet, Error> {
        check_settings(apis, &options.settings)?;
        let options = &paired(apis, options);
        let directory = Directory::open(&options.dir)?;
        remove_if_present(&directory.join(READY_FILE))?;
        let mut fleet = Fleet { emulators: Vec::with_capacity(apis.len()), directory };
        for (place, api) in (0..).zip(apis) {
            let folder = fleet.directory.join(api.name());
            let emulator = Emulator::start(alone(*api, options, &folder, place)?)?;
            fleet.emulators.push((*api, emulator));
        }
        let slots = fleet.emulators.iter().map(|(_, emulator)| emulator.slot.as_str());
        let config = format!("{CONFIG_HEAD}{}", slots.collect::<Vec<_>>().join("\n"));
        write_atomically(&fleet.directory.join(CONFIG_FILE), config.as_bytes())?;
        let lines =
            fleet.emulators.iter().map(|(api, emulator)| format!("{} {}\n", api.name(), emulator.url()));
        let ready: String = lines.collect();
        write_atomically(&fleet.directory.join(READY_FILE), ready.as_bytes())?;
        Ok(fleet)
    }

    /// The emulators, in the order in which they were asked for.
    pub fn emulators(&self) -> impl Iterator<Item = (Api, &Emulator)> {
        self.emulators.iter().map(|(api, emulator)| (*api, emulator))
    }

    /// Ends all of them.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // Before the first of them stops answering. The next start replaces one that will not go away.
        let _ = remove_if_present(&self.directory.join(READY_FILE));
    }
}

/// The options with what pairs Luna and CipherTrust Manager.
fn paired(apis: &[Api], options: &Options) -> Options {
    let mut options = options.clone();
    let both = [Api::Luna, Api::CipherTrust].iter().all(|api| apis.contains(api));
    if both && options.settings.iter().all(|(name, _)| name != LUNA_CRYPTO) {
        options.settings.push((LUNA_CRYPTO.to_owned(), Api::CipherTrust.name().to_owned()));
    }
    options
}

/// The options of one of them.
fn alone(api: Api, options: &Options, folder: &Path, place: u16) -> Result<Options, Error> {
    let port = match options.port {
        0 => 0,
        first => first.checked_add(place).ok_or_else(|| Error::server("there are no ports beyond 65535"))?,
    };
    let own = options.settings.iter().filter_map(|(name, value)| {
        let (vendor, name) = name.split_once('.')?;
        (vendor == api.name()).then(|| (name.to_owned(), value.clone()))
    });
    Ok(Options { api, port, dir: folder.to_owned(), settings: own.collect(), ..options.clone() })
}

fn check_settings(apis: &[Api], settings: &[(String, String)]) -> Result<(), Error> {
    let is_known = |name: &str| {
        let vendor = name.split_once('.').map(|(vendor, _)| vendor);
        apis.iter().any(|api| Some(api.name()) == vendor)
    };
    match settings.iter().find(|(name, _)| !is_known(name)) {
        None => Ok(()),
        Some((name, _)) => {
            let names = apis.iter().map(|api| api.name()).collect::<Vec<_>>().join(", ");
            Err(Error::server(format!("setting {name}: write VENDOR.{name}, where VENDOR is one of {names}")))
        }
    }
}
