//! One member of a service: where it is, how it fares, and its lanes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;

use super::lane::Lane;
use super::pool::{Pool, Refused, Seat, Want};
use super::resolve::Resolver;
use super::retry::Lost;
use super::tls::{self, Tls};
use super::{Class, Deadline, Error, ErrorKind, Headers, Request, Response};
use crate::config;

/// How long a member is avoided after its first failure; each further one doubles it.
const FIRST_AVOIDANCE: Duration = Duration::from_millis(250);
/// The longest that a member is avoided.
const LONGEST_AVOIDANCE: Duration = Duration::from_secs(30);

/// One member.
pub(super) struct Member {
    name: String,
    base: String,
    fixed: Headers,
    resolver: Resolver,
    tls: Option<(Arc<Tls>, ServerName<'static>)>,
    connect: Duration,
    pool: Pool,
    /// Whether it is worth a try.
    pub health: Health,
}

/// Why a request did not set out.
pub(super) enum Grounded {
    /// All lanes are taken.
    Busy,
    /// For good.
    Failed(Error),
}

/// A request that was sent, and the lane that its answer comes on.
pub(super) struct Flight<'m> {
    member: &'m Member,
    seat: Seat<'m>,
    reused: bool,
}

impl Member {
    /// `shared` is the cluster's TLS, needed if the URL says so.
    pub fn new(
        url: &config::Url,
        shared: Option<&Arc<Tls>>,
        names: &config::Tls,
        timeouts: config::Timeouts,
        pool: config::Pool,
        default_headers: &[(&'static str, &str)],
    ) -> Result<Self, Error> {
        let name = authority(url);
        let mut fixed = Headers::default();
        fixed.add("Host", name.split_once("://").map_or(&name, |(_, host)| host))?;
        for (header, value) in default_headers {
            fixed.add(header, value)?;
        }
        let tls = match shared.filter(|_| url.tls) {
            Some(tls) => Some((Arc::clone(tls), tls::server_name(names, &url.host)?)),
            None => None,
        };
        Ok(Self {
            name,
            base: url.path.clone(),
            fixed,
            resolver: Resolver::new(&url.host, url.port),
            tls,
            connect: timeouts.connect,
            pool: Pool::new(pool),
            health: Health::new(),
        })
    }

    /// Sends the request on a lane of its own. Waits for a free one until `wait`, if that is given.
    ///
    /// `OnceOnly` and `NeverTwice` requests go on a connection that is new or carried an answer within the last second,
    /// and that has not been closed as far as this side knows. A reused connection that refuses the very first byte
    /// has carried nothing: whatever the class, the request then goes on a new one.
    pub fn launch(
        &self,
        request: &Request<'_>,
        fresh: bool,
        wait: Option<Deadline>,
        deadline: Deadline,
    ) -> Result<Flight<'_>, Grounded> {
        let mut want = match request.class {
            _ if fresh => Want::Fresh,
            Class::Repeatable => Want::Any,
            Class::OnceOnly | Class::NeverTwice => Want::Proven,
        };
        loop {
            let mut seat = self.pool.take(want, wait).map_err(|refused| self.refused(refused, wait))?;
            let reused = seat.lane.is_some();
            let lane = match &mut seat.lane {
                Some(lane) => {
                    if !lane.is_quiet() {
                        continue;
                    }
                    lane
                }
                empty => empty.insert(self.connect(deadline).map_err(Grounded::Failed)?),
            };
            match lane.send(&self.base, self.fixed.as_bytes(), request, deadline) {
                Ok(()) => return Ok(Flight { member: self, seat, reused }),
                Err(error) if reused && !error.sent && error.kind == ErrorKind::Broken => want = Want::Fresh,
                Err(error) => return Err(Grounded::Failed(self.at(error))),
            }
        }
    }

    /// Closes the idle lanes and refuses all that comes later.
    pub fn close(&self) {
        self.pool.close();
    }

    fn refused(&self, refused: Refused, wait: Option<Deadline>) -> Grounded {
        let (kind, reason) = match refused {
            Refused::Busy if wait.is_none() => return Grounded::Busy,
            Refused::Busy => (ErrorKind::PoolExhausted, "no connection came free in time"),
            Refused::Closed => (ErrorKind::Closed, "the connections are closed"),
        };
        Grounded::Failed(self.at(Error::unsent(kind, reason)))
    }

    fn connect(&self, deadline: Deadline) -> Result<Lane, Error> {
        let limit = deadline.min(Deadline::after(self.connect));
        let result = self.connect_any(limit);
        match result {
            Ok(lane) => {
                self.health.recovered();
                Ok(lane)
            }
            // The call had too little time left to say anything about the member.
            Err(error) if deadline.remaining().is_none() => {
                Err(self.at(Error { kind: ErrorKind::Timeout, ..error }))
            }
            Err(error) => {
                self.health.failed();
                Err(self.at(error))
            }
        }
    }

    /// Tries one address after the other, each with its share of the time.
    fn connect_any(&self, limit: Deadline) -> Result<Lane, Error> {
        let addresses = self.resolver.addresses().map_err(|error| {
            Error::unsent(ErrorKind::Name, format!("finding the address of the host: {error}"))
        })?;
        let mut last = Error::unsent(ErrorKind::Connect, "no time was left to connect");
        for (tried, address) in addresses.iter().enumerate() {
            let Some(left) = limit.remaining() else { break };
            let share = Deadline::after(left / (addresses.len() - tried) as u32).min(limit);
            let lane = match &self.tls {
                None => Lane::plain(*address, share),
                Some((tls, name)) => Lane::secured(*address, &tls.access(), name, share),
            };
            match lane {
                Ok(lane) => {
                    self.resolver.prefer(*address);
                    return Ok(lane);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn at(&self, error: Error) -> Error {
        Error { context: format!("{}: {}", self.name, error.context), ..error }
    }
}

/// Scheme, host and port, the port only if it is not the scheme's own.
fn authority(url: &config::Url) -> String {
    let (scheme, usual) = if url.tls { ("https", 443) } else { ("http", 80) };
    let (open, close) = if url.host.contains(':') { ("[", "]") } else { ("", "") };
    let port = if url.port == usual { String::new() } else { format!(":{}", url.port) };
    format!("{scheme}://{open}{}{close}{port}", url.host)
}

impl Flight<'_> {
    /// Waits for the answer, and leaves the lane to others if it can carry more.
    pub fn land(mut self, deadline: Deadline) -> Result<Response, Lost> {
        let Some(lane) = &mut self.seat.lane else {
            let error = Error::unsent(ErrorKind::Broken, "the lane is gone");
            return Err(Lost { error, stale: false });
        };
        match lane.receive(deadline) {
            Ok(answer) => {
                if answer.reusable {
                    self.seat.keep();
                }
                Ok(answer.response)
            }
            Err(error) => {
                let stale = self.reused && !lane.has_heard();
                Err(Lost { error: self.member.at(error), stale })
            }
        }
    }
}

/// Whether connections to a member can be made.
///
/// After a failure nobody tries for a while, which doubles with each further failure. Then the next caller probes, alone:
/// the others avoid the member until it is known how that went.
pub(super) struct Health {
    began: Instant,
    failures: AtomicU32,
    /// Milliseconds since `began` until which the member is avoided; 0: it is well.
    until: AtomicU64,
}

impl Health {
    fn new() -> Self {
        Self { began: Instant::now(), failures: AtomicU32::new(0), until: AtomicU64::new(0) }
    }

    /// Whether the caller should try the member. A yes after an avoidance makes this caller the one who probes.
    pub fn admits(&self) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        let now = self.now();
        let next = now + millis(self.avoidance());
        now >= until && self.until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.until.store(self.now() + millis(self.avoidance()), Ordering::Relaxed);
    }

    fn recovered(&self) {
        if self.until.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.until.store(0, Ordering::Relaxed);
        }
    }

    fn avoidance(&self) -> Duration {
        let doublings = self.failures.load(Ordering::Relaxed).saturating_sub(1).min(16);
        FIRST_AVOIDANCE.saturating_mul(1 << doublings).min(LONGEST_AVOIDANCE)
    }

    fn now(&self) -> u64 {
        millis(self.began.elapsed()) + 1
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
