//! Requests through a proxy or over HTTP/2: the same members, classes and deadlines as the lanes have, over
//! `reqwest::blocking`.
//!
//! It costs what the lanes do not: a thread for each client, more system calls, and copies of what is sent and received
//! that nobody zeroises. No client is made before the first request, so that a process that only looks at its slots has
//! no thread, and a child of a fork makes its own.
//!
//! There are two clients. The one for [`Class::Repeatable`] keeps connections as long as the configuration says. The
//! other one, for what must not be sent twice and for what follows a broken connection, forgets them after a second: a
//! connection that old has not been closed by a server for its age. Neither repeats a request by itself, unless it was
//! never written.
//!
//! ```text
//! mod       who is asked, in which order, and how often      client    a thread's birth and end
//! exchange  one request, one answer
//! ```

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use parking_lot::{Condvar, Mutex};

use self::client::{Client, Recipe, Route, with_signals_blocked};
use self::exchange::{Failure, Target};
use super::cluster::{is_final, rotated};
use super::health::{Advice, Health};
use super::pool::PROVEN;
use super::retry::{Attempts, Cause, Jitter, Lost, Verdict};
use super::seal::{Finding, Sealer};
use super::tls::{Gate, Pass};
use super::{Class, Conventions, Deadline, Error, ErrorKind, Request, Response, Transport, http1};
use crate::config;

mod client;
mod exchange;

/// All members of one HSM service, behind a proxy or with HTTP/2.
pub(super) struct Proxied {
    groups: Vec<Vec<Peer>>,
    rotation: AtomicUsize,
    jitter: Jitter,
    recipe: Recipe,
    kept: Cell,
    proven: Cell,
    closed: AtomicBool,
    /// Any request may need a handshake, which a thread of a client's makes.
    gate: Gate,
}

/// One member.
struct Peer {
    number: usize,
    target: Target,
    health: Health,
    places: Places,
}

/// A client once it is needed. The lock is held while it is made, and not during requests.
#[derive(Default)]
struct Cell(Mutex<Option<Arc<Client>>>);

impl Proxied {
    /// Makes no connection and no thread, looks up no name, and reads no password; `conventions` hold for every
    /// request. TLS files are read if a member or the proxy speaks TLS.
    ///
    /// # Errors
    /// Those of [`Cluster::new`](super::Cluster::new).
    pub fn new(token: &config::Token, conventions: &Conventions<'_>) -> Result<Self, Error> {
        let route = Arc::new(Route::new(token)?);
        let mut numbers = 0..;
        let mut peer = |url: &config::Url| {
            Ok(Peer {
                number: numbers.next().unwrap_or_default(), // it has no end
                target: Target::new(url, Arc::clone(&route), conventions)?,
                health: Health::new(token.timeouts.connect),
                places: Places::new(token.pool.max),
            })
        };
        let group = |urls: &Vec<config::Url>| urls.iter().map(&mut peer).collect();
        Ok(Self {
            groups: token.members.iter().map(group).collect::<Result<_, Error>>()?,
            rotation: AtomicUsize::new(0),
            jitter: Jitter::new(),
            recipe: Recipe::new(token, &route)?,
            kept: Cell::default(),
            proven: Cell::default(),
            closed: AtomicBool::new(false),
            gate: Gate::default(),
        })
    }

    /// With a seal on each attempt, if there is somebody to make them.
    pub fn sealed(mut self, sealer: Option<Arc<dyn Sealer>>) -> Self {
        if let Some(sealer) = sealer {
            self.groups.iter_mut().flatten().for_each(|peer| peer.target.seal_with(&sealer));
        }
        self
    }

