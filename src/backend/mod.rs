//! What an HSM must be able to do for the model, and the dialects that do it.
//!
//! The docs of [`Backend`] are the contract: every dialect is tested against them. A dialect owns its vendor's words,
//! its JSON and its one table from vendor errors to `CKR_*` codes; above this line nobody knows which vendor answers.

use std::sync::Arc;

use cryptoki_sys::{
    CKR_ACTION_PROHIBITED, CKR_FUNCTION_NOT_SUPPORTED, CKR_MECHANISM_INVALID, CKR_TOKEN_WRITE_PROTECTED,
    CKR_USER_TYPE_INVALID,
};
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::config;
use crate::error::{Error, Result};
use crate::observe::log::Log;
use crate::transport::auth::Authenticated;
use crate::transport::{Deadline, Transport};

pub mod ciphertrust;
pub mod declared;
pub mod fast;
mod front;
#[cfg(test)]
mod gated;
pub mod luna;
mod percent;
pub mod routed;
#[cfg(test)]
mod scripted;
pub mod securosys;
pub mod types;

pub use types::{
    DecryptRequest, DecryptScheme, EncryptRequest, EncryptScheme, Encrypted, Firmware, KeyInfo, KeyKind,
    KeyName, KeySpec, Listed, Memory, NewKey, Outcome, PinState, Protection, SignInput, SignRequest,
    SignScheme, TaskId, TokenState, Usage, User,
};

/// One HSM service with one set of credentials: what stands behind a token.
///
/// * Methods may be called from any number of threads at once; no lock is held while a request is under way.
/// * Every method that talks takes the deadline of the whole C call and ends by it.
/// * Errors carry the code of the standard for the *use* at hand (a key that is gone is `CKR_KEY_HANDLE_INVALID` when it
///   signs); the C edge maps it to what the C function may return. The vendor's own code is in the context.
/// * Nothing logs or returns a secret, or data of the caller.
pub trait Backend: Send + Sync {
    /// `CK_TOKEN_INFO.manufacturerID`, at most 32 bytes.
    fn manufacturer(&self) -> &str;

    /// `CK_TOKEN_INFO.model`, at most 16 bytes.
    fn model(&self) -> &str;

    /// The version that the service named, if it was asked before: no request is made.
    fn firmware(&self) -> Option<Firmware>;

    /// What else the last answers told of the token: no request is made.
    fn token_state(&self) -> TokenState {
        TokenState::default()
    }

    /// Whether the service does cryptography at all. Where it does none, the token has no mechanism, not even those that
    /// need no HSM.
    fn has_cryptography(&self) -> bool {
        true
    }

    /// Whether `random` gives anything. No request is made.
    fn has_random(&self) -> bool {
        true
    }

    /// Whether read/write sessions are refused: on a token that nothing here can change they are of no use.
    fn refuses_read_write(&self) -> bool {
        false
    }

    /// Whether `CKA_LABEL` of a key is its name at the service. Where it is not, [`KeyInfo::label`] has it.
    fn labels_are_names(&self) -> bool {
        true
    }

    /// What is taken to be true of a key of the configuration as long as the service may not be asked.
    fn assumed(&self, _name: &KeyName) -> KeyInfo {
        KeyInfo::untold(KeyKind::Other("unknown".into()))
    }

    /// Whether the licence of the service lets it use keys and draw random bytes; `true` until it said otherwise. No
    /// request is made. Cheap: it is asked at the beginning of each operation.
    fn is_licensed(&self) -> bool {
        true
    }

    /// The transport with the credentials, where it has all that there are: then it answers whatever is asked of the
    /// login. A dialect that keeps a part of it has those methods itself.
    fn account(&self) -> Option<&Authenticated> {
        None
    }

    /// Whether a credential is left for `C_Login` to bring (`CKF_LOGIN_REQUIRED`).
    fn login_required(&self) -> bool {
        self.account().is_some_and(Authenticated::wants_pin)
    }

    /// Whether the credentials at hand allow a listing of keys.
    fn may_list(&self) -> bool {
        self.account().is_none_or(Authenticated::is_ready)
    }

    /// Takes the PIN as each credential that is marked `"pin"` and proves each with a cheap call. Where none is marked
    /// the PIN is ignored and the credentials at hand are proven.
    ///
    /// # Errors
    /// `CKR_PIN_INCORRECT` when the service refuses the credential, or when it cannot be one; then nothing is kept.
    /// `CKR_DEVICE_ERROR` when the service does not answer.
    fn login(&self, pin: &[u8], deadline: Deadline) -> Result<()>;

    /// `login` of the security officer.
    ///
    /// # Errors
    /// `CKR_USER_TYPE_INVALID` where there is none, else as for `login`.
    fn login_so(&self, _pin: &[u8], _deadline: Deadline) -> Result<()> {
        Err(Error::new(CKR_USER_TYPE_INVALID, "this HSM knows no security officer"))
    }

