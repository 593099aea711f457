//! Leaves the subject's Python symbols open: whoever starts it chooses the interpreter with `LD_PRELOAD`.

fn main() {
    println!(
        "cargo::rustc-link-arg-bin=refcow-subject=-Wl,--unresolved-symbols=ignore-in-object-files"
    );
    // include_dir! reads the folder at compile time; a fixture added there is one refcow has.
    println!("cargo::rerun-if-changed=python_fixtures");
    println!("cargo::rerun-if-changed=build.rs");
}
