//! Asynchronous calls: without a policy they execute at once and leave their result to be
//! fetched (Securosys TSB reference §3.2). Requests do not outlive the server.

use std::collections::HashMap;

use parking_lot::Mutex;
use rand_core::{OsRng, RngCore};
use serde_json::json;
use uuid::Uuid;

use super::Securosys;
use super::refusal::{Answer, INVALID_UUID, NO_SUCH_REQUEST, Refusal};
use super::switches::LoneAsynchronous;
use super::time;
use super::wire::{DecryptBody, SignBody, base64};
use crate::keys::unix_time;
use crate::vendor::Reply;

/// An executed request.
struct Executed {
    result: Vec<u8>,
    /// Seconds since 1970-01-01 UTC.
    executed: u64,
}

/// The requests executed so far.
#[derive(Default)]
pub(super) struct Requests(Mutex<HashMap<Uuid, Executed>>);

impl Requests {
    fn add(&self, result: Vec<u8>) -> Uuid {
        let mut random = [0; 16];
        OsRng.fill_bytes(&mut random);
        let id = uuid::Builder::from_random_bytes(random).into_uuid();
        self.0.lock().insert(id, Executed { result, executed: unix_time() });
        id
    }
}

impl Securosys {
    pub(super) fn asynchronous_sign(&self, body: SignBody) -> Answer {
        if self.is_forwarded()? {
            return self.sign(body);
        }
        let id = self.requests.add(self.signature(body.sign_request)?);
        Ok(Reply::json(201, &json!({ "signRequestId": id.to_string() })))
    }

    pub(super) fn asynchronous_decrypt(&self, body: DecryptBody) -> Answer {
        if self.is_forwarded()? {
            return self.decrypt(body);
        }
        let id = self.requests.add(self.decrypted(body.decrypt_request)?);
        Ok(Reply::json(201, &json!({ "decryptRequestId": id.to_string() })))
    }

    pub(super) fn get_request(&self, id: &str) -> Answer {
        let id = parse(id)?;
        let requests = self.requests.0.lock();
        let request = requests.get(&id).ok_or_else(unknown)?;
        Ok(Reply::json(
            200,
            &json!({
                "id": id.to_string(),
                "status": "EXECUTED",
                "executionTime": time::iso(request.executed),
                "approvedBy": [],
                "notYetApprovedBy": [],
                "rejectedBy": [],
                "result": base64(&request.result),
            }),
        ))
    }

    pub(super) fn cancel_request(&self, id: &str) -> Answer {
        let id = parse(id)?;
        self.requests.0.lock().remove(&id).ok_or_else(unknown)?;
        Ok(Reply::empty(200))
    }

    /// Whether the call is to be answered by its synchronous twin.
    fn is_forwarded(&self) -> Answer<bool> {
        match self.switches.lone_asynchronous {
            LoneAsynchronous::Forwarded if !self.switches.licence_tsb_engine => Ok(true),
            _ => self.require_tsb_engine().map(|()| false),
        }
    }
}

/// The hyphenated form alone.
fn parse(text: &str) -> Answer<Uuid> {
    match Uuid::try_parse(text) {
        Ok(id) if text.len() == 36 => Ok(id),
        _ => Err(Refusal::new(INVALID_UUID, "The request id is no UUID.")),
    }
}

fn unknown() -> Refusal {
    Refusal::new(NO_SUCH_REQUEST, "There is no such request.")
}
