//! The caller's memory as fuzzers arrange it: always valid by the standard's duties, never sensible.

use std::ptr;

use cryptoki_sys::{
    CK_AES_CTR_PARAMS, CK_ATTRIBUTE, CK_ATTRIBUTE_TYPE, CK_BYTE, CK_EDDSA_PARAMS, CK_GCM_PARAMS,
    CK_MECHANISM, CK_RSA_PKCS_OAEP_PARAMS, CK_RSA_PKCS_PSS_PARAMS, CK_ULONG, CK_UNAVAILABLE_INFORMATION,
    CKA_CLASS, CKA_LABEL, CKA_TOKEN, CKO_CERTIFICATE, CKO_DATA, CKO_PUBLIC_KEY, CKR_ARGUMENTS_BAD,
    CKR_ATTRIBUTE_VALUE_INVALID, CKR_BUFFER_TOO_SMALL, CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID,
    CKR_TEMPLATE_INCONSISTENT, CKZ_DATA_SPECIFIED,
};

use super::arg::{self, Told};
use super::codes;
use super::table::Function;
use crate::config::EdwardsPoint;
use crate::model::mechanism::{Chosen, Parameter, ParameterKind, TABLE};
use crate::model::session_object;

/// Mechanisms and templates arrive as the caller gave them, or are refused with a code that the standard has for it.
///
/// # Panics
/// Where that is not so.
pub fn arguments(data: &[u8]) {
    let mut tape = Tape(data);
    if tape.byte() & 1 == 0 { mechanism(&mut tape) } else { template(&mut tape) }
}

/// The fuzzer's bytes as decisions; zeros behind the end.
struct Tape<'a>(&'a [u8]);

impl<'a> Tape<'a> {
    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Small ones, the word of so many bytes, or one that no memory has.
    fn number(&mut self) -> CK_ULONG {
        match self.byte() {
            255 => CK_ULONG::MAX,
            254 => CK_ULONG::MAX / 2 + 1,
            253 => {
                let mut word = [0; size_of::<CK_ULONG>()];
                word.iter_mut().zip(self.bytes(8)).for_each(|(to, from)| *to = *from);
                CK_ULONG::from_ne_bytes(word)
            }
            small => small.into(),
        }
    }

    /// A piece of memory with the length that goes with it: there, NULL, or of a length that is refused unseen.
    fn piece(&mut self) -> Piece {
        let shape = self.byte();
        let length = usize::from(self.byte());
        let bytes = self.bytes(length).to_vec();
        match shape {
            0..=7 => Piece { bytes, null: true, length: self.number() },
            8..=11 => Piece { bytes, null: false, length: CK_ULONG::MAX - CK_ULONG::from(shape) },
            _ => Piece { length: bytes.len() as CK_ULONG, bytes, null: false },
        }
    }
}

struct Piece {
    bytes: Vec<u8>,
    null: bool,
    length: CK_ULONG,
}

impl Piece {
    fn pointer(&mut self) -> *mut CK_BYTE {
        if self.null { ptr::null_mut() } else { self.bytes.as_mut_ptr() }
    }

    /// What the module should see; `None`: nothing that it could.
    fn seen(&self) -> Option<&[u8]> {
        match self.length {
            0 => Some(&[]),
            _ if self.null || self.length > isize::MAX as CK_ULONG => None,
            _ => Some(&self.bytes),
        }
    }
}

/// The bytes of a structure of C.
fn raw<T: Copy>(value: &T) -> &[u8] {
    // SAFETY: any structure of the standard may be read as bytes; on the supported platforms they have no padding but
    // where `write` put zeros, since all fields are words or bytes and the values were made in place.
    unsafe { std::slice::from_raw_parts(ptr::from_ref(value).cast(), size_of::<T>()) }
}

