//! For tests: what a log was told.

use super::log::Log;
use crate::config::{self, Level, LogTarget};

/// The events of the audit in what `talk` writes to a log of level info: level and text, without time and process.
///
/// # Panics
/// If a line has one of `secrets`.
pub fn events(secrets: &[&str], talk: impl FnOnce(&Log)) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let settings = config::Log { level: Level::Info, target: LogTarget::File(path.clone()) };
    talk(&Log::open(&settings).unwrap());
    let text = std::fs::read_to_string(path).unwrap();
    for secret in secrets {
        assert!(!text.contains(secret), "{text}");
    }
    let event = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let (level, text) = (words.nth(1)?, words.nth(1)?);
        Some(format!("{level} {}", text.strip_prefix("audit: ")?))
    };
    text.lines().filter_map(event).collect()
}
