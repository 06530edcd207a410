//! What the appliance does later (section 6), for which logins at a PIN entry device are the occasion.

use std::sync::atomic::{AtomicUsize, Ordering};

use cryptoki_sys::{CK_RV, CKR_DEVICE_ERROR, CKR_FUNCTION_FAILED, CKR_OK, CKR_PIN_INCORRECT, CKR_PIN_LOCKED};
use serde_json::json;

use super::*;

/// The task of section 6 in a state.
fn task(state: &str) -> String {
    json!({
        "instance": "/tasks/22", "state": state, "sourceUrl": "/api/lunasa/hsms/154704/login",
        "responseUrl": "/tasks/22/response", "startTime": "2015-07-11T07:23:49Z", "finishTime": "", "details": "",
    })
    .to_string()
}

/// An appliance with a PIN entry device whose login is task 22, which is `told` in turn; the last is told for good.
fn with_device(told: Vec<fn() -> Answer>, response: fn() -> Answer, location: &'static str) -> Server {
    let asked = AtomicUsize::new(0);
    let tried = AtomicUsize::new(0);
    appliance(move |seen| match &*seen.target {
        target if target == at("POST", "/login") => {
            tried.fetch_add(1, Ordering::SeqCst);
            Some(located(204, location))
        }
        target if target == at("GET", "/roles/co") => {
            let left = 3 - tried.load(Ordering::SeqCst);
            Some(role(json!({"primaryAuthentication": "PED", "loginAttemptsLeft": left})))
        }
        "GET /tasks/22" => {
            let number = asked.fetch_add(1, Ordering::SeqCst).min(told.len() - 1);
            Some(told[number]())
        }
        "GET /tasks/22/response" => Some(response()),
        _ => None,
    })
}

fn running() -> Answer {
    answer(200, task("Running"))
}

fn finished() -> Answer {
    Answer { body: task("FINISHED"), ..located(303, "/elsewhere") }
}

fn failed() -> Answer {
    Answer { body: task("ERROR"), ..located(303, "/tasks/22/response") }
}

fn taken() -> Answer {
    answer(204, "")
}

/// What a login without a PIN comes to.
fn outcome(luna: &Luna) -> CK_RV {
    luna.login(b"", soon()).map_or_else(|error| error.rv(), |()| CKR_OK)
}

#[test]
fn a_login_at_the_device_is_a_task_that_is_asked_until_it_is_finished() {
    for location in ["/tasks/22", "tasks/22", "https://luna.example:8443/tasks/22"] {
        let server = with_device(vec![running, running, finished], taken, location);
        let luna = open(&server, &settings());
        assert_eq!(outcome(&luna), CKR_OK, "{location}");
        assert!(luna.login_stands() && luna.token_state().protected_path);
        let login = those(&server, &at("POST", "/login"));
        assert_eq!((login.len(), &*login[0].body), (1, r#"{"ped":"0","role":"co"}"#));
        let targets = server.targets();
        let asked: Vec<_> = targets.iter().filter(|target| target.contains("tasks")).collect();
        assert_eq!(asked, ["GET /tasks/22", "GET /tasks/22", "GET /tasks/22", "GET /tasks/22/response"]);
        assert!(!targets.iter().any(|target| target.contains("elsewhere")), "redirects are not followed");
    }
}

#[test]
fn the_device_is_the_configured_one() {
    let server = with_device(vec![finished], taken, "/tasks/22");
    let luna = open(&server, &config::Luna { ped: Some(2), ..settings() });
    assert!(luna.token_state().protected_path, "before anything was told");
    assert_eq!(outcome(&luna), CKR_OK);
    assert_eq!(those(&server, &at("POST", "/login"))[0].body, r#"{"ped":"2","role":"co"}"#);
}

#[test]
fn a_task_that_fails_says_why_if_it_can() {
    let login_failed: fn() -> Answer = || fault(401, "HSMPLUGIN_LOGIN_FAILED");
    for (told, response, expected) in [
        (failed as fn() -> Answer, taken as fn() -> Answer, CKR_FUNCTION_FAILED),
        (failed, || fault(500, ""), CKR_FUNCTION_FAILED),
        (failed, login_failed, CKR_PIN_INCORRECT),
        (finished, login_failed, CKR_PIN_INCORRECT),
        (finished, || fault(422, "HSMPLUGIN_OPERATION_NOT_ALLOWED"), CKR_FUNCTION_FAILED),
        (|| answer(410, ""), taken, CKR_DEVICE_ERROR),
        (|| fault(400, "FRAMEWORK_BAD_REQUEST"), taken, cryptoki_sys::CKR_GENERAL_ERROR),
        (|| answer(500, ""), taken, CKR_DEVICE_ERROR),
    ] {
        let server = with_device(vec![running, told], response, "/tasks/22");
        let luna = open(&server, &settings());
        assert_eq!(outcome(&luna), expected);
        assert_eq!(count(&server, &at("POST", "/login")), 1);
        assert!(!luna.login_stands());
        assert_eq!(server.targets().last().map(String::as_str), Some("DELETE /auth/session"));
    }
}

#[test]
fn a_task_is_waited_for_until_the_deadline_and_not_begun_again() {
    let server = with_device(vec![running], taken, "/tasks/22");
    let luna = open(&server, &settings());
    let deadline = Deadline::after(Duration::from_millis(400));
    assert_eq!(luna.login(b"", deadline).unwrap_err().rv(), CKR_DEVICE_ERROR);
    assert_eq!(count(&server, &at("POST", "/login")), 1);
}

#[test]
fn the_last_try_at_the_device_is_spared_too() {
    let server = with_device(vec![failed], || fault(401, "HSMPLUGIN_LOGIN_FAILED"), "/tasks/22");
    let luna = open(&server, &settings());
    let outcomes: Vec<_> = (0..4).map(|_| outcome(&luna)).collect();
    assert_eq!(outcomes, [CKR_PIN_INCORRECT, CKR_PIN_INCORRECT, CKR_PIN_LOCKED, CKR_PIN_LOCKED]);
    assert_eq!(count(&server, &at("POST", "/login")), 2);
    let pin = luna.token_state().user_pin;
    assert!(pin.final_try && pin.count_low && !pin.locked);
}
