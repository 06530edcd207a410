//! The scripted server.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;

use crate::config;

/// What the server does, one after the other, when a request has come.
pub enum Act {
    Send(Vec<u8>),
    Pause(Duration),
    /// Closes the connection; TLS is not told.
    Fin,
    Reset,
    /// Says goodbye in TLS, then closes.
    Goodbye,
    /// Sends a TLS message that is no data.
    KeyUpdate,
    /// Does nothing until the client goes or the test ends.
    Hold,
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// Which connection of the server, from 0.
    pub connection: usize,
    /// Which request of the connection, from 0.
    pub turn: usize,
    pub text: String,
}

type Script = dyn Fn(&Got) -> Vec<Act> + Send + Sync;

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    ended: AtomicUsize,
    busy: AtomicUsize,
    busiest: AtomicUsize,
    requests: Mutex<Vec<Got>>,
    open: Mutex<HashMap<usize, TcpStream>>,
    handshakes: Mutex<Vec<HandshakeKind>>,
    stop: AtomicBool,
}

pub struct Server {
    address: SocketAddr,
    secured: bool,
    seen: Arc<Seen>,
}

impl Server {
    pub fn start(script: impl Fn(&Got) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::listen(None, Arc::new(script))
    }

    pub fn secured(config: ServerConfig, script: impl Fn(&Got) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::listen(Some(Arc::new(config)), Arc::new(script))
    }

    /// Answers everything with `answer`.
    pub fn saying(answer: &'static [u8]) -> Self {
        Self::start(move |_| vec![Act::Send(answer.to_vec())])
    }

