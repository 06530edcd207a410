//! What is told of a key in yes and no, and asked for a new one.

use crate::backend::types::{KeyInfo, Protection, Usage};

/// An attribute that is true or false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    Sign,
    Decrypt,
    Unwrap,
    Derive,
    Sensitive,
    Extractable,
    NeverExtractable,
    AlwaysSensitive,
    Modifiable,
    Copyable,
    Destroyable,
    Local,
}

impl Flag {
    /// With their names in a description.
    pub(super) const ALL: [(&'static str, Self); 12] = [
        ("sign", Self::Sign),
        ("decrypt", Self::Decrypt),
        ("unwrap", Self::Unwrap),
        ("derive", Self::Derive),
        ("sensitive", Self::Sensitive),
        ("extractable", Self::Extractable),
        ("never_extractable", Self::NeverExtractable),
        ("always_sensitive", Self::AlwaysSensitive),
        ("modifiable", Self::Modifiable),
        ("copyable", Self::Copyable),
        ("destroyable", Self::Destroyable),
        ("local", Self::Local),
    ];

    /// Whether it is asked for.
    pub(super) fn of(self, usage: &Usage, protection: &Protection) -> bool {
        match self {
            Self::Sign => usage.sign,
            Self::Decrypt => usage.decrypt,
            Self::Unwrap => usage.unwrap,
            Self::Derive => usage.derive,
            Self::Sensitive => protection.sensitive,
            Self::Extractable => protection.extractable,
            Self::NeverExtractable => protection.never_extractable,
            Self::AlwaysSensitive => protection.always_sensitive,
            Self::Modifiable => protection.modifiable,
            Self::Copyable => protection.copyable,
            Self::Destroyable => protection.destroyable,
            Self::Local => protection.local,
        }
    }

    /// Notes what the service told.
    pub(super) fn set(self, info: &mut KeyInfo, value: bool) {
        let KeyInfo { usage, protection, .. } = info;
        let flag = match self {
            Self::Sign => &mut usage.sign,
            Self::Decrypt => &mut usage.decrypt,
            Self::Unwrap => &mut usage.unwrap,
            Self::Derive => &mut usage.derive,
            Self::Sensitive => &mut protection.sensitive,
            Self::Extractable => &mut protection.extractable,
            Self::NeverExtractable => &mut protection.never_extractable,
            Self::AlwaysSensitive => &mut protection.always_sensitive,
            Self::Modifiable => &mut protection.modifiable,
            Self::Copyable => &mut protection.copyable,
            Self::Destroyable => &mut protection.destroyable,
            Self::Local => &mut protection.local,
        };
        *flag = value;
    }
}
