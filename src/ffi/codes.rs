//! Which `CKR_*` codes each function may return, and what becomes of any other.
//!
//! A back end names what went wrong as exactly as it can. A caller, though, only knows what to do with the codes that
//! the standard lists for the function that was called: some treat any other as a fault of the module and give up. The
//! table here is those lists, and [`settle`] brings whatever reaches the edge into them.
//!
//! Source: PKCS#11 3.2. Section 5.1 gives the codes of whole classes of functions (the *scopes* of the table), and the
//! description of each function the rest. Where a description names a code, or an argument that can be bad, that its
//! own list forgot, the code stands behind the bar of the row together with those of that function alone.

use cryptoki_sys::*;

pub use super::rv_name::name;
use super::table::Function;

/// What reaches the caller of `function` when the module means `rv`: `rv` itself where the standard allows it.
///
/// Otherwise: a key that is gone or a use that was refused becomes `CKR_FUNCTION_REJECTED`, or the bad handle that
/// the function can report; a credential that was not taken becomes `CKR_USER_NOT_LOGGED_IN`, or `CKR_PIN_INCORRECT`
/// from the functions that bring one; anything else, and whatever has no such code, is `CKR_DEVICE_ERROR`, or
/// `CKR_FUNCTION_FAILED` from the functions that touch no token.
pub fn settle(function: Function, rv: CK_RV) -> CK_RV {
    if is_allowed(function, rv) {
        return rv;
    }
    let instead: &[CK_RV] = match rv {
        CKR_KEY_HANDLE_INVALID
        | CKR_OBJECT_HANDLE_INVALID
        | CKR_UNWRAPPING_KEY_HANDLE_INVALID
        | CKR_WRAPPING_KEY_HANDLE_INVALID => {
            &[CKR_FUNCTION_REJECTED, CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID]
        }
        CKR_ACTION_PROHIBITED
        | CKR_FUNCTION_REJECTED
        | CKR_KEY_EXHAUSTED
        | CKR_KEY_FUNCTION_NOT_PERMITTED => &[CKR_FUNCTION_REJECTED],
        CKR_PIN_EXPIRED
        | CKR_PIN_INCORRECT
        | CKR_PIN_INVALID
        | CKR_PIN_LEN_RANGE
        | CKR_PIN_LOCKED
        | CKR_USER_NOT_LOGGED_IN
        | CKR_USER_PIN_NOT_INITIALIZED
        | CKR_USER_TYPE_INVALID => &[CKR_USER_NOT_LOGGED_IN, CKR_PIN_INCORRECT],
        CKR_TOKEN_NOT_PRESENT => &[CKR_DEVICE_REMOVED],
        _ => &[],
    };
    instead
        .iter()
        .chain(&[CKR_DEVICE_ERROR])
        .copied()
        .find(|&code| is_allowed(function, code))
        .unwrap_or(CKR_FUNCTION_FAILED)
}

/// Whether the standard lets `function` return `rv`.
pub fn is_allowed(function: Function, rv: CK_RV) -> bool {
    allowed(function).iter().any(|group| group.contains(&rv))
}

/// The groups of a scope, then those of the row, then the codes behind its bar.
macro_rules! groups {
    (pure $($group:ident)*; $($code:ident)*) => { &[ANY, $($group,)* &[$($code),*]] };
    (library $($group:ident)*; $($code:ident)*) => { &[ANY, READY, $($group,)* &[$($code),*]] };
    (slot $($group:ident)*; $($code:ident)*) => { &[ANY, READY, TOKEN, SLOT, $($group,)* &[$($code),*]] };
    (session $($group:ident)*; $($code:ident)*) => { &[ANY, READY, TOKEN, SESSION, $($group,)* &[$($code),*]] };
}

/// `scope function: GROUP… | CODE…;`
macro_rules! table {
    ($($scope:ident $function:ident: $($group:ident)* $(| $($code:ident)*)?;)*) => {
        /// The codes that `function` may return, in groups that many functions share.
        pub fn allowed(function: Function) -> &'static [&'static [CK_RV]] {
            match function {
                $(Function::$function => groups!($scope $($group)*; $($($code)*)?),)*
            }
        }
    };
}

