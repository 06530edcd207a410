//! The clock of a service, which tests may set wrong.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use der::DateTime;

/// The time of the machine and how far from it the service is.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    ahead: AtomicI64,
}

impl Clock {
    /// From now on that many seconds ahead of the machine.
    pub(crate) fn set(&self, ahead: i64) {
        self.ahead.store(ahead, Ordering::Relaxed);
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub(crate) fn milliseconds(&self) -> i64 {
        let machine = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        machine.as_millis() as i64 + 1000 * self.ahead.load(Ordering::Relaxed)
    }

    /// Seconds since 1970-01-01 UTC.
    pub(crate) fn seconds(&self) -> i64 {
        self.milliseconds().div_euclid(1000)
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// As `Date` has it (RFC 9110 §5.6.7), from seconds since 1970-01-01 UTC.
pub(crate) fn http_date(seconds: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let seconds = u64::try_from(seconds).unwrap_or_default();
    // Beyond the year 9999 there is no such form; a clock that says so has no better answer.
    let Ok(time) = DateTime::from_unix_duration(Duration::from_secs(seconds)) else { return String::new() };
    let day = DAYS[(seconds / 86_400 % 7) as usize];
    let month = MONTHS[usize::from(time.month()) - 1];
    let (hour, minute, second) = (time.hour(), time.minutes(), time.seconds());
    format!("{day}, {:02} {month} {} {hour:02}:{minute:02}:{second:02} GMT", time.day(), time.year())
}

/// The seconds of a time of HTTP; `None`: it is not written so.
pub(crate) fn from_http_date(text: &str) -> Option<i64> {
    let parts: Vec<&str> = text.split([' ', ':']).collect();
    let [_, day, month, year, hour, minute, second, _] = parts[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let seconds = seconds(&[year, &month.to_string(), day, hour, minute, second])?;
    // Also the day of the week, and zeros.
    (http_date(seconds) == text).then_some(seconds)
}

/// The same of `20260102T030405Z`.
pub(crate) fn from_basic(text: &str) -> Option<i64> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    if date.len() != 8 || time.len() != 6 || !digits(date) || !digits(time) {
        return None;
    }
    seconds(&[&date[..4], &date[4..6], &date[6..], &time[..2], &time[2..4], &time[4..]])
}

/// Since 1970-01-01 UTC, from year, month, day, hour, minute and second.
fn seconds(parts: &[&str; 6]) -> Option<i64> {
    let small = |text: &str| text.parse::<u8>().ok();
    let [year, month, day, hour, minute, second] = *parts;
    let time = DateTime::new(
        year.parse().ok()?,
        small(month)?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        small(second)?,
    );
    i64::try_from(time.ok()?.unix_duration().as_secs()).ok()
}

#[cfg(test)]
mod tests {
    /// The same back, and what is none. 1440938160 is what `date -u -d 2015-08-30T12:36:00Z +%s` says.
    #[test]
    fn times_are_read_as_strictly_as_they_are_written() {
        assert_eq!(super::from_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(super::from_basic("20150830T123600Z"), Some(1_440_938_160));
        for wrong in ["Mon, 06 Nov 1994 08:49:37 GMT", "Sun, 6 Nov 1994 08:49:37 GMT", "784111777", ""] {
            assert_eq!(super::from_http_date(wrong), None, "{wrong}");
        }
        for wrong in ["20150830T123600", "2015083T1236000Z", "20151330T123600Z", "20150830t123600Z", ""] {
            assert_eq!(super::from_basic(wrong), None, "{wrong}");
        }
    }

    /// The examples of RFC 9110 §5.6.7 and of Microsoft's pages on signed requests.
    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(super::http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(super::http_date(1_526_064_516), "Fri, 11 May 2018 18:48:36 GMT");
    }
}
