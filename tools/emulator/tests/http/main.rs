//! The emulator driven by plain HTTP: what the reference says, and OpenSSL as the judge of it.

mod ciphers;
mod ciphertrust;
mod client;
mod client_certificates;
mod credentials;
mod fast;
mod faults;
mod gateway;
mod hooks;
mod idle;
mod lifecycle;
mod luna;
mod signatures;
mod strictness;
mod vault;
mod worked;
