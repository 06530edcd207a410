//! Bytes that are nobody else's business: not shown by `Debug`, and wiped also where their buffer grows.
//!
//! What holds secrets or data of a caller is built of these: a derived `Debug` over plain bytes would print them into
//! whatever message a later change puts it in.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

/// Shows how many bytes there are, and none of them.
pub struct Bytes<'a>(pub &'a [u8]);

impl fmt::Debug for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}

/// A text that may be a credential: somebody else's, or one of its own, which is zeroised when it is dropped.
pub enum Text<'a> {
    /// Somebody else's.
    Lent(&'a str),
    /// Its own.
    Own(Zeroizing<String>),
}

impl Text<'_> {
    /// The parts, one behind the other.
    pub fn of(parts: &[&str]) -> Self {
        // Room for all of them is made at once: nothing grows.
        Self::from(parts.concat())
    }

    /// The texts with `between` between them.
    pub fn joined(texts: &[Self], between: &str) -> Self {
        let texts: Vec<&str> = texts.iter().map(Deref::deref).collect();
        Self::from(texts.join(between))
    }
}

impl Default for Text<'_> {
    fn default() -> Self {
        Self::Lent("")
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self::Lent(text)
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self::Own(text.into())
    }
}

impl<'a> From<Cow<'a, str>> for Text<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Lent(text) => text,
            Self::Own(text) => text,
        }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Bytes(self.as_bytes()).fmt(f)
    }
}

/// Makes room for `more` bytes. A vector that grows on its own leaves a copy of what was in it behind.
pub fn reserve(bytes: &mut Zeroizing<Vec<u8>>, more: usize) {
    let needed = bytes.len().saturating_add(more);
    if needed > bytes.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(needed.saturating_mul(2)));
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }
}

/// Appends, and leaves no copy behind.
pub fn append(bytes: &mut Zeroizing<Vec<u8>>, part: &[u8]) {
    reserve(bytes, part.len());
    bytes.extend_from_slice(part);
}

/// Overwrites the texts of a tree.
pub fn wipe(tree: &mut Value) {
    match tree {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_length_is_shown() {
        assert_eq!(format!("{:?} {:#?}", Bytes(b"secret"), Bytes(&[])), "[6 bytes] [0 bytes]");
        assert_eq!(format!("{:?}", Text::of(&["sec", "ret"])), "[6 bytes]");
    }

    #[test]
    fn texts_are_put_together() {
        let texts = [Text::from("a"), Text::of(&["b", ": ", "c"]), Text::default()];
        assert_eq!(&*Text::joined(&texts, "\n"), "a\nb: c\n");
        assert!(matches!(Text::from(Cow::Borrowed("a")), Text::Lent("a")));
        assert!(matches!(Text::from(Cow::<str>::Owned("a".into())), Text::Own(_)));
    }

    #[test]
    fn what_is_appended_is_there_and_within_its_room_is_never_moved() {
        let mut bytes = Zeroizing::default();
        for part in 0..=255_u8 {
            append(&mut bytes, &[part, part]);
        }
        assert_eq!(bytes.len(), 512);
        assert!(bytes.chunks(2).zip(0..=255_u8).all(|(pair, part)| pair == [part, part]));
        let (place, room) = (bytes.as_ptr(), bytes.capacity() - bytes.len());
        append(&mut bytes, &vec![0; room]);
        assert_eq!(bytes.as_ptr(), place);
    }
}
