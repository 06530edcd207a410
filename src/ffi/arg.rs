//! Every read and write of the caller's memory. Above this file there are only slices, numbers and types of ours.
//!
//! The standard lets callers do without alignment nowhere, but a cast from a byte buffer is a common slip that costs us
//! nothing to bear: reads and writes are unaligned.

use std::ptr;

use cryptoki_sys::{
    CK_AES_CTR_PARAMS, CK_ATTRIBUTE, CK_ATTRIBUTE_TYPE, CK_BYTE, CK_EDDSA_PARAMS, CK_GCM_MESSAGE_PARAMS,
    CK_GCM_PARAMS, CK_MECHANISM, CK_RSA_PKCS_OAEP_PARAMS, CK_RSA_PKCS_PSS_PARAMS, CK_ULONG,
    CK_UNAVAILABLE_INFORMATION, CKG_GENERATE, CKG_GENERATE_RANDOM, CKR_ATTRIBUTE_VALUE_INVALID,
    CKR_BUFFER_TOO_SMALL, CKR_MECHANISM_PARAM_INVALID, CKZ_DATA_SPECIFIED,
};

use crate::error::{Error, Result};
use crate::model::mechanism::{self, Chosen, Parameter, ParameterKind};
use crate::model::operation::{Input, Output, Room};
use crate::model::template::{Template, Value};

/// More attributes than this are a wild length, not a template.
const MOST_ATTRIBUTES: CK_ULONG = 1024;

/// More bytes in one attribute are a wild length, and copying them would end the process for want of memory.
const LONGEST_VALUE: usize = 1 << 20;

/// The same for the parts of a mechanism's parameter and for signatures.
const LONGEST_PART: usize = 64 << 10;

/// `CK_GCM_PARAMS` as 2.40 had it before its errata: without `ulIvBits`.
const OLD_GCM_PARAMS: usize = size_of::<CK_GCM_PARAMS>() - size_of::<CK_ULONG>();

/// The bytes at `pointer`; `None` for NULL with a length, and for a length that no memory has.
///
/// # Safety
/// Unless it is NULL, `pointer` must be valid for reads of `length` bytes until the C function returns (section 5.1).
pub unsafe fn input<'a>(pointer: *const CK_BYTE, length: CK_ULONG) -> Input<'a> {
    let length = usize::try_from(length).ok().filter(|length| *length <= isize::MAX as usize)?;
    if length == 0 {
        return Some(&[]);
    }
    // SAFETY: not NULL, of a length that memory can have, and valid by the caller's duty.
    (!pointer.is_null()).then(|| unsafe { std::slice::from_raw_parts(pointer, length) })
}

/// The bytes at `pointer`, which must be there.
///
/// # Errors
/// `CKR_ARGUMENTS_BAD`
///
/// # Safety
/// As for [`input`].
pub unsafe fn bytes<'a>(pointer: *const CK_BYTE, length: CK_ULONG) -> Result<&'a [u8]> {
    // SAFETY: the same duty.
    unsafe { input(pointer, length) }.ok_or_else(|| Error::arguments("NULL where there should be data"))
}

/// The bytes of a signature.
///
/// # Errors
/// `CKR_ARGUMENTS_BAD` for NULL and for a length that no signature has.
///
/// # Safety
/// As for [`input`].
pub unsafe fn signature<'a>(pointer: *const CK_BYTE, length: CK_ULONG) -> Result<&'a [u8]> {
    // SAFETY: the same duty.
    let signature = unsafe { bytes(pointer, length) }?;
    if signature.len() > LONGEST_PART {
        return Err(Error::arguments("no signature has that length"));
    }
    Ok(signature)
}

/// Reads one value.
///
/// # Errors
/// `CKR_ARGUMENTS_BAD` for NULL.
///
/// # Safety
/// Unless it is NULL, `pointer` must be valid for reads of a `T`.
pub unsafe fn read<T: Copy>(pointer: *const T) -> Result<T> {
    if pointer.is_null() {
        return Err(Error::arguments("NULL where there should be a value"));
    }
    // SAFETY: not NULL, and valid by the caller's duty.
    Ok(unsafe { pointer.read_unaligned() })
}

