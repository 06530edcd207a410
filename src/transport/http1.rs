//! HTTP/1.1 as bytes: writing a request, reading an answer (RFC 9112).
//!
//! Nothing here touches a socket. [`Decoder`] is fed what came, in pieces of any size, and is strict where laxness
//! would let two parties disagree about where an answer ends.

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::chunked::Chunk;
use super::fields::{Fields, Framing};
use super::{Error, ErrorKind, Kept, Request, Response};
use crate::discreet;

/// The largest head of an answer in bytes; the trailers and chunk extensions of an answer have the same limit.
pub(super) const HEAD_LIMIT: usize = 64 * 1024;
/// The largest body of an answer in bytes.
pub(super) const BODY_LIMIT: usize = 8 * 1024 * 1024;
/// How many header lines an answer may have.
const LINE_LIMIT: usize = 96;
/// How many interim answers (1xx) may come before the final one.
const INTERIM_LIMIT: usize = 8;

/// Why an answer cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// [`ErrorKind::Broken`], [`ErrorKind::Malformed`] or [`ErrorKind::TooLarge`].
    pub kind: ErrorKind,
    /// For the log.
    pub reason: &'static str,
}

/// What no server of HTTP/1.1 sends.
pub(super) fn malformed(reason: &'static str) -> Fault {
    Fault { kind: ErrorKind::Malformed, reason }
}

/// What is beyond the limits.
pub(super) fn too_large(reason: &'static str) -> Fault {
    Fault { kind: ErrorKind::TooLarge, reason }
}

/// A body beyond [`BODY_LIMIT`].
pub(super) fn body_too_large() -> Fault {
    too_large("the body of the answer is larger than 8 MiB")
}

/// A body that the caller could not read.
pub(super) fn compressed() -> Fault {
    malformed("the body of the answer is compressed, which was not asked for")
}

/// Whether this value of `Content-Encoding` makes the body another one.
pub(super) fn is_compression(value: &[u8]) -> bool {
    !value.trim_ascii().eq_ignore_ascii_case(b"identity")
}

/// Whether the path can stand in a request line.
///
/// # Errors
/// [`ErrorKind::Header`] for a path that does not begin with `/` or has a byte outside of printable ASCII.
pub(super) fn check_path(path: &str) -> Result<(), Error> {
    if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Error::unsent(
        ErrorKind::Header,
        "the path of the request is not one of percent-encoded ASCII behind a /",
    ))
}

