//! The process epoch: which life of the module this process is in, and whether it is still this process.
//!
//! All state hangs off one [`Module`]; the only process-wide static is the pointer to a page that the kernel wipes in
//! the child of a fork (`MADV_WIPEONFORK`). The page holds the pointer to the module and the number of calls under way,
//! so that a child finds neither: it is "not initialised", and what it inherited is never touched again - no lock of it
//! is taken, no connection of it is written to, nothing of it is dropped. Where the kernel cannot wipe, the page has
//! the process id instead, and a child maps one of its own.
//!
//! With `fork = "transparent"` there is, beside the page, a pointer that a fork does copy: to an immutable [`Heritage`],
//! exchanged by the parent whenever it changes. The first call of a child builds a module from it. Nobody but a child
//! reads it, so that the parent may free the one that it has replaced; a child never frees what it inherited.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::model::heritage::Heritage;
use crate::model::slot::Module;
use crate::transport::Deadline;

/// How long `C_Finalize` waits for calls under way before it leaves their state to them.
const GRACE: Duration = Duration::from_secs(5);

/// How long the end of the process waits for what must not be under way.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long a thread sleeps before it looks again.
const PAUSE: Duration = Duration::from_millis(1);

static PAGE: AtomicPtr<Page> = AtomicPtr::new(ptr::null_mut());

/// What children go on with; null: they are not initialised.
static HERITAGE: AtomicPtr<Heritage> = AtomicPtr::new(ptr::null_mut());

/// What is different after a fork.
struct Page {
    module: AtomicPtr<Module>,
    calls: AtomicUsize,
    /// Whether this process has looked for what its parent left: `FRESH`, `INHERITING` or `SETTLED`.
    stage: AtomicU32,
    /// What [`HERITAGE`] points to, if this process made it.
    left: AtomicPtr<Heritage>,
    /// 0 where the kernel wipes the page, else the process that it belongs to.
    process: AtomicU32,
}

/// Nothing was done in this process yet; the state of a wiped page.
const FRESH: u32 = 0;
/// A thread builds the module of a child. No lock: a fork may come at any time.
const INHERITING: u32 = 1;
/// Whether there is a module is a matter of this process alone.
const SETTLED: u32 = 2;

/// A call under way: as long as it lives, so does the module.
pub(super) struct Call {
    page: &'static Page,
    module: &'static Module,
}

impl Call {
    pub(super) fn module(&self) -> &Module {
        self.module
    }

