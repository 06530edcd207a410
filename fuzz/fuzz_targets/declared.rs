#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| p11rest::fuzzing::run("declared", data));
