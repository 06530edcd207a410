//! The Luna appliance: what the reference says of sessions, logins, tasks, objects and errors, over plain HTTP.

use std::fs;

use p11rest_emulator::Api;
use serde_json::{Value, json};

use crate::client::{Answer, Client, Fixture, PIN, base64, bytes, openssl};

const PARTITION: &str = "/api/lunasa/hsms/154704/partitions/1682975235230";
const TYPE: &str = "application/vnd.safenetinc.lunasa+json;version=";

/// An appliance that was told these settings.
fn appliance(settings: &[(&str, &str)]) -> Fixture {
    Fixture::with(|options| {
        options.api = Api::Luna;
        options.settings =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    })
}

/// A client of the appliance.
struct Caller {
    client: Client,
    version: &'static str,
    authorization: Option<String>,
    cookie: Option<String>,
}

impl Caller {
    /// With the password of an account.
    fn new(fixture: &Fixture, user: &str) -> Caller {
        let password = fs::read_to_string(fixture.dir.join(format!("{user}.password"))).unwrap();
        Caller::with(fixture, user, password.trim())
    }

    fn with(fixture: &Fixture, user: &str, password: &str) -> Caller {
        let authorization = Some(format!("Basic {}", base64(format!("{user}:{password}"))));
        Caller { client: fixture.connect(""), version: "17", authorization, cookie: None }
    }

    fn nobody(fixture: &Fixture) -> Caller {
        Caller { client: fixture.connect(""), version: "17", authorization: None, cookie: None }
    }

    /// On a private session of the operator, without the password.
    fn private(fixture: &Fixture) -> Caller {
        let mut caller = Caller::new(fixture, "operator");
        caller.open();
        caller.authorization = None;
        caller
    }

    fn open(&mut self) {
        let answer = self.send("POST", "/auth/session", &json!({}));
        assert_eq!(answer.status, 204);
        self.cookie = Some(cookie(&answer));
    }

    fn send(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        let media_type = format!("{TYPE}{}", self.version);
        self.client.headers = vec![("Accept", media_type.clone())];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        if !body.is_empty() {
            self.client.headers.push(("Content-Type", media_type));
        }
        let more = [("Authorization", &self.authorization), ("Cookie", &self.cookie)];
        let more = more.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        self.client.headers.extend(more);
        self.client.request(method, path, body.as_bytes())
    }

    fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &Value::Null)
    }

    fn log_in(&mut self, role: &str, password: &str) -> Answer {
        let body = json!({"ped": "0", "password": password, "role": role});
        self.send("POST", &format!("{PARTITION}/login"), &body)
    }
}

/// The cookie that an answer sets, without its attributes.
fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").expect("a cookie").split(';').next().unwrap().to_owned()
}

/// Checks an error object (section 7).
#[track_caller]
fn refused(answer: &Answer, status: u16, id: &str) {
    let body = answer.json();
    assert_eq!((answer.status, &body["id"]), (status, &json!(id)), "{body}");
    assert_eq!((&body["returnCode"], &body["status"]), (&json!(status), &json!("ERROR")));
    let kind = if id.starts_with("HSMPLUGIN") { "PLUGIN" } else { "FRAMEWORK" };
    assert_eq!(body["type"], kind);
    assert!(body["message"].is_string() && body["details"].is_string());
}

/// `/_emulator/…`
fn switch(fixture: &Fixture, method: &str, path: &str, body: &Value) {
    let answer =
        fixture.connect("").request(method, &format!("/_emulator/{path}"), body.to_string().as_bytes());
    assert_eq!(answer.status, 204, "{path}");
}

#[test]
fn the_password_is_asked_for_everywhere() {
    let fixture = appliance(&[]);
    let mut nobody = Caller::nobody(&fixture);
    for path in ["/api/lunasa", "/api/lunasa/hsms", PARTITION, "/tasks", "/users"] {
        assert_eq!(nobody.get(path).status, 401, "{path}");
    }
    assert_eq!(Caller::with(&fixture, "operator", "wrong").get("/api/lunasa").status, 401);
    let answer = Caller::new(&fixture, "operator").get("/api/lunasa");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.json()["version"], "7.8.4-254");
    assert_eq!(Caller::new(&fixture, "operator").get("/API/lunasa").status, 404, "paths have their case");
}

