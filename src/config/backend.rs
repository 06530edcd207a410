//! The dialects.

use super::{CipherTrust, Declared, Fast, Luna};

/// The dialect that a slot speaks, with what only that dialect is told.
#[derive(Debug)]
pub enum Backend {
    /// Securosys TSB.
    Securosys,
    /// FAST HSM.
    Fast(Fast),
    /// Thales Luna Network HSM.
    Luna(Luna),
    /// Thales CipherTrust Manager.
    CipherTrust(CipherTrust),
    /// A service that the configuration describes.
    Declared(Declared),
}

/// The dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BackendKind {
    Securosys,
    Fast,
    Luna,
    CipherTrust,
    Declared,
}

impl BackendKind {
    /// Each with its name in the configuration.
    pub(super) const ALL: [(&'static str, Self); 5] = [
        ("securosys", Self::Securosys),
        ("fast", Self::Fast),
        ("luna", Self::Luna),
        ("ciphertrust", Self::CipherTrust),
        ("declared", Self::Declared),
    ];

    /// Whether the dialect shows `slot.auth.user` and `slot.auth.password` in calls of its own.
    pub(super) fn logs_in_by_itself(self) -> bool {
        match self {
            Self::Fast | Self::Luna | Self::CipherTrust => true,
            Self::Securosys | Self::Declared => false,
        }
    }
}

impl Backend {
    pub(super) fn kind(&self) -> BackendKind {
        match self {
            Self::Securosys => BackendKind::Securosys,
            Self::Fast(_) => BackendKind::Fast,
            Self::Luna(_) => BackendKind::Luna,
            Self::CipherTrust(_) => BackendKind::CipherTrust,
            Self::Declared(_) => BackendKind::Declared,
        }
    }

    /// The name in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Securosys => "securosys",
            Self::Fast(_) => "fast",
            Self::Luna(_) => "luna",
            Self::CipherTrust(_) => "ciphertrust",
            Self::Declared(_) => "declared",
        }
    }
}
