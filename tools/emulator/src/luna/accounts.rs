//! Users of the appliance, their roles and their certificates (sections 4.2, 4.5, 4.6).

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::refusal::{Answer, Refusal};
use super::routes::matched;

/// The roles that there are from the start; each has a user of its name.
pub(super) const ROLES: [&str; 4] = ["admin", "operator", "monitor", "audit"];

/// One user.
pub(super) struct Account {
    pub(super) password: Zeroizing<String>,
    pub(super) full_name: String,
    pub(super) email: String,
    pub(super) role: String,
    pub(super) enabled: bool,
    /// Whether nothing else is done for it before it has changed its password.
    pub(super) must_change: bool,
    /// In DER.
    pub(super) certificates: Vec<Vec<u8>>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Accounts {
    pub(super) users: BTreeMap<String, Account>,
    /// Roles that were made: their rules, a method and a path with placeholders each.
    pub(super) roles: BTreeMap<String, Vec<(String, String)>>,
}

impl Accounts {
    /// A user that is there from the start, named like its role.
    pub(super) fn seed(&mut self, role: &str, password: Zeroizing<String>) {
        let account = Account {
            password,
            full_name: role.to_owned(),
            email: String::new(),
            role: role.to_owned(),
            enabled: true,
            must_change: false,
            certificates: Vec::new(),
        };
        self.users.insert(role.to_owned(), account);
    }

    pub(super) fn get_mut(&mut self, user: &str) -> Answer<&mut Account> {
        self.users.get_mut(user).ok_or_else(|| Refusal::no_user(user))
    }

    /// Lets a user log in with a certificate in DER; `false` if there is no such user.
    pub(super) fn enrol(&mut self, user: &str, certificate: Vec<u8>) -> bool {
        let account = self.users.get_mut(user);
        account.map(|account| account.certificates.push(certificate)).is_some()
    }

    /// Refuses what is not the password of a user that may log in.
    pub(super) fn check(&self, user: &str, password: &str) -> Answer<()> {
        match self.users.get(user) {
            Some(account) if account.enabled && account.password.as_str() == password => Ok(()),
            _ => Err(Refusal::credentials()),
        }
    }

    pub(super) fn must_change(&self, user: &str) -> bool {
        self.users.get(user).is_some_and(|account| account.must_change)
    }

    /// Whether a role is there.
    pub(super) fn has_role(&self, role: &str) -> bool {
        ROLES.contains(&role) || self.roles.contains_key(role)
    }

    /// Whether a call is within the rights of a user.
    pub(super) fn allows(&self, user: &str, method: &str, path: &str) -> bool {
        let Some(account) = self.users.get(user).filter(|account| account.enabled) else { return false };
        let of_hsm = path.starts_with("/api/") || path.starts_with("/tasks");
        match account.role.as_str() {
            "admin" => true,
            "operator" => of_hsm,
            "monitor" => of_hsm && method == "GET",
            "audit" => ["/api/lunasa", "/api/lunasa/services/webserver"].contains(&path) && method == "GET",
            role => self.roles.get(role).is_some_and(|rules| {
                rules.iter().any(|(known, pattern)| known == method && matched(pattern, path).is_some())
            }),
        }
    }
}
