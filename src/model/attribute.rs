//! Attribute values in the encoding of the standard (PKCS#11 3.2 section 4), and sets of them.

use std::ops::Range;

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_BBOOL, CK_FALSE, CK_TRUE, CK_ULONG, CKA_ALLOWED_MECHANISMS, CKA_CLASS, CKA_ID,
    CKA_LABEL, CKA_PRIVATE,
};
use zeroize::Zeroizing;

use super::template::Value;

/// A set of attributes, immutable once built: types in ascending order, all values in one allocation, which is wiped
/// when it is dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    index: Box<[(CK_ATTRIBUTE_TYPE, Range<u32>)]>,
    values: Zeroizing<Box<[u8]>>,
}

impl Attributes {
    /// The encoded value, if the set has one. An empty value is a value.
    pub fn get(&self, kind: CK_ATTRIBUTE_TYPE) -> Option<&[u8]> {
        let at = self.index.binary_search_by_key(&kind, |(kind, _)| *kind).ok()?;
        let range = &self.index[at].1;
        self.values.get(range.start as usize..range.end as usize)
    }

    /// Whether the value is `CK_TRUE`; an attribute that is not there is not.
    pub fn is_true(&self, kind: CK_ATTRIBUTE_TYPE) -> bool {
        self.get(kind).is_some_and(|value| value == [CK_TRUE])
    }

    /// The value as a `CK_ULONG`, if it is there and has that length.
    pub fn ulong(&self, kind: CK_ATTRIBUTE_TYPE) -> Option<CK_ULONG> {
        self.get(kind)?.try_into().ok().map(CK_ULONG::from_ne_bytes)
    }

    /// `CKA_CLASS`.
    pub fn class(&self) -> Option<CK_ULONG> {
        self.ulong(CKA_CLASS)
    }

    /// `CKA_LABEL`, empty where there is none.
    pub fn label(&self) -> &[u8] {
        self.get(CKA_LABEL).unwrap_or_default()
    }

    /// `CKA_ID`, empty where there is none.
    pub fn id(&self) -> &[u8] {
        self.get(CKA_ID).unwrap_or_default()
    }

    /// `CKA_PRIVATE`: hidden before login.
    pub fn is_private(&self) -> bool {
        self.is_true(CKA_PRIVATE)
    }

    /// All types and values in ascending order of the types.
    pub fn iter(&self) -> impl Iterator<Item = (CK_ATTRIBUTE_TYPE, &[u8])> {
        self.index.iter().map(|(kind, range)| {
            (*kind, self.values.get(range.start as usize..range.end as usize).unwrap_or_default())
        })
    }

    /// Bytes that the set takes: what `C_GetObjectSize` tells.
    pub fn size(&self) -> usize {
        self.values.len() + self.index.len() * size_of::<CK_ATTRIBUTE_TYPE>()
    }
}

/// Collects attributes; a type that is set twice has the later value.
#[derive(Default)]
pub struct Builder(Vec<(CK_ATTRIBUTE_TYPE, Value)>);

impl Builder {
    /// A set with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The attributes of a set, to be changed.
    pub fn from_set(set: &Attributes) -> Self {
        Self(set.iter().map(|(kind, value)| (kind, value.to_vec().into())).collect())
    }

    /// A value that is encoded already.
    pub fn bytes(&mut self, kind: CK_ATTRIBUTE_TYPE, value: impl Into<Vec<u8>>) -> &mut Self {
        self.0.push((kind, Zeroizing::new(value.into())));
        self
    }

    /// A `CK_BBOOL`.
    pub fn bool(&mut self, kind: CK_ATTRIBUTE_TYPE, value: bool) -> &mut Self {
        let value: CK_BBOOL = if value { CK_TRUE } else { CK_FALSE };
        self.bytes(kind, [value])
    }

