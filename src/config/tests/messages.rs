//! Every way to be wrong, with the message that it gets.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::schema::names_in;
use super::*;

/// Why the whole configuration is refused.
fn refusal(text: &str) -> String {
    let place = Place::new();
    place.shown(&place.load(text, &[]).unwrap_err())
}

/// Why the only slot of the configuration has no token.
pub(super) fn slot_refusal(text: &str) -> String {
    let place = Place::new();
    let config = place.load(text, &[]).unwrap();
    let [slot] = &config.slots[..] else { panic!("{config:?}") };
    place.shown(slot.token.as_ref().unwrap_err())
}

#[test]
fn what_is_wrong_outside_of_slots_ends_the_load() {
    for (text, message) in [
        ("[log]\n", "p11rest.toml: version: is missing; write version = 1"),
        ("\nversion = 2", "p11rest.toml:2: version: version 2 is not known; write version = 1"),
        ("version = \"1\"", "p11rest.toml:1: version: is not an integer; write version = 1"),
        ("version = 1\n\n[logs]", "p11rest.toml:3: logs: is not a known key; write log"),
        (
            "version = 1\ntime = 1",
            "p11rest.toml:2: time: is not a known key; what may stand here is version, fork, log, slot",
        ),
        ("version = 1\nlog = 1", "p11rest.toml:2: log: is an integer; write a table: [log]"),
        ("version = 1\nfork = true", "p11rest.toml:2: fork: is true or false; write a string in quotes"),
        (
            "version = 1\nfork = \"maybe\"",
            "p11rest.toml:2: fork: \"maybe\" is not known; write \"reinitialize\" or \"transparent\"",
        ),
        ("version = 1\n[log]\nlevels = 1", "p11rest.toml:3: log.levels: is not a known key; write level"),
        (
            "version = 1\n[log]\nlevel = \"loud\"",
            "p11rest.toml:3: log.level: \"loud\" is not known; write \"off\" or \"error\" or \"warn\" or \"info\" or \"debug\" or \"trace\"",
        ),
        (
            "version = 1\n[log]\ntarget = true",
            "p11rest.toml:3: log.target: is true or false; write a string in quotes",
        ),
        ("version = 1\n[slot]\nid = 1", "p11rest.toml:2: slot: is not an array of tables; write [[slot]]"),
        ("version = 1\nslot = [\n1]", "p11rest.toml:3: slot: is not an array of tables; write [[slot]]"),
    ] {
        assert_eq!(refusal(text), message);
    }
}

#[test]
fn a_syntax_error_has_its_line_and_no_secret() {
    for text in [
        "version = 1\n[[slot]]\nauth.bearer = \"s3cret\nlabel = \"a\"",
        "version = 1\n[[slot]]\nauth.bearer = s3cret",
        "version = 1\n[[slot]]\nauth.bearer = \"x\" s3cret",
    ] {
        let message = refusal(text);
        assert!(message.starts_with("p11rest.toml:3: is not TOML: "), "{message}");
        assert!(message.ends_with("; mend the syntax (https://toml.io)"), "{message}");
        assert!(!message.contains("s3cret") && !message.contains('\n'), "{message}");
    }
}

