//! Where a PIN comes from: a file, the environment or the terminal; never the command line, which everybody on the
//! machine can read.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;

use cryptoki::types::AuthPin;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use crate::failure::Failure;

/// What Ctrl-C sends.
const INTERRUPT: u8 = 3;

/// The places to look in, the first one first.
pub struct Source<'a> {
    file: Option<&'a Path>,
    option: &'static str,
    variable: &'static str,
    what: String,
}

impl<'a> Source<'a> {
    /// Of the PIN of a token.
    pub fn of_token(file: Option<&'a Path>, label: &str) -> Source<'a> {
        let what = format!("PIN of token {label:?}");
        Source { file, option: "--pin-file", variable: "P11REST_PIN", what }
    }

    /// Of the password that a key has for itself.
    pub fn of_key(file: Option<&'a Path>, label: &str) -> Source<'a> {
        let what = format!("Password of key {label}");
        Source { file, option: "--key-pin-file", variable: "P11REST_KEY_PIN", what }
    }

    /// Fetches it.
    pub fn read(&self) -> Result<AuthPin, Failure> {
        if let Some(path) = self.file {
            let text = fs::read_to_string(path).map_err(Failure::in_context(path.display()))?;
            return first_line(&text)
                .ok_or_else(|| Failure::new(format_args!("{}: its first line is empty", path.display())));
        }
        match env::var(self.variable) {
            Ok(pin) if !pin.is_empty() => Ok(pin.into()),
            _ => self.ask(),
        }
    }

    fn ask(&self) -> Result<AuthPin, Failure> {
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|_| {
            let (option, variable) = (self.option, self.variable);
            Failure::new(format_args!("{}: there is no terminal to ask at", self.what))
                .remedy(format_args!("name a file with {option}, or set {variable}"))
        })?;
        let line = ask_silently(&terminal, &self.what).map_err(Failure::in_context("terminal"))?;
        match line.as_bytes().last() {
            Some(&INTERRUPT) => Err(Failure::new("interrupted")),
            _ => first_line(&line).ok_or_else(|| Failure::new(format_args!("{}: none was given", self.what))),
        }
    }
}

fn first_line(text: &str) -> Option<AuthPin> {
    text.lines().next().filter(|line| !line.is_empty()).map(AuthPin::from)
}

/// A line without echo. Ctrl-C ends it like a line break, so that the terminal is never left without echo.
fn ask_silently(terminal: &File, what: &str) -> std::io::Result<String> {
    let before = tcgetattr(terminal)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    silent.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
    let (mut shown, restored) = (terminal, Restore(terminal, before));
    write!(shown, "{what}: ")?;
    tcsetattr(terminal, OptionalActions::Flush, &silent)?;
    let mut line = String::new();
    BufReader::new(terminal).read_line(&mut line)?;
    drop(restored);
    writeln!(shown)?;
    Ok(line)
}

/// Makes the terminal what it was.
struct Restore<'a>(&'a File, Termios);

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing.
        let _ = tcsetattr(self.0, OptionalActions::Flush, &self.1);
    }
}
