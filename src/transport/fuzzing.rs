//! Answers as bytes, for the fuzzers.

use super::http1::{BODY_LIMIT, Decoder, Fault};

/// What an answer came to: status, body, seconds of `Retry-After`, whether the connection may go on, and how many
/// bytes it took.
type Read = (u16, Vec<u8>, Option<u64>, bool, usize);

/// The answer is read the same in whatever pieces it comes, and its body the same in whatever framing.
///
/// # Panics
/// Where that is not so.
pub fn answer(data: &[u8]) {
    let whole = read(data, data.len().max(1));
    let own = data.first().map_or(1, |byte| usize::from(*byte) + 1);
    for step in [1, 3, own, 4096] {
        assert_eq!(read(data, step), whole, "in pieces of {step}");
    }
    let Ok((status, body, retry_after, _, taken)) = whole else { return };
    assert!((200..600).contains(&status) && taken <= data.len() && body.len() <= BODY_LIMIT);
    if matches!(status, 204 | 304) {
        return assert!(body.is_empty());
    }
    let pause = retry_after.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
    let head = format!("HTTP/1.1 {status} X\r\n{pause}");
    let framed = [
        [format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat(),
        [format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes(), &chunks(&body, own)].concat(),
    ];
    for text in framed {
        let expected = (status, body.clone(), retry_after, true, text.len());
        assert_eq!(read(&text, own), Ok(expected));
    }
}

/// As a lane does it: what was not taken stays in front of the next piece, and at last the connection ends.
fn read(data: &[u8], step: usize) -> Result<Read, Fault> {
    let mut decoder = Decoder::new();
    let (mut start, mut end) = (0, 0);
    while !decoder.is_done() {
        if end == data.len() {
            decoder.end()?;
            break;
        }
        end = (end + step).min(data.len());
        start += decoder.feed(data.get(start..end).unwrap_or_default())?;
        assert!(start <= end, "no more is taken than was there");
    }
    let answer = decoder.finish();
    let response = answer.response;
    let pause = response.retry_after.map(|pause| pause.as_secs());
    Ok((response.status, response.body.to_vec(), pause, answer.reusable, start))
}

fn chunks(body: &[u8], size: usize) -> Vec<u8> {
    let chunk = |part: &[u8]| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
    [body.chunks(size).flat_map(chunk).collect(), b"0\r\n\r\n".to_vec()].concat()
}
