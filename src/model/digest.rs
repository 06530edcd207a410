//! Digests, all of them made here.

use cryptoki_sys::CKR_MECHANISM_INVALID;

use super::mechanism::{Action, Chosen};
use super::operation::{Input, Output, Room, given, not_initialized};
use crate::crypto::digest::Hasher;
use crate::error::{Error, Result};

/// A digest under way.
pub struct Digesting {
    hasher: Hasher,
    begun: bool,
}

impl Digesting {
    /// The operation of `C_DigestInit`.
    pub fn new(chosen: &Chosen) -> Result<Self> {
        match chosen.mechanism.action {
            Action::Digest(hash) => Ok(Self { hasher: Hasher::new(hash), begun: false }),
            _ => Err(Error::new(CKR_MECHANISM_INVALID, format!("{} is no digest", chosen.mechanism.name))),
        }
    }

    /// `C_Digest`
    pub fn digest(&mut self, data: Input<'_>, room: Room) -> Result<Output> {
        if self.begun {
            return Err(not_initialized());
        }
        let data = given(data)?;
        room.fit(self.hasher.hash().len(), || Ok(Output::bytes(self.hasher.hash().digest(data))))
    }

    /// `C_DigestUpdate`
    pub fn update(&mut self, part: Input<'_>) -> Result<()> {
        self.begun = true;
        self.hasher.update(given(part)?);
        Ok(())
    }

    /// `C_DigestFinal`
    pub fn finish(&mut self, room: Room) -> Result<Output> {
        room.fit(self.hasher.hash().len(), || Ok(Output::bytes(self.hasher.clone().finish())))
    }
}
