//! What is told of the appliance, the HSM, its partitions and their roles (sections 5 and 8).

use serde_json::{Value, json};

use super::exchange::Exchange;
use super::hsm::ID;
use super::objects::Object;
use super::refusal::{Answer, Refusal};
use super::roles::{self, Role};
use super::sessions::Place;
use crate::vendor::Reply;

const VERSION: &str = "7.8.4-254";
/// Bytes of the HSM.
const STORAGE: usize = 33_554_432;
/// Bytes of a partition, as in the reference.
const PARTITION_SIZE: usize = 648_381;

/// What lies below the appliance.
const LINKS: [&str; 19] = [
    "actions",
    "cluster",
    "config",
    "cpu",
    "disk",
    "hsms",
    "memory",
    "network",
    "ntls",
    "ntp",
    "packageFiles",
    "packages",
    "sensors",
    "services",
    "snmp",
    "ssh",
    "syslog",
    "time",
    "upgrades",
];

fn answer(body: &Value) -> Answer {
    Ok(Reply::json(200, body))
}

impl Exchange<'_> {
    pub(super) fn appliance(&self) -> Answer {
        let mut body = json!({
            "version": VERSION,
            "systemStatus": "ISO (In Service Okay)",
            "systemStatusCodes": [],
            "forceSoLogin": false,
            "webServer": "/api/lunasa/services/webserver",
        });
        for link in LINKS {
            body[link] = format!("/api/lunasa/{link}").into();
        }
        answer(&body)
    }

    pub(super) fn web_server(&self) -> Answer {
        answer(&json!({ "port": 8443 }))
    }

    pub(super) fn hsms(&self) -> Answer {
        self.listing("hsms", vec![json!({ "id": self.id(ID), "url": format!("/api/lunasa/hsms/{ID}") })])
    }

    /// Refuses paths below another HSM.
    fn check_hsm(&self) -> Answer<()> {
        match self.parameter(0) {
            ID => Ok(()),
            other => Err(Refusal::no_hsm(other)),
        }
    }

    /// The HSM or the partition that the path names.
    pub(super) fn place(&self) -> Answer<Place> {
        self.check_hsm()?;
        let is_below_partition = self.request.path.contains("/partitions/");
        let place = is_below_partition.then(|| self.parameter(1).to_owned());
        self.state.hsm.roles(&place)?;
        Ok(place)
    }

    pub(super) fn hsm(&self) -> Answer {
        self.check_hsm()?;
        let left = self.state.hsm.roles.get("so").map(|so| so.left);
        answer(&json!({
            "id": self.id(ID),
            "url": format!("/api/lunasa/hsms/{ID}"),
            "label": "emulated",
            "soLoginsLeft": left,
        }))
    }

    /// The name of the field is unconfirmed.
    pub(super) fn firmware(&self) -> Answer {
        self.check_hsm()?;
        answer(&json!({ "version": "7.8.4" }))
    }

    /// The names of the fields are unconfirmed.
    pub(super) fn storage(&self) -> Answer {
        self.check_hsm()?;
        let used = PARTITION_SIZE * self.state.hsm.partitions.len();
        answer(&json!({ "total": STORAGE, "used": used, "free": STORAGE - used }))
    }

    pub(super) fn partitions(&self) -> Answer {
        self.check_hsm()?;
        let url = |id: &str| format!("/api/lunasa/hsms/{ID}/partitions/{id}");
        let all = self.state.hsm.partitions.keys();
        self.listing("partitions", all.map(|id| json!({ "id": self.id(id), "url": url(id) })).collect())
    }

    pub(super) fn partition(&self) -> Answer {
        self.place()?;
        let id = self.parameter(1);
        let partition = self.state.hsm.partition(id)?;
        answer(&json!({
            "id": self.id(id),
            "name": partition.name,
            "label": if partition.initialized { partition.name } else { "" },
            "state": partition.state(),
            "version": 1,
            "hasPso": true,
            "size": PARTITION_SIZE,
            "objects": partition.objects.values().filter(|object: &&Object| !object.private).count(),
        }))
    }

    pub(super) fn roles(&self) -> Answer {
        let roles = self.state.hsm.roles(&self.place()?)?;
        let path = &self.request.path;
        let item = |id: &str| json!({ "id": id, "name": roles::name(id), "url": format!("{path}/{id}") });
        self.listing("roles", roles.keys().copied().map(item).collect())
    }

    pub(super) fn role(&self) -> Answer {
        let (id, role) = self.named_role()?;
        answer(&role.to_json(id))
    }

    /// The role that the path names.
    fn named_role(&self) -> Answer<(&'static str, &Role)> {
        let place = self.place()?;
        let id = self.parameter(if place.is_some() { 2 } else { 1 });
        let found = self.state.hsm.roles(&place)?.get_key_value(id);
        found.map(|(id, role)| (*id, role)).ok_or_else(Refusal::no_role)
    }
}
