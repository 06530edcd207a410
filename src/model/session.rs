//! Sessions: a handle, a mode, and the operations under way. They cost nothing at the HSM.

use std::sync::Arc;

use cryptoki_sys::{
    CK_FLAGS, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_SLOT_ID, CK_STATE, CK_ULONG,
    CK_UNAVAILABLE_INFORMATION, CKA_DECRYPT, CKA_ENCRYPT, CKA_KEY_TYPE, CKA_SIGN, CKA_TOKEN, CKA_VERIFY,
    CKF_DECRYPT, CKF_DIGEST, CKF_ENCRYPT, CKF_FIND_OBJECTS, CKF_MESSAGE_ENCRYPT, CKF_RW_SESSION,
    CKF_SERIAL_SESSION, CKF_SIGN, CKF_VERIFY, CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_HANDLE_INVALID,
    CKR_KEY_SIZE_RANGE, CKR_KEY_TYPE_INCONSISTENT, CKR_OPERATION_ACTIVE, CKR_RANDOM_NO_RNG,
    CKR_SESSION_READ_ONLY, CKR_TOKEN_WRITE_PROTECTED, CKS_RO_PUBLIC_SESSION, CKS_RO_USER_FUNCTIONS,
    CKS_RW_PUBLIC_SESSION, CKS_RW_SO_FUNCTIONS, CKS_RW_USER_FUNCTIONS,
};
use parking_lot::Mutex;
use secrecy::SecretString;

use super::cipher::{Decrypting, Encrypting, Message, MessageEncrypting, Sealed};
use super::digest::Digesting;
use super::mechanism::Chosen;
use super::object::{HsmKey, Material, Object};
use super::operation::{Input, Output, Room, begin, continuing, ending, not_initialized};
use super::sign::{KeyInUse, Signing, Verifying};
use super::template::Template;
use super::token::Token;
use crate::backend::{Backend, User};
use crate::error::{Error, Result};
use crate::transport::Deadline;

/// One session. Its lock is held during its own operation, requests included, and covers nothing else.
pub struct Session {
    handle: CK_SESSION_HANDLE,
    slot: CK_SLOT_ID,
    token: Arc<Token>,
    read_write: bool,
    operations: Mutex<Operations>,
}

#[derive(Default)]
struct Operations {
    find: Option<Finding>,
    digest: Option<Digesting>,
    sign: Option<Box<Signing>>,
    verify: Option<Box<Verifying>>,
    encrypt: Option<Box<Encrypting>>,
    decrypt: Option<Box<Decrypting>>,
    message_encrypt: Option<MessageEncrypting>,
}

/// A search under way: the answer is complete from the start, so that reads between two calls change nothing.
struct Finding {
    left: std::vec::IntoIter<CK_OBJECT_HANDLE>,
}

impl Session {
    /// A session in which nothing is under way.
    pub fn new(handle: CK_SESSION_HANDLE, slot: CK_SLOT_ID, token: Arc<Token>, read_write: bool) -> Self {
        Self { handle, slot, token, read_write, operations: Mutex::default() }
    }

    /// The slot that it is with.
    pub fn slot(&self) -> CK_SLOT_ID {
        self.slot
    }

    /// The handle.
    pub fn handle(&self) -> CK_SESSION_HANDLE {
        self.handle
    }

    /// The token that it is with.
    pub fn token(&self) -> &Arc<Token> {
        &self.token
    }

    /// Whether it may change token objects.
    pub fn is_read_write(&self) -> bool {
        self.read_write
    }

    /// `CK_SESSION_INFO.state`
    pub fn state(&self) -> CK_STATE {
        match (self.read_write, self.token.logged_in()) {
            // The security officer has no read-only sessions.
            (_, Some(User::SecurityOfficer)) => CKS_RW_SO_FUNCTIONS,
            (false, None) => CKS_RO_PUBLIC_SESSION,
            (false, Some(User::User)) => CKS_RO_USER_FUNCTIONS,
            (true, None) => CKS_RW_PUBLIC_SESSION,
            (true, Some(User::User)) => CKS_RW_USER_FUNCTIONS,
        }
    }

