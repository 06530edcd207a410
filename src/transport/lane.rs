//! A lane: one kept-alive connection that carries one request at a time.
//!
//! Reading can stop and go on at any byte, since the decoder stays with the lane: so a caller may look whether an answer
//! has begun, and wait for another lane meanwhile.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use zeroize::{Zeroize, Zeroizing};

use super::http1::{self, Answer, Decoder};
use super::socket::{Socket, Wait};
use super::stream::{self, Fault, Secured, Stream};
use super::{Deadline, Error, ErrorKind, Request, tls};

/// One connection with its buffers. After an error it is of no more use.
pub(super) struct Lane {
    stream: Stream,
    outgoing: Zeroizing<Vec<u8>>,
    incoming: Zeroizing<Vec<u8>>,
    /// How much of `incoming` is still to be decoded.
    filled: usize,
    /// How much of `incoming` was in use since the last request.
    most: usize,
    decoder: Decoder,
    heard: bool,
    /// What cut the request short.
    cut: Option<Error>,
    /// Over TLS, until the server has answered.
    introduction: Option<tls::Introduction>,
}

impl Lane {
    /// Connects without TLS.
    pub fn plain(address: SocketAddr, limit: Deadline) -> Result<Self, Error> {
        connect(address, limit).map(|socket| Self::over(Stream::Plain(socket)))
    }

    /// Connects and does the TLS handshake.
    pub fn secured(
        address: SocketAddr,
        access: &Arc<tls::Access>,
        name: &ServerName<'static>,
        limit: Deadline,
    ) -> Result<Self, Error> {
        let socket = connect(address, limit)?;
        let secured = Secured::open(socket, Arc::clone(&access.config), name.clone(), limit);
        let introduction = tls::introduction(access);
        let fault = match secured {
            Ok(secured) => {
                let lane = Self::over(Stream::Tls(Box::new(secured)));
                return Ok(Self { introduction: Some(introduction), ..lane });
            }
            Err(fault) => fault,
        };
        let (kind, reason) = match &fault {
            Fault::Tls(error) => (ErrorKind::Tls, tls::explain(error, name)),
            Fault::Io(error) => (ErrorKind::Connect, error.to_string()),
        };
        let reason = introduction.explain(&fault).unwrap_or(reason);
        Err(Error::unsent(kind, format!("TLS with {address}: {reason}")))
    }

    fn over(stream: Stream) -> Self {
        Self {
            stream,
            outgoing: Zeroizing::default(),
            incoming: stream::buffer(),
            filled: 0,
            most: 0,
            decoder: Decoder::new(),
            heard: false,
            cut: None,
            introduction: None,
        }
    }

    /// Whether the idle lane can carry a request.
    pub fn is_quiet(&mut self) -> bool {
        self.stream.is_quiet()
    }

    /// Whether anything came since the last request was sent.
    pub fn has_heard(&self) -> bool {
        self.heard
    }

    /// Sends a request. `fixed` are header lines of the member, `keep` the names of those of the answer that are kept.
    ///
    /// If the server hangs up while a part of the request has left, that is no error as yet: it may have answered before
    /// it had read all. [`receive`](Self::receive) tells.
    pub fn send(
        &mut self,
        base: &str,
        fixed: &[u8],
        keep: &Arc<[Box<str>]>,
        request: &Request<'_>,
        deadline: Deadline,
    ) -> Result<(), Error> {
        (self.filled, self.most, self.heard) = (0, 0, false);
        self.decoder.keep(keep);
        http1::write_request(&mut self.outgoing, base, fixed, request);
        let result = self.stream.send(&self.outgoing, deadline);
        self.outgoing.as_mut_slice().zeroize();
        self.outgoing.clear();
        let Err(unsent) = result else { return Ok(()) };
        let kind = broken_or_late(deadline);
        let context = format!("sending the request: {}", unsent.cause);
        let error = Error { sent: unsent.started, ..Error::unsent(kind, context) };
        if error.sent && kind == ErrorKind::Broken {
            self.cut = Some(error);
            return Ok(());
        }
        Err(error)
    }

    /// Waits until `limit` for the first bytes of the answer and says whether they came.
    pub fn hear(&mut self, limit: Deadline) -> Result<bool, Error> {
        Ok(self.heard || self.read_on(Wait::Until(limit))?)
    }

