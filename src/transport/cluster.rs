//! The members of one service as one: who is asked, in which order, and how often.
//!
//! Members are in groups of falling preference; within a group each call starts with the next one. A member that is not
//! well ([`health`](super::health)) is passed over, unless nobody else is left. A request that was not sent goes to the
//! next member; one that may have been is only repeated if its class allows (see [`retry`](super::retry)), and one that
//! hears nothing may be sent to a second member at once ([`hedge`]).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::health::Advice;
use super::hedge::{self, Hedge};
use super::member::{Flight, Grounded, Member, Terms};
use super::retry::{Attempts, Jitter, Lost, Verdict};
use super::seal::Sealer;
use super::tls::Tls;
use super::{Class, Conventions, Deadline, Error, ErrorKind, Request, Response, Transport, http1};
use crate::config;

/// All members of one HSM service, with their lanes.
pub struct Cluster {
    groups: Vec<Vec<Member>>,
    /// If a member speaks it.
    tls: Option<Arc<Tls>>,
    members: usize,
    rotation: AtomicUsize,
    jitter: Jitter,
    connect: Duration,
    hedge: Option<Hedge>,
}

impl Cluster {
    /// Makes no connection and looks up no name. `members` are groups of falling preference; `conventions` hold for
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
        conventions: &Conventions<'_>,
    ) -> Result<Self, Error> {
        let secured = members.iter().flatten().any(|url| url.tls);
        let shared = if secured { Some(Arc::new(Tls::new(tls)?)) } else { None };
        let mut numbers = 0..;
        let mut member = |url: &config::Url| {
            let number = numbers.next().unwrap_or_default(); // it has no end
            Member::new(number, url, shared.as_ref(), tls, timeouts, pool, conventions)
        };
        let group = |urls: &Vec<config::Url>| urls.iter().map(&mut member).collect();
        let groups: Vec<Vec<_>> = members.iter().map(group).collect::<Result<_, Error>>()?;
        Ok(Self {
            groups,
            tls: shared,
            members: members.iter().map(Vec::len).sum(),
            rotation: AtomicUsize::new(0),
            jitter: Jitter::new(),
            connect: timeouts.connect,
            hedge: None,
        })
    }

    /// With second requests for what is answered late, if there are `settings` for them.
    pub fn hedged(self, settings: Option<config::Hedge>) -> Self {
        Self { hedge: settings.map(Hedge::new), ..self }
    }

    /// With a seal on each attempt, if there is somebody to make them.
    pub fn sealed(mut self, sealer: Option<Arc<dyn Sealer>>) -> Self {
        if let Some(sealer) = sealer {
            self.groups.iter_mut().flatten().for_each(|member| member.seal_with(&sealer));
        }
        self
    }

    fn begin(&self, request: &Request<'_>) -> Result<Attempts, Error> {
        http1::check_path(request.path)?;
        Ok(Attempts::new(request.class, self.rotation.fetch_add(1, Ordering::Relaxed)))
    }

    /// Whether another member is well than the one that was asked last.
    fn is_elsewhere(&self, attempts: &Attempts) -> bool {
        let mut others = self.groups.iter().flatten().filter(|member| !attempts.is_last(member.number));
        others.any(|member| member.health.is_well())
    }

    /// Waits for the answer. While another member is well, a call that could be repeated there waits no longer for the
    /// first byte than a probe may take, or than half of its time.
    fn land(
        &self,
        mut flight: Flight<'_>,
        attempts: &Attempts,
        deadline: Deadline,
    ) -> Result<Response, Lost> {
        if attempts.may_leave() && self.is_elsewhere(attempts) {
            let half = deadline.remaining().unwrap_or_default() / 2;
            let patience = if flight.is_probe() { half.min(self.connect) } else { half };
            if !flight.hear(Deadline::after(patience))? {
                return Err(flight.leave());
            }
        }
        flight.land(deadline)
    }

    /// Waits for the answer, and sends the request again if nothing has come after a while.
    fn land_hedged(
        &self,
        hedge: &Hedge,
        request: &Request<'_>,
        mut flight: Flight<'_>,
        attempts: &Attempts,
        deadline: Deadline,
    ) -> Result<Response, Lost> {
        if flight.hear(Deadline::after(hedge.after).min(deadline))? || !hedge.spend() {
            return self.land(flight, attempts, deadline);
        }
        let limit = Deadline::after(hedge.after.saturating_mul(2)).min(deadline);
        match self.launch_second(request, &flight, attempts, limit) {
            Some(second) => hedge::race(flight, second, deadline),
            None => {
                hedge.refund();
                self.land(flight, attempts, deadline)
            }
        }
    }

    /// Sends the request on a second lane: of another member of the group that is well, else of the same. It does not
    /// wait for a lane, and a connection has to be made by `limit`: the first answer may come meanwhile.
    fn launch_second<'c>(
        &'c self,
        request: &Request<'_>,
        first: &Flight<'c>,
        attempts: &Attempts,
        limit: Deadline,
    ) -> Option<Flight<'c>> {
        let member = first.member();
        let is_first = |other: &&Member| other.number == member.number;
        let group = self.groups.iter().find(|group| group.iter().any(|other| is_first(&other)))?;
        let others = rotated(group, attempts.start() + 1);
        let others = others.filter(|other| !is_first(other) && other.health.is_well());
        let terms = Terms { fresh: false, probe: false, wait: None, deadline: limit, others: 0 };
        others.chain([member]).find_map(|member| member.launch(request, terms).ok())
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
        for mut entry in entries {
            if flying.len() >= width {
                self.land_first(&mut flying, deadline, &mut settle);
            }
            loop {
                // Who holds lanes must not wait for one: it might be waiting for itself.
                let wait = flying.is_empty().then_some(deadline);
                match self.launch(entry.request, &mut entry.attempts, wait, deadline) {
                    Ok(flight) => {
                        flying.push_back((entry, flight));
                        break;
                    }
                    Err(Grounded::Busy) if !flying.is_empty() => {
                        self.land_first(&mut flying, deadline, &mut settle);
                    }
                    Err(grounded) => {
                        settle(entry, Err(lost(grounded)));
                        break;
                    }
                }
            }
        }
        while !flying.is_empty() {
            self.land_first(&mut flying, deadline, &mut settle);
        }
    }

    /// Waits for the answer of the request that was sent first.
    fn land_first<'r, 'a>(
        &self,
        flying: &mut VecDeque<(Entry<'r, 'a>, Flight<'_>)>,
        deadline: Deadline,
        settle: &mut impl FnMut(Entry<'r, 'a>, Result<Response, Lost>),
    ) {
        if let Some((entry, flight)) = flying.pop_front() {
            let outcome = self.land(flight, &entry.attempts, deadline);
            settle(entry, outcome);
        }
    }

    /// Sends the request to the first member that takes it. Waits for a free lane until `wait`, if that is given.
    fn launch(
        &self,
        request: &Request<'_>,
        attempts: &mut Attempts,
        wait: Option<Deadline>,
        deadline: Deadline,
    ) -> Result<Flight<'_>, Grounded> {
        let mut search = Search {
            request,
            attempts,
            wait,
            deadline,
            members: self.members,
            failed: Vec::new(),
            error: None,
        };
        let found = self.groups.iter().find_map(|group| search.in_group(group));
        let outcome = found.unwrap_or_else(|| search.anywhere(&self.groups));
        if let Ok(flight) = &outcome {
            attempts.sent_to(flight.member().number);
        }
        outcome
    }
}

