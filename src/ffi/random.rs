//! Random number generation (PKCS#11 3.2 section 5.21): from the HSM.

use cryptoki_sys::{CK_BYTE, CK_SESSION_HANDLE, CK_ULONG, CKR_RANDOM_NO_RNG, CKR_RANDOM_SEED_NOT_SUPPORTED};
use zeroize::Zeroizing;

use super::arg;
use crate::error::{Error, Result};
use crate::model::slot::Module;

/// More in one call is a wild length: the HSM gives about a kilobyte a request.
const MOST: CK_ULONG = 1 << 20;

pub(super) unsafe fn seed_random(
    module: &Module,
    session: CK_SESSION_HANDLE,
    _seed: *mut CK_BYTE,
    _seed_len: CK_ULONG,
) -> Result<()> {
    let session = module.session(session)?;
    if !session.token().offers_random() {
        return Err(Error::new(CKR_RANDOM_NO_RNG, "the token has no random numbers"));
    }
    Err(Error::new(CKR_RANDOM_SEED_NOT_SUPPORTED, "the HSM seeds itself"))
}

pub(super) unsafe fn generate_random(
    module: &Module,
    session: CK_SESSION_HANDLE,
    out: *mut CK_BYTE,
    out_len: CK_ULONG,
) -> Result<()> {
    let session = module.session(session)?;
    if out_len > MOST || (out.is_null() && out_len > 0) {
        return Err(Error::arguments(format!(
            "no buffer, or {out_len} random bytes where {MOST} are the most"
        )));
    }
    let mut random = Zeroizing::new(vec![0; out_len as usize]);
    session.random(&mut random)?;
    // SAFETY: the caller owes a buffer of `out_len` bytes; NULL was refused.
    unsafe { arg::copy_out(&random, out) };
    Ok(())
}
