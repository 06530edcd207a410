//! What the server says of itself (Securosys TSB reference §5), and random bytes (§3.8).

use rand_core::{OsRng, RngCore};
use serde_json::json;

use super::Securosys;
use super::refusal::{Answer, NUMBER_RANGE, Refusal};
use super::switches::Version;
use super::wire::base64;
use crate::vendor::Reply;

/// The documentation gives no maximum; clients ask for pieces of that size.
const MAX_RANDOM_BYTES: usize = 1024;

impl Securosys {
    pub(super) fn version_info(&self) -> Reply {
        let version = match self.switches.version {
            Version::V2_2 => "2.2.0",
            Version::V2_5 => "2.5.1",
        };
        Reply::json(200, &json!({ "Version": version, "Vendor": "Securosys SA" }))
    }

    pub(super) fn licence_info(&self) -> Reply {
        let mut flags = Vec::new();
        if self.switches.licence_tsb_engine {
            flags.extend(["KEY_AUTH", "TSB_ENGINE"]);
        }
        if self.switches.licence_rest_api {
            flags.push("REST_API");
        }
        Reply::json(200, &json!({ "clientFlags": flags }))
    }

    pub(super) fn statistics(&self) -> Reply {
        let text = format!("Keys: {}", self.keys.labels().len());
        Reply::json(200, &json!({ "keyStoreStatistics": text }))
    }

    pub(super) fn random(&self, length: &str) -> Answer {
        self.require_rest_api()?;
        let length = match length.parse::<usize>() {
            Ok(length @ 1..=MAX_RANDOM_BYTES) => length,
            _ => {
                let message = format!("The length must be 1 to {MAX_RANDOM_BYTES}.");
                return Err(Refusal::new(NUMBER_RANGE, message));
            }
        };
        let mut random = vec![0; length];
        OsRng.fill_bytes(&mut random);
        Ok(Reply::json(200, &json!({ "random": base64(random) })))
    }
}
