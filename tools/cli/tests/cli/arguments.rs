//! Wrong arguments end with status 2 and say what is wrong; help and version with 0.

use crate::{p11rest, run, stderr, stdout};

#[test]
fn wrong_arguments_are_told_apart_from_failures() {
    let cases: [(&[&str], &str); 19] = [
        (&[], "Usage: p11rest"),
        (&["frobnicate"], "'frobnicate'"),
        (&["emulate"], "--dir <DIR>"),
        (&["emulate", "--dir", "/tmp", "--port", "65536"], "65536 is not in 0..=65535"),
        (&["emulate", "--dir", "/tmp", "--latency-ms", "-1"], "'-1'"),
        (&["emulate", "--dir", "/tmp", "--latency-ms", "600001"], "600001 is not in 0..=600000"),
        (&["emulate", "--dir", "/tmp", "--idle-ms", "0"], "0 is not in 1..=600000"),
        (&["emulate", "--dir", "/tmp", "--idle-how", "rst"], "--idle-ms <N>"),
        (&["emulate", "--dir", "/tmp", "--client-auth", "need"], "--tls"),
        (&["emulate", "--dir", "/tmp", "--tls", "--tls-max", "1.1"], "[possible values: 1.2, 1.3]"),
        (&["emulate", "--dir", "/tmp", "--bearer", "a b"], "visible ASCII"),
        (&["emulate", "--dir", "/tmp", "--bearer", ""], "visible ASCII"),
        (&["emulate", "--dir", "/tmp", "--pin", "a b"], "visible ASCII"),
        (&["emulate", "--dir", "/tmp", "--licence", "ALL"], "[possible values: REST_API, TSB_ENGINE]"),
        (&["emulate", "--dir", "/tmp", "--random-role", "x"], "[possible values: key_operation, service]"),
        (&["emulate", "--dir", "/tmp", "--access-token-status", "500"], "[possible values: 401, 400, 403]"),
        (&["emulate", "--dir", "/tmp", "--vendor", "acme"], "\"acme\" is none of them: securosys, fast"),
        (&["demo", "--tls=maybe"], "[possible values: true, false]"),
        (&["demo", "--pin", "1"], "'--pin'"),
    ];
    for (arguments, expected) in cases {
        let output = run(p11rest().args(arguments));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{arguments:?}");
    }
}

#[test]
fn help_names_the_commands_that_are_for_users() {
    let output = run(p11rest().arg("--help"));
    assert_eq!(output.status.code(), Some(0));
    let help = stdout(&output);
    assert!(
        ["init", "list", "sign", "verify", "random", "generate", "emulate", "demo", "luna", "man", "bench"]
            .iter()
            .all(|name| help.contains(name)),
        "{help}"
    );
    assert!(!help.contains("demo-application") && !help.contains("bench-client"), "{help}");
}

#[test]
fn the_version_is_that_of_the_package() {
    let output = run(p11rest().arg("--version"));
    assert_eq!(stdout(&output), concat!("p11rest ", env!("CARGO_PKG_VERSION"), "\n"));
}
