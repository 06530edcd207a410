//! The HTTP server: our own accept loop, so that connections and handshakes can be counted and
//! broken at will.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::HandshakeKind;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use crate::canned::Canned;
use crate::faults::{Faults, Strike, without_signature};
use crate::idle::{Clock, Heard, Idle};
use crate::script::{Step, Wire, end, play};
use crate::stats::Stats;
use crate::vendor::{Reply, Request, Vendor};

/// Bodies beyond that are refused with 413 before anything looks into them.
const MAX_BODY_BYTES: usize = 1 << 20;
/// How long connections in use may take to finish when the server stops.
const GRACE: Duration = Duration::from_secs(1);

/// What all the connections of a server share.
pub(crate) struct Shared {
    pub(crate) vendor: Box<dyn Vendor>,
    pub(crate) stats: Stats,
    pub(crate) faults: Faults,
    /// Kept answers, where repeated requests are to be answered from memory.
    pub(crate) canned: Option<Canned>,
    /// Slept before each answer of the vendor's API.
    pub(crate) latency: Duration,
    /// What becomes of connections that are idle; absent: nothing.
    pub(crate) idle: Option<Idle>,
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
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
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
            peer: peer.ip(),
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

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.stats.count_end();
    }
}

struct Connection {
    shared: Arc<Shared>,
    peer: IpAddr,
    stop: watch::Receiver<bool>,
    _open: mpsc::Sender<Infallible>,
}

impl Connection {
    async fn run(mut self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let Some(acceptor) = tls else {
            return self.drive(stream).await;
        };
        let accepted = tokio::select! {
            accepted = acceptor.accept(stream).into_fallible() => accepted,
            _ = self.stop.changed() => return,
        };
        match accepted {
            Ok(stream) => {
                let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
                self.shared.stats.count_handshake(resumed);
                self.drive(stream).await;
            }
            Err((_, stream)) => linger(stream).await,
        }
    }

    /// Serves with hyper, and plays what faults ask for in its place.
    async fn drive(mut self, wire: impl Wire) {
        let clock = &Clock::new(self.shared.idle);
        let mut wire = Heard::new(wire, clock);
        loop {
            let script = Mutex::new(None);
            let (shared, peer, slot) = (&*self.shared, self.peer, &script);
            let service = service_fn(move |request| async move {
                // Its bytes may have come together with the previous one's.
                clock.stop();
                let answer = respond(shared, peer, slot, request).await;
                clock.start();
                answer
            });
            let mut connection =
                http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(wire), service);
            // How a connection ends is the client's business, or a fault that a test asked for.
            let idle = tokio::select! {
                _ = &mut connection => None,
                ending = clock.runs_out() => Some(ending),
                _ = self.stop.changed() => {
                    Pin::new(&mut connection).graceful_shutdown();
                    let _ = (&mut connection).await;
                    None
                }
            };
            wire = connection.into_parts().io.into_inner();
            if let Some(ending) = idle {
                let _ = end(&mut wire, ending).await;
                return;
            }
            let Some(script) = script.into_inner() else {
                return;
            };
            tokio::select! {
                played = play(&mut wire, script) => if !matches!(played, Ok(true)) {
                    return;
                },
                _ = self.stop.changed() => return,
            }
            clock.start();
        }
    }
}

/// Closes after an alert: what the client has sent meanwhile is read, or the close would be a reset, which may cost the
/// client the alert.
async fn linger(mut socket: TcpStream) {
    let _ = socket.shutdown().await;
    let _ = tokio::time::timeout(GRACE, tokio::io::copy(&mut socket, &mut tokio::io::sink())).await;
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
    peer: IpAddr,
    script: &Mutex<Option<Vec<Step>>>,
    request: hyper::Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Broken> {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Ok(http_response(Reply::empty(413)));
        }
        Err(_) => return Err(Broken),
    };
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let request = Request { method: parts.method, path, query, peer, headers: parts.headers, body };
    if let Some(path) = request.path.strip_prefix("/_emulator/") {
        return Ok(http_response(administer(shared, path, &request)));
    }
    answer_vendor(shared, script, &request).await
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
            &json!({ "message": "the emulator has /stats, /faults and what docs/emulator.md tells of its vendor" }),
        )
    })
}

async fn answer_vendor(
    shared: &Shared,
    script: &Mutex<Option<Vec<Step>>>,
    request: &Request,
) -> Result<Response<Full<Bytes>>, Broken> {
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
        Some(Strike::Play(steps)) => return Err(hand_over(script, steps.clone())),
        Some(Strike::Stall(time)) => tokio::time::sleep(*time).await,
        Some(Strike::Spoil(_) | Strike::DropSignature) | None => {}
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
        Some(Strike::Spoil(spoil)) => return Err(hand_over(script, spoil.script(&reply))),
        Some(Strike::DropSignature) => http_response(without_signature(reply)),
        _ => http_response(reply),
    })
}

/// Ends hyper's part in the connection, for the script to be played.
fn hand_over(script: &Mutex<Option<Vec<Step>>>, steps: Vec<Step>) -> Broken {
    *script.lock() = Some(steps);
    Broken
}

fn http_response(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(value) = reply.content_type {
        headers.insert(CONTENT_TYPE, value);
    }
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            // There may be several cookies.
            headers.append(name, value);
        }
    }
    response
}
