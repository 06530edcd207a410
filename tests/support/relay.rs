//! A relay between the module and a server, to be broken where no server would break by itself.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

/// How long a server is silent when it has said all.
const SILENCE: Duration = Duration::from_millis(200);

/// A relay on loopback, for as long as the process lives.
pub struct Relay {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    broken: bool,
    /// Both ends of each connection.
    open: Vec<TcpStream>,
}

impl Relay {
    /// A relay to a port on loopback.
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // Whoever connects while nobody listens behind it is hung up on.
                thread::spawn(move || relay(client, server, &shared));
            }
        });
        Self { port, state }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends all connections. New ones last until the server has answered the client's first words: with its last
    /// byte the connection ends, and is reset, so that the next write of the client is one that raises SIGPIPE.
    pub fn break_off(&self) {
        self.state.lock().expect("nobody panicked with it").broken = true;
        self.hang_up(false);
    }

    /// Ends all connections, and takes new ones. With `reset` whoever writes next is told so by RST, too.
    pub fn hang_up(&self, reset: bool) {
        let mut state = self.state.lock().expect("nobody panicked with it");
        for stream in state.open.drain(..) {
            // Those that have ended cannot be shut down, and no more can be said to them.
            if reset {
                let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            }
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Behaves again.
    pub fn mend(&self) {
        self.state.lock().expect("nobody panicked with it").broken = false;
    }
}

fn relay(client: TcpStream, server: u16, state: &Mutex<State>) -> io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    {
        let mut state = state.lock().expect("nobody panicked with it");
        if state.broken {
            drop(state);
            return one_answer(client, server);
        }
        state.open.extend([client.try_clone()?, server.try_clone()?]);
    }
    let back = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || copy(back.0, back.1));
    copy(client, server);
    Ok(())
}

/// Passes on what comes until either side ends.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    // How it ends is all the same.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

fn one_answer(mut client: TcpStream, mut server: TcpStream) -> io::Result<()> {
    let mut words = [0; 16 * 1024];
    let count = client.read(&mut words)?;
    server.write_all(&words[..count])?;
    server.set_read_timeout(Some(SILENCE))?;
    let mut answer = Vec::new();
    // It ends by the timeout, and what came before that is kept.
    let _ = server.read_to_end(&mut answer);
    SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
    client.write_all(&answer)?;
    client.shutdown(Shutdown::Write)
}
