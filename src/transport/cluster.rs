//! The members of one service as one: who is asked, in which order, and how often.
//!
//! Members are in groups of falling preference; within a group each call starts with the next one. A member that could
//! not be connected to is passed over for a while, unless nobody else is left. A request that was not sent goes to the
//! next member; one that may have been is only repeated if its class allows (see [`retry`](super::retry)).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::member::{Flight, Grounded, Member};
use super::retry::{Attempts, Jitter, Lost, Verdict};
use super::tls::Tls;
use super::{Deadline, Error, ErrorKind, Request, Response, Transport, http1};
use crate::config;

/// All members of one HSM service, with their lanes.
pub struct Cluster {
    groups: Vec<Vec<Member>>,
    /// If a member speaks it.
    tls: Option<Arc<Tls>>,
    rotation: AtomicUsize,
    jitter: Jitter,
}

impl Cluster {
    /// Makes no connection and looks up no name. `members` are groups of falling preference; `default_headers` go with
    /// every request. TLS files are read if a member speaks TLS.
    ///
    /// # Errors
    /// [`ErrorKind::Tls`] where the CA file or the client certificate cannot be read or used, the platform has no
    /// authorities or the host has a name that no certificate can have; [`ErrorKind::Header`] for a default header that HTTP forbids.
    pub fn new(
        members: &[Vec<config::Url>],
        tls: &config::Tls,
        timeouts: config::Timeouts,
        pool: config::Pool,
        default_headers: &[(&'static str, &str)],
    ) -> Result<Self, Error> {
        let secured = members.iter().flatten().any(|url| url.tls);
        let shared = if secured { Some(Arc::new(Tls::new(tls)?)) } else { None };
        let member =
            |url: &config::Url| Member::new(url, shared.as_ref(), tls, timeouts, pool, default_headers);
        let group = |urls: &Vec<config::Url>| urls.iter().map(member).collect();
        let groups = members.iter().map(group).collect::<Result<_, Error>>()?;
        Ok(Self { groups, tls: shared, rotation: AtomicUsize::new(0), jitter: Jitter::new() })
    }

    fn begin(&self, request: &Request<'_>) -> Result<Attempts, Error> {
        http1::check_path(request.path)?;
        Ok(Attempts::new(request.class, self.rotation.fetch_add(1, Ordering::Relaxed)))
    }

    /// Makes one attempt at each entry, in order, and settles them in order.
    fn scatter<'r, 'a>(
        &self,
        entries: Vec<Entry<'r, 'a>>,
        width: usize,
        deadline: Deadline,
        mut settle: impl FnMut(Entry<'r, 'a>, Result<Response, Lost>),
    ) {
        let mut flying: VecDeque<(Entry<'r, 'a>, Flight<'_>)> =
            VecDeque::with_capacity(width.min(entries.len()));
        for entry in entries {
            if flying.len() >= width {
                land_first(&mut flying, deadline, &mut settle);
            }
            loop {
                // Who holds lanes must not wait for one: it might be waiting for itself.
                let wait = flying.is_empty().then_some(deadline);
                match self.launch(entry.request, &entry.attempts, wait, deadline) {
                    Ok(flight) => {
                        flying.push_back((entry, flight));
                        break;
                    }
                    Err(Grounded::Busy) if !flying.is_empty() => {
                        land_first(&mut flying, deadline, &mut settle);
                    }
                    Err(grounded) => {
                        settle(entry, Err(lost(grounded)));
                        break;
                    }
                }
            }
        }
        while !flying.is_empty() {
            land_first(&mut flying, deadline, &mut settle);
        }
    }

    /// Sends the request to the first member that takes it. Waits for a free lane until `wait`, if that is given.
    fn launch(
        &self,
        request: &Request<'_>,
        attempts: &Attempts,
        wait: Option<Deadline>,
        deadline: Deadline,
    ) -> Result<Flight<'_>, Grounded> {
        let mut failures = Failures::default();
        for group in &self.groups {
            let mut busy = None;
            for member in rotated(group, attempts.start()) {
                if member.health.admits() {
                    match member.launch(request, attempts.fresh(), None, deadline) {
                        Err(Grounded::Busy) => busy = busy.or(Some(member)),
                        outcome => {
                            if let Some(outcome) = failures.note(member, outcome) {
                                return outcome;
                            }
                        }
                    }
                }
            }
            // A full member is no reason to leave its group.
            if let Some(member) = busy {
                let outcome = member.launch(request, attempts.fresh(), wait, deadline);
                if let Some(outcome) = failures.note(member, outcome) {
                    return outcome;
                }
            }
        }
        self.launch_anywhere(request, attempts, wait, deadline, failures)
    }

    /// Nobody who is well took it: those who were passed over are asked after all.
    fn launch_anywhere<'c>(
        &'c self,
        request: &Request<'_>,
        attempts: &Attempts,
        wait: Option<Deadline>,
        deadline: Deadline,
        mut failures: Failures<'c>,
    ) -> Result<Flight<'c>, Grounded> {
        for group in &self.groups {
            for member in rotated(group, attempts.start()) {
                if !failures.include(member) {
                    let outcome = member.launch(request, attempts.fresh(), wait, deadline);
                    if let Some(outcome) = failures.note(member, outcome) {
                        return outcome;
                    }
                }
            }
        }
        Err(Grounded::Failed(failures.into_error()))
    }
}

