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

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use parking_lot::{Condvar, Mutex};

use self::client::{Client, Recipe, Route, with_signals_blocked};
use self::exchange::{Failure, Target};
use super::cluster::{is_final, rotated};
use super::member::Health;
use super::pool::PROVEN;
use super::retry::{Attempts, Jitter, Lost, Verdict};
use super::{Class, Deadline, Error, ErrorKind, Request, Response, Transport, http1};
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
}

/// One member.
struct Peer {
    target: Target,
    health: Health,
    places: Places,
}

/// A client once it is needed. The lock is held while it is made, and not during requests.
#[derive(Default)]
struct Cell(Mutex<Option<Arc<Client>>>);

impl Proxied {
    /// Makes no connection and no thread, looks up no name, and reads no password; `default_headers` go with every
    /// request. TLS files are read if a member or the proxy speaks TLS.
    ///
    /// # Errors
    /// Those of [`Cluster::new`](super::Cluster::new).
    pub fn new(token: &config::Token, default_headers: &[(&'static str, &str)]) -> Result<Self, Error> {
        let route = Arc::new(Route::new(token)?);
        let peer = |url: &config::Url| {
            Ok(Peer {
                target: Target::new(url, Arc::clone(&route), default_headers)?,
                health: Health::new(),
                places: Places::new(token.pool.max),
            })
        };
        let group = |urls: &Vec<config::Url>| urls.iter().map(peer).collect();
        Ok(Self {
            groups: token.members.iter().map(group).collect::<Result<_, Error>>()?,
            rotation: AtomicUsize::new(0),
            jitter: Jitter::new(),
            recipe: Recipe::new(token, &route)?,
            kept: Cell::default(),
            proven: Cell::default(),
            closed: AtomicBool::new(false),
        })
    }

    /// One attempt: the request goes to the first member that takes it.
    fn attempt(
        &self,
        request: &Request<'_>,
        attempts: &Attempts,
        deadline: Deadline,
    ) -> Result<Response, Error> {
        let proven = attempts.fresh() || request.class != Class::Repeatable;
        let cell = if proven { &self.proven } else { &self.kept };
        let client = self.client(cell, proven, deadline)?;
        let mut tried: Vec<&Peer> = Vec::new();
        let mut failed: Option<Error> = None;
        // Those who are avoided are asked after all if nobody else took it.
        for (avoid, group) in
            [true, false].iter().flat_map(|avoid| self.groups.iter().map(move |g| (avoid, g)))
        {
            for peer in rotated(group, attempts.start()) {
                if tried.iter().any(|other| std::ptr::eq(*other, peer)) || *avoid && !peer.health.admits() {
                    continue;
                }
                match peer.exchange(&client, request, deadline) {
                    Err(Failure { error, at_proxy: false }) if !error.sent && !is_final(error.kind) => {
                        tried.push(peer);
                        failed = Some(joined(failed, error));
                    }
                    Err(Failure { error, at_proxy }) => {
                        if at_proxy {
                            cell.forget(&client); // the next one reads the password anew
                        }
                        return Err(error);
                    }
                    Ok(response) => return Ok(response),
                }
            }
        }
        Err(failed.unwrap_or_else(|| Error::unsent(ErrorKind::Connect, "the service has no members")))
    }

    /// The client in the cell, made now if there is none.
    fn client(&self, cell: &Cell, proven: bool, deadline: Deadline) -> Result<Arc<Client>, Error> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::unsent(ErrorKind::Closed, "the connections are closed"));
        }
        // Whoever makes it may wait for a command that prints a password.
        let mut place = cell.0.try_lock_for(deadline.remaining().unwrap_or_default()).ok_or_else(|| {
            Error::unsent(ErrorKind::Timeout, "the client for the proxy was not ready in time")
        })?;
        if let Some(client) = &*place {
            return Ok(Arc::clone(client));
        }
        let idle = if proven { self.recipe.idle().min(PROVEN) } else { self.recipe.idle() };
        let client = Arc::new(self.recipe.make(idle)?);
        Ok(Arc::clone(place.insert(client)))
    }
}

impl Transport for Proxied {
    fn call(&self, request: &Request<'_>, deadline: Deadline) -> Result<Response, Error> {
        http1::check_path(request.path)?;
        let mut attempts = Attempts::new(request.class, self.rotation.fetch_add(1, Ordering::Relaxed));
        loop {
            let outcome = self.attempt(request, &attempts, deadline);
            let outcome = outcome.map_err(|error| Lost { error, stale: false });
            match attempts.judge(outcome, deadline, &self.jitter) {
                Verdict::Final(result) => return result,
                Verdict::Again(pause) => thread::sleep(pause),
            }
        }
    }

    /// With a thread for each request in flight, the caller's own among them.
    fn call_many(
        &self,
        requests: &[Request<'_>],
        width: usize,
        deadline: Deadline,
    ) -> Vec<Result<Response, Error>> {
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::with_capacity(requests.len()));
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = requests.get(at) else { return };
                let result = self.call(request, deadline);
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

    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        for cell in [&self.kept, &self.proven] {
            cell.empty();
        }
    }
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

impl Peer {
    fn exchange(
        &self,
        client: &Client,
        request: &Request<'_>,
        deadline: Deadline,
    ) -> Result<Response, Failure> {
        let _place = self.places.take(deadline).ok_or_else(|| {
            let reason = format!("{}: no connection came free in time", self.target);
            Failure { error: Error::unsent(ErrorKind::PoolExhausted, reason), at_proxy: false }
        })?;
        let result = self.target.exchange(client, request, deadline);
        match &result {
            Err(Failure { error, at_proxy: false }) if !error.sent && !is_final(error.kind) => {
                self.health.failed();
            }
            Err(_) => {}
            Ok(_) => self.health.recovered(),
        }
        result
    }
}

/// The first failure, and what was said of the other members.
fn joined(first: Option<Error>, next: Error) -> Error {
    match first {
        Some(first) => Error { context: format!("{}; {}", first.context, next.context), ..first },
        None => next,
    }
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