table! {
    // 5.4 general purpose
    pure C_Initialize: ARGUMENTS | CKR_CANT_LOCK CKR_CRYPTOKI_ALREADY_INITIALIZED CKR_FIPS_SELF_TEST_FAILED
        CKR_NEED_TO_CREATE_THREADS;
    library C_Finalize: ARGUMENTS;
    library C_GetInfo: ARGUMENTS;
    pure C_GetFunctionList: ARGUMENTS;
    pure C_GetInterfaceList: OUTPUT;
    pure C_GetInterface: OUTPUT;

    // 5.5 slots and tokens
    library C_GetSlotList: OUTPUT;
    library C_GetSlotInfo: ARGUMENTS | CKR_DEVICE_ERROR CKR_SLOT_ID_INVALID;
    slot C_GetTokenInfo: ARGUMENTS | CKR_TOKEN_NOT_RECOGNIZED;
    library C_WaitForSlotEvent: ARGUMENTS | CKR_FUNCTION_NOT_SUPPORTED CKR_NO_EVENT;
    slot C_GetMechanismList: OUTPUT | CKR_TOKEN_NOT_RECOGNIZED;
    slot C_GetMechanismInfo: ARGUMENTS | CKR_MECHANISM_INVALID CKR_TOKEN_NOT_RECOGNIZED;
    slot C_InitToken: ARGUMENTS CANCEL | CKR_PIN_INCORRECT CKR_PIN_LOCKED CKR_SESSION_EXISTS
        CKR_TOKEN_NOT_RECOGNIZED CKR_TOKEN_WRITE_PROTECTED;
    session C_InitPIN: BUSY ARGUMENTS CANCEL WRITE | CKR_PIN_INVALID CKR_PIN_LEN_RANGE CKR_USER_NOT_LOGGED_IN;
    session C_SetPIN: BUSY ARGUMENTS CANCEL WRITE | CKR_PIN_INCORRECT CKR_PIN_INVALID CKR_PIN_LEN_RANGE
        CKR_PIN_LOCKED;

    // 5.6 sessions
    slot C_OpenSession: ARGUMENTS | CKR_SESSION_ASYNC_NOT_SUPPORTED CKR_SESSION_COUNT
        CKR_SESSION_PARALLEL_NOT_SUPPORTED CKR_SESSION_READ_WRITE_SO_EXISTS CKR_TOKEN_NOT_RECOGNIZED
        CKR_TOKEN_WRITE_PROTECTED;
    session C_CloseSession: BUSY;
    slot C_CloseAllSessions:;
    session C_GetSessionInfo: BUSY ARGUMENTS;
    session C_SessionCancel: BUSY | CKR_OPERATION_CANCEL_FAILED CKR_TOKEN_NOT_PRESENT;
    session C_GetOperationState: BUSY OUTPUT | CKR_OPERATION_NOT_INITIALIZED CKR_STATE_UNSAVEABLE;
    session C_SetOperationState: BUSY ARGUMENTS | CKR_KEY_CHANGED CKR_KEY_NEEDED CKR_KEY_NOT_NEEDED
        CKR_SAVED_STATE_INVALID;
    session C_Login: BUSY ARGUMENTS LOGIN;
    session C_LoginUser: BUSY ARGUMENTS LOGIN;
    session C_Logout: BUSY | CKR_USER_NOT_LOGGED_IN;
    session C_GetSessionValidationFlags: BUSY | CKR_ARGUMENTS_BAD;

    // 5.7 objects
    session C_CreateObject: BUSY CREATE DOMAIN | CKR_PUBLIC_KEY_INVALID;
    session C_CopyObject: BUSY MODIFY USER | CKR_ACTION_PROHIBITED CKR_OBJECT_HANDLE_INVALID;
    session C_DestroyObject: BUSY WRITE | CKR_ACTION_PROHIBITED CKR_OBJECT_HANDLE_INVALID CKR_PIN_EXPIRED;
    session C_GetObjectSize: BUSY ARGUMENTS | CKR_INFORMATION_SENSITIVE CKR_OBJECT_HANDLE_INVALID;
    session C_GetAttributeValue: BUSY OUTPUT | CKR_ATTRIBUTE_SENSITIVE CKR_ATTRIBUTE_TYPE_INVALID
        CKR_OBJECT_HANDLE_INVALID;
    session C_SetAttributeValue: BUSY MODIFY | CKR_ACTION_PROHIBITED CKR_OBJECT_HANDLE_INVALID
        CKR_USER_NOT_LOGGED_IN;
    session C_FindObjectsInit: BUSY ARGUMENTS | CKR_ATTRIBUTE_TYPE_INVALID CKR_ATTRIBUTE_VALUE_INVALID
        CKR_PIN_EXPIRED;
    session C_FindObjects: BUSY ARGUMENTS | CKR_OPERATION_NOT_INITIALIZED;
    session C_FindObjectsFinal: BUSY | CKR_OPERATION_NOT_INITIALIZED;

    // 5.8 encryption
    session C_EncryptInit: BUSY KEYED START | CKR_ARGUMENTS_BAD;
    session C_Encrypt: BUSY OUTPUT RUNNING DATA;
    session C_EncryptUpdate: BUSY OUTPUT RUNNING | CKR_DATA_LEN_RANGE;
    session C_EncryptFinal: BUSY OUTPUT RUNNING | CKR_DATA_LEN_RANGE;

    // 5.9 encryption of messages
    session C_MessageEncryptInit: BUSY KEYED START | CKR_ARGUMENTS_BAD;
    session C_EncryptMessage: BUSY OUTPUT RUNNING DATA | CKR_MECHANISM_PARAM_INVALID;
    session C_EncryptMessageBegin: BUSY RUNNING USER | CKR_ARGUMENTS_BAD CKR_MECHANISM_PARAM_INVALID;
    session C_EncryptMessageNext: BUSY OUTPUT RUNNING | CKR_DATA_LEN_RANGE CKR_MECHANISM_PARAM_INVALID;
    session C_MessageEncryptFinal: BUSY ARGUMENTS RUNNING;

    // 5.10 decryption
    session C_DecryptInit: BUSY ARGUMENTS KEYED START;
    session C_Decrypt: BUSY OUTPUT RUNNING CIPHERTEXT | CKR_USER_NOT_LOGGED_IN;
    session C_DecryptUpdate: BUSY OUTPUT RUNNING CIPHERTEXT | CKR_USER_NOT_LOGGED_IN;
    session C_DecryptFinal: BUSY OUTPUT RUNNING CIPHERTEXT | CKR_USER_NOT_LOGGED_IN;

    // 5.11 decryption of messages
    session C_MessageDecryptInit: BUSY ARGUMENTS KEYED START;
    session C_DecryptMessage: BUSY OUTPUT RUNNING CIPHERTEXT | CKR_AEAD_DECRYPT_FAILED CKR_MECHANISM_PARAM_INVALID
        CKR_OPERATION_CANCEL_FAILED CKR_USER_NOT_LOGGED_IN;
    session C_DecryptMessageBegin: BUSY ARGUMENTS RUNNING USER | CKR_MECHANISM_PARAM_INVALID;
    session C_DecryptMessageNext: BUSY OUTPUT RUNNING CIPHERTEXT | CKR_AEAD_DECRYPT_FAILED
        CKR_MECHANISM_PARAM_INVALID CKR_USER_NOT_LOGGED_IN;
    session C_MessageDecryptFinal: BUSY ARGUMENTS RUNNING | CKR_USER_NOT_LOGGED_IN;

    // 5.12 digests
    session C_DigestInit: BUSY ARGUMENTS MECHANISM START;
    session C_Digest: BUSY OUTPUT RUNNING;
    session C_DigestUpdate: BUSY ARGUMENTS RUNNING;
    session C_DigestKey: BUSY RUNNING | CKR_KEY_HANDLE_INVALID CKR_KEY_INDIGESTIBLE CKR_KEY_SIZE_RANGE;
    session C_DigestFinal: BUSY OUTPUT RUNNING;

    // 5.13 signatures; keys that a number of signatures exhausts are those of HSS and XMSS
    session C_SignInit: BUSY ARGUMENTS KEYED START;
    session C_Sign: BUSY OUTPUT RUNNING DATA SIGN | CKR_FUNCTION_REJECTED CKR_KEY_EXHAUSTED;
    session C_SignUpdate: BUSY ARGUMENTS RUNNING SIGN | CKR_DATA_LEN_RANGE;
    session C_SignFinal: BUSY OUTPUT RUNNING SIGN | CKR_DATA_LEN_RANGE CKR_FUNCTION_REJECTED CKR_KEY_EXHAUSTED;
    session C_SignRecoverInit: BUSY ARGUMENTS KEYED START;
    session C_SignRecover: BUSY OUTPUT RUNNING DATA SIGN;

    // 5.14 signatures of messages
    session C_MessageSignInit: BUSY ARGUMENTS KEYED CANCEL USER;
    session C_SignMessage: BUSY OUTPUT RUNNING DATA SIGN | CKR_FUNCTION_REJECTED CKR_MECHANISM_PARAM_INVALID;
    session C_SignMessageBegin: BUSY ARGUMENTS RUNNING SIGN | CKR_MECHANISM_PARAM_INVALID CKR_PIN_EXPIRED;
    session C_SignMessageNext: BUSY OUTPUT RUNNING SIGN | CKR_DATA_LEN_RANGE CKR_FUNCTION_REJECTED
        CKR_MECHANISM_PARAM_INVALID;
    session C_MessageSignFinal: BUSY ARGUMENTS RUNNING SIGN | CKR_FUNCTION_REJECTED;

    // 5.15 verification
    session C_VerifyInit: BUSY ARGUMENTS KEYED START | CKR_PUBLIC_KEY_INVALID;
    session C_Verify: BUSY ARGUMENTS RUNNING DATA SIGNATURE | CKR_TOKEN_RESOURCE_EXCEEDED;
    session C_VerifyUpdate: BUSY ARGUMENTS RUNNING | CKR_DATA_LEN_RANGE CKR_TOKEN_RESOURCE_EXCEEDED;
    session C_VerifyFinal: BUSY ARGUMENTS RUNNING SIGNATURE | CKR_DATA_LEN_RANGE CKR_TOKEN_RESOURCE_EXCEEDED;
    session C_VerifyRecoverInit: BUSY ARGUMENTS KEYED START | CKR_PUBLIC_KEY_INVALID;
    session C_VerifyRecover: BUSY OUTPUT RUNNING DATA SIGNATURE | CKR_TOKEN_RESOURCE_EXCEEDED;
    session C_VerifySignatureInit: ARGUMENTS KEYED START | CKR_OPERATION_ACTIVE CKR_PUBLIC_KEY_INVALID;
    session C_VerifySignature: ARGUMENTS RUNNING DATA SIGNATURE | CKR_TOKEN_RESOURCE_EXCEEDED;
    session C_VerifySignatureUpdate: ARGUMENTS RUNNING | CKR_DATA_LEN_RANGE CKR_TOKEN_RESOURCE_EXCEEDED;
    session C_VerifySignatureFinal: ARGUMENTS RUNNING SIGNATURE | CKR_DATA_LEN_RANGE
        CKR_TOKEN_RESOURCE_EXCEEDED;

    // 5.16 verification of messages
    session C_MessageVerifyInit: BUSY ARGUMENTS KEYED CANCEL USER;
    session C_VerifyMessage: BUSY ARGUMENTS RUNNING DATA SIGNATURE | CKR_MECHANISM_PARAM_INVALID
        CKR_TOKEN_RESOURCE_EXCEEDED;
    session C_VerifyMessageBegin: BUSY ARGUMENTS RUNNING USER | CKR_MECHANISM_PARAM_INVALID;
    session C_VerifyMessageNext: BUSY ARGUMENTS RUNNING SIGNATURE | CKR_DATA_LEN_RANGE
        CKR_MECHANISM_PARAM_INVALID CKR_TOKEN_RESOURCE_EXCEEDED;
    session C_MessageVerifyFinal: BUSY ARGUMENTS RUNNING | CKR_DATA_LEN_RANGE CKR_TOKEN_RESOURCE_EXCEEDED;

    // 5.17 two operations at once
    session C_DigestEncryptUpdate: BUSY OUTPUT RUNNING | CKR_DATA_LEN_RANGE;
    session C_DecryptDigestUpdate: BUSY OUTPUT RUNNING CIPHERTEXT;
    session C_SignEncryptUpdate: BUSY OUTPUT RUNNING | CKR_DATA_LEN_RANGE CKR_USER_NOT_LOGGED_IN;
    session C_DecryptVerifyUpdate: BUSY OUTPUT RUNNING CIPHERTEXT | CKR_DATA_LEN_RANGE;

    // 5.18 keys
    session C_GenerateKey: BUSY CREATE CANCEL MECHANISM | CKR_CURVE_NOT_SUPPORTED;
    session C_GenerateKeyPair: BUSY CREATE CANCEL MECHANISM DOMAIN | CKR_FIPS_SELF_TEST_FAILED;
    session C_WrapKey: BUSY WRAP USER | CKR_KEY_FUNCTION_NOT_PERMITTED;
    session C_UnwrapKey: BUSY CREATE CANCEL MECHANISM DOMAIN UNWRAP | CKR_KEY_FUNCTION_NOT_PERMITTED;
    session C_DeriveKey: BUSY CREATE CANCEL KEYED | CKR_CURVE_NOT_SUPPORTED CKR_DOMAIN_PARAMS_INVALID
        CKR_PUBLIC_KEY_INVALID;
    session C_WrapKeyAuthenticated: WRAP USER | CKR_KEY_FUNCTION_NOT_PERMITTED CKR_OPERATION_ACTIVE;
    session C_UnwrapKeyAuthenticated: CREATE CANCEL MECHANISM DOMAIN UNWRAP | CKR_KEY_FUNCTION_NOT_PERMITTED
        CKR_OPERATION_ACTIVE;
    session C_EncapsulateKey: CREATE CANCEL KEYED DOMAIN | CKR_BUFFER_TOO_SMALL CKR_OPERATION_ACTIVE;
    session C_DecapsulateKey: CREATE CANCEL KEYED DOMAIN UNWRAP | CKR_OPERATION_ACTIVE;

    // 5.19 random numbers
    session C_SeedRandom: BUSY ARGUMENTS CANCEL | CKR_FIPS_SELF_TEST_FAILED CKR_RANDOM_NO_RNG
        CKR_RANDOM_SEED_NOT_SUPPORTED CKR_USER_NOT_LOGGED_IN;
    session C_GenerateRandom: BUSY ARGUMENTS CANCEL | CKR_FIPS_SELF_TEST_FAILED CKR_RANDOM_NO_RNG
        CKR_SEED_RANDOM_REQUIRED CKR_USER_NOT_LOGGED_IN;

    // 5.20 what is left of parallel functions
    session C_GetFunctionStatus: BUSY | CKR_FUNCTION_NOT_PARALLEL;
    session C_CancelFunction: BUSY | CKR_FUNCTION_NOT_PARALLEL;

    // asynchronous functions; C_AsyncComplete returns what the function that it completes may return
    session C_AsyncComplete: BUSY OUTPUT RUNNING DATA CIPHERTEXT KEYED START SIGN SIGNATURE LOGIN MODIFY CREATE
        DOMAIN WRAP UNWRAP | CKR_ACTION_PROHIBITED CKR_AEAD_DECRYPT_FAILED CKR_ATTRIBUTE_SENSITIVE
        CKR_FIPS_SELF_TEST_FAILED CKR_FUNCTION_NOT_PARALLEL CKR_FUNCTION_REJECTED CKR_INFORMATION_SENSITIVE
        CKR_KEY_CHANGED CKR_KEY_EXHAUSTED CKR_KEY_INDIGESTIBLE CKR_KEY_NEEDED CKR_KEY_NOT_NEEDED
        CKR_OBJECT_HANDLE_INVALID CKR_PIN_INVALID CKR_PIN_LEN_RANGE CKR_PUBLIC_KEY_INVALID CKR_RANDOM_NO_RNG
        CKR_RANDOM_SEED_NOT_SUPPORTED CKR_SAVED_STATE_INVALID CKR_SEED_RANDOM_REQUIRED
        CKR_STATE_UNSAVEABLE CKR_TOKEN_NOT_PRESENT;
    session C_AsyncGetID: ARGUMENTS | CKR_OPERATION_NOT_INITIALIZED CKR_STATE_UNSAVEABLE CKR_TOKEN_NOT_PRESENT;
    session C_AsyncJoin: OUTPUT | CKR_SAVED_STATE_INVALID CKR_TOKEN_NOT_PRESENT;
}

