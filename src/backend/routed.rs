//! Two back ends that are one token: one has the keys and the login, the other the cryptography.
//!
//! Keys are matched by their names. What the first one does not list is not there, whatever the other one has; what the
//! other one does not have is listed, and nothing can be done with it.

use std::sync::Arc;

use cryptoki_sys::{
    CK_KEY_TYPE, CK_RV, CKK_AES, CKK_DES3, CKK_DH, CKK_DSA, CKK_EC, CKK_EC_EDWARDS, CKK_EC_MONTGOMERY,
    CKK_GENERIC_SECRET, CKK_RSA, CKR_DEVICE_ERROR, CKR_PIN_INCORRECT, CKR_PIN_INVALID,
};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::{
    Backend, DecryptRequest, DecryptScheme, EncryptRequest, EncryptScheme, Encrypted, Firmware, KeyInfo,
    KeyKind, KeyName, Listed, Outcome, SignInput, SignRequest, SignScheme, TokenState, User,
};
use crate::config;
use crate::crypto::public_key::PublicKeyKind;
use crate::error::{Error, Result};
use crate::observe::log::Log;
use crate::transport::Deadline;

/// A back end with the cryptography of another one.
pub struct Routed {
    front: Arc<dyn Backend>,
    crypto: Arc<dyn Backend>,
    /// What stands between the parts of a PIN; `None`: it is all for the front.
    pin_split: Option<String>,
    log: Log,
}

impl Routed {
    /// `front` with the cryptography of the slot that `settings` name.
    ///
    /// # Errors
    /// `CKR_DEVICE_ERROR` where there is no such slot, where it cannot be opened, and where the PIN does not go round.
    pub(super) fn open(
        front: Arc<dyn Backend>,
        settings: &config::Crypto,
        token: &config::Token,
        config: &config::Config,
        log: &Log,
    ) -> Result<Self> {
        let wrong = |what: &str| {
            let text = format!("slot {:?}: slot.crypto.slot: {:?} {what}", token.label, settings.slot);
            Error::new(CKR_DEVICE_ERROR, text)
        };
        let other = config.token(&settings.slot).ok_or_else(|| wrong("is not the label of a usable slot"))?;
        if other.crypto.is_some() {
            return Err(wrong("takes its cryptography from elsewhere itself"));
        }
        let crypto = super::open_alone(other, log)?;
        match (&settings.pin_split, crypto.login_required()) {
            (None, true) => Err(wrong(
                "waits for a PIN: give it credentials of its own, or write slot.crypto.pin_split = \":\"",
            )),
            (Some(_), false) => Err(wrong("waits for no PIN: take slot.crypto.pin_split out")),
            _ => Ok(Self { front, crypto, pin_split: settings.pin_split.clone(), log: log.clone() }),
        }
    }

    /// These two, whatever the configuration would say.
    #[cfg(test)]
    pub(super) fn of(front: Arc<dyn Backend>, crypto: Arc<dyn Backend>, pin_split: Option<String>) -> Self {
        Self { front, crypto, pin_split, log: Log::off() }
    }

    /// What is known of a key that both have, or the front alone.
    fn joined(&self, name: &KeyName, front: KeyInfo, other: Option<KeyInfo>) -> KeyInfo {
        if let (KeyKind::Listed(listed), Some(other)) = (&front.kind, &other)
            && (listed.mixed || is_another(listed, &other.kind))
        {
            let name = name.as_str().escape_debug();
            self.log.warn(format_args!(
                "key {name}: the keys of that label are not all of one type, here and in the slot of slot.crypto: \
                 it cannot be used"
            ));
            return front;
        }
        joined(front, other)
    }

    /// The parts of a PIN. The first separator counts.
    fn parts<'a>(&self, pin: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let Some(split) = self.pin_split.as_deref().map(str::as_bytes) else { return Some((pin, &[])) };
        let at = pin.windows(split.len()).position(|window| window == split)?;
        Some((pin.get(..at)?, pin.get(at + split.len()..)?))
    }

    /// Logs in to both, or to neither: first where the cryptography is, since a wrong password there does no harm to the
    /// keys.
    fn log_in(&self, user: User, pin: &[u8], deadline: Deadline) -> Result<()> {
        let (own, others) = self.parts(pin).ok_or_else(|| in_one_part(CKR_PIN_INCORRECT))?;
        self.crypto.login(others, deadline).map_err(|error| match &self.pin_split {
            // Its credentials are the configuration's: no PIN is to blame.
            None if error.rv() == CKR_PIN_INCORRECT => {
                let text = "logging in: the slot of slot.crypto was refused with its own credentials";
                Error::new(CKR_DEVICE_ERROR, text).because(error)
            }
            _ => error,
        })?;
        let outcome = match user {
            User::User => self.front.login(own, deadline),
            User::SecurityOfficer => self.front.login_so(own, deadline),
        };
        if outcome.is_err() {
            self.crypto.logout();
        }
        outcome
    }
}