    /// `CK_SESSION_INFO.flags`
    pub fn flags(&self) -> CK_FLAGS {
        CKF_SERIAL_SESSION | if self.read_write { CKF_RW_SESSION } else { 0 }
    }

    /// `C_GenerateRandom`: random bytes of the HSM.
    pub fn random(&self, buffer: &mut [u8]) -> Result<()> {
        if buffer.is_empty() {
            return Ok(());
        }
        if !self.token.offers_random() {
            return Err(Error::new(CKR_RANDOM_NO_RNG, "the token has no random numbers"));
        }
        self.token.backend().random(buffer, self.token.deadline())
    }

    /// `C_SetPIN`
    ///
    /// # Errors
    /// `CKR_SESSION_READ_ONLY`, and what the back end says.
    pub fn set_pin(&self, old: &[u8], new: &[u8]) -> Result<()> {
        if !self.read_write {
            return Err(Error::new(CKR_SESSION_READ_ONLY, "a PIN is changed in a read/write session"));
        }
        self.token.set_pin(old, new)
    }

    /// `C_SessionCancel`: ends the operations that `flags` name (section 5.6.10).
    pub fn cancel(&self, flags: CK_FLAGS) {
        let operations = &mut *self.operations.lock();
        let named = |flag| flags & flag != 0;
        clear_if(named(CKF_FIND_OBJECTS), &mut operations.find);
        clear_if(named(CKF_DIGEST), &mut operations.digest);
        clear_if(named(CKF_SIGN), &mut operations.sign);
        clear_if(named(CKF_VERIFY), &mut operations.verify);
        clear_if(named(CKF_ENCRYPT), &mut operations.encrypt);
        clear_if(named(CKF_DECRYPT), &mut operations.decrypt);
        clear_if(named(CKF_MESSAGE_ENCRYPT), &mut operations.message_encrypt);
    }

    /// `C_Login` with `CKU_CONTEXT_SPECIFIC`: the password of the key whose operation was begun last.
    ///
    /// # Errors
    /// `CKR_OPERATION_NOT_INITIALIZED` when no operation waits for one.
    pub fn authenticate(&self, password: SecretString) -> Result<()> {
        let operations = &mut *self.operations.lock();
        let signing = operations.sign.as_mut().map(|operation| &mut operation.key);
        let decrypting = operations.decrypt.as_mut().map(|operation| &mut operation.key);
        let encrypting = operations.encrypt.as_mut().and_then(|operation| operation.key_in_use());
        let messages = operations.message_encrypt.as_mut().map(|operation| &mut operation.key);
        let keys = signing.into_iter().chain(decrypting).chain(encrypting).chain(messages);
        let mut waiting = keys.filter(|key: &&mut KeyInUse| key.wants_password());
        waiting.next().ok_or_else(not_initialized)?.authenticate(password);
        Ok(())
    }

    // Searching.

    /// `C_FindObjectsInit`
    pub fn find_init(&self, template: &Template) -> Result<()> {
        let place = &mut self.operations.lock().find;
        if place.is_some() {
            return Err(Error::new(CKR_OPERATION_ACTIVE, "a search is active"));
        }
        *place = Some(Finding { left: self.token.find(template)?.into_iter() });
        Ok(())
    }

    /// `C_FindObjects`: at most `most` handles that were not told before.
    pub fn find_next(&self, most: usize) -> Result<Vec<CK_OBJECT_HANDLE>> {
        continuing(&mut self.operations.lock().find, |find| Ok(find.left.by_ref().take(most).collect()))
    }

    /// `C_FindObjectsFinal`
    pub fn find_final(&self) -> Result<()> {
        self.operations.lock().find.take().map(|_| ()).ok_or_else(not_initialized)
    }

    // Objects.