fn mechanism(tape: &mut Tape<'_>) {
    let at = usize::from(tape.byte());
    let row = TABLE.get(at % (TABLE.len() + 8));
    let kind = row.map_or_else(|| tape.number(), |row| row.kind);
    let form = row.map_or(ParameterKind::None, |row| row.parameter);
    let (mut first, mut second) = (tape.piece(), tape.piece());
    let numbers = [tape.number(), tape.number(), tape.number()];
    let structure = structure(form, numbers, &mut first, &mut second);
    let word = size_of::<CK_ULONG>();
    let (expected, bytes) = match tape.byte() {
        // Cut off, or with more behind it.
        cut @ 0..=15 => (None, [&structure[..structure.len().min(cut.into())], tape.bytes(8)].concat()),
        16..=23 => (None, Vec::new()),
        // GCM as 2.40 had it before its errata, without the third word.
        24..=63 if form == ParameterKind::Gcm => {
            (Some(()), [&structure[..2 * word], &structure[3 * word..]].concat())
        }
        _ => (Some(()), structure),
    };
    // At an odd address, and as long as it says: a sanitiser sees any read beyond.
    let mut place = Vec::with_capacity(bytes.len() + 1);
    place.push(0);
    place.extend_from_slice(&bytes);
    let given = CK_MECHANISM {
        mechanism: kind,
        pParameter: if bytes.is_empty() { ptr::null_mut() } else { place[1..].as_mut_ptr().cast() },
        ulParameterLen: bytes.len() as CK_ULONG,
    };
    // SAFETY: the parameter is as long as it says. Where it has the size of its structure the pointers in it are NULL,
    // or to as many bytes as go with them, or have a length that no memory has; a structure that was cut and padded
    // keeps no pointer whole that the reader would follow (below 16 bytes of 24 or more).
    let read = unsafe { arg::mechanism(&raw const given) };
    match (read, expected, row) {
        (Ok(Some(chosen)), Some(()), Some(_)) => faithful(&chosen, &first, &second, numbers),
        (Ok(Some(_)), ..) => {}
        (Ok(None), ..) => panic!("a mechanism was given"),
        (Err(error), ..) => {
            assert!([CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID].contains(&error.rv()), "{error}");
        }
    }
}

fn structure(form: ParameterKind, numbers: [CK_ULONG; 3], first: &mut Piece, second: &mut Piece) -> Vec<u8> {
    let [one, two, three] = numbers;
    let mut block = [0; 16];
    block.iter_mut().zip(&first.bytes).for_each(|(to, from)| *to = *from);
    match form {
        ParameterKind::None => Vec::new(),
        ParameterKind::Iv => block.to_vec(),
        ParameterKind::Pss => raw(&CK_RSA_PKCS_PSS_PARAMS { hashAlg: one, mgf: two, sLen: three }).to_vec(),
        ParameterKind::Oaep => {
            let source = if three < 8 { three } else { CKZ_DATA_SPECIFIED };
            raw(&CK_RSA_PKCS_OAEP_PARAMS {
                hashAlg: one,
                mgf: two,
                source,
                pSourceData: first.pointer().cast(),
                ulSourceDataLen: first.length,
            })
            .to_vec()
        }
        ParameterKind::Ctr => raw(&CK_AES_CTR_PARAMS { ulCounterBits: one, cb: block }).to_vec(),
        ParameterKind::Gcm => raw(&CK_GCM_PARAMS {
            pIv: first.pointer(),
            ulIvLen: first.length,
            ulIvBits: one,
            pAAD: second.pointer(),
            ulAADLen: second.length,
            ulTagBits: two,
        })
        .to_vec(),
        ParameterKind::EdDsa => {
            // Written into zeros: there is padding behind the flag.
            let mut place = std::mem::MaybeUninit::<CK_EDDSA_PARAMS>::zeroed();
            // SAFETY: zeros are a valid value: NULL, 0 and false.
            let params = unsafe { place.assume_init_mut() };
            params.phFlag = u8::from(one & 1 == 1);
            params.ulContextDataLen = first.length;
            params.pContextData = first.pointer();
            raw(params).to_vec()
        }
    }
}

/// What was read is what was given.
fn faithful(chosen: &Chosen, first: &Piece, second: &Piece, [one, two, three]: [CK_ULONG; 3]) {
    let shown = format!("{chosen:?}");
    assert!(shown.len() < 400, "no data in it: {shown}");
    match &chosen.parameter {
        Parameter::None => {}
        Parameter::Pss { hash, mgf, salt_len } => assert_eq!((*hash, *mgf, *salt_len), (one, two, three)),
        Parameter::Oaep { hash, mgf, label } => {
            assert_eq!((*hash, *mgf, Some(label.as_slice())), (one, two, first.seen()));
        }
        Parameter::Iv(block) => assert!(block.starts_with(&first.bytes[..first.bytes.len().min(16)])),
        Parameter::Ctr { bits, block } => {
            assert!(*bits == one && block.starts_with(&first.bytes[..first.bytes.len().min(16)]));
        }
        Parameter::Gcm { iv, aad, tag_bits } => {
            assert_eq!((Some(iv.as_slice()), Some(aad.as_slice())), (first.seen(), second.seen()));
            assert_eq!(*tag_bits, two);
        }
        Parameter::EdDsa { prehash, context } => {
            assert_eq!((*prehash, Some(context.as_slice())), (one & 1 == 1, first.seen()));
        }
    }
}

/// Attribute types that objects have; others come as the fuzzer likes.
const KNOWN: [CK_ATTRIBUTE_TYPE; 24] = [
    0x000, 0x001, 0x002, 0x003, 0x010, 0x011, 0x012, 0x080, 0x081, 0x082, 0x100, 0x101, 0x102, 0x104, 0x10a,
    0x120, 0x121, 0x122, 0x129, 0x170, 0x171, 0x180, 0x181, 0x86,
];