#[test]
fn content_types_have_a_version() {
    let fixture = appliance(&[]);
    let mut caller = Caller::new(&fixture, "operator");
    for version in ["", "4", "15", "17"] {
        caller.version = version;
        assert_eq!(caller.send("POST", "/auth/session", &json!({})).status, 204, "{version:?}");
    }
    for version in ["3", "18", "x"] {
        caller.version = version;
        refused(&caller.send("POST", "/auth/session", &json!({})), 400, "FRAMEWORK_BAD_REQUEST");
    }
    let plain = vec![
        ("Content-Type", "application/json".to_owned()),
        ("Authorization", caller.authorization.clone().unwrap()),
    ];
    caller.client.headers = plain.clone();
    refused(&caller.client.request("POST", "/auth/session", b"{}"), 400, "FRAMEWORK_BAD_REQUEST");
    let lenient = appliance(&[("content_type", "lenient")]);
    let mut client = lenient.connect("");
    client.headers = vec![("Content-Type", "application/json".to_owned())];
    client.headers.push(("Authorization", Caller::new(&lenient, "operator").authorization.unwrap()));
    assert_eq!(client.request("POST", "/auth/session", b"{}").status, 204);
}

/// Section 4.1.
#[test]
fn a_private_session_is_a_cookie() {
    let fixture = appliance(&[]);
    let mut shared = Caller::new(&fixture, "operator");
    refused(&shared.log_in("co", PIN), 401, "FRAMEWORK_SESSION_NOT_PRIVATE");
    let mut private = Caller::private(&fixture);
    assert_eq!(private.get("/api/lunasa/services/webserver").status, 200);
    assert_eq!(private.send("DELETE", "/auth/session", &Value::Null).status, 204);
    refused(&private.get("/api/lunasa"), 401, "FRAMEWORK_SESSION_NOT_PRIVATE");
    // Ten minutes without use, and it is gone with its login.
    let mut private = Caller::private(&fixture);
    assert_eq!(private.log_in("co", PIN).status, 204);
    switch(&fixture, "PUT", "clock", &json!(599));
    assert_eq!(private.get("/api/lunasa").status, 200);
    switch(&fixture, "PUT", "clock", &json!(1199));
    refused(&private.get("/api/lunasa"), 401, "FRAMEWORK_SESSION_NOT_PRIVATE");
    // Another user's password beside the cookie is no good.
    let mut private = Caller::private(&fixture);
    private.authorization = Caller::new(&fixture, "admin").authorization;
    assert_eq!(private.get("/api/lunasa").status, 401);
    let strict = appliance(&[("cookie_alone", "no"), ("lost_cookie", "credentials")]);
    let mut private = Caller::private(&strict);
    refused(&private.get("/api/lunasa"), 401, "FRAMEWORK_UNAUTHORIZED");
    private.authorization = Caller::new(&strict, "operator").authorization;
    assert_eq!(private.get("/api/lunasa").status, 200);
}

