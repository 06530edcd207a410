//! Slots of several vendors in one process.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use cryptoki_sys::*;
use serde_json::json;

use crate::support::p11::refused;
use crate::support::session::number;
use crate::{VENDORS, Vendor, World};

/// How many signatures the others make while one does not answer.
const SIGNATURES: u64 = 10;
/// The others take a fraction of a second; the slot that waits would take half a minute.
const GENEROUS: Duration = Duration::from_secs(10);

/// Logs in, looks, signs, and logs out.
fn works(world: &World, vendor: &Vendor) {
    let session = world.user(vendor).unwrap_or_else(|code| panic!("{}: {code:?}", vendor.name));
    let keys = session.labels(&[number(CKA_CLASS, CKO_PRIVATE_KEY)]);
    assert!(keys.iter().any(|label| label == vendor.key), "{}: {keys:?}", vendor.name);
    for number in 0..SIGNATURES {
        let data = format!("{} {number}", vendor.name);
        let signature = vendor.sign(&session, data.as_bytes()).unwrap();
        if number == 0 {
            vendor.verify(world, data.as_bytes(), &signature);
        }
    }
    session.logout().unwrap();
}

#[test]
fn each_lists_and_signs() {
    let (world, _turn) = World::take();
    // Requests of one are no business of another.
    for vendor in &VENDORS {
        let total = |name: &str| world.emulators[name].stats().total;
        let others = VENDORS.iter().filter(|other| ![vendor.name, vendor.signer].contains(&other.name));
        let before: Vec<_> = others.clone().map(|other| total(other.name)).collect();
        works(world, vendor);
        let after: Vec<_> = others.map(|other| total(other.name)).collect();
        assert_eq!(before, after, "{}", vendor.name);
    }
}

#[test]
fn they_work_at_the_same_time() {
    let (world, _turn) = World::take();
    thread::scope(|scope| {
        for vendor in &VENDORS {
            scope.spawn(move || works(world, vendor));
        }
    });
}

/// First it takes connections and says nothing, then nobody is there; afterwards it is as if nothing had been.
#[test]
fn one_that_is_switched_off_neither_slows_nor_breaks_the_others() {
    let (world, _turn) = World::take();
    for off in &VENDORS {
        let emulator = &world.emulators[off.name];
        let lives = |vendor: &&Vendor| vendor.name != off.name && vendor.signer != off.name;
        emulator.fault(&json!({ "action": "half_open" }));
        thread::scope(|scope| {
            let (began, begins) = mpsc::channel();
            let hanging = scope.spawn(move || {
                let session = world.p11.open(world.slot(off.name)).unwrap();
                began.send(()).unwrap();
                session.login(&(off.pin)())
            });
            begins.recv().unwrap();
            let start = Instant::now();
            world.p11.slots(true).unwrap();
            world.p11.token_info(world.slot(off.name)).unwrap();
            VENDORS.iter().filter(lives).for_each(|vendor| works(world, vendor));
            let took = start.elapsed();
            assert!(!hanging.is_finished(), "{} hangs while the others work", off.name);
            assert!(took < GENEROUS, "{} hangs: the others take {took:?}", off.name);
            // The connection ends, and with it the wait.
            emulator.kill();
            refused(hanging.join().unwrap(), CKR_DEVICE_ERROR);
        });
        refused(world.user(off).map(drop), CKR_DEVICE_ERROR);
        VENDORS.iter().filter(lives).for_each(|vendor| works(world, vendor));
        emulator.restart();
        VENDORS.iter().for_each(|vendor| works(world, vendor));
    }
}
