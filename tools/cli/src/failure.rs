//! Why a command failed, and what the user can do about it.

use std::fmt;

use p11rest_emulator::Error;

/// A failure in the words of whoever has to mend it.
#[derive(Debug)]
pub struct Failure {
    message: String,
    remedy: Option<String>,
    in_log: bool,
}

impl Failure {
    /// What failed, on one line.
    pub fn new(message: impl fmt::Display) -> Failure {
        Failure { message: message.to_string(), remedy: None, in_log: false }
    }

    /// For `map_err`: `context` says what was being done, or to which file.
    pub fn in_context<E: fmt::Display>(context: impl fmt::Display) -> impl FnOnce(E) -> Failure {
        move |error| Failure::new(format_args!("{context}: {error}"))
    }

    /// Adds what the user can do.
    pub fn remedy(self, remedy: impl fmt::Display) -> Failure {
        Failure { remedy: Some(remedy.to_string()), ..self }
    }

    /// Notes that the module's log knows more.
    pub fn in_log(self) -> Failure {
        Failure { in_log: true, ..self }
    }

    /// Adds how to see the log, where that knows more and nothing better is known.
    pub fn or_log(self, hint: Option<&str>) -> Failure {
        match hint {
            Some(hint) if self.in_log && self.remedy.is_none() => self.remedy(hint),
            _ => self,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n         {remedy}"),
            None => Ok(()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let failure = Failure::new(&error);
        match error {
            Error::InUse(_) => failure.remedy("stop it, or name another folder with --dir"),
            _ => failure,
        }
    }
}
