//! Answers that no HTTP library would write: scripts of bytes, pauses and endings, played on the connection in place of
//! hyper.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::vendor::Reply;

/// Written at a time where there is much to write.
const BLOCK: usize = 64 * 1024;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// FIN, after close_notify over TLS.
    Fin,
    /// FIN without close_notify.
    Silent,
    /// RST.
    Reset,
}

/// Where in an answer a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum When {
    /// Before the answer; the request has not been carried out.
    #[default]
    BeforeHead,
    InHead,
    InBody,
    /// After an answer that promised to keep the connection.
    AfterAnswer,
}

/// One step of a script.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Send(Bytes),
    /// One byte at a time, that long apart.
    Drip(Bytes, Duration),
    /// The same bytes for ever.
    Endless(Bytes),
    /// Blanks, that many.
    Blanks(usize),
    /// Nothing, until the client goes.
    Hold,
    End(Ending),
}

/// A connection underneath HTTP.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    fn tcp(&self) -> &TcpStream;
    fn tcp_mut(&mut self) -> &mut TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }

    fn tcp_mut(&mut self) -> &mut TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }

    fn tcp_mut(&mut self) -> &mut TcpStream {
        self.get_mut().0
    }
}

/// Plays a script; `true` if the connection goes on afterwards.
pub(crate) async fn play(wire: &mut impl Wire, script: Vec<Step>) -> io::Result<bool> {
    for step in script {
        match step {
            Step::Send(bytes) => wire.write_all(&bytes).await?,
            Step::Drip(bytes, pause) => {
                for byte in bytes {
                    wire.write_all(&[byte]).await?;
                    wire.flush().await?;
                    tokio::time::sleep(pause).await;
                }
            }
            Step::Endless(bytes) => loop {
                wire.write_all(&bytes).await?;
            },
            Step::Blanks(count) => {
                let blanks = [b' '; BLOCK];
                for begin in (0..count).step_by(BLOCK) {
                    wire.write_all(&blanks[..BLOCK.min(count - begin)]).await?;
                }
            }
            Step::Hold => {
                let mut ignored = [0; 1024];
                while wire.read(&mut ignored).await? > 0 {}
                return Ok(false);
            }
            Step::End(ending) => {
                wire.flush().await?;
                return end(wire, ending).await.map(|()| false);
            }
        }
        wire.flush().await?;
    }
    Ok(true)
}

/// Ends a connection, which is then to be dropped.
pub(crate) async fn end(wire: &mut impl Wire, ending: Ending) -> io::Result<()> {
    match ending {
        Ending::Fin => wire.shutdown().await,
        Ending::Silent => wire.tcp_mut().shutdown().await,
        // With no time to linger the close that follows sends RST.
        Ending::Reset => wire.tcp().set_zero_linger(),
    }
}

/// An answer as it stands on the wire: head and body.
pub(crate) fn serialise(reply: &Reply, framing: &str) -> (Vec<u8>, Bytes) {
    let status =
        hyper::StatusCode::from_u16(reply.status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let mut head = format!("HTTP/1.1 {status}\r\n");
    if let Some(content_type) = &reply.content_type {
        head.push_str(&format!("content-type: {}\r\n", content_type.to_str().unwrap_or_default()));
    }
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(framing);
    head.push_str("\r\n\r\n");
    (head.into_bytes(), reply.body.clone())
}

/// As [`serialise`], in one piece, its length told.
pub(crate) fn whole(reply: &Reply) -> (Vec<u8>, usize) {
    let (mut bytes, body) = serialise(reply, &format!("content-length: {}", reply.body.len()));
    let head = bytes.len();
    bytes.extend_from_slice(&body);
    (bytes, head)
}

/// The body in chunks of that size (RFC 9112 §7.1).
pub(crate) fn chunked(reply: &Reply, size: usize) -> Vec<u8> {
    let (mut bytes, body) = serialise(reply, "transfer-encoding: chunked");
    for chunk in body.chunks(size) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// As [`whole`], the body packed with gzip and said to be (RFC 9110 §8.4.1.3).
pub(crate) fn gzipped(reply: &Reply) -> Vec<u8> {
    let mut packed = reply.clone();
    packed.headers.push(("content-encoding", "gzip".to_owned()));
    packed.body = gzip(&reply.body).into();
    whole(&packed).0
}

/// A gzip member (RFC 1952) whose blocks are stored as they are (RFC 1951 §3.2.4).
fn gzip(body: &[u8]) -> Vec<u8> {
    const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    const LAST_AND_EMPTY: [u8; 5] = [1, 0, 0, 0xff, 0xff];
    let mut member = HEADER.to_vec();
    for block in body.chunks(BLOCK - 1) {
        let length = block.len() as u16;
        member.push(0);
        member.extend_from_slice(&length.to_le_bytes());
        member.extend_from_slice(&(!length).to_le_bytes());
        member.extend_from_slice(block);
    }
    member.extend_from_slice(&LAST_AND_EMPTY);
    member.extend_from_slice(&crc32(body).to_le_bytes());
    member.extend_from_slice(&(body.len() as u32).to_le_bytes());
    member
}

/// RFC 1952 §8, a bit at a time.
fn crc32(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (POLYNOMIAL * (sum & 1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of CRC-32/ISO-HDLC, as in zlib's and Ethernet's.
    #[test]
    fn the_checksum_is_that_of_gzip() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