#[test]
fn what_is_wrong_in_a_slot_names_line_key_and_remedy() {
    for (line, message) in [
        ("url = 1", "slot.url: is not a known key; write urls"),
        (
            "fork = 1",
            &format!("slot.fork: is not a known key; what may stand here is {}", names_in("slot").join(", ")),
        ),
        ("id = -1", "slot.id: is -1; write an integer from 0 to 4294967294"),
        (
            "mechanisms = \"RSA\"",
            "slot.mechanisms: \"RSA\" is not the name of a mechanism; write it as the standard does: \"CKM_RSA_PKCS\"",
        ),
        (
            "mechanisms = \"CKM_AES_*\"",
            "slot.mechanisms: \"CKM_AES_*\" is not the name of a mechanism; write it as the standard does: \"CKM_RSA_PKCS\"",
        ),
        (
            "hide_mechanisms = \"AES_*\"",
            "slot.hide_mechanisms: \"AES_*\" is neither the name of a mechanism nor part of one with *; \
             write it as the standard does: \"CKM_AES_ECB\" or \"CKM_AES_*\"",
        ),
        (
            "edwards_point = \"der\"",
            "slot.edwards_point: \"der\" is not known; write \"raw\" or \"octet-string\"",
        ),
        ("certificates = [1]", "slot.certificates: is an integer; write a string in quotes"),
        (
            "certificates = \"/nonexistent\"",
            "slot.certificates: /nonexistent cannot be read: No such file or directory (os error 2); \
             name a file or folder that is there",
        ),
        ("certificates = \"\"", "slot.certificates: is empty; write the path of a file"),
        ("auth = \"pin\"", "slot.auth: is a string; write a table: [slot.auth]"),
        ("auth.api_keys.service = \"pin\"", "slot.auth.api_keys: is not a known key; write api_key"),
        ("auth.api_key.services = \"pin\"", "slot.auth.api_key.services: is not a known key; write service"),
        (
            "auth.api_key.service = []",
            "slot.auth.api_key.service: has no entry; write \"env:NAME\", \"file:/path\" or \"pin\"",
        ),
        (
            "auth.api_key.approver = [\"env:A\", \"pin\"]",
            "slot.auth.api_key.approver: has \"pin\" among other secrets; write \"pin\" alone, or take it out of the list",
        ),
        (
            "auth.pin_format = \"role\"",
            "slot.auth.pin_format: \"role\" is not known; write \"plain\" or \"roles\" or \"password:secret\"",
        ),
        ("auth.bearer = \"\"", "slot.auth.bearer: is empty; write \"env:NAME\", \"file:/path\" or \"pin\""),
        (
            "auth.bearer = \"env:\"",
            "slot.auth.bearer: names nothing after \"env:\"; write \"env:NAME\", \"file:/path\", \"command:…\" or \"pin\"",
        ),
        (
            "tls.server_name = \"a b\"",
            "slot.tls.server_name: \"a b\" is not a name; write the DNS name in the certificate",
        ),
        (
            "tls.pins = \"sha256:AAAA\"",
            "slot.tls.pins: \"sha256:AAAA\" is not a pin; write \"spki-sha256:\" or \"certificate-sha256:\" \
             and the digest in base64 (44 characters)",
        ),
        (
            "tls.pins = [\"spki-sha256:AAAA\"]",
            "slot.tls.pins: \"spki-sha256:AAAA\" is not a pin; write \"spki-sha256:\" or \"certificate-sha256:\" \
             and the digest in base64 (44 characters)",
        ),
        ("tls.min_version = \"1.1\"", "slot.tls.min_version: \"1.1\" is not known; write \"1.2\" or \"1.3\""),
        (
            "tls.identity = \"client.pem\"",
            "slot.tls.identity: is a string; write a table: [slot.tls.identity]",
        ),
        (
            "tls.identity = { certificate = \"/nonexistent\", key = \"/nonexistent\" }",
            "slot.tls.identity.certificate: /nonexistent cannot be read: No such file or directory (os error 2); \
             name a file or folder that is there",
        ),
        (
            "tls.identity.certificate = \"/etc/passwd\"",
            "slot.tls.identity.key: is missing; write key = \"client.key\"",
        ),
        (
            "tls.identity.key = \"p11rest.toml\"",
            "slot.tls.identity.certificate: is missing; write certificate = \"client.pem\"",
        ),
        (
            "tls.identity = { pkcs12 = \"/etc/passwd\", certificate = \"/etc/passwd\" }",
            "slot.tls.identity.pkcs12: stands beside certificate or key; write pkcs12, or certificate and key",
        ),
        (
            "tls.identity = { pkcs12 = \"/etc/passwd\", password = \"pin\" }",
            "slot.tls.identity.password: cannot be the PIN, since connections are made before C_Login; \
             write \"file:/path\", \"env:NAME\" or \"command:…\"",
        ),
        (
            "tls.identity.password = \"secret\"",
            "slot.tls.identity.password: is for pkcs12, which is not there; write pkcs12 = \"client.p12\"",
        ),
        ("timeouts.call = 5", "slot.timeouts.call: 5 has no unit; write \"5s\" for seconds"),
        (
            "timeouts.call = \"5\"",
            "slot.timeouts.call: \"5\" is not a duration; write \"250ms\", \"5s\", \"2m\" or \"1h\"",
        ),
        (
            "timeouts.call = \"1.5s\"",
            "slot.timeouts.call: \"1.5s\" is not a duration; write \"250ms\", \"5s\", \"2m\" or \"1h\"",
        ),
        ("timeouts.call = \"0s\"", "slot.timeouts.call: \"0s\" is too short; write 1ms or longer"),
        ("timeouts.call = \"25h\"", "slot.timeouts.call: \"25h\" is too long; write \"24h\" or less"),
        (
            "timeouts.call = \"9999999999999999h\"",
            "slot.timeouts.call: \"9999999999999999h\" is not a duration; write \"250ms\", \"5s\", \"2m\" or \"1h\"",
        ),
        ("timeouts.call = 0.5", "slot.timeouts.call: is a fraction; write a string in quotes"),
        ("hedge.budget = 5", "slot.hedge.budget: has no `after` beside it; write after = \"20ms\" too"),
        (
            "hedge = { after = \"1s\", budget = 101 }",
            "slot.hedge.budget: is 101; write an integer from 1 to 100",
        ),
        ("pool.max = 0", "slot.pool.max: is 0; write an integer from 1 to 4096"),
        (
            "pool.max = 99999999999999999999",
            "slot.pool.max: is an integer of more than 63 bits; write an integer from 1 to 4096",
        ),
        (
            "catalog.hide = [\"\"]",
            "slot.catalog.hide: has an empty name; write the name of a key, or part of one with *",
        ),
        ("catalog.show_internal = 1", "slot.catalog.show_internal: is an integer; write true or false"),
        ("key = 1", "slot.key: is an integer, not an array of tables; write [[slot.key]]"),
        ("key = [1]", "slot.key: has an integer among its tables; write [[slot.key]]"),
        ("key = [{}]", "slot.key.label: is missing; write label = \"the name of the key at the HSM\""),
        ("key = [{label = \"\"}]", "slot.key.label: is empty; write the name of the key at the HSM"),
        (
            "key = [{label = \"k\"}, {label = \"k\"}]",
            "slot.key.label: k is described twice; make one [[slot.key]] of them",
        ),
        (
            "key = [{label = \"k\", id = \"abc\"}]",
            "slot.key.id: \"abc\" is not hexadecimal; write pairs of digits: \"01ab\"",
        ),
        (
            "key = [{label = \"k\", id = \"\"}]",
            "slot.key.id: \"\" is not hexadecimal; write pairs of digits: \"01ab\"",
        ),
        (
            "key = [{label = \"k\", type = \"aes\"}]",
            "slot.key.type: \"aes\" is not known; write \"aes-128\" or \"aes-192\" or \"aes-256\"",
        ),
    ] {
        assert_eq!(slot_refusal(&format!("{SLOT}\n{line}")), format!("p11rest.toml:7: {message}"));
    }
}

