//! `p11rest man` and `p11rest completion`

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::{names, p11rest, run, stderr, stdout};

#[test]
fn the_pages_are_without_a_warning_of_groff() {
    let dir = TempDir::new().unwrap();
    let output = run(p11rest().args(["man", "--out"]).arg(dir.path().join("man")));
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    assert_eq!(names(&dir.path().join("man")), ["p11rest.1", "p11rest.toml.5"]);
    let shown = |page: &str| {
        let mut groff = Command::new("groff");
        groff
            .args(["-Kutf8", "-Tutf8", "-man", "-ww", "-P-c", "-P-b", "-P-u", "-rLL=100n"])
            .arg(dir.path().join("man").join(page));
        let output = run(&mut groff);
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{page}");
        stdout(&output)
    };
    let tool = shown("p11rest.1");
    assert!(
        tool.contains("p11rest sign --key ec-p256 --der --in file --out file.sig"),
        "hyphens can be copied: {tool}"
    );
    let configuration = shown("p11rest.toml.5");
    assert!(configuration.contains("P11REST_SLOT_0_EDWARDS_POINT") && configuration.contains("\"250ms\""));
}

/// Each shell has its script; bash completes with it. zsh and fish do in tests/applications/tool.sh.
#[test]
fn shells_complete() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(p11rest().args(["completion", shell]));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let script = stdout(&output);
        assert!(script.contains("key-pin-file"), "{shell}");
        assert!(!script.contains("demo-application") && !script.contains("bench-client"), "{shell}");
    }
    let ask = r#"
        . <("$TOOL" completion bash)
        COMP_WORDS=(p11rest sign --mech) COMP_CWORD=2
        _p11rest p11rest --mech sign
        echo "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash")
        .env("TOOL", env!("CARGO_BIN_EXE_p11rest"))
        .args(["--norc", "-s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    bash.stdin.take().unwrap().write_all(ask.as_bytes()).unwrap();
    assert_eq!(stdout(&bash.wait_with_output().unwrap()), "--mechanism\n");
}

#[test]
fn a_folder_that_cannot_be_made_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "").unwrap();
    let output = run(p11rest().args(["man", "--out"]).arg(file.path().join("man")));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("Not a directory"), "{output:?}");
}
