//! What the module refuses: the function, the name of the code, and a few words of ours. Those of the crate cryptoki are the
//! standard's, which speak to developers.

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};

use crate::failure::Failure;

/// A refusal of the module, with the function that gave it.
pub fn pkcs11_failure(error: Error) -> Failure {
    let Error::Pkcs11(code, function) = error else { return Failure::new(error) };
    let told = format!("C_{function:?}: {}", name(code));
    let told = match meaning(code, function) {
        Some(meaning) => format!("{told}: {meaning}"),
        None => told,
    };
    match code {
        // Nobody failed, and the log is silent below `info`.
        RvError::FunctionNotSupported => Failure::new(told),
        _ => Failure::new(told).in_log(),
    }
}

/// As the standard has it: the crate's names are the same words.
fn name(code: RvError) -> String {
    if let RvError::VendorDefined(code) | RvError::UnknownErrorCode(code) = code {
        return format!("CKR {code:#010x}");
    }
    let mut name = String::from("CKR");
    for c in format!("{code:?}").chars() {
        if c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

/// What it means to whoever runs this program, where the name does not say it.
fn meaning(code: RvError, function: Function) -> Option<&'static str> {
    Some(match code {
        RvError::GeneralError if matches!(function, Function::Initialize) => "the configuration is wrong",
        RvError::GeneralError | RvError::FunctionFailed => "it could not be done",
        RvError::DeviceError => "the HSM cannot be reached, or does not do it",
        RvError::FunctionRejected => "the HSM refuses it",
        RvError::FunctionNotSupported => "that is not possible with this HSM",
        RvError::NeedToCreateThreads => "the configuration needs threads",
        RvError::TokenNotPresent => "the slot has no token",
        RvError::TokenWriteProtected => "nothing can be written to the token",
        RvError::PinIncorrect => "the PIN is wrong",
        RvError::PinLocked => "the PIN is locked",
        RvError::PinLenRange | RvError::PinInvalid => "no PIN looks like that",
        RvError::PinExpired => "the PIN must be changed first",
        RvError::UserPinNotInitialized => "the user has no PIN yet",
        RvError::UserNotLoggedIn => "it needs a login",
        RvError::ActionProhibited => "this object cannot be changed or deleted",
        RvError::KeyFunctionNotPermitted => "the key may not do that",
        RvError::KeyHandleInvalid | RvError::ObjectHandleInvalid => "the key is not there any more",
        RvError::KeyTypeInconsistent => "the mechanism is for other keys",
        RvError::MechanismInvalid => "the token does not do that",
        RvError::DataInvalid | RvError::DataLenRange => "the mechanism or the HSM does not take such data",
        // Templates are `generate`'s.
        RvError::AttributeValueInvalid | RvError::TemplateInconsistent => {
            "the HSM makes no such key, or the label is taken"
        }
        RvError::RandomNoRng => "the HSM gives no random numbers",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: RvError, function: Function) -> String {
        pkcs11_failure(Error::Pkcs11(code, function)).to_string()
    }

    #[test]
    fn codes_have_the_names_of_the_standard() {
        let names = [
            (RvError::PinIncorrect, "CKR_PIN_INCORRECT"),
            (RvError::RandomNoRng, "CKR_RANDOM_NO_RNG"),
            (RvError::SlotIdInvalid, "CKR_SLOT_ID_INVALID"),
            (RvError::SessionReadWriteSoExists, "CKR_SESSION_READ_WRITE_SO_EXISTS"),
            (RvError::UnknownErrorCode(0x1b9), "CKR 0x000001b9"),
        ];
        for (code, expected) in names {
            assert_eq!(name(code), expected);
        }
    }

    #[test]
    fn a_refusal_is_one_line() {
        assert_eq!(
            told(RvError::DeviceError, Function::Login),
            "C_Login: CKR_DEVICE_ERROR: the HSM cannot be reached, or does not do it"
        );
        assert_eq!(
            told(RvError::GeneralError, Function::Initialize),
            "C_Initialize: CKR_GENERAL_ERROR: the configuration is wrong"
        );
        assert_eq!(told(RvError::SessionCount, Function::OpenSession), "C_OpenSession: CKR_SESSION_COUNT");
    }
}
