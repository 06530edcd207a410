//! `[generate]`: which new key is which request.

use super::algorithms::{HASHES, MECHANISM, algorithms, call, mechanism};
use super::answer::Found;
use super::description::Context;
use super::flags::Flag;
use super::reader::{Node, Read, Section};
use super::request::{self, Call, Usual};
use super::template::Source;
use crate::backend::types::{KeySpec, NewKey};
use crate::crypto::curve::Curve;
use crate::crypto::digest::Hash;

/// What is known of a new key before it is there.
const NEW: [Source; 14] = [
    Source::Label,
    Source::Id,
    Source::Curve,
    Source::Bits,
    Source::Bytes,
    Source::Asked(Flag::Sign),
    Source::Asked(Flag::Decrypt),
    Source::Asked(Flag::Unwrap),
    Source::Asked(Flag::Derive),
    Source::Asked(Flag::Sensitive),
    Source::Asked(Flag::Extractable),
    Source::Asked(Flag::Modifiable),
    Source::Asked(Flag::Copyable),
    Source::Asked(Flag::Destroyable),
];

/// What a row may be bound to: what asks for more takes a row that allows more.
const ALLOWED: [(&str, Flag); 5] = [
    ("sign", Flag::Sign),
    ("decrypt", Flag::Decrypt),
    ("unwrap", Flag::Unwrap),
    ("derive", Flag::Derive),
    ("extractable", Flag::Extractable),
];

/// `[generate]`
pub(super) struct Generate {
    rows: Vec<Row>,
    /// Where the name of the key stands; `None`: it is the label.
    pub(super) key: Option<Found>,
    /// Whether the service is first asked for a key of that name.
    pub(super) check: bool,
    /// What is asked for once the key is there.
    pub(super) then: Option<Call>,
}

/// One kind of keys.
struct Row {
    makes: Makes,
    /// `None`: anything.
    allows: Option<Vec<Flag>>,
    call: Call,
}

/// What a row makes, in these sizes.
enum Makes {
    Rsa(Vec<usize>),
    Ec(Vec<Curve>),
    Ed25519,
    Aes(Vec<usize>),
    Hmac(Hash, Vec<usize>),
}

/// A mechanism that makes keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mechanism {
    Rsa,
    Ec,
    Ed25519,
    Aes,
    Secret,
}

impl Mechanism {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "CKM_RSA_PKCS_KEY_PAIR_GEN" => Self::Rsa,
            "CKM_EC_KEY_PAIR_GEN" => Self::Ec,
            "CKM_EC_EDWARDS_KEY_PAIR_GEN" => Self::Ed25519,
            "CKM_AES_KEY_GEN" => Self::Aes,
            "CKM_GENERIC_SECRET_KEY_GEN" => Self::Secret,
            _ => return None,
        })
    }

    /// The keys of its rows that others do not have.
    fn own(self) -> &'static [&'static str] {
        match self {
            Self::Rsa => &["bits"],
            Self::Ec => &["curve"],
            Self::Ed25519 => &[],
            Self::Aes => &["bytes"],
            Self::Secret => &["hash", "bytes"],
        }
    }
}

impl Generate {
    /// Besides those of each call.
    pub(super) const KEYS: [&str; 4] = ["key", "check", "then", "algorithm"];

