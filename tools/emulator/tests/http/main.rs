//! The emulator driven by plain HTTP: what the reference says, and OpenSSL as the judge of it.

mod ciphers;
mod client;
mod credentials;
mod hooks;
mod lifecycle;
mod signatures;
mod strictness;
mod worked;
