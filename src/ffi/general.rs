//! General-purpose functions and interfaces (PKCS#11 3.2 sections 5.4 and 5.5).

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cryptoki_sys::{
    CK_C_INITIALIZE_ARGS, CK_FLAGS, CK_FUNCTION_LIST, CK_INFO, CK_INTERFACE, CK_RV, CK_SESSION_HANDLE,
    CK_ULONG, CK_UTF8CHAR, CK_VERSION, CK_VOID_PTR, CKF_LIBRARY_CANT_CREATE_OS_THREADS, CKF_OS_LOCKING_OK,
    CKR_ARGUMENTS_BAD, CKR_CANT_LOCK, CKR_CRYPTOKI_ALREADY_INITIALIZED, CKR_CRYPTOKI_NOT_INITIALIZED,
    CKR_FUNCTION_NOT_SUPPORTED, CKR_GENERAL_ERROR, CKR_MECHANISM_INVALID, CKR_NEED_TO_CREATE_THREADS,
};

use super::arg;
use super::epoch;
use super::table::{INTERFACES, LIST_2_40};
use crate::config::{self, Level, LogTarget, Process};
use crate::error::{Error, Result};
use crate::model::slot::Module;
use crate::model::vendor::P11REST_RESERVED_PREFIX;
use crate::observe::log::Log;

/// What a string in `pReserved` begins with if it is for us.
const PREFIX: &[u8] = P11REST_RESERVED_PREFIX.as_bytes();

/// The longest such string, its NUL included.
const LONGEST: usize = 64 << 10;

/// `manufacturerID` of the library and of the slots.
pub(super) const MANUFACTURER: &str = "p11rest";

pub(super) unsafe fn initialize(init_args: CK_VOID_PTR) -> Result<()> {
    if epoch::is_running() {
        return Err(already());
    }
    let Wishes { reserved, threads } = match init_args.is_null() {
        true => Wishes { reserved: None, threads: true },
        // SAFETY: the caller owes NULL or a CK_C_INITIALIZE_ARGS, with `pReserved` NULL or a string.
        false => unsafe { check_arguments(&init_args.cast::<CK_C_INITIALIZE_ARGS>().read_unaligned()) }?,
    };
    let process = Process::current(is_secure());
    let mut config = config::load(reserved.as_deref(), &process).map_err(|problem| {
        let rv = if problem.is_from_reserved() { CKR_ARGUMENTS_BAD } else { CKR_GENERAL_ERROR };
        let log = Log::open(&config::log_for_problems(reserved.as_deref(), &process))
            .unwrap_or_else(|_| Log::off());
        log.error(format_args!("C_Initialize: {problem}"));
        Error::new(rv, "the configuration is unusable").because(problem)
    })?;
    let log = Log::open(&config.log).unwrap_or_else(|error| without_log(&config.log, &error));
    if config.slots.is_empty() && !config.looked.is_empty() {
        log.warn(format_args!("C_Initialize: there is no configuration: {}", config.looked.join(", ")));
    }
    // Slots with lanes need no thread, and one that can work is enough.
    if !threads && config.forbid_threads() {
        for problem in config.slots.iter().filter_map(|slot| slot.token.as_ref().err()) {
            log.error(format_args!("C_Initialize: {problem}"));
        }
        return Err(Error::new(CKR_NEED_TO_CREATE_THREADS, "every slot that could work needs a thread"));
    }
    silence_panics();
    epoch::watch_exit();
    if epoch::start(Module::new(Arc::new(config), log))?.is_err() {
        return Err(already());
    }
    // A fork may be what comes next.
    if let Some(call) = epoch::enter() {
        call.hand_down();
    }
    Ok(())
}

/// The log cannot be opened. That is told where it will be seen, since a log was asked for, and stops no signature.
fn without_log(wanted: &config::Log, error: &std::io::Error) -> Log {
    let fallback = config::Log { level: Level::Error, target: LogTarget::Stderr };
    let log = Log::open(&fallback).unwrap_or_else(|_| Log::off());
    log.error(format_args!("log.target: {:?} cannot be opened: {error}; there is no log", wanted.target));
    Log::off()
}