    /// `C_CreateObject`
    pub fn create_object(&self, template: &Template) -> Result<CK_OBJECT_HANDLE> {
        self.check_write(template)?;
        self.token.create_object(self.handle, template)
    }

    /// `C_CopyObject`
    pub fn copy_object(&self, object: CK_OBJECT_HANDLE, template: &Template) -> Result<CK_OBJECT_HANDLE> {
        self.check_write(template)?;
        self.token.copy_object(self.handle, object, template)
    }

    /// `C_DestroyObject`
    pub fn destroy_object(&self, object: CK_OBJECT_HANDLE) -> Result<()> {
        self.check_write_to(object)?;
        self.token.destroy_object(object)
    }

    /// `C_SetAttributeValue`
    pub fn set_attributes(&self, object: CK_OBJECT_HANDLE, template: &Template) -> Result<()> {
        self.check_write_to(object)?;
        self.token.set_attributes(object, template)
    }

    pub(super) fn check_write(&self, template: &Template) -> Result<()> {
        if !self.read_write && template.bool(CKA_TOKEN)? == Some(true) {
            return Err(self.read_only());
        }
        Ok(())
    }

    fn check_write_to(&self, object: CK_OBJECT_HANDLE) -> Result<()> {
        if !self.read_write && self.token.object(object)?.attributes.is_true(CKA_TOKEN) {
            return Err(self.read_only());
        }
        Ok(())
    }

    /// Where no session is read/write, it is the token that is not written to.
    fn read_only(&self) -> Error {
        if self.token.refuses_read_write() {
            return Error::new(CKR_TOKEN_WRITE_PROTECTED, "nothing of this token is changed from here");
        }
        Error::new(CKR_SESSION_READ_ONLY, "the session is read-only")
    }

    // Digests.

    /// `C_DigestInit`
    pub fn digest_init(&self, chosen: Option<&Chosen>) -> Result<()> {
        begin(&mut self.operations.lock().digest, chosen, |chosen| {
            self.token.offers_for(chosen, CKF_DIGEST)?;
            Digesting::new(chosen)
        })
    }

    /// `C_Digest`
    pub fn digest(&self, data: Input<'_>, room: Room) -> Result<Output> {
        ending(&mut self.operations.lock().digest, |digest| digest.digest(data, room))
    }

    /// `C_DigestUpdate`
    pub fn digest_update(&self, part: Input<'_>) -> Result<()> {
        continuing(&mut self.operations.lock().digest, |digest| digest.update(part))
    }

    /// `C_DigestKey`: no key's value is to be had.
    pub fn digest_key(&self) -> Result<()> {
        let error = || Error::new(cryptoki_sys::CKR_KEY_INDIGESTIBLE, "the value of a key stays at the HSM");
        continuing(&mut self.operations.lock().digest, |_| Err(error()))
    }

    /// `C_DigestFinal`
    pub fn digest_final(&self, room: Room) -> Result<Output> {
        ending(&mut self.operations.lock().digest, |digest| digest.finish(room))
    }

    // Signatures.

    /// `C_SignInit`
    pub fn sign_init(&self, chosen: Option<&Chosen>, key: CK_OBJECT_HANDLE) -> Result<()> {
        begin(&mut self.operations.lock().sign, chosen, |chosen| {
            self.token.offers_for(chosen, CKF_SIGN)?;
            let key = self.hsm_key(chosen, key, CKA_SIGN)?;
            Signing::new(chosen, key, self.token.backend()).map(Box::new)
        })
    }

    /// `C_Sign`
    pub fn sign(&self, data: Input<'_>, room: Room) -> Result<Output> {
        let deadline = self.token.deadline();
        ending(&mut self.operations.lock().sign, |sign| {
            self.token.check_private_access()?;
            let result = sign.sign(data, room, self.token.backend(), deadline);
            self.noticing_loss(result, Some(&sign.key.key))
        })
    }

    /// `C_SignUpdate`
    pub fn sign_update(&self, part: Input<'_>) -> Result<()> {
        continuing(&mut self.operations.lock().sign, |sign| sign.update(part))
    }

