//! Links the subject as a shared library whose Python symbols stay open: it is preloaded into the program of whichever
//! interpreter is to be measured. And tells refcow which commit it is built from.

use std::path::Path;
use std::process::Command;

/// What refcow is made of, as git and cargo name it.
const SOURCES: [&str; 5] = [
    "harness",
    "python_fixtures",
    "build.rs",
    "Cargo.toml",
    "Cargo.lock",
];

fn main() {
    // A binary to cargo, so that `cargo install` puts it beside refcow, as it does with no library.
    for argument in [
        // rustc asks for a program. Asked for both, GNU's linker makes one, whose symbols may not stay open, and zig's nothing.
        "-no-pie",
        "-shared",
        // Of a library's objects only those are linked that hold what somebody asks for, and this the loader asks for later.
        "-Wl,-u,__libc_start_main",
    ] {
        println!("cargo::rustc-link-arg-bin=refcow-subject={argument}");
    }
    // What it says if somebody runs it (harness/subject/entry.rs).
    let architecture = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    if ["x86_64", "aarch64"].contains(&architecture.as_str()) {
        println!(
            "cargo::rustc-link-arg-bin=refcow-subject=-Wl,-e,refcow_subject_entry,-u,refcow_subject_entry"
        );
    }
    // All that the program it is loaded into may see of it. -Xlinker takes any path, -Wl none with a comma.
    let exports = Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/bin/exports.map");
    for argument in [
        "-Xlinker",
        &format!("--version-script={}", exports.display()),
    ] {
        println!("cargo::rustc-link-arg-bin=refcow-subject={argument}");
    }
    // include_dir! reads python_fixtures at compile time; a fixture added there is one refcow has.
    for path in SOURCES {
        println!("cargo::rerun-if-changed={path}");
    }
    // Absent where this is no checkout, or within another project's, or there is no git.
    let is_top = git(&["rev-parse", "--show-prefix"]).is_some_and(|prefix| prefix.is_empty());
    if let Some(commit) = git(&["rev-parse", "HEAD"]).filter(|_| is_top) {
        let mut status = vec!["status", "--porcelain", "--"];
        status.extend(SOURCES);
        let dirty = match git(&status) {
            Some(changes) if changes.is_empty() => "",
            _ => "-dirty",
        };
        println!("cargo::rustc-env=REFCOW_COMMIT={commit}{dirty}");
        // The first is written by every commit, where it is kept. What is not there would have this run each time.
        for path in ["logs/HEAD", "HEAD"] {
            if let Some(path) = git(&["rev-parse", "--git-path", path])
                && Path::new(&path).exists()
            {
                println!("cargo::rerun-if-changed={path}");
            }
        }
    }
}

/// What git says, if it does.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| said.trim().to_owned())
}
