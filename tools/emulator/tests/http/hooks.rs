//! Statistics, faults, latency, canned answers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, Fixture, base64, bytes};

fn fault(client: &mut Client, fault: Value) {
    assert_eq!(client.post("/_emulator/faults", &fault).status, 201);
}

#[test]
fn statistics() {
    let fixture = Fixture::new();
    let mut manager = fixture.manager();
    for label in ["rsa-2048", "ec-p256", "nope"] {
        manager.get(&format!("/v1/key/{label}/attributes"));
    }
    manager.get("/v1/key");
    fixture.operator().get("/v1/systemTime");
    let stats = fixture.connect("").get("/_emulator/stats").json();
    let requests = json!({
        "GET /v1/key": 1, "GET /v1/key/{label}/attributes": 3, "GET (unknown path)": 1,
    });
    assert_eq!(stats["requests"], requests);
    assert_eq!(stats["requests_total"], 5);
    assert_eq!(stats["connections_accepted"], 3);
    assert_eq!(stats["tls_handshakes"], 0);
}

#[test]
fn fault_status() {
    let fixture = Fixture::new();
    let mut operator = fixture.operator();
    fault(
        &mut operator,
        json!({
            "path": "/v1/generateRandom/{length}", "status": 503, "body": "<html>busy</html>",
            "content_type": "text/html", "retry_after": 1, "every": 2, "count": 1,
        }),
    );
    let statuses: Vec<u16> = (0..5).map(|_| operator.get("/v1/generateRandom/8").status).collect();
    assert_eq!(statuses, [200, 503, 200, 200, 200]);
    let listed = operator.get("/_emulator/faults").json();
    assert_eq!(listed["faults"][0]["applied"], 1);

    fault(&mut operator, json!({ "status": 502, "body": { "message": "x" }, "retry_after": 7 }));
    let answer = operator.get("/v1/generateRandom/8");
    assert_eq!((answer.status, answer.header("retry-after")), (502, Some("7")));
    assert_eq!(answer.json(), json!({ "message": "x" }));
    assert_eq!(operator.request("DELETE", "/_emulator/faults", b"").status, 204);
    assert_eq!(operator.get("/v1/generateRandom/8").status, 200);
}

#[test]
fn fault_connections() {
    let fixture = Fixture::new();
    for (action, kind) in [
        ("close", std::io::ErrorKind::UnexpectedEof),
        ("reset", std::io::ErrorKind::ConnectionReset),
        ("truncate", std::io::ErrorKind::UnexpectedEof),
    ] {
        fault(&mut fixture.operator(), json!({ "action": action, "count": 1 }));
        let broken = fixture.operator().try_request("GET", "/v1/generateRandom/8", b"");
        assert_eq!(broken.err().map(|error| error.kind()), Some(kind), "{action}");
        assert_eq!(fixture.operator().get("/v1/generateRandom/8").status, 200, "{action}");
    }
}

#[test]
fn fault_stall_and_lost_signature() {
    let fixture = Fixture::new();
    let mut operator = fixture.operator();
    fault(&mut operator, json!({ "action": "stall", "ms": 200, "count": 1 }));
    let begin = Instant::now();
    assert_eq!(operator.sign("ec-p256", "NONE_WITH_ECDSA", &[1; 32])[0], 0x30);
    assert!(begin.elapsed() >= Duration::from_millis(200));

    fault(&mut operator, json!({ "action": "drop_signature", "path": "/v1/synchronousSign" }));
    let answer = operator.try_sign("ec-p256", "NONE_WITH_ECDSA", &[1; 32]);
    assert_eq!((answer.status, answer.json()), (200, json!({})));
}

#[test]
fn latency() {
    let fixture = Fixture::with(|options| options.latency = Duration::from_millis(50));
    let mut operator = fixture.operator();
    let begin = Instant::now();
    operator.get("/v1/generateRandom/8");
    operator.get("/v1/generateRandom/8");
    assert!(begin.elapsed() >= Duration::from_millis(100));
}

#[test]
fn canned_answers() {
    let fixture = Fixture::with(|options| options.canned = true);
    let mut operator = fixture.operator();
    // Fresh signatures differ, so that an equal one was not computed.
    let first = operator.sign("ec-p256", "NONE_WITH_ECDSA", &[1; 32]);
    assert_eq!(operator.sign("ec-p256", "NONE_WITH_ECDSA", &[1; 32]), first);
    assert_ne!(operator.sign("ec-p256", "NONE_WITH_ECDSA", &[2; 32]), first);
    // Another key's request is another request.
    let body = json!({ "signRequest": {
        "payload": base64([1; 32]), "signKeyName": "ec-p256",
        "signatureAlgorithm": "NONE_WITH_ECDSA",
    }});
    assert_eq!(fixture.manager().post("/v1/synchronousSign", &body).refusal(), (401, 631));

    let mut manager = fixture.manager();
    let before = manager.get("/v1/key").body;
    assert_eq!(manager.get("/v1/key").body, before);
    let attributes = json!({ "sign": true, "decrypt": false, "unwrap": false });
    let body = json!({
        "label": "new", "algorithm": "ED", "curveOid": "1.3.101.112", "attributes": attributes,
    });
    assert_eq!(bytes(&manager.post("/v1/key", &body).json()["json"]["publicKey"]).len(), 44);
    assert_ne!(manager.get("/v1/key").body, before);
    let stats = manager.get("/_emulator/stats").json();
    assert_eq!(stats["requests"]["POST /v1/synchronousSign"], 4);
}
