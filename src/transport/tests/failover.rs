//! Members that fail in one way or the other, and come back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::server::nobody;
use super::*;

const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";

/// So short that a test can wait for it.
const HASTE: config::Timeouts = config::Timeouts { connect: Duration::from_millis(150), ..TIMEOUTS };

fn hasty(groups: &[Vec<config::Url>]) -> Cluster {
    Cluster::new(groups, &config::Tls::default(), HASTE, POOL, &Conventions::default()).unwrap()
}

/// Takes every request and answers none.
fn mute() -> Server {
    Server::start(|_| vec![Act::Hold])
}

/// Eight threads that call until they are told to stop; how many calls were made, and how long each of the last took.
fn under_load(cluster: &Cluster, meanwhile: impl FnOnce()) -> Vec<(Instant, Duration)> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let caller = || {
            let mut calls = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                assert_eq!(body(post(cluster, Class::Repeatable, soon())), "ok");
                calls.push((began, began.elapsed()));
                std::thread::sleep(Duration::from_micros(300));
            }
            calls
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(caller)).collect();
        meanwhile();
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn one_of_two_members_dies_under_load_and_nobody_notices() {
    let slow = || Server::start(|_| vec![Act::Pause(Duration::from_millis(2)), Act::Send(OK.to_vec())]);
    let (stays, dies) = (slow(), slow());
    for groups in [vec![vec![stays.url(), dies.url()]], vec![vec![dies.url()], vec![stays.url()]]] {
        let dies = Server::again(&dies, |_| vec![Act::Send(OK.to_vec())]);
        let cluster = hasty(&groups);
        let mut killed = Instant::now();
        let calls = under_load(&cluster, || {
            std::thread::sleep(Duration::from_millis(200));
            killed = Instant::now();
            dies.kill();
            std::thread::sleep(Duration::from_millis(2300));
        });
        assert!(dies.requests().len() > 100, "it had no part in the load");
        let mut after: Vec<_> = calls
            .iter()
            .filter(|(began, _)| *began > killed + Duration::from_secs(2))
            .map(|(_, took)| *took)
            .collect();
        after.sort();
        assert!(after.len() > 100, "{} calls", after.len());
        let p99 = after[after.len() * 99 / 100];
        assert!(p99 < Duration::from_millis(500), "{p99:?}");
    }
}

#[test]
fn when_all_are_dead_the_error_is_quick_and_clear_and_one_that_comes_back_is_used_at_once() {
    let (first, second) = (Server::saying(OK), Server::saying(OK));
    let cluster = hasty(&[vec![first.url()], vec![second.url()]]);
    body(post(&cluster, Class::Repeatable, soon()));
    first.kill();
    second.kill();
    let began = Instant::now();
    let mut calls: u32 = 0;
    while began.elapsed() < Duration::from_millis(800) {
        let began = Instant::now();
        let error = post(&cluster, Class::Repeatable, soon()).unwrap_err();
        assert!(began.elapsed() < SLACK, "{:?}", began.elapsed());
        for server in [&first, &second] {
            assert!(
                error.context.contains(&format!("127.0.0.1:{}: ", server.url().port)),
                "{}",
                error.context
            );
        }
        calls += 1;
    }
    // Who has nobody else to ask does not ask all the time.
    assert!((2..=20).contains(&calls), "{calls} calls in 0.8 s");
    let back = Server::again(&second, |_| vec![Act::Send(OK.to_vec())]);
    assert_eq!(body(post(&cluster, Class::NeverTwice, soon())), "ok");
    assert_eq!(back.requests().len(), 1);
}

#[test]
fn a_member_that_takes_requests_and_answers_none_costs_half_the_time_of_a_few_calls() {
    let (silent, good) = (mute(), Server::saying(OK));
    let cluster = hasty(&[vec![silent.url()], vec![good.url()]]);
    let limit = Duration::from_millis(600);
    for call in 0..3 {
        let began = Instant::now();
        assert_eq!(body(post(&cluster, Class::Repeatable, Deadline::after(limit))), "ok", "call {call}");
        assert!(began.elapsed() >= limit / 2);
    }
    assert_eq!(silent.requests().len(), 3);
    // From now on it is avoided, by all.
    for class in [Class::Repeatable, Class::OnceOnly, Class::NeverTwice] {
        assert_eq!(body(post(&cluster, class, soon())), "ok");
    }
    assert_eq!((silent.requests().len(), good.requests().len()), (3, 6));
    // One probes, and is not held for longer than it may take to connect; what must not be repeated never probes.
    std::thread::sleep(Duration::from_millis(300));
    body(post(&cluster, Class::OnceOnly, soon()));
    assert_eq!(silent.requests().len(), 3);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let began = Instant::now();
                body(post(&cluster, Class::Repeatable, soon()));
                assert!(began.elapsed() < HASTE.connect + SLACK, "{:?}", began.elapsed());
            });
        }
    });
    assert_eq!(silent.requests().len(), 4);
}