/// Writes one value.
///
/// # Errors
/// `CKR_ARGUMENTS_BAD` for NULL.
///
/// # Safety
/// Unless it is NULL, `pointer` must be valid for writes of a `T`.
pub unsafe fn write<T>(pointer: *mut T, value: T) -> Result<()> {
    check_place(pointer)?;
    // SAFETY: not NULL, and valid by the caller's duty.
    unsafe { pointer.write_unaligned(value) };
    Ok(())
}

/// # Errors
/// `CKR_ARGUMENTS_BAD` for NULL: before a call does what it could not report.
pub fn check_place<T>(pointer: *mut T) -> Result<()> {
    if pointer.is_null() {
        return Err(Error::arguments("NULL where the result should go"));
    }
    Ok(())
}

/// Copies bytes to the caller; ranges may overlap, since a caller may work in place.
///
/// # Safety
/// `to` must be valid for writes of `from.len()` bytes, or `from` empty.
pub unsafe fn copy_out(from: &[u8], to: *mut CK_BYTE) {
    if !from.is_empty() {
        // SAFETY: the caller of this function checked the length of what the caller of the C function gave.
        unsafe { ptr::copy(from.as_ptr(), to, from.len()) };
    }
}

/// An output buffer with its length, and the rule of the two calls (section 5.2).
pub struct OutBuf {
    data: *mut CK_BYTE,
    length: *mut CK_ULONG,
    room: Room,
}

impl OutBuf {
    /// A view of what the caller gave.
    ///
    /// # Safety
    /// Unless NULL, `length` must be valid for reads and writes, and `data` for writes of `*length` bytes.
    pub unsafe fn new(data: *mut CK_BYTE, length: *mut CK_ULONG) -> Self {
        // SAFETY: the same duty.
        let room = match unsafe { read(length) } {
            Err(_) => Room::Missing,
            Ok(_) if data.is_null() => Room::Query,
            Ok(length) => Room::Bytes(usize::try_from(length).unwrap_or(usize::MAX)),
        };
        Self { data, length, room }
    }

    /// The room that it has.
    pub fn room(&self) -> Room {
        self.room
    }

    /// Hands the result over: the bytes, the length, or with `CKR_BUFFER_TOO_SMALL` the length that is needed.
    pub fn deliver(self, result: Result<Output>) -> Result<()> {
        let told = match &result {
            Ok(Output::Length(length)) => Some(*length as CK_ULONG),
            Ok(Output::Bytes(bytes)) => Some(bytes.len() as CK_ULONG),
            Err(error) => error.needed(),
        };
        if let (Some(told), false) = (told, self.length.is_null()) {
            // SAFETY: not NULL, and valid for writes by the duty of `new`.
            unsafe { self.length.write_unaligned(told) };
        }
        match (result?, self.room) {
            (Output::Length(_), _) => Ok(()),
            (Output::Bytes(bytes), Room::Bytes(have)) if bytes.len() <= have => {
                // SAFETY: the caller has room for `have` bytes by the duty of `new`.
                unsafe { copy_out(&bytes, self.data) };
                Ok(())
            }
            (Output::Bytes(_), _) => Err(Error::internal("output without room for it")),
        }
    }
}

/// Hands a list over by the rule of the two calls, with counts instead of bytes.
///
/// # Errors
/// `CKR_ARGUMENTS_BAD`, `CKR_BUFFER_TOO_SMALL`
///
/// # Safety
/// Unless NULL, `count` must be valid for reads and writes, and `list` for writes of `*count` values.
pub unsafe fn deliver_list<T: Copy>(values: &[T], list: *mut T, count: *mut CK_ULONG) -> Result<()> {
    // SAFETY: the same duty, for each of the accesses below.
    unsafe {
        let have = read(count)?;
        let need = values.len() as CK_ULONG;
        write(count, need)?;
        if list.is_null() {
            return Ok(());
        }
        if have < need {
            return Err(Error::new(CKR_BUFFER_TOO_SMALL, "the caller's list is too short"));
        }
        for (at, value) in values.iter().enumerate() {
            list.add(at).write_unaligned(*value);
        }
    }
    Ok(())
}

