//! Where in an answer something stands (RFC 6901).

use serde_json::Value;

/// The token that stands for the last element of a list, or for the member whose name is the greatest number.
const LAST: &str = "@last";

/// A JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer(Vec<Token>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Name(String),
    Last,
}

impl Pointer {
    /// The whole document.
    pub(super) const WHOLE: Self = Self(Vec::new());

    /// `None` for a text that is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self(Vec::new()));
        }
        text.strip_prefix('/')?.split('/').map(token).collect::<Option<_>>().map(Self)
    }

    /// What stands there.
    pub(super) fn find<'v>(&self, tree: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(tree, |tree, token| match (token, tree) {
            (Token::Last, Value::Array(items)) => items.last(),
            (Token::Last, Value::Object(members)) => {
                let numbered = members.iter().filter_map(|(name, value)| Some((decimal(name)?, value)));
                numbered.max_by_key(|(number, _)| *number).map(|(_, value)| value)
            }
            (Token::Name(name), Value::Object(members)) => members.get(name),
            (Token::Name(name), Value::Array(items)) => items.get(usize::try_from(decimal(name)?).ok()?),
            _ => None,
        })
    }
}

fn token(text: &str) -> Option<Token> {
    if text == LAST {
        return Some(Token::Last);
    }
    let mut name = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (char, char == '~') {
            (_, true) => name.push(match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            }),
            (char, false) => name.push(char),
        }
    }
    Some(Token::Name(name))
}

/// A number as RFC 6901 has an index: digits, without a zero in front.
fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The document and most of the rows of RFC 6901 section 5.
    #[test]
    fn the_examples_of_the_rfc() {
        let tree = json!({
            "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6,
            " ": 7, "m~n": 8
        });
        for (pointer, expected) in [
            ("", tree.clone()),
            ("/foo", json!(["bar", "baz"])),
            ("/foo/0", json!("bar")),
            ("/", json!(0)),
            ("/a~1b", json!(1)),
            ("/c%d", json!(2)),
            ("/g|h", json!(4)),
            ("/k\"l", json!(6)),
            ("/ ", json!(7)),
            ("/m~0n", json!(8)),
        ] {
            assert_eq!(Pointer::parse(pointer).unwrap().find(&tree), Some(&expected), "{pointer}");
        }
        for absent in ["/foo/2", "/foo/00", "/foo/01", "/foo/-", "/x", "/foo/0/x"] {
            assert_eq!(Pointer::parse(absent).unwrap().find(&tree), None, "{absent}");
        }
        for wrong in ["foo", "/a~", "/a~2b"] {
            assert_eq!(Pointer::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_last_of_a_list_and_the_greatest_number_of_an_object() {
        let last = Pointer::parse("/@last/k").unwrap();
        assert_eq!(last.find(&json!([{"k": 1}, {"k": 2}])), Some(&json!(2)));
        let versions = json!({"9": {"k": 9}, "10": {"k": 10}, "x": {"k": 0}, "011": {"k": 11}});
        assert_eq!(last.find(&versions), Some(&json!(10)));
        assert_eq!(last.find(&json!([])), None);
        assert_eq!(last.find(&json!({"x": {"k": 1}})), None);
        assert_eq!(last.find(&json!("text")), None);
    }
}
