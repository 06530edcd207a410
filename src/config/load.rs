//! From the search for the file to the [`Config`].

use std::collections::BTreeSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str;

use zeroize::Zeroizing;

use super::document::{self, Item, Place, Table, Value};
use super::environment::{self, RawSlot, Variables};
use super::problem::{Fault, Problem};
use super::read::{Section, Source, read_all, word};
use super::{Config, Fork, Level, Log, LogTarget, Slot, slot};

const FILE_NAME: &str = "p11rest.toml";

/// Most bytes of a configuration file.
const LIMIT: usize = 1024 * 1024;

/// What the process tells the configuration: its environment, and whether it may be believed.
#[derive(Clone)]
pub struct Process {
    secure: bool,
    variables: Variables,
    /// `/etc/p11rest`, but in tests.
    pub(super) system: PathBuf,
}

impl Process {
    /// This process. With `secure` (it is set-uid or set-gid: `AT_SECURE`) the environment is ignored and `command:`
    /// is refused, because both belong to who called it.
    pub fn current(secure: bool) -> Self {
        Self::with_environment(secure, env::vars_os())
    }

    /// A process with this environment, which is ignored with `secure`.
    pub fn with_environment(secure: bool, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let variables = if secure { Variables::new() } else { variables.into_iter().collect() };
        Self { secure, variables, system: "/etc/p11rest".into() }
    }

    fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }
}

/// Finds and reads the configuration. `reserved`: the path of `config=PATH` in `CK_C_INITIALIZE_ARGS.pReserved`.
///
/// The file is the first of: `reserved`, `$P11REST_CONFIG`, `$XDG_CONFIG_HOME/p11rest/p11rest.toml` (or
/// `~/.config/…`), `/etc/p11rest/p11rest.toml`. Without one the environment is the configuration, and without that
/// there are no slots. No secret is fetched, and no request is made.
///
/// # Errors
/// A file that is named and cannot be read, TOML that is none, a wrong `version`, anything wrong outside of the slots.
/// What is wrong in a slot is in [`Slot::token`].
pub fn load(reserved: Option<&Path>, process: &Process) -> Result<Config, Problem> {
    let mut source = Source { secure: process.secure, ..Source::default() };
    let (root, looked) = match find(reserved, process) {
        Ok(path) => {
            source.reserved = reserved.is_some();
            source.file = Some(path.clone());
            (read(&path, &mut source)?, Vec::new())
        }
        Err(looked) => (Table::new(), looked),
    };
    Ok(Config { looked, ..assemble(root, &process.variables, source)? })
}

/// The configuration of a file's tree and the environment.
pub(super) fn assemble(mut root: Table, variables: &Variables, source: Source) -> Result<Config, Problem> {
    check_version(&root, &source)?;
    let mut slots = take_slots(&mut root, &source)?;
    environment::overlay(&mut root, &mut slots, variables, &source)?;
    let top = Place::Line(1);
    let root = Section::open(&source, "", &top, &root)?;
    let fork = root.text("fork", |_, text| {
        word(text, &[("reinitialize", Fork::Reinitialize), ("transparent", Fork::Transparent)])
    })?;
    let log = log(&root.section("log", "log")?)?;
    Ok(Config {
        fork: fork.unwrap_or_default(),
        log,
        slots: number(slots, &source),
        file: source.file,
        looked: Vec::new(),
    })
}

/// Where a problem of the configuration itself is told: the log that file and environment ask for as far as they can be
/// read, the environment alone, or standard error if the environment asks for a log that there is not.
pub fn log_for_problems(reserved: Option<&Path>, process: &Process) -> Log {
    let mut source = Source { secure: process.secure, ..Source::default() };
    let root =
        find(reserved, process).ok().and_then(|path| read(&path, &mut source).ok()).unwrap_or_default();
    let asked = process.variables.keys().any(|name| name.as_encoded_bytes().starts_with(b"P11REST_LOG"));
    let last = || if asked { Log { level: Level::Error, target: LogTarget::Stderr } } else { Log::default() };
    only_log(root, process, &source)
        .or_else(|_| only_log(Table::new(), process, &source))
        .unwrap_or_else(|_| last())
}

fn only_log(mut root: Table, process: &Process, source: &Source) -> Result<Log, Problem> {
    root.retain(|name, _| name == "log");
    environment::overlay(&mut root, &mut Vec::new(), &process.variables, source)?;
    let top = Place::Line(1);
    log(&Section::open(source, "", &top, &root)?.section("log", "log")?)
}

/// The file, or where there is none: each place, and why not.
fn find(reserved: Option<&Path>, process: &Process) -> Result<PathBuf, Vec<String>> {
    let named = reserved.or_else(|| process.variable("P11REST_CONFIG").map(Path::new));
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    // A path that is not absolute is to be ignored (XDG Base Directory Specification).
    let absolute = |name| process.variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let user = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    let places = [user.map(|user| user.join("p11rest")), Some(process.system.clone())];
    let mut looked = Vec::new();
    for path in places.into_iter().flatten().map(|folder| folder.join(FILE_NAME)) {
        match path.try_exists() {
            Ok(true) => return Ok(path),
            Ok(false) => looked.push(format!("{} is not there", path.display())),
            // A folder that may not be looked into, as a service's home often is, has no file for us.
            Err(error) => looked.push(format!("{} cannot be looked for: {error}", path.display())),
        }
    }
    Err(looked)
}

