//! API keys: one role each, and the role that each endpoint asks for (Securosys TSB reference
//! §1.3). The role goes by whole path segments and is known before the endpoint is.

use std::collections::BTreeMap;

use parking_lot::RwLock;
use serde_json::json;
use zeroize::Zeroizing;

use super::refusal::{
    Answer, INVALID_ACCESS_TOKEN, INVALID_API_KEY, MISSING_ACCESS_TOKEN, MISSING_API_KEY, Refusal,
};
use super::switches::{CertificatesRole, RandomRole, Switches};
use crate::vendor::{Reply, Request};

/// What an API key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    KeyManagement,
    KeyOperation,
    Approver,
    Service,
    ApproverKeyManagement,
}

impl Role {
    const ALL: [(&str, Role); 5] = [
        ("key_management", Role::KeyManagement),
        ("key_operation", Role::KeyOperation),
        ("approver", Role::Approver),
        ("service", Role::Service),
        ("approver_key_management", Role::ApproverKeyManagement),
    ];

    /// The role of that name in the module's configuration.
    pub(super) fn named(name: &str) -> Option<Role> {
        Role::ALL.iter().find(|(known, _)| *known == name).map(|(_, role)| *role)
    }
}

type Secret = Zeroizing<String>;

/// The API keys of each role, any of which is valid, and the JWT if one is asked for. Both may change while the server
/// runs.
pub(super) struct Credentials {
    keys: RwLock<BTreeMap<Role, Vec<Secret>>>,
    bearer: RwLock<Option<Secret>>,
}

impl Credentials {
    pub(super) fn new<const N: usize>(keys: [(Role, Secret); N], bearer: Option<String>) -> Credentials {
        let keys = keys.into_iter().map(|(role, key)| (role, vec![key])).collect();
        Credentials { keys: RwLock::new(keys), bearer: RwLock::new(bearer.map(Secret::new)) }
    }

    /// JWT first, then the API key (reference §1.4).
    pub(super) fn admit(&self, request: &Request, role: Role, switches: &Switches) -> Answer<()> {
        // Approvers have no token (reference §1.2).
        if role != Role::Approver {
            self.check_token(request, switches)?;
        }
        if !switches.api_keys {
            return Ok(());
        }
        match request.header("x-api-key") {
            None | Some("") => Err(Refusal::with_status(
                switches.missing_api_key_status,
                MISSING_API_KEY,
                "An API key is required.",
            )),
            Some(key) if self.takes(role, key) => Ok(()),
            Some(_) => Err(Refusal::new(INVALID_API_KEY, "The API key is not valid here.")),
        }
    }

    fn check_token(&self, request: &Request, switches: &Switches) -> Answer<()> {
        let expected = self.bearer.read();
        let Some(expected) = expected.as_ref() else {
            return Ok(());
        };
        let refuse = |code, message| Err(Refusal::with_status(switches.access_token_status, code, message));
        let Some(header) = request.header("authorization") else {
            return refuse(MISSING_ACCESS_TOKEN, "An access token is required.");
        };
        // RFC 9110 §11.1: the scheme is case-insensitive.
        match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && token == expected.as_str() => {
                Ok(())
            }
            _ => refuse(INVALID_ACCESS_TOKEN, "The access token is not valid."),
        }
    }

    fn takes(&self, role: Role, key: &str) -> bool {
        self.keys.read().get(&role).is_some_and(|keys| keys.iter().any(|known| known.as_str() == key))
    }

    pub(super) fn asks_for_bearer(&self) -> bool {
        self.bearer.read().is_some()
    }

    /// The body of `GET /_emulator/api-keys/{role}`: the emulator's keys protect nothing.
    pub(super) fn list(&self, role: Role) -> Reply {
        let keys = self.keys.read();
        let keys: Vec<&str> = keys.get(&role).into_iter().flatten().map(|key| key.as_str()).collect();
        Reply::json(200, &json!(keys))
    }

    /// From now on only these keys are valid for that role.
    pub(super) fn replace(&self, role: Role, keys: Vec<String>) {
        self.keys.write().insert(role, keys.into_iter().map(Secret::new).collect());
    }

    /// From now on requests must carry that JWT.
    pub(super) fn replace_bearer(&self, token: String) {
        *self.bearer.write() = Some(Secret::new(token));
    }
}

