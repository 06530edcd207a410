//! The transport against real sockets: a server that does exactly what a test tells it to.

mod answers;
mod deadlines;
mod failover;
mod hedging;
mod http2;
mod identities;
mod idle;
mod issuer;
mod layers;
mod members;
mod plain;
mod proxied;
#[path = "../../../tests/support/proxy.rs"]
mod proxy;
mod secured;
mod server;
mod signatures;
mod tokens;

use std::time::{Duration, Instant};

use server::{Act, Deaf, Server};

use super::{
    Class, Cluster, Conventions, Deadline, Error, ErrorKind, Headers, Method, Request, Response, Transport,
};
use crate::config;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

const TIMEOUTS: config::Timeouts =
    config::Timeouts { connect: Duration::from_secs(2), call: Duration::from_secs(10) };

const POOL: config::Pool = config::Pool { max: 8, idle: Duration::from_secs(30) };

/// How late a call may be on a machine that is busy with other things. One that forgets its limit is later.
const SLACK: Duration = Duration::from_millis(1500);

fn soon() -> Deadline {
    Deadline::after(TIMEOUTS.call)
}

fn cluster_of(groups: &[Vec<config::Url>], pool: config::Pool) -> Cluster {
    Cluster::new(groups, &config::Tls::default(), TIMEOUTS, pool, &Conventions::default()).unwrap()
}

fn cluster(server: &Server) -> Cluster {
    cluster_of(&[vec![server.url()]], POOL)
}

/// A POST with a body.
fn post(cluster: &dyn Transport, class: Class, deadline: Deadline) -> Result<Response, Error> {
    upload(cluster, class, b"{}", deadline)
}

/// A POST with that body.
fn upload(cluster: &dyn Transport, class: Class, body: &[u8], deadline: Deadline) -> Result<Response, Error> {
    let (headers, body) = (Headers::default(), Some(body));
    cluster.call(&Request { method: Method::Post, path: "/do", headers: &headers, body, class }, deadline)
}

fn body(result: Result<Response, Error>) -> String {
    let response = result.unwrap();
    assert_eq!(response.status, 200);
    String::from_utf8(response.body.to_vec()).unwrap()
}

/// Long enough for a segment to cross the loopback.
fn settle() {
    std::thread::sleep(Duration::from_millis(30));
}
