//! Which credential goes out, and what follows a refusal of it.

use std::fs;
use std::path::PathBuf;

use super::*;

const SIGNATURE: &str = r#"{"signature":"YXNk"}"#;

/// The API keys that a service takes, to be changed while it runs.
type Taken = Arc<Mutex<Vec<&'static str>>>;

/// A service that signs for whoever has one of the keys.
fn signing_for(keys: &[&'static str]) -> (Server, Taken) {
    let taken: Taken = Arc::new(Mutex::new(keys.to_vec()));
    let now = Arc::clone(&taken);
    let server = Server::start(move |seen| match seen.key() {
        Some(key) if now.lock().contains(&key) => (200, SIGNATURE.into()),
        _ => (401, WRONG_KEY.into()),
    });
    (server, taken)
}

fn signs(hsm: &Securosys) -> Result<()> {
    sign(hsm, RSA, &[0; 32], None).map(|signature| assert_eq!(signature, b"asd"))
}

/// The keys of all requests so far.
fn keys(server: &Server) -> Vec<String> {
    server.seen().iter().map(|seen| seen.key().unwrap_or("-").to_owned()).collect()
}

#[test]
fn the_first_key_that_works_is_used_and_remembered() {
    let (server, taken) = signing_for(&["c"]);
    let hsm = open(&server, operation_keys(literals(&["a", "b", "c"])));
    signs(&hsm).unwrap();
    signs(&hsm).unwrap();
    assert_eq!(keys(&server), ["a", "b", "c", "c"]);
    // The list of the service may go back as well.
    *taken.lock() = vec!["b"];
    signs(&hsm).unwrap();
    signs(&hsm).unwrap();
    assert_eq!(keys(&server)[4..], ["c", "a", "b", "b"]);
    taken.lock().clear();
    assert_eq!(signs(&hsm).unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN);
    assert_eq!(keys(&server)[8..], ["b", "c", "a"]);
}

#[test]
fn callers_who_meet_the_rollover_together_skip_no_key() {
    const CALLERS: usize = 10;
    let together = Barrier::new(CALLERS);
    let server = Server::start(move |seen| match seen.key() {
        Some("c") => (200, SIGNATURE.into()),
        Some("a") => {
            // Nobody is refused before everybody has asked.
            together.wait();
            (401, WRONG_KEY.into())
        }
        _ => (401, WRONG_KEY.into()),
    });
    let hsm = open(&server, operation_keys(literals(&["a", "b", "c"])));
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(|| signs(&hsm))).collect();
        callers.into_iter().for_each(|caller| caller.join().unwrap().unwrap());
    });
    let seen = keys(&server);
    let count = |wanted| seen.iter().filter(|key| *key == wanted).count();
    assert_eq!((count("a"), count("c")), (CALLERS, CALLERS));
    assert!((1..=CALLERS).contains(&count("b")), "{seen:?}");
    signs(&hsm).unwrap();
    assert_eq!(keys(&server)[seen.len()..], ["c"]);
}