    /// Whether the login that `login` made still stands, as far as it is known without a request: a service may end it on
    /// its own, by refusing the password later on or by letting a token expire that nothing renews.
    fn login_stands(&self) -> bool {
        self.account().is_none_or(Authenticated::is_ready)
    }

    /// Keeps the service from ending the login for want of use, if it is time to, or notices that it has ended it.
    ///
    /// # Errors
    /// `CKR_USER_NOT_LOGGED_IN` when it is gone.
    fn keep_login(&self, _deadline: Deadline) -> Result<()> {
        Ok(())
    }

    /// Whether a login shows keys that were not listed before it although others were.
    fn login_shows_more(&self) -> bool {
        false
    }

    /// Changes a PIN. `old` is brought for that; nobody need be logged in.
    ///
    /// # Errors
    /// `CKR_FUNCTION_NOT_SUPPORTED` where it cannot be changed from here, else as for `login`.
    fn set_pin(&self, _user: User, _old: &[u8], _new: &[u8], _deadline: Deadline) -> Result<()> {
        Err(Error::new(CKR_FUNCTION_NOT_SUPPORTED, "the PIN is not changed from here"))
    }

    /// Forgets and zeroises what `login` brought. Cannot fail; where the service keeps a login it is ended there, which is
    /// waited for no longer than [`FAREWELL`](crate::transport::FAREWELL).
    fn logout(&self) {
        if let Some(account) = self.account() {
            account.logout();
        }
    }

    /// What `login` took and `logout` has not forgotten, for the child of a fork, which goes on with it; empty where no
    /// credential is left for `C_Login` to bring.
    fn login_secrets(&self) -> Vec<SecretString> {
        self.account().map(Authenticated::login_secrets).unwrap_or_default()
    }

    /// Takes what `login_secrets` gave in the parent. Makes no request: it was proven there.
    fn inherit_login(&self, secrets: &[SecretString]) {
        if let Some(account) = self.account() {
            account.inherit_login(secrets);
        }
    }

    /// The names of all keys, in the order of the service, hidden ones included.
    fn list(&self, deadline: Deadline) -> Result<Vec<KeyName>>;

    /// What the service tells of each key, in the order of `names`; `None` for a key that does not exist. A key whose
    /// attributes are behind a password is [`KeyKind::Locked`]. One unreadable key does not spoil the others.
    fn describe(&self, names: &[KeyName], deadline: Deadline) -> Vec<Result<Option<KeyInfo>>>;

    /// The certificate (X.509 DER) that the service keeps beside each key, in the order of `names`; `None` where there is
    /// none.
    fn certificates(&self, names: &[KeyName], deadline: Deadline) -> Vec<Result<Option<Vec<u8>>>>;

    /// What `sign` wants for `scheme`; `None` where the service cannot do it.
    fn sign_input(&self, scheme: SignScheme) -> Option<SignInput>;