    /// `C_SignFinal`
    pub fn sign_final(&self, room: Room) -> Result<Output> {
        let deadline = self.token.deadline();
        ending(&mut self.operations.lock().sign, |sign| {
            self.token.check_private_access()?;
            let result = sign.finish(room, self.token.backend(), deadline);
            self.noticing_loss(result, Some(&sign.key.key))
        })
    }

    /// `C_VerifyInit`
    pub fn verify_init(&self, chosen: Option<&Chosen>, key: CK_OBJECT_HANDLE) -> Result<()> {
        self.begin_verifying(chosen, key, None)
    }

    /// `C_VerifySignatureInit`
    pub fn verify_signature_init(
        &self,
        chosen: Option<&Chosen>,
        key: CK_OBJECT_HANDLE,
        signature: &[u8],
    ) -> Result<()> {
        self.begin_verifying(chosen, key, Some(signature.to_vec()))
    }

    fn begin_verifying(
        &self,
        chosen: Option<&Chosen>,
        key: CK_OBJECT_HANDLE,
        signature: Option<Vec<u8>>,
    ) -> Result<()> {
        begin(&mut self.operations.lock().verify, chosen, |chosen| {
            self.token.offers_for(chosen, CKF_VERIFY)?;
            let object = self.key_for(chosen, key, CKA_VERIFY)?;
            match &object.material {
                Material::Public(public) => Verifying::new(chosen, public.clone(), signature),
                Material::Hsm(key) => {
                    Verifying::with_secret_key(chosen, Arc::clone(key), signature, self.token.backend())
                }
                Material::Passive => Err(not_permitted()),
            }
            .map(Box::new)
        })
    }

    /// `C_Verify`
    pub fn verify(&self, data: Input<'_>, signature: Input<'_>) -> Result<()> {
        self.end_verifying(false, |verify, backend, deadline| {
            verify.verify(data, signature, backend, deadline)
        })
    }

    /// `C_VerifyUpdate`
    pub fn verify_update(&self, part: Input<'_>) -> Result<()> {
        self.go_on_verifying(false, part)
    }

    /// `C_VerifyFinal`
    pub fn verify_final(&self, signature: Input<'_>) -> Result<()> {
        self.end_verifying(false, |verify, backend, deadline| verify.finish(signature, backend, deadline))
    }

    /// `C_VerifySignature`
    pub fn verify_signature(&self, data: Input<'_>) -> Result<()> {
        self.end_verifying(true, |verify, backend, deadline| verify.verify(data, None, backend, deadline))
    }

    /// `C_VerifySignatureUpdate`
    pub fn verify_signature_update(&self, part: Input<'_>) -> Result<()> {
        self.go_on_verifying(true, part)
    }

    /// `C_VerifySignatureFinal`
    pub fn verify_signature_final(&self) -> Result<()> {
        self.end_verifying(true, |verify, backend, deadline| verify.finish(None, backend, deadline))
    }

    fn go_on_verifying(&self, signature_first: bool, part: Input<'_>) -> Result<()> {
        let place = &mut self.operations.lock().verify;
        check_kind(place, signature_first)?;
        continuing(place, |verify| verify.update(part))
    }

    fn end_verifying(
        &self,
        signature_first: bool,
        run: impl FnOnce(&mut Verifying, &dyn Backend, Deadline) -> Result<()>,
    ) -> Result<()> {
        let deadline = self.token.deadline();
        let place = &mut self.operations.lock().verify;
        check_kind(place, signature_first)?;
        ending(place, |verify| {
            self.check_access(verify.hsm_key())?;
            let result = run(verify, self.token.backend(), deadline);
            self.noticing_loss(result, verify.hsm_key()).map(|()| Output::bytes([]))
        })
        .map(|_| ())
    }

    // Ciphers.

