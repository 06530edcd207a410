//! The log: one line a record, one `write(2)` a line.
//!
//! There is no lock, no thread and no thread-local behind it, so it may be used by any thread of the host, in exit
//! handlers and after a fork. Lines of several processes do not mix: the file is opened for appending, and no line is
//! longer than a pipe takes at once.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::process;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::config::{self, Level, LogTarget};

/// Where records go. A clone is another handle of the same log.
#[derive(Clone, Debug)]
pub struct Log(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    level: Level,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    File(File),
    Stderr,
}

impl Log {
    /// The log that the configuration asks for. A file is made with mode 0600 if it is not there.
    ///
    /// # Errors
    /// Where the file cannot be opened, or is a pipe: a pipe without a reader would raise SIGPIPE in the host.
    pub fn open(config: &config::Log) -> io::Result<Self> {
        let sink = match &config.target {
            LogTarget::None => return Ok(Self::off()),
            LogTarget::Stderr => Sink::Stderr,
            LogTarget::File(path) => Sink::File(open_for_appending(path)?),
        };
        Ok(Self(Some(Arc::new(Inner { level: config.level, sink }))))
    }

    /// A log that swallows everything.
    pub fn off() -> Self {
        Self(None)
    }

    /// Whether records of this level are written: ask before work is put into one.
    pub fn enabled(&self, level: Level) -> bool {
        level != Level::Off && self.0.as_ref().is_some_and(|inner| level <= inner.level)
    }

    /// Writes one record if the level is enabled. The text holds no secret and no data of the caller; control
    /// characters in it are escaped. A record that cannot be written is lost: nobody is left to be told.
    pub fn write(&self, level: Level, text: fmt::Arguments<'_>) {
        let Some(inner) = self.0.as_ref().filter(|_| self.enabled(level)) else { return };
        let line = line(SystemTime::now(), level, text);
        match &inner.sink {
            Sink::File(file) => put(file, line.as_bytes()),
            // Not through `std::io::stderr`, whose lock a forked child may find taken for ever.
            Sink::Stderr => put(rustix::stdio::stderr(), line.as_bytes()),
        }
    }

    /// What failed.
    pub fn error(&self, text: fmt::Arguments<'_>) {
        self.write(Level::Error, text);
    }

    /// What was odd, and what the caller should mend.
    pub fn warn(&self, text: fmt::Arguments<'_>) {
        self.write(Level::Warn, text);
    }

    /// One line for each log-in, listing and change.
    pub fn info(&self, text: fmt::Arguments<'_>) {
        self.write(Level::Info, text);
    }

    /// One line for each request.
    pub fn debug(&self, text: fmt::Arguments<'_>) {
        self.write(Level::Debug, text);
    }

    /// One line for each C call.
    pub fn trace(&self, text: fmt::Arguments<'_>) {
        self.write(Level::Trace, text);
    }
}

fn open_for_appending(path: &Path) -> io::Result<File> {
    // Without O_NONBLOCK the opening of a pipe would wait for its reader.
    let file =
        OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.file_type().is_fifo() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the log cannot be a pipe"));
    }
    Ok(file)
}

fn put(sink: impl AsFd, line: &[u8]) {
    while rustix::io::write(&sink, line) == Err(rustix::io::Errno::INTR) {}
}

/// `2026-11-22T10:00:00.123Z WARN 4711/4712 text`, with process and thread.
fn line(now: SystemTime, level: Level, text: fmt::Arguments<'_>) -> String {
    let mut line = Line(String::with_capacity(160));
    let (process, thread) = (process::id(), rustix::thread::gettid().as_raw_nonzero());
    // A full line is the only error that can come of this, and what is in it then stays.
    let _full = write!(line, "{} {level} {process}/{thread} {text}", Timestamp(now));
    line.0.push('\n');
    line.0
}

/// Room for one line: escapes what could forge another one, and cuts what is too long.
struct Line(String);

impl Line {
    /// `PIPE_BUF` of Linux less the end of the line: longer writes to a pipe may be torn.
    const LIMIT: usize = 4095;
    const CUT: &str = "…";

    fn push(&mut self, piece: &str) -> fmt::Result {
        if self.0.len() + piece.len() + Self::CUT.len() > Self::LIMIT {
            self.0.push_str(Self::CUT);
            return Err(fmt::Error);
        }
        self.0.push_str(piece);
        Ok(())
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if misleads(character) {
                for escaped in character.escape_default() {
                    self.push(escaped.encode_utf8(&mut [0; 4]))?;
                }
            } else {
                self.push(character.encode_utf8(&mut [0; 4]))?;
            }
        }
        Ok(())
    }
}

