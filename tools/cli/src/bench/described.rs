//! What it costs that a service is described by a file: FAST HSM by its own dialect, and as `fast.toml` has it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::Bench;
use super::cells::median;
use super::client::{self, Kind, Outcome};
use super::hsm::{Hsm, Vendor};
use super::module;
use crate::failure::Failure;
use crate::report::line;

/// The description that is shipped.
const DESCRIPTION: &str = include_str!("../../../../pkcs11-test-config/fast.toml");
/// A signature by a description takes at most so many times as long.
pub const AIM: f64 = 1.3;

/// What was measured.
pub struct Row {
    name: &'static str,
    p50_us: f64,
    cpu_us: f64,
}

/// One thread signs by each in turn, `plan.repetitions` times.
pub fn measure(bench: &Bench, work: &Path) -> Result<[Row; 2], Failure> {
    let hsm = Hsm::start(&bench.program, &work.join("described"), Vendor::Fast, false, 0)?;
    let limit = ["--ms".to_owned(), bench.plan.ms.to_string()];
    let sides = [(Kind::Fast, hsm.config()), (Kind::Described, configure(&hsm)?)];
    let mut runs: [Vec<Outcome>; 2] = Default::default();
    for _ in 0..bench.plan.repetitions {
        for ((kind, config), runs) in sides.iter().zip(&mut runs) {
            let mut command = bench.client(*kind, &hsm, 1, &limit);
            runs.push(client::outcome(command.env("P11REST_CONFIG", config))?);
        }
    }
    let row = |name, runs: &[Outcome]| Row {
        name,
        p50_us: median(runs.iter().map(|run| run.p50_ns as f64 / 1e3)),
        cpu_us: median(runs.iter().map(Outcome::cpu_us)),
    };
    let rows = [row("own dialect", &runs[0]), row("described", &runs[1])];
    line(format_args!("FAST HSM, described to own dialect: {:.2}", ratio(&rows)));
    Ok(rows)
}

/// How many times as long a signature by the description takes.
pub fn ratio([own, described]: &[Row; 2]) -> f64 {
    described.p50_us / own.p50_us
}

/// A configuration with the description in place of the dialect.
fn configure(hsm: &Hsm) -> Result<PathBuf, Failure> {
    let write = |name: &str, text: &str| {
        let path = hsm.dir().join(name);
        fs::write(&path, text).map_err(Failure::in_context(path.display())).map(|()| path)
    };
    let description = write("described-fast.toml", DESCRIPTION)?;
    let serial = module::DESCRIBED.key;
    let certificate = hsm.dir().join("keys").join(serial).with_extension("crt");
    let slot = format!(
        "version = 1\n[[slot]]\nlabel = \"described\"\nbackend = \"declared\"\nurls = [\"http://{}\"]\n\
         declared.file = {description:?}\n[slot.auth]\nuser = \"p11rest\"\npassword = \"pin\"\n\
         [slot.auth.token]\nlogin = \"/api/account/gettoken\"\nsuccess = \"/success\"\ncode = \"/code\"\n\
         access = [\"/data/accessToken\", \"/data/token\"]\nscheme = \"auto\"\n\
         [[slot.key]]\nlabel = \"{serial}\"\ncertificate = {certificate:?}\n",
        hsm.authority()
    );
    write("described.toml", &slot)
}

/// The table as Markdown.
pub fn markdown(rows: &[Row; 2]) -> String {
    let mut text = String::from("| FAST HSM, 1 thread | p50 µs | CPU µs |\n|---|--:|--:|\n");
    for Row { name, p50_us, cpu_us } in rows {
        let _ = writeln!(text, "| {name} | {p50_us:.1} | {cpu_us:.1} |");
    }
    text
}

/// The figures for programs.
pub fn tsv(rows: &[Row; 2]) -> String {
    let mut text = String::from("\ndescription\tp50_us\tcpu_us\n");
    for Row { name, p50_us, cpu_us } in rows {
        let _ = writeln!(text, "{name}\t{p50_us}\t{cpu_us}");
    }
    text
}
