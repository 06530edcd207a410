//! Templates: what a caller asks of, or gives to, an object.

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_OBJECT_CLASS, CK_ULONG, CKA_CLASS, CKA_ID, CKA_LABEL, CKR_ATTRIBUTE_VALUE_INVALID,
    CKR_TEMPLATE_INCONSISTENT,
};
use zeroize::Zeroizing;

use super::attribute::Attributes;
use crate::error::{Error, Result};

/// The attributes of a caller's template, owned: the caller's memory is read once. Wiped when dropped.
#[derive(Clone, Default)]
pub struct Template(Vec<(CK_ATTRIBUTE_TYPE, Value)>);

/// The value of an attribute. What a caller gives may be a secret of its own, as in a private data object.
pub type Value = Zeroizing<Vec<u8>>;

impl Template {
    /// A template of these attributes.
    pub fn new(attributes: Vec<(CK_ATTRIBUTE_TYPE, Value)>) -> Self {
        Self(attributes)
    }

    /// Whether an object could be made of it: one that contradicts itself still searches, and finds nothing.
    ///
    /// # Errors
    /// `CKR_TEMPLATE_INCONSISTENT` when a type comes twice with different values (section 4.1.1).
    pub fn check_consistent(&self) -> Result<()> {
        let attributes = &self.0;
        let clash = attributes.iter().enumerate().any(|(at, (kind, value))| {
            attributes[..at].iter().any(|(seen, other)| seen == kind && other != value)
        });
        if clash {
            return Err(Error::new(CKR_TEMPLATE_INCONSISTENT, "the template gives an attribute two values"));
        }
        Ok(())
    }

    /// Whether an object with these attributes matches: each value byte for byte (section 5.7.6).
    pub fn matches(&self, attributes: &Attributes) -> bool {
        self.0.iter().all(|(kind, value)| attributes.get(*kind) == Some(value.as_slice()))
    }

    /// The value of one attribute.
    pub fn get(&self, kind: CK_ATTRIBUTE_TYPE) -> Option<&[u8]> {
        self.0.iter().find(|(seen, _)| *seen == kind).map(|(_, value)| value.as_slice())
    }

    /// The value of one attribute as `CK_ULONG`.
    ///
    /// # Errors
    /// `CKR_ATTRIBUTE_VALUE_INVALID` when the length is another.
    pub fn ulong(&self, kind: CK_ATTRIBUTE_TYPE) -> Result<Option<CK_ULONG>> {
        let Some(value) = self.get(kind) else { return Ok(None) };
        let value = value.try_into().map_err(|_| {
            Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "a CK_ULONG attribute has another length")
        })?;
        Ok(Some(CK_ULONG::from_ne_bytes(value)))
    }

    /// The value of one attribute as `CK_BBOOL`.
    ///
    /// # Errors
    /// `CKR_ATTRIBUTE_VALUE_INVALID` when the length or the value is another.
    pub fn bool(&self, kind: CK_ATTRIBUTE_TYPE) -> Result<Option<bool>> {
        match self.get(kind) {
            None => Ok(None),
            Some([0]) => Ok(Some(false)),
            Some([1]) => Ok(Some(true)),
            Some(_) => {
                Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "a CK_BBOOL attribute is neither 0 nor 1"))
            }
        }
    }

    /// `CKA_CLASS`, if it is there and well-formed.
    pub fn class(&self) -> Option<CK_OBJECT_CLASS> {
        self.ulong(CKA_CLASS).ok().flatten()
    }

    /// `CKA_LABEL`.
    pub fn label(&self) -> Option<&[u8]> {
        self.get(CKA_LABEL)
    }

    /// `CKA_ID`.
    pub fn id(&self) -> Option<&[u8]> {
        self.get(CKA_ID)
    }

    /// All attributes in the caller's order.
    pub fn iter(&self) -> impl Iterator<Item = (CK_ATTRIBUTE_TYPE, &[u8])> {
        self.0.iter().map(|(kind, value)| (*kind, value.as_slice()))
    }
}
