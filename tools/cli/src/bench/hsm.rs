//! An emulator with canned answers, as a process of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use p11rest_emulator::{CONFIG_FILE, READY_FILE};
use reqwest::blocking::Client;

use super::floor;
use crate::failure::Failure;

/// How long it may take to make its keys.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whose API it speaks.
#[derive(Clone, Copy)]
pub enum Vendor {
    Securosys,
    Fast,
}

impl Vendor {
    fn name(self) -> &'static str {
        match self {
            Vendor::Securosys => "securosys",
            Vendor::Fast => "fast",
        }
    }
}

/// A running emulator; it ends when dropped.
pub struct Hsm {
    child: Child,
    dir: PathBuf,
    url: String,
    client: Client,
}

impl Hsm {
    /// Starts one in `dir` that holds each answer back for `latency` milliseconds.
    pub fn start(
        program: &Path,
        dir: &Path,
        vendor: Vendor,
        tls: bool,
        latency: u64,
    ) -> Result<Hsm, Failure> {
        fs::create_dir_all(dir).map_err(Failure::in_context(dir.display()))?;
        // One that was killed in this folder has left its own.
        let _ = fs::remove_file(dir.join(READY_FILE));
        let log = dir.with_extension("log");
        let log = File::create(&log).map_err(Failure::in_context(log.display()))?;
        let mut command = Command::new(program);
        command.args(["emulate", "--canned", "--vendor", vendor.name(), "--latency-ms"]);
        command.arg(latency.to_string()).arg("--dir").arg(dir);
        if tls {
            command.arg("--tls");
        }
        command.stdin(Stdio::null()).stdout(log);
        let mut child = command.spawn().map_err(Failure::in_context("the emulator"))?;
        match ready(&mut child, dir).and_then(|url| Ok((url, floor::client(dir)?))) {
            Ok((url, client)) => Ok(Hsm { child, dir: dir.to_owned(), url, client }),
            Err(failure) => {
                end(&mut child);
                Err(failure)
            }
        }
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The module's configuration for it.
    pub fn config(&self) -> PathBuf {
        self.dir.join(CONFIG_FILE)
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        floor::authority(&self.url)
    }

    /// How many connections it has accepted so far. Asking takes one, the first time.
    pub fn connections(&self) -> Result<u64, Failure> {
        self.statistic(|stats| stats["connections_accepted"].as_u64())
    }

    /// How often this request was made so far: method and path.
    pub fn requests(&self, request: &str) -> Result<u64, Failure> {
        self.statistic(|stats| {
            Some(stats["requests"].get(request).map_or(0, |count| count.as_u64().unwrap_or(0)))
        })
    }

    fn statistic(&self, find: impl FnOnce(&serde_json::Value) -> Option<u64>) -> Result<u64, Failure> {
        let context = "statistics of the emulator";
        let answer = self.client.get(format!("{}/_emulator/stats", self.url)).send();
        let text = answer.and_then(|answer| answer.text()).map_err(Failure::in_context(context))?;
        let stats: serde_json::Value = serde_json::from_str(&text).map_err(Failure::in_context(context))?;
        find(&stats).ok_or_else(|| Failure::new(format_args!("{context}: {text}")))
    }

    /// Makes EC keys named `bench-0`, `bench-1`, … until `count` are there.
    pub fn make_keys(&self, count: usize) -> Result<(), Failure> {
        let path = self.dir.join("key-management.key");
        let api_key = fs::read_to_string(&path).map_err(Failure::in_context(path.display()))?;
        for number in 0..count {
            let body = format!(
                r#"{{"label":"bench-{number}","algorithm":"EC","curveOid":"1.2.840.10045.3.1.7","attributes":{{"sign":true,"decrypt":false,"unwrap":false}}}}"#
            );
            let request = self.client.post(format!("{}/v1/key", self.url)).body(body);
            let request =
                request.header("X-API-KEY", api_key.trim()).header("Content-Type", "application/json");
            let answer = request.send().map_err(Failure::in_context("making a key"))?;
            if !answer.status().is_success() {
                let text = answer.text().unwrap_or_default();
                return Err(Failure::new(format_args!("making a key: {text}")));
            }
        }
        Ok(())
    }
}

impl Drop for Hsm {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Waits until it answers, and says where.
fn ready(child: &mut Child, dir: &Path) -> Result<String, Failure> {
    let began = Instant::now();
    loop {
        if let Ok(url) = fs::read_to_string(dir.join(READY_FILE)) {
            return Ok(url.trim_end().to_owned());
        }
        let ended = child.try_wait().map_err(Failure::in_context("the emulator"))?;
        if let Some(status) = ended {
            return Err(Failure::new(format_args!("the emulator ended with {status}")));
        }
        if began.elapsed() > PATIENCE {
            return Err(Failure::new("the emulator does not get ready"));
        }
        sleep(Duration::from_millis(5));
    }
}

fn end(child: &mut Child) {
    // It may have ended already.
    let _ = child.kill();
    let _ = child.wait();
}
