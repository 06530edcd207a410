//! What an answer says, and where in it.

use std::cell::OnceCell;
use std::fmt::Write;

use serde_json::Value;

use super::codec::{Held, Kind, Reading, held};
use super::pointer::Pointer;
use super::reader::{Node, Read};
use crate::discreet;
use crate::transport::Response;

/// The pointer that is none: the whole body.
const BODY: &str = "@body";

/// An answer, with the tree of its JSON once somebody looks.
pub(super) struct Answer<'a> {
    pub(super) response: &'a Response,
    tree: OnceCell<Value>,
}

impl<'a> Answer<'a> {
    pub(super) fn new(response: &'a Response) -> Self {
        Self { response, tree: OnceCell::new() }
    }

    /// Null, where it is no JSON.
    pub(super) fn tree(&self) -> &Value {
        self.tree.get_or_init(|| serde_json::from_slice(&self.response.body).unwrap_or_default())
    }

    /// The first text or number that is there.
    pub(super) fn text(&self, pointers: &[Pointer]) -> Option<String> {
        pointers.iter().find_map(|pointer| plain(pointer.find(self.tree())?))
    }
}

/// It may have a plaintext.
impl Drop for Answer<'_> {
    fn drop(&mut self) {
        if let Some(tree) = self.tree.get_mut() {
            discreet::wipe(tree);
        }
    }
}

/// A text, or a number or truth value as one.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// A pointer.
pub(super) fn pointer(node: &Node<'_>) -> Read<Pointer> {
    let text = node.text()?;
    Pointer::parse(text)
        .ok_or_else(|| node.fault(format!("\"{text}\" is not a JSON pointer"), "write \"/member/member\""))
}

/// One pointer, or a list of them.
pub(super) fn pointers(node: &Node<'_>) -> Read<Vec<Pointer>> {
    node.elements().iter().map(pointer).collect()
}

/// A result: the first of its ways that leads somewhere.
pub(super) struct Found(Vec<Way>);

struct Way {
    /// `None`: the whole body.
    place: Option<Pointer>,
    codecs: Vec<Reading>,
}

impl Found {
    /// A result that is bytes.
    pub(super) fn bytes(node: &Node<'_>) -> Read<Self> {
        Self::read(node, Kind::Bytes)
    }

    /// A result that is text.
    pub(super) fn text(node: &Node<'_>) -> Read<Self> {
        Self::read(node, Kind::Text)
    }

    fn read(node: &Node<'_>, wanted: Kind) -> Read<Self> {
        let ways: Vec<_> = node.elements().iter().map(|node| way(node, wanted)).collect::<Read<_>>()?;
        match ways.is_empty() {
            true => {
                Err(node.fault("has no entry", "write a JSON pointer with codecs: \"/signature|base64\""))
            }
            false => Ok(Self(ways)),
        }
    }

    /// `width`: bytes of the order of the curve, if an ECDSA signature is read.
    pub(super) fn find(&self, answer: &Answer<'_>, width: Option<usize>) -> Option<Held> {
        self.0.iter().find_map(|way| {
            let start = match &way.place {
                None => held(&answer.response.body),
                Some(pointer) => match pointer.find(answer.tree())? {
                    Value::String(text) => held(text.as_bytes()),
                    other => plain(other)?.into_bytes().into(),
                },
            };
            way.codecs.iter().try_fold(start, |value, codec| codec.read(value, width))
        })
    }

    /// The same as text.
    pub(super) fn find_text(&self, answer: &Answer<'_>) -> Option<String> {
        self.find(answer, None).and_then(|text| String::from_utf8(text.to_vec()).ok())
    }
}

fn way(node: &Node<'_>, wanted: Kind) -> Read<Way> {
    let text = node.text()?;
    let mut words = words(text).into_iter();
    let place = match words.next() {
        Some(BODY) => None,
        start => {
            let start = start.unwrap_or_default();
            let pointer = Pointer::parse(start);
            Some(pointer.ok_or_else(|| {
                node.fault(
                    format!("\"{text}\" is not a JSON pointer"),
                    "write \"/member\", with codecs behind |",
                )
            })?)
        }
    };
    let mut kind = if place.is_none() { Kind::Bytes } else { Kind::Text };
    let mut codecs = Vec::new();
    for word in words {
        let codec = Reading::parse(word).map_err(|(what, remedy)| node.fault(what, remedy))?;
        kind = codec.makes(kind).ok_or_else(|| {
            let what = format!("{} takes bytes, and there is {}", codec.name(), kind.name());
            node.fault(what, "put base64 or hex in front of it")
        })?;
        codecs.push(codec);
    }
    if wanted == Kind::Bytes && kind != Kind::Bytes {
        let remedy = format!("write \"{text}|base64\" or another codec");
        return Err(node.fault("has no codec that makes bytes", remedy));
    }
    Ok(Way { place, codecs })
}

/// What stands between bars that are in no parentheses.
fn words(text: &str) -> Vec<&str> {
    let mut inside = false;
    let end = |char| {
        match char {
            '(' => inside = true,
            ')' => inside = false,
            _ => {}
        }
        char == '|' && !inside
    };
    text.split(end).collect()
}

/// A text for a log: what would spoil its line is escaped, and it is cut.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for char in text.chars().flat_map(char::escape_debug).take(200) {
        let written = shown.write_char(char);
        debug_assert!(written.is_ok(), "a String takes all that is written");
    }
    shown
}
