//! Which of the API keys a call carries (Securosys TSB reference section 1.3).
//!
//! A key has one role, a request carries one key, and the sources disagree about two groups of endpoints. There the
//! documented role goes first, the other one after a refusal, and whichever worked goes first from then on.

use std::sync::atomic::{AtomicBool, Ordering};

/// The roles of API keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Lists keys and reads their attributes.
    KeyManagement,
    /// Uses keys.
    KeyOperation,
    /// Asks for version and licence.
    Service,
    /// Manages those who approve uses of keys.
    ApproverKeyManagement,
    /// Approves.
    Approver,
}

impl Role {
    /// In the order in which they are proven: the key that lists shows at once whether anything works, and that of an
    /// approver says nothing of the JWT (section 1.2).
    pub(super) const ALL: [Self; 5] =
        [Self::KeyManagement, Self::KeyOperation, Self::Service, Self::ApproverKeyManagement, Self::Approver];

    /// The place in [`Self::ALL`], always below its length.
    pub(super) fn index(self) -> usize {
        self as usize
    }

    /// The name in the configuration.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::KeyManagement => "key_management",
            Self::KeyOperation => "key_operation",
            Self::Service => "service",
            Self::ApproverKeyManagement => "approver_key_management",
            Self::Approver => "approver",
        }
    }
}

/// The table: the documented role for a path. The first segment behind `/v1` decides, as a whole; `None` for one that
/// the service has not got.
fn documented(path: &str) -> Option<Role> {
    let segment = first_segment(path)?;
    Some(match segment {
        "attestation" | "certificate" | "dataObject" | "derivedKey" | "importedKey" | "key" | "modify"
        | "rotate" | "synchronousModify" | "xpub" => Role::KeyManagement,
        "block"
        | "createRfcTimestamp"
        | "decrypt"
        | "encrypt"
        | "fileEncrypt"
        | "filteredRequests"
        | "generateRandom"
        | "request"
        | "sign"
        | "synchronousBlock"
        | "synchronousDecrypt"
        | "synchronousFileDecrypt"
        | "synchronousHmac"
        | "synchronousSign"
        | "synchronousUnblock"
        | "synchronousUnwrap"
        | "unblock"
        | "unwrap"
        | "verify"
        | "wrap" => Role::KeyOperation,
        "hsm" | "keystore" | "licenseInfo" | "versionInfo" => Role::Service,
        "approverManagement" => Role::ApproverKeyManagement,
        "approval" | "approver" | "task" => Role::Approver,
        // `filteredRequests` begins in the same way, and is a matter of key operation (section 14.7).
        _ if segment.starts_with("filtered") && segment.ends_with("ApprovalTask") => Role::Approver,
        _ => return None,
    })
}

fn first_segment(path: &str) -> Option<&str> {
    path.strip_prefix("/v1/")?.split('/').next()
}

/// The roles for a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// The one to try first.
    pub(super) first: Role,
    /// The one to try after a refusal.
    pub(super) other: Option<Role>,
    /// The one of the two whose refusal is the one to tell.
    pub(super) documented: Role,
}

/// What was learnt about the endpoints of which the sources disagree.
#[derive(Debug, Default)]
pub(super) struct Roles {
    certificate: AtomicBool,
    random: AtomicBool,
}

impl Roles {
    /// The roles for `path`; `None` for one that is not in the table.
    pub(super) fn of(&self, path: &str) -> Option<Order> {
        let documented = documented(path)?;
        Some(match self.dispute(path) {
            None => Order { first: documented, other: None, documented },
            // The order is a hint: no other memory hangs on it.
            Some((swapped, other)) if swapped.load(Ordering::Relaxed) => {
                Order { first: other, other: Some(documented), documented }
            }
            Some((_, other)) => Order { first: documented, other: Some(other), documented },
        })
    }

    /// The role that goes first at `path` from now on, where the sources disagree.
    pub(super) fn remember(&self, path: &str, role: Role) {
        if let Some((swapped, other)) = self.dispute(path) {
            swapped.store(role == other, Ordering::Relaxed);
        }
    }