    /// Leaves children what changed, before the caller hears of it.
    pub(super) fn hand_down(&self) {
        self.module.hand_down(|heritage| leave(self.page, Box::into_raw(Box::new(heritage))));
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.page.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Begins a call; `None` when the module is not initialised in this process. A child may build it here.
pub(super) fn enter() -> Option<Call> {
    let page = page()?;
    enter_page(page).or_else(|| {
        inherit(page);
        enter_page(page)
    })
}

/// Begins a call of a module that is there already.
pub(super) fn enter_built() -> Option<Call> {
    enter_page(page()?)
}

fn enter_page(page: &'static Page) -> Option<Call> {
    // First counted, then looked: C_Finalize takes the pointer away first and looks at the count afterwards.
    page.calls.fetch_add(1, Ordering::SeqCst);
    let module = page.module.load(Ordering::SeqCst);
    // SAFETY: the pointer came from Box::into_raw in `start` or `inherit`, and `stop` frees it only after it has been taken away and
    // no call is counted, or never; this call is counted.
    match unsafe { module.as_ref() } {
        Some(module) => Some(Call { page, module }),
        None => {
            page.calls.fetch_sub(1, Ordering::SeqCst);
            None
        }
    }
}

/// Whether the module is initialised in this process.
pub(super) fn is_running() -> bool {
    enter().is_some()
}

/// Begins a life. Returns the module when another thread was faster.
pub(super) fn start(module: Module) -> Result<Result<(), Box<Module>>> {
    let page = match page() {
        Some(page) => page,
        None => map_page(ptr::null_mut())?,
    };
    page.stage.store(SETTLED, Ordering::SeqCst);
    let module = Box::into_raw(Box::new(module));
    let placed = page.module.compare_exchange(ptr::null_mut(), module, Ordering::SeqCst, Ordering::SeqCst);
    Ok(placed.map(|_| ()).map_err(|_| {
        // SAFETY: the pointer is the one made above and was published nowhere.
        unsafe { Box::from_raw(module) }
    }))
}

/// Ends the life, if there is one: new calls see none, calls under way are waited for.
pub(super) fn stop(farewell: impl FnOnce(&Module)) -> bool {
    let Some(page) = page() else { return false };
    let module = page.module.swap(ptr::null_mut(), Ordering::SeqCst);
    // SAFETY: as in `enter`; after the swap this function alone may free it.
    let Some(living) = (unsafe { module.as_ref() }) else { return false };
    farewell(living);
    leave(page, ptr::null_mut());
    let end = Instant::now() + GRACE;
    while page.calls.load(Ordering::SeqCst) != 0 {
        if Instant::now() >= end {
            // Somebody is still in there: leaking is better than pulling the ground from under them.
            return true;
        }
        std::thread::sleep(PAUSE);
    }
    // SAFETY: made by Box::into_raw in `start` or `inherit`, taken away above, and no call that could hold it is under way.
    drop(unsafe { Box::from_raw(module) });
    true
}

/// Among the handlers of `exit`: what must not be under way when the library's destructors run gets a moment to end.
extern "C" fn exiting() {
    if let Some(call) = enter_built() {
        call.module().exiting(Deadline::after(FAREWELL));
    }
}

/// Registers [`exiting`], once in a process; a child of a fork has it from its parent.
pub(super) fn watch_exit() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.swap(true, Ordering::Relaxed) {
        // SAFETY: `exiting` unwinds nowhere and may run at any time; the library stays mapped (`-z nodelete`). Without a
        // place for it all is as it was: an end in the middle of a handshake may be an abort.
        unsafe { libc::atexit(exiting) };
    }
}

/// Among this library's destructors, when the process ends: from now on nothing is initialised. Threads may still run and
/// other libraries' destructors call, but aws-lc's own destructors have ended its random numbers: a thread that draws its
/// first ones for a handshake would abort the host, any other would wait for ever.
extern "C" fn end() {
    let Some(page) = page() else { return };
    page.stage.store(SETTLED, Ordering::SeqCst);
    let module = page.module.swap(ptr::null_mut(), Ordering::SeqCst);
    // SAFETY: as in `enter`; whoever takes the pointer away may free it, and this function does not.
    if let Some(module) = unsafe { module.as_ref() } {
        // A daemon's first process has a child that goes on, with copies of the connections that nobody else would end.
        module.exiting(Deadline::after(Duration::ZERO));
    }
}

// SAFETY: the linker makes the array of destructors of such pointers; `end` unwinds nowhere and owes nothing.
#[used]
#[unsafe(link_section = ".fini_array")]
static END: extern "C" fn() = end;

/// Builds the module of a child from what its parent left, if it left anything and nobody has done so.
fn inherit(page: &Page) {
    while let Err(stage) = page.stage.compare_exchange(FRESH, INHERITING, Ordering::SeqCst, Ordering::SeqCst)
    {
        if stage == SETTLED {
            return;
        }
        std::thread::sleep(PAUSE);
    }
    // SAFETY: HERITAGE is null or came from Box::into_raw in `hand_down`. This process has a fresh page, so it has left
    // nothing itself: the parent made it, and what the parent does to it now happens in another memory.
    if let Some(heritage) = unsafe { HERITAGE.load(Ordering::SeqCst).as_ref() } {
        // A panic must not leave the others waiting; without a module the child is as it would be by default.
        if let Ok(module) = catch_unwind(AssertUnwindSafe(|| Module::inherit(heritage))) {
            page.module.store(Box::into_raw(Box::new(module)), Ordering::SeqCst);
        }
    }
    page.stage.store(SETTLED, Ordering::SeqCst);
}

/// Children born from now on go on with `heritage`; null: with nothing. One caller at a time: the module hands down
/// under a lock, and no more once it is closed.
fn leave(page: &Page, heritage: *mut Heritage) {
    HERITAGE.store(heritage, Ordering::SeqCst);
    let old = page.left.swap(heritage, Ordering::SeqCst);
    if !old.is_null() {
        // SAFETY: `left` has only what this process made by Box::into_raw in `hand_down`, since a fork wipes it. Nobody
        // reads it: children have a copy of their own, and HERITAGE points elsewhere by now.
        drop(unsafe { Box::from_raw(old) });
    }
}

/// The page, if this process has one that is its own.
fn page() -> Option<&'static Page> {
    let place = PAGE.load(Ordering::Acquire);
    // SAFETY: PAGE is null or points to a page that `map_page` made and that is never unmapped.
    let page = unsafe { place.as_ref() }?;
    let owner = page.process.load(Ordering::Relaxed);
    if owner != 0 && owner != std::process::id() {
        return map_page(place).ok();
    }
    Some(page)
}

/// Maps a page in place of `old`, unless another thread was faster.
fn map_page(old: *mut Page) -> Result<&'static Page> {
    let length = size_of::<Page>().next_multiple_of(4096);
    // SAFETY: an anonymous private mapping touches nothing that exists; the kernel picks the address.
    let mapped = unsafe {
        libc::mmap(
            ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if mapped == libc::MAP_FAILED {
        let source = std::io::Error::last_os_error();
        return Err(
            Error::new(cryptoki_sys::CKR_HOST_MEMORY, "no page for the process epoch").because(source)
        );
    }
    // SAFETY: the range is the mapping made above.
    let wiped = unsafe { libc::madvise(mapped, length, libc::MADV_WIPEONFORK) } == 0;
    let page: *mut Page = mapped.cast();
    // SAFETY: the mapping is large enough, page-aligned, zeroed (a valid Page) and nobody else's yet.
    let fresh = unsafe { &*page };
    fresh.process.store(if wiped { 0 } else { std::process::id() }, Ordering::SeqCst);
    match PAGE.compare_exchange(old, page, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Ok(fresh),
        Err(other) => {
            // SAFETY: the mapping made above, known to nobody; `other` is as in `page`.
            unsafe {
                libc::munmap(mapped, length);
                Ok(&*other)
            }
        }
    }
}
