//! The paths that this module calls, behind the base of the member.

use crate::backend::percent;

pub(super) const APPROVER_STATUS: &str = "/v1/approverManagement/onboarding/status";
pub(super) const ATTRIBUTES: &str = "/v1/key/attributes";
/// Followed by the name of a key: reads or removes its certificate.
pub(super) const CERTIFICATE: &str = "/v1/certificate";
pub(super) const CERTIFICATE_IMPORT: &str = "/v1/certificate/import/plain";
pub(super) const DECRYPT: &str = "/v1/synchronousDecrypt";
/// Of newer servers; the older ones delete what is behind [`KEYS`].
pub(super) const DELETE: &str = "/v1/key/deleteKey";
pub(super) const ENCRYPT: &str = "/v1/encrypt";
/// Lists and makes keys. Followed by the name of a key: deletes it.
pub(super) const KEYS: &str = "/v1/key";
pub(super) const LICENCE: &str = "/v1/licenseInfo";
/// Followed by a number of bytes.
pub(super) const RANDOM: &str = "/v1/generateRandom";
/// Followed by the id of a request.
pub(super) const REQUEST: &str = "/v1/request";
pub(super) const SIGN: &str = "/v1/synchronousSign";
pub(super) const SIGN_TASKS: &str = "/v1/filteredSignApprovalTask";
pub(super) const VERSION: &str = "/v1/versionInfo";

/// The path with one more segment.
pub(super) fn below(path: &str, segment: &str) -> String {
    let mut longer = String::with_capacity(path.len() + 1 + 3 * segment.len());
    longer.push_str(path);
    longer.push('/');
    percent::push(&mut longer, segment);
    longer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_one_segment() {
        let path = |label| below(CERTIFICATE, label);
        assert_eq!(path("rsa-cert_1.~"), "/v1/certificate/rsa-cert_1.~");
        assert_eq!(path("a b/c?d#e%\u{e9}"), "/v1/certificate/a%20b%2Fc%3Fd%23e%25%C3%A9");
        assert_eq!(path("\"l\"@?!7"), "/v1/certificate/%22l%22%40%3F%217");
    }
}
