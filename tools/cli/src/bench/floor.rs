//! The floors: what sending the same bytes costs at least, and what it costs with the usual HTTP client.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use p11rest_emulator::READY_FILE;
use reqwest::Certificate;
use reqwest::blocking::Client;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::client::Worker;
use crate::failure::Failure;

/// The recorded request, in the emulator's folder.
pub const REQUEST_FILE: &str = "request.http";
/// The emulator's authority, in its folder, if it speaks HTTPS.
const CA_FILE: &str = "ca.pem";
/// What takes longer is stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// Host and port of a URL without a path.
pub fn authority(url: &str) -> &str {
    url.rsplit_once('/').map_or(url, |(_, authority)| authority)
}

fn read(dir: &Path, name: &str) -> Result<Vec<u8>, Failure> {
    let path = dir.join(name);
    fs::read(&path).map_err(Failure::in_context(path.display()))
}

fn url(dir: &Path) -> Result<String, Failure> {
    Ok(String::from_utf8_lossy(&read(dir, READY_FILE)?).trim_end().to_owned())
}

/// The usual client, which trusts the emulator's authority.
pub fn client(dir: &Path) -> Result<Client, Failure> {
    // There may be one already: the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut builder = Client::builder().no_proxy().timeout(PATIENCE);
    if url(dir)?.starts_with("https:") {
        let authority = Certificate::from_pem(&read(dir, CA_FILE)?).map_err(Failure::in_context(CA_FILE))?;
        builder = builder.tls_certs_only([authority]);
    }
    builder.build().map_err(Failure::in_context("an HTTP client"))
}

/// Threads that share one `reqwest::blocking` client.
pub fn reqwest(dir: &Path, threads: usize) -> Result<Vec<Worker>, Failure> {
    let request = read(dir, REQUEST_FILE)?;
    let (path, headers, body) = taken_apart(&request)?;
    let address = format!("{}{path}", url(dir)?);
    let client = client(dir)?;
    let worker = |_| -> Worker {
        let (client, address, headers, body) =
            (client.clone(), address.clone(), headers.clone(), body.to_vec());
        Box::new(move || {
            let request = client.post(&address).headers(headers.clone()).body(body.clone());
            let answer = request.send().and_then(|answer| answer.error_for_status()?.bytes());
            answer.map(drop).map_err(Failure::in_context("reqwest"))
        })
    };
    Ok((0..threads).map(worker).collect())
}

/// Path, headers and body; without the headers that the client writes itself.
fn taken_apart(request: &[u8]) -> Result<(String, HeaderMap, &[u8]), Failure> {
    let broken = || Failure::new("the recorded request is none");
    let end = head_length(request).ok_or_else(broken)?;
    let head = std::str::from_utf8(&request[..end]).map_err(Failure::in_context("the recorded request"))?;
    let mut lines = head.lines();
    let path = lines.next().and_then(|line| line.split(' ').nth(1)).ok_or_else(broken)?;
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        let name: HeaderName = name.parse().map_err(Failure::in_context(name))?;
        if name != "host" && name != "content-length" {
            let value = HeaderValue::from_str(value).map_err(Failure::in_context("a header"))?;
            headers.insert(name, value);
        }
    }
    Ok((path.to_owned(), headers, &request[end..]))
}

/// Threads with a blocking connection each.
pub fn bare(dir: &Path, threads: usize) -> Result<Vec<Worker>, Failure> {
    let config = match fs::exists(dir.join(CA_FILE)) {
        Ok(true) => Some(tls(dir)?),
        _ => None,
    };
    let (url, request) = (url(dir)?, read(dir, REQUEST_FILE)?);
    let worker = |_| {
        let connection =
            connect(authority(&url), config.as_ref()).map_err(Failure::in_context("bare loop"))?;
        let mut bare = Bare { connection, request: request.clone(), answer: 0, buffer: vec![0; 16 * 1024] };
        let worker: Worker = Box::new(move || bare.exchange().map_err(Failure::in_context("bare loop")));
        Ok(worker)
    };
    (0..threads).map(worker).collect()
}

fn tls(dir: &Path) -> Result<Arc<ClientConfig>, Failure> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let authority =
        CertificateDer::from_pem_slice(&read(dir, CA_FILE)?).map_err(Failure::in_context(CA_FILE))?;
    let mut roots = RootCertStore::empty();
    roots.add(authority).map_err(Failure::in_context(CA_FILE))?;
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

trait Connection: Read + Write + Send {}
impl<T: Read + Write + Send> Connection for T {}

fn connect(authority: &str, config: Option<&Arc<ClientConfig>>) -> io::Result<Box<dyn Connection>> {
    let socket = TcpStream::connect(authority)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let Some(config) = config else { return Ok(Box::new(socket)) };
    let name = ServerName::from(socket.peer_addr()?.ip());
    let tls = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    Ok(Box::new(StreamOwned::new(tls, socket)))
}

/// The least that a client can do: send, and count the bytes that come back. All answers are as long as the first.
struct Bare {
    connection: Box<dyn Connection>,
    request: Vec<u8>,
    /// Bytes of an answer, once it is known.
    answer: usize,
    buffer: Vec<u8>,
}

impl Bare {
    fn exchange(&mut self) -> io::Result<()> {
        self.connection.write_all(&self.request)?;
        let mut filled = 0;
        loop {
            let count = self.connection.read(&mut self.buffer[filled..])?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            filled += count;
            if self.answer == 0 {
                self.answer = answer_length(&self.buffer[..filled]).unwrap_or_default();
            }
            if self.answer != 0 && filled >= self.answer {
                break;
            }
        }
        match self.buffer.starts_with(b"HTTP/1.1 200 ") && filled == self.answer {
            true => Ok(()),
            false => Err(io::Error::other("not the answer that was expected")),
        }
    }
}

/// Up to the body.
fn head_length(message: &[u8]) -> Option<usize> {
    message.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// Head and body, by the head.
fn answer_length(answer: &[u8]) -> Option<usize> {
    let end = head_length(answer)?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let (_, length) = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    Some(end + length.trim().parse::<usize>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n";
        assert_eq!(answer_length(head), Some(head.len() + 12));
        assert_eq!(answer_length(&head[..head.len() - 1]), None);
        assert_eq!(answer_length(b"HTTP/1.1 204 No Content\r\n\r\n"), None);
    }

    #[test]
    fn a_request_is_taken_apart_without_what_the_client_writes_itself() {
        let request = b"POST /v1/x HTTP/1.1\r\nHost: h:1\r\nX-API-KEY: k\r\nContent-Length: 2\r\n\r\n{}";
        let (path, headers, body) = taken_apart(request).unwrap();
        assert_eq!((path.as_str(), body), ("/v1/x", b"{}".as_slice()));
        assert_eq!((headers.len(), headers["x-api-key"].as_bytes()), (1, b"k".as_slice()));
    }
}
