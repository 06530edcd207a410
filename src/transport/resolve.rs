//! Names to addresses, remembered for a while.
//!
//! The system is asked in line, by `getaddrinfo`, which knows no deadline: a name server that is silent can hold a call
//! beyond its own. The addresses that were good last are kept for when the system does not answer.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long addresses are believed.
const FRESH: Duration = Duration::from_secs(60);
/// How long nobody asks again after the system failed.
const PAUSE: Duration = Duration::from_secs(5);

/// Asks the system.
type Lookup = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

/// The addresses of one host and port.
pub(super) struct Resolver {
    host: String,
    port: u16,
    lookup: Lookup,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    addresses: Vec<SocketAddr>,
    /// `None` with addresses: they are literal and stay.
    until: Option<Instant>,
}

impl Resolver {
    /// Asks nobody yet. An address as `host` is never looked up.
    pub fn new(host: &str, port: u16) -> Self {
        Self::with(host, port, system)
    }

    fn with(host: &str, port: u16, lookup: Lookup) -> Self {
        let literal = host.parse::<IpAddr>().ok();
        let addresses = literal.map(|address| SocketAddr::new(address, port)).into_iter().collect();
        let known = Mutex::new(Known { addresses, until: None });
        Self { host: host.to_owned(), port, lookup, known }
    }

    /// The addresses, the one that was good last in front; never empty.
    ///
    /// # Errors
    /// What the system said, if it never knew an address.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.addresses_at(Instant::now())
    }

    fn addresses_at(&self, now: Instant) -> io::Result<Vec<SocketAddr>> {
        if let Some(addresses) = self.known.lock().current(now) {
            return Ok(addresses);
        }
        let answer = (self.lookup)(&self.host, self.port).and_then(|found| match found.is_empty() {
            true => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
            false => Ok(found),
        });
        self.known.lock().renew(answer, now)
    }

    /// Remembers the address that took a connection.
    pub fn prefer(&self, good: SocketAddr) {
        self.known.lock().put_first(good);
    }
}

impl Known {
    fn current(&self, now: Instant) -> Option<Vec<SocketAddr>> {
        let valid = !self.addresses.is_empty() && self.until.is_none_or(|until| now < until);
        valid.then(|| self.addresses.clone())
    }

    fn renew(&mut self, answer: io::Result<Vec<SocketAddr>>, now: Instant) -> io::Result<Vec<SocketAddr>> {
        match answer {
            Ok(found) => {
                let good = self.addresses.first().copied();
                self.addresses = found;
                self.until = Some(now + FRESH);
                if let Some(good) = good {
                    self.put_first(good);
                }
            }
            Err(error) if self.addresses.is_empty() => return Err(error),
            Err(_) => self.until = Some(now + PAUSE),
        }
        Ok(self.addresses.clone())
    }

    fn put_first(&mut self, good: SocketAddr) {
        if let Some(at) = self.addresses.iter().position(|address| *address == good) {
            self.addresses.swap(0, at);
        }
    }
}

fn system(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    (host, port).to_socket_addrs().map(Iterator::collect)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn literal_addresses_are_not_looked_up() {
        let never: Lookup = |_, _| panic!("looked up");
        let resolver = Resolver::with("::1", 443, never);
        assert_eq!(resolver.addresses().unwrap(), [address("[::1]:443")]);
        let later = Instant::now() + 2 * FRESH;
        assert_eq!(resolver.addresses_at(later).unwrap(), [address("[::1]:443")]);
    }

    #[test]
    fn names_are_asked_for_once_a_minute_and_the_good_address_stays_in_front() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let lookup: Lookup = |_, port| {
            ASKED.fetch_add(1, Ordering::Relaxed);
            Ok(vec![
                SocketAddr::new([192, 0, 2, 1].into(), port),
                SocketAddr::new([192, 0, 2, 2].into(), port),
            ])
        };
        let resolver = Resolver::with("hsm", 80, lookup);
        let now = Instant::now();
        assert_eq!(resolver.addresses_at(now).unwrap()[0], address("192.0.2.1:80"));
        resolver.prefer(address("192.0.2.2:80"));
        let soon = now + Duration::from_secs(59);
        assert_eq!(resolver.addresses_at(soon).unwrap()[0], address("192.0.2.2:80"));
        assert_eq!(ASKED.load(Ordering::Relaxed), 1);
        let later = now + Duration::from_secs(61);
        assert_eq!(resolver.addresses_at(later).unwrap()[0], address("192.0.2.2:80"));
        assert_eq!(ASKED.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_system_that_fails_does_not_take_known_addresses_away() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let lookup: Lookup = |_, port| match ASKED.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(vec![SocketAddr::new([192, 0, 2, 1].into(), port)]),
            _ => Err(io::ErrorKind::TimedOut.into()),
        };
        let resolver = Resolver::with("hsm", 80, lookup);
        let now = Instant::now();
        for (seconds, asked) in [(0, 1), (61, 2), (62, 2), (67, 3)] {
            let found = resolver.addresses_at(now + Duration::from_secs(seconds)).unwrap();
            assert_eq!(found, [address("192.0.2.1:80")]);
            assert_eq!(ASKED.load(Ordering::Relaxed), asked);
        }
    }

    #[test]
    fn a_name_that_was_never_known_is_an_error() {
        let resolver = Resolver::with("hsm", 80, |_, _| Ok(Vec::new()));
        assert_eq!(resolver.addresses().unwrap_err().to_string(), "the name has no address");
    }
}