/// A template, copied.
///
/// # Errors
/// `CKR_ARGUMENTS_BAD` for NULL with a count or a count out of reason, `CKR_ATTRIBUTE_VALUE_INVALID` for an attribute
/// whose value is NULL with a length.
///
/// # Safety
/// Unless NULL, `attributes` must be valid for reads of `count` attributes, and each value for reads of its length.
pub unsafe fn template(attributes: *const CK_ATTRIBUTE, count: CK_ULONG) -> Result<Template> {
    let mut copied: Vec<(CK_ATTRIBUTE_TYPE, Value)> = Vec::new();
    for at in 0..check_count(attributes, count)? {
        // SAFETY: within the array, by the caller's duty.
        let attribute = unsafe { attributes.add(at).read_unaligned() };
        // SAFETY: the value is as long as the attribute says, by the caller's duty.
        let value = unsafe { input(attribute.pValue.cast(), attribute.ulValueLen) };
        let value = value.filter(|value| value.len() <= LONGEST_VALUE).ok_or_else(|| {
            let text = format!("attribute {:#x} has a length out of reason, or no value", attribute.type_);
            Error::new(CKR_ATTRIBUTE_VALUE_INVALID, text)
        })?;
        copied.push((attribute.type_, value.to_vec().into()));
    }
    Ok(Template::new(copied))
}

fn check_count(attributes: *const CK_ATTRIBUTE, count: CK_ULONG) -> Result<usize> {
    if count > MOST_ATTRIBUTES {
        return Err(Error::arguments(format!("a template of {count} attributes")));
    }
    if attributes.is_null() && count > 0 {
        return Err(Error::arguments("NULL where there should be a template"));
    }
    Ok(count as usize)
}

/// What becomes of one attribute of `C_GetAttributeValue`.
pub enum Told<'a> {
    /// The value.
    Value(&'a [u8]),
    /// None, for this reason (a `CKR_*` code).
    Nothing(Error),
}

/// Fills a template attribute by attribute (section 5.7.5): one that cannot be told gets the length
/// `CK_UNAVAILABLE_INFORMATION`, and the others are filled all the same.
///
/// # Errors
/// The first reason of those that were not told; `CKR_BUFFER_TOO_SMALL`; those of [`template`].
///
/// # Safety
/// Unless NULL, `attributes` must be valid for reads and writes of `count` attributes, and each value for writes of its
/// length.
pub unsafe fn fill<'a>(
    attributes: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    tell: impl Fn(CK_ATTRIBUTE_TYPE) -> Told<'a>,
) -> Result<()> {
    let mut first = None;
    for at in 0..check_count(attributes, count)? {
        // SAFETY: within the array, by the caller's duty.
        let place = unsafe { attributes.add(at) };
        // SAFETY: the same.
        let mut attribute = unsafe { place.read_unaligned() };
        let told = tell(attribute.type_);
        // SAFETY: the value has room for the attribute's length, by the caller's duty.
        if let Err(error) = unsafe { fill_one(&mut attribute, told) } {
            first.get_or_insert(error);
        }
        // SAFETY: within the array, by the caller's duty.
        unsafe { place.write_unaligned(attribute) };
    }
    first.map_or(Ok(()), Err)
}

unsafe fn fill_one(attribute: &mut CK_ATTRIBUTE, told: Told<'_>) -> Result<()> {
    let value = match told {
        Told::Value(value) => value,
        Told::Nothing(error) => {
            attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
            return Err(error);
        }
    };
    let (have, need) = (attribute.ulValueLen, value.len() as CK_ULONG);
    if !attribute.pValue.is_null() && have < need {
        attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
        return Err(Error::new(CKR_BUFFER_TOO_SMALL, "the value does not fit the caller's buffer"));
    }
    if !attribute.pValue.is_null() {
        // SAFETY: not NULL, long enough, and valid by the duty of `fill`.
        unsafe { copy_out(value, attribute.pValue.cast()) };
    }
    attribute.ulValueLen = need;
    Ok(())
}