    /// Takes in what has come, without waiting, and says whether the answer is whole.
    pub fn glance(&mut self) -> Result<bool, Error> {
        while !self.decoder.is_done() {
            if !self.read_on(Wait::Not)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits for the answer to the request that was sent last.
    pub fn receive(&mut self, deadline: Deadline) -> Result<Answer, Error> {
        while !self.decoder.is_done() {
            if !self.read_on(Wait::Until(deadline))? {
                return Err(Error::sent(ErrorKind::Timeout, "waiting for the answer: timed out"));
            }
        }
        if let Some(seen) = self.incoming.get_mut(..self.most) {
            seen.zeroize();
        }
        let mut answer = std::mem::replace(&mut self.decoder, Decoder::new()).finish();
        // Who answers what was not asked, or not all that was, is out of step.
        answer.reusable &= self.filled == 0 && self.cut.is_none();
        Ok(answer)
    }

    /// The socket, to wait on once [`glance`](Self::glance) has said that the answer is not whole.
    pub fn socket(&self) -> &Socket {
        self.stream.socket()
    }

    /// Takes in what comes next; `false`: nothing came.
    fn read_on(&mut self, wait: Wait) -> Result<bool, Error> {
        if self.filled == self.incoming.len() {
            self.grow(); // only a head is kept whole, and its limit is the decoder's
        }
        let room = self.incoming.get_mut(self.filled..).unwrap_or_default();
        let count = match self.stream.receive(room, wait) {
            Ok(count) => count,
            Err(fault) if is_nothing_yet(&fault, wait) => return Ok(false),
            Err(fault) => return Err(self.failed(&fault)),
        };
        if count == 0 {
            return match self.decoder.end() {
                Ok(()) => Ok(true),
                Err(fault) => Err(self.cut.take().unwrap_or_else(|| misread(fault))),
            };
        }
        self.heard = true;
        self.introduction = None;
        self.filled += count;
        self.most = self.most.max(self.filled);
        let data = self.incoming.get(..self.filled).unwrap_or_default();
        let taken = self.decoder.feed(data).map_err(misread)?;
        self.incoming.copy_within(taken..self.filled, 0);
        self.filled -= taken;
        Ok(true)
    }

    /// The error when nothing more comes. A refused certificate is the reason for whatever else went wrong.
    fn failed(&mut self, fault: &Fault) -> Error {
        match self.introduction.as_ref().and_then(|introduction| introduction.explain(fault)) {
            Some(reason) => unanswered(fault, &reason),
            None => self.cut.take().unwrap_or_else(|| unanswered(fault, fault)),
        }
    }

    fn grow(&mut self) {
        let mut larger = vec![0; 2 * self.incoming.len()];
        if let Some(start) = larger.get_mut(..self.incoming.len()) {
            start.copy_from_slice(&self.incoming);
        }
        self.incoming = Zeroizing::new(larger);
    }
}

fn connect(address: SocketAddr, limit: Deadline) -> Result<Socket, Error> {
    Socket::connect(address, limit)
        .map_err(|error| Error::unsent(ErrorKind::Connect, format!("connecting to {address}: {error}")))
}

/// A wait that ended because of us ended at the deadline; any other was ended by the connection.
fn broken_or_late(deadline: Deadline) -> ErrorKind {
    match deadline.remaining() {
        Some(_) => ErrorKind::Broken,
        None => ErrorKind::Timeout,
    }
}

/// Whether the wait was over, as opposed to the connection: the kernel's own patience ends with `TimedOut` too.
fn is_nothing_yet(fault: &Fault, wait: Wait) -> bool {
    match (fault, wait) {
        (Fault::Io(error), Wait::Not) => error.kind() == io::ErrorKind::WouldBlock,
        (Fault::Io(error), Wait::Until(limit)) => {
            error.kind() == io::ErrorKind::TimedOut && limit.remaining().is_none()
        }
        (Fault::Tls(_), _) => false,
    }
}

fn unanswered(fault: &Fault, reason: &dyn fmt::Display) -> Error {
    let kind = match fault {
        Fault::Tls(_) => ErrorKind::Tls,
        Fault::Io(_) => ErrorKind::Broken,
    };
    Error::sent(kind, format!("waiting for the answer: {reason}"))
}

fn misread(fault: http1::Fault) -> Error {
    Error::sent(fault.kind, fault.reason)
}
