//! A session and all that goes on in one.

use std::ffi::c_void;
use std::ptr;

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_ATTRIBUTE_TYPE, CK_BYTE, CK_FLAGS, CK_GCM_MESSAGE_PARAMS, CK_GENERATOR_FUNCTION,
    CK_OBJECT_CLASS, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_SESSION_INFO, CK_ULONG, CK_USER_TYPE,
    CKA_CLASS, CKA_LABEL, CKR_OBJECT_HANDLE_INVALID, CKR_OK, CKU_USER,
};

use super::mechanism::Mechanism;
use super::p11::{Called, Code, P11, call, called, ulong};
use super::secrets;

/// Written behind every buffer: an overrun shows.
const GUARD: [u8; 16] = [0xa5; 16];

/// More than any output of the tests but large ciphertexts, which bring their own room.
const ENOUGH: usize = 8192;

/// An attribute with its value.
pub type Pair = (CK_ATTRIBUTE_TYPE, Vec<u8>);

/// An attribute of type `CK_ULONG`.
pub fn number(kind: CK_ATTRIBUTE_TYPE, value: CK_ULONG) -> Pair {
    (kind, value.to_ne_bytes().to_vec())
}

/// An attribute of type `CK_BBOOL`.
pub fn flag(kind: CK_ATTRIBUTE_TYPE, value: bool) -> Pair {
    (kind, vec![value.into()])
}

/// An attribute of bytes.
pub fn bytes(kind: CK_ATTRIBUTE_TYPE, value: impl AsRef<[u8]>) -> Pair {
    (kind, value.as_ref().to_vec())
}

/// The buffer of a call with output.
#[derive(Clone, Copy, Debug)]
pub enum Room {
    /// NULL: the length is asked for.
    Query,
    /// So many bytes.
    Bytes(usize),
}

/// What was told of an attribute: its length (`None`: `CK_UNAVAILABLE_INFORMATION`), and what is in its buffer.
pub type Told = (Option<usize>, Vec<u8>);

/// What a call with output came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The code.
    pub code: Code,
    /// The length that was told.
    pub length: usize,
    /// What is in the buffer, as far as the told length and its room go.
    pub bytes: Vec<u8>,
}

impl Answer {
    fn of(room: Room, call: impl FnOnce(*mut CK_BYTE, *mut CK_ULONG) -> CK_RV) -> Self {
        let have = if let Room::Bytes(have) = room { have } else { 0 };
        let mut buffer = [vec![0; have], GUARD.to_vec()].concat();
        let mut length = ulong(have);
        let place = if let Room::Query = room { ptr::null_mut() } else { buffer.as_mut_ptr() };
        let rv = call(place, &raw mut length);
        assert_eq!(buffer[have..], GUARD, "bytes beyond the buffer were written");
        let length = usize::try_from(length).expect("a length");
        buffer.truncate(have.min(length));
        Self { code: Code(rv), length, bytes: buffer }
    }

    fn whole(self) -> Called<Vec<u8>> {
        if self.code != Code(CKR_OK) {
            return Err(self.code);
        }
        assert_eq!(self.bytes.len(), self.length, "the told length is that of the output");
        Ok(self.bytes)
    }
}

/// An open session; closed when dropped.
pub struct Session {
    p11: &'static P11,
    handle: CK_SESSION_HANDLE,
}

impl Drop for Session {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // It may be closed already, with others.
            let _ = self.close();
        }
    }
}

fn read_only(data: &[u8]) -> *mut CK_BYTE {
    data.as_ptr().cast_mut()
}

