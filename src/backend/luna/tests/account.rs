//! The account of the appliance: password, token, certificate (section 4).

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_PIN_INCORRECT};
use rsa::pkcs8::DecodePublicKey;
use rsa::{Pkcs1v15Encrypt, RsaPublicKey};

use super::super::challenge::tests::{certified, write_key};
use super::*;
use crate::config::Shows;
use crate::crypto::certificate::Certificate;

#[test]
fn a_token_carries_the_shared_session_and_the_password_opens_the_private_one() {
    let server = appliance(|_| None);
    let jwt = config::Luna { login: ApplianceLogin::Jwt, api_version: Some(5), ..settings() };
    let luna = open(&server, &jwt);
    log_in(&luna);
    luna.logout();
    luna.close(soon());
    let shown: Vec<_> = server
        .seen()
        .into_iter()
        .map(|seen| (seen.target.clone(), seen.header("authorization").unwrap_or("-").to_owned()))
        .filter(|(_, authorization)| authorization != "-")
        .collect();
    let bearer = "Bearer tok-1";
    let expected = [
        ("POST /auth/jwt".to_owned(), BASIC),
        ("GET /api/lunasa/hsms".to_owned(), bearer),
        ("GET /api/lunasa/hsms/154704/partitions".to_owned(), bearer),
        (at("GET", ""), bearer),
        ("POST /auth/session".to_owned(), BASIC),
        ("DELETE /auth/jwt".to_owned(), bearer),
    ];
    assert_eq!(shown, expected.map(|(target, shown)| (target, shown.to_owned())));
    let request = &those(&server, "POST /auth/jwt")[0];
    assert_eq!(request.body, "{}");
    for header in ["content-type", "accept"] {
        assert_eq!(request.header(header), Some("application/vnd.safenetinc.lunasa+json;version=5"));
    }
}

