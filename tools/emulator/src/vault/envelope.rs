//! Around each answer that is no refusal: `data` or `auth` among members that clients of transit pass over.

use rand_core::{OsRng, RngCore};
use serde_json::{Value, json};

use crate::vendor::Reply;

/// What was asked for.
pub(super) fn data(data: Value) -> Reply {
    envelope(data, Value::Null, Value::Null)
}

/// The same with a word beside it.
pub(super) fn warned(data: Value, warning: String) -> Reply {
    envelope(data, Value::Null, json!([warning]))
}

/// A token.
pub(super) fn auth(auth: Value) -> Reply {
    envelope(Value::Null, auth, Value::Null)
}

fn envelope(data: Value, auth: Value, warnings: Value) -> Reply {
    Reply::json(
        200,
        &json!({
            "request_id": random_uuid(),
            "lease_id": "",
            "renewable": false,
            "lease_duration": 0,
            "data": data,
            "wrap_info": null,
            "warnings": warnings,
            "auth": auth,
        }),
    )
}

/// One that nothing else has.
fn random_uuid() -> String {
    let mut bytes = [0; 16];
    OsRng.fill_bytes(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}