/// Control characters, line and paragraph separators, and what turns the direction of writing.
fn misleads(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A time as RFC 3339 has it: UTC, milliseconds.
struct Timestamp(SystemTime);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let millis = since.subsec_millis();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// Year, month and day of the Gregorian calendar, of a count of days since 1 January 1970.
///
/// Years are counted from 1 March, so that the leap day is the last of its year: 400 of them have 146,097 days, and
/// the months from March on repeat 31, 30, 31, 30, 31 days.
pub(crate) fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_FROM_MARCH_OF_YEAR_0: u64 = 719_468;
    let days = days + DAYS_FROM_MARCH_OF_YEAR_0;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, carry) =
        if month_from_march < 10 { (month_from_march + 3, 0) } else { (month_from_march - 9, 1) };
    (era * 400 + year_of_era + carry, month, day)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn to_file(path: &Path, level: Level) -> Log {
        Log::open(&config::Log { level, target: LogTarget::File(path.to_owned()) }).unwrap()
    }

    fn at(seconds: u64, millis: u64) -> String {
        Timestamp(UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(millis)).to_string()
    }

    /// Expected values from `date -u -d @N +%FT%TZ`.
    #[test]
    fn times_are_those_of_rfc_3339() {
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_399, 7), "2000-02-28T23:59:59.007Z");
        assert_eq!(at(951_782_400, 0), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(951_868_800, 0), "2000-03-01T00:00:00.000Z");
        assert_eq!(at(1_795_305_599, 999), "2026-11-21T23:59:59.999Z");
        assert_eq!(at(4_107_542_399, 0), "2100-02-28T23:59:59.000Z");
        assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn a_record_has_time_level_process_thread_and_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        to_file(&path, Level::Debug).debug(format_args!("listed {} keys", 7));
        let text = fs::read_to_string(&path).unwrap();
        let fields: Vec<_> = text.strip_suffix('\n').unwrap().splitn(4, ' ').collect();
        let [time, level, ids, text] = fields[..] else { panic!("{fields:?}") };
        assert_eq!((time.len(), time.as_bytes()[10], time.as_bytes()[23]), (24, b'T', b'Z'));
        assert_eq!((level, text), ("DEBUG", "listed 7 keys"));
        let (process, thread) = ids.split_once('/').unwrap();
        assert_eq!(process, process::id().to_string());
        assert!(Path::new("/proc/self/task").join(thread).exists());
    }

    #[test]
    fn the_text_cannot_forge_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        to_file(&path, Level::Warn).warn(format_args!("label {}", "a\r\nb\u{1b}[2J\u{85}\u{2028}\u{202e}ü"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with(" label a\\r\\nb\\u{1b}[2J\\u{85}\\u{2028}\\u{202e}ü\n"), "{text:?}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn a_long_record_is_cut_to_what_a_pipe_takes_at_once() {
        let line = line(SystemTime::now(), Level::Info, format_args!("{}", "ü".repeat(9000)));
        assert!(line.len() <= 4096 && line.len() > 4090, "{}", line.len());
        assert!(line.ends_with("ü…\n"));
    }

    #[test]
    fn the_file_is_private_and_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        to_file(&path, Level::Info).info(format_args!("one"));
        to_file(&path, Level::Info).info(format_args!("two"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    }

    #[test]
    fn only_what_is_enabled_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = to_file(&path, Level::Warn);
        log.error(format_args!("e"));
        log.warn(format_args!("w"));
        log.info(format_args!("i"));
        log.trace(format_args!("t"));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
        assert!(log.enabled(Level::Error) && !log.enabled(Level::Info) && !log.enabled(Level::Off));
        assert!(!to_file(&path, Level::Off).enabled(Level::Error));
        assert!(!Log::off().enabled(Level::Error));
    }

    #[test]
    fn lines_of_many_threads_stay_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = to_file(&path, Level::Info);
        thread::scope(|scope| {
            for letter in ["a", "b", "c", "d"] {
                let log = log.clone();
                scope.spawn(move || (0..200).for_each(|_| log.info(format_args!("{}", letter.repeat(500)))));
            }
        });
        let text = fs::read_to_string(&path).unwrap();
        let whole = |line: &str| {
            let text = line.rsplit(' ').next().unwrap();
            text.len() == 500 && text.chars().all(|c| text.starts_with(c))
        };
        assert_eq!(text.lines().filter(|line| whole(line)).count(), 800);
    }

    /// The harness keeps what tests print from standard error, so this one runs itself as a child.
    #[test]
    fn standard_error_gets_lines_and_may_be_closed() {
        const CHILD: &str = "P11REST_TEST_STDERR";
        if std::env::var_os(CHILD).is_some() {
            let config = config::Log { level: Level::Info, target: LogTarget::Stderr };
            return Log::open(&config).unwrap().info(format_args!("from the child"));
        }
        let own = std::env::current_exe().unwrap();
        let run = |redirection: &str| {
            let test = "observe::log::tests::standard_error_gets_lines_and_may_be_closed";
            process::Command::new("/bin/sh")
                .args(["-c", &format!("\"$0\" --exact {test} {redirection}")])
                .arg(&own)
                .env(CHILD, "1")
                .output()
                .unwrap()
        };
        let output = run("");
        assert!(output.status.success());
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.ends_with(" from the child\n") && text.contains("Z INFO "), "{text:?}");
        assert!(run("2>&-").status.success());
    }

    #[test]
    fn a_pipe_and_a_missing_folder_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [pipe, folder.path().join("none/log")] {
            assert!(Log::open(&config::Log { level: Level::Warn, target: LogTarget::File(path) }).is_err());
        }
    }
}