/// Section 5: the login is the session's, and wrong passwords lock the role.
#[test]
fn roles_log_in_on_a_session_and_are_locked() {
    let fixture = appliance(&[("attempts", "3")]);
    let mut private = Caller::private(&fixture);
    let answer = private.log_in("co", PIN);
    assert_eq!(answer.status, 204);
    assert!(answer.header("location").unwrap().starts_with(&format!("{PARTITION}/login/")));
    let role = |caller: &mut Caller, id: &str| caller.get(&format!("{PARTITION}/roles/{id}")).json();
    let expected = json!({
        "id": "co", "name": "Crypto Officer", "initialized": true, "activated": false, "lockedOut": false,
        "loginAttemptsLeft": 3, "pinToBeChanged": false, "challengeToBeChanged": false,
        "primaryAuthentication": "PIN", "secondaryAuthentication": "None",
    });
    assert_eq!(role(&mut private, "co"), expected);
    let logout = format!("{PARTITION}/logout");
    let mut other = Caller::private(&fixture);
    refused(&other.send("POST", &logout, &json!({})), 401, "HSMPLUGIN_PARTITION_USER_NOT_AUTHENTICATED");
    assert_eq!(private.send("POST", &logout, &json!({})).status, 204);
    for left in [2, 1] {
        refused(&private.log_in("co", "wrong"), 401, "HSMPLUGIN_LOGIN_FAILED");
        assert_eq!(role(&mut private, "co")["loginAttemptsLeft"], left);
    }
    assert_eq!(private.log_in("co", PIN).status, 204, "the right one gives all of them back");
    assert_eq!(role(&mut private, "co")["loginAttemptsLeft"], 3);
    for _ in 0..3 {
        private.log_in("cu", "wrong");
    }
    assert_eq!(
        (&role(&mut private, "cu")["lockedOut"], &role(&mut private, "co")["lockedOut"]),
        (&json!(true), &json!(false))
    );
    refused(&private.log_in("cu", PIN), 401, "HSMPLUGIN_LOGIN_FAILED");
    for body in [
        json!({}),
        json!({"ped": 0, "password": PIN, "role": "co"}),
        json!({"ped": "0", "password": PIN, "role": "co", "x": 1}),
    ] {
        refused(&private.send("POST", &format!("{PARTITION}/login"), &body), 400, "FRAMEWORK_BAD_REQUEST");
    }
    let nowhere = PARTITION.replace("1682975235230", "1682975235239");
    refused(&private.get(&nowhere), 404, "HSMPLUGIN_INVALID_PARTITION");
    refused(&private.get(&PARTITION.replace("154704", "1")), 404, "HSMPLUGIN_HSM_DOES_NOT_EXIST");
}

/// Section 5: three wrong passwords of the HSM's security officer erase it.
#[test]
fn the_third_wrong_password_of_the_security_officer_erases_everything() {
    let fixture = appliance(&[]);
    let mut private = Caller::private(&fixture);
    let left = |caller: &mut Caller| caller.get("/api/lunasa/hsms/154704").json()["soLoginsLeft"].clone();
    let so = |caller: &mut Caller, password: &str| {
        let body = json!({"ped": "0", "password": password, "role": "so"});
        caller.send("POST", "/api/lunasa/hsms/154704/login", &body).status
    };
    assert_eq!(private.log_in("co", PIN).status, 204);
    assert_eq!(left(&mut private), 3);
    let password = fs::read_to_string(fixture.dir.join("hsm-so.password")).unwrap();
    assert_eq!((so(&mut private, "wrong"), so(&mut private, password.trim())), (401, 204));
    assert_eq!(left(&mut private), 3);
    assert_eq!([(); 3].map(|()| so(&mut private, "wrong")), [401; 3]);
    assert_eq!(left(&mut private), 0);
    assert_eq!(private.get(PARTITION).json()["state"], "zeroized");
    assert_eq!(private.get(&format!("{PARTITION}/object/objects")).json(), json!({"objects": []}));
    refused(&private.log_in("co", PIN), 422, "HSMPLUGIN_OPERATION_NOT_ALLOWED");
}