/// 5.1.1: of any function.
const ANY: &[CK_RV] =
    &[CKR_OK, CKR_GENERAL_ERROR, CKR_HOST_MEMORY, CKR_FUNCTION_FAILED, CKR_OPERATION_NOT_VALIDATED];

/// 5.1.6: of any function that needs `C_Initialize` first.
const READY: &[CK_RV] = &[CKR_CRYPTOKI_NOT_INITIALIZED];

/// 5.1.3: of any function that uses a token. All of these functions may be stubs (5.1.6).
const TOKEN: &[CK_RV] = &[
    CKR_DEVICE_ERROR,
    CKR_DEVICE_MEMORY,
    CKR_DEVICE_REMOVED,
    CKR_FUNCTION_NOT_SUPPORTED,
    CKR_TOKEN_NOT_INITIALIZED,
];

/// 5.1.3: of a function that names its token by the slot. With a session, `CKR_SESSION_HANDLE_INVALID` says it (5.1.7).
const SLOT: &[CK_RV] = &[CKR_SLOT_ID_INVALID, CKR_TOKEN_NOT_PRESENT];

/// 5.1.2: of any function that takes a session; `CKR_DEVICE_REMOVED` is with the token.
const SESSION: &[CK_RV] = &[CKR_SESSION_CLOSED, CKR_SESSION_HANDLE_INVALID];

