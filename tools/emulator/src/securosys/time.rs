//! Times as the API writes them.

use std::time::Duration;

use der::DateTime;

/// `2024-11-21T12:05:20Z`, from seconds since 1970-01-01 UTC.
pub(crate) fn iso(seconds: u64) -> String {
    // Beyond the year 9999 there is no such form; a clock that says so has no better answer.
    DateTime::from_unix_duration(Duration::from_secs(seconds))
        .map_or_else(|_| String::new(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_form_of_the_reference() {
        // `date -u -d @1732190720 +%FT%TZ`
        assert_eq!(super::iso(1_732_190_720), "2024-11-21T12:05:20Z");
    }
}