/// A mechanism with its parameter; `None` for NULL.
///
/// # Errors
/// `CKR_MECHANISM_INVALID`, `CKR_MECHANISM_PARAM_INVALID`
///
/// # Safety
/// Unless NULL, `mechanism` must be valid for reads, its parameter for reads of its length, and what the parameter points
/// to for reads of the lengths in it.
pub unsafe fn mechanism(mechanism: *const CK_MECHANISM) -> Result<Option<Chosen>> {
    // SAFETY: the same duty.
    let Ok(given) = (unsafe { read(mechanism) }) else { return Ok(None) };
    let row = mechanism::find(given.mechanism)?;
    // SAFETY: the same duty.
    let parameter = unsafe { parameter(row.parameter, &given) }?;
    Ok(Some(Chosen { mechanism: row, parameter }))
}

/// A mechanism of the message functions: its parameter comes with each message.
///
/// # Errors
/// As for [`mechanism()`].
///
/// # Safety
/// Unless NULL, `mechanism` must be valid for reads.
pub unsafe fn message_mechanism(mechanism: *const CK_MECHANISM) -> Result<Option<Chosen>> {
    // SAFETY: the same duty.
    let Ok(given) = (unsafe { read(mechanism) }) else { return Ok(None) };
    Ok(Some(Chosen { mechanism: mechanism::find(given.mechanism)?, parameter: Parameter::None }))
}

unsafe fn parameter(kind: ParameterKind, given: &CK_MECHANISM) -> Result<Parameter> {
    let absent = given.ulParameterLen == 0;
    // SAFETY (for all arms): the parameter and what it points to are valid by the duty of `mechanism`.
    match kind {
        ParameterKind::None if absent => Ok(Parameter::None),
        ParameterKind::None => Err(bad_parameter("this mechanism takes no parameter")),
        ParameterKind::EdDsa if absent => Ok(Parameter::None),
        ParameterKind::EdDsa => {
            // SAFETY: see above.
            let params: CK_EDDSA_PARAMS = unsafe { structure(given) }?;
            // SAFETY: see above.
            let context = unsafe { owned(params.pContextData, params.ulContextDataLen) }?;
            Ok(Parameter::EdDsa { prehash: params.phFlag != 0, context })
        }
        ParameterKind::Pss => {
            // SAFETY: see above.
            let params: CK_RSA_PKCS_PSS_PARAMS = unsafe { structure(given) }?;
            Ok(Parameter::Pss { hash: params.hashAlg, mgf: params.mgf, salt_len: params.sLen })
        }
        ParameterKind::Oaep => {
            // SAFETY: see above.
            let params: CK_RSA_PKCS_OAEP_PARAMS = unsafe { structure(given) }?;
            if params.ulSourceDataLen > 0 && params.source != CKZ_DATA_SPECIFIED {
                return Err(bad_parameter("the source of the OAEP label is not known"));
            }
            // SAFETY: see above.
            let label = unsafe { owned(params.pSourceData.cast(), params.ulSourceDataLen) }?;
            Ok(Parameter::Oaep { hash: params.hashAlg, mgf: params.mgf, label })
        }
        // SAFETY: see above.
        ParameterKind::Iv => Ok(Parameter::Iv(unsafe { structure(given) }?)),
        ParameterKind::Ctr => {
            // SAFETY: see above.
            let params: CK_AES_CTR_PARAMS = unsafe { structure(given) }?;
            Ok(Parameter::Ctr { bits: params.ulCounterBits, block: params.cb })
        }
        // SAFETY: see above.
        ParameterKind::Gcm => unsafe { gcm(given) },
    }
}

