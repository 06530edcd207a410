//! Connections that the server ends at any moment: nobody notices.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::secured::{Authority, trusting};
use super::server::Got;
use super::*;

/// Ends a connection after some answers, each in its own way: at once, a little later, so that the end crosses the next
/// request, or when that has come.
fn fickle() -> impl Fn(&Got) -> Vec<Act> + Send + Sync {
    let endings = AtomicUsize::new(0);
    move |got| {
        let patience = 1 + got.connection % 7;
        if got.turn > patience {
            return vec![if got.connection % 2 == 0 { Act::Fin } else { Act::Reset }];
        }
        let mut acts = vec![Act::Send(OK.to_vec())];
        if got.turn == patience && got.connection % 5 != 0 {
            let ending = endings.fetch_add(1, Ordering::Relaxed);
            if ending % 2 == 1 {
                acts.push(Act::Pause(Duration::from_micros(ending as u64 * 7 % 120)));
            }
            acts.push([Act::Fin, Act::Reset, Act::Goodbye].into_iter().nth(ending % 3).unwrap());
        }
        acts
    }
}

fn survives(cluster: &Cluster, server: &Server) {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                (0..2500).for_each(|_| assert_eq!(body(post(cluster, Class::Repeatable, soon())), "ok"));
            });
        }
    });
    assert!(server.connections() > 1000, "{} connections", server.connections());
}

#[test]
fn ten_thousand_calls_survive_endings_of_all_kinds() {
    let server = Server::start(fickle());
    survives(&cluster(&server), &server);
}

#[test]
fn ten_thousand_calls_survive_endings_of_all_kinds_with_tls() {
    let authority = Authority::new("fickle");
    let server = authority.serve(fickle());
    survives(&trusting(&server, &authority.trusted()), &server);
}

#[test]
fn so_many_idle_connections_may_have_ended_that_a_limit_on_repetitions_would_be_reached() {
    // Twelve connections are open; each of them ends when its second request comes.
    let server = Server::start(|got| match got.turn {
        0 => vec![Act::Pause(Duration::from_millis(60)), Act::Send(OK.to_vec())],
        _ => vec![Act::Fin],
    });
    let cluster = cluster_of(&[vec![server.url()]], config::Pool { max: 16, ..POOL });
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| body(post(&cluster, Class::Repeatable, soon())));
        }
    });
    for _ in 0..12 {
        assert_eq!(body(post(&cluster, Class::Repeatable, soon())), "ok");
    }
}

#[test]
fn idle_connections_end_with_the_process_and_not_before() {
    let server = Server::saying(OK);
    let cluster = cluster(&server);
    assert_eq!(body(post(&cluster, Class::Repeatable, soon())), "ok");
    cluster.exiting(soon());
    assert_eq!(body(post(&cluster, Class::Repeatable, soon())), "ok");
    assert_eq!((server.connections(), server.ended()), (1, 0));
    cluster.exiting(Deadline::after(Duration::ZERO));
    let limit = soon();
    while server.ended() == 0 {
        assert!(limit.remaining().is_some(), "the connection is still there");
        std::thread::sleep(Duration::from_millis(1));
    }
}