    /// `C_EncryptInit`
    pub fn encrypt_init(&self, chosen: Option<&Chosen>, key: CK_OBJECT_HANDLE) -> Result<()> {
        begin(&mut self.operations.lock().encrypt, chosen, |chosen| {
            self.token.offers_for(chosen, CKF_ENCRYPT)?;
            let object = self.key_for(chosen, key, CKA_ENCRYPT)?;
            match &object.material {
                Material::Public(public) => Encrypting::with_public_key(chosen, public.clone()),
                Material::Hsm(key) => {
                    Encrypting::with_secret_key(chosen, Arc::clone(key), self.token.backend())
                }
                Material::Passive => Err(not_permitted()),
            }
            .map(Box::new)
        })
    }

    /// `C_Encrypt`
    pub fn encrypt(&self, data: Input<'_>, room: Room) -> Result<Output> {
        let deadline = self.token.deadline();
        ending(&mut self.operations.lock().encrypt, |encrypt| {
            self.check_access(encrypt.hsm_key())?;
            let result = encrypt.encrypt(data, room, self.token.backend(), deadline);
            self.noticing_loss(result, encrypt.hsm_key())
        })
    }

    /// `C_EncryptUpdate`
    pub fn encrypt_update(&self, part: Input<'_>, room: Room) -> Result<Output> {
        continuing(&mut self.operations.lock().encrypt, |encrypt| encrypt.update(part, room))
    }

    /// `C_EncryptFinal`
    pub fn encrypt_final(&self, room: Room) -> Result<Output> {
        let deadline = self.token.deadline();
        ending(&mut self.operations.lock().encrypt, |encrypt| {
            self.check_access(encrypt.hsm_key())?;
            let result = encrypt.finish(room, self.token.backend(), deadline);
            self.noticing_loss(result, encrypt.hsm_key())
        })
    }

    /// `C_DecryptInit`
    pub fn decrypt_init(&self, chosen: Option<&Chosen>, key: CK_OBJECT_HANDLE) -> Result<()> {
        begin(&mut self.operations.lock().decrypt, chosen, |chosen| {
            self.token.offers_for(chosen, CKF_DECRYPT)?;
            let key = self.hsm_key(chosen, key, CKA_DECRYPT)?;
            Decrypting::new(chosen, key, self.token.backend()).map(Box::new)
        })
    }

    /// `C_Decrypt`
    pub fn decrypt(&self, data: Input<'_>, room: Room) -> Result<Output> {
        let deadline = self.token.deadline();
        ending(&mut self.operations.lock().decrypt, |decrypt| {
            self.token.check_private_access()?;
            let result = decrypt.decrypt(data, room, self.token.backend(), deadline);
            self.noticing_loss(result, Some(&decrypt.key.key))
        })
    }

    /// `C_DecryptUpdate`
    pub fn decrypt_update(&self, part: Input<'_>, room: Room) -> Result<Output> {
        continuing(&mut self.operations.lock().decrypt, |decrypt| decrypt.update(part, room))
    }

    /// `C_DecryptFinal`
    pub fn decrypt_final(&self, room: Room) -> Result<Output> {
        let deadline = self.token.deadline();
        ending(&mut self.operations.lock().decrypt, |decrypt| {
            self.token.check_private_access()?;
            let result = decrypt.finish(room, self.token.backend(), deadline);
            self.noticing_loss(result, Some(&decrypt.key.key))
        })
    }

    /// `C_MessageEncryptInit`
    pub fn message_encrypt_init(&self, chosen: Option<&Chosen>, key: CK_OBJECT_HANDLE) -> Result<()> {
        begin(&mut self.operations.lock().message_encrypt, chosen, |chosen| {
            self.token.offers_for(chosen, CKF_MESSAGE_ENCRYPT)?;
            let key = self.hsm_key(chosen, key, CKA_ENCRYPT)?;
            MessageEncrypting::new(chosen, key)
        })
    }

    /// That `C_EncryptMessage` may follow.
    ///
    /// # Errors
    /// `CKR_OPERATION_NOT_INITIALIZED`
    pub fn check_message_encrypting(&self) -> Result<()> {
        self.operations.lock().message_encrypt.as_ref().map(|_| ()).ok_or_else(not_initialized)
    }

