//! An emulator of REST HSMs on loopback.
