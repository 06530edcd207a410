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

/// As `Date` has it (RFC 9110 §5.6.7), from seconds since 1970-01-01 UTC.
pub(crate) fn http_date(seconds: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = u64::try_from(seconds).unwrap_or_default();
    // Beyond the year 9999 there is no such form; a clock that says so has no better answer.
    let Ok(time) = DateTime::from_unix_duration(Duration::from_secs(seconds)) else { return String::new() };
    let day = DAYS[(seconds / 86_400 % 7) as usize];
    let month = MONTHS[usize::from(time.month()) - 1];
    let (hour, minute, second) = (time.hour(), time.minutes(), time.seconds());
    format!("{day}, {:02} {month} {} {hour:02}:{minute:02}:{second:02} GMT", time.day(), time.year())
}

#[cfg(test)]
mod tests {
    /// The examples of RFC 9110 §5.6.7 and of Microsoft's pages on signed requests.
    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(super::http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(super::http_date(1_526_064_516), "Fri, 11 May 2018 18:48:36 GMT");
    }
}
