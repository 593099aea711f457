//! The Python of the ways to share, in a plain interpreter.

use std::process::Command;

use super::packages::Packages;

/// Packages that have ways to share of their own, or data that is not Python's.
pub static PACKAGES: Packages = Packages::new(include_str!("../ways/requirements.txt"));

/// Has the modules of `python_fixtures/ways/` under the names that they have in a subject.
const MODULES: &str = "
import importlib.util, os, sys
os.environ['REFCOW_SUBJECT'] = 'refcow-test-%d' % os.getpid()
names = ['child', 'parent', 'values', 'difference', 'data_child', 'data_prepare', 'data_survey']
for name in names:
    spec = importlib.util.spec_from_file_location('_' + name, 'python_fixtures/ways/%s.py' % name)
    module = sys.modules['_' + name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
from _difference import CannotCompare, difference
def alike(one, other):
    try:
        return difference(one, other)
    except CannotCompare as error:
        return 'unknown: %s' % error
";

/// The lines that a script prints which has them.
pub fn lines(python: &str, script: &str) -> Vec<String> {
    let output = Command::new(python)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["-B", "-c", &format!("{MODULES}{script}")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(str::to_owned).collect()
}

/// What is said of each pair of values that a table's expressions make after `setup`, beside what is expected.
pub fn differences(python: &str, setup: &str, pairs: &str) {
    let pairs: Vec<Vec<&str>> = pairs
        .trim()
        .lines()
        .map(|row| row.split(" | ").collect())
        .collect();
    let calls = pairs
        .iter()
        .map(|pair| format!("print(alike({}, {}))\n", pair[0], pair[1]));
    let found = lines(python, &(setup.to_owned() + &calls.collect::<String>()));
    for (pair, found) in pairs.iter().zip(&found) {
        assert_eq!(pair[2], found, "{} and {}", pair[0], pair[1]);
    }
    assert_eq!(found.len(), pairs.len());
}