fn in_one_part(rv: CK_RV) -> Error {
    Error::new(rv, "the PIN has not the two parts of slot.crypto.pin_split; nothing was sent")
}

/// Types that are known to be other than each other; of what else may be told nothing is concluded.
const TYPES: [CK_KEY_TYPE; 9] = [
    CKK_RSA,
    CKK_DSA,
    CKK_DH,
    CKK_EC,
    CKK_EC_EDWARDS,
    CKK_EC_MONTGOMERY,
    CKK_GENERIC_SECRET,
    CKK_DES3,
    CKK_AES,
];

/// Whether a key is of another type than what is listed under its name.
fn is_another(listed: &Listed, kind: &KeyKind) -> bool {
    let fitting: &[CK_KEY_TYPE] = match kind {
        KeyKind::Pair(key) | KeyKind::Public(key) => match key.kind() {
            PublicKeyKind::Rsa { .. } => &[CKK_RSA],
            PublicKeyKind::Ec { .. } | PublicKeyKind::Ed25519(_) => {
                &[CKK_EC, CKK_EC_EDWARDS, CKK_EC_MONTGOMERY]
            }
            PublicKeyKind::Other => return false,
        },
        KeyKind::Aes(_) => &[CKK_AES],
        KeyKind::Hmac { .. } => &[CKK_GENERIC_SECRET],
        KeyKind::Locked | KeyKind::Listed(_) | KeyKind::Other(_) => return false,
    };
    listed.key_type.is_some_and(|told| TYPES.contains(&told) && !fitting.contains(&told))
}

/// What is known of a key that both have, or the front alone.
fn joined(front: KeyInfo, other: Option<KeyInfo>) -> KeyInfo {
    let (KeyKind::Listed(listed), Some(other)) = (&front.kind, other) else { return front };
    let Listed { private, public, secret, key_type: _, mixed: _ } = *listed;
    let kind = match other.kind {
        KeyKind::Pair(key) if private => KeyKind::Pair(key),
        KeyKind::Pair(key) | KeyKind::Public(key) if public => KeyKind::Public(key),
        kind @ (KeyKind::Aes(_) | KeyKind::Hmac { .. }) if secret => kind,
        KeyKind::Locked if private || secret => KeyKind::Locked,
        // Another key of the same name: it is not to be used for this one.
        _ => return front,
    };
    KeyInfo { kind, id: front.id.or(other.id), label: front.label, ..other }
}

impl Backend for Routed {
    fn manufacturer(&self) -> &str {
        self.front.manufacturer()
    }

    fn model(&self) -> &str {
        self.front.model()
    }

    fn firmware(&self) -> Option<Firmware> {
        self.front.firmware()
    }

    fn token_state(&self) -> TokenState {
        self.front.token_state()
    }

    fn has_cryptography(&self) -> bool {
        self.crypto.has_cryptography()
    }

    fn has_random(&self) -> bool {
        self.crypto.has_random()
    }

    fn refuses_read_write(&self) -> bool {
        self.front.refuses_read_write()
    }

    fn labels_are_names(&self) -> bool {
        self.front.labels_are_names()
    }

    fn assumed(&self, name: &KeyName) -> KeyInfo {
        self.crypto.assumed(name)
    }

    fn is_licensed(&self) -> bool {
        self.crypto.is_licensed()
    }

    fn login_required(&self) -> bool {
        self.front.login_required() || self.crypto.login_required()
    }

    fn may_list(&self) -> bool {
        self.front.may_list()
    }

    fn login(&self, pin: &[u8], deadline: Deadline) -> Result<()> {
        self.log_in(User::User, pin, deadline)
    }

    fn login_so(&self, pin: &[u8], deadline: Deadline) -> Result<()> {
        self.log_in(User::SecurityOfficer, pin, deadline)
    }

    fn login_stands(&self) -> bool {
        self.front.login_stands() && self.crypto.login_stands()
    }

    fn keep_login(&self, deadline: Deadline) -> Result<()> {
        self.front.keep_login(deadline)?;
        self.crypto.keep_login(deadline)
    }

    fn login_shows_more(&self) -> bool {
        // Before it the other one may not tell what its keys are.
        true
    }

    fn set_pin(&self, user: User, old: &[u8], new: &[u8], deadline: Deadline) -> Result<()> {
        let (own, others) = self.parts(old).ok_or_else(|| in_one_part(CKR_PIN_INCORRECT))?;
        let (new, kept) = self.parts(new).ok_or_else(|| in_one_part(CKR_PIN_INVALID))?;
        if others != kept {
            let text = "C_SetPIN changes the first part of the PIN alone: leave the part behind slot.crypto.pin_split \
                        as it is; nothing was sent";
            return Err(Error::new(CKR_PIN_INVALID, text));
        }
        self.front.set_pin(user, own, new, deadline)
    }

