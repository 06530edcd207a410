//! Bytes to and from a member, with or without TLS, over a [`Socket`].
//!
//! TLS records are gathered in a buffer of ours and leave with one send: rustls would hand them to the socket with a
//! vectored write, and that raises SIGPIPE.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use zeroize::Zeroizing;

use super::Deadline;
use super::socket::{Idle, Socket, Unsent, Wait};

/// How much is taken from the socket at once, in bytes.
const PORTION: usize = 16 * 1024;
/// How often an idle TLS connection may have news (session tickets) before it is given up.
const NEWS_LIMIT: usize = 16;

/// What ended a stream.
#[derive(Debug)]
pub(super) enum Fault {
    /// The socket.
    Io(io::Error),
    /// TLS.
    Tls(rustls::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rustls::Error> for Fault {
    fn from(error: rustls::Error) -> Self {
        Self::Tls(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

/// A connection as the lane sees it.
pub(super) enum Stream {
    /// TCP alone.
    Plain(Socket),
    /// TLS over TCP.
    Tls(Box<Secured>),
}

impl Stream {
    /// Sends all of `bytes`.
    pub fn send(&mut self, bytes: &[u8], deadline: Deadline) -> Result<(), Unsent> {
        match self {
            Self::Plain(socket) => socket.send(bytes, deadline),
            Self::Tls(secured) => secured.send(bytes, deadline),
        }
    }

    /// Takes bytes; 0 is the proper end of the stream.
    pub fn receive(&mut self, into: &mut [u8], wait: Wait) -> Result<usize, Fault> {
        match self {
            Self::Plain(socket) => Ok(socket.receive(into, wait)?),
            Self::Tls(secured) => secured.receive(into, wait),
        }
    }

    /// The socket, to wait on. TLS may hold bytes that came before.
    pub fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(secured) => &secured.socket,
        }
    }

    /// Whether the idle connection is open and has nothing to read. Takes in what TLS says on its own account.
    pub fn is_quiet(&mut self) -> bool {
        match self {
            Self::Plain(socket) => socket.look() == Idle::Quiet,
            Self::Tls(secured) => secured.is_quiet(),
        }
    }
}

/// TLS over a socket.
pub(super) struct Secured {
    socket: Socket,
    tls: ClientConnection,
    /// Records on their way out; kept for its capacity.
    sealed: Vec<u8>,
    /// Records that came; those of `unread` are still to be given to TLS.
    raw: Box<[u8]>,
    unread: std::ops::Range<usize>,
}

impl Secured {
    /// Does the handshake, by `limit` at the latest. What the client says last in it leaves with the first request.
    pub fn open(
        socket: Socket,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        limit: Deadline,
    ) -> Result<Self, Fault> {
        let mut tls = ClientConnection::new(config, name)?;
        tls.set_buffer_limit(None); // everything written is sent at once, however large
        let raw = vec![0; PORTION].into_boxed_slice();
        let mut secured = Self { socket, tls, sealed: Vec::new(), raw, unread: 0..0 };
        let result = secured.shake_hands(limit);
        if matches!(result, Err(Fault::Tls(_))) {
            let _ = secured.flush(limit); // an alert tells the server's log what we did not like
        }
        result.map(|()| secured)
    }

    fn shake_hands(&mut self, limit: Deadline) -> Result<(), Fault> {
        while self.tls.is_handshaking() {
            self.flush(limit).map_err(|unsent| unsent.cause)?;
            if self.unread.is_empty() && self.take(Wait::Until(limit))? == 0 {
                return Err(Fault::Io(ErrorKind::UnexpectedEof.into()));
            }
            self.digest()?;
        }
        Ok(())
    }

    fn send(&mut self, bytes: &[u8], deadline: Deadline) -> Result<(), Unsent> {
        let written = self.tls.writer().write_all(bytes);
        written.map_err(|cause| Unsent { started: false, cause })?;
        self.flush(deadline)
    }

    fn flush(&mut self, deadline: Deadline) -> Result<(), Unsent> {
        self.sealed.clear();
        while self.tls.wants_write() {
            let written = self.tls.write_tls(&mut self.sealed);
            written.map_err(|cause| Unsent { started: false, cause })?;
        }
        self.socket.send(&self.sealed, deadline)
    }

    fn receive(&mut self, into: &mut [u8], wait: Wait) -> Result<usize, Fault> {
        loop {
            match self.tls.reader().read(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    let reason = "the connection ended without the end of TLS (close_notify)";
                    return Err(Fault::Io(io::Error::new(ErrorKind::UnexpectedEof, reason)));
                }
                result => return Ok(result?),
            }
            if self.unread.is_empty() {
                self.take(wait)?;
            }
            self.digest()?;
        }
    }

    /// Fills `raw` from the socket.
    fn take(&mut self, wait: Wait) -> io::Result<usize> {
        let count = self.socket.receive(&mut self.raw, wait)?;
        self.unread = 0..count;
        Ok(count)
    }

    /// Gives TLS a part of what came; nothing left to give is the end of the connection.
    fn digest(&mut self) -> Result<rustls::IoState, Fault> {
        let mut rest = self.raw.get(self.unread.clone()).unwrap_or_default();
        self.unread.start += self.tls.read_tls(&mut rest)?;
        Ok(self.tls.process_new_packets()?)
    }

    fn is_quiet(&mut self) -> bool {
        for _ in 0..NEWS_LIMIT {
            if self.unread.is_empty() {
                match self.socket.look() {
                    Idle::Quiet => {
                        return self.tls.process_new_packets().is_ok_and(|state| is_silent(&state));
                    }
                    Idle::Ended => return false,
                    Idle::Readable => match self.socket.receive_ready(&mut self.raw) {
                        Ok(count @ 1..) => self.unread = 0..count,
                        _ => return false,
                    },
                }
            }
            if !self.digest().is_ok_and(|state| is_silent(&state)) {
                return false;
            }
        }
        false
    }
}

fn is_silent(state: &rustls::IoState) -> bool {
    state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed()
}

/// A buffer whose bytes may be secret.
pub(super) fn buffer() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(vec![0; PORTION])
}
