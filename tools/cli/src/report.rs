//! Progress on standard output.
//!
//! Nobody may be listening any more (`p11rest emulate | head -1`): that is no reason to stop, so the errors of these
//! writes are dropped.

use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// A line of its own.
pub fn line(text: impl fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A line below the step that it belongs to.
pub fn detail(text: impl fmt::Display) {
    line(format_args!("      {text}"));
}

/// Steps with numbers.
pub struct Steps {
    next: u8,
    total: u8,
}

impl Steps {
    /// Steps `next` to `total`.
    pub fn new(next: u8, total: u8) -> Steps {
        Steps { next, total }
    }

    /// Shows what is about to be done.
    pub fn begin(&mut self, title: impl fmt::Display) -> Step {
        let mut out = std::io::stdout();
        let _ = write!(out, "[{}/{}] {title} ... ", self.next, self.total);
        let _ = out.flush();
        self.next += 1;
        Step { started: Instant::now(), done: false }
    }
}

/// A step under way. Dropped before it is done, it has failed.
pub struct Step {
    started: Instant,
    done: bool,
}

impl Step {
    /// Shows how long it took.
    pub fn done(mut self) {
        self.done = true;
        line(Elapsed(self.started.elapsed()));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.done {
            line("failed");
        }
    }
}

/// In milliseconds below a second, with a decimal where there are few.
pub struct Elapsed(pub Duration);

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            time if time < Duration::from_millis(10) => write!(f, "{:.1} ms", time.as_secs_f64() * 1e3),
            time if time < Duration::from_secs(1) => write!(f, "{} ms", time.as_millis()),
            time => write!(f, "{:.1} s", time.as_secs_f64()),
        }
    }
}

/// Lines of cells in columns, two blanks apart.
pub fn columns<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            // Writing to a string does not fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// A word of a POSIX shell: as it is if that is safe, else in single quotes.
pub fn shell(word: &(impl AsRef<OsStr> + ?Sized)) -> String {
    let word = Path::new(word).to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:=,@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.into_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for word in
            ["/tmp/a-b_c.1", "two words", "it's", "$HOME `id` \"x\"", "a\nb", "", "~", "*", "é", "a;b"]
        {
            let script = format!("printf %s {}", shell(word));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word, "{script}");
        }
        assert_eq!(shell("/tmp/a-b_c.1"), "/tmp/a-b_c.1");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |a: &str, b: &str, c: &str| [a.to_owned(), b.to_owned(), c.to_owned()];
        let rows = [row("a", "longer", "x"), row("bcd", "é", ""), row("", "ü", "y")];
        assert_eq!(columns(&rows), ["a    longer  x", "bcd  é", "     ü       y"]);
    }

    #[test]
    fn short_times_are_in_milliseconds() {
        assert_eq!(Elapsed(Duration::from_micros(720)).to_string(), "0.7 ms");
        assert_eq!(Elapsed(Duration::from_micros(12_900)).to_string(), "12 ms");
        assert_eq!(Elapsed(Duration::from_millis(2_340)).to_string(), "2.3 s");
    }
}
