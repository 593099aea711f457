//! The code that advice prints: pasted into a plain interpreter, it does what was measured.

use std::path::Path;
use std::process::Command;

use crate::common::{Place, by_python, python, run};
use refcow::model::Advice;
use rstest::rstest;
use serde::Deserialize;

const REMEDIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python_fixtures/remedies");
const SHAPES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/remedies.py");
const PLAIN_FORK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/plain_fork.py");

/// What a program prints.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[rstest]
fn what_takes_the_place_of_data_of_any_shape_does_what_the_data_does(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each(series, "advise_code", |interpreter| {
        let mut command = Command::new(by_python::path(interpreter));
        let printed = said(command.args([SHAPES, REMEDIES]));
        assert_eq!(printed.trim_end(), "all do the same");
    });
}

/// What parent and workers take, by the kernel's sums over a plain program.
#[derive(Debug, Deserialize)]
struct Plain {
    anonymous: u64,
    returned: String,
}

fn plain(file: &str, visit: &str, code: Option<&Path>) -> Plain {
    let code = code.map_or("-".into(), |path| path.display().to_string());
    let mut command = Command::new(python());
    let printed = said(command.args([PLAIN_FORK, file, visit, "2", &code]));
    serde_json::from_str(&printed).unwrap()
}

/// Each remedy that replaces data, and one that does not.
#[test]
fn pasted_into_a_plain_program_it_returns_the_same_and_takes_as_much_memory() {
    let place = Place::new();
    let text = "import array, copy\n\
                class Record:\n    pass\n\
                def build():\n    \
                return {'rows': [{'id': n, 'text': 'row %d' % n, 'v': [n / 3, n / 7]} for n in range(60_000)]}\n\
                def visit_sum(data):\n    \
                return sum(row['id'] + len(row['text']) + row['v'][1] for row in data['rows'])\n";
    let file = place.file("mine.py", text);
    let printed = run::stdout(&["advise", &file, "--format", "json"]);
    let run = run::the_run(&printed);
    let [advice]: &[Advice; 1] = run.advice[..].try_into().unwrap();
    let as_it_is = plain(&file, "sum", None);
    let [measured, all] = [advice.tree.unwrap().end, as_it_is.anonymous];
    close(measured, all, all, "as it is");
    let mut confirmed = Vec::new();
    for tried in advice.remedies.iter().filter(|one| advice.helps(one)) {
        let code = place.file("code.py", &(tried.code.join("\n") + "\n"));
        let with = plain(&file, "sum", Some(code.as_ref()));
        assert_eq!(with.returned, as_it_is.returned, "{}", tried.remedy);
        let saved = as_it_is.anonymous - with.anonymous;
        let measured = advice.saved_of_tree(tried).unwrap().end;
        close(measured as u64, saved, as_it_is.anonymous, &tried.remedy);
        confirmed.push(&tried.remedy[..]);
    }
    confirmed.sort_unstable();
    assert_eq!(
        confirmed,
        ["packed-arrays", "pickled-rows", "shared-memory"]
    );
}

/// Within a twentieth of all that the processes take with the data as it is: allocators give memory back in
/// pieces of a MiB or not at all.
fn close(measured: u64, plain: u64, all: u64, what: &str) {
    let apart = measured.abs_diff(plain) as f64 / all as f64;
    assert!(
        apart < 0.05,
        "{what}: {measured} and {plain} of {all} bytes"
    );
}
