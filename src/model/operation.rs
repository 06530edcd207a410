//! What all operations have in common: the rules for their state and for output buffers (PKCS#11 3.2 section 5.2).

use std::fmt;

use cryptoki_sys::{
    CKR_BUFFER_TOO_SMALL, CKR_DATA_LEN_RANGE, CKR_OPERATION_ACTIVE, CKR_OPERATION_NOT_INITIALIZED,
};
use zeroize::Zeroizing;

use super::mechanism::Chosen;
use crate::crypto::digest::Hasher;
use crate::discreet;
use crate::error::{Error, Result};

/// The room that a caller has for output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// No buffer: the caller asks for the length.
    Query,
    /// A buffer of so many bytes.
    Bytes(usize),
    /// Not even a place for the length: `CKR_ARGUMENTS_BAD`.
    Missing,
}

/// What a call with output came to.
pub enum Output {
    /// The answer to a query: an upper bound of the length.
    Length(usize),
    /// The output.
    Bytes(Zeroizing<Vec<u8>>),
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(length) => f.debug_tuple("Length").field(length).finish(),
            Self::Bytes(bytes) => f.debug_tuple("Bytes").field(&discreet::Bytes(bytes)).finish(),
        }
    }
}

impl Output {
    /// Output of any kind.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bytes(Zeroizing::new(bytes.into()))
    }
}

/// Input as the edge hands it on: `None` is a NULL pointer with a length, or a length that no memory has.
pub type Input<'a> = Option<&'a [u8]>;

/// The bytes of an input.
///
/// # Errors
/// `CKR_ARGUMENTS_BAD` where there are none.
pub fn given(input: Input<'_>) -> Result<&[u8]> {
    input.ok_or_else(|| Error::arguments("NULL where there should be data"))
}

impl Room {
    /// Gives `produce` its chance if `need` bytes fit; else the length, or `CKR_BUFFER_TOO_SMALL`.
    pub fn fit(self, need: usize, produce: impl FnOnce() -> Result<Output>) -> Result<Output> {
        match self {
            Self::Query => Ok(Output::Length(need)),
            Self::Bytes(have) if have < need => Err(Error::buffer_too_small(need)),
            Self::Bytes(_) => produce(),
            Self::Missing => Err(Error::arguments("NULL where the length of the output should go")),
        }
    }
}

/// Puts a new operation in its place; without a mechanism ends the one that is there (as the descriptions of the
/// `C_…Init` functions have it since 3.0).
///
/// # Errors
/// `CKR_OPERATION_ACTIVE` when there is one already; it goes on. `CKR_ARGUMENTS_BAD` when there is none to end.
pub fn begin<O>(
    place: &mut Option<O>,
    chosen: Option<&Chosen>,
    make: impl FnOnce(&Chosen) -> Result<O>,
) -> Result<()> {
    match (chosen, &place) {
        (None, None) => Err(Error::arguments("NULL where there should be a mechanism")),
        (None, Some(_)) => {
            *place = None;
            Ok(())
        }
        (Some(_), Some(_)) => Err(Error::new(CKR_OPERATION_ACTIVE, "an operation of this kind is active")),
        (Some(chosen), None) => {
            *place = Some(make(chosen)?);
            Ok(())
        }
    }
}

/// A call that ends the operation, unless it asked for the length or its buffer was too small.
pub fn ending<O>(place: &mut Option<O>, run: impl FnOnce(&mut O) -> Result<Output>) -> Result<Output> {
    let result = run(active(place)?);
    let goes_on = match &result {
        Ok(Output::Length(_)) => true,
        Ok(Output::Bytes(_)) => false,
        Err(error) => error.rv() == CKR_BUFFER_TOO_SMALL,
    };
    if !goes_on {
        *place = None;
    }
    result
}

/// A call that goes on with the operation: any error but a too small buffer ends it.
pub fn continuing<O, T>(place: &mut Option<O>, run: impl FnOnce(&mut O) -> Result<T>) -> Result<T> {
    let result = run(active(place)?);
    if result.as_ref().is_err_and(|error| error.rv() != CKR_BUFFER_TOO_SMALL) {
        *place = None;
    }
    result
}

fn active<O>(place: &mut Option<O>) -> Result<&mut O> {
    place.as_mut().ok_or_else(not_initialized)
}

/// `CKR_OPERATION_NOT_INITIALIZED`
pub fn not_initialized() -> Error {
    Error::new(CKR_OPERATION_NOT_INITIALIZED, "no operation of this kind is active")
}

