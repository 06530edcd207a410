//! `p11rest init`: the module takes what it writes.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::emulate::Running;
use crate::{module, names, p11rest, run, stderr, stdout};

/// The tool in a folder, without the user's own.
fn tool(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = p11rest();
    command.current_dir(dir).env("HOME", dir).env_remove("XDG_CONFIG_HOME").env("P11REST_MODULE", module());
    command.args(arguments).stdin(Stdio::null());
    command
}

fn init(dir: &Path, arguments: &[&str]) -> Output {
    run(&mut tool(dir, &[&["init"], arguments].concat()))
}

/// The slots as the module sees them, without a complaint of its log.
fn slots(dir: &Path, config: &str) -> String {
    let output = run(&mut tool(dir, &["list", "--log", "warn", "--config", config]));
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{output:?}");
    stdout(&output)
}

fn openssl(dir: &Path, arguments: &[&str]) -> String {
    let output = run(Command::new("openssl").current_dir(dir).args(arguments));
    assert!(output.status.success(), "{output:?}");
    stdout(&output)
}

fn certificate(dir: &Path) {
    let subject = ["-subj", "/CN=company", "-days", "9", "-set_serial", "0x00FEdc01"];
    let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"];
    openssl(dir, &[&request[..], &subject].concat());
    fs::set_permissions(dir.join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn the_module_takes_the_configuration_of_each_vendor() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    certificate(dir);
    let vault = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pkcs11-test-config/vault-transit.toml");
    fs::copy(vault, dir.join("vault.toml")).unwrap();
    let tls = [
        "--ca",
        "cert.pem",
        "--set",
        "tls.identity.certificate=cert.pem",
        "--set",
        "tls.identity.key=key.pem",
    ];
    let cases: [(&str, &[&str], &str); 7] = [
        ("securosys", &["auth.bearer=env:JWT"], "none needed"),
        ("securosys", &["auth.api_key.key_operation=pin", "auth.api_key.service=file:svc"], "PIN"),
        ("fast", &["auth.user=company", "key.certificate=cert.pem"], "PIN"),
        ("luna", &["luna.user=a", "luna.password=file:p", "luna.partition=payments", "luna.role=cu"], "PIN"),
        ("luna", &["luna.user=a", "luna.certificate=cert.pem", "luna.key=key.pem"], "PIN"),
        ("ciphertrust", &["auth.user=a", "auth.password=file:pw", "ciphertrust.domain=d"], "none needed"),
        ("declared", &["declared.file=vault.toml", "declared.parameters=mount=kv", "auth.bearer=pin"], "PIN"),
    ];
    for (vendor, settings, login) in cases {
        let settings: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let common = ["--vendor", vendor, "--url", "https://a.example", "--url", "https://b.example"];
        // Sessions of Luna live in one appliance.
        let common = if vendor == "luna" { &common[..4] } else { &common[..] };
        let output = ["--label", "it's \"é\"", "--output", "made.toml", "--force"];
        let made = init(dir, &[common, &output, &settings, &tls].concat());
        assert_eq!(made.status.code(), Some(0), "{vendor}: {made:?}");
        let slots = slots(dir, "made.toml");
        assert!(slots.contains("it's \"é\"") && slots.trim_end().ends_with(login), "{vendor}: {slots}");
        assert_eq!(fs::metadata(dir.join("made.toml")).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // Nothing else is left, such as half a file.
    assert_eq!(names(dir), ["cert.pem", "key.pem", "made.toml", "vault.toml"]);
}

/// What is a comment is right, too, once its mark is taken away.
#[test]
fn its_comments_can_be_taken_in() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    certificate(dir);
    let arguments =
        ["--vendor", "ciphertrust", "--url", "https://a.example", "--label", "a", "--set", "auth.user=a"];
    let text = stdout(&init(dir, &[&arguments[..], &["--output", "-"]].concat()));
    assert!(text.lines().all(|line| line.is_empty() || line.len() < 125), "{text}");
    let is_toml = |line: &str| {
        line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
    };
    let taken: String = text
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|line| is_toml(line)).unwrap_or(line).to_owned() + "\n")
        .collect();
    let taken = taken.replace("/etc/p11rest/client.key", dir.join("key.pem").to_str().unwrap());
    let taken = taken.replace("/etc/p11rest/client.pem", dir.join("cert.pem").to_str().unwrap());
    let taken = taken.replace("/etc/p11rest/ca.pem", dir.join("cert.pem").to_str().unwrap());
    let taken = taken.replace("/var/log/p11rest.log", "stderr").replace("\"info\"", "\"warn\"");
    fs::write(dir.join("taken.toml"), &taken).unwrap();
    for key in ["\nhide = ", "\n[slot.tls.identity]\n", "\ntarget = ", "\ndomain = ", "\n[slot.timeouts]\n"] {
        assert!(taken.contains(key), "{key} in {taken}");
    }
    assert!(slots(dir, "taken.toml").contains("Thales"), "{taken}");
}

