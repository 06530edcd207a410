//! One member of a service: where it is, how it fares, and its lanes.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;

use super::health::Health;
use super::http1::Answer;
use super::lane::Lane;
use super::pool::{Pool, Refused, Seat, Want};
use super::resolve::Resolver;
use super::retry::{Cause, Lost};
use super::seal::{Check, Finding, Outgoing, Sealed, Sealer};
use super::socket::Socket;
use super::tls::{self, Tls};
use super::{CONTENT_TYPE, Class, Conventions, Deadline, Error, ErrorKind, Headers, Request, Response};
use crate::config;

/// One member.
pub(super) struct Member {
    /// Its place among all members of the cluster.
    pub number: usize,
    name: String,
    base: String,
    fixed: Headers,
    /// The same without `Content-Type`, for requests that have their own.
    untyped: Headers,
    keep: Arc<[Box<str>]>,
    sealer: Option<Arc<dyn Sealer>>,
    port: u16,
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

/// On which terms a request sets out.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// The connection has to be a new one.
    pub fresh: bool,
    /// The call finds out how a member fares that was avoided.
    pub probe: bool,
    /// Until when to wait for a free lane; `None`: not at all.
    pub wait: Option<Deadline>,
    /// When the call gives up.
    pub deadline: Deadline,
    /// How many members can be asked after this one. Connecting leaves each its share of the time.
    pub others: usize,
}

/// A request that was sent, and the lane that its answer comes on.
pub(super) struct Flight<'m> {
    member: &'m Member,
    seat: Seat<'m>,
    reused: bool,
    probe: bool,
    check: Option<Box<dyn Check>>,
}

impl Member {
    /// `shared` is the cluster's TLS, needed if the URL says so.
    pub fn new(
        number: usize,
        url: &config::Url,
        shared: Option<&Arc<Tls>>,
        names: &config::Tls,
        timeouts: config::Timeouts,
        pool: config::Pool,
        conventions: &Conventions<'_>,
    ) -> Result<Self, Error> {
        let name = authority(url);
        let mut fixed = Headers::default();
        fixed.add("Host", name.split_once("://").map_or(&name, |(_, host)| host))?;
        let mut untyped = fixed.clone();
        for (header, value) in conventions.headers {
            fixed.add(header, value)?;
            if !header.eq_ignore_ascii_case(CONTENT_TYPE) {
                untyped.add(header, value)?;
            }
        }
        let tls = match shared.filter(|_| url.tls) {
            Some(tls) => Some((Arc::clone(tls), tls::server_name(names, &url.host)?)),
            None => None,
        };
        Ok(Self {
            number,
            name,
            base: url.path.clone(),
            fixed,
            untyped,
            keep: conventions.keep.iter().map(|&name| name.into()).collect(),
            sealer: None,
            port: url.port,
            resolver: Resolver::new(&url.host, url.port),
            tls,
            connect: timeouts.connect,
            pool: Pool::new(pool),
            // A connection, and as long again for an answer.
            health: Health::new(timeouts.connect.saturating_mul(2)),
        })
    }

    /// Each attempt from now on has a seal.
    pub fn seal_with(&mut self, sealer: &Arc<dyn Sealer>) {
        self.keep = kept_for(sealer, &self.keep);
        self.sealer = Some(Arc::clone(sealer));
    }

    /// The seal of an attempt that is about to be sent.
    fn seal(&self, fixed: &Headers, request: &Request<'_>) -> Result<Option<Sealed>, Grounded> {
        let Some(sealer) = &self.sealer else { return Ok(None) };
        let host = self.name.split_once("://").map_or(self.name.as_str(), |(_, host)| host);
        let place = (self.tls.is_some(), host, self.port, self.base.as_str());
        let sealed = sealer.seal(&Outgoing::new(place, fixed.as_bytes(), request));
        sealed.map_err(|error| Grounded::Failed(self.at(error)))
    }