    pub(super) fn read(section: &Section<'_>, context: &Context<'_>) -> Read<Self> {
        const KNOWN: [&str; 7] = ["mechanism", "bits", "curve", "bytes", "hash", "allows", "with"];
        let mut rows = Vec::new();
        for row in algorithms(section, &KNOWN)? {
            rows.push(Row {
                makes: makes(&row)?,
                allows: row.read("allows", allows)?,
                call: call(section, context, &row, &NEW, None, Usual::MAKING)?,
            });
        }
        let then = |node: &Node<'_>| {
            let sources = [&NEW[..], &[Source::Key]].concat();
            context.call(&node.section(&request::KEYS)?, &sources, Usual::MAKING)
        };
        Ok(Self {
            rows,
            key: section.read("key", Found::text)?,
            check: section.read("check", Node::boolean)?.unwrap_or(false),
            then: section.read("then", then)?,
        })
    }

    /// Whether there is a row for such keys.
    pub(super) fn makes(&self, spec: &KeySpec) -> bool {
        self.rows.iter().any(|row| row.makes.fits(spec))
    }

    /// The call that makes this key: of the first row that allows all that is asked for.
    pub(super) fn find(&self, new: &NewKey<'_>) -> Option<&Call> {
        let asked = |flag: &Flag| flag.of(&new.usage, &new.protection);
        let suffices = |row: &&Row| match &row.allows {
            None => true,
            Some(allowed) => ALLOWED.iter().all(|(_, flag)| !asked(flag) || allowed.contains(flag)),
        };
        self.rows.iter().filter(|row| row.makes.fits(&new.spec)).find(suffices).map(|row| &row.call)
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.rows.iter().map(|row| &row.call).chain(&self.then)
    }
}

impl Makes {
    fn fits(&self, spec: &KeySpec) -> bool {
        match (self, spec) {
            (Self::Rsa(sizes), KeySpec::Rsa { bits }) => sizes.contains(bits),
            (Self::Ec(curves), KeySpec::Ec(curve)) => curves.contains(curve),
            (Self::Ed25519, KeySpec::Ed25519) => true,
            (Self::Aes(sizes), KeySpec::Aes { bytes }) => sizes.contains(bytes),
            (Self::Hmac(hash, sizes), KeySpec::Hmac { hash: asked, bytes }) => {
                hash == asked && bytes.is_none_or(|bytes| sizes.contains(&bytes))
            }
            _ => false,
        }
    }
}

fn makes(row: &Section<'_>) -> Read<Makes> {
    let made = row.need("mechanism", MECHANISM, |node| mechanism(node, "generate", Mechanism::parse))?;
    let mut alien = ["bits", "curve", "bytes", "hash"].into_iter().filter(|name| !made.own().contains(name));
    if let Some(node) = alien.find_map(|name| row.get(name)) {
        return Err(node.fault("is not for this mechanism", "take it out"));
    }
    Ok(match made {
        Mechanism::Rsa => Makes::Rsa(row.need("bits", "write bits = [2048, 3072]", moduli)?),
        Mechanism::Ec => Makes::Ec(row.need("curve", "write curve = \"secp256r1\"", curves)?),
        Mechanism::Ed25519 => Makes::Ed25519,
        Mechanism::Aes => Makes::Aes(row.need("bytes", "write bytes = [16, 24, 32]", aes_lengths)?),
        Mechanism::Secret => {
            let hash = row.need("hash", "write hash = \"sha256\"", |node| node.word(&HASHES))?;
            Makes::Hmac(hash, row.read("bytes", lengths)?.unwrap_or_default())
        }
    })
}

/// One value, or a list of them.
fn each<T>(node: &Node<'_>, read: impl Fn(&Node<'_>) -> Read<T>) -> Read<Vec<T>> {
    node.elements().iter().map(read).collect()
}

fn moduli(node: &Node<'_>) -> Read<Vec<usize>> {
    each(node, |node| node.count(1024, 16384))
}

fn curves(node: &Node<'_>) -> Read<Vec<Curve>> {
    let names = Curve::ALL.map(|curve| (curve.name(), curve));
    each(node, |node| node.word(&names))
}

fn aes_lengths(node: &Node<'_>) -> Read<Vec<usize>> {
    each(node, |node| match node.count(16, 32)? {
        bytes @ (16 | 24 | 32) => Ok(bytes),
        other => Err(node.fault(format!("is {other}"), "write 16, 24 or 32")),
    })
}

fn lengths(node: &Node<'_>) -> Read<Vec<usize>> {
    each(node, |node| node.count(1, 1024))
}

fn allows(node: &Node<'_>) -> Read<Vec<Flag>> {
    each(node, |node| node.word(&ALLOWED))
}