    /// To be held by the thread that was called during whatever it has others do.
    fn pass(&self) -> Result<Pass<'_>, Error> {
        self.gate.enter().ok_or_else(ended)
    }

    /// On this thread, or where it can wait no more on another one.
    fn call_anywhere(&self, request: &Request<'_>, deadline: Deadline) -> Result<Response, Error> {
        if has_variables() {
            return self.call_here(request, deadline);
        }
        thread::scope(|scope| {
            let call = || self.call_here(request, deadline);
            match with_signals_blocked(|| thread::Builder::new().spawn_scoped(scope, call)) {
                Ok(Ok(helper)) => helper.join().unwrap_or_else(|panic| resume_unwind(panic)),
                _ => Err(Error::unsent(ErrorKind::Connect, "there is no thread for a call of one that ends")),
            }
        })
    }

    fn call_here(&self, request: &Request<'_>, deadline: Deadline) -> Result<Response, Error> {
        http1::check_path(request.path)?;
        let mut attempts = Attempts::new(request.class, self.rotation.fetch_add(1, Ordering::Relaxed));
        loop {
            let outcome = self.attempt(request, &mut attempts, deadline);
            match attempts.judge(outcome, deadline, &self.jitter, self.is_elsewhere(&attempts)) {
                Verdict::Final(result) => return result,
                Verdict::Again(pause) => thread::sleep(pause),
            }
        }
    }

    /// Whether another member is well than the one that was asked last.
    fn is_elsewhere(&self, attempts: &Attempts) -> bool {
        let mut others = self.groups.iter().flatten().filter(|peer| !attempts.is_last(peer.number));
        others.any(|peer| peer.health.is_well())
    }

    /// One attempt: the request goes to the first member that takes it.
    fn attempt(
        &self,
        request: &Request<'_>,
        attempts: &mut Attempts,
        deadline: Deadline,
    ) -> Result<Response, Lost> {
        let mut search =
            Search { proxied: self, request, attempts, deadline, failed: Vec::new(), error: None };
        let found = self.groups.iter().find_map(|group| search.in_group(group));
        found.unwrap_or_else(|| search.anywhere())
    }

    /// The request to one member, on a connection that has not been idle for long if `fresh`.
    fn exchange(
        &self,
        peer: &Peer,
        request: &Request<'_>,
        fresh: bool,
        deadline: Deadline,
    ) -> Result<(Response, Finding), Failure> {
        let cell = if fresh { &self.proven } else { &self.kept };
        let own = |error| Failure { error, at_proxy: false };
        let client = self.client(cell, fresh, deadline).map_err(own)?;
        let _place = peer.places.take(deadline).ok_or_else(|| {
            let reason = format!("{}: no connection came free in time", peer.target);
            own(Error::unsent(ErrorKind::PoolExhausted, reason))
        })?;
        let result = peer.target.exchange(&client, request, deadline);
        if result.as_ref().is_err_and(|failure| failure.at_proxy) {
            cell.forget(&client); // the next one reads the password anew
        }
        result
    }

    /// The client in the cell, made now if there is none or another client certificate.
    fn client(&self, cell: &Cell, proven: bool, deadline: Deadline) -> Result<Arc<Client>, Error> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::unsent(ErrorKind::Closed, "the connections are closed"));
        }
        // Whoever makes it may wait for a command that prints a password.
        let mut place = cell.0.try_lock_for(deadline.remaining().unwrap_or_default()).ok_or_else(|| {
            Error::unsent(ErrorKind::Timeout, "the client for the proxy was not ready in time")
        })?;
        if let Some(client) = place.as_ref().filter(|client| self.recipe.is_of_today(client)) {
            return Ok(Arc::clone(client));
        }
        let idle = if proven { self.recipe.idle().min(PROVEN) } else { self.recipe.idle() };
        let client = Arc::new(self.recipe.make(idle)?);
        let old = place.replace(Arc::clone(&client));
        drop(place);
        drop(old); // when the lock is free again
        Ok(client)
    }
}

impl Transport for Proxied {
    fn call(&self, request: &Request<'_>, deadline: Deadline) -> Result<Response, Error> {
        let _pass = self.pass()?;
        self.call_anywhere(request, deadline)
    }

    /// With a thread for each request in flight, the caller's own among them.
    fn call_many(
        &self,
        requests: &[Request<'_>],
        width: usize,
        deadline: Deadline,
    ) -> Vec<Result<Response, Error>> {
        let Ok(_pass) = self.pass() else {
            return requests.iter().map(|_| Err(ended())).collect();
        };
        let width = if has_variables() { width } else { 1 };
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::with_capacity(requests.len()));
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = requests.get(at) else { return };
                let result = self.call_anywhere(request, deadline);
                results.lock().push((at, result));
            }
        };
        thread::scope(|scope| {
            let spawn = || thread::Builder::new().spawn_scoped(scope, work);
            for _ in 1..width.min(requests.len()) {
                // The calling thread does what others do not.
                if !matches!(with_signals_blocked(spawn), Ok(Ok(_))) {
                    break;
                }
            }
            work();
        });
        let mut results = results.into_inner();
        results.sort_unstable_by_key(|(at, _)| *at);
        results.into_iter().map(|(_, result)| result).collect()
    }

    fn warning(&self) -> Option<String> {
        self.recipe.warning()
    }

    fn exiting(&self, limit: Deadline) {
        self.gate.close_to_others(limit);
    }

    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        for cell in [&self.kept, &self.proven] {
            cell.empty();
        }
    }
}

fn ended() -> Error {
    Error::unsent(ErrorKind::Closed, "the process ends: no request is begun any more")
}

impl Cell {
    /// Gives the client up unless another one has taken its place. It ends with the last call that uses it.
    fn forget(&self, client: &Arc<Client>) {
        let old = self.0.lock().take_if(|held| Arc::ptr_eq(held, client));
        drop(old); // when the lock is free again
    }

    /// Gives up whatever there is. A client that is just being made stays until the transport itself goes.
    fn empty(&self) {
        let old = self.0.try_lock().and_then(|mut place| place.take());
        drop(old);
    }
}

