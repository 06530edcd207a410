//! The report: report.md to read, figures.tsv for programs.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::batches;
use super::cells::{Cell, Figures, Plan};
use super::client::Kind;
use super::described;
use super::listing::{LATENCY, Listing};
use crate::failure::Failure;

/// What was measured in all cells.
pub type Cells = [(Cell, [Figures; 3])];

/// All that was measured.
pub struct Report<'a> {
    pub plan: &'a Plan,
    pub cells: &'a Cells,
    pub listing: &'a Listing,
    pub batches: &'a [batches::Row],
    pub described: &'a [described::Row; 2],
}

impl Report<'_> {
    /// Writes both files.
    pub fn write(&self, out: &Path) -> Result<(), Failure> {
        let tsv =
            tsv(self.cells, self.listing) + &batches::tsv(self.batches) + &described::tsv(self.described);
        for (name, text) in [("report.md", self.markdown()), ("figures.tsv", tsv)] {
            let path = out.join(name);
            fs::write(&path, text).map_err(Failure::in_context(path.display()))?;
        }
        Ok(())
    }

    /// The tables as Markdown, which is plain text too.
    pub fn markdown(&self) -> String {
        let Report { plan, cells, listing, batches, described } = *self;
        let tables = [
            ratios(cells),
            figures(plan, cells),
            listed(listing),
            batches::markdown(batches),
            described::markdown(described),
            aims(cells, listing, described),
        ];
        tables.join("\n")
    }
}

fn ratios(cells: &Cells) -> String {
    let mut text = String::from(
        "| module to | | | bare: signatures/s | CPU | reqwest: signatures/s | CPU |\n\
         |---|--:|--:|--:|--:|--:|--:|\n",
    );
    for (cell, [_, bare, reqwest]) in cells {
        let Cell { tls, latency, threads } = cell;
        let _ = writeln!(
            text,
            "| {} | {latency} ms | {threads} | {:.2} | {:.2} | {:.2} | {:.2} |",
            scheme(*tls),
            bare.rate_to_module,
            bare.cpu_to_module,
            reqwest.rate_to_module,
            reqwest.cpu_to_module
        );
    }
    text
}

fn figures(plan: &Plan, cells: &Cells) -> String {
    let mut text = format!(
        "Medians of {} runs of {} ms. CPU is user and system time of the client's process.\n\n\
         | | | threads | client | signatures/s | p50 µs | p99 µs | CPU µs | system calls | allocations | connections |\n\
         |---|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|\n",
        plan.repetitions, plan.ms
    );
    for (Cell { tls, latency, threads }, clients) in cells {
        for (kind, figures) in Kind::SIGNERS.into_iter().zip(clients) {
            let Figures { rate, p50_us, p99_us, cpu_us, system_calls, allocations, connections, .. } =
                figures;
            let _ = writeln!(
                text,
                "| {} | {latency} ms | {threads} | {} | {rate:.0} | {p50_us:.1} | {p99_us:.1} | {cpu_us:.1} | \
                 {system_calls:.2} | {allocations:.1} | {connections} |",
                scheme(*tls),
                kind.name(),
            );
        }
    }
    text
}

fn listed(listing: &Listing) -> String {
    let mut text = format!(
        "| listing, {LATENCY} ms | objects | time |\n|---|--:|--:|\n| first, all keys | {} | {:.1} ms |\n",
        listing.objects, listing.first_ms
    );
    for (name, objects, us) in &listing.finds {
        let _ = writeln!(text, "| later, {name} | {objects} | {us:.1} µs |");
    }
    text
}

/// The aims, the worst that was measured, and whether that is good enough.
fn aims(cells: &Cells, listing: &Listing, described: &[described::Row; 2]) -> String {
    let chosen = |wanted: fn(&Cell) -> bool, figure: fn(&[Figures; 3]) -> f64| {
        cells.iter().filter(move |(cell, _)| wanted(cell)).map(move |(_, figures)| figure(figures))
    };
    let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let few = || listing.finds.iter().filter(|(_, objects, _)| *objects < 100);
    let rows = [
        (
            "rate to bare, 5 ms",
            least(&mut chosen(|cell| cell.latency == 5, |f| f[1].rate_to_module)),
            Aim::AtLeast(0.95),
        ),
        (
            "rate to bare, 0 ms, 8 threads",
            least(&mut chosen(|cell| cell.latency == 0 && cell.threads == 8, |f| f[1].rate_to_module)),
            Aim::AtLeast(0.9),
        ),
        ("CPU to bare", most(&mut chosen(|_| true, |f| f[1].cpu_to_module)), Aim::AtMost(1.3)),
        ("rate to reqwest", least(&mut chosen(|_| true, |f| f[2].rate_to_module)), Aim::AtLeast(1.0)),
        ("system calls a signature", most(&mut chosen(|_| true, |f| f[0].system_calls)), Aim::Count(3.0)),
        ("allocations a signature", most(&mut chosen(|_| true, |f| f[0].allocations)), Aim::Count(10.0)),
        ("first listing, ms", listing.first_ms, Aim::AtMost(500.0)),
        ("described to own dialect", described::ratio(described), Aim::AtMost(described::AIM)),
        ("later find of a few objects, µs", most(&mut few().map(|(_, _, us)| *us)), Aim::AtMost(50.0)),
    ];
    let mut text = String::from("| aim | | worst | |\n|---|--:|--:|---|\n");
    for (name, worst, aim) in rows.into_iter().filter(|(_, worst, _)| worst.is_finite()) {
        let (sign, limit, met) = match aim {
            Aim::AtLeast(limit) => ('≥', limit, worst >= limit),
            Aim::AtMost(limit) => ('≤', limit, worst <= limit),
            Aim::Count(limit) => ('≤', limit, worst <= 1.01 * limit),
        };
        let verdict = if met { "met" } else { "missed" };
        let _ = writeln!(text, "| {name} | {sign} {limit} | {worst:.2} | {verdict} |");
    }
    text
}

enum Aim {
    AtLeast(f64),
    AtMost(f64),
    /// One signature in a hundred may have more to do, such as setting a timeout anew.
    Count(f64),
}

fn tsv(cells: &Cells, listing: &Listing) -> String {
    let mut text = String::from(
        "scheme\tlatency_ms\tthreads\tclient\tsignatures_per_s\tp50_us\tp99_us\tcpu_us\tsystem_calls\tallocations\t\
         connections\tmodule_rate_ratio\tmodule_cpu_ratio\n",
    );
    for (Cell { tls, latency, threads }, clients) in cells {
        for (kind, f) in Kind::SIGNERS.into_iter().zip(clients) {
            let _ = writeln!(
                text,
                "{}\t{latency}\t{threads}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
                scheme(*tls),
                kind.name(),
                f.rate,
                f.p50_us,
                f.p99_us,
                f.cpu_us,
                f.system_calls,
                f.allocations,
                f.connections,
                f.rate_to_module,
                f.cpu_to_module
            );
        }
    }
    let _ = writeln!(text, "\nsearch\tobjects\tus");
    let _ = writeln!(text, "first listing\t{}\t{}", listing.objects, listing.first_ms * 1e3);
    for (name, objects, us) in &listing.finds {
        let _ = writeln!(text, "{name}\t{objects}\t{us}");
    }
    text
}

fn scheme(tls: bool) -> &'static str {
    if tls { "HTTPS" } else { "HTTP" }
}
