//! Proxies on loopback: HTTP (`CONNECT` and whole URLs) and SOCKS 5. They note what they are asked for.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A proxy, for as long as the process lives.
pub struct Proxy {
    scheme: &'static str,
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// One that speaks HTTP. `login`: the value that `Proxy-Authorization` must have.
    pub fn http(login: Option<&'static str>) -> Self {
        Self::listen("http", move |client, asked| serve_http(client, login, asked))
    }

    /// One that speaks SOCKS 5. `login`: user and password.
    pub fn socks(login: Option<(&'static str, &'static str)>) -> Self {
        Self::listen("socks5h", move |client, asked| serve_socks(client, login, asked))
    }

    fn listen(
        scheme: &'static str,
        serve: impl Fn(TcpStream, &Mutex<Vec<String>>) -> io::Result<()> + Clone + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let shared = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (serve, shared) = (serve.clone(), Arc::clone(&shared));
                // Whoever breaks off is of no interest.
                thread::spawn(move || client.set_nodelay(true).and_then(|()| serve(client, &shared)));
            }
        });
        Self { scheme, port, asked }
    }

    /// For `slot.proxy.url`.
    pub fn url(&self) -> String {
        self.url_through(self.port)
    }

    /// The same with another port in front of it.
    pub fn url_through(&self, port: u16) -> String {
        format!("{}://127.0.0.1:{port}", self.scheme)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it was asked for: the first line of each HTTP request to it, or host and port.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panicked with it").clone()
    }
}

fn serve_http(client: TcpStream, login: Option<&str>, asked: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut target: Option<TcpStream> = None;
    while let Some((first, lines)) = read_head(&mut reader)? {
        asked.lock().expect("nobody panicked with it").push(first.clone());
        let given = lines.iter().find_map(|line| strip_name(line, "proxy-authorization: "));
        let mut words = first.split(' ');
        let (method, what) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if login.is_some() && given != login {
            let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\n\
                           Proxy-Authenticate: Basic realm=\"test\"\r\nContent-Length: 0\r\n\r\n";
            (&client).write_all(refusal.as_bytes())?;
            return client.shutdown(Shutdown::Write);
        }
        let (host, path) = match what.strip_prefix("http://") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => (what, ""),
        };
        if target.is_none() {
            let Ok(stream) = TcpStream::connect(host) else {
                (&client).write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")?;
                return client.shutdown(Shutdown::Write);
            };
            stream.set_nodelay(true)?;
            let (from, to) = (stream.try_clone()?, client.try_clone()?);
            if method == "CONNECT" {
                (&client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
            }
            thread::spawn(move || copy(from, to));
            target = Some(stream);
        }
        let Some(target) = &mut target else { return Ok(()) };
        if method == "CONNECT" {
            target.write_all(reader.buffer())?;
            copy(client, target.try_clone()?);
            return Ok(());
        }
        let mut forward = format!("{method} {path} HTTP/1.1\r\n");
        let own = |line: &&String| strip_name(line, "proxy-authorization: ").is_none();
        for line in lines.iter().filter(own) {
            forward += &format!("{line}\r\n");
        }
        let length = lines.iter().find_map(|line| strip_name(line, "content-length: "));
        let mut body = vec![0; length.map_or(0, |digits| digits.parse().expect("a length is a number"))];
        reader.read_exact(&mut body)?;
        target.write_all(&[forward.as_bytes(), b"\r\n", &body].concat())?;
    }
    Ok(())
}

/// The first line and the others, without their ends; `None` at the end of the connection.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<(String, Vec<String>)>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    Ok(Some((lines.remove(0), lines)))
}

fn strip_name<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let head = line.get(..name.len())?;
    head.eq_ignore_ascii_case(name).then(|| &line[name.len()..])
}

/// RFC 1928, and RFC 1929 for users.
fn serve_socks(
    mut client: TcpStream,
    login: Option<(&str, &str)>,
    asked: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let [_version, count] = take::<2>(&mut client)?;
    let mut methods = vec![0; count.into()];
    client.read_exact(&mut methods)?;
    let method = if login.is_some() { 2 } else { 0 };
    if !methods.contains(&method) {
        return client.write_all(&[5, 0xff]);
    }
    client.write_all(&[5, method])?;
    if let Some((user, password)) = login {
        let _version = take::<1>(&mut client)?;
        let given = (take_text(&mut client)?, take_text(&mut client)?);
        let good = given == (user.to_owned(), password.to_owned());
        client.write_all(&[1, u8::from(!good)])?;
        if !good {
            return client.shutdown(Shutdown::Write);
        }
    }
    let [_version, _connect, _reserved, kind] = take::<4>(&mut client)?;
    let host = match kind {
        1 => Ipv4Addr::from(take::<4>(&mut client)?).to_string(),
        _ => take_text(&mut client)?,
    };
    let port = u16::from_be_bytes(take::<2>(&mut client)?);
    asked.lock().expect("nobody panicked with it").push(format!("{host}:{port}"));
    let Ok(target) = TcpStream::connect((host, port)) else {
        return client.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]);
    };
    target.set_nodelay(true)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    let (from, to) = (target.try_clone()?, client.try_clone()?);
    thread::spawn(move || copy(from, to));
    copy(client, target);
    Ok(())
}

fn take<const N: usize>(client: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn take_text(client: &mut TcpStream) -> io::Result<String> {
    let [length] = take::<1>(client)?;
    let mut bytes = vec![0; length.into()];
    client.read_exact(&mut bytes)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// Passes on what comes until either side ends.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    // How it ends is all the same.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
