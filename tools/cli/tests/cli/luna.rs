//! `p11rest luna enroll`

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::emulate::Running;
use crate::{p11rest, run, stderr, stdout};

/// An emulated appliance, and a certificate that it has not seen.
struct Appliance {
    emulator: Running,
    dir: TempDir,
    url: String,
    certificate: PathBuf,
}

impl Appliance {
    fn start(options: &[&str]) -> Appliance {
        let dir = TempDir::new().unwrap();
        let mut emulator = Running::start(dir.path(), &[&["--vendor", "luna"], options].concat());
        emulator.wait_for("ready");
        let url = emulator.read("ready").trim().to_owned();
        let (key, certificate) = (dir.path().join("own.key"), dir.path().join("own.pem"));
        openssl(
            &["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=p11rest", "-days", "9"],
            &key,
            &certificate,
        );
        Appliance { emulator, dir, url, certificate }
    }

    /// `p11rest luna enroll` with the password of `by`.
    fn enroll(&self, user: &str, by: &str, more: &[&str]) -> Output {
        let mut command = p11rest();
        command.args(["luna", "enroll", "--url", &self.url, "--user", user, "--certificate"]);
        command.arg(&self.certificate).arg("--password-file");
        command.arg(self.dir.path().join(format!("{by}.password"))).args(more);
        if by != user {
            command.args(["--by", by]);
        }
        run(&mut command)
    }

    /// The status of a request to plain HTTP.
    fn status(&self, method: &str, path: &str, body: &str) -> u16 {
        let address = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let kind = "application/vnd.safenetinc.lunasa+json;version=";
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all((head + body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Whether the appliance asks who shows the certificate for a proof.
    fn challenges(&self, user: &str) -> bool {
        let pem = fs::read_to_string(&self.certificate).unwrap();
        let body = serde_json::json!({"username": user, "certificate": pem}).to_string();
        match self.status("POST", "/auth/login/challenge", &body) {
            200 => true,
            401 => false,
            other => panic!("HTTP {other}"),
        }
    }
}

fn openssl(arguments: &[&str], key: &Path, out: &Path) {
    let mut command = Command::new("openssl");
    let output = command.args(arguments).arg("-keyout").arg(key).arg("-out").arg(out).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn text(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), stdout(output) + &stderr(output))
}

#[test]
fn an_enrolled_certificate_is_asked_for_a_proof() {
    let appliance = Appliance::start(&[]);
    assert!(!appliance.challenges("operator"));
    let folder = appliance.dir.path().canonicalize().unwrap();
    let key = folder.join("own.key");
    let output = appliance.enroll("operator", "operator", &["--key", key.to_str().unwrap()]);
    let (status, said) = text(&output);
    assert_eq!(status, Some(0), "{said}");
    assert!(appliance.challenges("operator") && !appliance.challenges("admin"));
    let slot = format!(
        "\n[slot.luna]\nuser = \"operator\"\nlogin = \"certificate\"\ncertificate = \"{0}/own.pem\"\nkey = \"{0}/own.key\"\n",
        folder.display()
    );
    assert!(said.contains(&slot), "{slot} in {said}");
    assert!(!said.contains(appliance.emulator.read("operator.password").trim()));
}

/// The readings of the vendor's documentation: the path in the singular, and `\n` in the place of line breaks.
#[test]
fn each_reading_of_the_call_is_tried() {
    for options in [["enrol_path=singular", "pem_in=literal"], ["enrol_path=both", "pem_in=real"]] {
        let options: Vec<_> = options.iter().flat_map(|option| ["--set", option]).collect();
        let appliance = Appliance::start(&options);
        let output = appliance.enroll("monitor", "admin", &["--api-version", "15"]);
        let (status, said) = text(&output);
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains("\n# key: the file with its private key\napi_version = 15"), "{said}");
    }
}

#[test]
fn over_tls_the_authority_is_named() {
    let appliance = Appliance::start(&["--tls"]);
    let (status, said) = text(&appliance.enroll("operator", "operator", &[]));
    assert_eq!(status, Some(1));
    assert!(said.contains("name the authority with --ca"), "{said}");
    let ca = appliance.dir.path().join("ca.pem");
    let (status, said) = text(&appliance.enroll("operator", "operator", &["--ca", ca.to_str().unwrap()]));
    assert_eq!(status, Some(0), "{said}");
}

#[test]
fn what_the_appliance_refuses_is_told_with_a_remedy() {
    let appliance = Appliance::start(&[]);
    let failed = |output: Output, reason: &str| {
        let (status, said) = text(&output);
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains(reason), "{said}");
    };
    failed(appliance.enroll("admin", "monitor", &[]), "let an administrator do it (--by)");
    failed(appliance.enroll("nobody", "admin", &[]), "there may be no account nobody");
    fs::write(appliance.dir.path().join("operator.password"), "wrong\n").unwrap();
    failed(appliance.enroll("operator", "operator", &[]), "the password of operator was not taken");
    let bad = appliance.dir.path().join("bad.password");
    fs::write(&bad, "\n").unwrap();
    failed(appliance.enroll("operator", "bad", &[]), "there is no password in it");
    let other = appliance.dir.path().join("other.key");
    let genpkey = ["genpkey", "-algorithm", "RSA", "-out", other.to_str().unwrap()];
    assert!(run(Command::new("openssl").args(genpkey)).status.success());
    let key = ["--key", other.to_str().unwrap()];
    failed(
        appliance.enroll("operator", "admin", &key),
        "other.key: holds a PRIVATE KEY, and not that of the certificate",
    );
    fs::write(&appliance.certificate, "nothing").unwrap();
    failed(appliance.enroll("operator", "admin", &[]), "openssl req -x509");
    fs::copy(appliance.dir.path().join("own.key"), &appliance.certificate).unwrap();
    failed(appliance.enroll("operator", "admin", &[]), "holds a PRIVATE KEY");
}

#[test]
fn a_password_is_read_from_standard_input_and_shown_to_no_network() {
    let appliance = Appliance::start(&[]);
    let password = appliance.emulator.read("operator.password");
    let mut command = p11rest();
    command.args(["luna", "enroll", "--url", &appliance.url, "--user", "operator", "--password-file", "-"]);
    command.arg("--certificate").arg(&appliance.certificate);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    assert!(appliance.challenges("operator"));
    let mut command = p11rest();
    command.args(["luna", "enroll", "--url", "http://luna.example:8443", "--user", "u", "--certificate"]);
    command
        .arg(&appliance.certificate)
        .arg("--password-file")
        .arg(appliance.dir.path().join("admin.password"));
    let (status, said) = text(&run(&mut command));
    assert_eq!(status, Some(1));
    assert!(said.contains("would show the password to the network"), "{said}");
}

#[test]
fn the_help_says_what_it_takes() {
    let (status, said) = text(&run(p11rest().args(["luna", "enroll", "--help"])));
    assert_eq!(status, Some(0));
    for option in
        ["--url", "--user", "--by", "--password-file", "--certificate", "--key", "--ca", "--api-version"]
    {
        assert!(said.contains(option), "{option}: {said}");
    }
    let (status, said) = text(&run(p11rest().args(["luna", "enroll", "--user", "u"])));
    assert_eq!(status, Some(2));
    assert!(said.contains("--url <URL>"), "{said}");
}
