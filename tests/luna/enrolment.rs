//! The login by certificate, from the enrolment on.

use std::process::Command;

use cryptoki_sys::*;
use reqwest::Method;
use serde_json::json;

use super::{run, session_of, sessions, switch, write};
use crate::support::emulator::{Emulator, PIN};
use crate::support::p11::refused;
use crate::support::{openssl, tool};

/// A slot whose account shows a certificate of our own.
fn slot(emulator: &Emulator) -> String {
    let path = |name: &str| emulator.path(name).display().to_string();
    let (key, certificate) = (path("own.key"), path("own.pem"));
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=p11rest", "-days", "9"];
    openssl::openssl(&[&new[..], &["-keyout", &key, "-out", &certificate]].concat(), b"");
    format!(
        "[[slot]]\nlabel = \"luna\"\nbackend = \"luna\"\nurls = [\"{}\"]\n[slot.luna]\nuser = \"operator\"\n\
         login = \"certificate\"\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n",
        emulator.url()
    )
}

#[test]
fn only_an_enrolled_certificate_logs_in() {
    run(
        &[],
        |emulator| write(emulator, &slot(emulator)),
        |p11, slot, emulator| {
            let session = p11.open(slot).unwrap();
            // The account is configuration: the PIN is not to blame.
            refused(session.login(PIN), CKR_DEVICE_ERROR);
            let mut enroll = Command::new(tool());
            enroll.args(["luna", "enroll", "--url", emulator.url(), "--user", "operator", "--password-file"]);
            enroll.arg(emulator.path("operator.password")).arg("--certificate").arg(emulator.path("own.pem"));
            let output = enroll.output().unwrap();
            assert!(output.status.success(), "{output:?}");
            session.login(PIN).unwrap();
            assert_eq!(sessions(emulator), session_of("co"));
            session.logout().unwrap();
            switch(emulator, Method::DELETE, "accounts/operator/certificates", &json!(null));
            refused(session.login(PIN), CKR_DEVICE_ERROR);
        },
    );
}