#[test]
fn what_a_slot_must_have_is_checked() {
    for (from, to, message) in [
        ("label = \"a\"", "", "2: slot.label: is missing; write label = \"a name of up to 32 bytes\""),
        ("label = \"a\"", "label = \"\"", "3: slot.label: is empty; write 1 to 32 bytes of UTF-8"),
        (
            "label = \"a\"",
            "label = \"ääääääääääääääääx\"",
            "3: slot.label: has 33 bytes; write 1 to 32 bytes of UTF-8",
        ),
        (
            "label = \"a\"",
            "label = \"a\\n\"",
            "3: slot.label: has a control character; write 1 to 32 bytes of UTF-8",
        ),
        ("label = \"a\"", "label = \"a \"", "3: slot.label: ends with a blank; write 1 to 32 bytes of UTF-8"),
        ("backend = \"securosys\"", "", "2: slot.backend: is missing; write backend = \"securosys\""),
        (
            "\"securosys\"",
            "\"soft\"",
            "4: slot.backend: \"soft\" is not known; write \"securosys\" or \"fast\" or \"luna\" or \"ciphertrust\" or \"declared\"",
        ),
        ("urls = [\"https://a\"]", "", "2: slot.urls: is missing; write urls = [\"https://host:port\"]"),
        ("[\"https://a\"]", "[]", "5: slot.urls: has no entry; write urls = [\"https://host:port\"]"),
        (
            "[\"https://a\"]",
            "[[\"https://a\"],\n[]]",
            "6: slot.urls: has no entry; write urls = [\"https://host:port\"]",
        ),
        (
            "[\"https://a\"]",
            "[[\"https://a\"],\n\"https://b\"]",
            "6: slot.urls: has lists and strings side by side; write a list of strings, or a list of such lists",
        ),
        (
            "[\"https://a\"]",
            "[\"https://a\",\n\"https://a:443/v1\"]",
            "6: slot.urls: https://a:443 is there twice; take one of them out",
        ),
        (
            "[\"https://a\"]",
            "[\"https://u:p@a\"]",
            "5: slot.urls: the URL has a user name or password; take it out and put credentials into [slot.auth]",
        ),
    ] {
        assert_eq!(slot_refusal(&SLOT.replacen(from, to, 1)), format!("p11rest.toml:{message}"));
    }
    assert_eq!(token(&load_text(&SLOT.replacen("\"a\"", "\"ääääääääääääääää\"", 1))).label.len(), 32);
    assert_eq!(token(&load_text(&SLOT.replacen("[\"https://a\"]", "\"https://a\"", 1))).members.len(), 1);
}