/// Section 6.
#[test]
fn a_login_at_the_device_is_a_task() {
    let fixture = appliance(&[("ped", "yes"), ("task_ms", "0")]);
    let mut private = Caller::private(&fixture);
    switch(&fixture, "PUT", "ped", &json!("wait"));
    let answer = private.send("POST", &format!("{PARTITION}/login"), &json!({"ped": "1", "role": "co"}));
    let task = answer.header("location").unwrap().to_owned();
    assert_eq!((answer.status, &*task), (204, "/tasks/1"));
    let answer = private.get(&task);
    let body = answer.json();
    assert_eq!((answer.status, &body["state"]), (200, &json!("Running")), "200 is not finished");
    let names: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    for name in ["instance", "state", "sourceUrl", "responseUrl", "startTime", "finishTime", "details"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    assert_eq!((&body["sourceUrl"], &body["finishTime"]), (&json!(format!("{PARTITION}/login")), &json!("")));
    refused(&private.get(&format!("{task}/response")), 400, "FRAMEWORK_BAD_REQUEST");
    switch(&fixture, "PUT", "ped", &json!("accept"));
    let answer = private.get(&task);
    assert_eq!((answer.status, &answer.json()["state"]), (303, &json!("Finished")));
    assert_eq!(private.get(&format!("{task}/response")).status, 204);
    assert_eq!(private.get("/tasks").json()["tasks"].as_array().unwrap().len(), 1);
    assert_eq!(private.get("/tasks/2").status, 410);
    assert_eq!(
        private.send("POST", &format!("{PARTITION}/logout"), &json!({})).status,
        204,
        "it was a login"
    );
}

/// What destroys waits until it is started.
#[test]
fn a_destructive_task_waits_until_it_is_started() {
    let fixture = appliance(&[("task_ms", "0")]);
    let mut private = Caller::private(&fixture);
    let answer = private.send("POST", "/api/lunasa/hsms/154704/actions/zeroize", &json!({}));
    let task = answer.header("location").unwrap().to_owned();
    assert_eq!(private.get(&task).json()["state"], "Waiting");
    assert_eq!(private.get(&format!("{task}/actions")).json()["actions"][0]["id"], "start");
    assert_eq!(private.get(PARTITION).json()["state"], "initialized");
    assert_eq!(private.send("POST", &format!("{task}/actions/start"), &json!({})).status, 204);
    assert_eq!(private.get(&task).status, 303);
    assert_eq!(private.get(PARTITION).json()["state"], "zeroized");
}

/// Section 3: `limit` and `offset`, and a link to the next page.
#[test]
fn lists_come_in_pages() {
    let fixture = appliance(&[]);
    let mut private = Caller::private(&fixture);
    let list = format!("{PARTITION}/object/objects");
    let all = private.get(&list).json()["objects"].as_array().unwrap().clone();
    let mut found = Vec::new();
    let mut next = Some(format!("{list}?limit=9&offset=0"));
    while let Some(page) = next {
        let answer = private.get(&page);
        found.extend(answer.json()["objects"].as_array().unwrap().clone());
        next = answer.header("link").map(|link| {
            let (address, relation) = link.split_once('>').unwrap();
            assert_eq!(relation, "; rel=\"next\"");
            address.trim_start_matches('<').to_owned()
        });
    }
    assert_eq!((found.len(), &found), (all.len(), &all));
    refused(&private.get(&format!("{list}?limit=x")), 400, "FRAMEWORK_BAD_REQUEST");
}

/// Section 9: what is private is empty without a login, and one object needs a private session.
#[test]
fn private_objects_come_with_the_login() {
    let fixture = appliance(&[]);
    let list = format!("{PARTITION}/object/objects");
    let mut shared = Caller::new(&fixture, "monitor");
    let ids: Vec<_> = shared.get(&list).json()["objects"].as_array().unwrap().clone();
    let first = format!("{list}/{}", ids[0]["id"].as_str().unwrap());
    refused(&shared.get(&first), 401, "FRAMEWORK_SESSION_NOT_PRIVATE");
    let mut private = Caller::private(&fixture);
    let told = |caller: &mut Caller| -> Vec<Value> {
        let all = ids.iter().map(|item| caller.get(&format!("{list}/{}", item["id"].as_str().unwrap())));
        all.map(|answer| (answer.status, answer.json()))
            .map(|(status, body)| {
                assert_eq!(status, 200);
                body
            })
            .collect()
    };
    let before = told(&mut private);
    assert!(
        before.iter().any(|body| *body == json!({}))
            && before.iter().any(|body| body["class"] == "Public Key")
    );
    assert_eq!(private.log_in("cu", PIN).status, 204);
    let after = told(&mut private);
    assert!(after.iter().all(|body| body["label"].is_string()));
    let certificate = after.iter().find(|body| body["class"] == "Certificate").unwrap();
    assert_eq!(certificate["keyType"], "n/a", "what does not apply");
    refused(&private.get(&format!("{list}/9999")), 404, "HSMPLUGIN_INVALID_OBJECT");
    // The place has changed with the versions.
    let old = format!("{PARTITION}/objects");
    assert_eq!((private.get(&old).status, private.get(&list).status), (404, 200));
    private.version = "15";
    assert_eq!((private.get(&old).status, private.get(&list).status), (200, 404));
}

/// Section 4.3.
#[test]
fn tokens_are_of_version_5() {
    let fixture = appliance(&[]);
    let mut caller = Caller::new(&fixture, "operator");
    assert_eq!(caller.send("POST", "/auth/jwt", &json!({})).status, 404);
    caller.version = "5";
    let answer = caller.send("POST", "/auth/jwt", &json!({"expiresIn": 300}));
    let token = answer.json()["accessToken"].as_str().unwrap().to_owned();
    assert_eq!((answer.status, token.split('.').count()), (200, 3));
    caller.authorization = Some(format!("Bearer {token}"));
    assert_eq!(caller.get("/api/lunasa").status, 200);
    refused(&caller.log_in("co", PIN), 401, "FRAMEWORK_SESSION_NOT_PRIVATE");
    switch(&fixture, "PUT", "clock", &json!(299));
    assert_eq!(caller.get("/api/lunasa").status, 200);
    switch(&fixture, "PUT", "clock", &json!(300));
    assert_eq!(caller.get("/api/lunasa").status, 401);
    let mut caller = Caller::new(&fixture, "operator");
    caller.version = "5";
    let token =
        caller.send("POST", "/auth/jwt", &json!({})).json()["accessToken"].as_str().unwrap().to_owned();
    caller.authorization = Some(format!("Bearer {token}"));
    assert_eq!(caller.send("DELETE", "/auth/jwt", &Value::Null).status, 204);
    assert_eq!(caller.get("/api/lunasa").status, 401);
}

/// Section 4.6.
#[test]
fn roles_of_the_appliance_limit_its_accounts() {
    let fixture = appliance(&[]);
    let mut monitor = Caller::new(&fixture, "monitor");
    assert_eq!(monitor.get(PARTITION).status, 200);
    monitor.open();
    refused(&monitor.log_in("co", PIN), 401, "FRAMEWORK_NO_ACL_RULE");
    let mut admin = Caller::new(&fixture, "admin");
    assert_eq!(admin.send("POST", "/roles", &json!({"roleId": "p11", "fullName": "module"})).status, 204);
    let rules = "GET:/api/lunasa/hsms/{hsmid}/partitions\nPOST:/auth/session\n";
    let kind = TYPE.replace("json", "octet-stream");
    admin.client.headers =
        vec![("Content-Type", kind), ("Authorization", admin.authorization.clone().unwrap())];
    assert_eq!(admin.client.request("PUT", "/roles/p11/resources", rules.as_bytes()).status, 204);
    let user = json!({"userId": "mod", "fullName": "m", "email": "", "role": "p11", "password": "first"});
    assert_eq!(admin.send("POST", "/users", &user).status, 204);
    // A password that somebody else has set is good for one thing.
    let mut user = Caller::with(&fixture, "mod", "first");
    assert_eq!(user.get("/api/lunasa/hsms/154704/partitions").status, 401);
    let change = json!({"currentPassword": "first", "password": "second"});
    assert_eq!(user.send("POST", "/users/mod/actions/changePassword", &change).status, 204);
    let mut user = Caller::with(&fixture, "mod", "second");
    assert_eq!(user.get("/api/lunasa/hsms/154704/partitions").status, 200);
    refused(&user.get(PARTITION), 401, "FRAMEWORK_NO_ACL_RULE");
}

#[test]
fn a_password_is_changed_in_two_ways() {
    let fixture = appliance(&[]);
    let mut private = Caller::private(&fixture);
    let role = format!("{PARTITION}/roles/co");
    let change = |old: &str, new: &str| json!({"oldPassword": old, "newPassword": new});
    refused(&private.send("PATCH", &role, &change("wrong", "password-2")), 401, "HSMPLUGIN_LOGIN_FAILED");
    refused(&private.send("PATCH", &role, &change(PIN, "short")), 400, "FRAMEWORK_BAD_REQUEST");
    assert_eq!(private.send("PATCH", &role, &change(PIN, "password-2")).status, 202);
    let put = json!({"oldPassword": "password-2", "newPassword": "password-3", "ped": "0"});
    assert_eq!(private.send("PUT", &format!("{role}/password"), &put).status, 204);
    assert_eq!(
        (private.log_in("co", "password-2").status, private.log_in("co", "password-3").status),
        (401, 204)
    );
}

/// Section 4.5, with OpenSSL as the client: PKCS#1 v1.5 both ways, the exclusive or in between.
#[test]
fn an_enrolled_certificate_logs_in() {
    let fixture = appliance(&[]);
    let path = |name: &str| fixture.dir.join(name).display().to_string();
    let (key, own) = (path("own.key"), path("own.pem"));
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=c", "-days", "9"];
    openssl(&[&new[..], &["-keyout", &key, "-out", &own]].concat()).unwrap();
    let pem = fs::read_to_string(&own).unwrap();
    let mut nobody = Caller::nobody(&fixture);
    let shown = json!({"username": "operator", "certificate": pem});
    assert_eq!(nobody.send("POST", "/auth/login/challenge", &shown).status, 401, "it is not enrolled");
    let mut operator = Caller::new(&fixture, "operator");
    let certificate = json!({"certificate": pem});
    refused(&operator.send("POST", "/users/admin/certificates", &certificate), 401, "FRAMEWORK_NO_ACL_RULE");
    refused(
        &operator.send("POST", "/users/operator/certificates", &json!({"certificate": "none"})),
        400,
        "FRAMEWORK_BAD_REQUEST",
    );
    assert_eq!(operator.send("POST", "/users/operator/certificates", &certificate).status, 204);
    // One that is answered wrongly is spent.
    let answer_with = |flip: u8| {
        let mut nobody = Caller::nobody(&fixture);
        let question = nobody.send("POST", "/auth/login/challenge", &shown);
        assert_eq!(question.status, 200);
        nobody.cookie = Some(cookie(&question));
        let question = question.json();
        let sealed = fixture.file("sealed", &bytes(&question["challenge"]));
        let sealed = sealed.display().to_string();
        let clear = openssl(&["pkeyutl", "-decrypt", "-inkey", &key, "-in", &sealed]).unwrap();
        let nonce = bytes(&question["nonce"]);
        assert_eq!(clear.len(), nonce.len());
        let mixed: Vec<u8> = clear.iter().zip(&nonce).map(|(a, b)| a ^ b ^ flip).collect();
        let mixed = fixture.file("mixed", &mixed).display().to_string();
        let server = question["certificate"].as_str().unwrap().replace("\\n", "\n");
        let server = fixture.file("server.pem", server.as_bytes()).display().to_string();
        let response =
            openssl(&["pkeyutl", "-encrypt", "-certin", "-inkey", &server, "-in", &mixed]).unwrap();
        let body = json!({"challengeResponse": base64(response)});
        let first = nobody.send("POST", "/auth/login/basic", &body);
        let again = nobody.send("POST", "/auth/login/basic", &body);
        assert_eq!(again.status, 401, "a challenge is good for one answer");
        first
    };
    assert_eq!(answer_with(1).status, 401);
    let login = answer_with(0);
    assert_eq!(login.status, 204);
    let mut private = Caller::nobody(&fixture);
    private.cookie = Some(cookie(&login));
    assert_eq!(private.log_in("co", PIN).status, 204);
    switch(&fixture, "DELETE", "accounts/operator/certificates", &Value::Null);
    assert_eq!(nobody.send("POST", "/auth/login/challenge", &shown).status, 401);
}