    fn listen(config: Option<Arc<ServerConfig>>, script: Arc<Script>) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), config, script)
    }

    /// Where another server was.
    pub fn again(other: &Self, script: impl Fn(&Got) -> Vec<Act> + Send + Sync + 'static) -> Self {
        other.kill();
        Self::on(TcpListener::bind(other.address).unwrap(), None, Arc::new(script))
    }

    fn on(listener: TcpListener, config: Option<Arc<ServerConfig>>, script: Arc<Script>) -> Self {
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let server = Self { address, secured: config.is_some(), seen: Arc::clone(&seen) };
        std::thread::spawn(move || {
            for tcp in listener.incoming().map(Result::unwrap) {
                if seen.stop.load(Ordering::SeqCst) {
                    return;
                }
                let number = seen.connections.fetch_add(1, Ordering::SeqCst);
                seen.open.lock().unwrap().insert(number, tcp.try_clone().unwrap());
                let (seen, script, config) = (Arc::clone(&seen), Arc::clone(&script), config.clone());
                std::thread::spawn(move || {
                    Connection { tcp, seen: &seen, number }.serve(&*script, config);
                    drop(seen.open.lock().unwrap().remove(&number)); // closes it: all others are gone
                    seen.ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        server
    }

    /// Ends all connections and refuses new ones from now on.
    pub fn kill(&self) {
        self.seen.stop.store(true, Ordering::SeqCst);
        while TcpStream::connect(self.address).is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
        for tcp in self.seen.open.lock().unwrap().values() {
            let _ = tcp.shutdown(Shutdown::Both);
        }
    }

    pub fn url(&self) -> config::Url {
        let host = if self.secured { "localhost" } else { "127.0.0.1" };
        config::Url {
            tls: self.secured,
            host: host.to_owned(),
            port: self.address.port(),
            path: String::new(),
        }
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Connections that are over.
    pub fn ended(&self) -> usize {
        self.seen.ended.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> Vec<Got> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// How many requests were being answered at once, at most.
    pub fn busiest(&self) -> usize {
        self.seen.busiest.load(Ordering::SeqCst)
    }

    pub fn handshakes(&self) -> Vec<HandshakeKind> {
        self.seen.handshakes.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.seen.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address); // wakes the listener
    }
}

/// An address at which connecting hangs: the queue of who waits to be accepted is full.
pub struct Deaf {
    listener: socket2::Socket,
    _waiting: Vec<socket2::Socket>,
}

impl Deaf {
    pub fn new() -> Self {
        let tcp = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let listener = tcp();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let waiting = (0..4).map(|_| tcp()).collect::<Vec<_>>();
        for socket in &waiting {
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&listener.local_addr().unwrap()); // that is under way is no success
        }
        std::thread::sleep(Duration::from_millis(20));
        Self { listener, _waiting: waiting }
    }

    pub fn url(&self) -> config::Url {
        plain_url(self.listener.local_addr().unwrap().as_socket().unwrap().port())
    }
}

/// The URL of a port of this machine.
pub fn plain_url(port: u16) -> config::Url {
    config::Url { tls: false, host: "127.0.0.1".to_owned(), port, path: String::new() }
}

/// A port on which nobody listens.
pub fn nobody() -> config::Url {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    config::Url { tls: false, host: "127.0.0.1".to_owned(), port, path: String::new() }
}

struct Connection<'s> {
    tcp: TcpStream,
    seen: &'s Seen,
    number: usize,
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Connection<'_> {
    fn serve(&self, script: &Script, config: Option<Arc<ServerConfig>>) {
        self.tcp.set_nodelay(true).unwrap();
        let tcp = self.tcp.try_clone().unwrap();
        let mut wire = match config {
            None => Wire::Plain(tcp),
            Some(config) => {
                let tls = ServerConnection::new(config).unwrap();
                Wire::Tls(Box::new(StreamOwned::new(tls, tcp)))
            }
        };
        let mut turn = 0;
        while let Some(text) = self.read_request(&mut wire) {
            let got = Got { connection: self.number, turn, text };
            turn += 1;
            self.seen.requests.lock().unwrap().push(got.clone());
            let busy = self.seen.busy.fetch_add(1, Ordering::SeqCst) + 1;
            self.seen.busiest.fetch_max(busy, Ordering::SeqCst);
            let acts = script(&got);
            let last = acts.len();
            let mut open = true;
            for (at, act) in acts.into_iter().enumerate() {
                if at + 1 == last {
                    self.seen.busy.fetch_sub(1, Ordering::SeqCst);
                }
                open = open && self.act(&mut wire, act);
            }
            if !open {
                return;
            }
        }
    }

    /// Whether the connection goes on.
    fn act(&self, wire: &mut Wire, act: Act) -> bool {
        match (act, wire) {
            (Act::Send(bytes), wire) => return wire.write(&bytes),
            (Act::Pause(time), _) => std::thread::sleep(time),
            (Act::Reset, _) => {
                SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO)).unwrap();
                return false;
            }
            (Act::Goodbye, Wire::Tls(tls)) => {
                tls.conn.send_close_notify();
                let _ = tls.flush();
                return false;
            }
            (Act::KeyUpdate, Wire::Tls(tls)) => {
                tls.conn.refresh_traffic_keys().unwrap();
                return tls.flush().is_ok();
            }
            (Act::Hold, _) => self.hold(),
            (Act::Fin | Act::Goodbye | Act::KeyUpdate, _) => return false,
        }
        true
    }

    fn hold(&self) {
        self.tcp.set_nonblocking(true).unwrap();
        while !self.seen.stop.load(Ordering::SeqCst) {
            match self.tcp.peek(&mut [0]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => break,
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.tcp.set_nonblocking(false).unwrap();
    }

    fn read_request(&self, wire: &mut Wire) -> Option<String> {
        let mut data = Vec::new();
        let mut portion = [0; 64 * 1024];
        loop {
            let count = wire.read(&mut portion)?;
            self.note_handshake(wire);
            data.extend_from_slice(&portion[..count]);
            let text = String::from_utf8_lossy(&data);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let head = head.to_ascii_lowercase();
            let mut lengths = head.lines().filter_map(|line| line.strip_prefix("content-length: "));
            let length = lengths.next().map_or(0, |digits| digits.parse().unwrap());
            if body.len() >= length {
                return Some(text.into_owned());
            }
        }
    }

    fn note_handshake(&self, wire: &Wire) {
        let Wire::Tls(tls) = wire else { return };
        let mut handshakes = self.seen.handshakes.lock().unwrap();
        if handshakes.len() <= self.number {
            handshakes.extend(tls.conn.handshake_kind());
        }
    }
}

impl Wire {
    fn read(&mut self, into: &mut [u8]) -> Option<usize> {
        let result = match self {
            Self::Plain(tcp) => tcp.read(into),
            Self::Tls(tls) => tls.read(into),
        };
        result.ok().filter(|count| *count > 0)
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        match self {
            Self::Plain(tcp) => tcp.write_all(bytes).is_ok(),
            Self::Tls(tls) => tls.write_all(bytes).and_then(|()| tls.flush()).is_ok(),
        }
    }
}