fn template(tape: &mut Tape<'_>) {
    let count = usize::from(tape.byte() % 12);
    let mut given: Vec<(CK_ATTRIBUTE_TYPE, Piece)> = (0..count).map(|_| attribute(tape)).collect();
    let mut attributes: Vec<CK_ATTRIBUTE> = given
        .iter_mut()
        .map(|(kind, piece)| CK_ATTRIBUTE {
            type_: *kind,
            pValue: piece.pointer().cast(),
            ulValueLen: piece.length,
        })
        .collect();
    // SAFETY: each value is NULL, as long as it says, or of a length that no memory has.
    let read = unsafe { arg::template(attributes.as_ptr(), count as CK_ULONG) };
    let template = match read {
        Ok(template) => template,
        Err(error) => {
            assert_eq!(error.rv(), CKR_ATTRIBUTE_VALUE_INVALID);
            return assert!(given.iter().any(|(_, piece)| piece.seen().is_none()));
        }
    };
    let seen: Vec<_> = given.iter().map(|(kind, piece)| (*kind, piece.seen().unwrap_or_default())).collect();
    assert_eq!(template.iter().collect::<Vec<_>>(), seen);
    let clash = seen.iter().any(|(kind, value)| template.get(*kind) != Some(value));
    let consistent = template.check_consistent().map_err(|error| error.rv());
    assert_eq!(consistent, if clash { Err(CKR_TEMPLATE_INCONSISTENT) } else { Ok(()) });
    // The session refuses objects of the token before.
    let token_object = template.bool(CKA_TOKEN).is_ok_and(|token| token == Some(true));
    match session_object::create(&template, "u".to_owned(), EdwardsPoint::default()) {
        Ok(object) if !clash && !token_object && object.class() == CKO_DATA => {
            assert!(template.matches(&object.attributes));
        }
        Ok(_) => {}
        Err(error) => assert!(codes::is_allowed(Function::C_CreateObject, error.rv()), "{error}"),
    }
    filled(&mut attributes, tape);
}

fn attribute(tape: &mut Tape<'_>) -> (CK_ATTRIBUTE_TYPE, Piece) {
    let choice = usize::from(tape.byte());
    let kind = KNOWN.get(choice % 32).copied().unwrap_or_else(|| tape.number());
    if kind == CKA_CLASS && tape.byte() & 3 != 0 {
        let class = [CKO_DATA, CKO_CERTIFICATE, CKO_PUBLIC_KEY, 99][usize::from(tape.byte() & 3)];
        let bytes = class.to_ne_bytes().to_vec();
        return (kind, Piece { length: bytes.len() as CK_ULONG, bytes, null: false });
    }
    let words = tape.byte();
    let mut piece = tape.piece();
    if words & 1 == 1 && !piece.null && piece.seen().is_some() {
        // As long as the words that many attributes are.
        piece.bytes.resize(if words & 2 == 0 { 1 } else { size_of::<CK_ULONG>() }, 0);
        piece.length = piece.bytes.len() as CK_ULONG;
    }
    (kind, piece)
}

/// `C_GetAttributeValue` into buffers of any size writes to no byte beyond.
fn filled(attributes: &mut [CK_ATTRIBUTE], tape: &mut Tape<'_>) {
    const GUARD: u8 = 0xa5;
    let value = tape.bytes(40);
    let room = usize::from(tape.byte() % 48);
    let mut buffers: Vec<Vec<u8>> = attributes.iter().map(|_| vec![GUARD; room + 8]).collect();
    for (attribute, buffer) in attributes.iter_mut().zip(&mut buffers) {
        attribute.pValue = buffer.as_mut_ptr().cast();
        attribute.ulValueLen = room as CK_ULONG;
    }
    let tell = |kind| {
        if kind == CKA_LABEL {
            Told::Nothing(crate::error::Error::arguments("not this one"))
        } else {
            Told::Value(value)
        }
    };
    let count = attributes.len() as CK_ULONG;
    // SAFETY: each value has room for what its length says.
    let result = unsafe { arg::fill(attributes.as_mut_ptr(), count, tell) };
    if let Err(error) = &result {
        assert!([CKR_ARGUMENTS_BAD, CKR_BUFFER_TOO_SMALL].contains(&error.rv()));
    }
    for (attribute, buffer) in attributes.iter().zip(&buffers) {
        let fits = value.len() <= room && attribute.type_ != CKA_LABEL;
        let written = if fits { value.len() } else { 0 };
        let told = if fits { value.len() as CK_ULONG } else { CK_UNAVAILABLE_INFORMATION };
        assert_eq!(attribute.ulValueLen, told);
        assert!(buffer.starts_with(&value[..written]));
        assert!(buffer[written..].iter().all(|byte| *byte == GUARD), "bytes beyond the value were written");
        assert!(result.is_err() || fits);
    }
}