    /// Sends the request on a lane of its own.
    ///
    /// `OnceOnly` and `NeverTwice` requests go on a connection that is new or carried an answer within the last second,
    /// and that has not been closed as far as this side knows. A reused connection that refuses the very first byte
    /// has carried nothing: whatever the class, the request then goes on a new one.
    pub fn launch(&self, request: &Request<'_>, terms: Terms) -> Result<Flight<'_>, Grounded> {
        let Terms { probe, wait, deadline, .. } = terms;
        let mut want = match request.class {
            _ if terms.fresh => Want::Fresh,
            Class::Repeatable => Want::Any,
            Class::OnceOnly | Class::NeverTwice => Want::Proven,
        };
        let fixed = if request.headers.is_typed() { &self.untyped } else { &self.fixed };
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
                empty => empty.insert(self.connect(terms).map_err(Grounded::Failed)?),
            };
            let sealed = self.seal(fixed, request)?;
            let headers = sealed.as_ref().map_or(request.headers, |sealed| &sealed.headers);
            let request = Request { headers, ..*request };
            match lane.send(&self.base, fixed.as_bytes(), &self.keep, &request, deadline) {
                Ok(()) => {
                    let check = sealed.map(|sealed| sealed.check);
                    return Ok(Flight { member: self, seat, reused, probe, check });
                }
                Err(error) if reused && !error.sent && error.kind == ErrorKind::Broken => want = Want::Fresh,
                Err(error) => return Err(Grounded::Failed(self.at(error))),
            }
        }
    }

    /// Closes the idle lanes and refuses all that comes later.
    pub fn close(&self) {
        self.pool.close();
    }

    /// Ends the idle connections, as the process ends.
    pub fn hang_up(&self) {
        self.pool.hang_up();
    }

    fn refused(&self, refused: Refused, wait: Option<Deadline>) -> Grounded {
        let (kind, reason) = match refused {
            Refused::Busy if wait.is_none() => return Grounded::Busy,
            Refused::Busy => (ErrorKind::PoolExhausted, "no connection came free in time"),
            Refused::Closed => (ErrorKind::Closed, "the connections are closed"),
        };
        Grounded::Failed(self.at(Error::unsent(kind, reason)))
    }

    fn connect(&self, terms: Terms) -> Result<Lane, Error> {
        let _pass = match &self.tls {
            Some((tls, _)) => Some(tls.pass().ok_or_else(|| {
                self.at(Error::unsent(ErrorKind::Closed, "the process ends: no connection is begun any more"))
            })?),
            None => None,
        };
        let left = terms.deadline.remaining().unwrap_or_default();
        let share = left / u32::try_from(terms.others + 1).unwrap_or(u32::MAX);
        match self.connect_any(Deadline::after(share.min(self.connect))) {
            Ok(lane) => {
                self.health.connected();
                Ok(lane)
            }
            Err(error) => {
                let late = terms.deadline.remaining().is_none();
                // A call that had too little time left says nothing about the member, unless it was to find out.
                if !late || terms.probe {
                    self.health.unreachable(terms.probe);
                }
                Err(self.at(if late { Error { kind: ErrorKind::Timeout, ..error } } else { error }))
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

/// The names of the header lines that are kept, with those that seals look at.
pub(super) fn kept_for(sealer: &Arc<dyn Sealer>, keep: &[Box<str>]) -> Arc<[Box<str>]> {
    let more = sealer.keep().into_iter().map(String::into_boxed_str);
    keep.iter().cloned().chain(more.filter(|name| !keep.contains(name))).collect()
}

/// Scheme, host and port, the port only if it is not the scheme's own.
pub(super) fn authority(url: &config::Url) -> String {
    let (scheme, usual) = if url.tls { ("https", 443) } else { ("http", 80) };
    let (open, close) = if url.host.contains(':') { ("[", "]") } else { ("", "") };
    let port = if url.port == usual { String::new() } else { format!(":{}", url.port) };
    format!("{scheme}://{open}{}{close}{port}", url.host)
}

impl<'m> Flight<'m> {
    /// The member that the request was sent to.
    pub fn member(&self) -> &'m Member {
        self.member
    }

    /// Whether this call finds out how the member fares.
    pub fn is_probe(&self) -> bool {
        self.probe
    }

    /// Waits until `limit` for the first bytes of the answer and says whether they came.
    pub fn hear(&mut self, limit: Deadline) -> Result<bool, Lost> {
        self.with_lane(|lane| lane.hear(limit))
    }

    /// Takes in what has come, without waiting, and says whether the answer is whole.
    pub fn glance(&mut self) -> Result<bool, Lost> {
        self.with_lane(Lane::glance)
    }

    /// Waits until something comes for one of two; `false`: nothing did by the deadline.
    pub fn wait_for_either(one: &Self, other: &Self, deadline: Deadline) -> bool {
        match (&one.seat.lane, &other.seat.lane) {
            (Some(one), Some(other)) => {
                Socket::wait_for_either(one.socket(), other.socket(), deadline).unwrap_or(false)
            }
            _ => false,
        }
    }

    /// Waits for the answer, and leaves the lane to others if it can carry more.
    pub fn land(mut self, deadline: Deadline) -> Result<Response, Lost> {
        let Answer { response, reusable } = self.with_lane(|lane| lane.receive(deadline))?;
        self.member.health.judge(&response, self.probe);
        let finding = match &self.check {
            Some(check) => check.check(&response).map_err(|error| self.member.at(error))?,
            None => Finding::Good,
        };
        if reusable {
            self.seat.keep();
        }
        match finding {
            Finding::Good => Ok(response),
            Finding::Again => Err(Lost::unsealed(response)),
        }
    }

    /// Waits no longer. The lane is closed: the answer may still come.
    pub fn leave(self) -> Lost {
        if !self.seat.lane.as_ref().is_some_and(Lane::has_heard) {
            self.member.health.unanswered(self.probe);
        }
        let error = Error::sent(ErrorKind::Timeout, "no answer for so long that another was asked");
        Lost { error: self.member.at(error), cause: Cause::Left, answer: None }
    }

    fn with_lane<T>(&mut self, step: impl FnOnce(&mut Lane) -> Result<T, Error>) -> Result<T, Lost> {
        let Some(lane) = &mut self.seat.lane else {
            return Err(Error::unsent(ErrorKind::Broken, "the lane is gone").into());
        };
        step(lane).map_err(|error| {
            let stale = self.reused && error.kind == ErrorKind::Broken && !lane.has_heard();
            let health = &self.member.health;
            if error.kind == ErrorKind::Tls {
                health.turned_away(self.probe);
            } else if !stale || self.probe {
                health.unanswered(self.probe);
            }
            let cause = if stale { Cause::Stale } else { Cause::Failed };
            Lost { error: self.member.at(error), cause, answer: None }
        })
    }
}
