//! The REST API of the gateway.

use crate::error::Error;
use crate::files::Directory;
use crate::vendor::Vendor;

/// Loads the keys and secrets of a directory, and makes those that are missing.
pub(crate) fn open(
    _directory: &Directory,
    _pin: &str,
    _settings: &[(String, String)],
) -> Result<Box<dyn Vendor>, Error> {
    Err(Error::server("the gateway is not emulated yet"))
}
