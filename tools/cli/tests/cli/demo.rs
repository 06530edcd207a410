//! `p11rest demo`

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{module, names, p11rest, run, stderr, stdout};

#[test]
fn a_missing_module_is_told_before_anything_starts() {
    let dir = TempDir::new().unwrap();
    let missing = dir.path().join("libp11rest.so");
    let mut by_argument = p11rest();
    by_argument.args(["demo", "--module"]).arg(&missing);
    let mut by_variable = p11rest();
    by_variable.arg("demo").env("P11REST_MODULE", &missing);
    for mut command in [by_argument, by_variable] {
        command.env("TMPDIR", dir.path());
        let output = run(&mut command);
        assert_eq!(output.status.code(), Some(1));
        let complaint = stderr(&output);
        assert!(complaint.contains(&missing.display().to_string()), "{complaint}");
        assert!(complaint.contains("No such file or directory"), "{complaint}");
        assert!(complaint.contains("run make first"), "{complaint}");
        assert_eq!(stdout(&output), "");
        assert_eq!(names(dir.path()), [""; 0]);
    }
}

#[test]
fn a_missing_openssl_is_told_with_its_package() {
    let dir = TempDir::new().unwrap();
    let some_file = env!("CARGO_BIN_EXE_p11rest");
    let output = run(p11rest()
        .args(["demo", "--module", some_file])
        .env("PATH", dir.path())
        .env("TMPDIR", dir.path()));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("openssl cannot be run"), "{output:?}");
    assert!(stderr(&output).contains("apt-get install openssl"), "{output:?}");
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn a_file_to_sign_must_be_there() {
    let some_file = env!("CARGO_BIN_EXE_p11rest");
    let output = run(p11rest().args(["demo", "--module", some_file, "--file", "/nowhere/x.txt"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nowhere/x.txt: No such file or directory"), "{output:?}");
}

#[test]
fn what_is_no_module_fails_and_leaves_nothing_behind() {
    let temporary = TempDir::new().unwrap();
    let text = tempfile::NamedTempFile::new().unwrap();
    fs::write(text.path(), "not a shared object").unwrap();
    let output = run(p11rest().args(["demo", "--module"]).arg(text.path()).env("TMPDIR", temporary.path()));
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("[2/6] Load the module with dlopen ... failed\n"), "{output:?}");
    assert!(stderr(&output).contains(&text.path().display().to_string()), "{output:?}");
    assert!(stderr(&output).contains("the application ended with exit status: 1"), "{output:?}");
    assert_eq!(names(temporary.path()), [""; 0]);
}

#[test]
fn a_signal_leaves_nothing_behind() {
    let temporary = TempDir::new().unwrap();
    let mut command = p11rest();
    command.args(["demo", "--module"]).arg(module()).env("TMPDIR", temporary.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while names(temporary.path()).is_empty() && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(1));
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(stderr(&output), "p11rest: interrupted\n");
    assert_eq!(names(temporary.path()), [""; 0]);
}

#[test]
fn it_signs_and_its_commands_can_be_copied() {
    let temporary = TempDir::new().unwrap();
    let said = demo(p11rest().arg("demo").env("TMPDIR", temporary.path()));
    assert!(said.contains("      rsa-2048: Verified OK\n      ec-p256: Verified OK\n"), "{said}");
    for row in ["CKO_SECRET_KEY   CKK_AES  ", "CKO_CERTIFICATE  CKC_X_509  ", "CKO_PRIVATE_KEY  CKK_RSA  "] {
        assert!(said.contains(row), "{row} in {said}");
    }
    let folder = temporary.path().join(&names(temporary.path())[0]);
    assert!(!folder.join("ready").exists(), "the emulator has ended");
    assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);

    let script = commands(&said);
    let output = Command::new("sh").args(["-e", "-c", &script]).output().unwrap();
    assert!(output.status.success(), "{script}\n{output:?}");
    assert_eq!(stdout(&output).matches("Verified OK\n").count(), 2, "{output:?}");
    assert_eq!(names(temporary.path()), [""; 0], "the last command removes the folder");
}

#[test]
fn a_named_folder_and_file_are_kept() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("it's here");
    let file = dir.path().join("my file.txt");
    fs::write(&file, b"any\0bytes").unwrap();
    let once = || {
        let mut command = p11rest();
        command.args(["demo", "--tls=false", "--dir"]).arg(&folder).arg("--file").arg(&file);
        demo(&mut command)
    };
    let said = once();
    assert!(said.contains("http://127.0.0.1:"), "{said}");
    for key in ["rsa-2048", "ec-p256"] {
        assert!(openssl_verifies(&folder, key, &file), "{key}");
    }
    fs::write(&file, b"other bytes").unwrap();
    assert!(!openssl_verifies(&folder, "rsa-2048", &file));

    // Keys stay, so that a second run signs with the same ones.
    let key = fs::read_to_string(folder.join("rsa-2048.pub.pem")).unwrap();
    once();
    assert_eq!(fs::read_to_string(folder.join("rsa-2048.pub.pem")).unwrap(), key);
    assert!(openssl_verifies(&folder, "rsa-2048", &file));

    let output = Command::new("sh").args(["-e", "-c", &commands(&said)]).output().unwrap();
    assert_eq!(stdout(&output).matches("Verified OK\n").count(), 2, "{output:?}");
}

/// The user's own slots must not get the demo's PIN.
#[test]
fn variables_that_change_slots_are_kept_from_it() {
    let temporary = TempDir::new().unwrap();
    demo(
        p11rest()
            .arg("demo")
            .env("TMPDIR", temporary.path())
            .env("P11REST_SLOT_0_LABEL", "mine")
            .env("P11REST_SLOT_0_URLS", "http://127.0.0.1:9"),
    );
}

/// Runs a demo that must succeed, and returns what it said.
fn demo(command: &mut Command) -> String {
    let output = run(command.env("P11REST_MODULE", module()));
    assert_eq!(output.status.code(), Some(0), "{}\n{}", stdout(&output), stderr(&output));
    assert_eq!(stderr(&output), "");
    stdout(&output)
}

/// The lines to be copied. Should one of them fail, the emulator is not left behind: it would hold the test's pipes.
fn commands(said: &str) -> String {
    let (_, by_hand) = said.split_once("by hand").unwrap();
    let lines = by_hand.lines().filter_map(|line| line.strip_prefix("    "));
    ["trap 'kill $! 2>/dev/null || :' EXIT"]
        .into_iter()
        .chain(lines)
        .map(|line| format!("{line}\n"))
        .collect()
}

fn openssl_verifies(folder: &Path, key: &str, file: &Path) -> bool {
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha256", "-verify"]).arg(folder.join(format!("{key}.pub.pem")));
    command.arg("-signature").arg(folder.join(format!("{key}.sig"))).arg(file);
    run(&mut command).status.success()
}