/// Functions that begin an operation with a key.
macro_rules! beginnings {
    ($($(#[$doc:meta])* $name:ident $function:ident;)*) => {
        impl Session {$(
            $(#[$doc])*
            pub fn $name(&self, mechanism: &Mechanism, key: CK_OBJECT_HANDLE) -> Called {
                mechanism.lend(|mechanism| called(call!(self.p11, $function(self.handle, mechanism, key))))
            }
        )*}
    };
}

beginnings! {
    /// `C_SignInit`
    sign_init C_SignInit;
    /// `C_VerifyInit`
    verify_init C_VerifyInit;
    /// `C_EncryptInit`
    encrypt_init C_EncryptInit;
    /// `C_DecryptInit`
    decrypt_init C_DecryptInit;
    /// `C_MessageEncryptInit`
    message_encrypt_init C_MessageEncryptInit;
}

/// Functions that take data and give some.
macro_rules! transformations {
    ($($(#[$doc:meta])* $name:ident $with_room:ident $function:ident;)*) => {
        impl Session {$(
            $(#[$doc])*
            pub fn $with_room(&self, data: &[u8], room: Room) -> Answer {
                secrets::register("data", data);
                let (from, length) = (read_only(data), ulong(data.len()));
                Answer::of(room, |to, told| call!(self.p11, $function(self.handle, from, length, to, told)))
            }

            /// The same, with room enough.
            pub fn $name(&self, data: &[u8]) -> Called<Vec<u8>> {
                self.$with_room(data, Room::Bytes(ENOUGH.max(data.len() + 64))).whole()
            }
        )*}
    };
}

transformations! {
    /// `C_Sign`
    sign sign_into C_Sign;
    /// `C_Digest`
    digest digest_into C_Digest;
    /// `C_Encrypt`
    encrypt encrypt_into C_Encrypt;
    /// `C_EncryptUpdate`
    encrypt_update encrypt_update_into C_EncryptUpdate;
    /// `C_Decrypt`
    decrypt decrypt_into C_Decrypt;
    /// `C_DecryptUpdate`
    decrypt_update decrypt_update_into C_DecryptUpdate;
}

/// Functions that end an operation and give something.
macro_rules! endings {
    ($($(#[$doc:meta])* $name:ident $with_room:ident $function:ident;)*) => {
        impl Session {$(
            $(#[$doc])*
            pub fn $with_room(&self, room: Room) -> Answer {
                Answer::of(room, |to, told| call!(self.p11, $function(self.handle, to, told)))
            }

            /// The same, with room enough.
            pub fn $name(&self) -> Called<Vec<u8>> {
                self.$with_room(Room::Bytes(16 * ENOUGH)).whole()
            }
        )*}
    };
}

endings! {
    /// `C_SignFinal`
    sign_final sign_final_into C_SignFinal;
    /// `C_DigestFinal`
    digest_final digest_final_into C_DigestFinal;
    /// `C_EncryptFinal`
    encrypt_final encrypt_final_into C_EncryptFinal;
    /// `C_DecryptFinal`
    decrypt_final decrypt_final_into C_DecryptFinal;
}

/// Functions that take data.
macro_rules! takers {
    ($($(#[$doc:meta])* $name:ident $function:ident;)*) => {
        impl Session {$(
            $(#[$doc])*
            pub fn $name(&self, data: &[u8]) -> Called {
                secrets::register("data", data);
                called(call!(self.p11, $function(self.handle, read_only(data), ulong(data.len()))))
            }
        )*}
    };
}

takers! {
    /// `C_SignUpdate`
    sign_update C_SignUpdate;
    /// `C_VerifyUpdate`
    verify_update C_VerifyUpdate;
    /// `C_VerifyFinal`, with the signature
    verify_final C_VerifyFinal;
    /// `C_VerifySignature`
    verify_signature C_VerifySignature;
    /// `C_VerifySignatureUpdate`
    verify_signature_update C_VerifySignatureUpdate;
    /// `C_DigestUpdate`
    digest_update C_DigestUpdate;
    /// `C_SeedRandom`
    seed_random C_SeedRandom;
}

/// Functions of the session alone.
macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident $function:ident;)*) => {
        impl Session {$(
            $(#[$doc])*
            pub fn $name(&self) -> Called {
                called(call!(self.p11, $function(self.handle)))
            }
        )*}
    };
}

plain! {
    /// `C_CloseSession`
    close C_CloseSession;
    /// `C_Logout`
    logout C_Logout;
    /// `C_FindObjectsFinal`
    find_final C_FindObjectsFinal;
    /// `C_VerifySignatureFinal`
    verify_signature_final C_VerifySignatureFinal;
    /// `C_MessageEncryptFinal`
    message_encrypt_final C_MessageEncryptFinal;
}

impl Session {
    /// A session that is open.
    pub fn new(p11: &'static P11, handle: CK_SESSION_HANDLE) -> Self {
        Self { p11, handle }
    }

    /// The module.
    pub(super) fn p11(&self) -> &'static P11 {
        self.p11
    }

    /// The handle.
    pub fn handle(&self) -> CK_SESSION_HANDLE {
        self.handle
    }

    /// `C_GetSessionInfo`
    pub fn info(&self) -> Called<CK_SESSION_INFO> {
        let mut info = CK_SESSION_INFO::default();
        called(call!(self.p11, C_GetSessionInfo(self.handle, &raw mut info)))?;
        Ok(info)
    }

    /// `C_GetSessionValidationFlags`
    pub fn validation_flags(&self, kind: CK_ULONG) -> Called<CK_FLAGS> {
        let mut flags = CK_FLAGS::MAX;
        called(call!(self.p11, C_GetSessionValidationFlags(self.handle, kind, &raw mut flags)))?;
        Ok(flags)
    }

    /// `C_Login` of the user.
    pub fn login(&self, pin: &str) -> Called {
        self.login_as(CKU_USER, pin.as_bytes())
    }

    /// `C_Login`
    pub fn login_as(&self, user: CK_USER_TYPE, pin: &[u8]) -> Called {
        // Of a PIN in the form of roles the values are secret, and not the names.
        for part in pin.split(|byte| *byte == b',') {
            secrets::register("PIN", part.split(|byte| *byte == b'=').next_back().unwrap_or_default());
        }
        called(call!(self.p11, C_Login(self.handle, user, read_only(pin), ulong(pin.len()))))
    }

    /// `C_SessionCancel`
    pub fn cancel(&self, flags: CK_FLAGS) -> Called {
        called(call!(self.p11, C_SessionCancel(self.handle, flags)))
    }

    /// `C_GenerateRandom`
    pub fn random(&self, length: usize) -> Called<Vec<u8>> {
        let mut random = vec![0; length];
        called(call!(self.p11, C_GenerateRandom(self.handle, random.as_mut_ptr(), ulong(length))))?;
        Ok(random)
    }

    /// `C_DigestInit`
    pub fn digest_init(&self, mechanism: &Mechanism) -> Called {
        mechanism.lend(|mechanism| called(call!(self.p11, C_DigestInit(self.handle, mechanism))))
    }

    /// `C_SignInit` with a NULL mechanism.
    pub fn sign_init_null(&self) -> Called {
        called(call!(self.p11, C_SignInit(self.handle, ptr::null_mut(), 0)))
    }

    /// `C_DigestInit` with a NULL mechanism.
    pub fn digest_init_null(&self) -> Called {
        called(call!(self.p11, C_DigestInit(self.handle, ptr::null_mut())))
    }

    /// `C_Verify`
    pub fn verify(&self, data: &[u8], signature: &[u8]) -> Called {
        secrets::register("data", data);
        let (data, data_len) = (read_only(data), ulong(data.len()));
        let (signature, signature_len) = (read_only(signature), ulong(signature.len()));
        called(call!(self.p11, C_Verify(self.handle, data, data_len, signature, signature_len)))
    }

    /// `C_VerifySignatureInit`
    pub fn verify_signature_init(
        &self,
        mechanism: &Mechanism,
        key: CK_OBJECT_HANDLE,
        signature: &[u8],
    ) -> Called {
        let (from, length) = (read_only(signature), ulong(signature.len()));
        mechanism.lend(|mechanism| {
            called(call!(self.p11, C_VerifySignatureInit(self.handle, mechanism, key, from, length)))
        })
    }

    /// `C_EncryptMessage` with `CK_GCM_MESSAGE_PARAMS`; the ciphertext is followed by IV and tag.
    pub fn encrypt_message(
        &self,
        generator: CK_GENERATOR_FUNCTION,
        iv: &mut [u8],
        tag: &mut [u8],
        aad: &[u8],
        plaintext: &[u8],
        room: Room,
    ) -> Answer {
        let mut parameter = CK_GCM_MESSAGE_PARAMS {
            pIv: iv.as_mut_ptr(),
            ulIvLen: ulong(iv.len()),
            ulIvFixedBits: 0,
            ivGenerator: generator,
            pTag: tag.as_mut_ptr(),
            ulTagBits: 8 * ulong(tag.len()),
        };
        let (place, size) = ((&raw mut parameter).cast::<c_void>(), ulong(size_of_val(&parameter)));
        secrets::register("data", plaintext);
        secrets::register("data", aad);
        let (aad, aad_len) = (read_only(aad), ulong(aad.len()));
        let (from, length) = (read_only(plaintext), ulong(plaintext.len()));
        Answer::of(room, |to, told| {
            call!(self.p11, C_EncryptMessage(self.handle, place, size, aad, aad_len, from, length, to, told))
        })
    }

    // Objects.

    /// `C_FindObjectsInit`
    pub fn find_init(&self, template: &[Pair]) -> Called {
        lend_template(template, |attributes, count| {
            called(call!(self.p11, C_FindObjectsInit(self.handle, attributes, count)))
        })
    }

    /// `C_FindObjects`
    pub fn find_next(&self, most: usize) -> Called<Vec<CK_OBJECT_HANDLE>> {
        let mut found = vec![0; most];
        let mut count = 0;
        let list = found.as_mut_ptr();
        called(call!(self.p11, C_FindObjects(self.handle, list, ulong(most), &raw mut count)))?;
        found.truncate(usize::try_from(count).expect("a count"));
        Ok(found)
    }

    /// A whole search.
    pub fn find(&self, template: &[Pair]) -> Called<Vec<CK_OBJECT_HANDLE>> {
        self.find_init(template)?;
        let mut found = Vec::new();
        loop {
            let some = self.find_next(3)?;
            if some.is_empty() {
                self.find_final()?;
                return Ok(found);
            }
            found.extend(some);
        }
    }

    /// The only object of that class and label.
    #[track_caller]
    pub fn the(&self, class: CK_OBJECT_CLASS, label: &str) -> CK_OBJECT_HANDLE {
        let found = self.find(&[number(CKA_CLASS, class), bytes(CKA_LABEL, label)]).expect("a search");
        assert_eq!(found.len(), 1, "objects of class {class} with the label {label}");
        found[0]
    }

    /// The labels of what a search finds, in order of the alphabet, but for objects that another test deletes meanwhile.
    #[track_caller]
    pub fn labels(&self, template: &[Pair]) -> Vec<String> {
        let found = self.find(template).expect("a search").into_iter();
        let label = |object| match self.attribute(object, CKA_LABEL) {
            Err(Code(CKR_OBJECT_HANDLE_INVALID)) => None,
            label => Some(String::from_utf8(label.expect("every object has a label")).expect("UTF-8")),
        };
        let mut labels: Vec<_> = found.filter_map(label).collect();
        labels.sort();
        labels
    }

    /// One attribute: its length is asked for, then its value.
    pub fn attribute(&self, object: CK_OBJECT_HANDLE, kind: CK_ATTRIBUTE_TYPE) -> Called<Vec<u8>> {
        let (rv, values) = self.attributes(object, &[(kind, Room::Query)]);
        called(rv)?;
        let length = values[0].0.expect("a length is told with CKR_OK");
        let (rv, mut values) = self.attributes(object, &[(kind, Room::Bytes(length))]);
        called(rv)?;
        assert_eq!(values[0].0, Some(length), "attribute {kind:#x} keeps its length");
        Ok(values.remove(0).1)
    }

    /// One attribute of type `CK_ULONG`.
    pub fn ulong(&self, object: CK_OBJECT_HANDLE, kind: CK_ATTRIBUTE_TYPE) -> Called<CK_ULONG> {
        let value = self.attribute(object, kind)?;
        Ok(CK_ULONG::from_ne_bytes(value.try_into().expect("as long as a CK_ULONG")))
    }

    /// One attribute of type `CK_BBOOL`.
    pub fn flag(&self, object: CK_OBJECT_HANDLE, kind: CK_ATTRIBUTE_TYPE) -> Called<bool> {
        match self.attribute(object, kind)?.as_slice() {
            [0] => Ok(false),
            [1] => Ok(true),
            other => panic!("attribute {kind:#x} is no CK_BBOOL but {other:?}"),
        }
    }

    /// One call of `C_GetAttributeValue`: its code, and what was told of each attribute.
    pub fn attributes(
        &self,
        object: CK_OBJECT_HANDLE,
        wanted: &[(CK_ATTRIBUTE_TYPE, Room)],
    ) -> (CK_RV, Vec<Told>) {
        let mut buffers: Vec<Vec<u8>> = wanted
            .iter()
            .map(|(_, room)| if let Room::Bytes(have) = room { vec![0; *have] } else { Vec::new() })
            .map(|buffer| [buffer, GUARD.to_vec()].concat())
            .collect();
        let pairs = wanted.iter().zip(&mut buffers);
        let mut template: Vec<_> = pairs
            .map(|((kind, room), buffer)| CK_ATTRIBUTE {
                type_: *kind,
                pValue: match room {
                    Room::Query => ptr::null_mut(),
                    Room::Bytes(_) => buffer.as_mut_ptr().cast(),
                },
                ulValueLen: ulong(buffer.len() - GUARD.len()),
            })
            .collect();
        let count = ulong(template.len());
        let rv = call!(self.p11, C_GetAttributeValue(self.handle, object, template.as_mut_ptr(), count));
        let values = template.iter().zip(buffers).map(|(attribute, mut buffer)| {
            let have = buffer.len() - GUARD.len();
            assert_eq!(buffer[have..], GUARD, "bytes beyond the buffer were written");
            let told = attribute.ulValueLen;
            let length = (told != CK_ULONG::MAX).then(|| usize::try_from(told).expect("a length"));
            buffer.truncate(have.min(length.unwrap_or(0)));
            (length, buffer)
        });
        (rv, values.collect())
    }

    /// `C_GetObjectSize`
    pub fn object_size(&self, object: CK_OBJECT_HANDLE) -> Called<CK_ULONG> {
        let mut size = 0;
        called(call!(self.p11, C_GetObjectSize(self.handle, object, &raw mut size)))?;
        Ok(size)
    }

    /// `C_CreateObject`
    pub fn create(&self, template: &[Pair]) -> Called<CK_OBJECT_HANDLE> {
        let mut object = 0;
        lend_template(template, |attributes, count| {
            called(call!(self.p11, C_CreateObject(self.handle, attributes, count, &raw mut object)))
        })?;
        Ok(object)
    }

    /// `C_CopyObject`
    pub fn copy(&self, object: CK_OBJECT_HANDLE, template: &[Pair]) -> Called<CK_OBJECT_HANDLE> {
        let mut copy = 0;
        lend_template(template, |attributes, count| {
            called(call!(self.p11, C_CopyObject(self.handle, object, attributes, count, &raw mut copy)))
        })?;
        Ok(copy)
    }

    /// `C_SetAttributeValue`
    pub fn set(&self, object: CK_OBJECT_HANDLE, template: &[Pair]) -> Called {
        lend_template(template, |attributes, count| {
            called(call!(self.p11, C_SetAttributeValue(self.handle, object, attributes, count)))
        })
    }

    /// `C_DestroyObject`
    pub fn destroy(&self, object: CK_OBJECT_HANDLE) -> Called {
        called(call!(self.p11, C_DestroyObject(self.handle, object)))
    }
}

/// Lends a template of C for one call.
pub fn lend_template<R>(template: &[Pair], call: impl FnOnce(*mut CK_ATTRIBUTE, CK_ULONG) -> R) -> R {
    let mut attributes: Vec<_> = template
        .iter()
        .map(|(kind, value)| CK_ATTRIBUTE {
            type_: *kind,
            pValue: value.as_ptr().cast_mut().cast(),
            ulValueLen: ulong(value.len()),
        })
        .collect();
    call(attributes.as_mut_ptr(), ulong(template.len()))
}
