//! Digests, all of them made here.

use cryptoki_sys::CKR_MECHANISM_INVALID;

use super::mechanism::{Action, Chosen};
use super::operation::{Input, Intake, Output, Room, given};
use crate::crypto::digest::Hasher;
use crate::error::{Error, Result};

/// A digest under way.
pub struct Digesting {
    intake: Intake,
}

impl Digesting {
    /// The operation of `C_DigestInit`.
    pub fn new(chosen: &Chosen) -> Result<Self> {
        match chosen.mechanism.action {
            Action::Digest(hash) => Ok(Self { intake: Intake::hash(Hasher::new(hash)) }),
            _ => Err(Error::new(CKR_MECHANISM_INVALID, format!("{} is no digest", chosen.mechanism.name))),
        }
    }

    /// `C_Digest`
    pub fn digest(&mut self, data: Input<'_>, room: Room) -> Result<Output> {
        let data = self.intake.only_part(data)?;
        room.fit(self.intake.output_len(), || {
            self.intake.update(data)?;
            Ok(Output::Bytes(self.intake.finish()))
        })
    }

    /// `C_DigestUpdate`
    pub fn update(&mut self, part: Input<'_>) -> Result<()> {
        self.intake.update(given(part)?)
    }

    /// `C_DigestFinal`
    pub fn finish(&mut self, room: Room) -> Result<Output> {
        room.fit(self.intake.output_len(), || Ok(Output::Bytes(self.intake.finish())))
    }
}