    /// `C_EncryptMessage`: the key stays in place for the next message, whatever becomes of this one.
    pub fn encrypt_message(&self, message: &Message<'_>, room: Room) -> Result<Sealed> {
        let deadline = self.token.deadline();
        let operations = &*self.operations.lock();
        let encrypting = operations.message_encrypt.as_ref().ok_or_else(not_initialized)?;
        self.token.check_private_access()?;
        let result = encrypting.encrypt(message, room, self.token.backend(), deadline);
        self.noticing_loss(result, Some(&encrypting.key.key))
    }

    /// `C_MessageEncryptFinal`
    pub fn message_encrypt_final(&self) -> Result<()> {
        self.operations.lock().message_encrypt.take().map(|_| ()).ok_or_else(not_initialized)
    }

    // Keys.

    /// A key that fits the mechanism and that has the usage attribute `usage`.
    fn key_for(&self, chosen: &Chosen, key: CK_OBJECT_HANDLE, usage: u64) -> Result<Arc<Object>> {
        let object = self.token.key(key)?;
        if matches!(object.material, Material::Passive) {
            return Err(Error::new(CKR_KEY_HANDLE_INVALID, "the object is no key"));
        }
        let key_type =
            object.attributes.ulong(CKA_KEY_TYPE).filter(|kind| *kind != CK_UNAVAILABLE_INFORMATION);
        if key_type.is_some() && key_type != chosen.mechanism.key_type() {
            let text = format!("{} is not for keys of this type", chosen.mechanism.name);
            return Err(Error::new(CKR_KEY_TYPE_INCONSISTENT, text));
        }
        if !object.attributes.is_true(usage) {
            return Err(not_permitted());
        }
        self.check_size(chosen, &object)?;
        Ok(object)
    }

    /// What `C_GetMechanismInfo` tells of key sizes holds.
    fn check_size(&self, chosen: &Chosen, object: &Object) -> Result<()> {
        let Some(public) = object.public_key() else { return Ok(()) };
        let offer = self.token.offer(chosen.mechanism.kind)?;
        let bits = public.bits() as CK_ULONG;
        if (offer.min..=offer.max).contains(&bits) {
            return Ok(());
        }
        let text = format!("{} is for keys of {} to {} bits", chosen.mechanism.name, offer.min, offer.max);
        Err(Error::new(CKR_KEY_SIZE_RANGE, text))
    }

    fn hsm_key(&self, chosen: &Chosen, key: CK_OBJECT_HANDLE, usage: u64) -> Result<Arc<HsmKey>> {
        match &self.key_for(chosen, key, usage)?.material {
            Material::Hsm(key) => Ok(Arc::clone(key)),
            _ => Err(not_permitted()),
        }
    }

    /// A key that the HSM does not know any more must not be found any more.
    fn noticing_loss<T>(&self, result: Result<T>, key: Option<&HsmKey>) -> Result<T> {
        let is_gone = result.as_ref().is_err_and(|error| error.rv() == CKR_KEY_HANDLE_INVALID);
        if let Some(key) = key.filter(|_| is_gone) {
            self.token.forget_key(&key.name);
        }
        result
    }

    /// What a public key does needs no login.
    fn check_access(&self, hsm_key: Option<&HsmKey>) -> Result<()> {
        hsm_key.map_or(Ok(()), |_| self.token.check_private_access())
    }
}

/// The functions of the one kind of verification do not go on with what those of the other began.
fn check_kind(place: &Option<Box<Verifying>>, signature_first: bool) -> Result<()> {
    match place {
        Some(verify) if verify.has_signature() != signature_first => Err(not_initialized()),
        _ => Ok(()),
    }
}

fn clear_if<T>(named: bool, place: &mut Option<T>) {
    if named {
        *place = None;
    }
}

fn not_permitted() -> Error {
    Error::new(CKR_KEY_FUNCTION_NOT_PERMITTED, "the key is not for this use")
}