/// The search for a member that takes the request, and its outcome there.
struct Search<'s> {
    proxied: &'s Proxied,
    request: &'s Request<'s>,
    attempts: &'s mut Attempts,
    deadline: Deadline,
    /// The numbers of those who did not take it.
    failed: Vec<usize>,
    error: Option<Error>,
}

impl Search<'_> {
    /// Asks those of the group who are well, or due for a probe. `None`: none of them took it.
    fn in_group(&mut self, group: &[Peer]) -> Option<Result<Response, Lost>> {
        let start = self.attempts.start();
        for last in [false, true] {
            for peer in rotated(group, start) {
                let number = peer.number;
                if self.attempts.is_last_choice(number) != last || self.attempts.has_left(number) {
                    continue;
                }
                let advice = peer.health.advice(self.attempts.may_leave());
                if advice != Advice::Avoid
                    && let Some(outcome) = self.ask(peer, advice == Advice::Probe)
                {
                    return Some(outcome);
                }
            }
        }
        None
    }

    /// Nobody who is well took it: those who were passed over are asked after all, but not all the time. The one that
    /// this very call has left is asked last.
    fn anywhere(mut self) -> Result<Response, Lost> {
        let (groups, start) = (&self.proxied.groups, self.attempts.start());
        for left in [false, true] {
            for peer in groups.iter().flat_map(|group| rotated(group, start)) {
                if self.attempts.has_left(peer.number) != left || self.failed.contains(&peer.number) {
                    continue;
                }
                thread::sleep(peer.health.pause().min(self.deadline.remaining().unwrap_or_default()));
                if let Some(outcome) = self.ask(peer, false) {
                    return outcome;
                }
            }
        }
        let nobody = || Error::unsent(ErrorKind::Connect, "the service has no members");
        Err(self.error.unwrap_or_else(nobody).into())
    }

    /// Asks one member. `None`: it did not take the request, which may go to another one.
    fn ask(&mut self, peer: &Peer, probe: bool) -> Option<Result<Response, Lost>> {
        let fresh = self.request.class != Class::Repeatable || self.attempts.fresh(peer.number);
        let limit = self.limit(peer, probe);
        let failure = match self.proxied.exchange(peer, self.request, fresh, limit) {
            Ok((response, finding)) => {
                self.attempts.sent_to(peer.number);
                peer.health.judge(&response, probe);
                return Some(match finding {
                    Finding::Good => Ok(response),
                    Finding::Again => Err(Lost::unsealed(response)),
                });
            }
            Err(failure) => failure,
        };
        let error = match self.error.take() {
            Some(earlier) => failure.error.after(&earlier.context),
            None => failure.error,
        };
        let late = self.deadline.remaining().is_none();
        if error.sent {
            self.attempts.sent_to(peer.number);
            match error.kind {
                ErrorKind::Tls => peer.health.turned_away(probe),
                _ => peer.health.unanswered(probe),
            }
            let left = error.kind == ErrorKind::Timeout && !late;
            let cause = if left { Cause::Left } else { Cause::Failed };
            return Some(Err(Lost { error, cause, answer: None }));
        }
        if failure.at_proxy || is_final(error.kind) {
            return Some(Err(error.into()));
        }
        // A call that had too little time left says nothing about the member, unless it was to find out.
        if !late || probe {
            peer.health.unreachable(probe);
        }
        self.failed.push(peer.number);
        self.error = Some(error);
        None
    }

    /// Until when the member may keep the call. While another one is well, a call that could be repeated there waits no
    /// longer than half of its time.
    fn limit(&self, peer: &Peer, probe: bool) -> Deadline {
        let mut others = self.proxied.groups.iter().flatten().filter(|other| other.number != peer.number);
        if !self.attempts.may_leave() || !others.any(|other| other.health.is_well()) {
            return self.deadline;
        }
        let half = self.deadline.remaining().unwrap_or_default() / 2;
        Deadline::after(if probe { half.min(self.proxied.recipe.connect()) } else { half })
    }
}

/// Whether the calling thread still has its variables, by which reqwest waits. In exit handlers they are gone, and a call
/// needs another thread.
fn has_variables() -> bool {
    thread_local! { static ANY: String = const { String::new() } }
    ANY.try_with(|_| ()).is_ok()
}

/// How many requests may be at one member at once.
struct Places {
    free: Mutex<usize>,
    freed: Condvar,
}

/// One of them. Dropped, it is free again.
struct Place<'p>(&'p Places);

impl Places {
    fn new(max: usize) -> Self {
        Self { free: Mutex::new(max.max(1)), freed: Condvar::new() }
    }

    fn take(&self, deadline: Deadline) -> Option<Place<'_>> {
        let mut free = self.free.lock();
        while *free == 0 {
            self.freed.wait_for(&mut free, deadline.remaining()?);
        }
        *free -= 1;
        Some(Place(self))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.free.lock() += 1;
        self.0.freed.notify_one();
    }
}