/// The role that a path asks for; `None` for paths that are not of the API.
pub(super) fn role_of(path: &str, switches: &Switches) -> Option<Role> {
    let path = path.strip_prefix("/v1/")?;
    let (head, below) = path.split_once('/').map_or((path, None), |(head, rest)| (head, Some(rest)));
    let role = match head {
        // Protected with all that is below them.
        "key" | "dataObject" | "rotate" => Role::KeyManagement,
        "attestation" | "xpub" if below.is_some() => Role::KeyManagement,
        "certificate" if below.is_some() => match switches.certificates_role {
            CertificatesRole::KeyManagement => Role::KeyManagement,
            CertificatesRole::KeyOperation => Role::KeyOperation,
        },
        "generateRandom" if below.is_some() => match switches.random_role {
            RandomRole::KeyOperation => Role::KeyOperation,
            RandomRole::Service => Role::Service,
        },
        "request" if below.is_some() => Role::KeyOperation,
        "approverManagement" if below.is_some() => Role::ApproverKeyManagement,
        "approver" if below == Some("onboard") => Role::Approver,
        "keystore" if below == Some("statistics") => Role::Service,
        "hsm" if below.is_some_and(|rest| rest == "log" || rest.starts_with("log/")) => Role::Service,
        // Protected alone.
        _ if below.is_some() => return None,
        "importedKey" | "derivedKey" | "modify" | "synchronousModify" => Role::KeyManagement,
        "synchronousUnwrap"
        | "synchronousUnblock"
        | "synchronousSign"
        | "synchronousFileDecrypt"
        | "synchronousDecrypt"
        | "synchronousBlock"
        | "synchronousHmac"
        | "fileEncrypt"
        | "wrap"
        | "verify"
        | "encrypt"
        | "createRfcTimestamp"
        | "unwrap"
        | "unblock"
        | "sign"
        | "decrypt"
        | "block"
        | "filteredRequests" => Role::KeyOperation,
        "approval" | "task" => Role::Approver,
        _ if head.starts_with("filtered") && head.ends_with("ApprovalTask") => Role::Approver,
        "versionInfo" | "licenseInfo" => Role::Service,
        _ => return None,
    };
    Some(role)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_go_by_whole_segments() {
        let switches = Switches::default();
        let expected = [
            ("/v1/key", Some(Role::KeyManagement)),
            ("/v1/key/a%2Fb/attributes", Some(Role::KeyManagement)),
            ("/v1/keys", None),
            ("/v1/keystore/statistics", Some(Role::Service)),
            ("/v1/certificate/rsa-cert", Some(Role::KeyManagement)),
            ("/v1/sign", Some(Role::KeyOperation)),
            ("/v1/sign/x", None),
            ("/v1/generateRandom/32", Some(Role::KeyOperation)),
            ("/v1/request/1c5bc570-e41c-47c2-bc1a-82ecf4376d08", Some(Role::KeyOperation)),
            ("/v1/filteredRequests", Some(Role::KeyOperation)),
            ("/v1/filteredSignApprovalTask", Some(Role::Approver)),
            ("/v1/versionInfo", Some(Role::Service)),
            ("/v1/approverManagement/create", Some(Role::ApproverKeyManagement)),
            ("/v2/key", None),
            ("/", None),
        ];
        for (path, role) in expected {
            assert_eq!(role_of(path, &switches), role, "{path}");
        }
    }

    #[test]
    fn contested_roles_follow_their_switch() {
        let switches = Switches {
            certificates_role: CertificatesRole::KeyOperation,
            random_role: RandomRole::Service,
            ..Switches::default()
        };
        assert_eq!(role_of("/v1/certificate/x", &switches), Some(Role::KeyOperation));
        assert_eq!(role_of("/v1/generateRandom/8", &switches), Some(Role::Service));
    }
}