    /// A `CK_ULONG` in the byte order of the machine.
    pub fn ulong(&mut self, kind: CK_ATTRIBUTE_TYPE, value: CK_ULONG) -> &mut Self {
        self.bytes(kind, value.to_ne_bytes())
    }

    /// A `CK_DATE` (`YYYYMMDD`), empty where there is none.
    pub fn date(&mut self, kind: CK_ATTRIBUTE_TYPE, date: Option<(u16, u8, u8)>) -> &mut Self {
        let text = date.map(|(year, month, day)| format!("{year:04}{month:02}{day:02}"));
        self.bytes(kind, text.unwrap_or_default())
    }

    /// `CKA_ALLOWED_MECHANISMS`: an array of `CK_MECHANISM_TYPE`.
    pub fn allowed_mechanisms(&mut self, mechanisms: impl Iterator<Item = CK_ULONG>) -> &mut Self {
        let value: Vec<u8> = mechanisms.flat_map(CK_ULONG::to_ne_bytes).collect();
        self.bytes(CKA_ALLOWED_MECHANISMS, value)
    }

    /// Whether a value was set.
    pub fn has(&self, kind: CK_ATTRIBUTE_TYPE) -> bool {
        self.0.iter().any(|(set, _)| *set == kind)
    }

    /// Sets a `CK_BBOOL` where nothing was set before.
    pub fn default_bool(&mut self, kind: CK_ATTRIBUTE_TYPE, value: bool) -> &mut Self {
        if self.has(kind) { self } else { self.bool(kind, value) }
    }

    /// Sets a value where nothing was set before.
    pub fn default_bytes(&mut self, kind: CK_ATTRIBUTE_TYPE, value: impl Into<Vec<u8>>) -> &mut Self {
        if self.has(kind) { self } else { self.bytes(kind, value) }
    }

    /// The set.
    pub fn build(self) -> Attributes {
        let mut pairs = self.0;
        // A stable sort keeps the later of two equal types behind the earlier one.
        pairs.sort_by_key(|(kind, _)| *kind);
        let mut index: Vec<(CK_ATTRIBUTE_TYPE, Range<u32>)> = Vec::with_capacity(pairs.len());
        // Of the length that it will have at most: a vector that grows leaves copies behind.
        let mut values = Vec::with_capacity(pairs.iter().map(|(_, value)| value.len()).sum());
        for (kind, value) in pairs {
            if index.last().is_some_and(|(last, _)| *last == kind) {
                index.pop();
            }
            let start = values.len() as u32;
            values.extend_from_slice(&value);
            index.push((kind, start..values.len() as u32));
        }
        Attributes { index: index.into(), values: Zeroizing::new(values.into()) }
    }
}

#[cfg(test)]
mod tests {
    use cryptoki_sys::{CKA_SIGN, CKA_START_DATE, CKA_VALUE_LEN};

    use super::*;

    #[test]
    fn values_have_the_encoding_of_the_standard() {
        let mut builder = Builder::new();
        builder.ulong(CKA_VALUE_LEN, 32).bool(CKA_SIGN, true).date(CKA_START_DATE, Some((2026, 3, 9)));
        let set = builder.build();
        assert_eq!(set.get(CKA_VALUE_LEN), Some(&32u64.to_ne_bytes()[..]));
        assert_eq!(set.get(CKA_SIGN), Some(&[1][..]));
        assert_eq!(set.get(CKA_START_DATE), Some(&b"20260309"[..]));
        assert_eq!(set.get(CKA_LABEL), None);
    }

    #[test]
    fn the_later_value_wins_and_types_are_in_order() {
        let mut builder = Builder::new();
        builder.bytes(CKA_LABEL, *b"one").ulong(CKA_CLASS, 3).bytes(CKA_LABEL, *b"two");
        let set = builder.build();
        assert_eq!(set.label(), b"two");
        let kinds: Vec<_> = set.iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [CKA_CLASS, CKA_LABEL]);
    }
}
