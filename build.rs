//! Link flags of the shared library, and the version that `C_GetInfo` reports.

fn main() {
    // Threads and exit handlers of the host may still run our code after `dlclose`.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libp11rest.so");
    println!("cargo::rerun-if-changed=build.rs");
}
