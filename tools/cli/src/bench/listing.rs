//! The first listing of many keys, and searches after it.

use std::path::Path;
use std::time::{Duration, Instant};

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::Session;

use super::cells::median;
use super::client::{self, Args, Kind, nanoseconds};
use super::hsm::{Hsm, Vendor};
use super::{Bench, module};
use crate::failure::Failure;
use crate::refusal::pkcs11_failure;
use crate::report::line;

/// How long the server holds each answer back, in milliseconds.
pub const LATENCY: u64 = 5;
/// How often each search is made.
const SEARCHES: usize = 200;

/// What was measured.
pub struct Listing {
    /// The first search for everything, in milliseconds.
    pub first_ms: f64,
    /// Objects that it found.
    pub objects: u64,
    /// Kinds of later searches: what was searched for, objects found, and microseconds.
    pub finds: Vec<(&'static str, u64, f64)>,
}

/// The later searches.
const FINDS: [&str; 4] =
    ["by label", "by id", "by class and key type, few match", "by class and key type, all match"];

/// Lists the keys of an emulator of its own, `plan.repetitions` times.
pub fn measure(bench: &Bench, work: &Path) -> Result<Listing, Failure> {
    let dir = work.join("listing");
    Hsm::start(&bench.program, &dir, Vendor::Securosys, false, 0)?.make_keys(bench.plan.keys)?;
    let hsm = Hsm::start(&bench.program, &dir, Vendor::Securosys, false, LATENCY)?;
    let mut runs = Vec::new();
    for _ in 0..bench.plan.repetitions {
        runs.push(client::numbers(&mut bench.client(Kind::Listing, &hsm, 1, &[]))?);
    }
    let number = |at: usize| median(runs.iter().filter_map(|run| run.get(at)).map(|number| *number as f64));
    let find = |(at, name)| (name, number(2 + 2 * at) as u64, number(3 + 2 * at) / 1e3);
    Ok(Listing {
        objects: number(0) as u64,
        first_ms: number(1) / 1e6,
        finds: FINDS.into_iter().enumerate().map(find).collect(),
    })
}

/// The client's side: objects and nanoseconds of the first listing, then of each of [`FINDS`].
pub fn run(args: &Args) -> Result<(), Failure> {
    let pkcs11 = module::load(&args.module)?;
    let session = module::open(&pkcs11, true)?;
    let began = Instant::now();
    let objects = session.find_objects(&[]).map_err(pkcs11_failure)?;
    let took = began.elapsed();
    let label = Attribute::Label("bench-0".into());
    let keys = session.find_objects(std::slice::from_ref(&label)).map_err(pkcs11_failure)?;
    let key = keys.first().copied().ok_or_else(|| Failure::new("there is no key bench-0"))?;
    let id = session.get_attributes(key, &[AttributeType::Id]).map_err(pkcs11_failure)?;
    let private = |kind| vec![Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::KeyType(kind)];
    let mut numbers = format!("{} {}", objects.len(), nanoseconds(took));
    for template in [vec![label], id, private(KeyType::RSA), private(KeyType::EC)] {
        let (found, took) = find(&session, &template)?;
        numbers.push_str(&format!(" {found} {}", nanoseconds(took)));
    }
    line(numbers);
    Ok(())
}

/// How many objects a search finds, and the median of the time that it takes.
fn find(session: &Session, template: &[Attribute]) -> Result<(usize, Duration), Failure> {
    let mut took = Vec::with_capacity(SEARCHES);
    let mut found = 0;
    for _ in 0..SEARCHES {
        let began = Instant::now();
        found = session.find_objects(template).map_err(pkcs11_failure)?.len();
        took.push(began.elapsed());
    }
    took.sort_unstable();
    Ok((found, took.get(SEARCHES / 2).copied().unwrap_or_default()))
}
