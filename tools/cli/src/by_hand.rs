//! The commands that do in a shell what the tool did, to be copied as they stand.

use std::path::Path;

use p11rest_emulator::{CONFIG_FILE, PIN, READY_FILE};

use crate::application::Signed;
use crate::report::shell;

/// The Debian package of `pkcs11-tool`.
pub const PKCS11_TOOL_PACKAGE: &str = "opensc";

/// How to look at a running emulator. `pin` is a word of the shell; none: no login is needed.
pub fn first_look(dir: &Path, module: Option<&Path>, pin: Option<&str>, url: &str, tls: bool) -> Vec<String> {
    let module = module.unwrap_or(Path::new("libp11rest.so"));
    vec![export(dir), format!("{} --list-objects", pkcs11_tool(module, pin)), statistics(dir, url, tls)]
}

/// The same for several in one process: `members` are their names, URLs and PINs.
pub fn first_look_at_all<'a>(
    dir: &Path,
    module: Option<&Path>,
    members: impl Iterator<Item = (&'a str, &'a str, Option<String>)>,
    tls: bool,
) -> Vec<String> {
    let module = module.unwrap_or(Path::new("libp11rest.so"));
    let mut commands = vec![export(dir), format!("{} --list-token-slots", pkcs11_tool(module, None))];
    for (name, url, pin) in members {
        let tool = pkcs11_tool(module, pin.as_deref());
        commands.push(format!("{tool} --token-label {name} --list-objects"));
        commands.push(statistics(&dir.join(name), url, tls));
    }
    commands
}

fn statistics(dir: &Path, url: &str, tls: bool) -> String {
    let ca = match tls {
        true => format!("--cacert {} ", shell(&dir.join("ca.pem"))),
        false => String::new(),
    };
    format!("curl {ca}{url}/_emulator/stats")
}

/// How to do again what the demo did, after its emulator ended.
pub fn again(
    program: &Path,
    restart: &Restart<'_>,
    module: &Path,
    file: &Path,
    signed: &[Signed],
) -> Vec<String> {
    let mut commands = vec![
        restart.command(program),
        // Not for ever: the emulator may have failed to start.
        format!("while kill -0 $! && [ ! -e {} ]; do sleep 0.1; done", shell(&restart.dir.join(READY_FILE))),
        export(restart.dir),
        format!("cd {}", shell(restart.dir)),
        format!("{} --list-objects", pkcs11_tool(module, Some(PIN))),
    ];
    commands.extend(signed.iter().flat_map(|signed| sign_and_verify(restart.dir, module, file, signed)));
    commands.extend(["kill $! && wait $!".to_owned(), "cd -".to_owned()]);
    commands
}

/// How the demo's emulator is started anew.
pub struct Restart<'a> {
    /// Its folder, absolute.
    pub dir: &'a Path,
    /// The port that it had.
    pub port: u16,
    /// HTTPS or HTTP.
    pub tls: bool,
}

impl Restart<'_> {
    fn command(&self, program: &Path) -> String {
        let tls = if self.tls { " --tls" } else { "" };
        format!("{} emulate --dir {}{tls} --port {} &", shell(program), shell(self.dir), self.port)
    }
}

fn sign_and_verify(dir: &Path, module: &Path, file: &Path, signed: &Signed) -> [String; 2] {
    let inside = |path: &Path| shell(path.strip_prefix(dir).unwrap_or(path));
    let signature = shell(&format!("{}.by-hand.sig", signed.label));
    let file = inside(file);
    // By id: --sign in OpenSC 0.23 does not look at --label and takes the first key.
    let sign = format!(
        "{} --sign --mechanism {}{} --id {} --input-file {file} --output-file {signature}",
        pkcs11_tool(module, Some(PIN)),
        signed.scheme.pkcs11_tool_mechanism(),
        signed.scheme.pkcs11_tool_format(),
        signed.id,
    );
    let key = inside(&signed.public_key);
    [sign, format!("openssl dgst -sha256 -verify {key} -signature {signature} {file}")]
}

fn export(dir: &Path) -> String {
    format!("export P11REST_CONFIG={}", shell(&dir.join(CONFIG_FILE)))
}

fn pkcs11_tool(module: &Path, pin: Option<&str>) -> String {
    let login = pin.map(|pin| format!(" --login --pin {pin}")).unwrap_or_default();
    format!("pkcs11-tool --module {}{login}", shell(module))
}