const ARGUMENTS: &[CK_RV] = &[CKR_ARGUMENTS_BAD];
/// 5.2: a function that fills a buffer.
const OUTPUT: &[CK_RV] = &[CKR_ARGUMENTS_BAD, CKR_BUFFER_TOO_SMALL];
/// Something else is going on in the session, or this will take a while.
const BUSY: &[CK_RV] = &[CKR_OPERATION_ACTIVE, CKR_PENDING];
const CANCEL: &[CK_RV] = &[CKR_FUNCTION_CANCELED];
/// The function goes on with an operation.
const RUNNING: &[CK_RV] = &[CKR_FUNCTION_CANCELED, CKR_OPERATION_NOT_INITIALIZED];
const MECHANISM: &[CK_RV] = &[CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID];
/// A mechanism and a key are named.
const KEYED: &[CK_RV] = &[
    CKR_KEY_FUNCTION_NOT_PERMITTED,
    CKR_KEY_HANDLE_INVALID,
    CKR_KEY_SIZE_RANGE,
    CKR_KEY_TYPE_INCONSISTENT,
    CKR_MECHANISM_INVALID,
    CKR_MECHANISM_PARAM_INVALID,
];
const USER: &[CK_RV] = &[CKR_PIN_EXPIRED, CKR_USER_NOT_LOGGED_IN];
/// An operation begins, or with a NULL mechanism ends.
const START: &[CK_RV] =
    &[CKR_FUNCTION_CANCELED, CKR_OPERATION_CANCEL_FAILED, CKR_PIN_EXPIRED, CKR_USER_NOT_LOGGED_IN];
