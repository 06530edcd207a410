//! A blocking TCP connection that keeps deadlines with few system calls.
//!
//! The kernel's own timeouts (`SO_RCVTIMEO`, `SO_SNDTIMEO`) bound each wait. Setting them costs a system call, so they
//! are left alone while they are *no longer* than what is left until the deadline: a wait that ends early is simply
//! begun again with a new timeout. A timeout is set to three quarters of what is left, which makes it still short
//! enough for the next call with the same limit. A wait thus ends by its deadline, but for the kernel's timer tick
//! and [`SHORTEST`], the least timeout that is worth setting.

use std::io::{self, ErrorKind, Read};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

use super::Deadline;

/// The least timeout that is set, and so the most by which a wait passes its deadline.
const SHORTEST: Duration = Duration::from_millis(1);
/// After so long without an acknowledgement of what was sent, or without room for it, the connection is broken: a host
/// that is gone, or cut off, is told from one that takes its time to answer.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNACKNOWLEDGED_MILLIS: u32 = 5000;

/// One TCP connection.
pub(super) struct Socket {
    tcp: TcpStream,
    read_timeout: Duration,
    write_timeout: Duration,
}

/// How long to wait for bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    /// Until then; what does not come is [`ErrorKind::TimedOut`].
    Until(Deadline),
    /// Not at all; what is not there is [`ErrorKind::WouldBlock`].
    Not,
}

/// What an idle connection looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idle {
    /// Open, and nothing has come.
    Quiet,
    /// Something has come that nobody asked for.
    Readable,
    /// Closed or reset by the peer.
    Ended,
}

/// A send that did not get through.
#[derive(Debug)]
pub(super) struct Unsent {
    /// Whether a part of the bytes went to the kernel, and so perhaps to the peer.
    pub started: bool,
    /// Why the rest did not.
    pub cause: io::Error,
}

impl Socket {
    /// Connects, by `limit` at the latest.
    pub fn connect(address: SocketAddr, limit: Deadline) -> io::Result<Self> {
        let left = limit.remaining().ok_or(ErrorKind::TimedOut)?;
        let tcp = TcpStream::connect_timeout(&address, left)?;
        tcp.set_nodelay(true)?;
        limit_unacknowledged(&tcp)?;
        Ok(Self { tcp, read_timeout: Duration::MAX, write_timeout: Duration::MAX })
    }

    /// Sends all of `bytes`, with one system call unless the kernel's buffer is full. Never raises SIGPIPE.
    pub fn send(&mut self, bytes: &[u8], deadline: Deadline) -> Result<(), Unsent> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.send_some(rest, deadline) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(cause) => return Err(Unsent { started: rest.len() < bytes.len(), cause }),
            }
        }
        Ok(())
    }

    fn send_some(&mut self, bytes: &[u8], deadline: Deadline) -> io::Result<usize> {
        loop {
            let left = deadline.remaining().ok_or(ErrorKind::TimedOut)?;
            if self.write_timeout > left {
                self.set_write_timeout(left)?;
            }
            match SockRef::from(&self.tcp).send_with_flags(bytes, libc::MSG_NOSIGNAL) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.set_write_timeout(left)?,
                result => return result,
            }
        }
    }

    /// Takes bytes; 0 is the end of the stream.
    pub fn receive(&mut self, into: &mut [u8], wait: Wait) -> io::Result<usize> {
        match wait {
            Wait::Until(deadline) => self.receive_by(into, deadline),
            Wait::Not if self.look() == Idle::Quiet => Err(ErrorKind::WouldBlock.into()),
            Wait::Not => self.receive_ready(into),
        }
    }

    fn receive_by(&mut self, into: &mut [u8], deadline: Deadline) -> io::Result<usize> {
        loop {
            let left = deadline.remaining().ok_or(ErrorKind::TimedOut)?;
            if self.read_timeout > left {
                self.set_read_timeout(left)?;
            }
            match self.tcp.read(into) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let left = deadline.remaining().ok_or(ErrorKind::TimedOut)?;
                    self.set_read_timeout(left)?;
                }
                result => return result,
            }
        }
    }

    /// Takes what [`look`](Self::look) has seen, which needs no waiting.
    pub fn receive_ready(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tcp.read(into) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Looks at the connection without waiting and without taking anything from it.
    pub fn look(&self) -> Idle {
        let mut byte = [MaybeUninit::uninit()];
        loop {
            let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
            return match SockRef::from(&self.tcp).recv_with_flags(&mut byte, flags) {
                Ok(0) => Idle::Ended,
                Ok(_) => Idle::Readable,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => Idle::Quiet,
                Err(_) => Idle::Ended,
            };
        }
    }

    /// Waits until one of two connections has something to read, or has ended; `false`: none did by `deadline`.
    pub fn wait_for_either(one: &Self, other: &Self, deadline: Deadline) -> io::Result<bool> {
        let mut watched = [PollFd::new(&one.tcp, PollFlags::IN), PollFd::new(&other.tcp, PollFlags::IN)];
        loop {
            let Some(left) = deadline.remaining() else { return Ok(false) };
            // A wait that is too long for the system is none at all.
            match poll(&mut watched, Timespec::try_from(left).ok().as_ref()) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                result => return Ok(result? > 0),
            }
        }
    }

    /// Ends the connection, whoever has it.
    pub fn hang_up(&self) {
        let _ = self.tcp.shutdown(Shutdown::Both); // one that has ended already needs no end
    }

    fn set_read_timeout(&mut self, left: Duration) -> io::Result<()> {
        self.read_timeout = part_of(left);
        self.tcp.set_read_timeout(Some(self.read_timeout))
    }

    fn set_write_timeout(&mut self, left: Duration) -> io::Result<()> {
        self.write_timeout = part_of(left);
        self.tcp.set_write_timeout(Some(self.write_timeout))
    }
}

impl Drop for Socket {
    /// Ends the connection, and not just this descriptor of it: a child of a fork has copies of all that were open, and
    /// with these alone a server would keep it as long as the child lives. A child drops none that it inherited.
    fn drop(&mut self) {
        self.hang_up();
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn limit_unacknowledged(tcp: &TcpStream) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_tcp_user_timeout(tcp, UNACKNOWLEDGED_MILLIS)?)
}

/// Other systems have no such limit; their own is minutes.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn limit_unacknowledged(_: &TcpStream) -> io::Result<()> {
    Ok(())
}

/// The timeout to set when `left` is what is left.
fn part_of(left: Duration) -> Duration {
    (left / 4 * 3).max(SHORTEST)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_dropped_connection_ends_though_a_child_has_a_copy_of_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let limit = Deadline::after(Duration::from_secs(5));
        let socket = Socket::connect(listener.local_addr().unwrap(), limit).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        // What a fork leaves in the child: another descriptor of the same connection.
        let copy = socket.tcp.try_clone().unwrap();
        drop(socket);
        peer.set_read_timeout(limit.remaining()).unwrap();
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        drop(copy);
    }
}