#[test]
fn the_next_key_is_tried_after_whatever_may_mean_the_key() {
    for (status, body) in [
        (401, WRONG_KEY),
        (401, r#"{"errorCode":416,"reason":"res.error.missing.api.key"}"#),
        (400, r#"{"errorCode":416,"reason":"res.error.missing.api.key"}"#),
        // Of a proxy, or of Spring.
        (401, ""),
        (403, "<html>Forbidden</html>"),
        (401, r#"{"message":"Unauthorized"}"#),
        (401, r#"{"errorCode":"631"}"#),
        (401, "[631]"),
    ] {
        let server = Server::start(move |seen| match seen.key() {
            Some("b") => (200, SIGNATURE.into()),
            _ => (status, body.into()),
        });
        signs(&open(&server, operation_keys(literals(&["a", "b"])))).unwrap();
        assert_eq!(keys(&server), ["a", "b"], "{status} {body}");
    }
    for (status, body) in [
        (403, r#"{"errorCode":451,"reason":"res.error.client.endpoint.not.licensed"}"#),
        (403, r#"{"errorCode":450,"reason":"res.error.client.subscription"}"#),
        (400, r#"{"errorCode":401,"reason":"res.error.missing.approval"}"#),
        (404, UNKNOWN_KEY),
        (500, r#"{"errorCode":701}"#),
    ] {
        let server = Server::saying(status, body);
        assert!(signs(&open(&server, operation_keys(literals(&["a", "b"])))).is_err());
        assert_eq!(keys(&server), ["a"], "{status} {body}");
    }
}

/// Files with these names and contents.
fn files(folder: &tempfile::TempDir, names: &[&str]) -> Vec<(PathBuf, Secret)> {
    let file = |name: &&str| {
        let path = folder.path().join(name);
        fs::write(&path, name).unwrap();
        (path.clone(), Secret::File(path))
    };
    names.iter().map(file).collect()
}

#[test]
fn when_no_key_is_left_their_files_are_read_anew_once() {
    let folder = tempfile::tempdir().unwrap();
    let (paths, secrets): (Vec<_>, Vec<_>) = files(&folder, &["a", "b"]).into_iter().unzip();
    let (server, taken) = signing_for(&["a"]);
    let hsm = open(&server, operation_keys(secrets));
    signs(&hsm).unwrap();
    *taken.lock() = vec!["new"];
    assert_eq!(signs(&hsm).unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN);
    fs::write(&paths[1], "new\n").unwrap();
    signs(&hsm).unwrap();
    signs(&hsm).unwrap();
    assert_eq!(keys(&server), ["a", "a", "b", "a", "b", "new", "new"]);
}

#[test]
fn a_key_that_cannot_be_read_is_passed_over_if_there_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let (paths, secrets): (Vec<_>, Vec<_>) = files(&folder, &["a", "b", "c"]).into_iter().unzip();
    fs::remove_file(&paths[0]).unwrap();
    fs::write(&paths[1], "two\nlines").unwrap();
    let (server, taken) = signing_for(&["c"]);
    let hsm = open(&server, operation_keys(secrets.clone()));
    signs(&hsm).unwrap();
    taken.lock().clear();
    assert_eq!(signs(&hsm).unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN);
    assert_eq!(keys(&server), ["c", "c"]);

    // Alone it is an error, and nothing goes out.
    for secret in &secrets[..2] {
        let hsm = open(&server, operation_keys(vec![secret.clone()]));
        assert_eq!(signs(&hsm).unwrap_err().rv(), CKR_DEVICE_ERROR);
    }
    assert_eq!(server.seen().len(), 2);
}

/// A listing that is under way when the list changes: one call finds the key, the others follow.
#[test]
fn many_calls_follow_the_one_that_found_the_key() {
    let server = Server::start(|seen| match seen.key() {
        Some("b") => (200, r#"{"json":{"label":"x","algorithm":"AES","keySize":128}}"#.into()),
        _ => (401, WRONG_KEY.into()),
    });
    let key_management = literals(&["a", "b"]);
    let hsm = open(&server, with_keys(config::ApiKeys { key_management, ..config::ApiKeys::default() }));
    for told in hsm.describe(&names(&["1", "2", "3", "4"]), soon()) {
        assert_eq!(told.unwrap().unwrap().kind, KeyKind::Aes(Some(16)));
    }
    let seen = keys(&server);
    assert_eq!(seen.len(), 8);
    assert_eq!(seen[..4], ["a"; 4]);
    assert_eq!(seen[4..], ["b"; 4]);
}

/// The API key is looked at before the password (section 1.4), which then nobody has tried. A bare status does not say
/// so much.
#[test]
fn a_refused_api_key_is_no_verdict_on_a_password() {
    for (body, result, requests) in [(WRONG_KEY, Ok(()), 2), ("", Err(CKR_USER_NOT_LOGGED_IN), 1)] {
        let server = Server::start(move |seen| match seen.key() {
            Some("b") => (200, SIGNATURE.into()),
            _ => (401, body.into()),
        });
        let hsm = open(&server, operation_keys(literals(&["a", "b"])));
        let signature = sign(&hsm, RSA, &[0; 32], Some(&"pw".into()));
        assert_eq!(signature.map(drop).map_err(|error| error.rv()), result);
        assert_eq!(server.seen().len(), requests);
    }
}

/// Every form of section 1.5, and the bare statuses. The API key is not blamed for the JWT.
#[test]
fn a_refused_jwt_is_read_anew() {
    let coded = [406, 617, 618].into_iter().flat_map(|code| {
        [400, 401, 403].map(|status| (status, format!(r#"{{"errorCode":{code},"reason":"x"}}"#), true))
    });
    let bare = [401, 403].map(|status| (status, String::new(), false));
    for (status, body, is_named) in coded.chain(bare) {
        let folder = tempfile::tempdir().unwrap();
        let (path, secret) = files(&folder, &["old"]).remove(0);
        let refusal = (status, body.clone());
        let server = Server::start(move |seen| match seen.header("authorization") {
            Some("Bearer new") => (200, SIGNATURE.into()),
            _ => refusal.clone(),
        });
        let hsm =
            open(&server, config::Auth { bearer: Some(secret), ..operation_keys(literals(&["a", "b"])) });
        let before = if is_named { &["a"][..] } else { &["a", "b"] };
        assert_eq!(signs(&hsm).unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN, "{status} {body}");
        assert_eq!(keys(&server), before, "{status} {body}");
        fs::write(path, "new").unwrap();
        signs(&hsm).unwrap();
        assert_eq!(keys(&server)[before.len()..], [before, &["a"]].concat(), "{status} {body}");
    }
}

#[test]
fn jwt_and_api_key_may_change_together() {
    const WRONG_TOKEN: &str = r#"{"errorCode":617,"reason":"res.error.invalid.access.token"}"#;
    let folder = tempfile::tempdir().unwrap();
    let (path, secret) = files(&folder, &["old"]).remove(0);
    let server = Server::start(|seen| match (seen.header("authorization"), seen.key()) {
        (Some("Bearer new"), Some("b")) => (200, SIGNATURE.into()),
        (Some("Bearer new"), _) => (401, WRONG_KEY.into()),
        _ => (400, WRONG_TOKEN.into()),
    });
    let auth = config::Auth { bearer: Some(secret), ..operation_keys(literals(&["a", "b"])) };
    let hsm = open(&server, auth);
    assert_eq!(signs(&hsm).unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN);
    fs::write(path, "new").unwrap();
    signs(&hsm).unwrap();
    // The first call, then with the old JWT, with the new one, with the next key.
    assert_eq!(keys(&server), ["a", "a", "a", "b"]);
}

/// What was learnt is a hint. When it fails both roles are tried, and the documented one's refusal is the one to tell.
#[test]
fn a_refusal_of_both_roles_is_that_of_the_documented_one() {
    for status in [401, 403] {
        let taken = Taken::default();
        let now = Arc::clone(&taken);
        let server = Server::start(move |seen| match seen.key() {
            Some(key) if now.lock().contains(&key) => (200, r#"{"random":"AQI="}"#.into()),
            Some("o") => (status, r#"{"errorCode":631,"reason":"operation"}"#.into()),
            _ => (status, r#"{"errorCode":631,"reason":"service"}"#.into()),
        });
        let hsm = open(&server, three_keys());
        let draw = || hsm.random(&mut [0; 2], soon()).map_err(|error| error.to_string());
        let refused = || assert!(draw().unwrap_err().contains("operation"), "the documented role's refusal");
        refused();
        *taken.lock() = vec!["s"];
        draw().unwrap();
        draw().unwrap();
        taken.lock().clear();
        refused();
        // Forgotten: the documented one goes first again.
        *taken.lock() = vec!["o"];
        draw().unwrap();
        assert_eq!(keys(&server), ["o", "s", "o", "s", "s", "s", "o", "o"]);
    }
}

#[test]
fn a_server_that_fails_has_not_accepted_a_key() {
    let server = Server::start(|seen| match seen.key() {
        Some("b") => (500, r#"{"errorCode":2}"#.into()),
        _ => (401, WRONG_KEY.into()),
    });
    let hsm = open(&server, operation_keys(literals(&["a", "b"])));
    for _ in 0..2 {
        assert_eq!(signs(&hsm).unwrap_err().rv(), CKR_DEVICE_ERROR);
    }
    assert_eq!(keys(&server), ["a", "b", "a", "b"]);
}

#[test]
fn a_logout_leaves_no_header_line() {
    let server = Server::start(|seen| match seen.target.as_str() {
        "POST /v1/synchronousSign" => (200, SIGNATURE.into()),
        _ => (404, UNKNOWN_REQUEST.into()),
    });
    let hsm = open(&server, operation_pin());
    hsm.login(b"1234", soon()).unwrap();
    signs(&hsm).unwrap();
    let lines = Arc::downgrade(&hsm.service.credentials.headers(Role::KeyOperation).unwrap());
    assert!(lines.upgrade().is_some_and(|lines| lines.as_bytes() == b"X-API-KEY: 1234\r\n"));
    hsm.logout();
    assert!(lines.upgrade().is_none(), "they are zeroised when they are dropped");
    assert_eq!(signs(&hsm).unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN);
}

#[test]
fn certificates_go_over_to_the_role_that_works() {
    let server = Server::start(|seen| match seen.key() {
        Some("o") => (200, format!(r#"{{"certificate":"{CERTIFICATE}"}}"#)),
        _ => (401, WRONG_KEY.into()),
    });
    let hsm = open(&server, three_keys());
    let labels = names(&["a", "b", "c"]);
    let all = |found: Vec<Result<Option<Vec<u8>>>>| found.iter().all(|one| matches!(one, Ok(Some(_))));
    assert!(all(hsm.certificates(&labels, soon())));
    let before = server.seen().len();
    assert_eq!(server.seen()[..3].iter().filter(|seen| seen.key() == Some("m")).count(), 3);
    assert!(all(hsm.certificates(&labels, soon())));
    assert!(server.seen()[before..].iter().all(|seen| seen.key() == Some("o")));
    assert_eq!(server.seen().len(), before + 3);
}

#[test]
fn random_goes_over_to_the_role_that_works_and_checks_the_length() {
    let server = Server::start(|seen| match (seen.key(), seen.target.as_str()) {
        (Some("s"), "GET /v1/generateRandom/1024") => {
            (200, format!(r#"{{"random":"{}"}}"#, STANDARD.encode([7; 1024])))
        }
        (Some("s"), "GET /v1/generateRandom/3") => (200, r#"{"random":"AQID"}"#.into()),
        (Some("s"), _) => (200, r#"{"random":"AQ=="}"#.into()),
        _ => (401, WRONG_KEY.into()),
    });
    let hsm = open(&server, three_keys());
    let mut buffer = [0; 1027];
    hsm.random(&mut buffer, soon()).unwrap();
    assert_eq!((buffer[1023], &buffer[1024..]), (7, &[1, 2, 3][..]));
    let keys: Vec<_> = server.seen().iter().map(|seen| seen.key().unwrap().to_owned()).collect();
    assert_eq!(keys, ["o", "s", "s"]);
    assert_eq!(hsm.random(&mut [0; 2], soon()).unwrap_err().rv(), CKR_DEVICE_ERROR);
}

#[test]
fn a_key_of_neither_role_is_refused_once_each() {
    let server = Server::saying(401, WRONG_KEY);
    let hsm = open(&server, three_keys());
    assert_eq!(hsm.random(&mut [0; 2], soon()).unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN);
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn a_password_goes_out_once() {
    let server = Server::saying(400, WRONG_PASSWORD);
    let hsm = open(&server, three_keys());
    let error = sign(&hsm, RSA, &[0; 32], Some(&"pw".into())).unwrap_err();
    assert_eq!(error.rv(), CKR_PIN_INCORRECT);
    assert!(server.seen()[0].body.contains(r#""keyPassword":["p","w"]"#));
    for status in [401, 503] {
        let server = Server::saying(status, "");
        assert!(sign(&open(&server, file_key()), RSA, &[0; 32], Some(&"pw".into())).is_err());
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn callers_refused_together_all_profit_from_the_new_secret() {
    let folder = tempfile::tempdir().unwrap();
    let (path, next) = (folder.path().join("key"), folder.path().join("next"));
    fs::write(&path, "old").unwrap();
    fs::write(&next, "new").unwrap();
    let (barrier, replaced) = (Barrier::new(4), path.clone());
    let server = Server::start(move |seen| {
        if seen.key() == Some("new") {
            return (200, r#"{"signature":"YXNk"}"#.into());
        }
        // Everybody has asked with the old key before anybody is refused.
        if barrier.wait().is_leader() {
            fs::rename(&next, &replaced).unwrap();
        }
        barrier.wait();
        (401, WRONG_KEY.into())
    });
    let hsm = open(&server, operation_keys(vec![Secret::File(path)]));
    thread::scope(|scope| {
        let callers: Vec<_> = (0..4).map(|_| scope.spawn(|| sign(&hsm, RSA, &[0; 32], None))).collect();
        for caller in callers {
            assert_eq!(caller.join().unwrap().unwrap(), b"asd");
        }
    });
}

#[test]
fn a_refused_secret_is_read_anew_once() {
    let first = Arc::new(Mutex::new(None));
    let server = Server::start(move |seen| {
        let mut first = first.lock();
        let first = first.get_or_insert(seen.key().map(str::to_owned));
        if seen.key() == first.as_deref() {
            (401, WRONG_KEY.into())
        } else {
            (200, r#"{"signature":"YXNk"}"#.into())
        }
    });
    let hsm = open(&server, file_key());
    assert_eq!(sign(&hsm, RSA, &[0; 32], None).unwrap(), b"asd");
    assert_eq!(sign(&hsm, RSA, &[0; 32], None).unwrap(), b"asd");
    let keys: Vec<_> = server.seen().iter().map(|seen| seen.key().unwrap().to_owned()).collect();
    assert_eq!(keys.len(), 3);
    assert_eq!(keys[1], keys[2]);

    let server = Server::saying(401, WRONG_KEY);
    assert_eq!(
        sign(&open(&server, file_key()), RSA, &[0; 32], None).unwrap_err().rv(),
        CKR_USER_NOT_LOGGED_IN
    );
    assert_eq!(server.seen().len(), 2);
}

/// An operation key from a command that prints another value each time.
fn file_key() -> config::Auth {
    operation_keys(vec![Secret::Command("cat /proc/sys/kernel/random/uuid".into())])
}
