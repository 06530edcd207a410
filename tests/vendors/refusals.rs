//! What goes wrong at each vendor, and the codes of the references for it (FAST HSM §6.4, Luna §12.3, gateway §7,
//! Securosys §1).

use std::thread;

use cryptoki_sys::*;
use reqwest::Method;
use serde_json::Value;

use crate::support::emulator::PIN;
use crate::support::p11::{Called, Code};
use crate::{BELIEVED, ODD, World, vendor};

/// What the application does, and when the HSM changes its mind.
enum Act {
    /// The change, then a login with these words.
    Login(&'static str),
    /// The change, then a login with the right PIN.
    LoginRight,
    /// A login, the change, then a signature.
    Sign,
    /// A login, the change, then a search that has to ask the HSM, and if that goes well a signature.
    List,
}

/// One call of the emulator's administration, `/_emulator/…`: method, path, body.
type Change = (&'static str, &'static str, &'static str);

/// One thing that goes wrong.
struct Row {
    vendor: &'static str,
    what: &'static str,
    /// What makes it go wrong, and what mends it.
    changes: &'static [Change],
    mends: &'static [Change],
    act: Act,
    code: CK_RV,
}

const fn row(
    vendor: &'static str,
    what: &'static str,
    changes: &'static [Change],
    mends: &'static [Change],
    act: Act,
    code: CK_RV,
) -> Row {
    Row { vendor, what, changes, mends, act, code }
}

const CO: &str = "partitions/1682975235230/roles/co";
const LUNA_ACCOUNT: &str = "accounts/operator";
const GATEWAY_ACCOUNT: &str = "accounts/operator";
const GATEWAY_SECRET: &str = "secrets/client-001";
const FAST_ACCOUNT: &str = "accounts/p11rest";

const ROWS: &[Row] = &[
    // Securosys: an API key is good or it is not.
    row("securosys", "wrong PIN", &[], &[], Act::Login("wrong"), CKR_PIN_INCORRECT),
    row(
        "securosys",
        "the key is no longer that of the role",
        &[("PUT", "api-keys/key_operation", r#"["another"]"#)],
        &[("PUT", "api-keys/key_operation", r#"["{pin}"]"#)],
        Act::Sign,
        CKR_USER_NOT_LOGGED_IN,
    ),
    // FAST HSM.
    row("fast", "wrong PIN", &[], &[], Act::Login("wrong"), CKR_PIN_INCORRECT),
    row(
        "fast",
        "locked account",
        &[("PUT", FAST_ACCOUNT, r#"{"locked":true}"#)],
        &[("PUT", FAST_ACCOUNT, r#"{"locked":false}"#)],
        Act::LoginRight,
        CKR_PIN_LOCKED,
    ),
    row("fast", "expired token", &[("DELETE", "tokens", "")], &[], Act::Sign, CKR_OK),
    row(
        "fast",
        "expired token of a locked account",
        &[("PUT", FAST_ACCOUNT, r#"{"locked":true}"#), ("DELETE", "tokens", "")],
        &[("PUT", FAST_ACCOUNT, r#"{"locked":false}"#)],
        Act::Sign,
        CKR_USER_NOT_LOGGED_IN,
    ),
    // Luna: the PIN is that of the partition's role, a colon, and that of CipherTrust Manager.
    row("luna", "wrong PIN of the role", &[], &[], Act::Login("wrong:{pin}"), CKR_PIN_INCORRECT),
    row("luna", "wrong PIN of the other slot", &[], &[], Act::Login("{pin}:wrong"), CKR_PIN_INCORRECT),
    row("luna", "one PIN for two", &[], &[], Act::Login("{pin}"), CKR_PIN_INCORRECT),
    row(
        "luna",
        "locked role",
        &[("PUT", CO, r#"{"lockedOut":true}"#)],
        &[("PUT", CO, r#"{"lockedOut":false,"loginAttemptsLeft":10}"#)],
        Act::LoginRight,
        CKR_PIN_LOCKED,
    ),
    row(
        "luna",
        "role without a PIN",
        &[("PUT", CO, r#"{"initialized":false}"#)],
        &[("PUT", CO, r#"{"initialized":true}"#)],
        Act::LoginRight,
        CKR_USER_PIN_NOT_INITIALIZED,
    ),
    row(
        "luna",
        "PIN to be changed",
        &[("PUT", CO, r#"{"pinToBeChanged":true}"#)],
        &[("PUT", CO, r#"{"pinToBeChanged":false}"#)],
        Act::LoginRight,
        // CKR_PIN_EXPIRED of the reference is none of the codes of C_Login (section 5.6.8): the log has it.
        CKR_PIN_INCORRECT,
    ),
    row("luna", "session that ended", &[("DELETE", "sessions", "")], &[], Act::List, CKR_USER_NOT_LOGGED_IN),
    row(
        "luna",
        "account of the appliance that is not allowed to",
        &[("PUT", LUNA_ACCOUNT, r#"{"role":"monitor"}"#)],
        &[("PUT", LUNA_ACCOUNT, r#"{"role":"operator"}"#)],
        Act::LoginRight,
        CKR_DEVICE_ERROR,
    ),
    row(
        "luna",
        "account of the appliance that is no longer allowed to",
        &[("PUT", LUNA_ACCOUNT, r#"{"role":"audit"}"#)],
        &[("PUT", LUNA_ACCOUNT, r#"{"role":"operator"}"#)],
        Act::List,
        // CKR_FUNCTION_REJECTED of the reference is none of the codes of C_FindObjectsInit: the log has it.
        CKR_DEVICE_ERROR,
    ),
    // CipherTrust Manager.
    row("ciphertrust", "wrong PIN", &[], &[], Act::Login("wrong"), CKR_PIN_INCORRECT),
    row(
        "ciphertrust",
        "locked account",
        &[("PUT", "account", r#"{"locked":true}"#)],
        &[("PUT", "account", r#"{"locked":false}"#)],
        Act::LoginRight,
        CKR_PIN_LOCKED,
    ),
    row("ciphertrust", "expired token", &[("POST", "tokens/expire", "")], &[], Act::Sign, CKR_OK),
    row(
        "ciphertrust",
        "expired token, and nothing to renew it with",
        &[
            ("POST", "tokens/expire", ""),
            ("POST", "refresh-tokens/revoke", ""),
            ("PUT", "account", r#"{"locked":true}"#),
        ],
        &[("PUT", "account", r#"{"locked":false}"#)],
        Act::Sign,
        CKR_USER_NOT_LOGGED_IN,
    ),
    row(
        "ciphertrust",
        "no right to use the key",
        &[(
            "POST",
            "faults",
            r#"{"path":"/crypto/sign","status":403,"body":{"code":12,"codeDesc":"NCERRForbidden: not for this account"}}"#,
        )],
        &[("DELETE", "faults", "")],
        Act::Sign,
        CKR_FUNCTION_REJECTED,
    ),
    // The gateway.
    row("gateway", "wrong PIN", &[], &[], Act::Login("wrong"), CKR_PIN_INCORRECT),
    row(
        "gateway",
        "locked account",
        &[("PUT", GATEWAY_ACCOUNT, r#"{"locked":true}"#)],
        &[("PUT", GATEWAY_ACCOUNT, r#"{"locked":false}"#)],
        Act::LoginRight,
        CKR_PIN_LOCKED,
    ),
    row("gateway", "expired token", &[("POST", "tokens/expire", "")], &[], Act::Sign, CKR_OK),
    row(
        "gateway",
        "both tokens gone",
        &[("POST", "tokens/expire", ""), ("POST", "tokens/revoke", "")],
        &[],
        Act::Sign,
        CKR_OK,
    ),
    row(
        "gateway",
        "both tokens gone, and the account locked",
        &[
            ("POST", "tokens/expire", ""),
            ("POST", "tokens/revoke", ""),
            ("PUT", GATEWAY_ACCOUNT, r#"{"locked":true}"#),
        ],
        &[("PUT", GATEWAY_ACCOUNT, r#"{"locked":false}"#)],
        Act::Sign,
        CKR_USER_NOT_LOGGED_IN,
    ),
    row("gateway", "replay, and the next nonce is good", &[("PUT", "replay", "1")], &[], Act::Sign, CKR_OK),
    row(
        "gateway",
        "replay, whatever the nonce",
        &[("PUT", "replay", "1000")],
        &[("PUT", "replay", "0")],
        Act::Sign,
        CKR_DEVICE_ERROR,
    ),
    row(
        "gateway",
        "clocks that are 10 minutes apart",
        &[("PUT", "clock", "600")],
        &[("PUT", "clock", "0")],
        Act::Sign,
        CKR_OK,
    ),
    row(
        "gateway",
        "clocks that are 10 minutes apart the other way, at login",
        &[("PUT", "clock", "-600")],
        &[("PUT", "clock", "0")],
        Act::LoginRight,
        CKR_OK,
    ),
    row(
        "gateway",
        "another secret",
        &[("PUT", GATEWAY_SECRET, r#"["another secret that is long enough"]"#)],
        &[("PUT", GATEWAY_SECRET, r#"["{secret}"]"#)],
        Act::Sign,
        CKR_DEVICE_ERROR,
    ),
    row(
        "gateway",
        "foreign address at login",
        &[("PUT", "allow", r#"["192.0.2.0/24"]"#)],
        &[("PUT", "allow", "[]")],
        Act::LoginRight,
        CKR_DEVICE_ERROR,
    ),
    row(
        "gateway",
        "foreign address",
        &[("PUT", "allow", r#"["192.0.2.0/24"]"#)],
        &[("PUT", "allow", "[]")],
        Act::Sign,
        CKR_DEVICE_ERROR,
    ),
    row(
        "gateway",
        "account that may not use keys",
        &[("PUT", GATEWAY_ACCOUNT, r#"{"permitted":false}"#)],
        &[("PUT", GATEWAY_ACCOUNT, r#"{"permitted":true}"#)],
        Act::Sign,
        CKR_FUNCTION_REJECTED,
    ),
    // The transit engine: the PIN is a token, and there is nothing to renew it with.
    row("vault", "wrong PIN", &[], &[], Act::Login("wrong"), CKR_PIN_INCORRECT),
    row(
        "vault",
        "expired token",
        &[("POST", "tokens/expire", "")],
        &[("POST", "tokens", r#""{pin}""#)],
        Act::Sign,
        CKR_USER_NOT_LOGGED_IN,
    ),
    row(
        "vault",
        "policy that does not let it sign",
        &[("PUT", "denied", r#"["transit/sign/*"]"#)],
        &[("PUT", "denied", "[]")],
        Act::Sign,
        CKR_FUNCTION_REJECTED,
    ),
    row(
        "vault",
        "sealed",
        &[("PUT", "sealed", "true")],
        &[("PUT", "sealed", "false")],
        Act::Sign,
        CKR_DEVICE_ERROR,
    ),
];

#[test]
fn have_the_codes_of_the_references() {
    let (world, _turn) = World::take();
    let mut wrong = Vec::new();
    for row in ROWS {
        let code = row.run(world);
        if code != Code(row.code) {
            wrong.push(format!("{}, {}: {code:?} instead of {:?}", row.vendor, row.what, Code(row.code)));
        }
        // Mended, it is as if nothing had been.
        let session = world.p11.open(world.slot(&format!("{}{ODD}", row.vendor))).unwrap();
        let login = session.login(&(vendor(row.vendor).pin)());
        let signature = login.and_then(|()| vendor(row.vendor).sign(&session, b"mended"));
        if let Err(code) = signature {
            wrong.push(format!("{}, {}, mended: {code:?}", row.vendor, row.what));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

impl Row {
    fn run(&self, world: &World) -> Code {
        let vendor = vendor(self.vendor);
        let session = world.p11.open(world.slot(&format!("{}{ODD}", vendor.name))).unwrap();
        let right = (vendor.pin)();
        let login = |pin: &str| session.login(&pin.replace("{pin}", PIN));
        let change = |all: &[Change]| all.iter().for_each(|change| administer(world, vendor.name, change));
        let outcome: Called<()> = match self.act {
            Act::Login(pin) => {
                change(self.changes);
                login(pin)
            }
            Act::LoginRight => {
                change(self.changes);
                login(&right)
            }
            Act::Sign => {
                login(&right).unwrap();
                vendor.sign(&session, b"before").unwrap();
                change(self.changes);
                vendor.sign(&session, b"after").map(drop)
            }
            Act::List => {
                login(&right).unwrap();
                let key = session.the(CKO_PRIVATE_KEY, vendor.key);
                change(self.changes);
                thread::sleep(2 * BELIEVED);
                session.find(&[]).and_then(|_| session.sign_init(&vendor.mechanism.into(), key))
            }
        };
        change(self.mends);
        outcome.err().unwrap_or(Code(CKR_OK))
    }
}

fn administer(world: &World, vendor: &str, (method, path, body): &Change) {
    let emulator = &world.emulators[vendor];
    let mut body = body.replace("{pin}", PIN);
    if body.contains("{secret}") {
        body = body.replace("{secret}", &emulator.text("hmac.secret"));
    }
    let body: Option<Value> = match body.as_str() {
        "" => None,
        text => Some(serde_json::from_str(text).expect("JSON")),
    };
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let answer = emulator.call(method, &format!("/_emulator/{path}"), &[], body.as_ref());
    assert!(answer.status().is_success(), "{vendor}: {path}: {}", answer.status());
}
