//! The C API as it is. Every call is held to the table of codes that the standard lets its function return.

use std::ffi::CString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;

use cryptoki_sys::{
    CK_C_INITIALIZE_ARGS, CK_FALSE, CK_FLAGS, CK_FUNCTION_LIST_3_2, CK_INTERFACE, CK_MECHANISM_INFO,
    CK_MECHANISM_TYPE, CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID, CK_SLOT_INFO, CK_TOKEN_INFO, CK_TRUE, CK_ULONG,
    CKF_OS_LOCKING_OK, CKF_RW_SESSION, CKF_SERIAL_SESSION, CKR_OK,
};
use p11rest::ffi::codes;
use p11rest::ffi::table::Function;

use super::secrets;
use super::session::Session;

/// What a call came to: its result, or the code that is not `CKR_OK`.
pub type Called<T = ()> = Result<T, Code>;

/// A `CKR_*` code, printed by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code(pub CK_RV);

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:#x})", codes::name(self.0), self.0)
    }
}

/// Checks that a call failed with this code.
#[track_caller]
pub fn refused<T: fmt::Debug>(called: Called<T>, code: CK_RV) {
    match called {
        Err(got) => assert_eq!(got, Code(code)),
        Ok(value) => panic!("{:?} expected, but it went well: {value:?}", Code(code)),
    }
}

/// Calls a function of the table and holds its code to what the standard allows.
macro_rules! call {
    ($p11:expr, $name:ident($($argument:expr),* $(,)?)) => {{
        let function = $p11.table().$name.expect(concat!(stringify!($name), " is in the table"));
        // SAFETY: every pointer that this layer passes is NULL or to memory of the length that goes with it, which
        // lives until the call returns.
        let rv = unsafe { function($($argument),*) };
        $crate::support::p11::held(p11rest::ffi::table::Function::$name, rv)
    }};
}
pub(super) use call;

/// Panics on a code that the standard does not let `function` return.
#[track_caller]
pub fn held(function: Function, rv: CK_RV) -> CK_RV {
    assert!(codes::is_allowed(function, rv), "{} may not return {:?}", function.name(), Code(rv));
    rv
}

/// The code of a call as a result.
pub fn called(rv: CK_RV) -> Called {
    if rv == CKR_OK { Ok(()) } else { Err(Code(rv)) }
}

/// The loaded module. There is one in a process, as there is one `C_Initialize`.
pub struct P11 {
    table: &'static CK_FUNCTION_LIST_3_2,
}