#[test]
fn serial_numbers_are_those_of_openssl() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    certificate(dir);
    openssl(dir, &["x509", "-in", "cert.pem", "-outform", "DER", "-out", "cert.der"]);
    let arguments = ["--vendor", "fast", "--url", "https://a", "--label", "a", "--set", "auth.user=a"];
    let more = ["--set", "key.certificate=cert.pem cert.der", "--output", "-"];
    let text = stdout(&init(dir, &[&arguments[..], &more].concat()));
    let serial = openssl(dir, &["x509", "-in", "cert.pem", "-noout", "-serial"]);
    let serial = serial.trim().strip_prefix("serial=").unwrap();
    assert_eq!(serial, "FEDC01");
    assert_eq!(
        text.matches(&format!("[[slot.key]]\nserial = \"{serial}\"\ncertificate = \"/")).count(),
        2,
        "{text}"
    );
    let without = stdout(&init(dir, &[&arguments[..], &more[2..]].concat()));
    for (text, mark, key) in [(&text, "# serial: ", "serial = "), (&without, "# ", "# serial = ")] {
        let (comment, _) = text.split_once(key).unwrap();
        let said = comment.replace("\n# ", " ");
        assert!(said.contains("certificate's serial number in hexadecimal, as openssl x509"), "{text}");
        assert!(text.contains(&format!("{mark}For FAST HSM, and required there: ")), "{text}");
    }

    fs::write(dir.join("cert.pem"), "no certificate").unwrap();
    let output = init(dir, &[&arguments[..], &more].concat());
    assert!(stderr(&output).contains("cert.pem: no certificate: "), "{output:?}");
}

/// The emulator's own files, with paths from where the user is.
#[test]
fn what_it_writes_works_with_an_hsm() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    let mut emulator = Running::start(&dir.join("hsm"), &["--tls"]);
    emulator.wait_for("ready");
    let url = emulator.read("ready");
    let arguments = ["--vendor", "securosys", "--url", url.trim(), "--label", "made", "--ca", "hsm/ca.pem"];
    let keys = ["auth.api_key.key_management=file:hsm/key-management.key", "auth.api_key.key_operation=pin"];
    let keys: Vec<_> = keys.into_iter().flat_map(|key| ["--set", key]).collect();
    let made = init(dir, &[&arguments[..], &keys].concat());
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let config = dir.join(".config/p11rest/p11rest.toml");
    assert!(stderr(&made).contains(&format!("p11rest list --config {}", config.display())), "{made:?}");

    // It is where the module looks.
    let output = run(tool(dir, &["list", "--objects"]).env("P11REST_PIN", "1234"));
    assert!(stdout(&output).contains("CKO_PRIVATE_KEY  CKK_RSA  "), "{output:?}");
    let before = fs::read(&config).unwrap();
    let again = init(dir, &arguments);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("is already there\n         --force"), "{again:?}");
    assert_eq!(fs::read(&config).unwrap(), before);
    assert_eq!(init(dir, &[&arguments[..], &["--force"]].concat()).status.code(), Some(0));
    assert_ne!(fs::read(&config).unwrap(), before);
}

#[test]
fn what_is_missing_or_wrong_is_told_and_secrets_are_not_repeated() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    let told = |arguments: &[&str], expected: &str| {
        let output = init(dir, &[arguments, &["--output", "x.toml"]].concat());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(stderr(&output).contains(expected), "{expected:?} in {output:?}");
        assert!(!stderr(&output).contains("hunter2"), "{output:?}");
        assert_eq!(names(dir), [""; 0]);
    };
    let slot = ["--url", "https://a", "--label", "a"];
    told(&slot, "Name it with --vendor");
    told(&["--vendor", "fast", "--label", "a"], "slot.urls is missing\n         name it with --url");
    let fast = [&["--vendor", "fast"], &slot[..]].concat();
    told(&fast, "name it with --set auth.user=…");
    told(
        &[&fast[..], &["--set", "auth.user=a", "--set", "auth.password=hunter2"]].concat(),
        "not the place of a secret",
    );
    told(&[&fast[..], &["--set", "hunter2"]].concat(), "--set: write KEY=VALUE");
    told(
        &[&fast[..], &["--set", "luna.user=a"]].concat(),
        "these are: label, urls, auth.user, auth.password",
    );
    told(&[&fast[..], &["--label", "b"][..0], &["--set", "label=b"]].concat(), "--label: it is there twice");
    told(&[&fast[..], &["--ca", "nowhere.pem"]].concat(), "--ca: nowhere.pem: No such file");
    told(
        &[&fast[..], &["--set", "key.certificate=no.pem"]].concat(),
        "--set key.certificate=…: no.pem: No such file",
    );
    told(&["--vendor", "luna", "--url", "ftp://a"], "--url: it does not begin with https://");
}

/// At a terminal it asks.
#[test]
fn it_asks_at_a_terminal() {
    let dir = TempDir::new().unwrap();
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", "\"$TOOL\" init --output made.toml", "shown"]);
    command.current_dir(dir.path()).env("TOOL", env!("CARGO_BIN_EXE_p11rest"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let typed = "ciphertrust\npayments\nhttps://cm.example\nsigner\n\nroot\n\n\n\n";
    child.stdin.as_mut().unwrap().write_all(typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = fs::read_to_string(dir.path().join("made.toml")).unwrap();
    for line in
        ["label = \"payments\"", "user = \"signer\"", "password = \"pin\"", "domain = \"root\"", "# ca = "]
    {
        assert!(text.contains(&format!("\n{line}")), "{line} in {text}");
    }
    assert!(
        stdout(&output).contains("Where its password is (pin, file:/path or env:NAME) [pin]: "),
        "{output:?}"
    );
    assert!(slots(dir.path(), "made.toml").contains("payments"));
}
