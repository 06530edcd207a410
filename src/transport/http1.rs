//! HTTP/1.1 as bytes: writing a request, reading an answer (RFC 9112).
//!
//! Nothing here touches a socket. [`Decoder`] is fed what came, in pieces of any size, and is strict where laxness
//! would let two parties disagree about where an answer ends.

use std::time::Duration;

use zeroize::Zeroizing;

use super::{Error, ErrorKind, Method, Request, Response};

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

fn malformed(reason: &'static str) -> Fault {
    Fault { kind: ErrorKind::Malformed, reason }
}

fn too_large(reason: &'static str) -> Fault {
    Fault { kind: ErrorKind::TooLarge, reason }
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
    let method = match request.method {
        Method::Delete => "DELETE ",
        Method::Get => "GET ",
        Method::Post => "POST ",
    };
    let lines = request.headers.as_bytes();
    let body = request.body.unwrap_or_default();
    // Exactly once, because a vector that grows leaves a copy of secrets behind.
    out.reserve(base.len() + request.path.len() + fixed.len() + lines.len() + body.len() + 64);
    for part in [method, base, request.path, " HTTP/1.1\r\n"] {
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
        Self { state: State::Head, scanned: 0, interim: 0, head: Head::default(), body: Zeroizing::default() }
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
        Answer { response: Response { status, retry_after, body: self.body }, reusable }
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
        let mut lines = [httparse::EMPTY_HEADER; LINE_LIMIT];
        let mut head = httparse::Response::new(&mut lines);
        match head.parse(data) {
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
        let modern = version == Some(1);
        self.head = Head { status, retry_after: fields.retry_after, reusable: modern && !fields.close };
        self.state = match fields.framing()? {
            _ if matches!(status, 204 | 304) => State::Done,
            Framing::Chunked if modern => State::Chunked(Chunk::START),
            Framing::Chunked => return Err(malformed("a chunked answer of HTTP/1.0")),
            Framing::Length(0) => State::Done,
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
        if let Place::Data(left) = chunk.place {
            let part = data.get(..left).unwrap_or(data);
            append(&mut self.body, part)?;
            let place = match left - part.len() {
                0 => Place::DataEnd(b'\r'),
                left => Place::Data(left),
            };
            self.state = State::Chunked(Chunk { place, overhead: 0, ..chunk });
            return Ok(part.len());
        }
        self.state = match chunk.step(byte)? {
            Some(chunk) => State::Chunked(chunk),
            None => State::Done,
        };
        Ok(1)
    }
}

/// Appends without leaving a copy behind when the vector has to grow.
fn append(body: &mut Zeroizing<Vec<u8>>, part: &[u8]) -> Result<(), Fault> {
    let length = body.len() + part.len();
    if length > BODY_LIMIT {
        return Err(too_large("the body of the answer is larger than 8 MiB"));
    }
    if length > body.capacity() {
        let mut larger = Vec::with_capacity(length.max(2 * body.capacity()).max(1024));
        larger.extend_from_slice(body);
        *body = Zeroizing::new(larger);
    }
    body.extend_from_slice(part);
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

/// The header lines that matter here.
#[derive(Default)]
struct Fields {
    length: Option<usize>,
    chunked: bool,
    close: bool,
    retry_after: Option<Duration>,
}

enum Framing {
    Length(usize),
    Chunked,
    UntilEnd,
}

impl Fields {
    fn read(lines: &[httparse::Header<'_>]) -> Result<Self, Fault> {
        let mut fields = Self::default();
        for line in lines {
            if line.name.eq_ignore_ascii_case("content-length") {
                fields.read_length(line.value)?;
            } else if line.name.eq_ignore_ascii_case("transfer-encoding") {
                let known = line.value.trim_ascii().eq_ignore_ascii_case(b"chunked");
                if fields.chunked || !known {
                    return Err(malformed("the answer has a transfer encoding other than chunked"));
                }
                fields.chunked = true;
            } else if line.name.eq_ignore_ascii_case("connection") {
                let mut options = line.value.split(|byte| *byte == b',');
                fields.close |= options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
            } else if line.name.eq_ignore_ascii_case("retry-after") {
                fields.retry_after = decimal(line.value.trim_ascii()).map(|s| Duration::from_secs(s as u64));
            }
        }
        Ok(fields)
    }

    /// A list of equal values is one value (RFC 9110 8.6).
    fn read_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        for item in value.split(|byte| *byte == b',') {
            let length = decimal(item.trim_ascii()).ok_or(malformed("the content length is not a number"))?;
            if self.length.is_some_and(|known| known != length) {
                return Err(malformed("the answer has two content lengths"));
            }
            self.length = Some(length);
        }
        Ok(())
    }

    fn framing(&self) -> Result<Framing, Fault> {
        match self.length {
            Some(_) if self.chunked => Err(malformed("the answer is chunked and has a content length")),
            Some(length) if length > BODY_LIMIT => {
                Err(too_large("the body of the answer is larger than 8 MiB"))
            }
            Some(length) => Ok(Framing::Length(length)),
            None if self.chunked => Ok(Framing::Chunked),
            None => Ok(Framing::UntilEnd),
        }
    }
}

/// A number of digits alone; what is larger than fits is the largest.
fn decimal(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_usize, |value, digit| match digit {
        b'0'..=b'9' => Some(value.saturating_mul(10).saturating_add(usize::from(digit - b'0'))),
        _ => None,
    })
}

/// Where in a chunked body the next byte is (RFC 9112 7.1). Lines end with CR LF and nothing else.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    place: Place,
    /// The size of the chunk at hand, from its line.
    size: usize,
    /// Bytes that are not data, since the last chunk.
    overhead: usize,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// Before the first digit of a size.
    SizeStart,
    Size,
    Extension,
    SizeEnd,
    Data(usize),
    /// Behind the data: the byte that must follow.
    DataEnd(u8),
    LineStart,
    Line,
    LineEnd,
    LastEnd,
}

impl Chunk {
    const START: Self = Self { place: Place::SizeStart, size: 0, overhead: 0 };

    /// One byte that is not data; `None` behind the last one.
    fn step(mut self, byte: u8) -> Result<Option<Self>, Fault> {
        self.overhead += 1;
        if self.overhead > HEAD_LIMIT {
            return Err(too_large("a chunk line or the trailers of the answer are larger than 64 KiB"));
        }
        self.place = match (self.place, byte) {
            (Place::SizeStart | Place::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(byte)?,
            (Place::Size, b'\r') => Place::SizeEnd,
            (Place::Size, b';' | b' ' | b'\t') => Place::Extension,
            (Place::Extension, b'\r') => Place::SizeEnd,
            (Place::Extension, b) if b != b'\n' => Place::Extension,
            (Place::SizeEnd, b'\n') if self.size == 0 => Place::LineStart,
            (Place::SizeEnd, b'\n') => Place::Data(std::mem::take(&mut self.size)),
            (Place::DataEnd(b'\r'), b'\r') => Place::DataEnd(b'\n'),
            (Place::DataEnd(b'\n'), b'\n') => Place::SizeStart,
            (Place::LineStart, b'\r') => Place::LastEnd,
            (Place::Line, b'\r') => Place::LineEnd,
            (Place::LineStart | Place::Line, b) if b != b'\n' => Place::Line,
            (Place::LineEnd, b'\n') => Place::LineStart,
            (Place::LastEnd, b'\n') => return Ok(None),
            _ => return Err(malformed("the chunks of the answer are not those of HTTP/1.1")),
        };
        Ok(Some(self))
    }

    fn digit(&mut self, byte: u8) -> Result<Place, Fault> {
        let digit = char::from(byte).to_digit(16).unwrap_or_default() as usize;
        self.size = self.size.saturating_mul(16).saturating_add(digit);
        if self.size > BODY_LIMIT {
            return Err(too_large("the body of the answer is larger than 8 MiB"));
        }
        Ok(Place::Size)
    }
}