impl P11 {
    /// Loads the module; nothing is initialised.
    pub fn load() -> &'static Self {
        static LOADED: OnceLock<P11> = OnceLock::new();
        LOADED.get_or_init(|| {
            // SAFETY: the module's initialisers do nothing but what Rust's own do.
            let library = unsafe { cryptoki_sys::Pkcs11::new(super::module()) }.expect("the module loads");
            // Never dropped: the table is the library's.
            let library = Box::leak(Box::new(library));
            let mut interface: *mut CK_INTERFACE = ptr::null_mut();
            // SAFETY: NULL asks for the default interface, and there is a place for it.
            let rv =
                unsafe { library.C_GetInterface(ptr::null_mut(), ptr::null_mut(), &raw mut interface, 0) };
            assert_eq!(Code(rv), Code(CKR_OK), "C_GetInterface");
            // SAFETY: C_GetInterface gave an interface, whose table begins with its version.
            let table = unsafe { (*interface).pFunctionList.cast::<CK_FUNCTION_LIST_3_2>().as_ref() };
            let table = table.expect("the default interface has a table");
            assert_eq!((table.version.major, table.version.minor), (3, 2));
            P11 { table }
        })
    }

    /// The functions of version 3.2.
    pub(super) fn table(&self) -> &'static CK_FUNCTION_LIST_3_2 {
        self.table
    }

    /// `C_Initialize` with the path of a configuration in `pReserved`. What has no log of its own gets that of the
    /// process.
    pub fn initialize(&self, config: &Path) -> Called {
        let config = secrets::with_log(config);
        let text = [b"config=", config.as_os_str().as_bytes()].concat();
        let reserved = CString::new(text).expect("a path has no NUL");
        let mut arguments = CK_C_INITIALIZE_ARGS {
            CreateMutex: None,
            DestroyMutex: None,
            LockMutex: None,
            UnlockMutex: None,
            flags: CKF_OS_LOCKING_OK,
            pReserved: reserved.as_ptr().cast_mut().cast(),
        };
        called(call!(self, C_Initialize((&raw mut arguments).cast())))
    }

    /// `C_Finalize`
    pub fn finalize(&self) -> Called {
        called(call!(self, C_Finalize(ptr::null_mut())))
    }

    /// `C_GetSlotList`
    pub fn slots(&self, with_token: bool) -> Called<Vec<CK_SLOT_ID>> {
        let present = if with_token { CK_TRUE } else { CK_FALSE };
        let mut count = 0;
        called(call!(self, C_GetSlotList(present, ptr::null_mut(), &raw mut count)))?;
        let mut slots = vec![0; count as usize];
        called(call!(self, C_GetSlotList(present, slots.as_mut_ptr(), &raw mut count)))?;
        slots.truncate(count as usize);
        Ok(slots)
    }

    /// `C_GetSlotInfo`
    pub fn slot_info(&self, slot: CK_SLOT_ID) -> Called<CK_SLOT_INFO> {
        let mut info = CK_SLOT_INFO::default();
        called(call!(self, C_GetSlotInfo(slot, &raw mut info)))?;
        Ok(info)
    }

    /// `C_GetTokenInfo`
    pub fn token_info(&self, slot: CK_SLOT_ID) -> Called<CK_TOKEN_INFO> {
        let mut info = CK_TOKEN_INFO::default();
        called(call!(self, C_GetTokenInfo(slot, &raw mut info)))?;
        Ok(info)
    }

    /// `C_GetMechanismList`
    pub fn mechanisms(&self, slot: CK_SLOT_ID) -> Called<Vec<CK_MECHANISM_TYPE>> {
        let mut count = 0;
        called(call!(self, C_GetMechanismList(slot, ptr::null_mut(), &raw mut count)))?;
        let mut list = vec![0; count as usize];
        called(call!(self, C_GetMechanismList(slot, list.as_mut_ptr(), &raw mut count)))?;
        Ok(list)
    }

    /// `C_GetMechanismInfo`
    pub fn mechanism_info(&self, slot: CK_SLOT_ID, kind: CK_MECHANISM_TYPE) -> Called<CK_MECHANISM_INFO> {
        let mut info = CK_MECHANISM_INFO::default();
        called(call!(self, C_GetMechanismInfo(slot, kind, &raw mut info)))?;
        Ok(info)
    }

    /// `C_OpenSession`, read-only.
    pub fn open(&'static self, slot: CK_SLOT_ID) -> Called<Session> {
        self.open_with(slot, CKF_SERIAL_SESSION)
    }

    /// `C_OpenSession`, read/write.
    pub fn open_rw(&'static self, slot: CK_SLOT_ID) -> Called<Session> {
        self.open_with(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION)
    }

    /// `C_OpenSession`
    pub fn open_with(&'static self, slot: CK_SLOT_ID, flags: CK_FLAGS) -> Called<Session> {
        let mut handle: CK_SESSION_HANDLE = 0;
        called(call!(self, C_OpenSession(slot, flags, ptr::null_mut(), None, &raw mut handle)))?;
        Ok(Session::new(self, handle))
    }

    /// `C_CloseAllSessions`
    pub fn close_all(&self, slot: CK_SLOT_ID) -> Called {
        called(call!(self, C_CloseAllSessions(slot)))
    }
}

/// A length as C has it.
pub fn ulong(length: usize) -> CK_ULONG {
    CK_ULONG::try_from(length).expect("a length fits CK_ULONG")
}