    /// A signature in the form of PKCS#11: RSA as long as the modulus, ECDSA as r‖s, EdDSA as RFC 8032 has it, a MAC as
    /// long as its hash.
    ///
    /// # Errors
    /// `CKR_PIN_INCORRECT` for a wrong key password, `CKR_USER_NOT_LOGGED_IN` for a refused credential,
    /// `CKR_KEY_HANDLE_INVALID` for a key that is gone, and the codes of the dialect's table.
    fn sign(&self, request: &SignRequest<'_>, deadline: Deadline) -> Result<Outcome<Vec<u8>>>;

    /// Whether a signature may be other than what was asked for, so that each is verified before its caller gets it.
    fn signatures_are_doubtful(&self) -> bool {
        false
    }

    /// Whether `mac` is that of a message, for schemes whose verification needs the secret: [`SignScheme::Hmac`].
    ///
    /// # Errors
    /// As for `sign`.
    fn verify_mac(&self, _request: &SignRequest<'_>, _mac: &[u8], _deadline: Deadline) -> Result<bool> {
        Err(Error::new(CKR_MECHANISM_INVALID, "this HSM makes no MACs"))
    }

    /// Whether the service decrypts with `scheme`.
    fn can_decrypt(&self, scheme: &DecryptScheme<'_>) -> bool;

    /// The plaintext; padding of RSA is removed, padding of block modes is not.
    fn decrypt(
        &self,
        request: &DecryptRequest<'_>,
        deadline: Deadline,
    ) -> Result<Outcome<Zeroizing<Vec<u8>>>>;

    /// Whether the service encrypts with `scheme`.
    fn can_encrypt(&self, scheme: &EncryptScheme<'_>) -> bool;

    /// The ciphertext, with the IV that was used.
    fn encrypt(&self, request: &EncryptRequest<'_>, deadline: Deadline) -> Result<Encrypted>;

    /// The most bytes that one request to decrypt, encrypt or sign takes.
    fn payload_limit(&self) -> usize;

    /// Fills `buffer` with random bytes of the HSM.
    fn random(&self, buffer: &mut [u8], deadline: Deadline) -> Result<()>;

    /// Whether the service makes keys of this kind. No request is made.
    fn can_generate(&self, _spec: &KeySpec) -> bool {
        false
    }

    /// Makes a key and gives its name. The request is never sent twice: what is made may be counted, and a second key would
    /// be nobody's.
    ///
    /// # Errors
    /// `CKR_ATTRIBUTE_VALUE_INVALID` when the name is taken (unless the dialect's page has another code) or cannot be one, or
    /// when the service does not make what is asked for after all; `CKR_USER_NOT_LOGGED_IN` for a refused credential, and the codes of the dialect's table.
    fn generate(&self, _request: &NewKey<'_>, _deadline: Deadline) -> Result<KeyName> {
        Err(Error::new(CKR_MECHANISM_INVALID, "this HSM makes no keys for its users"))
    }

    /// Whether `delete` may work. No request is made.
    fn can_delete(&self) -> bool {
        false
    }

    /// Deletes a key with all that belongs to it: both halves of a pair, and the certificate that the service keeps beside
    /// it. Never sent twice.
    ///
    /// # Errors
    /// `CKR_ACTION_PROHIBITED` when the service does not let it be deleted, `CKR_KEY_HANDLE_INVALID` when it is gone,
    /// `CKR_USER_NOT_LOGGED_IN` for a refused credential, and the codes of the dialect's table.
    fn delete(&self, _name: &KeyName, _deadline: Deadline) -> Result<()> {
        Err(Error::new(CKR_ACTION_PROHIBITED, "this HSM deletes no keys for its users"))
    }

    /// Whether the service keeps a certificate beside each of its keys at its users' wish. No request is made.
    fn keeps_certificates(&self) -> bool {
        false
    }

    /// Puts a certificate (X.509 DER) beside a key, in the place of the one that is there. Never sent twice.
    ///
    /// # Errors
    /// `CKR_TOKEN_WRITE_PROTECTED` where the service keeps none, or none beside this key; `CKR_ATTRIBUTE_VALUE_INVALID` when it
    /// does not take this one, as that of another key, and when the key is gone; `CKR_USER_NOT_LOGGED_IN` for a refused
    /// credential, and the codes of the dialect's table.
    fn put_certificate(&self, _key: &KeyName, _der: &[u8], _deadline: Deadline) -> Result<()> {
        Err(Error::new(CKR_TOKEN_WRITE_PROTECTED, "this HSM keeps no certificates for its users"))
    }

    /// Takes the certificate beside a key away; the key stays. Never sent twice.
    ///
    /// # Errors
    /// `CKR_ACTION_PROHIBITED` when the service does not let it be taken away, `CKR_OBJECT_HANDLE_INVALID` when there is none
    /// any more (the key may still be there), `CKR_USER_NOT_LOGGED_IN` for a refused credential, and the codes of the
    /// dialect's table.
    fn remove_certificate(&self, _key: &KeyName, _deadline: Deadline) -> Result<()> {
        Err(Error::new(CKR_ACTION_PROHIBITED, "this HSM removes no certificates for its users"))
    }

    /// The process ends, and the calling thread ends it: other threads begin nothing that its end would break. What is
    /// under way is waited for until `limit`; one that has passed is the very end, when no call comes any more.
    fn exiting(&self, limit: Deadline) {
        if let Some(account) = self.account() {
            account.exiting(limit);
        }
    }

    /// Logs out, closes idle connections and lets no new one be made. What is kept open at the service is ended first, by
    /// `limit`; calls under way end by their own deadline.
    fn close(&self, limit: Deadline) {
        if let Some(account) = self.account() {
            account.close_by(limit);
        }
    }
}

/// The back end of a slot; `config` has the slots that it may refer to. Reads files that the configuration names (authorities, secrets), makes no request.
///
/// # Errors
/// Where such a file cannot be read or is not what it should be; the slot then has no token.
pub fn open(token: &config::Token, config: &config::Config, log: &Log) -> Result<Arc<dyn Backend>> {
    let own = open_alone(token, log)?;
    match &token.crypto {
        Some(crypto) => Ok(Arc::new(routed::Routed::open(own, crypto, token, config, log)?)),
        None => Ok(own),
    }
}

/// The back end that a slot's own keys describe.
fn open_alone(token: &config::Token, log: &Log) -> Result<Arc<dyn Backend>> {
    match &token.backend {
        config::Backend::Securosys => Ok(Arc::new(securosys::Securosys::open(token, log)?)),
        config::Backend::Fast(settings) => fast::open(token, settings, log),
        config::Backend::Luna(settings) => luna::open(token, settings, log),
        config::Backend::CipherTrust(settings) => ciphertrust::open(token, settings, log),
        config::Backend::Declared(settings) => declared::open(token, settings, log),
    }
}
