//! Where a secret comes from, and how it is fetched when it is needed.

use std::env;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str;
use std::thread;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::document::Place;
use super::problem::{Fault, Problem};
use super::read::{Source, read_all};

/// Most bytes of a secret.
const LIMIT: usize = 64 * 1024;

/// How long a command may take.
const COMMAND_TIME: Duration = Duration::from_secs(10);

/// A credential, or the place to read it from.
#[derive(Clone, Default)]
pub enum Secret {
    /// An environment variable of this name.
    Env(String),
    /// A file, without the line break at its end.
    File(PathBuf),
    /// What a command of `sh -c` prints, without the line break at its end.
    Command(String),
    /// What `C_Login` brings.
    #[default]
    Pin,
    /// The secret itself.
    Literal(SecretString),
}

impl Secret {
    /// Whether `C_Login` brings it.
    pub fn is_pin(&self) -> bool {
        matches!(self, Self::Pin)
    }

    /// Fetches the secret: anew each time, so that one that was replaced is found. A command gets 10 s; it runs without
    /// standard input and without standard error.
    ///
    /// # Errors
    /// Where there is none, it is empty, not UTF-8 or longer than 64 KiB; and for [`Secret::Pin`], which is not here.
    pub fn read(&self) -> Result<SecretString, Problem> {
        self.fetch(COMMAND_TIME).map_err(|fault| Source::default().problem(None, Some("secret"), fault))
    }

    fn fetch(&self, command_time: Duration) -> Result<SecretString, Fault> {
        match self {
            Self::Env(name) => from_environment(name),
            Self::File(path) => from_file(path),
            Self::Command(command) => from_command(command, command_time),
            Self::Pin => {
                Err(Fault::new("the secret is the PIN, and nobody has logged in", "call C_Login first"))
            }
            Self::Literal(secret) => Ok(secret.clone()),
        }
    }

    /// Parses `env:NAME`, `file:PATH`, `command:…`, `pin` or a literal.
    pub(super) fn parse(place: &Place, text: &str, source: &Source) -> Result<Self, Fault> {
        let insecure = |what: &str| {
            Fault::new(
                format!("{what} is not used in a set-uid or set-gid program"),
                "write \"file:/path\" or \"pin\"",
            )
        };
        let (kind, rest) = text.split_once(':').unwrap_or(("", text));
        match (kind, rest) {
            ("env" | "file" | "command", "") => Err(Fault::new(
                format!("names nothing after \"{kind}:\""),
                "write \"env:NAME\", \"file:/path\", \"command:…\" or \"pin\"",
            )),
            ("env", _) if source.secure => Err(insecure("the environment")),
            ("command", _) if source.secure => Err(insecure("a command")),
            // What `getenv` cannot be asked for.
            ("env", name) if name.contains(['=', '\0']) => {
                Err(Fault::new("is not the name of an environment variable", "write \"env:NAME\""))
            }
            ("env", name) => Ok(Self::Env(name.to_owned())),
            ("file", path) => source.path(place, path).map(Self::File),
            ("command", command) => Ok(Self::Command(command.to_owned())),
            ("", "pin") => Ok(Self::Pin),
            ("", "") => Err(Fault::new("is empty", "write \"env:NAME\", \"file:/path\" or \"pin\"")),
            _ => literal(place, text, source),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "Env({name:?})"),
            Self::File(path) => write!(f, "File({path:?})"),
            // A command line may hold a secret of its own.
            Self::Command(_) => f.write_str("Command([redacted])"),
            Self::Pin => f.write_str("Pin"),
            Self::Literal(_) => f.write_str("Literal([redacted])"),
        }
    }
}

fn literal(place: &Place, text: &str, source: &Source) -> Result<Secret, Fault> {
    match (place, source.readable_by_others) {
        (Place::Line(_), Some(mode)) => Err(Fault::new(
            format!("is a secret in a file that others may read (mode {mode:04o})"),
            "make the file private (chmod 600), or write \"file:/path\", \"env:NAME\" or \"pin\"",
        )),
        _ => Ok(Secret::Literal(SecretString::from(text))),
    }
}