impl Transport for Cluster {
    fn call(&self, request: &Request<'_>, deadline: Deadline) -> Result<Response, Error> {
        let mut attempts = self.begin(request)?;
        loop {
            let outcome = match self.launch(request, &attempts, Some(deadline), deadline) {
                Ok(flight) => flight.land(deadline),
                Err(grounded) => Err(lost(grounded)),
            };
            match attempts.judge(outcome, deadline, &self.jitter) {
                Verdict::Final(result) => return result,
                Verdict::Again(pause) => std::thread::sleep(pause),
            }
        }
    }

    /// All from the calling thread. What has to be repeated is repeated together, once the others are through.
    fn call_many(
        &self,
        requests: &[Request<'_>],
        width: usize,
        deadline: Deadline,
    ) -> Vec<Result<Response, Error>> {
        let mut round = Vec::with_capacity(requests.len());
        let mut results = Vec::with_capacity(requests.len());
        for (index, request) in requests.iter().enumerate() {
            results.push(self.begin(request).map(|attempts| {
                round.push(Entry { index, request, attempts });
                None
            }));
        }
        while !round.is_empty() {
            let mut again = Vec::new();
            let mut longest = Duration::ZERO;
            self.scatter(round, width.max(1), deadline, |mut entry, outcome| {
                match entry.attempts.judge(outcome, deadline, &self.jitter) {
                    Verdict::Final(result) => results[entry.index] = result.map(Some), // an index of this very loop
                    Verdict::Again(pause) => {
                        longest = longest.max(pause);
                        again.push(entry);
                    }
                }
            });
            std::thread::sleep(longest.min(deadline.remaining().unwrap_or_default()));
            round = again;
        }
        let missing = || Error::unsent(ErrorKind::Broken, "the request was never made");
        results.into_iter().map(|result| result.and_then(|response| response.ok_or_else(missing))).collect()
    }

    fn warning(&self) -> Option<String> {
        self.tls.as_ref().and_then(|tls| tls.warning())
    }

    fn close(&self) {
        self.groups.iter().flatten().for_each(Member::close);
    }
}

/// One request of many.
struct Entry<'r, 'a> {
    index: usize,
    request: &'r Request<'a>,
    attempts: Attempts,
}

fn land_first<'r, 'a>(
    flying: &mut VecDeque<(Entry<'r, 'a>, Flight<'_>)>,
    deadline: Deadline,
    settle: &mut impl FnMut(Entry<'r, 'a>, Result<Response, Lost>),
) {
    if let Some((entry, flight)) = flying.pop_front() {
        settle(entry, flight.land(deadline));
    }
}

fn lost(grounded: Grounded) -> Lost {
    let error = match grounded {
        Grounded::Failed(error) => error,
        Grounded::Busy => Error::unsent(ErrorKind::PoolExhausted, "all connections are taken"),
    };
    Lost { error, stale: false }
}

/// All members of the group, beginning with another one for each `start`.
fn rotated(group: &[Member], start: usize) -> impl Iterator<Item = &Member> {
    let first = start.checked_rem(group.len()).unwrap_or(0);
    let (tail, head) = group.split_at(first);
    head.iter().chain(tail)
}

/// Who failed to take the request, and why.
#[derive(Default)]
struct Failures<'m> {
    members: Vec<&'m Member>,
    error: Option<Error>,
}

impl<'m> Failures<'m> {
    /// Returns the outcome if it is the last word, else keeps it in mind.
    fn note(
        &mut self,
        member: &'m Member,
        outcome: Result<Flight<'m>, Grounded>,
    ) -> Option<Result<Flight<'m>, Grounded>> {
        let error = match outcome {
            Err(Grounded::Failed(error)) if !error.sent && !is_final(error.kind) => error,
            outcome => return Some(outcome),
        };
        self.members.push(member);
        match &mut self.error {
            Some(first) => first.context = format!("{}; {}", first.context, error.context),
            None => self.error = Some(error),
        }
        None
    }

    fn include(&self, member: &Member) -> bool {
        self.members.iter().any(|other| std::ptr::eq(*other, member))
    }

    fn into_error(self) -> Error {
        self.error.unwrap_or_else(|| Error::unsent(ErrorKind::Connect, "the service has no members"))
    }
}

/// Whether another member would fail in the same way.
fn is_final(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Closed | ErrorKind::Header | ErrorKind::PoolExhausted | ErrorKind::Timeout)
}
