//! A server that answers by a script, for the tests of dialects.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;

/// What the server saw of one request.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Method and path.
    pub(super) target: String,
    /// Lower-case names.
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn key(&self) -> Option<&str> {
        self.header("x-api-key")
    }
}

/// What the server answers.
pub(super) struct Answer {
    pub(super) status: u16,
    /// Besides the length of the body.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

type Script = dyn Fn(&Seen) -> Answer + Send + Sync;

/// A server that answers by its script, on kept-alive connections.
pub(super) struct Server {
    pub(super) port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub(super) fn start(script: impl Fn(&Seen) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self::answering(move |seen| {
            let (status, body) = script(seen);
            Answer { status, headers: Vec::new(), body }
        })
    }

    /// The same with header lines.
    pub(super) fn answering(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (script, seen): (Arc<Script>, _) = (Arc::new(script), Arc::default());
        let log = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                thread::spawn(move || serve(stream.unwrap(), &*script, &log));
            }
        });
        Self { port, seen }
    }

    /// An address at which nothing listens.
    pub(super) fn nowhere() -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        Self { port, seen: Arc::default() }
    }

    /// A server with one answer to everything.
    pub(super) fn saying(status: u16, body: &str) -> Self {
        let body = body.to_owned();
        Self::start(move |_| (status, body.clone()))
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    pub(super) fn targets(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.target).collect()
    }
}

fn serve(stream: TcpStream, script: &Script, log: &Mutex<Vec<Seen>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let headers: Vec<_> = head[1..]
            .iter()
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
        reader.read_exact(&mut body).unwrap();
        let target = head[0].trim_end_matches(" HTTP/1.1").to_owned();
        let seen = Seen { target, headers, body: String::from_utf8(body).unwrap() };
        let Answer { status, headers, body } = script(&seen);
        log.lock().push(seen);
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        // 204 and 304 have none (RFC 9110 section 8.6).
        let length = match status {
            204 | 304 => String::new(),
            _ => format!("Content-Length: {}\r\n", body.len()),
        };
        let head = format!("HTTP/1.1 {status} x\r\n{lines}{length}\r\n");
        if writer.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}
