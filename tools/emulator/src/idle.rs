//! Connections that are closed once they have had nothing to do for a while, as servers and load balancers do.

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::script::{Ending, Wire};

/// What becomes of connections that are idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idle {
    /// Counted from the last answer; a connection without one may wait for ever.
    pub limit: Duration,
    /// How they end.
    pub ending: Ending,
}

/// Since when a connection has been idle.
pub(crate) struct Clock {
    idle: Option<Idle>,
    /// `None`: in the middle of a request, or before the first.
    since: watch::Sender<Option<Instant>>,
}

impl Clock {
    pub(crate) fn new(idle: Option<Idle>) -> Clock {
        Clock { idle, since: watch::Sender::new(None) }
    }

    /// A request has begun.
    pub(crate) fn stop(&self) {
        if self.idle.is_some() {
            self.since.send_replace(None);
        }
    }

    /// An answer has been given.
    pub(crate) fn start(&self) {
        if self.idle.is_some() {
            self.since.send_replace(Some(Instant::now()));
        }
    }

    /// Waits until the connection has been idle for too long; says how it is to end.
    pub(crate) async fn runs_out(&self) -> Ending {
        let Some(idle) = self.idle else {
            return pending().await;
        };
        let mut since = self.since.subscribe();
        loop {
            let began = *since.borrow_and_update();
            tokio::select! {
                // First: a request that has begun is not to be cut off, however late it is.
                biased;
                _ = since.changed() => {}
                () = over(began, idle.limit) => return idle.ending,
            }
        }
    }
}

async fn over(began: Option<Instant>, limit: Duration) {
    match began {
        Some(began) => sleep_until(began + limit).await,
        None => pending().await,
    }
}

/// A connection whose clock stops as soon as anything comes in, be it the first byte of a request.
pub(crate) struct Heard<'a, W> {
    wire: W,
    clock: &'a Clock,
}

impl<'a, W> Heard<'a, W> {
    pub(crate) fn new(wire: W, clock: &'a Clock) -> Self {
        Heard { wire, clock }
    }
}

impl<W: Wire> Wire for Heard<'_, W> {
    fn tcp(&self) -> &TcpStream {
        self.wire.tcp()
    }

    fn tcp_mut(&mut self) -> &mut TcpStream {
        self.wire.tcp_mut()
    }
}

impl<W: AsyncRead + Unpin> AsyncRead for Heard<'_, W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.wire).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.clock.stop();
        }
        polled
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Heard<'_, W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(context)
    }
}
