//! The HTTP server: our own accept loop, so that connections and handshakes can be counted and
//! broken at will.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;

use crate::canned::Canned;
use crate::faults::{Faults, Strike, without_signature};
use crate::stats::Stats;
use crate::vendor::{Reply, Request, Vendor};

/// Bodies beyond that are refused with 413 before anything looks into them.
const MAX_BODY_BYTES: usize = 1 << 20;
/// How long connections in use may take to finish when the server stops.
const GRACE: Duration = Duration::from_secs(1);
/// Time for the first half of a truncated body to leave before the connection breaks.
const TRUNCATION_DELAY: Duration = Duration::from_millis(20);

/// What all the connections of a server share.
pub(crate) struct Shared {
    pub(crate) vendor: Box<dyn Vendor>,
    pub(crate) stats: Stats,
    pub(crate) faults: Faults,
    /// Kept answers, where repeated requests are to be answered from memory.
    pub(crate) canned: Option<Canned>,
    /// Slept before each answer of the vendor's API.
    pub(crate) latency: Duration,
}

/// Accepts and serves until `stop` becomes true, then lets the connections finish for a while.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let (open, mut all_closed) = mpsc::channel::<Infallible>(1);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Out of descriptors, or the peer has gone already: neither ends the server.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
            _ = stop.changed() => break,
        };
        shared.stats.count_connection();
        // Without this small answers wait for the client's acknowledgements.
        let _ = stream.set_nodelay(true);
        let connection = Connection {
            shared: Arc::clone(&shared),
            reset: Arc::new(AtomicBool::new(false)),
            stop: stop.clone(),
            _open: open.clone(),
        };
        tokio::spawn(connection.run(stream, tls.clone()));
    }
    drop(listener);
    drop(open);
    // The channel carries nothing: it closes when the last connection drops its sender.
    let _ = tokio::time::timeout(GRACE, all_closed.recv()).await;
}

struct Connection {
    shared: Arc<Shared>,
    /// Set when the connection is to end with a reset.
    reset: Arc<AtomicBool>,
    stop: watch::Receiver<bool>,
    _open: mpsc::Sender<Infallible>,
}

impl Connection {
    async fn run(mut self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let socket = Socket { stream, reset: Arc::clone(&self.reset) };
        let Some(acceptor) = tls else {
            return self.drive(TokioIo::new(socket)).await;
        };
        let accepted = tokio::select! {
            accepted = acceptor.accept(socket) => accepted,
            _ = self.stop.changed() => return,
        };
        if let Ok(stream) = accepted {
            self.shared.stats.count_handshake();
            self.drive(TokioIo::new(stream)).await;
        }
    }

    async fn drive<I>(mut self, io: I)
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin,
    {
        let service = service_fn(|request| respond(&self.shared, &self.reset, request));
        let mut connection =
            pin!(http1::Builder::new().header_read_timeout(None).serve_connection(io, service));
        // How a connection ends is the client's business, or a fault that a test asked for.
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = self.stop.changed() => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// Ends a connection without an answer.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken off by a fault")
    }
}

impl std::error::Error for Broken {}

async fn respond(
    shared: &Shared,
    reset: &AtomicBool,
    request: hyper::Request<Incoming>,
) -> Result<Response<Payload>, Broken> {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Ok(http_response(Reply::empty(413)));
        }
        Err(_) => return Err(Broken),
    };
    let path = parts.uri.path().to_owned();
    let request = Request { method: parts.method, path, headers: parts.headers, body };
    if let Some(path) = request.path.strip_prefix("/_emulator/") {
        return Ok(http_response(administer(shared, path, &request)));
    }
    answer_vendor(shared, reset, &request).await
}

fn administer(shared: &Shared, path: &str, request: &Request) -> Reply {
    match path {
        "faults" => return shared.faults.administer(&request.method, &request.body),
        "stats" if request.method == Method::GET => return Reply::json(200, &shared.stats.to_json()),
        "stats" => return Reply::empty(405),
        _ => {}
    }
    let reply = shared.vendor.administer(&request.method, path, &request.body);
    if let Some(canned) = &shared.canned {
        // Who may ask for the kept answers may have changed.
        canned.clear();
    }
    reply.unwrap_or_else(|| {
        Reply::json(
            404,
            &json!({ "message": "the emulator has /stats, /faults, /api-keys/{role} and /bearer" }),
        )
    })
}

async fn answer_vendor(
    shared: &Shared,
    reset: &AtomicBool,
    request: &Request,
) -> Result<Response<Payload>, Broken> {
    let key = shared.canned.as_ref().map(|canned| (canned, Canned::key(request)));
    let kept = key.as_ref().and_then(|(canned, key)| canned.get(key));
    let route = match &kept {
        Some((route, _)) => *route,
        None => shared.vendor.route(&request.method, &request.path),
    };
    shared.stats.count_request(&request.method, route.pattern);
    if !shared.latency.is_zero() {
        tokio::time::sleep(shared.latency).await;
    }
    let strike = shared.faults.strike(request, route.pattern);
    match &strike {
        Some(Strike::Answer(reply)) => return Ok(http_response(reply.clone())),
        Some(Strike::Close) => return Err(Broken),
        Some(Strike::Reset) => {
            reset.store(true, Ordering::Release);
            return Err(Broken);
        }
        Some(Strike::Stall(time)) => tokio::time::sleep(*time).await,
        Some(Strike::Truncate | Strike::DropSignature) | None => {}
    }
    let reply = match (kept, key) {
        (Some((_, reply)), _) => reply,
        (None, key) => {
            let reply = if route.slow {
                tokio::task::block_in_place(|| shared.vendor.answer(request))
            } else {
                shared.vendor.answer(request)
            };
            if let Some((canned, key)) = key {
                canned.note(key, route, &reply);
            }
            reply
        }
    };
    Ok(match strike {
        Some(Strike::Truncate) => http_response(reply).map(Payload::truncated),
        Some(Strike::DropSignature) => http_response(without_signature(reply)),
        _ => http_response(reply),
    })
}

fn http_response(reply: Reply) -> Response<Payload> {
    let mut response = Response::new(Payload::whole(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(value) = reply.content_type.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(CONTENT_TYPE, value);
    }
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    response
}

/// A body that may break off half-way.
struct Payload {
    next: Option<Bytes>,
    /// What Content-Length promises and is still owed.
    owed: u64,
    /// Runs between the half that is sent and the break.
    break_off: Option<Pin<Box<Sleep>>>,
}

impl Payload {
    fn whole(body: Bytes) -> Payload {
        Payload { owed: body.len() as u64, next: Some(body), break_off: None }
    }

    fn truncated(self) -> Payload {
        let half = self.next.map(|body| body.slice(..body.len() / 2));
        let break_off = Some(Box::pin(tokio::time::sleep(TRUNCATION_DELAY)));
        Payload { next: half, owed: self.owed, break_off }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        if let Some(chunk) = this.next.take().filter(|chunk| !chunk.is_empty()) {
            this.owed -= chunk.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        let Some(sleep) = &mut this.break_off else {
            return Poll::Ready(None);
        };
        ready!(sleep.as_mut().poll(context));
        Poll::Ready(Some(Err(Broken)))
    }

    fn is_end_stream(&self) -> bool {
        self.owed == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.owed)
    }
}

/// A TCP stream that can be made to end with a reset.
struct Socket {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Acquire) {
            // With no time to linger the close that follows sends RST.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