impl Transport for Cluster {
    fn call(&self, request: &Request<'_>, deadline: Deadline) -> Result<Response, Error> {
        let mut attempts = self.begin(request)?;
        let hedge = self.hedge.as_ref().filter(|_| request.class == Class::Repeatable);
        if let Some(hedge) = hedge {
            hedge.earn();
        }
        loop {
            let outcome = match (self.launch(request, &mut attempts, Some(deadline), deadline), hedge) {
                (Ok(flight), Some(hedge)) if !flight.is_probe() => {
                    self.land_hedged(hedge, request, flight, &attempts, deadline)
                }
                (Ok(flight), _) => self.land(flight, &attempts, deadline),
                (Err(grounded), _) => Err(lost(grounded)),
            };
            match attempts.judge(outcome, deadline, &self.jitter, self.is_elsewhere(&attempts)) {
                Verdict::Final(result) => return result,
                Verdict::Again(pause) => std::thread::sleep(pause),
            }
        }
    }

    /// All from the calling thread. What has to be repeated is repeated together, once the others are through. None is
    /// sent twice because its answer is late.
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
                let elsewhere = self.is_elsewhere(&entry.attempts);
                match entry.attempts.judge(outcome, deadline, &self.jitter, elsewhere) {
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

    fn exiting(&self, limit: Deadline) {
        if let Some(tls) = &self.tls {
            tls.exiting(limit);
        }
        if limit.remaining().is_none() {
            self.groups.iter().flatten().for_each(Member::hang_up);
        }
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

fn lost(grounded: Grounded) -> Lost {
    match grounded {
        Grounded::Failed(error) => error,
        Grounded::Busy => Error::unsent(ErrorKind::PoolExhausted, "all connections are taken"),
    }
    .into()
}

/// All members of the group, beginning with another one for each `start`.
pub(super) fn rotated<T>(group: &[T], start: usize) -> impl Iterator<Item = &T> {
    let first = start.checked_rem(group.len()).unwrap_or(0);
    let (tail, head) = group.split_at(first);
    head.iter().chain(tail)
}

/// The search for a member that takes the request.
struct Search<'s, 'm> {
    request: &'s Request<'s>,
    attempts: &'s Attempts,
    wait: Option<Deadline>,
    deadline: Deadline,
    /// How many members there are.
    members: usize,
    failed: Vec<&'m Member>,
    error: Option<Error>,
}

impl<'m> Search<'_, 'm> {
    /// Asks those of the group who are well, or due for a probe. `None`: none of them took it.
    fn in_group(&mut self, group: &'m [Member]) -> Option<Result<Flight<'m>, Grounded>> {
        let attempts = self.attempts;
        let others =
            rotated(group, attempts.start()).filter(|member| !attempts.is_last_choice(member.number));
        let last = group.iter().filter(|member| attempts.is_last_choice(member.number));
        let mut busy = None;
        for member in others.chain(last.filter(|member| !attempts.has_left(member.number))) {
            let advice = member.health.advice(attempts.may_leave());
            if advice == Advice::Avoid {
                continue;
            }
            match self.ask(member, advice == Advice::Probe, None) {
                None => {}
                Some(Err(Grounded::Busy)) if advice == Advice::Probe => {}
                Some(Err(Grounded::Busy)) => busy = busy.or(Some(member)),
                outcome => return outcome,
            }
        }
        // A full member is no reason to leave its group.
        busy.and_then(|member| self.ask(member, false, self.wait))
    }

    /// Nobody who is well took it: those who were passed over are asked after all, but not all the time. The one that
    /// this very call has left is asked last.
    fn anywhere(mut self, groups: &'m [Vec<Member>]) -> Result<Flight<'m>, Grounded> {
        for left in [false, true] {
            for member in groups.iter().flat_map(|group| rotated(group, self.attempts.start())) {
                if self.attempts.has_left(member.number) != left || self.has_failed(member) {
                    continue;
                }
                std::thread::sleep(member.health.pause().min(self.deadline.remaining().unwrap_or_default()));
                if let Some(outcome) = self.ask(member, false, self.wait) {
                    return outcome;
                }
            }
        }
        let nobody = || Error::unsent(ErrorKind::Connect, "the service has no members");
        Err(Grounded::Failed(self.error.unwrap_or_else(nobody)))
    }

    /// Asks one member. `None`: it did not take the request, which may go to another one.
    fn ask(
        &mut self,
        member: &'m Member,
        probe: bool,
        wait: Option<Deadline>,
    ) -> Option<Result<Flight<'m>, Grounded>> {
        let others = self.members.saturating_sub(self.failed.len() + 1);
        let fresh = self.attempts.fresh(member.number);
        let terms = Terms { fresh, probe, wait, deadline: self.deadline, others };
        let error = match member.launch(self.request, terms) {
            Err(Grounded::Failed(error)) => match &self.error {
                Some(earlier) => error.after(&earlier.context),
                None => error,
            },
            outcome => return Some(outcome),
        };
        if error.sent || is_final(error.kind) {
            return Some(Err(Grounded::Failed(error)));
        }
        self.failed.push(member);
        self.error = Some(error);
        None
    }

    fn has_failed(&self, member: &Member) -> bool {
        self.failed.iter().any(|other| other.number == member.number)
    }
}

/// Whether another member would fail in the same way.
pub(super) fn is_final(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Closed
            | ErrorKind::Credential
            | ErrorKind::Header
            | ErrorKind::PoolExhausted
            | ErrorKind::Timeout
            | ErrorKind::Unauthorised
    )
}
