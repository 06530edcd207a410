//! Roles of the HSM and of its partitions: who may log in, and how often a wrong password is borne (section 5).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::refusal::{Answer, Refusal};
use super::settings::Settings;

/// Those of one place, by their ids.
pub(super) type Roles = BTreeMap<&'static str, Role>;

/// What a role is called.
pub(super) fn name(id: &str) -> &'static str {
    match id {
        "co" => "Crypto Officer",
        "cu" => "Crypto User",
        "so" => "Security Officer",
        _ => "Auditor",
    }
}

/// A role.
pub(super) struct Role {
    pub(super) password: Zeroizing<String>,
    pub(super) initialized: bool,
    pub(super) locked: bool,
    /// How many wrong passwords are left.
    pub(super) left: u32,
    most: u32,
    pub(super) to_be_changed: bool,
    /// Whether it proves itself at a PIN entry device.
    pub(super) ped: bool,
}

/// How a role is proved.
pub(super) enum Proof {
    Password(Zeroizing<String>),
    /// Whether the key at the PIN entry device was the right one.
    Ped(bool),
}

impl Role {
    pub(super) fn new(password: Zeroizing<String>, most: u32, settings: &Settings) -> Role {
        Role {
            password,
            initialized: true,
            locked: false,
            left: most,
            most,
            to_be_changed: false,
            ped: settings.ped,
        }
    }

    /// Takes a proof or refuses it; a wrong one is counted.
    pub(super) fn check(&mut self, proof: &Proof, settings: &Settings) -> Answer<()> {
        self.check_unused(proof, settings)?;
        match self.to_be_changed && settings.refuses_unchanged {
            true => Err(Refusal::login(settings)),
            false => Ok(()),
        }
    }

    /// The same, whether or not the password must be changed.
    pub(super) fn check_unused(&mut self, proof: &Proof, settings: &Settings) -> Answer<()> {
        if !self.initialized || self.locked {
            return Err(Refusal::login(settings));
        }
        let is_right = match proof {
            Proof::Password(password) => *password == self.password,
            Proof::Ped(is_right) => *is_right,
        };
        if !is_right {
            self.left = self.left.saturating_sub(1);
            self.locked = self.left == 0;
            return Err(Refusal::login(settings));
        }
        self.left = self.most;
        Ok(())
    }

    /// What is told of it.
    pub(super) fn to_json(&self, id: &str) -> Value {
        json!({
            "id": id,
            "name": name(id),
            "initialized": self.initialized,
            "activated": false,
            "lockedOut": self.locked,
            "loginAttemptsLeft": self.left,
            "pinToBeChanged": self.to_be_changed,
            "challengeToBeChanged": false,
            "primaryAuthentication": if self.ped { "PED" } else { "PIN" },
            "secondaryAuthentication": "None",
        })
    }
}