    fn logout(&self) {
        self.front.logout();
        self.crypto.logout();
    }

    /// How many are the front's stands before them.
    fn login_secrets(&self) -> Vec<SecretString> {
        let own = self.front.login_secrets();
        let count = SecretString::from(own.len().to_string());
        std::iter::once(count).chain(own).chain(self.crypto.login_secrets()).collect()
    }

    fn inherit_login(&self, secrets: &[SecretString]) {
        let Some((count, secrets)) = secrets.split_first() else { return };
        let count = count.expose_secret().parse().unwrap_or(0);
        if let Some((own, others)) = secrets.split_at_checked(count) {
            self.front.inherit_login(own);
            self.crypto.inherit_login(others);
        }
    }

    fn list(&self, deadline: Deadline) -> Result<Vec<KeyName>> {
        self.front.list(deadline)
    }

    fn describe(&self, names: &[KeyName], deadline: Deadline) -> Vec<Result<Option<KeyInfo>>> {
        let front = self.front.describe(names, deadline);
        if !self.crypto.may_list() {
            return front;
        }
        let others = self.crypto.describe(names, deadline);
        let both = names.iter().zip(front).zip(others);
        both.map(|((name, front), other)| match front? {
            Some(front) => Ok(Some(self.joined(name, front, other?))),
            None => Ok(None),
        })
        .collect()
    }

    fn certificates(&self, names: &[KeyName], deadline: Deadline) -> Vec<Result<Option<Vec<u8>>>> {
        if self.crypto.may_list() {
            return self.crypto.certificates(names, deadline);
        }
        self.front.certificates(names, deadline)
    }

    fn sign_input(&self, scheme: SignScheme) -> Option<SignInput> {
        self.crypto.sign_input(scheme)
    }

    fn sign(&self, request: &SignRequest<'_>, deadline: Deadline) -> Result<Outcome<Vec<u8>>> {
        self.front.keep_login(deadline)?;
        self.crypto.sign(request, deadline)
    }

    fn signatures_are_doubtful(&self) -> bool {
        self.crypto.signatures_are_doubtful()
    }

    fn verify_mac(&self, request: &SignRequest<'_>, mac: &[u8], deadline: Deadline) -> Result<bool> {
        self.front.keep_login(deadline)?;
        self.crypto.verify_mac(request, mac, deadline)
    }

    fn can_decrypt(&self, scheme: &DecryptScheme<'_>) -> bool {
        self.crypto.can_decrypt(scheme)
    }

    fn decrypt(
        &self,
        request: &DecryptRequest<'_>,
        deadline: Deadline,
    ) -> Result<Outcome<Zeroizing<Vec<u8>>>> {
        self.front.keep_login(deadline)?;
        self.crypto.decrypt(request, deadline)
    }

    fn can_encrypt(&self, scheme: &EncryptScheme<'_>) -> bool {
        self.crypto.can_encrypt(scheme)
    }

    fn encrypt(&self, request: &EncryptRequest<'_>, deadline: Deadline) -> Result<Encrypted> {
        self.front.keep_login(deadline)?;
        self.crypto.encrypt(request, deadline)
    }

    fn payload_limit(&self) -> usize {
        self.crypto.payload_limit()
    }

    /// For who is logged in, as all that is done with the credentials of the other one.
    fn random(&self, buffer: &mut [u8], deadline: Deadline) -> Result<()> {
        self.front.keep_login(deadline)?;
        self.crypto.random(buffer, deadline)
    }

    fn exiting(&self, limit: Deadline) {
        self.front.exiting(limit);
        self.crypto.exiting(limit);
    }

    fn close(&self, limit: Deadline) {
        self.front.close(limit.first_of(2));
        self.crypto.close(limit);
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::crypto::public_key::PublicKey;

    /// The key of RFC 8410 section 10.1 against what a partition may list under its label.
    #[test]
    fn a_key_of_another_type_is_another_key() {
        let spki = STANDARD.decode("MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=").unwrap();
        let pair = KeyKind::Pair(PublicKey::from_spki(&spki).unwrap());
        for (told, kind, expected) in [
            (Some(CKK_EC_EDWARDS), pair.clone(), false),
            (Some(CKK_EC), pair.clone(), false),
            (Some(CKK_RSA), pair.clone(), true),
            (Some(CKK_AES), pair.clone(), true),
            (Some(0x8000_0012), pair.clone(), false),
            (None, pair, false),
            (Some(CKK_AES), KeyKind::Aes(None), false),
            (Some(CKK_DES3), KeyKind::Aes(None), true),
            (Some(CKK_RSA), KeyKind::Locked, false),
        ] {
            let listed = Listed { private: true, key_type: told, ..Listed::default() };
            assert_eq!(is_another(&listed, &kind), expected, "{told:?} {kind:?}");
        }
    }
}
