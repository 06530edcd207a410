//! Threads that sign and verify, and what came of it.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use cryptoki_sys::*;

use crate::support::p11::{Called, Code, P11};
use crate::support::session::Session;

const KEY: &str = "ec-p256";
const SIGN: CK_MECHANISM_TYPE = CKM_ECDSA_SHA256;

/// The module with one configuration, one at a time; finalised when dropped, whatever became of the test.
pub struct Bench {
    p11: &'static P11,
    slot: CK_SLOT_ID,
    _turn: MutexGuard<'static, ()>,
}

impl Bench {
    /// Initialises with the file.
    pub fn initialize(config: &Path) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let p11 = P11::load();
        p11.initialize(config).expect("the configuration is right");
        let slot = p11.slots(true).expect("there is a list")[0];
        Self { p11, slot, _turn: turn }
    }

    /// The same, and logs in. The login lasts as long as the signer.
    pub fn new(config: &Path, pin: &str) -> (Self, Signer) {
        let bench = Self::initialize(config);
        let session = bench.session();
        session.login(pin).expect("the PIN is right");
        (bench, Signer::new(session))
    }

    /// A session on the first slot.
    pub fn session(&self) -> Session {
        self.p11.open(self.slot).expect("a session opens")
    }

    /// A session of its own for another thread; the login is the token's.
    pub fn signer(&self) -> Signer {
        Signer::new(self.session())
    }

    /// `threads` threads sign `each` times.
    pub fn sign(&self, threads: usize, each: usize) -> Report {
        self.sign_while(threads, |made, _| made < each)
    }

    /// `threads` threads sign for a while.
    pub fn sign_for(&self, threads: usize, time: Duration) -> Report {
        self.sign_while(threads, |_, begun| begun.elapsed() < time)
    }

    fn sign_while(&self, threads: usize, on: impl Fn(usize, Instant) -> bool + Sync) -> Report {
        let begun = Instant::now();
        let mut all = Report::default();
        thread::scope(|scope| {
            let running: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(|| {
                        let signer = self.signer();
                        let mut report = Report::default();
                        while on(report.times.len() + report.failures.len(), begun) {
                            report.note(&signer);
                        }
                        report
                    })
                })
                .collect();
            for thread in running {
                all.add(thread.join().expect("a signer does not panic"));
            }
        });
        all.took = begun.elapsed();
        all.times.sort_unstable();
        all
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A test that failed says why itself.
        let _ = self.p11.finalize();
    }
}

/// A session with the halves of one key. Each signature is verified: an answer to somebody else's request is none.
pub struct Signer {
    session: Session,
    private: CK_OBJECT_HANDLE,
    public: CK_OBJECT_HANDLE,
}

impl Signer {
    fn new(session: Session) -> Self {
        let [private, public] = [CKO_PRIVATE_KEY, CKO_PUBLIC_KEY].map(|class| session.the(class, KEY));
        Self { session, private, public }
    }

    /// Signs something new.
    pub fn sign(&self) -> Called {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let message = COUNT.fetch_add(1, Ordering::Relaxed).to_string();
        self.session.sign_init(&SIGN.into(), self.private)?;
        let signature = self.session.sign(message.as_bytes())?;
        self.session.verify_init(&SIGN.into(), self.public)?;
        self.session.verify(message.as_bytes(), &signature)
    }
}

/// What came of many signatures.
#[derive(Default)]
pub struct Report {
    /// How long each took that was made; in order at the end.
    pub times: Vec<Duration>,
    /// The codes of those that were not.
    pub failures: Vec<Code>,
    /// From the first to the last.
    pub took: Duration,
}

impl Report {
    fn note(&mut self, signer: &Signer) {
        let begun = Instant::now();
        match signer.sign() {
            Ok(()) => self.times.push(begun.elapsed()),
            Err(code) => self.failures.push(code),
        }
    }

    fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.failures.extend(other.failures);
    }

    /// Signatures a second.
    pub fn rate(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }

    /// All but one in a hundred took no longer.
    pub fn p99(&self) -> Duration {
        self.times[self.times.len() * 99 / 100]
    }

    /// How many took longer.
    pub fn slower_than(&self, limit: Duration) -> usize {
        self.times.iter().filter(|time| **time > limit).count()
    }

    /// Checks that nobody was failed, and that there was something to fail.
    #[track_caller]
    pub fn all_well(&self) -> &Self {
        assert_eq!(self.failures, [], "of {}", self.times.len());
        assert!(!self.times.is_empty());
        self
    }
}
