//! What the built module shows to the linker.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use p11rest::ffi::table::Function;
use support::module;

mod support;

#[test]
fn exactly_the_functions_of_the_standard_are_exported() {
    let output = run("nm", &["-D", "--defined-only"], &module());
    let exported: BTreeSet<&str> = output.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    let expected: BTreeSet<&str> = Function::ALL.into_iter().map(Function::name).collect();
    assert_eq!(exported, expected);
    assert_eq!(exported.len(), Function::ALL.len());
    // PKCS#11 3.2: 68 functions of 2.40, 24 of 3.0, 12 of 3.2.
    assert_eq!(expected.len(), 104);
}

/// Threads of the host may be in the module when somebody calls dlclose.
#[test]
fn the_module_has_its_name_and_stays_loaded() {
    let output = run("readelf", &["--wide", "--dynamic"], &module());
    assert!(output.contains("Library soname: [libp11rest.so]"), "{output}");
    let flags = output.lines().find(|line| line.contains("(FLAGS_1)")).expect("there are flags");
    assert!(flags.split_whitespace().any(|flag| flag == "NODELETE"), "{flags}");
}

/// It needs nothing but the C library: whatever host loads it has that.
#[test]
fn the_module_needs_only_the_c_library() {
    let output = run("readelf", &["--wide", "--dynamic"], &module());
    let needed = output.lines().filter_map(|line| line.split_once("Shared library: [")?.1.strip_suffix(']'));
    for library in needed {
        let plain = ["libc.so.", "libgcc_s.so.", "libm.so.", "libdl.so.", "libpthread.so.", "ld-linux"];
        assert!(plain.iter().any(|name| library.starts_with(name)), "{library}");
    }
}

fn run(program: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(file).output().expect("binutils are installed");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("names are text")
}