/// Writes head and body behind each other. `fixed` are header lines of the member, each with its CR LF.
pub(super) fn write_request(out: &mut Vec<u8>, base: &str, fixed: &[u8], request: &Request<'_>) {
    let method = request.method.as_str();
    let lines = request.headers.as_bytes();
    let body = request.body.unwrap_or_default();
    // Exactly once, because a vector that grows leaves a copy of secrets behind.
    out.reserve(base.len() + request.path.len() + fixed.len() + lines.len() + body.len() + 64);
    for part in [method, " ", base, request.path, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(fixed);
    out.extend_from_slice(lines);
    if request.body.is_some() {
        write_length(out, body.len());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

fn write_length(out: &mut Vec<u8>, length: usize) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    let mut rest = length;
    while start == digits.len() || rest > 0 {
        start -= 1; // 20 digits hold any usize
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(b"Content-Length: ");
    out.extend_from_slice(&digits[start..]);
    out.extend_from_slice(b"\r\n");
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// What the caller gets.
    pub response: Response,
    /// Whether the connection may carry another request.
    pub reusable: bool,
}

/// Reads one answer.
pub(super) struct Decoder {
    state: State,
    scanned: usize,
    interim: usize,
    head: Head,
    keep: Option<Arc<[Box<str>]>>,
    kept: Kept,
    body: Zeroizing<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Head {
    status: u16,
    retry_after: Option<Duration>,
    reusable: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Head,
    Length(usize),
    Chunked(Chunk),
    UntilEnd,
    Done,
}

impl Decoder {
    /// Before the first byte.
    pub fn new() -> Self {
        Self {
            state: State::Head,
            scanned: 0,
            interim: 0,
            head: Head::default(),
            keep: None,
            kept: Kept::default(),
            body: Zeroizing::default(),
        }
    }

    /// Keeps the header lines of these names, which are in lower case.
    pub fn keep(&mut self, names: &Arc<[Box<str>]>) {
        self.keep = (!names.is_empty()).then(|| Arc::clone(names));
    }

    /// Whether the answer is whole.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Takes what it can from the front of `data` and says how many bytes that was. What was not taken, the part of a
    /// head, must be fed again with more behind it.
    pub fn feed(&mut self, data: &[u8]) -> Result<usize, Fault> {
        let mut taken = 0;
        loop {
            let rest = data.get(taken..).unwrap_or_default();
            let count = match self.state {
                State::Head => self.feed_head(rest)?,
                State::Length(left) => self.feed_length(rest, left),
                State::Chunked(chunk) => self.feed_chunk(rest, chunk)?,
                State::UntilEnd => self.feed_rest(rest)?,
                State::Done => 0,
            };
            if count == 0 {
                return Ok(taken);
            }
            taken += count;
        }
    }

    /// Tells that the connection ended.
    pub fn end(&mut self) -> Result<(), Fault> {
        if matches!(self.state, State::UntilEnd) {
            self.state = State::Done;
        }
        if self.is_done() {
            return Ok(());
        }
        let reason = match self.state {
            State::Head => "the connection ended before the head of the answer was whole",
            _ => "the connection ended before the body of the answer was whole",
        };
        Err(Fault { kind: ErrorKind::Broken, reason })
    }

    /// The answer, once it is whole.
    pub fn finish(self) -> Answer {
        let Head { status, retry_after, reusable } = self.head;
        Answer { response: Response { status, retry_after, kept: self.kept, body: self.body }, reusable }
    }

    fn feed_head(&mut self, data: &[u8]) -> Result<usize, Fault> {
        const START: &[u8] = b"HTTP/1.";
        if data.iter().zip(START).any(|(is, want)| is != want) {
            return Err(malformed("the answer is not HTTP/1"));
        }
        let length = end_of_head(data, self.scanned);
        if length.unwrap_or(data.len()) > HEAD_LIMIT {
            return Err(too_large("the head of the answer is larger than 64 KiB"));
        }
        let Some(length) = length else {
            self.scanned = data.len();
            return Ok(0);
        };
        self.scanned = 0;
        self.read_head(data.get(..length).unwrap_or_default())?;
        Ok(length)
    }

    fn read_head(&mut self, data: &[u8]) -> Result<(), Fault> {
        // Not written before they are read: 3 KiB, most of which no answer needs.
        let mut lines = [const { MaybeUninit::uninit() }; LINE_LIMIT];
        let mut head = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut head, data, &mut lines) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(malformed("the head of the answer ends too early")),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(too_large("the answer has more than 96 header lines"));
            }
            Err(_) => return Err(malformed("the head of the answer is not HTTP/1.1")),
        }
        let status = head.code.unwrap_or_default();
        match status {
            101 => Err(malformed("the server switches to a protocol that was not asked for")),
            100..=199 if self.interim < INTERIM_LIMIT => {
                self.interim += 1;
                Ok(())
            }
            100..=199 => Err(malformed("too many interim answers")),
            200..=599 => self.read_final(status, head.version, head.headers),
            _ => Err(malformed("the status of the answer is none of HTTP")),
        }
    }

    fn read_final(
        &mut self,
        status: u16,
        version: Option<u8>,
        lines: &[httparse::Header<'_>],
    ) -> Result<(), Fault> {
        let fields = Fields::read(lines)?;
        for name in self.keep.iter().flat_map(|names| names.iter()) {
            for line in lines.iter().filter(|line| line.name.eq_ignore_ascii_case(name)) {
                self.kept.push(name, line.value);
            }
        }
        let modern = version == Some(1);
        self.head = Head { status, retry_after: fields.retry_after, reusable: modern && !fields.close };
        self.state = match fields.framing()? {
            _ if matches!(status, 204 | 304) => State::Done,
            Framing::Length(0) => State::Done,
            _ if fields.encoded => {
                return Err(compressed());
            }
            Framing::Chunked if modern => State::Chunked(Chunk::START),
            Framing::Chunked => return Err(malformed("a chunked answer of HTTP/1.0")),
            Framing::Length(length) => {
                self.body.reserve_exact(length);
                State::Length(length)
            }
            Framing::UntilEnd => {
                self.head.reusable = false;
                State::UntilEnd
            }
        };
        Ok(())
    }

    fn feed_length(&mut self, data: &[u8], left: usize) -> usize {
        let part = data.get(..left).unwrap_or(data);
        self.body.extend_from_slice(part); // never grows: reserved when the length was read
        self.state = match left - part.len() {
            0 => State::Done,
            left => State::Length(left),
        };
        part.len()
    }

    fn feed_rest(&mut self, data: &[u8]) -> Result<usize, Fault> {
        append(&mut self.body, data)?;
        Ok(data.len())
    }

    fn feed_chunk(&mut self, data: &[u8], chunk: Chunk) -> Result<usize, Fault> {
        let Some(&byte) = data.first() else { return Ok(0) };
        if let Some(left) = chunk.data() {
            let part = data.get(..left).unwrap_or(data);
            append(&mut self.body, part)?;
            self.state = State::Chunked(chunk.with_data_left(left - part.len()));
            return Ok(part.len());
        }
        self.state = match chunk.step(byte)? {
            Some(chunk) => State::Chunked(chunk),
            None => State::Done,
        };
        Ok(1)
    }
}

/// Appends a part of a body.
pub(super) fn append(body: &mut Zeroizing<Vec<u8>>, part: &[u8]) -> Result<(), Fault> {
    if body.len() + part.len() > BODY_LIMIT {
        return Err(body_too_large());
    }
    discreet::append(body, part);
    Ok(())
}

/// The length of the head with its empty line, looking from `scanned` on.
fn end_of_head(data: &[u8], scanned: usize) -> Option<usize> {
    let from = scanned.saturating_sub(3);
    let tail = data.get(from..)?;
    for (at, _) in tail.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        match tail.get(at + 1..) {
            Some([b'\r', b'\n', ..]) => return Some(from + at + 3),
            Some([b'\n', ..]) => return Some(from + at + 2),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Headers, Method};
    use super::*;

    /// Feeds `data` in portions of `step` bytes, as a lane does; then the connection ends.
    fn decode(data: &[u8], step: usize) -> Result<(Answer, usize), Fault> {
        let mut decoder = Decoder::new();
        let (mut start, mut end) = (0, 0);
        while !decoder.is_done() {
            if end == data.len() {
                decoder.end()?;
                break;
            }
            end = (end + step).min(data.len());
            start += decoder.feed(&data[start..end])?;
        }
        Ok((decoder.finish(), start))
    }

    fn steps(data: &[u8]) -> impl Iterator<Item = usize> {
        [1, 2, 3, 5, 7, 16, data.len()].into_iter()
    }

    #[test]
    fn answers_are_read_however_they_are_split() {
        let chunks = "A\r\n0123456789\r\n0b;name=\"v\"\r\nabcdefghijk\r\n000\r\nX: y\r\nZ: \r\n\r\n";
        let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n{chunks}");
        let cases: [(&str, u16, &str, bool); 8] = [
            (&chunked, 200, "0123456789abcdefghijk", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true),
            ("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", 200, "hello", true),
            ("HTTP/1.1 200\r\nContent-Length: 2, 2\r\nContent-Length: 2\r\n\r\nok", 200, "ok", true),
            (
                "HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: Keep-Alive , CLOSE\r\n\r\n",
                500,
                "",
                false,
            ),
            ("HTTP/1.1 200 OK\r\n\r\nthe rest", 200, "the rest", false),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, "", true),
            (
                "HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 102 Wait\r\nA: b\r\n\r\nHTTP/1.1 204 Yes\r\n\r\n",
                204,
                "",
                true,
            ),
        ];
        for (data, status, body, reusable) in cases {
            for step in steps(data.as_bytes()) {
                let (answer, taken) = decode(data.as_bytes(), step).unwrap();
                assert_eq!(answer.response.status, status);
                assert_eq!(answer.response.body.as_slice(), body.as_bytes());
                assert_eq!(answer.reusable, reusable);
                assert_eq!(taken, data.len());
            }
        }
    }

    #[test]
    fn what_follows_an_answer_is_not_taken() {
        for data in ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!", "HTTP/1.1 204 No\r\n\r\n!"] {
            let (_, taken) = decode(data.as_bytes(), data.len()).unwrap();
            assert_eq!(taken, data.len() - 1);
        }
    }

    #[test]
    fn answers_that_can_be_read_in_two_ways_are_refused() {
        let heads = [
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nxx",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno header\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "HTTP/1.1 099 What\r\n\r\n",
            "HTTP/1.1 600 What\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "http/1.1 200 OK\r\n\r\n",
        ];
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(9) + "HTTP/1.1 204 No\r\n\r\n";
        for data in heads.into_iter().chain([interim.as_str()]) {
            for step in steps(data.as_bytes()) {
                let fault = decode(data.as_bytes(), step).unwrap_err();
                assert_eq!(fault.kind, ErrorKind::Malformed, "{data:?} by {step}");
            }
        }
    }

    #[test]
    fn chunks_are_read_strictly() {
        let bodies = [
            "\r\n",
            "x\r\n",
            ";\r\n",
            " 1\r\nx\r\n",
            "-1\r\n",
            "1\nx\r\n0\r\n\r\n",
            "1\rx\r\n",
            "1;a\nb\r\nx\r\n",
            "1\r\nxx\r\n",
            "1\r\nx\n0\r\n\r\n",
            "1\r\nx0\r\n\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\n\rx",
        ];
        for body in bodies {
            let data = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
            for step in steps(data.as_bytes()) {
                let fault = decode(data.as_bytes(), step).unwrap_err();
                assert_eq!(fault.kind, ErrorKind::Malformed, "{body:?} by {step}");
            }
        }
    }

    #[test]
    fn an_end_in_the_middle_is_an_end_in_the_middle() {
        let whole = [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n",
        ];
        for data in whole {
            for length in 0..data.len() {
                let fault = decode(&data.as_bytes()[..length], 4).unwrap_err();
                assert_eq!(fault.kind, ErrorKind::Broken);
            }
        }
    }

    #[test]
    fn limits_are_sharp() {
        let head = |length: usize| {
            let start = "HTTP/1.1 204 No\r\nA: ";
            format!("{start}{}\r\n\r\n", "a".repeat(length - start.len() - 4))
        };
        assert_eq!(decode(head(HEAD_LIMIT).as_bytes(), 1000).unwrap().0.response.status, 204);
        assert_eq!(decode(head(HEAD_LIMIT + 1).as_bytes(), 1000).unwrap_err().kind, ErrorKind::TooLarge);
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let bodies = [
            "ffffffffffffffffffffff\r\n".to_owned(),
            "800001\r\n".to_owned(),
            format!("1;{}", "a".repeat(HEAD_LIMIT)),
            format!("0\r\n{}", "A: b\r\n".repeat(HEAD_LIMIT / 6 + 1)),
            "0".repeat(HEAD_LIMIT + 1),
        ];
        for body in bodies {
            let data = format!("{chunked}{body}");
            assert_eq!(decode(data.as_bytes(), 1000).unwrap_err().kind, ErrorKind::TooLarge);
        }
        let lengths = ["8388609", "99999999999999999999999999"];
        for length in lengths {
            let data = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            assert_eq!(decode(data.as_bytes(), 1000).unwrap_err().kind, ErrorKind::TooLarge);
        }
    }

    #[test]
    fn a_body_that_is_compressed_unasked_is_refused() {
        let cases = [
            ("Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", false),
            (
                "content-encoding: identity, br\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                false,
            ),
            ("Content-Encoding: x\r\n\r\nabc", false),
            ("Content-Encoding: Identity\r\nContent-Length: 3\r\n\r\nabc", true),
            ("Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", true),
        ];
        for (rest, readable) in cases {
            let data = format!("HTTP/1.1 200 OK\r\n{rest}");
            match decode(data.as_bytes(), 5) {
                Ok(_) => assert!(readable, "{rest}"),
                Err(fault) => assert_eq!((fault.kind, readable), (ErrorKind::Malformed, false), "{rest}"),
            }
        }
        assert!(decode(b"HTTP/1.1 304 Same\r\nContent-Encoding: gzip\r\n\r\n", 5).is_ok());
    }

    #[test]
    fn retry_after_is_read_in_seconds_only() {
        let cases =
            [("120", Some(120)), ("0", Some(0)), ("Fri, 31 Dec 1999 23:59:59 GMT", None), ("-1", None)];
        for (value, seconds) in cases {
            let data = format!("HTTP/1.1 503 Busy\r\nretry-after:  {value} \r\nContent-Length: 0\r\n\r\n");
            let (answer, _) = decode(data.as_bytes(), 9).unwrap();
            assert_eq!(answer.response.retry_after, seconds.map(Duration::from_secs));
        }
    }

    #[test]
    fn requests_are_written_in_one_piece() {
        let mut headers = Headers::default();
        headers.add("A", "b").unwrap();
        for (body, lines) in [
            (None, ""),
            (Some(&b""[..]), "Content-Length: 0\r\n"),
            (Some(&[b'x'; 1234]), "Content-Length: 1234\r\n"),
        ] {
            let request = Request {
                method: Method::Get,
                path: "/p?q",
                headers: &headers,
                body,
                class: Class::Repeatable,
            };
            let mut out = Vec::new();
            write_request(&mut out, "/base", b"Host: h\r\n", &request);
            let body = String::from_utf8(body.unwrap_or_default().to_vec()).unwrap();
            let expected = format!("GET /base/p?q HTTP/1.1\r\nHost: h\r\nA: b\r\n{lines}\r\n{body}");
            assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
        }
    }
}
