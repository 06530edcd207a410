//! Lives of the module behind a proxy.

use crate::support::c::{EMULATOR, Program};
use crate::support::proxy::Proxy;

/// Each life has threads and connections of its own, and leaves none.
#[test]
fn five_hundred_lives_behind_a_proxy() {
    let proxy = Proxy::http(None);
    let program = Program::of("cycles", "soak_proxied_cycles");
    let config = format!("{}\n[slot.proxy]\nurl = \"{}\"\n", EMULATOR.text("p11rest.toml"), proxy.url());
    program.run(&config, &[("CYCLES", "500".as_ref())]);
    assert!(proxy.asked().len() >= 500);
}
