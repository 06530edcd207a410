//! Link flags of the shared library. (The version that `C_GetInfo` tells is the package's.)

fn main() {
    // Threads and exit handlers of the host may still run our code after `dlclose`.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libp11rest.so");
    println!("cargo::rerun-if-changed=build.rs");
}