const DATA: &[CK_RV] = &[CKR_DATA_INVALID, CKR_DATA_LEN_RANGE];
const CIPHERTEXT: &[CK_RV] = &[CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE];
const SIGN: &[CK_RV] = &[CKR_TOKEN_RESOURCE_EXCEEDED, CKR_USER_NOT_LOGGED_IN];
const SIGNATURE: &[CK_RV] = &[CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE];
const LOGIN: &[CK_RV] = &[
    CKR_FUNCTION_CANCELED,
    CKR_OPERATION_NOT_INITIALIZED,
    CKR_PIN_INCORRECT,
    CKR_PIN_LOCKED,
    CKR_SESSION_READ_ONLY_EXISTS,
    CKR_USER_ALREADY_LOGGED_IN,
    CKR_USER_ANOTHER_ALREADY_LOGGED_IN,
    CKR_USER_PIN_NOT_INITIALIZED,
    CKR_USER_TOO_MANY_TYPES,
    CKR_USER_TYPE_INVALID,
];
/// The token's contents change.
const WRITE: &[CK_RV] = &[CKR_SESSION_READ_ONLY, CKR_TOKEN_WRITE_PROTECTED];
/// A template changes an object.
const MODIFY: &[CK_RV] = &[
    CKR_ARGUMENTS_BAD,
    CKR_ATTRIBUTE_READ_ONLY,
    CKR_ATTRIBUTE_TYPE_INVALID,
    CKR_ATTRIBUTE_VALUE_INVALID,
    CKR_SESSION_READ_ONLY,
    CKR_TEMPLATE_INCONSISTENT,
    CKR_TOKEN_WRITE_PROTECTED,
];
/// A template describes a new object.
const CREATE: &[CK_RV] = &[
    CKR_ARGUMENTS_BAD,
    CKR_ATTRIBUTE_READ_ONLY,
    CKR_ATTRIBUTE_TYPE_INVALID,
    CKR_ATTRIBUTE_VALUE_INVALID,
    CKR_PIN_EXPIRED,
    CKR_SESSION_READ_ONLY,
    CKR_TEMPLATE_INCOMPLETE,
    CKR_TEMPLATE_INCONSISTENT,
    CKR_TOKEN_WRITE_PROTECTED,
    CKR_USER_NOT_LOGGED_IN,
];
/// The new key may be on a curve, in a group or of a parameter set that the token does not know.
const DOMAIN: &[CK_RV] =
    &[CKR_CURVE_NOT_SUPPORTED, CKR_DOMAIN_PARAMS_INVALID, CKR_PARAMETER_SET_NOT_SUPPORTED];
