//! The very bytes of a signature's request, taken from the module through a relay.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::client::{self, Kind};
use super::hsm::Hsm;
use super::{Bench, floor};
use crate::failure::Failure;

/// What the module sent, piece by piece.
type Pieces = Arc<Mutex<Vec<Vec<u8>>>>;

/// A request, and the host and port that it names.
pub struct Recorded {
    bytes: Vec<u8>,
    authority: String,
}

/// Lets the module sign once through a relay to `hsm`, which speaks plain HTTP.
pub fn request(bench: &Bench, hsm: &Hsm) -> Result<Recorded, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Failure::in_context("relay"))?;
    let authority = listener.local_addr().map_err(Failure::in_context("relay"))?.to_string();
    let pieces = Pieces::default();
    accept(listener, hsm.authority().to_owned(), Arc::clone(&pieces));

    let config = hsm.config();
    let text = fs::read_to_string(&config).map_err(Failure::in_context(config.display()))?;
    let config = hsm.dir().join("relay.toml");
    write(&config, text.replace(hsm.authority(), &authority).as_bytes())?;
    let mut command = bench.client(Kind::Module, hsm, 1, &["--count".to_owned(), "1".to_owned()]);
    client::outcome(command.env("P11REST_CONFIG", config))?;

    let pieces = pieces.lock().unwrap_or_else(PoisonError::into_inner);
    let signs = |piece: &&Vec<u8>| piece.starts_with(b"POST ") && contains(piece, b"/synchronousSign");
    let found = pieces.iter().rfind(signs).cloned();
    let bytes = found.ok_or_else(|| Failure::new("the module sent no request to sign"))?;
    Ok(Recorded { bytes, authority })
}

/// Leaves the request, with the name of `hsm` in it, where the floors look for it.
pub fn hand_over(recorded: &Recorded, hsm: &Hsm) -> Result<(), Failure> {
    let request = replace(&recorded.bytes, recorded.authority.as_bytes(), hsm.authority().as_bytes());
    write(&hsm.dir().join(floor::REQUEST_FILE), &request)
}

/// Relays every connection, as long as this process lives.
fn accept(listener: TcpListener, to: String, pieces: Pieces) {
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = TcpStream::connect(&to) else { return };
            let (Ok(near_again), Ok(far_again)) = (near.try_clone(), far.try_clone()) else { return };
            let pieces = Arc::clone(&pieces);
            thread::spawn(move || {
                relay(near, far, |piece| {
                    pieces.lock().unwrap_or_else(PoisonError::into_inner).push(piece.to_vec());
                })
            });
            thread::spawn(move || relay(far_again, near_again, |_| {}));
        }
    });
}

fn relay(mut from: TcpStream, mut to: TcpStream, see: impl Fn(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer)?;
        let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else {
            return to.shutdown(Shutdown::Write);
        };
        see(piece);
        to.write_all(piece)?;
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// `text` with `new` in place of the first `old`.
fn replace(text: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    match text.windows(old.len()).position(|window| window == old) {
        Some(at) => [&text[..at], new, &text[at + old.len()..]].concat(),
        None => text.to_vec(),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(Failure::in_context(path.display()))
}