/// Takes the data of an operation in, in one part or several.
pub struct Intake {
    state: State,
    begun: bool,
}

#[allow(clippy::large_enum_variant)] // a box would cost an allocation for each signature
enum State {
    Hash(Hasher),
    Collect { bytes: Zeroizing<Vec<u8>>, limit: usize, excess: Excess },
}

/// What becomes of bytes beyond the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// `CKR_DATA_LEN_RANGE`
    Refuse,
    /// They do not count: ECDSA takes the leftmost bits of a digest.
    Ignore,
}

impl Intake {
    /// Hashes what comes.
    pub fn hash(hasher: Hasher) -> Self {
        Self { state: State::Hash(hasher), begun: false }
    }

    /// Keeps what comes, up to `limit` bytes.
    pub fn collect(limit: usize, excess: Excess) -> Self {
        Self { state: State::Collect { bytes: Zeroizing::default(), limit, excess }, begun: false }
    }

    /// The data of a single-part call; nothing is taken in yet.
    ///
    /// # Errors
    /// `CKR_OPERATION_NOT_INITIALIZED` after a part was taken in: only the end of a multi-part operation may follow.
    pub fn only_part<'a>(&self, data: Input<'a>) -> Result<&'a [u8]> {
        if self.begun { Err(not_initialized()) } else { given(data) }
    }

    /// Takes one part of several.
    ///
    /// # Errors
    /// `CKR_DATA_LEN_RANGE` beyond the limit.
    pub fn update(&mut self, part: &[u8]) -> Result<()> {
        self.begun = true;
        match &mut self.state {
            State::Hash(hasher) => hasher.update(part),
            State::Collect { bytes, limit, excess } => {
                let left = limit.saturating_sub(bytes.len());
                let taken = match excess {
                    Excess::Refuse if part.len() > left => {
                        return Err(Error::new(
                            CKR_DATA_LEN_RANGE,
                            format!("more than {limit} bytes of data"),
                        ));
                    }
                    _ => &part[..part.len().min(left)],
                };
                discreet::append(bytes, taken);
            }
        }
        Ok(())
    }

    /// The digest, or what was kept. Nothing is left.
    pub fn finish(&mut self) -> Zeroizing<Vec<u8>> {
        match &mut self.state {
            State::Hash(hasher) => {
                let fresh = Hasher::new(hasher.hash());
                Zeroizing::new(std::mem::replace(hasher, fresh).finish())
            }
            State::Collect { bytes, .. } => std::mem::take(bytes),
        }
    }

    /// How many bytes [`Self::finish`] will give.
    pub fn output_len(&self) -> usize {
        match &self.state {
            State::Hash(hasher) => hasher.hash().len(),
            State::Collect { bytes, .. } => bytes.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_and_a_small_buffer_keep_the_operation() {
        let mut place = Some(7);
        assert!(matches!(
            ending(&mut place, |_| Room::Query.fit(4, || unreachable!())),
            Ok(Output::Length(4))
        ));
        assert!(place.is_some());
        let error = ending(&mut place, |_| Room::Bytes(3).fit(4, || unreachable!())).unwrap_err();
        assert_eq!((error.rv(), error.needed()), (CKR_BUFFER_TOO_SMALL, Some(4)));
        assert!(place.is_some());
        assert!(ending(&mut place, |_| Room::Bytes(4).fit(4, || Ok(Output::bytes([0; 4])))).is_ok());
        assert!(place.is_none());
    }

    #[test]
    fn an_error_ends_the_operation() {
        let mut place = Some(7);
        assert!(continuing(&mut place, |_| given(None).map(|_| ())).is_err());
        assert!(place.is_none());
        let error = continuing(&mut place, |_| Ok(())).unwrap_err();
        assert_eq!(error.rv(), CKR_OPERATION_NOT_INITIALIZED);
    }

    #[test]
    fn beyond_the_limit_data_is_refused_or_ignored() {
        let mut refuse = Intake::collect(4, Excess::Refuse);
        refuse.update(b"abc").unwrap();
        assert_eq!(refuse.update(b"de").unwrap_err().rv(), CKR_DATA_LEN_RANGE);
        let mut ignore = Intake::collect(4, Excess::Ignore);
        ignore.update(b"abc").unwrap();
        ignore.update(b"de").unwrap();
        assert_eq!(**ignore.finish(), *b"abcd");
    }
}
