//! Which of the API keys a call carries (Securosys TSB reference section 1.3).
//!
//! A key has one role, a request carries one key, and the sources disagree about two endpoints. There the documented
//! role goes first, the other one after a refusal, and whichever worked goes first from then on.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// The roles of the API keys that this module may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Lists keys and reads their attributes.
    KeyManagement,
    /// Uses keys.
    KeyOperation,
    /// Asks for the version.
    Service,
}

impl Role {
    /// In the order in which they are proven: the key that lists shows at once whether anything works.
    pub(super) const ALL: [Self; 3] = [Self::KeyManagement, Self::KeyOperation, Self::Service];

    /// The place in [`Self::ALL`], always below its length.
    pub(super) fn index(self) -> usize {
        match self {
            Self::KeyManagement => 0,
            Self::KeyOperation => 1,
            Self::Service => 2,
        }
    }
}

/// The endpoints that this module calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Attributes,
    /// Followed by the name of a key.
    Certificate,
    Decrypt,
    Encrypt,
    Keys,
    /// Followed by a number of bytes.
    Random,
    /// Followed by the id of a request.
    Request,
    Sign,
    Version,
}

impl Endpoint {
    /// The path, behind the base of the member.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Attributes => "/v1/key/attributes",
            Self::Certificate => "/v1/certificate",
            Self::Decrypt => "/v1/synchronousDecrypt",
            Self::Encrypt => "/v1/encrypt",
            Self::Keys => "/v1/key",
            Self::Random => "/v1/generateRandom",
            Self::Request => "/v1/request",
            Self::Sign => "/v1/synchronousSign",
            Self::Version => "/v1/versionInfo",
        }
    }

    /// The path with one more segment.
    pub(super) fn path_to(self, segment: &str) -> String {
        let mut path = String::with_capacity(self.path().len() + 1 + 3 * segment.len());
        path.push_str(self.path());
        path.push('/');
        for byte in segment.bytes() {
            match byte {
                // Unreserved characters of RFC 3986 section 2.3.
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(byte.into()),
                _ => {
                    let written = write!(path, "%{byte:02X}");
                    debug_assert!(written.is_ok(), "a String takes all that is written");
                }
            }
        }
        path
    }

    /// The documented role, and the one that other sources name.
    fn roles(self) -> (Role, Option<Role>) {
        match self {
            Self::Attributes | Self::Keys => (Role::KeyManagement, None),
            Self::Certificate => (Role::KeyManagement, Some(Role::KeyOperation)),
            Self::Decrypt | Self::Encrypt | Self::Request | Self::Sign => (Role::KeyOperation, None),
            Self::Random => (Role::KeyOperation, Some(Role::Service)),
            Self::Version => (Role::Service, None),
        }
    }
}

/// What was learnt about the endpoints of which the sources disagree.
#[derive(Debug, Default)]
pub(super) struct Roles {
    certificate: AtomicBool,
    random: AtomicBool,
}

impl Roles {
    /// The role to try first, and the one to try after a refusal.
    pub(super) fn of(&self, endpoint: Endpoint) -> (Role, Option<Role>) {
        let (documented, other) = endpoint.roles();
        match other {
            // The order is a hint: no other memory hangs on it.
            Some(other) if self.swapped(endpoint).is_some_and(|swapped| swapped.load(Ordering::Relaxed)) => {
                (other, Some(documented))
            }
            _ => (documented, other),
        }
    }

    /// The service accepted `role` at `endpoint`.
    pub(super) fn remember(&self, endpoint: Endpoint, role: Role) {
        if let Some(swapped) = self.swapped(endpoint) {
            swapped.store(role != endpoint.roles().0, Ordering::Relaxed);
        }
    }

    fn swapped(&self, endpoint: Endpoint) -> Option<&AtomicBool> {
        match endpoint {
            Endpoint::Certificate => Some(&self.certificate),
            Endpoint::Random => Some(&self.random),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_those_of_the_table() {
        let roles = Roles::default();
        for (endpoint, first, other) in [
            (Endpoint::Attributes, Role::KeyManagement, None),
            (Endpoint::Keys, Role::KeyManagement, None),
            (Endpoint::Certificate, Role::KeyManagement, Some(Role::KeyOperation)),
            (Endpoint::Sign, Role::KeyOperation, None),
            (Endpoint::Decrypt, Role::KeyOperation, None),
            (Endpoint::Encrypt, Role::KeyOperation, None),
            (Endpoint::Request, Role::KeyOperation, None),
            (Endpoint::Random, Role::KeyOperation, Some(Role::Service)),
            (Endpoint::Version, Role::Service, None),
        ] {
            assert_eq!(roles.of(endpoint), (first, other), "{endpoint:?}");
        }
    }

    #[test]
    fn what_worked_goes_first_for_its_endpoint_alone() {
        let roles = Roles::default();
        roles.remember(Endpoint::Random, Role::Service);
        assert_eq!(roles.of(Endpoint::Random), (Role::Service, Some(Role::KeyOperation)));
        assert_eq!(roles.of(Endpoint::Certificate), (Role::KeyManagement, Some(Role::KeyOperation)));
        roles.remember(Endpoint::Random, Role::KeyOperation);
        assert_eq!(roles.of(Endpoint::Random), (Role::KeyOperation, Some(Role::Service)));
        roles.remember(Endpoint::Sign, Role::Service);
        assert_eq!(roles.of(Endpoint::Sign), (Role::KeyOperation, None));
    }

    #[test]
    fn a_label_is_one_segment() {
        let path = |label| Endpoint::Certificate.path_to(label);
        assert_eq!(path("rsa-cert_1.~"), "/v1/certificate/rsa-cert_1.~");
        assert_eq!(path("a b/c?d#e%\u{e9}"), "/v1/certificate/a%20b%2Fc%3Fd%23e%25%C3%A9");
        assert_eq!(path("\"l\"@?!7"), "/v1/certificate/%22l%22%40%3F%217");
    }
}
