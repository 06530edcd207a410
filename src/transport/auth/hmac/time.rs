//! Times as schemes write them, and the times of servers.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::config::hmac::TimeFormat;
use crate::observe::log::civil;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// 1 January 1970 was the first of these.
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// Milliseconds since 1970, by this machine's clock.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A time in milliseconds since 1970, as the scheme writes it.
pub(super) fn write(format: TimeFormat, millis: i64) -> String {
    let millis = u64::try_from(millis).unwrap_or_default();
    let seconds = millis / 1000;
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match format {
        TimeFormat::Unix => seconds.to_string(),
        TimeFormat::UnixMillis => millis.to_string(),
        TimeFormat::Iso => format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"),
        TimeFormat::IsoBasic => format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"),
        TimeFormat::HttpDate => {
            let name = |names: &[&'static str], at: u64| names[at as usize % names.len()];
            let (weekday, month) = (name(&DAYS, seconds / 86_400), name(&MONTHS, month - 1));
            format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
        }
    }
}

/// The time that a server tells, in milliseconds since 1970: a date of HTTP (RFC 9110 section 5.6.7, the preferred
/// form), seconds or milliseconds since 1970, or a time of ISO 8601 in UTC.
pub(super) fn read(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        // Milliseconds have more than ten digits since 2001, seconds will until 2286.
        return Some(if number.unsigned_abs() < 100_000_000_000 { number * 1000 } else { number });
    }
    http_date(text).or_else(|| iso(text)).map(|seconds| seconds * 1000)
}

fn http_date(text: &str) -> Option<i64> {
    let words: Vec<&str> = text.split(' ').collect();
    let [_, day, month, year, clock, "GMT"] = words[..] else { return None };
    let month = MONTHS.iter().position(|known| *known == month)? + 1;
    seconds(year.parse().ok()?, month as u64, day.parse().ok()?, clock)
}

/// With dashes and colons, or without.
fn iso(text: &str) -> Option<i64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let clock = clock.split('.').next()?;
    let date = date.replace('-', "");
    let clock = match clock.len() {
        6 if clock.is_ascii() => format!("{}:{}:{}", &clock[..2], &clock[2..4], &clock[4..]),
        _ => clock.to_owned(),
    };
    let digits = |from: usize, to: usize| date.get(from..to)?.parse().ok();
    seconds(digits(0, 4)?, digits(4, 6)?, digits(6, 8)?, &clock)
}

fn seconds(year: u64, month: u64, day: u64, clock: &str) -> Option<i64> {
    let parts: Option<Vec<u64>> = clock.split(':').map(|part| part.parse().ok()).collect();
    let [hour, minute, second] = parts?[..] else { return None };
    let plausible = (1970..10_000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !plausible || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Years are counted from 1 March, as `civil` does.
    let (year, from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    let days = days.checked_sub(719_468)?;
    i64::try_from(((days * 24 + hour) * 60 + minute) * 60 + second).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `date -u -d @1700000000`, and so on.
    #[test]
    fn times_are_written_and_read_in_five_forms() {
        for (seconds, http, iso, basic) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00Z", "19700101T000000Z"),
            (1_526_064_516, "Fri, 11 May 2018 18:48:36 GMT", "2018-05-11T18:48:36Z", "20180511T184836Z"),
            (1_700_000_000, "Tue, 14 Nov 2023 22:13:20 GMT", "2023-11-14T22:13:20Z", "20231114T221320Z"),
            (1_709_164_799, "Wed, 28 Feb 2024 23:59:59 GMT", "2024-02-28T23:59:59Z", "20240228T235959Z"),
            (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT", "2024-02-29T00:00:00Z", "20240229T000000Z"),
        ] {
            let millis = seconds * 1000 + 7;
            assert_eq!(write(TimeFormat::HttpDate, millis), http);
            assert_eq!(write(TimeFormat::Iso, millis), iso);
            assert_eq!(write(TimeFormat::IsoBasic, millis), basic);
            assert_eq!(write(TimeFormat::Unix, millis), seconds.to_string());
            assert_eq!(write(TimeFormat::UnixMillis, millis), millis.to_string());
            for text in [http, iso, basic] {
                assert_eq!(read(text), Some(seconds * 1000), "{text}");
            }
        }
        assert_eq!(read("1700000000"), Some(1_700_000_000_000));
        assert_eq!(read("1700000000123"), Some(1_700_000_000_123));
        assert_eq!(read("-9223372036854775808"), Some(i64::MIN));
        for text in
            ["", "yesterday", "Tue, 14 Nov 2023 22:13:20", "Tue, 14 Foo 2023 22:13:20 GMT", "2023T10Z"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