#[test]
fn a_token_that_is_refused_is_got_anew_and_one_that_is_not_offered_is_explained() {
    let given = AtomicUsize::new(0);
    let server = appliance(move |seen| {
        if seen.target == "POST /auth/jwt" {
            let number = given.fetch_add(1, Ordering::SeqCst);
            return Some(answer(200, format!(r#"{{"accessToken":"tok-{number}"}}"#)));
        }
        let is_old =
            seen.header("authorization") == Some("Bearer tok-0") && seen.target.ends_with("/partitions");
        is_old.then(|| fault(401, "FRAMEWORK_UNAUTHORIZED"))
    });
    let jwt = config::Luna { login: ApplianceLogin::Jwt, ..settings() };
    log_in(&open(&server, &jwt));
    assert_eq!(count(&server, "POST /auth/jwt"), 2);
    let server = appliance(|seen| (seen.target == "POST /auth/jwt").then(|| fault(404, "")));
    let error = open(&server, &jwt).login(PIN, soon()).unwrap_err();
    assert_eq!(error.rv(), CKR_DEVICE_ERROR);
    assert!(error.to_string().contains("api_version = 5"), "{error}");
}

#[test]
fn what_the_account_may_not_do_is_no_reason_for_another_token() {
    let server = appliance(|seen| {
        (seen.target == "GET /api/lunasa/hsms").then(|| fault(401, "FRAMEWORK_NO_ACL_RULE"))
    });
    let luna = open(&server, &config::Luna { login: ApplianceLogin::Jwt, ..settings() });
    assert_eq!(refused(&luna), cryptoki_sys::CKR_FUNCTION_REJECTED);
    assert_eq!(server.targets(), ["POST /auth/jwt", "GET /api/lunasa/hsms"]);
}

#[test]
fn a_refused_password_of_the_configuration_is_no_wrong_pin() {
    let server = appliance(|_| Some(answer(401, "")));
    let luna = open(&server, &settings());
    assert_eq!(refused(&luna), CKR_DEVICE_ERROR);
    assert_eq!(server.targets(), ["GET /api/lunasa/hsms"], "it is not shown again");
}

#[test]
fn a_password_that_was_changed_is_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    fs::write(&path, "old").unwrap();
    let server = appliance(|seen| {
        let shown = seen.header("authorization").filter(|shown| *shown != BASIC);
        shown.map(|_| fault(401, "FRAMEWORK_UNAUTHORIZED"))
    });
    let luna = open(&server, &config::Luna { password: Some(Secret::File(path.clone())), ..settings() });
    assert_eq!(refused(&luna), CKR_DEVICE_ERROR);
    assert_eq!(server.seen().len(), 1, "it is the same one still");
    fs::write(&path, "s3cret").unwrap();
    log_in(&luna);
}

/// Section 12.3: where the PIN is the password of the appliance.
#[test]
fn a_pin_that_is_the_password_of_the_account_opens_a_session_and_no_role() {
    let server = appliance(|seen| {
        let shown = seen.header("authorization").filter(|shown| *shown != BASIC);
        shown.map(|_| fault(401, "FRAMEWORK_UNAUTHORIZED"))
    });
    let luna = open(&server, &config::Luna { password: Some(Secret::Pin), ..settings() });
    assert!(!luna.may_list());
    assert_eq!(luna.login(b"wrong", soon()).unwrap_err().rv(), CKR_PIN_INCORRECT);
    assert!(!luna.may_list());
    luna.login(b"s3cret", soon()).unwrap();
    assert!(luna.may_list() && luna.login_stands());
    luna.logout();
    assert!(!luna.may_list());
    assert_eq!(server.targets(), ["POST /auth/session", "POST /auth/session", "DELETE /auth/session"]);
}

/// Section 4.5, the appliance's side by another implementation.
#[test]
#[expect(clippy::disallowed_methods, reason = "nobody times the server of a test")]
fn a_certificate_answers_a_challenge_and_the_cookie_of_that_is_the_session() {
    let folder = tempfile::tempdir().unwrap();
    let (client, client_pem) = certified();
    let (own, own_pem) = certified();
    let (certificate, key) = (folder.path().join("client.pem"), folder.path().join("client.key"));
    fs::write(&certificate, &client_pem).unwrap();
    write_key(&key, &client);
    let nonce = [0x0f_u8; 32];
    let server = appliance(move |seen| match &*seen.target {
        "POST /auth/login/challenge" => {
            let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
            let shown = Certificate::parse_all(body["certificate"].as_str().unwrap().as_bytes()).unwrap();
            assert_eq!(body["username"], "robot");
            let public = RsaPublicKey::from_public_key_der(shown[0].spki()).unwrap();
            let sealed = public.encrypt(&mut rand_core::OsRng, Pkcs1v15Encrypt, &[0x5a; 32]).unwrap();
            let body = serde_json::json!({
                "challenge": STANDARD.encode(sealed), "nonce": STANDARD.encode(nonce),
                "certificate": own_pem.replace('\n', "\\n"),
            });
            let headers = vec![("Set-Cookie", "tie=1".to_owned())];
            Some(Answer { headers, ..answer(200, body.to_string()) })
        }
        "POST /auth/login/basic" => {
            let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
            let response = STANDARD.decode(body["challengeResponse"].as_str().unwrap()).unwrap();
            let clear = own.decrypt(Pkcs1v15Encrypt, &response).unwrap();
            let fits = clear == [0x55; 32] && seen.header("cookie") == Some("tie=1");
            let headers = vec![("Set-Cookie", "sid=2; Path=/".to_owned())];
            Some(if fits { Answer { headers, ..answer(204, "") } } else { answer(401, "") })
        }
        _ => (seen.header("cookie") != Some("sid=2")).then(|| answer(401, "")),
    });
    let login = ApplianceLogin::Certificate { certificate, key, shows: Shows::Certificate };
    let luna = open(&server, &config::Luna { login, password: None, ..settings() });
    assert!(luna.may_list(), "a certificate waits for nothing");
    log_in(&luna);
    luna.logout();
    let targets = server.targets();
    assert_eq!(targets[..2], ["POST /auth/login/challenge", "POST /auth/login/basic"]);
    assert_eq!(targets.last().map(String::as_str), Some("DELETE /auth/session"));
    assert!(server.seen().iter().all(|seen| seen.header("authorization").is_none()));
}

/// The readings of section 4.5: the other line ends; no cookie but that of the challenge; and what cannot be answered.
#[test]
fn a_challenge_is_asked_for_with_the_other_line_ends_too() {
    let folder = tempfile::tempdir().unwrap();
    let (client, client_pem) = certified();
    let (certificate, key) = (folder.path().join("client.pem"), folder.path().join("client.key"));
    fs::write(&certificate, &client_pem).unwrap();
    write_key(&key, &client);
    let public = client.to_public_key();
    let start = |garbled: bool| {
        let (public, own_pem) = (public.clone(), client_pem.clone());
        appliance(move |seen| match &*seen.target {
            "POST /auth/login/challenge" if !seen.body.contains(r"\\n") => {
                Some(fault(400, "FRAMEWORK_BAD_REQUEST"))
            }
            "POST /auth/login/challenge" => {
                let sealed = public.encrypt(&mut rand_core::OsRng, Pkcs1v15Encrypt, &[1; 32]).unwrap();
                let challenge = if garbled { "AAAA".to_owned() } else { STANDARD.encode(sealed) };
                let body = serde_json::json!({
                    "challenge": challenge, "nonce": STANDARD.encode([0; 32]), "certificate": own_pem,
                });
                let headers = vec![("Set-Cookie", "sid=7".to_owned())];
                Some(Answer { headers, ..answer(200, body.to_string()) })
            }
            "POST /auth/login/basic" => Some(answer(204, "")),
            _ => (seen.header("cookie") != Some("sid=7")).then(|| answer(401, "")),
        })
    };
    let settings = |certificate, key| config::Luna {
        login: ApplianceLogin::Certificate { certificate, key, shows: Shows::Certificate },
        password: None,
        ..settings()
    };
    let settings = settings(certificate, key);
    log_in(&open(&start(false), &settings));
    let server = start(true);
    assert_eq!(refused(&open(&server, &settings)), CKR_DEVICE_ERROR);
    assert_eq!(count(&server, "POST /auth/login/basic"), 0);
}

/// Wrong ones may lock the account, and a search is made often.
#[test]
fn a_refused_password_is_not_shown_again_before_it_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    fs::write(&path, "old").unwrap();
    let server = appliance(|seen| {
        let shown = seen.header("authorization").filter(|shown| *shown != BASIC);
        shown.map(|_| fault(401, "FRAMEWORK_UNAUTHORIZED"))
    });
    let luna = open(&server, &config::Luna { password: Some(Secret::File(path.clone())), ..settings() });
    for _ in 0..3 {
        assert_eq!(luna.list(soon()).unwrap_err().rv(), CKR_DEVICE_ERROR);
    }
    assert_eq!(server.seen().len(), 1);
    // C_Login wants to know.
    assert_eq!(refused(&luna), CKR_DEVICE_ERROR);
    assert_eq!(server.seen().len(), 2);
    assert_eq!(luna.list(soon()).unwrap_err().rv(), CKR_DEVICE_ERROR);
    assert_eq!(server.seen().len(), 2);
    fs::write(&path, "s3cret").unwrap();
    log_in(&luna);
    assert!(
        server.seen()[2..].iter().all(|seen| seen.header("authorization").is_none_or(|shown| shown == BASIC))
    );
}
