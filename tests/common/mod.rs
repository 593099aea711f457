//! Runs refcow in a folder of its own, and looks at what it leaves behind.
//!
//! Nothing here waits for a time to pass: a test hears from a fixture over a FIFO, and learns of a
//! process's end by a pidfd. The limits only turn a test that would hang for ever into one that
//! fails.

mod acting;
pub mod by_python;
pub mod canned;
pub mod forms;
pub mod full;
pub mod packages;
mod place;
mod remains;
pub mod run;
mod running;
pub mod signals;
mod target;
pub mod trees;
mod waiting;
pub mod ways;
pub mod ways_python;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use refcow::driver::Launch;
use refcow::python::Interpreter;

pub use acting::When;
pub use place::Place;
pub use remains::is_gone;
pub use running::{Finished, Running};
pub use target::{Target, recording_to};

use waiting::PATIENCE;

/// The program under test; refcow-subject lies beside it.
pub const REFCOW: &str = env!("CARGO_BIN_EXE_refcow");

/// refcow-subject beside refcow.
pub fn subject() -> PathBuf {
    Path::new(REFCOW).with_file_name("refcow-subject")
}

/// How a subject of an interpreter is started, with room for a witness and so many children.
pub fn launch(interpreter: &Interpreter, children: usize) -> Launch {
    // Without modules nothing is installed.
    let ready = refcow::python::prepare(interpreter.clone(), &[], &|_| {}).unwrap();
    let launch = refcow::experiment::launch(&ready, children, PATIENCE).unwrap();
    // This program is none.
    let keeper = REFCOW.into();
    Launch { keeper, ..launch }
}

/// The interpreter that refcow chooses by itself here: looked for once, not in every run.
pub fn python() -> &'static str {
    &default_python().0
}

/// The same, and what refcow remembers of it.
fn default_python() -> &'static (String, Vec<u8>) {
    static PYTHON: OnceLock<(String, Vec<u8>)> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let place = Place::new();
        let measure = |more: &[&str]| {
            let measure = "measure ints --count 1 --visit idle --children 1 --format json";
            let mut refcow = place.refcow(measure.split(' '));
            refcow.args(more);
            run::the_run(&place.run(refcow).exits_with(0).stdout)
        };
        let chosen = measure(&[]).python.executable;
        let chosen = chosen.to_str().unwrap();
        // As it is named in most tests.
        measure(&["--python", chosen]);
        let remembered = std::fs::read(place.path(place::REMEMBERED)).unwrap();
        (chosen.to_owned(), remembered)
    })
}

/// Whether page faults cannot be recorded here; says then which test does not take place, and why.
pub fn cannot_record(test: &str) -> bool {
    match refcow::observe::try_recording() {
        Ok(()) => false,
        Err(unavailable) => {
            skipped(test, &unavailable.to_string());
            true
        }
    }
}

/// Says which test did not take place, and why.
pub fn skipped(test: &str, why: &str) {
    eprintln!("SKIPPED {test}: {why}");
}
