//! Several members of one service, of which some fail.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use cryptoki_sys::*;
use serde_json::json;

use crate::bench_of_signers::Bench;
use crate::support::emulator::{Emulator, PIN};
use crate::support::p11::Code;

/// Two emulators with the same keys, and a configuration with both as equals.
fn twins(options: &[&str], more: &str) -> (Emulator, Emulator, PathBuf) {
    let one = Emulator::start_with("securosys", true, options);
    let two = one.twin(options);
    let config = one.path("twins.toml");
    let text = one.text("p11rest.toml");
    let both = format!("\"{}\", \"{}\"", one.url(), two.url());
    let text = text.replace(&format!("\"{}\"", one.url()), &both);
    assert!(text.contains(two.url()), "{text}");
    // What the emulator wrote ends with a table of the slot; `more` are further ones.
    fs::write(&config, format!("{text}\n{more}")).unwrap();
    (one, two, config)
}

#[test]
fn both_members_are_used() {
    let (one, two, config) = twins(&[], "");
    let (bench, _signer) = Bench::new(&config, PIN);
    let before = [&one, &two].map(|member| member.stats().total);
    bench.sign(4, 50).all_well();
    let after = [&one, &two].map(|member| member.stats().total);
    for (before, after) in before.into_iter().zip(after) {
        assert!(after - before >= 50, "{before} {after}");
    }
}

/// Eight threads notice nothing but, for a moment, that it takes longer.
#[test]
fn a_member_is_killed_and_nobody_notices() {
    let (_one, two, config) = twins(&["--latency-ms", "5"], "");
    let (bench, _signer) = Bench::new(&config, PIN);
    let well = bench.sign_for(8, Duration::from_secs(1));
    let usual = well.all_well().p99();
    thread::scope(|scope| {
        let during = scope.spawn(|| bench.sign_for(8, Duration::from_secs(3)));
        thread::sleep(Duration::from_millis(500));
        two.kill();
        during.join().unwrap().all_well();
    });
    // More than 2 s after the death all is as before, for a machine that others use too.
    let after = bench.sign_for(8, Duration::from_secs(1));
    let limit = 4 * usual + Duration::from_millis(20);
    assert!(after.all_well().p99() < limit, "{:?}, before {usual:?}", after.p99());
    two.restart();
    let asked = two.stats().total;
    // The next probe finds it well again.
    let begun = Instant::now();
    while two.stats().total - asked < 20 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the member that is back gets no requests");
        bench.sign(8, 5).all_well();
    }
}

/// Nobody is left: that is told, soon, and it passes without a restart of the application.
#[test]
fn both_members_are_dead_for_a_while() {
    let log = "\n[slot.timeouts]\ncall = \"5s\"\n";
    let (one, two, config) = twins(&[], log);
    let (bench, signer) = Bench::new(&config, PIN);
    bench.sign(2, 10).all_well();
    one.kill();
    two.kill();
    for _ in 0..20 {
        let begun = Instant::now();
        assert_eq!(signer.sign(), Err(Code(CKR_DEVICE_ERROR)));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    one.restart();
    assert_eq!(signer.sign(), Ok(()), "the one that is back is asked, however long it was avoided");
    two.restart();
    bench.sign(8, 20).all_well();
}

/// The second group is for when the first is gone.
#[test]
fn the_second_group_steps_in_and_back() {
    let first = Emulator::start("securosys", true);
    let second = first.twin(&[]);
    let config = first.path("groups.toml");
    let url = format!("[\"{}\"]", first.url());
    let groups = format!("[{url}, [\"{}\"]]", second.url());
    fs::write(&config, first.text("p11rest.toml").replace(&url, &groups)).unwrap();
    let (bench, _signer) = Bench::new(&config, PIN);
    let asked = second.stats().total;
    bench.sign(4, 20).all_well();
    assert_eq!(second.stats().total, asked, "the first group is well");
    first.kill();
    bench.sign(4, 20).all_well();
    assert!(second.stats().total - asked >= 80);
    first.restart();
    let (asked, begun) = (first.stats().total, Instant::now());
    while first.stats().total - asked < 20 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the first group is back and gets no requests");
        bench.sign(4, 5).all_well();
        thread::sleep(Duration::from_millis(20));
    }
}

/// A rival fails one call in ten, or with retries waits a second for each: from 10,300 a second to 18.
#[test]
fn one_answer_in_ten_is_a_503() {
    let emulator = Emulator::start_with("securosys", true, &["--latency-ms", "5"]);
    let (bench, _signer) = Bench::new(&emulator.path("p11rest.toml"), PIN);
    let well = bench.sign(8, 150);
    emulator.fault(&json!({ "path": "/v1/synchronousSign", "status": 503, "every": 10 }));
    let ill = bench.sign(8, 150);
    well.all_well();
    let share = ill.all_well().rate() / well.rate();
    assert!(share > 0.5, "{share}");
}

/// A stall of one answer in fifty costs a call three hundred milliseconds, or little more than `hedge.after`.
#[test]
fn a_hedge_spares_callers_the_stalls_of_a_member() {
    let slow = Duration::from_millis(200);
    let measured = ["", "[slot.hedge]\nafter = \"20ms\"\nbudget = 10\n"].map(|hedge| {
        let (one, two, config) = twins(&[], hedge);
        for member in [&one, &two] {
            member
                .fault(&json!({ "path": "/v1/synchronousSign", "action": "stall", "ms": 300, "every": 50 }));
        }
        let (bench, _signer) = Bench::new(&config, PIN);
        let before = one.stats().total + two.stats().total;
        let report = bench.sign(2, 500);
        report.all_well();
        let sent = one.stats().total + two.stats().total - before;
        println!("{hedge:?}: p99 {:?}, {} slow, {sent} requests", report.p99(), report.slower_than(slow));
        (report.slower_than(slow), sent)
    });
    let [(without, _), (with, sent)] = measured;
    assert!(without >= 15, "{without} of 1000 waited for a stall");
    assert!(with <= without / 3, "{with} waited although there was a hedge, {without} without");
    assert!(sent <= 1000 + 1000 / 10 + 30, "the budget is 10 %: {sent}");
}