    /// Whether the other role goes first, and which it is.
    fn dispute(&self, path: &str) -> Option<(&AtomicBool, Role)> {
        match first_segment(path)? {
            "certificate" => Some((&self.certificate, Role::KeyOperation)),
            "generateRandom" => Some((&self.random, Role::Service)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of section 1.3, `**` written out.
    #[test]
    fn roles_are_those_of_the_reference() {
        const PATHS: [(Role, &str); 5] = [
            (
                Role::KeyManagement,
                "key key/a key/attributes key/a/attributes importedKey derivedKey dataObject dataObject/a \
                 attestation/a modify synchronousModify rotate rotate/a xpub/a certificate/a",
            ),
            (
                Role::KeyOperation,
                "synchronousUnwrap synchronousUnblock synchronousSign synchronousFileDecrypt synchronousDecrypt \
                 synchronousBlock synchronousHmac fileEncrypt wrap verify encrypt createRfcTimestamp \
                 generateRandom/32 unwrap unblock sign decrypt block \
                 request/1c5bc570-e41c-47c2-bc1a-82ecf4376d08 filteredRequests",
            ),
            (Role::Service, "versionInfo licenseInfo keystore/statistics hsm/log hsm/log/a"),
            (
                Role::ApproverKeyManagement,
                "approverManagement/create approverManagement/renewOneTimeCode approverManagement/restoreFromBackup \
                 approverManagement/restoreFromBackup/forgotPassword approverManagement/onboarding/status \
                 approverManagement/delete/a",
            ),
            (
                Role::Approver,
                "filteredSignApprovalTask filteredModifyKeyApprovalTask filteredAllApprovalTask approval task \
                 approver/onboard",
            ),
        ];
        let roles = Roles::default();
        for (role, paths) in PATHS {
            for path in paths.split_whitespace() {
                let order = roles.of(&format!("/v1/{path}"));
                assert_eq!(order.map(|order| (order.first, order.documented)), Some((role, role)), "{path}");
            }
        }
        let disputed = |path| roles.of(path).and_then(|order| order.other);
        assert_eq!(disputed("/v1/certificate/a"), Some(Role::KeyOperation));
        assert_eq!(disputed("/v1/generateRandom/32"), Some(Role::Service));
        assert_eq!(disputed("/v1/key/certificate"), None);
    }

    #[test]
    fn segments_are_matched_as_a_whole() {
        let roles = Roles::default();
        for path in [
            "/v1/keys",
            "/v1/ke",
            "/v1/filtered",
            "/v1/filteredRequest",
            "/v1/signs",
            "/v2/key",
            "/key",
            "/v1/",
        ] {
            assert_eq!(roles.of(path), None, "{path}");
        }
    }

    #[test]
    fn what_worked_goes_first_for_its_endpoints_alone() {
        let roles = Roles::default();
        let first = |path| roles.of(path).map(|order| (order.first, order.other, order.documented));
        roles.remember("/v1/generateRandom/1", Role::Service);
        let swapped = (Role::Service, Some(Role::KeyOperation), Role::KeyOperation);
        assert_eq!(first("/v1/generateRandom/2"), Some(swapped));
        let untouched = (Role::KeyManagement, Some(Role::KeyOperation), Role::KeyManagement);
        assert_eq!(first("/v1/certificate/a"), Some(untouched));
        roles.remember("/v1/generateRandom/1", Role::KeyOperation);
        let documented = (Role::KeyOperation, Some(Role::Service), Role::KeyOperation);
        assert_eq!(first("/v1/generateRandom/2"), Some(documented));
        roles.remember("/v1/synchronousSign", Role::Service);
        assert_eq!(first("/v1/synchronousSign"), Some((Role::KeyOperation, None, Role::KeyOperation)));
    }

    #[test]
    fn a_role_stands_at_its_index() {
        for (index, role) in Role::ALL.into_iter().enumerate() {
            assert_eq!(role.index(), index);
        }
    }
}
