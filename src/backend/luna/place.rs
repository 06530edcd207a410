//! Where the partition is, and what the appliance tells of it and of the HSM (Luna reference section 8).

use std::time::Duration;

use cryptoki_sys::CKR_TOKEN_NOT_PRESENT;
use serde_json::Value;

use super::errors::{Purpose, Refusal};
use super::service::{Call, Service, parsed};
use super::wire;
use crate::backend::{Firmware, Memory};
use crate::error::{Error, Result};
use crate::transport::Deadline;

const HSMS: &str = "/api/lunasa/hsms";

/// How long version and storage may keep a login waiting: nobody depends on them.
const PATIENCE: Duration = Duration::from_secs(2);

/// The partition of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    hsm: String,
    partition: String,
}

impl Place {
    /// The path of what lies below the partition.
    pub(super) fn below(&self, rest: &str) -> String {
        let Self { hsm, partition } = self;
        format!("{HSMS}/{hsm}/partitions/{partition}/{rest}")
    }
}

/// What is told of the HSM.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct About {
    pub(super) firmware: Option<Firmware>,
    pub(super) memory: Option<Memory>,
}

impl Service {
    /// The partition with this id, name or label, or the only one.
    ///
    /// # Errors
    /// `CKR_TOKEN_NOT_PRESENT` where there is none, or where it is not initialised.
    pub(super) fn find(&self, wanted: Option<&str>, deadline: Deadline) -> Result<Place> {
        let purpose = Purpose::Find;
        let absent = |what: String| Error::new(CKR_TOKEN_NOT_PRESENT, format!("{purpose}: {what}"));
        let hsms = self.ids(HSMS, deadline)?;
        let hsm = hsms.into_iter().next().ok_or_else(|| absent("the appliance lists no HSM".into()))?;
        let partitions = self.ids(&format!("{HSMS}/{hsm}/partitions"), deadline)?;
        let shown = partitions.join(", ");
        let partition = match wanted {
            None => match <[String; 1]>::try_from(partitions) {
                Ok([only]) => Some(only),
                Err(many) if many.is_empty() => None,
                Err(_) => {
                    let text = format!("there are several ({shown}): name one, slot.luna.partition = \"…\"");
                    return Err(absent(text));
                }
            },
            Some(wanted) if partitions.iter().any(|id| id == wanted) => Some(wanted.to_owned()),
            Some(wanted) => self.named(&hsm, partitions, wanted, deadline)?,
        };
        let partition = partition.ok_or_else(|| {
            let wanted = wanted.map(|wanted| format!(" of the name {wanted:?}")).unwrap_or_default();
            absent(format!("there is no partition{wanted} among those with the ids {shown:?}"))
        })?;
        let place = Place { hsm, partition };
        if let Some(state) =
            self.state(&place, deadline).filter(|state| !state.eq_ignore_ascii_case("initialized"))
        {
            return Err(absent(format!("partition {} is {state:?}", place.partition)));
        }
        Ok(place)
    }

    /// The ids of a list.
    fn ids(&self, path: &str, deadline: Deadline) -> Result<Vec<String>> {
        let answer = self.read(&Call::get(path, Purpose::Find), deadline)?;
        Ok(wire::array(&answer).unwrap_or_default().iter().filter_map(wire::id).collect())
    }

    fn named(
        &self,
        hsm: &str,
        partitions: Vec<String>,
        wanted: &str,
        deadline: Deadline,
    ) -> Result<Option<String>> {
        for id in partitions {
            let answer =
                self.read(&Call::get(&format!("{HSMS}/{hsm}/partitions/{id}"), Purpose::Find), deadline)?;
            let Some(object) = answer.as_object() else { continue };
            let is_it =
                |name: &str| wire::member(object, &[name]).and_then(wire::text).as_deref() == Some(wanted);
            if is_it("name") || is_it("label") {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// The state of a partition, where the account may see it.
    fn state(&self, place: &Place, deadline: Deadline) -> Option<String> {
        let path = format!("{HSMS}/{}/partitions/{}", place.hsm, place.partition);
        let answer = self.told(&path, deadline)?;
        wire::member(answer.as_object()?, &["state"]).and_then(wire::text)
    }

    /// Version and storage of the HSM, as far as they are told.
    pub(super) fn about(&self, place: &Place) -> About {
        let deadline = Deadline::after(PATIENCE);
        let told = |name: &str| self.told(&format!("{HSMS}/{}/{name}", place.hsm), deadline);
        let firmware = told("firmware").as_ref().and_then(wire::version);
        let memory = told("storageSpace").as_ref().and_then(wire::storage);
        About {
            firmware: firmware.map(|(major, minor)| Firmware { major, minor }),
            memory: memory.map(|(total, free)| Memory { total, free }),
        }
    }

    /// What nobody depends on.
    fn told(&self, path: &str, deadline: Deadline) -> Option<Value> {
        let call = Call::get(path, Purpose::Find);
        let answer = self.ask(&call, deadline).ok()?;
        if answer.is_success() {
            return parsed(call.purpose, &answer).ok();
        }
        self.log.debug(format_args!("{path}: {}", Refusal::read(&answer)));
        None
    }
}
