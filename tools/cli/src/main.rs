//! The command-line tool of p11rest.
fn main() {}