unsafe fn gcm(given: &CK_MECHANISM) -> Result<Parameter> {
    // SAFETY (for both arms): valid by the duty of `mechanism`.
    let params: CK_GCM_PARAMS =
        if given.ulParameterLen as usize == OLD_GCM_PARAMS && !given.pParameter.is_null() {
            let old: [CK_ULONG; OLD_GCM_PARAMS / size_of::<CK_ULONG>()] =
            // SAFETY: see above; the old structure is five words, with pointers as wide as CK_ULONG.
            unsafe { given.pParameter.cast::<[CK_ULONG; 5]>().read_unaligned() };
            let [iv, iv_len, aad, aad_len, tag_bits] = old;
            CK_GCM_PARAMS {
                pIv: ptr::with_exposed_provenance_mut(iv as usize),
                ulIvLen: iv_len,
                ulIvBits: 0,
                pAAD: ptr::with_exposed_provenance_mut(aad as usize),
                ulAADLen: aad_len,
                ulTagBits: tag_bits,
            }
        } else {
            // SAFETY: see above.
            unsafe { structure(given) }?
        };
    // SAFETY: the pointers in the parameter are valid by the duty of `mechanism`.
    let (iv, aad) = unsafe { (owned(params.pIv, params.ulIvLen)?, owned(params.pAAD, params.ulAADLen)?) };
    Ok(Parameter::Gcm { iv, aad, tag_bits: params.ulTagBits })
}

fn bad_parameter(text: &'static str) -> Error {
    Error::new(CKR_MECHANISM_PARAM_INVALID, text)
}

unsafe fn structure<T: Copy>(given: &CK_MECHANISM) -> Result<T> {
    if given.pParameter.is_null() || given.ulParameterLen as usize != size_of::<T>() {
        return Err(bad_parameter("the parameter has not the size of its type"));
    }
    // SAFETY: not NULL, of the right length, and valid by the duty of `mechanism`.
    Ok(unsafe { given.pParameter.cast::<T>().read_unaligned() })
}

unsafe fn owned(pointer: *const CK_BYTE, length: CK_ULONG) -> Result<Vec<u8>> {
    // SAFETY: the same duty.
    let bytes = unsafe { input(pointer, length) }.filter(|bytes| bytes.len() <= LONGEST_PART);
    bytes
        .map(<[u8]>::to_vec)
        .ok_or_else(|| bad_parameter("NULL within the parameter, or a length out of reason"))
}

/// `CK_GCM_MESSAGE_PARAMS` of one message: the HSM makes IV and tag, the caller gets them here.
pub struct GcmMessage {
    params: CK_GCM_MESSAGE_PARAMS,
}

impl GcmMessage {
    /// A view of what the caller gave.
    ///
    /// # Errors
    /// `CKR_MECHANISM_PARAM_INVALID` when the caller wants to choose the IV or a part of it, or has no room.
    ///
    /// # Safety
    /// Unless NULL, `parameter` must be valid for reads of `length` bytes, its `pIv` and `pTag` for writes.
    pub unsafe fn new(parameter: *const std::ffi::c_void, length: CK_ULONG) -> Result<Self> {
        if parameter.is_null() || length as usize != size_of::<CK_GCM_MESSAGE_PARAMS>() {
            return Err(bad_parameter("the parameter has not the size of CK_GCM_MESSAGE_PARAMS"));
        }
        // SAFETY: not NULL, of the right length, and valid by the caller's duty.
        let params = unsafe { parameter.cast::<CK_GCM_MESSAGE_PARAMS>().read_unaligned() };
        let generated = matches!(params.ivGenerator, CKG_GENERATE | CKG_GENERATE_RANDOM);
        if !generated || params.ulIvFixedBits != 0 {
            return Err(bad_parameter("the HSM chooses the IV: CKG_GENERATE without fixed bits"));
        }
        if params.pIv.is_null() || params.pTag.is_null() {
            return Err(bad_parameter("no room for IV and tag"));
        }
        Ok(Self { params })
    }

    /// Bytes that the caller has for the IV.
    pub fn iv_len(&self) -> usize {
        self.params.ulIvLen as usize
    }

    /// Bits of the tag.
    pub fn tag_bits(&self) -> CK_ULONG {
        self.params.ulTagBits
    }

    /// Hands IV and tag over; both have the lengths that the caller gave, or are empty.
    pub fn deliver(&self, iv: &[u8], tag: &[u8]) -> Result<()> {
        if iv.len() > self.iv_len() || tag.len() as CK_ULONG > self.params.ulTagBits.div_ceil(8) {
            return Err(Error::internal("IV or tag without room for it"));
        }
        // SAFETY: not NULL as `new` saw, and valid for these lengths by its duty.
        unsafe {
            copy_out(iv, self.params.pIv);
            copy_out(tag, self.params.pTag);
        }
        Ok(())
    }
}