#[test]
fn one_bad_slot_spoils_no_other() {
    let slot = |text: &str| format!("[[slot]]\nbackend = \"securosys\"\nurls = \"https://a\"\n{text}\n");
    let config = load_text(&format!(
        "version = 1\n{}{}{}{}{}",
        slot("label = \"a\"\nid = 1"),
        slot("label = \"b\"\nid = 1"),
        slot("label = \"a\""),
        slot("label = \"c\"\ncolour = 1"),
        slot("label = \"d\""),
    ));
    assert_eq!(labels(&config), ["a", "-", "-", "-", "d"]);
    // 1 is taken; the second, without an id of its own, has the lowest that is free from its place on.
    assert_eq!(config.slots.iter().map(|slot| slot.id).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let message = |slot: usize| config.slots[slot].token.as_ref().unwrap_err().to_string();
    assert!(message(1).ends_with("p11rest.toml:11: slot.id: an earlier slot has the id 1; write another id"));
    assert!(
        message(2)
            .ends_with("p11rest.toml:15: slot.label: an earlier slot has the label a; write another label")
    );
    assert!(
        message(3)
            .contains("p11rest.toml:20: slot.colour: is not a known key; what may stand here is id, label, ")
    );
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let place = Place::new();
    let missing = place.path("none.toml");
    let shown = missing.display();
    let expected = format!(
        "{shown}: cannot be read: No such file or directory (os error 2); \
         name a configuration file that this user may read"
    );
    let variable = [("P11REST_CONFIG", missing.to_str().unwrap())];
    let problem = load(None, &place.process(false, &variable)).unwrap_err();
    assert_eq!((problem.to_string(), problem.is_from_reserved()), (expected.clone(), false));
    let problem = load(Some(&missing), &place.process(false, &[])).unwrap_err();
    assert_eq!((problem.to_string(), problem.is_from_reserved()), (expected, true));
    assert_eq!(problem.file(), Some(missing.as_path()));
    let large = place.write("large.toml", "#".repeat(1024 * 1024 + 1));
    let problem = load(Some(&large), &place.process(false, &[])).unwrap_err();
    assert!(problem.what().ends_with("it has more than 1048576 bytes"), "{problem}");
    let binary = place.write("binary.toml", b"\xff");
    assert_eq!(load(Some(&binary), &place.process(false, &[])).unwrap_err().what(), "is not UTF-8");
}

#[test]
fn a_bad_variable_is_named() {
    let config = load_environment(&[("P11REST_SLOT_0_LABEL", "a"), ("P11REST_SLOT_0_BACKEND", "softhsm")]);
    assert_eq!(
        config.slots[0].token.as_ref().unwrap_err().to_string(),
        "P11REST_SLOT_0_BACKEND: \"softhsm\" is not known; write \"securosys\" or \"fast\" or \"luna\" or \"ciphertrust\" or \"declared\""
    );
    let config = load_environment(&[("P11REST_SLOT_0_LABEL", "a")]);
    assert_eq!(
        config.slots[0].token.as_ref().unwrap_err().to_string(),
        "slot.backend: is missing; write backend = \"securosys\""
    );
    let process = Place::new().process(false, &[("P11REST_LOG", "loud")]);
    assert!(
        load(None, &process)
            .unwrap_err()
            .to_string()
            .starts_with("P11REST_LOG: \"loud\" is not known; write ")
    );
    let variables = [("P11REST_LOG_LEVEL".into(), OsString::from_vec(vec![0xff]))];
    let problem = load(None, &Process::with_environment(false, variables)).unwrap_err();
    assert_eq!(problem.to_string(), "P11REST_LOG_LEVEL: is not UTF-8; write it in UTF-8");
}

#[test]
fn a_secret_in_a_file_for_all_is_refused() {
    let place = Place::new();
    let path = place.write("etc/p11rest.toml", format!("{SLOT}auth.api_key.service = \"s3cret\""));
    for (mode, refused) in [(0o600, false), (0o611, false), (0o640, true), (0o604, true)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let config = load(None, &place.process(false, &[])).unwrap();
        match &config.slots[0].token {
            Ok(_) => assert!(!refused),
            Err(problem) => assert_eq!(
                place.shown(problem),
                format!(
                    "p11rest.toml:6: slot.auth.api_key.service: is a secret in a file that others may read \
                     (mode {mode:04o}); make the file private (chmod 600), or write \"file:/path\", \"env:NAME\" or \"pin\""
                )
            ),
        }
    }
    // It is the file that is not private: the environment is.
    let variables = [("P11REST_SLOT_0_AUTH_API_KEY_SERVICE", "s3cret")];
    assert!(load(None, &place.process(false, &variables)).unwrap().slots[0].token.is_ok());
}

/// The group's right stays: that is how services share a key.
#[test]
fn a_private_key_for_all_is_refused() {
    let place = Place::new();
    let key = place.write("etc/client.key", "");
    let files = "certificate = \"client.key\", key = \"client.key\"";
    let luna = SLOT.replace("securosys", "luna");
    for (name, text) in [
        ("slot.tls.identity", format!("{SLOT}tls.identity = {{ {files} }}")),
        (
            "slot.luna",
            format!("{luna}luna = {{ user = \"u\", password = \"pin\", login = \"certificate\", {files} }}"),
        ),
    ] {
        for (mode, refused) in [(0o600, false), (0o640, false), (0o604, true), (0o644, true)] {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
            let config = place.load(&text, &[]).unwrap();
            let told = config.slots[0].token.as_ref().map(|_| ()).map_err(|problem| place.shown(problem));
            let message = format!(
                "p11rest.toml:6: {name}.key: client.key is a private key that everybody may read (mode {mode:04o}); take \
                 that right away: chmod o-rwx client.key"
            );
            assert_eq!(told, if refused { Err(message) } else { Ok(()) });
        }
    }
}

/// A date is of use to no key, so each that is read complains of it.
#[test]
fn every_key_of_the_schema_is_read() {
    for field in FIELDS {
        let mut text = SLOT.to_owned();
        let line = match field.path.strip_prefix("slot.") {
            None if field.path == "version" => {
                text = text.replacen("version = 1\n", "", 1);
                0
            }
            None => 1,
            Some(name) if name.starts_with("key.") => {
                if name == "key.serial" {
                    text = text.replace("securosys", "fast") + "auth.user = \"A\"\n";
                }
                text += "[[slot.key]]\n";
                text += if ["key.label", "key.serial"].contains(&name) { "" } else { "label = \"k\"\n" };
                text.lines().count()
            }
            Some(name) => {
                text = text
                    .lines()
                    .filter(|line| !line.starts_with(name))
                    .map(|line| format!("{line}\n"))
                    .collect();
                // A dialect's table is read for its slots alone, which must have more.
                let table = name.split('.').next().unwrap();
                if BackendKind::ALL.iter().any(|(kind, _)| *kind == table) {
                    text = text.replace("securosys", table);
                    let required: &[&str] = match table {
                        "luna" => &["luna.user", "luna.password"],
                        "ciphertrust" | "fast" => &["auth.user"],
                        _ => &[],
                    };
                    if table == "declared" && name != "declared.file" {
                        text += "declared.file = \"/dev/null\"\n";
                    }
                    for required in required.iter().filter(|required| **required != name) {
                        text += &format!("{required} = \"A\"\n");
                    }
                }
                text.lines().count()
            }
        };
        let name = field.path.strip_prefix("slot.").unwrap_or(field.path);
        let name = name.strip_prefix("key.").unwrap_or(name);
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.insert(line, format!("{name} = 1979-05-27"));
        let place = Place::new();
        let problem = match place.load(&lines.join("\n"), &[]) {
            Err(problem) => problem,
            Ok(config) => config.slots.into_iter().next().unwrap().token.unwrap_err(),
        };
        assert_eq!(problem.key(), Some(field.path), "{problem}");
        assert_eq!(problem.line(), Some(line + 1), "{problem}");
    }
}

/// A slot of Luna with these lines behind those that it must have.
fn luna(lines: &str) -> Result<Token, String> {
    let text = SLOT.replace("securosys", "luna") + "luna.user = \"u\"\n" + lines;
    let config = load_text(&(text + "\n"));
    config.slots.into_iter().next().unwrap().token.map_err(|problem| problem.to_string())
}

#[test]
fn a_luna_slot_says_what_it_lacks_and_what_is_not_for_it() {
    for (lines, expected) in [
        ("", "slot.luna.password: is missing"),
        ("luna.password = \"env:A\"\nluna.login = \"certificate\"", "slot.luna.certificate: is missing"),
        (
            "luna.password = \"env:A\"\nluna.challenge = \"certificate\"",
            "slot.luna.challenge: is for a login by",
        ),
        ("luna.password = \"env:A\"\nluna.set_pin = \"post\"", "slot.luna.set_pin: \"post\" is not known"),
        ("luna.password = \"env:A\"\nauth.bearer = \"env:B\"", "slot.auth: is not for this back end"),
        ("luna.password = \"env:A\"\ncrypto.slot = \"a\"", "slot.crypto.slot: names the slot itself"),
        ("luna.password = \"env:A\"\ncrypto.pin_split = \":\"", "slot.crypto.slot: is missing"),
    ] {
        let message = luna(lines).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }
    let several =
        SLOT.replace("securosys", "luna").replace("[\"https://a\"]", "[\"https://a\", \"https://b\"]");
    let config = load_text(&(several + "luna.user = \"u\"\nluna.password = \"env:A\"\n"));
    let message = config.slots[0].token.as_ref().unwrap_err().to_string();
    assert!(message.contains("slot.urls: has several members"), "{message}");
    let config = load_text(&(SLOT.to_owned() + "crypto.slot = \"b\"\n"));
    let message = config.slots[0].token.as_ref().unwrap_err().to_string();
    assert!(message.contains("slot.crypto.slot: is for slots that do no cryptography"), "{message}");
    let config = load_text(&(SLOT.to_owned() + "luna.user = \"b\"\n"));
    let message = config.slots[0].token.as_ref().unwrap_err().to_string();
    assert!(message.contains("slot.luna: is for slots with backend = \"luna\""), "{message}");
}

#[test]
fn the_id_of_a_partition_is_the_serial_number() {
    let serial = |partition: &str| {
        let token = luna(&format!("luna.password = \"env:A\"\nluna.partition = \"{partition}\"")).unwrap();
        String::from_utf8(token.serial_number().to_vec()).unwrap()
    };
    assert_eq!(serial("1682975235230"), "1682975235230   ");
    assert_eq!(serial("12345678901234567"), "2345678901234567");
    assert!(serial("payments").bytes().all(|byte| byte.is_ascii_hexdigit()));
}
