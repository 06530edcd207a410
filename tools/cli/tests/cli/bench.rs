//! `p11rest bench`: that it runs and shows every figure, not which.

use std::fs;

use crate::{module, p11rest, run, stderr, stdout};

/// HTTP and HTTPS by one and by two threads, three clients each.
const ROWS: usize = 2 * 2 * 3;

#[test]
fn a_quick_run_shows_every_figure() {
    let out = tempfile::tempdir().unwrap();
    let output =
        run(p11rest().args(["bench", "--quick", "--module"]).arg(module()).arg("--out").arg(out.path()));
    assert!(output.status.success(), "{}\n{}", stdout(&output), stderr(&output));

    let report = fs::read_to_string(out.path().join("report.md")).unwrap();
    assert!(stdout(&output).contains(&report), "{}", stdout(&output));
    for row in [
        "| HTTP | 0 ms | 2 | module |",
        "| HTTPS | 0 ms | 1 | reqwest |",
        "| first, all keys |",
        "described to own dialect",
    ] {
        assert!(report.contains(row), "{row}: {report}");
    }

    let figures = fs::read_to_string(out.path().join("figures.tsv")).unwrap();
    let table = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    };
    let tables: Vec<_> = figures.split("\n\n").map(table).collect();
    let [signatures, searches, batches, described] = &tables[..] else { panic!("{figures}") };
    assert_eq!((signatures.len(), searches.len()), (1 + ROWS, 1 + 5), "{figures}");
    assert_eq!(described.len(), 1 + 2, "{figures}");
    for row in batches[1..].iter().chain(&described[1..]) {
        assert_eq!(row[1..].iter().find(|value| value.parse().is_ok_and(|value: f64| value <= 0.0)), None);
    }
    for row in &signatures[1..] {
        assert_eq!(row.len(), signatures[0].len(), "{figures}");
        for (name, value) in signatures[0].iter().zip(row).skip(4) {
            let value: f64 = value.parse().unwrap();
            // A bare loop allocates nothing.
            assert!(value > 0.0 || name == "allocations" && value >= 0.0, "{name}: {figures}");
        }
    }
    for row in &searches[1..] {
        assert!(row[1].parse::<f64>().unwrap() > 0.0 && row[2].parse::<f64>().unwrap() > 0.0, "{figures}");
    }
    // Nothing else stays behind.
    assert_eq!(crate::names(out.path()), ["figures.tsv", "report.md"]);
}
