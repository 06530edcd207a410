//! `p11rest list`, `sign`, `verify`, `public-key` and `random`, with an emulated Securosys TSB.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::emulate::Running;
use crate::{module, p11rest, run, stderr, stdout};

const DATA: &[u8] = b"any\0bytes\n";

/// An emulator, and a folder with a file to sign and one with the PIN.
struct Hsm {
    _emulator: Running,
    dir: TempDir,
}

impl Hsm {
    fn start() -> Hsm {
        Hsm::with(&[])
    }

    fn with(options: &[&str]) -> Hsm {
        let dir = TempDir::new().unwrap();
        let mut emulator = Running::start(&dir.path().join("hsm"), &[&["--tls"], options].concat());
        emulator.wait_for("ready");
        fs::write(dir.path().join("data"), DATA).unwrap();
        fs::write(dir.path().join("pin"), "1234\n").unwrap();
        Hsm { _emulator: emulator, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The tool in the folder, with the emulator's configuration.
    fn tool(&self, arguments: &[&str]) -> Command {
        let mut command = p11rest();
        command.current_dir(self.dir.path()).env("P11REST_MODULE", module());
        command.args(arguments).args(["--config", "hsm/p11rest.toml"]);
        command
    }

    /// The same with the PIN.
    fn user(&self, arguments: &[&str]) -> Output {
        run(self.tool(arguments).args(["--pin-file", "pin"]))
    }

    fn done(&self, arguments: &[&str]) -> Output {
        let output = self.user(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        output
    }
}

fn failed(output: &Output, expected: &str) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(output).contains(expected), "{expected:?} in {output:?}");
}

/// OpenSSL, in the folder.
fn openssl(hsm: &Hsm, arguments: &[&str]) {
    let output = run(Command::new("openssl").current_dir(hsm.dir.path()).args(arguments));
    assert!(output.status.success(), "{output:?}");
}

fn openssl_verifies(hsm: &Hsm, options: &[&str], key: &str, signature: &str) -> bool {
    let mut command = Command::new("openssl");
    command.current_dir(hsm.dir.path()).args(["dgst", "-verify", key, "-signature", signature]);
    run(command.args(options).arg("data")).status.success()
}

#[test]
fn slots_tokens_objects_and_mechanisms_are_listed() {
    let hsm = Hsm::start();
    // No PIN is needed, and none is asked for.
    let slots = stdout(&run(&mut hsm.tool(&["list"])));
    assert_eq!(slots.lines().count(), 2, "{slots}");
    assert!(slots.contains("Securosys") && slots.contains("PIN"), "{slots}");
    let mechanisms = stdout(&run(&mut hsm.tool(&["list", "--mechanisms"])));
    let line = mechanisms.lines().find(|line| line.starts_with("CKM_SHA256_RSA_PKCS ")).unwrap();
    assert!(line.ends_with("sign, verify"), "{line}");

    let objects = stdout(&hsm.done(&["list", "--objects"]));
    for kind in ["CKO_PRIVATE_KEY  CKK_EC  ", "CKO_SECRET_KEY   CKK_AES  ", "CKO_CERTIFICATE  CKC_X_509"] {
        assert!(objects.contains(kind), "{kind} in {objects}");
    }
}

#[test]
fn openssl_verifies_what_it_signs() {
    let hsm = Hsm::start();
    let signatures: [(&str, &[&str], &[&str]); 4] = [
        ("rsa-2048", &[], &["-sha256"]),
        (
            "rsa-cert",
            &["--mechanism", "sha384-rsa-pkcs-pss"],
            &["-sha384", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:48"],
        ),
        ("ec-p256", &["--der"], &["-sha256"]),
        ("ec-cert", &["--der", "--mechanism", "CKM_ECDSA_SHA512"], &["-sha512"]),
    ];
    for (key, how, options) in signatures {
        hsm.done(&[&["sign", "--key", key, "--in", "data", "--out", "sig"], how].concat());
        hsm.done(&["public-key", "--key", key, "--out", "key.pem"]);
        assert!(openssl_verifies(&hsm, options, "key.pem", "sig"), "{key}");
        let verify = [&["verify", "--key", key, "--in", "data", "--signature", "sig"], how].concat();
        let said = stdout(&hsm.done(&verify));
        assert!(said.starts_with(&format!("verified: by \"{key}\" (CKO_PUBLIC_KEY, ")), "{said}");

        fs::write(hsm.path("data"), "something else").unwrap();
        failed(&hsm.user(&verify), "the signature is not one of these data");
        fs::write(hsm.path("data"), DATA).unwrap();
    }
}

/// The emulator keeps its keys in files.
#[test]
fn it_verifies_what_openssl_signs() {
    let hsm = Hsm::start();
    for (key, how, options) in [("rsa-2048", None, "-sha256"), ("ec-p256", Some("--der"), "-sha256")] {
        let private_key = format!("hsm/keys/{key}.pem");
        openssl(&hsm, &["dgst", options, "-sign", &private_key, "-out", "sig", "data"]);
        let verify = ["verify", "--key", key, "--in", "data", "--signature", "sig"];
        hsm.done(&verify.into_iter().chain(how).collect::<Vec<_>>());
    }
    // r and s are as long as a signature of another curve.
    openssl(&hsm, &["dgst", "-sha384", "-sign", "hsm/keys/ec-cert.pem", "-out", "sig", "data"]);
    failed(
        &hsm.user(&["verify", "--key", "ec-p256", "--der", "--in", "data", "--signature", "sig"]),
        "sig: not an ECDSA signature in DER",
    );
}

#[test]
fn a_key_with_a_password_of_its_own_signs_with_it() {
    let hsm = Hsm::with(&["--locked-key"]);
    openssl(&hsm, &["pkey", "-in", "hsm/keys/locked.pem", "-pubout", "-out", "locked.pub"]);
    let sign = |password: &str| {
        let mut command = hsm.tool(&["sign", "--key", "locked", "--der", "--in", "data", "--out", "sig"]);
        command.args(["--pin-file", "pin"]).env("P11REST_KEY_PIN", password);
        command.env("P11REST_SLOT_0_KEY_0_LABEL", "locked").env("P11REST_SLOT_0_KEY_0_PASSWORD", "true");
        run(command.env("P11REST_SLOT_0_KEY_0_PUBLIC_KEY", hsm.path("locked.pub")))
    };
    failed(&sign("wrong"), "the password of the key may be wrong");
    let output = sign("pw");
    assert!(output.status.success(), "{output:?}");
    assert!(openssl_verifies(&hsm, &["-sha256"], "locked.pub", "sig"));
}

#[test]
fn keys_are_made_and_deleted() {
    let hsm = Hsm::start();
    let kinds: [(&str, &[&str]); 3] =
        [("rsa-2048", &["-sha256"]), ("ec-p384", &["-sha256"]), ("ec-p521", &["-sha256"])];
    for (kind, options) in kinds {
        let made = stdout(&hsm.done(&["generate", "--key", "made", "--type", kind]));
        assert!(made.starts_with("made: \"made\" (CKO_PRIVATE_KEY, "), "{made}");
        let der: &[&str] = if kind == "rsa-2048" { &[] } else { &["--der"] };
        hsm.done(&[&["sign", "--key", "made", "--in", "data", "--out", "sig"], der].concat());
        hsm.done(&["public-key", "--key", "made", "--out", "key.pem"]);
        assert!(openssl_verifies(&hsm, options, "key.pem", "sig"), "{kind}");
        hsm.done(&[&["verify", "--key", "made", "--in", "data", "--signature", "sig"], der].concat());
        let without = hsm.user(&["delete", "--key", "made"]);
        assert_eq!(without.status.code(), Some(2), "{without:?}");
        hsm.done(&["delete", "--key", "made", "--for-ever"]);
        failed(&hsm.user(&["public-key", "--key", "made"]), "there is no CKO_PUBLIC_KEY \"made\"");
    }
    let made = stdout(&hsm.done(&["generate", "--key", "made", "--type", "aes-256"]));
    assert!(made.contains("CKO_SECRET_KEY, CKK_AES"), "{made}");
    failed(
        &hsm.user(&["generate", "--key", "made", "--type", "aes-256"]),
        "C_GenerateKey: CKR_ATTRIBUTE_VALUE_INVALID: the HSM makes no such key, or the label is taken\n",
    );
}

/// Standard input and output, text instead of bytes, and the digest of OpenSSL.
#[test]
fn it_is_a_filter() {
    let hsm = Hsm::start();
    let text = hsm.done(&["sign", "--key", "rsa-2048", "--in", "data"]).stdout;
    hsm.done(&["sign", "--key", "rsa-2048", "--in", "data", "--out", "raw"]);
    hsm.done(&["sign", "--key", "rsa-2048", "--in", "data", "--out", "hex", "--format", "hex"]);
    fs::write(hsm.path("base64"), text).unwrap();
    // PKCS #1 v1.5 has one signature of one message.
    let decoded = run(Command::new("openssl").args(["base64", "-d", "-A", "-in"]).arg(hsm.path("base64")));
    assert_eq!(decoded.stdout, fs::read(hsm.path("raw")).unwrap());
    for format in ["raw", "base64", "hex"] {
        hsm.done(&["verify", "--key", "rsa-2048", "--in", "data", "--signature", format, "--format", format]);
    }
    failed(
        &hsm.user(&["verify", "--key", "rsa-2048", "--in", "data", "--signature", "raw", "--format", "hex"]),
        "raw: it is not hexadecimal",
    );

    let digest = Command::new("openssl").args(["dgst", "-sha256", "-binary"]).arg(hsm.path("data")).output();
    let mut sign =
        hsm.tool(&["sign", "--key", "ec-p256", "--mechanism", "CKM_ECDSA", "--der", "--out", "sig"]);
    sign.args(["--pin-file", "pin"]).stdin(Stdio::piped());
    let mut child = sign.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&digest.unwrap().stdout).unwrap();
    assert!(child.wait().unwrap().success());
    hsm.done(&["public-key", "--key", "ec-p256", "--out", "key.pem"]);
    assert!(openssl_verifies(&hsm, &["-sha256"], "key.pem", "sig"));
}

#[test]
fn random_bytes_are_as_many_as_asked_for_and_never_the_same() {
    let hsm = Hsm::start();
    let draw = || stdout(&hsm.done(&["random", "32", "--format", "hex"]));
    let (one, other) = (draw(), draw());
    assert_eq!((one.len(), other.len()), (65, 65));
    assert!(one != other && one.trim_end().bytes().all(|digit| digit.is_ascii_hexdigit()));
    hsm.done(&["random", "100000", "--out", "random"]);
    assert_eq!(fs::metadata(hsm.path("random")).unwrap().len(), 100_000);
}

#[test]
fn the_pin_comes_from_the_environment_or_the_terminal_too() {
    let hsm = Hsm::start();
    let output = run(hsm.tool(&["random", "1"]).env("P11REST_PIN", "1234"));
    assert!(output.status.success(), "{output:?}");
    fs::write(hsm.path("pin"), "4321\n").unwrap();
    failed(&hsm.user(&["random", "1"]), "C_Login: CKR_PIN_INCORRECT: the PIN is wrong\n");
    fs::write(hsm.path("pin"), "\n1234\n").unwrap();
    failed(&hsm.user(&["random", "1"]), "pin: its first line is empty");

    let (said, done) = at_a_terminal(&hsm, "1234\n");
    assert!(done && said.contains("PIN of token"), "{said}");
    assert!(!said.contains("1234"), "it is not shown: {said}");
    let (said, done) = at_a_terminal(&hsm, "12\x03");
    assert!(!done && said.contains("p11rest: interrupted"), "{said}");
    assert!(said.contains("echo is on"), "the terminal is what it was: {said}");
}

/// What is shown at a terminal where this is typed once the PIN is asked for, and whether `random` succeeded.
fn at_a_terminal(hsm: &Hsm, typed: &str) -> (String, bool) {
    let shown = hsm.path("shown");
    let script =
        "\"$TOOL\" random 8 --out drawn; echo status $?; stty -a | grep -q ' echo ' && echo echo is on";
    let mut command = Command::new("script");
    command.args(["--quiet", "--flush", "--command", script]).arg(&shown);
    command.current_dir(hsm.dir.path()).env("TOOL", env!("CARGO_BIN_EXE_p11rest")).env_remove("P11REST_PIN");
    command.env("P11REST_MODULE", module()).env("P11REST_CONFIG", hsm.path("hsm/p11rest.toml"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    // Typed before that, the terminal would echo it.
    while !shows(&shown, "PIN of token") && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    std::thread::sleep(std::time::Duration::from_millis(100));
    child.stdin.as_mut().unwrap().write_all(typed.as_bytes()).unwrap();
    child.wait().unwrap();
    (fs::read_to_string(&shown).unwrap(), shows(&shown, "status 0"))
}

fn shows(file: &Path, text: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|shown| shown.contains(text))
}

#[test]
fn what_is_wrong_is_told_with_its_remedy() {
    let hsm = Hsm::start();
    failed(&hsm.user(&["sign", "--key", "nobody", "--in", "data"]), "p11rest list --objects shows");
    failed(&hsm.user(&["sign", "--key", "rsa-2048", "--in", "nothing"]), "nothing: No such file");
    failed(&hsm.user(&["sign", "--key", "rsa-2048", "--der", "--in", "data"]), "--der is for ECDSA");
    failed(&hsm.user(&["sign", "--key", "aes-256", "--in", "data"]), "name one with --mechanism");
    failed(
        &hsm.user(&["sign", "--key", "rsa-2048", "--mechanism", "CKM_RSA_PKCS_PSS", "--in", "data"]),
        "10 bytes are none",
    );
    failed(
        &hsm.user(&["sign", "--key", "rsa-2048", "--mechanism", "CKM_SHA256_HMAC", "--in", "data"]),
        "The token offers: CKM_",
    );
    failed(&hsm.user(&["random", "1", "--token", "other"]), "there is no token \"other\"");
    failed(&run(&mut hsm.tool(&["random", "1", "--no-login"])), "C_GenerateRandom: CKR_USER_NOT_LOGGED_IN: ");
}

/// The log is told of where it knows more and is not shown yet.
#[test]
fn refusals_are_told_in_a_line_and_the_log_tells_why() {
    const HINT: &str = "\n         --log warn tells why\n";
    let dir = TempDir::new().unwrap();
    let tool = |text: &str, arguments: &[&str]| {
        let config = dir.path().join("p11rest.toml");
        fs::write(&config, text).unwrap();
        let mut command = p11rest();
        command.env("P11REST_MODULE", module()).env("P11REST_PIN", "1234").args(arguments);
        run(command.arg("--config").arg(config))
    };
    let refused = |text: &str, told: &str, why: &str| {
        let told = format!("p11rest: {told}");
        let output = tool(text, &["list", "--objects"]);
        assert_eq!(stderr(&output), format!("{told}{HINT}"));
        let logged = stderr(&tool(text, &["list", "--objects", "--log", "warn"]));
        assert!(logged.contains(why) && logged.ends_with(&format!("{told}\n")), "{why:?} in {logged}");
    };
    refused(
        "version = 1\nfoo = 2\n",
        "C_Initialize: CKR_GENERAL_ERROR: the configuration is wrong",
        "p11rest.toml:2: foo: ",
    );
    // Nobody listens at port 1.
    refused(
        "version = 1\n[[slot]]\nlabel = \"a\"\nbackend = \"securosys\"\nurls = [\"http://127.0.0.1:1\"]\n\
         [slot.auth]\nbearer = \"pin\"\n",
        "C_Login: CKR_DEVICE_ERROR: the HSM cannot be reached, or does not do it",
        "Connection refused",
    );
    let bad = "version = 1\n[[slot]]\nlabel = \"a\"\nbackend = \"acme\"\n";
    refused(bad, "no slot has a token", "p11rest.toml:4: slot.backend: ");
    let slots = tool(bad, &["list"]);
    assert!(slots.status.success() && stdout(&slots).contains("0     no token\n"), "{slots:?}");
    assert_eq!(stderr(&slots), "no token: --log warn tells why\n");
    let slots = stderr(&tool(bad, &["list", "--log", "warn"]));
    assert!(slots.contains("p11rest.toml:4: slot.backend: ") && !slots.contains("tells why"), "{slots}");
    let empty = tool("", &["list", "--objects"]);
    assert!(stderr(&empty).contains("an empty one\n         name one with --config"), "{empty:?}");
}
