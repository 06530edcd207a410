//! Configurations as text, for the fuzzers.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::environment::Variables;
use super::load::{assemble, parse};
use super::read::Source;
use super::{Config, Problem};

/// Parts file and environment: what follows is one `NAME=VALUE` a line.
const ENVIRONMENT: &str = "\n%%\n";

/// In the corpus this stands where secrets do. No message about syntax repeats it, wherever it got to.
const MARK: &str = "fc6b0d8e41aa";

/// Any text gives a configuration, or a problem with its place and its remedy; the same each time.
///
/// # Panics
/// Where that is not so.
pub fn text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (file, environment) = text.split_once(ENVIRONMENT).unwrap_or((text, ""));
    let variables = variables(environment);
    for secure in [false, true] {
        let source = Source { secure, file: Some("/c/p11rest.toml".into()), ..Source::default() };
        let source = Source { folder: "/c".into(), ..source };
        match load(file, &variables, &source) {
            Ok(config) => {
                check(&config, text);
                let again = load(file, &variables, &source);
                assert_eq!(format!("{:?}", Ok::<_, Problem>(config)), format!("{again:?}"));
            }
            Err(problem) => told_well(&problem, text),
        }
    }
}

fn variables(lines: &str) -> Variables {
    let own = |text: &str| OsStr::from_bytes(text.as_bytes()).to_owned();
    let pairs = lines.lines().filter_map(|line| line.split_once('='));
    // The environment has no name and no value with a NUL.
    let pairs = pairs.filter(|(name, value)| !name.contains('\0') && !value.contains('\0'));
    pairs
        .map(|(name, value)| (own(name), own(value)))
        .collect::<Vec<(OsString, OsString)>>()
        .into_iter()
        .collect()
}

fn load(file: &str, variables: &Variables, source: &Source) -> Result<Config, Problem> {
    assemble(parse(file, source)?, variables, source.clone())
}

fn check(config: &Config, text: &str) {
    let (mut ids, mut labels, mut serials) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for slot in &config.slots {
        assert!(ids.insert(slot.id), "two slots with the id {}", slot.id);
        match &slot.token {
            Ok(token) => {
                assert!((1..=32).contains(&token.label.len()) && labels.insert(&token.label));
                assert!(serials.insert(token.serial_number()), "two tokens with a serial number");
                assert!(!token.members.is_empty() && token.members.iter().all(|group| !group.is_empty()));
            }
            Err(problem) => told_well(problem, text),
        }
    }
}

fn told_well(problem: &Problem, text: &str) {
    assert!(!problem.what().is_empty() && !problem.remedy().is_empty(), "{problem:?}");
    if let Some(line) = problem.line() {
        assert!((1..=text.lines().count() + 1).contains(&line), "{problem}");
    }
    if problem.what().starts_with("is not TOML") {
        assert!(!problem.to_string().contains(MARK), "{problem}");
    }
}