/// Reads the file at `path` and learns from it what `source` has to know.
fn read(path: &Path, source: &mut Source) -> Result<Table, Problem> {
    let text = read_text(path, source).map_err(|what| {
        let remedy = "name a configuration file that this user may read";
        source.problem(None, None, Fault::new(what, remedy))
    })?;
    parse(&text, source)
}

/// The tree of a file's text.
pub(super) fn parse(text: &str, source: &Source) -> Result<Table, Problem> {
    document::parse(text).map_err(|(line, what)| {
        let fault = Fault::new(format!("is not TOML: {what}"), "mend the syntax (https://toml.io)");
        source.problem(line.map(Place::Line).as_ref(), None, fault)
    })
}

fn read_text(path: &Path, source: &mut Source) -> Result<Zeroizing<String>, String> {
    let failed = |error| format!("cannot be read: {error}");
    source.folder =
        std::path::absolute(path).map_err(failed)?.parent().map(Path::to_owned).unwrap_or_default();
    let file = File::open(path).map_err(failed)?;
    // Of the open file, not of the path: nobody can exchange it in between.
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    source.readable_by_others = (mode & 0o044 != 0).then_some(mode);
    let bytes = read_all(&file, LIMIT).map_err(failed)?;
    let text = str::from_utf8(&bytes).map_err(|_| "is not UTF-8".to_owned())?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// A file without any key, such as `/dev/null`, needs no version.
fn check_version(root: &Table, source: &Source) -> Result<(), Problem> {
    const REMEDY: &str = "write version = 1";
    let Some(item) = root.get("version") else {
        let missing = || source.problem(None, Some("version"), Fault::new("is missing", REMEDY));
        return if root.is_empty() { Ok(()) } else { Err(missing()) };
    };
    let what = match item.value {
        Value::Integer(1) => return Ok(()),
        Value::Integer(other) => format!("version {other} is not known"),
        _ => "is not an integer".to_owned(),
    };
    Err(source.problem(Some(&item.place), Some("version"), Fault::new(what, REMEDY)))
}

/// Takes the slots out of the tree.
fn take_slots(root: &mut Table, source: &Source) -> Result<Vec<RawSlot>, Problem> {
    let Some(item) = root.remove("slot") else { return Ok(Vec::new()) };
    let fault = |place: &Place| {
        source.problem(Some(place), Some("slot"), Fault::new("is not an array of tables", "write [[slot]]"))
    };
    let Value::List(items) = item.value else { return Err(fault(&item.place)) };
    let raw = |(number, item): (u64, Item)| match item.value {
        Value::Table(table) => Ok(RawSlot { number, place: item.place, table, problem: None }),
        _ => Err(fault(&item.place)),
    };
    (0..).zip(items).map(raw).collect()
}

fn log(section: &Section<'_>) -> Result<Log, Problem> {
    let level = section.text("level", |_, text| {
        word(
            text,
            &[
                ("off", Level::Off),
                ("error", Level::Error),
                ("warn", Level::Warn),
                ("info", Level::Info),
                ("debug", Level::Debug),
                ("trace", Level::Trace),
            ],
        )
    })?;
    let target = section.text("target", |place, text| match text {
        "none" => Ok(LogTarget::None),
        "stderr" => Ok(LogTarget::Stderr),
        path => section.source().path(place, path).map(LogTarget::File),
    })?;
    Ok(Log { level: level.unwrap_or_default(), target: target.unwrap_or_default() })
}

/// Reads the slots and gives them ids: first those that name one, then each of the others the lowest number that is
/// free and not below its own. A slot without a usable `id` is one of the others. The same file and environment so
/// give the same ids in every process.
fn number(slots: Vec<RawSlot>, source: &Source) -> Vec<Slot> {
    let mut taken = BTreeSet::new();
    let ids: Vec<_> = slots
        .iter()
        .map(|slot| match slot::id(slot, source) {
            Ok(Some(id)) if taken.insert(id) => Ok(Some(id)),
            Ok(Some(id)) => Err(slot::taken(slot, source, "id", &id.to_string())),
            other => other,
        })
        .collect();
    let mut labels = BTreeSet::new();
    let mut read = Vec::with_capacity(slots.len());
    for (slot, id) in slots.into_iter().zip(ids) {
        let free = || (slot.number..).find(|id| !taken.contains(id)).unwrap_or(slot.number);
        let (id, problem) = match id {
            Ok(Some(id)) => (id, None),
            Ok(None) => (free(), None),
            Err(problem) => (free(), Some(problem)),
        };
        taken.insert(id);
        let hidden = slot::hidden(&slot, source);
        let repeated = slot::label(&slot).filter(|label| !labels.insert((*label).to_owned()));
        let repeated = repeated.map(|label| slot::taken(&slot, source, "label", label));
        let token = match problem.or(repeated) {
            Some(problem) => Err(problem),
            None => slot::token(slot, source),
        };
        read.push(Slot { id, hidden, token });
    }
    read
}