fn from_environment(name: &str) -> Result<SecretString, Fault> {
    let what = format!("the environment variable {name}");
    let value = env::var(name).map_err(|error| {
        let reason = match error {
            env::VarError::NotPresent => "is not set",
            env::VarError::NotUnicode(_) => "is not UTF-8",
        };
        Fault::new(format!("{what} {reason}"), "set it for the process that loads the module")
    })?;
    finish(Zeroizing::new(value.into_bytes()), &what)
}

fn from_file(path: &Path) -> Result<SecretString, Fault> {
    let what = format!("the file {}", path.display());
    let bytes = read_regular(path).map_err(|error| {
        Fault::new(
            format!("{what} cannot be read: {error}"),
            "name a file that this user may read, with the secret alone in it",
        )
    })?;
    finish(bytes, &what)
}

/// Never opens a pipe or a terminal: that could block.
fn read_regular(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    read_all(&File::open(path)?, LIMIT)
}

fn from_command(command: &str, time: Duration) -> Result<SecretString, Fault> {
    const WHAT: &str = "the command";
    let bytes = run(command, Instant::now() + time).map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => format!("did not end within {time:?}"),
            _ => format!("failed: {error}"),
        };
        Fault::new(format!("{WHAT} {reason}"), "name one that prints the secret and exits with status 0")
    })?;
    finish(bytes, WHAT)
}

/// What `sh -c command` prints. The output comes through a socket, because reading from one can be given an end
/// without a thread.
fn run(command: &str, deadline: Instant) -> io::Result<Zeroizing<Vec<u8>>> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut child = Command::new("/bin/sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::null())
        .stdout(OwnedFd::from(theirs))
        .stderr(Stdio::null())
        .spawn()?;
    let output = read_until(&ours, deadline).and_then(|output| wait(&mut child, deadline).map(|()| output));
    if output.is_err() {
        // It may have ended by itself, and then there is nothing to kill or to wait for.
        let _gone = child.kill();
        let _gone = child.wait();
    }
    output
}