#[test]
fn a_probe_that_hangs_in_connecting_holds_its_caller_alone() {
    let (silent, good) = (Deaf::new(), Server::saying(OK));
    let cluster = Cluster::new(
        &[vec![silent.url()], vec![good.url()]],
        &config::Tls::default(),
        config::Timeouts { connect: Duration::from_millis(600), ..TIMEOUTS },
        POOL,
        &Conventions::default(),
    )
    .unwrap();
    body(post(&cluster, Class::Repeatable, soon()));
    std::thread::sleep(Duration::from_millis(300));
    let held = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let began = Instant::now();
                body(post(&cluster, Class::OnceOnly, soon()));
                held.fetch_add(usize::from(began.elapsed() > Duration::from_millis(550)), Ordering::Relaxed);
            });
        }
    });
    assert_eq!(held.load(Ordering::Relaxed), 1);
}

#[test]
fn a_member_that_only_answers_that_it_cannot_is_avoided_until_it_can() {
    static WELL: AtomicBool = AtomicBool::new(false);
    let sick = Server::start(|_| match WELL.load(Ordering::Relaxed) {
        true => vec![Act::Send(OK.to_vec())],
        false => vec![Act::Send(BUSY.to_vec())],
    });
    let good = Server::saying(OK);
    let cluster = hasty(&[vec![sick.url()], vec![good.url()]]);
    for _ in 0..20 {
        assert_eq!(body(post(&cluster, Class::Repeatable, soon())), "ok");
    }
    assert_eq!((sick.requests().len(), good.requests().len()), (3, 20));
    WELL.store(true, Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(300));
    for _ in 0..5 {
        assert_eq!(body(post(&cluster, Class::Repeatable, soon())), "ok");
    }
    assert_eq!((sick.requests().len(), good.requests().len()), (8, 20));
}

#[test]
fn a_member_that_asks_for_time_gets_it_while_another_is_well() {
    let busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n";
    let (tired, good) = (Server::saying(busy), Server::saying(OK));
    let cluster = hasty(&[vec![tired.url(), good.url()]]);
    let began = Instant::now();
    for _ in 0..10 {
        assert_eq!(body(post(&cluster, Class::Repeatable, soon())), "ok");
    }
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!((tired.requests().len(), good.requests().len()), (1, 10));
}

#[test]
fn one_answer_in_ten_that_is_a_503_costs_less_than_half_of_the_throughput() {
    let pause = Duration::from_millis(1);
    let time = |refuse: bool| {
        let count = AtomicUsize::new(0);
        let server = Server::start(move |_| {
            let tenth = count.fetch_add(1, Ordering::Relaxed) % 10 == 9;
            vec![Act::Pause(pause), Act::Send(if refuse && tenth { BUSY } else { OK }.to_vec())]
        });
        let cluster = cluster(&server);
        let began = Instant::now();
        for _ in 0..500 {
            assert_eq!(body(post(&cluster, Class::Repeatable, soon())), "ok");
        }
        assert!(!refuse || server.requests().len() > 550);
        began.elapsed()
    };
    let (without, with) = (time(false), time(true));
    assert!(with < 2 * without, "{with:?} instead of {without:?}");
}

#[test]
fn connecting_leaves_each_member_its_share_of_the_time() {
    let (silent, good) = (Deaf::new(), Server::saying(OK));
    let cluster = cluster_of(&[vec![silent.url()], vec![good.url()]], POOL);
    // The time to connect alone would be longer than the call may take.
    let limit = Duration::from_millis(1000);
    assert_eq!(body(post(&cluster, Class::NeverTwice, Deadline::after(limit))), "ok");
}

#[test]
fn many_requests_survive_a_member_that_dies() {
    let (dies, stays) = (Server::start(|_| vec![Act::Reset]), Server::saying(OK));
    let cluster = hasty(&[vec![dies.url(), nobody(), stays.url()]]);
    let headers = Headers::default();
    let request =
        Request { method: Method::Get, path: "/", headers: &headers, body: None, class: Class::Repeatable };
    let results = cluster.call_many(&[request; 40], 8, soon());
    assert!(results.into_iter().all(|result| body(result) == "ok"));
}
