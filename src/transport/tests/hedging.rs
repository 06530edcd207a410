//! Asking twice when the first answer is late.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::secured::{Authority, trusting};
use super::server::Got;
use super::*;

const AFTER: Duration = Duration::from_millis(25);
/// How long a stalled answer takes; and what no call takes that was sent twice in time.
const STALL: Duration = Duration::from_millis(600);
const LATE: Duration = Duration::from_millis(450);

fn hedged(cluster: Cluster, budget: u32) -> Cluster {
    cluster.hedged(Some(config::Hedge { after: AFTER, budget }))
}

/// Stalls the answers to requests of which `late` is true, counted from 0.
fn stalling(late: impl Fn(usize) -> bool + Send + Sync + 'static) -> impl Fn(&Got) -> Vec<Act> {
    let count = AtomicUsize::new(0);
    move |_| match late(count.fetch_add(1, Ordering::Relaxed)) {
        true => vec![Act::Pause(STALL), Act::Send(OK.to_vec())],
        false => vec![Act::Send(OK.to_vec())],
    }
}

/// How long each of so many calls took, the shortest first.
fn times(cluster: &Cluster, calls: usize) -> Vec<Duration> {
    let mut times: Vec<_> = (0..calls)
        .map(|_| {
            let began = Instant::now();
            assert_eq!(body(post(cluster, Class::Repeatable, soon())), "ok");
            began.elapsed()
        })
        .collect();
    times.sort();
    times
}

fn late(times: &[Duration]) -> usize {
    times.iter().filter(|took| **took > LATE).count()
}

#[test]
fn one_stall_in_fifty_shows_without_a_second_request_and_not_with_one() {
    let run = |hedge: bool| {
        let servers = [20, 45].map(|at| Server::start(stalling(move |number| number % 50 == at)));
        let cluster = cluster_of(&[servers.iter().map(Server::url).collect()], POOL);
        let times = times(&if hedge { hedged(cluster, 5) } else { cluster }, 400);
        (times, servers.iter().map(|server| server.requests().len()).sum::<usize>())
    };
    let ((without, sent), (with, twice)) = (run(false), run(true));
    let p99 = |times: &[Duration]| times[times.len() * 99 / 100];
    println!("p99 with one stall of {STALL:?} in 50: {:?}, hedged {:?}", p99(&without), p99(&with));
    assert_eq!((late(&without), sent), (8, 400));
    assert!(late(&with) <= 1, "{} of 400 were late", late(&with));
    assert!((401..=421).contains(&twice), "{twice} requests for 400 calls");
}

#[test]
fn a_single_member_is_asked_on_a_second_lane_with_or_without_tls() {
    let authority = Authority::new("hedge");
    let script = || stalling(|number| number % 20 == 10);
    let plain = Server::start(script());
    let secured = authority.serve(script());
    let clusters = [(cluster(&plain), &plain), (trusting(&secured, &authority.trusted()), &secured)];
    for (cluster, server) in clusters {
        let times = times(&hedged(cluster, 20), 60);
        assert!(late(&times) <= 1, "{} of 60 were late", late(&times));
        assert!(server.requests().len() >= 62);
        // One at first, and one for each that was closed.
        assert!(server.connections() <= 2 + server.requests().len() - 60, "{}", server.connections());
    }
}

#[test]
fn the_budget_is_kept_when_all_answers_stall() {
    let slow = || Server::start(|_| vec![Act::Pause(2 * AFTER), Act::Send(OK.to_vec())]);
    let servers = [slow(), slow()];
    let cluster = hedged(cluster_of(&[servers.iter().map(Server::url).collect()], POOL), 10);
    times(&cluster, 60);
    let sent: usize = servers.iter().map(|server| server.requests().len()).sum();
    assert!((62..=67).contains(&sent), "{sent} requests for 60 calls");
}

#[test]
fn what_must_not_be_repeated_is_never_sent_twice() {
    let servers = [0, 1].map(|_| Server::start(stalling(|_| true)));
    let cluster = hedged(cluster_of(&[servers.iter().map(Server::url).collect()], POOL), 100);
    for class in [Class::OnceOnly, Class::NeverTwice] {
        assert_eq!(body(post(&cluster, class, soon())), "ok");
    }
    assert_eq!(servers.map(|server| server.requests().len()), [1, 1]);
}

#[test]
fn a_bad_answer_does_not_win_and_a_broken_one_is_no_loss() {
    let bad: [fn() -> Vec<Act>; 4] = [
        || vec![Act::Send(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_vec())],
        || vec![Act::Send(b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n".to_vec())],
        || vec![Act::Reset],
        || vec![Act::Send(b"nonsense".to_vec()), Act::Fin],
    ];
    for acts in bad {
        let first = Server::start(|_| vec![Act::Pause(4 * AFTER), Act::Send(OK.to_vec())]);
        let second = Server::start(move |_| acts());
        let cluster = hedged(cluster_of(&[vec![first.url(), second.url()]], POOL), 100);
        assert_eq!(body(post(&cluster, Class::Repeatable, soon())), "ok");
        assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
    }
}

#[test]
fn an_answer_that_has_begun_is_waited_for() {
    let server = Server::start(|_| {
        vec![Act::Send(OK[..20].to_vec()), Act::Pause(4 * AFTER), Act::Send(OK[20..].to_vec())]
    });
    let cluster = hedged(cluster(&server), 100);
    assert_eq!(body(post(&cluster, Class::Repeatable, soon())), "ok");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn both_silent_is_one_error_by_the_deadline() {
    let servers = [0, 1].map(|_| Server::start(|_| vec![Act::Hold]));
    let cluster = hedged(cluster_of(&[servers.iter().map(Server::url).collect()], POOL), 100);
    let (began, limit) = (Instant::now(), Duration::from_millis(200));
    let error = post(&cluster, Class::Repeatable, Deadline::after(limit)).unwrap_err();
    assert_eq!((error.kind, error.sent), (ErrorKind::Timeout, true), "{}", error.context);
    assert!(began.elapsed() >= limit && began.elapsed() < limit + SLACK);
    assert_eq!(servers.map(|server| server.requests().len()), [1, 1]);
}

#[test]
fn a_full_pool_or_a_member_that_does_not_accept_is_no_loss() {
    let server = Server::start(stalling(|_| true));
    let cluster = hedged(cluster_of(&[vec![server.url()]], config::Pool { max: 1, ..POOL }), 100);
    assert_eq!(body(post(&cluster, Class::Repeatable, soon())), "ok");
    let cluster = hedged(cluster_of(&[vec![server.url(), Deaf::new().url()]], POOL), 100);
    assert_eq!(body(post(&cluster, Class::Repeatable, soon())), "ok");
}