fn already() -> Error {
    Error::new(CKR_CRYPTOKI_ALREADY_INITIALIZED, "C_Initialize was called before")
}

/// What an application asks for.
struct Wishes {
    /// The path in `pReserved`.
    reserved: Option<PathBuf>,
    /// Whether the module may make threads.
    threads: bool,
}

/// The rules of section 5.4.1, and what is asked for.
///
/// # Safety
/// `pReserved` must be NULL or a string ended by NUL, or longer than its first seven bytes.
unsafe fn check_arguments(args: &CK_C_INITIALIZE_ARGS) -> Result<Wishes> {
    let callbacks = [
        args.CreateMutex.is_some(),
        args.DestroyMutex.is_some(),
        args.LockMutex.is_some(),
        args.UnlockMutex.is_some(),
    ];
    let given = callbacks.iter().filter(|given| **given).count();
    if given != 0 && given != callbacks.len() {
        return Err(Error::arguments("some mutex callbacks, but not all"));
    }
    if given != 0 && args.flags & CKF_OS_LOCKING_OK == 0 {
        return Err(Error::new(CKR_CANT_LOCK, "only the locks of the operating system are used"));
    }
    // SAFETY: the duty of this function.
    let reserved = unsafe { reserved_path(args.pReserved.cast()) }?;
    Ok(Wishes { reserved, threads: args.flags & CKF_LIBRARY_CANT_CREATE_OS_THREADS == 0 })
}

/// The path behind `config=`. Other strings are other libraries' (OpenSSL and NSS pass their own) and are left alone.
unsafe fn reserved_path(reserved: *const u8) -> Result<Option<PathBuf>> {
    if reserved.is_null() {
        return Ok(None);
    }
    for (at, expected) in PREFIX.iter().enumerate() {
        // SAFETY: all bytes before this one were not NUL, so that the string goes on.
        if unsafe { reserved.add(at).read() } != *expected {
            return Ok(None);
        }
    }
    // SAFETY: the string began so and ends with a NUL; the length is bounded all the same.
    let length = (0..LONGEST).find(|at| unsafe { reserved.add(*at).read() } == 0);
    if length.is_none() {
        return Err(Error::arguments("the string in pReserved does not end"));
    }
    // SAFETY: a NUL was found within the string.
    let text = unsafe { CStr::from_ptr(reserved.cast()) };
    let path = text.to_bytes().strip_prefix(PREFIX).unwrap_or_default();
    if path.is_empty() {
        return Err(Error::arguments("pReserved names no configuration file"));
    }
    Ok(Some(PathBuf::from(OsStr::from_bytes(path))))
}

/// Whether the program is set-uid or set-gid, so that its environment is not to be trusted.
fn is_secure() -> bool {
    // SAFETY: getauxval reads what the kernel left for the process.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// A panic of ours is caught at the edge; the host's terminal is none of its business, the log is. (The hook is that of
/// this library's own copy of the runtime.)
fn silence_panics() {
    static DONE: AtomicBool = AtomicBool::new(false);
    // No `Once`: a fork in the middle of one would leave the child waiting for a thread that it does not have.
    if !DONE.swap(true, Ordering::Relaxed) {
        std::panic::set_hook(Box::new(|panic| {
            // Not `enter`: it may be what panicked.
            if let Some(call) = epoch::enter_built() {
                // The place is all that is told: the message of a panic may quote what it was about.
                let place = panic.location().map(ToString::to_string).unwrap_or_default();
                call.module().log().error(format_args!("panicked at {place}"));
            }
        }));
    }
}

pub(super) unsafe fn finalize(reserved: CK_VOID_PTR) -> Result<()> {
    if !epoch::is_running() {
        return Err(Error::new(CKR_CRYPTOKI_NOT_INITIALIZED, "there is nothing to finalise"));
    }
    if !reserved.is_null() {
        return Err(Error::arguments("pReserved must be NULL"));
    }
    if epoch::stop(Module::close) {
        return Ok(());
    }
    Err(Error::new(CKR_CRYPTOKI_NOT_INITIALIZED, "another thread was faster"))
}

pub(super) unsafe fn get_info(_module: &Module, info: *mut CK_INFO) -> Result<()> {
    let value = CK_INFO {
        cryptokiVersion: CK_VERSION { major: 3, minor: 2 },
        manufacturerID: padded(MANUFACTURER),
        flags: 0,
        libraryDescription: padded("PKCS#11 in front of REST HSMs"),
        libraryVersion: library_version(),
    };
    // SAFETY: the caller owes a CK_INFO or NULL.
    unsafe { arg::write(info, value) }
}

/// The version of the package, in the two numbers that `CK_VERSION` has.
fn library_version() -> CK_VERSION {
    let number = |text: &str| text.parse().unwrap_or(u8::MAX);
    CK_VERSION {
        major: number(env!("CARGO_PKG_VERSION_MAJOR")),
        minor: number(env!("CARGO_PKG_VERSION_MINOR")),
    }
}

/// Text as the standard pads it: with blanks, without NUL, cut between characters.
pub(super) fn padded<const N: usize>(text: &str) -> [CK_UTF8CHAR; N] {
    let mut field = [b' '; N];
    let fitting = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= N).last();
    let length = fitting.unwrap_or(0);
    field[..length].copy_from_slice(&text.as_bytes()[..length]);
    field
}

