//! A lane: one kept-alive connection that carries one request at a time.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use zeroize::{Zeroize, Zeroizing};

use super::http1::{self, Answer, Decoder};
use super::socket::Socket;
use super::stream::{self, Fault, Secured, Stream};
use super::{Deadline, Error, ErrorKind, Request, tls};

/// One connection with its buffers. After an error it is of no more use.
pub(super) struct Lane {
    stream: Stream,
    outgoing: Zeroizing<Vec<u8>>,
    incoming: Zeroizing<Vec<u8>>,
    heard: bool,
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
            heard: false,
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

    /// Sends a request. `fixed` are header lines of the member.
    pub fn send(
        &mut self,
        base: &str,
        fixed: &[u8],
        request: &Request<'_>,
        deadline: Deadline,
    ) -> Result<(), Error> {
        self.heard = false;
        http1::write_request(&mut self.outgoing, base, fixed, request);
        let result = self.stream.send(&self.outgoing, deadline);
        self.outgoing.as_mut_slice().zeroize();
        self.outgoing.clear();
        result.map_err(|unsent| Error {
            kind: broken_or_late(deadline),
            sent: unsent.started,
            context: format!("sending the request: {}", unsent.cause),
        })
    }

    /// Waits for the answer to the request that was sent last.
    pub fn receive(&mut self, deadline: Deadline) -> Result<Answer, Error> {
        let mut most = 0;
        let result = self.read_answer(deadline, &mut most);
        if let Some(seen) = self.incoming.get_mut(..most) {
            seen.zeroize();
        }
        result
    }

    /// `most` becomes how much of the buffer was ever filled.
    fn read_answer(&mut self, deadline: Deadline, most: &mut usize) -> Result<Answer, Error> {
        let mut decoder = Decoder::new();
        let mut filled = 0;
        while !decoder.is_done() {
            let count = self.read_some(filled, deadline)?;
            if count == 0 {
                decoder.end().map_err(misread)?;
                break;
            }
            filled += count;
            *most = filled.max(*most);
            let data = self.incoming.get(..filled).unwrap_or_default();
            let taken = decoder.feed(data).map_err(misread)?;
            self.incoming.copy_within(taken..filled, 0);
            filled -= taken;
        }
        let mut answer = decoder.finish();
        answer.reusable &= filled == 0; // who answers what was not asked is out of step
        Ok(answer)
    }

    fn read_some(&mut self, filled: usize, deadline: Deadline) -> Result<usize, Error> {
        if filled == self.incoming.len() {
            self.grow(); // only a head is kept whole, and its limit is the decoder's
        }
        let room = self.incoming.get_mut(filled..).unwrap_or_default();
        let received = self.stream.receive(room, deadline);
        let count = received.map_err(|fault| unanswered(&fault, self.introduction.as_ref(), deadline))?;
        if count > 0 {
            self.heard = true;
            self.introduction = None;
        }
        Ok(count)
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

fn unanswered(fault: &Fault, introduction: Option<&tls::Introduction>, deadline: Deadline) -> Error {
    let kind = match fault {
        Fault::Tls(_) => ErrorKind::Tls,
        Fault::Io(_) => broken_or_late(deadline),
    };
    let reason = introduction.and_then(|introduction| introduction.explain(fault));
    Error::sent(kind, format!("waiting for the answer: {}", reason.unwrap_or_else(|| fault.to_string())))
}

fn misread(fault: http1::Fault) -> Error {
    Error::sent(fault.kind, fault.reason)
}
