//! The process epoch: which life of the module this process is in, and whether it is still this process.
//!
//! All state hangs off one [`Module`]; the only process-wide static is the pointer to a page that the kernel wipes in
//! the child of a fork (`MADV_WIPEONFORK`). The page holds the pointer to the module and the number of calls under way,
//! so that a child finds neither: it is "not initialised", and what it inherited is never touched again - no lock of it
//! is taken, no connection of it is written to, nothing of it is dropped. Where the kernel cannot wipe, the page has
//! the process id instead.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::model::slot::Module;

/// How long `C_Finalize` waits for calls under way before it leaves their state to them.
const GRACE: Duration = Duration::from_secs(5);

static PAGE: AtomicPtr<Page> = AtomicPtr::new(ptr::null_mut());

/// What is different after a fork.
struct Page {
    module: AtomicPtr<Module>,
    calls: AtomicUsize,
    /// 0 where the kernel wipes the page, else the process that it belongs to.
    process: AtomicU32,
}

/// A call under way: as long as it lives, so does the module.
pub(super) struct Call {
    page: &'static Page,
    module: &'static Module,
}

impl Call {
    pub(super) fn module(&self) -> &Module {
        self.module
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.page.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Begins a call; `None` when the module is not initialised in this process.
pub(super) fn enter() -> Option<Call> {
    let page = page()?;
    // First counted, then looked: C_Finalize takes the pointer away first and looks at the count afterwards.
    page.calls.fetch_add(1, Ordering::SeqCst);
    let module = page.module.load(Ordering::SeqCst);
    // SAFETY: the pointer came from Box::into_raw in `start`, and `stop` frees it only after it has been taken away and
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
    page().is_some_and(|page| !page.module.load(Ordering::SeqCst).is_null())
}

/// Begins a life. Returns the module when another thread was faster.
pub(super) fn start(module: Module) -> Result<Result<(), Box<Module>>> {
    let page = match page() {
        Some(page) => page,
        None => map_page()?,
    };
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
    let end = Instant::now() + GRACE;
    while page.calls.load(Ordering::SeqCst) != 0 {
        if Instant::now() >= end {
            // Somebody is still in there: leaking is better than pulling the ground from under them.
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    // SAFETY: made by Box::into_raw in `start`, taken away above, and no call that could hold it is under way.
    drop(unsafe { Box::from_raw(module) });
    true
}

/// The page, if this process has one that is its own.
fn page() -> Option<&'static Page> {
    // SAFETY: PAGE is null or points to a page that `map_page` made and that is never unmapped.
    let page = unsafe { PAGE.load(Ordering::Acquire).as_ref() }?;
    let owner = page.process.load(Ordering::Relaxed);
    if owner != 0 && owner != std::process::id() {
        page.module.store(ptr::null_mut(), Ordering::SeqCst);
        page.calls.store(0, Ordering::SeqCst);
        page.process.store(std::process::id(), Ordering::SeqCst);
    }
    Some(page)
}

fn map_page() -> Result<&'static Page> {
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
    match PAGE.compare_exchange(ptr::null_mut(), page, Ordering::AcqRel, Ordering::Acquire) {
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