pub(super) unsafe fn get_function_list(list: *mut *mut CK_FUNCTION_LIST) -> Result<()> {
    // SAFETY: the caller owes a place for a pointer, or NULL.
    unsafe { arg::write(list, (&raw const LIST_2_40).cast_mut()) }
}

pub(super) unsafe fn get_interface_list(list: *mut CK_INTERFACE, count: *mut CK_ULONG) -> Result<()> {
    // SAFETY: the caller owes a list of the length given and a place for the count, or NULL.
    unsafe { arg::deliver_list(&INTERFACES.0, list, count) }
}

/// Name, version and flags have to match; what is NULL or 0 matches anything, and the first is the default.
pub(super) unsafe fn get_interface(
    name: *mut CK_UTF8CHAR,
    version: *mut CK_VERSION,
    interface: *mut *mut CK_INTERFACE,
    flags: CK_FLAGS,
) -> Result<()> {
    arg::check_place(interface)?;
    // SAFETY: the caller owes a string ended by NUL, or NULL.
    let name = (!name.is_null()).then(|| unsafe { CStr::from_ptr(name.cast()) });
    // SAFETY: the caller owes a version, or NULL.
    let version = (!version.is_null()).then(|| unsafe { version.read_unaligned() });
    let fits = |candidate: &&CK_INTERFACE| {
        // SAFETY: our own interfaces have a name ended by NUL and a table that begins with its version.
        let (its_name, its_version) = unsafe {
            (CStr::from_ptr(candidate.pInterfaceName.cast()), *candidate.pFunctionList.cast::<CK_VERSION>())
        };
        name.is_none_or(|name| name == its_name)
            && version.is_none_or(|v| (v.major, v.minor) == (its_version.major, its_version.minor))
            && candidate.flags & flags == flags
    };
    let found =
        INTERFACES.0.iter().find(fits).ok_or_else(|| Error::arguments("there is no such interface"))?;
    // SAFETY: the place is not NULL and the caller owes that it is valid.
    unsafe { arg::write(interface, ptr_to(found)) }
}

fn ptr_to(interface: &'static CK_INTERFACE) -> *mut CK_INTERFACE {
    std::ptr::from_ref(interface).cast_mut()
}

/// A function that the module does not have.
pub(super) fn refuse(rv: CK_RV) -> Result<()> {
    Err(Error::new(rv, "not in this module"))
}

/// A function that wraps or derives keys. Where there is no mechanism at all, the mechanism is what is wrong.
pub(super) fn refuse_mechanism(module: &Module, session: CK_SESSION_HANDLE) -> Result<()> {
    let session = module.session(session)?;
    if session.token().offers().next().is_none() {
        return refuse(CKR_MECHANISM_INVALID);
    }
    refuse(CKR_FUNCTION_NOT_SUPPORTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_padded_with_blanks_and_cut_between_characters() {
        assert_eq!(&padded::<6>("ab"), b"ab    ");
        assert_eq!(&padded::<4>("abcdef"), b"abcd");
        assert_eq!(&padded::<4>("abcü"), b"abc ");
    }
}
