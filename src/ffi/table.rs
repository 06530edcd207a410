//! The one list of functions. From it come the exported symbols, the tables of 2.40, 3.0 and 3.2, and [`Function`].

use cryptoki_sys::*;

use super::{
    digest, entry, general, generate, message, object, pure_entry, random, session, slot, step, verify,
};
use crate::model::session::Session;

macro_rules! exported {
    (pure $name:ident ($($arg:ident: $type:ty),*) $body:path) => {
        #[unsafe(no_mangle)]
        #[allow(non_snake_case, clippy::missing_safety_doc, missing_docs)]
        pub unsafe extern "C" fn $name($($arg: $type),*) -> CK_RV {
            // SAFETY: the caller owes what the standard says of this function's arguments.
            pure_entry(Function::$name, || unsafe { $body($($arg),*) })
        }
    };
    (call $name:ident ($($arg:ident: $type:ty),*) $body:path) => {
        #[unsafe(no_mangle)]
        #[allow(non_snake_case, clippy::missing_safety_doc, missing_docs)]
        pub unsafe extern "C" fn $name($($arg: $type),*) -> CK_RV {
            // SAFETY: the caller owes what the standard says of this function's arguments.
            entry(Function::$name, |module| unsafe { $body(module, $($arg),*) })
        }
    };
    (refuse $name:ident ($($arg:ident: $type:ty),*) $rv:path) => {
        #[unsafe(no_mangle)]
        #[allow(non_snake_case, clippy::missing_safety_doc, missing_docs)]
        pub unsafe extern "C" fn $name($($arg: $type),*) -> CK_RV {
            let _ = ($($arg,)*);
            entry(Function::$name, |_| general::refuse($rv))
        }
    };
    (keyless $name:ident ($session:ident: $handle:ty $(, $arg:ident: $type:ty)*) $body:path) => {
        #[unsafe(no_mangle)]
        #[allow(non_snake_case, clippy::missing_safety_doc, missing_docs)]
        pub unsafe extern "C" fn $name($session: $handle $(, $arg: $type)*) -> CK_RV {
            let _ = ($($arg,)*);
            entry(Function::$name, |module| $body(module, $session))
        }
    };
    ($shape:ident $name:ident ($($arg:ident: $type:ty),*) $body:path) => {
        #[unsafe(no_mangle)]
        #[allow(non_snake_case, clippy::missing_safety_doc, missing_docs)]
        pub unsafe extern "C" fn $name($($arg: $type),*) -> CK_RV {
            // SAFETY: the caller owes what the standard says of this function's arguments.
            entry(Function::$name, |module| unsafe { step::$shape(module, $($arg,)* $body) })
        }
    };
}

macro_rules! functions {
    (
        v2_40 { $($kind2:ident $name2:ident ($($arg2:ident: $type2:ty),*) => $body2:path;)* }
        v3_0 { $($kind3:ident $name3:ident ($($arg3:ident: $type3:ty),*) => $body3:path;)* }
        v3_2 { $($kind32:ident $name32:ident ($($arg32:ident: $type32:ty),*) => $body32:path;)* }
    ) => {
        $(exported!($kind2 $name2 ($($arg2: $type2),*) $body2);)*
        $(exported!($kind3 $name3 ($($arg3: $type3),*) $body3);)*
        $(exported!($kind32 $name32 ($($arg32: $type32),*) $body32);)*

        /// A function of the standard.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(non_camel_case_types, missing_docs)]
        pub enum Function { $($name2,)* $($name3,)* $($name32,)* }

        const NAMES: &[&str] =
            &[$(stringify!($name2),)* $(stringify!($name3),)* $(stringify!($name32),)*];

        impl Function {
            /// All functions, in the order of `CK_FUNCTION_LIST_3_2`.
            pub const ALL: [Self; NAMES.len()] =
                [$(Self::$name2,)* $(Self::$name3,)* $(Self::$name32,)*];

            /// The name of the symbol.
            pub fn name(self) -> &'static str {
                NAMES[self as usize]
            }
        }

        /// What `C_GetFunctionList` gives.
        pub(super) static LIST_2_40: CK_FUNCTION_LIST = CK_FUNCTION_LIST {
            version: CK_VERSION { major: 2, minor: 40 },
            $($name2: Some($name2),)*
        };

        static LIST_3_0: CK_FUNCTION_LIST_3_0 = CK_FUNCTION_LIST_3_0 {
            version: CK_VERSION { major: 3, minor: 0 },
            $($name2: Some($name2),)*
            $($name3: Some($name3),)*
        };

        static LIST_3_2: CK_FUNCTION_LIST_3_2 = CK_FUNCTION_LIST_3_2 {
            version: CK_VERSION { major: 3, minor: 2 },
            $($name2: Some($name2),)*
            $($name3: Some($name3),)*
            $($name32: Some($name32),)*
        };
    };
}