const WRAP: &[CK_RV] = &[
    CKR_ARGUMENTS_BAD,
    CKR_BUFFER_TOO_SMALL,
    CKR_FUNCTION_CANCELED,
    CKR_KEY_HANDLE_INVALID,
    CKR_KEY_NOT_WRAPPABLE,
    CKR_KEY_SIZE_RANGE,
    CKR_KEY_UNEXTRACTABLE,
    CKR_MECHANISM_INVALID,
    CKR_MECHANISM_PARAM_INVALID,
    CKR_WRAPPING_KEY_HANDLE_INVALID,
    CKR_WRAPPING_KEY_SIZE_RANGE,
    CKR_WRAPPING_KEY_TYPE_INCONSISTENT,
];
const UNWRAP: &[CK_RV] = &[
    CKR_BUFFER_TOO_SMALL,
    CKR_UNWRAPPING_KEY_HANDLE_INVALID,
    CKR_UNWRAPPING_KEY_SIZE_RANGE,
    CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT,
    CKR_WRAPPED_KEY_INVALID,
    CKR_WRAPPED_KEY_LEN_RANGE,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The four functions that section 5.1.6 exempts from `CKR_CRYPTOKI_NOT_INITIALIZED`.
    const PURE: [Function; 4] = [
        Function::C_Initialize,
        Function::C_GetFunctionList,
        Function::C_GetInterfaceList,
        Function::C_GetInterface,
    ];

    fn flat(function: Function) -> Vec<CK_RV> {
        let mut codes = allowed(function).concat();
        codes.sort_unstable();
        codes
    }

    #[test]
    fn every_function_has_the_codes_of_5_1() {
        for function in Function::ALL {
            for rv in [CKR_OK, CKR_GENERAL_ERROR, CKR_HOST_MEMORY, CKR_FUNCTION_FAILED] {
                assert!(is_allowed(function, rv), "{} {}", function.name(), name(rv));
            }
            assert_eq!(
                is_allowed(function, CKR_CRYPTOKI_NOT_INITIALIZED),
                !PURE.contains(&function),
                "{}",
                function.name()
            );
        }
    }

    #[test]
    fn no_row_names_a_code_twice_or_one_without_a_name() {
        // What C_AsyncComplete completes may begin, run or create: its groups overlap by nature.
        for function in Function::ALL.into_iter().filter(|&f| f != Function::C_AsyncComplete) {
            let codes = flat(function);
            for pair in codes.windows(2) {
                assert_ne!(pair[0], pair[1], "{} {}", function.name(), name(pair[0]));
            }
            assert!(codes.iter().all(|&rv| name(rv) != "CKR_?"), "{}", function.name());
        }
    }

    #[test]
    fn settle_keeps_what_is_allowed_and_returns_nothing_else() {
        let strange =
            [CKR_VENDOR_DEFINED, CKR_VENDOR_DEFINED | 620, CK_RV::MAX, 4, CKR_CANCEL, CKR_MUTEX_BAD];
        for function in Function::ALL {
            for rv in (0..=0x210).chain(strange) {
                let settled = settle(function, rv);
                assert!(is_allowed(function, settled), "{} {}", function.name(), name(rv));
                if is_allowed(function, rv) {
                    assert_eq!(settled, rv, "{} {}", function.name(), name(rv));
                } else {
                    assert_ne!(settled, CKR_OK, "{} {}", function.name(), name(rv));
                }
            }
        }
    }

    #[test]
    fn settle_says_what_the_caller_can_act_on() {
        for (function, rv, expected) in [
            (Function::C_Sign, CKR_PIN_INCORRECT, CKR_USER_NOT_LOGGED_IN),
            (Function::C_Sign, CKR_PIN_LOCKED, CKR_USER_NOT_LOGGED_IN),
            (Function::C_Sign, CKR_OBJECT_HANDLE_INVALID, CKR_FUNCTION_REJECTED),
            (Function::C_SignFinal, CKR_KEY_HANDLE_INVALID, CKR_FUNCTION_REJECTED),
            (Function::C_Sign, CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_FUNCTION_REJECTED),
            (Function::C_Sign, CKR_MECHANISM_INVALID, CKR_DEVICE_ERROR),
            (Function::C_SignInit, CKR_OBJECT_HANDLE_INVALID, CKR_KEY_HANDLE_INVALID),
            (Function::C_SignInit, CKR_FUNCTION_REJECTED, CKR_DEVICE_ERROR),
            (Function::C_GetAttributeValue, CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID),
            (Function::C_GetAttributeValue, CKR_USER_NOT_LOGGED_IN, CKR_DEVICE_ERROR),
            (Function::C_Decrypt, CKR_PIN_EXPIRED, CKR_USER_NOT_LOGGED_IN),
            (Function::C_Decrypt, CKR_KEY_HANDLE_INVALID, CKR_DEVICE_ERROR),
            (Function::C_Encrypt, CKR_PIN_INCORRECT, CKR_DEVICE_ERROR),
            (Function::C_FindObjectsInit, CKR_USER_NOT_LOGGED_IN, CKR_DEVICE_ERROR),
            (Function::C_Login, CKR_USER_NOT_LOGGED_IN, CKR_PIN_INCORRECT),
            (Function::C_GenerateRandom, CKR_PIN_INCORRECT, CKR_USER_NOT_LOGGED_IN),
            (Function::C_GetTokenInfo, CKR_PIN_INCORRECT, CKR_DEVICE_ERROR),
            (Function::C_GetSlotList, CKR_DEVICE_ERROR, CKR_FUNCTION_FAILED),
            (Function::C_Initialize, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_FUNCTION_FAILED),
            (Function::C_Sign, CKR_VENDOR_DEFINED | 1, CKR_DEVICE_ERROR),
        ] {
            let settled = settle(function, rv);
            assert_eq!(settled, expected, "{} {}: {}", function.name(), name(rv), name(settled));
        }
    }

    #[test]
    fn what_applications_rely_on_passes() {
        for (function, codes) in [
            (
                Function::C_GetAttributeValue,
                &[
                    CKR_ATTRIBUTE_SENSITIVE,
                    CKR_ATTRIBUTE_TYPE_INVALID,
                    CKR_BUFFER_TOO_SMALL,
                    CKR_OBJECT_HANDLE_INVALID,
                ][..],
            ),
            (Function::C_Initialize, &[CKR_CANT_LOCK, CKR_CRYPTOKI_ALREADY_INITIALIZED, CKR_ARGUMENTS_BAD]),
            (Function::C_Login, &[CKR_PIN_INCORRECT, CKR_PIN_LOCKED, CKR_USER_ALREADY_LOGGED_IN]),
            (Function::C_SignInit, &[CKR_USER_NOT_LOGGED_IN, CKR_KEY_HANDLE_INVALID, CKR_MECHANISM_INVALID]),
            (Function::C_Sign, &[CKR_USER_NOT_LOGGED_IN, CKR_FUNCTION_REJECTED, CKR_BUFFER_TOO_SMALL]),
            (Function::C_Verify, &[CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE]),
            // NSS polls when it may not block.
            (Function::C_WaitForSlotEvent, &[CKR_FUNCTION_NOT_SUPPORTED, CKR_NO_EVENT]),
            (Function::C_CancelFunction, &[CKR_FUNCTION_NOT_PARALLEL]),
            // Its own list omits it; section 5.1.2 does not.
            (Function::C_SessionCancel, &[CKR_SESSION_HANDLE_INVALID]),
        ] {
            for &rv in codes {
                assert_eq!(settle(function, rv), rv, "{} {}", function.name(), name(rv));
            }
        }
    }

    #[test]
    fn an_asynchronous_call_may_end_as_the_function_that_it_completes() {
        for function in Function::ALL.into_iter().filter(|&f| is_allowed(f, CKR_PENDING)) {
            for rv in flat(function) {
                assert!(is_allowed(Function::C_AsyncComplete, rv), "{} {}", function.name(), name(rv));
            }
        }
    }
}