fn read_until(mut stream: &UnixStream, deadline: Instant) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; LIMIT + 1]);
    let mut length = 0;
    loop {
        stream.set_read_timeout(Some(remaining(deadline)?))?;
        // `length` never passes the end: at the end there is no room, and `read` says 0.
        match stream.read(&mut bytes[length..]) {
            Ok(0) if length <= LIMIT => {
                bytes.truncate(length);
                return Ok(bytes);
            }
            Ok(0) => return Err(io::Error::new(io::ErrorKind::InvalidData, "it prints more than 64 KiB")),
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn wait(child: &mut Child, deadline: Instant) -> io::Result<()> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(io::Error::other(status.to_string())),
            // Its output has ended, so it is about to end.
            Ok(None) => thread::sleep(remaining(deadline)?.min(Duration::from_millis(2))),
            // The host reaps all children itself: the status is not to be had, the output is.
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn remaining(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Drops the line break at the end and checks what is left.
fn finish(bytes: Zeroizing<Vec<u8>>, what: &str) -> Result<SecretString, Fault> {
    let text = str::from_utf8(&bytes)
        .map_err(|_| Fault::new(format!("{what} has bytes that are not UTF-8"), "write text"))?
        .trim_end_matches(['\r', '\n']);
    match text.len() {
        0 => Err(Fault::new(format!("{what} is empty"), "put the secret there")),
        length if length > LIMIT => {
            Err(Fault::new(format!("{what} is {length} bytes long"), "64 KiB is the most"))
        }
        _ => Ok(SecretString::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use secrecy::ExposeSecret;

    use super::*;

    fn read(secret: &Secret) -> String {
        secret.read().unwrap().expose_secret().to_owned()
    }

    fn what(secret: &Secret) -> String {
        secret.read().unwrap_err().to_string()
    }

    fn command(text: &str) -> Secret {
        Secret::Command(text.to_owned())
    }

    #[test]
    fn a_file_is_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let secret = Secret::File(path.clone());
        fs::write(&path, "first\r\n").unwrap();
        assert_eq!(read(&secret), "first");
        fs::write(&path, "second  ").unwrap();
        assert_eq!(read(&secret), "second  ");
    }

    #[test]
    fn a_file_must_be_there_and_hold_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let secret = Secret::File(path.clone());
        let shown = path.display();
        assert_eq!(
            what(&secret),
            format!(
                "secret: the file {shown} cannot be read: No such file or directory (os error 2); \
                 name a file that this user may read, with the secret alone in it"
            )
        );
        fs::write(&path, "\n\n").unwrap();
        assert_eq!(what(&secret), format!("secret: the file {shown} is empty; put the secret there"));
        fs::write(&path, b"\xff").unwrap();
        assert!(what(&secret).contains("not UTF-8"));
        fs::write(&path, "x".repeat(LIMIT + 1)).unwrap();
        assert!(what(&secret).contains("more than 65536 bytes"));
        fs::write(&path, "x".repeat(LIMIT)).unwrap();
        assert_eq!(read(&secret).len(), LIMIT);
        assert!(what(&Secret::File(folder.path().to_owned())).contains("not a regular file"));
    }

    #[test]
    fn an_environment_variable_is_read() {
        // Cargo sets it for tests.
        assert_eq!(read(&Secret::Env("CARGO_PKG_NAME".into())), "p11rest");
        assert_eq!(
            what(&Secret::Env("P11REST_TEST_UNSET".into())),
            "secret: the environment variable P11REST_TEST_UNSET is not set; \
             set it for the process that loads the module"
        );
    }

    #[test]
    fn a_command_prints_the_secret() {
        assert_eq!(read(&command("printf 's3cret\\n'; echo noise >&2")), "s3cret");
        assert_eq!(read(&command("cat; echo end")), "end");
        assert!(what(&command("echo half; exit 3")).contains("failed: exit status: 3"));
        assert!(what(&command("true")).contains("the command is empty"));
        assert!(what(&command("head -c 70000 /dev/zero")).contains("failed: "));
    }

    #[test]
    fn a_command_has_an_end() {
        let start = Instant::now();
        for text in ["sleep 30", "exec >&-; sleep 30", "sleep 30 & echo early"] {
            let fault = command(text).fetch(Duration::from_millis(200)).unwrap_err();
            assert_eq!(fault.what, "the command did not end within 200ms", "{text}");
        }
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn the_pin_is_not_here() {
        assert!(Secret::Pin.is_pin());
        assert!(what(&Secret::Pin).contains("call C_Login"));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let place = Place::Line(1);
        let source = Source::default();
        let literal = Secret::parse(&place, "tsb-x-token_verysecret", &source).unwrap();
        assert_eq!(format!("{literal:?}"), "Literal([redacted])");
        assert_eq!(read(&literal), "tsb-x-token_verysecret");
        let command = Secret::parse(&place, "command:echo verysecret", &source).unwrap();
        assert_eq!(format!("{command:?}"), "Command([redacted])");
        assert_eq!(format!("{:?}", Secret::File(Path::new("/a").into())), "File(\"/a\")");
    }

    #[test]
    fn every_spelling_is_told_apart() {
        let source = Source { folder: "/etc/p11rest".into(), ..Source::default() };
        let parse = |text| Secret::parse(&Place::Line(1), text, &source);
        assert!(matches!(parse("env:TOKEN"), Ok(Secret::Env(name)) if name == "TOKEN"));
        assert!(matches!(parse("file:/run/x"), Ok(Secret::File(path)) if path == Path::new("/run/x")));
        assert!(matches!(parse("file:x"), Ok(Secret::File(path)) if path == Path::new("/etc/p11rest/x")));
        assert!(matches!(parse("command:a:b"), Ok(Secret::Command(text)) if text == "a:b"));
        assert!(matches!(parse("pin"), Ok(Secret::Pin)));
        assert!(matches!(parse("a:b"), Ok(Secret::Literal(_))));
        for bad in ["", "env:", "file:", "command:", "env:A=B"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
