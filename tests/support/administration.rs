//! Calls that make, change or move what is in a token: none of the vendors' APIs has all of them.

use std::ptr;

use cryptoki_sys::{CK_FLAGS, CK_MECHANISM_TYPE, CK_OBJECT_HANDLE, CK_SLOT_ID};

use super::mechanism::Mechanism;
use super::p11::{Called, P11, call, called, ulong};
use super::secrets;
use super::session::{Pair, Session, lend_template};

fn bytes(text: &[u8]) -> *mut u8 {
    text.as_ptr().cast_mut()
}

impl P11 {
    /// `C_InitToken`
    pub fn init_token(&self, slot: CK_SLOT_ID, pin: &str) -> Called {
        let label = [b' '; 32];
        called(call!(self, C_InitToken(slot, bytes(pin.as_bytes()), ulong(pin.len()), bytes(&label))))
    }

    /// `C_WaitForSlotEvent`
    pub fn wait_for_slot_event(&self, flags: CK_FLAGS) -> Called {
        let mut slot = 0;
        called(call!(self, C_WaitForSlotEvent(flags, &raw mut slot, ptr::null_mut())))
    }
}

impl Session {
    /// `C_SetPIN`
    pub fn set_pin(&self, old: &str, new: &str) -> Called {
        secrets::register("PIN", new.as_bytes());
        let (before, length) = (bytes(old.as_bytes()), ulong(old.len()));
        let after = bytes(new.as_bytes());
        called(call!(self.p11(), C_SetPIN(self.handle(), before, length, after, ulong(new.len()))))
    }

    /// `C_InitPIN`
    pub fn init_pin(&self, pin: &str) -> Called {
        called(call!(self.p11(), C_InitPIN(self.handle(), bytes(pin.as_bytes()), ulong(pin.len()))))
    }

    /// `C_GenerateKey`
    pub fn generate_key(&self, kind: CK_MECHANISM_TYPE, template: &[Pair]) -> Called<CK_OBJECT_HANDLE> {
        let mut key = 0;
        lend_template(template, |attributes, count| {
            Mechanism::Plain(kind).lend(|mechanism| {
                called(call!(
                    self.p11(),
                    C_GenerateKey(self.handle(), mechanism, attributes, count, &raw mut key)
                ))
            })
        })?;
        Ok(key)
    }

    /// `C_GenerateKeyPair`: the handles of the public and of the private key.
    pub fn generate_pair(
        &self,
        kind: CK_MECHANISM_TYPE,
        public: &[Pair],
        private: &[Pair],
    ) -> Called<(CK_OBJECT_HANDLE, CK_OBJECT_HANDLE)> {
        let (mut of_public, mut of_private) = (0, 0);
        lend_template(public, |public, public_count| {
            lend_template(private, |private, private_count| {
                Mechanism::Plain(kind).lend(|mechanism| {
                    called(call!(
                        self.p11(),
                        C_GenerateKeyPair(
                            self.handle(),
                            mechanism,
                            public,
                            public_count,
                            private,
                            private_count,
                            &raw mut of_public,
                            &raw mut of_private,
                        )
                    ))
                })
            })
        })?;
        Ok((of_public, of_private))
    }

    /// `C_WrapKey`
    pub fn wrap(&self, kind: CK_MECHANISM_TYPE, with: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE) -> Called {
        let mut length = 0;
        Mechanism::Plain(kind).lend(|mechanism| {
            let place = ptr::null_mut();
            called(call!(self.p11(), C_WrapKey(self.handle(), mechanism, with, key, place, &raw mut length)))
        })
    }

    /// `C_UnwrapKey` with an empty template.
    pub fn unwrap_key(&self, kind: CK_MECHANISM_TYPE, with: CK_OBJECT_HANDLE, wrapped: &[u8]) -> Called {
        let mut key = 0;
        Mechanism::Plain(kind).lend(|mechanism| {
            let (from, length) = (bytes(wrapped), ulong(wrapped.len()));
            let template = ptr::null_mut();
            called(call!(
                self.p11(),
                C_UnwrapKey(self.handle(), mechanism, with, from, length, template, 0, &raw mut key)
            ))
        })
    }

    /// `C_DeriveKey` with an empty template.
    pub fn derive(&self, kind: CK_MECHANISM_TYPE, from: CK_OBJECT_HANDLE) -> Called {
        let mut key = 0;
        Mechanism::Plain(kind).lend(|mechanism| {
            called(call!(
                self.p11(),
                C_DeriveKey(self.handle(), mechanism, from, ptr::null_mut(), 0, &raw mut key)
            ))
        })
    }
}
