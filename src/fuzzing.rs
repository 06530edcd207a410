//! What fuzzers call: functions of bytes that panic where a promise is not kept.
//!
//! `fuzz/` runs them under cargo-fuzz, where that is installed; the tests below run them on the corpus in `fuzz/corpus`
//! and on what comes of it by mutation, the same in each run. Neither is a part of the module.

/// A function of bytes that panics where a promise is not kept.
pub type Target = fn(&[u8]);

/// The targets by the name of their corpus.
pub const TARGETS: [(&str, Target); 6] = [
    ("arguments", crate::ffi::fuzzing::arguments),
    ("config", crate::config::fuzzing::text),
    ("declared", crate::backend::declared::fuzzing::text),
    ("der", crate::crypto::fuzzing::der),
    ("http", crate::transport::fuzzing::answer),
    ("json", crate::backend::securosys::fuzzing::body),
];

/// Runs one of them: what each program of `fuzz/` does.
///
/// # Panics
/// Where a promise is not kept, and for a name that none has.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let Some((_, target)) = target else { panic!("no target is called {name}") };
    target(data);
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::crypto::testing::Noise;

    /// How many mutations a target gets in a run, and how long at most: a busy machine does fewer.
    const CASES: usize = 4000;
    const TIME: Duration = Duration::from_secs(8);

    /// Another seed than that of each run, or the one that a failure named.
    const SEED: &str = "P11REST_FUZZ_SEED";

    fn folder(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name)
    }

    /// The files of a corpus, in the order of their names.
    fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, fs::read(&path).unwrap())
            })
            .collect();
        files.sort();
        assert!(files.len() >= 5, "the corpus of {name} is in {}", folder(name).display());
        files
    }

    /// Parts of one file in another, and what changes a meaning rather than a byte.
    fn mutated(noise: &mut Noise, corpus: &[(String, Vec<u8>)], words: &[&str]) -> Vec<u8> {
        let pick = |noise: &mut Noise| &corpus[noise.below(corpus.len())].1;
        let mut data = pick(noise).clone();
        for _ in 0..=noise.below(3) {
            let at = noise.below(data.len() + 1);
            match noise.below(6) {
                0 => {
                    let other = pick(noise);
                    let start = noise.below(other.len() + 1);
                    let end = start + noise.below(other.len() - start + 1);
                    data.splice(at..at, other[start..end].iter().copied());
                }
                1 => {
                    let end = at + noise.below(data.len() - at + 1);
                    drop(data.drain(at..end));
                }
                2 => {
                    let word = words[noise.below(words.len())];
                    let end = (at + noise.below(word.len() + 1)).min(data.len());
                    data.splice(at..end, word.bytes());
                }
                3 => data.truncate(at),
                _ => data = noise.mutated(&data),
            }
        }
        data
    }

    /// Runs the corpus, then its mutations. A failure names the file or the seed that shows it again.
    fn hold(name: &str, words: &[&str]) {
        let corpus = corpus(name);
        for (file, data) in &corpus {
            check(name, data, &format!("fuzz/corpus/{name}/{file}"));
        }
        let (start, begun) = (env::var(SEED).ok().map(|seed| seed.parse().unwrap()), Instant::now());
        let cases = if start.is_some() { 1 } else { CASES };
        let mut done = 0;
        for case in 0..cases {
            let seed = start.unwrap_or(case as u64);
            let data = mutated(&mut Noise::of(seed), &corpus, words);
            check(name, &data, &format!("{SEED}={seed}"));
            done += 1;
            if begun.elapsed() > TIME {
                break;
            }
        }
        assert!(start.is_some() || done > 100, "{done} cases in {TIME:?}");
    }

    fn check(name: &str, data: &[u8], source: &str) {
        if catch_unwind(AssertUnwindSafe(|| run(name, data))).is_err() {
            panic!("{name} does not keep its promise: {source}: {:?}", data.escape_ascii().to_string());
        }
    }

    #[test]
    fn arguments() {
        hold("arguments", &["\0", "\u{1}", "\u{7f}", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]);
    }

    #[test]
    fn configurations() {
        let words = [
            "\n",
            "[slot.auth]\n",
            "[[slot]]\n",
            "[[slot.key]]\n",
            "= ",
            "\"\"\"",
            "'",
            "{",
            "}",
            "[",
            "]",
            "label",
            "id = 3\n",
            "\"env:A\"",
            "\"file:b\"",
            "\"pin\"",
            "\"command:c\"",
            "9223372036854775808",
            "-1",
            "\n%%\n",
            "P11REST_SLOT_0_",
            "P11REST_LOG=trace\n",
            "P11REST_SLOT_18446744073709551616_LABEL=x\n",
            "\u{e9}",
            "\\u00e9",
        ];
        hold("config", &words);
    }

    #[test]
    fn der() {
        hold("der", &["\u{30}\u{3}", "\u{2}\u{1}", "\0", "\u{3}\u{2}\0", "-----BEGIN CERTIFICATE-----\n"]);
    }

    #[test]
    fn answers() {
        let words = [
            "\r\n",
            "\r\n\r\n",
            "\n",
            "0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "Content-Length: 3\r\n",
            ": ",
            ",",
            "Transfer-Encoding: chunked\r\n",
            "Connection: close\r\n",
            "Retry-After: 99999999999999999999\r\n",
            ";x=y",
            "ffffffff",
            "HTTP/1.0 200\r\n",
            "\t",
            " ",
        ];
        hold("http", &words);
    }

    #[test]
    fn json() {
        let words = [
            "null",
            "true",
            "\"\"",
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\\u0000",
            "\\ud83d",
            "\\/",
            "-1",
            "1e400",
            "650",
            "4294967296",
            "\"errorCode\":631,",
            "\"signResponse\":",
            "=",
            "\u{fffd}",
        ];
        hold("json", &words);
    }
}