// The first word of a row says how the body is called: `pure` needs no initialised module, `call` gets the module and the
// arguments as they are, `refuse` answers with the code that the standard has for a function that is not there, `keyless`
// refuses a mechanism where the token has none, and the others are the shapes of `step`, whose bodies are the session's own.
functions! {
    v2_40 {
        pure C_Initialize(init_args: CK_VOID_PTR) => general::initialize;
        pure C_Finalize(reserved: CK_VOID_PTR) => general::finalize;
        call C_GetInfo(info: *mut CK_INFO) => general::get_info;
        pure C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) => general::get_function_list;
        call C_GetSlotList(present: CK_BBOOL, slots: *mut CK_SLOT_ID, count: *mut CK_ULONG) => slot::get_slot_list;
        call C_GetSlotInfo(slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO) => slot::get_slot_info;
        call C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) => slot::get_token_info;
        call C_GetMechanismList(slot: CK_SLOT_ID, list: *mut CK_MECHANISM_TYPE, count: *mut CK_ULONG) => slot::get_mechanism_list;
        call C_GetMechanismInfo(slot: CK_SLOT_ID, kind: CK_MECHANISM_TYPE, info: *mut CK_MECHANISM_INFO) => slot::get_mechanism_info;
        call C_InitToken(slot: CK_SLOT_ID, pin: *mut CK_UTF8CHAR, pin_len: CK_ULONG, label: *mut CK_UTF8CHAR) => session::init_token;
        call C_InitPIN(session: CK_SESSION_HANDLE, pin: *mut CK_UTF8CHAR, pin_len: CK_ULONG) => session::init_pin;
        call C_SetPIN(session: CK_SESSION_HANDLE, old: *mut CK_UTF8CHAR, old_len: CK_ULONG, new: *mut CK_UTF8CHAR, new_len: CK_ULONG) => session::set_pin;
        call C_OpenSession(slot: CK_SLOT_ID, flags: CK_FLAGS, application: CK_VOID_PTR, notify: CK_NOTIFY, session: *mut CK_SESSION_HANDLE) => session::open_session;
        call C_CloseSession(session: CK_SESSION_HANDLE) => session::close_session;
        call C_CloseAllSessions(slot: CK_SLOT_ID) => session::close_all_sessions;
        call C_GetSessionInfo(session: CK_SESSION_HANDLE, info: *mut CK_SESSION_INFO) => session::get_session_info;
        refuse C_GetOperationState(session: CK_SESSION_HANDLE, state: *mut CK_BYTE, state_len: *mut CK_ULONG) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_SetOperationState(session: CK_SESSION_HANDLE, state: *mut CK_BYTE, state_len: CK_ULONG, encryption_key: CK_OBJECT_HANDLE, authentication_key: CK_OBJECT_HANDLE) => CKR_FUNCTION_NOT_SUPPORTED;
        call C_Login(session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: *mut CK_UTF8CHAR, pin_len: CK_ULONG) => session::login;
        call C_Logout(session: CK_SESSION_HANDLE) => session::logout;
        call C_CreateObject(session: CK_SESSION_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG, object: *mut CK_OBJECT_HANDLE) => object::create_object;
        call C_CopyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG, copy: *mut CK_OBJECT_HANDLE) => object::copy_object;
        call C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) => object::destroy_object;
        call C_GetObjectSize(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, size: *mut CK_ULONG) => object::get_object_size;
        call C_GetAttributeValue(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG) => object::get_attribute_value;
        call C_SetAttributeValue(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG) => object::set_attribute_value;
        call C_FindObjectsInit(session: CK_SESSION_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG) => object::find_objects_init;
        call C_FindObjects(session: CK_SESSION_HANDLE, objects: *mut CK_OBJECT_HANDLE, most: CK_ULONG, count: *mut CK_ULONG) => object::find_objects;
        call C_FindObjectsFinal(session: CK_SESSION_HANDLE) => object::find_objects_final;
        begin C_EncryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => Session::encrypt_init;
        transform C_Encrypt(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => Session::encrypt;
        transform C_EncryptUpdate(session: CK_SESSION_HANDLE, part: *mut CK_BYTE, part_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => Session::encrypt_update;
        conclude C_EncryptFinal(session: CK_SESSION_HANDLE, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => Session::encrypt_final;
        begin C_DecryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => Session::decrypt_init;
        transform C_Decrypt(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => Session::decrypt;
        transform C_DecryptUpdate(session: CK_SESSION_HANDLE, part: *mut CK_BYTE, part_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => Session::decrypt_update;
        conclude C_DecryptFinal(session: CK_SESSION_HANDLE, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => Session::decrypt_final;
        call C_DigestInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM) => digest::digest_init;
        transform C_Digest(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => Session::digest;
        feed C_DigestUpdate(session: CK_SESSION_HANDLE, part: *mut CK_BYTE, part_len: CK_ULONG) => Session::digest_update;
        call C_DigestKey(session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) => digest::digest_key;
        conclude C_DigestFinal(session: CK_SESSION_HANDLE, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => Session::digest_final;
        begin C_SignInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => Session::sign_init;
        transform C_Sign(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => Session::sign;
        feed C_SignUpdate(session: CK_SESSION_HANDLE, part: *mut CK_BYTE, part_len: CK_ULONG) => Session::sign_update;
        conclude C_SignFinal(session: CK_SESSION_HANDLE, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => Session::sign_final;
        refuse C_SignRecoverInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_SignRecover(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => CKR_FUNCTION_NOT_SUPPORTED;
        begin C_VerifyInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => Session::verify_init;
        call C_Verify(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_len: CK_ULONG, signature: *mut CK_BYTE, signature_len: CK_ULONG) => verify::verify;
        feed C_VerifyUpdate(session: CK_SESSION_HANDLE, part: *mut CK_BYTE, part_len: CK_ULONG) => Session::verify_update;
        feed C_VerifyFinal(session: CK_SESSION_HANDLE, signature: *mut CK_BYTE, signature_len: CK_ULONG) => Session::verify_final;
        refuse C_VerifyRecoverInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_VerifyRecover(session: CK_SESSION_HANDLE, signature: *mut CK_BYTE, signature_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_DigestEncryptUpdate(session: CK_SESSION_HANDLE, part: *mut CK_BYTE, part_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_DecryptDigestUpdate(session: CK_SESSION_HANDLE, part: *mut CK_BYTE, part_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_SignEncryptUpdate(session: CK_SESSION_HANDLE, part: *mut CK_BYTE, part_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_DecryptVerifyUpdate(session: CK_SESSION_HANDLE, part: *mut CK_BYTE, part_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => CKR_FUNCTION_NOT_SUPPORTED;
        call C_GenerateKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, template: *mut CK_ATTRIBUTE, count: CK_ULONG, key: *mut CK_OBJECT_HANDLE) => generate::generate_key;
        call C_GenerateKeyPair(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, public_template: *mut CK_ATTRIBUTE, public_count: CK_ULONG, private_template: *mut CK_ATTRIBUTE, private_count: CK_ULONG, public_key: *mut CK_OBJECT_HANDLE, private_key: *mut CK_OBJECT_HANDLE) => generate::generate_key_pair;
        keyless C_WrapKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, wrapping_key: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => general::refuse_mechanism;
        keyless C_UnwrapKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, unwrapping_key: CK_OBJECT_HANDLE, wrapped: *mut CK_BYTE, wrapped_len: CK_ULONG, template: *mut CK_ATTRIBUTE, count: CK_ULONG, key: *mut CK_OBJECT_HANDLE) => general::refuse_mechanism;
        keyless C_DeriveKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, base_key: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG, key: *mut CK_OBJECT_HANDLE) => general::refuse_mechanism;
        call C_SeedRandom(session: CK_SESSION_HANDLE, seed: *mut CK_BYTE, seed_len: CK_ULONG) => random::seed_random;
        call C_GenerateRandom(session: CK_SESSION_HANDLE, out: *mut CK_BYTE, out_len: CK_ULONG) => random::generate_random;
        refuse C_GetFunctionStatus(session: CK_SESSION_HANDLE) => CKR_FUNCTION_NOT_PARALLEL;
        refuse C_CancelFunction(session: CK_SESSION_HANDLE) => CKR_FUNCTION_NOT_PARALLEL;
        call C_WaitForSlotEvent(flags: CK_FLAGS, slot: *mut CK_SLOT_ID, reserved: CK_VOID_PTR) => slot::wait_for_slot_event;
    }
    v3_0 {
        pure C_GetInterfaceList(list: *mut CK_INTERFACE, count: *mut CK_ULONG) => general::get_interface_list;
        pure C_GetInterface(name: *mut CK_UTF8CHAR, version: *mut CK_VERSION, interface: *mut *mut CK_INTERFACE, flags: CK_FLAGS) => general::get_interface;
        call C_LoginUser(session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: *mut CK_UTF8CHAR, pin_len: CK_ULONG, username: *mut CK_UTF8CHAR, username_len: CK_ULONG) => session::login_user;
        call C_SessionCancel(session: CK_SESSION_HANDLE, flags: CK_FLAGS) => session::session_cancel;
        call C_MessageEncryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => message::message_encrypt_init;
        call C_EncryptMessage(session: CK_SESSION_HANDLE, parameter: CK_VOID_PTR, parameter_len: CK_ULONG, aad: *mut CK_BYTE, aad_len: CK_ULONG, plaintext: *mut CK_BYTE, plaintext_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => message::encrypt_message;
        refuse C_EncryptMessageBegin(session: CK_SESSION_HANDLE, parameter: CK_VOID_PTR, parameter_len: CK_ULONG, aad: *mut CK_BYTE, aad_len: CK_ULONG) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_EncryptMessageNext(session: CK_SESSION_HANDLE, parameter: CK_VOID_PTR, parameter_len: CK_ULONG, part: *mut CK_BYTE, part_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG, flags: CK_FLAGS) => CKR_FUNCTION_NOT_SUPPORTED;
        call C_MessageEncryptFinal(session: CK_SESSION_HANDLE) => message::message_encrypt_final;
        refuse C_MessageDecryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_DecryptMessage(session: CK_SESSION_HANDLE, parameter: CK_VOID_PTR, parameter_len: CK_ULONG, aad: *mut CK_BYTE, aad_len: CK_ULONG, data: *mut CK_BYTE, data_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_DecryptMessageBegin(session: CK_SESSION_HANDLE, parameter: CK_VOID_PTR, parameter_len: CK_ULONG, aad: *mut CK_BYTE, aad_len: CK_ULONG) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_DecryptMessageNext(session: CK_SESSION_HANDLE, parameter: CK_VOID_PTR, parameter_len: CK_ULONG, part: *mut CK_BYTE, part_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG, flags: CK_FLAGS) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_MessageDecryptFinal(session: CK_SESSION_HANDLE) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_MessageSignInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_SignMessage(session: CK_SESSION_HANDLE, parameter: CK_VOID_PTR, parameter_len: CK_ULONG, data: *mut CK_BYTE, data_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_SignMessageBegin(session: CK_SESSION_HANDLE, parameter: CK_VOID_PTR, parameter_len: CK_ULONG) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_SignMessageNext(session: CK_SESSION_HANDLE, parameter: CK_VOID_PTR, parameter_len: CK_ULONG, data: *mut CK_BYTE, data_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_MessageSignFinal(session: CK_SESSION_HANDLE) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_MessageVerifyInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_VerifyMessage(session: CK_SESSION_HANDLE, parameter: CK_VOID_PTR, parameter_len: CK_ULONG, data: *mut CK_BYTE, data_len: CK_ULONG, signature: *mut CK_BYTE, signature_len: CK_ULONG) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_VerifyMessageBegin(session: CK_SESSION_HANDLE, parameter: CK_VOID_PTR, parameter_len: CK_ULONG) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_VerifyMessageNext(session: CK_SESSION_HANDLE, parameter: CK_VOID_PTR, parameter_len: CK_ULONG, data: *mut CK_BYTE, data_len: CK_ULONG, signature: *mut CK_BYTE, signature_len: CK_ULONG) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_MessageVerifyFinal(session: CK_SESSION_HANDLE) => CKR_FUNCTION_NOT_SUPPORTED;
    }
    v3_2 {
        refuse C_EncapsulateKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, public_key: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG, ciphertext: *mut CK_BYTE, ciphertext_len: *mut CK_ULONG, key: *mut CK_OBJECT_HANDLE) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_DecapsulateKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, private_key: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG, ciphertext: *mut CK_BYTE, ciphertext_len: CK_ULONG, key: *mut CK_OBJECT_HANDLE) => CKR_FUNCTION_NOT_SUPPORTED;
        call C_VerifySignatureInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE, signature: *mut CK_BYTE, signature_len: CK_ULONG) => verify::verify_signature_init;
        feed C_VerifySignature(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_len: CK_ULONG) => Session::verify_signature;
        feed C_VerifySignatureUpdate(session: CK_SESSION_HANDLE, part: *mut CK_BYTE, part_len: CK_ULONG) => Session::verify_signature_update;
        call C_VerifySignatureFinal(session: CK_SESSION_HANDLE) => verify::verify_signature_final;
        call C_GetSessionValidationFlags(session: CK_SESSION_HANDLE, kind: CK_SESSION_VALIDATION_FLAGS_TYPE, flags: *mut CK_FLAGS) => session::get_session_validation_flags;
        refuse C_AsyncComplete(session: CK_SESSION_HANDLE, function: *mut CK_UTF8CHAR, result: *mut CK_ASYNC_DATA) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_AsyncGetID(session: CK_SESSION_HANDLE, function: *mut CK_UTF8CHAR, id: *mut CK_ULONG) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_AsyncJoin(session: CK_SESSION_HANDLE, function: *mut CK_UTF8CHAR, id: CK_ULONG, data: *mut CK_BYTE, data_len: CK_ULONG) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_WrapKeyAuthenticated(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, wrapping_key: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE, aad: *mut CK_BYTE, aad_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG) => CKR_FUNCTION_NOT_SUPPORTED;
        refuse C_UnwrapKeyAuthenticated(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, unwrapping_key: CK_OBJECT_HANDLE, wrapped: *mut CK_BYTE, wrapped_len: CK_ULONG, template: *mut CK_ATTRIBUTE, count: CK_ULONG, aad: *mut CK_BYTE, aad_len: CK_ULONG, key: *mut CK_OBJECT_HANDLE) => CKR_FUNCTION_NOT_SUPPORTED;
    }
}

/// What `C_GetInterfaceList` gives, the default first.
pub(super) static INTERFACES: Interfaces = Interfaces([
    interface((&raw const LIST_3_2).cast()),
    interface((&raw const LIST_3_0).cast()),
    interface((&raw const LIST_2_40).cast()),
]);

const fn interface(list: *const std::ffi::c_void) -> CK_INTERFACE {
    CK_INTERFACE {
        pInterfaceName: c"PKCS 11".as_ptr().cast::<CK_UTF8CHAR>().cast_mut(),
        pFunctionList: list.cast_mut(),
        flags: 0,
    }
}

/// Interfaces that are never changed, in spite of the pointers that C has no `const` for.
pub(super) struct Interfaces(pub(super) [CK_INTERFACE; 3]);

// SAFETY: the pointers are to statics that nobody writes to.
unsafe impl Sync for Interfaces {}
